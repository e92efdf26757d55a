//! What senders are told, and what they are not.

use super::*;

fn notices(world: &World) -> Vec<(String, String)> {
    world
        .sink
        .messages()
        .into_iter()
        .filter(|message| message.from.address.is_empty())
        .map(|message| {
            (
                message.recipients[0].address.clone(),
                String::from_utf8(message.content.clone()).unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn one_bad_recipient_is_reported_and_harms_nobody() {
    let world = world().await;
    world
        .sink
        .refuse("nobody@example.net", Reply::refused([5, 1, 1], "No such mailbox"));
    alice_queues(&world, &["nobody@example.net", "bob@example.net"]).await;
    eventually(async || notices(&world).len() == 1).await;
    empty(&world).await;
    let (to, text) = notices(&world).remove(0);
    assert_eq!(to, "alice@example.com");
    assert!(
        text.contains("Final-Recipient: rfc822; nobody@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n"),
        "{text}"
    );
    assert!(text.contains("Diagnostic-Code: smtp; 550 5.1.1 No such mailbox"));
    assert!(!text.contains("bob@example.net\r\nAction") && !text.contains("Hello Bob"));
    assert!(text.contains("Subject: Test"));
    let delivered: Vec<_> = world
        .sink
        .messages()
        .into_iter()
        .filter(|message| !message.from.address.is_empty())
        .collect();
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].recipients[0].address, "bob@example.net");
}

#[tokio::test]
async fn notices_are_never_answered_with_notices() {
    let world = world().await;
    let refusal = Reply::refused([5, 1, 1], "No such mailbox");
    world.sink.refuse("nobody@example.net", refusal.clone());
    world.sink.refuse("alice@example.com", refusal);
    alice_queues(&world, &["nobody@example.net"]).await;
    let null = ALICE_WRITES.replace("alice@example.com", "postmaster@other.test");
    let delivery = hand_in(&world, "", &["nobody@example.net"], &null).await;
    assert!(delivery.outcome(0).is_positive(), "{}", delivery.outcome(0));
    eventually(async || in_state(&world, RecipientState::Bounced).await.len() == 3).await;
    empty(&world).await;
    assert!(world.sink.messages().is_empty());
}

#[tokio::test]
async fn senders_are_told_what_they_asked_for() {
    let world = world().await;
    let refusal = Reply::refused([5, 1, 1], "No such mailbox");
    world.sink.refuse("never@example.net", refusal.clone());
    world.sink.refuse("success@example.net", refusal);
    alice_queues(
        &world,
        &[
            "never@example.net NOTIFY=NEVER",
            "success@example.net NOTIFY=SUCCESS",
            "bob@example.net NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@alias.test",
        ],
    )
    .await;
    eventually(async || !notices(&world).is_empty()).await;
    empty(&world).await;
    let [(to, text)] = <[_; 1]>::try_from(notices(&world)).unwrap();
    assert_eq!(to, "alice@example.com");
    assert!(text.contains("Original-Recipient: rfc822; bob@alias.test\r\nFinal-Recipient: rfc822; bob@example.net\r\nAction: relayed\r\nStatus: 2."), "{text}");
    assert!(!text.contains("never@") && !text.contains("success@"));
}

#[tokio::test]
async fn a_delay_is_told_once_and_five_days_are_the_end() {
    let sink = Sink::new();
    let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
    let world = world_with(sink, next_hop, "retry_seconds = [1800]").await;
    world
        .sink
        .refuse("bob@example.net", Reply::try_later([4, 2, 2], "Mailbox full"));
    alice_queues(&world, &["bob@example.net"]).await;
    let bob = async || {
        let found = in_state(&world, RecipientState::Queued).await;
        let recipients = found.into_iter().flat_map(|message| message.recipients);
        recipients
            .filter(|one| one.address == "bob@example.net")
            .map(|one| one.attempts)
            .next()
    };
    for attempts in 1..=3 {
        eventually(async || bob().await == Some(attempts)).await;
        assert!(notices(&world).is_empty());
        world.clock.advance(Span::hours(1));
    }
    world.clock.advance(Span::hours(2));
    eventually(async || notices(&world).len() == 1).await;
    assert!(notices(&world)[0].1.contains("Action: delayed\r\nStatus: 4.2.2"));
    world.clock.advance(Span::hours(2));
    eventually(async || bob().await >= Some(5)).await;
    assert_eq!(notices(&world).len(), 1);
    world.clock.advance(Span::days(5));
    eventually(async || notices(&world).len() == 2).await;
    assert!(
        notices(&world)[1].1.contains("Action: failed\r\nStatus: 5.4.7"),
        "{}",
        notices(&world)[1].1
    );
    empty(&world).await;
}
