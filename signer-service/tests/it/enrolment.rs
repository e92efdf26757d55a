//! A mailbox gets its certificate with its first mail; what can go wrong on the way has a clear answer.

use std::sync::Arc;

use policies::tier::Tier;
use policies::time::{Span, Timestamp};

use crate::support::{END, START, find, openssl_verifies, signed_parts};
use crate::world::{ISSUE, Mood, World, eventually};

#[track_caller]
fn check(reply: &smtp::Reply, code: u16, enhanced: [u16; 3], words: &str) {
    assert_eq!((reply.code(), reply.enhanced()), (code, Some(enhanced)), "{reply}");
    assert!(reply.text().contains(words), "{reply}");
}

#[tokio::test]
async fn the_first_mail_enrols_and_the_second_finds_the_identity() {
    let world = World::new().await;
    check(&world.alice_writes().await, 250, [2, 0, 0], "");
    openssl_verifies(&world.last(), world.authority());
    check(&world.alice_writes().await, 250, [2, 0, 0], "");
    openssl_verifies(&world.last(), world.authority());
    assert_eq!(world.ca.orders().len(), 1);
    let world = world.restart().await;
    check(&world.alice_writes().await, 250, [2, 0, 0], "");
    assert_eq!(world.ca.orders().len(), 1, "a restart forgets nothing");
    let listed = world.gateway.list_identities().await.unwrap();
    assert_eq!(
        (
            listed.len(),
            listed[0].mailbox.as_str(),
            listed[0].tier.as_deref(),
            listed[0].usable
        ),
        (1, "alice@example.com", Some("V3"), true)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_first_mails_make_one_order() {
    let world = Arc::new(World::new().await);
    let senders: Vec<_> = (0..12)
        .map(|_| {
            tokio::spawn({
                let world = world.clone();
                async move { world.alice_writes().await }
            })
        })
        .collect();
    for sender in senders {
        assert!(sender.await.unwrap().is_positive());
    }
    assert_eq!(world.ca.orders().len(), 1);
    assert_eq!(world.stored_keys().len(), 1);
    assert_eq!(world.sink.messages().len(), 12);
}

#[tokio::test]
async fn a_silent_authority_means_later() {
    let world = World::new().await;
    world.ca.set(Mood::Unavailable);
    check(&world.alice_writes().await, 451, [4, 4, 1], "alice@example.com");
    assert_eq!(world.stored_keys().len(), 0, "nothing is made before there is hope");
    world.ca.set(ISSUE);
    assert!(world.alice_writes().await.is_positive());
}

#[tokio::test]
async fn an_interrupted_order_goes_on_with_the_same_key() {
    let world = World::new().await;
    world.ca.set(Mood::Pending);
    check(&world.alice_writes().await, 451, [4, 7, 1], "being issued");
    world.ca.set(Mood::Unavailable);
    check(&world.alice_writes().await, 451, [4, 4, 1], "cannot be reached");
    let world = world.restart().await;
    assert_eq!(world.stored_keys().len(), 1, "the key of an order is kept");
    world.ca.set(ISSUE);
    assert!(world.alice_writes().await.is_positive());
    let orders = world.ca.orders();
    assert_eq!(orders.len(), 3);
    assert!(orders.iter().all(|key| *key == orders[0]), "one order, repeated");
    assert_eq!(world.stored_keys().len(), 1);
}

#[tokio::test]
async fn a_refused_order_tells_the_sender_why() {
    let world = World::new().await;
    world.ca.set(Mood::Invalid);
    check(&world.alice_writes().await, 550, [5, 7, 1], "registration has lapsed");
    assert_eq!(world.stored_keys().len(), 0, "the key of a refused order is destroyed");
    assert_eq!(world.gateway.list_identities().await.unwrap()[0].state, "refused");
    world.ca.set(ISSUE);
    assert!(world.alice_writes().await.is_positive());
    let orders = world.ca.orders();
    assert_ne!(orders[0], orders[1], "a new order, not the refused one again");
}

#[tokio::test]
async fn a_mailbox_that_nobody_has_validated() {
    let world = World::new().await;
    world.ca.set(Mood::NotValidated);
    check(
        &world.alice_writes().await,
        550,
        [5, 7, 1],
        "alice@example.com has no certificate and cannot get one, because nobody has validated it",
    );
    assert_eq!(
        (
            world.stored_keys().len(),
            world.ca.orders().len(),
            world.sink.messages().len()
        ),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn a_gateway_that_the_authority_does_not_know() {
    let world = World::new().await;
    world.ca.set(Mood::UnknownToken);
    check(&world.alice_writes().await, 451, [4, 3, 5], "check its token");
}

#[tokio::test]
async fn certificates_for_others_are_never_used() {
    for (mood, words) in [
        (Mood::OtherMailbox, "does not name alice@example.com"),
        (Mood::OtherKey, "another key"),
    ] {
        let world = World::new().await;
        world.ca.set(mood);
        check(&world.alice_writes().await, 451, [4, 3, 0], words);
        assert_eq!(world.sink.messages().len(), 0);
    }
}

#[tokio::test]
async fn an_expired_certificate_is_replaced() {
    let world = World::new().await;
    world.ca.set(Mood::Issue {
        tier: Tier::V3,
        validity: (START, START + 30 * 86_400),
    });
    assert!(world.alice_writes().await.is_positive());
    world.clock.set(Timestamp::from_unix(START + 31 * 86_400));
    world.ca.set(ISSUE);
    assert!(world.alice_writes().await.is_positive());
    assert_eq!(world.ca.orders().len(), 2);
    openssl_verifies(&world.last(), world.authority());
}

#[tokio::test]
async fn a_certificate_that_does_not_count_yet_is_not_used() {
    let world = World::new().await;
    world.ca.set(Mood::Issue {
        tier: Tier::V3,
        validity: (START + 10 * 86_400, END),
    });
    check(&world.alice_writes().await, 451, [4, 3, 0], "clocks");
    assert_eq!(world.sink.messages().len(), 0);
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_renewed_and_used_meanwhile() {
    let world = World::new().await;
    world.ca.set(Mood::Issue {
        tier: Tier::V3,
        validity: (START, START + 20 * 86_400),
    });
    assert!(world.alice_writes().await.is_positive());
    world.clock.advance(Span::days(10));
    world.ca.set(Mood::Unavailable);
    assert!(
        world.alice_writes().await.is_positive(),
        "renewal is no condition for mail"
    );
    let first = signed_parts(&world.last()).1;
    // A lower tier does not take the place of a higher one, however new it is.
    world.clock.advance(Span::hours(2));
    world.ca.set(Mood::Issue {
        tier: Tier::V1,
        validity: (START + 86_400, END),
    });
    assert!(world.alice_writes().await.is_positive());
    eventually(async || {
        world
            .gateway
            .list_identities()
            .await
            .unwrap()
            .iter()
            .filter(|identity| identity.usable)
            .count()
            == 2
    })
    .await;
    assert!(world.alice_writes().await.is_positive());
    let later = signed_parts(&world.last()).1;
    let serial_of = |signature: &[u8]| {
        [10_u8, 11]
            .into_iter()
            .find(|serial| find(signature, &[0x02, 0x01, *serial, 0x30, 0x0b]).is_some())
    };
    assert_eq!(serial_of(&later), serial_of(&first));
    assert!(serial_of(&first).is_some());
}

#[tokio::test]
async fn a_revoked_certificate_is_not_used_any_more() {
    let world = World::new().await;
    assert!(world.alice_writes().await.is_positive());
    world.ca.revoked.lock().unwrap().push("0a".to_owned());
    assert_eq!(world.gateway.enroller().retire_revoked().await.unwrap(), 1);
    assert_eq!(world.gateway.enroller().retire_revoked().await.unwrap(), 0);
    world.ca.set(Mood::Unavailable);
    check(&world.alice_writes().await, 451, [4, 4, 1], "");
    let listed = world.gateway.list_identities().await.unwrap();
    assert_eq!(
        (listed[0].state.as_str(), listed[0].problem.as_deref(), listed[0].usable),
        ("revoked", Some("keyCompromise"), false)
    );
    world.ca.set(ISSUE);
    assert!(world.alice_writes().await.is_positive());
}

#[tokio::test]
async fn keys_that_belong_to_nothing_are_removed_at_the_start() {
    let world = World::new().await;
    assert!(world.alice_writes().await.is_positive());
    let [kept] = world.stored_keys().try_into().unwrap();
    let sealing = keys::sealing::SealingKey::open_file(&world.folder.path().join("gateway/sealing.key")).unwrap();
    let store = keys::SoftwareKeyStore::open(&world.folder.path().join("gateway/keys"), sealing).unwrap();
    keys::KeyStore::generate(&store, &"identity-0123".parse().unwrap(), keys::KeyAlgorithm::P256).unwrap();
    keys::KeyStore::generate(&store, &"of-somebody-else".parse().unwrap(), keys::KeyAlgorithm::P256).unwrap();
    let world = world.restart().await;
    assert_eq!(world.stored_keys(), [kept]);
    assert_eq!(keys::KeyStore::list(&store).unwrap().len(), 2);
}
