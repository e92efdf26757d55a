//! Plans: what they include, seats that run out and come back, and that nothing goes around them.

use ca_api::{Plan, PlanChange};
use policies::tier::Tier;
use policies::time::Span;

use super::world;
use crate::accounts::{self, Caller};
use crate::error::Error;
use crate::orders::{Order, OrderState, TierChoice, find, place};
use crate::plans;
use crate::revocation::{Reason, revoke};
use crate::testing::{Proof, World, order};

async fn change(world: &World, caller: &Caller, change: PlanChange) {
    let local = accounts::local_operator();
    let operator = local.as_operator("change plans").unwrap();
    let account = caller.account.as_ref().unwrap();
    plans::change(&world.app, operator, account.as_ref(), &change)
        .await
        .unwrap();
}

async fn used(world: &World, caller: &Caller) -> u64 {
    let account = caller.account.as_ref().unwrap();
    let entitlement = plans::find(&world.app, caller, account.as_ref()).await.unwrap();
    entitlement.used_employee_seats()
}

/// An organization whose employees `employee-0` to `employee-{count - 1}` are validated.
async fn organization(world: &World, count: usize) -> Caller {
    let bank = world.subscriber("Beispiel AG").await;
    for proof in [Proof::domain("example.com"), Proof::organization(), Proof::authority()] {
        world.prove(&bank, proof, Span::hours(1)).await;
    }
    for number in 0..count {
        let address = employee(number);
        world.prove(&bank, Proof::individual(&address), Span::hours(1)).await;
        world.prove(&bank, Proof::employment(&address), Span::hours(1)).await;
    }
    bank
}

fn employee(number: usize) -> String {
    format!("employee-{number}@example.com")
}

fn issued(order: &Order) -> (Tier, String) {
    match &order.state {
        OrderState::Valid { tier, serial, .. } => (*tier, serial.clone()),
        other => panic!("{other:?}"),
    }
}

fn waits(order: &Order, because: &str) {
    match &order.state {
        OrderState::Pending { problem: Some(problem) } => assert!(problem.contains(because), "{problem}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_plan_has_its_tiers_and_no_other() {
    let world = world!();
    let bank = organization(&world, 1).await;
    change(&world, &bank, PlanChange::to(Plan::Free)).await;
    let address = employee(0);
    for tier in [Tier::V2, Tier::V3, Tier::V4] {
        let refused = place(&world.app, &bank, order(&address, TierChoice::Exactly(tier)))
            .await
            .unwrap();
        waits(&refused, &format!("the plan free does not include {tier} certificates"));
    }
    let best = place(&world.app, &bank, order(&address, TierChoice::Best))
        .await
        .unwrap();
    assert_eq!(issued(&best).0, Tier::V1);
    assert_eq!(world.certificates().await.len(), 1);

    // What was refused is issued once the plan allows it, without being placed again.
    change(&world, &bank, PlanChange::to(Plan::ProOrganization)).await;
    let mut tiers: Vec<Tier> = world.certificates().await.iter().map(|found| found.tier).collect();
    tiers.sort();
    assert_eq!(tiers, Tier::ALL);
}

#[tokio::test]
async fn the_eleventh_employee_gets_v3_and_an_explicit_v4_waits_for_a_seat() {
    let world = world!();
    let bank = organization(&world, 12).await;
    let mut serials = Vec::new();
    for number in 0..10 {
        let placed = place(&world.app, &bank, order(&employee(number), TierChoice::Best))
            .await
            .unwrap();
        let (tier, serial) = issued(&placed);
        assert_eq!(tier, Tier::V4, "{number}");
        serials.push(serial);
    }
    assert_eq!(used(&world, &bank).await, 10);
    // Another certificate for somebody who has a seat takes none.
    let renewed = place(&world.app, &bank, order(&employee(0), TierChoice::Exactly(Tier::V4)))
        .await
        .unwrap();
    assert_eq!(issued(&renewed).0, Tier::V4);

    let best = place(&world.app, &bank, order(&employee(10), TierChoice::Best))
        .await
        .unwrap();
    assert_eq!(issued(&best).0, Tier::V3);
    let wanted = place(&world.app, &bank, order(&employee(10), TierChoice::Exactly(Tier::V4)))
        .await
        .unwrap();
    waits(&wanted, "has 10 seats for V4 certificates and all are taken");

    // One of two certificates revoked keeps the seat; both revoked free it, and who waited gets it.
    revoke(&world.app, &bank, &serials[0], Reason::Superseded)
        .await
        .unwrap();
    waits(&find(&world.app, &bank, &wanted.id).await.unwrap(), "all are taken");
    revoke(&world.app, &bank, &issued(&renewed).1, Reason::AffiliationChanged)
        .await
        .unwrap();
    assert_eq!(issued(&find(&world.app, &bank, &wanted.id).await.unwrap()).0, Tier::V4);
    assert_eq!(used(&world, &bank).await, 10);

    // A granted seat serves the next one.
    let next = place(&world.app, &bank, order(&employee(11), TierChoice::Exactly(Tier::V4)))
        .await
        .unwrap();
    waits(&next, "all are taken");
    change(&world, &bank, PlanChange::seats(1)).await;
    assert_eq!(issued(&find(&world.app, &bank, &next.id).await.unwrap()).0, Tier::V4);
}

#[tokio::test]
async fn seats_are_free_again_when_certificates_expire() {
    let world = world!();
    let bank = organization(&world, 1).await;
    place(&world.app, &bank, order(&employee(0), TierChoice::Best))
        .await
        .unwrap();
    assert_eq!(used(&world, &bank).await, 1);
    let end = world.certificates().await[0].not_after;
    world.clock.set(end);
    assert_eq!(used(&world, &bank).await, 1);
    world.clock.advance(Span::seconds(1));
    assert_eq!(used(&world, &bank).await, 0);
}

#[tokio::test]
async fn many_orders_at_once_do_not_take_more_seats_than_there_are() {
    let world = world!();
    let bank = organization(&world, 14).await;
    let placing: Vec<_> = (0..14)
        .map(|number| {
            let (app, bank) = (world.app.clone(), bank.clone());
            tokio::spawn(async move { place(&app, &bank, order(&employee(number), TierChoice::Best)).await })
        })
        .collect();
    let mut tiers = Vec::new();
    for placed in placing {
        tiers.push(issued(&placed.await.unwrap().unwrap()).0);
    }
    assert_eq!(tiers.iter().filter(|tier| **tier == Tier::V4).count(), 10, "{tiers:?}");
    assert_eq!(tiers.iter().filter(|tier| **tier == Tier::V3).count(), 4, "{tiers:?}");
}

#[tokio::test]
async fn a_seat_belongs_to_one_account_only() {
    let world = world!();
    let bank = organization(&world, 1).await;
    let other = organization(&world, 0).await;
    place(&world.app, &bank, order(&employee(0), TierChoice::Best))
        .await
        .unwrap();
    assert_eq!((used(&world, &bank).await, used(&world, &other).await), (1, 0));
    let account = bank.account.as_ref().unwrap();
    let error = plans::find(&world.app, &other, account.as_ref()).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { kind: "account", .. }), "{error}");
}
