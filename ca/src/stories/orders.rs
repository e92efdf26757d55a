//! Placing orders: who may, what with, and what happens the second time.

use policies::tier::{Generation, Tier};
use policies::time::Span;

use super::world;
use crate::accounts::Role;
use crate::error::Error;
use crate::orders::{Order, OrderState, TierChoice, find, give_up_old, place, retry};
use crate::revocation::{Reason, revoke};
use crate::testing::{Database, Proof, order, order_with_key};

const ADA: &str = "ada@example.com";

#[tokio::test]
async fn placing_an_order_again_with_its_key_returns_the_first_one() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let mut request = order(ADA, TierChoice::Best);
    request.idempotency_key = Some("once".to_owned());
    let first = place(&world.app, &ada, request.clone()).await.unwrap();
    let second = place(&world.app, &ada, request.clone()).await.unwrap();
    assert_eq!((first.id, first.state), (second.id, second.state));
    assert_eq!(world.certificates().await.len(), 1);
    request.idempotency_key = None;
    place(&world.app, &ada, request).await.unwrap();
    assert_eq!(world.certificates().await.len(), 2);
}

#[tokio::test]
async fn placing_an_order_many_times_at_once_gives_one_certificate() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let mut request = order(ADA, TierChoice::Best);
    request.idempotency_key = Some("once".to_owned());
    let placing: Vec<_> = (0..8)
        .map(|_| {
            let (app, ada, request) = (world.app.clone(), ada.clone(), request.clone());
            tokio::spawn(async move { place(&app, &ada, request).await })
        })
        .collect();
    for placed in placing {
        placed.await.unwrap().unwrap();
    }
    assert_eq!(world.certificates().await.len(), 1);
    let order = place(&world.app, &ada, request).await.unwrap();
    assert!(matches!(order.state, OrderState::Valid { .. }), "{order:?}");
}

#[tokio::test]
async fn orders_of_many_at_once_are_all_fulfilled_and_the_log_holds() {
    let world = world!();
    let mut placing = Vec::new();
    for number in 0..12 {
        let ada = world.subscriber(&format!("Ada {number}")).await;
        world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
        let app = world.app.clone();
        placing.push(tokio::spawn(async move {
            place(&app, &ada, order(ADA, TierChoice::Best)).await
        }));
    }
    for placed in placing {
        let order = placed.await.unwrap().unwrap();
        assert!(matches!(order.state, OrderState::Valid { .. }), "{order:?}");
    }
    assert_eq!(world.certificates().await.len(), 12);
    crate::audit::verify(&world.app).await.unwrap();
}

#[tokio::test]
async fn an_idempotency_key_stands_for_one_order_of_one_account() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let mut request = order(ADA, TierChoice::Best);
    request.idempotency_key = Some("once".to_owned());
    let first = place(&world.app, &ada, request.clone()).await.unwrap();
    let mut others = [request.clone(), request.clone(), request.clone(), request.clone()];
    others[0].mailbox = policies::mailbox::Mailbox::parse("eve@example.com").unwrap();
    others[1].tier = TierChoice::Exactly(Tier::V1);
    others[2].generation = Generation::Multipurpose;
    others[3].certificate_request = order_with_key(ADA, TierChoice::Best, &*keys::testing::p384()).certificate_request;
    for other in others {
        let error = place(&world.app, &ada, other).await.unwrap_err();
        assert!(matches!(error, Error::IdempotencyKeyReused { .. }), "{error}");
    }
    let eve = world.subscriber("Eve").await;
    let theirs = place(&world.app, &eve, request).await.unwrap();
    assert_ne!(theirs.id, first.id);
}

#[tokio::test]
async fn idempotency_keys_that_no_header_could_carry_are_refused() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    for key in ["", "a b", "a\n", "ä", &"x".repeat(129)] {
        let mut request = order(ADA, TierChoice::Best);
        request.idempotency_key = Some(key.to_owned());
        let error = place(&world.app, &ada, request).await.unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }), "{key:?}: {error}");
    }
}

#[tokio::test]
async fn operators_and_officers_order_nothing() {
    let world = world!();
    for role in [Role::Operator, Role::Officer] {
        let caller = world.principal("somebody", role).await;
        let error = place(&world.app, &caller, order(ADA, TierChoice::Best))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NotAllowed { .. }), "{error}");
    }
    let gateway = world.principal("gateway", Role::Gateway).await;
    place(&world.app, &gateway, order(ADA, TierChoice::Best)).await.unwrap();
}

