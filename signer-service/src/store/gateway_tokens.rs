//! The table `gateway_tokens`: tokens of the HTTP API, as hashes.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::gateway_tokens as table;
use policies::time::Timestamp;

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = table)]
pub(crate) struct TokenRow {
    pub(crate) id: String,
    pub(crate) name: String,
    /// SHA-256 of the secret.
    pub(crate) token_hash: Vec<u8>,
    /// Mailboxes and domains, with blanks between.
    pub(crate) may_sign_for: String,
    pub(crate) created_at: i64,
    pub(crate) revoked_at: Option<i64>,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &TokenRow) -> QueryResult<()> {
    diesel::insert_into(table::table).values(row).execute(conn)?;
    Ok(())
}

pub(crate) fn find(conn: &mut AnyConnection, id: &str) -> QueryResult<Option<TokenRow>> {
    table::table
        .filter(table::id.eq(id.to_owned()))
        .select(TokenRow::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn all(conn: &mut AnyConnection) -> QueryResult<Vec<TokenRow>> {
    table::table
        .select(TokenRow::as_select())
        .order((table::name.asc(), table::created_at.asc(), table::id.asc()))
        .load(conn)
}

/// False if there is none that still counts.
pub(crate) fn revoke(conn: &mut AnyConnection, id: &str, now: Timestamp) -> QueryResult<bool> {
    let valid = table::table
        .filter(table::id.eq(id.to_owned()))
        .filter(table::revoked_at.is_null());
    let changed = diesel::update(valid)
        .set(table::revoked_at.eq(Some(now.unix())))
        .execute(conn)?;
    Ok(changed == 1)
}
