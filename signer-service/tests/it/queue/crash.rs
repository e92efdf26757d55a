//! The gateway and the next hop are killed again and again, at chosen points and at any other time (invariant 10).
//!
//! The gateway under test is another process: this test program, started with a variable that makes one of its tests
//! serve until it is killed. `SEALWRIGHT_CRASH_MESSAGES=10000 cargo test -p signer-service --test it -- --nocapture
//! queue::crash` is the long version; the short one ends after some hundred messages.

mod around;
mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use policies::time::{Clock, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use signer_service::config::Config;
use signer_service::gateway::{Gateway, GatewayParts};
use signer_service::queue::config::{Door, Mode};
use signer_service::queue::{S3, Schedule, Storage};
use signer_service::server::Server;
use tokio::task::JoinHandle;

use super::*;

const FOLDER: &str = "SEALWRIGHT_CRASH_TEST_FOLDER";
/// The database, if not in the folder.
const DATABASE: &str = "SEALWRIGHT_CRASH_TEST_DATABASE";
/// Where bodies are, if not in the folder.
const S3_ENDPOINT: &str = "SEALWRIGHT_CRASH_TEST_S3";

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "two processes have to agree on the time")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap())
    }
}

/// Does nothing unless it is started by the test below, and then never ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let mut config = Config::load(Path::new(&folder)).unwrap();
    config.mode = Mode::Queue;
    config.doors = Vec::<Door>::new();
    config.queue.schedule = Schedule {
        waits: vec![Span::seconds(1)],
        ..Schedule::default()
    };
    config.queue.lease = Duration::from_secs(2);
    if let Ok(database) = std::env::var(DATABASE) {
        config.database = database;
    }
    if let Ok(endpoint) = std::env::var(S3_ENDPOINT) {
        config.queue.storage = Storage::S3(S3 {
            bucket: "mail".to_owned(),
            region: "us-east-1".to_owned(),
            endpoint: Some(endpoint),
            prefix: "gateway".to_owned(),
            plain_http: true,
        });
    }
    let parts = GatewayParts {
        clock: Arc::new(SystemClock),
        rng: Box::new(rand_core::UnwrapErr(rand::rngs::SysRng)),
        policy_port: 443,
    };
    let running = Server::serve(Gateway::with_config(config, parts).await.unwrap())
        .await
        .unwrap();
    println!("\nDOOR {}", running.smtp_addr());
    std::future::pending::<()>().await;
}

/// A gateway in a process of its own.
pub(super) struct Victim {
    process: Child,
    pub(super) door: SocketAddr,
}

impl Victim {
    fn start(folder: &Path, crash_at: Option<&str>) -> Self {
        Self::start_with(folder, crash_at, None)
    }

    fn start_on(folder: &Path, database: &str) -> Self {
        let mut command = Self::command(folder);
        command.env(DATABASE, database);
        Self::spawn(command)
    }

    fn command(folder: &Path) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "queue::crash::gateway_that_is_killed", "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    pub(super) fn start_with(folder: &Path, crash_at: Option<&str>, s3: Option<&str>) -> Self {
        let mut command = Self::command(folder);
        if let Some(endpoint) = s3 {
            command.env(S3_ENDPOINT, endpoint);
            command
                .env("AWS_ACCESS_KEY_ID", "test")
                .env("AWS_SECRET_ACCESS_KEY", "test");
        }
        if let Some(crash_at) = crash_at {
            command.env("SEALWRIGHT_CRASH_AT", crash_at);
        }
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let door = lines.find_map(|line| line.unwrap().strip_prefix("DOOR ").map(|door| door.parse().unwrap()));
        let door = door.expect("the gateway starts");
        // It writes nothing more, so the pipe may go.
        Self { process, door }
    }

    fn is_dead(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How many there are, unless somebody wants more.
fn messages(short: usize) -> usize {
    let long = std::env::var("SEALWRIGHT_CRASH_MESSAGES").ok();
    long.map_or(short, |number| number.parse().expect("a number of messages"))
}

/// Sends numbered messages to numbered recipients until there are no more or the gateway is gone.
async fn send_until_dead(door: SocketAddr, next: &AtomicUsize, until: usize, accepted: &Mutex<BTreeSet<String>>) {
    let Ok(mut connection) = try_connect(door).await else {
        return;
    };
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        if number >= until {
            return;
        }
        let to = format!("m{number}@example.net");
        let sent = connection
            .send(
                &MailFrom::new("alice@example.com"),
                &[RcptTo::new(&to)],
                ALICE_WRITES.as_bytes(),
            )
            .await;
        match sent {
            Ok(delivery) if delivery.outcome(0).is_positive() => {
                accepted.lock().unwrap().insert(to);
            }
            Ok(delivery) => panic!("{}", delivery.outcome(0)),
            Err(_) => return,
        }
    }
}

