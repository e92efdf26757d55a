//! Revocation and the lists that tell of it.

use openssl::x509::{CrlStatus, X509, X509Crl};
use policies::time::Span;

use super::world;
use crate::accounts::{Caller, Role};
use crate::crl::{self, Crl};
use crate::error::Error;
use crate::jobs;
use crate::orders::{OrderState, TierChoice, place};
use crate::revocation::{Reason, revoke};
use crate::testing::{Act, Proof, World, order};

const ADA: &str = "ada@example.com";

async fn issue(world: &World, caller: &Caller) -> String {
    world.prove(caller, Proof::mailbox(ADA), Span::hours(1)).await;
    let placed = place(&world.app, caller, order(ADA, TierChoice::Best)).await.unwrap();
    match placed.state {
        OrderState::Valid { serial, .. } => serial,
        other => panic!("{other:?}"),
    }
}

/// The list as OpenSSL reads it, after checking that the issuer signed it.
fn openssl_list(world: &World, crl: &Crl) -> X509Crl {
    let list = X509Crl::from_der(&crl.der).unwrap();
    let issuer = X509::from_der(world.app.issuers().issuing().certificate_der()).unwrap();
    assert!(list.verify(&issuer.public_key().unwrap()).unwrap());
    list
}

fn is_listed(world: &World, crl: &Crl, serial: &str) -> bool {
    let number = openssl::bn::BigNum::from_hex_str(serial)
        .unwrap()
        .to_asn1_integer()
        .unwrap();
    let list = openssl_list(world, crl);
    matches!(list.get_by_serial(&number), CrlStatus::Revoked(_))
}

async fn current(world: &World) -> Crl {
    crl::current(&world.app, world.app.issuers().issuing(), crl::Scope::Complete).await.unwrap()
}

#[tokio::test]
async fn a_revoked_certificate_is_on_the_list_at_once() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let serial = issue(&world, &ada).await;
    assert!(!is_listed(&world, &current(&world).await, &serial));
    let revoked = revoke(&world.app, &ada, &serial, Reason::Superseded).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(world.app.now()));
    assert_eq!(revoked.revocation_reason, Some(Reason::Superseded));
    assert!(is_listed(&world, &current(&world).await, &serial));
}

#[tokio::test]
async fn revoking_again_changes_nothing_but_a_compromise_is_told() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let serial = issue(&world, &ada).await;
    let first = revoke(&world.app, &ada, &serial, Reason::Unspecified).await.unwrap();
    assert_eq!(first.revocation_reason, Some(Reason::Unspecified));
    let number = current(&world).await.number;
    world.clock.advance(Span::hours(1));
    let second = revoke(&world.app, &ada, &serial, Reason::Superseded).await.unwrap();
    assert_eq!(
        (second.revoked_at, second.revocation_reason),
        (first.revoked_at, first.revocation_reason)
    );
    assert_eq!(current(&world).await.number, number);
    let third = revoke(&world.app, &ada, &serial, Reason::KeyCompromise).await.unwrap();
    assert_eq!(third.revoked_at, first.revoked_at);
    assert_eq!(third.revocation_reason, Some(Reason::KeyCompromise));
    assert_eq!(current(&world).await.number, number + 1);
    let fourth = revoke(&world.app, &ada, &serial, Reason::Superseded).await.unwrap();
    assert_eq!(fourth.revocation_reason, Some(Reason::KeyCompromise));
}

#[tokio::test]
async fn only_the_account_and_the_authority_revoke() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let serial = issue(&world, &ada).await;
    for role in [Role::Subscriber, Role::Gateway] {
        let eve = world.principal("Eve", role).await;
        let error = revoke(&world.app, &eve, &serial, Reason::Superseded).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }
    assert!(!is_listed(&world, &current(&world).await, &serial));
    let officer = world.principal("officer", Role::Officer).await;
    revoke(&world.app, &officer, &serial, Reason::PrivilegeWithdrawn)
        .await
        .unwrap();
    assert!(is_listed(&world, &current(&world).await, &serial));
}

#[tokio::test]
async fn what_is_unknown_or_expired_is_not_revoked() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let serial = issue(&world, &ada).await;
    for unknown in [
        "",
        "00",
        "zz",
        "7fffffffffffffffffffffffffffffff",
        &serial.to_uppercase(),
    ] {
        if unknown == serial {
            continue;
        }
        let error = revoke(&world.app, &ada, unknown, Reason::Superseded).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{unknown}: {error}");
    }
    world.clock.set(policies::time::Timestamp::from_unix(
        world.row(&serial).await.not_after + 1,
    ));
    let error = revoke(&world.app, &ada, &serial, Reason::Superseded).await.unwrap_err();
    assert!(matches!(error, Error::StateChanged { .. }), "{error}");
}

