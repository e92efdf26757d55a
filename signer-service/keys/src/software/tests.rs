//! Keys in files: what works, and all that is refused.

use std::error::Error;
use std::os::unix::fs::PermissionsExt;

use der::Encode;
use openssl::pkey::PKey;

use super::*;
use crate::{oracle, testing};

/// A store in a folder that goes away with it.
struct Fixture {
    store: SoftwareKeyStore,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SoftwareKeyStore::create(&folder.path().join("keys"), testing::sealing_key()).unwrap();
        Self { store, folder }
    }

    fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.keys().join(name)
    }

    fn p256(&self, name: &str) -> Arc<dyn SigningKey> {
        self.store.generate(&id(name), KeyAlgorithm::P256).unwrap()
    }

    fn reopen(&self) -> Result<SoftwareKeyStore, KeyError> {
        SoftwareKeyStore::open(&self.keys(), testing::sealing_key())
    }

    /// What opening the key `a` says after its file was replaced by these bytes.
    fn refusal_of(&self, content: &[u8]) -> KeyError {
        let path = self.file("a.key");
        private_file::write(&path, content, 0o600, Existing::Replace).unwrap();
        self.store.open(&id("a")).unwrap_err()
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.store.file_names().unwrap();
        names.sort();
        names
    }
}

fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn every_kind_of_key_signs_so_that_openssl_verifies_also_after_opening_again() {
    let fixture = Fixture::new();
    for algorithm in KeyAlgorithm::ALL.into_iter().chain([KeyAlgorithm::Ed25519]) {
        let id = id(algorithm.as_ref());
        let made = fixture.store.generate(&id, algorithm).unwrap();
        let opened = fixture.reopen().unwrap().open(&id).unwrap();
        assert_eq!(made.public_key(), opened.public_key());
        assert_eq!(opened.algorithm(), algorithm.signature_algorithm());
        for message in [b"".as_slice(), b"message", &[0; 100_000]] {
            for key in [&made, &opened] {
                let signature = key.sign(message).unwrap();
                assert!(
                    oracle::verifies(&*made, message, &signature),
                    "{algorithm} {}",
                    message.len()
                );
            }
        }
    }
}

#[test]
fn a_signature_is_for_one_message_and_one_key() {
    for key in testing::all() {
        let signature = key.sign(b"message").unwrap();
        assert!(oracle::verifies(&*key, b"message", &signature), "{key:?}");
        assert!(!oracle::verifies(&*key, b"messagE", &signature), "{key:?}");
        let mut changed = signature.as_bytes().to_vec();
        *changed.last_mut().unwrap() ^= 1;
        let changed = Signature::new(changed);
        assert!(!oracle::verifies(&*key, b"message", &changed), "{key:?}");
    }
    let signature = testing::p256().sign(b"message").unwrap();
    assert!(!oracle::verifies(&*testing::other_p256(), b"message", &signature));
}

#[test]
fn rsa_signatures_are_the_bytes_that_openssl_makes() {
    for (key, pkcs8) in [
        (testing::rsa2048(), include_bytes!("../fixtures/rsa2048.pk8").as_slice()),
        (testing::rsa3072(), include_bytes!("../fixtures/rsa3072.pk8")),
    ] {
        let openssl_key = PKey::private_key_from_der(pkcs8).unwrap();
        let digest = openssl::hash::MessageDigest::sha256();
        let mut signer = openssl::sign::Signer::new(digest, &openssl_key).unwrap();
        let expected = signer.sign_oneshot_to_vec(b"message").unwrap();
        assert_eq!(key.sign(b"message").unwrap().as_bytes(), expected);
    }
}

#[test]
fn public_keys_have_the_bytes_of_the_baseline_requirements() {
    let check = |key: Arc<dyn SigningKey>, expected: &[u8]| {
        assert_eq!(key.public_key().algorithm.to_der().unwrap(), expected);
        let der = key.public_key().to_der().unwrap();
        let theirs = oracle::public_key(&*key).public_key_to_der().unwrap();
        assert_eq!(der, theirs);
    };
    // S/MIME BR, 7.1.3.1.1 and 7.1.3.1.2.
    let rsa = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    check(testing::rsa2048(), rsa);
    check(testing::rsa3072(), rsa);
    check(
        testing::p256(),
        b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
    );
    check(
        testing::p384(),
        b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
    );
}

