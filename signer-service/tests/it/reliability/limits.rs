//! Limits, at both doors, each with an answer that says what to do.

use std::net::SocketAddr;

use smtp::Reply;
use smtp::client::ClientError;
use smtp::envelope::{MailFrom, RcptTo};
use smtp::server::Settings;
use smtp::sink::Sink;

use super::{QUEUE, SENDER, connect, send};
use crate::world::{ALICE_WRITES, World, listen};

async fn world(lines: &str) -> World {
    let sink = Sink::new();
    let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
    World::with_next_hop_lines(sink, next_hop, QUEUE, &format!("{SENDER}\n{lines}")).await
}

fn doors(world: &World) -> [SocketAddr; 2] {
    let doors = world.running.doors();
    [doors[0], doors[1]]
}

/// Sends it with nothing announced, so that the server has to find out.
async fn whole(door: SocketAddr, message: &str) -> Result<Reply, ClientError> {
    let mut connection = connect(door).await;
    assert!(
        connection
            .mail(&MailFrom::new("alice@example.com"))
            .await?
            .is_positive()
    );
    assert!(connection.rcpt(&RcptTo::new("bob@example.net")).await?.is_positive());
    connection.avoid_chunking();
    connection.data(message.as_bytes()).await
}

#[tokio::test]
async fn a_header_without_end_is_refused_with_its_reason() {
    let world = world("").await;
    for door in doors(&world) {
        for (field, words) in [
            (format!("X-Long: {}\r\n", "x".repeat(900)).repeat(400), "longer than"),
            ("X: y\r\n".repeat(2500), "more than"),
            (format!("X-Wide: {}\r\n", "x".repeat(3000)), "line"),
        ] {
            let reply = whole(door, &format!("{field}{ALICE_WRITES}")).await.unwrap();
            assert!(
                reply.is_permanent() && reply.enhanced() == Some([5, 6, 0]),
                "{words}: {reply}"
            );
            assert!(reply.text().contains(words), "{words}: {reply}");
        }
    }
    assert!(world.sink.messages().is_empty());
    assert!(world.gateway.list_queue(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn recipients_beyond_the_limit_are_for_the_next_transaction() {
    let world = world("").await;
    for door in doors(&world) {
        let recipients: Vec<String> = (0..1002).map(|number| format!("r{number}@example.net")).collect();
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let delivery = send(door, &recipients).await;
        for (index, expected) in [(0, 250), (999, 250), (1000, 452), (1001, 452)] {
            assert_eq!(delivery.outcome(index).code(), expected, "{}", delivery.outcome(index));
        }
    }
    let most = |world: &World| {
        world
            .sink
            .messages()
            .iter()
            .map(|message| message.recipients.len())
            .sum::<usize>()
    };
    crate::world::eventually(async || most(&world) == 2000).await;
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_announced_or_not() {
    let world = world("").await;
    let limit = world.gateway.config().max_message_size;
    let large = format!("{ALICE_WRITES}{}", "x".repeat(70).repeat(limit / 70));
    for door in doors(&world) {
        let mut connection = connect(door).await;
        let mut from = MailFrom::new("alice@example.com");
        from.size = Some(1 << 40);
        let announced = connection.mail(&from).await;
        assert!(matches!(announced, Err(ClientError::TooLarge { .. })), "{announced:?}");
        let told = whole(door, &large).await;
        // Our own client does not even try, since the limit was announced.
        assert!(matches!(told, Err(ClientError::TooLarge { .. })), "{told:?}");
    }
    assert!(world.sink.messages().is_empty());
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_to_come_back() {
    let world = world("").await;
    for door in doors(&world) {
        let mut held = Vec::new();
        let refused = loop {
            assert!(held.len() <= 1000, "there is a limit");
            let stream = tokio::net::TcpStream::connect(door).await.unwrap();
            let mut lines = tokio::io::BufReader::new(stream);
            let mut line = String::new();
            tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line)
                .await
                .unwrap();
            if !line.starts_with("220") {
                break line;
            }
            held.push(lines);
        };
        assert!(refused.starts_with("421 4."), "{refused}");
        assert!(held.len() >= 100, "{}", held.len());
        drop(held);
        // Those that went make room.
        crate::world::eventually(async || {
            let stream = tokio::net::TcpStream::connect(door).await.unwrap();
            let mut line = String::new();
            let mut lines = tokio::io::BufReader::new(stream);
            tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line)
                .await
                .unwrap();
            line.starts_with("220")
        })
        .await;
        assert!(send(door, &["bob@example.net"]).await.outcome(0).is_positive());
    }
}
