//! Many certificates at once: finding them by what they are worth, and revoking all of an account.

use ca_api::CertificateState as Worth;
use policies::tier::Tier;
use policies::time::Span;

use super::world;
use crate::accounts::{Caller, local_operator};
use crate::certificates::{Query, list};
use crate::error::Error;
use crate::orders::{TierChoice, place};
use crate::revocation::{Reason, revocable, revoke, revoke_all};
use crate::testing::{Proof, World, order};

async fn owner_of(world: &World, count: usize) -> Caller {
    let owner = world.subscriber("Beispiel AG").await;
    world.prove(&owner, Proof::domain("example.com"), Span::hours(1)).await;
    for number in 0..count {
        let address = format!("{number}@example.com");
        place(&world.app, &owner, order(&address, TierChoice::Exactly(Tier::V1)))
            .await
            .unwrap();
    }
    owner
}

async fn count(world: &World, caller: &Caller, query: Query) -> usize {
    list(&world.app, caller, query).await.unwrap().len()
}

fn worth(worth: Worth) -> Query {
    Query {
        worth: Some(worth),
        ..Query::default()
    }
}

#[tokio::test]
async fn everything_of_an_account_is_revoked_and_nothing_of_another() {
    let world = world!();
    let (bank, other) = (owner_of(&world, 5).await, owner_of(&world, 2).await);
    let account = bank.account.clone().unwrap();
    let operator = local_operator();
    let mine = list(&world.app, &bank, Query::default()).await.unwrap();
    revoke(&world.app, &bank, &mine[0].serial, Reason::KeyCompromise)
        .await
        .unwrap();
    assert_eq!(revocable(&world.app, &operator, &account).await.unwrap().len(), 4);

    let signatures = world.keys.signatures();
    let mut told = Vec::new();
    let revoked = revoke_all(
        &world.app,
        &operator,
        &account,
        Reason::CessationOfOperation,
        |done, all| told.push((done, all)),
    )
    .await
    .unwrap();
    assert_eq!(revoked.len(), 4);
    assert_eq!(told, [(1, 4), (2, 4), (3, 4), (4, 4)]);
    assert_eq!(world.keys.signatures() - signatures, 1, "one CRL for all of them");
    assert_eq!(count(&world, &bank, worth(Worth::Valid)).await, 0);
    assert_eq!(count(&world, &bank, worth(Worth::Revoked)).await, 5);
    assert_eq!(count(&world, &other, worth(Worth::Valid)).await, 2);
    // What was revoked before keeps its reason.
    let row = world.row(&mine[0].serial).await;
    assert_eq!(row.revocation_reason.as_deref(), Some("keyCompromise"));
    let again = revoke_all(&world.app, &operator, &account, Reason::Superseded, |_, _| ())
        .await
        .unwrap();
    assert_eq!(again, Vec::<String>::new());
}

#[tokio::test]
async fn a_neighbour_revokes_nothing() {
    let world = world!();
    let (bank, other) = (owner_of(&world, 2).await, owner_of(&world, 0).await);
    let account = bank.account.clone().unwrap();
    let revoked = revoke_all(&world.app, &other, &account, Reason::Superseded, |_, _| ())
        .await
        .unwrap();
    assert_eq!(revoked, Vec::<String>::new());
    let serial = list(&world.app, &bank, Query::default()).await.unwrap()[0].serial.clone();
    let error = revoke(&world.app, &other, &serial, Reason::Superseded).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert_eq!(count(&world, &bank, worth(Worth::Valid)).await, 2);
}

#[tokio::test]
async fn pages_are_full_whatever_the_filter_leaves_out() {
    let world = world!();
    let bank = owner_of(&world, 6).await;
    let all = list(&world.app, &bank, Query::default()).await.unwrap();
    for certificate in all.iter().step_by(2) {
        revoke(&world.app, &bank, &certificate.serial, Reason::Superseded)
            .await
            .unwrap();
    }
    let first = Query {
        limit: 2,
        ..worth(Worth::Valid)
    };
    let page = list(&world.app, &bank, first.clone()).await.unwrap();
    assert_eq!(page.len(), 2);
    let second = Query {
        after: Some(page[1].id.clone()),
        ..first
    };
    assert_eq!(count(&world, &bank, second).await, 1);

    // The last second still counts.
    world.clock.set(all[5].not_after);
    assert_eq!(count(&world, &bank, worth(Worth::Expired)).await, 0);
    world.clock.advance(Span::seconds(1));
    assert_eq!(count(&world, &bank, worth(Worth::Expired)).await, 3);
    assert_eq!(count(&world, &bank, worth(Worth::Valid)).await, 0);
    assert_eq!(count(&world, &bank, worth(Worth::Revoked)).await, 3);
    assert_eq!(count(&world, &bank, worth(Worth::Abandoned)).await, 0);
}

#[tokio::test]
async fn filters_by_account_and_tier_do_not_widen_what_is_seen() {
    let world = world!();
    let (bank, other) = (owner_of(&world, 2).await, owner_of(&world, 1).await);
    let of = |caller: &Caller| Query {
        account: Some(caller.account.as_ref().unwrap().to_string()),
        ..Query::default()
    };
    let operator = local_operator();
    assert_eq!(count(&world, &operator, of(&bank)).await, 2);
    assert_eq!(count(&world, &bank, of(&bank)).await, 2);
    assert_eq!(count(&world, &other, of(&bank)).await, 0);
    let tier = |tier| Query {
        tier: Some(tier),
        ..Query::default()
    };
    assert_eq!(count(&world, &operator, tier(Tier::V1)).await, 3);
    assert_eq!(count(&world, &operator, tier(Tier::V4)).await, 0);
}
