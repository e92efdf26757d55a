//! A real Postfix in front of the milter, and a second hop behind it that makes 7-bit mail of everything.
//!
//! Postfix runs from a folder and on ports of its own, which takes root. Where it is missing, or we are not root, the
//! tests say so and end; on CI that is a failure.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use smtp::server::Settings;
use smtp::sink::{Message, Sink};

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
        openssl_command_verifies(&arrived.content, mail.world.authority(), mail.folder.path());
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
    openssl_command_verifies(&arrived.content, mail.world.authority(), mail.folder.path());
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
        folder,
        master,
        port,
    } = mail;
    let socket = folder.path().join("milter/milter.sock");
    let sink = world.sink.clone();
    drop(world);
    crate::world::eventually(async || !socket.exists()).await;
    let message = b"From: alice@example.com\r\n\r\nHello\r\n".to_vec();
    let replies = converse(port, String::new(), "alice@example.com", "bob@example.net", message).await;
    let last: u16 = replies[replies.len() - 3..].parse().unwrap();
    assert!((400..500).contains(&last), "{replies}");
    assert!(sink.messages().is_empty());
    drop(master);
}

/// Postfix with our milter, relaying by way of itself to the sink of a world.
struct Postfix {
    world: World,
    folder: tempfile::TempDir,
    master: Master,
    port: u16,
}

/// Ends with the test.
struct Master(Child);

impl Drop for Master {
    fn drop(&mut self) {
        // SIGTERM, so that it takes its children along.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

impl Postfix {
    /// `None` where it cannot run. `configuration` is added to that of the gateway.
    async fn start(configuration: &str) -> Option<Self> {
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        if !is_root || !Path::new(MASTER).exists() {
            assert!(
                std::env::var_os("CI").is_none(),
                "the peer Postfix is missing, or this is not root; on CI neither may be"
            );
            eprintln!("SKIPPED: Postfix is not installed (scripts/setup test does that), or this is not root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        let (user, group) = ids("/etc/passwd", "postfix");
        let (_, postdrop) = ids("/etc/group", "postdrop");
        // A socket takes the group of its folder, and so lets Postfix in.
        let milter = root.join("milter");
        make(&milter, 0o2750, (0, group));
        let sink = Sink::new();
        let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
        let world = World::with(
            sink,
            next_hop,
            &format!(
                "networks = [\"127.0.0.0/8\"]\nmay_sign_for = [\"example.com\"]\n{configuration}[milter]\nlisten = \"unix:{}/milter.sock\"",
                milter.display()
            ),
        )
        .await;
        let [port, second] = free_ports();
        make(&root.join("data"), 0o700, (user, group));
        make(&root.join("spool"), 0o755, (0, 0));
        for (name, mode, owner) in [
            ("pid", 0o755, (0, 0)),
            ("public", 0o2710, (user, postdrop)),
            ("maildrop", 0o1730, (user, postdrop)),
        ] {
            make(&root.join("spool").join(name), mode, owner);
        }
        for name in [
            "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved",
            "trace",
        ] {
            make(&root.join("spool").join(name), 0o700, (user, group));
        }
        let path = root.display();
        fs::write(
            root.join("main.cf"),
            format!(
                "compatibility_level = 3.6\nqueue_directory = {path}/spool\ndata_directory = {path}/data\nmaillog_file = {path}/spool/log\nmaillog_file_prefixes = {path}\nmyhostname = postfix.test\nmydestination =\nalias_maps =\nalias_database =\nlocal_recipient_maps =\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8 198.51.100.0/24\nsmtpd_relay_restrictions = permit_mynetworks, reject\nsmtpd_authorized_xclient_hosts = 127.0.0.0/8\nsmtpd_sasl_auth_enable = no\nsmtputf8_enable = yes\nsmtp_discard_ehlo_keywords = 8bitmime, smtputf8, silent-discard\nrelayhost = [127.0.0.1]:{}\nmilter_protocol = 6\nmilter_default_action = tempfail\nmilter_connect_timeout = 5s\ndisable_dns_lookups = yes\n",
                next_hop.port()
            ),
        )
        .unwrap();
        fs::write(
            root.join("master.cf"),
            format!(
                "127.0.0.1:{port} inet n - n - - smtpd\n  -o smtpd_milters=unix:{}/milter.sock\n  -o content_filter=smtp:[127.0.0.1]:{second}\n127.0.0.1:{second} inet n - n - - smtpd\n{SERVICES}",
                milter.display()
            ),
        )
        .unwrap();
        let log = fs::File::create(root.join("master.log")).unwrap();
        let master = Command::new(MASTER)
            .args(["-d", "-c"])
            .arg(root)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let started = Self {
            world,
            folder,
            master: Master(master),
            port,
        };
        crate::world::eventually(async || {
            [port, second]
                .iter()
                .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
        })
        .await;
        Some(started)
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
                let log = fs::read_to_string(self.folder.path().join("spool/log")).unwrap_or_default();
                panic!("{kind}: {error}; Postfix says:\n{log}")
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
fn kinds() -> Vec<(&'static str, Vec<u8>)> {
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

fn make(folder: &Path, mode: u32, (user, group): (u32, u32)) {
    fs::DirBuilder::new().mode(0o700).create(folder).unwrap();
    chown(folder, Some(user), Some(group)).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

/// The two numbers behind the password of an entry: user and group in /etc/passwd, the group twice in /etc/group.
fn ids(file: &str, name: &str) -> (u32, u32) {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.split(':').next() == Some(name)).unwrap();
    let numbers: Vec<u32> = line.split(':').skip(2).map_while(|field| field.parse().ok()).collect();
    (numbers[0], *numbers.last().unwrap())
}

/// Held all at once, so that they differ.
fn free_ports<const N: usize>() -> [u16; N] {
    let held: [std::net::TcpListener; N] = std::array::from_fn(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    held.each_ref().map(|listener| listener.local_addr().unwrap().port())
}

const MASTER: &str = "/usr/lib/postfix/sbin/master";

const SERVICES: &str = "cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";
