//! The languages in which a reader is told what was found.

use std::str::FromStr;

use policies::label::{LabelParts, label};
use policies::tier::Tier;

use crate::finding::{Code, Finding};
use crate::tier::Granted;
use crate::verdict::{Identity, PathFact, Status, Verdict};

/// A language of labels and badges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Language {
    /// English, as in `docs/verification.md`.
    #[default]
    English,
    /// Swedish.
    Swedish,
}

impl Language {
    /// Every language there is.
    pub const ALL: &[Self] = &[Self::English, Self::Swedish];
}

impl AsRef<str> for Language {
    /// The tag of BCP 47.
    fn as_ref(&self) -> &str {
        match self {
            Self::English => "en",
            Self::Swedish => "sv",
        }
    }
}

/// The tag names no language that labels are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this language is not known; en and sv are")]
pub struct UnknownLanguage;

impl FromStr for Language {
    type Err = UnknownLanguage;

    /// Reads a tag of BCP 47, of which the primary subtag decides: `sv-FI` is Swedish.
    fn from_str(tag: &str) -> Result<Self, UnknownLanguage> {
        let primary = tag.split(['-', '_']).next().unwrap_or(tag);
        let known = Self::ALL
            .iter()
            .find(|language| primary.eq_ignore_ascii_case(language.as_ref()));
        known.copied().ok_or(UnknownLanguage)
    }
}

impl Verdict {
    /// The one line a reader sees, in another language than English. What a certificate says is not translated.
    #[must_use]
    pub fn label_in(&self, language: Language) -> String {
        if let Some(granted) = &self.granted {
            return match language {
                Language::English => granted.label.clone(),
                Language::Swedish => swedish_tier(granted),
            };
        }
        let address = self.signer().map_or("?", |signer| signer.address.as_str());
        let code = self.findings().first().map_or("-", |Finding { code, .. }| *code);
        let reason = reason(code, language);
        let by_another = self.identity() == Identity::Differs && self.path() == PathFact::Verified;
        match (language, self.status()) {
            (Language::English, Status::Tier | Status::Signed) => {
                format!("SIGNED by {address}, Identity Not Validated")
            }
            (Language::English, Status::NotVerified) if by_another => {
                format!("SIGNED, NOT VERIFIED (signer is {address})")
            }
            (Language::English, Status::NotVerified) => format!("SIGNED, NOT VERIFIED ({reason})"),
            (Language::English, Status::Broken) => format!("BROKEN ({reason})"),
            (Language::English, Status::NotSigned) if code == Code::Encrypted.as_str() => {
                "NOT SIGNED (encrypted, not examined)".to_owned()
            }
            (Language::Swedish, Status::NotSigned) if code == Code::Encrypted.as_str() => {
                "INTE SIGNERAT (krypterat, inte granskat)".to_owned()
            }
            (Language::English, Status::NotSigned) => "NOT SIGNED".to_owned(),
            (Language::Swedish, Status::Tier | Status::Signed) => {
                format!("SIGNERAT av {address}, identiteten inte verifierad")
            }
            (Language::Swedish, Status::NotVerified) if by_another => {
                format!("SIGNERAT, INTE VERIFIERAT (av {address})")
            }
            (Language::Swedish, Status::NotVerified) => format!("SIGNERAT, INTE VERIFIERAT ({reason})"),
            (Language::Swedish, Status::Broken) => format!("TRASIG SIGNATUR ({reason})"),
            (Language::Swedish, Status::NotSigned) => "INTE SIGNERAT".to_owned(),
        }
    }
}

