//! No attribute only tells that it has no value.

use super::view;
use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;
use crate::text::{is_deceptive, is_metadata_only};

pub(super) const LINT: Lint = Lint {
    id: "subject_metadata_only",
    citation: "BR 7.1.4.2",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for attribute in view.subject_attributes() {
        let Some(value) = view::text(&attribute.value) else {
            continue;
        };
        // Country codes are two letters, of which NA is Namibia.
        if attribute.oid != Attribute::CountryName.oid() && is_metadata_only(&value) {
            problems.error(format!(
                "{} says only that it has no value",
                view::attribute_name(&attribute.oid)
            ));
        } else if value.chars().any(is_deceptive) {
            problems.error(format!(
                "{} has characters that are invisible or reorder others",
                view::attribute_name(&attribute.oid)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn values_pass() {
        v4().passes(&LINT);
        v3().with_value(Attribute::CountryName, "NA").passes(&LINT);
    }

    #[test]
    fn empty_talk_fails() {
        for value in [".", "-", " ", "- -", "N/A", "none", "Unknown"] {
            v4().with_value(Attribute::Title, value).fails(&LINT);
            v4().with_value(Attribute::LocalityName, value).fails(&LINT);
        }
    }

    #[test]
    fn invisible_characters_fail() {
        for value in ["Ali\u{202e}ce", "Alice\u{200b}", "Alice\nBcc:"] {
            v4().with_value(Attribute::GivenName, value).fails(&LINT);
        }
    }
}
