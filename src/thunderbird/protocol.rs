//! What the add-on asks and the host answers: JSON, whose version both sides check.

use policies::label::printable;
use serde::{Deserialize, Serialize};
use verifier::{Language, Outside, Verdict, badge};
use verifier_report::{Report, facts};

/// The version of both directions; also in `verifier/thunderbird/outcome.js`.
pub(super) const VERSION: u64 = 1;

/// What can be read of any version.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    pub(super) version: u64,
    pub(super) id: Option<u64>,
}

/// A question of this version.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Question {
    /// What is to be said of a message?
    Verify {
        /// The bytes as they are stored, in base64.
        message: String,
        /// A tag of BCP 47; English is spoken to whom the language is unknown.
        language: String,
    },
}

/// An answer; `id` is that of the question, if it could be read.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) version: u64,
    pub(super) id: Option<u64>,
    #[serde(flatten)]
    pub(super) content: Content,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content {
    Verdict(Box<Shown>),
    Error(Refusal),
}

/// Why there is no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Refusal {
    Malformed,
    UnknownVersion,
    TooLarge,
    Setup,
}

/// What the add-on shows. Every text is safe to print and bounded, so an answer never reaches the limit of Thunderbird.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    status: String,
    tier: Option<String>,
    label: String,
    description: &'static str,
    badge: String,
    from: Option<String>,
    signer: Option<Signer>,
    facts: Vec<ShownFact>,
    changed: Vec<Changed>,
    findings: Vec<Finding>,
    /// The label of a signature inside of this one.
    inner: Option<String>,
    /// What is wrong with the host's own set-up.
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Signer {
    address: String,
    name: Option<String>,
    organization: Option<String>,
    title: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownFact {
    about: &'static str,
    sentence: &'static str,
}

/// A header field that was signed and stands otherwise outside.
#[derive(Debug, Serialize)]
struct Changed {
    name: String,
    signed: String,
    outside: String,
}

#[derive(Debug, Serialize)]
struct Finding {
    code: &'static str,
    severity: String,
    meaning: &'static str,
    importance: &'static str,
    advice: &'static str,
    detail: String,
}

impl Shown {
    pub(super) fn of(verdict: &Verdict, language: Language, problems: &[String]) -> Self {
        let report = Report::in_language(verdict, language);
        let optional = |text: &Option<String>| text.as_deref().map(safe);
        let facts = facts(verdict, language);
        let changed = verdict
            .protected_headers()
            .iter()
            .filter(|field| field.outside == Outside::Differs)
            .take(MOST_ROWS)
            .map(|field| Changed {
                name: safe(&field.name),
                signed: safe(&field.value),
                outside: safe(&field.outside_values.join(", ")),
            });
        Self {
            status: report.status.clone(),
            tier: report.tier.clone(),
            label: report.label.clone(),
            description: report.description,
            badge: badge(verdict, language),
            from: optional(&report.from),
            signer: report.signer.as_ref().map(|signer| Signer {
                address: safe(&signer.address),
                name: optional(&signer.name),
                organization: optional(&signer.organization),
                title: optional(&signer.title),
            }),
            facts: facts
                .iter()
                .map(|fact| ShownFact {
                    about: fact.about,
                    sentence: fact.sentence,
                })
                .collect(),
            changed: changed.collect(),
            // They are ranked, so the most telling are kept.
            findings: report
                .findings
                .iter()
                .take(MOST_ROWS)
                .map(|finding| Finding {
                    code: finding.code,
                    severity: finding.severity.clone(),
                    meaning: finding.meaning,
                    importance: finding.importance,
                    advice: finding.advice,
                    detail: safe(&finding.detail),
                })
                .collect(),
            inner: verdict.inner().map(|inner| inner.label_in(language)),
            problems: problems.iter().take(MOST_ROWS).map(|problem| safe(problem)).collect(),
        }
    }
}

/// Nothing that could turn or break a line, and not more than fits into a window.
fn safe(text: &str) -> String {
    let mut safe: String = printable(text).chars().take(LONGEST_TEXT).collect();
    if text.chars().nth(LONGEST_TEXT).is_some() {
        safe.push('…');
    }
    safe
}

/// In characters. Addresses have 254 at most (RFC 5321 section 4.5.3.1.3), names in labels far less.
const LONGEST_TEXT: usize = 500;
/// Of findings, changed header fields and problems each: 3 × 40 rows of three texts of 2000 bytes are below 1 MB.
const MOST_ROWS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_are_cut_and_made_harmless() {
        assert_eq!(safe("a\u{202e}b\nc"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(safe(&"ä".repeat(500)), "ä".repeat(500));
        assert_eq!(safe(&"ä".repeat(501)), format!("{}…", "ä".repeat(500)));
    }
}
