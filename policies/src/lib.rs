//! The vocabulary and the rules: tiers, mailboxes, evidence, certificate profiles and lints.
//!
//! Everything here is pure. No function reads a file, a clock, a database or the network: the instant is an
//! argument, and what is decided is returned. Section numbers without a document are those of the CA/Browser Forum
//! S/MIME Baseline Requirements ("the BR"), whose text of reference is version 1.0.16.

pub mod attribute;
pub mod authority;
pub mod caa;
pub mod evidence;
pub mod issuance;
pub mod key_use;
pub mod label;
pub mod lint;
pub mod mailbox;
pub mod organization;
pub mod person;
pub mod perspective;
pub mod profile;
pub mod public_key;
pub mod signing;
mod tbs;
mod template;
#[cfg(test)]
mod testing;
mod text;
pub mod tier;
pub mod time;
pub mod url;
pub mod weak_key;
