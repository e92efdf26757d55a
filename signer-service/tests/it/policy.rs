//! Policy and wishes, seen from both ends of the relay.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use smtp::Reply;
use smtp::envelope::{MailFrom, Parameter, RcptTo};
use smtp::server::{Extension, Service, Session, Settings};
use smtp::sink::Sink;

use crate::support::{find, openssl_verifies};
use crate::world::{ALICE_WRITES, Mood, World, listen};

const NETWORK: &str = "networks = [\"127.0.0.0/8\"]\nmay_sign_for = [\"example.com\"]\n";

/// A relay with further lines of configuration: first for the sender, then tables.
async fn world(more: &str) -> World {
    let sink = Sink::new();
    let settings = Settings {
        extensions: vec![Extension::DSN],
        ..Settings::new("sink.test")
    };
    let next_hop = listen(settings, sink.clone()).await;
    World::with(sink, next_hop, &format!("{NETWORK}{more}")).await
}

fn subject(subject: &str) -> String {
    ALICE_WRITES.replace("Subject: Test", &format!("Subject: {subject}"))
}

fn is_signed(message: &[u8]) -> bool {
    find(message, b"multipart/signed").is_some()
}

#[track_caller]
fn check(reply: &Reply, code: u16, enhanced: [u16; 3], words: &str) {
    assert_eq!((reply.code(), reply.enhanced()), (code, Some(enhanced)), "{reply}");
    assert!(reply.text().contains(words), "{reply}");
}

#[tokio::test]
async fn what_shall_be_encrypted_is_never_sent_in_clear() {
    let world = world("[policy.system]\nsecure_flags = [\"[secure]\", \"[sicher]\"]\nsecure_sensitivity = [\"company-confidential\"]\nsign = \"no\"").await;
    for message in [
        subject("[secure] Test"),
        subject("Test [SECURE]"),
        subject("=?utf-8?B?W3NlY3VyZV0gR3LDvMOfZQ==?="),
        subject("AW: [Sicher] Test"),
        subject("[clear] [secure] Test"),
        subject("Test\r\nX-Sealwright-Encrypt: yes"),
        subject("Test\r\nSensitivity: Company-Confidential"),
        subject("[secure]").replace("text/plain; charset=utf-8", "multipart/signed; boundary=b"),
    ] {
        let reply = world.send("alice@example.com", &["bob@example.net"], &message).await;
        check(&reply, 554, [5, 7, 4], "cannot be for bob@example.net");
        let null = world.send("", &["bob@example.net"], &message).await;
        check(&null, 554, [5, 7, 4], "sent to nobody");
    }
    assert_eq!(world.sink.messages().len(), 0);
}

#[tokio::test]
async fn flags_are_obeyed_as_far_as_policy_goes_and_never_sent() {
    let world =
        world("[policy.system]\nsign = \"no\"\n[policy.mailbox.\"carol@example.com\"]\nsign = \"required\"").await;
    for (subject_line, signed) in [("Test", false), ("[sign] Test", true), ("Test [clear]", false)] {
        let reply = world
            .send("alice@example.com", &["bob@example.net"], &subject(subject_line))
            .await;
        assert!(reply.is_positive(), "{reply}");
        assert_eq!(is_signed(&world.last()), signed, "{subject_line}");
        assert!(find(&world.last(), b"\r\nSubject: Test\r\n").is_some());
    }
    openssl_verifies(&world.sink.messages()[1].content, world.authority());
    let carol = subject("[clear] Test").replace("alice@", "carol@");
    let reply = world.send("carol@example.com", &["bob@example.net"], &carol).await;
    check(&reply, 550, [5, 7, 1], "policy.mailbox.\"carol@example.com\"");
    let both = subject("[clear] Test [sign]");
    let reply = world.send("alice@example.com", &["bob@example.net"], &both).await;
    check(&reply, 554, [5, 6, 0], "two things at once");
}

