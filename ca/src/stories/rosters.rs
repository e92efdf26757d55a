//! Rosters: who may hand them in, what each row becomes, and that one officer's decision is needed for all of it.

use ca_api::{Decision, RosterDecision, RosterReport, RowOutcome};
use policies::tier::Tier;
use policies::time::Span;

use super::world;
use crate::accounts::{Caller, Role};
use crate::error::Error;
use crate::orders::{OrderState, TierChoice, place};
use crate::testing::{Proof, World, order};
use crate::validation::roster::{self, Import};

const TWO: &str = "mailbox,given_name,surname,title\nada@example.com,Ada,Lovelace,Engineer\n\
                   grace@example.com,Grace,Hopper,Admiral\n";

/// An organization whose domain, identity and authority are validated.
async fn bank(world: &World) -> Caller {
    let bank = world.subscriber("Beispiel AG").await;
    for proof in [Proof::domain("example.com"), Proof::organization(), Proof::authority()] {
        world.prove(&bank, proof, Span::hours(1)).await;
    }
    bank
}

async fn import(world: &World, caller: &Caller, file: &str, how: Import) -> Result<RosterReport, Error> {
    let account = caller.account.clone().unwrap();
    roster::import(&world.app, caller, &account, file.as_bytes(), how).await
}

async fn hand_in(world: &World, caller: &Caller, file: &str) -> RosterReport {
    import(world, caller, file, Import::default()).await.unwrap()
}

async fn decide(world: &World, report: &RosterReport, decision: Decision, revoke: bool) -> Result<(), Error> {
    let olga = world.principal("Olga", Role::Officer).await;
    let decision = RosterDecision {
        decision,
        reason: "Called the human resources department.".to_owned(),
        revoke_removed: revoke,
    };
    let id = report.id.as_deref().unwrap();
    roster::decide(&world.app, olga.as_officer("decide").unwrap(), id, &decision).await?;
    Ok(())
}

fn outcomes(report: &RosterReport) -> Vec<RowOutcome> {
    report.rows.iter().map(|row| row.outcome).collect()
}

