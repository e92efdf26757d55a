//! The signing gateway: mail in, signed mail out.

pub mod cms;
pub mod config;
pub mod error;
pub mod mime;

pub use error::Error;
