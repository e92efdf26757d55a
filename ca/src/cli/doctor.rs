//! `sealwright ca doctor`: what needs attention.

use std::sync::Arc;

use super::Failure;
use super::output::{self, Format};
use crate::app::App;
use crate::doctor::{self, Health};

pub(super) async fn run(app: &Arc<App>, format: Format) -> Result<(), Failure> {
    let checks = doctor::examine(app).await;
    output::checks(format, &checks)?;
    match checks.iter().filter(|check| check.health == Health::Broken).count() {
        0 => Ok(()),
        broken => Err(Failure::Broken(broken)),
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sealwright ca doctor --data ca
  sealwright ca doctor --data ca --json | jq '.[] | select(.health != \"good\")'

Exit status: 0 nothing is broken, 1 something is";