#[tokio::test]
async fn without_a_certificate_mail_is_sent_or_held_as_policy_says() {
    let world = world("[policy.domain.\"example.com\"]\nsign = \"yes\"").await;
    world.ca.set(Mood::NotValidated);
    assert!(world.alice_writes().await.is_positive());
    assert!(!is_signed(&world.last()));
    world.ca.set(Mood::Unavailable);
    assert_eq!(
        world.alice_writes().await.code(),
        451,
        "what may get better is waited for"
    );
    // A message that asks to be signed is.
    world.ca.set(Mood::NotValidated);
    let reply = world
        .send("alice@example.com", &["bob@example.net"], &subject("[sign] Test"))
        .await;
    check(&reply, 550, [5, 7, 1], "nobody has validated it");
    assert_eq!(world.sink.messages().len(), 1);
}

#[tokio::test]
async fn exceptions_pass_unsigned() {
    let world = world("[policy.system]\ncalendar = \"pass\"\nlists = \"pass\"\nautomatic = \"pass\"").await;
    assert!(world.alice_writes().await.is_positive(), "Alice has a certificate now");
    let invitation = ALICE_WRITES.replace("text/plain; charset=utf-8", "text/calendar; method=REQUEST");
    let in_parts = ALICE_WRITES
        .replace("text/plain; charset=utf-8", "multipart/alternative; boundary=b")
        .replace(
            "Hello Bob\r\n",
            "--b\r\n\r\nx\r\n--b\r\nContent-Type: text/calendar; method=REPLY\r\n\r\nx\r\n--b--\r\n",
        );
    for (message, signed) in [
        (invitation.clone(), false),
        (in_parts, false),
        (format!("List-Id: <l.example.com>\r\n{ALICE_WRITES}"), false),
        (format!("Auto-Submitted: auto-replied\r\n{ALICE_WRITES}"), false),
        (invitation.replace("; method=REQUEST", ""), true),
        (invitation.replace("Subject: Test", "Subject: Test [sign]"), true),
    ] {
        let reply = world.send("alice@example.com", &["bob@example.net"], &message).await;
        assert!(reply.is_positive(), "{reply}");
        assert_eq!(is_signed(&world.last()), signed, "{message}");
    }
}

#[tokio::test]
async fn fields_are_wishes_of_trusted_senders_only() {
    for (line, obeyed) in [("trust_fields = true", true), ("", false)] {
        let world = world(&format!("{line}\n[policy.system]\nsign = \"yes\"")).await;
        let message = format!("X-Sealwright-Sign: no\r\nx-sealwright-Other: 1\r\n{ALICE_WRITES}");
        let reply = world.send("alice@example.com", &["bob@example.net"], &message).await;
        if obeyed {
            check(&reply, 554, [5, 6, 0], "x-sealwright-Other");
        } else {
            assert!(reply.is_positive());
            assert!(is_signed(&world.last()));
            assert!(find(&world.last().to_ascii_lowercase(), b"x-sealwright").is_none());
        }
        let message = format!("X-Sealwright-Sign: no\r\n{ALICE_WRITES}");
        assert!(
            world
                .send("alice@example.com", &["bob@example.net"], &message)
                .await
                .is_positive()
        );
        assert_eq!(is_signed(&world.last()), !obeyed);
        assert!(find(&world.last(), b"X-Sealwright").is_none());
        let message = format!("X-Sealwright-Format: opaque\r\n{ALICE_WRITES}");
        assert!(
            world
                .send("alice@example.com", &["bob@example.net"], &message)
                .await
                .is_positive()
        );
        assert_eq!(find(&world.last(), b"smime-type=signed-data").is_some(), obeyed);
    }
}

const OPAQUE_FOR_ORG: &str =
    "[policy.recipient.\"example.org\"]\nformat = \"opaque\"\n[policy.recipient.\"list@example.org\"]\nsign = \"no\"";

#[tokio::test]
async fn each_recipient_gets_what_is_agreed_with_it() {
    let world = world(OPAQUE_FOR_ORG).await;
    let to = [
        "bob@example.net",
        "eve@example.org",
        "dan@example.net",
        "list@example.org",
    ];
    let delivery = world.deliver("alice@example.com", &to, ALICE_WRITES).await;
    for recipient in 0..4 {
        assert!(delivery.outcome(recipient).is_positive(), "{delivery:?}");
    }
    let arrived: Vec<(Vec<String>, Vec<u8>)> = world
        .sink
        .messages()
        .into_iter()
        .map(|message| {
            let recipients = message.recipients.iter().map(|to| to.address.clone()).collect();
            (recipients, message.content.clone())
        })
        .collect();
    let [clear, opaque, plain] = arrived.as_slice() else {
        panic!("three copies: {arrived:?}")
    };
    assert_eq!(clear.0, ["bob@example.net", "dan@example.net"]);
    openssl_verifies(&clear.1, world.authority());
    assert_eq!(opaque.0, ["eve@example.org"]);
    assert!(find(&opaque.1, b"smime-type=signed-data").is_some());
    assert_eq!(plain.0, ["list@example.org"]);
    assert!(find(&plain.1, b"\r\n\r\nHello Bob").is_some());
    assert!(find(&clear.1, b"example.org").is_none(), "nobody learns of the others");
}

