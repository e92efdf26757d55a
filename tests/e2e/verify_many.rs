//! `sealwright verify` over folders, Maildirs and mbox files, and what it explains.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::quickstart::P256;
use crate::support::{sealwright, text, words};

fn mail(index: usize) -> Vec<u8> {
    fs::read(&P256.delivered()[index]).expect("a delivered mail can be read")
}

/// As programs store it: a separator, lines with LF alone, an empty line at the end.
fn stored(mail: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(mail).replace("\r\n", "\n");
    let quoted: String = text
        .split_inclusive('\n')
        .map(|line| {
            if line.trim_start_matches('>').starts_with("From ") {
                format!(">{line}")
            } else {
                line.to_owned()
            }
        })
        .collect();
    format!("From somebody Mon Nov 23 10:00:00 2026\n{quoted}\n").into_bytes()
}

/// Exit status, the object of each message, and the summary at the end.
fn many(arguments: &[&str], path: &Path) -> (Option<i32>, Vec<Value>, Value) {
    let root = P256.root();
    let arguments = [&["verify", "--json", "--trust", text(&root)], arguments, &[text(path)]].concat();
    let output = sealwright(&arguments);
    let printed = String::from_utf8(output.stdout.clone()).expect("JSON is UTF-8");
    let mut lines: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {}", words(&output))))
        .collect();
    let summary = lines.pop().unwrap_or_else(|| panic!("{}", words(&output)));
    (output.status.code(), lines, summary["summary"].clone())
}

#[test]
fn a_maildir_is_read_where_mail_lies() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for name in ["cur", "new", "tmp", ".Archive/cur", ".Archive/new"] {
        fs::create_dir_all(folder.path().join(name)).expect("a folder can be made");
    }
    let write = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).expect("a mail is written");
    write("cur/1:2,S", &mail(0));
    write("new/2", b"From: a@example.org\r\n\r\nHello\r\n");
    write("tmp/3", &mail(0));
    write(".Archive/cur/4:2,", &mail(8));
    write("dovecot-uidlist", b"3 V1\n");
    let (status, lines, summary) = many(&[], folder.path());
    assert_eq!((status, lines.len()), (Some(1), 3), "{lines:?}");
    let tiers: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["file"].as_str().unwrap().rsplit('/').next().unwrap(),
                line["tier"].as_str(),
            )
        })
        .collect();
    assert_eq!(tiers, [("4:2,", Some("V2")), ("1:2,S", Some("V1")), ("2", None)]);
    assert_eq!((&summary["messages"], &summary["not_signed"]), (&3.into(), &1.into()));
    assert_eq!(
        (&summary["tiers"]["V1"], &summary["tiers"]["V2"]),
        (&1.into(), &1.into())
    );
    assert_eq!(summary["left_aside"], 1);
}

#[test]
fn every_message_of_an_mbox_is_examined_by_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("Inbox");
    let changed = String::from_utf8(mail(0))
        .unwrap()
        .replacen("statement is ready", "statement is reddy", 1);
    let unsigned = b"From: a@example.org\r\n\r\nHello\r\n\r\nFrom here on\r\n".as_slice();
    let messages = [&mail(0), changed.as_bytes(), unsigned, &mail(16), &mail(24)];
    fs::write(&path, messages.map(stored).concat()).expect("the mbox is written");
    let (status, lines, summary) = many(&[], &path);
    let found: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["message"].as_u64().unwrap(),
                line["status"].as_str().unwrap(),
                line["tier"].as_str(),
            )
        })
        .collect();
    let expected = [
        (1, "tier", Some("V1")),
        (2, "broken", None),
        (3, "not_signed", None),
        (4, "tier", Some("V3")),
        (5, "tier", Some("V4")),
    ];
    assert_eq!((status, found.as_slice()), (Some(1), expected.as_slice()));
    assert_eq!((&summary["messages"], &summary["broken"]), (&5.into(), &1.into()));
    // With the whole report of each.
    assert_eq!(lines[1]["findings"][0]["code"], "message-digest-mismatch");
    assert!(lines[0]["certificate"].as_str().unwrap().starts_with("-----BEGIN"));
}

