//! The table `issuers`: whose keys sign, and the CRL number each of them gave out last.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::issuers;

#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = issuers)]
pub(crate) struct IssuerRow {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) key_id: String,
    pub(crate) certificate: Vec<u8>,
    pub(crate) parent_id: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) crl_number: i64,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &IssuerRow) -> QueryResult<()> {
    diesel::insert_into(issuers::table).values(row).execute(conn)?;
    Ok(())
}

pub(crate) fn all(conn: &mut AnyConnection) -> QueryResult<Vec<IssuerRow>> {
    issuers::table
        .select(IssuerRow::as_select())
        .order(issuers::id.asc())
        .load(conn)
}

/// Takes the next CRL number; the row stays locked until the transaction ends, so no number is given out twice.
pub(crate) fn take_crl_number(conn: &mut AnyConnection, issuer_id: &str) -> QueryResult<i64> {
    diesel::update(issuers::table.filter(issuers::id.eq(issuer_id)))
        .set(issuers::crl_number.eq(issuers::crl_number + 1))
        .returning(issuers::crl_number)
        .get_result(conn)
}
