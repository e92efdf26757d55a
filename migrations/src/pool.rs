//! Connections shared by the whole process, and the only way from async code to a query.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diesel::r2d2;
use diesel::result::Error as QueryError;

use crate::connection::{Connector, Purpose, Session};
use crate::group::Group;
use crate::url::Location;
use crate::{AnyConnection, Error, migrate};

/// A pool of connections to one database. Clones share it.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    database: String,
    readers: r2d2::Pool<Connector>,
    writers: r2d2::Pool<Connector>,
    together: Group,
}

impl Pool {
    /// Opens `sqlite:PATH`, `postgres://…` or `postgresql://…`, makes the file if need be and brings the tables up
    /// to date. Blocks until that is done.
    pub fn open(url: &str) -> Result<Self, Error> {
        Self::open_in(Path::new(""), url)
    }

    /// The same, with a relative SQLite path starting at `folder`.
    pub fn open_in(folder: &Path, url: &str) -> Result<Self, Error> {
        let location = Location::parse(url, folder)?;
        let database = location.to_string();
        if let Location::Sqlite { path } = &location {
            make_private_file(path)?;
        }
        let mut first = Session::open(&location, Purpose::Write)?;
        migrate::run_pending(&mut first.connection, &database)?;
        drop(first);

        let (readers, writers) = match &location {
            // SQLite has one writer at a time: waiting in line here is fairer than polling for its lock.
            Location::Sqlite { .. } => {
                let readers = pool(
                    Connector {
                        location: location.clone(),
                        purpose: Purpose::Read,
                    },
                    SQLITE_READERS,
                );
                (
                    readers,
                    pool(
                        Connector {
                            location,
                            purpose: Purpose::Write,
                        },
                        1,
                    ),
                )
            }
            Location::Postgres { .. } => {
                let both = pool(
                    Connector {
                        location,
                        purpose: Purpose::Write,
                    },
                    POSTGRES_CONNECTIONS,
                );
                (both.clone(), both)
            }
        };
        Ok(Self(Arc::new(Shared {
            database,
            readers,
            writers,
            together: Group::default(),
        })))
    }

    /// Runs `work` on a blocking thread, in a transaction that sees one state of the database and may not write.
    ///
    /// # Errors
    /// Those of `work`; no free connection; the runtime is stopping.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<QueryError> + From<Error> + Send + 'static,
        F: FnMut(&mut AnyConnection) -> Result<T, E> + Send + 'static,
    {
        let pool = self.clone();
        on_blocking_thread(move || pool.read_blocking(work)).await
    }

    /// Runs `work` on a blocking thread in a write transaction, which is committed when `work` returns `Ok`.
    ///
    /// On PostgreSQL `work` is run again when the server gave its transaction up in favour of another: keep every
    /// effect outside the database (mail, signatures, files) out of it.
    ///
    /// # Errors
    /// Those of `work`, after everything was rolled back; no free connection; the runtime is stopping.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<QueryError> + From<Error> + Send + 'static,
        F: FnMut(&mut AnyConnection) -> Result<T, E> + Send + 'static,
    {
        let pool = self.clone();
        on_blocking_thread(move || pool.write_blocking(work)).await
    }

    /// [`Pool::read`] for code that may block.
    pub fn read_blocking<T, E>(&self, work: impl FnMut(&mut AnyConnection) -> Result<T, E>) -> Result<T, E>
    where
        E: From<QueryError> + From<Error>,
    {
        self.connection(&self.0.readers)?.transaction(Purpose::Read, work)
    }

    /// [`Pool::write`] for code that may block.
    pub fn write_blocking<T, E>(&self, work: impl FnMut(&mut AnyConnection) -> Result<T, E>) -> Result<T, E>
    where
        E: From<QueryError> + From<Error>,
    {
        self.connection(&self.0.writers)?.transaction(Purpose::Write, work)
    }

    /// As [`Pool::write`], in a transaction that is shared with whoever writes together at the same moment: many callers
    /// then wait for one flush to the disk rather than each for its own. For what many do at once.
    ///
    /// `work` may run more than once, since it fails alone: when another of the group is refused, the rest is run again.
    /// It returns after the commit, and what it read or wrote is isolated from the others as if each had come alone, one
    /// after the other.
    ///
    /// # Errors
    /// Those of `work`, after what it wrote was rolled back; no free connection; the runtime is stopping.
    pub async fn write_together<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<QueryError> + From<Error> + Send + 'static,
        F: FnMut(&mut AnyConnection) -> Result<T, E> + Send + 'static,
    {
        let pool = self.clone();
        on_blocking_thread(move || pool.write_together_blocking(work)).await
    }

    /// [`Pool::write_together`] for code that may block.
    pub fn write_together_blocking<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<QueryError> + From<Error> + Send + 'static,
        F: FnMut(&mut AnyConnection) -> Result<T, E> + Send + 'static,
    {
        self.0.together.write(&self.0.writers, &self.0.database, work)
    }

    /// How many writes wait for those that are being committed together.
    pub fn waiting_together(&self) -> usize {
        self.0.together.waiting()
    }

    fn connection(&self, pool: &r2d2::Pool<Connector>) -> Result<r2d2::PooledConnection<Connector>, Error> {
        pool.get().map_err(|source| Error::Exhausted {
            database: self.0.database.clone(),
            source,
        })
    }
}

fn pool(connector: Connector, size: u32) -> r2d2::Pool<Connector> {
    r2d2::Pool::builder()
        .max_size(size)
        .min_idle(Some(0))
        .connection_timeout(CONNECTION_TIMEOUT)
        .build_unchecked(connector)
}

async fn on_blocking_thread<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Stopping.into()),
        },
    }
}

/// SQLite would make the file readable for everybody; its -wal and -shm files take the same permissions.
fn make_private_file(path: &Path) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Error::File {
            path: path.to_owned(),
            source,
        }),
    }
}

const SQLITE_READERS: u32 = 8;
/// PostgreSQL takes 100 connections by default: room for a handful of nodes.
const POSTGRES_CONNECTIONS: u32 = 16;
/// Longer than a transaction waits for a lock, so that the reason comes out rather than "exhausted".
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(20);
