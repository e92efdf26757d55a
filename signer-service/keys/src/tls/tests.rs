//! TLS identities and clients: conversations in memory, and all that is refused.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use openssl::pkey::{PKey, Private};
use openssl::symm::Cipher;
use openssl::x509::X509;
use rustls::{ClientConnection, ServerConnection};

use super::*;
use crate::{SigningKey, oracle, testing};

/// 2100-01-01, long after these tests.
const LATE: i64 = 4_102_444_800;

/// 2026-01-01.
const NOW: i64 = 1_767_225_600;

fn localhost() -> Vec<String> {
    vec!["localhost".into(), "127.0.0.1".into()]
}

fn identity() -> TlsIdentity {
    TlsIdentity::self_made(&localhost(), 0, LATE).unwrap()
}

/// Lets a client talk to a server in memory, and gives what arrives at the server.
fn converse(client: Arc<ClientConfig>, server: Arc<ServerConfig>, name: &str) -> Result<Vec<u8>, rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client, name)?;
    let mut server = ServerConnection::new(server)?;
    client.writer().write_all(b"hello").unwrap();
    let mut heard = Vec::new();
    let mut wire = Vec::new();
    while client.wants_write() || server.wants_write() {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            server.process_new_packets()?;
        }
        // "Would block" means that nothing is there yet.
        let _ = server.reader().read_to_end(&mut heard);
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok(heard)
}

fn check_talk(identity: &TlsIdentity, trusted: &str, name: &str) {
    let client = client_config(Trust::Only(trusted.as_bytes())).unwrap();
    let heard = converse(client, identity.server_config(), name).unwrap();
    assert_eq!(heard, b"hello");
}

fn check_no_talk(identity: &TlsIdentity, trusted: &str, name: &str, expected: &str) {
    let client = client_config(Trust::Only(trusted.as_bytes())).unwrap();
    let refusal = converse(client, identity.server_config(), name).unwrap_err();
    assert!(format!("{refusal:?}").contains(expected), "{refusal:?}");
}

mod self_made {
    use super::*;

    #[test]
    fn a_client_that_trusts_it_talks_to_it_under_its_names() {
        let identity = identity();
        let pem = identity.certificate_pem();
        check_talk(&identity, &pem, "localhost");
        check_talk(&identity, &pem, "127.0.0.1");
    }

    #[test]
    fn a_client_refuses_what_it_does_not_trust() {
        let (identity, other) = (identity(), identity());
        let pem = identity.certificate_pem();
        check_no_talk(&identity, &other.certificate_pem(), "localhost", "BadSignature");
        check_no_talk(&identity, &pem, "example.com", "NotValidForName");
        check_no_talk(&identity, &pem, "127.0.0.2", "NotValidForName");
        let expired = TlsIdentity::self_made(&localhost(), 0, 86_400).unwrap();
        check_no_talk(&expired, &expired.certificate_pem(), "localhost", "Expired");
        let early = TlsIdentity::self_made(&localhost(), LATE, LATE + 1).unwrap();
        check_no_talk(&early, &early.certificate_pem(), "localhost", "NotValidYet");
    }

    #[test]
    fn openssl_reads_the_certificate() {
        let names = ["mail.example.com".to_owned(), "::1".to_owned()];
        let identity = TlsIdentity::self_made(&names, NOW, NOW + 3600).unwrap();
        let theirs = X509::from_pem(identity.certificate_pem().as_bytes()).unwrap();
        assert!(theirs.verify(&theirs.public_key().unwrap()).unwrap());
        let found = theirs.subject_alt_names().unwrap();
        assert_eq!(found[0].dnsname(), Some("mail.example.com"));
        assert_eq!(found[1].ipaddress().unwrap(), [[0; 15].as_slice(), &[1]].concat());
        let year = |time: &openssl::asn1::Asn1TimeRef| time.to_string();
        assert_eq!(year(theirs.not_before()), "Jan  1 00:00:00 2026 GMT");
        assert_eq!(year(theirs.not_after()), "Jan  1 01:00:00 2026 GMT");
    }

    #[test]
    fn names_under_which_no_server_can_be_are_refused() {
        for name in [
            "",
            "with space",
            "müller.example",
            "a..b",
            "http://a.example",
            "a.example:25",
            "a\nb",
            &"a".repeat(64),
            &format!("{}a", "a.".repeat(200)),
        ] {
            let names = ["localhost".to_owned(), name.to_owned()];
            let refusal = TlsIdentity::self_made(&names, 0, LATE).unwrap_err();
            assert!(matches!(refusal, KeyError::InvalidServerName { .. }), "{refusal}");
        }
        let refusal = TlsIdentity::self_made(&[], 0, LATE).unwrap_err();
        assert!(matches!(refusal, KeyError::InvalidServerName { .. }), "{refusal}");
    }

