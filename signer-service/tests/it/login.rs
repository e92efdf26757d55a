//! Senders who log in.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use smtp::Reply;
use smtp::auth::{Credentials, Password};
use smtp::client::{ClientError, Connection, Target, Timeouts, TlsPolicy};
use smtp::envelope::{MailFrom, RcptTo};
use smtp::server::Settings;
use smtp::sink::Sink;

use crate::support::{find, openssl_verifies};
use crate::world::{ALICE_WRITES, World, listen};

/// A network that nobody is in, so that whoever sends has to log in.
const ELSEWHERE: &str = "networks = [\"192.0.2.0/24\"]\nmay_sign_for = [\"example.com\"]\n";

/// The verifier of "correct horse", made with Python's hashlib and hmac: 15000 iterations, salt of 16 octets.
const USERS: &str = include_str!("users.toml");

async fn world() -> World {
    let sink = Sink::new();
    let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
    World::with_users(sink, next_hop, ELSEWHERE, USERS).await
}

async fn connect(world: &World) -> Connection {
    let target = Target {
        host: world.address().ip().to_string(),
        port: world.address().port(),
        tls: TlsPolicy::Required,
    };
    let pem = std::fs::read(world.folder.path().join("gateway/tls.pem")).unwrap();
    let tls = keys::tls::client_config(keys::tls::Trust::Only(&pem)).unwrap();
    Connection::connect(&target, "sender.test", &tls, Timeouts::default())
        .await
        .unwrap()
}

async fn log_in(connection: &mut Connection, user: &str, password: &str) -> Result<(), ClientError> {
    let credentials = Credentials::new(user, Password::prepare(password).unwrap()).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    connection.authenticate(&credentials, &mut rng).await
}

async fn send(connection: &mut Connection, message: &str) -> Reply {
    let from = MailFrom::new("alice@example.com");
    let delivery = connection
        .send(&from, &[RcptTo::new("bob@example.net")], message.as_bytes())
        .await
        .unwrap();
    delivery.outcome(0).clone()
}

#[tokio::test]
async fn who_has_logged_in_is_signed_for() {
    let world = world().await;
    let mut connection = connect(&world).await;
    let refused = send(&mut connection, ALICE_WRITES).await;
    assert_eq!((refused.code(), refused.enhanced()), (530, Some([5, 7, 0])));
    log_in(&mut connection, "alice", "correct horse").await.unwrap();
    assert!(send(&mut connection, ALICE_WRITES).await.is_positive());
    openssl_verifies(&world.last(), world.authority());
    assert!(find(&world.last(), b"with ESMTPSA id").is_some());
    let bob = ALICE_WRITES.replace("alice@example.com", "bob@example.com");
    let refused = send(&mut connection, &bob).await;
    assert_eq!(
        (refused.code(), refused.enhanced()),
        (550, Some([5, 7, 1])),
        "{refused}"
    );
    assert_eq!(world.sink.messages().len(), 1);
}

#[tokio::test]
async fn others_do_not_get_in() {
    let world = world().await;
    for (user, password) in [("alice", "correct mule"), ("mallory", "correct horse")] {
        let mut connection = connect(&world).await;
        assert!(log_in(&mut connection, user, password).await.is_err(), "{user}");
        assert_eq!(send(&mut connection, ALICE_WRITES).await.code(), 530);
    }
    // Gone from the file, gone from the gateway.
    let path = world.folder.path().join("gateway/users.toml");
    let nobody = USERS.split("[[user]]").next().unwrap();
    std::fs::write(path, nobody).unwrap();
    let mut connection = connect(&world).await;
    assert!(log_in(&mut connection, "alice", "correct horse").await.is_err());
    assert_eq!(world.sink.messages().len(), 0);
}

#[tokio::test]
async fn passwords_do_not_cross_in_the_clear() {
    let world = world().await;
    let connection = world.connect().await.unwrap();
    assert!(!connection.capabilities().offers("AUTH"), "not without TLS");
    assert!(connect(&world).await.capabilities().offers("AUTH"));
}
