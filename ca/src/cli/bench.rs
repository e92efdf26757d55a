//! `sealwright ca bench`: how fast this machine is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use policies::time::Clock;

use super::output::{self, Format, Table};
use super::{Failure, progress};
use crate::bench::{self, Plan, Report};

/// How much is measured.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where a new authority is made for the time of the run, on the disk that is measured
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// An empty PostgreSQL database, `postgres://…`; without one, SQLite in the folder
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// How many certificates are issued
    #[arg(long, default_value_t = 20_000, value_name = "NUMBER")]
    issuances: u64,
    /// How many orders are placed at the same time
    #[arg(long, default_value_t = 256, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=400))]
    concurrency: u16,
    /// How long OCSP is asked, each way; 0 leaves it out
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    ocsp: u64,
    /// How many revoked certificates stand on the list; 0 leaves it out
    #[arg(long, default_value_t = 100_000, value_name = "NUMBER")]
    revoked: u64,
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(arguments: Arguments, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let folder = arguments
        .folder
        .unwrap_or_else(|| std::env::temp_dir().join(format!("sealwright-bench-{}", std::process::id())));
    let existed = folder.exists();
    let plan = Plan {
        folder: folder.clone(),
        database: arguments.database,
        issuances: arguments.issuances.max(1),
        concurrency: usize::from(arguments.concurrency),
        ocsp: Duration::from_secs(arguments.ocsp),
        revoked: arguments.revoked,
    };
    let measured = bench::run(&plan, clock, |what| progress(&what)).await;
    // Only what was made here.
    if !existed && folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let report = measured?;
    match Format::new(arguments.json) {
        Format::Json => output::json(&report)?,
        Format::Text => print(&report)?,
    }
    Ok(())
}

fn print(report: &Report) -> std::io::Result<()> {
    let signing = &report.signing;
    let issuance = &report.issuance;
    let mut table = Table::new(&["WHAT", "FIGURE"]);
    let mut line = |what: &str, figure: String| table.row([what.to_owned(), figure]);
    line(
        "P-256 signatures alone",
        format!(
            "{:.0} a second on one thread, {:.0} on {} processors",
            signing.one_thread_per_second, signing.all_processors_per_second, report.processors
        ),
    );
    line(
        "Issuance",
        format!(
            "{:.0} a second durably in {} ({} certificates, {} at a time)",
            issuance.per_second, report.database, issuance.certificates, issuance.concurrency
        ),
    );
    line(
        "  processor time",
        format!("{:.0} µs each", issuance.processor_microseconds_each),
    );
    line(
        "  from order to certificate",
        format!(
            "median {:.0} ms, 99 of 100 within {:.0} ms",
            issuance.median_milliseconds, issuance.slowest_percent_milliseconds
        ),
    );
    for (step, microseconds) in &issuance.steps_microseconds {
        line(&format!("  step {step}"), format!("{microseconds:.0} µs"));
    }
    let memory: Vec<String> = issuance
        .memory_megabytes
        .iter()
        .map(|megabytes| format!("{megabytes:.0}"))
        .collect();
    line("  memory after each tenth", format!("{} MB", memory.join(" ")));
    if let Some(ocsp) = &report.ocsp {
        line(
            "OCSP, signed before",
            format!(
                "{:.0} a second over {} connections",
                ocsp.ready_per_second, ocsp.connections
            ),
        );
        line("OCSP, on demand", format!("{:.0} a second", ocsp.on_demand_per_second));
    }
    if let Some(crl) = &report.crl {
        line(
            "CRL",
            format!("{} entries, {} octets in {:.2} s", crl.entries, crl.octets, crl.seconds),
        );
        line(
            "  memory",
            format!(
                "{:.0} MB before, {:.0} MB at most",
                crl.memory_before_megabytes, crl.memory_peak_megabytes
            ),
        );
    }
    line(
        "Load of the machine",
        format!("{:.1} before, {:.1} after", report.load_before, report.load_after),
    );
    table.print()
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sealwright ca bench
  sealwright ca bench --folder /srv/fast-disk/bench --issuances 1000000 --revoked 1000000
  sealwright ca bench --database postgres://user@host/empty --json

A new authority is made and removed again; tables in a PostgreSQL database stay. Everything runs on this machine, the
clients too. Use a program that was built with `cargo build --release`.";