    #[test]
    fn times_that_make_no_sense_are_refused() {
        for (not_before, not_after) in [
            (NOW, NOW),
            (NOW, NOW - 1),
            (-1, NOW),
            (NOW, 253_402_300_800),
            (i64::MIN, i64::MAX),
        ] {
            let refusal = TlsIdentity::self_made(&localhost(), not_before, not_after).unwrap_err();
            assert!(matches!(refusal, KeyError::InvalidValidity { .. }), "{refusal}");
        }
    }

    #[test]
    fn a_long_name_is_no_common_name() {
        let name = format!("{}example.com", "abcdefg.".repeat(8));
        let identity = TlsIdentity::self_made(std::slice::from_ref(&name), 0, LATE).unwrap();
        check_talk(&identity, &identity.certificate_pem(), &name);
    }
}

mod kept {
    use super::*;

    fn open(folder: &Path, names: &[String], now: i64) -> Result<TlsIdentity, KeyError> {
        TlsIdentity::self_made_in(folder, &testing::sealing_key(), names, now)
    }

    #[test]
    fn it_is_the_same_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path(), &localhost(), NOW).unwrap();
        let second = open(folder.path(), &localhost(), NOW + 1000 * DAY).unwrap();
        assert_eq!(first.certificate_pem(), second.certificate_pem());
        check_talk(&second, &first.certificate_pem(), "localhost");
        let pem = fs::read_to_string(folder.path().join("tls.pem")).unwrap();
        assert_eq!(pem, first.certificate_pem());
    }

    #[test]
    fn it_is_made_anew_for_other_names_and_before_it_expires() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path(), &localhost(), NOW).unwrap();
        let others = ["mail.example.com".to_owned()];
        let second = open(folder.path(), &others, NOW).unwrap();
        assert_ne!(first.certificate_pem(), second.certificate_pem());
        let late = NOW + 3653 * DAY - 29 * DAY;
        let third = open(folder.path(), &others, late).unwrap();
        assert_ne!(second.certificate_pem(), third.certificate_pem());
        // A clock that was wrong and goes back.
        let fourth = open(folder.path(), &others, NOW).unwrap();
        assert_ne!(third.certificate_pem(), fourth.certificate_pem());
        let pem = fs::read_to_string(folder.path().join("tls.pem")).unwrap();
        assert_eq!(pem, fourth.certificate_pem());
    }

    #[test]
    fn the_copy_of_the_certificate_is_repaired() {
        let folder = tempfile::tempdir().unwrap();
        let identity = open(folder.path(), &localhost(), NOW).unwrap();
        let copy = folder.path().join("tls.pem");
        fs::write(&copy, b"something else").unwrap();
        open(folder.path(), &localhost(), NOW).unwrap();
        assert_eq!(fs::read_to_string(&copy).unwrap(), identity.certificate_pem());
        fs::remove_file(&copy).unwrap();
        open(folder.path(), &localhost(), NOW).unwrap();
        assert_eq!(fs::read_to_string(&copy).unwrap(), identity.certificate_pem());
    }

    #[test]
    fn a_changed_file_or_another_sealing_key_is_refused_and_nothing_replaced() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), &localhost(), NOW).unwrap();
        let path = folder.path().join("tls.sealed");
        let sealed = fs::read(&path).unwrap();

        let other = testing::other_sealing_key();
        let refusal = TlsIdentity::self_made_in(folder.path(), &other, &localhost(), NOW).unwrap_err();
        assert!(matches!(refusal, KeyError::DoesNotOpen { .. }), "{refusal}");
        assert_eq!(fs::read(&path).unwrap(), sealed);

        let mut changed = sealed.clone();
        changed[100] ^= 1;
        for content in [&changed, &sealed[..50], &[]] {
            fs::write(&path, content).unwrap();
            let refusal = open(folder.path(), &localhost(), NOW).unwrap_err();
            assert!(
                refusal.to_string().starts_with(&path.display().to_string()),
                "{refusal}"
            );
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn something_else_that_is_sealed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tls.sealed");
        let check = |context: &str, plaintext: &[u8], expected: &str| {
            let sealed = testing::sealing_key().seal(context, plaintext).unwrap();
            private_file::write(&path, &sealed, 0o600, Existing::Replace).unwrap();
            let refusal = open(folder.path(), &localhost(), NOW).unwrap_err();
            assert!(refusal.to_string().contains(expected), "{refusal}");
        };
        check("key:a", b"", "does not open");
        check(CONTEXT, b"", "something else than a TLS identity");
        check(CONTEXT, &[0x30, 0x00], "something else than a TLS identity");
        // The right form, with a key for another certificate.
        let one = SelfMade::make(&localhost(), 0, LATE).unwrap();
        let mut mixed = SelfMade::make(&localhost(), 0, LATE).unwrap();
        mixed.certificate = one.certificate;
        let sealed = mixed.seal(&testing::sealing_key()).unwrap();
        private_file::write(&path, &sealed, 0o600, Existing::Replace).unwrap();
        let refusal = open(folder.path(), &localhost(), NOW).unwrap_err();
        assert!(matches!(refusal, KeyError::UnusableForTls { .. }), "{refusal}");
    }

    #[test]
    fn a_file_that_others_can_read_or_a_missing_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), &localhost(), NOW).unwrap();
        let path = folder.path().join("tls.sealed");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let refusal = open(folder.path(), &localhost(), NOW).unwrap_err();
        assert!(matches!(refusal, KeyError::OpenToOthers { .. }), "{refusal}");
        let refusal = open(&folder.path().join("nowhere"), &localhost(), NOW).unwrap_err();
        assert!(matches!(refusal, KeyError::File { .. }), "{refusal}");
    }

    #[test]
    fn invariant_12_no_file_on_disk_has_the_private_key_in_the_clear() {
        let folder = tempfile::tempdir().unwrap();
        let identity = open(folder.path(), &localhost(), NOW).unwrap();
        let sealed = fs::read(folder.path().join("tls.sealed")).unwrap();
        let kept = SelfMade::open(&testing::sealing_key(), &sealed, "test").unwrap();
        let secrets = oracle::secrets_of(&kept.pkcs8);
        let mut files = 0;
        for entry in fs::read_dir(folder.path()).unwrap() {
            let content = fs::read(entry.unwrap().path()).unwrap();
            for secret in &secrets {
                let found = content.windows(secret.len()).any(|window| window == secret.as_slice());
                assert!(!found);
            }
            files += 1;
        }
        assert_eq!(files, 2);
        assert_eq!(format!("{identity:?}"), "TlsIdentity { certificates: 1, .. }");
    }
}

