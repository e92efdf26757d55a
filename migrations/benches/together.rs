//! Durable writes a second, each in a transaction of its own and many in one, in the same run:
//!
//! ```text
//! cargo bench -p migrations --bench together
//! TEST_DATABASE_URL=postgres://… cargo bench -p migrations --bench together    # PostgreSQL too; leave fsync on
//! ```
//!
//! A write is what issuance writes most: a row, and a row that names the one before it, like the audit log. Rounds of both
//! kinds take turns, and each round of the second kind is divided by the one before it, since a busy machine is not
//! equally busy all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use migrations::schema::{accounts, audit_log};
use migrations::testing::PostgresSchema;
use migrations::{AnyConnection, Error, Pool};

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("query: {0}")]
    Query(#[from] diesel::result::Error),
    #[error("database: {0}")]
    Database(#[from] Error),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Alone,
    Together,
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sqlite = format!("sqlite:{}", folder.path().join("bench.sqlite").display());
    println!("| database | writers | alone, per second | together, per second | together : alone |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    measure("SQLite", &Pool::open(&sqlite).expect("SQLite opens"));
    if let Some(schema) = PostgresSchema::from_environment() {
        measure("PostgreSQL", &Pool::open(&schema.url()).expect("PostgreSQL opens"));
    }
}

fn measure(name: &str, pool: &Pool) {
    let serial = Arc::new(AtomicU64::new(0));
    for writers in [1, 4, 16, 64, 256] {
        let mut rounds: Vec<[f64; 2]> = (0..ROUNDS)
            .map(|_| [Manner::Alone, Manner::Together].map(|manner| rate(pool, manner, writers, &serial)))
            .collect();
        // The first one warms up.
        rounds.remove(0);
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let alone = median(rounds.iter().map(|[alone, _]| *alone).collect());
        let together = median(rounds.iter().map(|[_, together]| *together).collect());
        let ratio = median(rounds.iter().map(|[alone, together]| together / alone).collect());
        println!("| {name} | {writers} | {alone:.0} | {together:.0} | **{ratio:.1}** |");
    }
}

/// Committed writes a second of so many threads.
fn rate(pool: &Pool, manner: Manner, writers: usize, serial: &Arc<AtomicU64>) -> f64 {
    let begin = Instant::now();
    let threads: Vec<_> = (0..writers)
        .map(|_| {
            let (pool, serial) = (pool.clone(), Arc::clone(serial));
            std::thread::spawn(move || {
                let mut written = 0_u32;
                while begin.elapsed() < ROUND {
                    let id = format!("w{}", serial.fetch_add(1, Ordering::Relaxed));
                    match manner {
                        Manner::Alone => pool.write_blocking(|conn| write(conn, &id)),
                        Manner::Together => pool.write_together_blocking(move |conn| write(conn, &id)),
                    }
                    .expect("a write succeeds");
                    written += 1;
                }
                written
            })
        })
        .collect();
    let written: u32 = threads
        .into_iter()
        .map(|thread| thread.join().expect("a writer ends"))
        .sum();
    f64::from(written) / begin.elapsed().as_secs_f64()
}

fn write(conn: &mut AnyConnection, id: &str) -> Result<(), Failure> {
    diesel::insert_into(accounts::table)
        .values((
            accounts::id.eq(id),
            accounts::kind.eq("organization"),
            accounts::name.eq("Example"),
            accounts::created_at.eq(1_i64),
        ))
        .execute(conn)?;
    let head: Option<(i64, Vec<u8>)> = audit_log::table
        .select((audit_log::sequence, audit_log::hash))
        .order(audit_log::sequence.desc())
        .first(conn)
        .optional()?;
    let (sequence, previous) = head.unwrap_or_default();
    diesel::insert_into(audit_log::table)
        .values((
            audit_log::sequence.eq(sequence + 1),
            audit_log::at.eq(1_i64),
            audit_log::actor.eq("bench"),
            audit_log::action.eq("written"),
            audit_log::details.eq(id),
            audit_log::previous_hash.eq(&previous),
            audit_log::hash.eq(vec![7_u8; 32]),
        ))
        .execute(conn)?;
    Ok(())
}

const ROUNDS: usize = 6;
const ROUND: Duration = Duration::from_millis(1500);
