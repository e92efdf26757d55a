//! `sealwright ca plan …`: what an account may have.

use std::sync::Arc;

use ca_api::{AccountPlan, Plan, PlanChange};
use clap::Subcommand;

use super::output::{self, Format, Table};
use super::{Data, Failure};
use crate::accounts::Caller;
use crate::app::App;
use crate::http::plans_for_command_line::on_the_wire;
use crate::plans;

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Show the plan of an account and how many of its V4 seats are taken
    Show {
        /// The identifier of the account
        account: String,
        #[command(flatten)]
        data: Data,
    },
    /// Give an account another plan
    Set {
        /// The identifier of the account
        account: String,
        /// free, pro-individual or pro-organization
        plan: Plan,
        #[command(flatten)]
        data: Data,
    },
    /// Grant V4 seats beyond those that the plan includes
    Seats {
        /// The identifier of the account
        account: String,
        /// How many in all, not how many more
        granted: u32,
        #[command(flatten)]
        data: Data,
    },
}

impl Command {
    pub(super) fn data(&self) -> &Data {
        match self {
            Self::Show { data, .. } | Self::Set { data, .. } | Self::Seats { data, .. } => data,
        }
    }
}

pub(super) async fn run(app: &Arc<App>, local: &Caller, command: Command, format: Format) -> Result<(), Failure> {
    let operator = local.as_operator("change plans")?;
    let entitlement = match command {
        Command::Show { account, .. } => plans::find(app, local, &account).await?,
        Command::Set { account, plan, .. } => plans::change(app, operator, &account, &PlanChange::to(plan)).await?,
        Command::Seats { account, granted, .. } => {
            plans::change(app, operator, &account, &PlanChange::seats(granted)).await?
        }
    };
    print(format, &on_the_wire(&entitlement))?;
    Ok(())
}

fn print(format: Format, plan: &AccountPlan) -> std::io::Result<()> {
    if format == Format::Json {
        return output::json(plan);
    }
    let seats = plan.employee_seats;
    let mut table = Table::new(&[]);
    for (name, value) in [
        ("Account", plan.account.clone()),
        ("Plan", plan.plan.to_string()),
        ("Tiers", plan.tiers.join(", ")),
        (
            "V4 seats",
            format!(
                "{} taken, {} included, {} granted",
                seats.used, seats.included, seats.granted
            ),
        ),
    ] {
        table.row([name.to_owned(), value]);
    }
    table.print()
}

const EXAMPLES: &str = "\
Examples:
  sealwright ca plan show --data ca acc-…
  sealwright ca plan set --data ca acc-… pro-organization
  sealwright ca plan seats --data ca acc-… 25";