#[test]
fn rsa_keys_have_the_usual_exponent_and_the_full_length() {
    let fixture = Fixture::new();
    for (algorithm, bits) in [
        (KeyAlgorithm::Rsa2048, 2048),
        (KeyAlgorithm::Rsa3072, 3072),
        (KeyAlgorithm::Rsa4096, 4096),
    ] {
        let key = fixture.store.generate(&id(algorithm.as_ref()), algorithm).unwrap();
        let rsa = oracle::public_key(&*key).rsa().unwrap();
        assert_eq!(rsa.n().num_bits(), bits);
        assert_eq!(rsa.e().to_dec_str().unwrap().to_string(), "65537");
    }
}

#[test]
fn the_folder_and_its_files_are_private() {
    let fixture = Fixture::new();
    fixture.p256("a");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(fixture.keys()), 0o700);
    assert_eq!(mode(fixture.file("a.key")), 0o600);
    assert_eq!(mode(fixture.file("store.sealed")), 0o600);
    assert_eq!(fixture.names(), ["a.key", "store.sealed"]);
}

#[test]
fn keys_are_listed_in_order_and_nothing_else_is() {
    let fixture = Fixture::new();
    assert_eq!(fixture.store.list().unwrap(), []);
    fixture.p256("b");
    fixture.p256("a-1");
    for foreign in ["notes.txt", "UPPER.key", ".a.key.00.unfinished", ".key", "key"] {
        fs::write(fixture.file(foreign), b"x").unwrap();
    }
    assert_eq!(fixture.store.list().unwrap(), [id("a-1"), id("b")]);
}

#[test]
fn a_removed_key_is_gone_with_what_a_crash_has_left_of_it() {
    let fixture = Fixture::new();
    let key = fixture.p256("a");
    fixture.p256("a-1");
    fs::write(fixture.file(".a.key.0123.unfinished"), b"sealed").unwrap();
    fs::write(fixture.file(".a-1.key.0123.unfinished"), b"sealed").unwrap();
    fixture.store.remove(&id("a")).unwrap();
    assert_eq!(fixture.names(), [".a-1.key.0123.unfinished", "a-1.key", "store.sealed"]);
    let refusal = fixture.store.open(&id("a")).unwrap_err();
    assert!(matches!(refusal, KeyError::NotFound { .. }), "{refusal}");
    // Who had it open can finish.
    let signature = key.sign(b"message").unwrap();
    assert!(oracle::verifies(&*key, b"message", &signature));
    // The name is free again, for another key.
    assert_ne!(fixture.p256("a").public_key(), key.public_key());
}

#[test]
fn an_unknown_id_is_refused() {
    let fixture = Fixture::new();
    let folder = fixture.keys();
    let expected = format!(
        "there is no key `a` in {}; check the id, or restore the key from a backup",
        folder.display()
    );
    let refusal = fixture.store.open(&id("a")).unwrap_err();
    assert_eq!(refusal.to_string(), expected);
    let refusal = fixture.store.remove(&id("a")).unwrap_err();
    assert_eq!(refusal.to_string(), expected);
    assert!(!refusal.is_temporary());
}

#[test]
fn an_existing_id_is_refused_and_its_key_kept() {
    let fixture = Fixture::new();
    let key = fixture.p256("a");
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384] {
        let refusal = fixture.store.generate(&id("a"), algorithm).unwrap_err();
        assert!(matches!(refusal, KeyError::AlreadyExists { .. }), "{refusal}");
    }
    assert_eq!(fixture.store.open(&id("a")).unwrap().public_key(), key.public_key());
}

#[test]
fn of_many_that_generate_one_id_exactly_one_wins() {
    let fixture = Fixture::new();
    let winners: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| fixture.store.generate(&id("a"), KeyAlgorithm::P256)))
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| match thread.join().unwrap() {
                Ok(key) => Some(key),
                Err(KeyError::AlreadyExists { .. }) => None,
                Err(other) => panic!("{other}"),
            })
            .collect()
    });
    assert_eq!(winners.len(), 1);
    let opened = fixture.store.open(&id("a")).unwrap();
    assert_eq!(opened.public_key(), winners[0].public_key());
    assert_eq!(fixture.names(), ["a.key", "store.sealed"]);
}

#[test]
fn a_truncated_file_is_refused() {
    let fixture = Fixture::new();
    fixture.p256("a");
    let sealed = fs::read(fixture.file("a.key")).unwrap();
    for length in 0..sealed.len() {
        let refusal = fixture.refusal_of(&sealed[..length]);
        assert!(
            matches!(refusal, KeyError::Damaged { .. } | KeyError::DoesNotOpen { .. }),
            "{length}: {refusal}"
        );
        let path = fixture.file("a.key").display().to_string();
        assert!(refusal.to_string().starts_with(&path), "{refusal}");
        assert!(!refusal.is_temporary());
    }
}

