//! `sealwright ca audit …`: the audit log.

use std::io::{self, Write};

use clap::Subcommand;

use super::output::{self, Format};
use super::{Data, Failure, counted, progress};
use crate::app::App;
use crate::audit;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check every row and every signed checkpoint of the log
    Verify(Data),
}

impl Command {
    pub(super) fn data(&self) -> &Data {
        match self {
            Self::Verify(data) => data,
        }
    }
}

pub(super) async fn run(app: &App, command: Command, format: Format) -> Result<(), Failure> {
    match command {
        Command::Verify(_) => {
            progress("Checking the audit log …");
            let verified = audit::verify(app).await?;
            match format {
                Format::Json => output::json(&serde_json::json!({
                    "rows": verified.rows,
                    "checkpoints": verified.checkpoints,
                    "signed_up_to": verified.signed_up_to,
                }))?,
                Format::Text => writeln!(
                    io::stdout(),
                    "The audit log is whole: {} rows, signed up to row {} ({}).",
                    verified.rows,
                    verified.signed_up_to,
                    counted(verified.checkpoints, "checkpoint"),
                )?,
            }
            Ok(())
        }
    }
}
