//! The README's first command: four senders, eight kinds of mail, every one labelled, and other software agrees.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use migrations::testing::PostgresSchema;

use crate::support::peers::{self, Gpgsm, Nss};
use crate::support::quickstart::{P256, Quickstart, RSA};
use crate::support::signed_mail::SignedMail;
use crate::support::{sealwright, text, words};

/// The labels of DESIGN-conformant quickstart senders, in the order in which they send.
const LABELS: [&str; 4] = [
    "V1 Email Validated, Identity Not Validated",
    "V2 Bob Brown, Identity Validated",
    "V3 Example Bank, Identity Validated and Trusted",
    "V4 Carol Clark, Example Bank, Head of Payments, Identity Validated and Trusted",
];

#[test]
fn every_kind_from_every_sender_is_delivered_with_its_label() {
    check_labels(&P256);
}

#[test]
fn the_story_is_the_same_with_rsa_keys() {
    check_labels(&RSA);
}

#[test]
fn the_story_is_the_same_on_postgresql() {
    let Some(schema) = PostgresSchema::from_environment() else {
        assert!(
            std::env::var_os("CI").is_none(),
            "TEST_DATABASE_URL is not set, and on CI it must be"
        );
        eprintln!("SKIPPED: TEST_DATABASE_URL is not set; scripts/test starts a PostgreSQL and sets it");
        return;
    };
    let quickstart = Quickstart::run(&["--database", &schema.url()]);
    check_labels(&quickstart);
    let sqlite_files = walk(quickstart.data())
        .into_iter()
        .filter(|path| path.ends_with(".sqlite"))
        .count();
    assert_eq!(sqlite_files, 0, "nothing was kept in SQLite");
}

fn check_labels(quickstart: &Quickstart) {
    assert!(
        quickstart.printed.contains("32 of 32 mails carry a validated tier"),
        "{}",
        quickstart.printed
    );
    let delivered = quickstart.delivered();
    assert_eq!(delivered.len(), 32);
    for (number, label) in LABELS.iter().enumerate() {
        assert_eq!(
            quickstart.printed.matches(label).count(),
            8,
            "{label}: {}",
            quickstart.printed
        );
        // The executable says the same of the file as the story did.
        let mut arguments = vec!["verify", "--json", "--trust"];
        let root = quickstart.root();
        arguments.push(text(&root));
        let crls = quickstart.crls();
        for crl in &crls {
            arguments.extend(["--crl", text(crl)]);
        }
        arguments.push(text(&delivered[number * 8]));
        let output = sealwright(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", words(&output));
        let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).expect("--json prints JSON");
        assert_eq!(verdict["status"], "tier");
        assert_eq!(verdict["tier"], format!("V{}", number + 1));
        assert_eq!(verdict["label"], *label);
        assert_eq!(verdict["revocation"], "good", "{verdict}");
        let findings = verdict["findings"].as_array().expect("an array");
        assert!(
            findings.iter().all(|finding| finding["severity"] == "notice"),
            "nothing to look at twice: {verdict}"
        );
    }
}

#[test]
fn openssl_accepts_every_message_with_every_crl() {
    if !peers::present("openssl") {
        return;
    }
    for quickstart in [&*P256, &*RSA] {
        let crls: Vec<_> = quickstart.crls().iter().map(|crl| pem_crl(crl)).collect();
        let crls: Vec<_> = crls.iter().map(|file| file.path().to_owned()).collect();
        for message in quickstart.delivered() {
            let opinion = peers::openssl(&message, &quickstart.root(), &crls);
            assert!(opinion.good, "{}: {}", message.display(), opinion.words);
        }
        // Without the CRL of the issuing CA nothing is known about the signer: so the CRLs above were read.
        assert!(!peers::openssl(&quickstart.delivered()[0], &quickstart.root(), &crls[1..]).good);
    }
}

#[test]
fn openssl_rejects_a_message_with_one_changed_letter() {
    if !peers::present("openssl") {
        return;
    }
    // Without this, an openssl that accepts everything would pass the test above.
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let changed = folder.path().join("changed.eml");
    let message = fs::read_to_string(&P256.delivered()[0]).expect("the first mail is ASCII");
    fs::write(&changed, message.replace("statement is ready", "statement is reddy")).expect("the file is written");
    assert!(!peers::openssl(&changed, &P256.root(), &[]).good);
}

#[test]
fn gpgsm_accepts_every_message() {
    if !peers::present("gpgsm") {
        return;
    }
    for quickstart in [&*P256, &*RSA] {
        let gpgsm = Gpgsm::trusting(&quickstart.root());
        for message in quickstart.delivered() {
            let opinion = gpgsm.verify(&SignedMail::read(&message));
            assert!(opinion.good, "{}: {}", message.display(), opinion.words);
        }
        let mut changed = SignedMail::read(&quickstart.delivered()[0]);
        changed.content[40] ^= 1;
        assert!(!gpgsm.verify(&changed).good, "gpgsm rejects a changed byte");
    }
}

#[test]
fn nss_accepts_every_message() {
    if !peers::present("cmsutil") || !peers::present("certutil") {
        return;
    }
    for quickstart in [&*P256, &*RSA] {
        let nss = Nss::trusting(&quickstart.root());
        for message in quickstart.delivered() {
            let opinion = nss.verify(&SignedMail::read(&message));
            assert!(opinion.good, "{}: {}", message.display(), opinion.words);
        }
        let mut changed = SignedMail::read(&quickstart.delivered()[0]);
        changed.content[40] ^= 1;
        assert!(!nss.verify(&changed).good, "NSS rejects a changed byte");
    }
}