#[test]
fn every_flipped_byte_is_refused() {
    let fixture = Fixture::new();
    fixture.p256("a");
    let sealed = fs::read(fixture.file("a.key")).unwrap();
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 0x40;
        let refusal = fixture.refusal_of(&changed);
        assert!(
            matches!(refusal, KeyError::Damaged { .. } | KeyError::DoesNotOpen { .. }),
            "{index}: {refusal}"
        );
    }
}

#[test]
fn a_file_under_another_name_is_refused() {
    let fixture = Fixture::new();
    fixture.p256("a");
    fixture.p256("b");
    let (a, b, between) = (fixture.file("a.key"), fixture.file("b.key"), fixture.file("c"));
    fs::rename(&a, &between).unwrap();
    fs::rename(&b, &a).unwrap();
    fs::rename(&between, &b).unwrap();
    for name in ["a", "b"] {
        let refusal = fixture.store.open(&id(name)).unwrap_err();
        assert!(matches!(refusal, KeyError::DoesNotOpen { .. }), "{refusal}");
        assert!(refusal.to_string().contains("moved from another name"), "{refusal}");
    }
    // Nor does what is sealed as something else pass for a key.
    let marker = fs::read(fixture.file("store.sealed")).unwrap();
    let refusal = fixture.refusal_of(&marker);
    assert!(matches!(refusal, KeyError::DoesNotOpen { .. }), "{refusal}");
}

#[test]
fn another_sealing_key_is_refused_when_the_store_is_opened() {
    let fixture = Fixture::new();
    let refusal = SoftwareKeyStore::open(&fixture.keys(), testing::other_sealing_key()).unwrap_err();
    assert!(matches!(refusal, KeyError::DoesNotOpen { .. }), "{refusal}");
    assert!(
        refusal.to_string().contains("sealed with another sealing key"),
        "{refusal}"
    );
}

#[test]
fn a_key_sealed_by_another_sealing_key_is_refused() {
    let fixture = Fixture::new();
    let (_, pkcs8) = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let sealed = testing::other_sealing_key().seal("key:a", &pkcs8).unwrap();
    let refusal = fixture.refusal_of(&sealed);
    assert!(matches!(refusal, KeyError::DoesNotOpen { .. }), "{refusal}");
}

#[test]
fn keys_of_other_kinds_are_refused() {
    use openssl::ec::{EcGroup, EcKey};
    use openssl::nid::Nid;
    use openssl::rsa::Rsa;

    let fixture = Fixture::new();
    let ecdsa = |curve| {
        let group = EcGroup::from_curve_name(curve).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    };
    let rsa = |bits| PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
    for key in [
        ecdsa(Nid::SECP521R1),
        ecdsa(Nid::SECP256K1),
        rsa(1024),
        rsa(2304),
        PKey::generate_ed448().unwrap(),
    ] {
        let pkcs8 = key.private_key_to_pkcs8().unwrap();
        let sealed = testing::sealing_key().seal("key:a", &pkcs8).unwrap();
        let refusal = fixture.refusal_of(&sealed);
        assert!(matches!(refusal, KeyError::KeyRejected { .. }), "{refusal}");
    }
    for other in [b"".as_slice(), b"no key", &[0x30; 200]] {
        let sealed = testing::sealing_key().seal("key:a", other).unwrap();
        let refusal = fixture.refusal_of(&sealed);
        assert!(matches!(refusal, KeyError::KeyRejected { .. }), "{refusal}");
    }
}

#[test]
fn files_and_folders_that_others_can_enter_are_refused() {
    let fixture = Fixture::new();
    fixture.p256("a");
    set_mode(&fixture.file("a.key"), 0o640);
    let refusal = fixture.store.open(&id("a")).unwrap_err().to_string();
    assert!(refusal.contains("chmod 600"), "{refusal}");
    set_mode(&fixture.keys(), 0o750);
    let refusal = fixture.reopen().unwrap_err().to_string();
    assert!(refusal.contains("(mode 0750)"), "{refusal}");
    assert!(refusal.contains("chmod 700"), "{refusal}");
}

#[test]
fn a_file_too_large_for_a_key_is_refused() {
    let fixture = Fixture::new();
    let refusal = fixture.refusal_of(&vec![0; 1 << 20]);
    assert!(matches!(refusal, KeyError::FileTooLarge { .. }), "{refusal}");
}

