//! The add-on in a real Thunderbird, set up by the installer, and its logic in Node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use keys::KeyTransport;
use rand::SeedableRng as _;
use serde_json::{Value, json};
use signer_service::enveloped::{MessageCipher, Recipient, encrypt};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::support::quickstart::{P256, RSA};
use super::support::{peers, text, words};

/// Debian's thunderbird-l10n-sv-se.
const SWEDISH: &str = "/usr/lib/thunderbird/extensions/langpack-sv-SE@thunderbird.mozilla.org.xpi";

/// Passes itself off as something that the add-on would say.
const UNSIGNED: &str = "From: Carol Clark <carol@example.com>\r\nTo: reader@example.net\r\n\
    Subject: V4 Carol Clark, Example Bank, Identity Validated and Trusted\r\nDate: Sat, 28 Nov 2026 07:00:00 +0000\r\n\
    Message-ID: <unsigned@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
    <p style='background:#0d5a4f;color:#fff'>V4 Carol Clark, Identity Validated and Trusted</p>\r\n";

/// What is opened, and what must be shown of it.
struct Case<'c> {
    name: &'c str,
    path: &'c Path,
    /// Stored with the line ends of Unix.
    unix: bool,
    /// What happens before.
    first: Option<&'c str>,
    label: &'c str,
    icon: &'c str,
    /// What Thunderbird, which trusts the same root, says of signature and encryption.
    own: [Option<&'c str>; 2],
}

