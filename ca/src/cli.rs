//! `sealwright ca …`: everything that is done on the machine of the data folder.
//!
//! Results go to standard output, as aligned text or with `--json` as JSON; everything else goes to standard error.
//! Exit status: 0 done, 1 refused or failed, 2 usage or an unreadable input.

mod account;
mod acme;
mod audit;
mod bench;
mod certificate;
mod crl;
mod directory;
mod doctor;
mod domain;
mod evidence;
mod init;
mod lint;
mod output;
mod perspective;
mod plan;
mod report;
mod roster;
mod serve;
mod token;
mod vp;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use policies::time::Clock;

use crate::accounts;
use crate::app::{App, AppParts};
use crate::error::{self, Error};
use crate::evidence_pack::PackError;
use crate::revocation::Reason;

pub use bench::Arguments as BenchArguments;
use output::Format;

/// The commands of the certificate authority.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new certificate authority: keys, root and issuing certificate, configuration
    #[command(after_help = init::EXAMPLES)]
    Init(init::Arguments),
    /// Serve the API, the confirmation pages, CRLs and certificates
    #[command(after_help = serve::EXAMPLES)]
    Serve(Data),
    /// List certificates
    #[command(after_help = certificate::LIST_EXAMPLES)]
    List(certificate::ListArguments),
    /// Show one certificate, with its chain in PEM
    Show {
        /// The serial number in hexadecimal, as `list` prints it
        serial: String,
        #[command(flatten)]
        data: Data,
    },
    /// Revoke a certificate and publish a new CRL
    #[command(after_help = certificate::REVOKE_EXAMPLES)]
    Revoke {
        /// The serial number in hexadecimal, as `list` prints it
        serial: String,
        /// Why: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn
        #[arg(long)]
        reason: Reason,
        #[command(flatten)]
        data: Data,
    },
    /// Accounts: whom certificates are issued to
    #[command(subcommand)]
    Account(account::Command),
    /// Domains: control shown in the DNS or on the website
    #[command(subcommand)]
    Domain(domain::Command),
    /// Perspectives: other networks from which domains are looked at
    #[command(subcommand)]
    Perspective(perspective::Command),
    /// Plans: what an account may have
    #[command(subcommand)]
    Plan(plan::Command),
    /// Rosters: the employees of an organization, from a CSV file
    #[command(subcommand)]
    Roster(roster::Command),
    /// ACME: keys for clients, what they have ordered, and the DNS records it needs
    #[command(subcommand)]
    Acme(acme::Command),
    /// Problem reports: what anybody says of a certificate, and what is due by when
    #[command(subcommand)]
    Report(report::Command),
    /// Vp: certificates from another authority, for mailboxes that are managed here
    #[command(subcommand)]
    Vp(vp::Command),
    /// Tokens: who may call the API
    #[command(subcommand)]
    Token(token::Command),
    /// The audit log
    #[command(subcommand)]
    Audit(audit::Command),
    /// The directory: certificates for those who encrypt
    #[command(subcommand)]
    Directory(directory::Command),
    /// Put together why a certificate was issued, in one file for an auditor
    #[command(after_help = evidence::EXAMPLES)]
    Evidence(evidence::Arguments),
    /// Check a file that `evidence` has made; needs no data folder
    #[command(after_help = evidence::CHECK_EXAMPLES)]
    CheckEvidence(evidence::CheckArguments),
    /// Publish new CRLs of each issuer now, the complete one and those of shards
    Crl(Data),
    /// Look at everything that has to work, and say what needs attention
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(Data),
    /// Measure signing, issuing, OCSP and CRLs on this machine; needs no data folder
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::Arguments),
    /// Check anybody's certificates against the S/MIME Baseline Requirements; needs no data folder
    #[command(after_help = lint::EXAMPLES)]
    Lint(lint::LintArguments),
}

/// Which certificate authority, and how to answer.
#[derive(Debug, Clone, Args)]
pub struct Data {
    /// The folder that `sealwright ca init` has made
    #[arg(long, value_name = "DIR", env = "SEALWRIGHT_CA_DATA")]
    data: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs a command to its end and says how it went.
pub fn run(command: Command, clock: Arc<dyn Clock>) -> ExitCode {
    let command = match command {
        Command::Lint(arguments) => return run_lint(&arguments, &*clock),
        Command::CheckEvidence(arguments) => return finish(evidence::check(&arguments), arguments.json),
        command => command,
    };
    let json = match &command {
        Command::Perspective(command) => command.json(),
        Command::Bench(arguments) => arguments.json,
        command => command.data().is_some_and(|data| data.json),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the program cannot start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    finish(runtime.block_on(execute(command, clock)), json)
}

/// Says why a command failed, and with which status that ends.
fn finish(outcome: Result<(), Failure>, json: bool) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure.to_string(), json);
            failure.exit_code()
        }
    }
}

