//! A folder with tokens, a process of its own for each test, and what OpenSSL thinks of signatures.

use std::any::type_name_of_val;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use der::Encode;
use keys::pkcs11::{Pkcs11KeyStore, Pkcs11Settings, Token};
use keys::{KeyError, KeyId, Signature, SignatureAlgorithm, SigningKey};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Public};
use openssl::sign::Verifier;

/// Runs a test in a process of its own, with tokens of its own.
///
/// SoftHSM is told by an environment variable where its tokens are, and reads it once per process. So the test binary
/// is started again with that variable, for this one test.
pub(crate) fn with_tokens<T: FnOnce(&Tokens)>(test: T) {
    let Some(module) = module() else {
        assert!(
            std::env::var_os("CI").is_none(),
            "the peer softhsm2 is missing, and on CI none may be"
        );
        eprintln!("SKIPPED: the peer softhsm2 is not installed; scripts/setup test installs it");
        return;
    };
    if let Some(folder) = std::env::var_os(FOLDER) {
        let folder = PathBuf::from(folder);
        return test(&Tokens { folder, module });
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tokens")).unwrap();
    let configuration = folder.path().join("softhsm2.conf");
    let tokens = folder.path().join("tokens");
    let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
    fs::write(&configuration, text).unwrap();

    // The type of a closure is named after the function that it stands in.
    let name = type_name_of_val(&test).trim_end_matches("::{{closure}}");
    let (_, name) = name.split_once("::").unwrap();
    let output = again(name, &[])
        .env(FOLDER, folder.path())
        .env("SOFTHSM2_CONF", configuration)
        .output()
        .unwrap();
    let text = shown(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "no test is named {name}: {text}");
}

/// This binary once more, for one test.
pub(crate) fn again(name: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture"])
        .envs(environment.iter().copied());
    command
}

pub(crate) fn shown(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The folder of the tokens of one test, and the module that serves them.
pub(crate) struct Tokens {
    pub(crate) folder: PathBuf,
    pub(crate) module: PathBuf,
}

impl Tokens {
    /// Makes a token whose PIN is [`PIN`], and opens it.
    pub(crate) fn store(&self) -> Pkcs11KeyStore {
        self.make("sealwright");
        Pkcs11KeyStore::open(&self.settings()).unwrap()
    }

    /// Makes a token and the file with its PIN.
    pub(crate) fn make(&self, label: &str) {
        let made = Command::new("softhsm2-util")
            .args([
                "--init-token",
                "--free",
                "--label",
                label,
                "--pin",
                PIN,
                "--so-pin",
                "officer",
            ])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", shown(&made));
        self.write_pin(PIN, 0o600);
    }

    /// The settings for the token `sealwright`.
    pub(crate) fn settings(&self) -> Pkcs11Settings {
        Pkcs11Settings {
            module: self.module.clone(),
            token: Token::Label("sealwright".into()),
            pin_file: self.pin_file(),
            max_sessions: 4,
        }
    }

    pub(crate) fn pin_file(&self) -> PathBuf {
        self.folder.join("pin")
    }

    pub(crate) fn write_pin(&self, pin: &str, mode: u32) {
        fs::write(self.pin_file(), pin).unwrap();
        fs::set_permissions(self.pin_file(), PermissionsExt::from_mode(mode)).unwrap();
    }

    /// Takes all tokens away. They come back by [`put_back`](Self::put_back).
    pub(crate) fn take_away(&self) {
        fs::rename(self.folder.join("tokens"), self.folder.join("away")).unwrap();
        fs::create_dir(self.folder.join("tokens")).unwrap();
    }

    pub(crate) fn put_back(&self) {
        fs::remove_dir_all(self.folder.join("tokens")).unwrap();
        fs::rename(self.folder.join("away"), self.folder.join("tokens")).unwrap();
    }

    /// The module without our code around it. A store has to be open.
    pub(crate) fn raw(&self) -> Pkcs11 {
        Pkcs11::new(&self.module).unwrap()
    }

    pub(crate) fn slot(&self, label: &str) -> Slot {
        let module = self.raw();
        let labelled = |slot: &Slot| module.get_token_info(*slot).unwrap().label() == label;
        module
            .get_slots_with_initialized_token()
            .unwrap()
            .into_iter()
            .find(labelled)
            .unwrap()
    }

    /// A session of our own beside those of the store.
    pub(crate) fn session(&self) -> Session {
        let session = self.raw().open_rw_session(self.slot("sealwright")).unwrap();
        match session.login(UserType::User, Some(&AuthPin::from(PIN))) {
            // The store has done it for the whole process.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => session,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

/// What names a key of ours, for keys that are made otherwise.
pub(crate) fn named(name: &str) -> [Attribute; 3] {
    let name = name.as_bytes().to_vec();
    [
        Attribute::Token(true),
        Attribute::Id(name.clone()),
        Attribute::Label(name),
    ]
}

/// The objects of that class and name, private keys or public ones.
pub(crate) fn objects(session: &Session, class: ObjectClass, name: &str) -> Vec<ObjectHandle> {
    let name = name.as_bytes().to_vec();
    session
        .find_objects(&[Attribute::Class(class), Attribute::Id(name)])
        .unwrap()
}

/// One attribute, unless the token keeps it to itself.
pub(crate) fn attribute(session: &Session, object: ObjectHandle, wanted: AttributeType) -> Option<Attribute> {
    session.get_attributes(object, &[wanted]).unwrap().pop()
}

pub(crate) fn public_key(key: &dyn SigningKey) -> PKey<Public> {
    PKey::public_key_from_der(&key.public_key().to_der().unwrap()).unwrap()
}

pub(crate) fn verifies(key: &dyn SigningKey, message: &[u8], signature: &Signature) -> bool {
    let digest = match key.algorithm() {
        SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::RsaPkcs1Sha256 => Some(MessageDigest::sha256()),
        SignatureAlgorithm::EcdsaP384Sha384 => Some(MessageDigest::sha384()),
        SignatureAlgorithm::Ed25519 => None,
    };
    let public_key = public_key(key);
    let mut verifier = match digest {
        Some(digest) => Verifier::new(digest, &public_key).unwrap(),
        None => Verifier::new_without_digest(&public_key).unwrap(),
    };
    verifier.verify_oneshot(signature.as_bytes(), message).unwrap_or(false)
}

/// Signs, and has OpenSSL check the signature.
pub(crate) fn check_signs(key: &dyn SigningKey) {
    let signature = key.sign(b"message").unwrap();
    assert!(verifies(key, b"message", &signature), "{key:?}");
    assert!(!verifies(key, b"messagE", &signature), "{key:?}");
}

#[track_caller]
pub(crate) fn check_temporary<T: std::fmt::Debug>(result: Result<T, KeyError>) {
    let refusal = result.unwrap_err();
    assert!(refusal.is_temporary(), "{refusal}: {refusal:?}");
    let message = refusal.to_string();
    assert_eq!(
        message,
        "the token `sealwright` is not available at the moment; try again"
    );
}

fn module() -> Option<PathBuf> {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    ];
    places
        .iter()
        .map(Path::new)
        .find(|place| place.exists())
        .map(Path::to_owned)
}

pub(crate) const PIN: &str = "739154";

/// Where a test that was started again finds its folder.
const FOLDER: &str = "SEALWRIGHT_TEST_TOKENS";
