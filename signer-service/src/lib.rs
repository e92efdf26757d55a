//! The signing gateway: mail in, signed mail out.

pub mod cms;
pub mod config;
pub mod enrol;
pub mod error;
pub mod identity;
pub mod mime;
mod store;
pub mod treatment;

pub use error::Error;
