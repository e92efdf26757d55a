//! Several gateways on one queue.

use policies::time::FixedClock;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use signer_service::config::Config;
use signer_service::gateway::{Gateway, GatewayParts};
use signer_service::server::{Running, Server};

use super::*;

/// A further node on the folder of a world, and on `database` if that is not the one of the world.
async fn node(world: &World, clock: &Arc<FixedClock>, seed: u64, database: Option<&str>) -> Running {
    let mut config = Config::load(&world.folder.path().join("gateway")).unwrap();
    if let Some(database) = database {
        config.database = database.to_owned();
    }
    let parts = GatewayParts {
        clock: clock.clone(),
        rng: Box::new(ChaCha20Rng::seed_from_u64(seed)),
        policy_port: 443,
    };
    let gateway = Gateway::with_config(config, parts).await.unwrap();
    Server::serve(gateway).await.unwrap()
}

async fn send_to(door: SocketAddr, recipient: &str) {
    let mut connection = connect(door).await;
    let delivery = connection
        .send(
            &MailFrom::new("alice@example.com"),
            &[RcptTo::new(recipient)],
            ALICE_WRITES.as_bytes(),
        )
        .await
        .unwrap();
    assert!(delivery.outcome(0).is_positive(), "{}", delivery.outcome(0));
}

/// How many recipients were never tried, or are being tried.
async fn untried(pool: &migrations::Pool) -> i64 {
    use diesel::prelude::*;
    use migrations::schema::queue_recipients::dsl::*;
    pool.read(|conn| {
        let open = queue_recipients.filter(attempts.eq(0).or(lease_node.is_not_null()));
        open.count().get_result(conn).map_err(signer_service::Error::from)
    })
    .await
    .unwrap()
}

/// Three nodes get fifty messages each, none of which can be sent at first; then all are due at once and every node
/// tries to lease them all.
async fn every_message_is_delivered_by_one_node(database: Option<&str>) {
    let sink = Sink::new();
    let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
    let world = world_with(sink, next_hop, "retry_seconds = [60]\nlease_seconds = 3600").await;
    let mut nodes = Vec::new();
    for seed in [11, 12, 13] {
        nodes.push(node(&world, &world.clock, seed, database).await);
    }
    let recipients: Vec<String> = (0..150).map(|number| format!("r{number}@example.net")).collect();
    for recipient in &recipients {
        world.sink.refuse(recipient, Reply::try_later([4, 2, 1], "Later"));
    }
    for (index, recipient) in recipients.iter().enumerate() {
        send_to(nodes[index % nodes.len()].doors()[1], recipient).await;
    }
    // Each has been tried by the node that took it in; a fourth one sees that.
    nodes.push(node(&world, &world.clock, 14, database).await);
    let config = database.map_or(world.gateway.config().database.clone(), str::to_owned);
    let pool = migrations::Pool::open(&config).unwrap();
    eventually(async || untried(&pool).await == 0).await;
    for recipient in &recipients {
        world.sink.accept(recipient);
    }
    world.clock.advance(Span::minutes(2));
    eventually(async || world.sink.messages().len() >= recipients.len()).await;
    for node in nodes {
        node.shutdown().await;
    }
    let mut arrived: Vec<String> = world
        .sink
        .messages()
        .into_iter()
        .flat_map(|message| message.recipients.clone())
        .map(|to| to.address)
        .collect();
    arrived.sort();
    let mut expected = recipients;
    expected.sort();
    assert_eq!(arrived, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_10_nodes_do_not_deliver_twice() {
    every_message_is_delivered_by_one_node(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_10_nodes_do_not_deliver_twice_on_postgresql() {
    let Some(schema) = migrations::testing::PostgresSchema::from_environment() else {
        eprintln!("skipped: TEST_DATABASE_URL names no PostgreSQL");
        return;
    };
    every_message_is_delivered_by_one_node(Some(&schema.url())).await;
}

#[tokio::test]
async fn invariant_10_what_a_dead_node_has_leased_is_taken_over_when_its_lease_ends() {
    // A next hop that takes a connection and never says a word keeps the first node busy.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let sink = Sink::new();
    let world = world_with(sink.clone(), address, "lease_seconds = 3600").await;
    alice_queues(&world, &["bob@example.net"]).await;
    let leased = waiting(&world).await.remove(0);
    assert!(leased.recipients[0].node.is_some(), "{leased:?}");
    // It hangs for good. Another one has a better next hop.
    let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
    let mut config = Config::load(&world.folder.path().join("gateway")).unwrap();
    config.next_hop.way = signer_service::config::Way::Host {
        host: next_hop.ip().to_string(),
        port: next_hop.port(),
    };
    let parts = GatewayParts {
        clock: world.clock.clone(),
        rng: Box::new(ChaCha20Rng::seed_from_u64(99)),
        policy_port: 443,
    };
    let gateway = Gateway::with_config(config, parts).await.unwrap();
    let other = Server::serve(gateway.clone()).await.unwrap();
    let listed = gateway.list_queue(None, 10).await.unwrap().remove(0);
    assert_eq!(listed.recipients[0].node, leased.recipients[0].node, "the lease counts");
    assert!(sink.messages().is_empty());
    world.clock.advance(Span::seconds(3601));
    eventually(async || sink.messages().len() == 1).await;
    other.shutdown().await;
}
