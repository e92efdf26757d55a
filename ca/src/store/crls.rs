//! The table `crls`: every CRL that was signed.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::crls;

#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = crls)]
pub(crate) struct CrlRow {
    pub(crate) issuer_id: String,
    pub(crate) number: i64,
    pub(crate) this_update: i64,
    pub(crate) next_update: i64,
    pub(crate) der: Vec<u8>,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &CrlRow) -> QueryResult<()> {
    diesel::insert_into(crls::table).values(row).execute(conn)?;
    Ok(())
}

/// The CRL with the highest number.
pub(crate) fn newest(conn: &mut AnyConnection, issuer_id: &str) -> QueryResult<Option<CrlRow>> {
    crls::table
        .select(CrlRow::as_select())
        .filter(crls::issuer_id.eq(issuer_id))
        .order(crls::number.desc())
        .first(conn)
        .optional()
}
