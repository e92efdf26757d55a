//! Everything that knows there are two databases.
