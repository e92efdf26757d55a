//! Encrypted messages, as other software opens them, and what is refused.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use der::{Encode, EncodePem};
use keys::{DecryptionKey, KeyTransport, SigningKey};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use signer_service::cms::{Signer, sign_detached, sign_opaque};
use signer_service::enveloped::{MessageCipher, Opened, Recipient, RecipientId, encrypt, open};
use signer_service::mime::confidentiality::Confidentiality;
use signer_service::mime::signed::{HeaderProtection, Smtputf8, prepare};
use signer_service::mime::{Limits, MimeError};
use verifier::{Decryption, Encryption, Integrity, Outside, TrustStore, Verdict, Verification, Vouches};
use x509_cert::Certificate;

use crate::support::{Alice, Authority, END, START, check_transport, contents, find, now};

const LETTER: &str = "From: Alice <alice@example.com>\r\nTo: Bob <bob@example.net>\r\nSubject: Layoffs\r\nKeywords: secret\r\nDate: Fri, 02 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n";

/// One who gets encrypted mail.
pub(crate) struct Bob {
    pub(crate) certificate: Certificate,
    key: Arc<dyn DecryptionKey>,
    pkcs8: &'static [u8],
}

impl Bob {
    fn new(authority: &Authority, key: &str, serial: u8) -> Self {
        Self::called("bob@example.net", authority, key, serial, (START, END))
    }

    pub(crate) fn called(mailbox: &str, authority: &Authority, name: &str, serial: u8, validity: (i64, i64)) -> Self {
        let (public, key, pkcs8): (Arc<dyn SigningKey>, _, &'static [u8]) = match name {
            "rsa2048" => (
                keys::testing::rsa2048(),
                keys::testing::decryption::rsa2048(),
                include_bytes!("../../keys/src/fixtures/rsa2048.pk8"),
            ),
            "rsa3072" => (
                keys::testing::rsa3072(),
                keys::testing::decryption::rsa3072(),
                include_bytes!("../../keys/src/fixtures/rsa3072.pk8"),
            ),
            "p256" => (
                keys::testing::p256(),
                keys::testing::decryption::p256(),
                include_bytes!("../../keys/src/fixtures/p256.pk8"),
            ),
            _ => (
                keys::testing::p384(),
                keys::testing::decryption::p384(),
                include_bytes!("../../keys/src/fixtures/p384.pk8"),
            ),
        };
        let certificate = authority.certify(mailbox, public.public_key(), serial, validity);
        Self {
            certificate,
            key,
            pkcs8,
        }
    }

    fn all(authority: &Authority) -> [Self; 4] {
        [(20, "rsa2048"), (21, "rsa3072"), (22, "p256"), (23, "p384")]
            .map(|(serial, name)| Self::new(authority, name, serial))
    }

    pub(crate) fn opens(&self, cms: &[u8]) -> Option<Opened> {
        let issuer = self.certificate.tbs_certificate().issuer().to_der().unwrap();
        let serial = self.certificate.tbs_certificate().serial_number().as_bytes().to_vec();
        let find = |id: &RecipientId<'_>| {
            let wanted = RecipientId::IssuerAndSerialNumber {
                issuer: &issuer,
                serial_number: &serial,
            };
            (*id == wanted).then(|| self.key.clone())
        };
        open(cms, find, &mut ChaCha20Rng::seed_from_u64(3))
    }

    pub(crate) fn write(&self, folder: &Path) {
        let pem = self.certificate.to_pem(der::pem::LineEnding::LF).unwrap();
        std::fs::write(folder.join("bob.pem"), pem).unwrap();
        std::fs::write(folder.join("bob.key"), self.pkcs8).unwrap();
    }
}

fn encrypted(content: &[u8], cipher: MessageCipher, transport: KeyTransport, to: &[&Bob]) -> Vec<u8> {
    let recipients: Vec<Recipient<'_>> = to
        .iter()
        .map(|bob| Recipient {
            certificate: &bob.certificate,
            transport,
        })
        .collect();
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    encrypt(content.to_vec(), cipher, &recipients, &mut rng).unwrap()
}

