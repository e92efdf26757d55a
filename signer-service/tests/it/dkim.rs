//! DKIM signatures, as dkimpy verifies them.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use keys::KeyStore as _;
use keys::SigningKey;
use policies::time::Timestamp;
use signer_service::dkim::{DkimError, DomainKey, Selector, record};

use crate::support::now;

const SCRIPT: &str = "import sys, dkim\nmessage = open(sys.argv[1], 'rb').read()\nprint(dkim.verify(message, dnsfunc=lambda name, timeout=5: open(sys.argv[2], 'rb').read() if name.rstrip(b'.') == sys.argv[3].encode() else None))";

/// What dkimpy says, with that record at that name.
fn verifies(message: &[u8], record: &str, name: &str) -> Option<bool> {
    if !Path::new("/usr/lib/python3/dist-packages/dkim").exists() {
        assert!(
            std::env::var_os("CI").is_none(),
            "the peer python3-dkim is missing, and on CI none may be"
        );
        eprintln!("SKIPPED: the peer python3-dkim is not installed; scripts/setup test installs it");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, text) = (folder.path().join("message"), folder.path().join("record"));
    std::fs::write(&file, message).unwrap();
    std::fs::write(&text, record).unwrap();
    let output = Command::new("/usr/bin/python3")
        .args(["-c", SCRIPT])
        .args([&file, &text])
        .arg(name)
        .output()
        .unwrap();
    match output.stdout.trim_ascii() {
        b"True" => Some(true),
        b"False" => Some(false),
        _ => panic!("{}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn selector() -> Selector {
    Selector {
        domain: "example.com".parse().unwrap(),
        selector: "s2026".to_owned(),
    }
}

/// The message, signed with that key.
fn sign(message: &[u8], key: &Arc<dyn SigningKey>, now: Timestamp) -> Result<Vec<u8>, DkimError> {
    let key = DomainKey {
        selector: selector(),
        key: key.clone(),
    };
    signer_service::dkim::sign(message, &[key], now)
}

const MESSAGE: &str = "Received: from a by b; now\r\nFrom: Alice\r\n\t<alice@example.com>\r\nTo:bob@example.net,\r\n  carol@example.net\r\nSubject:  two   blanks \r\nList-Id: <a>\r\nList-Id: <b>\r\nContent-Type: text/plain\r\n\r\n  Hello \t Bob \r\n\r\nBye\r\n\r\n\r\n";

#[test]
fn dkimpy_verifies_what_is_signed_and_refuses_what_is_changed() {
    for key in [keys::testing::rsa2048(), keys::testing::ed25519()] {
        check_with_dkimpy(&key);
    }
}

fn check_with_dkimpy(key: &Arc<dyn SigningKey>) {
    let (record, name) = (record(&**key).unwrap(), selector().record_name());
    for message in [
        MESSAGE,
        "From: alice@example.com\r\n\r\n",
        "From: alice@example.com\r\n\r\nno line break",
    ] {
        let signed = sign(message.as_bytes(), key, now()).unwrap();
        let Some(good) = verifies(&signed, &record, &name) else {
            return;
        };
        assert!(good, "{}", String::from_utf8_lossy(&signed));
    }
    let signed = String::from_utf8(sign(MESSAGE.as_bytes(), key, now()).unwrap()).unwrap();
    // What relays do on the way is no harm.
    let harmless = [
        signed.replace("Received: ", "Received: from c by d; then\r\nReceived: "),
        signed.replace("two   blanks ", "two blanks"),
    ];
    for passed in harmless {
        assert_eq!(verifies(passed.as_bytes(), &record, &name), Some(true), "{passed}");
    }
    for changed in [
        signed.replace("Bob", "Bop"),
        signed.replace("two   blanks", "two blanks more"),
        signed.replace("<b>", "<c>"),
        signed.replace("Bye", "Bye now"),
        signed.replace("From: Alice", "From: ceo@example.com\r\nFrom: Alice"),
        signed.replace("t=1", "t=2"),
    ] {
        assert_ne!(changed, signed);
        assert_ne!(verifies(changed.as_bytes(), &record, &name), Some(true), "{changed}");
    }
    let other = signer_service::dkim::record(&*keys::testing::rsa3072()).unwrap();
    assert_eq!(verifies(signed.as_bytes(), &other, &name), Some(false));
}

#[tokio::test]
async fn the_gateway_signs_for_its_domain_last() {
    let world = crate::encrypting::world_with("").await;
    let sealing = keys::sealing::SealingKey::open_file(&world.folder.path().join("gateway/sealing.key")).unwrap();
    let store = keys::SoftwareKeyStore::open(&world.folder.path().join("gateway/keys"), sealing).unwrap();
    let id = selector().key_name().parse().unwrap();
    let key = store.generate(&id, keys::KeyAlgorithm::Rsa2048).unwrap();
    let second = Selector {
        selector: "e2026".to_owned(),
        ..selector()
    };
    let id = second.key_name().parse().unwrap();
    let second_key = store.generate(&id, keys::KeyAlgorithm::Ed25519).unwrap();
    let file = world.folder.path().join("gateway/gateway.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        format!("{text}\n[[dkim]]\ndomain = \"example.com\"\nselector = \"s2026\"\n[[dkim]]\ndomain = \"example.com\"\nselector = \"e2026\"\n"),
    )
    .unwrap();
    let world = world.restart().await;
    assert!(world.alice_writes().await.is_positive());
    let arrived = world.last();
    let at = crate::support::find(&arrived, b"DKIM-Signature:").unwrap();
    let (record, name) = (record(&*key).unwrap(), selector().record_name());
    crate::support::openssl_verifies(&arrived, world.authority());
    if let Some(good) = verifies(&arrived[at..], &record, &name) {
        assert!(good);
        assert_eq!(
            verifies(&arrived, &record, &name),
            Some(true),
            "also below what the relay has written"
        );
    }
    // The other key has signed the same, and holds when the first signature is gone.
    let text = String::from_utf8(arrived[at..].to_vec()).unwrap();
    let other = text.rfind("DKIM-Signature:").unwrap();
    assert!(other > 0 && text[other..].contains("a=ed25519-sha256"), "{text}");
    let (record, name) = (
        signer_service::dkim::record(&*second_key).unwrap(),
        second.record_name(),
    );
    if let Some(good) = verifies(&text.as_bytes()[other..], &record, &name) {
        assert!(good);
        let changed = text[other..].replacen("t=", "t=1", 1);
        assert_ne!(verifies(changed.as_bytes(), &record, &name), Some(true));
    }
}

#[tokio::test]
async fn a_key_that_is_not_there_is_said_at_the_start() {
    let world = crate::encrypting::world_with("").await;
    let folder = world.folder.path().join("gateway");
    let file = folder.join("gateway.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n[[dkim]]\ndomain = \"example.com\"\n")).unwrap();
    let parts = signer_service::gateway::GatewayParts::production(world.clock.clone());
    let error = signer_service::gateway::Gateway::open(&folder, parts)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("gateway dkim add"), "{error}");
}
