//! `sealwright verify`: messages in, labels and the reasons for them out.

mod batch;
mod input;
mod mbox;
mod text;

use std::error::Error as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policies::label::printable;
use policies::time::{Clock, Timestamp};
use verifier::{Language, Status, Verdict, Vouches, badge};
use verifier_report::{InputProblem, Report, Verifier};

use self::input::{Source, Sources};

/// Arguments of `sealwright verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sealwright verify --trust root.pem message.eml
  sealwright verify --trust root.pem --crl issuing.crl --json message.eml
  cat message.eml | sealwright verify --trust root.pem --at 2026-11-21T12:00:00Z -
  sealwright verify --trust root.pem --badge badge.svg --content signed.txt message.eml
  sealwright verify --trust root.pem ~/Maildir archive.mbox letters/
  sealwright verify --trust root.pem --json ~/Maildir | jq 'select(.tier == \"V4\") | .file'
  sealwright verify --explain revoked
  sealwright verify --explain list

Several messages: each gets a line (with --json an object on a line of its own), and a summary \
ends the list. Of a folder its files *.eml and mbox files are read, and of a Maildir what is in \
new and cur, both with all folders below them.

Exit status: 0 signed and verified (with or without a tier), 1 anything less, 2 wrong usage or \
unreadable input. Of several messages the highest counts.")]
pub(crate) struct Arguments {
    /// A file of trusted root certificates (PEM or DER), which may vouch for every tier; may be repeated
    #[arg(long, value_name = "PEM")]
    trust: Vec<PathBuf>,
    /// A file of root certificates that are believed about addresses alone, so that no tier is shown; may be repeated
    #[arg(long, value_name = "PEM")]
    trust_signatures: Vec<PathBuf>,
    /// Certificates of authorities (PEM or DER) for senders who left them out; not trusted by that; may be repeated
    #[arg(long, value_name = "PEM")]
    intermediate: Vec<PathBuf>,
    /// A certificate revocation list (DER or PEM); may be repeated
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    /// An OCSP response (DER); may be repeated
    #[arg(long, value_name = "FILE")]
    ocsp: Vec<PathBuf>,
    /// Judge as of this time instead of now, such as 2026-11-21T12:00:00Z
    #[arg(long, value_name = "RFC3339")]
    at: Option<String>,
    /// Print one JSON object; for several messages one on each line
    #[arg(long)]
    json: bool,
    /// Write labels and explanations in this language: en or sv
    #[arg(long, value_name = "TAG", default_value = "en")]
    language: String,
    /// Write the badge of the message to this file
    #[arg(long, value_name = "SVG")]
    badge: Option<PathBuf>,
    /// Write what was signed (the MIME entity) to this file, if the signature is intact
    #[arg(long, value_name = "FILE")]
    content: Option<PathBuf>,
    /// Say what the code of a finding means, why it matters and what to do; `list` for all of them
    #[arg(long, value_name = "CODE", conflicts_with_all = ["paths", "badge", "content"])]
    explain: Option<String>,
    /// Messages, mbox files, folders and Maildirs, or - for standard input
    #[arg(value_name = "FILE|-", required_unless_present = "explain")]
    paths: Vec<PathBuf>,
}