/// A message signed by Alice and encrypted, as the gateway builds it.
fn sealed(alice: &Alice, message: &str, how: HeaderProtection, cipher: MessageCipher, to: &[&Bob]) -> Vec<u8> {
    let mut prepared = prepare(message.as_bytes(), Smtputf8::NotRequested, how, LIMITS).unwrap();
    let intermediates = [alice.authority.issuing.clone()];
    let signer = Signer {
        key: &*alice.key,
        certificate: &alice.certificate,
        intermediates: &intermediates,
    };
    let signature = sign_detached(prepared.entity(), signer, now()).unwrap();
    prepared.sign_inside(
        alice.key.algorithm().digest(),
        &signature,
        &mut ChaCha20Rng::seed_from_u64(9),
    );
    let (outer, inside) = prepared.into_parts();
    let cms = encrypted(&inside, cipher, KeyTransport::Pkcs1, to);
    outer.into_encrypted(cipher, &cms)
}

const LIMITS: Limits = Limits::for_messages_up_to(8 * 1024 * 1024);

const BASELINE: HeaderProtection = HeaderProtection::Cipher(Confidentiality::Baseline);

#[test]
fn openssl_opens_every_combination() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let everybody = Bob::all(&authority);
    let to: Vec<&Bob> = everybody.iter().collect();
    for cipher in [MessageCipher::Aes256Gcm, MessageCipher::Aes256Cbc] {
        for transport in [KeyTransport::Pkcs1, KeyTransport::OaepSha256] {
            let cms = encrypted(b"Hello\r\n", cipher, transport, &to);
            std::fs::write(folder.path().join("message.der"), &cms).unwrap();
            for bob in &everybody {
                bob.write(folder.path());
                let output = openssl_decrypts(folder.path(), "message.der", "DER");
                assert!(output.status.success(), "{cipher:?} {transport:?}: {output:?}");
                assert_eq!(output.stdout, b"Hello\r\n");
                let opened = bob.opens(&cms).unwrap();
                assert_eq!(opened.content, b"Hello\r\n");
                assert_eq!(opened.is_authenticated, cipher == MessageCipher::Aes256Gcm);
            }
        }
    }
}

#[test]
fn openssl_opens_a_whole_message_of_an_elliptic_curve_p521() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::SECP521R1).unwrap();
    let key = openssl::pkey::PKey::from_ec_key(openssl::ec::EcKey::generate(&group).unwrap()).unwrap();
    let public = der::Decode::from_der(&key.public_key_to_der().unwrap()).unwrap();
    let certificate = authority.certify("bob@example.net", &public, 30, (START, END));
    let recipient = Recipient {
        certificate: &certificate,
        transport: KeyTransport::Pkcs1,
    };
    let cms = encrypt(
        b"Hello\r\n".to_vec(),
        MessageCipher::Aes256Gcm,
        &[recipient],
        &mut ChaCha20Rng::seed_from_u64(5),
    );
    let outer = prepare(LETTER.as_bytes(), Smtputf8::NotRequested, BASELINE, LIMITS)
        .unwrap()
        .into_parts()
        .0;
    let message = outer.into_encrypted(MessageCipher::Aes256Gcm, &cms.unwrap());
    std::fs::write(folder.path().join("message.eml"), &message).unwrap();
    let pem = certificate.to_pem(der::pem::LineEnding::LF).unwrap();
    std::fs::write(folder.path().join("bob.pem"), pem).unwrap();
    std::fs::write(folder.path().join("bob.key"), key.private_key_to_pkcs8().unwrap()).unwrap();
    let output = openssl_decrypts(folder.path(), "message.eml", "SMIME");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"Hello\r\n");
}

fn openssl_decrypts(folder: &Path, message: &str, form: &str) -> Output {
    let output = Command::new("openssl")
        .args(["cms", "-decrypt", "-binary", "-inform", form, "-in", message])
        .args(["-recip", "bob.pem", "-inkey", "bob.key", "-keyform", "DER"])
        .current_dir(folder)
        .output();
    output.unwrap()
}

