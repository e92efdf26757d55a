//! The table `audit_tiles`: the Merkle tree over `audit_log`.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::audit_tiles;

/// Up to 256 hashes of one level of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = audit_tiles)]
pub(crate) struct TileRow {
    pub(crate) level: i64,
    pub(crate) number: i64,
    pub(crate) hashes: Vec<u8>,
}

/// The last tile of a level.
pub(crate) fn last(conn: &mut AnyConnection, level: i64) -> QueryResult<Option<TileRow>> {
    audit_tiles::table
        .filter(audit_tiles::level.eq(level))
        .order(audit_tiles::number.desc())
        .select(TileRow::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn find(conn: &mut AnyConnection, level: i64, number: i64) -> QueryResult<Option<TileRow>> {
    audit_tiles::table
        .filter(audit_tiles::level.eq(level))
        .filter(audit_tiles::number.eq(number))
        .select(TileRow::as_select())
        .first(conn)
        .optional()
}

/// Writes a tile, or more hashes of one that has begun.
pub(crate) fn put(conn: &mut AnyConnection, row: &TileRow) -> QueryResult<()> {
    let grown = diesel::update(
        audit_tiles::table
            .filter(audit_tiles::level.eq(row.level))
            .filter(audit_tiles::number.eq(row.number)),
    )
    .set(audit_tiles::hashes.eq(&row.hashes))
    .execute(conn)?;
    if grown == 0 {
        diesel::insert_into(audit_tiles::table).values(row).execute(conn)?;
    }
    Ok(())
}
