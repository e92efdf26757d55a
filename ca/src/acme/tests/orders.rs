//! From an order to a certificate, and everything that must not become one.

use der::Decode;
use policies::time::Span;
use x509_cert::certificate::Certificate;

use super::*;
use crate::testing::Proof;

#[tokio::test]
async fn invariants_01_and_04_a_certificate_comes_by_the_way_of_all_others() {
    let site = site!();
    let client = site.client("Ada").await;
    let (placed, chain) = client.certificate(ADA).await;
    let certificates = site.world.certificates().await;
    assert_eq!(certificates.len(), 1);
    assert_eq!(certificates[0].mailbox, ADA);
    let row = site.world.row(&certificates[0].serial).await;
    assert_eq!(row.certificate.unwrap(), leaf(&chain));
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
    let evidence = crate::certificates::evidence(&site.world.app, &certificates[0])
        .await
        .unwrap();
    assert_eq!(evidence.len(), 1);
    crate::audit::verify(&site.world.app).await.unwrap();
    // A second request for the same order gets nothing.
    client
        .finalize(&placed, &request_for(ADA))
        .await
        .problem(403, "orderNotReady");
    assert_eq!(site.world.certificates().await.len(), 1);
    // openssl accepts the chain.
    let mut store = openssl::x509::store::X509StoreBuilder::new().unwrap();
    let root = site.world.app.issuers().root().certificate_pem();
    store
        .add_cert(openssl::x509::X509::from_pem(root.as_bytes()).unwrap())
        .unwrap();
    let mut parameters = openssl::x509::verify::X509VerifyParam::new().unwrap();
    parameters.set_time(site.world.app.now().unix());
    store.set_param(&parameters).unwrap();
    let store = store.build();
    let mut above = openssl::stack::Stack::new().unwrap();
    let certificates = openssl::x509::X509::stack_from_pem(chain.as_bytes()).unwrap();
    above.push(certificates[1].clone()).unwrap();
    let mut context = openssl::x509::X509StoreContext::new().unwrap();
    assert!(
        context
            .init(&store, &certificates[0], &above, |context| context.verify_cert())
            .unwrap()
    );
}

#[tokio::test]
async fn invariant_04_the_proof_of_one_order_serves_no_other() {
    let site = site!();
    let client = site.client("Ada").await;
    client.certificate(ADA).await;
    // The same account, the same mailbox, a minute later: it has to be proved anew.
    let second = client.order(ADA).await;
    let order = client.get(&second.url).await.json();
    assert_eq!(order["status"], "pending");
    client
        .finalize(&second, &request_for(ADA))
        .await
        .problem(403, "orderNotReady");
    // Neither does it serve an order through the other door.
    let direct = crate::orders::place(
        &site.world.app,
        &client.owner,
        crate::testing::order(ADA, crate::orders::TierChoice::Best),
    )
    .await
    .unwrap();
    assert!(
        matches!(direct.state, crate::orders::OrderState::Pending { .. }),
        "{direct:?}"
    );
    assert_eq!(site.world.certificates().await.len(), 1);
}

#[tokio::test]
async fn many_finalizations_at_once_give_one_certificate() {
    let site = site!();
    let client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    client.prove(ADA, &placed).await;
    let payload = json!({"csr": encode(request_for(ADA))}).to_string();
    let mut sending = Vec::new();
    for _ in 0..6 {
        let nonce = site.nonce().await;
        let jws = client
            .key
            .sign_as_account(&client.kid, &placed.finalize, &nonce, &payload)
            .to_string();
        let (mut api, path) = (
            site.api.clone(),
            placed
                .finalize
                .strip_prefix(&site.world.app.api_url())
                .unwrap()
                .to_owned(),
        );
        sending.push(tokio::spawn(async move {
            let request = Request::post(path)
                .header("content-type", "application/jose+json")
                .body(Body::from(jws))
                .unwrap();
            api.call(request).await.unwrap().status()
        }));
    }
    for sent in sending {
        let status = sent.await.unwrap();
        assert!(status.is_success() || status == StatusCode::FORBIDDEN, "{status}");
    }
    assert_eq!(site.world.certificates().await.len(), 1);
}

