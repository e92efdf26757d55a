//! `sealwright ca bench` without the rest of the program:
//!
//! ```text
//! cargo bench -p ca --bench authority
//! cargo bench -p ca --bench authority -- --database postgres://user@host/empty
//! cargo bench -p ca --bench authority -- --issuances 1000000 --revoked 1000000 --json
//! ```

use std::process::ExitCode;
use std::sync::Arc;

use ca::cli::{self, BenchArguments};
use clap::Parser;
use policies::time::{Clock, Timestamp};

#[derive(Debug, Parser)]
struct Arguments {
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    #[command(flatten)]
    measured: BenchArguments,
}

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place of this program that reads the time"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp::from_unix(since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0)))
    }
}

fn main() -> ExitCode {
    keys::tls::install_default_provider();
    let arguments = Arguments::parse();
    cli::run(cli::Command::Bench(arguments.measured), Arc::new(SystemClock))
}
