//! The tables `cases`, `case_documents`, `case_evidence` and `case_decisions`.

use ca_api::{CaseKind, CaseState, Decision};
use diesel::prelude::*;
use migrations::schema::{case_decisions, case_documents, case_evidence, cases};
use migrations::{AnyConnection, AsText};
use policies::evidence::Method;

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = cases)]
pub(crate) struct CaseRow {
    pub(crate) id: String,
    pub(crate) account_id: String,
    pub(crate) kind: AsText<CaseKind>,
    /// JSON: the named texts of the fact.
    pub(crate) subject: String,
    pub(crate) state: AsText<CaseState>,
    pub(crate) opened_by: String,
    pub(crate) opened_at: i64,
    pub(crate) updated_at: i64,
}

#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = case_documents)]
pub(crate) struct NewDocumentRow {
    pub(crate) id: String,
    pub(crate) case_id: String,
    pub(crate) account_id: String,
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) sha256: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
    pub(crate) added_by: String,
    pub(crate) added_at: i64,
}

/// A document without its content, which may be large.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = case_documents)]
pub(crate) struct DocumentRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) sha256: Vec<u8>,
    pub(crate) added_by: String,
    pub(crate) added_at: i64,
}

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = case_evidence)]
pub(crate) struct CaseEvidenceRow {
    pub(crate) id: String,
    pub(crate) case_id: String,
    pub(crate) account_id: String,
    pub(crate) method: AsText<Method>,
    /// JSON: SHA-256 of documents in hexadecimal.
    pub(crate) documents: String,
    pub(crate) note: String,
    pub(crate) recorded_by: String,
    pub(crate) collected_at: i64,
}

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = case_decisions)]
pub(crate) struct DecisionRow {
    pub(crate) id: String,
    pub(crate) case_id: String,
    pub(crate) principal_id: String,
    pub(crate) decision: AsText<Decision>,
    pub(crate) reason: String,
    pub(crate) decided_at: i64,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &CaseRow) -> QueryResult<()> {
    diesel::insert_into(cases::table).values(row).execute(conn)?;
    Ok(())
}

pub(crate) fn find(conn: &mut AnyConnection, id: &str) -> QueryResult<Option<CaseRow>> {
    cases::table
        .filter(cases::id.eq(id))
        .select(CaseRow::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn count_open(conn: &mut AnyConnection, account_id: &str) -> QueryResult<i64> {
    cases::table
        .filter(cases::account_id.eq(account_id))
        .filter(cases::state.eq(AsText(CaseState::Open)))
        .count()
        .get_result(conn)
}

/// Cases of one account or of all, in the order of their identifiers, after one of them.
pub(crate) fn page(
    conn: &mut AnyConnection,
    account_id: Option<&str>,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<CaseRow>> {
    let mut query = cases::table
        .select(CaseRow::as_select())
        .order(cases::id.asc())
        .limit(limit)
        .into_boxed();
    if let Some(account_id) = account_id {
        query = query.filter(cases::account_id.eq(account_id.to_owned()));
    }
    if let Some(after) = after {
        query = query.filter(cases::id.gt(after.to_owned()));
    }
    query.load(conn)
}

/// From `open` to another state; false when it was not open any more.
pub(crate) fn close(conn: &mut AnyConnection, id: &str, state: CaseState, now: i64) -> QueryResult<bool> {
    let changed = diesel::update(
        cases::table
            .filter(cases::id.eq(id))
            .filter(cases::state.eq(AsText(CaseState::Open))),
    )
    .set((cases::state.eq(AsText(state)), cases::updated_at.eq(now)))
    .execute(conn)?;
    Ok(changed == 1)
}

/// Notes a change of an open case; false when it was not open any more.
pub(crate) fn touch(conn: &mut AnyConnection, id: &str, now: i64) -> QueryResult<bool> {
    close(conn, id, CaseState::Open, now)
}

pub(crate) fn insert_document(conn: &mut AnyConnection, row: &NewDocumentRow) -> QueryResult<()> {
    diesel::insert_into(case_documents::table).values(row).execute(conn)?;
    Ok(())
}

pub(crate) fn documents(conn: &mut AnyConnection, case_id: &str) -> QueryResult<Vec<DocumentRow>> {
    case_documents::table
        .filter(case_documents::case_id.eq(case_id))
        .select(DocumentRow::as_select())
        .order((case_documents::added_at.asc(), case_documents::id.asc()))
        .load(conn)
}

/// A document of a case with its sealed content.
pub(crate) fn sealed_document(
    conn: &mut AnyConnection,
    case_id: &str,
    id: &str,
) -> QueryResult<Option<(DocumentRow, Vec<u8>)>> {
    case_documents::table
        .filter(case_documents::case_id.eq(case_id))
        .filter(case_documents::id.eq(id))
        .select((DocumentRow::as_select(), case_documents::sealed))
        .first(conn)
        .optional()
}

pub(crate) fn insert_evidence(conn: &mut AnyConnection, row: &CaseEvidenceRow) -> QueryResult<()> {
    diesel::insert_into(case_evidence::table).values(row).execute(conn)?;
    Ok(())
}

pub(crate) fn evidence(conn: &mut AnyConnection, case_id: &str) -> QueryResult<Vec<CaseEvidenceRow>> {
    case_evidence::table
        .filter(case_evidence::case_id.eq(case_id))
        .select(CaseEvidenceRow::as_select())
        .order((case_evidence::collected_at.asc(), case_evidence::id.asc()))
        .load(conn)
}

pub(crate) fn insert_decision(conn: &mut AnyConnection, row: &DecisionRow) -> QueryResult<()> {
    diesel::insert_into(case_decisions::table).values(row).execute(conn)?;
    Ok(())
}

pub(crate) fn decisions(conn: &mut AnyConnection, case_id: &str) -> QueryResult<Vec<DecisionRow>> {
    case_decisions::table
        .filter(case_decisions::case_id.eq(case_id))
        .select(DecisionRow::as_select())
        .order((case_decisions::decided_at.asc(), case_decisions::id.asc()))
        .load(conn)
}
