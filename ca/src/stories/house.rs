//! What does not depend on the database: making an authority, keys at rest, and the same bytes every time.

use std::path::Path;
use std::sync::Arc;

use keys::KeyAlgorithm;
use policies::tier::{Generation, Tier};
use policies::time::{FixedClock, Span, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};

use crate::app::{App, AppParts};
use crate::error::Error;
use crate::init::{Options, init};
use crate::issuance::TracingObserver;
use crate::mail::Mailer;
use crate::orders::{OrderState, TierChoice, place};
use crate::testing::{Database, FixtureKeys, Proof, START, WatchedKeys, World, options};

/// Production's software keys, with a clock of ours.
fn software_parts() -> AppParts {
    AppParts {
        clock: Arc::new(FixedClock::new(START)),
        rng: Box::new(ChaCha20Rng::from_seed([9; 32])),
        observer: Arc::new(TracingObserver),
        mail: Some(Mailer::in_memory("ca@example.com").unwrap().0),
        keys: None,
        dns: Some(crate::testing::local_dns().resolver_config()),
        text_records: None,
    }
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn init_makes_an_authority_that_opens() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("deep").join("ca");
    let made = init(&options(&folder), software_parts()).await.unwrap();
    let text = made.to_string();
    assert!(
        text.contains(made.operator_token.reveal()) && text.contains("root.pem"),
        "{text}"
    );
    assert_eq!(entries(folder.parent().unwrap()), ["ca"]);
    let app = App::open(&folder, software_parts()).await.unwrap();
    let root = app.issuers().root();
    assert_eq!(
        <[u8; 32]>::from(Sha256::digest(root.certificate_der())),
        made.root_sha256
    );
    let pem = std::fs::read_to_string(folder.join("root.pem")).unwrap();
    assert_eq!(pem, root.certificate_pem());
    let operator = crate::accounts::authenticate(&app, made.operator_token.reveal())
        .await
        .unwrap();
    assert_eq!(operator.role, crate::accounts::Role::Operator);
}

#[tokio::test]
async fn openssl_verifies_the_issuing_certificate() {
    let world = World::new(Database::Sqlite).await.unwrap();
    let root = openssl::x509::X509::from_der(world.app.issuers().root().certificate_der()).unwrap();
    let issuing = openssl::x509::X509::from_der(world.app.issuers().issuing().certificate_der()).unwrap();
    assert!(issuing.verify(&root.public_key().unwrap()).unwrap());
    assert!(root.verify(&root.public_key().unwrap()).unwrap());
    assert_eq!(root.issued(&issuing), openssl::x509::X509VerifyResult::OK);
    assert!(!root.verify(&issuing.public_key().unwrap()).unwrap());
}

#[tokio::test]
async fn a_second_init_is_refused_and_changes_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("ca");
    init(&options(&folder), software_parts()).await.unwrap();
    let before: Vec<_> = entries(&folder)
        .iter()
        .map(|name| std::fs::read(folder.join(name)).unwrap_or_default())
        .collect();
    let error = init(&options(&folder), software_parts()).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyInitialized { .. }), "{error}");
    assert!(
        error.to_string().contains("choose another folder, nothing was changed"),
        "{error}"
    );
    let after: Vec<_> = entries(&folder)
        .iter()
        .map(|name| std::fs::read(folder.join(name)).unwrap_or_default())
        .collect();
    assert_eq!(before, after);
}

#[tokio::test]
async fn what_cannot_be_made_leaves_nothing_behind() {
    type Change = fn(&mut Options);
    let changes: [(&str, Change); 8] = [
        ("https", |options| {
            options.public_url = "https://pki.example.com".to_owned()
        }),
        ("organization", |options| options.organization = String::new()),
        ("organization", |options| options.organization = "x".repeat(65)),
        ("too short", |options| options.issuing_key = KeyAlgorithm::Rsa3072),
        ("too short", |options| options.root_key = KeyAlgorithm::Rsa2048),
        ("listen", |options| options.listen = "everywhere".to_owned()),
        ("URL", |options| options.database = "oracle://db".to_owned()),
        ("database", |options| {
            options.database = "sqlite:missing/folder/ca.sqlite".to_owned()
        }),
    ];
    for (expected, change) in changes {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("ca");
        let mut options = options(&folder);
        change(&mut options);
        let error = init(&options, software_parts()).await.unwrap_err();
        let text = crate::error::chain(&error);
        assert!(text.contains(expected), "{text:?} lacks {expected:?}");
        assert!(
            entries(temporary.path()).is_empty(),
            "{expected}: {:?}",
            entries(temporary.path())
        );
    }
}

#[tokio::test]
async fn a_long_organization_has_common_names_that_fit() {
    let temporary = tempfile::tempdir().unwrap();
    let mut options = options(&temporary.path().join("ca"));
    options.organization = "Ü".repeat(64);
    let made = init(&options, software_parts()).await.unwrap();
    let common_name = format!("CN={} S/MIME Root CA", "Ü".repeat(49));
    assert!(made.root_subject.contains(&common_name), "{}", made.root_subject);
}

#[tokio::test]
async fn a_folder_in_use_is_not_touched_and_an_empty_one_is_taken() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("ca");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("letter.txt"), "dear").unwrap();
    let error = init(&options(&folder), software_parts()).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyInitialized { .. }), "{error}");
    assert_eq!(entries(&folder), ["letter.txt"]);
    std::fs::remove_file(folder.join("letter.txt")).unwrap();
    init(&options(&folder), software_parts()).await.unwrap();
}

