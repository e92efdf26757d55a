//! The badge: an SVG for each tier and state.
//!
//! It says the same four times, so that nobody depends on one of them: a colour, a sign of its own shape, words, and the
//! whole label as `<title>` for those who listen. Show it outside of the message, which can imitate anything inside.

use std::fmt::Write as _;

use policies::tier::Tier;

use crate::language::Language;
use crate::verdict::{Status, Verdict};

/// The badge of a verdict as an SVG document without scripts, styles or references.
///
/// Words contrast with their ground by at least 4.5 to 1 and signs and edges by at least 3 to 1 (WCAG 2.2, 1.4.3 and
/// 1.4.11), on light and on dark pages. It is 24 CSS pixels high and can be scaled.
///
/// ```
/// use policies::time::Timestamp;
/// use verifier::{Language, TrustStore, Verification, badge};
///
/// let trust = TrustStore::new();
/// let verdict = Verification::new(&trust, Timestamp::from_unix(0)).verify(b"From: a@example.org\r\n\r\nHi");
/// assert!(badge(&verdict, Language::English).contains("<title>NOT SIGNED</title>"));
/// ```
#[must_use]
pub fn badge(verdict: &Verdict, language: Language) -> String {
    let kind = Kind::of(verdict);
    let face = kind.face();
    let words = kind.words(language);
    let width = TEXT_START + text_width(words) + MARGIN;
    let (ground, ink, edge) = (face.ground, face.ink, face.edge);
    let label = escape(&verdict.label_in(language));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" lang=\"{language}\" aria-label=\"{label}\" \
         width=\"{width}\" height=\"24\" viewBox=\"0 0 {width} 24\"><title>{label}</title><desc>{description}</desc>",
        language = language.as_ref(),
        description = escape(kind.description(language)),
    );
    // The light edge stands out on dark pages, the dark one on light pages. Writing to a String does not fail.
    let _ = write!(
        svg,
        "<rect x=\"0.5\" y=\"0.5\" width=\"{outer}\" height=\"23\" rx=\"5\" fill=\"{LIGHT}\" stroke=\"{edge}\"/>\
         <rect x=\"2\" y=\"2\" width=\"{inner}\" height=\"20\" rx=\"4\" fill=\"{ground}\" stroke=\"{edge}\"{dashes}/>\
         <g transform=\"translate(5 4)\" fill=\"none\" stroke=\"{ink}\" stroke-width=\"1.75\" stroke-linecap=\"round\" \
         stroke-linejoin=\"round\"><path d=\"{sign}\"/></g>",
        outer = width - 1,
        inner = width - 4,
        dashes = if face.is_dashed {
            " stroke-dasharray=\"4 2\""
        } else {
            ""
        },
        sign = face.sign,
    );
    let _ = write!(
        svg,
        "<text x=\"{TEXT_START}\" y=\"16.5\" fill=\"{ink}\" font-family=\"ui-monospace, DejaVu Sans Mono, Menlo, Consolas, \
         monospace\" font-size=\"12\" font-weight=\"bold\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\">\
         {words}</text></svg>",
        length = text_width(words),
        words = escape(words),
    );
    svg
}

/// One sentence that says what the label means, for those who are no experts. It holds nothing of the message.
#[must_use]
pub fn description(verdict: &Verdict, language: Language) -> &'static str {
    Kind::of(verdict).description(language)
}

/// What is told apart by the badge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mailbox,
    Person,
    Organization,
    Employee,
    Signed,
    NotVerified,
    Broken,
    NotSigned,
}

/// How one kind looks.
struct Face {
    ground: &'static str,
    /// Words and sign.
    ink: &'static str,
    edge: &'static str,
    is_dashed: bool,
    /// A path in a square of 16.
    sign: &'static str,
}

impl Kind {
    #[cfg(test)]
    const ALL: [Self; 8] = [
        Self::Mailbox,
        Self::Person,
        Self::Organization,
        Self::Employee,
        Self::Signed,
        Self::NotVerified,
        Self::Broken,
        Self::NotSigned,
    ];

