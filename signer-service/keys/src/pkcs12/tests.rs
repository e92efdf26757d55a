//! The files as other people's software reads them.

use std::process::{Command, Output, Stdio};

use openssl::pkcs12::Pkcs12;

use super::*;
use crate::KeyAlgorithm;

const FORMS: [Form; 2] = [Form::Modern, Form::Legacy];

/// A certificate for the key that it signs itself.
fn certificate(key: &ExportableKey, name: &str) -> Vec<u8> {
    let pkey = openssl::pkey::PKey::private_key_from_pkcs8(key.pkcs8()).unwrap();
    let mut subject = openssl::x509::X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = openssl::x509::X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    let serial = openssl::bn::BigNum::from_u32(u32::try_from(name.len()).unwrap()).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(&subject).unwrap();
    builder.set_pubkey(&pkey).unwrap();
    builder
        .set_not_before(&openssl::asn1::Asn1Time::days_from_now(0).unwrap())
        .unwrap();
    builder
        .set_not_after(&openssl::asn1::Asn1Time::days_from_now(30).unwrap())
        .unwrap();
    builder.sign(&pkey, openssl::hash::MessageDigest::sha256()).unwrap();
    builder.build().to_der().unwrap()
}

/// Two keys of one subscriber in one file: an older one and the present one.
struct History {
    keys: Vec<ExportableKey>,
    certificates: Vec<Vec<u8>>,
    authority: Vec<u8>,
    passphrase: Passphrase,
}

impl History {
    fn new(algorithms: &[KeyAlgorithm]) -> Self {
        let keys: Vec<_> = algorithms
            .iter()
            .map(|algorithm| ExportableKey::generate(*algorithm).unwrap())
            .collect();
        let names = ["Ada", "Ada Lovelace", "Ada King-Noel"];
        let certificates = keys
            .iter()
            .zip(names)
            .map(|(key, name)| certificate(key, name))
            .collect();
        Self {
            keys,
            certificates,
            authority: certificate(&ExportableKey::generate(KeyAlgorithm::P256).unwrap(), "Authority"),
            passphrase: Passphrase::generate().unwrap(),
        }
    }

    fn write(&self, form: Form) -> Vec<u8> {
        let names = [
            "Verschlüsselung – 2024",
            "Verschlüsselung – 2025",
            "Verschlüsselung – 2026",
        ];
        let entries: Vec<_> = self
            .keys
            .iter()
            .zip(&self.certificates)
            .zip(names)
            .map(|((key, certificate), friendly_name)| Entry {
                key,
                certificate,
                friendly_name,
            })
            .collect();
        write(&entries, &[&self.authority], form, &self.passphrase).unwrap()
    }
}

/// Whether the program can be run. When it cannot: a failure on CI, else a line that names what is skipped.
fn present(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).exists()));
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "the peer {program} is missing, and on CI none may be"
        );
        eprintln!("SKIPPED: the peer {program} is not installed; scripts/setup test installs it");
    }
    found
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn openssl_reads_the_modern_form_back_key_for_key() {
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa2048] {
        let history = History::new(&[algorithm]);
        let file = Pkcs12::from_der(&history.write(Form::Modern)).unwrap();
        let parsed = file.parse2(history.passphrase.reveal()).unwrap();
        let key = parsed.pkey.unwrap();
        assert_eq!(
            key.public_key_to_der().unwrap(),
            history.keys[0].public_key().to_der().unwrap()
        );
        assert_eq!(parsed.cert.unwrap().to_der().unwrap(), history.certificates[0]);
        assert_eq!(
            parsed.ca.unwrap().iter().next().unwrap().to_der().unwrap(),
            history.authority
        );
    }
}

#[test]
fn openssl_reads_both_forms_with_all_keys_and_names_their_algorithms() {
    if !present("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let history = History::new(&[KeyAlgorithm::Rsa2048, KeyAlgorithm::P256, KeyAlgorithm::Rsa2048]);
    for form in FORMS {
        let path = folder.path().join("file.p12");
        std::fs::write(&path, history.write(form)).unwrap();
        let mut command = Command::new("openssl");
        command.args(["pkcs12", "-info", "-nodes", "-in"]).arg(&path);
        command.args(["-passin", &format!("pass:{}", history.passphrase.reveal())]);
        if form == Form::Legacy {
            command.arg("-legacy");
        }
        let output = run(&mut command);
        let words = said(&output);
        assert!(output.status.success(), "{form:?}: {words}");
        assert_eq!(words.matches("BEGIN PRIVATE KEY").count(), 3, "{words}");
        assert_eq!(words.matches("BEGIN CERTIFICATE").count(), 4, "{words}");
        let (mac, encryption) = match form {
            Form::Modern => (
                "MAC: sha256",
                "PBES2, PBKDF2, AES-256-CBC, Iteration 100000, PRF hmacWithSHA256",
            ),
            Form::Legacy => ("MAC: sha1", "pbeWithSHA1And3-KeyTripleDES-CBC"),
        };
        assert!(words.contains(mac) && words.contains(encryption), "{words}");
        assert!(!words.contains("RC2"), "{words}");
    }
}

#[test]
fn nss_imports_both_forms_with_all_keys() {
    if !present("pk12util") || !present("certutil") {
        return;
    }
    let history = History::new(&[KeyAlgorithm::Rsa2048, KeyAlgorithm::P256]);
    for form in FORMS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.p12");
        std::fs::write(&path, history.write(form)).unwrap();
        let database = format!("sql:{}", folder.path().display());
        let made = run(Command::new("certutil").args(["-N", "--empty-password", "-d", &database]));
        assert!(made.status.success(), "{}", said(&made));
        let imported = run(Command::new("pk12util")
            .args(["-d", &database, "-W", history.passphrase.reveal(), "-i"])
            .arg(&path));
        assert!(imported.status.success(), "{form:?}: {}", said(&imported));
        let keys = run(Command::new("certutil").args(["-K", "-d", &database]));
        let words = said(&keys);
        assert!(words.contains("< 0>") && words.contains("< 1>"), "{form:?}: {words}");
    }
}