#[test]
fn quotes_of_an_mbox_do_not_break_a_signature() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = |name: &str| folder.path().join(name);
    let openssl = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl").args(arguments).output();
        let output = output.expect("openssl starts");
        assert!(output.status.success(), "{}", words(&output));
    };
    let (key, certificate, content) = (path("key"), path("certificate"), path("content"));
    let new = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "30",
    ];
    let files = ["-subj", "/CN=A", "-keyout", text(&key), "-out", text(&certificate)];
    openssl(&[&["req", "-x509"], &new[..], &files[..]].concat());
    let (mut mbox, lines) = (Vec::new(), ["From here on", ">From me to you", "nothing"]);
    for line in lines {
        fs::write(&content, format!("Content-Type: text/plain\r\n\r\n{line}\r\n")).unwrap();
        let signed = path("signed");
        let command = [
            "cms",
            "-sign",
            "-binary",
            "-crlfeol",
            "-in",
            text(&content),
            "-out",
            text(&signed),
        ];
        openssl(&[&command[..], &["-signer", text(&certificate), "-inkey", text(&key)]].concat());
        let message = [b"From: a@example.org\r\n".as_slice(), &fs::read(&signed).unwrap()].concat();
        // As mboxrd, which quotes what is quoted, and as mboxo, which does not.
        let rd = stored(&message);
        let o = String::from_utf8(rd.clone()).unwrap().replace("\n>>From", "\n>From");
        mbox.extend([rd, o.into_bytes()].concat());
    }
    let archive = path("archive.mbox");
    fs::write(&archive, mbox).unwrap();
    let (_, reports, _) = many(&[], &archive);
    let integrity: Vec<_> = reports
        .iter()
        .map(|report| report["integrity"].as_str().unwrap())
        .collect();
    assert_eq!(integrity, ["intact"; 6]);
}

#[test]
fn a_folder_gives_a_line_each_and_a_summary() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    fs::create_dir(folder.path().join("more")).expect("a folder can be made");
    fs::write(folder.path().join("a.eml"), mail(0)).expect("a mail is written");
    fs::write(folder.path().join("more/b.EML"), mail(16)).expect("a mail is written");
    fs::write(folder.path().join("more/archive"), stored(&mail(24))).expect("an mbox is written");
    fs::write(folder.path().join("notes.txt"), "no mail").expect("a file is written");
    let root = P256.root();
    let output = sealwright(&["verify", "--trust", text(&root), text(folder.path())]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    let expected = [
        "a.eml: <alice@example.org> V1 Email Validated, Identity Not Validated\n",
        "more/archive#1: <carol@example.com> V4 Carol Clark, Example Bank, ",
        "more/b.EML: <notices@example.com> V3 Example Bank, Identity Validated and Trusted\n",
        "\nExamined 3 messages:\n",
        "       1  V3 organization validated\n",
        "       1  other files left aside\n",
    ];
    for line in expected {
        assert!(printed.contains(line), "{line:?} in {printed}");
    }
    // Nobody looks on, so there is no progress among the output.
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_examined() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    fs::write(folder.path().join("a.eml"), mail(0)).expect("a mail is written");
    std::os::unix::fs::symlink("/nonexistent", folder.path().join("b.eml")).expect("a link can be made");
    let (status, lines, summary) = many(&[], folder.path());
    assert_eq!((status, lines.len()), (Some(2), 2));
    assert!(lines[0]["error"].as_str().unwrap().contains("b.eml"), "{}", lines[0]);
    assert_eq!(lines[1]["tier"], "V1");
    assert_eq!((&summary["messages"], &summary["unreadable"]), (&1.into(), &1.into()));
}

