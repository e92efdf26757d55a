//! The one line that tells a reader who a message is from.
//!
//! Whatever stands in a certificate, the line keeps its shape: characters that are invisible, break the line or turn
//! its direction are replaced, names written from right to left are isolated, and long ones are cut.

use std::fmt::Write;

pub use crate::text::is_deceptive;
use crate::tier::Tier;

/// The names that a certificate vouches for. Which of them the label shows is decided by the tier alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelParts<'a> {
    /// The person: given name and surname, or pseudonym.
    pub name: Option<&'a str>,
    /// The organization.
    pub organization: Option<&'a str>,
    /// The role of the person in the organization.
    pub title: Option<&'a str>,
}

/// The label of a tier, such as `V3 Example Ltd, Identity Validated and Trusted`.
///
/// `None` if a name that the tier vouches for is absent or empty: then the tier must not be shown. Names that the tier
/// does not vouch for are never shown; only the title of V4 may be missing.
#[must_use]
pub fn label(tier: Tier, parts: &LabelParts<'_>) -> Option<String> {
    let mut line = String::from(tier.as_ref());
    match tier {
        Tier::V1 => line.push_str(" Email Validated, Identity Not Validated"),
        Tier::V2 => {
            let name = harmless(parts.name)?;
            // Writing to a String does not fail.
            let _ = write!(line, " {name}, Identity Validated");
        }
        Tier::V3 => {
            let organization = harmless(parts.organization)?;
            let _ = write!(line, " {organization}, Identity Validated and Trusted");
        }
        Tier::V4 => {
            let (name, organization) = (harmless(parts.name)?, harmless(parts.organization)?);
            let _ = write!(line, " {name}, {organization}, ");
            if let Some(title) = harmless(parts.title) {
                let _ = write!(line, "{title}, ");
            }
            line.push_str("Identity Validated and Trusted");
        }
    }
    Some(line)
}

/// Text that anybody may have written, for a line on a terminal, in a log or on a page: characters that are invisible,
/// break the line, turn its direction or speak to the terminal are replaced. Nothing is cut.
///
/// ```
/// assert_eq!(policies::label::printable("all \u{1b}[32mgood\r"), "all \u{fffd}[32mgood\u{fffd}");
/// ```
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if is_deceptive(character) {
                char::REPLACEMENT_CHARACTER
            } else {
                character
            }
        })
        .collect()
}

/// A name that cannot change the line around it; `None` if nothing visible is left of it.
fn harmless(name: Option<&str>) -> Option<String> {
    let name = name?.trim();
    if !name
        .chars()
        .any(|character| character.is_alphanumeric() && !is_deceptive(character))
    {
        return None;
    }
    let mut shown: String = name
        .chars()
        .take(NAME_LIMIT)
        .map(|character| {
            if is_deceptive(character) {
                char::REPLACEMENT_CHARACTER
            } else {
                character
            }
        })
        .collect();
    if name.chars().nth(NAME_LIMIT).is_some() {
        shown.truncate(
            shown
                .char_indices()
                .nth(NAME_LIMIT - 1)
                .map_or(shown.len(), |(end, _)| end),
        );
        shown.push('…');
    }
    if shown.chars().any(is_right_to_left) {
        shown = format!("{FIRST_STRONG_ISOLATE}{shown}{POP_DIRECTIONAL_ISOLATE}");
    }
    Some(shown)
}

/// Whether the character belongs to a block of scripts that are written from right to left.
fn is_right_to_left(character: char) -> bool {
    matches!(
        u32::from(character),
        0x0590..=0x08FF | 0xFB1D..=0xFDFF | 0xFE70..=0xFEFE | 0x10800..=0x10FFF | 0x1E800..=0x1EFFF
    )
}