    fn of(verdict: &Verdict) -> Self {
        match (verdict.status(), verdict.tier()) {
            (Status::Tier, Some(Tier::V1)) => Self::Mailbox,
            (Status::Tier, Some(Tier::V2)) => Self::Person,
            (Status::Tier, Some(Tier::V3)) => Self::Organization,
            (Status::Tier, Some(Tier::V4)) => Self::Employee,
            (Status::Tier, None) | (Status::Signed, _) => Self::Signed,
            (Status::NotVerified, _) => Self::NotVerified,
            (Status::Broken, _) => Self::Broken,
            (Status::NotSigned, _) => Self::NotSigned,
        }
    }

    /// Grounds differ in lightness as well as in hue, the four tiers from each other by their signs and words.
    fn face(self) -> Face {
        let (ground, ink, edge, is_dashed, sign) = match self {
            // An envelope.
            Self::Mailbox => ("#24527a", LIGHT, "#12293d", false, "M1 3h14v10H1zM1 4l7 5 7-5"),
            // A head over shoulders.
            Self::Person => (
                "#1f5f3f",
                LIGHT,
                "#0f2f1f",
                false,
                "M8 8a3.25 3.25 0 1 0 0-6.5A3.25 3.25 0 0 0 8 8zM2 15a6 6 0 0 1 12 0",
            ),
            // A house with columns.
            Self::Organization => (
                "#0d5a4f",
                LIGHT,
                "#062d27",
                false,
                "M1 6l7-5 7 5zM3 6v7M8 6v7M13 6v7M1 15h14",
            ),
            // A head over shoulders, and a house beside it.
            Self::Employee => (
                "#0d5a4f",
                LIGHT,
                "#062d27",
                false,
                "M4.5 8a2.25 2.25 0 1 0 0-4.5 2.25 2.25 0 0 0 0 4.5zM.75 14.5a3.75 3.75 0 0 1 7.5 0M10.5 14.5V4l2.5-2 2.5 2v10.5z",
            ),
            // A pen on a line.
            Self::Signed => ("#4a4f57", LIGHT, "#25282c", false, "M2 12l1-3 7-7 2 2-7 7zM2 15h12"),
            // A triangle with an exclamation mark.
            Self::NotVerified => ("#f5d36b", DARK, "#5c4300", true, "M8 1l7 13.5H1zM8 6v4M8 12.2v.1"),
            // An octagon with a cross.
            Self::Broken => (
                "#9b1c1c",
                LIGHT,
                "#4d0e0e",
                false,
                "M5 1h6l4 4v6l-4 4H5l-4-4V5zM5.5 5.5l5 5M10.5 5.5l-5 5",
            ),
            // An empty circle.
            Self::NotSigned => (
                "#eef0f2",
                DARK,
                "#555b63",
                true,
                "M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13z",
            ),
        };
        Face {
            ground,
            ink,
            edge,
            is_dashed,
            sign,
        }
    }

    fn words(self, language: Language) -> &'static str {
        match (language, self) {
            (Language::English, Self::Mailbox) => "V1 Email",
            (Language::English, Self::Person) => "V2 Person",
            (Language::English, Self::Organization) => "V3 Organization",
            (Language::English, Self::Employee) => "V4 Employee",
            (Language::English, Self::Signed) => "Signed",
            (Language::English, Self::NotVerified) => "Not verified",
            (Language::English, Self::Broken) => "Broken signature",
            (Language::English, Self::NotSigned) => "Not signed",
            (Language::Swedish, Self::Mailbox) => "V1 E-post",
            (Language::Swedish, Self::Person) => "V2 Person",
            (Language::Swedish, Self::Organization) => "V3 Organisation",
            (Language::Swedish, Self::Employee) => "V4 Anställd",
            (Language::Swedish, Self::Signed) => "Signerat",
            (Language::Swedish, Self::NotVerified) => "Inte verifierat",
            (Language::Swedish, Self::Broken) => "Trasig signatur",
            (Language::Swedish, Self::NotSigned) => "Inte signerat",
        }
    }

    fn description(self, language: Language) -> &'static str {
        match (language, self) {
            (Language::English, Self::Mailbox) => {
                "The message was signed by whoever controls the sender's address. Nobody checked who that is."
            }
            (Language::English, Self::Person) => {
                "The message was signed by the sender, a person whose identity was checked."
            }
            (Language::English, Self::Organization) => {
                "The message was signed by the sender for an organization whose identity was checked."
            }
            (Language::English, Self::Employee) => {
                "The message was signed by the sender, whose identity was checked and who belongs to the organization."
            }
            (Language::English, Self::Signed) => {
                "The message was signed with a certificate for the sender's address. Nobody vouches for more."
            }
            (Language::English, Self::NotVerified) => "The message was signed, but who signed it cannot be relied on.",
            (Language::English, Self::Broken) => {
                "The signature is damaged, or the message was changed after it was signed."
            }
            (Language::English, Self::NotSigned) => "No signature covers the message. Anybody may have written it.",
            (Language::Swedish, Self::Mailbox) => {
                "Meddelandet är signerat av den som förfogar över avsändarens adress. Ingen har kontrollerat vem det är."
            }
            (Language::Swedish, Self::Person) => {
                "Meddelandet är signerat av avsändaren, en person vars identitet har kontrollerats."
            }
            (Language::Swedish, Self::Organization) => {
                "Meddelandet är signerat av avsändaren för en organisation vars identitet har kontrollerats."
            }
            (Language::Swedish, Self::Employee) => {
                "Meddelandet är signerat av avsändaren, vars identitet har kontrollerats och som hör till organisationen."
            }
            (Language::Swedish, Self::Signed) => {
                "Meddelandet är signerat med ett certifikat för avsändarens adress. Ingen går i god för mer."
            }
            (Language::Swedish, Self::NotVerified) => {
                "Meddelandet är signerat, men det går inte att lita på vem som signerade det."
            }
            (Language::Swedish, Self::Broken) => {
                "Signaturen är skadad, eller så har meddelandet ändrats efter att det signerades."
            }
            (Language::Swedish, Self::NotSigned) => {
                "Ingen signatur täcker meddelandet. Vem som helst kan ha skrivit det."
            }
        }
    }
}