#[test]
fn we_open_what_openssl_encrypts() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plain"), b"Hello\r\n".repeat(3000)).unwrap();
    for bob in Bob::all(&authority) {
        bob.write(folder.path());
        for options in [
            &["-aes-128-cbc"][..],
            &["-aes-192-cbc", "-keyid"],
            &["-aes-256-cbc", "-stream"],
            &["-aes-128-gcm"],
            &["-aes-256-gcm", "-stream"],
            &["-aes-256-cbc", "-keyopt", "rsa_padding_mode:oaep"],
            &[
                "-aes-256-gcm",
                "-keyopt",
                "rsa_padding_mode:oaep",
                "-keyopt",
                "rsa_oaep_md:sha256",
            ],
            &["-aes-256-cbc", "-keyopt", "ecdh_kdf_md:sha256"],
            &["-aes-256-cbc", "-keyopt", "ecdh_kdf_md:sha512"],
        ] {
            let is_rsa = bob
                .certificate
                .tbs_certificate()
                .subject_public_key_info()
                .algorithm
                .oid
                == const_oid::db::rfc5912::RSA_ENCRYPTION;
            let text = options.join(" ");
            // The certificates here have no key identifier.
            if text.contains("keyid") || text.contains("rsa_") && !is_rsa || text.contains("ecdh_") && is_rsa {
                continue;
            }
            let output = Command::new("openssl")
                .args([
                    "cms", "-encrypt", "-binary", "-in", "plain", "-outform", "DER", "-out", "made",
                ])
                .args(options)
                .args(["-recip", "bob.pem"])
                .current_dir(folder.path())
                .output()
                .unwrap();
            // Options of keys are read after the recipient that they are for.
            let output = if output.status.success() {
                output
            } else {
                Command::new("openssl")
                    .args([
                        "cms", "-encrypt", "-binary", "-in", "plain", "-outform", "DER", "-out", "made",
                    ])
                    .args(&options[..1])
                    .args(["-recip", "bob.pem"])
                    .args(&options[1..])
                    .current_dir(folder.path())
                    .output()
                    .unwrap()
            };
            assert!(output.status.success(), "{text}: {output:?}");
            let cms = std::fs::read(folder.path().join("made")).unwrap();
            let opened = bob.opens(&cms).unwrap_or_else(|| panic!("{text} is not opened"));
            assert_eq!(opened.content, b"Hello\r\n".repeat(3000), "{text}");
        }
    }
}

#[test]
fn gpgsm_opens_what_it_can() {
    if !present("gpgsm") {
        return;
    }
    use std::os::unix::fs::PermissionsExt as _;
    let authority = Authority::new();
    let bob = Bob::new(&authority, "rsa2048", 20);
    let home = tempfile::Builder::new().prefix("gpgsm").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let gpgsm = |arguments: &[&str]| {
        run(Command::new("gpgsm")
            .arg("--homedir")
            .arg(home.path())
            .args([
                "--batch",
                "--pinentry-mode",
                "loopback",
                "--passphrase-fd",
                "0",
                "--disable-dirmngr",
            ])
            .args(arguments)
            .current_dir(home.path()))
    };
    std::fs::write(home.path().join("gpg-agent.conf"), "allow-loopback-pinentry\n").unwrap();
    // The old forms, since gpgsm 2.2 does not read those that OpenSSL 3 writes by itself.
    pkcs12(&bob, home.path(), &["-legacy"]);
    let imported = gpgsm(&["--import", "bob.p12"]);
    assert!(imported.status.success(), "{imported:?}");
    let cms = encrypted(b"Hello\r\n", MessageCipher::Aes256Cbc, KeyTransport::Pkcs1, &[&bob]);
    std::fs::write(home.path().join("message.der"), cms).unwrap();
    let opened = gpgsm(&["--decrypt", "message.der"]);
    let _ = Command::new("gpgconf")
        .arg("--homedir")
        .arg(home.path())
        .args(["--kill", "all"])
        .output();
    assert_eq!(opened.stdout, b"Hello\r\n", "{opened:?}");
}

#[test]
fn nss_opens_what_it_can() {
    if !present("cmsutil") || !present("pk12util") {
        return;
    }
    let authority = Authority::new();
    let bob = Bob::new(&authority, "rsa2048", 20);
    let home = tempfile::tempdir().unwrap();
    let in_home =
        |program: &str, arguments: &[&str]| run(Command::new(program).args(arguments).current_dir(home.path()));
    let database = format!("sql:{}", home.path().display());
    let made = in_home("certutil", &["-N", "--empty-password", "-d", &database]);
    assert!(made.status.success(), "{made:?}");
    pkcs12(&bob, home.path(), &[]);
    let imported = in_home("pk12util", &["-i", "bob.p12", "-d", &database, "-W", "", "-K", ""]);
    assert!(imported.status.success(), "{imported:?}");
    let cms = encrypted(b"Hello\r\n", MessageCipher::Aes256Cbc, KeyTransport::Pkcs1, &[&bob]);
    std::fs::write(home.path().join("message.der"), cms).unwrap();
    let opened = in_home("cmsutil", &["-D", "-d", &database, "-i", "message.der"]);
    assert_eq!(opened.stdout, b"Hello\r\n", "{opened:?}");
}

