//! Messages per second through the gateway, in one run with what it is compared with: see `tests/e2e/load`.
//!
//! `scripts/bench-gateway` calls it; `--short` is what the test does, with the speed of a release build.

#[path = "../tests/e2e/load/mod.rs"]
mod load;

use std::path::Path;
use std::process::ExitCode;

use load::{KEYS, Scale, run};

fn main() -> ExitCode {
    keys::tls::install_default_provider();
    let scale = if std::env::args().any(|argument| argument == "--short") {
        Scale::SHORT
    } else {
        Scale::FULL
    };
    let tell = |what: &str| eprintln!("{what}");
    let Some(report) = run(env!("CARGO_BIN_EXE_sealwright"), scale, &tell) else {
        return ExitCode::FAILURE;
    };
    println!("{report}");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .unwrap_or(Path::new("target"));
    match report.write_estimates(target) {
        Ok(()) => {
            eprintln!(
                "{} kinds of key; now: scripts/plot-benchmarks load \"plain Postfix\"",
                KEYS.len()
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("the figures for the plot could not be written: {error}");
            ExitCode::FAILURE
        }
    }
}
