//! The one executable: a certificate authority, a signing gateway and a verifier for e-mail.

mod clock;
mod quickstart;
mod thunderbird;
mod verify;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use crate::clock::SystemClock;

#[derive(Debug, Parser)]
#[command(
    name = "sealwright",
    version,
    about = "Validated identity for e-mail: a certificate authority, a signing gateway and a verifier"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try everything on this machine: validate four senders, sign mail of every kind, label what arrives
    Quickstart(quickstart::Arguments),
    /// Verify a signed message and print the sender's validated tier
    Verify(verify::Arguments),
    /// The certificate authority: init, serve, list, show, revoke, …
    #[command(subcommand)]
    Ca(ca::cli::Command),
    /// The signing gateway: init, serve, …
    #[command(subcommand)]
    Gateway(signer_service::cli::Command),
    /// The add-on that shows labels in Thunderbird: install, status, uninstall
    #[command(subcommand)]
    Thunderbird(thunderbird::Command),
    /// What the add-on asks; started by Thunderbird
    #[command(hide = true)]
    ThunderbirdHost(thunderbird::host::Arguments),
    /// Print a completion script for a shell, such as: sealwright completions bash > /etc/bash_completion.d/sealwright
    Completions { shell: Shell },
}

fn main() -> ExitCode {
    keys::tls::install_default_provider();
    log_to_standard_error();
    let clock = Arc::new(SystemClock);
    match Cli::parse().command {
        Command::Quickstart(arguments) => quickstart::run(arguments, clock),
        Command::Verify(arguments) => verify::run(&arguments, &*clock),
        Command::Ca(command) => ca::cli::run(command, clock),
        Command::Gateway(command) => signer_service::cli::run(command, clock),
        Command::Thunderbird(command) => thunderbird::run(command),
        Command::ThunderbirdHost(arguments) => thunderbird::host::run(&arguments, &*clock),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "sealwright", &mut io::stdout());
            ExitCode::SUCCESS
        }
    }
}

/// Warnings and errors, or what the environment variable `SEALWRIGHT_LOG` asks for, such as `info` or `ca=debug,smtp=info`;
/// as JSON with `SEALWRIGHT_LOG_FORMAT=json`.
fn log_to_standard_error() {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .with_env_var("SEALWRIGHT_LOG")
        .from_env_lossy();
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_env_filter(filter);
    if std::env::var_os("SEALWRIGHT_LOG_FORMAT").is_some_and(|format| format == "json") {
        log.json().init();
    } else {
        log.init();
    }
}
