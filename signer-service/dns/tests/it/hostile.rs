//! Servers that lie, on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dns::{LocalAnswerer, Resolver, ResolverConfig};
use tokio::net::UdpSocket;

use crate::{name, told};

/// A server whose datagrams `answer` makes from the question; what is not answered there goes unanswered.
async fn liar(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for datagram in answer(&buffer[..length]) {
                let _ = socket.send_to(&datagram, from).await;
            }
        }
    });
    address
}

fn resolver(server: SocketAddr) -> Resolver {
    let mut config = ResolverConfig::new(vec![server]);
    config.limits.time_of_a_try = Duration::from_millis(150);
    config.limits.tries = 2;
    Resolver::new(&config).unwrap()
}

/// The question's bytes with the flags of a response and another code.
fn with_code(question: &[u8], code: u8) -> Vec<u8> {
    let mut response = question.to_vec();
    response[2] |= 0x80;
    response[3] = code;
    response
}

async fn told_about(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> String {
    told(&resolver(liar(answer).await).txt(&name("www.example.com")).await)
}

#[tokio::test]
async fn refusals_are_failures_and_not_absence() {
    for (code, word) in [
        (1, "FORMERR"),
        (2, "SERVFAIL"),
        (4, "NOTIMP"),
        (5, "REFUSED"),
        (9, "NOTAUTH"),
    ] {
        let told = told_about(move |question| vec![with_code(question, code)]).await;
        assert!(told.starts_with("failed: the server answered"), "{word}: {told}");
    }
}

#[tokio::test]
async fn an_empty_answer_proves_nothing() {
    for code in [0, 3] {
        let told = told_about(move |question| vec![with_code(question, code)]).await;
        assert!(told.starts_with("bogus") || told.starts_with("failed"), "{told}");
    }
}

#[tokio::test]
async fn silence_is_a_timeout_and_garbage_is_not_read() {
    assert_eq!(
        told_about(|_| Vec::new()).await,
        "failed: no server answered in time about www.example.com"
    );
    let told = told_about(|question| vec![[&question[..2], &[0x80, 0, 0xff, 0xff][..]].concat()]).await;
    assert!(
        told.starts_with("failed: the answer about www.example.com cannot be read"),
        "{told}"
    );
}

#[tokio::test]
async fn answers_to_other_questions_are_dropped() {
    // Another number, another name, not a response at all.
    let other_number = |question: &[u8]| {
        let mut response = with_code(question, 3);
        response[0] ^= 0xff;
        vec![response]
    };
    assert_eq!(
        told_about(other_number).await,
        "failed: no server answered in time about www.example.com"
    );
    let other_name = |question: &[u8]| {
        let mut response = with_code(question, 3);
        response[13] = b'x';
        vec![response]
    };
    assert_eq!(
        told_about(other_name).await,
        "failed: no server answered in time about www.example.com"
    );
    let echo = |question: &[u8]| vec![question.to_vec()];
    assert_eq!(
        told_about(echo).await,
        "failed: no server answered in time about www.example.com"
    );
    // Guessing goes on for a while only.
    let flood = |question: &[u8]| vec![vec![question[0] ^ 1, 0, 0]; 100];
    assert!(told_about(flood).await.starts_with("failed"));
}

#[tokio::test]
async fn a_guess_must_hit_the_spelling_too() {
    // All lower case, as somebody would guess who knows everything else: it leads to TCP, where nobody listens.
    let lower = |question: &[u8]| {
        let mut response = with_code(question, 3);
        let end = response.len();
        response[12..end.min(29)].make_ascii_lowercase();
        vec![response]
    };
    let told = told_about(lower).await;
    assert!(told.starts_with("failed") || told.starts_with("bogus"), "{told}");
}

#[tokio::test]
async fn a_truncated_answer_without_tcp_is_a_failure() {
    let truncated = |question: &[u8]| {
        let mut response = with_code(question, 0);
        response[2] |= 2;
        vec![response]
    };
    let told = told_about(truncated).await;
    assert!(told.starts_with("failed: the servers could not be reached"), "{told}");
}

#[tokio::test]
async fn a_forger_in_front_of_an_honest_server_gains_nothing() {
    // Everything is passed on to the honest server, except that the one answer about www becomes "there is nothing".
    let local = LocalAnswerer::start().unwrap();
    local.zone().set(
        &name("www.example.com"),
        vec![dns::LocalData::Text("genuine".to_owned())],
    );
    let upstream = local.address();
    let forged = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&forged);
    let server = liar(move |question| {
        let lower = question.to_ascii_lowercase();
        if lower.windows(4).any(|window| window == b"\x03www") {
            count.fetch_add(1, Ordering::SeqCst);
            return vec![with_code(question, 0)];
        }
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.send_to(question, upstream).unwrap();
        let mut buffer = vec![0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        vec![buffer[..length].to_vec()]
    })
    .await;
    let mut config = local.resolver_config();
    config.servers = vec![server];
    let resolver = Resolver::new(&config).unwrap();
    let told = told(&resolver.txt(&name("www.example.com")).await);
    assert!(
        told.starts_with("bogus: that www.example.com has no TXT records is not proved"),
        "{told}"
    );
    assert!(forged.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn flipped_bits_never_make_a_secure_answer() {
    // Every answer is damaged at one place: what comes out is the truth or no answer, never something else.
    let local = LocalAnswerer::start().unwrap();
    local.zone().set(
        &name("www.example.com"),
        vec![dns::LocalData::Text("genuine".to_owned())],
    );
    let upstream = local.address();
    for place in (12..220).step_by(7) {
        let server = liar(move |question| {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            socket.send_to(question, upstream).unwrap();
            let mut buffer = vec![0; 4096];
            let length = socket.recv(&mut buffer).unwrap();
            buffer.truncate(length);
            let place = place % length;
            buffer[place] ^= 0x11;
            vec![buffer]
        })
        .await;
        let mut config = local.resolver_config();
        config.servers = vec![server];
        config.limits.tries = 1;
        config.limits.time_of_a_try = Duration::from_millis(200);
        let resolver = Resolver::new(&config).unwrap();
        let answer = resolver.txt(&name("www.example.com")).await;
        match &answer {
            dns::Answer::Secure(found) => assert_eq!(found.records[0].0, b"genuine", "{place}"),
            dns::Answer::Bogus(_) | dns::Answer::Failed(_) => {}
            other => panic!("{place}: {other:?}"),
        }
    }
}
