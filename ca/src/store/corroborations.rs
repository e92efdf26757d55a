//! The tables `corroborations` and `corroboration_answers`, and what rests on them.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::{caa_corroborations, corroboration_answers, corroborations, evidence_corroborations};

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = corroborations)]
pub(crate) struct CorroborationRow {
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) domain: String,
    pub(crate) made_at: i64,
    pub(crate) standard: String,
    pub(crate) needed_perspectives: i64,
    pub(crate) needed_registries: i64,
    pub(crate) asked: i64,
    pub(crate) corroborating: i64,
    pub(crate) outcome: String,
}

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = corroboration_answers)]
pub(crate) struct AnswerRow {
    pub(crate) corroboration_id: String,
    pub(crate) perspective: String,
    pub(crate) registry: String,
    pub(crate) network: Option<String>,
    pub(crate) answered_at: Option<i64>,
    pub(crate) corroborates: bool,
    pub(crate) saw: String,
}

pub(crate) const CORROBORATED: &str = "corroborated";
pub(crate) const PUBLIC: &str = "public";
pub(crate) const PRIVATE: &str = "private";

pub(crate) fn insert(conn: &mut AnyConnection, row: &CorroborationRow, answers: &[AnswerRow]) -> QueryResult<()> {
    diesel::insert_into(corroborations::table).values(row).execute(conn)?;
    // One by one: SQLite takes no default values in a batch, and there are a handful.
    for answer in answers {
        diesel::insert_into(corroboration_answers::table)
            .values(answer)
            .execute(conn)?;
    }
    Ok(())
}

/// Notes what corroborates a proof.
pub(crate) fn link_evidence(conn: &mut AnyConnection, evidence_id: &str, corroboration_id: &str) -> QueryResult<()> {
    diesel::insert_into(evidence_corroborations::table)
        .values((
            evidence_corroborations::evidence_id.eq(evidence_id),
            evidence_corroborations::corroboration_id.eq(corroboration_id),
        ))
        .execute(conn)?;
    Ok(())
}

/// Notes what other networks saw when a domain was asked for its CAA records.
pub(crate) fn link_caa_check(conn: &mut AnyConnection, caa_check_id: &str, corroboration_id: &str) -> QueryResult<()> {
    diesel::insert_into(caa_corroborations::table)
        .values((
            caa_corroborations::caa_check_id.eq(caa_check_id),
            caa_corroborations::corroboration_id.eq(corroboration_id),
        ))
        .execute(conn)?;
    Ok(())
}

/// What corroborates a proof.
pub(crate) fn of_evidence(conn: &mut AnyConnection, evidence_id: &str) -> QueryResult<Option<CorroborationRow>> {
    evidence_corroborations::table
        .inner_join(corroborations::table)
        .filter(evidence_corroborations::evidence_id.eq(evidence_id))
        .select(CorroborationRow::as_select())
        .first(conn)
        .optional()
}

/// What other networks saw when a domain was asked for its CAA records.
pub(crate) fn of_caa_check(conn: &mut AnyConnection, caa_check_id: &str) -> QueryResult<Option<CorroborationRow>> {
    caa_corroborations::table
        .inner_join(corroborations::table)
        .filter(caa_corroborations::caa_check_id.eq(caa_check_id))
        .select(CorroborationRow::as_select())
        .first(conn)
        .optional()
}

/// The answers of one corroboration, by the name of the perspective.
#[cfg(test)]
pub(crate) fn answers(conn: &mut AnyConnection, corroboration_id: &str) -> QueryResult<Vec<AnswerRow>> {
    corroboration_answers::table
        .filter(corroboration_answers::corroboration_id.eq(corroboration_id))
        .order(corroboration_answers::perspective)
        .select(AnswerRow::as_select())
        .load(conn)
}

/// Every corroboration of a domain, oldest first.
#[cfg(test)]
pub(crate) fn of_domain(conn: &mut AnyConnection, domain: &str) -> QueryResult<Vec<CorroborationRow>> {
    corroborations::table
        .filter(corroborations::domain.eq(domain))
        .order((corroborations::made_at, corroborations::id))
        .select(CorroborationRow::as_select())
        .load(conn)
}
