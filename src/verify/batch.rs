//! Many messages: a line for each, progress where somebody looks on, and a summary.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use policies::label::printable;
use policies::tier::Tier;
use policies::time::Timestamp;
use serde::Serialize;
use verifier::{Integrity, Language, Status, Verdict};
use verifier_report::{Report, Verifier};

use super::input::Sources;
use super::mbox::Stored;
use super::{MESSAGE_LIMIT, Unusable, text};

/// How many messages came out how.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    messages: u64,
    tiers: Tiers,
    signed: u64,
    not_verified: u64,
    broken: u64,
    not_signed: u64,
    unreadable: u64,
    /// Files in folders that are no mail by their names.
    left_aside: u64,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct Tiers {
    v1: u64,
    v2: u64,
    v3: u64,
    v4: u64,
}

/// One line of JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    Report {
        file: &'a str,
        /// Its number in an mbox, from 1.
        message: Option<u64>,
        #[serde(flatten)]
        report: &'a Report,
    },
    Unreadable {
        file: &'a str,
        message: Option<u64>,
        error: String,
    },
    Summary {
        summary: &'a Summary,
    },
}

/// Examines everything and prints it. The highest exit status of all messages counts.
pub(super) fn run(
    sources: &Sources,
    verifier: &Verifier,
    at: Timestamp,
    language: Language,
    json: bool,
) -> io::Result<ExitCode> {
    let progress = progress(sources.files.len());
    let mut summary = Summary {
        left_aside: sources.left_aside,
        ..Summary::default()
    };
    let print = |line: &Line<'_>, verdict: Option<&Verdict>| {
        progress.suspend(|| {
            let mut out = io::stdout().lock();
            if json {
                serde_json::to_writer(&mut out, line)?;
                return writeln!(out);
            }
            match (line, verdict) {
                (Line::Report { file, message, report }, Some(verdict)) => {
                    text::write_line(&mut out, &named(file, *message), verdict, report, language)
                }
                (Line::Unreadable { error, .. }, _) => {
                    drop(out);
                    eprintln!("sealwright verify: {}", printable(&error.to_string()));
                    Ok(())
                }
                _ => Ok(()),
            }
        })
    };
    for problem in &sources.unreadable {
        summary.unreadable += 1;
        let file = match problem {
            Unusable::Unreadable { path, .. } => path.display().to_string(),
            _ => String::new(),
        };
        let (file, error) = (file.as_str(), problem.to_string());
        print(
            &Line::Unreadable {
                file,
                message: None,
                error,
            },
            None,
        )?;
    }
    for source in &sources.files {
        let file = source.path().display().to_string();
        source.messages(|message, stored| {
            let file = file.as_str();
            match stored {
                Ok(Stored::Message { as_it_stands, unquoted }) => {
                    let verdict = examine(verifier, at, &as_it_stands, unquoted.as_deref());
                    summary.count(&verdict);
                    let report = &Report::in_language(&verdict, language);
                    print(&Line::Report { file, message, report }, Some(&verdict))?;
                }
                Ok(Stored::TooLarge) => {
                    summary.unreadable += 1;
                    let name = named(file, message);
                    let error = format!("{name} is larger than {MESSAGE_LIMIT} bytes, the most that is read");
                    print(&Line::Unreadable { file, message, error }, None)?;
                }
                Err(problem) => {
                    summary.unreadable += 1;
                    let error = problem.to_string();
                    print(&Line::Unreadable { file, message, error }, None)?;
                }
            }
            progress.set_message(format!("{} messages", summary.messages));
            io::Result::Ok(())
        })?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, &Line::Summary { summary: &summary })?;
        writeln!(out)?;
    } else {
        summary.write(&mut out)?;
    }
    Ok(summary.exit_code())
}

/// Without the quotes of an mbox; or as it stands, if only that is what was signed.
fn examine(verifier: &Verifier, at: Timestamp, as_it_stands: &[u8], unquoted: Option<&[u8]>) -> Verdict {
    let verdict = verifier.verify(unquoted.unwrap_or(as_it_stands), at);
    if unquoted.is_some() && verdict.integrity() == Integrity::Broken {
        let original = verifier.verify(as_it_stands, at);
        if original.integrity() == Integrity::Intact {
            return original;
        }
    }
    verdict
}

fn named(file: &str, message: Option<u64>) -> String {
    message.map_or_else(|| file.to_owned(), |number| format!("{file}#{number}"))
}

/// On standard error, and only if that is a terminal.
fn progress(files: usize) -> ProgressBar {
    let progress = ProgressBar::new(u64::try_from(files).unwrap_or(u64::MAX));
    // The template is a constant that indicatif accepts; if it ever does not, its own stays.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} of {len} files, {msg}  {eta} left") {
        progress.set_style(style);
    }
    progress.enable_steady_tick(Duration::from_millis(200));
    progress
}

impl Summary {
    fn count(&mut self, verdict: &Verdict) {
        self.messages += 1;
        let counter = match (verdict.status(), verdict.tier()) {
            (Status::Tier, Some(Tier::V1)) => &mut self.tiers.v1,
            (Status::Tier, Some(Tier::V2)) => &mut self.tiers.v2,
            (Status::Tier, Some(Tier::V3)) => &mut self.tiers.v3,
            (Status::Tier, Some(Tier::V4)) => &mut self.tiers.v4,
            (Status::Tier, None) | (Status::Signed, _) => &mut self.signed,
            (Status::NotVerified, _) => &mut self.not_verified,
            (Status::Broken, _) => &mut self.broken,
            (Status::NotSigned, _) => &mut self.not_signed,
        };
        *counter += 1;
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "\nExamined {} {}:",
            self.messages,
            if self.messages == 1 { "message" } else { "messages" }
        )?;
        for (what, count) in [
            ("V1 address validated", self.tiers.v1),
            ("V2 person validated", self.tiers.v2),
            ("V3 organization validated", self.tiers.v3),
            ("V4 employee validated", self.tiers.v4),
            ("signed, identity not validated", self.signed),
            ("signed, not verified", self.not_verified),
            ("broken", self.broken),
            ("not signed", self.not_signed),
            ("could not be read", self.unreadable),
            ("other files left aside", self.left_aside),
        ] {
            if count > 0 {
                writeln!(out, "{count:>8}  {what}")?;
            }
        }
        Ok(())
    }

    fn exit_code(&self) -> ExitCode {
        if self.unreadable > 0 {
            ExitCode::from(2)
        } else if self.not_verified + self.broken + self.not_signed > 0 {
            ExitCode::from(1)
        } else {
            ExitCode::SUCCESS
        }
    }
}
