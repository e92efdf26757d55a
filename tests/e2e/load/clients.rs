//! Our own client where `smtp-source` cannot tell what is asked: how long each message took.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smtp::client::{Connection, Target, Timeouts, TlsPolicy};
use smtp::envelope::{MailFrom, RcptTo};

use super::SENDER;
use super::report::Quantiles;

/// Sends at a steady rate, whatever the answers do, and counts from when a message should have gone.
pub(super) fn latency(address: SocketAddr, rate: f64, messages: usize, connections: usize) -> Quantiles {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (due, tickets) = tokio::sync::mpsc::unbounded_channel::<Instant>();
    let tickets = Arc::new(tokio::sync::Mutex::new(tickets));
    let workers: Vec<_> = (0..connections)
        .map(|_| {
            let tickets = tickets.clone();
            runtime.spawn(async move {
                let mut connection = connect(address).await;
                let message = message(SENDER, 10_000);
                let mut took = Vec::new();
                loop {
                    let ticket = tickets.lock().await.recv().await;
                    let Some(due) = ticket else { return took };
                    send(&mut connection, SENDER, &message).await;
                    took.push(due.elapsed());
                }
            })
        })
        .collect();
    // A thread of its own, since the timers of the runtime know whole milliseconds only.
    let pause = Duration::from_secs_f64(1.0 / rate);
    let began = Instant::now();
    for number in 0..u32::try_from(messages).unwrap_or(u32::MAX) {
        let at = began + pause * number;
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        if due.send(Instant::now()).is_err() {
            break;
        }
    }
    drop(due);
    let took = runtime.block_on(async {
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.await.expect("no connection panics"));
        }
        all
    });
    Quantiles::of(took)
}

/// How long the first message of a mailbox takes, one mailbox after the other.
pub(super) fn enrol(address: SocketAddr, mailboxes: usize) -> Quantiles {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut connection = connect(address).await;
        let mut took = Vec::new();
        for number in 0..mailboxes {
            let from = format!("clerk{number}@example.com");
            let message = message(&from, 2000);
            let began = Instant::now();
            send(&mut connection, &from, &message).await;
            took.push(began.elapsed());
        }
        Quantiles::of(took)
    })
}

pub(super) fn send_large(address: SocketAddr, octets: usize) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut connection = connect(address).await;
        send(&mut connection, SENDER, &message(SENDER, octets)).await;
    });
}

async fn connect(address: SocketAddr) -> Connection {
    let target = Target {
        host: address.ip().to_string(),
        port: address.port(),
        tls: TlsPolicy::Never,
    };
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("the provider has both versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
        .into();
    let connected = Connection::connect(&target, "bench.example", &tls, Timeouts::default()).await;
    connected.expect("the server listens")
}

async fn send(connection: &mut Connection, from: &str, message: &[u8]) {
    let to = [RcptTo::new("reader@recipient.example")];
    let delivery = connection.send(&MailFrom::new(from), &to, message).await;
    let delivery = delivery.expect("the server answers");
    assert!(delivery.outcome(0).is_positive(), "{}", delivery.outcome(0));
}

fn message(from: &str, octets: usize) -> Vec<u8> {
    let mut message = format!("From: <{from}>\r\nTo: <reader@recipient.example>\r\nSubject: Load\r\n\r\n").into_bytes();
    message.reserve(octets);
    while message.len() + 80 <= octets {
        message.extend_from_slice(&[b'X'; 78]);
        message.extend_from_slice(b"\r\n");
    }
    message
}
