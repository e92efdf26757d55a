//! A real Postfix in front of the milter, and a second hop behind it that makes 7-bit mail of everything.
//!
//! Postfix runs from a folder and on ports of its own, which takes root. Where it is missing, or we are not root, the
//! tests say so and end; on CI that is a failure.

mod incoming;
#[expect(dead_code, reason = "the load bench needs more of it")]
pub(crate) mod instance;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use smtp::server::Settings;
use smtp::sink::{Message, Sink};

use self::instance::{Instance, Layout, free_ports};
use crate::support::{check_transport, contents, find, openssl_command_verifies};
use crate::world::{World, listen};

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_mail_is_signed_and_survives_a_second_hop() {
    let Some(mail) = Postfix::start("").await else { return };
    for (kind, rest) in kinds() {
        let message = [
            format!("X-Tight:{kind}\r\nFrom: Alice\r\n <alice@example.com>\r\nTo: bob@example.net\r\nSubject: Test\r\n of {kind}\r\nBcc: carol@example.net\r\n").into_bytes(),
            rest,
        ]
        .concat();
        let replies = mail.send("", "alice@example.com", "bob@example.net", &message).await;
        assert!(replies.ends_with("250"), "{kind}: {replies}");
        let arrived = mail.arrived(kind).await;
        let text = String::from_utf8_lossy(&arrived.content).into_owned();
        check_transport(&arrived.content);
        openssl_command_verifies(&arrived.content, mail.world.authority(), mail.instance.folder());
        assert_eq!(contents(&arrived.content), contents(&message), "{kind}:\n{text}");
        // HDR_LEADSPC: no blank where there was none, and folds as they were.
        let header = text.split_once("\r\n\r\n").unwrap().0;
        for expected in [
            format!("\r\nX-Tight:{kind}\r\n"),
            "\r\nFrom: Alice\r\n <alice@example.com>\r\n".to_owned(),
            format!("\r\nSubject: Test\r\n of {kind}\r\n"),
        ] {
            assert!(header.contains(&expected), "{kind}:\n{header}");
        }
        for name in ["content-type:", "mime-version:"] {
            assert_eq!(
                header.to_ascii_lowercase().matches(name).count(),
                1,
                "{kind}:\n{header}"
            );
        }
        for name in ["bcc:", "content-transfer-encoding:", "content-disposition:"] {
            assert!(!header.to_ascii_lowercase().contains(name), "{kind}:\n{header}");
        }
        assert_eq!(header.matches("Received:").count(), 2, "two hops");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_says_who_may_sign() {
    let Some(mail) = Postfix::start("[[sender]]\nauth = [\"alice\"]\nmay_sign_for = [\"alice@example.com\"]\n").await
    else {
        return;
    };
    let message = |from: &str, kind: &str| {
        format!("X-Tight:{kind}\r\nFrom: {from}\r\nTo: bob@example.net\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n").into_bytes()
    };
    let outside = "XCLIENT ADDR=198.51.100.7 NAME=[UNAVAILABLE]";
    // From outside: not ours to judge, and proof that the second hop does convert.
    let replies = mail
        .send(
            outside,
            "alice@example.com",
            "bob@example.net",
            &message("alice@example.com", "outside"),
        )
        .await;
    assert!(replies.ends_with("250"), "{replies}");
    let arrived = mail.arrived("outside").await;
    assert!(find(&arrived.content, b"multipart/signed").is_none());
    let text = String::from_utf8_lossy(&arrived.content);
    assert!(text.contains("Gr=C3=BC=C3=9Fe") && text.is_ascii(), "{text}");
    // The same, logged in.
    let login = format!("{outside} LOGIN=alice");
    let replies = mail
        .send(
            &login,
            "alice@example.com",
            "bob@example.net",
            &message("alice@example.com", "login"),
        )
        .await;
    assert!(replies.ends_with("250"), "{replies}");
    let arrived = mail.arrived("login").await;
    openssl_command_verifies(&arrived.content, mail.world.authority(), mail.instance.folder());
    // Logged in, and somebody else in the header.
    let replies = mail
        .send(
            &login,
            "alice@example.com",
            "bob@example.net",
            &message("ceo@example.com", "forged"),
        )
        .await;
    assert!(replies.ends_with("550"), "{replies}");
    // From the network, with a sender of another domain, none, and two.
    for (from, expected) in [
        ("mallory@example.org", "550"),
        ("", "554"),
        ("alice@example.com, mallory@example.com", "554"),
    ] {
        let replies = mail
            .send("", "alice@example.com", "bob@example.net", &message(from, "refused"))
            .await;
        assert!(replies.ends_with(expected), "{from}: {replies}");
    }
    assert_eq!(mail.world.sink.messages().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_milter_that_is_down_means_later() {
    let Some(mail) = Postfix::start("").await else { return };
    let Postfix {
        world,
        instance,
        milter: socket,
        port,
    } = mail;
    let sink = world.sink.clone();
    drop(world);
    crate::world::eventually(async || !socket.exists()).await;
    let message = b"From: alice@example.com\r\n\r\nHello\r\n".to_vec();
    let replies = converse(port, String::new(), "alice@example.com", "bob@example.net", message).await;
    let last: u16 = replies[replies.len() - 3..].parse().unwrap();
    assert!((400..500).contains(&last), "{replies}");
    assert!(sink.messages().is_empty());
    drop(instance);
}

/// Postfix with our milter, relaying by way of itself to the sink of a world.
struct Postfix {
    world: World,
    instance: Instance,
    milter: PathBuf,
    port: u16,
}

impl Postfix {
    /// `None` where it cannot run. `configuration` is added to that of the gateway.
    async fn start(configuration: &str) -> Option<Self> {
        let layout = Layout::make()?;
        let milter = layout.socket_folder("milter").join("milter.sock");
        let sink = Sink::new();
        let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
        let world = World::with(
            sink,
            next_hop,
            &format!(
                "networks = [\"127.0.0.0/8\"]\nmay_sign_for = [\"example.com\"]\n{configuration}[milter]\nlisten = \"unix:{}\"",
                milter.display()
            ),
        )
        .await;
        let [port, second] = free_ports();
        let main = format!(
            "smtpd_authorized_xclient_hosts = 127.0.0.0/8\nsmtputf8_enable = yes\nsmtp_discard_ehlo_keywords = 8bitmime, smtputf8, silent-discard\nrelayhost = [127.0.0.1]:{}\nmilter_protocol = 6\nmilter_default_action = tempfail\nmilter_connect_timeout = 5s\n",
            next_hop.port()
        );
        let master = format!(
            "127.0.0.1:{port} inet n - n - - smtpd\n  -o smtpd_milters=unix:{}\n  -o content_filter=smtp:[127.0.0.1]:{second}\n127.0.0.1:{second} inet n - n - - smtpd\n",
            milter.display()
        );
        let starting = move || layout.start(&main, &master, &[port, second]);
        let instance = tokio::task::spawn_blocking(starting).await.unwrap();
        Some(Self {
            world,
            instance,
            milter,
            port,
        })
    }

    async fn send(&self, before: &str, from: &str, to: &str, message: &[u8]) -> String {
        converse(self.port, before.to_owned(), from, to, message.to_vec()).await
    }

    /// The message with this mark, once it is through both hops.
    async fn arrived(&self, kind: &str) -> Arc<Message> {
        let mark = format!("X-Tight:{kind}\r\n");
        let wanted = |message: &Message| find(&message.content, mark.as_bytes()).is_some();
        match self.world.sink.wait_for(wanted, Duration::from_secs(30)).await {
            Ok(message) => message,
            Err(error) => {
                panic!("{kind}: {error}; Postfix says:\n{}", self.instance.log())
            }
        }
    }
}

/// The codes of all replies to one message, the last one last.
async fn converse(port: u16, before: String, from: &str, to: &str, message: Vec<u8>) -> String {
    let envelope = [
        format!("MAIL FROM:<{from}> BODY=8BITMIME"),
        format!("RCPT TO:<{to}>"),
        "DATA".to_owned(),
    ];
    let talk = move || -> std::io::Result<String> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let mut codes = Vec::new();
        let mut reply = |codes: &mut Vec<String>| -> std::io::Result<bool> {
            loop {
                let line = lines.next().unwrap_or(Err(std::io::ErrorKind::UnexpectedEof.into()))?;
                if line.as_bytes().get(3) != Some(&b'-') {
                    let code = line.get(..3).unwrap_or_default().to_owned();
                    let goes_on = code.starts_with(['2', '3']);
                    codes.push(code);
                    return Ok(goes_on);
                }
            }
        };
        if !reply(&mut codes)? {
            return Ok(codes.join(" "));
        }
        let greeting = "EHLO sender.test".to_owned();
        let commands = if before.is_empty() {
            vec![greeting]
        } else {
            vec![greeting.clone(), before, greeting]
        };
        for command in commands.into_iter().chain(envelope) {
            stream.write_all(format!("{command}\r\n").as_bytes())?;
            if !reply(&mut codes)? {
                return Ok(codes.join(" "));
            }
        }
        let mut stuffed = Vec::new();
        for line in message.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b".") {
                stuffed.push(b'.');
            }
            stuffed.extend_from_slice(line);
        }
        stuffed.extend_from_slice(b".\r\n");
        stream.write_all(&stuffed)?;
        reply(&mut codes)?;
        Ok(codes.join(" "))
    };
    tokio::task::spawn_blocking(talk).await.unwrap().unwrap()
}

/// What stands behind a header without MIME fields.
pub(crate) fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    let wide = "word ".repeat(300);
    let base64 = data_encoding::BASE64.encode(&[0x89; 57]);
    let attachment = format!("{base64}\r\n").repeat(4000);
    let text = |text: String| text.into_bytes();
    vec![
        ("plain", text("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nHello\r\n\r\nBob\r\n".into())),
        ("nothing", text("\r\n".into())),
        ("unlabelled", text("\r\nHello\r\n.\r\n..\r\n.Bob\r\nFrom here\r\n".into())),
        ("eight-bit", text("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nContent-Disposition: inline\r\n\r\nGrüße aus Köln – 你好 \r\n".into())),
        ("latin-1", [&b"MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nK"[..], b"\xf6ln\r\n"].concat()),
        ("wide", text(format!("MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n{wide}\r\n"))),
        ("html", text(format!("MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=\"rel\";\r\n\ttype=\"text/html\"\r\n\r\n--rel\r\nContent-Type: multipart/alternative; boundary=alt\r\n\r\n--alt\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nFür Bob\r\n--alt\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<p>Für <b>Bob</b> <img src=\"cid:1\"></p>\r\n--alt--\r\n\r\n--rel\r\nContent-Type: image/png\r\nContent-ID: <1>\r\nContent-Transfer-Encoding: base64\r\n\r\n{base64}\r\n--rel--\r\n"))),
        ("attachment", text(format!("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=mix\r\n\r\n--mix\r\n\r\nsee there\r\n--mix\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n{attachment}--mix--\r\n"))),
        ("epilogue", text("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=mix\r\n\r\npreamble\r\n--mix\r\n\r\nsee there\r\n--mix--\r\nepilogue\r\n\r\n".into())),
        ("forwarded", text("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=mix\r\n\r\n--mix\r\nContent-Type: message/rfc822\r\n\r\nFrom: carol@example.net\r\nSubject: inner\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n--mix--\r\n".into())),
        ("calendar", text("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=mix\r\n\r\n--mix\r\nContent-Type: text/csv; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC;1\r\n--mix--\r\n".into())),
    ]
}
