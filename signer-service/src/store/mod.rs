//! Rows and queries; the only diesel in this crate.

pub(crate) mod gateway_tokens;
pub(crate) mod identities;
pub(crate) mod mta_sts_policies;
pub(crate) mod queue;
pub(crate) mod queue_submissions;
pub(crate) mod recipient_certificates;
pub(crate) mod submissions;
