//! What the wire types take and refuse, and what the client refuses before it sends anything.

use ca_api::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn refused<T: DeserializeOwned>(value: Value, because: &str) {
    match serde_json::from_value::<T>(value.clone()) {
        Ok(_) => panic!("{value} was taken"),
        Err(error) => assert!(error.to_string().contains(because), "{value}: {error}"),
    }
}

fn round_trip<T: DeserializeOwned + serde::Serialize>(value: Value) {
    let parsed: T = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(parsed).unwrap(), value);
}

#[test]
fn requests_round_trip() {
    round_trip::<NewAccount>(json!({"name": "Example", "kind": "organization"}));
    round_trip::<NewPrincipal>(json!({"name": "Gateway", "role": "gateway", "account": "acc-1"}));
    round_trip::<NewChallenge>(json!({"mailbox": "alice@example.com"}));
    round_trip::<NewChallenge>(json!({"domain": "example.com", "via": "postmaster"}));
    round_trip::<NewOrder>(json!({
        "mailbox": "alice@example.com", "tier": "best", "generation": "strict", "certificate_request": "MAA="
    }));
    round_trip::<NewOrder>(json!({
        "mailbox": "alice@example.com", "tier": "V1", "generation": "strict", "use": "encrypt", "certificate_request": "MAA="
    }));
    round_trip::<NewCase>(json!({"kind": "individual-identity", "subject": {
        "given_name": "Alice", "surname": "Example", "mailbox": "alice@example.com"
    }}));
    round_trip::<NewDecision>(json!({"decision": "approve", "reason": "Register extract matches."}));
}

#[test]
fn unknown_keys_are_refused() {
    refused::<NewAccount>(json!({"name": "E", "kind": "organization", "admin": true}), "admin");
    round_trip::<PlanChange>(json!({"plan": "pro-organization", "granted_employee_seats": 5}));
    round_trip::<AccountPlan>(json!({
        "account": "acc-1", "plan": "free", "tiers": ["V1"],
        "employee_seats": {"included": 0, "granted": 0, "used": 0},
    }));
    refused::<PlanChange>(json!({"plan": "free", "seats": 5}), "seats");
    refused::<NewPrincipal>(json!({"name": "E", "role": "officer", "acount": "a"}), "acount");
    refused::<NewChallenge>(json!({"mailbox": "a@example.com", "lifetime": 1}), "lifetime");
    refused::<NewDecision>(json!({"decision": "approve", "reason": "r", "officer": "x"}), "officer");
    refused::<NewEvidence>(json!({"method": "register-extract", "approved": true}), "approved");
    refused::<Revocation>(json!({"reason": "superseded", "at": 0}), "at");
    refused::<NewCase>(
        json!({"kind": "authority", "subject": {"organization_identifier": "x", "representative": "y", "approved": true}}),
        "approved",
    );
    refused::<NewCase>(
        json!({"kind": "authority", "subject": {"organization_identifier": "x", "representative": "y"}, "state": "approved"}),
        "state",
    );
    refused::<NewOrder>(
        json!({"mailbox": "a@example.com", "tier": "V1", "generation": "strict", "certificate_request": "", "lint": false}),
        "lint",
    );
}

#[test]
fn challenges_name_exactly_one_thing() {
    refused::<NewChallenge>(json!({}), "either");
    refused::<NewChallenge>(json!({"domain": "example.com"}), "via");
    refused::<NewChallenge>(json!({"via": "postmaster"}), "either");
    refused::<NewChallenge>(json!({"mailbox": "a@example.com", "via": "postmaster"}), "either");
    refused::<NewChallenge>(
        json!({"mailbox": "a@example.com", "domain": "example.com", "via": "admin"}),
        "either",
    );
    refused::<NewChallenge>(json!({"domain": "example.com", "via": "ceo"}), "hostmaster");
    refused::<NewChallenge>(json!({"mailbox": "not an address"}), "");
    refused::<NewChallenge>(json!({"mailbox": "a@example.com\r\nBcc: b@example.com"}), "");
}

