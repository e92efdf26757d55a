//! Settings, PINs, tokens and keys that are not what they should be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::Session;
use keys::pkcs11::{Pkcs11KeyStore, Token};
use keys::{KeyAlgorithm, KeyError, KeyStore, Pkcs11Settings};

use crate::support::{PIN, Tokens, again, check_signs, id, named, objects, shown, with_tokens};

/// What opening a store with these settings says.
fn refusal(settings: &Pkcs11Settings) -> KeyError {
    let refusal = Pkcs11KeyStore::open(settings).unwrap_err();
    assert!(!refusal.is_temporary(), "{refusal}");
    assert!(!refusal.to_string().contains(PIN), "{refusal}");
    refusal
}

#[test]
fn a_wrong_pin_is_refused() {
    with_tokens(|tokens| {
        tokens.make("sealwright");
        for wrong in ["739155", "7391540", "73915", "1", "pässword"] {
            tokens.write_pin(wrong, 0o600);
            let refusal = refusal(&tokens.settings());
            assert!(matches!(refusal, KeyError::PinRefused { .. }), "{refusal}");
            let message = refusal.to_string();
            assert!(
                message.starts_with("the token `sealwright` refuses the PIN in "),
                "{message}"
            );
            assert!(message.ends_with("; correct the file"), "{message}");
        }
        tokens.write_pin(PIN, 0o600);
        Pkcs11KeyStore::open(&tokens.settings()).unwrap();
    });
}

#[test]
fn a_missing_or_empty_pin_file_is_refused() {
    with_tokens(|tokens| {
        tokens.make("sealwright");
        fs::remove_file(tokens.pin_file()).unwrap();
        let expected = format!(
            "there is no file with the PIN at {}; check the path",
            tokens.pin_file().display()
        );
        assert_eq!(refusal(&tokens.settings()).to_string(), expected);
        tokens.write_pin("\n", 0o600);
        let refusal = refusal(&tokens.settings());
        assert!(matches!(refusal, KeyError::InvalidPinFile { .. }), "{refusal}");
    });
}

#[test]
fn a_pin_file_that_others_can_read_is_refused() {
    with_tokens(|tokens| {
        tokens.make("sealwright");
        for mode in [0o644, 0o640, 0o604, 0o660, 0o666] {
            tokens.write_pin(PIN, mode);
            let expected = format!(
                "{0} is open to other users (mode {mode:04o}); run `chmod 600 {0}`",
                tokens.pin_file().display()
            );
            assert_eq!(refusal(&tokens.settings()).to_string(), expected);
        }
        tokens.write_pin(PIN, 0o400);
        Pkcs11KeyStore::open(&tokens.settings()).unwrap();
    });
}

#[test]
fn a_module_that_is_missing_or_something_else_is_refused() {
    with_tokens(|tokens| {
        tokens.make("sealwright");
        let with = |module: PathBuf| {
            refusal(&Pkcs11Settings {
                module,
                ..tokens.settings()
            })
        };
        let missing = tokens.folder.join("missing.so");
        let expected = format!("there is no PKCS#11 module at {}; check the path", missing.display());
        assert_eq!(with(missing).to_string(), expected);
        // Never one that the system would find under that name.
        assert!(matches!(with("libsofthsm2.so".into()), KeyError::FileMissing { .. }));
        for other in [
            tokens.folder.clone(),
            tokens.pin_file(),
            std::env::current_exe().unwrap(),
        ] {
            let refusal = with(other);
            assert!(matches!(refusal, KeyError::ModuleUnusable { .. }), "{refusal}");
        }
        let library = tokens.module.parent().and_then(Path::parent).unwrap().join("libm.so.6");
        let library = if library.exists() {
            library
        } else {
            "/lib/x86_64-linux-gnu/libm.so.6".into()
        };
        if library.exists() {
            let refusal = with(library);
            assert!(matches!(refusal, KeyError::ModuleUnusable { .. }), "{refusal}");
        }
    });
}

#[test]
fn a_module_that_somebody_else_uses_is_refused() {
    with_tokens(|tokens| {
        tokens.make("sealwright");
        let arguments = cryptoki::context::CInitializeArgs::new(cryptoki::context::CInitializeFlags::OS_LOCKING_OK);
        let module = tokens.raw();
        module.initialize(arguments).unwrap();
        let refusal = refusal(&tokens.settings());
        assert!(matches!(refusal, KeyError::ModuleUnusable { .. }), "{refusal}");
    });
}

