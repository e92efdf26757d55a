//! What works, from the first request to the certificate.

use super::*;

#[tokio::test]
async fn invariant_06_a_case_goes_from_its_documents_to_a_v2_certificate() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    let officer = site.token(Role::Officer).await;
    let case = &it.case;
    let waiting = site
        .post("/v1/orders", &it.owner, order_body("alice@example.com", "V2"))
        .await
        .json();
    assert_eq!(waiting["state"], "pending", "{waiting}");
    assert!(
        waiting["problem"]["detail"]
            .as_str()
            .unwrap()
            .contains("individual-identity"),
        "{waiting}"
    );

    let decision = json!({"decision": "approve", "reason": "The passport is genuine."});
    site.post(&format!("/v1/cases/{case}/decisions"), &officer, decision.clone())
        .await
        .problem(409, "no-evidence");
    let document = site
        .get(&format!("/v1/cases/{case}/documents/{}", it.document), &officer)
        .await;
    assert_eq!(document.text(), "passport");
    assert_eq!(document.header(header::CONTENT_DISPOSITION), "attachment");
    assert!(document.header(header::CONTENT_SECURITY_POLICY).contains("sandbox"));

    let sha256 = site.get(&format!("/v1/cases/{case}"), &officer).await.json()["documents"][0]["sha256"].clone();
    let finding = json!({"method": "identity-document", "documents": [sha256], "note": "Video call, face compared."});
    let recorded = site
        .post(&format!("/v1/cases/{case}/evidence"), &officer, finding)
        .await;
    assert_eq!(recorded.status, StatusCode::CREATED, "{}", recorded.text());
    let decided = site
        .post(&format!("/v1/cases/{case}/decisions"), &officer, decision.clone())
        .await
        .json();
    assert_eq!(decided["state"], "approved", "{decided}");
    site.post(&format!("/v1/cases/{case}/decisions"), &officer, decision)
        .await
        .problem(409, "state-changed");

    // The order that waited was issued with the decision.
    let order = site
        .get(&format!("/v1/orders/{}", waiting["id"].as_str().unwrap()), &it.owner)
        .await
        .json();
    assert_eq!(order["state"], "valid", "{order}");
    let serial = order["certificate_serial"].as_str().unwrap();
    let certificate = site.get(&format!("/v1/certificates/{serial}"), &it.owner).await.json();
    assert_eq!(
        (&certificate["tier"], &certificate["state"]),
        (&json!("V2"), &json!("valid"))
    );
    assert!(
        certificate["chain_pem"]
            .as_str()
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
}

#[tokio::test]
async fn invariant_06_an_officer_decides_an_organization_once() {
    let site = Site::new().await;
    let owner = site.token(Role::Subscriber).await;
    let case = site
        .post(
            "/v1/cases",
            &owner,
            json!({"kind": "organization-identity", "subject": {
                "legal_name": "Beispiel AG", "country": "DE", "organization_identifier": "NTRDE-DEK1101R.HRB12345"
            }}),
        )
        .await
        .json();
    assert_eq!(case["approvals_needed"], 2);
    let path = format!("/v1/cases/{}", case["id"].as_str().unwrap());
    let (olga, otto) = (site.token(Role::Officer).await, site.token(Role::Officer).await);
    let finding = json!({"method": "register-extract", "note": "HRB 12345 read at handelsregister.de"});
    site.post(&format!("{path}/evidence"), &olga, finding.clone()).await;
    let approve = json!({"decision": "approve", "reason": "fits"});
    let first = site
        .post(&format!("{path}/decisions"), &olga, approve.clone())
        .await
        .json();
    assert_eq!(first["state"], "open");
    let again = site.post(&format!("{path}/decisions"), &olga, approve.clone()).await;
    assert_eq!(
        again.problem(403, "separation-of-duties").section.as_deref(),
        Some("5.2.4")
    );
    site.post(&format!("{path}/evidence"), &otto, finding)
        .await
        .problem(409, "state-changed");
    let second = site.post(&format!("{path}/decisions"), &otto, approve).await.json();
    assert_eq!(second["state"], "approved");
    assert_eq!(second["decisions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn orders_are_idempotent_and_keys_are_not_shared() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    let place = |token: &str, key: &str, body: &Value| {
        let mut request = with_json(Method::POST, "/v1/orders", Some(token), body);
        request.headers_mut().insert("Idempotency-Key", key.parse().unwrap());
        request
    };
    let body = order_body("alice@example.com", "V1");
    let first = site.call(place(&it.owner, "order-1", &body)).await.json();
    let second = site.call(place(&it.owner, "order-1", &body)).await.json();
    assert_eq!(first["id"], second["id"]);
    assert_eq!(first["certificate_serial"], second["certificate_serial"]);
    let other = order_body("bob@example.com", "V1");
    site.call(place(&it.owner, "order-1", &other))
        .await
        .problem(422, "idempotency-key");
    let neighbour = site.token(Role::Subscriber).await;
    let theirs = site.call(place(&neighbour, "order-1", &other)).await.json();
    assert_ne!(theirs["id"], first["id"]);
    for key in ["", &"x".repeat(129), "two words"] {
        site.call(place(&it.owner, key, &body))
            .await
            .problem(422, "invalid-input");
    }
    let mut twice = place(&it.owner, "order-2", &body);
    twice
        .headers_mut()
        .append("Idempotency-Key", "order-3".parse().unwrap());
    site.call(twice).await.problem(400, "malformed-request");
}

#[tokio::test]
async fn a_revocation_shows_in_the_list_and_in_the_crl() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    let path = format!("/v1/certificates/{}/revocation", it.serial);
    for reason in ["certificateHold", "", "because", "cACompromise"] {
        site.post(&path, &it.owner, json!({"reason": reason}))
            .await
            .problem(422, "invalid-input");
    }
    let before = site.public("/crl/issuing.crl").await;
    assert_eq!(before.header(header::CONTENT_TYPE), "application/pkix-crl");
    let revoked = site
        .post(&path, &it.owner, json!({"reason": "superseded"}))
        .await
        .json();
    assert_eq!(
        (&revoked["state"], &revoked["revocation_reason"]),
        (&json!("revoked"), &json!("superseded"))
    );
    let after = site.public("/crl/issuing.crl").await;
    assert_ne!(before.body, after.body);
    let serial = data_encoding::HEXLOWER.decode(it.serial.as_bytes()).unwrap();
    assert!(
        after.body.windows(serial.len()).any(|window| window == serial),
        "the CRL does not list the serial"
    );
    let valid = site.get("/v1/certificates?state=valid", &it.owner).await.json();
    assert_eq!(valid["certificates"], json!([]));
    let listed = site
        .get("/v1/certificates?state=revoked&mailbox=alice@example.com", &it.owner)
        .await
        .json();
    assert_eq!(listed["certificates"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn issuers_are_public_and_health_is_known() {
    let site = Site::new().await;
    let root = site.public("/ca/root.pem").await;
    assert!(root.text().starts_with("-----BEGIN CERTIFICATE-----"));
    for issuer in site.world.app.issuers().all() {
        let certificate = site.public(&format!("/ca/{}.cer", issuer.id())).await;
        assert_eq!(certificate.body, issuer.certificate_der());
        assert_eq!(certificate.header(header::CONTENT_TYPE), "application/pkix-cert");
    }
    assert_eq!(site.public("/healthz").await.json(), json!({"status": "ok"}));
}
