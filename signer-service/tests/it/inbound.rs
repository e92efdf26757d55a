//! Incoming mail: labelled, opened, and delivered to a mailbox server.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use der::Decode;
use keys::KeyTransport;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use signer_service::enveloped::{MessageCipher, Recipient, encrypt};
use signer_service::mime::Limits;
use signer_service::mime::confidentiality::Confidentiality;
use signer_service::mime::signed::{HeaderProtection, Smtputf8, prepare};
use smtp::Reply;
use smtp::client::{Connection, Target, Timeouts, TlsPolicy};
use smtp::envelope::{MailFrom, RcptTo};
use smtp::server::Settings;
use smtp::sink::Sink;
use x509_cert::Certificate;

use crate::support::{Alice, find, signed_parts};
use crate::world::{ALICE_WRITES, World, listen};

/// From Alice's organization to somebody here, so that one authority serves for both.
const LETTER: &str = "From: Alice <alice@example.com>\r\nTo: Bob <bob@example.com>\r\nSubject: Invoice\r\nDate: Fri, 02 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\nHello Bob\r\n";

struct Door {
    world: World,
    delivered: Sink,
}

impl Door {
    async fn open(more: &str) -> Self {
        let delivered = Sink::new();
        let behind = listen(Settings::new("mailboxes.test"), delivered.clone()).await;
        Self::delivering_to(delivered, &format!("smtp:{behind}"), more).await
    }

    async fn delivering_to(delivered: Sink, deliver: &str, more: &str) -> Self {
        let sink = Sink::new();
        let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
        let lines = format!(
            "networks = [\"127.0.0.0/8\"]\nmay_sign_for = [\"example.com\"]\n[encryption]\ntrust_files = [\"../recipients-root.pem\"]\n[inbound]\nlisten = \"127.0.0.1:0\"\ndeliver = \"{deliver}\"\nauthserv_id = \"mx.example.com\"\n{more}"
        );
        let world = World::with(sink, next_hop, &lines).await;
        Self { world, delivered }
    }

    async fn bring(&self, to: &[&str], message: &[u8]) -> Reply {
        let address = self.world.inbound_address();
        let target = Target {
            host: address.ip().to_string(),
            port: address.port(),
            tls: TlsPolicy::Never,
        };
        let tls = keys::tls::client_config(keys::tls::Trust::System).unwrap();
        let mut connection = Connection::connect(&target, "sender.test", &tls, Timeouts::default())
            .await
            .unwrap();
        let recipients: Vec<RcptTo> = to.iter().map(|address| RcptTo::new(*address)).collect();
        let delivery = connection
            .send(&MailFrom::new("alice@example.com"), &recipients, message)
            .await
            .unwrap();
        delivery.outcome(0).clone()
    }

    /// What arrived of a message to one.
    async fn through(&self, message: &[u8]) -> String {
        let reply = self.bring(&["bob@example.com"], message).await;
        assert!(reply.is_positive(), "{reply}");
        String::from_utf8(self.delivered.messages().last().unwrap().content.clone()).unwrap()
    }

    /// The certificate that the gateway has got for a mailbox.
    async fn enrolled(&self, mailbox: &str) -> Certificate {
        let letter = ALICE_WRITES.replace("alice@example.com", mailbox);
        let reply = self.world.send(mailbox, &["bob@example.net"], &letter).await;
        assert!(reply.is_positive(), "{reply}");
        let (_, signature) = signed_parts(&self.world.last());
        let info = cms::content_info::ContentInfo::from_der(&signature).unwrap();
        let data: cms::signed_data::SignedData = info.content.decode_as().unwrap();
        let certificates = data.certificates.unwrap();
        let found = certificates.0.iter().find_map(|choice| match choice {
            cms::cert::CertificateChoices::Certificate(one)
                if one.tbs_certificate().subject().to_string().contains(mailbox) =>
            {
                Some(one.clone())
            }
            _ => None,
        });
        found.unwrap()
    }
}

fn sealed(message: &str, cipher: MessageCipher, to: &[&Certificate]) -> Vec<u8> {
    let how = HeaderProtection::Cipher(Confidentiality::Baseline);
    let alice = Alice::with(keys::testing::p256());
    let mut prepared = prepare(message.as_bytes(), Smtputf8::NotRequested, how, LIMITS).unwrap();
    alice.sign_inside(&mut prepared);
    wrapped(prepared, cipher, to)
}

