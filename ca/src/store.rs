//! A file per table: rows and queries, the only SQL of this crate.
//!
//! Rows stay in here or are turned into the domain's types by whoever asked; instants are whole seconds.

pub(crate) mod accounts;
pub(crate) mod acme_accounts;
pub(crate) mod acme_authorizations;
pub(crate) mod acme_domain_authorizations;
pub(crate) mod acme_nonces;
pub(crate) mod acme_orders;
pub(crate) mod audit;
pub(crate) mod audit_tiles;
pub(crate) mod caa_checks;
pub(crate) mod cases;
pub(crate) mod certificates;
pub(crate) mod challenges;
pub(crate) mod corroborations;
pub(crate) mod crls;
pub(crate) mod domain_challenges;
pub(crate) mod evidence;
pub(crate) mod issuers;
pub(crate) mod notices;
pub(crate) mod ocsp_responders;
pub(crate) mod orders;
pub(crate) mod problem_reports;
pub(crate) mod rosters;
pub(crate) mod subject_keys;
pub(crate) mod vp_orders;