#[tokio::test]
async fn what_is_proved_in_another_way_needs_no_mail() {
    let site = site!();
    let client = site.client("Ada").await;
    for proof in [Proof::domain("example.com"), Proof::organization(), Proof::authority()] {
        site.world.prove(&client.owner, proof, Span::hours(1)).await;
    }
    let placed = client.order(ADA).await;
    assert_eq!(client.get(&placed.url).await.json()["status"], "ready");
    client.challenge(&placed).await;
    assert!(site.world.outbox.mails().is_empty());
    let order = client.finalize(&placed, &request_for(ADA)).await.ok().json();
    assert_eq!(order["status"], "valid");
    // The profile "best" is the best that the evidence carries.
    assert_eq!(site.world.certificates().await[0].tier, policies::tier::Tier::V3);
    // Proofs of another account are no proofs.
    let eve = site.client("Eve").await;
    let placed = eve.order(ADA).await;
    assert_eq!(eve.get(&placed.url).await.json()["status"], "pending");
}

#[tokio::test]
async fn an_order_waits_for_the_evidence_of_its_profile() {
    let site = site!();
    let client = site.client("Ada").await;
    let identifiers = json!([{"type": "email", "value": ADA}]);
    client
        .place(json!({"identifiers": identifiers, "profile": "v9"}))
        .await
        .problem(400, "invalidProfile");
    let placed = client
        .place(json!({"identifiers": identifiers, "profile": "v2"}))
        .await
        .ok();
    let order = placed.json();
    let placed = Placed {
        url: placed.header("location").to_owned(),
        authorization: order["authorizations"][0].as_str().unwrap().to_owned(),
        finalize: order["finalize"].as_str().unwrap().to_owned(),
    };
    client.prove(ADA, &placed).await;
    let waiting = client.finalize(&placed, &request_for(ADA)).await.ok();
    assert_eq!(waiting.json()["status"], "processing");
    assert!(!waiting.header("retry-after").is_empty());
    site.world
        .prove(&client.owner, Proof::individual(ADA), Span::hours(1))
        .await;
    crate::orders::retry(&site.world.app, client.owner.account.as_ref().unwrap())
        .await
        .unwrap();
    assert_eq!(client.get(&placed.url).await.json()["status"], "valid");
    assert_eq!(site.world.certificates().await[0].tier, policies::tier::Tier::V2);
}

#[tokio::test]
async fn identifiers_that_cannot_be_certified_are_refused() {
    let site = site!();
    let client = site.client("Ada").await;
    let check = async |identifiers: Value, kind: &str| {
        client
            .place(json!({"identifiers": identifiers}))
            .await
            .problem(400, kind)
    };
    let email = |value: &str| json!({"type": "email", "value": value});
    check(json!([]), "rejectedIdentifier").await;
    check(json!([email(ADA), email("bob@example.com")]), "rejectedIdentifier").await;
    check(
        json!([{"type": "dns", "value": "example.com"}]),
        "unsupportedIdentifier",
    )
    .await;
    for value in [
        "*@example.com",
        "ada@*.example.com",
        "example.com",
        "",
        "ada@example.com\n",
        "a b@example.com",
        "ädä@example.com",
        "ada@[127.0.0.1]",
    ] {
        check(json!([email(value)]), "rejectedIdentifier").await;
    }
    check(json!([{"type": "email"}]), "malformed").await;
    check(json!("x"), "malformed").await;
    let dated = json!({"identifiers": [email(ADA)], "notAfter": "2030-01-01T00:00:00Z"});
    client.place(dated).await.problem(400, "malformed");
}

