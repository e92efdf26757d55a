//! One connection, to either database.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::{
    AnsiTransactionManager, Instrumentation, InstrumentationEvent, SimpleConnection, TransactionManager,
};
use diesel::r2d2::ManageConnection;
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel::{Connection, PgConnection, SqliteConnection};

use crate::Error;
use crate::url::Location;

/// A connection to SQLite or PostgreSQL; one schema and one set of queries serve both.
///
/// Row locks and upserts exist on the variants only: match on the connection where they are needed.
#[derive(diesel::MultiConnection)]
pub enum AnyConnection {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl fmt::Debug for AnyConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres(_) => "AnyConnection::Postgres",
            Self::Sqlite(_) => "AnyConnection::Sqlite",
        })
    }
}

type Manager = <AnyConnection as Connection>::TransactionManager;

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
}

/// A pooled connection and what it remembers of its last transaction.
pub(crate) struct Session {
    pub(crate) connection: AnyConnection,
    conflict: Arc<AtomicBool>,
}

impl Session {
    pub(crate) fn open(location: &Location, purpose: Purpose) -> Result<Self, Error> {
        let unreachable = |source| Error::Unreachable {
            database: location.to_string(),
            source,
        };
        let mut connection = match location {
            Location::Sqlite { path } => {
                // A file name is not always UTF-8; SQLite's interface here takes nothing else.
                let Some(path) = path.to_str() else {
                    return Err(Error::NoFile {
                        url: path.display().to_string(),
                    });
                };
                AnyConnection::Sqlite(SqliteConnection::establish(path).map_err(unreachable)?)
            }
            Location::Postgres { url } => AnyConnection::Postgres(PgConnection::establish(url).map_err(unreachable)?),
        };
        let settings = match (&connection, purpose) {
            (AnyConnection::Sqlite(_), Purpose::Write) => SQLITE_SETTINGS.to_owned(),
            (AnyConnection::Sqlite(_), Purpose::Read) => format!("{SQLITE_SETTINGS} PRAGMA query_only = ON;"),
            (AnyConnection::Postgres(_), _) => POSTGRES_SETTINGS.to_owned(),
        };
        connection.batch_execute(&settings).map_err(|source| Error::Settings {
            database: location.to_string(),
            source,
        })?;
        let conflict = Arc::new(AtomicBool::new(false));
        connection.set_instrumentation(NoticeConflict(Arc::clone(&conflict)));
        Ok(Self { connection, conflict })
    }

    /// Runs `work` in one transaction: committed when it returns `Ok`, otherwise rolled back.
    ///
    /// * SQLite writes begin with `BEGIN IMMEDIATE`: a transaction that reads first and writes later would lose to
    ///   "database is locked" without ever waiting.
    /// * PostgreSQL writes are SERIALIZABLE. One that the server gives up in favour of another is run again.
    pub(crate) fn transaction<T, E>(
        &mut self,
        purpose: Purpose,
        mut work: impl FnMut(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<QueryError>,
    {
        let mut attempt = 1;
        loop {
            self.conflict.store(false, Ordering::Relaxed);
            let result = self.transaction_once(purpose, &mut work);
            if result.is_ok() || attempt == MAX_ATTEMPTS || !self.conflict.load(Ordering::Relaxed) {
                return result;
            }
            std::thread::sleep(pause_before(attempt));
            attempt += 1;
        }
    }

    fn transaction_once<T, E>(
        &mut self,
        purpose: Purpose,
        work: &mut impl FnMut(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<QueryError>,
    {
        let connection = &mut self.connection;
        match (&mut *connection, purpose) {
            (AnyConnection::Sqlite(sqlite), Purpose::Write) => {
                AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN IMMEDIATE")?;
            }
            (AnyConnection::Sqlite(sqlite), Purpose::Read) => {
                AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN DEFERRED")?;
            }
            (AnyConnection::Postgres(postgres), Purpose::Write) => {
                AnsiTransactionManager::begin_transaction_sql(postgres, "BEGIN ISOLATION LEVEL SERIALIZABLE")?;
            }
            (AnyConnection::Postgres(postgres), Purpose::Read) => {
                AnsiTransactionManager::begin_transaction_sql(
                    postgres,
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                )?;
            }
        }
        match work(connection) {
            Ok(value) => match Manager::commit_transaction(connection) {
                Ok(()) => Ok(value),
                Err(error) => {
                    if is_conflict(&error) {
                        self.conflict.store(true, Ordering::Relaxed);
                    }
                    Err(error.into())
                }
            },
            Err(error) => {
                // What failed first is what the caller needs. A connection that cannot even roll back is marked
                // broken by its manager and never handed out again.
                let _ = Manager::rollback_transaction(connection);
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection.fmt(f)
    }
}

/// Notes that PostgreSQL gave up a transaction because of a concurrent one.
///
/// Watching the connection finds it however the caller's error type wraps what diesel reported.
struct NoticeConflict(Arc<AtomicBool>);

impl Instrumentation for NoticeConflict {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::FinishQuery { error: Some(error), .. } = event
            && is_conflict(error)
        {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// SQLSTATE 40001 (serialization_failure) and 40P01 (deadlock_detected), which diesel has no kind for.
fn is_conflict(error: &QueryError) -> bool {
    match error {
        QueryError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        QueryError::DatabaseError(_, information) => information.message() == "deadlock detected",
        _ => false,
    }
}

/// Doubles from 2 ms to 256 ms, and half of it by chance, so that losers do not meet again.
fn pause_before(attempt: u32) -> std::time::Duration {
    use std::hash::BuildHasher;
    let longest_micros = 2_000_u64 << attempt.min(7);
    let chance = std::hash::RandomState::new().hash_one(attempt) % longest_micros;
    std::time::Duration::from_micros(longest_micros / 2 + chance / 2)
}

/// Makes connections for the pool.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) location: Location,
    pub(crate) purpose: Purpose,
}

impl ManageConnection for Connector {
    type Connection = Session;
    type Error = Error;

    fn connect(&self) -> Result<Session, Error> {
        Session::open(&self.location, self.purpose)
    }

    fn is_valid(&self, session: &mut Session) -> Result<(), Error> {
        match &mut session.connection {
            // A file does not go away behind an open handle.
            AnyConnection::Sqlite(_) => Ok(()),
            AnyConnection::Postgres(postgres) => postgres.batch_execute("SELECT 1").map_err(|source| Error::Settings {
                database: self.location.to_string(),
                source,
            }),
        }
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        std::thread::panicking() || Manager::is_broken_transaction_manager(&mut session.connection)
    }
}

/// The wait for another process's write comes first: the settings after it may need it.
/// `synchronous = FULL` since a committed record must survive a power cut (DESIGN invariant 1).
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 15000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
     PRAGMA trusted_schema = OFF;";

const POSTGRES_SETTINGS: &str = "SET lock_timeout = '15s'; SET idle_in_transaction_session_timeout = '60s'; \
     SET client_min_messages = warning;";

/// With pauses that double up to 256 ms this is about two seconds of losing every time.
const MAX_ATTEMPTS: u32 = 16;