#[tokio::test]
async fn a_copy_that_is_late_does_not_repeat_the_others() {
    let world = world(OPAQUE_FOR_ORG).await;
    let to = ["bob@example.net", "eve@example.org"];
    // Accepted when the sender asks, refused when the second copy goes out: then the sender tries everything again.
    let picky = Picky::default();
    let next_hop = listen(Settings::new("picky.test"), picky.clone()).await;
    drop(world);
    let world = World::with(Sink::new(), next_hop, &format!("{NETWORK}{OPAQUE_FOR_ORG}")).await;
    *picky.message.lock().unwrap() = Some(Reply::try_later([4, 3, 1], "disk full"));
    let delivery = world.deliver("alice@example.com", &to, ALICE_WRITES).await;
    check(delivery.outcome(0), 451, [4, 3, 1], "disk full");
    assert_eq!(picky.taken(), ["bob@example.net"]);
    *picky.message.lock().unwrap() = None;
    let delivery = world.deliver("alice@example.com", &to, ALICE_WRITES).await;
    assert!(delivery.outcome(0).is_positive());
    assert_eq!(picky.taken(), ["bob@example.net", "eve@example.org"]);
    // Another message is another matter, and a refusal for good names those who have it.
    *picky.message.lock().unwrap() = Some(Reply::refused([5, 7, 1], "spam"));
    let delivery = world.deliver("alice@example.com", &to, &subject("Other")).await;
    check(delivery.outcome(0), 550, [5, 7, 1], "was delivered to bob@example.net");
    assert_eq!(picky.taken().len(), 3);
}

/// Takes messages in clear form; of the others it says what it is told, once there is something.
#[derive(Clone, Default)]
struct Picky {
    message: Arc<Mutex<Option<Reply>>>,
    taken: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    transaction: Vec<String>,
}

impl Picky {
    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

impl Service for Picky {
    type Session = Self;

    fn connect(&self, _peer: SocketAddr) -> Result<Self, Reply> {
        self.connections.fetch_add(1, Ordering::SeqCst);
        Ok(self.clone())
    }
}

impl Session for Picky {
    async fn mail(&mut self, _from: MailFrom) -> Reply {
        self.transaction.clear();
        Reply::ok([2, 1, 0], "yes")
    }

    async fn rcpt(&mut self, to: RcptTo) -> Reply {
        self.transaction.push(to.address);
        Reply::ok([2, 1, 5], "yes")
    }

    async fn data(&mut self, message: Vec<u8>) -> Reply {
        if let Some(refusal) = self.message.lock().unwrap().clone()
            && !is_signed(&message)
        {
            return refusal;
        }
        self.taken.lock().unwrap().append(&mut self.transaction);
        Reply::ok([2, 0, 0], "taken")
    }