#[test]
fn a_label_or_slot_without_a_token_is_refused_with_the_labels_there_are() {
    with_tokens(|tokens| {
        let with = |token| {
            refusal(&Pkcs11Settings {
                token,
                ..tokens.settings()
            })
            .to_string()
        };
        let module = fs::canonicalize(&tokens.module).unwrap();
        let expected = format!(
            "there is no token `sealwright` behind {}, which knows no token; check the settings, and that the device is connected",
            module.display()
        );
        assert_eq!(with(Token::Label("sealwright".into())), expected);
        tokens.make("sealwright");
        tokens.make("another");
        Pkcs11KeyStore::open(&tokens.settings()).unwrap();
        for token in [
            Token::Label("sealwrigh".into()),
            Token::Label("Sealwright".into()),
            Token::Slot(12_345),
        ] {
            let message = with(token);
            assert!(
                message.contains("`sealwright`") && message.contains("`another`"),
                "{message}"
            );
        }
        assert!(with(Token::Label("\u{202e}".into())).starts_with("there is no token `\\u{202e}` behind "));
    });
}

#[test]
fn two_tokens_with_one_label_need_a_slot() {
    with_tokens(|tokens| {
        tokens.make("sealwright");
        tokens.make("sealwright");
        let message = refusal(&tokens.settings()).to_string();
        assert!(
            message.starts_with("more than one token is labelled `sealwright` (in slots "),
            "{message}"
        );
        let slot = tokens.slot("sealwright").id();
        assert!(message.contains(&slot.to_string()), "{message}");
        let store = Pkcs11KeyStore::open(&Pkcs11Settings {
            token: Token::Slot(slot),
            ..tokens.settings()
        })
        .unwrap();
        check_signs(&*store.generate(&id("a"), KeyAlgorithm::P256).unwrap());
    });
}

#[test]
fn an_id_that_is_taken_is_refused_and_its_key_kept() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::Rsa2048] {
            let refusal = store.generate(&id("a"), algorithm).unwrap_err();
            let expected =
                "there is a key `a` in the token `sealwright` already; keys are never overwritten, choose another id";
            assert_eq!(refusal.to_string(), expected);
        }
        assert_eq!(store.open(&id("a")).unwrap().public_key(), key.public_key());
        check_signs(&*key);
    });
}

#[test]
fn an_unknown_id_is_refused() {
    with_tokens(|tokens| {
        let store = tokens.store();
        store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        for name in ["b", "a-", "aa"] {
            assert!(matches!(store.open(&id(name)), Err(KeyError::NotFound { .. })));
            assert!(matches!(store.remove(&id(name)), Err(KeyError::NotFound { .. })));
        }
    });
}

/// Makes a key pair of that name with the module itself.
fn make(session: &Session, name: &str, mechanism: &Mechanism<'_>, public: &[Attribute], private: &[Attribute]) {
    let usual = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    let kept = usual.into_iter().filter(|attribute| {
        !private
            .iter()
            .any(|other| other.attribute_type() == attribute.attribute_type())
    });
    let public: Vec<_> = named(name).into_iter().chain(public.to_vec()).collect();
    let private: Vec<_> = named(name).into_iter().chain(kept).chain(private.to_vec()).collect();
    session.generate_key_pair(mechanism, &public, &private).unwrap();
}

fn make_elliptic(session: &Session, name: &str, curve: &[u8], private: &[Attribute]) {
    make(
        session,
        name,
        &Mechanism::EccKeyPairGen,
        &[Attribute::EcParams(curve.to_vec())],
        private,
    );
}

#[track_caller]
fn check_unusable(store: &Pkcs11KeyStore, name: &str, expected: &str) {
    let refusal = store.open(&id(name)).unwrap_err();
    assert!(matches!(refusal, KeyError::KeyUnusable { .. }), "{refusal}");
    assert!(refusal.to_string().contains(expected), "{refusal}");
    // It is in the way all the same, and can be removed.
    assert!(matches!(
        store.generate(&id(name), KeyAlgorithm::P256),
        Err(KeyError::AlreadyExists { .. })
    ));
    store.remove(&id(name)).unwrap();
}

#[test]
fn keys_of_other_kinds_are_refused() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let session = tokens.session();
        let expected = "neither P-256, P-384, Ed25519 nor RSA of 2048, 3072 or 4096 bits";
        make_elliptic(&session, "p521", P521, &[]);
        check_unusable(&store, "p521", expected);
        for (bits, exponent) in [(1024, vec![1, 0, 1]), (2048, vec![3])] {
            let public = [Attribute::ModulusBits(bits.into()), Attribute::PublicExponent(exponent)];
            make(&session, "rsa", &Mechanism::RsaPkcsKeyPairGen, &public, &[]);
            check_unusable(&store, "rsa", expected);
        }
        let public = [Attribute::EcParams(ED448.to_vec())];
        make(&session, "ed448", &Mechanism::EccEdwardsKeyPairGen, &public, &[]);
        check_unusable(&store, "ed448", expected);
        // What is made as it should be is accepted, whoever made it.
        make_elliptic(&session, "p256", P256, &[]);
        check_signs(&*store.open(&id("p256")).unwrap());
    });
}

