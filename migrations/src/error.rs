//! What can go wrong before a query is even sent.

use std::path::PathBuf;

/// Why the database could not be opened, migrated or reached.
///
/// Failures of a query itself stay [`diesel::result::Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL names no database this program speaks to. Passwords are already cut out of `url`.
    #[error("the database URL `{url}` is not understood: write `sqlite:PATH`, `postgres://…` or `postgresql://…`")]
    UnknownScheme { url: String },
    /// SQLite databases live in a file here: one in memory would be a different one for each connection.
    #[error("the database URL `{url}` names no file: write `sqlite:PATH`")]
    NoFile { url: String },
    #[error("the database file {} cannot be made or opened: check its folder and permissions", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the database {database} cannot be reached: check that it runs and that the URL is right")]
    Unreachable {
        database: String,
        #[source]
        source: diesel::ConnectionError,
    },
    #[error("the database {database} refused the settings of a new connection")]
    Settings {
        database: String,
        #[source]
        source: diesel::result::Error,
    },
    #[error("no connection to the database {database} became free in time")]
    Exhausted {
        database: String,
        #[source]
        source: diesel::r2d2::PoolError,
    },
    #[error("the tables of {database} could not be brought up to date")]
    Migration {
        database: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An older program must not write into tables whose meaning it does not know.
    #[error(
        "the tables of {database} were made by a newer program (migration {version}): install that version or restore a backup"
    )]
    NewerSchema { database: String, version: String },
    #[error("the program is stopping: the database call was not run")]
    Stopping,
    /// Several callers shared a transaction, and it did not come to an end. Nothing of it was committed.
    #[error("the database {database} was not written: {reason}")]
    GroupLost { database: String, reason: String },
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Exhausted { .. } | Self::GroupLost { .. } => true,
            Self::UnknownScheme { .. }
            | Self::NoFile { .. }
            | Self::File { .. }
            | Self::Settings { .. }
            | Self::Migration { .. }
            | Self::NewerSchema { .. }
            | Self::Stopping => false,
        }
    }
}
