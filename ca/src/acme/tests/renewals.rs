//! Renewal information, and orders that replace certificates (RFC 9773).

use der::Decode;
use x509_cert::certificate::Certificate;

use super::*;
use crate::acme::renewal::CertificateId;

fn certificate_id(chain: &str) -> String {
    let certificate = Certificate::from_der(&leaf(chain)).unwrap();
    let tbs = certificate.tbs_certificate();
    let (_, issuer) = tbs
        .get_extension::<x509_cert::ext::pkix::AuthorityKeyIdentifier>()
        .unwrap()
        .unwrap();
    CertificateId::new(
        issuer.key_identifier.unwrap().as_bytes(),
        tbs.serial_number().as_bytes(),
    )
    .to_string()
}

#[tokio::test]
async fn anybody_may_ask_when_to_renew() {
    let site = site!();
    let client = site.client("Ada").await;
    let (_, chain) = client.certificate(ADA).await;
    let id = certificate_id(&chain);
    let info = site.get(&format!("renewal-info/{id}")).await.ok();
    assert!(!info.header("retry-after").is_empty());
    let window = info.json()["suggestedWindow"].clone();
    let parse = |name: &str| policies::time::Timestamp::parse_rfc3339(window[name].as_str().unwrap()).unwrap();
    let (start, end) = (parse("start"), parse("end"));
    let row = site.world.row(&site.world.certificates().await[0].serial).await;
    assert!(site.world.app.now() < start && start < end && end.unix() < row.not_after);

    // Revoked: at once.
    let revocation = json!({"certificate": encode(leaf(&chain))}).to_string();
    client.post(&site.url("revoke-cert"), &revocation).await.ok();
    let info = site.get(&format!("renewal-info/{id}")).await.ok().json();
    let end = info["suggestedWindow"]["end"].as_str().unwrap().to_owned();
    assert!(policies::time::Timestamp::parse_rfc3339(&end).unwrap() <= site.world.app.now());

    let (issuer, serial) = id.split_once('.').unwrap();
    for unknown in [format!("{issuer}.AQ"), format!("AAAA.{serial}")] {
        site.get(&format!("renewal-info/{unknown}"))
            .await
            .problem(404, "malformed");
    }
    for malformed in ["x", "AA.AA.AA", "AA=.AA"] {
        site.get(&format!("renewal-info/{malformed}"))
            .await
            .problem(400, "malformed");
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_once_by_its_own_account_for_its_own_mailbox() {
    let site = site!();
    let (ada, eve) = (site.client("Ada").await, site.client("Eve").await);
    let (_, chain) = ada.certificate(ADA).await;
    let id = certificate_id(&chain);
    let replacing =
        |address: &str, id: &str| json!({"identifiers": [{"type": "email", "value": address}], "replaces": id});
    eve.place(replacing(ADA, &id)).await.problem(401, "unauthorized");
    ada.place(replacing("bob@example.com", &id))
        .await
        .problem(400, "malformed");
    ada.place(replacing(ADA, "AAAA.AQ")).await.problem(400, "malformed");
    ada.place(replacing(ADA, "x")).await.problem(400, "malformed");
    let first = ada.place(replacing(ADA, &id)).await.ok();
    ada.place(replacing(ADA, &id)).await.problem(409, "alreadyReplaced");
    // When the first attempt comes to nothing, there may be another.
    let authorization = first.json()["authorizations"][0].as_str().unwrap().to_owned();
    ada.post(&authorization, r#"{"status":"deactivated"}"#).await.ok();
    ada.place(replacing(ADA, &id)).await.ok();
}
