//! The signer looks at the evidence itself, at the second of signing.

use policies::tier::Tier;
use policies::time::Span;

use super::world;
use crate::accounts::Caller;
use crate::orders::{OrderState, TierChoice, find, place, retry};
use crate::testing::{Proof, World, order};

const ADA: &str = "ada@example.com";

/// Orders a certificate and says why there is none.
async fn refusal(world: &World, caller: &Caller, tier: Tier) -> Option<String> {
    let before = world.keys.signatures();
    let order = place(&world.app, caller, order(ADA, TierChoice::Exactly(tier)))
        .await
        .unwrap();
    match order.state {
        OrderState::Valid { .. } => None,
        OrderState::Pending { problem } => {
            assert_eq!(world.keys.signatures(), before, "signed although refused");
            Some(problem.unwrap())
        }
        other => panic!("{other:?}"),
    }
}

/// Everything for a V4 certificate, except that `changed` has the age `age` and stands in for its own kind.
async fn with_age(changed: &Proof, age: Span, tier: Tier) -> Option<Option<String>> {
    let world = World::new(super::DATABASE).await?;
    let ada = world.subscriber("Beispiel AG").await;
    for proof in Proof::everything(ADA) {
        if proof.fact.kind() != changed.fact.kind() {
            world.prove(&ada, proof, Span::hours(1)).await;
        }
    }
    world.prove(&ada, changed.clone(), age).await;
    Some(refusal(&world, &ada, tier).await)
}

#[tokio::test]
async fn invariant_04_every_kind_of_evidence_counts_to_its_last_second() {
    let mailbox = Span::days(30);
    let identity = Span::days(825);
    for (proof, limit, tier) in [
        (Proof::mailbox(ADA), mailbox, Tier::V1),
        (Proof::individual(ADA), identity, Tier::V2),
        (Proof::organization(), identity, Tier::V3),
        (Proof::authority(), identity, Tier::V3),
        (Proof::employment(ADA), identity, Tier::V4),
    ] {
        let Some(at_limit) = with_age(&proof, limit, tier).await else {
            return;
        };
        assert_eq!(at_limit, None, "{proof:?} at its limit");
        let one_second = Span::seconds(limit.as_seconds() + 1);
        let beyond = with_age(&proof, one_second, tier).await.unwrap().unwrap();
        assert!(beyond.contains("does not count now"), "{proof:?}: {beyond}");
        let future = with_age(&proof, Span::seconds(-1), tier).await.unwrap().unwrap();
        assert!(future.contains("does not count now"), "{proof:?}: {future}");
    }
}

#[tokio::test]
async fn invariant_04_control_of_a_domain_counts_for_398_days() {
    for (age, accepted) in [(398 * 86_400, true), (398 * 86_400 + 1, false)] {
        let world = world!();
        let ada = world.subscriber("Ada").await;
        world
            .prove(&ada, Proof::domain("example.com"), Span::seconds(age))
            .await;
        let refusal = refusal(&world, &ada, Tier::V1).await;
        assert_eq!(refusal.is_none(), accepted, "{age}: {refusal:?}");
    }
}

/// Ages drawn by chance: the order is fulfilled exactly when the age is within the limit.
#[tokio::test]
async fn invariant_04_evidence_age_decides_and_nothing_else() {
    use rand_core::{Rng, SeedableRng};
    let world = world!();
    let mut rng = rand_chacha::ChaCha20Rng::from_seed([4; 32]);
    let limit = Span::days(30).as_seconds();
    for number in 0..60 {
        let ada = world.subscriber(&format!("Ada {number}")).await;
        // Half of them within an hour of the limit.
        let draw = i64::from(rng.next_u32());
        let age = match number % 2 {
            0 => limit - 3600 + draw % 7200,
            _ => draw % (2 * limit),
        };
        world.prove(&ada, Proof::mailbox(ADA), Span::seconds(age)).await;
        let refusal = refusal(&world, &ada, Tier::V1).await;
        assert_eq!(refusal.is_none(), age <= limit, "{age}: {refusal:?}");
    }
}

/// What was fresh when the order was placed is old when it is tried again.
#[tokio::test]
async fn invariant_04_freshness_is_judged_when_signing_not_when_ordering() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let waiting = place(&world.app, &ada, order(ADA, TierChoice::Exactly(Tier::V2)))
        .await
        .unwrap();
    assert!(matches!(waiting.state, OrderState::Pending { .. }));
    world.clock.advance(Span::days(31));
    world.prove(&ada, Proof::individual(ADA), Span::hours(1)).await;
    retry(&world.app, ada.account.as_ref().unwrap()).await.unwrap();
    let OrderState::Pending { problem } = find(&world.app, &ada, &waiting.id).await.unwrap().state else {
        panic!("issued on a stale proof");
    };
    assert!(problem.unwrap().contains("mailbox-control"));
    world.prove(&ada, Proof::mailbox(ADA), Span::ZERO).await;
    retry(&world.app, ada.account.as_ref().unwrap()).await.unwrap();
    let order = find(&world.app, &ada, &waiting.id).await.unwrap();
    assert!(matches!(order.state, OrderState::Valid { .. }), "{order:?}");
}

