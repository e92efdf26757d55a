//! `sealwright ca report …`: certificate problem reports and their deadlines.

use std::sync::Arc;

use clap::Subcommand;

use super::output::{self, Format, Table};
use super::{Data, Failure};
use crate::accounts::Caller;
use crate::app::App;
use crate::http::reports_for_command_line::on_the_wire;
use crate::problem_reports::{self, BY_COMMAND, Cause, NewReport, Outcome, Report};

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Enter a report that came by mail or telephone; its clocks run from now
    Add {
        /// The serial number of the certificate, in hexadecimal
        serial: String,
        /// What is wrong, such as key-compromise or misuse (BR 4.9.1.1)
        #[arg(long)]
        cause: Cause,
        /// What was said
        #[arg(long)]
        text: String,
        /// The mail address of whoever reported it
        #[arg(long, value_name = "ADDRESS")]
        contact: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// List what is due, the most urgent first
    List {
        /// Those that are closed as well
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Show one report
    Show {
        /// The identifier of the report
        report: String,
        #[command(flatten)]
        data: Data,
    },
    /// Give the preliminary report, which is mailed to the subscriber and the reporter (BR 4.9.5)
    Answer {
        /// The identifier of the report
        report: String,
        /// The cause that counts from here on
        #[arg(long)]
        cause: Cause,
        /// What was found
        #[arg(long)]
        findings: String,
        #[command(flatten)]
        data: Data,
    },
    /// End a report: revoke the certificate, or keep it since no cause was confirmed
    Close {
        /// The identifier of the report
        report: String,
        /// Revoke the certificate, with the reason that the cause has
        #[arg(long, conflicts_with = "keep", required_unless_present = "keep")]
        revoke: bool,
        /// Keep the certificate
        #[arg(long)]
        keep: bool,
        #[command(flatten)]
        data: Data,
    },
}

impl Command {
    pub(super) fn data(&self) -> &Data {
        match self {
            Self::Add { data, .. }
            | Self::List { data, .. }
            | Self::Show { data, .. }
            | Self::Answer { data, .. }
            | Self::Close { data, .. } => data,
        }
    }
}

pub(super) async fn run(app: &Arc<App>, local: &Caller, command: Command, format: Format) -> Result<(), Failure> {
    let report = match command {
        Command::List { all, .. } => {
            let reports = problem_reports::list(app, local, all).await?;
            return Ok(print_list(app, reports, format)?);
        }
        Command::Add {
            serial,
            cause,
            text,
            contact,
            ..
        } => {
            let report = NewReport {
                serial,
                cause,
                text,
                contact,
            };
            problem_reports::submit(app, report, BY_COMMAND).await?
        }
        Command::Show { report, .. } => problem_reports::find(app, local, &report).await?,
        Command::Answer {
            report,
            cause,
            findings,
            ..
        } => problem_reports::answer(app, local, &report, cause, &findings).await?,
        Command::Close { report, revoke, .. } => {
            let outcome = if revoke { Outcome::Revoke } else { Outcome::Keep };
            problem_reports::close(app, local, &report, outcome).await?
        }
    };
    Ok(print(app, report, format)?)
}

fn print_list(app: &App, reports: Vec<Report>, format: Format) -> std::io::Result<()> {
    let now = app.now();
    if format == Format::Json {
        let reports: Vec<_> = reports.into_iter().map(|report| on_the_wire(report, now)).collect();
        return output::json(&reports);
    }
    let mut table = Table::new(&["REPORT", "SERIAL", "CAUSE", "STATE", "DUE", "WHAT"]);
    for report in reports {
        let (due, what) = match report.next() {
            None => (String::new(), String::new()),
            Some((what, due)) if due <= now => (format!("{due} OVERDUE"), what.to_owned()),
            Some((what, due)) => (format!("{due} (in {})", due.since(now)), what.to_owned()),
        };
        let cause = format!("{} ({})", report.cause, report.cause.number());
        table.row([report.id, report.serial, cause, report.state.to_string(), due, what]);
    }
    table.print()
}

fn print(app: &App, report: Report, format: Format) -> std::io::Result<()> {
    let now = app.now();
    if format == Format::Json {
        return output::json(&on_the_wire(report, now));
    }
    let mut table = Table::new(&[]);
    let mut line = |name: &str, value: String| table.row([name.to_owned(), value]);
    line("Report", report.id.clone());
    line("Certificate", report.serial.clone());
    line(
        "Cause",
        format!("{}: BR 4.9.1.1 number {}", report.cause, report.cause.number()),
    );
    line("State", report.state.to_string());
    line("Received", format!("{} by {}", report.received_at, report.source));
    if let Some((what, due)) = report.next() {
        let left = match due <= now {
            true => "OVERDUE".to_owned(),
            false => format!("in {}", due.since(now)),
        };
        line("Due", format!("{what} by {due} ({left})"));
    }
    if let Some(contact) = &report.contact {
        line("Contact", contact.clone());
    }
    line("Text", report.text.replace('\n', " / "));
    if let Some(findings) = &report.findings {
        line("Findings", findings.replace('\n', " / "));
    }
    table.print()
}

const EXAMPLES: &str = "\
Examples:
  sealwright ca report list --data ca
  sealwright ca report add 4f2a… --cause key-compromise --text 'The key is on a paste site: https://…' --data ca
  sealwright ca report answer rep-… --cause key-compromise --findings 'We found the key there, too.' --data ca
  sealwright ca report close rep-… --revoke --data ca

Everybody reports by the form at API/report or with POST API/v1/reports, without a token.";
