//! Queue mode: what was answered 250 is delivered, bounced or still queued (invariant 10).

mod admin;
mod crash;
mod failures;
mod nodes;
mod notices;

use std::net::SocketAddr;
use std::sync::Arc;

use policies::time::Span;
use signer_service::queue::RecipientState;
use signer_service::queue::admin::ListedMessage;
use smtp::Reply;
use smtp::client::{ClientError, Connection, Delivery, Target, Timeouts, TlsPolicy};
use smtp::envelope::{MailFrom, Parameter, RcptTo};
use smtp::server::Settings;
use smtp::sink::Sink;

use crate::support::{check_transport, openssl_verifies};
use crate::world::{ALICE_WRITES, World, eventually, listen};

/// A gateway whose second door queues; `queue` goes into its configuration.
async fn world_with(sink: Sink, next_hop: SocketAddr, queue: &str) -> World {
    let lines = format!(
        "[[door]]\nlisten = \"127.0.0.1:0\"\nmode = \"queue\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n[queue]\n{queue}"
    );
    let sender = "networks = [\"127.0.0.0/8\"]\nmay_sign_for = [\"example.com\"]";
    World::with_next_hop_lines(sink, next_hop, &lines, sender).await
}

async fn world() -> World {
    let sink = Sink::new();
    let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
    world_with(sink, next_hop, "").await
}

async fn connect(door: SocketAddr) -> Connection {
    try_connect(door).await.unwrap()
}

async fn try_connect(door: SocketAddr) -> Result<Connection, ClientError> {
    let target = Target {
        host: door.ip().to_string(),
        port: door.port(),
        tls: TlsPolicy::Never,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Connection::connect(&target, "sender.test", &Arc::new(tls), Timeouts::default()).await
}

/// Hands a message to the door that queues.
async fn hand_in(world: &World, from: &str, to: &[&str], message: &str) -> Delivery {
    let recipients: Vec<RcptTo> = to
        .iter()
        .map(|words| {
            let mut words = words.split(' ');
            RcptTo {
                address: words.next().unwrap().to_owned(),
                parameters: words.map(|word| Parameter::parse(word).unwrap()).collect(),
            }
        })
        .collect();
    connect(world.running.doors()[1])
        .await
        .send(&MailFrom::new(from), &recipients, message.as_bytes())
        .await
        .unwrap()
}

pub(crate) async fn alice_queues(world: &World, to: &[&str]) {
    let delivery = hand_in(world, "alice@example.com", to, ALICE_WRITES).await;
    for index in 0..to.len() {
        let reply = delivery.outcome(index);
        assert_eq!((reply.code(), reply.enhanced()), (250, Some([2, 0, 0])), "{reply}");
    }
}

async fn waiting(world: &World) -> Vec<ListedMessage> {
    world.gateway.list_queue(None, 1000).await.unwrap()
}

async fn in_state(world: &World, state: RecipientState) -> Vec<ListedMessage> {
    world.gateway.list_queue(Some(state), 1000).await.unwrap()
}

/// Waits until every message has been tried at least so many times and nobody is at it.
async fn tried(world: &World, attempts: i64) {
    eventually(async || {
        let waiting = waiting(world).await;
        let mut recipients = waiting.iter().flat_map(|message| &message.recipients);
        !waiting.is_empty()
            && recipients.all(|one| one.state != "queued" || one.attempts >= attempts && one.node.is_none())
    })
    .await;
}

/// Waits until nothing is open any more.
async fn empty(world: &World) {
    eventually(async || waiting(world).await.is_empty()).await;
}

fn stored_bodies(world: &World) -> Vec<std::path::PathBuf> {
    let folder = world.folder.path().join("gateway/mail");
    folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn invariant_10_what_was_accepted_arrives_signed_and_leaves_nothing_behind() {
    let world = world().await;
    alice_queues(&world, &["bob@example.net", "dan@example.net"]).await;
    empty(&world).await;
    let [message] = <[_; 1]>::try_from(world.sink.messages()).unwrap();
    let recipients: Vec<&str> = message.recipients.iter().map(|to| to.address.as_str()).collect();
    assert_eq!(recipients, ["bob@example.net", "dan@example.net"]);
    assert_eq!(message.from.address, "alice@example.com");
    check_transport(&message.content);
    openssl_verifies(&message.content, world.authority());
    assert!(!String::from_utf8_lossy(&message.content).contains("carol"));
    let [done] = <[_; 1]>::try_from(in_state(&world, RecipientState::Delivered).await).unwrap();
    assert!(
        done.recipients
            .iter()
            .all(|one| one.attempts == 1 && one.last_reply.as_ref().unwrap().starts_with("250"))
    );
    eventually(async || stored_bodies(&world).is_empty()).await;
}

#[tokio::test]
async fn invariant_10_every_attempt_sends_the_same_octets() {
    let world = world().await;
    world
        .sink
        .refuse("bob@example.net", Reply::try_later([4, 2, 1], "Greylisted"));
    alice_queues(&world, &["bob@example.net"]).await;
    tried(&world, 1).await;
    let [body] = <[_; 1]>::try_from(stored_bodies(&world)).unwrap();
    let stored = std::fs::read(body).unwrap();
    world.sink.accept("bob@example.net");
    world.clock.advance(Span::hours(1));
    empty(&world).await;
    assert_eq!(world.last(), stored);
    openssl_verifies(&stored, world.authority());
}

#[tokio::test]
async fn invariant_10_a_clean_restart_loses_nothing_and_repeats_nothing() {
    let world = world().await;
    world
        .sink
        .refuse("later@example.net", Reply::try_later([4, 2, 1], "Later"));
    alice_queues(&world, &["bob@example.net", "later@example.net"]).await;
    tried(&world, 1).await;
    assert_eq!(world.sink.messages().len(), 1);
    let world = world.restart().await;
    world.sink.accept("later@example.net");
    world.clock.advance(Span::hours(1));
    empty(&world).await;
    let to: Vec<Vec<String>> = world
        .sink
        .messages()
        .iter()
        .map(|message| message.recipients.iter().map(|to| to.address.clone()).collect())
        .collect();
    assert_eq!(to, [["bob@example.net"], ["later@example.net"]]);
}

#[tokio::test]
async fn what_must_not_be_signed_is_refused_before_it_is_queued() {
    let world = world().await;
    for (from, message, code) in [
        (
            "mallory@example.net",
            ALICE_WRITES.replace("alice@example.com", "mallory@example.net"),
            550,
        ),
        (
            "alice@example.com",
            ALICE_WRITES.replace("From: Alice", "From: x@example.com\r\nFrom: Alice"),
            554,
        ),
        (
            "alice@example.com",
            format!("{}{ALICE_WRITES}", "Received: from a by b\r\n".repeat(50)),
            554,
        ),
    ] {
        let delivery = hand_in(&world, from, &["bob@example.net"], &message).await;
        assert_eq!(delivery.outcome(0).code(), code, "{}", delivery.outcome(0));
    }
    let postmaster = hand_in(&world, "alice@example.com", &["postmaster"], ALICE_WRITES).await;
    assert_eq!(postmaster.outcome(0).code(), 550);
    assert!(waiting(&world).await.is_empty() && stored_bodies(&world).is_empty());
}
