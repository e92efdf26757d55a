//! MTA-STS policies of other domains, which hold until they expire (RFC 8461 section 5.1).

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::mta_sts_policies as table;

#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = table)]
pub(crate) struct PolicyRow {
    pub(crate) domain: String,
    pub(crate) policy_id: String,
    /// The policy file.
    pub(crate) policy: String,
    pub(crate) fetched_at: i64,
    pub(crate) expires_at: i64,
}

pub(crate) fn find(conn: &mut AnyConnection, domain: &str) -> QueryResult<Option<PolicyRow>> {
    table::table
        .find(domain.to_owned())
        .select(PolicyRow::as_select())
        .first(conn)
        .optional()
}

/// Writes a policy down in place of the one before, and forgets some that have expired.
pub(crate) fn put(conn: &mut AnyConnection, row: &PolicyRow) -> QueryResult<()> {
    let changed = diesel::update(table::table.find(row.domain.clone()))
        .set((
            table::policy_id.eq(row.policy_id.clone()),
            table::policy.eq(row.policy.clone()),
            table::fetched_at.eq(row.fetched_at),
            table::expires_at.eq(row.expires_at),
        ))
        .execute(conn)?;
    if changed == 0 {
        diesel::insert_into(table::table).values(row).execute(conn)?;
    }
    diesel::delete(table::table.filter(table::expires_at.le(row.fetched_at))).execute(conn)?;
    Ok(())
}