#[test]
fn pkilint_finds_nothing_in_any_certificate() {
    if !peers::present(&peers::pkilint()) {
        return;
    }
    let mut seen = BTreeSet::new();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for quickstart in [&*P256, &*RSA] {
        for message in quickstart.delivered() {
            let output = sealwright(&["verify", "--json", "--trust", text(&quickstart.root()), text(&message)]);
            let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).expect("--json prints JSON");
            let certificate = verdict["certificate"]
                .as_str()
                .expect("a signed mail has a certificate");
            if seen.insert(certificate.to_owned()) {
                let file = folder.path().join(format!("{}.pem", seen.len()));
                fs::write(&file, certificate).expect("the file is written");
                assert_eq!(peers::pkilint_findings(&file), "", "{certificate}");
            }
        }
    }
    assert_eq!(
        seen.len(),
        8,
        "each of the four senders has one certificate per kind of key"
    );
}

#[test]
fn content_arrives_as_it_was_sent() {
    for message in P256.delivered() {
        let signed = SignedMail::read(&message);
        assert!(
            signed.content.is_ascii(),
            "{}: what is signed is 7-bit",
            message.display()
        );
        let longest = signed
            .content
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::len)
            .max()
            .unwrap_or(0);
        assert!(longest <= 999, "{}: a line has {longest} octets", message.display());
    }
    let texts: Vec<String> = P256.delivered()[..8].iter().map(|message| decoded(message)).collect();
    assert!(
        texts[1].contains("Grüße aus Köln, hälsningar från Malmö, 宜しくお願いします。"),
        "{}",
        texts[1]
    );
    assert!(texts[1].contains("This line ends in blanks   "), "{}", texts[1]);
    assert!(
        texts[4].contains("field0=value0;field1=value1;") && texts[4].contains("field399=value399;"),
        "{}",
        texts[4]
    );
    assert!(texts[5].contains("Bitte prüfen Sie die Änderung."), "{}", texts[5]);
    assert!(texts[7].contains("room Åland"), "{}", texts[7]);
}

/// All text of a message, read by a parser that is not ours.
fn decoded(message: &std::path::Path) -> String {
    let bytes = fs::read(message).expect("the message can be read");
    let parsed = mail_parser::MessageParser::default()
        .parse(&bytes)
        .expect("it is a message");
    parsed
        .parts
        .iter()
        .filter_map(mail_parser::MessagePart::text_contents)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn own_mails_are_sent_from_every_sender() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mail = folder.path().join("letter.eml");
    fs::write(
        &mail,
        "From: me@example.org\nTo: you@example.org\nSubject: mine\n\nMy own words.\n",
    )
    .expect("the file is written");
    let quickstart = Quickstart::run(&["--mail", text(&mail)]);
    assert!(
        quickstart.printed.contains("4 of 4 mails carry a validated tier"),
        "{}",
        quickstart.printed
    );
    for message in quickstart.delivered() {
        assert!(decoded(&message).contains("My own words."), "{}", message.display());
    }
}

#[test]
fn keep_running_leaves_the_services_up_until_they_are_stopped() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().join("data");
    let mut child = Command::new(env!("CARGO_BIN_EXE_sealwright"))
        .args(["quickstart", "--keep-running", "--data", text(&data)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the executable starts");
    let lines = BufReader::new(child.stdout.take().expect("its standard output is a pipe")).lines();
    let mut addresses = lines
        .map(|line| line.expect("its output is text"))
        .filter(|line| line.contains(", SMTP "));
    let gateway = addresses.next().expect("the address of the gateway is printed");
    let address = gateway.split_whitespace().last().expect("the line ends with it");
    // Somebody answers there, in SMTP.
    let mut greeting = String::new();
    let stream = TcpStream::connect(address).expect("the gateway is up");
    BufReader::new(stream).read_line(&mut greeting).expect("it greets");
    assert!(greeting.starts_with("220 "), "{greeting}");

    let asked = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(asked.is_ok_and(|status| status.success()), "the signal was sent");
    // The rest of its output must be read, or it could not write it.
    addresses.for_each(drop);
    assert!(child.wait().is_ok_and(|status| status.success()), "it ends well");
}

#[test]
fn invariant_12_no_key_is_readable_in_the_data_folder() {
    for path in walk(P256.data()) {
        let content = fs::read(&path).expect("a file can be read");
        assert!(!contains(&content, b"PRIVATE KEY"), "{path} holds a key in PEM");
        // The object identifiers of id-ecPublicKey and P-256 together with an ECPrivateKey of version 1: PKCS#8 in the clear.
        let pkcs8_of_p256 = [
            0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
        ];
        assert!(!contains(&content, &pkcs8_of_p256), "{path} holds a key in PKCS#8");
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path.display().to_string());
        }
    }
    files
}

/// The CRL as the PEM file that openssl wants.
fn pem_crl(der: &std::path::Path) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let output = Command::new("openssl")
        .args(["crl", "-inform", "DER", "-in", text(der), "-out", text(file.path())])
        .output()
        .expect("openssl starts");
    assert!(output.status.success(), "{}: {}", der.display(), words(&output));
    file
}
