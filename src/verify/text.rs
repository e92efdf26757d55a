//! What is said of a message to people who are no experts.

use std::io::{self, Write};

use policies::label::printable;
use verifier::{Explanation, Language, Outside, Severity, Verdict};
use verifier_report::{Report, facts};

/// The label, what it means, the facts, and what was noticed with advice.
pub(super) fn write(out: &mut impl Write, verdict: &Verdict, report: &Report, language: Language) -> io::Result<()> {
    let words = Words::of(language);
    writeln!(out, "{}", report.label)?;
    writeln!(out, "{}\n", report.description)?;
    let mut rows: Vec<(&str, String)> = Vec::new();
    if let Some(from) = &report.from {
        rows.push((words.from, printable(from)));
    }
    if let Some(signer) = &report.signer {
        let named = [&signer.name, &signer.title, &signer.organization];
        let named: Vec<String> = named
            .into_iter()
            .flatten()
            .chain([&signer.address])
            .map(|part| printable(part))
            .collect();
        rows.push((words.signed_by, named.join(", ")));
    }
    for fact in facts(verdict, language) {
        rows.push((fact.about, fact.sentence.to_owned()));
    }
    for field in verdict.protected_headers() {
        if field.outside == Outside::Differs {
            let outside = match field.outside_values.as_slice() {
                [] => words.nothing.to_owned(),
                values => values
                    .iter()
                    .map(|value| format!("{:?}", printable(value)))
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            let signed = format!(
                "{:?} {}, {outside} {}",
                printable(&field.value),
                words.inside,
                words.outside
            );
            rows.push((&field.name, signed));
        }
    }
    let width = rows.iter().map(|(about, _)| about.chars().count()).max().unwrap_or(0);
    for (about, sentence) in &rows {
        writeln!(out, "  {:width$}  {sentence}", printable(about))?;
    }
    for finding in &report.findings {
        writeln!(out)?;
        let severity = words.severity(&finding.severity);
        wrapped(
            out,
            "  ",
            &format!("{severity}: {} [{}]", finding.meaning, finding.code),
        )?;
        if finding.severity != Severity::Notice.as_ref() {
            wrapped(
                out,
                "    ",
                &format!("{}: {}", words.detail, printable(&finding.detail)),
            )?;
            wrapped(out, "    ", finding.importance)?;
            wrapped(out, "    ", &format!("{}: {}", words.advice, finding.advice))?;
        }
    }
    if let Some(inner) = verdict.inner() {
        writeln!(out)?;
        wrapped(out, "  ", &format!("{}: {}", words.inner, inner.label_in(language)))?;
    }
    Ok(())
}

/// One message among many: its label, and what stands against it.
pub(super) fn write_line(
    out: &mut impl Write,
    name: &str,
    verdict: &Verdict,
    report: &Report,
    language: Language,
) -> io::Result<()> {
    let from = verdict
        .from()
        .map(|from| format!(" <{}>", printable(from)))
        .unwrap_or_default();
    writeln!(out, "{}:{from} {}", printable(name), report.label)?;
    for finding in &report.findings {
        if finding.severity != Severity::Notice.as_ref() && finding.code != UNSURPRISING {
            let severity = Words::of(language).severity(&finding.severity);
            writeln!(out, "    {severity}: {} [{}]", finding.meaning, finding.code)?;
        }
    }
    Ok(())
}

/// One code.
pub(super) fn write_explanation(out: &mut impl Write, explanation: &Explanation, language: Language) -> io::Result<()> {
    let words = Words::of(language);
    writeln!(
        out,
        "{} ({})",
        explanation.code,
        words.severity(explanation.severity.as_ref())
    )?;
    for (about, sentence) in [
        (words.meaning, explanation.meaning),
        (words.importance, explanation.importance),
        (words.advice, explanation.advice),
    ] {
        writeln!(out, "\n{about}")?;
        wrapped(out, "  ", sentence)?;
    }
    Ok(())
}

/// Lines of at most [`WIDTH`] characters; a longer word stands on a line of its own.
fn wrapped(out: &mut impl Write, indent: &str, text: &str) -> io::Result<()> {
    let mut line = String::new();
    for word in text.split(' ') {
        let needed = indent.len() + line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && needed > WIDTH {
            writeln!(out, "{indent}{line}")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "{indent}{line}")
}

/// The words around what is said.
struct Words {
    from: &'static str,
    signed_by: &'static str,
    inside: &'static str,
    outside: &'static str,
    nothing: &'static str,
    detail: &'static str,
    meaning: &'static str,
    importance: &'static str,
    advice: &'static str,
    inner: &'static str,
    severities: [&'static str; 3],
}

impl Words {
    const fn of(language: Language) -> Self {
        match language {
            Language::Swedish => Self {
                from: "Från",
                signed_by: "Signerat av",
                inside: "signerades",
                outside: "står utanför",
                nothing: "inget",
                detail: "Närmare bestämt",
                meaning: "Vad det betyder",
                importance: "Varför det spelar roll",
                advice: "Vad du kan göra",
                inner: "Inuti finns ett meddelande med egen signatur eller kryptering",
                severities: ["Fel", "Varning", "Upplysning"],
            },
            _ => Self {
                from: "From",
                signed_by: "Signed by",
                inside: "was signed",
                outside: "stands outside",
                nothing: "nothing",
                detail: "In detail",
                meaning: "What it means",
                importance: "Why it matters",
                advice: "What to do",
                inner: "Inside is a message with a signature or encryption of its own",
                severities: ["Error", "Warning", "Notice"],
            },
        }
    }

    fn severity(&self, severity: &str) -> &'static str {
        let [error, warning, notice] = self.severities;
        if severity == Severity::Error.as_ref() {
            error
        } else if severity == Severity::Warning.as_ref() {
            warning
        } else {
            notice
        }
    }
}

/// As `--help` is wrapped.
const WIDTH: usize = 100;
/// Said of every message unless lists were given, so it is not repeated for each of many; the summary of one has it.
const UNSURPRISING: &str = "revocation-not-checked";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_wrapped_between_words() {
        let mut out = Vec::new();
        wrapped(&mut out, "  ", &"word ".repeat(40)).unwrap();
        wrapped(&mut out, "  ", &"x".repeat(150)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.lines()
                .all(|line| line.len() <= WIDTH || !line.trim().contains(' ')),
            "{text}"
        );
        assert_eq!(text.split_whitespace().filter(|word| *word == "word").count(), 40);
    }
}
