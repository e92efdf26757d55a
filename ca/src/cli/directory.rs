//! `sealwright ca directory …`: certificates for those who encrypt.

use std::io::{self, Write};

use clap::{Subcommand, ValueEnum};

use super::output::{self, Format};
use super::{Data, Failure};
use crate::app::App;
use crate::directory;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the valid certificates of everybody, for a directory server or a DNS zone
    #[command(after_help = EXAMPLES)]
    Export {
        /// As what they are written
        #[arg(long, value_enum)]
        format: ExportFormat,
        /// Below which distinguished name the entries of an LDIF file are
        #[arg(long, default_value = "ou=people", value_name = "DN")]
        base: String,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ExportFormat {
    /// For LDAP servers (RFC 2849)
    Ldif,
    /// SMIMEA records for a zone that is signed with DNSSEC (RFC 8162)
    Smimea,
}

impl Command {
    pub(super) fn data(&self) -> &Data {
        match self {
            Self::Export { data, .. } => data,
        }
    }
}

pub(super) async fn run(app: &App, command: Command, format: Format) -> Result<(), Failure> {
    let Command::Export {
        format: wanted, base, ..
    } = command;
    let mut after = None;
    let mut texts = Vec::new();
    loop {
        let (found, next) = directory::page(app, after).await?;
        let page = found.iter().filter_map(|found| match wanted {
            ExportFormat::Ldif => Some(found.ldif(&base)),
            ExportFormat::Smimea => found.smimea(),
        });
        match format {
            Format::Json => texts.extend(page),
            Format::Text => {
                let mut stdout = io::stdout().lock();
                for text in page {
                    stdout.write_all(text.as_bytes())?;
                }
            }
        }
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    match format {
        Format::Json => output::json(&texts)?,
        Format::Text => {}
    }
    Ok(())
}

const EXAMPLES: &str = "\
Examples:
  sealwright ca directory export --data ca --format ldif --base ou=people,dc=example,dc=com > people.ldif
  sealwright ca directory export --data ca --format smimea >> example.com.zone

With --json the records come as a list of texts.";
