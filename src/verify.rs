//! `sealwright verify`: a message file in, the label and the reasons for it out.

use std::error::Error as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policies::time::{Clock, Timestamp};
use verifier::{Status, Verdict, Vouches};
use verifier_report::{InputProblem, Report, Verifier};

/// Arguments of `sealwright verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sealwright verify --trust root.pem message.eml
  sealwright verify --trust root.pem --crl issuing.crl --json message.eml
  cat message.eml | sealwright verify --trust root.pem --at 2026-11-21T12:00:00Z -

Exit status: 0 signed and verified (with or without a tier), 1 anything less, 2 wrong usage or unreadable input.")]
pub(crate) struct Arguments {
    /// A file of trusted root certificates (PEM or DER), which may vouch for every tier; may be repeated
    #[arg(long, value_name = "PEM")]
    trust: Vec<PathBuf>,
    /// A certificate revocation list (DER or PEM); may be repeated
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    /// Judge as of this time instead of now, such as 2026-11-21T12:00:00Z
    #[arg(long, value_name = "RFC3339")]
    at: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The message, or - for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
}

/// Verifies one message and prints what there is to say of it.
pub(crate) fn run(arguments: &Arguments, clock: &dyn Clock) -> ExitCode {
    match verdict(arguments, clock) {
        Ok(verdict) => {
            let report = Report::of(&verdict);
            let printed = if arguments.json {
                print_json(&report)
            } else {
                print_text(&report)
            };
            match (printed, verdict.status()) {
                (Err(error), _) => unusable(&Unusable::Output(error)),
                (Ok(()), Status::Tier | Status::Signed) => ExitCode::SUCCESS,
                (Ok(()), _) => ExitCode::from(1),
            }
        }
        Err(error) => unusable(&error),
    }
}

fn unusable(error: &Unusable) -> ExitCode {
    eprintln!("sealwright verify: {error}");
    ExitCode::from(2)
}

/// Why there is no verdict at all.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("cannot read {}: {source}; give the path of a readable file, or - for standard input", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is larger than {limit} bytes, the most that is read; verify it in a mail client instead", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("--at {given:?} is not a time; write it like 2026-11-21T12:00:00Z")]
    InvalidTime { given: String },
    #[error("{} holds no certificate that can be trusted: {reason}; give a root certificate in PEM or DER", path.display())]
    InvalidTrust { path: PathBuf, reason: String },
    #[error("{} is not a certificate revocation list: {reason}; give one in DER or PEM", path.display())]
    InvalidCrl { path: PathBuf, reason: String },
    #[error("cannot write the result: {0}")]
    Output(io::Error),
}

fn verdict(arguments: &Arguments, clock: &dyn Clock) -> Result<Verdict, Unusable> {
    let at = match &arguments.at {
        Some(given) => Timestamp::parse_rfc3339(given).map_err(|_| Unusable::InvalidTime { given: given.clone() })?,
        None => clock.now(),
    };
    let mut verifier = Verifier::new();
    for path in &arguments.trust {
        let certificates = read(path, CERTIFICATE_FILE_LIMIT)?;
        verifier
            .trust(&certificates, Vouches::Tiers)
            .map_err(|problem| Unusable::InvalidTrust {
                path: path.clone(),
                reason: reason(&problem),
            })?;
    }
    for path in &arguments.crl {
        let lists = read(path, CRL_FILE_LIMIT)?;
        verifier.add_crls(&lists).map_err(|problem| Unusable::InvalidCrl {
            path: path.clone(),
            reason: reason(&problem),
        })?;
    }
    let message = read(&arguments.file, MESSAGE_LIMIT)?;
    Ok(verifier.verify(&message, at))
}

/// The cause alone: what was being looked for is said by [`Unusable`].
fn reason(problem: &InputProblem) -> String {
    problem
        .source()
        .map_or_else(|| problem.to_string(), ToString::to_string)
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Unusable> {
    let unreadable = |source| Unusable::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut content = Vec::new();
    // One byte more than allowed tells a file at the limit from one beyond it.
    let length = if path == Path::new("-") {
        io::stdin().lock().take(limit + 1).read_to_end(&mut content)
    } else {
        File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut content))
    }
    .map_err(unreadable)?;
    if u64::try_from(length).is_ok_and(|length| length > limit) {
        return Err(Unusable::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(content)
}

fn print_json(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, report)?;
    writeln!(out)
}

fn print_text(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", report.label)?;
    if let Some(from) = &report.from {
        writeln!(out, "  from        {from}")?;
    }
    if let Some(signer) = &report.signer {
        let named = [&signer.name, &signer.title, &signer.organization]
            .into_iter()
            .flatten()
            .chain([&signer.address]);
        let named: Vec<&str> = named.map(String::as_str).collect();
        writeln!(out, "  signed by   {}", named.join(", "))?;
    }
    writeln!(out, "  integrity   {}", report.integrity)?;
    writeln!(out, "  path        {}", report.path)?;
    writeln!(out, "  identity    {}", report.identity)?;
    writeln!(out, "  revocation  {}", report.revocation)?;
    for finding in &report.findings {
        writeln!(out, "  {}: {} [{}]", finding.severity, finding.detail, finding.code)?;
    }
    Ok(())
}
/// A bundle of every public mail root is some 300 kB.
const CERTIFICATE_FILE_LIMIT: u64 = 4 << 20;
/// A million revoked certificates make a CRL of some 40 MB.
const CRL_FILE_LIMIT: u64 = 128 << 20;
/// Larger than any mail that providers accept (150 MB at most today).
const MESSAGE_LIMIT: u64 = 256 << 20;