#[test]
fn invariant_12_keys_that_could_leave_the_token_are_refused() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let session = tokens.session();
        make_elliptic(&session, "open", P256, &[Attribute::Extractable(true)]);
        check_unusable(&store, "open", "could be taken out");
        make_elliptic(&session, "open", P256, &[Attribute::Sensitive(false)]);
        check_unusable(&store, "open", "could be taken out");
        make_elliptic(
            &session,
            "open",
            P256,
            &[Attribute::Sensitive(false), Attribute::Extractable(true)],
        );
        check_unusable(&store, "open", "could be taken out");
    });
}

#[test]
fn keys_that_may_not_sign_or_lack_their_public_half_are_refused() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let session = tokens.session();
        make_elliptic(&session, "mute", P256, &[Attribute::Sign(false)]);
        check_unusable(&store, "mute", "not meant for signing");
        make_elliptic(&session, "half", P256, &[]);
        let public = objects(&session, ObjectClass::PUBLIC_KEY, "half").pop().unwrap();
        session.destroy_object(public).unwrap();
        check_unusable(&store, "half", "exactly one public key");
    });
}

#[test]
fn two_keys_of_one_name_are_neither_used_nor_removed() {
    with_tokens(|tokens| {
        let store = tokens.store();
        store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        let session = tokens.session();
        make_elliptic(&session, "a", P256, &[]);
        assert!(matches!(store.open(&id("a")), Err(KeyError::KeyAmbiguous { .. })));
        assert!(matches!(store.remove(&id("a")), Err(KeyError::KeyAmbiguous { .. })));
        assert!(matches!(
            store.generate(&id("a"), KeyAlgorithm::P256),
            Err(KeyError::AlreadyExists { .. })
        ));
        assert_eq!(objects(&session, ObjectClass::PRIVATE_KEY, "a").len(), 2);
        assert_eq!(store.list().unwrap(), [id("a")]);
    });
}

#[test]
fn a_token_that_cannot_be_written_signs_but_makes_and_removes_no_keys() {
    with_tokens(|tokens| {
        const READER: &str = "SEALWRIGHT_TEST_READER";
        if std::env::var_os(READER).is_some() {
            check_read_only(tokens);
            println!("\nREAD ONLY.");
            return;
        }
        tokens.store().generate(&id("a"), KeyAlgorithm::P256).unwrap();
        // A user who may read everything and write nothing. The super-user may always write, and becomes another one.
        let name = "refusals::a_token_that_cannot_be_written_signs_but_makes_and_removes_no_keys";
        let mut command = again(name, &[(READER, "1")]);
        let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
            std::os::unix::fs::chown(tokens.pin_file(), Some(NOBODY), None).unwrap();
        }
        for (path, mode) in below(&tokens.folder) {
            let mode = if path == tokens.pin_file() { 0o600 } else { mode };
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        }
        let output = shown(&command.output().unwrap());
        assert!(output.contains("READ ONLY."), "{output}");
    });
}

fn check_read_only(tokens: &Tokens) {
    let store = Pkcs11KeyStore::open(&tokens.settings()).unwrap();
    let key = store.open(&id("a")).unwrap();
    check_signs(&*key);
    for refusal in [
        store.generate(&id("b"), KeyAlgorithm::P256).unwrap_err(),
        store.remove(&id("a")).unwrap_err(),
    ] {
        // SoftHSM says that something went wrong, and not what.
        let expected = matches!(refusal, KeyError::TokenReadOnly { .. } | KeyError::Unavailable { .. });
        assert!(expected, "{refusal:?}");
    }
    check_signs(&*key);
    assert_eq!(store.list().unwrap(), [id("a")]);
}

/// Everything in a folder and the folder itself, with a mode that lets everybody read it.
fn below(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = vec![(folder.to_owned(), 0o555)];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        } else {
            found.push((path, 0o444));
        }
    }
    found
}

/// The user and group that own nothing, on Debian.
const NOBODY: u32 = 65_534;

/// Names of curves, as PKCS #11 has them.
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P521: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x23";
const ED448: &[u8] = b"\x06\x03\x2b\x65\x71";
