//! What goes wrong around the gateway, in both modes, with real sockets: nothing is lost, and every answer is true.

mod full_disk;
mod limits;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use smtp::Reply;
use smtp::client::{Connection, Delivery, Target, Timeouts, TlsPolicy};
use smtp::envelope::{MailFrom, RcptTo};
use smtp::server::{Peer, Service, Session, Settings};
use smtp::sink::Sink;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{ALICE_WRITES, World, eventually, listen};

const SENDER: &str = "networks = [\"127.0.0.0/8\"]\nmay_sign_for = [\"example.com\"]";
const QUEUE: &str = "[[door]]\nlisten = \"127.0.0.1:0\"\nmode = \"queue\"\n";

/// A gateway with a door of each kind in front of this next hop.
async fn world(next_hop: SocketAddr, lines: &str) -> World {
    World::with_next_hop_lines(Sink::new(), next_hop, &format!("{lines}{QUEUE}"), SENDER).await
}

async fn connect(door: SocketAddr) -> Connection {
    let target = Target {
        host: door.ip().to_string(),
        port: door.port(),
        tls: TlsPolicy::Never,
    };
    let tls = keys::tls::client_config(keys::tls::Trust::System).unwrap();
    Connection::connect(&target, "sender.test", &tls, Timeouts::default())
        .await
        .unwrap()
}

async fn send(door: SocketAddr, to: &[&str]) -> Delivery {
    let recipients: Vec<RcptTo> = to.iter().map(|address| RcptTo::new(*address)).collect();
    let mut connection = connect(door).await;
    let sent = connection
        .send(
            &MailFrom::new("alice@example.com"),
            &recipients,
            ALICE_WRITES.as_bytes(),
        )
        .await;
    sent.unwrap()
}

/// What a next hop does instead of answering.
#[derive(Clone, Copy, Debug)]
enum Say {
    Line(&'static str),
    /// The connection is reset, as a machine that crashes does it.
    Reset,
}

/// A next hop that answers each command with the next of these, and the end of a message too.
async fn hop(script: &'static [Say]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(act(stream, script));
        }
    });
    (address, connections)
}

async fn act(stream: TcpStream, script: &[Say]) {
    let mut stream = BufReader::new(stream);
    let mut in_message = false;
    for (number, say) in script.iter().enumerate() {
        // The greeting comes by itself.
        if number > 0 {
            loop {
                let mut line = Vec::new();
                if !matches!(stream.read_until(b'\n', &mut line).await, Ok(1..)) {
                    return;
                }
                if !in_message || line == b".\r\n" {
                    break;
                }
            }
        }
        match say {
            Line(line) => {
                in_message = line.starts_with("354");
                if stream.write_all(format!("{line}\r\n").as_bytes()).await.is_err() {
                    return;
                }
            }
            Reset => {
                stream.get_ref().set_zero_linger().unwrap();
                return;
            }
        }
    }
    // Whatever is said now is not answered; the connection stays until the other side has had enough.
    let mut line = Vec::new();
    while matches!(stream.read_until(b'\n', &mut line).await, Ok(1..)) {
        line.clear();
        if stream.write_all(b"250 ok\r\n").await.is_err() {
            return;
        }
    }
}

use Say::{Line, Reset};

