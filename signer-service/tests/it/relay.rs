//! The relay between a sender and the next hop.

use std::net::SocketAddr;

use smtp::Reply;
use smtp::client::ClientError;
use smtp::envelope::{Body, MailFrom, RcptTo};
use smtp::server::{Service, Session, Settings};
use smtp::sink::Sink;

use crate::support::{check_transport, find, openssl_verifies};
use crate::world::{ALICE_WRITES, Mood, World, listen, nobody};

#[track_caller]
fn check(reply: &Reply, code: u16, enhanced: [u16; 3], words: &str) {
    assert_eq!((reply.code(), reply.enhanced()), (code, Some(enhanced)), "{reply}");
    assert!(reply.text().contains(words), "{reply}");
}

#[tokio::test]
async fn what_arrives_is_signed_and_traced() {
    let world = World::new().await;
    assert!(world.alice_writes().await.is_positive());
    let message = &world.sink.messages()[0];
    let text = String::from_utf8(message.content.clone()).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines[0], "Received: from sender.test ([127.0.0.1])");
    assert_eq!(lines[1], " by gateway.test (Sealwright)");
    assert!(
        lines[2].starts_with(" with ESMTP id ") && lines[2].len() == " with ESMTP id ".len() + 16,
        "{}",
        lines[2]
    );
    assert_eq!(
        lines[3..6],
        [
            " for <bob@example.net>;",
            " Fri, 02 Jan 2026 00:00:00 +0000",
            "From: Alice <alice@example.com>"
        ]
    );
    assert!(!text.contains("carol"));
    check_transport(&message.content);
    openssl_verifies(&message.content, world.authority());
    assert_eq!(
        (message.from.address.as_str(), message.recipients[0].address.as_str()),
        ("alice@example.com", "bob@example.net")
    );
}

#[tokio::test]
async fn each_recipient_has_the_answer_of_the_next_hop() {
    let world = World::new().await;
    let refusal = Reply::new(452, Some([4, 2, 2]), "Mailbox full");
    world.sink.refuse("full@example.net", refusal.clone());
    world
        .sink
        .refuse("nobody@example.net", Reply::refused([5, 1, 1], "No such mailbox"));
    let delivery = world
        .deliver(
            "alice@example.com",
            &[
                "full@example.net",
                "bob@example.net",
                "nobody@example.net",
                "dan@example.net",
            ],
            ALICE_WRITES,
        )
        .await;
    assert_eq!(delivery.outcome(0), &refusal);
    check(delivery.outcome(1), 250, [2, 0, 0], "Kept");
    check(delivery.outcome(2), 550, [5, 1, 1], "No such mailbox");
    let arrived = world.sink.messages();
    assert_eq!(
        arrived[0]
            .recipients
            .iter()
            .map(|to| to.address.as_str())
            .collect::<Vec<_>>(),
        ["bob@example.net", "dan@example.net"]
    );
    assert!(
        find(&arrived[0].content, b" for <").is_none(),
        "no recipient is told of the others"
    );
    check(
        &world
            .send("alice@example.com", &["nobody@example.net"], ALICE_WRITES)
            .await,
        550,
        [5, 1, 1],
        "No such mailbox",
    );
}

#[tokio::test]
async fn a_next_hop_that_is_down_means_later() {
    let world = World::with_next_hop(nobody()).await;
    check(&world.alice_writes().await, 451, [4, 4, 1], "cannot be reached");
    assert_eq!(
        world.ca.orders().len(),
        0,
        "nothing is enrolled for mail that goes nowhere"
    );
}

/// A next hop that answers MAIL and the message as it is told.
#[derive(Clone)]
struct Moody {
    mail: Reply,
    message: Reply,
}

impl Service for Moody {
    type Session = Self;

    fn connect(&self, _peer: SocketAddr) -> Result<Self, Reply> {
        Ok(self.clone())
    }
}

impl Session for Moody {
    async fn mail(&mut self, _from: MailFrom) -> Reply {
        self.mail.clone()
    }

    async fn rcpt(&mut self, _to: RcptTo) -> Reply {
        Reply::ok([2, 1, 5], "yes")
    }

    async fn data(&mut self, _message: Vec<u8>) -> Reply {
        self.message.clone()
    }

    async fn reset(&mut self) {}
}