#[tokio::test]
async fn an_order_is_seen_by_its_account_and_by_the_authority_only() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let placed = place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap();
    assert_eq!(find(&world.app, &ada, &placed.id).await.unwrap().id, placed.id);
    let officer = world.principal("officer", Role::Officer).await;
    assert_eq!(find(&world.app, &officer, &placed.id).await.unwrap().id, placed.id);
    let eve = world.subscriber("Eve").await;
    for (caller, id) in [(&eve, placed.id.as_str()), (&ada, "ord-unknown"), (&ada, "")] {
        let error = find(&world.app, caller, id).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }
}

#[tokio::test]
async fn requests_that_prove_no_possession_are_not_even_orders() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let mut request = order(ADA, TierChoice::Best);
    *request.certificate_request.last_mut().unwrap() ^= 1;
    let error = place(&world.app, &ada, request).await.unwrap_err();
    assert!(matches!(error, Error::CertificateRequest { .. }), "{error}");
    let mut request = order(ADA, TierChoice::Best);
    request.certificate_request.clear();
    let error = place(&world.app, &ada, request).await.unwrap_err();
    assert!(matches!(error, Error::CertificateRequest { .. }), "{error}");
    assert!(world.certificates().await.is_empty());
}

#[tokio::test]
async fn a_compromised_key_is_certified_for_nobody_and_nothing_of_it_stays_valid() {
    let world = world!();
    let key = keys::testing::rsa2048();
    let order = || order_with_key(ADA, TierChoice::Best, &*key);
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let serial = serial(place(&world.app, &ada, order()).await.unwrap());
    revoke(&world.app, &ada, &serial, Reason::Superseded).await.unwrap();
    let second = self::serial(place(&world.app, &ada, order()).await.unwrap());
    let unrelated = self::serial(place(&world.app, &ada, crate::testing::order(ADA, TierChoice::Best)).await.unwrap());
    revoke(&world.app, &ada, &serial, Reason::KeyCompromise).await.unwrap();
    let reason = world.row(&second).await.revocation_reason;
    assert_eq!(reason.as_deref(), Some("keyCompromise"));
    assert_eq!(world.row(&unrelated).await.revoked_at, None);
    let eve = world.subscriber("Eve").await;
    for caller in [&ada, &eve] {
        let error = place(&world.app, caller, order()).await.unwrap_err();
        assert!(
            matches!(&error, Error::KeyCompromised { serial: found } if *found == serial),
            "{error}"
        );
    }
    let other = order_with_key(ADA, TierChoice::Best, &*keys::testing::p384());
    let placed = place(&world.app, &ada, other).await.unwrap();
    assert!(matches!(placed.state, OrderState::Valid { .. }), "{placed:?}");
    crate::audit::verify(&world.app).await.unwrap();
}

