//! `sealwright ca roster …`: the employees of an organization, from a CSV file.

use std::io::{self, Write};
use std::path::PathBuf;

use ca_api::{RosterRow, RowOutcome};
use clap::Subcommand;

use super::output::{self, Format, Table};
use super::{Data, Failure};
use crate::accounts::{self, Caller};
use crate::app::App;
use crate::error::Error;
use crate::validation::roster::{self, Import, LARGEST_ROSTER};

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Check a file row by row and hand it to the officers
    Import {
        /// The identifier of the organization's account
        #[arg(long)]
        account: String,
        /// CSV with the headings mailbox, given_name, surname and title
        file: PathBuf,
        /// Only report what would become of each row
        #[arg(long)]
        dry_run: bool,
        /// The file does not list everybody: remove nobody for being absent
        #[arg(long)]
        partial: bool,
        /// The organizationIdentifier, where the account has several organizations
        #[arg(long)]
        organization: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// List the newest rosters
    List(Data),
    /// Show a roster row by row
    Show {
        /// The identifier of the roster
        roster: String,
        #[command(flatten)]
        data: Data,
    },
}

impl Command {
    pub(super) fn data(&self) -> &Data {
        match self {
            Self::List(data) | Self::Import { data, .. } | Self::Show { data, .. } => data,
        }
    }
}

pub(super) async fn run(app: &App, local: &Caller, command: Command, format: Format) -> Result<(), Failure> {
    match command {
        Command::Import {
            account,
            file,
            dry_run,
            partial,
            organization,
            ..
        } => {
            let content = read(&file)?;
            let account = accounts::find_account(app, &account).await?;
            let import = Import {
                organization,
                partial,
                dry_run,
            };
            let report = roster::import(app, local, &account.id, &content, import).await?;
            let refused = report.count(RowOutcome::Refused);
            match format {
                Format::Json => output::json(&report)?,
                Format::Text => {
                    rows(&report.rows)?;
                    let outcomes: Vec<String> = RowOutcome::ALL
                        .iter()
                        .map(|outcome| (outcome, report.count(*outcome)))
                        .filter(|(_, count)| *count > 0)
                        .map(|(outcome, count)| format!("{count} {outcome}"))
                        .collect();
                    writeln!(io::stdout(), "\n{}", outcomes.join(", "))?;
                    match &report.id {
                        Some(id) => writeln!(io::stdout(), "Roster {id} waits for the decision of an officer.")?,
                        None => writeln!(io::stdout(), "Nothing was handed in.")?,
                    }
                }
            }
            if refused > 0 {
                return Err(Error::InvalidInput {
                    field: "roster",
                    reason: format!("{refused} of its rows are refused: correct them, nothing was handed in"),
                }
                .into());
            }
            Ok(())
        }
        Command::List(_) => {
            let rosters = roster::list(app, local).await?;
            if format == Format::Json {
                output::json(&rosters)?;
                return Ok(());
            }
            let mut table = Table::new(&["ID", "STATE", "ACCOUNT", "HANDED IN", "ORGANIZATION"]);
            for roster in rosters {
                table.row([
                    roster.id,
                    roster.state.to_string(),
                    roster.account,
                    roster.opened_at.to_string(),
                    roster.organization_identifier,
                ]);
            }
            table.print()?;
            Ok(())
        }
        Command::Show { roster, .. } => {
            let roster = roster::find(app, local, &roster).await?;
            if format == Format::Json {
                output::json(&roster)?;
                return Ok(());
            }
            rows(&roster.rows)?;
            writeln!(io::stdout(), "\nRoster {} is {}.", roster.id, roster.state)?;
            Ok(())
        }
    }
}

/// The file, if it is small enough to be one.
fn read(file: &PathBuf) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::File {
        action: "read",
        path: file.clone(),
        source,
    };
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    let mut content = Vec::new();
    let limit = u64::try_from(LARGEST_ROSTER).unwrap_or(u64::MAX).saturating_add(1);
    io::Read::read_to_end(&mut io::Read::take(opened, limit), &mut content).map_err(unreadable)?;
    Ok(content)
}

fn rows(rows: &[RosterRow]) -> io::Result<()> {
    let mut table = Table::new(&["LINE", "OUTCOME", "MAILBOX", "NAME", "TITLE", "REMARK"]);
    for row in rows {
        let name = [row.given_name.as_deref(), row.surname.as_deref()];
        let name: Vec<&str> = name.into_iter().flatten().collect();
        let remark = match &row.problem {
            Some(problem) => problem.clone(),
            None if row.certificates.is_empty() => String::new(),
            None => format!("revoke {}", row.certificates.join(", ")),
        };
        // What is refused may hold characters that a terminal obeys.
        let plain = |text: &str| text.chars().take(80).map(visible).collect::<String>();
        table.row([
            row.line.map_or_else(|| "-".to_owned(), |line| line.to_string()),
            row.outcome.to_string(),
            plain(&row.mailbox),
            plain(&name.join(" ")),
            plain(row.title.as_deref().unwrap_or_default()),
            plain(&remark),
        ]);
    }
    table.print()
}

/// Letters, digits, ASCII and nothing that acts.
fn visible(character: char) -> String {
    match character.is_alphanumeric() || character.is_ascii_graphic() || character == ' ' {
        true => character.to_string(),
        false => character.escape_unicode().to_string(),
    }
}

const EXAMPLES: &str = "\
Examples:
  sealwright ca roster import --data ca --account acc-… employees.csv --dry-run
  sealwright ca roster import --data ca --account acc-… employees.csv
  sealwright ca roster show --data ca ros-…";