#[test]
fn gpgsm_imports_the_legacy_form() {
    if !present("gpgsm") {
        return;
    }
    let history = History::new(&[KeyAlgorithm::Rsa2048]);
    let home = Home::new();
    let path = home.0.path().join("file.p12");
    std::fs::write(&path, history.write(Form::Legacy)).unwrap();
    // The new protection of the key in the agent is asked for as well; the passphrase of the file serves for both.
    let passphrase = home.0.path().join("passphrase");
    std::fs::write(&passphrase, format!("{}\n", history.passphrase.reveal())).unwrap();
    let imported = home
        .gpgsm()
        .args([
            "--batch",
            "--pinentry-mode",
            "loopback",
            "--passphrase-fd",
            "0",
            "--import",
        ])
        .arg(&path)
        .stdin(std::fs::File::open(&passphrase).unwrap())
        .output()
        .unwrap();
    let words = said(&imported);
    assert!(words.contains("secret keys imported: 1"), "{words}");
}

/// A home folder of gpgsm, short enough for the socket of its agent.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;

        let home = tempfile::Builder::new().prefix("p12").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::write(home.path().join("gpg-agent.conf"), "allow-loopback-pinentry\n").unwrap();
        Self(home)
    }

    fn gpgsm(&self) -> Command {
        let mut command = Command::new("gpgsm");
        command.arg("--homedir").arg(self.0.path());
        command
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.0.path())
            .args(["--kill", "all"])
            .output();
    }
}

#[test]
fn invariant_12_another_passphrase_opens_neither_form() {
    let history = History::new(&[KeyAlgorithm::P256]);
    for form in FORMS {
        let file = Pkcs12::from_der(&history.write(form)).unwrap();
        assert!(file.parse2(Passphrase::generate().unwrap().reveal()).is_err());
        assert!(file.parse2("").is_err());
    }
}

#[test]
fn invariant_12_the_private_key_does_not_stand_in_the_file() {
    let history = History::new(&[KeyAlgorithm::P256]);
    let plain = history.keys[0].pkcs8();
    // The private scalar is in the middle of the PKCS#8 form.
    let secret = &plain[36..52];
    for form in FORMS {
        let file = history.write(form);
        assert!(!file.windows(secret.len()).any(|window| window == secret));
    }
}

#[test]
fn a_changed_file_is_not_believed() {
    let history = History::new(&[KeyAlgorithm::P256]);
    let mut file = history.write(Form::Modern);
    let middle = file.len() / 2;
    file[middle] ^= 1;
    let opened = Pkcs12::from_der(&file).and_then(|file| file.parse2(history.passphrase.reveal()));
    assert!(opened.is_err());
}

#[test]
fn nothing_and_what_does_not_fit_together_is_refused() {
    let history = History::new(&[KeyAlgorithm::P256, KeyAlgorithm::P256]);
    let refused = |entries: &[Entry<'_>], authorities: &[&[u8]], expected: &str| {
        let error = write(entries, authorities, Form::Modern, &history.passphrase).unwrap_err();
        assert!(matches!(error, KeyError::Pkcs12 { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    refused(&[], &[], "no key");
    let entry = |certificate| Entry {
        key: &history.keys[0],
        certificate,
        friendly_name: "",
    };
    refused(&[entry(&history.certificates[1])], &[], "another key");
    refused(&[entry(b"")], &[], "is none");
    refused(&[entry(&history.certificates[0][1..])], &[], "is none");
    refused(&[entry(&history.certificates[0])], &[b"authority"], "is none");
}

#[test]
fn writing_twice_gives_other_bytes() {
    let history = History::new(&[KeyAlgorithm::P256]);
    assert_ne!(history.write(Form::Modern), history.write(Form::Modern));
}
