//! Why one certificate was issued, in one file: for an auditor, a court, or a relying party's question (BR 5.4, 5.5).
//!
//! The file is a ZIP archive of JSON, DER and PEM. Nothing in it has to be believed: the rows of the audit log come with
//! proofs that lead to a signed checkpoint, the certificate with its issuer, everything with its hash, and [`check`]
//! needs no access to the authority.

mod archive;
mod check;
mod collect;

pub use archive::{Pack, PackError};
pub use check::{Outcome, check};
pub use collect::{Documents, collect};

/// Names of files in the archive, in one place for writer and reader.
mod names {
    pub(super) const MANIFEST: &str = "manifest.json";
    pub(super) const README: &str = "README.txt";
    pub(super) const CERTIFICATE: &str = "certificate.der";
    pub(super) const ISSUER: &str = "issuer.der";
    pub(super) const TBS: &str = "tbs.der";
    pub(super) const REQUEST: &str = "request.der";
    pub(super) const ABOUT: &str = "certificate.json";
    pub(super) const ORDER: &str = "order.json";
    pub(super) const LINTS: &str = "lints.json";
    pub(super) const CAA: &str = "caa.json";
    pub(super) const AUDIT_KEY: &str = "audit-key.pem";

    pub(super) fn evidence(id: &str) -> String {
        format!("evidence/{id}.json")
    }

    pub(super) fn case(id: &str) -> String {
        format!("cases/{id}.json")
    }

    pub(super) fn document(id: &str) -> String {
        format!("documents/{id}")
    }

    /// Ten digits, so that a folder shows the rows in order.
    pub(super) fn audit_row(sequence: i64) -> String {
        format!("audit/{sequence:010}.json")
    }

    pub(super) fn audit_proof(sequence: i64) -> String {
        format!("audit/{sequence:010}.tlog-proof")
    }

    pub(super) const AUDIT_ROWS: &str = "audit/";
}
