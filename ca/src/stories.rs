//! The invariants of DESIGN section 4 as stories of the whole engine; each runs on SQLite, and on PostgreSQL when
//! `TEST_DATABASE_URL` names a server.

mod crash;
mod house;
mod nodes;
mod ocsp;
mod token;

#[expect(clippy::duplicate_mod, reason = "the same stories run on both databases")]
mod sqlite {
    pub(super) const DATABASE: crate::testing::Database = crate::testing::Database::Sqlite;
    include!("stories/all.rs");
}

#[expect(clippy::duplicate_mod, reason = "the same stories run on both databases")]
mod postgres {
    pub(super) const DATABASE: crate::testing::Database = crate::testing::Database::Postgres;
    include!("stories/all.rs");
}
