//! `sealwright verify` as a script uses it: exit status, JSON surface, one clear sentence for bad input.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::quickstart::P256;
use crate::support::{sealwright, text, words};

/// Runs `verify --json --trust ROOT FURTHER… FILE` on `message` and returns the exit status and the JSON object.
fn verdict(message: &[u8], further: &[&str]) -> (Option<i32>, serde_json::Value) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    fs::write(file.path(), message).expect("the message is written");
    let root = P256.root();
    let arguments = [
        &["verify", "--json", "--trust", text(&root)],
        further,
        &[text(file.path())],
    ]
    .concat();
    let output = sealwright(&arguments);
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", words(&output)));
    (output.status.code(), json)
}

fn first_mail() -> Vec<u8> {
    fs::read(&P256.delivered()[0]).expect("the first mail can be read")
}

/// The first mail with `from` replaced by `to`, which must be in it.
fn changed(from: &str, to: &str) -> Vec<u8> {
    let mail = String::from_utf8(first_mail()).expect("the first mail is ASCII");
    assert!(mail.contains(from), "{from:?} is in the mail: {mail}");
    mail.replacen(from, to, 1).into_bytes()
}

#[test]
fn the_json_surface_has_exactly_these_keys() {
    let (status, json) = verdict(&first_mail(), &[]);
    assert_eq!(status, Some(0), "{json}");
    let keys: Vec<&str> = json
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    let mut expected = [
        "status",
        "tier",
        "label",
        "from",
        "signer",
        "integrity",
        "path",
        "identity",
        "revocation",
        "findings",
        "certificate",
        "description",
        "encryption",
        "header_protection",
        "protected_headers",
        "verified_length",
        "inner",
    ];
    expected.sort_unstable();
    let mut sorted = keys;
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    let signer = json["signer"].as_object().expect("an object");
    for key in ["address", "name", "organization", "title"] {
        assert!(signer.contains_key(key), "{signer:?} has {key}");
    }
    for finding in json["findings"].as_array().expect("an array") {
        for key in ["code", "severity", "detail", "meaning", "importance", "advice"] {
            assert!(finding[key].is_string(), "{finding} has {key}");
        }
    }
    // Without a CRL nobody knows, and that is said.
    assert_eq!(json["revocation"], "not_checked");
}

#[test]
fn a_changed_letter_in_the_signed_part_is_broken() {
    let (status, json) = verdict(&changed("statement is ready", "statement is reddy"), &[]);
    assert_eq!(
        (status, json["status"].as_str(), json["tier"].is_null()),
        (Some(1), Some("broken"), true),
        "{json}"
    );
}

#[test]
fn another_sender_is_not_verified() {
    let (status, json) = verdict(
        &changed("From: Alice <alice@example.org>", "From: Alice <mallory@example.org>"),
        &[],
    );
    assert_eq!(
        (status, json["status"].as_str(), json["tier"].is_null()),
        (Some(1), Some("not_verified"), true),
        "{json}"
    );
}

#[test]
fn a_second_from_field_is_never_a_tier() {
    let (status, json) = verdict(
        &changed("From: Alice", "From: Bob <bob@example.net>\r\nFrom: Alice"),
        &[],
    );
    assert_eq!((status, json["tier"].is_null()), (Some(1), true), "{json}");
    assert_ne!(json["status"], "tier");
}

#[test]
fn an_untrusted_root_is_not_verified() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (key, root) = (folder.path().join("key.pem"), folder.path().join("root.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=Other Root",
            "-days",
            "30",
        ])
        .args(["-keyout", text(&key), "-out", text(&root)])
        .output()
        .expect("openssl starts");
    assert!(made.status.success(), "{}", words(&made));
    let output = sealwright(&["verify", "--json", "--trust", text(&root), text(&P256.delivered()[0])]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("--json prints JSON");
    assert_eq!(
        (output.status.code(), json["status"].as_str()),
        (Some(1), Some("not_verified")),
        "{json}"
    );
    assert!(json["tier"].is_null(), "{json}");
}

#[test]
fn without_any_trust_nothing_is_verified() {
    let output = sealwright(&["verify", "--json", text(&P256.delivered()[0])]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("--json prints JSON");
    assert_eq!(
        (output.status.code(), json["status"].as_str()),
        (Some(1), Some("not_verified")),
        "{json}"
    );
}

#[test]
fn after_its_certificate_expired_a_mail_has_no_tier() {
    let (status, json) = verdict(&first_mail(), &["--at", "2031-01-01T00:00:00Z"]);
    assert_eq!(
        (status, json["status"].as_str()),
        (Some(1), Some("not_verified")),
        "{json}"
    );
}

#[test]
fn an_unsigned_mail_is_not_signed() {
    let (status, json) = verdict(b"From: a@example.org\r\nSubject: x\r\n\r\nHello\r\n", &[]);
    assert_eq!(
        (status, json["status"].as_str()),
        (Some(1), Some("not_signed")),
        "{json}"
    );
    assert!(json["certificate"].is_null() && json["signer"].is_null(), "{json}");
}

#[test]
fn a_message_comes_from_standard_input_too() {
    let root = P256.root();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sealwright"))
        .args(["verify", "--trust", text(&root), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the executable starts");
    child
        .stdin
        .take()
        .expect("it has a standard input")
        .write_all(&first_mail())
        .expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", words(&output));
    assert!(
        words(&output).starts_with("V1 Email Validated, Identity Not Validated\n"),
        "{}",
        words(&output)
    );
}

#[test]
fn bad_usage_is_one_sentence_and_status_two() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let garbage = folder.path().join("garbage");
    fs::write(&garbage, b"this is neither PEM nor DER\n").expect("the file is written");
    let root = P256.root();
    let mail = &P256.delivered()[0];
    let (root, mail, garbage) = (text(&root), text(mail), text(&garbage));
    let missing = "/nonexistent/mail.eml";
    for (arguments, says) in [
        (
            vec!["verify", "--trust", root, missing],
            "cannot read /nonexistent/mail.eml",
        ),
        (
            vec!["verify", "--trust", missing, mail],
            "cannot read /nonexistent/mail.eml",
        ),
        (
            vec!["verify", "--trust", garbage, mail],
            "holds no certificate that can be trusted",
        ),
        (
            vec!["verify", "--trust", root, "--crl", garbage, mail],
            "is not a certificate revocation list",
        ),
        (
            vec!["verify", "--trust", root, "--crl", mail, mail],
            "is not a certificate revocation list",
        ),
        (
            vec!["verify", "--trust", root, "--at", "yesterday", mail],
            "--at \"yesterday\" is not a time",
        ),
        (vec!["verify", "--trust", root], "<FILE|->"),
        (vec!["verify", "--unknown", mail], "--unknown"),
    ] {
        let output = sealwright(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", words(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}: nothing on standard output");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(says),
            "{arguments:?} says {says:?}: {}",
            words(&output)
        );
    }
}
