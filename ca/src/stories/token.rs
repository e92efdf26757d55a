//! The keys of the authority in a token: SoftHSM stands in for a device.

use std::any::type_name_of_val;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use keys::pkcs11::{Pkcs11KeyStore, Pkcs11Settings, Token};
use keys::{KeyAlgorithm, KeyStore};
use policies::time::FixedClock;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use x509_cert::der::Decode;

use crate::app::{App, AppParts};
use crate::error::{self, Error};
use crate::init::{Options, init};
use crate::issuance::TracingObserver;
use crate::mail::Mailer;
use crate::orders::{OrderState, TierChoice, place};
use crate::revocation::{self, Reason};
use crate::testing::{FixtureKeys, Proof, START, WatchedKeys, World, options, order};
use crate::{crl, signature};

#[test]
fn invariant_12_an_authority_lives_with_its_keys_in_a_token() {
    with_token(|token| async move {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("ca");
        let made = init(&token.options(&folder), parts()).await.unwrap();
        assert_eq!(made.token.as_deref(), Some("token `sealwright`"));
        assert!(made.to_string().contains("in the token `sealwright` and nowhere else"));
        assert!(!folder.join("keys").exists());
        assert_eq!(token.keys(), ["audit", "issuing", "root"]);

        // The whole of it from the configuration alone: an order, its certificate, and a CRL that lists it.
        let app = App::open(&folder, parts()).await.unwrap();
        let outbox = Mailer::in_memory("ca@example.com").unwrap().1;
        let clock = Arc::new(FixedClock::new(START));
        let watched = Arc::new(WatchedKeys::new(FixtureKeys::default()));
        let world = World::around(app, clock, outbox, watched, folder, temporary, None);
        let alice = world.subscriber("Alice").await;
        for proof in Proof::everything("alice@example.com") {
            world.prove(&alice, proof, policies::time::Span::days(1)).await;
        }
        let order = order("alice@example.com", TierChoice::Best);
        let order = place(&world.app, &alice, order).await.unwrap();
        let OrderState::Valid { serial, .. } = &order.state else {
            panic!("{:?}", order.state)
        };
        revocation::revoke(&world.app, &alice, serial, Reason::Superseded)
            .await
            .unwrap();
        let issuing = world.app.issuers().issuing();
        let crl = crl::current(&world.app, issuing, crl::Scope::Complete).await.unwrap();
        let list = x509_cert::crl::CertificateList::<x509_cert::certificate::Rfc5280>::from_der(&crl.der).unwrap();
        let entries = list.tbs_cert_list.revoked_certificates.unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(
            &data_encoding::HEXLOWER.encode(entries[0].serial_number.as_bytes()),
            serial
        );
        let tbs = signature::signed_part(&crl.der).unwrap();
        let signed = list.signature.as_bytes().unwrap();
        assert!(signature::is_valid(
            issuing.key.public_key(),
            &list.signature_algorithm,
            tbs,
            signed
        ));
        crate::audit::verify(&world.app).await.unwrap();
    });
}

#[test]
fn a_failed_init_leaves_the_token_as_it_was() {
    with_token(|token| async move {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("ca");
        // 1. The database cannot be made, which is noticed after the keys were.
        let mut hopeless = token.options(&folder);
        hopeless.database = "sqlite:missing/folder/ca.sqlite".to_owned();
        init(&hopeless, parts()).await.unwrap_err();
        assert!(token.keys().is_empty(), "{:?}", token.keys());
        assert!(!folder.exists());

        // 2. A key of somebody else has one of our names: it stays, and what was made before it goes.
        let stranger = token
            .store()
            .generate(&"issuing".parse().unwrap(), KeyAlgorithm::P256)
            .unwrap();
        let refusal = init(&token.options(&folder), parts()).await.unwrap_err();
        assert!(error::chain(&refusal).contains("already"), "{}", error::chain(&refusal));
        assert_eq!(token.keys(), ["issuing"]);
        let kept = token.store().open(&"issuing".parse().unwrap()).unwrap();
        assert_eq!(kept.public_key(), stranger.public_key());
        assert!(!folder.exists());
    });
}