/// In a font whose letters are all 0.6 em wide, which `textLength` enforces.
fn text_width(words: &str) -> usize {
    (words.chars().count() * 72).div_ceil(10)
}

/// Text for XML: markup is escaped, characters that XML does not have are replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            control if control.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            other => escaped.push(other),
        }
    }
    escaped
}

const LIGHT: &str = "#ffffff";
const DARK: &str = "#1a1a1a";
/// Where the words begin, behind the sign.
const TEXT_START: usize = 26;
const MARGIN: usize = 7;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// WCAG 2.2, relative luminance.
    fn luminance(colour: &str) -> f64 {
        let channel = |range: std::ops::Range<usize>| {
            let value = f64::from(u8::from_str_radix(&colour[range], 16).unwrap()) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(1..3) + 0.7152 * channel(3..5) + 0.0722 * channel(5..7)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn the_formula_is_that_of_wcag() {
        assert!((contrast("#ffffff", "#000000") - 21.0).abs() < 0.001);
        assert!((contrast("#777777", "#ffffff") - 4.478).abs() < 0.01);
    }

    #[test]
    fn words_signs_and_edges_contrast_enough() {
        for kind in Kind::ALL {
            let face = kind.face();
            // 1.4.3 for words of this size, which is more than 1.4.11 asks for signs.
            assert!(contrast(face.ink, face.ground) >= 4.5, "{kind:?}");
            // 1.4.11: the badge stands out on light pages by its edge, on dark ones by the light ring inside it.
            assert!(contrast(face.edge, "#ffffff") >= 3.0, "{kind:?}");
            assert!(contrast(face.edge, LIGHT) >= 3.0, "{kind:?}");
            assert!(contrast(LIGHT, "#121212") >= 3.0);
        }
    }

    /// WCAG 2.2, 1.4.1: without colour, every kind still has a sign and words of its own.
    #[test]
    fn colour_is_never_the_only_signal() {
        let signs: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.face().sign).collect();
        assert_eq!(signs.len(), Kind::ALL.len());
        for language in Language::ALL {
            let words: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.words(*language)).collect();
            let descriptions: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.description(*language)).collect();
            assert_eq!((words.len(), descriptions.len()), (Kind::ALL.len(), Kind::ALL.len()));
        }
        // What is good and what is not differ in lightness too, for those who see no hues.
        let good = luminance(Kind::Organization.face().ground);
        for kind in [Kind::NotVerified, Kind::NotSigned] {
            assert!((luminance(kind.face().ground) - good).abs() > 0.5, "{kind:?}");
        }
    }

    #[test]
    fn markup_in_names_stays_text() {
        assert_eq!(escape("<script>&\"'\u{1}"), "&lt;script&gt;&amp;&quot;&#39;\u{fffd}");
    }
}
