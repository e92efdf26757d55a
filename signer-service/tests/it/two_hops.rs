//! Every kind of mail, in every treatment, by either mode, over two Postfix hops that make 7-bit mail of everything:
//! what arrives verifies and says what was written.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use der::EncodePem;
use smtp::client::{Connection, Target, Timeouts, TlsPolicy};
use smtp::envelope::{MailFrom, RcptTo};
use smtp::server::Settings;
use smtp::sink::{Message, Sink};

use crate::encryption::{Bob, present};
use crate::postfix::instance::{Instance, Layout, free_ports};
use crate::postfix::kinds;
use crate::support::{END, START, check_transport, contents, find, openssl_command_verifies, signed_parts};
use crate::world::{World, listen};

/// How a recipient gets its mail, by its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    Clear,
    /// With the header inside, RFC 9788.
    ClearWithHeader,
    Opaque,
    OpaqueWithHeader,
    /// Signed, encrypted with AES-256-CBC for RSA.
    EncryptedCbc,
    /// Signed, encrypted with AES-256-GCM for P-256.
    EncryptedGcm,
}

const TREATMENTS: [(Treatment, &str); 6] = [
    (Treatment::Clear, "clear@example.net"),
    (Treatment::ClearWithHeader, "header@example.net"),
    (Treatment::Opaque, "opaque@example.net"),
    (Treatment::OpaqueWithHeader, "both@example.net"),
    (Treatment::EncryptedCbc, "cbc@example.net"),
    (Treatment::EncryptedGcm, "gcm@example.net"),
];

const POLICY: &str = "[policy.recipient.\"clear@example.net\"]\nheader_protection = false\n[policy.recipient.\"opaque@example.net\"]\nformat = \"opaque\"\nheader_protection = false\n[policy.recipient.\"both@example.net\"]\nformat = \"opaque\"\n[policy.recipient.\"cbc@example.net\"]\nencrypt = \"required\"\ncipher = \"aes-256-cbc\"\n[policy.recipient.\"gcm@example.net\"]\nencrypt = \"required\"\ncipher = \"aes-256-gcm\"\n[encryption]\ntrust_files = [\"../recipients-root.pem\"]\ncertificates = \"../certificates\"\n";

struct Route {
    world: World,
    postfix: Instance,
    cbc: Bob,
    gcm: Bob,
}

impl Route {
    /// Gateway, Postfix, Postfix again, sink. `None` where Postfix cannot run.
    async fn open() -> Option<Self> {
        let layout = Layout::make()?;
        let sink = Sink::new();
        let end = listen(Settings::new("sink.test"), sink.clone()).await;
        let [first, second] = free_ports();
        let main = format!(
            "smtputf8_enable = yes\nsmtp_discard_ehlo_keywords = 8bitmime, smtputf8, silent-discard\nrelayhost = [127.0.0.1]:{}\n",
            end.port()
        );
        let master = format!(
            "127.0.0.1:{first} inet n - n - - smtpd\n  -o content_filter=smtp:[127.0.0.1]:{second}\n127.0.0.1:{second} inet n - n - - smtpd\n"
        );
        let starting = move || layout.start(&main, &master, &[first, second]);
        let postfix = tokio::task::spawn_blocking(starting).await.unwrap();
        let lines = "[[door]]\nlisten = \"127.0.0.1:0\"\nmode = \"queue\"\n";
        let sender = format!("networks = [\"127.0.0.0/8\"]\nmay_sign_for = [\"example.com\"]\n{POLICY}");
        let next_hop = SocketAddr::from(([127, 0, 0, 1], first));
        let world = World::with_next_hop_lines(sink, next_hop, lines, &sender).await;
        let known = |mailbox: &str, key: &str, serial: u8| {
            let bob = Bob::called(mailbox, world.authority(), key, serial, (START, END));
            let pem = [&bob.certificate, &world.authority().issuing]
                .map(|certificate| certificate.to_pem(der::pem::LineEnding::LF).unwrap());
            let folder = world.folder.path().join("certificates");
            std::fs::write(folder.join(format!("{serial}.pem")), pem.concat()).unwrap();
            bob
        };
        let (cbc, gcm) = (
            known("cbc@example.net", "rsa2048", 50),
            known("gcm@example.net", "p256", 51),
        );
        Some(Self {
            world,
            postfix,
            cbc,
            gcm,
        })
    }

