//! What each finding means to people: what is so, why it matters, what to do.
//!
//! The texts lie in `explanations/`, one file for each language, in the order of the codes.

use crate::finding::{Code, Severity};
use crate::language::Language;

/// A code in words for those who are no experts. It holds nothing of any message, so it can be shown as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The code of the finding.
    pub code: &'static str,
    /// How much such a finding weighs.
    pub severity: Severity,
    /// What is so, in one sentence.
    pub meaning: &'static str,
    /// Why it matters.
    pub importance: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

/// Explains the code of a finding; `None` for what is no code.
///
/// ```
/// use verifier::{Language, explain};
///
/// let explanation = explain("revoked", Language::English).unwrap();
/// assert_eq!(explanation.meaning, "The certificate was withdrawn before it expired.");
/// assert!(explain("no-such-code", Language::English).is_none());
/// ```
#[must_use]
pub fn explain(code: &str, language: Language) -> Option<Explanation> {
    let code = Code::ALL.iter().find(|known| known.as_str() == code)?;
    explained(*code, language)
}

/// The explanations of all codes there are, in the order in which findings are reported.
pub fn explanations(language: Language) -> impl Iterator<Item = Explanation> {
    Code::ALL.iter().filter_map(move |code| explained(*code, language))
}

fn explained(code: Code, language: Language) -> Option<Explanation> {
    let text = match language {
        Language::English => include_str!("../explanations/en.txt"),
        Language::Swedish => include_str!("../explanations/sv.txt"),
    };
    // A block of four lines: the code, and the three texts.
    let mut lines = text
        .split("\n\n")
        .map(str::lines)
        .find(|block| block.clone().next() == Some(code.as_str()))?
        .skip(1);
    Some(Explanation {
        code: code.as_str(),
        severity: code.severity(),
        meaning: lines.next()?,
        importance: lines.next()?,
        advice: lines.next()?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn check(language: Language, text: &str) {
        let written: Vec<Vec<&str>> = text.split("\n\n").map(|block| block.lines().collect()).collect();
        let codes: Vec<&str> = written.iter().map(|block| block[0]).collect();
        let expected: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(
            codes, expected,
            "{language:?}: exactly the codes there are, in their order"
        );
        for block in &written {
            assert_eq!(block.len(), 4, "{language:?}: {block:?}");
            for line in &block[1..] {
                assert!(line.ends_with('.') && *line == line.trim(), "{language:?}: {line}");
                assert!(
                    !line.contains("  ") && !line.chars().any(char::is_control),
                    "{language:?}: {line}"
                );
            }
        }
        let meanings: BTreeSet<&str> = written.iter().map(|block| block[1]).collect();
        assert_eq!(
            meanings.len(),
            Code::ALL.len(),
            "{language:?}: no two codes mean the same"
        );
        let all: Vec<_> = explanations(language).collect();
        assert_eq!(all.len(), Code::ALL.len());
        for (explanation, block) in all.iter().zip(&written) {
            assert_eq!(explain(block[0], language), Some(*explanation));
            assert_eq!(
                [explanation.meaning, explanation.importance, explanation.advice],
                block[1..],
                "{language:?}"
            );
        }
    }

    #[test]
    fn no_code_lacks_an_explanation_in_any_language() {
        check(Language::English, include_str!("../explanations/en.txt"));
        check(Language::Swedish, include_str!("../explanations/sv.txt"));
        assert_eq!(Language::ALL.len(), 2, "a further language is checked here as well");
    }

    #[test]
    fn what_is_no_code_has_none() {
        for code in ["", "Revoked", "revoked ", "no-signature\nThe", "."] {
            assert_eq!(explain(code, Language::English), None, "{code:?}");
        }
    }
}
