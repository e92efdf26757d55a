//! The audit log: nothing happens without it, and no change to it goes unnoticed.

use policies::time::Span;

use super::world;
use crate::audit::{self, Verified};
use crate::error::Error;
use crate::orders::{TierChoice, place};
use crate::testing::{Database, Proof, World, order};
use crate::{crl, store};

const ADA: &str = "ada@example.com";

/// A world with some history and a checkpoint at its end.
async fn history() -> Option<(World, i64)> {
    let world = World::new(super::DATABASE).await?;
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap();
    let head = audit::checkpoint(&world.app).await.unwrap().unwrap();
    Some((world, head))
}

async fn damaged_row(world: &World) -> i64 {
    match audit::verify(&world.app).await {
        Err(Error::AuditDamaged { sequence, .. }) => sequence,
        other => panic!("not noticed: {other:?}"),
    }
}

/// Makes every insertion into the log fail, as a full disk or a broken table would.
async fn break_the_log(world: &World) {
    let sql = match super::DATABASE {
        Database::Sqlite => "CREATE TRIGGER broken BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'broken'); END",
        Database::Postgres => {
            "CREATE FUNCTION broken() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$ LANGUAGE plpgsql; \
             CREATE TRIGGER broken BEFORE INSERT ON audit_log EXECUTE FUNCTION broken()"
        }
    };
    world.tamper(sql).await;
}

#[tokio::test]
async fn the_log_of_an_untouched_authority_verifies() {
    let Some((world, head)) = history().await else { return };
    let Verified { rows, signed_up_to, .. } = audit::verify(&world.app).await.unwrap();
    assert_eq!((rows, signed_up_to), (u64::try_from(head).unwrap(), head));
    assert_eq!(
        audit::checkpoint(&world.app).await.unwrap(),
        None,
        "nothing new to sign"
    );
    let actions: Vec<String> = audit::events(&world.app, 0, 1000)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.action)
        .collect();
    let order = ["order-placed", "certificate-recorded", "certificate-issued"];
    let found: Vec<&str> = order
        .into_iter()
        .filter(|wanted| actions.iter().any(|action| action == wanted))
        .collect();
    assert_eq!(found, order);
    assert_eq!(actions[..2], ["authority-initialized", "authority-initialized"]);
}

#[tokio::test]
async fn invariant_07_nothing_is_ordered_or_signed_when_the_log_cannot_append() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    break_the_log(&world).await;
    let before = world.keys.signatures();
    let error = place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error}");
    let error = crl::publish(&world.app, world.app.issuers().issuing(), crl::Scope::Complete)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error}");
    assert_eq!(world.keys.signatures(), before);
    assert!(world.certificates().await.is_empty());
}

/// The order is there already; the log breaks before the certificate is recorded.
#[tokio::test]
async fn invariant_07_nothing_is_signed_when_the_log_breaks_before_the_record() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let mut request = order(ADA, TierChoice::Best);
    request.idempotency_key = Some("once".to_owned());
    place(&world.app, &ada, request.clone()).await.unwrap();
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    break_the_log(&world).await;
    let before = world.keys.signatures();
    place(&world.app, &ada, request).await.unwrap_err();
    assert_eq!(world.keys.signatures(), before);
    assert!(
        world.certificates().await.is_empty(),
        "the record was committed without its audit entry"
    );
}

#[tokio::test]
async fn invariant_07_a_changed_row_is_found() {
    for change in [
        "at = at + 1",
        "actor = 'nobody'",
        "action = 'order-refused'",
        "details = '{}'",
        "hash = previous_hash",
        "previous_hash = hash",
    ] {
        let Some((world, _)) = history().await else { return };
        world
            .tamper(&format!("UPDATE audit_log SET {change} WHERE sequence = 3"))
            .await;
        assert_eq!(damaged_row(&world).await, 3, "{change}");
    }
}

#[tokio::test]
async fn invariant_07_removed_and_exchanged_rows_are_found() {
    let Some((world, _)) = history().await else { return };
    world.tamper("DELETE FROM audit_log WHERE sequence = 1").await;
    assert_eq!(damaged_row(&world).await, 1);

    let (world, _) = history().await.unwrap();
    world.tamper("DELETE FROM audit_log WHERE sequence = 4").await;
    assert_eq!(damaged_row(&world).await, 4);

    let (world, _) = history().await.unwrap();
    world
        .tamper(
            "UPDATE audit_log SET sequence = -1 WHERE sequence = 3; UPDATE audit_log SET sequence = 3 WHERE sequence = 4; \
             UPDATE audit_log SET sequence = 4 WHERE sequence = -1",
        )
        .await;
    assert_eq!(damaged_row(&world).await, 3);
}