#[tokio::test]
async fn a_revocation_stands_although_the_list_cannot_be_made() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let serial = issue(&world, &ada).await;
    world.keys.act(Act::Fail);
    let revoked = revoke(&world.app, &ada, &serial, Reason::Superseded).await.unwrap();
    assert!(revoked.revoked_at.is_some());
    assert!(jobs::refresh_crls(&world.app).await.is_err());
    world.keys.act(Act::Sign);
    jobs::refresh_crls(&world.app).await.unwrap();
    assert!(is_listed(&world, &current(&world).await, &serial));
}

#[tokio::test]
async fn reasons_stand_on_the_list_except_unspecified() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let mut expected = Vec::new();
    for reason in Reason::ALL {
        let request = crate::testing::order_with_key(ADA, TierChoice::Best, &*keys::testing::rsa2048());
        let placed = match reason {
            // The others must not share a key with the compromised one.
            Reason::KeyCompromise => {
                world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
                place(&world.app, &ada, request).await.unwrap()
            }
            _ => {
                world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
                place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap()
            }
        };
        let OrderState::Valid { serial, .. } = placed.state else {
            panic!("{placed:?}")
        };
        revoke(&world.app, &ada, &serial, reason).await.unwrap();
        expected.push((serial, reason));
    }
    let list = openssl_list(&world, &current(&world).await);
    for (serial, reason) in expected {
        let number = openssl::bn::BigNum::from_hex_str(&serial)
            .unwrap()
            .to_asn1_integer()
            .unwrap();
        let CrlStatus::Revoked(entry) = list.get_by_serial(&number) else {
            panic!("{serial}")
        };
        let extension = entry.extension::<openssl::x509::ReasonCode>().unwrap();
        let code = extension.map(|(critical, code)| {
            assert!(!critical);
            code.get_i64().unwrap()
        });
        let rfc5280 = match reason {
            Reason::Unspecified => None,
            Reason::KeyCompromise => Some(1),
            Reason::AffiliationChanged => Some(3),
            Reason::Superseded => Some(4),
            Reason::CessationOfOperation => Some(5),
            Reason::PrivilegeWithdrawn => Some(9),
        };
        assert_eq!(code, rfc5280, "{reason}");
    }
}

#[tokio::test]
async fn invariant_08_numbers_strictly_increase_and_lists_end_within_ten_days() {
    let world = world!();
    let issuing = world.app.issuers().issuing();
    let mut last = current(&world).await;
    for hours in [0, 1, 24, 24 * 6, 24 * 30] {
        world.clock.advance(Span::hours(hours));
        let next = crl::publish(&world.app, issuing, crl::Scope::Complete).await.unwrap();
        assert!(next.number > last.number);
        assert!(next.this_update >= last.this_update);
        assert!(next.next_update.since(next.this_update) <= Span::days(10));
        openssl_list(&world, &next);
        last = next;
    }
    let root = crl::publish(&world.app, world.app.issuers().root(), crl::Scope::Complete).await.unwrap();
    assert!(root.next_update.since(root.this_update) <= Span::days(365));
}

#[tokio::test]
async fn invariant_08_numbers_are_given_out_once_when_many_publish() {
    let world = world!();
    let before = current(&world).await.number;
    let publishing: Vec<_> = (0..6)
        .map(|_| {
            let app = world.app.clone();
            tokio::spawn(async move { crl::publish(&app, app.issuers().issuing(), crl::Scope::Complete).await })
        })
        .collect();
    for published in publishing {
        published.await.unwrap().unwrap();
    }
    assert_eq!(current(&world).await.number, before + 6);
    let numbers: Vec<String> = crate::audit::events(&world.app, 0, 1000)
        .await
        .unwrap()
        .into_iter()
        .filter(|event| event.action == "crl-number-taken" && event.details.contains("issuing"))
        .map(|event| event.details)
        .collect();
    let mut taken: Vec<i64> = numbers
        .iter()
        .map(|details| {
            serde_json::from_str::<serde_json::Value>(details).unwrap()["number"]
                .as_i64()
                .unwrap()
        })
        .collect();
    let count = taken.len();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), count, "a number was given out twice");
}