#[test]
fn invariant_11_thunderbird_shows_tiers_of_intact_and_trusted_mail_only() {
    let python = python();
    if ![python.as_str(), "thunderbird", "Xvfb", "certutil", "pk12util"]
        .iter()
        .all(|peer| peers::present(peer))
    {
        return;
    }
    // Debian's package of the language; without it the messages in Swedish are left out.
    let speaks_swedish = peers::present(SWEDISH);
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
    let reader = reader(home.path(), &profile);

    let delivered = P256.delivered();
    let read = |index: usize| fs::read_to_string(&delivered[index]).expect("the delivered mails are ASCII");
    let changed = |name: &str, from: &str, to: &str| {
        let whole = read(0);
        assert!(whole.contains(from), "{name}: {from} is in the mail");
        file(home.path(), name, &whole.replacen(from, to, 1))
    };
    let by_others = RSA.delivered();
    let tampered = changed("tampered", "statement is ready", "statement is reddy");
    // The address outside is another, that of the certificate is in the part that was signed.
    let mismatch = changed("mismatch", "alice@example.org", "mallory@example.org");
    let unsigned = file(home.path(), "unsigned", UNSIGNED);
    let encrypted = file(home.path(), "encrypted", &encrypted(&read(17), &reader));
    let case = |name, path, label, icon, own| Case {
        name,
        path,
        unix: false,
        first: None,
        label,
        icon,
        own,
    };
    let signed = [Some("ok"), None];
    // Thunderbird shows nothing at all for a signature that is not good.
    let unknown = [None, None];
    // One of each tier, V4 with 8-bit text; one stored with the line ends of Unix; HTML that mimics a badge.
    let mut cases = vec![
        case("v4", &delivered[25], "V4 ", "tier-v4", signed),
        case("unsigned", &unsigned, "NOT SIGNED", "not-signed", unknown),
        case("v3", &delivered[16], "V3 ", "tier-v3", signed),
        case("tampered", &tampered, "BROKEN", "broken", unknown),
        case("v2", &delivered[8], "V2 ", "tier-v2", signed),
        case(
            "untrusted",
            &by_others[24],
            "SIGNED, NOT VERIFIED",
            "not-verified",
            unknown,
        ),
        case(
            "v1",
            &delivered[0],
            "V1 Email Validated, Identity Not Validated",
            "tier-v1",
            signed,
        ),
        case("mismatch", &mismatch, "SIGNED, NOT VERIFIED", "not-verified", unknown),
        Case {
            unix: true,
            ..case("v4-unix", &delivered[24], "V4 ", "tier-v4", signed)
        },
        // The add-on has no keys: it says that there is something it cannot see.
        case(
            "encrypted",
            &encrypted,
            "NOT SIGNED",
            "not-signed",
            [Some("ok"), Some("ok")],
        ),
        Case {
            first: Some("hurry"),
            ..case("v3-after-many", &delivered[18], "V3 ", "tier-v3", signed)
        },
    ];
    if speaks_swedish {
        cases.push(Case {
            first: Some("swedish"),
            ..case("tampered-sv", &tampered, "TRASIG SIGNATUR", "broken", unknown)
        });
        cases.push(case("v3-sv", &delivered[17], "V3 ", "tier-v3", signed));
    }
    let [missing, missing_ends] = if speaks_swedish {
        ["Inte kontrollerat: Sealwright är inte inställt", "bevisar inget"]
    } else {
        ["Not checked: Sealwright is not set up", "proves nothing"]
    };
    cases.push(Case {
        first: Some("without-host"),
        ..case("without-host", &delivered[2], missing, "unavailable", signed)
    });
    let messages: Vec<Value> = cases
        .iter()
        .map(|case| json!({"name": case.name, "path": case.path, "unix": case.unix, "first": case.first, "own": case.own}))
        .collect();
    let job = json!({
        "home": home.path(),
        "profile": profile,
        "output": Path::new(env!("CARGO_TARGET_TMPDIR")).join("thunderbird"),
        "messages": messages,
        "popup": {
            "tampered": "proves nothing", "unsigned": "proves nothing", "tampered-sv": "bevisar inget",
            "without-host": missing_ends,
        },
    });
    let job = file(home.path(), "job.json", &job.to_string());
    let output = Command::new(&python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/thunderbird/reader.py"))
        .arg(job)
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{}", words(&output));
    let shown: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let popup = |name: &str| {
        let index = cases.iter().position(|case| case.name == name).expect("a case");
        shown["messages"][index]["popup"]
            .as_str()
            .expect("its button was clicked")
    };
    for (index, case) in cases.iter().enumerate() {
        let (name, seen) = (case.name, &shown["messages"][index]);
        assert_eq!(seen["name"], name);
        let has = |key: &str, words: &str| seen[key].as_str().is_some_and(|seen| seen.contains(words));
        assert!(
            has("title", "Sealwright: ") && has("title", case.label),
            "{name}: {seen}"
        );
        assert!(has("label", case.label), "{name}: {seen}");
        assert!(has("icon", &format!("icons/{}.svg", case.icon)), "{name}: {seen}");
        let sender = seen["title"]
            .as_str()
            .and_then(|title| title.split(": ").nth(1))
            .unwrap_or_default();
        assert!(case.icon == "unavailable" || has("header", sender), "{name}: {seen}");
        assert_eq!(
            [seen["signed"].as_str(), seen["encrypted"].as_str()],
            case.own,
            "{name}: {seen}"
        );
    }
    for (name, sentence) in [
        ("unsigned", "NOT SIGNED"),
        ("tampered", "Problem"),
        ("without-host", "thunderbird install"),
    ] {
        assert!(popup(name).contains(sentence), "{}", popup(name));
    }
    assert!(!popup("unsigned").contains("Signed by"), "{}", popup("unsigned"));
    if speaks_swedish {
        assert!(
            popup("tampered-sv").contains("Vad som talar emot"),
            "{}",
            popup("tampered-sv")
        );
    }
    no_label_is_about_another_sender(&shown);
}

/// In every frame that was drawn the button says nothing yet, or what was found out of the message in the header, or names
/// another sender than the header does, whose message was there a moment ago.
fn no_label_is_about_another_sender(shown: &Value) {
    let messages = shown["messages"].as_array().expect("messages were read");
    let frames = shown["frames"].as_array().expect("frames were watched");
    assert!(frames.len() > 2 * messages.len(), "only {} frames differ", frames.len());
    let mut outlived = 0;
    for (number, frame) in frames.iter().enumerate() {
        let [header, title] = [0, 1].map(|index| frame[index].as_str().unwrap_or_default());
        let Some((sender, _)) = title
            .strip_prefix("Sealwright: ")
            .and_then(|label| label.split_once(": "))
            .filter(|(sender, _)| sender.contains('@'))
        else {
            continue;
        };
        assert!(
            messages.iter().any(|message| message["title"] == title),
            "frame {number}: nothing like {title:?} was found out"
        );
        let is_known = messages.iter().any(|message| message["header"] == header);
        outlived += usize::from(is_known && !header.contains(sender));
    }
    println!(
        "{} frames, {outlived} of them with the label of another sender",
        frames.len()
    );
}

/// The certificate of somebody who reads encrypted mail in this profile, in which the root is trusted for mail as well.
fn reader(home: &Path, profile: &Path) -> Certificate {
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(home).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(output.status.success(), "{program} {arguments:?}: {}", words(&output));
    };
    let database = format!("sql:{}", text(profile));
    run("certutil", &["-N", "-d", &database, "--empty-password"]);
    run(
        "certutil",
        &[
            "-A",
            "-d",
            &database,
            "-n",
            "root",
            "-t",
            ",C,",
            "-i",
            text(&P256.root()),
        ],
    );
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "reader.key",
            "-out",
            "reader.pem",
            "-days",
            "30",
            "-subj",
            "/CN=reader",
            "-addext",
            "keyUsage=critical,keyEncipherment",
            "-addext",
            "extendedKeyUsage=emailProtection",
            "-addext",
            "subjectAltName=email:reader@recipient.example",
        ],
    );
    run(
        "openssl",
        &[
            "pkcs12",
            "-export",
            "-in",
            "reader.pem",
            "-inkey",
            "reader.key",
            "-out",
            "reader.p12",
            "-passout",
            "pass:",
        ],
    );
    run("pk12util", &["-d", &database, "-i", "reader.p12", "-W", ""]);
    run(
        "openssl",
        &["x509", "-in", "reader.pem", "-outform", "DER", "-out", "reader.der"],
    );
    let der = fs::read(home.join("reader.der")).expect("the certificate was written");
    Certificate::from_der(&der).expect("OpenSSL writes certificates")
}

/// A delivered mail, encrypted by the gateway's own code for one who reads with Thunderbird.
fn encrypted(delivered: &str, reader: &Certificate) -> String {
    let start = delivered.find("Content-Type:").expect("the mail is signed");
    let (header, entity) = delivered.split_at(start);
    let recipient = Recipient {
        certificate: reader,
        transport: KeyTransport::Pkcs1,
    };
    let mut rng = rand::rngs::StdRng::from_seed([7; 32]);
    let cms =
        encrypt(entity.into(), MessageCipher::Aes256Cbc, &[recipient], &mut rng).expect("an RSA key is fit for it");
    let base64 = data_encoding::BASE64_MIME.encode(&cms);
    format!(
        "{header}Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{base64}"
    )
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