#[tokio::test]
async fn the_sender_hears_of_every_stage_what_the_next_hop_said_of_it() {
    for (script, expected) in [
        (&[Line("554 Go away")][..], ["451", "451"]),
        (&[Line("421 Busy")], ["451", "451"]),
        (&[Line("220 hi"), Reset], ["451", "451"]),
        (
            &[Line("220 hi"), Line("250 hi"), Line("451 4.3.0 Not now")],
            ["451", "451"],
        ),
        (
            &[Line("220 hi"), Line("250 hi"), Line("550 5.7.1 Not you")],
            ["550", "550"],
        ),
        (&[Line("220 hi"), Line("250 hi"), Reset], ["451", "451"]),
        // One of two recipients, for now and for good.
        (
            &[
                Line("220 hi"),
                Line("250 hi"),
                Line("250 ok"),
                Line("250 ok"),
                Line("450 4.2.0 Not now"),
                Line("354 go"),
                Line("250 taken"),
            ],
            ["250", "450"],
        ),
        (
            &[
                Line("220 hi"),
                Line("250 hi"),
                Line("250 ok"),
                Line("550 5.1.1 Nobody"),
                Line("250 ok"),
                Line("354 go"),
                Line("250 taken"),
            ],
            ["550", "250"],
        ),
        // DATA.
        (
            &[
                Line("220 hi"),
                Line("250 hi"),
                Line("250 ok"),
                Line("250 ok"),
                Line("250 ok"),
                Line("452 4.3.1 Full"),
            ],
            ["452", "452"],
        ),
        (
            &[
                Line("220 hi"),
                Line("250 hi"),
                Line("250 ok"),
                Line("250 ok"),
                Line("250 ok"),
                Line("554 5.6.0 Never"),
            ],
            ["554", "554"],
        ),
        (
            &[
                Line("220 hi"),
                Line("250 hi"),
                Line("250 ok"),
                Line("250 ok"),
                Line("250 ok"),
                Reset,
            ],
            ["451", "451"],
        ),
        // The end of the message.
        (
            &[
                Line("220 hi"),
                Line("250 hi"),
                Line("250 ok"),
                Line("250 ok"),
                Line("250 ok"),
                Line("354 go"),
                Line("451 4.3.0 Not now"),
            ],
            ["451", "451"],
        ),
        (
            &[
                Line("220 hi"),
                Line("250 hi"),
                Line("250 ok"),
                Line("250 ok"),
                Line("250 ok"),
                Line("354 go"),
                Line("554 5.6.0 Spam"),
            ],
            ["554", "554"],
        ),
        // Between the dot and the answer nobody knows; "later" makes a second copy at worst.
        (
            &[
                Line("220 hi"),
                Line("250 hi"),
                Line("250 ok"),
                Line("250 ok"),
                Line("250 ok"),
                Line("354 go"),
                Reset,
            ],
            ["451", "451"],
        ),
    ] {
        let (address, _) = hop(script).await;
        let world = world(address, "").await;
        let delivery = send(world.address(), &["bob@example.net", "dan@example.net"]).await;
        let heard = [0, 1].map(|index| delivery.outcome(index).code().to_string());
        assert_eq!(heard, expected, "{script:?}: {delivery:?}");
    }
}

#[tokio::test]
async fn invariant_10_a_reset_between_the_dot_and_the_answer_is_tried_again() {
    let (address, connections) = hop(&[
        Line("220 hi"),
        Line("250 hi"),
        Line("250 ok"),
        Line("250 ok"),
        Line("354 go"),
        Reset,
    ])
    .await;
    let world = world(address, "").await;
    let delivery = send(world.running.doors()[1], &["bob@example.net"]).await;
    assert!(delivery.outcome(0).is_positive());
    eventually(async || {
        let queue = world.gateway.list_queue(None, 10).await.unwrap();
        let [message] = &queue[..] else { return false };
        let [recipient] = &message.recipients[..] else {
            return false;
        };
        recipient.state == "queued" && recipient.attempts == 1 && recipient.node.is_none()
    })
    .await;
    // A next hop that failed is left alone for a second.
    eventually(async || {
        world.clock.advance(policies::time::Span::hours(5));
        connections.load(Ordering::SeqCst) >= 2
    })
    .await;
    let queue = world.gateway.list_queue(None, 10).await.unwrap();
    assert_eq!(queue[0].recipients[0].state, "queued");
}