#[tokio::test]
async fn every_tier_lacks_what_is_missing() {
    let everything = Proof::everything(ADA);
    for (tier, needed) in [(Tier::V1, 1), (Tier::V2, 2), (Tier::V3, 3), (Tier::V4, 5)] {
        for left_out in &everything {
            let world = world!();
            let ada = world.subscriber("Beispiel AG").await;
            for proof in everything
                .iter()
                .filter(|proof| proof.fact.kind() != left_out.fact.kind())
            {
                world.prove(&ada, proof.clone(), Span::hours(1)).await;
            }
            let kind = left_out.fact.kind().to_string();
            let necessary = match tier {
                Tier::V1 => kind == "mailbox-control",
                Tier::V2 => kind == "mailbox-control" || kind == "individual-identity",
                Tier::V3 => !(kind == "individual-identity" || kind == "employment"),
                Tier::V4 => true,
            };
            let refusal = refusal(&world, &ada, tier).await;
            assert_eq!(
                refusal.is_some(),
                necessary,
                "{tier} ({needed}) without {kind}: {refusal:?}"
            );
            if let Some(refusal) = refusal {
                assert!(refusal.contains(&kind) && refusal.contains("BR 3.2"), "{refusal}");
            }
        }
    }
}

#[tokio::test]
async fn invariant_06_nobody_approves_what_they_ask_for() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let requester = ada.principal_id.to_string();
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    for approved_by in [
        &[][..],
        &[requester.as_str()],
        &[requester.as_str(), requester.as_str()],
    ] {
        let proof = Proof::individual(ADA).approved_by(approved_by);
        world.prove(&ada, proof, Span::hours(1)).await;
        let refusal = refusal(&world, &ada, Tier::V2).await.unwrap();
        assert!(refusal.contains("0 of 1 approvals"), "{refusal}");
    }
    world
        .prove(&ada, Proof::individual(ADA).approved_by(&["officer-1"]), Span::hours(1))
        .await;
    assert_eq!(refusal(&world, &ada, Tier::V2).await, None);
}

#[tokio::test]
async fn invariant_06_an_organization_needs_two_officers() {
    let world = world!();
    let ada = world.subscriber("Beispiel AG").await;
    let requester = ada.principal_id.to_string();
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    world.prove(&ada, Proof::authority(), Span::hours(1)).await;
    for approved_by in [
        &[][..],
        &["officer-1"],
        &["officer-1", "officer-1"],
        &["officer-1", requester.as_str()],
    ] {
        let proof = Proof::organization().approved_by(approved_by);
        world.prove(&ada, proof, Span::hours(1)).await;
        let refusal = refusal(&world, &ada, Tier::V3).await.unwrap();
        assert!(refusal.contains("of 2 approvals"), "{refusal}");
    }
    let proof = Proof::organization().approved_by(&["officer-1", "officer-2"]);
    world.prove(&ada, proof, Span::hours(1)).await;
    assert_eq!(refusal(&world, &ada, Tier::V3).await, None);
}

#[tokio::test]
async fn the_best_tier_is_what_the_evidence_carries() {
    let world = world!();
    let ada = world.subscriber("Beispiel AG").await;
    let [mailbox, individual, organization, authority, employment] = Proof::everything(ADA);
    for (proofs, expected) in [
        (vec![mailbox], Tier::V1),
        (vec![individual], Tier::V2),
        (vec![organization, authority], Tier::V3),
        (vec![employment], Tier::V4),
    ] {
        for proof in proofs {
            world.prove(&ada, proof, Span::hours(1)).await;
        }
        let order = place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap();
        let OrderState::Valid { serial, .. } = order.state else {
            panic!("{order:?}")
        };
        assert_eq!(world.row(&serial).await.tier.0, expected);
    }
}

#[tokio::test]
async fn evidence_of_another_account_does_not_count() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let eve = world.subscriber("Eve").await;
    for proof in Proof::everything(ADA) {
        world.prove(&ada, proof, Span::hours(1)).await;
    }
    for tier in Tier::ALL {
        assert!(refusal(&world, &eve, tier).await.is_some());
    }
}

#[tokio::test]
async fn evidence_for_another_mailbox_or_domain_does_not_count() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    for proof in [
        Proof::mailbox("eve@example.com"),
        Proof::mailbox("ada@mail.example.com"),
        Proof::domain("example.org"),
        Proof::domain("mail.example.com"),
        Proof::domain("ample.com"),
    ] {
        world.prove(&ada, proof, Span::hours(1)).await;
        assert!(refusal(&world, &ada, Tier::V1).await.is_some());
    }
}