fn wrapped(prepared: signer_service::mime::signed::Prepared, cipher: MessageCipher, to: &[&Certificate]) -> Vec<u8> {
    let (outer, inside) = prepared.into_parts();
    let recipients: Vec<Recipient<'_>> = to
        .iter()
        .map(|certificate| Recipient {
            certificate,
            transport: KeyTransport::Pkcs1,
        })
        .collect();
    let cms = encrypt(inside, cipher, &recipients, &mut ChaCha20Rng::seed_from_u64(4)).unwrap();
    outer.into_encrypted(cipher, &cms)
}

const LIMITS: Limits = Limits::for_messages_up_to(1 << 20);

fn header(message: &str) -> &str {
    message.split_once("\r\n\r\n").unwrap().0
}

#[tokio::test]
async fn every_result_has_its_word() {
    let door = Door::open("").await;
    let alice = Alice::with(keys::testing::p256());
    let signed = alice.sign(LETTER.as_bytes()).unwrap();
    let passed = door.through(&signed).await;
    assert!(passed.contains("Authentication-Results: mx.example.com;\r\n smime=pass\r\n body.smime-identifier=\"alice@example.com\"\r\n body.smime-serial=03\r\n"), "{passed}");
    assert!(passed.contains("\r\nSealwright-Label: "), "{passed}");
    assert!(find(passed.as_bytes(), &signed).is_some(), "nothing below is touched");
    let changed = String::from_utf8(signed.clone())
        .unwrap()
        .replace("Hello Bob", "Hallo Bob");
    let failed = door.through(changed.as_bytes()).await;
    assert!(failed.contains("\r\n smime=fail\r\n reason=\""), "{failed}");
    let none = door.through(LETTER.as_bytes()).await;
    assert!(none.contains("\r\n smime=none\r\n"), "{none}");
    let impostor = String::from_utf8(signed)
        .unwrap()
        .replace("From: Alice <alice@example.com>", "From: carol@example.com");
    let other = door.through(impostor.as_bytes()).await;
    assert!(other.contains("\r\n smime=policy\r\n reason=\""), "{other}");
}

#[tokio::test]
async fn what_is_said_in_our_name_is_taken_out() {
    let door = Door::open("subject_tag = true\n").await;
    let forged = format!(
        "Authentication-Results: MX.example.com; smime=pass\r\nAuthentication-Results: other.test; spf=pass\r\nSealwright-Label: V4 Alice\r\n{}",
        LETTER.replace("Subject: ", "Subject: [V4] ")
    );
    let arrived = door.through(forged.as_bytes()).await;
    let header = header(&arrived);
    assert_eq!(
        header.matches("mx.example.com; smime=").count() + header.matches("smime=pass").count(),
        0,
        "{header}"
    );
    assert_eq!(header.matches("Sealwright-Label").count(), 1, "{header}");
    assert!(!header.contains("V4"), "{header}");
    assert!(
        header.contains("Authentication-Results: other.test; spf=pass\r\n"),
        "{header}"
    );
}

#[tokio::test]
async fn who_holds_a_key_here_gets_what_was_inside_and_others_do_not() {
    let door = Door::open("").await;
    let bob = door.enrolled("bob@example.com").await;
    for cipher in [MessageCipher::Aes256Gcm, MessageCipher::Aes256Cbc] {
        let message = sealed(LETTER, cipher, &[&bob]);
        let before = door.delivered.messages().len();
        let reply = door.bring(&["bob@example.com", "dan@example.com"], &message).await;
        assert!(reply.is_positive(), "{reply}");
        let messages = door.delivered.messages();
        assert_eq!(messages.len(), before + 2);
        for copy in &messages[before..] {
            let text = String::from_utf8_lossy(&copy.content);
            let is_bobs = copy.recipients[0].address == "bob@example.com";
            assert_eq!(text.contains("Hello Bob"), is_bobs, "{text}");
            assert_eq!(text.contains("\r\nSubject: Invoice\r\n"), is_bobs, "{text}");
            assert_eq!(text.contains("\r\n smime=pass\r\n"), is_bobs, "{text}");
            assert_eq!(text.contains("\r\nSealwright-Encryption: opened"), is_bobs, "{text}");
            assert_eq!(text.contains("\r\nContent-Type: multipart/signed;"), is_bobs, "{text}");
        }
    }
}

