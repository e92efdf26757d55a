//! What operators see and do.

use signer_service::queue::admin::Intervention;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

/// The text that Prometheus gets.
pub(super) async fn metrics(world: &World) -> String {
    let mut stream = TcpStream::connect(world.running.metrics().unwrap()).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    text
}

async fn one_waiting(world: &World) -> String {
    world
        .sink
        .refuse("bob@example.net", Reply::try_later([4, 2, 1], "Later"));
    alice_queues(world, &["bob@example.net"]).await;
    tried(world, 1).await;
    world.sink.accept("bob@example.net");
    waiting(world).await.remove(0).id
}

#[tokio::test]
async fn held_mail_stays_until_it_is_let_go() {
    let world = world().await;
    let id = one_waiting(&world).await;
    let act = async |intervention| world.gateway.intervene(vec![id.clone()], intervention).await.unwrap();
    assert_eq!(act(Intervention::Hold).await, [(id.clone(), 1)]);
    assert_eq!(act(Intervention::Hold).await, [(id.clone(), 0)], "it is held already");
    world.clock.advance(Span::hours(1));
    // Another message goes by, so the queue has been looked through since.
    alice_queues(&world, &["dan@example.net"]).await;
    eventually(async || world.sink.messages().len() == 1).await;
    assert_eq!(
        world.gateway.show_queued(&id).await.unwrap().unwrap().recipients[0].state,
        "held"
    );
    assert!(metrics(&world).await.contains("queue_recipients{state=\"held\"} 1"));
    assert_eq!(act(Intervention::Retry).await, [(id.clone(), 1)]);
    empty(&world).await;
    assert_eq!(world.sink.messages().len(), 2);
    assert_eq!(act(Intervention::Retry).await, [(id.clone(), 0)], "it is delivered");
}

#[tokio::test]
async fn dropped_mail_is_gone_without_a_word() {
    let world = world().await;
    let id = one_waiting(&world).await;
    let dropped = world
        .gateway
        .intervene(vec![id.clone(), "other".to_owned()], Intervention::Drop)
        .await
        .unwrap();
    assert_eq!(dropped, [(id.clone(), 1), ("other".to_owned(), 0)]);
    assert!(waiting(&world).await.is_empty());
    world.clock.advance(Span::hours(1));
    alice_queues(&world, &["dan@example.net"]).await;
    empty(&world).await;
    assert_eq!(world.sink.messages().len(), 1);
    assert_eq!(
        world.gateway.show_queued(&id).await.unwrap().unwrap().recipients[0].state,
        "dropped"
    );
    assert!(world.gateway.show_queued("other").await.unwrap().is_none());
}

#[tokio::test]
async fn figures_count_what_happened() {
    let world = world().await;
    world
        .sink
        .refuse("nobody@example.net", Reply::refused([5, 1, 1], "No such mailbox"));
    alice_queues(&world, &["bob@example.net", "nobody@example.net"]).await;
    empty(&world).await;
    let text = metrics(&world).await;
    for expected in [
        "sealwright_gateway_messages_queued_total 1\n",
        "sealwright_gateway_recipients_delivered_total 2\n",
        "sealwright_gateway_recipients_bounced_total 1\n",
        "sealwright_gateway_notices_sent_total 1\n",
        "sealwright_gateway_queue_recipients{state=\"queued\"} 0\n",
        "sealwright_gateway_queue_oldest_seconds 0\n",
    ] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
}

#[tokio::test]
async fn what_was_sent_can_be_compared_with_what_arrived() {
    let sink = Sink::new();
    let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
    let world = world_with(sink, next_hop, "keep_sent_hours = 2").await;
    alice_queues(&world, &["bob@example.net"]).await;
    empty(&world).await;
    let [sent] = <[_; 1]>::try_from(in_state(&world, RecipientState::Delivered).await).unwrap();
    let kept = world.gateway.queued_octets(&sent.id).await.unwrap().unwrap();
    assert_eq!(kept, world.last());
    assert!(world.gateway.queued_octets("0").await.unwrap().is_none());
}

#[tokio::test]
async fn what_was_sent_is_not_kept_unless_somebody_wants_it() {
    let world = world().await;
    alice_queues(&world, &["bob@example.net"]).await;
    empty(&world).await;
    let [sent] = <[_; 1]>::try_from(in_state(&world, RecipientState::Delivered).await).unwrap();
    eventually(async || stored_bodies(&world).is_empty()).await;
    assert!(world.gateway.queued_octets(&sent.id).await.unwrap().is_none());
}