/// What certificates may hold of a name (RFC 5280 appendix A.1), so that nothing honest is cut.
const NAME_LIMIT: usize = 64;
/// Unicode Annex 9, FSI.
const FIRST_STRONG_ISOLATE: char = '\u{2068}';
/// Unicode Annex 9, PDI.
const POP_DIRECTIONAL_ISOLATE: char = '\u{2069}';

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What stands in labels only because it was put there.
    const OURS: [char; 3] = [
        FIRST_STRONG_ISOLATE,
        POP_DIRECTIONAL_ISOLATE,
        char::REPLACEMENT_CHARACTER,
    ];

    const ALL: LabelParts<'_> = LabelParts {
        name: Some("Alice Adams"),
        organization: Some("Example Ltd"),
        title: Some("Engineer"),
    };

    fn check(tier: Tier, parts: LabelParts<'_>, expected: Option<&str>) {
        assert_eq!(label(tier, &parts).as_deref(), expected);
    }

    #[test]
    fn labels_read_as_designed() {
        check(Tier::V1, ALL, Some("V1 Email Validated, Identity Not Validated"));
        check(Tier::V2, ALL, Some("V2 Alice Adams, Identity Validated"));
        check(Tier::V3, ALL, Some("V3 Example Ltd, Identity Validated and Trusted"));
        check(
            Tier::V4,
            ALL,
            Some("V4 Alice Adams, Example Ltd, Engineer, Identity Validated and Trusted"),
        );
        let untitled = LabelParts { title: None, ..ALL };
        check(
            Tier::V4,
            untitled,
            Some("V4 Alice Adams, Example Ltd, Identity Validated and Trusted"),
        );
    }

    #[test]
    fn a_tier_without_its_names_has_no_label() {
        for empty in [
            None,
            Some(""),
            Some(" "),
            Some("\u{200b}"),
            Some("---"),
            Some("\u{202e}"),
        ] {
            check(Tier::V2, LabelParts { name: empty, ..ALL }, None);
            check(
                Tier::V3,
                LabelParts {
                    organization: empty,
                    ..ALL
                },
                None,
            );
            check(Tier::V4, LabelParts { name: empty, ..ALL }, None);
            check(
                Tier::V4,
                LabelParts {
                    organization: empty,
                    ..ALL
                },
                None,
            );
        }
        check(
            Tier::V1,
            LabelParts::default(),
            Some("V1 Email Validated, Identity Not Validated"),
        );
    }

    #[test]
    fn names_cannot_break_the_line() {
        let name = Some("Alice\r\nX-Header: \u{202e}evil\0");
        let shown = "V2 Alice\u{fffd}\u{fffd}X-Header: \u{fffd}evil\u{fffd}, Identity Validated";
        check(Tier::V2, LabelParts { name, ..ALL }, Some(shown));
    }

    #[test]
    fn names_from_right_to_left_are_isolated() {
        let parts = LabelParts {
            organization: Some("بنك"),
            ..ALL
        };
        check(
            Tier::V3,
            parts,
            Some("V3 \u{2068}بنك\u{2069}, Identity Validated and Trusted"),
        );
    }

    #[test]
    fn long_names_are_cut() {
        let exact = "ü".repeat(64);
        let parts = LabelParts {
            organization: Some(&exact),
            ..ALL
        };
        check(
            Tier::V3,
            parts,
            Some(&format!("V3 {exact}, Identity Validated and Trusted")),
        );
        let long = "ü".repeat(65);
        let parts = LabelParts {
            organization: Some(&long),
            ..ALL
        };
        check(
            Tier::V3,
            parts,
            Some(&format!("V3 {}…, Identity Validated and Trusted", "ü".repeat(63))),
        );
    }

    proptest! {
        #[test]
        fn labels_keep_their_shape(name in ".{0,200}", organization in ".{0,200}", title in ".{0,200}") {
            let parts = LabelParts { name: Some(&name), organization: Some(&organization), title: Some(&title) };
            for tier in Tier::ALL {
                let Some(line) = label(tier, &parts) else { continue };
                prop_assert!(line.starts_with(tier.as_ref()));
                prop_assert!(line.chars().count() <= 3 * 66 + 50);
                let stray = line.chars().find(|character| {
                    is_deceptive(*character) && !OURS.contains(character)
                });
                prop_assert_eq!(stray, None);
                let opened = line.matches(FIRST_STRONG_ISOLATE).count();
                prop_assert_eq!(opened, line.matches(POP_DIRECTIONAL_ISOLATE).count());
            }
        }
    }
}
