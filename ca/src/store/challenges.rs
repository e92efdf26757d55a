//! The table `challenges`. Link tokens and confirmation numbers are here as hashes only.

use ca_api::ChallengeState;
use diesel::prelude::*;
use migrations::schema::challenges;
use migrations::{AnyConnection, AsText};
use policies::evidence::FactKind;

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = challenges)]
pub(crate) struct ChallengeRow {
    pub(crate) id: String,
    pub(crate) account_id: String,
    pub(crate) requested_by: String,
    pub(crate) fact_kind: AsText<FactKind>,
    pub(crate) subject: String,
    pub(crate) sent_to: String,
    pub(crate) link_hash: Vec<u8>,
    pub(crate) code_hash: Vec<u8>,
    pub(crate) sent_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) attempts: i64,
    pub(crate) state: AsText<ChallengeState>,
    pub(crate) answered_at: Option<i64>,
    pub(crate) evidence_id: Option<String>,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &ChallengeRow) -> QueryResult<()> {
    diesel::insert_into(challenges::table).values(row).execute(conn)?;
    Ok(())
}

pub(crate) fn find(conn: &mut AnyConnection, account_id: &str, id: &str) -> QueryResult<Option<ChallengeRow>> {
    challenges::table
        .filter(challenges::id.eq(id))
        .filter(challenges::account_id.eq(account_id))
        .select(ChallengeRow::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn find_by_link_hash(conn: &mut AnyConnection, link_hash: &[u8]) -> QueryResult<Option<ChallengeRow>> {
    challenges::table
        .filter(challenges::link_hash.eq(link_hash.to_vec()))
        .select(ChallengeRow::as_select())
        .first(conn)
        .optional()
}

/// How many challenges of an account were mailed to an address after an instant.
pub(crate) fn count_sent_to(conn: &mut AnyConnection, account_id: &str, sent_to: &str, after: i64) -> QueryResult<i64> {
    challenges::table
        .filter(challenges::account_id.eq(account_id))
        .filter(challenges::sent_to.eq(sent_to))
        .filter(challenges::sent_at.gt(after))
        .count()
        .get_result(conn)
}

/// How many challenges of an account were mailed after an instant.
pub(crate) fn count_sent(conn: &mut AnyConnection, account_id: &str, after: i64) -> QueryResult<i64> {
    challenges::table
        .filter(challenges::account_id.eq(account_id))
        .filter(challenges::sent_at.gt(after))
        .count()
        .get_result(conn)
}

/// Ends every open challenge of an account for one fact.
pub(crate) fn replace_open(
    conn: &mut AnyConnection,
    account_id: &str,
    fact_kind: FactKind,
    subject: &str,
) -> QueryResult<usize> {
    diesel::update(
        challenges::table
            .filter(challenges::account_id.eq(account_id))
            .filter(challenges::fact_kind.eq(AsText(fact_kind)))
            .filter(challenges::subject.eq(subject))
            .filter(challenges::state.eq(AsText(ChallengeState::Sent))),
    )
    .set(challenges::state.eq(AsText(ChallengeState::Replaced)))
    .execute(conn)
}

/// From `sent` to another state; false when it was not `sent` any more.
pub(crate) fn finish(conn: &mut AnyConnection, id: &str, state: ChallengeState) -> QueryResult<bool> {
    let changed = diesel::update(
        challenges::table
            .filter(challenges::id.eq(id))
            .filter(challenges::state.eq(AsText(ChallengeState::Sent))),
    )
    .set(challenges::state.eq(AsText(state)))
    .execute(conn)?;
    Ok(changed == 1)
}

/// From `sent` to `answered`; false when it was not `sent` any more.
pub(crate) fn answer(conn: &mut AnyConnection, id: &str, evidence_id: &str, now: i64) -> QueryResult<bool> {
    let changed = diesel::update(
        challenges::table
            .filter(challenges::id.eq(id))
            .filter(challenges::state.eq(AsText(ChallengeState::Sent))),
    )
    .set((
        challenges::state.eq(AsText(ChallengeState::Answered)),
        challenges::answered_at.eq(now),
        challenges::evidence_id.eq(evidence_id),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// Counts one wrong confirmation number; false when somebody else counted in between.
pub(crate) fn count_attempt(conn: &mut AnyConnection, id: &str, attempts_before: i64) -> QueryResult<bool> {
    let changed = diesel::update(
        challenges::table
            .filter(challenges::id.eq(id))
            .filter(challenges::state.eq(AsText(ChallengeState::Sent)))
            .filter(challenges::attempts.eq(attempts_before)),
    )
    .set(challenges::attempts.eq(attempts_before + 1))
    .execute(conn)?;
    Ok(changed == 1)
}
