//! The tables `acme_used_nonces` and `acme_secrets`.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::{acme_secrets, acme_used_nonces};

/// Whether the nonce had not been used. When another node is just using it, the unique key refuses.
pub(crate) fn spend(conn: &mut AnyConnection, nonce: &str, expires_at: i64) -> QueryResult<bool> {
    let used: i64 = acme_used_nonces::table
        .filter(acme_used_nonces::nonce.eq(nonce))
        .count()
        .get_result(conn)?;
    if used > 0 {
        return Ok(false);
    }
    diesel::insert_into(acme_used_nonces::table)
        .values((
            acme_used_nonces::nonce.eq(nonce),
            acme_used_nonces::expires_at.eq(expires_at),
        ))
        .execute(conn)?;
    Ok(true)
}

/// Nonces that ended need no trace.
pub(crate) fn forget_ended(conn: &mut AnyConnection, now: i64) -> QueryResult<usize> {
    diesel::delete(acme_used_nonces::table.filter(acme_used_nonces::expires_at.le(now))).execute(conn)
}

pub(crate) fn secret(conn: &mut AnyConnection, name: &str) -> QueryResult<Option<Vec<u8>>> {
    acme_secrets::table
        .filter(acme_secrets::name.eq(name))
        .select(acme_secrets::sealed)
        .first(conn)
        .optional()
}

pub(crate) fn insert_secret(conn: &mut AnyConnection, name: &str, sealed: &[u8], now: i64) -> QueryResult<()> {
    diesel::insert_into(acme_secrets::table)
        .values((
            acme_secrets::name.eq(name),
            acme_secrets::sealed.eq(sealed),
            acme_secrets::created_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}
