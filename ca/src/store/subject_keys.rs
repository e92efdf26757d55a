//! The table `subject_keys`: which account a certified key belongs to, and whether it is compromised.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::subject_keys;

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = subject_keys)]
pub(crate) struct SubjectKeyRow {
    pub(crate) spki_sha256: Vec<u8>,
    pub(crate) account_id: String,
    pub(crate) first_claimed_at: i64,
    pub(crate) last_claimed_at: i64,
    pub(crate) compromised_at: Option<i64>,
    /// The certificate that it was reported with.
    pub(crate) compromised_serial: Option<String>,
}

/// Writes the key down for the account, unless somebody did before.
pub(crate) fn insert_if_absent(conn: &mut AnyConnection, row: &SubjectKeyRow) -> QueryResult<()> {
    let insert = diesel::insert_into(subject_keys::table).values(row);
    match conn {
        AnyConnection::Postgres(conn) => insert.on_conflict_do_nothing().execute(conn)?,
        AnyConnection::Sqlite(conn) => insert.on_conflict_do_nothing().execute(conn)?,
    };
    Ok(())
}

/// Uses a key that belongs to the account and is not compromised. `false` when it is not so.
///
/// The update holds the row until the transaction ends, so that no report of a compromise slips in between.
pub(crate) fn claim(conn: &mut AnyConnection, spki_sha256: &[u8], account_id: &str, at: i64) -> QueryResult<bool> {
    let changed = diesel::update(
        subject_keys::table
            .filter(subject_keys::spki_sha256.eq(spki_sha256))
            .filter(subject_keys::account_id.eq(account_id))
            .filter(subject_keys::compromised_at.is_null()),
    )
    .set(subject_keys::last_claimed_at.eq(at))
    .execute(conn)?;
    Ok(changed == 1)
}

/// Remembers a compromise for good; the first report stays.
pub(crate) fn mark_compromised(conn: &mut AnyConnection, spki_sha256: &[u8], serial: &str, at: i64) -> QueryResult<()> {
    diesel::update(
        subject_keys::table
            .filter(subject_keys::spki_sha256.eq(spki_sha256))
            .filter(subject_keys::compromised_at.is_null()),
    )
    .set((
        subject_keys::compromised_at.eq(Some(at)),
        subject_keys::compromised_serial.eq(Some(serial)),
    ))
    .execute(conn)?;
    Ok(())
}

pub(crate) fn find(conn: &mut AnyConnection, spki_sha256: &[u8]) -> QueryResult<Option<SubjectKeyRow>> {
    subject_keys::table
        .filter(subject_keys::spki_sha256.eq(spki_sha256))
        .select(SubjectKeyRow::as_select())
        .first(conn)
        .optional()
}
