//! `sealwright ca acme …`: who may order by ACME, and what they have ordered.

use std::io::{self, Write};

use clap::Subcommand;
use policies::time::Span;

use super::output::{self, Format, Table};
use super::{Data, Failure};
use crate::accounts::Caller;
use crate::acme::external::{self, ExternalKey};
use crate::acme::operations;
use crate::app::App;

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Make a key with which an ACME client may act for an account; its secret is printed this once
    #[command(after_help = CREATE_EXAMPLES)]
    CreateKey {
        /// The identifier of the account that certificates will belong to
        #[arg(long)]
        account: String,
        /// What the key is for
        #[arg(long)]
        name: String,
        /// After how many days an unused key ends; without it, never
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3650))]
        expires_in_days: Option<u16>,
        #[command(flatten)]
        data: Data,
    },
    /// List the keys, newest first
    Keys {
        /// Only those of this account
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// Revoke a key, and the ACME account that was made with it
    RevokeKey {
        /// The identifier of the key
        key: String,
        #[command(flatten)]
        data: Data,
    },
    /// List the ACME accounts, newest first
    Accounts {
        /// Only those that act for this account
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// List the ACME orders, newest first
    Orders {
        /// Only those of this ACME account
        #[arg(long, value_name = "ACME-ACCOUNT")]
        acme_account: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// Print the DNS records that challenge mails and replies need
    Dns(Data),
}

impl Command {
    pub(super) fn data(&self) -> &Data {
        match self {
            Self::CreateKey { data, .. }
            | Self::Keys { data, .. }
            | Self::RevokeKey { data, .. }
            | Self::Accounts { data, .. }
            | Self::Orders { data, .. }
            | Self::Dns(data) => data,
        }
    }
}

pub(super) async fn run(app: &App, local: &Caller, command: Command, format: Format) -> Result<(), Failure> {
    let operator = local.as_operator("manage ACME")?;
    match command {
        Command::CreateKey {
            account,
            name,
            expires_in_days,
            ..
        } => {
            let expires_at = expires_in_days.map(|days| app.now().plus(Span::days(i64::from(days))));
            let directory = operations::directory(app)?;
            let (key, secret) = external::create(app, operator, &account, &name, expires_at).await?;
            match format {
                Format::Json => output::json(&serde_json::json!({
                    "key_id": key.id,
                    "mac_key": secret.reveal(),
                    "algorithm": "HS256",
                    "account": key.account.as_ref(),
                    "directory": directory,
                }))?,
                Format::Text => {
                    // The secret alone goes to standard output, so that it can be redirected into a file.
                    eprintln!("Created the key {} for {} (HS256).", key.id, key.account);
                    eprintln!("Directory: {directory}");
                    eprintln!("Its secret, shown this once:");
                    writeln!(io::stdout(), "{}", secret.reveal())?;
                }
            }
        }
        Command::Keys { account, .. } => {
            print_keys(app, format, &external::list(app, operator, account.as_deref()).await?)?;
        }
        Command::RevokeKey { key, .. } => {
            let key = external::revoke(app, operator, &key).await?;
            match format {
                Format::Json => output::json(&key_as_json(app, &key))?,
                Format::Text => writeln!(
                    io::stdout(),
                    "Revoked {}; the ACME account that was made with it can do nothing any more.",
                    key.id
                )?,
            }
        }
        Command::Accounts { account, .. } => {
            let accounts = operations::accounts(app, operator, account.as_deref()).await?;
            if format == Format::Json {
                let accounts: Vec<_> = accounts
                    .iter()
                    .map(|account| {
                        serde_json::json!({
                            "id": account.id,
                            "account": account.account.as_ref(),
                            "key_id": account.external_key,
                            "state": account.state,
                            "contacts": account.contacts,
                            "thumbprint": account.thumbprint,
                            "created_at": account.created_at.to_string(),
                        })
                    })
                    .collect();
                output::json(&accounts)?;
                return Ok(());
            }
            let mut table = Table::new(&["ACME ACCOUNT", "ACCOUNT", "STATE", "KEY", "CREATED"]);
            for account in accounts {
                table.row([
                    account.id,
                    account.account.to_string(),
                    account.state,
                    account.external_key,
                    account.created_at.to_string(),
                ]);
            }
            table.print()?;
        }
        Command::Orders { acme_account, .. } => {
            let orders = operations::orders(app, operator, acme_account.as_deref()).await?;
            if format == Format::Json {
                let orders: Vec<_> = orders
                    .iter()
                    .map(|order| {
                        serde_json::json!({
                            "id": order.id,
                            "acme_account": order.acme_account,
                            "mailbox": order.mailbox,
                            "profile": order.profile,
                            "order": order.order,
                            "created_at": order.created_at.to_string(),
                        })
                    })
                    .collect();
                output::json(&orders)?;
                return Ok(());
            }
            let mut table = Table::new(&["ACME ORDER", "MAILBOX", "PROFILE", "FINALIZED AS", "CREATED"]);
            for order in orders {
                table.row([
                    order.id,
                    order.mailbox,
                    order.profile,
                    order.order.unwrap_or_else(|| "-".to_owned()),
                    order.created_at.to_string(),
                ]);
            }
            table.print()?;
        }
        Command::Dns(_) => {
            let records = operations::dns_records(app)?;
            match format {
                Format::Json => {
                    let records: Vec<_> = records
                        .iter()
                        .map(|record| {
                            serde_json::json!({"name": record.name, "type": record.kind, "value": record.value})
                        })
                        .collect();
                    output::json(&records)?;
                }
                Format::Text => {
                    for record in records {
                        writeln!(
                            io::stdout(),
                            "{}. IN {} {}",
                            record.name,
                            record.kind,
                            record.in_zone_file()
                        )?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn print_keys(app: &App, format: Format, keys: &[ExternalKey]) -> io::Result<()> {
    if format == Format::Json {
        let keys: Vec<_> = keys.iter().map(|key| key_as_json(app, key)).collect();
        return output::json(&keys);
    }
    let mut table = Table::new(&["KEY", "ACCOUNT", "STATE", "NAME", "CREATED"]);
    for key in keys {
        table.row([
            key.id.clone(),
            key.account.to_string(),
            key.state(app.now()).to_owned(),
            key.name.clone(),
            key.created_at.to_string(),
        ]);
    }
    table.print()
}

fn key_as_json(app: &App, key: &ExternalKey) -> serde_json::Value {
    serde_json::json!({
        "key_id": key.id,
        "account": key.account.as_ref(),
        "name": key.name,
        "state": key.state(app.now()),
        "created_at": key.created_at.to_string(),
        "expires_at": key.expires_at.map(|at| at.to_string()),
    })
}

const EXAMPLES: &str = "\
Examples:
  sealwright ca acme dns --data ca
  sealwright ca acme create-key --data ca --account acc-… --name \"laptop of Ada\" > ada.mac
  sealwright ca acme orders --data ca --json";
const CREATE_EXAMPLES: &str = "\
Examples:
  sealwright ca acme create-key --data ca --account acc-… --name \"laptop of Ada\" > ada.mac
  sealwright ca acme create-key --data ca --account acc-… --name batch --expires-in-days 7 --json";
