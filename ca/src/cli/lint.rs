//! `sealwright ca lint`: what the lints say of anybody's certificates.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use der::Decode;
use policies::lint::{self, Finding, Severity};
use policies::time::Timestamp;
use serde_json::json;
use x509_cert::Certificate;

use super::output::{self, Format, Table};

#[derive(Debug, Args)]
pub struct LintArguments {
    /// Certificates in PEM or DER; a PEM file may hold several. `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Lints every certificate of every file. The worst that was found decides about the exit status.
pub(super) fn run(arguments: &LintArguments, format: Format, now: Timestamp) -> Result<Outcome, LintError> {
    let mut reports = Vec::new();
    for file in &arguments.files {
        for (number, der) in certificates(file, &read(file)?)?.into_iter().enumerate() {
            reports.push(Report::of(file, number + 1, &der, now)?);
        }
    }
    let errors = reports.iter().any(|report| report.count(Severity::Error) > 0);
    match format {
        Format::Json => output::json(&reports.iter().map(Report::json).collect::<Vec<_>>())?,
        Format::Text => io::stdout().lock().write_all(text(&reports).as_bytes())?,
    }
    Ok(if errors { Outcome::Errors } else { Outcome::Clean })
}

/// Whether a certificate has to be reissued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing worse than warnings and notices.
    Clean,
    Errors,
}

/// Why a file cannot be linted.
#[derive(Debug, thiserror::Error)]
pub(super) enum LintError {
    #[error("could not read {}: {source}", .file.display())]
    File {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} has more than {LARGEST_FILE} octets: split it", .file.display())]
    TooLarge { file: PathBuf },
    #[error("{} cannot be linted: {reason}", .file.display())]
    NoCertificate { file: PathBuf, reason: String },
    #[error("the output could not be written: {0}")]
    Output(#[from] io::Error),
}

/// What was found in one certificate.
#[derive(Debug)]
struct Report {
    file: PathBuf,
    /// Which certificate of the file, from 1.
    number: usize,
    subject: String,
    serial: String,
    findings: Vec<Finding>,
}

impl Report {
    fn of(file: &Path, number: usize, der: &[u8], now: Timestamp) -> Result<Self, LintError> {
        let unreadable = |reason: String| LintError::NoCertificate {
            file: file.to_owned(),
            reason: format!("certificate {number}: {reason}"),
        };
        let mut findings = lint::findings_of_certificate(der, now).map_err(|error| unreadable(error.to_string()))?;
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        // What the lints can read, but not this parser, is told by the findings.
        let certificate = Certificate::from_der(der).ok();
        let tbs = certificate.as_ref().map(Certificate::tbs_certificate);
        Ok(Self {
            file: file.to_owned(),
            number,
            subject: tbs.map_or_else(String::new, |tbs| printable(&tbs.subject().to_string())),
            serial: tbs.map_or_else(String::new, |tbs| {
                data_encoding::HEXLOWER.encode(tbs.serial_number().as_bytes())
            }),
            findings,
        })
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "file": self.file.to_string_lossy(),
            "certificate": self.number,
            "subject": self.subject,
            "serial": self.serial,
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "notices": self.count(Severity::Notice),
            "findings": self.findings.iter().map(|finding| json!({
                "severity": finding.severity.as_ref(),
                "lint": finding.lint,
                "section": finding.section,
                "detail": printable(&finding.detail),
            })).collect::<Vec<_>>(),
        })
    }
}

fn text(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        let [errors, warnings, notices] =
            [Severity::Error, Severity::Warning, Severity::Notice].map(|severity| report.count(severity));
        let verdict = match report.findings.len() {
            0 => "clean".to_owned(),
            _ => format!("errors: {errors}, warnings: {warnings}, notices: {notices}"),
        };
        text.push_str(&format!(
            "{} (certificate {}, {}): {verdict}\n",
            printable(&report.file.to_string_lossy()),
            report.number,
            if report.subject.is_empty() {
                "no subject"
            } else {
                &report.subject
            },
        ));
        let mut table = Table::new(&[]);
        for finding in &report.findings {
            table.row([
                format!("  {}", finding.severity),
                finding.lint.to_owned(),
                finding.section.to_owned(),
                printable(&finding.detail),
            ]);
        }
        text.push_str(&table.to_string());
    }
    text
}

/// A stranger's text must not move the cursor or turn the line around.
fn printable(text: &str) -> String {
    let dangerous = |character: char| {
        character.is_control()
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|character| if dangerous(character) { '\u{fffd}' } else { character })
        .collect()
}