#[tokio::test]
async fn nothing_inside_speaks_in_our_name_or_for_the_sender() {
    let door = Door::open("subject_tag = true\n").await;
    let bob = door.enrolled("bob@example.com").await;
    // Nobody has signed, so what is inside may come from anybody who has Bob's certificate.
    let inside = "From: ceo@example.com\r\nSubject: [V4] Pay\r\nAuthentication-Results: mx.example.com; smime=pass\r\nSealwright-Label: V4 CEO\r\nX-Spam: no\r\nReceived: from x\r\nBcc: y@example.com\r\nContent-Type: text/plain; hp=\"cipher\"\r\n\r\nPay now\r\n";
    let outer = prepare(
        LETTER.as_bytes(),
        Smtputf8::NotRequested,
        HeaderProtection::Cipher(Confidentiality::Baseline),
        LIMITS,
    )
    .unwrap()
    .into_parts()
    .0;
    let recipient = Recipient {
        certificate: &bob,
        transport: KeyTransport::Pkcs1,
    };
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let cms = encrypt(
        inside.as_bytes().to_vec(),
        MessageCipher::Aes256Cbc,
        &[recipient],
        &mut rng,
    )
    .unwrap();
    let message = outer.into_encrypted(MessageCipher::Aes256Cbc, &cms);
    let arrived = door.through(&message).await;
    let header = header(&arrived);
    assert!(header.contains("\r\nSubject: Pay\r\n"), "{header}");
    assert!(header.contains("From: Alice <alice@example.com>\r\n"), "{header}");
    for forged in ["ceo@", "V4", "smime=pass", "X-Spam", "from x\r\n", "y@example.com"] {
        assert!(!header.contains(forged), "{forged}: {header}");
    }
    assert!(header.contains("opened, and not protected from changes"), "{header}");
}

#[tokio::test]
async fn one_key_can_open_for_a_whole_domain() {
    let door = Door::open("domain_identity = \"gateway@example.com\"\n").await;
    let domain = door.enrolled("gateway@example.com").await;
    let message = sealed(LETTER, MessageCipher::Aes256Gcm, &[&domain]);
    let arrived = door.through(&message).await;
    assert!(
        arrived.contains("Hello Bob") && arrived.contains("smime=pass"),
        "{arrived}"
    );
}

#[tokio::test]
async fn good_signatures_bring_certificates_and_bad_ones_do_not() {
    let door = Door::open("").await;
    let alice = Alice::with(keys::testing::p256());
    let signed = String::from_utf8(alice.sign(LETTER.as_bytes()).unwrap()).unwrap();
    for bad in [
        signed.replace("Hello Bob", "Hallo Bob"),
        signed.replace("From: Alice <alice@example.com>", "From: carol@example.com"),
    ] {
        door.through(bad.as_bytes()).await;
        assert!(door.world.gateway.harvested().await.unwrap().is_empty());
    }
    door.through(signed.as_bytes()).await;
    door.through(signed.as_bytes()).await;
    let harvested = door.world.gateway.harvested().await.unwrap();
    assert_eq!(harvested.len(), 1);
    assert_eq!(
        (harvested[0].0.as_str(), harvested[0].1.as_str()),
        ("alice@example.com", "offered")
    );
    let secure = ALICE_WRITES
        .replace("Subject: ", "Subject: [secure] ")
        .replace("To: bob@example.net", "To: alice@example.com");
    let reply = door
        .world
        .send("alice@example.com", &["alice@example.com"], &secure)
        .await;
    assert_eq!(reply.code(), 554, "offered is not approved: {reply}");
    let fingerprint = &harvested[0].2;
    assert_eq!(
        door.world
            .gateway
            .approve("alice@example.com", fingerprint)
            .await
            .unwrap(),
        1
    );
    let reply = door
        .world
        .send("alice@example.com", &["alice@example.com"], &secure)
        .await;
    assert!(reply.is_positive(), "{reply}");
    let text = String::from_utf8(door.world.last()).unwrap();
    assert!(
        text.contains("authEnveloped-data"),
        "the signature has announced AES-GCM: {text}"
    );
}