#[tokio::test]
async fn the_last_word_is_that_of_the_next_hop() {
    let ok = Reply::ok([2, 0, 0], "taken");
    for (message, expected) in [
        (
            Reply::new(554, Some([5, 7, 1]), "spam"),
            Reply::new(554, Some([5, 7, 1]), "spam"),
        ),
        (
            Reply::new(452, Some([4, 3, 1]), "disk full"),
            Reply::new(452, Some([4, 3, 1]), "disk full"),
        ),
        (
            Reply::closing([4, 3, 2], "going home"),
            Reply::try_later([4, 4, 2], "The next mail server is closing its connection: going home"),
        ),
        (ok.clone(), ok.clone()),
    ] {
        let world = World::with_next_hop(
            listen(
                Settings::new("moody.test"),
                Moody {
                    mail: ok.clone(),
                    message,
                },
            )
            .await,
        )
        .await;
        assert_eq!(world.alice_writes().await, expected);
    }
    for mail in [
        Reply::refused([5, 7, 1], "not you"),
        Reply::try_later([4, 7, 1], "greylisted"),
    ] {
        let world = World::with_next_hop(
            listen(
                Settings::new("moody.test"),
                Moody {
                    mail: mail.clone(),
                    message: ok.clone(),
                },
            )
            .await,
        )
        .await;
        assert_eq!(world.alice_writes().await, mail);
    }
}

#[tokio::test]
async fn a_next_hop_that_takes_less_than_the_signed_message() {
    let sink = Sink::new();
    let next_hop = listen(
        Settings {
            max_message_size: 2500,
            ..Settings::new("small.test")
        },
        sink.clone(),
    )
    .await;
    let world = World::with_next_hop(next_hop).await;
    check(
        &world.alice_writes().await,
        552,
        [5, 3, 4],
        "too large with its signature",
    );
    assert_eq!(sink.messages().len(), 0);
}