fn pkcs12(bob: &Bob, folder: &Path, options: &[&str]) {
    bob.write(folder);
    let pem = run(Command::new("openssl")
        .args([
            "pkcs8",
            "-nocrypt",
            "-inform",
            "DER",
            "-in",
            "bob.key",
            "-out",
            "bob.key.pem",
        ])
        .current_dir(folder));
    assert!(pem.status.success(), "{pem:?}");
    let output = run(Command::new("openssl")
        .args([
            "pkcs12",
            "-export",
            "-passout",
            "pass:",
            "-in",
            "bob.pem",
            "-inkey",
            "bob.key.pem",
            "-out",
            "bob.p12",
        ])
        .args(options)
        .current_dir(folder));
    assert!(output.status.success(), "{output:?}");
}

fn run(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?} starts: {error}"))
}

/// A peer that is missing is named; on CI that is a failure.
pub(crate) fn present(program: &str) -> bool {
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

/// The verifier, holding Bob's key.
#[derive(Debug)]
struct Holding<'b>(&'b Bob);

impl Decryption for Holding<'_> {
    fn decrypt(&self, cms: &[u8]) -> Option<Vec<u8>> {
        self.0.opens(cms).map(|opened| opened.content)
    }
}

impl std::fmt::Debug for Bob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bob")
    }
}

fn verdict(message: &[u8], alice: &Alice, bob: &Bob) -> Verdict {
    examined(message, &alice.authority, bob)
}

/// What the verifier says when it holds the key.
pub(crate) fn examined(message: &[u8], authority: &Authority, bob: &Bob) -> Verdict {
    let root = authority.root.to_der().unwrap();
    let trust = TrustStore::new().add(&root, Vouches::SignaturesOnly).unwrap();
    Verification::new(&trust, now())
        .decryption(&Holding(bob))
        .verify(message)
}

#[test]
fn our_verifier_finds_the_signature_and_the_hidden_subject_inside() {
    for alice in Alice::both() {
        let bob = Bob::new(&alice.authority, "p256", 22);
        for cipher in [MessageCipher::Aes256Gcm, MessageCipher::Aes256Cbc] {
            let message = sealed(&alice, LETTER, BASELINE, cipher, &[&bob]);
            check_transport(&message);
            let text = String::from_utf8_lossy(&message);
            assert!(text.contains("\r\nSubject: [...]\r\n"), "{text}");
            for hidden in ["Layoffs", "Keywords", "secret"] {
                assert!(!text.contains(hidden), "{hidden}");
            }
            let verdict = verdict(&message, &alice, &bob);
            assert_eq!(verdict.encryption(), Encryption::Opened);
            assert_eq!(verdict.integrity(), Integrity::Intact, "{verdict:?}");
            assert_eq!(verdict.header_protection(), verifier::HeaderProtection::Cipher);
            let subject = verdict
                .protected_headers()
                .iter()
                .find(|field| field.name.eq_ignore_ascii_case("Subject"));
            assert_eq!(subject.unwrap().value, "Layoffs");
            assert_eq!(subject.unwrap().outside, Outside::Hidden);
            let inside = String::from_utf8(verdict.verified_bytes().unwrap().to_vec()).unwrap();
            assert!(inside.contains("HP-Outer: Subject: [...]\r\n"), "{inside}");
            assert!(!inside.contains("HP-Outer: Keywords"), "{inside}");
            assert!(
                inside.contains("hp-legacy-display=\"1\";\r\n hp=\"cipher\"\r\n"),
                "{inside}"
            );
            let (_, shown) = &contents(verdict.verified_bytes().unwrap())[0];
            assert_eq!(
                String::from_utf8_lossy(shown),
                "Subject: Layoffs\r\nKeywords: secret\r\n\r\nGrüße\r\n"
            );
        }
    }
}

#[test]
fn nothing_is_shown_twice_where_nothing_was_hidden() {
    let alice = Alice::with(keys::testing::p256());
    let bob = Bob::new(&alice.authority, "p256", 22);
    let how = HeaderProtection::Cipher(Confidentiality::None);
    let message = sealed(&alice, LETTER, how, MessageCipher::Aes256Gcm, &[&bob]);
    assert!(find(&message, b"\r\nSubject: Layoffs\r\n").is_some());
    let verdict = verdict(&message, &alice, &bob);
    let inside = String::from_utf8(verdict.verified_bytes().unwrap().to_vec()).unwrap();
    assert!(!inside.contains("hp-legacy-display"), "{inside}");
    assert!(inside.contains("HP-Outer: Subject: Layoffs\r\n"), "{inside}");
}

