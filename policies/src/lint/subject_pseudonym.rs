//! A pseudonym stands instead of a name, never beside it.

use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;

pub(super) const LINT: Lint = Lint {
    id: "subject_pseudonym",
    citation: "BR 7.1.4.2.2 e, f",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let named = view.has(Attribute::GivenName) || view.has(Attribute::Surname);
    if view.has(Attribute::Pseudonym) && named {
        problems.error("a pseudonym stands beside a givenName or surname");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn a_name_or_a_pseudonym_pass() {
        v2().passes(&LINT);
        v2().without_attribute(Attribute::GivenName)
            .without_attribute(Attribute::Surname)
            .with_attribute(Attribute::Pseudonym, "Alice in Wonderland")
            .passes(&LINT);
    }

    #[test]
    fn both_fail() {
        v2().with_attribute(Attribute::Pseudonym, "Alice in Wonderland")
            .fails(&LINT);
        v4().without_attribute(Attribute::Surname)
            .with_attribute(Attribute::Pseudonym, "Al")
            .fails(&LINT);
    }
}