async fn tier(world: &World, caller: &Caller, address: &str) -> Tier {
    let placed = place(&world.app, caller, order(address, TierChoice::Best)).await.unwrap();
    match placed.state {
        OrderState::Valid { tier, .. } => tier,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn invariant_06_a_roster_names_nobody_before_an_officer_approved_it() {
    let world = world!();
    let bank = bank(&world).await;
    let report = hand_in(&world, &bank, TWO).await;
    assert_eq!(outcomes(&report), [RowOutcome::Add, RowOutcome::Add]);
    assert_eq!(tier(&world, &bank, "ada@example.com").await, Tier::V3);
    // A second file must wait for the first.
    let error = import(&world, &bank, TWO, Import::default()).await.unwrap_err();
    assert!(matches!(error, Error::TooMany { limit: 1, .. }), "{error}");

    decide(&world, &report, Decision::Approve, false).await.unwrap();
    assert_eq!(tier(&world, &bank, "ada@example.com").await, Tier::V4);
    let subject = world.certificates().await.pop().unwrap().subject;
    assert!(subject.contains("Ada Lovelace") || subject.contains("Lovelace"), "{subject}");
    let error = decide(&world, &report, Decision::Approve, false).await.unwrap_err();
    assert!(matches!(error, Error::StateChanged { kind: "roster", .. }), "{error}");
    // The same file again asks for nothing.
    let again = hand_in(&world, &bank, TWO).await;
    assert_eq!(outcomes(&again), [RowOutcome::Unchanged, RowOutcome::Unchanged]);
    assert_eq!(again.id, None);
}

#[tokio::test]
async fn a_rejected_roster_and_a_dry_run_change_nothing() {
    let world = world!();
    let bank = bank(&world).await;
    let dry = Import {
        dry_run: true,
        ..Import::default()
    };
    let report = import(&world, &bank, TWO, dry).await.unwrap();
    assert_eq!((report.count(RowOutcome::Add), report.id), (2, None));
    assert!(roster::list(&world.app, &bank).await.unwrap().is_empty());
    let report = hand_in(&world, &bank, TWO).await;
    let error = decide(&world, &report, Decision::Reject, true).await.unwrap_err();
    assert!(matches!(error, Error::InvalidInput { field: "revoke_removed", .. }), "{error}");
    decide(&world, &report, Decision::Reject, false).await.unwrap();
    assert_eq!(tier(&world, &bank, "ada@example.com").await, Tier::V3);
}

#[tokio::test]
async fn who_is_no_longer_listed_loses_employment_and_certificate() {
    let world = world!();
    let bank = bank(&world).await;
    let first = hand_in(&world, &bank, TWO).await;
    decide(&world, &first, Decision::Approve, false).await.unwrap();
    assert_eq!(tier(&world, &bank, "grace@example.com").await, Tier::V4);
    let serial = world.certificates().await.pop().unwrap().serial;

    let file = "mailbox,surname,given_name,title\nada@example.com,Lovelace,Ada,Head of Engines\n";
    let partial = Import {
        partial: true,
        dry_run: true,
        ..Import::default()
    };
    let report = import(&world, &bank, file, partial).await.unwrap();
    assert_eq!(outcomes(&report), [RowOutcome::Change]);

    let report = hand_in(&world, &bank, file).await;
    assert_eq!(outcomes(&report), [RowOutcome::Change, RowOutcome::Remove]);
    assert_eq!(report.rows[1].certificates, std::slice::from_ref(&serial));
    decide(&world, &report, Decision::Approve, true).await.unwrap();
    let row = world.row(&serial).await;
    assert_eq!(row.revocation_reason.as_deref(), Some("affiliationChanged"));
    assert_eq!(tier(&world, &bank, "grace@example.com").await, Tier::V3);
    assert_eq!(tier(&world, &bank, "ada@example.com").await, Tier::V4);
    // Within a second certificates are listed in any order.
    let certificates = world.certificates().await;
    let titles = |title| certificates.iter().filter(|certificate| certificate.subject.contains(title)).count();
    assert_eq!(titles("Head of Engines"), 1, "{certificates:?}");
}

#[tokio::test]
async fn rows_that_cannot_be_certified_are_refused_and_take_the_file_with_them() {
    let world = world!();
    let bank = bank(&world).await;
    let file = "mailbox,given_name,surname,title\n\
                ada@example.com,Ada,Lovelace,Engineer\n\
                ADA@example.com,Ada,Lovelace,Engineer\n\
                eve@example.net,Eve,Outside,\n\
                nobody,No,Body,\n\
                ,No,Mailbox,\n\
                a@example.com,Only,,\n\
                b@example.com,B\u{202e}ob,Brown,\n\
                c@example.com,Carol,Cl\u{200b}ark,\n\
                d@example.com,Dan,Dean,n/a\n\
                e@example.com,E,\"Two\nLines\",\n\
                f@example.com,F\n";
    let report = hand_in(&world, &bank, file).await;
    assert_eq!(report.id, None);
    assert_eq!(report.rows[0].outcome, RowOutcome::Add);
    for (row, because) in report.rows[1..].iter().zip([
        "earlier row",
        "example.net is not validated",
        "",
        "no mailbox",
        "surname",
        "",
        "",
        "",
        "",
        "columns",
    ]) {
        assert_eq!(row.outcome, RowOutcome::Refused, "{row:?}");
        assert!(row.problem.as_deref().unwrap().contains(because), "{row:?}");
    }
    assert!(roster::list(&world.app, &bank).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_organization_that_is_not_validated_confirms_nobody() {
    let world = world!();
    let bank = world.subscriber("Beispiel AG").await;
    world.prove(&bank, Proof::domain("example.com"), Span::hours(1)).await;
    for proof in [
        Proof::organization().approved_by(&["officer-1"]),
        Proof::organization().approved_by(&["officer-1", "officer-1"]),
        Proof::authority(),
    ] {
        let error = import(&world, &bank, TWO, Import::default()).await.unwrap_err();
        assert!(matches!(error, Error::NotEnterpriseRa), "{error}");
        world.prove(&bank, proof, Span::hours(1)).await;
    }
    // Everything is there, but the organization was validated too long ago.
    world.prove(&bank, Proof::organization(), Span::days(826)).await;
    let error = import(&world, &bank, TWO, Import::default()).await.unwrap_err();
    assert!(matches!(error, Error::NotEnterpriseRa), "{error}");
    let other = Import {
        organization: Some("LEIXG-nonsense".to_owned()),
        ..Import::default()
    };
    let error = import(&world, &bank, TWO, other).await.unwrap_err();
    assert!(matches!(error, Error::InvalidInput { field: "organization", .. }), "{error}");
}

#[tokio::test]
async fn neighbours_gateways_and_officers_hand_in_nothing() {
    let world = world!();
    let bank = bank(&world).await;
    let account = bank.account.clone().unwrap();
    for role in [Role::Subscriber, Role::Gateway, Role::Officer] {
        let other = world.principal("Eve", role).await;
        let error = roster::import(&world.app, &other, &account, TWO.as_bytes(), Import::default())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NotAllowed { .. }), "{role}: {error}");
    }
    let report = hand_in(&world, &bank, TWO).await;
    let neighbour = world.subscriber("Eve").await;
    let id = report.id.unwrap();
    let error = roster::find(&world.app, &neighbour, &id).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { kind: "roster", .. }), "{error}");
    assert_eq!(roster::find(&world.app, &bank, &id).await.unwrap().rows.len(), 2);
}
