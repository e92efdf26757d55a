//! The add-on in a real Thunderbird, set up by the installer, and its logic in Node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::support::quickstart::{P256, RSA};
use super::support::{peers, text, words};

/// The messages that are opened, in an order in which no two that follow each other look the same.
const UNSIGNED: &str = "From: Carol Clark <carol@example.com>\r\nTo: reader@example.net\r\n\
    Subject: V4 Carol Clark, Example Bank, Identity Validated and Trusted\r\nDate: Sat, 28 Nov 2026 07:00:00 +0000\r\n\
    Message-ID: <unsigned@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
    <p style='background:#0d5a4f;color:#fff'>V4 Carol Clark, Identity Validated and Trusted</p>\r\n";

#[test]
fn invariant_11_thunderbird_shows_tiers_of_intact_and_trusted_mail_only() {
    let python = python();
    if ![python.as_str(), "thunderbird", "Xvfb"]
        .iter()
        .all(|peer| peers::present(peer))
    {
        return;
    }
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let profile = home.path().join("profile");
    fs::create_dir(&profile).expect("a folder can be made");
    // What Thunderbird makes at its first start.
    fs::write(profile.join("prefs.js"), "").expect("a file is written");
    let installed = installer(
        home.path(),
        &["install", "--trust", text(&P256.root()), "--profile", text(&profile)],
    );
    assert!(installed.status.success(), "{}", words(&installed));
    let status = installer(home.path(), &["status", "--json"]);
    assert!(status.status.success(), "{}", words(&status));

    let delivered = P256.delivered();
    let read = |index: usize| fs::read_to_string(&delivered[index]).expect("the delivered mails are ASCII");
    let changed = |name: &str, from: &str, to: &str| {
        let whole = read(0);
        assert!(whole.contains(from), "{name}: {from} is in the mail");
        file(home.path(), name, &whole.replacen(from, to, 1))
    };
    let tampered = changed("tampered", "statement is ready", "statement is reddy");
    // The address outside is another, that of the certificate is in the part that was signed.
    let mismatch = changed("mismatch", "alice@example.org", "mallory@example.org");
    let unsigned = file(home.path(), "unsigned", UNSIGNED);
    // One of each tier, V4 with 8-bit text; one stored with the line ends of Unix; HTML that mimics a badge.
    let messages: [(&str, &Path, bool); 9] = [
        ("v4", &delivered[25], false),
        ("unsigned", &unsigned, false),
        ("v3", &delivered[16], false),
        ("tampered", &tampered, false),
        ("v2", &delivered[8], false),
        ("untrusted", &RSA.delivered()[24], false),
        ("v1", &delivered[0], false),
        ("mismatch", &mismatch, false),
        ("v4-unix", &delivered[24], true),
    ];
    let job = json!({
        "home": home.path(),
        "profile": profile,
        "output": Path::new(env!("CARGO_TARGET_TMPDIR")).join("thunderbird"),
        "messages": messages.map(|(name, path, unix)| json!({"name": name, "path": path, "unix": unix})),
        "popup": ["tampered", "unsigned"],
    });
    let job = file(home.path(), "job.json", &job.to_string());
    let output = Command::new(&python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/thunderbird/reader.py"))
        .arg(job)
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{}", words(&output));
    let shown: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let expected = [
        ("v4", "V4 ", "tier-v4"),
        ("unsigned", "NOT SIGNED", "not-signed"),
        ("v3", "V3 ", "tier-v3"),
        ("tampered", "BROKEN", "broken"),
        ("v2", "V2 ", "tier-v2"),
        ("untrusted", "SIGNED, NOT VERIFIED", "not-verified"),
        ("v1", "V1 Email Validated, Identity Not Validated", "tier-v1"),
        ("mismatch", "SIGNED, NOT VERIFIED", "not-verified"),
        ("v4-unix", "V4 ", "tier-v4"),
    ];
    for (index, (name, label, icon)) in expected.into_iter().enumerate() {
        let seen = &shown["messages"][index];
        assert_eq!(seen["name"], name);
        let has = |key: &str, words: &str| seen[key].as_str().is_some_and(|seen| seen.contains(words));
        assert!(has("title", &format!("Sealwright: {label}")), "{name}: {seen}");
        assert!(has("label", label), "{name}: {seen}");
        assert!(has("icon", &format!("icons/{icon}.svg")), "{name}: {seen}");
    }
    let popup = |index: usize| {
        shown["messages"][index]["popup"]
            .as_str()
            .expect("its button was clicked")
    };
    for (index, sentence) in [(1, "NOT SIGNED"), (3, "Problem")] {
        assert!(popup(index).contains(sentence), "{}", popup(index));
    }
    assert!(!popup(1).contains("Signed by"), "{}", popup(1));
}

#[test]
fn the_logic_of_the_add_on_passes_its_tests_in_node() {
    if !peers::present("node") {
        return;
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("verifier/thunderbird/tests/logic.test.mjs");
    let output = Command::new("node")
        .arg("--test")
        .arg(tests)
        .output()
        .expect("node starts");
    assert!(output.status.success(), "{}", words(&output));
    // A runner that found no test would succeed as well.
    let said = words(&output);
    assert!(said.contains("pass 9"), "{said}");
}

#[test]
fn the_installer_explains_what_it_needs_and_does() {
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let refused = installer(home.path(), &["install"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(words(&refused).contains("--trust root.pem"), "{}", words(&refused));
    let missing = installer(home.path(), &["status"]);
    assert_eq!(missing.status.code(), Some(1), "{}", words(&missing));
    let installed = installer(home.path(), &["install", "--trust", text(&P256.root())]);
    assert!(
        words(&installed).contains("Install Add-on From File"),
        "{}",
        words(&installed)
    );
    let works = installer(home.path(), &["status"]);
    assert!(works.status.success(), "{}", words(&works));
    let removed = installer(home.path(), &["uninstall"]);
    assert!(removed.status.success(), "{}", words(&removed));
    assert!(!home.path().join(".local/share/sealwright/thunderbird").exists());
}

#[test]
fn the_host_speaks_to_no_other_add_on() {
    let host = Command::new(env!("CARGO_BIN_EXE_sealwright"))
        .args([
            "thunderbird-host",
            "--settings",
            "/nowhere",
            "manifest.json",
            "other@example.org",
        ])
        .output()
        .expect("the executable starts");
    assert_eq!(host.status.code(), Some(2));
    assert!(host.stdout.is_empty());
    assert!(words(&host).contains("verifier@sealwright"), "{}", words(&host));
}

#[test]
fn python_reads_the_add_on_as_an_archive() {
    if !peers::present("python3") {
        return;
    }
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let installed = installer(home.path(), &["install", "--trust", text(&P256.root())]);
    assert!(installed.status.success(), "{}", words(&installed));
    let addon = home.path().join(".local/share/sealwright/thunderbird/sealwright.xpi");
    let script = "import sys, zipfile; archive = zipfile.ZipFile(sys.argv[1]); assert archive.testzip() is None; \
                  assert b'manifest_version' in archive.read('manifest.json')";
    let output = Command::new("python3").args(["-c", script]).arg(addon).output();
    let output = output.expect("Python starts");
    assert!(output.status.success(), "{}", words(&output));
}

/// `sealwright thunderbird …` for a user of her own.
fn installer(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealwright"))
        .arg("thunderbird")
        .args(arguments)
        .env("HOME", home)
        .env_remove("XDG_DATA_HOME")
        .output()
        .expect("the executable starts")
}

/// A Python that has marionette_driver, as `scripts/test` sets it up.
fn python() -> String {
    std::env::var("SEALWRIGHT_MARIONETTE").unwrap_or_else(|_| "python-with-marionette-driver".to_owned())
}

fn file(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).expect("a file is written");
    path
}
