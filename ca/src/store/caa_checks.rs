//! The tables `caa_checks` and `certificate_permissions`.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::{caa_checks, certificate_permissions};

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = caa_checks)]
pub(crate) struct CheckRow {
    pub(crate) id: String,
    pub(crate) domain: String,
    pub(crate) issuers: String,
    pub(crate) checked_at: i64,
    pub(crate) decision: String,
    pub(crate) found_at: Option<String>,
    pub(crate) records: String,
    pub(crate) iodef: String,
    pub(crate) proof: String,
    pub(crate) reason: String,
}

pub(crate) const PERMITTED: &str = "permitted";
pub(crate) const REFUSED: &str = "refused";

pub(crate) fn insert(conn: &mut AnyConnection, row: &CheckRow) -> QueryResult<()> {
    diesel::insert_into(caa_checks::table).values(row).execute(conn)?;
    Ok(())
}

/// The newest check of a domain that was made for these issuer names at or after an instant, whatever it said.
pub(crate) fn newest(
    conn: &mut AnyConnection,
    domain: &str,
    issuers: &str,
    not_before: i64,
) -> QueryResult<Option<CheckRow>> {
    caa_checks::table
        .filter(caa_checks::domain.eq(domain))
        .filter(caa_checks::issuers.eq(issuers))
        .filter(caa_checks::checked_at.ge(not_before))
        .order((caa_checks::checked_at.desc(), caa_checks::id.desc()))
        .select(CheckRow::as_select())
        .first(conn)
        .optional()
}

/// Notes why a certificate could be issued: by a check, or without one.
pub(crate) fn link(
    conn: &mut AnyConnection,
    certificate_id: &str,
    check_id: Option<&str>,
    not_checked_because: Option<&str>,
) -> QueryResult<()> {
    diesel::insert_into(certificate_permissions::table)
        .values((
            certificate_permissions::certificate_id.eq(certificate_id),
            certificate_permissions::caa_check_id.eq(check_id),
            certificate_permissions::not_checked_because.eq(not_checked_because),
        ))
        .execute(conn)?;
    Ok(())
}

pub(crate) fn find(conn: &mut AnyConnection, id: &str) -> QueryResult<Option<CheckRow>> {
    caa_checks::table
        .filter(caa_checks::id.eq(id))
        .select(CheckRow::as_select())
        .first(conn)
        .optional()
}

/// The check that a certificate rests on, or why there is none.
pub(crate) fn of_certificate(
    conn: &mut AnyConnection,
    certificate_id: &str,
) -> QueryResult<Option<(Option<String>, Option<String>)>> {
    certificate_permissions::table
        .filter(certificate_permissions::certificate_id.eq(certificate_id))
        .select((
            certificate_permissions::caa_check_id,
            certificate_permissions::not_checked_because,
        ))
        .first(conn)
        .optional()
}
