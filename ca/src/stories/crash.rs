//! A process that is killed between any two steps of an issuance leaves nothing that cannot be revoked.
//!
//! The parent makes an authority, starts this test binary again as a child that orders a certificate and stops at a
//! step, and kills it there with SIGKILL. Then the parent opens the same folder.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openssl::x509::{CrlStatus, X509Crl};
use policies::time::{FixedClock, Span};

use crate::accounts;
use crate::app::App;
use crate::certificates::{self, CertificateState};
use crate::issuance::{IssuanceObserver, Step};
use crate::orders::{NewOrder, OrderState, TierChoice, place};
use crate::revocation::{Reason, revoke};
use crate::testing::{Database, FixtureKeys, Proof, START, WatchedKeys, World, order, parts};
use crate::{audit, crl, jobs};

const ADA: &str = "ada@example.com";

/// What the child is told, in its environment.
const FOLDER: &str = "SEALWRIGHT_CRASH_FOLDER";
const STEP: &str = "SEALWRIGHT_CRASH_STEP";
const TOKEN: &str = "SEALWRIGHT_CRASH_TOKEN";
/// How many orders the child places at once.
const ORDERS: &str = "SEALWRIGHT_CRASH_ORDERS";

/// Stops for ever at a step, and says so with a file.
#[derive(Debug)]
struct StopAt {
    step: Step,
    marker: PathBuf,
}

impl IssuanceObserver for StopAt {
    fn reached(&self, step: Step, _: &str, _: Option<&str>) {
        if step == self.step {
            std::fs::write(&self.marker, step.as_ref()).unwrap();
            loop {
                std::thread::park();
            }
        }
    }
}

fn request(number: usize) -> NewOrder {
    let mut request = order(ADA, TierChoice::Best);
    request.idempotency_key = Some(format!("crash-{number}"));
    // Signatures of requests are random; an order is placed again with the very same request.
    request.certificate_request = include_bytes!("request.der").to_vec();
    request
}

/// Not a test by itself: what the child process runs. Without the environment there is nothing to do.
#[tokio::test]
async fn child() {
    let (Ok(folder), Ok(step), Ok(token)) = (std::env::var(FOLDER), std::env::var(STEP), std::env::var(TOKEN)) else {
        return;
    };
    let folder = PathBuf::from(folder);
    let step = Step::ALL.into_iter().find(|known| known.as_ref() == step).unwrap();
    let marker = folder.join("reached");
    let clock = Arc::new(FixedClock::new(START));
    let keys = Arc::new(WatchedKeys::new(FixtureKeys::default()));
    let (parts, _) = parts(3, &clock, &keys, Arc::new(StopAt { step, marker }));
    let app = App::open(&folder, parts).await.unwrap();
    let ada = accounts::authenticate(&app, &token).await.unwrap();
    // Those who come to the step while the first one is stopped there are stopped as well.
    let orders: usize = std::env::var(ORDERS).unwrap().parse().unwrap();
    let mut placing = tokio::task::JoinSet::new();
    for number in 0..orders {
        let (app, ada) = (Arc::clone(&app), ada.clone());
        placing.spawn(async move { place(&app, &ada, request(number)).await });
    }
    let outcomes = placing.join_all().await;
    unreachable!("the child was not stopped: {outcomes:?}");
}

