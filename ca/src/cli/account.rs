//! `sealwright ca account …`: whom certificates are issued to.

use std::io::{self, Write};
use std::sync::Arc;

use ca_api::AccountKind;
use clap::Subcommand;

use super::output::{self, Format};
use super::{Data, Failure, counted, progress};
use crate::accounts::{self, AccountId, Caller};
use crate::app::App;
use crate::revocation::{self, Reason};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create an account
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// What people call it
        #[arg(long)]
        name: String,
        /// individual or organization
        #[arg(long, default_value = "organization")]
        kind: AccountKind,
        #[command(flatten)]
        data: Data,
    },
    /// List the accounts
    List(Data),
    /// Revoke every certificate that an account has, and publish one CRL
    #[command(after_help = REVOKE_ALL_EXAMPLES)]
    RevokeAll {
        /// The identifier of the account
        account: String,
        /// Why: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn
        #[arg(long)]
        reason: Reason,
        /// Only list what would be revoked
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: Data,
    },
}

impl Command {
    pub(super) fn data(&self) -> &Data {
        match self {
            Self::Create { data, .. } | Self::List(data) | Self::RevokeAll { data, .. } => data,
        }
    }
}

pub(super) async fn run(app: &Arc<App>, local: &Caller, command: Command, format: Format) -> Result<(), Failure> {
    let operator = local.as_operator("manage accounts")?;
    match command {
        Command::Create { name, kind, .. } => {
            let account = accounts::create_account(app, operator, &name, kind).await?;
            output::accounts(format, &[account])?;
            Ok(())
        }
        Command::List(_) => {
            output::accounts(format, &accounts::list_accounts(app, operator).await?)?;
            Ok(())
        }
        Command::RevokeAll {
            account,
            reason,
            dry_run,
            ..
        } => {
            let account = accounts::find_account(app, &account).await?;
            revoke_all(app, local, &account.id, reason, dry_run, format).await
        }
    }
}

async fn revoke_all(
    app: &Arc<App>,
    local: &Caller,
    account: &AccountId,
    reason: Reason,
    dry_run: bool,
    format: Format,
) -> Result<(), Failure> {
    let serials = match dry_run {
        true => revocation::revocable(app, local, account).await?,
        false => {
            let report = |done: usize, all: usize| {
                if done.is_multiple_of(PROGRESS_STEP) {
                    progress(&format!("Revoked {done} of {all} …"));
                }
            };
            revocation::revoke_all(app, local, account, reason, report).await?
        }
    };
    let count = u64::try_from(serials.len()).unwrap_or(u64::MAX);
    match format {
        Format::Json => output::json(&serde_json::json!({
            "account": account.as_ref(),
            "reason": reason.as_ref(),
            "dry_run": dry_run,
            "serials": serials,
        }))?,
        Format::Text => {
            let mut stdout = io::stdout().lock();
            for serial in &serials {
                writeln!(stdout, "{serial}")?;
            }
            let did = if dry_run { "Would revoke" } else { "Revoked" };
            writeln!(stdout, "{did} {} of {account}.", counted(count, "certificate"))?;
        }
    }
    Ok(())
}

const CREATE_EXAMPLES: &str = "\
Examples:
  sealwright ca account create --data ca --name \"Example AB\"
  sealwright ca account create --data ca --name \"Alice Example\" --kind individual";
const REVOKE_ALL_EXAMPLES: &str = "\
Examples:
  sealwright ca account revoke-all --data ca acc-… --reason cessationOfOperation --dry-run
  sealwright ca account revoke-all --data ca acc-… --reason cessationOfOperation";
const PROGRESS_STEP: usize = 100;
