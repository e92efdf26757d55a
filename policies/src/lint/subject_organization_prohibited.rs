//! Certificates of mailboxes and persons say nothing of an organization.

use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;
use crate::tier::Tier;

pub(super) const LINT: Lint = Lint {
    id: "subject_organization_prohibited",
    citation: "BR 7.1.4.2.3, 7.1.4.2.6",
    effective: FIRST,
    applies: |view| matches!(view.tier, Some(Tier::V1 | Tier::V2)),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for attribute in view.subject_attributes() {
        if let Some(prohibited) = PROHIBITED
            .into_iter()
            .find(|prohibited| prohibited.oid() == attribute.oid)
        {
            problems.error(format!("{} must not stand in this subject", prohibited.as_ref()));
        }
    }
}

const PROHIBITED: [Attribute; 3] = [
    Attribute::OrganizationName,
    Attribute::OrganizationalUnitName,
    Attribute::OrganizationIdentifier,
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn subjects_of_every_tier_pass() {
        v1().passes(&LINT);
        v2().passes(&LINT);
        v3().passes(&LINT);
        v4().passes(&LINT);
    }

    #[test]
    fn prohibited_attributes_fail() {
        for attribute in PROHIBITED {
            v1().with_attribute(attribute, "NTRGB-12345678").fails(&LINT);
            v2().with_attribute(attribute, "NTRGB-12345678").fails(&LINT);
        }
    }
}
