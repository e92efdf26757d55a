//! What SMTP smuggling and impatient clients try, with real sockets, at every door.

use std::net::SocketAddr;
use std::time::Duration;

use smtp::server::{Chunking, Settings};
use smtp::sink::Sink;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::find;
use crate::world::{World, eventually, listen};

/// A gateway with a door of each kind for mail that goes out, and one for mail that comes in.
///
/// The next hop knows no CHUNKING, so that what came counted goes on line by line.
async fn world() -> World {
    let sink = Sink::new();
    let mut settings = Settings::new("sink.test");
    settings.chunking = Chunking::Off;
    let next_hop = listen(settings, sink.clone()).await;
    let lines = format!(
        "[[door]]\nlisten = \"127.0.0.1:0\"\nmode = \"queue\"\n[inbound]\nlisten = \"127.0.0.1:0\"\ndeliver = \"smtp:{next_hop}\"\n[policy.system]\nsign = \"yes\"\n"
    );
    let sender = "networks = [\"127.0.0.0/8\"]\nmay_sign_for = [\"example.com\"]";
    World::with_next_hop_lines(sink, next_hop, &lines, sender).await
}

fn doors(world: &World) -> [(&'static str, SocketAddr); 3] {
    let [pass_through, queue] = world.running.doors() else {
        panic!("two doors")
    };
    [
        ("pass-through", *pass_through),
        ("queue", *queue),
        ("inbound", world.inbound_address()),
    ]
}

/// A client that sends what it likes.
struct Talk {
    stream: TcpStream,
    heard: String,
}

impl Talk {
    async fn greeted(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut talk = Self {
            stream,
            heard: String::new(),
        };
        assert!(talk.reply().await.starts_with("220"));
        assert!(talk.ask("EHLO sender.test\r\n").await.starts_with("250"));
        talk
    }

    /// Up to where a message or its chunks may follow.
    async fn with_envelope(address: SocketAddr) -> Self {
        let mut talk = Self::greeted(address).await;
        for command in ["MAIL FROM:<alice@example.com>\r\n", "RCPT TO:<bob@example.net>\r\n"] {
            let reply = talk.ask(command).await;
            assert!(reply.starts_with("250"), "{command}{reply}");
        }
        talk
    }

    async fn send(&mut self, octets: impl AsRef<[u8]>) {
        // Whoever was sent away already does not hear the rest.
        let _ = self.stream.write_all(octets.as_ref()).await;
    }

    async fn ask(&mut self, command: &str) -> String {
        self.send(command).await;
        self.reply().await
    }

    /// The last line of the next reply.
    async fn reply(&mut self) -> String {
        loop {
            while let Some((line, rest)) = self.heard.split_once("\r\n") {
                let (line, rest) = (line.to_owned(), rest.to_owned());
                self.heard = rest;
                if line.as_bytes().get(3) != Some(&b'-') {
                    return line;
                }
            }
            assert!(self.hear().await, "the connection was closed instead of an answer");
        }
    }

    async fn hear(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read(&mut buffer)).await;
        let length = read.expect("an answer within 20 seconds").unwrap_or(0);
        self.heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
        length > 0
    }

    /// The codes of all replies from now to the end of the connection.
    async fn rest(mut self) -> Vec<String> {
        while self.hear().await {}
        let finals = self.heard.lines().filter(|line| line.as_bytes().get(3) != Some(&b'-'));
        finals
            .map(|line| line.get(..3).unwrap_or_default().to_owned())
            .collect()
    }
}

/// What an attacker would like to have taken for a second message.
const SMUGGLED: &str = "MAIL FROM:<ceo@example.com>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nFrom: ceo@example.com\r\nTo: victim@example.net\r\nSubject: Smuggled\r\n\r\nPay\r\n.\r\n";

const LETTER: &str = "From: alice@example.com\r\nTo: bob@example.net\r\nSubject: First\r\n\r\nHello";

