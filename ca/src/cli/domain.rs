//! `sealwright ca domain …`: control of a domain, shown in the DNS or on its website.

use std::io::{self, Write};
use std::sync::Arc;

use ca_api::{DomainChallengeState, DomainMethod, NewDomainChallenge};
use clap::{Args, Subcommand};
use policies::mailbox::Domain;

use super::output::{self, Format, Table};
use super::{Data, Failure};
use crate::accounts::{self, Caller};
use crate::app::App;
use crate::http::domains_for_command_line::on_the_wire;
use crate::validation::control::{self, Challenge};

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Make a new value for a domain and say where to publish it
    Begin {
        /// The domain, such as example.com; a DNS record there counts for all names below it
        domain: Domain,
        /// dns-change (a TXT record) or website-change (a file; counts for this very name only)
        #[arg(long, default_value = "dns-change")]
        method: DomainMethod,
        #[command(flatten)]
        account: Account,
    },
    /// Look whether the value is published; if so, the domain is validated for 398 days
    Check {
        /// The identifier of the challenge
        challenge: String,
        #[command(flatten)]
        account: Account,
    },
    /// List the newest challenges of an account
    List(Account),
}

#[derive(Debug, Args)]
pub struct Account {
    /// The identifier of the account that the domain is validated for
    #[arg(long)]
    account: String,
    #[command(flatten)]
    data: Data,
}

impl Command {
    pub(super) fn data(&self) -> &Data {
        match self {
            Self::Begin { account, .. } | Self::Check { account, .. } | Self::List(account) => &account.data,
        }
    }
}

pub(super) async fn run(app: &Arc<App>, local: &Caller, command: Command, format: Format) -> Result<(), Failure> {
    let by = local.principal_id.as_ref();
    match command {
        Command::Begin {
            domain,
            method,
            account,
        } => {
            let account = accounts::find_account(app, &account.account).await?;
            let challenge = control::begin(app, &account.id, by, NewDomainChallenge { domain, method }).await?;
            match format {
                Format::Json => output::json(&on_the_wire(challenge))?,
                Format::Text => explain(&challenge)?,
            }
        }
        Command::Check { challenge, account } => {
            let account = accounts::find_account(app, &account.account).await?;
            let challenge = control::check(app, &account.id, &challenge).await?;
            let validated = challenge.state == DomainChallengeState::Validated;
            match format {
                Format::Json => output::json(&on_the_wire(challenge))?,
                Format::Text if validated => {
                    writeln!(io::stdout(), "{} is validated.", challenge.domain)?;
                }
                Format::Text => {
                    let problem = challenge.problem.unwrap_or_default();
                    writeln!(io::stdout(), "{} is not validated: {problem}", challenge.domain)?;
                }
            }
            if !validated {
                return Err(Failure::NotShown);
            }
        }
        Command::List(account) => {
            let account = accounts::find_account(app, &account.account).await?;
            let challenges = control::list(app, &account.id).await?;
            match format {
                Format::Json => output::json(&challenges.into_iter().map(on_the_wire).collect::<Vec<_>>())?,
                Format::Text => {
                    let mut table = Table::new(&["challenge", "domain", "method", "state", "until"]);
                    for challenge in challenges {
                        table.row([
                            challenge.id,
                            challenge.domain.to_string(),
                            challenge.method.to_string(),
                            challenge.state.to_string(),
                            challenge.expires_at.to_string(),
                        ]);
                    }
                    table.print()?;
                }
            }
        }
    }
    Ok(())
}

fn explain(challenge: &Challenge) -> io::Result<()> {
    let mut out = io::stdout();
    match challenge.method {
        DomainMethod::DnsChange => writeln!(
            out,
            "Publish this record:\n\n    {}. 300 IN TXT \"{}\"\n",
            challenge.place, challenge.value
        )?,
        DomainMethod::WebsiteChange => writeln!(
            out,
            "Publish this file, with nothing else in it:\n\n    {}\n    {}\n",
            challenge.place, challenge.value
        )?,
    }
    writeln!(
        out,
        "Challenge {} can be answered until {}.",
        challenge.id, challenge.expires_at
    )
}

const EXAMPLES: &str = "\
Examples:
  sealwright ca domain begin example.com --account acc-… --data ca
  sealwright ca domain begin www.example.com --method website-change --account acc-… --data ca
  sealwright ca domain check dom-… --account acc-… --data ca

Exit status of check: 0 validated, 1 not yet.";