    async fn reset(&mut self) {
        self.transaction.clear();
    }
}

#[tokio::test]
async fn signatures_of_senders_are_replaced_if_they_are_intact() {
    let world = world("[policy.domain.\"example.com\"]\nalready_signed = \"strip-and-re-sign\"").await;
    let alice = crate::support::Alice::with(keys::testing::p256());
    let signed = alice.sign(ALICE_WRITES.as_bytes()).unwrap();
    let opaque = alice.sign_opaque(
        ALICE_WRITES.as_bytes(),
        signer_service::mime::signed::HeaderProtection::Clear,
    );
    for message in [&signed, &opaque] {
        let text = str::from_utf8(message).unwrap();
        assert!(
            world
                .send("alice@example.com", &["bob@example.net"], text)
                .await
                .is_positive()
        );
        let arrived = world.last();
        openssl_verifies(&arrived, world.authority());
        assert_eq!(
            crate::support::contents(&arrived),
            crate::support::contents(ALICE_WRITES.as_bytes())
        );
        assert_ne!(
            crate::support::signed_parts(&arrived).1,
            crate::support::signed_parts(&signed).1
        );
    }
    let changed = String::from_utf8(signed.clone())
        .unwrap()
        .replace("Hello Bob", "Hallo Bob");
    let reply = world.send("alice@example.com", &["bob@example.net"], &changed).await;
    check(&reply, 554, [5, 6, 0], "not intact");
    // Twice signed: the outer one is not the only one, so nothing is touched.
    let twice = String::from_utf8(alice.sign(&signed).unwrap()).unwrap();
    assert!(
        world
            .send("alice@example.com", &["bob@example.net"], &twice)
            .await
            .is_positive()
    );
    assert!(find(&world.last(), twice.as_bytes()).is_some());
}

#[tokio::test]
async fn connections_to_the_next_hop_are_shared() {
    let picky = Picky::default();
    let next_hop = listen(Settings::new("picky.test"), picky.clone()).await;
    let world = World::with(Sink::new(), next_hop, NETWORK).await;
    for _ in 0..10 {
        assert!(world.alice_writes().await.is_positive());
    }
    assert_eq!(picky.taken().len(), 10);
    assert_eq!(
        picky.connections.load(Ordering::SeqCst),
        1,
        "ten senders, one connection"
    );
}

#[tokio::test]
async fn whoever_finds_all_connections_busy_waits_for_one() {
    let picky = Picky::default();
    let next_hop = listen(Settings::new("picky.test"), picky.clone()).await;
    let world = World::with_next_hop_lines(Sink::new(), next_hop, "max_connections = 1", NETWORK).await;
    let mut first = world.connect().await.unwrap();
    assert!(
        first
            .mail(&MailFrom::new("alice@example.com"))
            .await
            .unwrap()
            .is_positive()
    );
    let ((), second) = tokio::join!(
        async {
            assert!(first.rcpt(&RcptTo::new("bob@example.net")).await.unwrap().is_positive());
            assert!(first.data(ALICE_WRITES.as_bytes()).await.unwrap().is_positive());
        },
        world.alice_writes()
    );
    assert!(second.is_positive(), "{second}");
    assert_eq!(picky.taken().len(), 2);
    assert_eq!(picky.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn notification_parameters_go_on_to_a_next_hop_that_knows_them() {
    let parameter = |text| Parameter::parse(text).unwrap();
    let from = MailFrom {
        parameters: vec![parameter("RET=HDRS"), parameter("ENVID=QQ314159")],
        ..MailFrom::new("alice@example.com")
    };
    let to = RcptTo {
        parameters: vec![
            parameter("NOTIFY=SUCCESS,FAILURE"),
            parameter("ORCPT=rfc822;bob@example.net"),
        ],
        ..RcptTo::new("bob@example.net")
    };
    let with_dsn = |sink: Sink, extensions| async move {
        let settings = Settings {
            extensions,
            ..Settings::new("sink.test")
        };
        let next_hop = listen(settings, sink.clone()).await;
        World::with_next_hop_lines(sink, next_hop, "dsn = true", NETWORK).await
    };
    let world = with_dsn(Sink::new(), vec![Extension::DSN]).await;
    let mut connection = world.connect().await.unwrap();
    assert!(connection.capabilities().offers("DSN"));
    let delivery = connection
        .send(&from, std::slice::from_ref(&to), ALICE_WRITES.as_bytes())
        .await
        .unwrap();
    assert!(delivery.outcome(0).is_positive(), "{delivery:?}");
    let arrived = &world.sink.messages()[0];
    assert_eq!(arrived.from.parameters, from.parameters);
    assert_eq!(arrived.recipients[0].parameters, to.parameters);

    let world = with_dsn(Sink::new(), Vec::new()).await;
    let mut connection = world.connect().await.unwrap();
    let delivery = connection.send(&from, &[to], ALICE_WRITES.as_bytes()).await.unwrap();
    check(delivery.outcome(0), 555, [5, 5, 4], "does not understand");
    assert_eq!(world.sink.messages().len(), 0);

    let world = World::new().await;
    assert!(!world.connect().await.unwrap().capabilities().offers("DSN"));
}
