//! The signing gateway: mail in, signed mail out.

pub mod cli;
pub mod cms;
pub mod config;
mod delivered;
pub mod dkim;
mod encryption;
mod engine;
pub mod enrol;
pub mod enveloped;
pub mod error;
pub mod filter;
pub mod gateway;
mod harvest;
mod http;
pub mod identity;
mod inbound;
pub mod init;
pub mod mime;
mod next_hop;
pub mod plan;
pub mod policy;
pub mod queue;
pub mod recipients;
pub mod relay;
mod resolver;
mod routing;
pub mod server;
mod store;
mod tokens;
mod trace;
pub mod treatment;
mod users;
pub mod wishes;

pub use config::Config;
pub use error::Error;