/// The next hop, which can die in the middle of a transaction and come back at the same address.
async fn next_hop(address: &str, sink: &Sink) -> (SocketAddr, JoinHandle<()>) {
    let server = loop {
        match smtp::server::Server::bind(address, Settings::new("sink.test"), sink.clone()).await {
            Ok(server) => break server,
            // Its predecessor is not quite gone.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    (server.local_addr(), tokio::spawn(server.run(std::future::pending())))
}

fn copies(sink: &Sink) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for message in sink.messages() {
        for to in &message.recipients {
            *copies.entry(to.address.clone()).or_default() += 1;
        }
    }
    copies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_10_crashes_lose_nothing_and_repeat_only_what_was_not_committed() {
    let until = messages(400);
    let sink = Sink::new();
    let (address, mut hop) = next_hop("127.0.0.1:0", &sink).await;
    let world = World::with_next_hop(address).await;
    let folder = world.folder.path().join("gateway");
    // So that the identity is there before the killing begins.
    assert!(world.alice_writes().await.is_positive());
    let points = [
        "before bodies",
        "after bodies",
        "before rows",
        "after rows",
        "before delivery",
        "after delivery",
        "after outcome",
    ];
    let mut rng = ChaCha20Rng::seed_from_u64(10);
    let (next, accepted) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(BTreeSet::new())));
    // What the database calls delivered after a crash, with the copies there were: there must never be more.
    let mut committed: BTreeMap<String, usize> = BTreeMap::new();
    let (mut crashes, began) = (0, Instant::now());
    while next.load(Ordering::SeqCst) < until {
        let point = points.get(crashes % (points.len() + 2));
        let crash_at = point.map(|point| format!("{point}:{}", 1 + rng.next_u32() % 12));
        let mut victim = Victim::start(&folder, crash_at.as_deref());
        // A share for this life, so that there is something left for the others.
        let share = (next.load(Ordering::SeqCst) + 20.max(until / 60)).min(until);
        let senders: Vec<_> = (0..6)
            .map(|_| {
                let (door, next, accepted) = (victim.door, next.clone(), accepted.clone());
                tokio::spawn(async move { send_until_dead(door, &next, share, &accepted).await })
            })
            .collect();
        if crashes % 3 == 2 {
            tokio::time::sleep(Duration::from_millis(u64::from(rng.next_u32() % 100))).await;
            hop.abort();
            let _ = (&mut hop).await;
            (_, hop) = next_hop(&address.to_string(), &sink).await;
        }
        match point {
            // The point may not come in this life, when nothing is left to be sent.
            Some(_) => {
                let patience = Instant::now();
                while !victim.is_dead() && patience.elapsed() < Duration::from_secs(3) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            None => tokio::time::sleep(Duration::from_millis(u64::from(rng.next_u32() % 150))).await,
        }
        victim.kill();
        for sender in senders {
            sender.await.unwrap();
        }
        crashes += 1;
        let copies = copies(&sink);
        for message in world
            .gateway
            .list_queue(Some(RecipientState::Delivered), 100_000)
            .await
            .unwrap()
        {
            for recipient in message.recipients {
                let count = copies.get(&recipient.address).copied().unwrap_or(0);
                assert!(count > 0, "{} is called delivered and is not", recipient.address);
                committed.entry(recipient.address).or_insert(count);
            }
        }
        assert!(began.elapsed() < Duration::from_secs(3600), "the crashes never end");
    }
    let last = Victim::start(&folder, None);
    eventually(async || waiting(&world).await.is_empty()).await;
    drop(last);
    let (copies, accepted) = (copies(&sink), accepted.lock().unwrap().clone());
    let lost: Vec<&String> = accepted.iter().filter(|to| !copies.contains_key(*to)).collect();
    assert!(lost.is_empty(), "lost after 250: {lost:?}");
    for (to, count) in &committed {
        assert_eq!(
            copies.get(to),
            Some(count),
            "{to} was sent again after its delivery was committed"
        );
    }
    let repeated = copies
        .iter()
        .filter(|(to, count)| **count > 1 && to.starts_with('m'))
        .count();
    println!(
        "{crashes} crashes, {} messages accepted, none lost, {repeated} repeated between the next hop's 250 and the commit",
        accepted.len()
    );
    assert!(accepted.len() > until / 4, "{} of {until} accepted", accepted.len());
}
