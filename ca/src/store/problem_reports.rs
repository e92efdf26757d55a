//! The table `problem_reports`.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::problem_reports;

#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = problem_reports)]
pub(crate) struct ReportRow {
    pub(crate) id: String,
    pub(crate) issuer_id: String,
    pub(crate) serial: String,
    pub(crate) received_at: i64,
    pub(crate) cause: String,
    pub(crate) text: String,
    pub(crate) contact: Option<String>,
    pub(crate) source: String,
    pub(crate) state: String,
    pub(crate) findings: Option<String>,
    pub(crate) answered_by: Option<String>,
    pub(crate) answered_at: Option<i64>,
    pub(crate) closed_at: Option<i64>,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &ReportRow) -> QueryResult<()> {
    diesel::insert_into(problem_reports::table).values(row).execute(conn)?;
    Ok(())
}

pub(crate) fn find(conn: &mut AnyConnection, id: &str) -> QueryResult<Option<ReportRow>> {
    problem_reports::table
        .filter(problem_reports::id.eq(id))
        .select(ReportRow::as_select())
        .first(conn)
        .optional()
}

/// The oldest first.
pub(crate) fn list(conn: &mut AnyConnection, closed_too: bool, limit: i64) -> QueryResult<Vec<ReportRow>> {
    let mut query = problem_reports::table
        .select(ReportRow::as_select())
        .order((problem_reports::received_at.asc(), problem_reports::id.asc()))
        .limit(limit)
        .into_boxed();
    if !closed_too {
        query = query.filter(problem_reports::state.ne("closed"));
    }
    query.load(conn)
}

/// How many are open, of one certificate and of all.
pub(crate) fn count_open(conn: &mut AnyConnection, issuer_id: &str, serial: &str) -> QueryResult<(i64, i64)> {
    let of_certificate = problem_reports::table
        .filter(problem_reports::issuer_id.eq(issuer_id))
        .filter(problem_reports::serial.eq(serial))
        .filter(problem_reports::state.ne("closed"))
        .count()
        .get_result(conn)?;
    let all = problem_reports::table
        .filter(problem_reports::state.ne("closed"))
        .count()
        .get_result(conn)?;
    Ok((of_certificate, all))
}

/// received → answered. `false` when it is not `received` any more.
pub(crate) fn answer(
    conn: &mut AnyConnection,
    id: &str,
    cause: &str,
    findings: &str,
    by: &str,
    at: i64,
) -> QueryResult<bool> {
    let changed = diesel::update(
        problem_reports::table
            .filter(problem_reports::id.eq(id))
            .filter(problem_reports::state.eq("received")),
    )
    .set((
        problem_reports::state.eq("answered"),
        problem_reports::cause.eq(cause),
        problem_reports::findings.eq(Some(findings)),
        problem_reports::answered_by.eq(Some(by)),
        problem_reports::answered_at.eq(Some(at)),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// answered → closed. `false` when it is not `answered` any more.
pub(crate) fn close(conn: &mut AnyConnection, id: &str, at: i64) -> QueryResult<bool> {
    let changed = diesel::update(
        problem_reports::table
            .filter(problem_reports::id.eq(id))
            .filter(problem_reports::state.eq("answered")),
    )
    .set((
        problem_reports::state.eq("closed"),
        problem_reports::closed_at.eq(Some(at)),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}
