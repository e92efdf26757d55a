//! A linter of somebody else in the path: what it does not agree to is neither recorded nor signed.

use policies::time::Span;

use crate::error::Error;
use crate::orders::{Order, OrderState, TierChoice, place};
use crate::testing::{Proof, World, order};

const ADA: &str = "ada@example.com";

/// An order under a linter, which is a shell script with the certificate as `$1`.
async fn ordered(script: &str) -> Option<(World, Result<Order, Error>)> {
    let script = toml::Value::String(script.to_owned());
    let more = format!(
        "\n[issuance.external_linter]\ncommand = [\"sh\", \"-c\", {script}, \"sh\", \"{{certificate}}\"]\ntimeout_seconds = 5\n"
    );
    ordered_with(&more).await
}

async fn ordered_with(configuration: &str) -> Option<(World, Result<Order, Error>)> {
    let world = World::with_configuration(super::DATABASE, configuration).await?;
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let order = place(&world.app, &ada, order(ADA, TierChoice::Best)).await;
    Some((world, order))
}

#[tokio::test]
async fn a_linter_that_agrees_has_seen_the_very_certificate() {
    // It reads the draft with other software than ours, and agrees only when the subject and the address are in it.
    let script = "openssl x509 -in \"$1\" -noout -text | grep -q 'email:ada@example.com'";
    let Some((world, order)) = ordered(script).await else { return };
    let state = order.unwrap().state;
    assert!(matches!(state, OrderState::Valid { .. }), "{state:?}");
    assert_eq!(world.certificates().await.len(), 1);
}

#[tokio::test]
async fn what_a_linter_finds_is_neither_recorded_nor_signed() {
    let Some((world, order)) = ordered("echo 'certificate: too \u{1b}[31mgreen'; exit 3").await else {
        return;
    };
    let before = world.keys.signatures();
    match order.unwrap().state {
        OrderState::Invalid { problem } => {
            assert!(problem.contains("sh found (BR 4.3.1.2): certificate: too"), "{problem}");
            assert!(!problem.contains('\u{1b}'), "{problem:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(world.certificates().await.is_empty());
    assert_eq!(world.keys.signatures(), before);
}

/// None of these says anything about the certificate: the order waits.
#[tokio::test]
async fn a_linter_that_gives_no_answer_stops_the_issuance() {
    for script in [
        "exit 1",
        "echo Traceback >&2; exit 1",
        "kill -9 $$",
        "exec sleep 600",
        "exec /nowhere/linter",
    ] {
        let Some((world, order)) = ordered(script).await else { return };
        let error = order.unwrap_err();
        assert!(matches!(error, Error::ExternalLinter { .. }), "{script}: {error}");
        assert!(world.certificates().await.is_empty(), "{script}");
    }
    let missing = "\n[issuance.external_linter]\ncommand = [\"/nowhere/linter\", \"{certificate}\"]\n";
    let (world, order) = ordered_with(missing).await.unwrap();
    assert!(matches!(order.unwrap_err(), Error::ExternalLinter { .. }));
    assert!(world.certificates().await.is_empty());
}

/// Much output is cut, and does not stop the program that writes it.
#[tokio::test]
async fn a_talkative_linter_is_cut_short() {
    let Some((_, order)) = ordered("head -c 1000000 /dev/zero | tr '\\0' x; exit 1").await else {
        return;
    };
    match order.unwrap().state {
        OrderState::Invalid { problem } => assert!(problem.len() < 5000, "{}", problem.len()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_environment_of_the_service_is_not_the_linters() {
    let script = "test -z \"$HOME$CARGO_MANIFEST_DIR$SEALWRIGHT_CORPORA\" || { echo leaked; exit 1; }";
    let Some((_, order)) = ordered(script).await else { return };
    let state = order.unwrap().state;
    assert!(matches!(state, OrderState::Valid { .. }), "{state:?}");
}

/// pkilint itself, where it is installed.
#[tokio::test]
async fn pkilint_agrees_from_within_the_path() {
    let pkilint = std::env::var("SEALWRIGHT_PKILINT").unwrap_or_default();
    if !std::path::Path::new(&pkilint).is_file() {
        assert!(std::env::var_os("CI").is_none(), "pkilint is missing; scripts/test installs it");
        eprintln!("SKIPPED: pkilint is not installed");
        return;
    }
    let pkilint = toml::Value::String(pkilint);
    let more = format!(
        "\n[issuance.external_linter]\ncommand = [{pkilint}, \"lint\", \"-d\", \"-s\", \"WARNING\", \"{{certificate}}\"]\n\
         timeout_seconds = 120\n"
    );
    let Some((_, order)) = ordered_with(&more).await else { return };
    let state = order.unwrap().state;
    assert!(matches!(state, OrderState::Valid { .. }), "{state:?}");
}