#[test]
fn a_folder_that_is_not_a_store_is_refused() {
    let fixture = Fixture::new();
    let check = |path: &Path, expected: &str| {
        let refusal = SoftwareKeyStore::open(path, testing::sealing_key()).unwrap_err();
        assert!(refusal.to_string().contains(expected), "{refusal}");
    };
    let nowhere = fixture.folder.path().join("nowhere");
    check(&nowhere, "there is no key store at");
    let file = fixture.folder.path().join("file");
    fs::write(&file, b"x").unwrap();
    check(&file, "cannot open the folder");
    let other = fixture.folder.path().join("other");
    private_file::create_folder(&other).unwrap();
    check(&other, "there is no key store at");
}

#[test]
fn a_store_is_never_made_over_something_else() {
    let fixture = Fixture::new();
    let create = |path: &Path| SoftwareKeyStore::create(path, testing::sealing_key());
    fixture.p256("a");
    let refusal = create(&fixture.keys()).unwrap_err();
    assert!(matches!(refusal, KeyError::FileExists { .. }), "{refusal}");
    assert_eq!(fixture.names(), ["a.key", "store.sealed"]);
    let refusal = create(&fixture.folder.path().join("no/parent")).unwrap_err();
    assert!(matches!(refusal, KeyError::File { .. }), "{refusal}");
    let file = fixture.folder.path().join("file");
    fs::write(&file, b"x").unwrap();
    let refusal = create(&file.join("keys")).unwrap_err();
    assert!(matches!(refusal, KeyError::File { .. }), "{refusal}");
    assert!(refusal.source().is_some());
}

/// As when the disk is read-only, which not even the tests of an administrator can ignore.
#[test]
fn a_folder_that_cannot_be_written_is_reported() {
    let fixture = Fixture::new();
    fs::remove_dir_all(fixture.keys()).unwrap();
    fs::write(fixture.keys(), b"a file where the folder was").unwrap();
    let refusal = fixture.store.generate(&id("a"), KeyAlgorithm::P256).unwrap_err();
    assert!(matches!(refusal, KeyError::File { .. }), "{refusal}");
    assert!(refusal.to_string().contains(".a.key."), "says which file: {refusal}");
    // A key that may well be there is not called unknown.
    for refusal in [
        fixture.store.open(&id("a")).unwrap_err(),
        fixture.store.remove(&id("a")).unwrap_err(),
        fixture.store.list().unwrap_err(),
    ] {
        assert!(matches!(refusal, KeyError::File { .. }), "{refusal}");
    }
}

/// The form on disk, opened by another implementation: a backup can be used without this program.
#[test]
fn a_key_file_is_sealed_pkcs8() {
    use openssl::symm::{Cipher, decrypt_aead};
    let fixture = Fixture::new();
    let key = fixture.p256("a");
    let sealed = fs::read(fixture.file("a.key")).unwrap();
    let (nonce, rest) = sealed[8..].split_at(12);
    let (ciphertext, tag) = rest.split_at(rest.len() - 16);
    let pkcs8 = decrypt_aead(
        Cipher::aes_256_gcm(),
        &[0x5e; 32],
        Some(nonce),
        b"SWSEAL\0\x01key:a",
        ciphertext,
        tag,
    )
    .unwrap();
    let theirs = PKey::private_key_from_der(&pkcs8).unwrap();
    assert!(theirs.public_eq(&oracle::public_key(&*key)));
}

#[test]
fn invariant_12_no_file_on_disk_has_a_private_key_in_the_clear() {
    let fixture = Fixture::new();
    let mut secrets = Vec::new();
    for algorithm in KeyAlgorithm::ALL {
        let id = id(algorithm.as_ref());
        fixture.store.generate(&id, algorithm).unwrap();
        let sealed = fs::read(fixture.store.path(&id)).unwrap();
        let pkcs8 = testing::sealing_key().open(&context(&id), &sealed).unwrap();
        secrets.extend(oracle::secrets_of(&pkcs8));
    }
    // One scalar per curve key, three numbers per RSA key, and how each file would begin.
    assert_eq!(secrets.len(), 2 + 3 * 3 + 5);
    for name in fixture.names() {
        let content = fs::read(fixture.file(&name)).unwrap();
        for secret in &secrets {
            assert!(secret.len() >= 16);
            let found = content.windows(secret.len()).any(|window| window == secret.as_slice());
            assert!(!found, "{name}");
        }
    }
    assert_eq!(fixture.names().len(), 6);
}

