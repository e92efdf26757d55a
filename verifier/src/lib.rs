//! Raw message bytes, trust anchors and a point in time in; a verdict out.
//!
//! This crate does no I/O, never asks the time and never fetches anything: what is needed is handed in, and the same
//! input gives the same [`Verdict`]. What it does not understand it refuses; it never guesses.
//!
//! ```
//! use policies::time::Timestamp;
//! use verifier::{Material, Policy, Status, TrustStore, verify};
//!
//! let at = Timestamp::from_unix(1_795_305_600);
//! let verdict = verify(b"From: alice@example.org\r\n\r\nHi", &TrustStore::new(), &Material::default(), at, &Policy::default());
//! assert_eq!(verdict.status(), Status::NotSigned);
//! ```
//!
//! By default everything is Rust. The feature `fast` brings AWS-LC, a C library, for servers that verify much mail, and
//! `ml-dsa` the signatures of FIPS 204. Neither changes another verdict.
#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::as_conversions)]

mod asn1;
mod backend;
mod badge;
mod base64;
mod certificate;
mod content;
mod content_type;
mod crypto;
mod distinguished_name;
mod examine;
mod explanation;
mod extensions;
mod finding;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod header;
mod language;
mod lines;
mod links;
mod message;
mod name;
mod originators;
pub mod path;
#[cfg(test)]
mod pathological;
mod protection;
mod revocation;
mod signed_data;
mod tier;
mod trust;
mod verdict;
mod verify;
#[cfg(test)]
mod work;

pub use crate::backend::Backend;
pub use crate::badge::{badge, description};
pub use crate::explanation::{Explanation, explain, explanations};
pub use crate::finding::{Finding, Problem, Severity};
pub use crate::language::{Language, UnknownLanguage};
pub use crate::links::VerifiedLinks;
pub use crate::protection::{HeaderProtection, Outside, ProtectedField};
pub use crate::revocation::{RevocationStatus, check_crl, check_ocsp_response};
pub use crate::trust::{AnchorProblem, TrustStore, Vouches};
pub use crate::verdict::{Encryption, Identity, Integrity, PathFact, Signer, Status, Verdict};
pub use crate::verify::{Decryption, Material, Policy, UnsettledRevocation, Verification, verify};