#[tokio::test]
async fn requests_for_other_names_or_bad_keys_are_refused_and_leave_the_order_ready() {
    let site = site!();
    let client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    client
        .finalize(&placed, &request_for(ADA))
        .await
        .problem(403, "orderNotReady");
    client.prove(ADA, &placed).await;
    let refused = async |csr: &[u8]| client.finalize(&placed, csr).await.problem(400, "badCSR");
    refused(b"").await;
    refused(&request_for("eve@example.com")).await;
    // No name at all, and a name that is no address.
    refused(&keys::certificate_request(&*keys::testing::p256(), "").unwrap()).await;
    refused(&keys::certificate_request(&*keys::testing::p256(), "eve@example.com").unwrap()).await;
    let weak = PKeyRequest::rsa(1024);
    let problem = refused(&weak).await;
    assert_eq!(problem["section"], "6.1.5");
    refused(&PKeyRequest::with_dns_name()).await;
    let own_key = PKeyRequest::of(&client.key);
    refused(&own_key).await;
    let mut forged = request_for(ADA);
    *forged.last_mut().unwrap() ^= 1;
    refused(&forged).await;
    client
        .post(&placed.finalize, r#"{"csr":"AA=="}"#)
        .await
        .problem(400, "badCSR");
    client.post(&placed.finalize, "{}").await.problem(400, "malformed");
    assert_eq!(client.get(&placed.url).await.json()["status"], "ready");
    client.finalize(&placed, &request_for(ADA)).await.ok();
}

/// Certificate requests that `keys` would not make.
struct PKeyRequest;

impl PKeyRequest {
    fn make(key: &openssl::pkey::PKey<openssl::pkey::Private>, name: &str) -> Vec<u8> {
        let mut builder = openssl::x509::X509ReqBuilder::new().unwrap();
        builder.set_pubkey(key).unwrap();
        let mut extensions = openssl::stack::Stack::new().unwrap();
        let mut alternative = openssl::x509::extension::SubjectAlternativeName::new();
        match name.strip_prefix("dns:") {
            Some(name) => alternative.dns(name).email(ADA),
            None => alternative.email(name),
        };
        let context = builder.x509v3_context(None);
        let extension = alternative.build(&context).unwrap();
        extensions.push(extension).unwrap();
        builder.add_extensions(&extensions).unwrap();
        builder.sign(key, openssl::hash::MessageDigest::sha256()).unwrap();
        builder.build().to_der().unwrap()
    }

    fn rsa(bits: u32) -> Vec<u8> {
        let key = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(bits).unwrap()).unwrap();
        Self::make(&key, ADA)
    }

    fn with_dns_name() -> Vec<u8> {
        let key = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
        Self::make(&key, "dns:example.com")
    }

    fn for_use(usage: &openssl::x509::extension::KeyUsage) -> Vec<u8> {
        let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
        let key = openssl::pkey::PKey::from_ec_key(openssl::ec::EcKey::generate(&group).unwrap()).unwrap();
        let mut builder = openssl::x509::X509ReqBuilder::new().unwrap();
        builder.set_pubkey(&key).unwrap();
        let mut extensions = openssl::stack::Stack::new().unwrap();
        let context = builder.x509v3_context(None);
        let name = openssl::x509::extension::SubjectAlternativeName::new()
            .email(ADA)
            .build(&context)
            .unwrap();
        extensions.push(name).unwrap();
        extensions.push(usage.build().unwrap()).unwrap();
        builder.add_extensions(&extensions).unwrap();
        builder.sign(&key, openssl::hash::MessageDigest::sha256()).unwrap();
        builder.build().to_der().unwrap()
    }

    fn of(key: &Key) -> Vec<u8> {
        Self::make(key.pair(), ADA)
    }
}

/// RFC 8823 section 3.
#[tokio::test]
async fn the_key_usage_of_a_request_chooses_what_the_certificate_is_for() {
    use openssl::x509::extension::KeyUsage;

    let site = site!();
    let client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    client.prove(ADA, &placed).await;
    let other = PKeyRequest::for_use(KeyUsage::new().digital_signature().crl_sign());
    client.finalize(&placed, &other).await.problem(400, "badCSR");
    let encryption = PKeyRequest::for_use(KeyUsage::new().critical().key_agreement());
    client.finalize(&placed, &encryption).await.ok();
    let certificates = site.world.certificates().await;
    assert_eq!(certificates.len(), 1);
    assert_eq!(certificates[0].key_use, policies::key_use::KeyUse::Encrypt);
}

#[tokio::test]
async fn changed_octets_of_a_request_are_never_certified() {
    let site = site!();
    let client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    client.prove(ADA, &placed).await;
    let good = request_for(ADA);
    for at in (0..good.len()).step_by(7) {
        let mut changed = good.clone();
        changed[at] ^= 0x11;
        client.finalize(&placed, &changed).await.problem(400, "badCSR");
    }
    assert!(site.world.certificates().await.is_empty());
}

