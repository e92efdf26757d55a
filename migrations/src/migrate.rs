//! Brings the tables up to date, one node at a time.

use diesel::connection::SimpleConnection;
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::sqlite::Sqlite;
use diesel::{RunQueryDsl, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::{AnyConnection, Error};

pub(crate) const SQLITE: EmbeddedMigrations = embed_migrations!("sqlite");
pub(crate) const POSTGRES: EmbeddedMigrations = embed_migrations!("postgres");

/// Runs the migrations that are missing; `database` is how messages name it.
///
/// Nodes that start together wait for each other, so each migration runs once: on SQLite within one exclusive
/// transaction, on PostgreSQL under an advisory lock.
pub(crate) fn run_pending(connection: &mut AnyConnection, database: &str) -> Result<(), Error> {
    let failed = |source| Error::Migration {
        database: database.to_owned(),
        source,
    };
    match connection {
        AnyConnection::Sqlite(sqlite) => {
            use_write_ahead_log(sqlite).map_err(|source| failed(source.into()))?;
            sqlite
                .exclusive_transaction(|sqlite| catch_up::<Sqlite, _>(sqlite, SQLITE))
                .map_err(|problem| problem.named(database))
        }
        AnyConnection::Postgres(postgres) => {
            // Another node may be migrating for longer than a query may usually wait for a lock.
            let lock =
                format!("SET lock_timeout = 0; SELECT pg_advisory_lock({ADVISORY_LOCK}); SET lock_timeout = '15s';");
            postgres.batch_execute(&lock).map_err(|source| failed(source.into()))?;
            let result = catch_up::<Pg, _>(postgres, POSTGRES).map_err(|problem| problem.named(database));
            let unlock = format!("SELECT pg_advisory_unlock({ADVISORY_LOCK})");
            // The lock ends with the session in any case; the result of the migrations matters more.
            let unlocked = postgres.batch_execute(&unlock);
            result?;
            unlocked.map_err(|source| failed(source.into()))
        }
    }
}

enum Problem {
    Newer(String),
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl Problem {
    fn named(self, database: &str) -> Error {
        let database = database.to_owned();
        match self {
            Self::Newer(version) => Error::NewerSchema { database, version },
            Self::Failed(source) => Error::Migration { database, source },
        }
    }
}

impl From<diesel::result::Error> for Problem {
    fn from(error: diesel::result::Error) -> Self {
        Self::Failed(error.into())
    }
}

fn catch_up<DB, C>(connection: &mut C, known: EmbeddedMigrations) -> Result<(), Problem>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let known_versions: Vec<String> = MigrationSource::<DB>::migrations(&known)
        .map_err(Problem::Failed)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    for applied in connection.applied_migrations().map_err(Problem::Failed)? {
        let applied = applied.to_string();
        if !known_versions.contains(&applied) {
            return Err(Problem::Newer(applied));
        }
    }
    connection.run_pending_migrations(known).map_err(Problem::Failed)?;
    Ok(())
}

/// Write-ahead logging lets readers go on beside the writer. It is a property of the file, so it is set once here.
///
/// Switching needs the file to itself and, unlike other statements, does not wait for that: hence the loop.
fn use_write_ahead_log(sqlite: &mut SqliteConnection) -> Result<(), diesel::result::Error> {
    #[derive(diesel::QueryableByName)]
    struct Mode {
        #[diesel(sql_type = diesel::sql_types::Text)]
        journal_mode: String,
    }
    let mut attempt = 1;
    loop {
        let mode = diesel::sql_query("PRAGMA journal_mode = WAL").get_result::<Mode>(sqlite);
        match mode {
            Ok(mode) if mode.journal_mode == "wal" => return Ok(()),
            // Some file systems cannot map shared memory; the rollback journal is slower and just as safe.
            Ok(_) => return Ok(()),
            Err(error) if attempt == WAL_ATTEMPTS => return Err(error),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
        attempt += 1;
    }
}

/// "sealwrig" in ASCII, read as a number: any constant would do that nobody else uses.
const ADVISORY_LOCK: i64 = 0x7365_616c_7772_6967;

/// 200 attempts of 50 ms are ten seconds.
const WAL_ATTEMPTS: u32 = 200;

#[cfg(test)]
mod tests;
