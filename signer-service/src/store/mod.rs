//! Rows and queries; the only diesel in this crate.

pub(crate) mod identities;
pub(crate) mod recipient_certificates;
