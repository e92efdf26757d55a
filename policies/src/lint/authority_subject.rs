//! Authorities have a common name, an organization and a country.

use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;

pub(super) const LINT: Lint = Lint {
    id: "authority_subject",
    citation: "BR 7.1.4.3.1",
    effective: FIRST,
    applies: |view| view.is_authority(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for attribute in [
        Attribute::CommonName,
        Attribute::OrganizationName,
        Attribute::CountryName,
    ] {
        if !view.has(attribute) {
            problems.error(format!("{} is missing", attribute.as_ref()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn our_authorities_pass() {
        root().passes(&LINT);
        issuing_authority().passes(&LINT);
    }

    #[test]
    fn incomplete_names_fail() {
        for attribute in [
            Attribute::CommonName,
            Attribute::OrganizationName,
            Attribute::CountryName,
        ] {
            root().without_attribute(attribute).fails(&LINT);
            issuing_authority().without_attribute(attribute).fails(&LINT);
        }
    }
}
