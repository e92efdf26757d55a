//! Notices of expiry: when, how often, and when not.

use policies::tier::Tier;
use policies::time::{Span, Timestamp};

use super::world;
use crate::accounts::Caller;
use crate::error::Error;
use crate::notices::send_due;
use crate::orders::{TierChoice, place};
use crate::revocation::{Reason, revoke};
use crate::testing::{Proof, World, order};

const ADA: &str = "ada@example.com";

/// Ada with a certificate, and its end.
async fn ada(world: &World) -> (Caller, Timestamp) {
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::domain("example.com"), Span::hours(1)).await;
    place(&world.app, &ada, order(ADA, TierChoice::Exactly(Tier::V1)))
        .await
        .unwrap();
    (ada, world.certificates().await[0].not_after)
}

#[tokio::test]
async fn four_notices_are_sent_once_each() {
    let world = world!();
    let (_, end) = ada(&world).await;
    for (days, expected) in [(31, 0), (30, 1), (29, 0), (14, 1), (8, 0), (7, 1), (2, 0), (1, 1)] {
        world.clock.set(end.minus(Span::days(days)));
        assert_eq!(send_due(&world.app).await.unwrap(), expected, "{days} days before");
        // Another run, such as that of a process that was started again, finds the claim in the database.
        assert_eq!(send_due(&world.app).await.unwrap(), 0, "{days} days before, again");
    }
    world.clock.set(end.plus(Span::seconds(1)));
    assert_eq!(send_due(&world.app).await.unwrap(), 0);
    let mails = world.outbox.mails();
    assert_eq!(mails.len(), 4);
    assert!(mails.iter().all(|mail| mail.to == ADA));
    assert!(mails[0].text.contains(&end.to_string()), "{}", mails[0].text);
    assert!(!mails[0].text.contains('{'), "{}", mails[0].text);
}

#[tokio::test]
async fn after_a_pause_only_the_latest_notice_is_sent() {
    let world = world!();
    let (_, end) = ada(&world).await;
    world.clock.set(end.minus(Span::days(5)));
    assert_eq!(send_due(&world.app).await.unwrap(), 1);
    world.clock.set(end.minus(Span::hours(20)));
    assert_eq!(send_due(&world.app).await.unwrap(), 1);
    assert_eq!(world.outbox.mails().len(), 2);
}

#[tokio::test]
async fn what_is_renewed_or_revoked_needs_no_notice() {
    let world = world!();
    let (ada, end) = ada(&world).await;
    world.clock.set(end.minus(Span::days(40)));
    world.prove(&ada, Proof::domain("example.com"), Span::hours(1)).await;
    place(&world.app, &ada, order(ADA, TierChoice::Exactly(Tier::V1)))
        .await
        .unwrap();
    world.clock.set(end.minus(Span::days(20)));
    assert_eq!(send_due(&world.app).await.unwrap(), 0);
    // Without the new one the old one needs a notice after all; without both there is none.
    let serials: Vec<String> = world.certificates().await.into_iter().map(|found| found.serial).collect();
    revoke(&world.app, &ada, &serials[1], Reason::Superseded).await.unwrap();
    world.clock.set(end.minus(Span::days(10)));
    revoke(&world.app, &ada, &serials[0], Reason::Superseded).await.unwrap();
    assert_eq!(send_due(&world.app).await.unwrap(), 0);
    assert!(world.outbox.mails().is_empty());
}

#[tokio::test]
async fn many_runs_at_once_send_one_notice() {
    let world = world!();
    let (_, end) = ada(&world).await;
    world.clock.set(end.minus(Span::days(3)));
    let runs: Vec<_> = (0..6)
        .map(|_| {
            let app = world.app.clone();
            tokio::spawn(async move { send_due(&app).await })
        })
        .collect();
    let mut sent = 0;
    for run in runs {
        sent += run.await.unwrap().unwrap();
    }
    assert_eq!((sent, world.outbox.mails().len()), (1, 1));
}

#[tokio::test]
async fn an_address_that_cannot_be_read_is_told_and_not_mailed() {
    let world = world!();
    let (_, end) = ada(&world).await;
    world.tamper("UPDATE certificates SET mailbox = 'nobody'").await;
    world.clock.set(end.minus(Span::days(3)));
    let error = send_due(&world.app).await.unwrap_err();
    assert!(matches!(error, Error::Row { kind: "certificate", .. }), "{error}");
    assert!(world.outbox.mails().is_empty());
}
