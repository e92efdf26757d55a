//! What goes wrong around the queue.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::world::nobody;

#[tokio::test]
async fn a_next_hop_that_is_down_is_waited_for() {
    let address = nobody();
    let sink = Sink::new();
    let world = world_with(sink.clone(), address, "").await;
    alice_queues(&world, &["bob@example.net"]).await;
    tried(&world, 1).await;
    let [message] = <[_; 1]>::try_from(waiting(&world).await).unwrap();
    assert!(
        message.recipients[0]
            .last_reply
            .as_ref()
            .unwrap()
            .contains("cannot connect"),
        "{message:?}"
    );
    let server = smtp::server::Server::bind(&address.to_string(), Settings::new("sink.test"), sink)
        .await
        .unwrap();
    tokio::spawn(server.run(std::future::pending()));
    eventually(async || {
        world.clock.advance(Span::hours(1));
        waiting(&world).await.is_empty()
    })
    .await;
    // The clock may have gone so far that there was a notice of the delay.
    let from_alice = |message: &Arc<smtp::sink::Message>| !message.from.address.is_empty();
    assert_eq!(world.sink.messages().into_iter().filter(from_alice).count(), 1);
}

#[tokio::test]
async fn without_storage_nothing_is_accepted() {
    let world = world().await;
    let folder = world.folder.path().join("gateway/mail");
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "no folder").unwrap();
    let delivery = hand_in(&world, "alice@example.com", &["bob@example.net"], ALICE_WRITES).await;
    let reply = delivery.outcome(0);
    assert_eq!((reply.code(), reply.enhanced()), (452, Some([4, 3, 1])), "{reply}");
    assert!(waiting(&world).await.is_empty() && world.sink.messages().is_empty());
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    alice_queues(&world, &["bob@example.net"]).await;
    empty(&world).await;
}

#[tokio::test]
async fn a_body_that_cannot_be_read_waits_and_does_not_bounce() {
    let world = world().await;
    world
        .sink
        .refuse("bob@example.net", Reply::try_later([4, 2, 1], "Later"));
    alice_queues(&world, &["bob@example.net"]).await;
    tried(&world, 1).await;
    let [body] = <[_; 1]>::try_from(stored_bodies(&world)).unwrap();
    let aside = world.folder.path().join("aside");
    std::fs::rename(&body, &aside).unwrap();
    world.sink.accept("bob@example.net");
    world.clock.advance(Span::hours(1));
    eventually(async || !admin::metrics(&world).await.contains("storage_failures_total 0\n")).await;
    assert_eq!(waiting(&world).await[0].recipients[0].state, "queued");
    std::fs::rename(&aside, &body).unwrap();
    world.clock.advance(Span::hours(1));
    empty(&world).await;
    assert_eq!(world.sink.messages().len(), 1);
}

/// A server that answers with these lines, one after each line it gets, and then hangs up.
async fn scripted(lines: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                for line in lines {
                    if stream.write_all(format!("{line}\r\n").as_bytes()).await.is_err() {
                        return;
                    }
                    let mut buffer = [0; 65_536];
                    if !matches!(stream.read(&mut buffer).await, Ok(1..)) {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_refusal_at_any_stage_is_for_now_or_for_good() {
    for (lines, state) in [
        (&["554 Go away"][..], "queued"),
        (&["421 Busy"], "queued"),
        (&["220 hi", "550 what"], "queued"),
        (&["220 hi", "250 hi", "451 4.3.0 Not now"], "queued"),
        (&["220 hi", "250 hi", "550 5.7.1 Not you"], "bounced"),
        (&["220 hi", "250 hi", "250 ok", "450 4.2.0 Not now"], "queued"),
        (&["220 hi", "250 hi", "250 ok", "550 5.1.1 Nobody"], "bounced"),
        (&["220 hi", "250 hi", "250 ok", "250 ok", "452 4.3.1 Full"], "queued"),
        (&["220 hi", "250 hi", "250 ok", "250 ok", "554 5.6.0 Never"], "bounced"),
        (
            &["220 hi", "250 hi", "250 ok", "250 ok", "354 go", "451 4.3.0 Not now"],
            "queued",
        ),
        (
            &["220 hi", "250 hi", "250 ok", "250 ok", "354 go", "554 5.6.0 Spam"],
            "bounced",
        ),
        (&["220 hi", "250 hi", "250 ok", "250 ok", "354 go"], "queued"),
        (&["220 hi", "250 hi", "250 ok"], "queued"),
        (&["no smtp"], "queued"),
    ] {
        let world = world_with(Sink::new(), scripted(lines).await, "").await;
        // RFC 3461: nobody wants to know, so that the notice does not go the same bad way.
        alice_queues(&world, &["bob@example.net NOTIFY=NEVER"]).await;
        eventually(async || {
            let all = [RecipientState::Queued, RecipientState::Bounced].map(|state| in_state(&world, state));
            let [queued, bounced] = all;
            let (queued, bounced) = (queued.await, bounced.await);
            let found = queued.iter().chain(&bounced).flat_map(|message| &message.recipients);
            found.clone().any(|one| one.attempts == 1 && one.state == state)
        })
        .await;
    }
}

#[tokio::test]
async fn clocks_that_jump_neither_bounce_nor_lose_mail() {
    let world = world().await;
    world
        .sink
        .refuse("bob@example.net", Reply::try_later([4, 2, 1], "Later"));
    alice_queues(&world, &["bob@example.net"]).await;
    tried(&world, 1).await;
    world.clock.advance(Span::days(365));
    tried(&world, 2).await;
    assert_eq!(waiting(&world).await[0].recipients[0].state, "queued");
    world.clock.advance(Span::days(-365));
    world
        .gateway
        .intervene(
            vec![waiting(&world).await[0].id.clone()],
            signer_service::queue::admin::Intervention::Retry,
        )
        .await
        .unwrap();
    tried(&world, 3).await;
    world.sink.accept("bob@example.net");
    world.clock.advance(Span::hours(1));
    empty(&world).await;
    assert_eq!(
        world
            .sink
            .messages()
            .iter()
            .filter(|message| !message.from.address.is_empty())
            .count(),
        1
    );
}
