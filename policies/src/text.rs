//! Which characters may stand in a text that people will trust.
//!
//! Names and addresses end up in labels that readers rely on, so characters that are invisible, reorder their
//! neighbours or break the line have no place in them.

/// Whether `character` is invisible, changes the order of its neighbours, breaks the line, or has no agreed meaning.
///
/// These are control and separator characters, the bidirectional formatting characters of Unicode Annex 9, zero-width
/// and filler characters, tags, variation selectors, private use and noncharacters.
pub fn is_deceptive(character: char) -> bool {
    let code = u32::from(character);
    character.is_control()
        || (character.is_whitespace() && character != ' ')
        || matches!(
            code,
            0x00AD // soft hyphen
            | 0x034F // combining grapheme joiner
            | 0x061C // Arabic letter mark
            | 0x115F..=0x1160 // Hangul fillers
            | 0x17B4..=0x17B5 // Khmer inherent vowels
            | 0x180B..=0x180F // Mongolian selectors and vowel separator
            | 0x200B..=0x200F // zero-width characters and direction marks
            | 0x2028..=0x202E // separators and direction embeddings
            | 0x2060..=0x206F // word joiner, invisible operators, direction isolates
            | 0x2800 // blank Braille pattern
            | 0x3164 // Hangul filler
            | 0xE000..=0xF8FF // private use
            | 0xFE00..=0xFE0F // variation selectors
            | 0xFEFF // byte order mark
            | 0xFFA0 // halfwidth Hangul filler
            | 0xFFF0..=0xFFFF // specials, noncharacters
            | 0xFDD0..=0xFDEF // noncharacters
            | 0x1BCA0..=0x1BCA3 // shorthand format controls
            | 0x1D173..=0x1D17A // musical format controls
            | 0xE0000..=0xE0FFF // tags, variation selectors supplement
            | 0xF0000..=0x10FFFF // private use planes
        )
        || code & 0xFFFE == 0xFFFE
}

/// Whether a value says nothing: section 7.1.4.2 forbids subject attributes that only tell that they are absent.
///
/// True for an empty text, for one without any letter or digit ("-", "...", " "), and for the usual ways of writing
/// "not applicable".
pub(crate) fn is_metadata_only(value: &str) -> bool {
    const ABSENT: [&str; 10] = [
        "n/a",
        "na",
        "n.a.",
        "none",
        "null",
        "nil",
        "unknown",
        "not applicable",
        "not available",
        "undefined",
    ];
    !value.chars().any(char::is_alphanumeric) || ABSENT.iter().any(|absent| value.trim().eq_ignore_ascii_case(absent))
}

/// Why a text may not be shown as a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Deceptive(char),
    Metadata,
    TooLong { length: usize, limit: usize },
    OuterSpace,
}

/// Checks a text for use as a subject attribute of at most `limit` characters.
pub(crate) fn check(value: &str, limit: usize) -> Result<(), Flaw> {
    // The octets are bounded first, since a character is at most four of them: counting stays cheap.
    if value.len() > limit.saturating_mul(4) || value.chars().count() > limit {
        return Err(Flaw::TooLong {
            length: value.chars().take(limit.saturating_mul(4)).count(),
            limit,
        });
    }
    if let Some(character) = value.chars().find(|character| is_deceptive(*character)) {
        return Err(Flaw::Deceptive(character));
    }
    if is_metadata_only(value) {
        return Err(Flaw::Metadata);
    }
    if value.starts_with(' ') || value.ends_with(' ') {
        return Err(Flaw::OuterSpace);
    }
    Ok(())
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Deceptive(character) => write!(
                f,
                "contains U+{:04X}, which is invisible or changes how its neighbours are shown",
                u32::from(*character)
            ),
            Self::Metadata => f.write_str("says only that there is no value"),
            Self::TooLong { length, limit } => {
                write!(f, "has {length} characters or more where {limit} are allowed")
            }
            Self::OuterSpace => f.write_str("begins or ends with a space"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in [
            "Jürgen Großmann",
            "李小龍",
            "O'Neill-Smith",
            "محمد",
            "Björk",
            "3M",
            "R 2",
        ] {
            assert_eq!(check(name, 64), Ok(()), "{name}");
        }
    }

    #[test]
    fn deceptive_characters_are_found() {
        for character in [
            '\0',
            '\n',
            '\r',
            '\t',
            '\u{7f}',
            '\u{85}',
            '\u{a0}',
            '\u{ad}',
            '\u{200b}',
            '\u{200e}',
            '\u{202e}',
            '\u{2028}',
            '\u{2066}',
            '\u{feff}',
            '\u{e000}',
            '\u{fffe}',
            '\u{1fffe}',
            '\u{e0041}',
            '\u{10ffff}',
        ] {
            assert!(is_deceptive(character), "U+{:04X}", u32::from(character));
            assert_eq!(check(&format!("A{character}B"), 64), Err(Flaw::Deceptive(character)));
        }
        assert!(!is_deceptive(' '));
    }

    #[test]
    fn values_that_say_nothing_are_refused() {
        for value in ["", ".", "-", " ", "- .", "N/A", "none", "Unknown", "…", "???"] {
            assert_eq!(check(value, 64), Err(Flaw::Metadata), "{value:?}");
        }
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(check(&"ü".repeat(64), 64), Ok(()));
        assert!(matches!(check(&"ü".repeat(65), 64), Err(Flaw::TooLong { .. })));
        assert!(matches!(check(&"a".repeat(1_000_000), 64), Err(Flaw::TooLong { .. })));
    }
}