#[tokio::test]
async fn nothing_but_one_sequence_ends_a_message_at_any_door() {
    let world = world().await;
    for (door, address) in doors(&world) {
        for end in [
            "\n.\n",
            "\n.\r\n",
            "\r\n.\n",
            "\r.\r",
            "\r.\r\n",
            "\r\n.\r",
            "\r.\n",
            "\n.\r",
            "\r\n\0.\r\n",
            "\r\n.\0\r\n",
            "\r\n\n.\r\n",
            "\n\n.\n\n",
            "\r\r.\r\r",
            "\r\n. \n",
            "\n.\n\r\n",
        ] {
            let mut talk = Talk::with_envelope(address).await;
            assert!(talk.ask("DATA\r\n").await.starts_with("354"));
            talk.send(format!("{LETTER}{end}{SMUGGLED}QUIT\r\n")).await;
            let replies = talk.rest().await;
            // One answer, to the one message that all of it was, and the farewell.
            assert_eq!(replies.len(), 2, "{door} {end:?}: {replies:?}");
            assert!(
                replies[0].starts_with('5') && replies[1] == "221",
                "{door} {end:?}: {replies:?}"
            );
        }
    }
    assert!(world.sink.messages().is_empty());
    assert!(world.gateway.list_queue(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_comes_counted_stays_one_message_behind_a_hop_that_counts_not() {
    let world = world().await;
    let trick = "\r\n.\r\n";
    // Signed, and passed on as it is.
    for subject in ["First", "[clear] First"] {
        for (door, address) in doors(&world) {
            let before = world.sink.messages().len();
            let letter = LETTER.replace("First", subject);
            let message = format!("{letter}{trick}{SMUGGLED}");
            let mut talk = Talk::with_envelope(address).await;
            let reply = talk.ask(&format!("BDAT {} LAST\r\n{message}", message.len())).await;
            assert!(reply.starts_with("250"), "{door}: {reply}");
            eventually(async || world.sink.messages().len() == before + 1).await;
            let arrived = world.sink.messages().pop().unwrap();
            assert_eq!(arrived.from.address, "alice@example.com", "{door}");
            let text = "as text of the one message";
            assert!(find(&arrived.content, b"Smuggled").is_some(), "{door}: {text}");
            talk.send("QUIT\r\n").await;
            assert_eq!(talk.rest().await, ["221"], "{door}");
        }
    }
    let messages = world.sink.messages();
    let senders = messages
        .iter()
        .filter(|message| message.from.address == "ceo@example.com");
    assert_eq!(senders.count(), 0);
}

#[tokio::test]
async fn commands_in_front_of_tls_are_not_taken_for_commands_behind_it() {
    let world = world().await;
    for (door, address) in doors(&world) {
        let mut talk = Talk::greeted(address).await;
        talk.send(format!("STARTTLS\r\nEHLO evil.test\r\n{SMUGGLED}")).await;
        let replies = talk.rest().await;
        assert_eq!(replies, ["554"], "{door}");
    }
    assert!(world.sink.messages().is_empty());
}

#[tokio::test]
async fn whoever_sends_the_message_before_it_was_asked_for_is_sent_away() {
    let world = world().await;
    for (door, address) in doors(&world) {
        // A message that would be commands if DATA had been refused, and one whose sender was.
        let mut talk = Talk::with_envelope(address).await;
        talk.send(format!("DATA\r\n{SMUGGLED}")).await;
        assert_eq!(talk.rest().await, ["503"], "{door}");
        let mut talk = Talk::greeted(address).await;
        talk.send(format!(
            "MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n{LETTER}\r\n.\r\n{SMUGGLED}"
        ))
        .await;
        let replies = talk.rest().await;
        assert_eq!(replies.last().map(String::as_str), Some("503"), "{door}: {replies:?}");
        assert_eq!(replies.len(), 3, "{door}: {replies:?}");
    }
    assert!(world.sink.messages().is_empty());
    assert!(world.gateway.list_queue(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn chunks_cannot_be_made_into_commands() {
    let world = world().await;
    for (door, address) in doors(&world) {
        // What cannot be counted: what follows may be anything then, and the connection ends.
        for chunk in [
            "BDAT 18446744073709551616 LAST\r\n",
            "BDAT -1 LAST\r\n",
            "BDAT 0x10 LAST\r\n",
            "BDAT LAST\r\n",
            "BDAT\r\n",
            "BDAT 10 FIRST\r\n",
            "BDAT 5 LAST\n",
        ] {
            let mut talk = Talk::with_envelope(address).await;
            talk.send(format!("{chunk}{SMUGGLED}QUIT\r\n")).await;
            let replies = talk.rest().await;
            assert!(
                replies.len() == 1 && replies[0].starts_with('5'),
                "{door} {chunk:?}: {replies:?}"
            );
        }
        // More octets than were counted are commands, as the standard says, and these are none.
        let mut talk = Talk::with_envelope(address).await;
        talk.send(format!(
            "BDAT {}\r\n{LETTER}\r\n.\r\nBDAT 0 LAST\r\nQUIT\r\n",
            LETTER.len() + 2
        ))
        .await;
        let replies = talk.rest().await;
        assert!(replies.contains(&"500".to_owned()), "{door}: {replies:?}");
        // After DATA has begun there are no chunks, and after chunks there is no DATA.
        let mut talk = Talk::with_envelope(address).await;
        assert!(
            talk.ask(&format!("BDAT {}\r\n{LETTER}", LETTER.len()))
                .await
                .starts_with("250"),
            "{door}"
        );
        assert!(talk.ask("DATA\r\n").await.starts_with("503"), "{door}");
        assert!(talk.ask("RSET\r\n").await.starts_with("250"), "{door}");
        assert!(talk.ask("BDAT 2 LAST\r\nhi").await.starts_with("503"), "{door}");
    }
    let smuggled = |message: &&std::sync::Arc<smtp::sink::Message>| message.from.address == "ceo@example.com";
    assert_eq!(world.sink.messages().iter().filter(smuggled).count(), 0);
}
