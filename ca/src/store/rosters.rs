//! The tables `rosters`, `roster_rows` and `evidence_withdrawals`.

use ca_api::{CaseState, RowOutcome};
use diesel::prelude::*;
use migrations::schema::{evidence_withdrawals, roster_rows, rosters};
use migrations::{AnyConnection, AsText};

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = rosters)]
pub(crate) struct RosterRow {
    pub(crate) id: String,
    pub(crate) account_id: String,
    pub(crate) organization_identifier: String,
    pub(crate) state: AsText<CaseState>,
    pub(crate) file_sha256: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
    pub(crate) opened_by: String,
    pub(crate) opened_at: i64,
    pub(crate) decided_by: Option<String>,
    pub(crate) decided_at: Option<i64>,
    pub(crate) reason: Option<String>,
}

/// What the roster asks for one mailbox.
#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = roster_rows)]
pub(crate) struct EmployeeRow {
    pub(crate) roster_id: String,
    pub(crate) number: i64,
    pub(crate) line: Option<i64>,
    pub(crate) outcome: AsText<RowOutcome>,
    pub(crate) mailbox: String,
    /// JSON: the named texts of the employment.
    pub(crate) subject: String,
}

pub(crate) fn insert(conn: &mut AnyConnection, roster: &RosterRow, employees: &[EmployeeRow]) -> QueryResult<()> {
    diesel::insert_into(rosters::table).values(roster).execute(conn)?;
    for employee in employees {
        diesel::insert_into(roster_rows::table).values(employee).execute(conn)?;
    }
    Ok(())
}

pub(crate) fn find(conn: &mut AnyConnection, id: &str) -> QueryResult<Option<RosterRow>> {
    rosters::table
        .filter(rosters::id.eq(id))
        .select(RosterRow::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn employees(conn: &mut AnyConnection, id: &str) -> QueryResult<Vec<EmployeeRow>> {
    roster_rows::table
        .filter(roster_rows::roster_id.eq(id))
        .select(EmployeeRow::as_select())
        .order(roster_rows::number.asc())
        .load(conn)
}

/// Rosters of one account or of all, newest first.
pub(crate) fn newest(conn: &mut AnyConnection, account_id: Option<&str>, limit: i64) -> QueryResult<Vec<RosterRow>> {
    let mut query = rosters::table
        .select(RosterRow::as_select())
        .order((rosters::opened_at.desc(), rosters::id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some(account_id) = account_id {
        query = query.filter(rosters::account_id.eq(account_id.to_owned()));
    }
    query.load(conn)
}

pub(crate) fn count_open(conn: &mut AnyConnection, account_id: &str) -> QueryResult<i64> {
    rosters::table
        .filter(rosters::account_id.eq(account_id))
        .filter(rosters::state.eq(AsText(CaseState::Open)))
        .count()
        .get_result(conn)
}

/// From `open` to another state; false when it was not open any more.
pub(crate) fn close(
    conn: &mut AnyConnection,
    id: &str,
    state: CaseState,
    officer: &str,
    reason: &str,
    at: i64,
) -> QueryResult<bool> {
    let changed = diesel::update(
        rosters::table
            .filter(rosters::id.eq(id))
            .filter(rosters::state.eq(AsText(CaseState::Open))),
    )
    .set((
        rosters::state.eq(AsText(state)),
        rosters::decided_by.eq(Some(officer)),
        rosters::decided_at.eq(Some(at)),
        rosters::reason.eq(Some(reason)),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// From now on the evidence does not count.
pub(crate) fn withdraw(conn: &mut AnyConnection, evidence_id: &str, roster_id: &str, at: i64) -> QueryResult<()> {
    diesel::insert_into(evidence_withdrawals::table)
        .values((
            evidence_withdrawals::evidence_id.eq(evidence_id),
            evidence_withdrawals::roster_id.eq(roster_id),
            evidence_withdrawals::withdrawn_at.eq(at),
        ))
        .execute(conn)?;
    Ok(())
}
