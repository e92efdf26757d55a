//! The sealing key is replaced while the gateway is at work.

use keys::SoftwareKeyStore;
use keys::sealing::SealingKey;

use crate::world::{ALICE_WRITES, World};

#[tokio::test]
async fn a_gateway_at_work_goes_on_when_its_sealing_key_is_replaced() {
    let world = World::new().await;
    assert!(world.alice_writes().await.is_positive());
    let folder = world.folder.path().join("gateway");
    let old = std::fs::read(folder.join("sealing.key")).unwrap();
    let sealing_key = SealingKey::open_file(&folder.join("sealing.key")).unwrap();
    let store = SoftwareKeyStore::open(&folder.join("keys"), sealing_key).unwrap();
    assert_eq!(
        store.rotate_sealing_key(&folder).unwrap(),
        3,
        "a mark, Alice's key, the TLS identity"
    );
    assert_ne!(std::fs::read(folder.join("sealing.key")).unwrap(), old);
    // Somebody new gets a key, which is sealed by the new one.
    let message = ALICE_WRITES.replace("alice@example.com", "carla@example.com");
    assert!(
        world
            .send("carla@example.com", &["bob@example.net"], &message)
            .await
            .is_positive()
    );
    let world = world.restart().await;
    assert!(world.alice_writes().await.is_positive());
    assert!(
        world
            .send("carla@example.com", &["bob@example.net"], &message)
            .await
            .is_positive()
    );
    assert_eq!(world.stored_keys().len(), 2);
    crate::support::openssl_verifies(&world.last(), world.authority());
}
