//! Another linter in the path: what ours has found good must be good to it too, before anything is recorded or signed.
//!
//! Linters read certificates, not what is about to become one: they are shown a draft whose signature is no signature of
//! anybody, so that nothing that leaves this function is a certificate.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::process::{Command, Stdio};

use const_oid::db::rfc5912;
use der::asn1::{Any, BitString};
use der::{Decode, Encode, Tag};
use policies::lint::Linted;
use spki::AlgorithmIdentifierOwned;
use wait_timeout::ChildExt;
use x509_cert::certificate::TbsCertificate;

use crate::config::ExternalLinter;
use crate::error::Error;
use crate::issuers;

/// Runs the linter on what is about to be recorded. Blocks until it has ended.
///
/// It agrees when it ends with status 0. Another status with words on standard output is a finding.
///
/// # Errors
/// [`Error::ExternalLintRefused`] with what it found; [`Error::ExternalLinter`] when it could not be asked, which says
/// nothing about the certificate.
pub(super) fn check(linter: Option<&ExternalLinter>, linted: &Linted) -> Result<(), Error> {
    let Some(linter) = linter else { return Ok(()) };
    let draft = issuers::pem("CERTIFICATE", &draft(linted)?);
    let failed = |reason: String| Error::ExternalLinter {
        program: linter.program.clone(),
        reason,
    };
    match run(linter, &draft) {
        Ok(Answer::Agrees) => Ok(()),
        Ok(Answer::Found(findings)) => Err(Error::ExternalLintRefused {
            program: linter.program.clone(),
            findings,
        }),
        Ok(Answer::Ended(how)) => Err(failed(how)),
        Err(error) => Err(failed(error.to_string())),
    }
}

enum Answer {
    Agrees,
    Found(String),
    /// Not by itself, or without a word.
    Ended(String),
}

fn run(linter: &ExternalLinter, draft: &str) -> io::Result<Answer> {
    let mut certificate = tempfile::Builder::new().suffix(".pem").tempfile()?;
    certificate.write_all(draft.as_bytes())?;
    certificate.flush()?;
    // Files rather than pipes: nobody has to read while the program runs.
    let (output, errors) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut command = Command::new(&linter.program);
    for argument in &linter.arguments {
        match argument == ExternalLinter::CERTIFICATE {
            true => command.arg(certificate.path()),
            false => command.arg(argument),
        };
    }
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(errors.try_clone()?)
        // Tokens and keys may stand in the environment of a service.
        .env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    let mut child = command.spawn()?;
    let Some(status) = child.wait_timeout(linter.timeout)? else {
        child.kill()?;
        child.wait()?;
        return Ok(Answer::Ended(format!(
            "it had not ended after {} s",
            linter.timeout.as_secs()
        )));
    };
    if status.success() {
        return Ok(Answer::Agrees);
    }
    let found = beginning(output)?;
    Ok(match found.is_empty() {
        false => Answer::Found(found),
        true => Answer::Ended(format!("it ended with {status} and said {:?}", beginning(errors)?)),
    })
}

/// The first words of a file on one line, without what could confuse a terminal or a log.
fn beginning(mut file: File) -> io::Result<String> {
    file.rewind()?;
    let mut octets = Vec::new();
    file.take(MOST_OCTETS).read_to_end(&mut octets)?;
    let text = String::from_utf8_lossy(&octets);
    let words: Vec<&str> = text
        .split(|letter: char| letter.is_whitespace() || letter.is_control())
        .collect();
    Ok(words
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" "))
}

/// The TBS with a signature value of the right form that nobody made.
fn draft(linted: &Linted) -> Result<Vec<u8>, Error> {
    let encoding = Error::encoding("the draft for the external linter");
    let encode = || {
        let tbs = TbsCertificate::from_der(linted.tbs())?;
        let algorithm: &AlgorithmIdentifierOwned = tbs.signature();
        let value = match algorithm.oid {
            // ECDSA-Sig-Value (RFC 3279 section 2.2.3) with r and s of one.
            rfc5912::ECDSA_WITH_SHA_256 | rfc5912::ECDSA_WITH_SHA_384 => vec![0x30, 6, 2, 1, 1, 2, 1, 1],
            _ => vec![1; 256],
        };
        let mut content = linted.tbs().to_vec();
        algorithm.encode_to_vec(&mut content)?;
        BitString::from_bytes(&value)?.encode_to_vec(&mut content)?;
        Any::new(Tag::Sequence, content)?.to_der()
    };
    encode().map_err(encoding)
}

/// Enough for the findings of one certificate, little enough for the problem of an order.
const MOST_OCTETS: u64 = 4096;
