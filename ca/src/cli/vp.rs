//! `sealwright ca vp …`: certificates from another authority, for mailboxes that are managed here.

use std::io::{self, Read as _, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use policies::mailbox::Mailbox;

use super::output::{self, Format, Table};
use super::{Data, Failure};
use crate::accounts::{self, Caller};
use crate::app::App;
use crate::error::Error;
use crate::vp::order::{self, VpOrder};

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Order a certificate for a mailbox with the key of a certificate request
    Order {
        /// The mailbox, such as ada@example.com
        mailbox: Mailbox,
        /// The PKCS#10 request in DER, which names the mailbox
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        #[command(flatten)]
        account: Account,
    },
    /// Read the challenge mail from standard input, check it, and print the reply to send from the mailbox
    Answer {
        /// The identifier of the order
        order: String,
        #[command(flatten)]
        account: Account,
    },
    /// Ask how an order is, go on with it, and print the certificate once there is one
    Show {
        /// The identifier of the order
        order: String,
        #[command(flatten)]
        account: Account,
    },
    /// List the newest orders of an account
    List(Account),
    /// Have a certificate revoked
    Revoke {
        /// The identifier of the order
        order: String,
        /// The reason by its number in RFC 5280 section 5.3.1: 0, 1, 3, 4, 5 or 9
        #[arg(long, default_value = "0", value_parser = reason)]
        reason: u8,
        #[command(flatten)]
        account: Account,
    },
}

#[derive(Debug, Args)]
pub struct Account {
    /// The identifier of the account that the mailbox belongs to
    #[arg(long)]
    account: String,
    #[command(flatten)]
    data: Data,
}

fn reason(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(number @ (0 | 1 | 3 | 4 | 5 | 9)) => Ok(number),
        _ => Err("a subscriber may give 0, 1, 3, 4, 5 or 9".to_owned()),
    }
}

impl Command {
    fn account(&self) -> &Account {
        match self {
            Self::Order { account, .. }
            | Self::Answer { account, .. }
            | Self::Show { account, .. }
            | Self::Revoke { account, .. }
            | Self::List(account) => account,
        }
    }

    pub(super) fn data(&self) -> &Data {
        &self.account().data
    }
}

pub(super) async fn run(app: &Arc<App>, local: &Caller, command: Command, format: Format) -> Result<(), Failure> {
    let by = local.principal_id.as_ref();
    let account = accounts::find_account(app, &command.account().account).await?.id;
    match command {
        Command::Order { mailbox, request, .. } => {
            let der = std::fs::read(&request).map_err(|source| Error::File {
                action: "read",
                path: request,
                source,
            })?;
            let order = order::place(app, &account, by, &mailbox, der).await?;
            print(format, &order, None)?;
        }
        Command::Answer { order, .. } => {
            let mut mail = Vec::new();
            // One octet more than is taken, so that what is too large is refused rather than cut off.
            io::stdin().lock().take(256 * 1024 + 1).read_to_end(&mut mail)?;
            let reply = order::answer(app, &account, &order, &mail).await?;
            io::stdout().lock().write_all(&reply)?;
        }
        Command::Show { order, .. } => {
            let order = order::go_on(app, &account, &order).await?;
            let window = order::renewal_window(app, &order).await?;
            print(format, &order, window)?;
        }
        Command::Revoke { order, reason, .. } => {
            let order = order::revoke(app, &account, &order, reason).await?;
            print(format, &order, None)?;
        }
        Command::List(_) => {
            let orders = order::list(app, &account).await?;
            match format {
                Format::Json => output::json(&orders.iter().map(|order| json(order, None)).collect::<Vec<_>>())?,
                Format::Text => {
                    let mut table = Table::new(&["ORDER", "MAILBOX", "STATE", "NOT AFTER"]);
                    for order in orders {
                        let end = order.not_after.map(|end| end.to_string()).unwrap_or_default();
                        table.row([order.id, order.mailbox.to_string(), order.state, end]);
                    }
                    table.print()?;
                }
            }
        }
    }
    Ok(())
}

fn json(order: &VpOrder, window: Option<&(String, String)>) -> serde_json::Value {
    serde_json::json!({
        "id": order.id,
        "account": order.account,
        "mailbox": order.mailbox.as_ref(),
        "state": order.state,
        "created_at": order.created_at.to_string(),
        "answered": order.answered,
        "serial": order.serial,
        "not_after": order.not_after.map(|end| end.to_string()),
        "revoked_at": order.revoked_at.map(|at| at.to_string()),
        "renew_from": window.map(|window| &window.0),
        "renew_until": window.map(|window| &window.1),
        "chain_pem": order.chain_pem,
        "problem": order.problem,
    })
}

fn print(format: Format, order: &VpOrder, window: Option<(String, String)>) -> Result<(), Failure> {
    if format == Format::Json {
        output::json(&json(order, window.as_ref()))?;
        return Ok(());
    }
    let mut table = Table::new(&[]);
    let mut line = |name: &str, value: String| table.row([name.to_owned(), value]);
    line("Order", order.id.clone());
    line("Mailbox", order.mailbox.to_string());
    line("State", order.state.clone());
    if let Some(serial) = &order.serial {
        line("Serial", serial.clone());
    }
    if let Some(end) = order.not_after {
        line("Not after", end.to_string());
    }
    if let Some((from, until)) = window {
        line("Renew", format!("from {from} until {until}"));
    }
    if let Some(at) = order.revoked_at {
        line("Revoked", at.to_string());
    }
    if let Some(problem) = &order.problem {
        line("Problem", problem.clone());
    }
    table.print()?;
    if let Some(chain) = &order.chain_pem {
        write!(io::stdout(), "{chain}")?;
    } else if order.state == "waiting" && !order.answered {
        eprintln!(
            "A challenge mail goes to the mailbox: sealwright ca vp answer {} < challenge.eml > reply.eml",
            order.id
        );
    }
    Ok(())
}

const EXAMPLES: &str = "\
Examples:
  sealwright ca vp order ada@example.com --request ada.der --account acc-… --data ca
  sealwright ca vp answer vpo-… --account acc-… --data ca < challenge.eml > reply.eml
  sealwright ca vp show vpo-… --account acc-… --data ca
  sealwright ca vp revoke vpo-… --reason 4 --account acc-… --data ca";