    fn doors(&self) -> [(&'static str, SocketAddr); 2] {
        let doors = self.world.running.doors();
        [("pass-through", doors[0]), ("queue", doors[1])]
    }

    async fn arrived(&self, mark: &str) -> Arc<Message> {
        let line = format!("X-Mark: {mark}\r\n");
        let wanted = |message: &Message| find(&message.content, line.as_bytes()).is_some();
        match self.world.sink.wait_for(wanted, Duration::from_secs(30)).await {
            Ok(message) => message,
            Err(error) => panic!("{mark}: {error}; Postfix says:\n{}", self.postfix.log()),
        }
    }

    /// What OpenSSL finds inside, after it has decrypted what is encrypted and verified what is signed.
    fn opened(&self, treatment: Treatment, message: &[u8]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let root = self.world.authority().root.to_pem(der::pem::LineEnding::LF).unwrap();
        std::fs::write(folder.path().join("root.pem"), root).unwrap();
        std::fs::write(folder.path().join("message"), message).unwrap();
        let bob = match treatment {
            Treatment::EncryptedCbc => Some(&self.cbc),
            Treatment::EncryptedGcm => Some(&self.gcm),
            _ => None,
        };
        if let Some(bob) = bob {
            bob.write(folder.path());
            let decrypted = openssl(
                folder.path(),
                "cms -decrypt -binary -in message -recip bob.pem -inkey bob.key -keyform DER -out inside",
            );
            std::fs::write(folder.path().join("message"), decrypted).unwrap();
        }
        let message = std::fs::read(folder.path().join("message")).unwrap();
        let header = &message[..find(&message, b"\r\n\r\n").unwrap()];
        if find(header, b"multipart/signed").is_some() {
            // What it writes to a file has the line ends of this system, so the signed bytes are cut out here.
            openssl_command_verifies(&message, self.world.authority(), folder.path());
            return signed_parts(&message).0;
        }
        openssl(
            folder.path(),
            "cms -verify -binary -in message -CAfile root.pem -no-CApath -out inside",
        )
    }
}

/// Gives what it has written to `inside`.
fn openssl(folder: &Path, arguments: &str) -> Vec<u8> {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "openssl {arguments}: {}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&std::fs::read(folder.join("message")).unwrap())
    );
    std::fs::read(folder.join("inside")).unwrap()
}

