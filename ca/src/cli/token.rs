//! `sealwright ca token …`: who may call the API.

use std::io::{self, Write};

use ca_api::Role;
use clap::Subcommand;
use policies::time::Span;

use super::output::{self, Format};
use super::{Data, Failure, counted};
use crate::accounts::{self, Caller, NewPrincipal};
use crate::app::App;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a principal with a token, which is printed this once
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// operator, officer, subscriber or gateway
        #[arg(long)]
        role: Role,
        /// Who it is, as the audit log will say it
        #[arg(long)]
        name: String,
        /// The identifier of its account; subscribers and gateways need one
        #[arg(long)]
        account: Option<String>,
        /// After how many days the token ends; without it, never
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3650))]
        expires_in_days: Option<u16>,
        #[command(flatten)]
        data: Data,
    },
    /// Revoke every token of a principal
    Revoke {
        /// The identifier of the principal
        principal: String,
        #[command(flatten)]
        data: Data,
    },
}

impl Command {
    pub(super) fn data(&self) -> &Data {
        match self {
            Self::Create { data, .. } | Self::Revoke { data, .. } => data,
        }
    }
}

pub(super) async fn run(app: &App, local: &Caller, command: Command, format: Format) -> Result<(), Failure> {
    let operator = local.as_operator("manage tokens")?;
    match command {
        Command::Create {
            role,
            name,
            account,
            expires_in_days,
            ..
        } => {
            let expires_at = expires_in_days.map(|days| app.now().plus(Span::days(i64::from(days))));
            let new = NewPrincipal {
                name,
                role,
                account,
                expires_at,
            };
            let (principal, token) = accounts::create_principal(app, operator, new).await?;
            match format {
                Format::Json => output::json(&serde_json::json!({
                    "principal": principal.id.as_ref(),
                    "role": principal.role,
                    "account": principal.account.as_ref().map(AsRef::as_ref),
                    "token": token.reveal(),
                }))?,
                Format::Text => {
                    // The token alone goes to standard output, so that it can be redirected into a file.
                    eprintln!(
                        "Created {} {} ({}). Its token, shown this once:",
                        principal.role, principal.id, principal.name
                    );
                    writeln!(io::stdout(), "{}", token.reveal())?;
                }
            }
            Ok(())
        }
        Command::Revoke { principal, .. } => {
            let revoked = accounts::revoke_tokens(app, operator, &principal).await?;
            match format {
                Format::Json => output::json(&serde_json::json!({ "principal": principal, "revoked": revoked }))?,
                Format::Text => writeln!(
                    io::stdout(),
                    "Revoked {} of {principal}.",
                    counted(u64::try_from(revoked).unwrap_or(u64::MAX), "token")
                )?,
            }
            Ok(())
        }
    }
}

const CREATE_EXAMPLES: &str = "\
Examples:
  sealwright ca token create --data ca --role officer --name \"Olga Officer\"
  sealwright ca token create --data ca --role gateway --name relay-1 --account acc-… > relay-1.token";
