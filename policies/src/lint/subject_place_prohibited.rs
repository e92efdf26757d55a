//! Certificates of mailboxes have no address, and those of the strict generation no street and postal code.

use super::{FIRST, Lint, Problems, View};
use crate::attribute::{Attribute, Presence};

pub(super) const LINT: Lint = Lint {
    id: "subject_place_prohibited",
    citation: "BR 7.1.4.2.3 to 7.1.4.2.6",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let (Some(tier), Some(generation)) = (view.tier, view.generation) else {
        return;
    };
    for attribute in view.subject_attributes() {
        let Some(known) = PLACES.into_iter().find(|place| place.oid() == attribute.oid) else {
            continue;
        };
        if known.presence(tier, generation) == Presence::Prohibited {
            problems.error(format!(
                "{} must not stand in the subject of {tier} {generation}",
                known.as_ref()
            ));
        }
    }
}

const PLACES: [Attribute; 5] = [
    Attribute::StreetAddress,
    Attribute::LocalityName,
    Attribute::StateOrProvinceName,
    Attribute::PostalCode,
    Attribute::CountryName,
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::tier::{Generation, Tier};

    #[test]
    fn permitted_places_pass() {
        v3().passes(&LINT);
        subscriber(Tier::V4, Generation::Multipurpose)
            .with_attribute(Attribute::PostalCode, "EC1A 1BB")
            .passes(&LINT);
        v2().with_attribute(Attribute::CountryName, "GB").passes(&LINT);
    }

    #[test]
    fn prohibited_places_fail() {
        for attribute in PLACES {
            v1().with_attribute(attribute, "GB").fails(&LINT);
            subscriber(Tier::V1, Generation::Multipurpose)
                .with_attribute(attribute, "GB")
                .fails(&LINT);
        }
        for fixture in [v2(), v3(), v4()] {
            fixture
                .clone()
                .with_attribute(Attribute::StreetAddress, "Main Street 1")
                .fails(&LINT);
            fixture.with_attribute(Attribute::PostalCode, "12345").fails(&LINT);
        }
    }
}
