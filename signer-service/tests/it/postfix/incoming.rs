//! A real Postfix that has incoming mail labelled by milter.

use std::sync::Arc;
use std::time::Duration;

use smtp::server::Settings;
use smtp::sink::{Message, Sink};

use super::converse;
use super::instance::{Layout, free_ports};
use crate::support::{Alice, find, openssl_command_verifies};
use crate::world::{World, listen};

const LETTER: &str = "From: Alice <alice@example.com>\r\nTo: Bob <bob@example.net>\r\nSubject: Invoice\r\nDate: Fri, 02 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\nHello Bob\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn incoming_mail_is_labelled_by_the_milter_of_a_real_postfix() {
    let Some(layout) = Layout::make() else { return };
    let milter = layout.socket_folder("milter").join("in.sock");
    let sink = Sink::new();
    let behind = listen(Settings::new("mailboxes.test"), sink.clone()).await;
    let lines = format!(
        "networks = [\"127.0.0.0/8\"]\nmay_sign_for = [\"example.com\"]\n[encryption]\ntrust_files = [\"../recipients-root.pem\"]\n[inbound]\nmilter = \"unix:{}\"\nauthserv_id = \"mx.example.com\"\n",
        milter.display()
    );
    let _world = World::with(sink.clone(), behind, &lines).await;
    let [port] = free_ports();
    let main = format!(
        "relayhost = [127.0.0.1]:{}\nmilter_protocol = 6\nmilter_default_action = tempfail\n",
        behind.port()
    );
    let master = format!(
        "127.0.0.1:{port} inet n - n - - smtpd\n  -o smtpd_milters=unix:{}\n",
        milter.display()
    );
    let starting = move || layout.start(&main, &master, &[port]);
    let postfix = tokio::task::spawn_blocking(starting).await.unwrap();

    let alice = Alice::with(keys::testing::p256());
    let signed = String::from_utf8(alice.sign(LETTER.as_bytes()).unwrap()).unwrap();
    let forged = "Authentication-Results: mx.example.com; smime=pass\r\nAuthentication-Results: other.test; spf=pass\r\nSealwright-Label: V4 Alice, Example Bank\r\n";
    for (kind, message, result) in [
        ("signed", signed.clone(), "smime=pass"),
        ("changed", signed.replace("Hello Bob", "Hallo Bob"), "smime=fail"),
        ("unsigned", LETTER.to_owned(), "smime=none"),
        ("forged", format!("{forged}{LETTER}"), "smime=none"),
    ] {
        let message = format!("X-Mark: {kind}\r\n{message}");
        let to = "bob@example.net";
        let replies = converse(
            port,
            String::new(),
            "alice@example.com",
            to,
            message.clone().into_bytes(),
        )
        .await;
        assert!(replies.ends_with("250"), "{kind}: {replies}\n{}", postfix.log());
        let mark = format!("X-Mark: {kind}\r\n");
        let wanted = |message: &Message| find(&message.content, mark.as_bytes()).is_some();
        let arrived: Arc<Message> = match sink.wait_for(wanted, Duration::from_secs(30)).await {
            Ok(message) => message,
            Err(error) => panic!("{kind}: {error}; Postfix says:\n{}", postfix.log()),
        };
        let text = String::from_utf8_lossy(&arrived.content).into_owned();
        let (header, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(message.ends_with(body), "{kind}: the body is untouched\n{body}");
        let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ");
        let ours: Vec<&str> = unfolded
            .lines()
            .filter(|line| line.starts_with("Authentication-Results: mx.example.com"))
            .collect();
        assert!(ours.len() == 1 && ours[0].contains(result), "{kind}:\n{header}");
        assert_eq!(unfolded.matches("Sealwright-Label:").count(), 1, "{kind}:\n{header}");
        assert!(!header.contains("V4 Alice"), "{kind}:\n{header}");
        if kind == "forged" {
            assert!(
                header.contains("Authentication-Results: other.test; spf=pass"),
                "{header}"
            );
        }
        if kind == "signed" {
            openssl_command_verifies(&arrived.content, &alice.authority, postfix.folder());
        }
    }
}