#[test]
fn wrong_usage_of_many_is_one_sentence() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (empty, badge) = (text(folder.path()), folder.path().join("badge.svg"));
    let first = P256.delivered()[0].clone();
    let (mail, badge) = (text(&first), text(&badge));
    for (arguments, says) in [
        (vec!["verify", empty], "there is no message in"),
        (vec!["verify", mail, "/nonexistent"], "cannot read /nonexistent"),
        (vec!["verify", "--badge", badge, mail, mail], "for one message"),
        (vec!["verify", "--content", badge, mail, mail], "for one message"),
        (vec!["verify", "--language", "de", mail], "--language \"de\""),
        (vec!["verify", "--trust-signatures", mail, mail], "holds no certificate"),
        (vec!["verify", "--intermediate", mail, mail], "holds no certificate"),
        (vec!["verify", "--ocsp", mail, mail], "is not an OCSP response"),
        (vec!["verify", "--explain", "no-such-code"], "--explain list"),
        (vec!["verify", "--explain", "digest"], "perhaps "),
        (vec!["verify", "--explain", "revoked", mail], "cannot be used with"),
    ] {
        let output = sealwright(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", words(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}: {}", words(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(says), "{arguments:?} says {says:?}: {said}");
    }
    assert!(!Path::new(badge).exists(), "nothing was written");
}

#[test]
fn one_message_is_explained_to_people() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (badge, content, root) = (folder.path().join("b.svg"), folder.path().join("c.txt"), P256.root());
    let first = P256.delivered()[0].clone();
    let files = ["--badge", text(&badge), "--content", text(&content)];
    let arguments = [&["verify", "--trust", text(&root)], &files[..], &[text(&first)]].concat();
    let output = sealwright(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    let expected = [
        "V1 Email Validated, Identity Not Validated\nThe message was signed by whoever controls the sender's address.",
        "  From         alice@example.org\n",
        "  Content      is what was signed\n",
        "  Certificate  is valid and comes from an authority that is trusted here\n",
        "  Warning: Nobody looked whether the certificate was withdrawn",
        "    What to do: For mail that matters, give the revocation lists",
    ];
    for line in expected {
        assert!(printed.contains(line), "{line:?} in {printed}");
    }
    assert!(fs::read_to_string(&badge).unwrap().starts_with("<svg "));
    let content = fs::read(&content).unwrap();
    assert!(
        mail(0).windows(content.len()).any(|window| window == content),
        "the signed part of the message"
    );
    // In Swedish, and of a message that was changed.
    let changed = folder.path().join("changed.eml");
    let text_of_it = String::from_utf8(mail(0)).unwrap();
    fs::write(
        &changed,
        text_of_it.replacen("statement is ready", "statement is reddy", 1),
    )
    .unwrap();
    let output = sealwright(&["verify", "--language", "sv", "--trust", text(&root), text(&changed)]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.starts_with("TRASIG SIGNATUR (innehållet har ändrats)\n"),
        "{printed}"
    );
    assert!(
        printed.contains("  Fel: Innehållet är inte det som signerades."),
        "{printed}"
    );
}

#[test]
fn nothing_of_a_message_speaks_to_the_terminal() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let hostile =
        "From: a@example.org\r\nContent-Type: multipart/signed; protocol=\"\u{1b}[32mV4 Bank\u{202e}\"\r\n\r\nx\r\n";
    let header = "From: a@example.org\r\n\u{1b}[2J: x\r\n\r\nx\r\n";
    for (index, message) in [hostile, header].into_iter().enumerate() {
        let path = folder.path().join(format!("{index}\u{1b}[32m.eml"));
        fs::write(&path, message).unwrap();
        for path in [path.as_path(), folder.path()] {
            let output = sealwright(&["verify", text(path)]);
            let printed = [output.stdout, output.stderr].concat();
            assert!(!printed.contains(&0x1b), "{}", String::from_utf8_lossy(&printed));
            assert!(!String::from_utf8_lossy(&printed).contains('\u{202e}'));
        }
    }
}

#[test]
fn codes_are_explained_one_by_one_and_all_together() {
    let output = sealwright(&["verify", "--explain", "revoked"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for line in [
        "revoked (Error)\n",
        "\nWhat it means\n  The certificate was withdrawn",
        "\nWhat to do\n",
    ] {
        assert!(printed.contains(line), "{line:?} in {printed}");
    }
    let list = String::from_utf8(sealwright(&["verify", "--explain", "list"]).stdout).unwrap();
    let json = sealwright(&["verify", "--json", "--explain", "list", "--language", "sv"]);
    let json: Vec<Value> = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(list.lines().count(), json.len());
    assert!(json.len() > 100, "all of them");
    for (line, explanation) in list.lines().zip(&json) {
        assert_eq!(line.split_whitespace().next(), explanation["code"].as_str());
    }
}