#[test]
fn tokens_that_cannot_be_used_are_refused_with_their_reason() {
    with_token(|token| async move {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("ca");
        let refused = async |change: &dyn Fn(&mut Pkcs11Settings), expected: &str| {
            let mut options = token.options(&folder);
            change(options.token.as_mut().unwrap());
            let refusal = init(&options, parts()).await.unwrap_err();
            assert!(matches!(refusal, Error::KeyStore(_)), "{refusal:?}");
            let text = error::chain(&refusal);
            assert!(text.contains(expected), "{text:?} lacks {expected:?}");
            assert!(!folder.exists());
        };
        refused(&|settings| settings.token = Token::Label("other".to_owned()), "other").await;
        refused(
            &|settings| settings.module = "/nowhere/module.so".into(),
            "/nowhere/module.so",
        )
        .await;
        refused(&|settings| settings.pin_file = "/nowhere/pin".into(), "/nowhere/pin").await;
        assert!(token.keys().is_empty());
    });
}

fn parts() -> AppParts {
    AppParts {
        clock: Arc::new(FixedClock::new(START)),
        rng: Box::new(ChaCha20Rng::from_seed([11; 32])),
        observer: Arc::new(TracingObserver),
        mail: Some(Mailer::in_memory("ca@example.com").unwrap().0),
        keys: None,
        dns: Some(crate::testing::local_dns().resolver_config()),
        text_records: None,
    }
}

/// A token of one test.
#[derive(Clone, Debug)]
struct TestToken {
    module: PathBuf,
    pin_file: PathBuf,
}

impl TestToken {
    fn options(&self, folder: &Path) -> Options {
        let mut options = options(folder);
        options.token = Some(self.settings());
        options
    }

    fn settings(&self) -> Pkcs11Settings {
        Pkcs11Settings {
            module: self.module.clone(),
            token: Token::Label("sealwright".to_owned()),
            pin_file: self.pin_file.clone(),
            max_sessions: 4,
        }
    }

    fn store(&self) -> Pkcs11KeyStore {
        Pkcs11KeyStore::open(&self.settings()).unwrap()
    }

    fn keys(&self) -> Vec<String> {
        self.store().list().unwrap().iter().map(ToString::to_string).collect()
    }
}

/// Runs a test in a process of its own with a token of its own: SoftHSM is told by an environment variable where its
/// tokens are, and reads it once per process.
fn with_token<T, F>(test: T)
where
    T: FnOnce(TestToken) -> F,
    F: Future<Output = ()>,
{
    let Some(module) = MODULES.iter().map(Path::new).find(|module| module.exists()) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "the peer softhsm2 is missing, and on CI none may be"
        );
        eprintln!("SKIPPED: the peer softhsm2 is not installed; scripts/setup test installs it");
        return;
    };
    if let Some(folder) = std::env::var_os(FOLDER) {
        let token = TestToken {
            module: module.to_owned(),
            pin_file: Path::new(&folder).join("pin"),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        return runtime.block_on(test(token));
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let configuration = folder.path().join("softhsm2.conf");
    let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
    std::fs::write(&configuration, text).unwrap();
    let pin_file = folder.path().join("pin");
    std::fs::write(&pin_file, PIN).unwrap();
    std::fs::set_permissions(&pin_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let run = |command: &mut Command| {
        let output = command.env("SOFTHSM2_CONF", &configuration).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "{text}");
        text
    };
    let make = ["--init-token", "--free", "--label", "sealwright", "--so-pin", "officer"];
    run(Command::new("softhsm2-util").args(make).args(["--pin", PIN]));

    // The type of a closure is named after the function that it stands in.
    let name = type_name_of_val(&test).trim_end_matches("::{{closure}}");
    let (_, name) = name.split_once("::").unwrap();
    let text = run(Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(FOLDER, folder.path()));
    assert!(text.contains("1 passed"), "no test is named {name}: {text}");
}

const PIN: &str = "739154";
/// Where a test that was started again finds its folder.
const FOLDER: &str = "SEALWRIGHT_TEST_TOKEN";
/// Where Debian puts SoftHSM.
const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
];
