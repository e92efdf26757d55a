//! Several processes on one database issue, revoke and publish at the same time, and one of them is killed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use policies::time::{FixedClock, Span};

use crate::accounts::{self, Role};
use crate::app::App;
use crate::audit;
use crate::crl::{self, Scope};
use crate::issuance::TracingObserver;
use crate::jobs;
use crate::orders::{OrderState, TierChoice, place};
use crate::revocation::{Reason, revoke};
use crate::store::certificates::CertificateState;
use crate::testing::{Database, FixtureKeys, Proof, START, WatchedKeys, World, order, parts};

const ADA: &str = "ada@example.com";
const FOLDER: &str = "SEALWRIGHT_NODE_FOLDER";
const TOKEN: &str = "SEALWRIGHT_NODE_TOKEN";
/// Another one for each node, so that they do not draw the same serials.
const SEED: &str = "SEALWRIGHT_NODE_SEED";
/// How many certificates the node issues; without end when it is to be killed.
const ORDERS: &str = "SEALWRIGHT_NODE_ORDERS";

/// What a node does; as a test without its variables it has nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let variable = |name| std::env::var(name).unwrap();
    let clock = Arc::new(FixedClock::new(START));
    let keys = Arc::new(WatchedKeys::new(FixtureKeys::default()));
    let seed = variable(SEED).parse().unwrap();
    let (parts, _) = parts(seed, &clock, &keys, Arc::new(TracingObserver));
    let app = App::open(&PathBuf::from(folder), parts).await.unwrap();
    let ada = accounts::authenticate(&app, &variable(TOKEN)).await.unwrap();
    let orders: usize = variable(ORDERS).parse().unwrap();
    let mut working = tokio::task::JoinSet::new();
    for worker in 0..WORKERS {
        let (app, ada) = (Arc::clone(&app), ada.clone());
        working.spawn(async move {
            for number in (worker..orders).step_by(WORKERS) {
                let placed = place(&app, &ada, order(ADA, TierChoice::Best)).await.unwrap();
                let OrderState::Valid { serial, .. } = placed.state else {
                    panic!("{:?}", placed.state)
                };
                if number.is_multiple_of(4) {
                    // With a CRL of its own.
                    revoke(&app, &ada, &serial, Reason::Superseded).await.unwrap();
                }
            }
        });
    }
    working.join_all().await;
}

/// Kills the node when the test fails in between.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path, token: &str, seed: u8, orders: usize) -> Node {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stories::nodes::child", "--nocapture"])
        .env(FOLDER, folder)
        .env(TOKEN, token)
        .env(SEED, seed.to_string())
        .env(ORDERS, orders.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Node(child)
}

async fn nodes_at_work(database: Database) {
    let Some(world) = World::new(database).await else {
        return;
    };
    let (ada, token) = world.principal_with_token("Ada", Role::Subscriber).await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let mut killed = start(&world.folder, &token, 41, usize::MAX);
    let mut nodes = [42, 43].map(|seed| start(&world.folder, &token, seed, ORDERS_EACH));

    // 1. All three have issued something when one of them is killed.
    let patience = Instant::now() + Duration::from_secs(120);
    while world.certificates().await.len() < 2 * ORDERS_EACH / 2 {
        assert!(Instant::now() < patience, "the nodes issue nothing");
        assert!(killed.0.try_wait().unwrap().is_none(), "a node ended by itself");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    killed.0.kill().unwrap();
    killed.0.wait().unwrap();

    // 2. The others do not notice.
    for node in &mut nodes {
        loop {
            if let Some(status) = node.0.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                break;
            }
            assert!(Instant::now() < patience, "a node does not come to an end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    jobs::recover(&world.app).await.unwrap();

    // 3. Every certificate was recorded once, with its entry in the log, and what was signed or abandoned is there.
    let certificates = world.certificates().await;
    let signed = certificates
        .iter()
        .filter(|found| found.state == CertificateState::Signed)
        .count();
    assert!(signed >= 2 * ORDERS_EACH, "{signed}");
    let left = certificates
        .iter()
        .filter(|found| found.state == CertificateState::Recorded)
        .count();
    assert_eq!(left, 0);
    let serials: BTreeSet<&str> = certificates.iter().map(|found| found.serial.as_str()).collect();
    assert_eq!(serials.len(), certificates.len());
    let mut events = Vec::new();
    loop {
        let after = events.last().map_or(0, |event: &audit::Event| event.sequence);
        let page = audit::events(&world.app, after, 1000).await.unwrap();
        if page.is_empty() {
            break;
        }
        events.extend(page);
    }
    let named = |action: &str| -> Vec<String> {
        let of_action = events.iter().filter(|event| event.action == action);
        let details = of_action.map(|event| serde_json::from_str::<serde_json::Value>(&event.details).unwrap());
        details
            .map(|details| details["serial"].as_str().unwrap().to_owned())
            .collect()
    };
    let recorded = named("certificate-recorded");
    assert_eq!(recorded.len(), certificates.len());
    assert_eq!(recorded.iter().map(String::as_str).collect::<BTreeSet<_>>(), serials);
    assert_eq!(named("certificate-issued").len(), signed);
    let revoked = certificates.iter().filter(|found| found.revoked_at.is_some()).count();
    assert_eq!(
        named("certificate-revoked").len() + named("certificate-abandoned").len(),
        revoked
    );
    // The chain has no gap and no fork.
    audit::verify(&world.app).await.unwrap();

    // 4. One sequence of CRL numbers, and the newest list has everything.
    let mut taken = BTreeSet::new();
    let mut published = Vec::new();
    for event in &events {
        let number = || {
            let details: serde_json::Value = serde_json::from_str(&event.details).unwrap();
            (details["issuer"] == "issuing").then(|| details["number"].as_i64().unwrap())
        };
        match event.action.as_str() {
            "crl-number-taken" => assert!(number().is_none_or(|number| taken.insert(number)), "{event:?}"),
            "crl-published" => published.extend(number()),
            _ => {}
        }
    }
    assert!(published.windows(2).all(|pair| pair[0] < pair[1]), "{published:?}");
    let issuing = world.app.issuers().issuing();
    let crl = crl::publish(&world.app, issuing, Scope::Complete).await.unwrap();
    assert!(taken.iter().all(|number| *number < crl.number));
    let list = openssl::x509::X509Crl::from_der(&crl.der).unwrap();
    assert_eq!(list.get_revoked().map_or(0, |entries| entries.len()), revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_02_07_and_08_three_nodes_on_sqlite_of_which_one_is_killed() {
    nodes_at_work(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_02_07_and_08_three_nodes_on_postgresql_of_which_one_is_killed() {
    nodes_at_work(Database::Postgres).await;
}

const ORDERS_EACH: usize = 20;
const WORKERS: usize = 4;
