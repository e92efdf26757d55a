//! Everything that knows there are two databases: SQLite for one machine, PostgreSQL for many.
//!
//! A query is a plain function over [`AnyConnection`] and [`schema`]; async code reaches it through
//! [`Pool::read`] and [`Pool::write`]. The SQL of the tables lies beside this crate's sources in `sqlite/` and
//! `postgres/`, one folder per migration with the same name in both.

pub mod connection;
pub mod pool;
pub mod schema;
pub mod testing;
pub mod text;

mod error;
mod group;
mod migrate;
mod url;

pub use connection::AnyConnection;
pub use error::Error;
pub use pool::Pool;
pub use text::AsText;