enum Failure {
    Authority(Error),
    Output(io::Error),
    /// The doctor found so much broken.
    Broken(usize),
    /// The file is no evidence pack, or could not be written as one.
    Pack(PackError),
    /// So many checks of an evidence pack failed.
    Unproven(usize),
    /// What was to be found was not; the output says why.
    NotShown,
    /// Too few networks saw the same; the output says which.
    NotCorroborated,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Authority(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Self {
        Self::Pack(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Authority(error) => f.write_str(&error::chain(error)),
            Self::NotShown => f.write_str("the domain is not validated yet; see above"),
            Self::Pack(error) => write!(f, "{error}"),
            Self::Unproven(failed) => write!(
                f,
                "the evidence pack does not prove it: {failed} of the checks failed; see above"
            ),
            Self::NotCorroborated => f.write_str("too few perspectives agree; see above"),
            Self::Broken(broken) => write!(f, "broken: {broken}; see above"),
            Self::Output(error) => write!(f, "the output could not be written: {error}"),
        }
    }
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Authority(
                Error::InvalidInput { .. }
                | Error::Configuration { .. }
                | Error::NotInitialized { .. }
                | Error::NoPerspective { .. },
            ) => ExitCode::from(2),
            Self::Pack(PackError::Archive(_) | PackError::TooLarge | PackError::Twice { .. }) => ExitCode::from(2),
            Self::Authority(_)
            | Self::Output(_)
            | Self::Broken(_)
            | Self::NotShown
            | Self::NotCorroborated
            | Self::Pack(_)
            | Self::Unproven(_) => ExitCode::FAILURE,
        }
    }
}

impl Command {
    /// `None` for a command that needs no data folder.
    fn data(&self) -> Option<&Data> {
        Some(match self {
            Self::Lint(_) | Self::CheckEvidence(_) | Self::Bench(_) => return None,
            Self::Evidence(arguments) => &arguments.data,
            Self::Init(arguments) => &arguments.data,
            Self::List(arguments) => &arguments.data,
            Self::Acme(command) => command.data(),
            Self::Perspective(command) => return command.data(),
            Self::Plan(command) => command.data(),
            Self::Vp(command) => command.data(),
            Self::Roster(command) => command.data(),
            Self::Domain(command) => command.data(),
            Self::Account(command) => command.data(),
            Self::Token(command) => command.data(),
            Self::Report(command) => command.data(),
            Self::Audit(command) => command.data(),
            Self::Directory(command) => command.data(),
            Self::Serve(data)
            | Self::Crl(data)
            | Self::Doctor(data)
            | Self::Show { data, .. }
            | Self::Revoke { data, .. } => data,
        })
    }
}

async fn execute(command: Command, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let command = match command {
        Command::Perspective(remote) if remote.data().is_none() => {
            return perspective::run_remote(remote, AppParts::production(clock)).await;
        }
        Command::Bench(arguments) => return bench::run(arguments, clock).await,
        command => command,
    };
    let Some(data) = command.data() else {
        // Those without a data folder were run before there was a runtime.
        return Ok(());
    };
    let format = Format::new(data.json);
    let parts = AppParts::production(clock);
    if let Command::Init(arguments) = command {
        return init::run(arguments, parts, format).await;
    }
    let app = App::open(&data.data, parts).await?;
    let local = accounts::local_operator();
    match command {
        // Handled above, where there is no authority yet.
        Command::Init(_) | Command::Lint(_) | Command::CheckEvidence(_) | Command::Bench(_) => Ok(()),
        Command::Evidence(arguments) => evidence::run(&app, &local, arguments, format).await,
        Command::Serve(_) => serve::run(app, format).await,
        Command::List(arguments) => certificate::list(&app, arguments, format).await,
        Command::Show { serial, .. } => certificate::show(&app, &local, &serial, format).await,
        Command::Revoke { serial, reason, .. } => certificate::revoke(&app, &local, &serial, reason, format).await,
        Command::Account(command) => account::run(&app, &local, command, format).await,
        Command::Token(command) => token::run(&app, &local, command, format).await,
        Command::Report(command) => report::run(&app, &local, command, format).await,
        Command::Acme(command) => acme::run(&app, &local, command, format).await,
        Command::Perspective(command) => perspective::run(&app, command, format).await,
        Command::Vp(command) => vp::run(&app, &local, command, format).await,
        Command::Plan(command) => plan::run(&app, &local, command, format).await,
        Command::Roster(command) => roster::run(&app, &local, command, format).await,
        Command::Domain(command) => domain::run(&app, &local, command, format).await,
        Command::Audit(command) => audit::run(&app, command, format).await,
        Command::Directory(command) => directory::run(&app, command, format).await,
        Command::Doctor(_) => doctor::run(&app, format).await,
        Command::Crl(_) => crl::run(&app, format).await,
    }
}

fn run_lint(arguments: &lint::LintArguments, clock: &dyn Clock) -> ExitCode {
    match lint::run(arguments, Format::new(arguments.json), clock.now()) {
        Ok(lint::Outcome::Clean) => ExitCode::SUCCESS,
        Ok(lint::Outcome::Errors) => ExitCode::FAILURE,
        Err(lint::LintError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            report(&error.to_string(), arguments.json);
            ExitCode::from(2)
        }
    }
}

/// Says on standard error why a command failed.
fn report(text: &str, json: bool) {
    if json {
        eprintln!("{}", serde_json::json!({ "error": text }));
    } else {
        eprintln!("error: {text}");
    }
}

/// "1 token", "2 tokens".
fn counted(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        several => format!("{several} {what}s"),
    }
}

/// What takes a while says so, to people only.
fn progress(what: &str) {
    if io::stderr().is_terminal() {
        eprintln!("{what}");
    }
}

#[cfg(test)]
mod tests;