#[test]
fn a_tampered_message_is_not_opened() {
    let authority = Authority::new();
    let bob = Bob::new(&authority, "p256", 22);
    let cms = encrypted(&[0x61; 300], MessageCipher::Aes256Gcm, KeyTransport::Pkcs1, &[&bob]);
    assert!(bob.opens(&cms).is_some());
    let mut opened = 0;
    for place in 0..cms.len() {
        let mut changed = cms.clone();
        changed[place] ^= 1;
        opened += usize::from(bob.opens(&changed).is_some_and(|opened| opened.content != [0x61; 300]));
        // A version number or the name of the content type may be anything; what was encrypted may not.
    }
    assert_eq!(opened, 0, "a change got through");
    for length in 0..cms.len() {
        assert!(bob.opens(&cms[..length]).is_none(), "cut to {length}");
    }
    assert!(bob.opens(&[&cms[..], b"\0"].concat()).is_none(), "trailing bytes");
}

#[test]
fn nobody_else_opens_it() {
    let authority = Authority::new();
    let everybody = Bob::all(&authority);
    for transport in [KeyTransport::Pkcs1, KeyTransport::OaepSha256] {
        let cms = encrypted(b"Hello", MessageCipher::Aes256Gcm, transport, &[&everybody[0]]);
        for other in &everybody[1..] {
            assert!(other.opens(&cms).is_none());
        }
        // The same certificate with another key behind it.
        let impostor = Bob {
            certificate: everybody[0].certificate.clone(),
            key: everybody[1].key.clone(),
            pkcs8: everybody[1].pkcs8,
        };
        assert!(impostor.opens(&cms).is_none());
    }
}

#[test]
fn an_authenticated_cipher_is_not_read_as_one_that_is_not() {
    let authority = Authority::new();
    let bob = Bob::new(&authority, "p256", 22);
    let cms = encrypted(b"Hello", MessageCipher::Aes256Gcm, KeyTransport::Pkcs1, &[&bob]);
    // id-aes256-GCM becomes id-aes256-CBC: the downgrade of RFC 5083 section 4.
    let gcm = b"\x60\x86\x48\x01\x65\x03\x04\x01\x2e";
    let at = find(&cms, gcm).unwrap();
    let mut changed = cms.clone();
    changed[at + 8] = 0x2a;
    assert!(bob.opens(&changed).is_none());
}

#[test]
fn a_message_for_nobody_is_not_made() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    assert!(encrypt(b"Hello".to_vec(), MessageCipher::Aes256Gcm, &[], &mut rng).is_err());
    let authority = Authority::new();
    let ed25519 = openssl::pkey::PKey::generate_ed25519().unwrap();
    let public = der::Decode::from_der(&ed25519.public_key_to_der().unwrap()).unwrap();
    let certificate = authority.certify("bob@example.net", &public, 31, (START, END));
    let recipient = Recipient {
        certificate: &certificate,
        transport: KeyTransport::Pkcs1,
    };
    let error = encrypt(b"Hello".to_vec(), MessageCipher::Aes256Gcm, &[recipient], &mut rng).unwrap_err();
    assert!(error.to_string().contains("bob@example.net"), "{error}");
}

#[test]
fn what_cannot_be_hidden_is_refused() {
    let unreadable = "From: alice@example.com\r\nSubject: Layoffs\r\nContent-Type: text plain\r\n\r\nHello\r\n";
    let refused = prepare(unreadable.as_bytes(), Smtputf8::NotRequested, BASELINE, LIMITS);
    assert_eq!(refused.unwrap_err(), MimeError::ContentTypeMalformed);
}

#[test]
fn opaque_signatures_go_inside_too() {
    let alice = Alice::with(keys::testing::rsa2048());
    let bob = Bob::new(&alice.authority, "p384", 23);
    let mut prepared = prepare(LETTER.as_bytes(), Smtputf8::NotRequested, BASELINE, LIMITS).unwrap();
    let intermediates = [alice.authority.issuing.clone()];
    let signer = Signer {
        key: &*alice.key,
        certificate: &alice.certificate,
        intermediates: &intermediates,
    };
    let signed = sign_opaque(prepared.entity(), signer, now()).unwrap();
    prepared.sign_inside_opaque(&signed);
    let (outer, inside) = prepared.into_parts();
    let cms = encrypted(&inside, MessageCipher::Aes256Gcm, KeyTransport::Pkcs1, &[&bob]);
    let message = outer.into_encrypted(MessageCipher::Aes256Gcm, &cms);
    let verdict = verdict(&message, &alice, &bob);
    assert_eq!(verdict.integrity(), Integrity::Intact, "{verdict:?}");
    assert_eq!(verdict.header_protection(), verifier::HeaderProtection::Cipher);
}
