//! Localities, states and postal codes stand with a country, streets with a locality or state.

use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;

pub(super) const LINT: Lint = Lint {
    id: "subject_place",
    citation: "BR 7.1.4.2.2 j to m",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let has_country = view.has(Attribute::CountryName);
    for attribute in [
        Attribute::LocalityName,
        Attribute::StateOrProvinceName,
        Attribute::PostalCode,
    ] {
        if view.has(attribute) && !has_country {
            problems.error(format!("{} stands without countryName", attribute.as_ref()));
        }
    }
    let has_town = view.has(Attribute::LocalityName) || view.has(Attribute::StateOrProvinceName);
    if view.has(Attribute::StreetAddress) && !has_town {
        problems.error("streetAddress stands without localityName and stateOrProvinceName");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn whole_places_pass() {
        v3().passes(&LINT);
        v3().without_attribute(Attribute::LocalityName).passes(&LINT);
    }

    #[test]
    fn parts_of_places_fail() {
        v3().without_attribute(Attribute::CountryName).fails(&LINT);
        v2().with_attribute(Attribute::PostalCode, "12345").fails(&LINT);
        v2().with_attribute(Attribute::StreetAddress, "Main Street 1")
            .fails(&LINT);
    }
}