fn serial(order: Order) -> String {
    match order.state {
        OrderState::Valid { serial, .. } => serial,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_key_of_another_subscriber_is_refused_and_nothing_is_placed() {
    let world = world!();
    let key = keys::testing::p384();
    let order = || order_with_key(ADA, TierChoice::Best, &*key);
    let (ada, eve) = (world.subscriber("Ada").await, world.subscriber("Eve").await);
    for caller in [&ada, &eve] {
        world.prove(caller, Proof::mailbox(ADA), Span::hours(1)).await;
    }
    place(&world.app, &ada, order()).await.unwrap();
    let error = place(&world.app, &eve, order()).await.unwrap_err();
    assert!(matches!(error, Error::KeyOfAnotherSubscriber), "{error}");
    assert_eq!(world.certificates().await.len(), 1);
    // Its owner may renew with it.
    place(&world.app, &ada, order()).await.unwrap();
    assert_eq!(world.certificates().await.len(), 2);
}

/// What is asked early may have changed since: orders that waited, and two at once.
#[tokio::test]
async fn whose_key_it_is_is_decided_where_the_certificate_is_recorded() {
    let world = world!();
    let key = keys::testing::p384();
    let order = || order_with_key(ADA, TierChoice::Best, &*key);
    let (ada, eve) = (world.subscriber("Ada").await, world.subscriber("Eve").await);
    // Neither has evidence yet, so neither key is taken.
    let waiting = place(&world.app, &eve, order()).await.unwrap();
    let mine = place(&world.app, &ada, order()).await.unwrap();
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    retry(&world.app, ada.account.as_ref().unwrap()).await.unwrap();
    serial(find(&world.app, &ada, &mine.id).await.unwrap());
    world.prove(&eve, Proof::mailbox(ADA), Span::hours(1)).await;
    retry(&world.app, eve.account.as_ref().unwrap()).await.unwrap();
    let OrderState::Invalid { problem } = find(&world.app, &eve, &waiting.id).await.unwrap().state else {
        panic!("somebody else's key was certified")
    };
    assert!(problem.contains("another subscriber") && problem.contains("6.1.1.3"), "{problem}");
    assert_eq!(world.certificates().await.len(), 1);
}

#[tokio::test]
async fn one_key_ordered_by_many_accounts_at_once_is_certified_for_one() {
    let world = world!();
    let mut placing = Vec::new();
    for number in 0..6 {
        let caller = world.subscriber(&format!("Subscriber {number}")).await;
        world.prove(&caller, Proof::mailbox(ADA), Span::hours(1)).await;
        let app = world.app.clone();
        let order = order_with_key(ADA, TierChoice::Best, &*keys::testing::p384());
        placing.push(tokio::spawn(async move { place(&app, &caller, order).await }));
    }
    let mut valid = 0;
    for placed in placing {
        match placed.await.unwrap() {
            Ok(order) => match order.state {
                OrderState::Valid { .. } => valid += 1,
                OrderState::Invalid { problem } => assert!(problem.contains("another subscriber"), "{problem}"),
                other => panic!("{other:?}"),
            },
            Err(error) => assert!(matches!(error, Error::KeyOfAnotherSubscriber), "{error}"),
        }
    }
    assert_eq!(valid, 1);
    assert_eq!(world.certificates().await.len(), 1);
}

#[tokio::test]
async fn keys_of_certificates_from_before_are_written_down_at_the_start() {
    let world = world!();
    let key = keys::testing::rsa2048();
    let order = || order_with_key(ADA, TierChoice::Best, &*key);
    let (ada, eve) = (world.subscriber("Ada").await, world.subscriber("Eve").await);
    for caller in [&ada, &eve] {
        world.prove(caller, Proof::mailbox(ADA), Span::hours(1)).await;
    }
    let serial = serial(place(&world.app, &ada, order()).await.unwrap());
    let forget = "UPDATE certificates SET spki_sha256 = NULL; DELETE FROM subject_keys;";
    world.tamper(forget).await;
    crate::subject_keys::backfill(&world.app.db).await.unwrap();
    let error = place(&world.app, &eve, order()).await.unwrap_err();
    assert!(matches!(error, Error::KeyOfAnotherSubscriber), "{error}");
    revoke(&world.app, &ada, &serial, Reason::KeyCompromise).await.unwrap();
    world.tamper(forget).await;
    crate::subject_keys::backfill(&world.app.db).await.unwrap();
    let error = place(&world.app, &ada, order()).await.unwrap_err();
    assert!(matches!(error, Error::KeyCompromised { .. }), "{error}");
}

#[tokio::test]
async fn orders_that_wait_too_long_are_given_up() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let waiting = place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap();
    world.clock.advance(Span::seconds(30 * 86_400 - 1));
    assert_eq!(give_up_old(&world.app).await.unwrap(), 0);
    world.clock.advance(Span::seconds(1));
    let late = place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap();
    assert_eq!(give_up_old(&world.app).await.unwrap(), 1);
    let OrderState::Invalid { problem } = find(&world.app, &ada, &waiting.id).await.unwrap().state else {
        panic!("still waiting");
    };
    assert!(
        problem.contains("given up") && problem.contains("mailbox-control"),
        "{problem}"
    );
    let late = find(&world.app, &ada, &late.id).await.unwrap();
    assert!(matches!(late.state, OrderState::Pending { .. }), "{late:?}");
}

#[tokio::test]
async fn an_account_cannot_fill_the_database_with_orders() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap();
    let copies = "INSERT INTO orders SELECT orders.id || numbers.number, account_id, requested_by, NULL, mailbox, tier, \
                  generation, certificate_request, state, NULL, NULL, created_at, updated_at, key_use FROM orders, numbers";
    let numbers =
        "WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 999)";
    let copies = match super::DATABASE {
        Database::Sqlite => format!("{numbers} {copies}"),
        Database::Postgres => format!("{numbers} {}", copies.replace("numbers.number", "numbers.number::text")),
    };
    world.tamper(&copies).await;
    let error = place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap_err();
    assert!(matches!(error, Error::TooMany { limit: 1000, .. }), "{error}");
    let eve = world.subscriber("Eve").await;
    place(&world.app, &eve, order(ADA, TierChoice::Best)).await.unwrap();
}
