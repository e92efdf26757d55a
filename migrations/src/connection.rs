//! One connection, to either database.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::{
    AnsiTransactionManager, Instrumentation, InstrumentationEvent, SimpleConnection, TransactionManager,
};
use diesel::r2d2::ManageConnection;
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel::{Connection, PgConnection, RunQueryDsl, SqliteConnection};

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

pub(crate) type Manager = <AnyConnection as Connection>::TransactionManager;

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
    /// Where writes to this database stand in line, if it has such a place.
    line: Option<Line>,
    is_spoiled: bool,
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
        let refused = |source| Error::Settings {
            database: location.to_string(),
            source,
        };
        connection.batch_execute(&settings).map_err(refused)?;
        let line = match &mut connection {
            // Its writers stand in line for the file already.
            AnyConnection::Sqlite(_) => None,
            AnyConnection::Postgres(postgres) => Some(Line::of(postgres).map_err(refused)?),
        };
        let conflict = Arc::new(AtomicBool::new(false));
        connection.set_instrumentation(NoticeConflict(Arc::clone(&conflict)));
        Ok(Self {
            connection,
            conflict,
            line,
            is_spoiled: false,
        })
    }

    /// Runs `work` in one transaction: committed when it returns `Ok`, otherwise rolled back.
    ///
    /// * SQLite writes begin with `BEGIN IMMEDIATE`: a transaction that reads first and writes later would lose to
    ///   "database is locked" without ever waiting.
    /// * PostgreSQL writes are SERIALIZABLE. One that the server gives up in favour of another is run again, and then
    ///   has the line for itself.
    pub(crate) fn transaction<T, E>(
        &mut self,
        purpose: Purpose,
        work: impl FnMut(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<QueryError>,
    {
        match purpose {
            Purpose::Read => self.transaction_in_line(purpose, None, work),
            Purpose::Write => self.transaction_in_line(purpose, Some(Place::BesideOthers), work),
        }
    }

    /// As [`Session::transaction`] for a write that nobody else of any process interferes with. What is long would
    /// otherwise lose to what is short, again and again.
    pub(crate) fn transaction_alone<T, E>(
        &mut self,
        work: impl FnMut(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<QueryError>,
    {
        self.transaction_in_line(Purpose::Write, Some(Place::Alone), work)
    }

    fn transaction_in_line<T, E>(
        &mut self,
        purpose: Purpose,
        mut place: Option<Place>,
        mut work: impl FnMut(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<QueryError>,
    {
        let mut attempt = 1;
        loop {
            let held = match place {
                Some(place) => self.enter_line(place)?,
                None => None,
            };
            self.conflict.store(false, Ordering::Relaxed);
            let result = self.transaction_once(purpose, &mut work);
            if let Some(place) = held {
                self.leave_line(place);
            }
            if result.is_ok() || attempt == MAX_ATTEMPTS || !self.conflict.load(Ordering::Relaxed) {
                return result;
            }
            if held.is_some() {
                place = Some(Place::Alone);
            } else {
                std::thread::sleep(pause_before(attempt));
            }
            attempt += 1;
        }
    }

    /// Waits for one's turn. `None` where there is no line.
    fn enter_line(&mut self, place: Place) -> Result<Option<Place>, QueryError> {
        let (Some(line), AnyConnection::Postgres(postgres)) = (&self.line, &mut self.connection) else {
            return Ok(None);
        };
        match postgres.batch_execute(&line.enter(place)) {
            Ok(()) => Ok(Some(place)),
            Err(QueryError::DatabaseError(kind, information))
                if !matches!(kind, DatabaseErrorKind::ClosedConnection)
                    && !information.message().contains("timeout") =>
            {
                // Speaks the protocol of PostgreSQL and has no advisory locks: there a write is run again, as often as
                // it loses.
                self.line = None;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn leave_line(&mut self, place: Place) {
        let (Some(line), AnyConnection::Postgres(postgres)) = (&self.line, &mut self.connection) else {
            return;
        };
        // The server lets the next one in when a connection ends.
        if postgres.batch_execute(&line.leave(place)).is_err() {
            self.is_spoiled = true;
        }
    }

    /// Keeps the connection from being used again: nobody knows what state it was left in.
    pub(crate) fn spoil(&mut self) {
        self.is_spoiled = true;
    }

    /// Whether the server gave up what was last tried in favour of another transaction.
    pub(crate) fn conflict(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.conflict)
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

/// Where the writes of all processes to one PostgreSQL schema wait for each other: an advisory lock that is taken before
/// the transaction begins, so that a transaction sees what those before it wrote.
///
/// Short writes share it, and are serializable among each other. A group, and whoever has lost once, has it alone.
#[derive(Debug)]
struct Line {
    key: i64,
}

/// How one stands in the [`Line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    BesideOthers,
    Alone,
}

impl Line {
    fn of(postgres: &mut PgConnection) -> Result<Self, QueryError> {
        let schema = diesel::select(
            diesel::dsl::sql::<diesel::sql_types::Nullable<diesel::sql_types::Text>>("current_schema()::text"),
        )
        .get_result::<Option<String>>(postgres)?;
        // FNV-1a: the same in every process and release, which the hashes of the standard library are not.
        let key = schema
            .unwrap_or_default()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
                (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        Ok(Self {
            key: i64::from_be_bytes(key.to_be_bytes()),
        })
    }

    fn enter(&self, place: Place) -> String {
        match place {
            Place::BesideOthers => format!("SELECT pg_advisory_lock_shared({})", self.key),
            Place::Alone => format!("SELECT pg_advisory_lock({})", self.key),
        }
    }

    fn leave(&self, place: Place) -> String {
        match place {
            Place::BesideOthers => format!("SELECT pg_advisory_unlock_shared({})", self.key),
            Place::Alone => format!("SELECT pg_advisory_unlock({})", self.key),
        }
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
        std::thread::panicking()
            || session.is_spoiled
            || Manager::is_broken_transaction_manager(&mut session.connection)
    }
}

/// The wait for another process's write comes first: the settings after it may need it.
/// `synchronous = FULL` since a committed record must survive a power cut (DESIGN invariant 1).
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 15000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
     PRAGMA trusted_schema = OFF;";

const POSTGRES_SETTINGS: &str = "SET lock_timeout = '15s'; SET idle_in_transaction_session_timeout = '60s'; \
     SET client_min_messages = warning;";

/// With pauses that double up to 256 ms this is about two seconds of losing every time, where there is no line.
const MAX_ATTEMPTS: u32 = 16;