/// Offers STARTTLS and then does not keep its word.
async fn breaks_tls(octets: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let _ = stream.write_all(b"220 hi\r\n").await;
                for answer in ["250-hop.test\r\n250 STARTTLS\r\n", "220 go ahead\r\n"] {
                    let mut line = Vec::new();
                    if !matches!(stream.read_until(b'\n', &mut line).await, Ok(1..)) {
                        return;
                    }
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
                // After the first octets of the handshake.
                let _ = stream.fill_buf().await;
                let _ = stream.write_all(octets).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn tls_that_breaks_means_later_and_never_plain_text() {
    for octets in [
        &b""[..],
        b"250 this is not TLS\r\n",
        // A fatal alert: handshake_failure.
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x16\x03\x03\x40\x00",
    ] {
        let address = breaks_tls(octets).await;
        let world = world(address, "tls = \"opportunistic\"\n").await;
        let delivery = send(world.address(), &["bob@example.net"]).await;
        let reply = delivery.outcome(0);
        assert!(reply.is_transient(), "{octets:?}: {reply}");
        let queued = send(world.running.doors()[1], &["bob@example.net"]).await;
        assert!(queued.outcome(0).is_positive());
        eventually(async || {
            let queue = world.gateway.list_queue(None, 10).await.unwrap();
            let recipients = queue.iter().flat_map(|message| &message.recipients);
            recipients.clone().any(|one| one.state == "queued" && one.attempts == 1)
        })
        .await;
    }
}

/// Takes its time over every message.
#[derive(Debug, Clone)]
struct Slow {
    taken: Arc<AtomicUsize>,
    /// Messages under way that are passed through, as the names of their recipients say.
    passed: Arc<AtomicUsize>,
    is_passed: bool,
    pause: Duration,
}

impl Service for Slow {
    type Session = Self;

    fn connect(&self, _peer: SocketAddr) -> Result<Self, Reply> {
        Ok(self.clone())
    }
}

impl Session for Slow {
    fn greeted(&mut self, _peer: &Peer) {}

    async fn mail(&mut self, _from: MailFrom) -> Reply {
        Reply::ok([2, 1, 0], "Ok")
    }

    async fn rcpt(&mut self, to: RcptTo) -> Reply {
        // A mailbox on a machine that does not answer.
        if to.address.starts_with("silent") {
            std::future::pending::<()>().await;
        }
        self.is_passed = to.address.starts_with("passed");
        Reply::ok([2, 1, 5], "Ok")
    }

    async fn data(&mut self, _message: Vec<u8>) -> Reply {
        self.passed.fetch_add(usize::from(self.is_passed), Ordering::SeqCst);
        tokio::time::sleep(self.pause).await;
        self.taken.fetch_add(1, Ordering::SeqCst);
        Reply::ok([2, 0, 0], "Taken")
    }

    async fn reset(&mut self) {}
}

async fn slow(pause: Duration) -> (SocketAddr, Slow) {
    let slow = Slow {
        taken: Arc::default(),
        passed: Arc::default(),
        is_passed: false,
        pause,
    };
    (listen(Settings::new("slow.test"), slow.clone()).await, slow)
}

#[tokio::test]
async fn a_slow_next_hop_slows_down_nobody_but_its_own_messages() {
    let (address, slow) = slow(Duration::from_millis(400)).await;
    let world = world(address, "").await;
    assert!(
        send(world.address(), &["bob@example.net"])
            .await
            .outcome(0)
            .is_positive()
    );
    // Half open: it has taken the connection and says nothing any more. The others go past it.
    let door = world.address();
    let stuck = tokio::spawn(async move { send(door, &["silent@example.net"]).await });
    let began = Instant::now();
    let all = (0..10).map(|_| send(door, &["bob@example.net"]));
    for delivery in futures_util::future::join_all(all).await {
        assert!(delivery.outcome(0).is_positive());
    }
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}: side by side",
        began.elapsed()
    );
    assert!(!stuck.is_finished());
    stuck.abort();
    // The queue takes messages at its own speed, whatever the next hop does.
    let queue = world.running.doors()[1];
    let began = Instant::now();
    let before = slow.taken.load(Ordering::SeqCst);
    for _ in 0..3 {
        assert!(send(queue, &["bob@example.net"]).await.outcome(0).is_positive());
    }
    let accepted = began.elapsed();
    eventually(async || slow.taken.load(Ordering::SeqCst) == before + 3).await;
    assert!(accepted < began.elapsed(), "250 does not wait for the next hop");
}

#[tokio::test]
async fn invariant_10_a_shutdown_lets_deliveries_end_and_repeats_none() {
    let (address, slow) = slow(Duration::from_millis(300)).await;
    let world = world(address, "").await;
    for _ in 0..5 {
        let delivery = send(world.running.doors()[1], &["bob@example.net"]).await;
        assert!(delivery.outcome(0).is_positive());
    }
    // And one that is passed through and has not been answered yet.
    let door = world.address();
    let passed = tokio::spawn(async move { send(door, &["passed@example.net"]).await });
    eventually(async || slow.passed.load(Ordering::SeqCst) == 1).await;
    let world = world.restart().await;
    assert!(
        passed.await.unwrap().outcome(0).is_positive(),
        "its answer came before the end"
    );
    eventually(async || world.gateway.list_queue(None, 10).await.unwrap().is_empty()).await;
    assert_eq!(slow.taken.load(Ordering::SeqCst), 6);
}
