//! Certificates of persons and employees name the person.

use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;
use crate::tier::Tier;

pub(super) const LINT: Lint = Lint {
    id: "subject_person_required",
    citation: "BR 7.1.4.2.5, 7.1.4.2.6",
    effective: FIRST,
    applies: |view| matches!(view.tier, Some(Tier::V2 | Tier::V4)) && view.generation.is_some(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let names = [Attribute::GivenName, Attribute::Surname, Attribute::Pseudonym];
    if !names.into_iter().any(|attribute| view.has(attribute)) {
        problems.error("givenName, surname and pseudonym are all missing");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn named_persons_pass() {
        v2().passes(&LINT);
        v4().without_attribute(Attribute::GivenName).passes(&LINT);
        v3().passes(&LINT);
    }

    #[test]
    fn nameless_persons_fail() {
        for fixture in [v2(), v4()] {
            fixture
                .without_attribute(Attribute::GivenName)
                .without_attribute(Attribute::Surname)
                .fails(&LINT);
        }
    }
}