#[test]
fn invariant_12_debug_shows_no_key() {
    let fixture = Fixture::new();
    for algorithm in KeyAlgorithm::ALL {
        let key = fixture.store.generate(&id(algorithm.as_ref()), algorithm).unwrap();
        let expected = format!("SoftwareKey {{ algorithm: {:?}, .. }}", algorithm.signature_algorithm());
        assert_eq!(format!("{key:?}"), expected);
        assert_eq!(
            format!("{:?}", key.sign(b"x").unwrap()).split('(').next(),
            Some("Signature")
        );
    }
    let expected = format!("SoftwareKeyStore {{ folder: {:?}, .. }}", fixture.keys());
    assert_eq!(format!("{:?}", fixture.store), expected);
}

/// A store whose sealing key is in a file, as in a gateway.
fn rotating() -> (tempfile::TempDir, PathBuf, SoftwareKeyStore) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sealing.key");
    let sealing_key = SealingKey::generate_file(&file).unwrap();
    let store = SoftwareKeyStore::create(&folder.path().join("keys"), sealing_key).unwrap();
    (folder, file, store)
}

fn opened(folder: &tempfile::TempDir, sealing_key: &Path) -> Result<SoftwareKeyStore, KeyError> {
    SoftwareKeyStore::open(&folder.path().join("keys"), SealingKey::open_file(sealing_key)?)
}

#[test]
fn a_new_sealing_key_seals_everything_anew_while_others_use_the_store() {
    let (folder, file, store) = rotating();
    let old = fs::read(&file).unwrap();
    let made = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
    let names = ["localhost".to_owned()];
    let sealing_key = SealingKey::open_file(&file).unwrap();
    let identity = crate::tls::TlsIdentity::self_made_in(folder.path(), &sealing_key, &names, 1_700_000_000).unwrap();
    // 1. Another process replaces the key: a mark, a key and an identity.
    assert_eq!(
        opened(&folder, &file)
            .unwrap()
            .rotate_sealing_key(folder.path())
            .unwrap(),
        3
    );
    assert_ne!(fs::read(&file).unwrap(), old);
    assert_eq!(fs::read(&file).unwrap().len(), old.len(), "one key is left");
    // 2. This one, which knows only the old key, goes on.
    assert_eq!(store.open(&id("a")).unwrap().public_key(), made.public_key());
    let other = store.generate(&id("b"), KeyAlgorithm::P256).unwrap();
    // 3. What it has made is sealed by the new key.
    let again = opened(&folder, &file).unwrap();
    assert_eq!(again.open(&id("b")).unwrap().public_key(), other.public_key());
    let sealing_key = SealingKey::open_file(&file).unwrap();
    let kept = crate::tls::TlsIdentity::self_made_in(folder.path(), &sealing_key, &names, 1_700_000_000).unwrap();
    assert_eq!(kept.certificate_pem(), identity.certificate_pem());
    // 4. The old key opens nothing any more.
    private_file::write(&file, &old, 0o600, Existing::Replace).unwrap();
    assert!(matches!(opened(&folder, &file), Err(KeyError::DoesNotOpen { .. })));
}

#[test]
fn a_rotation_that_was_cut_off_anywhere_loses_nothing_and_is_ended_by_the_next() {
    let (folder, file, store) = rotating();
    let old = fs::read(&file).unwrap();
    store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
    store.generate(&id("b"), KeyAlgorithm::P256).unwrap();
    store.rotate_sealing_key(folder.path()).unwrap();
    let new = fs::read(&file).unwrap();
    let resealed = fs::read(folder.path().join("keys/a.key")).unwrap();
    // As after a crash: both keys, and one of the files sealed by the new one only.
    private_file::write(&file, &[new, old].concat(), 0o600, Existing::Replace).unwrap();
    let half = opened(&folder, &file).unwrap();
    half.rotate_sealing_key(folder.path()).unwrap();
    assert_ne!(fs::read(folder.path().join("keys/a.key")).unwrap(), resealed);
    let ended = opened(&folder, &file).unwrap();
    assert!(ended.open(&id("a")).is_ok() && ended.open(&id("b")).is_ok());
    assert_eq!(
        fs::read(&file).unwrap().iter().filter(|octet| **octet == b'\n').count(),
        1
    );
}

#[test]
fn keys_that_are_made_during_rotations_are_all_there_afterwards() {
    let (folder, file, store) = rotating();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..20 {
                store.generate(&id(&format!("k{number}")), KeyAlgorithm::P256).unwrap();
            }
        });
        for _ in 0..10 {
            opened(&folder, &file)
                .unwrap()
                .rotate_sealing_key(folder.path())
                .unwrap();
        }
    });
    let again = opened(&folder, &file).unwrap();
    assert_eq!(again.list().unwrap().len(), 20);
    for id in again.list().unwrap() {
        again.open(&id).unwrap();
    }
}
