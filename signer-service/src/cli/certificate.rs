//! `sealwright gateway certificates …`: whose certificates mail is encrypted to.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Subcommand, ValueEnum};
use policies::mailbox::Mailbox;
use policies::time::{Clock, Timestamp};
use serde_json::json;

use super::{Data, Failure};
use crate::gateway::{Gateway, GatewayParts};
use crate::harvest;
use crate::store::recipient_certificates::Approval;

#[derive(Debug, Subcommand)]
pub enum Certificates {
    /// List the certificates that signed mail has brought or that were added.
    List {
        #[command(flatten)]
        data: Data,
        /// Only those in this state.
        #[arg(long, value_enum)]
        state: Option<State>,
    },
    /// Say which certificate a recipient would be encrypted to now, or why none.
    Find {
        #[command(flatten)]
        data: Data,
        #[arg(value_name = "ADDRESS")]
        mailbox: String,
    },
    /// Add a certificate (PEM or DER, its issuers behind it) for the mailboxes that it names, approved.
    Add {
        #[command(flatten)]
        data: Data,
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Encrypt to a certificate that was offered.
    Approve(Decided),
    /// Never encrypt to a certificate, however often it is seen.
    Reject(Decided),
}

#[derive(Debug, clap::Args)]
pub struct Decided {
    #[command(flatten)]
    data: Data,
    #[arg(value_name = "ADDRESS")]
    mailbox: String,
    /// As `list` shows it.
    #[arg(value_name = "FINGERPRINT")]
    fingerprint: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum State {
    Offered,
    Approved,
    Rejected,
}

impl From<State> for Approval {
    fn from(state: State) -> Self {
        match state {
            State::Offered => Self::Offered,
            State::Approved => Self::Approved,
            State::Rejected => Self::Rejected,
        }
    }
}

pub(super) async fn run(command: &Certificates, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    match command {
        Certificates::List { data, state } => {
            let gateway = open(data, clock).await?;
            list(&gateway, data, state.map(Approval::from)).await
        }
        Certificates::Find { data, mailbox } => {
            let gateway = open(data, clock).await?;
            find(&gateway, data, mailbox).await
        }
        Certificates::Add { data, file } => {
            let gateway = open(data, clock).await?;
            add(&gateway, data, file).await
        }
        Certificates::Approve(decided) => {
            let gateway = open(&decided.data, clock).await?;
            decide(&gateway, decided, Approval::Approved).await
        }
        Certificates::Reject(decided) => {
            let gateway = open(&decided.data, clock).await?;
            decide(&gateway, decided, Approval::Rejected).await
        }
    }
}

async fn open(data: &Data, clock: Arc<dyn Clock>) -> Result<Arc<Gateway>, Failure> {
    Ok(Gateway::open(&data.folder, GatewayParts::production(clock)).await?)
}

async fn list(gateway: &Gateway, data: &Data, state: Option<Approval>) -> Result<(), Failure> {
    let rows = harvest::list(gateway, state).await?;
    if data.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "mailbox": row.mailbox,
                    "fingerprint": row.fingerprint,
                    "state": row.state.0.to_string(),
                    "capabilities": row.capabilities,
                    "not_after": Timestamp::from_unix(row.not_after).to_string(),
                    "first_seen_at": Timestamp::from_unix(row.first_seen_at).to_string(),
                    "last_seen_at": Timestamp::from_unix(row.last_seen_at).to_string(),
                })
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else if rows.is_empty() {
        println!("There are no certificates.");
    } else {
        for row in rows {
            println!(
                "{}  {}  until {}  {}",
                row.mailbox,
                row.state.0,
                Timestamp::from_unix(row.not_after),
                row.fingerprint
            );
        }
    }
    Ok(())
}

async fn find(gateway: &Gateway, data: &Data, mailbox: &str) -> Result<(), Failure> {
    let mailbox = parse(mailbox)?;
    let usable = gateway.recipients.find(&mailbox, gateway.clock.now()).await;
    let usable = usable.map_err(|error| format!("{mailbox} cannot be encrypted to: {error}"))?;
    let subject = usable.certificate.tbs_certificate().subject().to_string();
    if data.json {
        println!(
            "{}",
            json!({
                "mailbox": mailbox.to_string(),
                "subject": subject,
                "serial": usable.serial,
                "not_after": usable.not_after.to_string(),
                "source": usable.source.to_string(),
            })
        );
    } else {
        println!(
            "{mailbox} is encrypted to with the certificate {} of {subject}, until {}, from {}.",
            usable.serial, usable.not_after, usable.source
        );
    }
    Ok(())
}

async fn add(gateway: &Gateway, data: &Data, file: &std::path::Path) -> Result<(), Failure> {
    let added = harvest::add_file(gateway, file).await?;
    if data.json {
        println!("{}", json!({ "mailboxes": added }));
    } else {
        println!("Mail to {} can be encrypted to this certificate.", added.join(", "));
    }
    Ok(())
}

async fn decide(gateway: &Gateway, decided: &Decided, state: Approval) -> Result<(), Failure> {
    let mailbox = parse(&decided.mailbox)?;
    let fingerprint = decided.fingerprint.to_ascii_lowercase();
    if harvest::decide(gateway, &mailbox, &fingerprint, state).await? == 0 {
        return Err(format!(
            "{mailbox} has no certificate {fingerprint}; `sealwright gateway certificates list` shows which there are"
        )
        .into());
    }
    if decided.data.json {
        println!(
            "{}",
            json!({ "mailbox": mailbox.to_string(), "fingerprint": fingerprint, "state": state.to_string() })
        );
    } else {
        println!("The certificate of {mailbox} is {state}.");
    }
    Ok(())
}

fn parse(text: &str) -> Result<Mailbox, Failure> {
    Mailbox::parse(text).map_err(|error| format!("{text}: {error}").into())
}