/// Verifies what was given and prints what there is to say of it.
pub(crate) fn run(arguments: &Arguments, clock: &dyn Clock) -> ExitCode {
    match examine(arguments, clock) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sealwright verify: {}", printable(&error.to_string()));
            ExitCode::from(2)
        }
    }
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
    #[error("{} holds no certificate: {reason}; give those of authorities in PEM or DER", path.display())]
    InvalidIntermediate { path: PathBuf, reason: String },
    #[error("{} is not a certificate revocation list: {reason}; give one in DER or PEM", path.display())]
    InvalidCrl { path: PathBuf, reason: String },
    #[error("{} is not an OCSP response: {reason}; give one in DER", path.display())]
    InvalidOcsp { path: PathBuf, reason: String },
    #[error("--language {given:?} is not a language that is spoken here; write en or sv")]
    InvalidLanguage { given: String },
    #[error(
        "{given:?} is not the code of a finding; `sealwright verify --explain list` has them all{}",
        similar(given)
    )]
    UnknownCode { given: String },
    #[error("--badge and --content are for one message; {given} were given")]
    OneMessageOnly { given: &'static str },
    #[error("there is no message in {}; of a folder, files *.eml, mbox files and Maildirs are read", path.display())]
    NoMessage { path: PathBuf },
    #[error("cannot write {}: {source}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

fn examine(arguments: &Arguments, clock: &dyn Clock) -> Result<ExitCode, Unusable> {
    let language = arguments.language.parse().map_err(|_| Unusable::InvalidLanguage {
        given: arguments.language.clone(),
    })?;
    if let Some(code) = &arguments.explain {
        explain(code, language, arguments.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let at = match &arguments.at {
        Some(given) => Timestamp::parse_rfc3339(given).map_err(|_| Unusable::InvalidTime { given: given.clone() })?,
        None => clock.now(),
    };
    let mut verifier = set_up(arguments)?;
    let sources = Sources::of(&arguments.paths)?;
    if let Some(Source::Message(path)) = sources.only() {
        let message = read(path, MESSAGE_LIMIT)?;
        return one(&verifier.verify(&message, at), arguments, language);
    }
    if arguments.badge.is_some() || arguments.content.is_some() {
        return Err(Unusable::OneMessageOnly {
            given: "several, or a folder or mbox,",
        });
    }
    verifier.remember(REMEMBERED_LINKS);
    Ok(batch::run(&sources, &verifier, at, language, arguments.json)?)
}

fn set_up(arguments: &Arguments) -> Result<Verifier, Unusable> {
    let mut verifier = Verifier::new();
    let vouching = [
        (&arguments.trust, Vouches::Tiers),
        (&arguments.trust_signatures, Vouches::SignaturesOnly),
    ];
    for (paths, vouches) in vouching {
        for path in paths {
            let certificates = read(path, CERTIFICATE_FILE_LIMIT)?;
            verifier
                .trust(&certificates, vouches)
                .map_err(|problem| Unusable::InvalidTrust {
                    path: path.clone(),
                    reason: reason(&problem),
                })?;
        }
    }
    for path in &arguments.intermediate {
        let certificates = read(path, CERTIFICATE_FILE_LIMIT)?;
        verifier
            .add_intermediates(&certificates)
            .map_err(|problem| Unusable::InvalidIntermediate {
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
    for path in &arguments.ocsp {
        let response = read(path, OCSP_FILE_LIMIT)?;
        verifier
            .add_ocsp_response(&response)
            .map_err(|problem| Unusable::InvalidOcsp {
                path: path.clone(),
                reason: reason(&problem),
            })?;
    }
    Ok(verifier)
}

/// One message: all there is to say of it.
fn one(verdict: &Verdict, arguments: &Arguments, language: Language) -> Result<ExitCode, Unusable> {
    let write = |path: &Path, content: &[u8]| {
        std::fs::write(path, content).map_err(|source| Unusable::Unwritable {
            path: path.to_owned(),
            source,
        })
    };
    if let Some(path) = &arguments.badge {
        write(path, badge(verdict, language).as_bytes())?;
    }
    if let (Some(path), Some(content)) = (&arguments.content, verdict.verified_bytes()) {
        write(path, content)?;
    }
    let report = Report::in_language(verdict, language);
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        text::write(&mut out, verdict, &report, language)?;
    }
    Ok(exit_code(verdict.status()))
}

fn exit_code(status: Status) -> ExitCode {
    match status {
        Status::Tier | Status::Signed => ExitCode::SUCCESS,
        Status::NotVerified | Status::Broken | Status::NotSigned => ExitCode::from(1),
    }
}

/// What one code means, or all of them.
fn explain(code: &str, language: Language, json: bool) -> Result<(), Unusable> {
    let explanations: Vec<_> = if code == "list" {
        verifier::explanations(language).collect()
    } else {
        let explanation = verifier::explain(code, language);
        vec![explanation.ok_or_else(|| Unusable::UnknownCode { given: code.to_owned() })?]
    };
    let mut out = io::stdout().lock();
    if json {
        let rows: Vec<_> = explanations
            .iter()
            .map(|explanation| {
                serde_json::json!({
                    "code": explanation.code,
                    "severity": explanation.severity.as_ref(),
                    "meaning": explanation.meaning,
                    "importance": explanation.importance,
                    "advice": explanation.advice,
                })
            })
            .collect();
        serde_json::to_writer_pretty(&mut out, &rows).map_err(io::Error::from)?;
        writeln!(out)?;
    } else if let ([explanation], false) = (explanations.as_slice(), code == "list") {
        text::write_explanation(&mut out, explanation, language)?;
    } else {
        let width = explanations.iter().map(|one| one.code.len()).max().unwrap_or(0);
        for one in &explanations {
            writeln!(out, "{:width$}  {:7}  {}", one.code, one.severity.as_ref(), one.meaning)?;
        }
    }
    Ok(())
}

/// Codes that share a word with what was given, to be added to a sentence.
fn similar(given: &str) -> String {
    let words: Vec<&str> = given.split('-').filter(|word| word.len() > 2).collect();
    let close: Vec<&str> = verifier::explanations(Language::English)
        .map(|one| one.code)
        .filter(|code| words.iter().any(|word| code.split('-').any(|part| part == *word)))
        .take(5)
        .collect();
    if close.is_empty() {
        String::new()
    } else {
        format!(" (perhaps {})", close.join(", "))
    }
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

/// A bundle of every public mail root is some 300 kB.
const CERTIFICATE_FILE_LIMIT: u64 = 4 << 20;
/// A million revoked certificates make a CRL of some 40 MB.
const CRL_FILE_LIMIT: u64 = 128 << 20;
/// An answer about one certificate with that of its responder is some 3 kB.
const OCSP_FILE_LIMIT: u64 = 1 << 20;
/// Larger than any mail that providers accept (150 MB at most today).
const MESSAGE_LIMIT: u64 = 256 << 20;
/// More authorities than there are on public lists, at some fifty bytes each.
const REMEMBERED_LINKS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