/// Kills the child when the test fails in between.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // SIGKILL; it may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run_until(step: Step, folder: &Path, token: &str, orders: usize) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stories::crash::child", "--nocapture"])
        .env(FOLDER, folder)
        .env(STEP, step.as_ref())
        .env(TOKEN, token)
        .env(ORDERS, orders.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Running(child);
    let marker = folder.join("reached");
    let patience = Instant::now() + Duration::from_secs(120);
    while !marker.exists() {
        if let Some(status) = child.0.try_wait().unwrap() {
            let mut text = String::new();
            std::io::Read::read_to_string(child.0.stderr.as_mut().unwrap(), &mut text).unwrap();
            panic!("the child ended before {step} with {status}: {text}");
        }
        assert!(Instant::now() < patience, "the child did not reach {step}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

async fn crash_at(step: Step, database: Database) {
    // 1. An authority with a subscriber whose mailbox is proved.
    let Some(world) = World::new(database).await else {
        return;
    };
    let (ada, token) = world.principal_with_token("Ada", accounts::Role::Subscriber).await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;

    // 2. Another process issues, and is killed.
    let (app, folder) = (Arc::clone(&world.app), world.folder.clone());
    let child = tokio::task::spawn_blocking(move || run_until(step, &folder, &token, 1));
    child.await.unwrap();

    // 3. The next start finishes or abandons what was left.
    let mut schedule = jobs::Schedule::default();
    let recovered = jobs::recover(&app).await.unwrap();
    let certificates = world.certificates().await;
    let signature_may_exist = Step::ALL.iter().position(|known| *known == step) >= Some(3);
    assert_eq!(certificates.len(), usize::from(signature_may_exist), "{step}");
    match step {
        Step::Approved | Step::Prepared | Step::Linted => {
            assert_eq!(recovered, jobs::Recovered::default());
        }
        Step::Recorded | Step::Signed | Step::Verified => {
            assert_eq!(recovered.abandoned, 1, "{step}");
            let found = certificates::find(&app, &ada, &certificates[0].serial).await.unwrap();
            assert_eq!(found.state, CertificateState::Abandoned);
            assert!(found.revoked_at.is_some());
            assert_eq!(found.der, None);
            assert!(is_listed(&world, &found.serial).await, "{step}");
        }
        Step::Stored | Step::Published => {
            assert_eq!(recovered.published, u32::from(step == Step::Stored));
            assert_eq!(certificates[0].state, CertificateState::Signed);
        }
    }

    // 4. The order is fulfilled: by what is there already, or by a new certificate.
    jobs::tick(&app, &mut schedule).await;
    let placed = place(&app, &ada, request(0)).await.unwrap();
    let OrderState::Valid { serial, .. } = placed.state else {
        panic!("{step}: {placed:?}")
    };
    let signed = world.certificates().await;
    let signed: Vec<_> = signed
        .iter()
        .filter(|found| found.state == CertificateState::Signed)
        .collect();
    assert_eq!(signed.len(), 1, "{step}: one order gives one certificate");
    assert_eq!(signed[0].serial, serial);

    // 5. It can be revoked, and the log tells the whole story.
    revoke(&app, &ada, &serial, Reason::Superseded).await.unwrap();
    assert!(is_listed(&world, &serial).await, "{step}");
    audit::verify(&app).await.unwrap();
}

/// Many orders share transactions, and the process is killed when the first of them is at a step and the others are
/// anywhere.
async fn crash_in_a_group(step: Step, database: Database) {
    let Some(world) = World::new(database).await else {
        return;
    };
    let (ada, token) = world.principal_with_token("Ada", accounts::Role::Subscriber).await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let (app, folder) = (Arc::clone(&world.app), world.folder.clone());
    let child = tokio::task::spawn_blocking(move || run_until(step, &folder, &token, IN_A_GROUP));
    child.await.unwrap();

    // Every record is either a certificate that was stored, or is abandoned and on the list.
    jobs::recover(&app).await.unwrap();
    let left = world.certificates().await;
    assert!(!left.is_empty() && left.len() <= IN_A_GROUP, "{step}: {}", left.len());
    for certificate in &left {
        match certificate.state {
            CertificateState::Signed => assert!(certificate.revoked_at.is_none()),
            CertificateState::Abandoned => assert!(is_listed(&world, &certificate.serial).await, "{step}"),
            CertificateState::Recorded => panic!("{step}: {} was forgotten", certificate.serial),
        }
    }
    let mut serials: Vec<&str> = left.iter().map(|certificate| &*certificate.serial).collect();
    serials.sort_unstable();
    serials.dedup();
    assert_eq!(serials.len(), left.len(), "{step}: a serial was used twice");

    // Each order gives one certificate in the end, and the log is whole.
    for number in 0..IN_A_GROUP {
        let placed = place(&app, &ada, request(number)).await.unwrap();
        assert!(matches!(placed.state, OrderState::Valid { .. }), "{step}: {placed:?}");
    }
    let signed = world.certificates().await;
    let signed = signed.iter().filter(|found| found.state == CertificateState::Signed);
    assert_eq!(signed.count(), IN_A_GROUP, "{step}");
    audit::verify(&app).await.unwrap();
}

/// More than there are processors, fewer than a page of certificates.
const IN_A_GROUP: usize = 12;

async fn is_listed(world: &World, serial: &str) -> bool {
    let crl = crl::current(&world.app, world.app.issuers().issuing(), crl::Scope::Complete)
        .await
        .unwrap();
    let number = openssl::bn::BigNum::from_hex_str(serial)
        .unwrap()
        .to_asn1_integer()
        .unwrap();
    let list = X509Crl::from_der(&crl.der).unwrap();
    matches!(list.get_by_serial(&number), CrlStatus::Revoked(_))
}

macro_rules! crash_tests {
    ($($name:ident: $step:ident,)*) => {
        mod sqlite {
            use super::*;
            $(#[tokio::test] async fn $name() { crash_at(Step::$step, Database::Sqlite).await; })*
            #[tokio::test] async fn invariant_01_a_group_killed_when_recorded() {
                crash_in_a_group(Step::Recorded, Database::Sqlite).await;
            }
            #[tokio::test] async fn invariant_07_a_group_killed_when_stored() {
                crash_in_a_group(Step::Stored, Database::Sqlite).await;
            }
        }
        mod postgres {
            use super::*;
            $(#[tokio::test] async fn $name() { crash_at(Step::$step, Database::Postgres).await; })*
            #[tokio::test] async fn invariant_01_a_group_killed_when_recorded() {
                crash_in_a_group(Step::Recorded, Database::Postgres).await;
            }
            #[tokio::test] async fn invariant_07_a_group_killed_when_stored() {
                crash_in_a_group(Step::Stored, Database::Postgres).await;
            }
        }
    };
}

crash_tests! {
    invariant_01_killed_when_approved: Approved,
    invariant_01_killed_when_prepared: Prepared,
    invariant_01_killed_when_linted: Linted,
    invariant_01_killed_when_recorded: Recorded,
    invariant_01_killed_when_signed: Signed,
    invariant_01_killed_when_verified: Verified,
    invariant_01_killed_when_stored: Stored,
    invariant_01_killed_when_published: Published,
}
