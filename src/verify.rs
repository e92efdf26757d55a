//! `sealwright verify`: a message file in, the label and the reasons for it out.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policies::time::{Clock, Timestamp};
use serde::Serialize;
use verifier::{Material, Policy, Status, TrustStore, Verdict, Vouches};

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
                report.print_json()
            } else {
                report.print_text()
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
    let mut trust = TrustStore::new();
    for path in &arguments.trust {
        let invalid = |reason: String| Unusable::InvalidTrust {
            path: path.clone(),
            reason,
        };
        for certificate in ders(&read(path, CERTIFICATE_FILE_LIMIT)?, "CERTIFICATE").map_err(invalid)? {
            trust = trust
                .add(&certificate, Vouches::Tiers)
                .map_err(|error| invalid(error.to_string()))?;
        }
    }
    let mut crls = Vec::new();
    for path in &arguments.crl {
        let invalid = |reason: String| Unusable::InvalidCrl {
            path: path.clone(),
            reason,
        };
        for crl in ders(&read(path, CRL_FILE_LIMIT)?, "X509 CRL").map_err(invalid)? {
            verifier::check_crl(&crl).map_err(|problem| invalid(problem.detail().to_owned()))?;
            crls.push(crl);
        }
    }
    let message = read(&arguments.file, MESSAGE_LIMIT)?;
    Ok(verifier::verify(
        &message,
        &trust,
        &Material {
            intermediates: Vec::new(),
            crls,
        },
        at,
        &Policy::default(),
    ))
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

/// The DER structures of a file that is DER itself, or PEM with blocks of this `label`.
fn ders(content: &[u8], label: &str) -> Result<Vec<Vec<u8>>, String> {
    // A DER certificate or CRL is a SEQUENCE.
    if content.first() == Some(&0x30) {
        return Ok(vec![content.to_vec()]);
    }
    let text = std::str::from_utf8(content).map_err(|_| "it is neither PEM nor DER".to_owned())?;
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(&begin) {
        let body = &rest[start + begin.len()..];
        let stop = body.find(&end).ok_or_else(|| format!("a block has no line {end:?}"))?;
        let base64: String = body[..stop].split_ascii_whitespace().collect();
        found.push(
            data_encoding::BASE64
                .decode(base64.as_bytes())
                .map_err(|error| format!("a block is not base64 ({error})"))?,
        );
        rest = &body[stop + end.len()..];
    }
    if found.is_empty() {
        return Err(format!("it has no line {begin:?}"));
    }
    Ok(found)
}

/// The stable JSON surface of a verdict.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    status: String,
    tier: Option<String>,
    label: String,
    from: Option<String>,
    signer: Option<ReportedSigner>,
    integrity: String,
    path: String,
    identity: String,
    revocation: String,
    findings: Vec<ReportedFinding>,
    /// The signer's certificate in PEM.
    certificate: Option<String>,
}

#[derive(Debug, Serialize)]
struct ReportedSigner {
    address: String,
    name: Option<String>,
    organization: Option<String>,
    title: Option<String>,
}

#[derive(Debug, Serialize)]
struct ReportedFinding {
    code: &'static str,
    severity: String,
    detail: String,
}

impl Report {
    /// What `verdict` says, in the words of the JSON surface.
    pub(crate) fn of(verdict: &Verdict) -> Self {
        Self {
            status: verdict.status().as_ref().to_owned(),
            tier: verdict.tier().map(|tier| tier.to_string()),
            label: verdict.label(),
            from: verdict.from().map(str::to_owned),
            signer: verdict.signer().map(|signer| ReportedSigner {
                address: signer.address.clone(),
                name: signer.name.clone(),
                organization: signer.organization.clone(),
                title: signer.title.clone(),
            }),
            integrity: verdict.integrity().as_ref().to_owned(),
            path: verdict.path().as_ref().to_owned(),
            identity: verdict.identity().as_ref().to_owned(),
            revocation: verdict.revocation().as_ref().to_owned(),
            findings: verdict
                .findings()
                .iter()
                .map(|finding| ReportedFinding {
                    code: finding.code,
                    severity: finding.severity.as_ref().to_owned(),
                    detail: finding.detail.clone(),
                })
                .collect(),
            certificate: verdict.certificate().map(pem),
        }
    }

    fn print_json(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, self)?;
        writeln!(out)
    }

    fn print_text(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", self.label)?;
        if let Some(from) = &self.from {
            writeln!(out, "  from        {from}")?;
        }
        if let Some(signer) = &self.signer {
            let named = [&signer.name, &signer.title, &signer.organization]
                .into_iter()
                .flatten()
                .chain([&signer.address]);
            let named: Vec<&str> = named.map(String::as_str).collect();
            writeln!(out, "  signed by   {}", named.join(", "))?;
        }
        writeln!(out, "  integrity   {}", self.integrity)?;
        writeln!(out, "  path        {}", self.path)?;
        writeln!(out, "  identity    {}", self.identity)?;
        writeln!(out, "  revocation  {}", self.revocation)?;
        for finding in &self.findings {
            writeln!(out, "  {}: {} [{}]", finding.severity, finding.detail, finding.code)?;
        }
        Ok(())
    }
}

fn pem(der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so any index is a character boundary.
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// A bundle of every public mail root is some 300 kB.
const CERTIFICATE_FILE_LIMIT: u64 = 4 << 20;
/// A million revoked certificates make a CRL of some 40 MB.
const CRL_FILE_LIMIT: u64 = 128 << 20;
/// Larger than any mail that providers accept (150 MB at most today).
const MESSAGE_LIMIT: u64 = 256 << 20;