#[tokio::test]
async fn strangers_are_turned_away_at_the_door() {
    let sink = Sink::new();
    let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
    let world = World::with(
        sink,
        next_hop,
        "networks = [\"192.0.2.0/24\"]\nmay_sign_for = [\"example.com\"]",
    )
    .await;
    match world.connect().await {
        Err(ClientError::Refused { reply, .. }) => check(&reply, 554, [5, 7, 1], "127.0.0.1 may not send mail here"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nobody_sends_as_somebody_else() {
    let world = World::new().await;
    for (from, code, enhanced, words) in [
        (
            "From: mallory@example.net",
            550,
            [5, 7, 1],
            "may not sign for mallory@example.net",
        ),
        (
            "From: alice@example.com\r\nFrom: mallory@example.net",
            554,
            [5, 6, 0],
            "2 From fields",
        ),
        (
            "From: alice@example.com, mallory@example.net",
            554,
            [5, 6, 0],
            "several mailboxes",
        ),
        ("From: Team: alice@example.com;", 554, [5, 6, 0], "group"),
        ("Subject: anonymous", 554, [5, 6, 0], "no From field"),
        (
            "From: alice@example.com\r\nContent-Type: text/plain\r\nContent-Type: text/html",
            554,
            [5, 6, 0],
            "Content-Type",
        ),
        (
            "From: alice@example.com\r\nContent-Type: multipart/mixed; boundary=b",
            554,
            [5, 6, 0],
            "closing delimiter",
        ),
    ] {
        let message = format!("{from}\r\nSender: alice@example.com\r\n\r\nx\r\n");
        check(
            &world.send("alice@example.com", &["bob@example.net"], &message).await,
            code,
            enhanced,
            words,
        );
    }
    assert_eq!(world.sink.messages().len(), 0);
}

#[tokio::test]
async fn a_session_goes_on_after_a_refusal() {
    let world = World::new().await;
    let mut connection = world.connect().await.unwrap();
    let recipients = [RcptTo::new("bob@example.net")];
    for _ in 0..2 {
        let refused = connection
            .send(
                &MailFrom::new("a@example.com"),
                &recipients,
                b"From: mallory@example.net\r\n\r\nx\r\n",
            )
            .await
            .unwrap();
        check(refused.outcome(0), 550, [5, 7, 1], "mallory");
        let taken = connection
            .send(&MailFrom::new("a@example.com"), &recipients, ALICE_WRITES.as_bytes())
            .await
            .unwrap();
        assert!(taken.outcome(0).is_positive());
    }
    assert_eq!(world.sink.messages().len(), 2);
}

#[tokio::test]
async fn what_is_protected_already_passes_untouched() {
    let world = World::new().await;
    assert!(world.alice_writes().await.is_positive());
    let signed = world.last();
    let orders = world.ca.orders().len();
    for message in [
        String::from_utf8(signed).unwrap(),
        "From: alice@example.com\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\nMIAGCSqGSIb3DQEHA6CA\r\n".to_owned(),
        "From: alice@example.com\r\nContent-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b\r\n\r\n--b\r\n\r\nx \r\n--b--\r\n".to_owned(),
    ] {
        assert!(world.send("alice@example.com", &["bob@example.net"], &message).await.is_positive());
        let arrived = world.last();
        let trace = find(&arrived, b" +0000\r\n").unwrap() + 8;
        assert_eq!(String::from_utf8_lossy(&arrived[trace..]), message);
    }
    assert_eq!(world.ca.orders().len(), orders);
}

#[tokio::test]
async fn notifications_are_signed_only_if_there_is_an_identity() {
    let world = World::new().await;
    let notification = "From: alice@example.com\r\nAuto-Submitted: auto-replied\r\n\r\nI am away\r\n";
    assert!(world.send("", &["bob@example.net"], notification).await.is_positive());
    assert!(find(&world.last(), b"multipart/signed").is_none());
    let bounce = "From: MAILER-DAEMON@mail.example.com (Mail Delivery System)\r\n\r\nSorry\r\n";
    assert!(world.send("", &["bob@example.net"], bounce).await.is_positive());
    assert_eq!(world.ca.orders().len(), 0);
    assert!(world.alice_writes().await.is_positive());
    assert!(world.send("", &["bob@example.net"], notification).await.is_positive());
    openssl_verifies(&world.last(), world.authority());
    assert_eq!(world.sink.messages().last().unwrap().from.address, "");
}

#[tokio::test]
async fn circles_are_broken() {
    let world = World::new().await;
    let hops = |count: usize, by: &str| {
        format!(
            "{}{ALICE_WRITES}",
            format!("Received: from x\r\n by {by} with SMTP; now\r\n").repeat(count)
        )
    };
    check(
        &world
            .send("alice@example.com", &["bob@example.net"], &hops(50, "x.test"))
            .await,
        554,
        [5, 4, 6],
        "circles",
    );
    check(
        &world
            .send(
                "alice@example.com",
                &["bob@example.net"],
                &hops(3, "GATEWAY.test (Sealwright)"),
            )
            .await,
        554,
        [5, 4, 6],
        "circles",
    );
    assert!(
        world
            .send(
                "alice@example.com",
                &["bob@example.net"],
                &hops(2, "gateway.test (Sealwright)")
            )
            .await
            .is_positive()
    );
}

#[tokio::test]
async fn international_mail() {
    let world = World::new().await;
    let message = "From: Jürgen <alice@example.com>\r\nSubject: Grüße\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n";
    let from = MailFrom {
        smtputf8: true,
        body: Body::EightBitMime,
        ..MailFrom::new("alice@example.com")
    };
    let delivery = world
        .connect()
        .await
        .unwrap()
        .send(&from, &[RcptTo::new("jürgen@example.net")], message.as_bytes())
        .await
        .unwrap();
    assert!(delivery.outcome(0).is_positive(), "{delivery:?}");
    let arrived = &world.sink.messages()[0];
    assert!(arrived.from.smtputf8);
    assert_eq!(arrived.recipients[0].address, "jürgen@example.net");
    assert!(find(&arrived.content, b"with UTF8SMTP id").is_some());
    assert!(
        find(
            &arrived.content,
            "From: Jürgen <alice@example.com>\r\nSubject: Grüße\r\n".as_bytes()
        )
        .is_some()
    );
    check_transport(&arrived.content);
    openssl_verifies(&arrived.content, world.authority());
}

#[tokio::test]
async fn a_failed_signature_leaves_the_next_hop_without_a_message() {
    let world = World::new().await;
    world.ca.set(Mood::Pending);
    check(&world.alice_writes().await, 451, [4, 7, 1], "");
    assert_eq!(world.sink.messages().len(), 0);
}