#[test]
fn words_outside_the_lists_are_refused() {
    refused::<NewAccount>(json!({"name": "E", "kind": "Organization"}), "individual, organization");
    refused::<NewPrincipal>(json!({"name": "E", "role": "root"}), "operator, officer");
    refused::<NewDecision>(json!({"decision": "maybe", "reason": "r"}), "approve, reject");
    refused::<NewOrder>(
        json!({"mailbox": "a@example.com", "tier": "V1", "generation": "strict", "use": "escrow", "certificate_request": ""}),
        "sign, encrypt or both",
    );
    refused::<NewOrder>(
        json!({"mailbox": "a@example.com", "tier": "V5", "generation": "strict", "certificate_request": ""}),
        "best",
    );
    refused::<NewOrder>(
        json!({"mailbox": "a@example.com", "tier": "V1", "generation": "strict", "certificate_request": "***"}),
        "base64",
    );
    refused::<NewEvidence>(json!({"method": "m", "documents": ["ABCD"]}), "64 lower-case");
}

#[test]
fn answers_may_gain_keys() {
    let answer = json!({"principal": "p", "name": "n", "role": "officer", "since": "2026"});
    assert_eq!(serde_json::from_value::<WhoAmI>(answer).unwrap().role, Role::Officer);
}

#[test]
fn tokens_are_not_shown_by_debug() {
    let issued: IssuedToken = serde_json::from_value(json!({
        "principal": {"id": "p", "name": "n", "role": "officer", "created_at": "2026-11-22T00:00:00Z"},
        "token": "swt_secret"
    }))
    .unwrap();
    assert!(!format!("{issued:?}").contains("swt_secret"));
}

#[test]
fn the_client_refuses_what_would_leak_or_trust_nothing() {
    let tls = || {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    };
    for url in [
        "http://127.0.0.1:8440",
        "ftp://host",
        "",
        "https://",
        "https://user:pw@host",
        "https://host/?a=b",
    ] {
        let error = Client::with_tls(url, tls(), "token").unwrap_err();
        assert!(matches!(error, ClientError::Url { .. }), "{url}: {error}");
        assert!(!error.is_temporary());
    }
    for token in ["", "  ", "two\nlines", "nul\0"] {
        let error = Client::with_tls("https://host", tls(), token).unwrap_err();
        assert!(matches!(error, ClientError::Token), "{token:?}: {error}");
    }
    for roots in [
        "",
        "no PEM at all",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let error = Client::new("https://host", roots.as_bytes(), "token").unwrap_err();
        assert!(matches!(error, ClientError::TrustRoots { .. }), "{error}");
    }
    let client = Client::with_tls("https://host", tls(), "swt_secret\n").unwrap();
    assert!(!format!("{client:?}").contains("swt_secret"));
}

#[tokio::test]
async fn identifiers_that_would_name_another_resource_are_refused() {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = Client::with_tls("https://127.0.0.1:1", tls, "token").unwrap();
    for id in ["", ".", ".."] {
        let error = client.case(id).await.unwrap_err();
        assert!(matches!(error, ClientError::Url { .. }), "{error}");
    }
}

#[tokio::test]
async fn nobody_listening_is_temporary() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = Client::with_tls(&format!("https://{address}"), tls, "token").unwrap();
    let error = client.whoami().await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
}

#[test]
fn which_problems_are_temporary() {
    let problem = |status: u16| {
        ClientError::Refused(Box::new(Problem {
            kind: format!("{}x", Problem::PREFIX),
            title: "X".to_owned(),
            status,
            detail: "Y".to_owned(),
            section: Some("3.2.2".to_owned()),
            lint: None,
            request_id: None,
        }))
    };
    for status in [408, 425, 429, 500, 502, 503, 504] {
        assert!(problem(status).is_temporary(), "{status}");
    }
    for status in [0, 400, 401, 403, 404, 409, 422] {
        assert!(!problem(status).is_temporary(), "{status}");
    }
    assert_eq!(problem(404).problem().unwrap().name(), "x");
    assert!(problem(404).to_string().ends_with("refused: Y (section 3.2.2)"));
}
