//! The table `ocsp_responders`: certificates of delegated OCSP responders.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::ocsp_responders;

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = ocsp_responders)]
pub(crate) struct ResponderRow {
    pub(crate) id: String,
    pub(crate) issuer_id: String,
    pub(crate) serial: String,
    pub(crate) key_id: String,
    pub(crate) tbs: Vec<u8>,
    pub(crate) tbs_sha256: Vec<u8>,
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) recorded_at: i64,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &ResponderRow) -> QueryResult<()> {
    diesel::insert_into(ocsp_responders::table).values(row).execute(conn)?;
    Ok(())
}

/// Stores the certificate. `false` when there is one already, or no such row.
pub(crate) fn mark_signed(conn: &mut AnyConnection, id: &str, der: &[u8]) -> QueryResult<bool> {
    let changed = diesel::update(
        ocsp_responders::table
            .filter(ocsp_responders::id.eq(id))
            .filter(ocsp_responders::certificate.is_null()),
    )
    .set(ocsp_responders::certificate.eq(Some(der)))
    .execute(conn)?;
    Ok(changed == 1)
}

/// Signed ones that last until `instant`, the longest first.
pub(crate) fn lasting_until(conn: &mut AnyConnection, issuer_id: &str, instant: i64) -> QueryResult<Vec<ResponderRow>> {
    ocsp_responders::table
        .filter(ocsp_responders::issuer_id.eq(issuer_id))
        .filter(ocsp_responders::certificate.is_not_null())
        .filter(ocsp_responders::not_after.ge(instant))
        .select(ResponderRow::as_select())
        .order(ocsp_responders::not_after.desc())
        .load(conn)
}

/// Whether a responder has this serial number.
pub(crate) fn has_serial(conn: &mut AnyConnection, issuer_id: &str, serial: &str) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(
        ocsp_responders::table
            .filter(ocsp_responders::issuer_id.eq(issuer_id))
            .filter(ocsp_responders::serial.eq(serial))
            .filter(ocsp_responders::certificate.is_not_null()),
    ))
    .get_result(conn)
}
