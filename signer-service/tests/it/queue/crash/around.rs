//! Everything that a gateway needs is killed at random beside it: PostgreSQL, the next hop, the certificate authority.

use super::cluster::Cluster;
use super::*;

/// What dies next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Gateway,
    Database,
    NextHop,
    Authority,
    GatewayAndDatabase,
}

const TARGETS: [Target; 5] = [
    Target::Gateway,
    Target::Database,
    Target::NextHop,
    Target::Authority,
    Target::GatewayAndDatabase,
];

/// Sends numbered messages until there are no more or the gateway is gone; each few come from another mailbox, which
/// has to be enrolled first.
async fn send(door: SocketAddr, next: &AtomicUsize, until: usize, accepted: &Mutex<BTreeSet<String>>) {
    let Ok(mut connection) = try_connect(door).await else {
        return;
    };
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        if number >= until {
            return;
        }
        let from = format!("writer{}@example.com", number / 20 % 40);
        let message = ALICE_WRITES.replace("alice@example.com", &from);
        let to = format!("m{number}@example.net");
        let sent = connection
            .send(&MailFrom::new(&from), &[RcptTo::new(&to)], message.as_bytes())
            .await;
        match sent {
            Ok(delivery) if delivery.outcome(0).is_positive() => {
                accepted.lock().unwrap().insert(to);
            }
            // Whoever cannot work says "later".
            Ok(delivery) => {
                assert!(delivery.outcome(0).is_transient(), "{}", delivery.outcome(0));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(_) => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_10_whatever_dies_beside_the_gateway_nothing_is_lost() {
    let starting = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let Some(mut cluster) = starting else { return };
    let until = messages(120);
    let sink = Sink::new();
    let (address, mut hop) = next_hop("127.0.0.1:0", &sink).await;
    let world = World::with_next_hop(address).await;
    let folder = world.folder.path().join("gateway");
    let url = cluster.url();
    // Looks into the same database, and delivers nothing itself.
    let mut config = Config::load(&folder).unwrap();
    config.database = url.clone();
    let parts = GatewayParts {
        clock: Arc::new(SystemClock),
        rng: Box::new(rand_core::UnwrapErr(rand::rngs::SysRng)),
        policy_port: 443,
    };
    let observer = Gateway::with_config(config, parts).await.unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let (next, accepted) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(BTreeSet::new())));
    let mut committed: BTreeMap<String, usize> = BTreeMap::new();
    let mut killed: BTreeMap<Target, usize> = BTreeMap::new();
    let began = Instant::now();
    let mut victim = Victim::start_on(&folder, &url);
    let mut round = 0;
    while next.load(Ordering::SeqCst) < until {
        let share = (next.load(Ordering::SeqCst) + 12.max(until / 100)).min(until);
        let senders: Vec<_> = (0..6)
            .map(|_| {
                let (door, next, accepted) = (victim.door, next.clone(), accepted.clone());
                tokio::spawn(async move { send(door, &next, share, &accepted).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(u64::from(rng.next_u32() % 120))).await;
        // Each once, then at random.
        let target = match TARGETS.get(round) {
            Some(target) => *target,
            None => TARGETS[usize::try_from(rng.next_u32()).unwrap() % TARGETS.len()],
        };
        *killed.entry(target).or_default() += 1;
        match target {
            Target::Gateway => victim.kill(),
            Target::Database => cluster.kill(),
            Target::NextHop => hop.abort(),
            Target::Authority => world.ca.die(),
            Target::GatewayAndDatabase => {
                cluster.kill();
                victim.kill();
            }
        }
        // For a while it is away.
        tokio::time::sleep(Duration::from_millis(u64::from(rng.next_u32() % 200))).await;
        cluster.revive();
        world.ca.revive().await;
        if hop.is_finished() || target == Target::NextHop {
            let _ = (&mut hop).await;
            (_, hop) = next_hop(&address.to_string(), &sink).await;
        }
        for sender in senders {
            sender.await.unwrap();
        }
        if victim.is_dead() {
            victim = Victim::start_on(&folder, &url);
        }
        round += 1;
        // The first connections of a pool may be those that died with the server.
        let delivered = async || observer.list_queue(Some(RecipientState::Delivered), 100_000).await;
        let delivered = loop {
            if let Ok(delivered) = delivered().await {
                break delivered;
            }
        };
        // After the database was asked, since deliveries go on.
        let copies = copies(&sink);
        for message in delivered {
            for recipient in message.recipients {
                let count = copies.get(&recipient.address).copied().unwrap_or(0);
                assert!(count > 0, "{} is called delivered and is not", recipient.address);
                committed.entry(recipient.address).or_insert(count);
            }
        }
        assert!(began.elapsed() < Duration::from_secs(3600), "it never ends");
    }
    wait_until_empty(&observer).await;
    drop(victim);
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
    let repeated = copies.values().filter(|count| **count > 1).count();
    println!(
        "killed {killed:?}; {} of {until} messages accepted, none lost, {repeated} repeated between the next hop's 250 and the commit",
        accepted.len()
    );
    assert!(accepted.len() > until / 4, "{} of {until} accepted", accepted.len());
    drop(observer);
}

async fn wait_until_empty(observer: &Gateway) {
    let began = Instant::now();
    loop {
        if observer.list_queue(None, 10).await.is_ok_and(|queue| queue.is_empty()) {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(300),
            "the queue does not become empty"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
