//! `sealwright ca audit …`: the audit log.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::output::{self, Format};
use super::{Data, Failure, counted, progress};
use crate::app::App;
use crate::audit::{self, TreeHead};
use crate::error::Error;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check every row and every signed checkpoint of the log
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArguments),
    /// Sign the log as it is now, and print the checkpoint: keep it where nobody who runs this machine can change it
    #[command(after_help = CHECKPOINT_EXAMPLES)]
    Checkpoint(Data),
    /// Prove that one row is in the log, to somebody who has a checkpoint and not the log
    #[command(after_help = PROOF_EXAMPLES)]
    Proof {
        /// The sequence number of the row
        row: i64,
        #[command(flatten)]
        data: Data,
    },
    /// Print the public key that checkpoints are checked with, as one line for tools of transparency logs
    Key(Data),
}

#[derive(Debug, Args)]
pub struct VerifyArguments {
    #[command(flatten)]
    data: Data,
    /// A checkpoint that was kept elsewhere: the log must still begin with what it had then
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

impl Command {
    pub(super) fn data(&self) -> &Data {
        match self {
            Self::Verify(arguments) => &arguments.data,
            Self::Checkpoint(data) | Self::Key(data) | Self::Proof { data, .. } => data,
        }
    }
}

pub(super) async fn run(app: &App, command: Command, format: Format) -> Result<(), Failure> {
    match command {
        Command::Verify(arguments) => verify(app, arguments.against.as_deref(), format).await,
        Command::Checkpoint(_) => {
            let note = audit::newest_note(app).await?.unwrap_or_default();
            let head = audit::public_key(app)?.open(&note)?;
            print(
                format,
                &serde_json::json!({ "origin": head.origin, "size": head.size, "root": head.root(), "note": note }),
                &note,
            )
        }
        Command::Proof { row, .. } => {
            let proof = audit::prove(app, row).await?;
            print(format, &serde_json::json!({ "row": row, "proof": proof }), &proof)
        }
        Command::Key(_) => {
            let key = audit::public_key(app)?;
            let line = key.verifier_key(&audit::origin(app));
            print(
                format,
                &serde_json::json!({ "verifier_key": line, "pem": key.pem() }),
                &format!("{line}\n"),
            )
        }
    }
}

async fn verify(app: &App, against: Option<&Path>, format: Format) -> Result<(), Failure> {
    let kept = against.map(|path| kept_checkpoint(app, path)).transpose()?;
    progress("Checking the audit log …");
    let verified = match &kept {
        None => audit::verify(app).await?,
        Some(kept) => audit::verify_against(app, kept).await?,
    };
    if format == Format::Json {
        output::json(&serde_json::json!({
            "rows": verified.rows,
            "checkpoints": verified.checkpoints,
            "signed_up_to": verified.signed_up_to,
            "begins_with": kept.map(|kept| kept.size),
        }))?;
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    writeln!(
        stdout,
        "The audit log is whole: {}, signed up to row {} ({}).",
        counted(verified.rows, "row"),
        verified.signed_up_to,
        counted(verified.checkpoints, "checkpoint"),
    )?;
    if let Some(kept) = kept {
        writeln!(
            stdout,
            "It begins with the {} of the kept checkpoint.",
            counted(kept.size, "row")
        )?;
    }
    Ok(())
}

/// Reads a checkpoint that `checkpoint` printed some time ago.
fn kept_checkpoint(app: &App, path: &Path) -> Result<TreeHead, Error> {
    let note = std::fs::read_to_string(path).map_err(|source| Error::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    audit::public_key(app)?.open(&note)
}

fn print(format: Format, json: &serde_json::Value, text: &str) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(json)?,
        Format::Text => write!(io::stdout(), "{text}")?,
    }
    Ok(())
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  sealwright ca audit verify --data ca
  sealwright ca audit verify --data ca --against /media/safe/2026-11-28.checkpoint";
const CHECKPOINT_EXAMPLES: &str = "\
Examples:
  sealwright ca audit checkpoint --data ca > /media/safe/2026-11-28.checkpoint";
const PROOF_EXAMPLES: &str = "\
Examples:
  sealwright ca audit proof 17 --data ca > 17.tlog-proof";
