//! The certificate authority: orders, cases, issuance, revocation, audit.

pub mod accounts;
pub mod app;
pub mod audit;
pub mod certificates;
pub mod config;
pub mod crl;
pub mod error;
pub mod http;
pub mod init;
pub mod issuance;
pub mod issuers;
pub mod jobs;
pub mod mail;
pub mod orders;
pub mod revocation;
mod signature;
mod input;
mod store;
pub mod validation;

pub use app::{App, AppParts};
pub use config::Config;
pub use error::Error;
