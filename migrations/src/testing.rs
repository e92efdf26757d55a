//! A database of its own for each test.

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

/// A PostgreSQL schema that is dropped with the value, so that tests run side by side on one server.
pub struct PostgresSchema {
    server: String,
    name: String,
}

impl PostgresSchema {
    /// Makes a schema on the server that the environment variable `TEST_DATABASE_URL` names; `None` without one.
    ///
    /// # Panics
    /// When the variable is set and the server does not answer: a test must not pass because of a dead server.
    pub fn from_environment() -> Option<Self> {
        let server = std::env::var("TEST_DATABASE_URL")
            .ok()
            .filter(|url| url.starts_with("postgres"))?;
        let counter = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let schema = Self {
            server,
            name: format!("test_{}_{counter}", std::process::id()),
        };
        schema.execute(&format!(
            "DROP SCHEMA IF EXISTS {0} CASCADE; CREATE SCHEMA {0}",
            schema.name
        ));
        Some(schema)
    }

    /// A URL whose connections see this schema only.
    pub fn url(&self) -> String {
        let separator = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{separator}options=-csearch_path%3D{}", self.server, self.name)
    }

    fn execute(&self, sql: &str) {
        let outcome = PgConnection::establish(&self.server)
            .map_err(|error| error.to_string())
            .and_then(|mut connection| connection.batch_execute(sql).map_err(|error| error.to_string()));
        if let Err(error) = outcome {
            // A second panic while a test fails would hide why it failed.
            assert!(
                std::thread::panicking(),
                "the server of TEST_DATABASE_URL does not answer: {error}"
            );
        }
    }
}

impl std::fmt::Debug for PostgresSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresSchema({})", self.name)
    }
}

impl Drop for PostgresSchema {
    fn drop(&mut self) {
        self.execute(&format!("DROP SCHEMA {} CASCADE", self.name));
    }
}

static COUNTER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
