//! `sealwright ca list`, `show` and `revoke`: certificates.

use std::io::{self, Write};
use std::sync::Arc;

use ca_api::{CertificateFilter, CertificateState};
use clap::Args;
use policies::key_use::KeyUse;
use policies::mailbox::Mailbox;
use policies::tier::Tier;

use super::output::{self, Format};
use super::{Data, Failure};
use crate::accounts::{self, Caller};
use crate::app::App;
use crate::certificates;
use crate::http::certificates_for_command_line as on_the_wire;
use crate::revocation::{self, Reason};

#[derive(Debug, Args)]
pub struct ListArguments {
    #[command(flatten)]
    pub(super) data: Data,
    /// Only those for this address
    #[arg(long)]
    mailbox: Option<Mailbox>,
    /// Only those in this state: recorded, valid, expired, revoked or abandoned
    #[arg(long)]
    state: Option<CertificateState>,
    /// Only those of this tier: V1, V2, V3 or V4
    #[arg(long)]
    tier: Option<Tier>,
    /// Only those for this use: sign, encrypt or both
    #[arg(long = "use", value_name = "USE")]
    key_use: Option<KeyUse>,
    /// Only those of this account
    #[arg(long)]
    account: Option<String>,
    /// Answer in CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

pub(super) async fn list(app: &App, arguments: ListArguments, format: Format) -> Result<(), Failure> {
    let local = accounts::local_operator();
    let mut filter = CertificateFilter {
        mailbox: arguments.mailbox,
        state: arguments.state,
        tier: arguments.tier,
        key_use: arguments.key_use,
        account: arguments.account,
        cursor: None,
    };
    let mut found = Vec::new();
    loop {
        let page = on_the_wire::page(app, &local, filter.clone()).await?;
        found.extend(page.certificates);
        match page.next_cursor {
            Some(cursor) => filter.cursor = Some(cursor),
            None => break,
        }
    }
    match arguments.csv {
        true => output::certificates_as_csv(&found)?,
        false => output::certificates(format, &found)?,
    }
    Ok(())
}

pub(super) async fn show(app: &App, local: &Caller, serial: &str, format: Format) -> Result<(), Failure> {
    let certificate = certificates::find(app, local, serial).await?;
    output::certificate(format, &on_the_wire::with_chain(app, certificate)?)?;
    Ok(())
}

pub(super) async fn revoke(
    app: &Arc<App>,
    local: &Caller,
    serial: &str,
    reason: Reason,
    format: Format,
) -> Result<(), Failure> {
    let certificate = revocation::revoke(app, local, serial, reason).await?;
    let certificate = on_the_wire::with_chain(app, certificate)?;
    match format {
        Format::Json => output::json(&certificate)?,
        Format::Text => writeln!(
            io::stdout(),
            "Revoked {serial} ({}) for the reason {}.",
            certificate.mailbox,
            certificate.revocation_reason.as_deref().unwrap_or("unspecified"),
        )?,
    }
    Ok(())
}

pub(super) const LIST_EXAMPLES: &str = "\
Examples:
  sealwright ca list --data ca
  sealwright ca list --data ca --mailbox alice@example.com --state valid --json
  sealwright ca list --data ca --account acc-… --tier V4 --csv > certificates.csv";
pub(super) const REVOKE_EXAMPLES: &str = "\
Examples:
  sealwright ca revoke --data ca 4f1c… --reason keyCompromise";