/// A few words for a label that says why; the code itself for what needs none.
fn reason(code: &'static str, language: Language) -> &'static str {
    // A line of three columns: code, English, Swedish.
    let line = REASONS
        .lines()
        .find_map(|line| line.strip_prefix(code)?.strip_prefix(" | "));
    let words = line.and_then(|line| line.split_once(" | "));
    match (words, language) {
        (Some((english, _)), Language::English) => english,
        (Some((_, swedish)), Language::Swedish) => swedish,
        (None, _) => code,
    }
}

const REASONS: &str = include_str!("../explanations/reasons.txt");

fn swedish_tier(granted: &Granted) -> String {
    let shown = |name: &Option<String>| neutralised(name.as_deref()).unwrap_or_default();
    let (name, organization) = (shown(&granted.name), shown(&granted.organization));
    match granted.tier {
        Tier::V1 => "V1 E-postadressen verifierad, identiteten inte verifierad".to_owned(),
        Tier::V2 => format!("V2 {name}, identiteten verifierad"),
        Tier::V3 => format!("V3 {organization}, identiteten verifierad och betrodd"),
        Tier::V4 => {
            let title = neutralised(granted.title.as_deref());
            let title = title.map(|title| format!("{title}, ")).unwrap_or_default();
            format!("V4 {name}, {organization}, {title}identiteten verifierad och betrodd")
        }
    }
}

/// A name as `policies` puts it into a label: cut, isolated, without characters that turn or break the line. It is taken
/// out of the V2 label, so that there is one rule for both languages.
fn neutralised(name: Option<&str>) -> Option<String> {
    let parts = LabelParts {
        name,
        ..LabelParts::default()
    };
    let line = label(Tier::V2, &parts)?;
    Some(
        line.strip_prefix("V2 ")?
            .strip_suffix(", Identity Validated")?
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Effect;

    #[test]
    fn tags_are_read_by_their_primary_subtag() {
        for (tag, language) in [
            ("en", Language::English),
            ("sv-FI", Language::Swedish),
            ("SV_se", Language::Swedish),
        ] {
            assert_eq!(tag.parse(), Ok(language), "{tag}");
        }
        for tag in ["", "de", "svenska", "e"] {
            assert_eq!(tag.parse::<Language>(), Err(UnknownLanguage), "{tag}");
        }
    }

    #[test]
    fn every_refusal_has_a_few_words_in_both_languages() {
        let needs_words = |code: &&Code| matches!(code.effect(), Effect::Broken | Effect::NotVerified);
        let codes: Vec<&Code> = Code::ALL.iter().filter(needs_words).collect();
        for code in &codes {
            let words = [Language::English, Language::Swedish].map(|language| reason(code.as_str(), language));
            for words in words {
                assert_ne!(words, code.as_str(), "{code:?}");
                assert!((5..=50).contains(&words.chars().count()), "{code:?}: {words}");
            }
            assert_ne!(words[0], words[1], "{code:?}");
        }
        assert_eq!(REASONS.lines().count(), codes.len(), "a line for each, and no other");
    }

    #[test]
    fn names_are_neutralised_by_one_rule() {
        assert_eq!(neutralised(Some("Alice Doe")).as_deref(), Some("Alice Doe"));
        assert_eq!(neutralised(Some("Do\u{202e}e")).as_deref(), Some("Do\u{fffd}e"));
        assert_eq!(
            neutralised(Some(&"x".repeat(300))).map(|name| name.chars().count()),
            Some(64)
        );
        for nothing in [None, Some(""), Some("-"), Some("\u{202e}")] {
            assert_eq!(neutralised(nothing), None);
        }
    }

    #[test]
    fn every_tier_has_its_swedish_line() {
        let granted = |tier, title: Option<&str>| Granted {
            tier,
            name: Some("Åsa Öst".to_owned()),
            organization: Some("Exempel AB".to_owned()),
            title: title.map(str::to_owned),
            label: String::new(),
        };
        for (tier, title, expected) in [
            (
                Tier::V1,
                None,
                "V1 E-postadressen verifierad, identiteten inte verifierad",
            ),
            (Tier::V2, None, "V2 Åsa Öst, identiteten verifierad"),
            (Tier::V3, None, "V3 Exempel AB, identiteten verifierad och betrodd"),
            (
                Tier::V4,
                None,
                "V4 Åsa Öst, Exempel AB, identiteten verifierad och betrodd",
            ),
            (
                Tier::V4,
                Some("VD"),
                "V4 Åsa Öst, Exempel AB, VD, identiteten verifierad och betrodd",
            ),
        ] {
            assert_eq!(swedish_tier(&granted(tier, title)), expected);
        }
    }
}
