//! `sealwright ca perspective …`: other networks from which domains are looked at.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use policies::mailbox::Domain;
use policies::perspective::Registry;

use super::output::{self, Format, Table};
use super::{Data, Failure, serve};
use crate::app::{App, AppParts};
use crate::caa;
use crate::perspectives::service;
use crate::perspectives::settings::{self, NewPerspective, Settings};

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Make the folder of a remote perspective, on the machine that will look: token, TLS certificate, perspective.toml
    Init(Init),
    /// Look where the authority asks to, and answer with what is there
    Serve(Folder),
    /// Have all perspectives of an authority look up the CAA records of a domain, and compare; nothing is recorded
    Ask {
        /// The domain, such as example.com
        domain: Domain,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Debug, Args)]
pub struct Init {
    #[command(flatten)]
    folder: Folder,
    /// How the perspective calls itself: a to z, 0 to 9 and hyphens
    #[arg(long)]
    name: String,
    /// In whose service region it is: afrinic, apnic, arin, lacnic or ripe
    #[arg(long)]
    registry: Registry,
    /// How the authority reaches it: a host name or an address
    #[arg(long)]
    host: String,
    /// Where it is on the Internet, in words, such as "AS64500, Example Hosting"; it goes into the authority's records
    #[arg(long, default_value = "")]
    network: String,
    /// Where it listens (HTTPS)
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8441")]
    listen: SocketAddr,
}

/// Which perspective, and how to answer.
#[derive(Debug, Clone, Args)]
pub struct Folder {
    /// The folder of the perspective
    #[arg(long, value_name = "DIR", env = "SEALWRIGHT_PERSPECTIVE_DATA")]
    data: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    /// The folder of the authority; `None` for commands of the remote side.
    pub(super) fn data(&self) -> Option<&Data> {
        match self {
            Self::Ask { data, .. } => Some(data),
            Self::Init(_) | Self::Serve(_) => None,
        }
    }

    pub(super) fn json(&self) -> bool {
        match self {
            Self::Ask { data, .. } => data.json,
            Self::Init(init) => init.folder.json,
            Self::Serve(folder) => folder.json,
        }
    }
}

/// What needs no authority here.
pub(super) async fn run_remote(command: Command, mut parts: AppParts) -> Result<(), Failure> {
    let format = Format::new(command.json());
    match command {
        Command::Ask { .. } => Ok(()),
        Command::Init(init) => {
            let new = NewPerspective {
                folder: init.folder.data,
                name: init.name,
                registry: init.registry,
                network: init.network,
                listen: init.listen,
                host: init.host,
            };
            let made = settings::make(&new, &mut *parts.rng, parts.clock.now())?;
            match format {
                Format::Json => output::json(&serde_json::json!({
                    "folder": made.folder,
                    "token_file": made.token_file,
                    "certificate_file": made.certificate_file,
                    "section": made.section,
                }))?,
                Format::Text => {
                    eprintln!(
                        "Made the perspective {:?} in {}.\n\nCarry {} and {} to the authority, over a safe way: who has \
                         the token can speak for this perspective.\nThen write into the authority's ca.toml:\n",
                        new.name,
                        made.folder.display(),
                        made.token_file.display(),
                        made.certificate_file.display(),
                    );
                    write!(io::stdout(), "{}", made.section)?;
                    eprintln!(
                        "\nNext: sealwright ca perspective serve --data {}",
                        made.folder.display()
                    );
                }
            }
            Ok(())
        }
        Command::Serve(folder) => {
            let settings = Settings::load(&folder.data)?;
            let name = settings.name.clone();
            let trust = settings.tls.is_none().then(|| settings.folder.join("tls.pem"));
            let running = service::start(settings, parts.clock).await?;
            let address = running.address();
            match format {
                Format::Json => output::json(&serde_json::json!({
                    "perspective": name,
                    "address": address.to_string(),
                    "tls_root": trust,
                }))?,
                Format::Text => {
                    let mut table = Table::new(&[]);
                    table.row(["Perspective".to_owned(), name]);
                    table.row(["Questions (HTTPS)".to_owned(), address.to_string()]);
                    if let Some(trust) = trust {
                        table.row(["  trust".to_owned(), trust.display().to_string()]);
                    }
                    table.print()?;
                    eprintln!("Stop with Ctrl-C.");
                }
            }
            serve::stop_signal().await?;
            eprintln!("Stopping: letting requests finish …");
            running.shutdown().await;
            Ok(())
        }
    }
}

pub(super) async fn run(app: &Arc<App>, command: Command, format: Format) -> Result<(), Failure> {
    let Command::Ask { domain, .. } = command else {
        // Those of the remote side were run before.
        return Ok(());
    };
    let rehearsal = caa::rehearse(app, &domain).await;
    match format {
        Format::Json => output::json(&serde_json::json!({
            "domain": domain.as_ref(),
            "here": rehearsal.here.as_ref().unwrap_or_else(|refused| refused),
            "permitted_here": rehearsal.here.is_ok(),
            "corroborated": rehearsal.elsewhere.is_ok(),
            "missing": rehearsal.elsewhere.as_ref().err(),
            "corroboration": rehearsal.report.as_ref().map(crate::perspectives::Report::details),
        }))?,
        Format::Text => {
            let mut table = Table::new(&["PERSPECTIVE", "REGISTRY", "AGREES", "SAW"]);
            let saw = rehearsal.here.clone().unwrap_or_else(|refused| refused);
            table.row(["(here)".to_owned(), String::new(), String::new(), saw]);
            for [perspective, registry, agrees, saw] in
                rehearsal.report.iter().flat_map(crate::perspectives::Report::lines)
            {
                table.row([perspective, registry, agrees, saw]);
            }
            table.print()?;
            match (&rehearsal.elsewhere, &rehearsal.report) {
                (Ok(()), None) => eprintln!("Nobody else is asked: ca.toml has no [[perspective]]."),
                (Ok(()), Some(report)) => eprintln!("Corroborated: {report} agree."),
                (Err(missing), _) => eprintln!("Not corroborated: {missing}."),
            }
        }
    }
    match rehearsal.elsewhere {
        Ok(()) => Ok(()),
        Err(_) => Err(Failure::NotCorroborated),
    }
}

const EXAMPLES: &str = "\
Examples:
  on a machine in another part of the world:
    sealwright ca perspective init --data perspective --name iad --registry arin --host iad.pki.example.com
    sealwright ca perspective serve --data perspective
  at the authority, with the section that init printed in ca.toml:
    sealwright ca doctor --data ca
    sealwright ca perspective ask example.com --data ca

Exit status of ask: 0 enough perspectives agree, 1 they do not.";
