//! The table `domain_challenges`.

use ca_api::{DomainChallengeState, DomainMethod};
use diesel::prelude::*;
use migrations::schema::domain_challenges;
use migrations::{AnyConnection, AsText};

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = domain_challenges)]
pub(crate) struct ChallengeRow {
    pub(crate) id: String,
    pub(crate) account_id: String,
    pub(crate) requested_by: String,
    pub(crate) domain: String,
    pub(crate) method: AsText<DomainMethod>,
    pub(crate) value: String,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) looked_at: i64,
    pub(crate) state: AsText<DomainChallengeState>,
    pub(crate) problem: Option<String>,
    pub(crate) evidence_id: Option<String>,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &ChallengeRow) -> QueryResult<()> {
    diesel::insert_into(domain_challenges::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

pub(crate) fn find(conn: &mut AnyConnection, account_id: &str, id: &str) -> QueryResult<Option<ChallengeRow>> {
    domain_challenges::table
        .filter(domain_challenges::id.eq(id))
        .filter(domain_challenges::account_id.eq(account_id))
        .select(ChallengeRow::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn newest(conn: &mut AnyConnection, account_id: &str, limit: i64) -> QueryResult<Vec<ChallengeRow>> {
    domain_challenges::table
        .filter(domain_challenges::account_id.eq(account_id))
        .order((domain_challenges::created_at.desc(), domain_challenges::id.desc()))
        .limit(limit)
        .select(ChallengeRow::as_select())
        .load(conn)
}

/// How many challenges of an account are open at an instant.
pub(crate) fn count_open(conn: &mut AnyConnection, account_id: &str, now: i64) -> QueryResult<i64> {
    domain_challenges::table
        .filter(domain_challenges::account_id.eq(account_id))
        .filter(domain_challenges::state.eq(AsText(DomainChallengeState::Open)))
        .filter(domain_challenges::expires_at.gt(now))
        .count()
        .get_result(conn)
}

/// Ends the open challenges of an account for one domain and method.
pub(crate) fn replace_open(
    conn: &mut AnyConnection,
    account_id: &str,
    domain: &str,
    method: DomainMethod,
) -> QueryResult<usize> {
    diesel::update(
        domain_challenges::table
            .filter(domain_challenges::account_id.eq(account_id))
            .filter(domain_challenges::domain.eq(domain))
            .filter(domain_challenges::method.eq(AsText(method)))
            .filter(domain_challenges::state.eq(AsText(DomainChallengeState::Open))),
    )
    .set(domain_challenges::state.eq(AsText(DomainChallengeState::Replaced)))
    .execute(conn)
}

/// Counts one look; false when somebody else looked in between, or it is over.
pub(crate) fn count_look(conn: &mut AnyConnection, id: &str, looks_before: i64) -> QueryResult<bool> {
    let changed = diesel::update(
        domain_challenges::table
            .filter(domain_challenges::id.eq(id))
            .filter(domain_challenges::state.eq(AsText(DomainChallengeState::Open)))
            .filter(domain_challenges::looked_at.eq(looks_before)),
    )
    .set(domain_challenges::looked_at.eq(looks_before + 1))
    .execute(conn)?;
    Ok(changed == 1)
}

/// From open to validated; false when it was not open any more.
pub(crate) fn validate(conn: &mut AnyConnection, id: &str, evidence_id: &str) -> QueryResult<bool> {
    let changed = diesel::update(
        domain_challenges::table
            .filter(domain_challenges::id.eq(id))
            .filter(domain_challenges::state.eq(AsText(DomainChallengeState::Open))),
    )
    .set((
        domain_challenges::state.eq(AsText(DomainChallengeState::Validated)),
        domain_challenges::problem.eq(None::<String>),
        domain_challenges::evidence_id.eq(evidence_id),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// Why the last look found nothing.
pub(crate) fn note_problem(conn: &mut AnyConnection, id: &str, problem: &str) -> QueryResult<()> {
    diesel::update(domain_challenges::table.filter(domain_challenges::id.eq(id)))
        .set(domain_challenges::problem.eq(problem))
        .execute(conn)?;
    Ok(())
}
