//! Both listeners over real sockets.

use ca_api::{Client, ClientError, NewAccount, NewChallenge, NewPrincipal, Role};

use super::*;
use crate::accounts;
use crate::testing::{Database, World};

async fn world() -> World {
    World::with(Database::Sqlite, |options| {
        options.listen = "127.0.0.1:0".to_owned();
        options.public_listen = "127.0.0.1:0".to_owned();
    })
    .await
    .unwrap()
}

fn client(running: &Running, token: &str) -> Client {
    Client::new(running.api_url(), running.tls_root_pem().as_bytes(), token).unwrap()
}

#[tokio::test]
async fn the_client_reaches_the_api_over_tls() {
    let world = world().await;
    let (_, operator) = world.principal_with_token("Operator", Role::Operator).await;
    let running = Server::start(Arc::clone(&world.app)).await.unwrap();
    let operator = client(&running, &operator);
    let kind = accounts::AccountKind::Organization;
    let account = operator
        .create_account(&NewAccount {
            name: "Example".to_owned(),
            kind,
        })
        .await
        .unwrap();
    let principal = NewPrincipal {
        name: "Alice".to_owned(),
        role: Role::Subscriber,
        account: Some(account.id.clone()),
        expires_at: None,
    };
    let issued = operator.create_principal(&principal).await.unwrap();
    let alice = client(&running, &issued.token);
    assert_eq!(alice.whoami().await.unwrap().account, Some(account.id));

    let challenge = NewChallenge::Mailbox("alice@example.com".parse().unwrap());
    let sent = alice.create_challenge(&challenge).await.unwrap();
    assert_eq!(
        alice.challenge(&sent.id).await.unwrap().state,
        ca_api::ChallengeState::Sent
    );
    let mail = world.outbox.newest_to("alice@example.com").unwrap();
    assert!(
        mail.text.contains(&format!("{}/confirm/", running.api_url())),
        "{}",
        mail.text
    );
    let standing = alice.mailbox(&"alice@example.com".parse().unwrap()).await.unwrap();
    assert_eq!(standing.best_tier, None);

    let refused = alice
        .create_account(&NewAccount {
            name: "Mine".to_owned(),
            kind,
        })
        .await
        .unwrap_err();
    assert_eq!(refused.problem().unwrap().name(), "not-allowed");
    assert!(!refused.is_temporary());
    let missing = alice.order("ord-nothing").await.unwrap_err();
    assert_eq!(missing.problem().unwrap().status, 404);
    running.shutdown().await;
}

#[tokio::test]
async fn another_trust_root_or_token_is_refused() {
    let world = world().await;
    let (_, token) = world.principal_with_token("Operator", Role::Operator).await;
    let running = Server::start(Arc::clone(&world.app)).await.unwrap();
    let other = TlsIdentity::self_made(&["127.0.0.1".to_owned()], 0, 4_000_000_000).unwrap();
    let stranger = Client::new(running.api_url(), other.certificate_pem().as_bytes(), &token).unwrap();
    assert!(matches!(
        stranger.whoami().await.unwrap_err(),
        ClientError::Unreachable { .. }
    ));
    let wrong = client(&running, "sealwright_wrong").whoami().await.unwrap_err();
    assert_eq!(wrong.problem().unwrap().name(), "unauthenticated");
    running.shutdown().await;
}

#[tokio::test]
async fn an_address_in_use_is_named_with_the_key_to_change() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (key, public) in [("listen", false), ("public_listen", true)] {
        let world = World::with(Database::Sqlite, |options| {
            let free = "127.0.0.1:0".to_owned();
            let taken = address.to_string();
            (options.listen, options.public_listen) = if public { (free, taken) } else { (taken, free) };
        })
        .await
        .unwrap();
        let error = Server::start(Arc::clone(&world.app)).await.unwrap_err();
        assert!(matches!(error, Error::Listen { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(&address.to_string()) && text.contains(&format!("`{key}`")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn after_a_shutdown_the_ports_are_free() {
    let world = world().await;
    let running = Server::start(Arc::clone(&world.app)).await.unwrap();
    let addresses = [running.api_address(), running.public_address()];
    running.shutdown().await;
    for address in addresses {
        TcpListener::bind(address).unwrap();
    }
}

#[tokio::test]
async fn the_self_made_identity_stays_the_same_from_start_to_start() {
    let world = world().await;
    let first = Server::start(Arc::clone(&world.app)).await.unwrap();
    let pem = first.tls_root_pem().to_owned();
    first.shutdown().await;
    let second = Server::start(Arc::clone(&world.app)).await.unwrap();
    assert_eq!(second.tls_root_pem(), pem);
    assert_eq!(std::fs::read_to_string(world.folder.join("tls.pem")).unwrap(), pem);
    second.shutdown().await;
}