fn read(file: &Path) -> Result<Vec<u8>, LintError> {
    let failed = |source| LintError::File {
        file: file.to_owned(),
        source,
    };
    let mut content = Vec::new();
    let limit = LARGEST_FILE + 1;
    if file == Path::new("-") {
        io::stdin()
            .lock()
            .take(limit)
            .read_to_end(&mut content)
            .map_err(failed)?;
    } else {
        let opened = std::fs::File::open(file).map_err(failed)?;
        opened.take(limit).read_to_end(&mut content).map_err(failed)?;
    }
    match u64::try_from(content.len()) {
        Ok(length) if length <= LARGEST_FILE => Ok(content),
        _ => Err(LintError::TooLarge { file: file.to_owned() }),
    }
}

/// The DER of every certificate in a file; text around the blocks of PEM is allowed (RFC 7468 section 2).
fn certificates(file: &Path, content: &[u8]) -> Result<Vec<Vec<u8>>, LintError> {
    let refuse = |reason: String| LintError::NoCertificate {
        file: file.to_owned(),
        reason,
    };
    // A DER certificate begins with SEQUENCE.
    if content.first() == Some(&0x30) {
        return Ok(vec![content.to_vec()]);
    }
    let text = String::from_utf8_lossy(content);
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines().map(str::trim) {
        match (&mut block, line) {
            (None, BEGIN) => block = Some(String::new()),
            (Some(base64), END) => {
                let number = found.len() + 1;
                let der = data_encoding::BASE64.decode(base64.as_bytes());
                found.push(der.map_err(|error| refuse(format!("certificate {number}: {error}")))?);
                block = None;
            }
            (Some(base64), line) => base64.push_str(line),
            (None, _) => {}
        }
    }
    match (block, found.is_empty()) {
        (Some(_), _) => Err(refuse(format!("a block has no line {END}"))),
        (None, true) => Err(refuse("there is no certificate in it, in PEM or in DER".to_owned())),
        (None, false) => Ok(found),
    }
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Thousands of certificates; one has a few KiB.
const LARGEST_FILE: u64 = 16 << 20;

pub(super) const EXAMPLES: &str = "\
Examples:
  sealwright ca lint alice.pem
  sealwright ca lint --json chain.pem issuing.cer | jq '.[].findings'

Exit status: 0 no errors, 1 errors, 2 a file that holds no certificate";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Database, START, World};

    fn read_back(content: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        certificates(Path::new("f"), content).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn pem_der_and_several_in_one_file_are_read() {
        let world = World::new(Database::Sqlite).await.unwrap();
        let [root, issuing] = world.app.issuers().all();
        assert_eq!(read_back(root.certificate_der()).unwrap(), [root.certificate_der()]);
        let both = format!(
            "subject=somebody\n{}\r\n{}",
            root.certificate_pem(),
            issuing.certificate_pem().replace('\n', "\r\n")
        );
        let found = read_back(both.as_bytes()).unwrap();
        assert_eq!(found, [root.certificate_der(), issuing.certificate_der()]);
        let file = Path::new("both.pem");
        let reports: Vec<Report> = found
            .iter()
            .enumerate()
            .map(|(number, der)| Report::of(file, number + 1, der, START).unwrap())
            .collect();
        let text = text(&reports);
        assert!(text.contains("both.pem (certificate 2, "), "{text}");
        assert_eq!(text.matches(": clean\n").count(), 2, "{text}");
    }

    #[test]
    fn files_without_a_certificate_are_refused_with_their_reason() {
        for (content, expected) in [
            (&b""[..], "there is no certificate"),
            (b"hello", "there is no certificate"),
            (b"\xff\xfe\x00", "there is no certificate"),
            (
                b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "there is no certificate",
            ),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "no line"),
            (
                b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
                "certificate 1",
            ),
        ] {
            let reason = read_back(content).unwrap_err();
            assert!(reason.contains(expected), "{reason:?} lacks {expected:?}");
        }
    }

    #[tokio::test]
    async fn damaged_certificates_are_refused_or_have_errors_and_never_panic() {
        let world = World::new(Database::Sqlite).await.unwrap();
        let der = world.app.issuers().issuing().certificate_der();
        for position in 0..der.len() {
            let mut damaged = der.to_vec();
            damaged[position] ^= 0x20;
            let _ = Report::of(Path::new("f"), 1, &damaged, START);
            let refusal = Report::of(Path::new("f"), 1, &der[..position], START).unwrap_err();
            assert!(refusal.to_string().contains("certificate 1"), "{refusal}");
        }
    }

    #[test]
    fn hostile_names_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c\n"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}");
        assert_eq!(printable("Zoë"), "Zoë");
    }
}
