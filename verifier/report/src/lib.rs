//! What the verifier says of a message as one JSON report, and the one call behind every skin.
//!
//! The command line, the C library, the Python package and the WebAssembly package all hold a [`Verifier`] and show its
//! [`Report`], so they cannot come to say different things. Like the crate `verifier` this one does no I/O and never
//! asks the time.
//!
//! ```
//! use policies::time::Timestamp;
//! use verifier_report::{Report, Verifier};
//!
//! let verdict = Verifier::new().verify(b"From: alice@example.org\r\n\r\nHi", Timestamp::from_unix(1_795_305_600));
//! let report = Report::of(&verdict);
//! assert_eq!(report.status, "not_signed");
//! assert!(report.to_json().starts_with(r#"{"status":"not_signed","tier":null,"label":"NOT SIGNED","#));
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::as_conversions)]

mod facts;
mod input;
mod report;
mod verifier;

pub use crate::facts::{Fact, facts};
pub use crate::input::{Kind, NotDer, structures};
pub use crate::report::{Report, ReportedField, ReportedFinding, ReportedSigner};
pub use crate::verifier::{InputProblem, UnknownWord, Verifier, unsettled_revocation, vouches};

/// The examples of `docs/embedding.md`, compiled and run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
mod embedding {}
