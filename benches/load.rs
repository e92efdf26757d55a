//! Messages per second through the gateway, in one run with what it is compared with: see `tests/e2e/load`.
//!
//! `scripts/bench-gateway` calls it; `--short` sends a few messages, to see whether it works. `--messages`,
//! `--rounds`, `--steady`, `--timed` and `--enrolments` take a number, for those who have less time or more.

#[path = "../tests/e2e/load/mod.rs"]
mod load;

use std::path::Path;
use std::process::ExitCode;

use load::{KEYS, Scale, run};

fn main() -> ExitCode {
    keys::tls::install_default_provider();
    let arguments: Vec<String> = std::env::args().collect();
    let mut scale = if arguments.iter().any(|argument| argument == "--short") {
        Scale::SHORT
    } else {
        Scale::FULL
    };
    for (name, value) in arguments.iter().zip(arguments.iter().skip(1)) {
        let wanted = match name.as_str() {
            "--messages" => &mut scale.messages,
            "--rounds" => &mut scale.rounds,
            "--steady" => &mut scale.steady,
            "--timed" => &mut scale.timed,
            "--enrolments" => &mut scale.enrolments,
            _ => continue,
        };
        let Ok(number) = value.parse() else {
            eprintln!("{name} needs a number");
            return ExitCode::from(2);
        };
        *wanted = number;
    }
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