fn letter(mark: &str, to: &str, rest: &[u8]) -> Vec<u8> {
    let header = format!(
        "X-Mark: {mark}\r\nFrom: Alice <alice@example.com>\r\nTo: {to}\r\nSubject: Test\r\n of a subject\r\nBcc: carol@example.net\r\n"
    );
    [header.as_bytes(), rest].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_in_every_treatment_verifies_behind_two_hops() {
    let Some(route) = Route::open().await else { return };
    let mut sent = Vec::new();
    for (mode, door) in route.doors() {
        let mut connection = connect(door).await;
        for (kind, rest) in kinds() {
            for (treatment, to) in TREATMENTS {
                let mark = format!("{mode}-{kind}-{treatment:?}");
                let message = letter(&mark, to, &rest);
                let delivery = connection
                    .send(&MailFrom::new("alice@example.com"), &[RcptTo::new(to)], &message)
                    .await
                    .unwrap();
                assert!(delivery.outcome(0).is_positive(), "{mark}: {}", delivery.outcome(0));
                sent.push((mark, treatment, message));
            }
        }
    }
    for (mark, treatment, message) in sent {
        let arrived = route.arrived(&mark).await;
        check_transport(&arrived.content);
        let header = String::from_utf8_lossy(&arrived.content).into_owned();
        let header = header.split_once("\r\n\r\n").unwrap().0;
        assert_eq!(
            header.matches("Received:").count(),
            3,
            "{mark}: gateway and two hops\n{header}"
        );
        assert!(!header.contains("carol@example.net"), "{mark}:\n{header}");
        let inside = route.opened(treatment, &arrived.content);
        if matches!(treatment, Treatment::EncryptedCbc | Treatment::EncryptedGcm) {
            assert!(header.contains("Subject: [...]"), "{mark}:\n{header}");
            let text = String::from_utf8_lossy(&inside);
            assert!(text.contains("Subject: Test\r\n of a subject\r\n"), "{mark}:\n{text}");
            // The legacy display of the subject stands in front of the text that was written.
            let (shown, written) = (contents(&inside), contents(&message));
            assert_eq!(shown.len(), written.len(), "{mark}");
            for ((shown_type, shown), (written_type, written)) in shown.iter().zip(&written) {
                assert_eq!(shown_type, written_type, "{mark}");
                assert!(written.is_empty() || shown.ends_with(written), "{mark}:\n{text}");
            }
        } else {
            assert_eq!(contents(&inside), contents(&message), "{mark}");
            let is_protected = matches!(treatment, Treatment::ClearWithHeader | Treatment::OpaqueWithHeader);
            let text = String::from_utf8_lossy(&inside);
            assert_eq!(text.contains("hp=\"clear\""), is_protected, "{mark}:\n{text}");
        }
    }
    // A relay that may not change anything would do the same; that this one does is seen by a message that is not signed.
    let mut connection = connect(route.doors()[0].1).await;
    let clear = letter("unsigned", "clear@example.net", b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nMIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n");
    let clear = String::from_utf8(clear)
        .unwrap()
        .replace("Subject: Test", "Subject: [clear] Test");
    let policy = connection
        .send(
            &MailFrom::new(""),
            &[RcptTo::new("clear@example.net")],
            clear.replace("alice@example.com", "nobody@example.com").as_bytes(),
        )
        .await
        .unwrap();
    assert!(policy.outcome(0).is_positive(), "{}", policy.outcome(0));
    let arrived = route.arrived("unsigned").await;
    let text = String::from_utf8_lossy(&arrived.content);
    assert!(text.contains("Gr=C3=BC=C3=9Fe") && text.is_ascii(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn swaks_is_served_in_both_modes() {
    if !present("swaks") {
        return;
    }
    let Some(route) = Route::open().await else { return };
    for (mode, door) in route.doors() {
        for (treatment, to) in TREATMENTS {
            let mark = format!("swaks-{mode}-{treatment:?}");
            let output = tokio::task::spawn_blocking({
                let mark = mark.clone();
                move || {
                    Command::new("swaks")
                        .args(["--server", &door.to_string(), "--helo", "swaks.test", "--tls"])
                        .args(["--from", "alice@example.com", "--to", to])
                        .args(["--header", &format!("X-Mark: {mark}")])
                        .args(["--body", "Hello from swaks"])
                        .stdin(Stdio::null())
                        .output()
                        .unwrap()
                }
            });
            let output = output.await.unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && said.contains("~>"),
                "over TLS: {said}\n{errors}"
            );
            let arrived = route.arrived(&mark).await;
            let inside = route.opened(treatment, &arrived.content);
            let text = String::from_utf8_lossy(&inside);
            assert!(text.contains("Hello from swaks"), "{mark}: {text}");
        }
    }
    // And refused, with a reason it shows.
    let door = route.doors()[1].1;
    let refused = tokio::task::spawn_blocking(move || {
        Command::new("swaks")
            .args(["--server", &door.to_string(), "--from", "mallory@example.org"])
            .args(["--to", "bob@example.net"])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    });
    let refused = refused.await.unwrap();
    let said = String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success() && said.contains("550 5.7.1"), "{said}");
}

async fn connect(door: SocketAddr) -> Connection {
    let target = Target {
        host: door.ip().to_string(),
        port: door.port(),
        tls: TlsPolicy::Opportunistic,
    };
    let tls = keys::tls::client_config(keys::tls::Trust::System).unwrap();
    Connection::connect(&target, "sender.test", &tls, Timeouts::default())
        .await
        .unwrap()
}
