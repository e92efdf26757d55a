//! Certificates of organizations and employees name the organization and its registration.

use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;
use crate::tier::Tier;

pub(super) const LINT: Lint = Lint {
    id: "subject_organization_required",
    citation: "BR 7.1.4.2.4, 7.1.4.2.5",
    effective: FIRST,
    applies: |view| matches!(view.tier, Some(Tier::V3 | Tier::V4)),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for attribute in [Attribute::OrganizationName, Attribute::OrganizationIdentifier] {
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
    fn named_organizations_pass() {
        v3().passes(&LINT);
        v4().passes(&LINT);
        v1().passes(&LINT);
    }

    #[test]
    fn missing_organizations_fail() {
        for attribute in [Attribute::OrganizationName, Attribute::OrganizationIdentifier] {
            v3().without_attribute(attribute).fails(&LINT);
            v4().without_attribute(attribute).fails(&LINT);
        }
    }
}
