//! The table `crls`: every CRL that was signed and that somebody may rely on, and what is written down for shards.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::{crl_shards, crls, crls_begun};

use crate::crl::Scope;

#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = crls)]
pub(crate) struct CrlRow {
    pub(crate) issuer_id: String,
    pub(crate) number: i64,
    pub(crate) this_update: i64,
    pub(crate) next_update: i64,
    pub(crate) der: Vec<u8>,
    /// [`Scope::stored`].
    pub(crate) shard: i32,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &CrlRow) -> QueryResult<()> {
    diesel::insert_into(crls::table).values(row).execute(conn)?;
    Ok(())
}

/// Of a CRL everything but the list, which may have tens of megabytes.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = crls)]
pub(crate) struct CrlDates {
    pub(crate) number: i64,
    pub(crate) this_update: i64,
    pub(crate) next_update: i64,
}

/// Number and dates of the CRL with the highest number.
pub(crate) fn newest_dates(conn: &mut AnyConnection, issuer_id: &str, scope: Scope) -> QueryResult<Option<CrlDates>> {
    crls::table
        .select(CrlDates::as_select())
        .filter(crls::issuer_id.eq(issuer_id))
        .filter(crls::shard.eq(scope.stored()))
        .order(crls::number.desc())
        .first(conn)
        .optional()
}

/// The CRL with the highest number.
pub(crate) fn newest(conn: &mut AnyConnection, issuer_id: &str, scope: Scope) -> QueryResult<Option<CrlRow>> {
    crls::table
        .select(CrlRow::as_select())
        .filter(crls::issuer_id.eq(issuer_id))
        .filter(crls::shard.eq(scope.stored()))
        .order(crls::number.desc())
        .first(conn)
        .optional()
}

/// How many lists of a scope have this thisUpdate.
pub(crate) fn made_at(conn: &mut AnyConnection, issuer_id: &str, scope: Scope, this_update: i64) -> QueryResult<i64> {
    crls::table
        .filter(crls::issuer_id.eq(issuer_id))
        .filter(crls::shard.eq(scope.stored()))
        .filter(crls::this_update.eq(this_update))
        .count()
        .get_result(conn)
}

/// Drops the lists before `number` that ended before `instant`. Their numbers and hashes stay in the audit log.
pub(crate) fn delete_ended(
    conn: &mut AnyConnection,
    issuer_id: &str,
    scope: Scope,
    number: i64,
    instant: i64,
) -> QueryResult<usize> {
    diesel::delete(
        crls::table
            .filter(crls::issuer_id.eq(issuer_id))
            .filter(crls::shard.eq(scope.stored()))
            .filter(crls::number.lt(number))
            .filter(crls::next_update.lt(instant)),
    )
    .execute(conn)
}

/// The list of a scope whose number was taken last, whether or not it was signed.
#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = crls_begun)]
pub(crate) struct BegunRow {
    pub(crate) issuer_id: String,
    pub(crate) shard: i32,
    pub(crate) number: i64,
    pub(crate) begun_at: i64,
}

pub(crate) fn begun(conn: &mut AnyConnection, issuer_id: &str, scope: Scope) -> QueryResult<Option<BegunRow>> {
    crls_begun::table
        .select(BegunRow::as_select())
        .filter(crls_begun::issuer_id.eq(issuer_id))
        .filter(crls_begun::shard.eq(scope.stored()))
        .first(conn)
        .optional()
}

/// Replaces what was begun before in this scope.
pub(crate) fn begin(conn: &mut AnyConnection, row: &BegunRow) -> QueryResult<()> {
    let changed = diesel::update(
        crls_begun::table
            .filter(crls_begun::issuer_id.eq(&row.issuer_id))
            .filter(crls_begun::shard.eq(row.shard)),
    )
    .set(row)
    .execute(conn)?;
    if changed == 0 {
        diesel::insert_into(crls_begun::table).values(row).execute(conn)?;
    }
    Ok(())
}

/// What was begun does not come to an end.
pub(crate) fn give_up(conn: &mut AnyConnection, issuer_id: &str, scope: Scope, number: i64) -> QueryResult<()> {
    diesel::update(
        crls_begun::table
            .filter(crls_begun::issuer_id.eq(issuer_id))
            .filter(crls_begun::shard.eq(scope.stored()))
            .filter(crls_begun::number.eq(number)),
    )
    .set(crls_begun::begun_at.eq(0))
    .execute(conn)?;
    Ok(())
}

#[derive(Debug, Insertable)]
#[diesel(table_name = crl_shards)]
struct ShardRow<'a> {
    issuer_id: &'a str,
    shard: i32,
    url: &'a str,
}

/// Writes down that certificates may name a shard by this URL.
pub(crate) fn add_shard(conn: &mut AnyConnection, issuer_id: &str, scope: Scope, url: &str) -> QueryResult<()> {
    if !distribution_points(conn, issuer_id, scope)?
        .iter()
        .any(|known| known == url)
    {
        let row = ShardRow {
            issuer_id,
            shard: scope.stored(),
            url,
        };
        diesel::insert_into(crl_shards::table).values(row).execute(conn)?;
    }
    Ok(())
}

/// The numbers of all shards that certificates may name.
pub(crate) fn shards(conn: &mut AnyConnection, issuer_id: &str) -> QueryResult<Vec<i32>> {
    crl_shards::table
        .filter(crl_shards::issuer_id.eq(issuer_id))
        .select(crl_shards::shard)
        .distinct()
        .order(crl_shards::shard.asc())
        .load(conn)
}

/// The URLs that certificates may name a shard by; none for the complete list.
pub(crate) fn distribution_points(conn: &mut AnyConnection, issuer_id: &str, scope: Scope) -> QueryResult<Vec<String>> {
    crl_shards::table
        .filter(crl_shards::issuer_id.eq(issuer_id))
        .filter(crl_shards::shard.eq(scope.stored()))
        .select(crl_shards::url)
        .order(crl_shards::url.asc())
        .load(conn)
}