#[tokio::test]
async fn an_authorization_that_was_given_back_authorizes_nothing() {
    let site = site!();
    let client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    client.prove(ADA, &placed).await;
    client
        .post(&placed.authorization, r#"{"status":"valid"}"#)
        .await
        .problem(400, "malformed");
    let ended = client
        .post(&placed.authorization, r#"{"status":"deactivated"}"#)
        .await
        .ok();
    assert_eq!(ended.json()["status"], "deactivated");
    assert_eq!(client.get(&placed.url).await.json()["status"], "invalid");
    client
        .finalize(&placed, &request_for(ADA))
        .await
        .problem(403, "orderNotReady");
}

#[tokio::test]
async fn too_many_orders_are_refused_until_later() {
    let site = site!();
    let client = site.client("Ada").await;
    for number in 0..100 {
        client.order(&format!("user{number}@example.com")).await;
    }
    let refused = client
        .place(json!({"identifiers": [{"type": "email", "value": ADA}]}))
        .await;
    refused.problem(429, "rateLimited");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    let page = client.get(&format!("{}/orders", client.kid)).await.ok();
    assert_eq!(page.json()["orders"].as_array().unwrap().len(), 50);
    let next = page
        .headers
        .get_all("link")
        .iter()
        .filter_map(|link| link.to_str().unwrap().strip_suffix(">;rel=\"next\""))
        .map(|link| link[1..].to_owned())
        .next()
        .unwrap();
    let second = client.get(&next).await.ok();
    assert_eq!(second.json()["orders"].as_array().unwrap().len(), 50);
    client
        .get(&format!("{}/orders?cursor=x", client.kid))
        .await
        .problem(404, "malformed");
}

#[tokio::test]
async fn certificates_are_revoked_by_their_account_or_their_key() {
    let site = site!();
    let client = site.client("Ada").await;
    let url = site.url("revoke-cert");
    let (_, first) = client.certificate(ADA).await;
    let der = leaf(&first);
    let revoke = |der: &[u8], reason: Value| json!({"certificate": encode(der), "reason": reason}).to_string();
    for reason in [json!(2), json!(6), json!(7), json!(8), json!(10)] {
        let problem = client
            .post(&url, &revoke(&der, reason))
            .await
            .problem(400, "badRevocationReason");
        assert_eq!(problem["section"], "7.2.2");
    }
    client
        .post(&url, &revoke(&der, json!("x")))
        .await
        .problem(400, "malformed");
    client
        .post(&url, &revoke(b"x", json!(0)))
        .await
        .problem(400, "malformed");
    let stranger = Key::es256();
    let jws = stranger.sign_with_key(&url, Some(&site.nonce().await), &revoke(&der, json!(0)));
    site.post(&url, &jws).await.problem(401, "unauthorized");
    // The issuing certificate has a number too, but is none of a subscriber.
    let issuing = site.world.app.issuers().issuing().certificate_der().to_vec();
    client
        .post(&url, &revoke(&issuing, json!(0)))
        .await
        .problem(404, "malformed");

    client.post(&url, &revoke(&der, json!(4))).await.ok();
    client
        .post(&url, &revoke(&der, json!(4)))
        .await
        .problem(400, "alreadyRevoked");
    let serial = Certificate::from_der(&der).unwrap();
    let serial = data_encoding::HEXLOWER.encode(serial.tbs_certificate().serial_number().as_bytes());
    assert_eq!(
        site.world.row(&serial).await.revocation_reason.as_deref(),
        Some("superseded")
    );

    // By the key of the certificate alone.
    let holder = Key::es256();
    let placed = client.order(ADA).await;
    client.prove(ADA, &placed).await;
    client.finalize(&placed, &PKeyRequest::of(&holder)).await.ok();
    let chain = client.get(&placed.url).await.json();
    let chain = client.get(chain["certificate"].as_str().unwrap()).await.body;
    let jws = holder.sign_with_key(&url, Some(&site.nonce().await), &revoke(&leaf(&chain), json!(1)));
    site.post(&url, &jws).await.ok();
}
