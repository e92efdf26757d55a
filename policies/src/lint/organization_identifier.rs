//! Registrations have the form of their scheme and are of the country of the subject.

use super::view::values;
use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;
use crate::organization::{Country, OrganizationIdentifier};

pub(super) const LINT: Lint = Lint {
    id: "organization_identifier",
    citation: "BR 7.1.4.2.2 d",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for name in view.subject_names() {
        let countries: Vec<Country> = values(&name, Attribute::CountryName)
            .iter()
            .filter_map(|country| Country::parse(country).ok())
            .collect();
        for value in values(&name, Attribute::OrganizationIdentifier) {
            let identifier = match OrganizationIdentifier::parse(&value) {
                Ok(identifier) => identifier,
                Err(problem) => {
                    problems.error(format!("organizationIdentifier: {problem}"));
                    continue;
                }
            };
            if let Some(country) = countries.iter().find(|country| !identifier.fits_country(**country)) {
                problems.error(format!("the registration {identifier} is not one of {country}"));
            }
            if identifier.lacks_preferred_euid() {
                problems.warning(format!("the German registration {identifier} is not an EUID"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn registrations_pass() {
        v3().passes(&LINT);
        v4().with_value(Attribute::OrganizationIdentifier, "LEIXG-5493001KJTIIGC8Y1R12")
            .passes(&LINT);
        v4().without_attribute(Attribute::CountryName)
            .with_value(Attribute::OrganizationIdentifier, "NTRDE-DER3306.HRB12345")
            .passes(&LINT);
    }

    #[test]
    fn broken_registrations_fail() {
        for value in [
            "12345678",
            "NTRGB",
            "NTRZZ-1",
            "LEIXG-5493001KJTIIGC8Y1R13",
            "XYZGB-1",
            "NTRFR-1",
            "GOVUS",
        ] {
            v3().with_value(Attribute::OrganizationIdentifier, value).fails(&LINT);
        }
    }

    #[test]
    fn german_numbers_without_euid_are_warned_of() {
        v3().with_value(Attribute::CountryName, "DE")
            .with_value(Attribute::OrganizationIdentifier, "NTRDE-HRB12345")
            .warns(&LINT);
    }
}
