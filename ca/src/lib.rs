//! The certificate authority: orders, cases, issuance, revocation, audit.

pub mod accounts;
pub mod acme;
pub mod app;
pub mod audit;
pub mod bench;
pub mod caa;
pub mod certificates;
pub mod cli;
pub mod config;
pub mod crl;
pub mod directory;
pub mod doctor;
pub mod error;
pub mod evidence_pack;
pub mod http;
pub mod init;
mod input;
pub mod issuance;
pub mod issuers;
pub mod jobs;
pub mod mail;
mod metrics;
pub mod notices;
mod ocsp;
pub mod orders;
pub mod perspectives;
pub mod plans;
pub mod problem_reports;
pub mod revocation;
pub mod server;
mod signature;
mod store;
#[cfg(test)]
mod stories;
mod subject_keys;
#[cfg(test)]
mod testing;
pub mod validation;
pub mod vp;

pub use app::{App, AppParts};
pub use config::Config;
pub use error::Error;