mod pem_files {
    use super::*;

    /// A certificate and a key in files.
    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        /// A good pair, with the fixture P-256.
        fn new() -> Self {
            let files = Self {
                folder: tempfile::tempdir().unwrap(),
            };
            files.put_certificate(certificate_for(&*testing::p256()).as_bytes());
            files.put_key(&p256().private_key_to_pem_pkcs8().unwrap());
            files
        }

        fn certificate(&self) -> PathBuf {
            self.folder.path().join("fullchain.pem")
        }

        fn key(&self) -> PathBuf {
            self.folder.path().join("privkey.pem")
        }

        fn put_certificate(&self, content: &[u8]) {
            fs::write(self.certificate(), content).unwrap();
        }

        fn put_key(&self, content: &[u8]) {
            private_file::write(&self.key(), content, 0o600, Existing::Replace).unwrap();
        }

        fn open(&self) -> Result<TlsIdentity, KeyError> {
            TlsIdentity::from_pem_files(&self.certificate(), &self.key())
        }

        fn check_refused(&self, path: &Path, expected: &str) {
            let refusal = self.open().unwrap_err();
            let message = refusal.to_string();
            assert!(message.contains(expected), "{message}");
            assert!(
                message.contains(&path.display().to_string()),
                "{message} names the file"
            );
            assert!(!refusal.is_temporary());
        }
    }

    fn certificate_for(key: &dyn SigningKey) -> String {
        let parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.self_signed(&Using(key)).unwrap().pem()
    }

    fn p256() -> PKey<Private> {
        PKey::private_key_from_der(include_bytes!("../fixtures/p256.pk8")).unwrap()
    }

    fn rsa() -> PKey<Private> {
        PKey::private_key_from_der(include_bytes!("../fixtures/rsa2048.pk8")).unwrap()
    }

    #[test]
    fn every_usual_form_of_key_is_read() {
        let files = Files::new();
        let p256_pem = certificate_for(&*testing::p256());
        let rsa_pem = certificate_for(&*testing::rsa2048());
        let ec = p256().ec_key().unwrap();
        let parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        for (certificate, key) in [
            (&p256_pem, p256().private_key_to_pem_pkcs8().unwrap()),
            (&p256_pem, ec.private_key_to_pem().unwrap()),
            (
                &p256_pem,
                [parameters.as_slice(), &ec.private_key_to_pem().unwrap()].concat(),
            ),
            (&rsa_pem, rsa().private_key_to_pem_pkcs8().unwrap()),
            (&rsa_pem, rsa().rsa().unwrap().private_key_to_pem().unwrap()),
        ] {
            files.put_certificate(certificate.as_bytes());
            files.put_key(&key);
            let identity = files.open().unwrap();
            assert_eq!(
                identity.certificate_pem().replace('\r', ""),
                certificate.replace('\r', "")
            );
            check_talk(&identity, certificate, "localhost");
        }
    }

    #[test]
    fn a_chain_stays_in_order() {
        let files = Files::new();
        let (first, second) = (certificate_for(&*testing::p256()), certificate_for(&*testing::p384()));
        files.put_certificate(format!("comment\n{first}comment\n{second}").as_bytes());
        let identity = files.open().unwrap();
        assert_eq!(
            identity.certificate_pem().replace('\r', ""),
            format!("{first}{second}").replace('\r', "")
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let files = Files::new();
        fs::remove_file(files.key()).unwrap();
        files.check_refused(&files.key(), "there is no private key for TLS at");
        fs::remove_file(files.certificate()).unwrap();
        files.check_refused(&files.certificate(), "there is no TLS certificate at");
    }

    #[test]
    fn a_certificate_file_without_a_certificate_is_refused() {
        let files = Files::new();
        for content in [
            Vec::new(),
            b"hello".to_vec(),
            X509::from_pem(certificate_for(&*testing::p256()).as_bytes())
                .unwrap()
                .to_der()
                .unwrap(),
            p256().private_key_to_pem_pkcs8().unwrap(),
        ] {
            files.put_certificate(&content);
            files.check_refused(&files.certificate(), "contains no certificate");
        }
    }

    #[test]
    fn a_certificate_file_that_is_no_pem_is_refused() {
        let files = Files::new();
        let good = certificate_for(&*testing::p256());
        files.put_certificate(&good.as_bytes()[..good.len() / 2]);
        files.check_refused(&files.certificate(), "is not valid PEM");
        files.put_certificate(good.replacen('\n', "\n!!!!", 1).as_bytes());
        files.check_refused(&files.certificate(), "is not valid PEM");
    }

    #[test]
    fn a_key_file_without_a_key_is_refused() {
        let files = Files::new();
        for content in [
            Vec::new(),
            b"hello".to_vec(),
            p256().private_key_to_der().unwrap(),
            p256().public_key_to_pem().unwrap(),
            certificate_for(&*testing::p256()).into_bytes(),
        ] {
            files.put_key(&content);
            files.check_refused(&files.key(), "contains no private key");
        }
    }

    #[test]
    fn invariant_12_no_error_shows_a_piece_of_the_key() {
        let files = Files::new();
        let good = String::from_utf8(p256().private_key_to_pem_pkcs8().unwrap()).unwrap();
        let secret: String = good.lines().filter(|line| !line.starts_with('-')).collect();
        let broken = [
            good.replacen('M', "!", 1),
            good.replace("-----END", "-----BEGIN"),
            good.replace("END PRIVATE KEY", "END"),
            good.replacen("KEY-----\n", "KEY-----\nAAAA\n", 1),
            good.replace('\n', ""),
        ];
        for content in broken {
            files.put_key(content.as_bytes());
            let mut shown = String::new();
            let refusal = files.open().unwrap_err();
            let mut error: Option<&dyn Error> = Some(&refusal);
            while let Some(cause) = error {
                shown += &format!("{cause} {cause:?} ");
                error = cause.source();
            }
            for start in 0..secret.len() - 8 {
                assert!(!shown.contains(&secret[start..start + 8]), "{shown}");
            }
        }
    }

    #[test]
    fn a_key_with_a_password_is_refused_with_what_helps() {
        let files = Files::new();
        let cipher = Cipher::aes_128_cbc();
        for content in [
            p256().private_key_to_pem_pkcs8_passphrase(cipher, b"secret").unwrap(),
            rsa()
                .rsa()
                .unwrap()
                .private_key_to_pem_passphrase(cipher, b"secret")
                .unwrap(),
        ] {
            files.put_key(&content);
            files.check_refused(&files.key(), "is protected by a password");
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let files = Files::new();
        files.put_certificate(certificate_for(&*testing::other_p256()).as_bytes());
        files.check_refused(&files.key(), "does not belong to the first certificate");
        files.check_refused(&files.certificate(), "does not belong to the first");
        files.put_certificate(certificate_for(&*testing::rsa2048()).as_bytes());
        files.check_refused(&files.key(), "does not belong to the first certificate");
        // The right certificate, but not as the first.
        let chain = [testing::p384(), testing::p256()].map(|key| certificate_for(&*key));
        files.put_certificate(chain.concat().as_bytes());
        files.check_refused(&files.key(), "does not belong to the first certificate");
    }

    #[test]
    fn keys_and_certificates_that_tls_cannot_use_are_refused() {
        use openssl::rsa::Rsa;
        let files = Files::new();
        let short = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
        files.put_key(&short.private_key_to_pem_pkcs8().unwrap());
        files.check_refused(&files.key(), "cannot be used for TLS");
        assert!(files.open().unwrap_err().source().is_some());

        let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        files.put_key(garbage.as_bytes());
        files.check_refused(&files.key(), "cannot be used for TLS");

        let files = Files::new();
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        files.put_certificate(garbage.as_bytes());
        files.check_refused(&files.key(), "cannot be used for TLS");
    }

    #[test]
    fn a_key_that_everybody_can_read_is_refused() {
        let files = Files::new();
        let set_mode = |mode| {
            fs::set_permissions(files.key(), PermissionsExt::from_mode(mode)).unwrap();
        };
        set_mode(0o644);
        files.check_refused(&files.key(), "chmod 600");
        // A group may, and what is public may be.
        set_mode(0o640);
        files.open().unwrap();
        fs::set_permissions(files.certificate(), PermissionsExt::from_mode(0o644)).unwrap();
        files.open().unwrap();
    }

    #[test]
    fn files_that_are_too_large_are_refused() {
        let files = Files::new();
        files.put_key(&vec![b'\n'; (1 << 20) + 1]);
        files.check_refused(&files.key(), "is larger than the 1048576 bytes");
    }
}

mod clients {
    use super::*;

    #[test]
    fn nothing_to_trust_is_refused() {
        let key = String::from_utf8(
            PKey::private_key_from_der(include_bytes!("../fixtures/p256.pk8"))
                .unwrap()
                .private_key_to_pem_pkcs8()
                .unwrap(),
        );
        for text in ["", "hello", &key.unwrap()] {
            let refusal = client_config(Trust::Only(text.as_bytes())).unwrap_err();
            assert!(matches!(refusal, KeyError::PemWithout { .. }), "{refusal}");
        }
    }

    #[test]
    fn a_certificate_that_is_none_is_refused_with_its_number() {
        let good = identity().certificate_pem();
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let refusal = client_config(Trust::Only(format!("{good}{garbage}").as_bytes())).unwrap_err();
        assert!(refusal.to_string().starts_with("certificate number 2 "), "{refusal}");
        let cut = &good[..good.len() / 2];
        let refusal = client_config(Trust::Only(cut.as_bytes())).unwrap_err();
        assert!(matches!(refusal, KeyError::InvalidPem { .. }), "{refusal}");
    }

    /// Bundles of certificates often have comments in Latin-1.
    #[test]
    fn text_around_the_certificates_may_be_in_any_encoding() {
        let identity = identity();
        let bundle = [b"M\xfcller CA\n", identity.certificate_pem().as_bytes()].concat();
        let client = client_config(Trust::Only(&bundle)).unwrap();
        let heard = converse(client, identity.server_config(), "localhost").unwrap();
        assert_eq!(heard, b"hello");
    }

    #[test]
    fn several_servers_can_be_trusted() {
        let (one, two) = (identity(), identity());
        let both = format!("{}{}", one.certificate_pem(), two.certificate_pem());
        check_talk(&one, &both, "localhost");
        check_talk(&two, &both, "localhost");
    }

    /// What a system trusts differs, but a fresh self-made certificate is never in it.
    #[test]
    fn the_system_trusts_no_self_made_identity() {
        let name = "only-here.invalid";
        let identity = TlsIdentity::self_made(&[name.to_owned()], 0, LATE).unwrap();
        match client_config(Trust::System) {
            Ok(client) => {
                let refusal = converse(client, identity.server_config(), name).unwrap_err();
                assert!(format!("{refusal:?}").contains("UnknownIssuer"), "{refusal}");
                let pem = identity.certificate_pem();
                let client = client_config(Trust::SystemAnd(pem.as_bytes())).unwrap();
                let heard = converse(client, identity.server_config(), name).unwrap();
                assert_eq!(heard, b"hello");
            }
            Err(refusal) => {
                assert!(matches!(refusal, KeyError::NoSystemTrust { .. }), "{refusal}");
            }
        }
    }

    #[test]
    fn the_default_provider_can_be_installed_twice() {
        install_default_provider();
        install_default_provider();
        assert!(CryptoProvider::get_default().is_some());
    }
}
