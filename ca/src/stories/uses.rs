//! Separate certificates for signing and for encryption.

use policies::key_use::KeyUse;
use policies::lint;
use policies::tier::Tier;
use policies::time::Span;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::KeyUsage;

use super::world;
use crate::accounts;
use crate::certificates::{self, Query};
use crate::error::Error;
use crate::notices;
use crate::orders::{NewOrder, OrderState, TierChoice, place};
use crate::testing::{Proof, order, order_with_key};

const ADA: &str = "ada@example.com";

fn order_for(key_use: KeyUse) -> NewOrder {
    NewOrder {
        key_use,
        ..order(ADA, TierChoice::Exactly(Tier::V1))
    }
}

#[tokio::test]
async fn each_use_has_its_own_bits_and_is_listed_as_such() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    for key_use in KeyUse::ALL {
        for key in [keys::KeyAlgorithm::P256, keys::KeyAlgorithm::Rsa2048] {
            let key = keys::ExportableKey::generate(key).unwrap();
            let request = NewOrder {
                key_use,
                ..order_with_key(ADA, TierChoice::Exactly(Tier::V1), &*key.signing_key())
            };
            let placed = place(&world.app, &ada, request).await.unwrap();
            assert_eq!(placed.key_use, key_use);
            let OrderState::Valid { serial, .. } = placed.state else {
                panic!("{placed:?}")
            };
            let row = world.row(&serial).await;
            assert_eq!(row.key_use.0, key_use);
            let der = row.certificate.unwrap();
            let certificate = Certificate::from_der(&der).unwrap();
            let usage = certificate.tbs_certificate().get_extension::<KeyUsage>().unwrap();
            let (critical, usage) = usage.unwrap();
            assert!(critical);
            assert_eq!(KeyUse::of(usage.0), Some(key_use));
            assert_eq!(usage.digital_signature(), key_use.signs());
            assert_eq!(usage.key_agreement() || usage.key_encipherment(), key_use.encrypts());
            assert_eq!(lint::findings_of_certificate(&der, world.app.now()).unwrap(), []);
        }
    }
    for key_use in KeyUse::ALL {
        let query = Query {
            key_use: Some(key_use),
            ..Query::default()
        };
        let listed = certificates::list(&world.app, &accounts::local_operator(), query)
            .await
            .unwrap();
        assert_eq!(listed.len(), 2, "{key_use}");
        assert!(listed.iter().all(|certificate| certificate.key_use == key_use));
    }
}

#[tokio::test]
async fn the_same_order_for_another_use_is_another_order() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let first = NewOrder {
        idempotency_key: Some("one".to_owned()),
        ..order_for(KeyUse::Sign)
    };
    let placed = place(&world.app, &ada, first.clone()).await.unwrap();
    let again = place(&world.app, &ada, first.clone()).await.unwrap();
    assert_eq!(again.id, placed.id);
    let other = NewOrder {
        key_use: KeyUse::Encrypt,
        ..first
    };
    let error = place(&world.app, &ada, other).await.unwrap_err();
    assert!(matches!(error, Error::IdempotencyKeyReused { .. }), "{error}");
    assert_eq!(world.certificates().await.len(), 1);
}

/// A new encryption certificate does not spare the holder the notice that the one for signing ends.
#[tokio::test]
async fn a_certificate_is_renewed_by_one_for_its_use_or_for_both() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    place(&world.app, &ada, order_for(KeyUse::Sign)).await.unwrap();
    let end = world.certificates().await[0].not_after;
    world.clock.set(end.minus(Span::days(20)));
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    place(&world.app, &ada, order_for(KeyUse::Encrypt)).await.unwrap();
    assert_eq!(notices::send_due(&world.app).await.unwrap(), 1);
    world.clock.set(end.minus(Span::days(10)));
    place(&world.app, &ada, order_for(KeyUse::Both)).await.unwrap();
    assert_eq!(notices::send_due(&world.app).await.unwrap(), 0);
}