#[tokio::test]
async fn invariant_08_a_clock_that_is_set_back_does_not_make_an_older_list() {
    let world = world!();
    let before = crl::publish(&world.app, world.app.issuers().issuing(), crl::Scope::Complete).await.unwrap();
    world.clock.set(world.app.now().minus(Span::days(3)));
    let after = crl::publish(&world.app, world.app.issuers().issuing(), crl::Scope::Complete).await.unwrap();
    assert!(after.number > before.number);
    assert_eq!(after.this_update, before.this_update);
}

#[tokio::test]
async fn invariant_08_a_serial_stays_listed_until_a_list_after_its_expiry() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let serial = issue(&world, &ada).await;
    revoke(&world.app, &ada, &serial, Reason::CessationOfOperation)
        .await
        .unwrap();
    let not_after = policies::time::Timestamp::from_unix(world.row(&serial).await.not_after);
    let issuing = world.app.issuers().issuing();
    for at in [
        not_after.minus(Span::days(1)),
        not_after,
        // A long time without any list: the first one after the expiry still tells of it.
        not_after.plus(Span::days(100)),
    ] {
        world.clock.set(at);
        let crl = crl::publish(&world.app, issuing, crl::Scope::Complete).await.unwrap();
        assert!(is_listed(&world, &crl, &serial), "{at}");
    }
    world.clock.advance(Span::days(1));
    let crl = crl::publish(&world.app, issuing, crl::Scope::Complete).await.unwrap();
    assert!(!is_listed(&world, &crl, &serial));
}

#[tokio::test]
async fn lists_are_made_when_they_are_due_and_not_before() {
    let world = world!();
    let issuing = world.app.issuers().issuing();
    let first = current(&world).await.number;
    world.clock.advance(Span::hours(23));
    assert!(crl::refresh(&world.app, issuing, crl::Scope::Complete).await.unwrap().is_none());
    world.clock.advance(Span::hours(1));
    assert_eq!(
        crl::refresh(&world.app, issuing, crl::Scope::Complete).await.unwrap().unwrap().number,
        first + 1
    );
    assert!(crl::refresh(&world.app, issuing, crl::Scope::Complete).await.unwrap().is_none());
}

#[tokio::test]
async fn a_list_with_a_wrong_signature_is_not_published() {
    let world = world!();
    let before = current(&world).await;
    world.keys.act(Act::SignOther);
    let error = crl::publish(&world.app, world.app.issuers().issuing(), crl::Scope::Complete)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::OwnSignature { .. }), "{error}");
    assert_eq!(current(&world).await, before);
    world.keys.act(Act::Sign);
    let after = crl::publish(&world.app, world.app.issuers().issuing(), crl::Scope::Complete).await.unwrap();
    assert_eq!(
        after.number,
        before.number + 2,
        "the number of the faulty list must not be used again"
    );
}

/// RFC 5280 section 5.2.1: the key that signed the list, not the one that signed the issuer.
#[tokio::test]
async fn the_list_names_the_key_of_its_issuer() {
    use der::Decode;
    use x509_cert::crl::CertificateList;
    use x509_cert::ext::pkix::AuthorityKeyIdentifier;
    let world = world!();
    let issuer = world.app.issuers().issuing();
    let crl = current(&world).await;
    let list = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(&crl.der).unwrap();
    let extensions = list.tbs_cert_list.crl_extensions.unwrap();
    assert!(extensions.iter().all(|extension| !extension.critical));
    let authority = AuthorityKeyIdentifier::from_der(extensions[0].extn_value.as_bytes()).unwrap();
    assert_eq!(authority.key_identifier.as_ref(), Some(&issuer.key_identifier.0));
    assert!(
        list.tbs_cert_list.revoked_certificates.is_none(),
        "an empty list must be absent"
    );
}

/// The loop of a server: recovers, publishes what is due, signs the log, and ends when it is told to.
#[tokio::test]
async fn the_jobs_run_until_they_are_stopped() {
    let world = world!();
    let before = current(&world).await.number;
    world.clock.advance(Span::hours(30));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(jobs::run(world.app.clone(), async {
        let _ = stopped.await;
    }));
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while current(&world).await.number == before {
        assert!(std::time::Instant::now() < patience, "no list was made");
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(current(&world).await.number, before + 1);
}