#[tokio::test]
async fn a_folder_without_authority_is_not_opened() {
    let temporary = tempfile::tempdir().unwrap();
    let error = App::open(temporary.path(), software_parts()).await.unwrap_err();
    assert!(matches!(error, Error::NotInitialized { .. }), "{error}");
    assert!(entries(temporary.path()).is_empty());
}

/// Nothing in the data folder is a private key, and nothing but its owner can read it.
#[cfg(unix)]
#[tokio::test]
async fn invariant_12_keys_at_rest_are_sealed_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("ca");
    init(&options(&folder), software_parts()).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("sealing.key")), 0o600);
    assert_eq!(mode(&folder.join("ca.sqlite")), 0o600);
    // The object identifiers that every PKCS#8 or SEC 1 structure of these keys carries.
    let marks: [&[u8]; 4] = [
        b"PRIVATE KEY",
        &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01],
        &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
    ];
    let keys = entries(&folder.join("keys"));
    assert!(keys.len() >= 3, "{keys:?}");
    for name in keys {
        let path = folder.join("keys").join(&name);
        assert_eq!(mode(&path), 0o600, "{name}");
        let content = std::fs::read(&path).unwrap();
        for mark in marks {
            assert!(
                !content.windows(mark.len()).any(|window| window == mark),
                "{name} holds a key in clear"
            );
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn invariant_12_keys_do_not_open_with_a_wrong_or_open_sealing_key() {
    use std::os::unix::fs::PermissionsExt;
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("ca");
    init(&options(&folder), software_parts()).await.unwrap();
    let sealing_key = folder.join("sealing.key");
    std::fs::set_permissions(&sealing_key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = App::open(&folder, software_parts()).await.unwrap_err();
    assert!(
        matches!(error, Error::Sealing(keys::KeyError::OpenToOthers { .. })),
        "{error}"
    );

    std::fs::remove_file(&sealing_key).unwrap();
    keys::sealing::SealingKey::generate_file(&sealing_key).unwrap();
    let error = App::open(&folder, software_parts()).await.unwrap_err();
    assert!(matches!(error, Error::Key { .. }), "{error}");
    let debug = format!("{error:?}");
    assert!(debug.contains("DoesNotOpen"), "{debug}");
}

#[tokio::test]
async fn invariant_12_debug_output_holds_no_key() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("ca");
    let made = init(&options(&folder), software_parts()).await.unwrap();
    let app = App::open(&folder, software_parts()).await.unwrap();
    let text = format!("{app:?} {made:?}");
    assert!(!text.contains(made.operator_token.reveal()));
    assert!(text.contains("IssuingKey(issuing)"), "{text}");
}

/// An issuer whose certificate belongs to another key signs nothing.
#[tokio::test]
async fn an_exchanged_issuing_key_is_not_used() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("ca");
    init(&options(&folder), software_parts()).await.unwrap();
    let keys: Arc<dyn keys::KeyStore> = Arc::new(FixtureKeys::default());
    let parts = AppParts {
        keys: Some(keys),
        ..software_parts()
    };
    let error = App::open(&folder, parts).await.unwrap_err();
    assert!(matches!(error, Error::Row { kind: "issuer", .. }), "{error}");
}

/// An authority of the spring of 2026, whose issuing key may still have 3072 bits, with everything known beforehand.
async fn golden() -> (Vec<u8>, Vec<u8>) {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("ca");
    let clock = Arc::new(FixedClock::new(
        Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap(),
    ));
    let keys = Arc::new(WatchedKeys::new(FixtureKeys { issuing_rsa: true }));
    let (parts, _) = crate::testing::parts(1, &clock, &keys, Arc::new(TracingObserver));
    init(&options(&folder), parts).await.unwrap();
    let (parts, outbox) = crate::testing::parts(2, &clock, &keys, Arc::new(TracingObserver));
    let app = App::open(&folder, parts).await.unwrap();
    let world = World::around(app, clock, outbox, keys, folder, temporary, None);
    let ada = world.subscriber("Beispiel AG").await;
    for proof in Proof::everything("ada@example.com") {
        world.prove(&ada, proof, Span::hours(1)).await;
    }
    let tier = TierChoice::Exactly(Tier::V4);
    let mut request = crate::testing::order_with_key("ada@example.com", tier, &*keys::testing::p256());
    request.generation = Generation::Strict;
    // ECDSA signatures in requests are random, and of no influence.
    let placed = place(&world.app, &ada, request).await.unwrap();
    let OrderState::Valid { serial, .. } = placed.state else {
        panic!("{placed:?}")
    };
    let row = world.row(&serial).await;
    (row.tbs, row.certificate.unwrap())
}

#[tokio::test]
async fn invariant_09_the_same_input_clock_and_randomness_give_the_same_bytes() {
    let (tbs, certificate) = golden().await;
    let (tbs_again, certificate_again) = golden().await;
    assert_eq!(tbs, tbs_again);
    assert_eq!(certificate, certificate_again);
    let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(&certificate));
    assert_eq!(
        sha256, GOLDEN,
        "the bytes of certificates have changed: was that intended?"
    );
}

/// SHA-256 of the golden certificate.
const GOLDEN: &str = "36a0d878977557eb6330af3afafe46bbb19526bd74c2aeacee4dae952a2a4aec";