#[tokio::test]
async fn strangers_may_not_bring_mail_and_circles_end() {
    let door = Door::open("networks = [\"192.0.2.0/24\"]\n").await;
    let address = door.world.inbound_address();
    let target = Target {
        host: address.ip().to_string(),
        port: address.port(),
        tls: TlsPolicy::Never,
    };
    let tls = keys::tls::client_config(keys::tls::Trust::System).unwrap();
    let refused = Connection::connect(&target, "sender.test", &tls, Timeouts::default()).await;
    assert!(refused.unwrap_err().to_string().contains("[inbound]"));
    let door = Door::open("").await;
    let circling = format!("{}{LETTER}", "Received: from a by b; now\r\n".repeat(50));
    let reply = door.bring(&["bob@example.com"], circling.as_bytes()).await;
    assert_eq!((reply.code(), reply.enhanced()), (554, Some([5, 4, 6])), "{reply}");
}

#[tokio::test]
async fn a_mailbox_server_that_is_away_means_later() {
    let nobody = crate::world::nobody();
    let door = Door::delivering_to(Sink::new(), &format!("smtp:{nobody}"), "").await;
    let reply = door.bring(&["bob@example.com"], LETTER.as_bytes()).await;
    assert!(reply.is_transient(), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dovecot_gets_it_by_lmtp() {
    let Some(dovecot) = Dovecot::start() else { return };
    let place = format!("lmtp:{}", dovecot.socket().display());
    let door = Door::delivering_to(Sink::new(), &place, "").await;
    let bob = door.enrolled("bob@example.com").await;
    let message = sealed(LETTER, MessageCipher::Aes256Gcm, &[&bob]);
    let reply = door
        .bring(&["bob@example.com", "nobody@example.org", "erin@example.com"], &message)
        .await;
    assert!(reply.is_positive(), "{reply}");
    let bobs = dovecot.mailbox("bob@example.com");
    assert!(bobs.contains("Hello Bob") && bobs.contains("smime=pass"), "{bobs}");
    let erins = dovecot.mailbox("erin@example.com");
    assert!(!erins.contains("Hello Bob") && erins.contains("smime=none"), "{erins}");
}

/// A Dovecot with a folder of its own. It has to be started by root, since it gives up rights.
struct Dovecot {
    folder: tempfile::TempDir,
    process: Child,
}

impl Dovecot {
    fn start() -> Option<Self> {
        let is_root = Command::new("id")
            .arg("-u")
            .output()
            .is_ok_and(|output| output.stdout == b"0\n");
        if !Path::new("/usr/lib/dovecot/lmtp").exists() || !is_root {
            assert!(
                std::env::var_os("CI").is_none(),
                "the peer dovecot (as root) is missing, and on CI none may be"
            );
            eprintln!("SKIPPED: the peer dovecot is not installed, or we are not root; scripts/setup test installs it");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("dovecot").tempdir_in("/tmp").unwrap();
        let path = folder.path().display();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mail = folder.path().join("mail");
        std::fs::create_dir(&mail).unwrap();
        let chowned = Command::new("chown").arg("nobody").arg(&mail).status().unwrap();
        assert!(chowned.success());
        let configuration = format!(
            "protocols = lmtp\nbase_dir = {path}/run\nstate_dir = {path}/state\nlog_path = {path}/log\nssl = no\nlisten = 127.0.0.1\ndefault_internal_user = nobody\ndefault_internal_group = nogroup\ndefault_login_user = nobody\nfirst_valid_uid = 1\nauth_username_format = %Lu\nmail_location = maildir:{path}/mail/%u\nuserdb {{\n driver = static\n args = uid=nobody gid=nogroup home={path}/mail/%u allow_all_users=yes\n}}\npassdb {{\n driver = static\n args = nopassword=y\n}}\nservice lmtp {{\n unix_listener lmtp {{\n  mode = 0666\n }}\n}}\nservice stats {{\n unix_listener stats-writer {{\n  mode = 0666\n }}\n}}\n"
        );
        let file = folder.path().join("dovecot.conf");
        std::fs::write(&file, configuration).unwrap();
        let process = Command::new("dovecot")
            .args(["-F", "-c"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let dovecot = Self { folder, process };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !dovecot.socket().exists() {
            let log = std::fs::read_to_string(dovecot.folder.path().join("log")).unwrap_or_default();
            assert!(std::time::Instant::now() < deadline, "dovecot did not start: {log}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Some(dovecot)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("run/lmtp")
    }

    /// All mail of one.
    fn mailbox(&self, name: &str) -> String {
        let folder = self.folder.path().join("mail").join(name).join("new");
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            panic!("{}: {error}\n{log}", folder.display())
        });
        entries
            .map(|entry| String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).replace("\r\n", "\n"))
            .collect()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Dovecot ends its children when it is asked to stop.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}
