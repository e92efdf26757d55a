//! What came of it: a line per mail, and what to try next.

use std::path::{Path, PathBuf};
use std::time::Duration;

use verifier::{Status, Verdict};

use super::onboarding::Sender;

/// A mail that was submitted.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) sender: &'static Sender,
    pub(crate) kind: String,
    /// Where the delivered message lies, or why the gateway refused it.
    pub(crate) file: Result<PathBuf, String>,
    /// From the first command to the gateway's answer, which is the next hop's.
    pub(crate) took: Duration,
}

/// The lines of the report.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    mail: Delivered,
    label: String,
    signer: String,
    verified_in: Option<Duration>,
    good: bool,
}

impl Report {
    /// Notes a mail that arrived and what the verifier said of it.
    pub(crate) fn judged(&mut self, mail: Delivered, verdict: &Verdict, verified_in: Duration) {
        let signer = verdict
            .signer()
            .map_or_else(|| "nobody".to_owned(), |signer| signer.address.clone());
        let good = verdict.status() == Status::Tier;
        let mut label = verdict.label();
        if !good && let Some(finding) = verdict.findings().first() {
            label = format!("{label} ({})", finding.detail);
        }
        self.lines.push(Line {
            mail,
            label,
            signer,
            verified_in: Some(verified_in),
            good,
        });
    }

    /// Notes a mail that the gateway did not take.
    pub(crate) fn refused(&mut self, mail: Delivered) {
        let label = match &mail.file {
            Err(reply) => format!("refused: {reply}"),
            Ok(path) => path.display().to_string(),
        };
        self.lines.push(Line {
            mail,
            label,
            signer: "nobody".to_owned(),
            verified_in: None,
            good: false,
        });
    }

    /// Whether every mail arrived with a tier.
    pub(crate) fn is_good(&self) -> bool {
        !self.lines.is_empty() && self.lines.iter().all(|line| line.good)
    }

    /// Prints the table, how anybody can check it, and what to try next.
    pub(crate) fn print(&self, data: &Path, crls: &[PathBuf], elapsed: Duration) {
        let kind_width = self
            .lines
            .iter()
            .map(|line| line.mail.kind.chars().count())
            .max()
            .unwrap_or(0);
        let mut number = 0;
        let mut sender = "";
        for line in &self.lines {
            number += 1;
            let author = line.mail.sender.author;
            if author.address != sender {
                sender = author.address;
                println!();
                println!(
                    "{} <{}>, validated: {}",
                    author.name, author.address, line.mail.sender.validated
                );
            }
            let verified = line.verified_in.map_or_else(|| "-".to_owned(), milliseconds);
            println!(
                "  {number:>3}  {kind:<kind_width$}  sent {sent:>8}  verified {verified:>8}  {label}  signed by {signer}",
                kind = line.mail.kind,
                sent = milliseconds(line.mail.took),
                label = line.label,
                signer = line.signer,
            );
        }
        let good = self.lines.iter().filter(|line| line.good).count();
        println!();
        println!(
            "{good} of {} mails carry a validated tier; all of it took {:.1} s.",
            self.lines.len(),
            elapsed.as_secs_f64()
        );
        let shown = data.display();
        println!();
        println!("Anybody can check them:");
        println!(
            "  openssl cms -verify -in {shown}/delivered/0001.eml -CAfile {shown}/root.pem -purpose smimesign -out /dev/null"
        );
        println!("What to try next:");
        let crl_arguments: String = crls.iter().map(|path| format!(" --crl {}", path.display())).collect();
        println!("  sealwright verify --trust {shown}/root.pem{crl_arguments} {shown}/delivered/0001.eml");
        println!("  sealwright ca list --data {shown}/ca");
        println!("  sealwright ca audit verify --data {shown}/ca");
        println!("  change a letter in one of the delivered mails and verify it again");
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
