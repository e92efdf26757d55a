//! The table `expiry_notices`.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::expiry_notices;

/// Whether a notice was claimed already.
pub(crate) fn is_claimed(conn: &mut AnyConnection, certificate_id: &str, days_before: i64) -> QueryResult<bool> {
    let claims: i64 = expiry_notices::table
        .filter(expiry_notices::certificate_id.eq(certificate_id))
        .filter(expiry_notices::days_before.eq(days_before))
        .count()
        .get_result(conn)?;
    Ok(claims > 0)
}

/// Whoever inserts the row sends the notice.
pub(crate) fn claim(conn: &mut AnyConnection, certificate_id: &str, days_before: i64, at: i64) -> QueryResult<()> {
    diesel::insert_into(expiry_notices::table)
        .values((
            expiry_notices::certificate_id.eq(certificate_id),
            expiry_notices::days_before.eq(days_before),
            expiry_notices::claimed_at.eq(at),
        ))
        .execute(conn)?;
    Ok(())
}

/// The notice was not sent after all.
pub(crate) fn release(conn: &mut AnyConnection, certificate_id: &str, days_before: i64) -> QueryResult<()> {
    diesel::delete(
        expiry_notices::table
            .filter(expiry_notices::certificate_id.eq(certificate_id))
            .filter(expiry_notices::days_before.eq(days_before)),
    )
    .execute(conn)?;
    Ok(())
}