#[tokio::test]
async fn invariant_07_a_shortened_log_is_found_by_its_checkpoint() {
    let Some((world, head)) = history().await else { return };
    world
        .tamper(&format!("DELETE FROM audit_log WHERE sequence >= {}", head - 1))
        .await;
    assert_eq!(damaged_row(&world).await, head - 1);
    let (world, _) = history().await.unwrap();
    world.tamper("DELETE FROM audit_log").await;
    assert_eq!(damaged_row(&world).await, 1);
}

/// Somebody who may write to the database, but has no key, makes a whole new chain.
#[tokio::test]
async fn invariant_07_a_log_written_anew_is_found_by_its_checkpoint() {
    let Some((world, head)) = history().await else { return };
    let rows = audit::events(&world.app, 0, 1000).await.unwrap();
    let now = world.app.now();
    world.tamper("DELETE FROM audit_log").await;
    world
        .app
        .db
        .write(move |conn| {
            for event in &rows {
                let details = serde_json::json!({"forged": event.sequence});
                audit::append(conn, now, &event.actor, audit::Action::OrderPlaced, &details)?;
            }
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    let first_checkpoint = world
        .app
        .db
        .read(|conn| Ok::<_, Error>(store::audit::checkpoints(conn, 0, 1)?))
        .await
        .unwrap()[0]
        .sequence;
    assert!(first_checkpoint < head);
    assert_eq!(damaged_row(&world).await, first_checkpoint);
    // With the checkpoints changed to fit, their signatures do not.
    world
        .tamper(
            "UPDATE audit_checkpoints SET head_hash = \
             (SELECT hash FROM audit_log WHERE audit_log.sequence = audit_checkpoints.sequence)",
        )
        .await;
    assert_eq!(damaged_row(&world).await, first_checkpoint);
    // Without checkpoints there is nothing to compare with; the next one vouches for the forgery from then on, which
    // is why checkpoints are to be kept outside as well.
    world.tamper("DELETE FROM audit_checkpoints").await;
    assert_eq!(audit::verify(&world.app).await.unwrap().signed_up_to, 0);
}

#[tokio::test]
async fn invariant_07_a_checkpoint_with_another_time_or_signature_is_found() {
    for change in ["at = at - 1", "signature = head_hash"] {
        let Some((world, head)) = history().await else { return };
        world
            .tamper(&format!(
                "UPDATE audit_checkpoints SET {change} WHERE sequence = {head}"
            ))
            .await;
        assert_eq!(damaged_row(&world).await, head, "{change}");
    }
}

/// Rows and checkpoints in turn, so that proofs lead to several trees.
#[tokio::test]
async fn invariant_07_every_row_has_a_proof_that_leads_to_a_signed_checkpoint() {
    let Some((world, head)) = history().await else { return };
    for number in 0..300 {
        let now = world.app.now();
        let details = serde_json::json!({ "number": number });
        world
            .app
            .db
            .write(move |conn| audit::append(conn, now, "writer", audit::Action::OrderPlaced, &details))
            .await
            .unwrap();
    }
    assert_eq!(audit::checkpoint(&world.app).await.unwrap(), Some(head + 300));
    let rows = world
        .app
        .db
        .read(|conn| Ok::<_, Error>(store::audit::page(conn, 0, 1000)?))
        .await
        .unwrap();
    let key = audit::public_key(&world.app).unwrap();
    for row in &rows {
        if row.sequence > head && row.sequence % 50 != 0 {
            continue;
        }
        let text = audit::prove(&world.app, row.sequence).await.unwrap();
        let proof = audit::RowProof::parse(&text).unwrap();
        assert_eq!(proof.text(), text);
        let size = proof.check(row, &key).unwrap().size;
        assert!(size >= u64::try_from(row.sequence).unwrap());
        let mut changed = row.clone();
        changed.details.push(' ');
        proof.check(&changed, &key).unwrap_err();
        changed = row.clone();
        changed.sequence += 1;
        proof.check(&changed, &key).unwrap_err();
    }
    for nothing in [0, -1, i64::MIN, head + 301, i64::MAX] {
        let error = audit::prove(&world.app, nothing).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{nothing}: {error}");
    }
    audit::verify(&world.app).await.unwrap();
}

/// Whoever has the database and the key can write a log anew, but not one that begins as the kept checkpoint says.
#[tokio::test]
async fn invariant_07_a_kept_checkpoint_finds_a_log_that_was_written_anew_with_the_key() {
    let Some((world, _)) = history().await else { return };
    let key = audit::public_key(&world.app).unwrap();
    let kept = key.open(&audit::newest_note(&world.app).await.unwrap().unwrap()).unwrap();
    audit::verify_against(&world.app, &kept).await.unwrap();
    let ada = world.subscriber("Ada Again").await;
    world.prove(&ada, Proof::mailbox("again@example.com"), Span::hours(1)).await;
    audit::checkpoint(&world.app).await.unwrap();
    audit::verify_against(&world.app, &kept).await.unwrap();

    let rows = audit::events(&world.app, 0, 1000).await.unwrap();
    let now = world.app.now();
    world
        .tamper("DELETE FROM audit_log; DELETE FROM audit_checkpoints; DELETE FROM audit_tiles")
        .await;
    for event in rows.clone() {
        world
            .app
            .db
            .write(move |conn| {
                let details = serde_json::json!({ "forged": event.sequence });
                audit::append(conn, now, &event.actor, audit::Action::OrderPlaced, &details)
            })
            .await
            .unwrap();
    }
    audit::checkpoint(&world.app).await.unwrap();
    audit::verify(&world.app).await.unwrap();
    let damaged = |result: Result<Verified, Error>| match result {
        Err(Error::AuditDamaged { sequence, .. }) => sequence,
        other => panic!("not noticed: {other:?}"),
    };
    let size = i64::try_from(kept.size).unwrap();
    assert_eq!(damaged(audit::verify_against(&world.app, &kept).await), size);
    // A log that is shorter than the kept checkpoint.
    world
        .tamper(&format!("DELETE FROM audit_log WHERE sequence >= {size}; DELETE FROM audit_checkpoints"))
        .await;
    assert_eq!(damaged(audit::verify_against(&world.app, &kept).await), size);
}

#[tokio::test]
async fn invariant_07_nothing_is_signed_over_a_changed_tree() {
    let Some((world, head)) = history().await else { return };
    world
        .tamper("UPDATE audit_tiles SET hashes = (SELECT previous_hash FROM audit_log WHERE sequence = 1)")
        .await;
    for number in 0..2 {
        let now = world.app.now();
        let details = serde_json::json!({ "number": number });
        let append = move |conn: &mut migrations::AnyConnection| {
            audit::append(conn, now, "writer", audit::Action::OrderPlaced, &details)
        };
        world.app.db.write(append).await.unwrap();
    }
    let before = world.keys.signatures();
    let error = audit::checkpoint(&world.app).await.unwrap_err();
    assert!(matches!(error, Error::AuditDamaged { .. } | Error::AuditTree(_)), "{error}");
    assert_eq!(world.keys.signatures(), before);
    let error = audit::prove(&world.app, 2).await.unwrap_err();
    assert!(matches!(error, Error::AuditDamaged { .. } | Error::AuditTree(_)), "{error}");
    // What can be computed from the rows is computed from the rows again.
    world.tamper("DELETE FROM audit_tiles").await;
    assert_eq!(audit::checkpoint(&world.app).await.unwrap(), Some(head + 2));
    audit::verify(&world.app).await.unwrap();
}

#[tokio::test]
async fn concurrent_writers_make_one_chain() {
    let world = world!();
    let writers: Vec<_> = (0..10)
        .map(|number| {
            let (db, now) = (world.app.db.clone(), world.app.now());
            tokio::spawn(async move {
                for _ in 0..5 {
                    db.write(move |conn| {
                        let details = serde_json::json!({"writer": number});
                        audit::append(conn, now, "writer", audit::Action::OrderPlaced, &details)
                    })
                    .await?;
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    audit::verify(&world.app).await.unwrap();
}
