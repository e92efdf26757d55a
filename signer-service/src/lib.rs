//! The signing gateway: mail in, signed mail out.

pub mod cli;
pub mod cms;
pub mod config;
pub mod enrol;
pub mod error;
pub mod gateway;
pub mod identity;
pub mod init;
pub mod mime;
pub mod relay;
pub mod server;
mod store;
pub mod treatment;

pub use config::Config;
pub use error::Error;
