//! The directory as senders, strangers and neighbours find it.

use super::*;

/// Any caller, a certificate of `alice@example.com`, and its serial.
async fn with_certificate(site: &Site) -> (String, crate::accounts::Caller, String) {
    let alice = site.world.subscriber("Alice").await;
    site.world
        .prove(
            &alice,
            Proof::mailbox("alice@example.com"),
            policies::time::Span::days(1),
        )
        .await;
    let placed = crate::orders::place(&site.world.app, &alice, order("alice@example.com", TierChoice::Best)).await;
    let crate::orders::OrderState::Valid { serial, .. } = placed.unwrap().state else {
        panic!("no certificate")
    };
    (site.token(Role::Gateway).await, alice, serial)
}

async fn look_up(site: &Site, address: &str, token: &str, accept: Option<&str>) -> Answer {
    let mut asked = request(Method::GET, &format!("/v1/directory/{address}"), Some(token));
    if let Some(accept) = accept {
        asked = asked.header(header::ACCEPT, accept);
    }
    site.call(asked.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn another_account_finds_the_certificate_and_learns_nothing_else() {
    let site = Site::new().await;
    let (neighbour, alice, serial) = with_certificate(&site).await;
    let der = site.world.row(&serial).await.certificate.unwrap();

    let answer = look_up(&site, "Alice@EXAMPLE.com", &neighbour, None).await;
    let entry: ca_api::DirectoryEntry = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(entry.certificates.len(), 1);
    assert_eq!(
        (&entry.certificates[0].serial, &entry.certificates[0].certificate),
        (&serial, &der)
    );
    let account = alice.account.unwrap();
    assert!(!answer.text().contains(account.as_ref()), "{}", answer.text());

    let answer = look_up(&site, "alice@example.com", &neighbour, Some("application/pkix-cert")).await;
    assert_eq!(
        (answer.header(header::CONTENT_TYPE), &answer.body),
        ("application/pkix-cert", &der)
    );
    let answer = look_up(&site, "alice@example.com", &neighbour, Some("text/vcard")).await;
    let card = answer.text().replace("\r\n ", "");
    let key = data_encoding::BASE64.encode(&der);
    assert!(
        card.contains("EMAIL:alice@example.com\r\n") && card.contains(&key),
        "{card}"
    );
}

#[tokio::test]
async fn strangers_unknown_addresses_and_patterns_find_nothing() {
    let site = Site::new().await;
    let (neighbour, _, _) = with_certificate(&site).await;
    look_up(&site, "alice@example.com", "wrong", None)
        .await
        .problem(401, "unauthenticated");
    look_up(&site, "bob@example.com", &neighbour, None)
        .await
        .problem(404, "not-found");
    for pattern in ["%25@example.com", "al_ce@example.com", "*@example.com"] {
        look_up(&site, pattern, &neighbour, None)
            .await
            .problem(404, "not-found");
    }
    for address in ["example.com", "@example.com", "alice@", "%20"] {
        look_up(&site, address, &neighbour, None)
            .await
            .problem(422, "invalid-input");
    }
}

#[tokio::test]
async fn revoked_expired_and_unissued_certificates_are_not_offered() {
    let site = Site::new().await;
    let (neighbour, alice, serial) = with_certificate(&site).await;
    let app = &site.world.app;
    site.world.tamper("UPDATE certificates SET state = 'recorded'").await;
    look_up(&site, "alice@example.com", &neighbour, None)
        .await
        .problem(404, "not-found");
    site.world.tamper("UPDATE certificates SET state = 'signed'").await;
    let not_after = site.world.row(&serial).await.not_after;
    let before = site.world.app.now();
    site.world.clock.set(policies::time::Timestamp::from_unix(not_after));
    assert_eq!(look_up(&site, "alice@example.com", &neighbour, None).await.status, 200);
    site.world
        .clock
        .set(policies::time::Timestamp::from_unix(not_after + 1));
    look_up(&site, "alice@example.com", &neighbour, None)
        .await
        .problem(404, "not-found");
    site.world.clock.set(before);
    crate::revocation::revoke(app, &alice, &serial, crate::revocation::Reason::Superseded)
        .await
        .unwrap();
    look_up(&site, "alice@example.com", &neighbour, None)
        .await
        .problem(404, "not-found");
}
