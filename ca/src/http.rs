//! The HTTP face of the authority: extract, authorize, call one function of the domain, render.

pub mod problem;
pub mod router;

mod accounts;
mod acme;
mod auth;
mod cache;
mod cases;
mod certificates;
mod challenges;
mod confirm;
mod directory;
mod domains;
mod extract;
mod mailboxes;
mod ocsp;
mod orders;
mod plans;
mod public;
mod reports;
mod request;
mod rosters;

/// The command line shows certificates as the API does.
pub(crate) mod certificates_for_command_line {
    pub(crate) use super::certificates::{page, with_chain};
}

/// And domain challenges.
pub(crate) mod domains_for_command_line {
    pub(crate) use super::domains::on_the_wire;
}

/// And problem reports.
pub(crate) mod reports_for_command_line {
    pub(crate) use super::reports::on_the_wire;
}

/// And plans.
pub(crate) mod plans_for_command_line {
    pub(crate) use super::plans::on_the_wire;
}

#[cfg(test)]
mod tests;
