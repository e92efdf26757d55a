//! Attributes are not empty and not longer than their upper bounds.

use super::view::text;
use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;

pub(super) const LINT: Lint = Lint {
    id: "name_length",
    citation: "RFC 5280 appendix A.1",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for attribute in view.subject_attributes() {
        let (Some(known), Some(value)) = (Attribute::from_oid(&attribute.oid), text(&attribute.value)) else {
            continue;
        };
        let length = value.chars().count();
        if length == 0 {
            problems.error(format!("{} is empty", known.as_ref()));
        } else if length > known.upper_bound() {
            problems.error(format!(
                "{} has {length} characters; at most {} are allowed",
                known.as_ref(),
                known.upper_bound()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn names_within_bounds_pass() {
        v4().passes(&LINT);
        v4().with_value(Attribute::OrganizationName, &"x".repeat(64))
            .passes(&LINT);
        v4().with_value(Attribute::OrganizationName, &"ü".repeat(64))
            .passes(&LINT);
    }

    #[test]
    fn empty_and_long_names_fail() {
        v4().with_value(Attribute::OrganizationName, "").fails(&LINT);
        v4().with_value(Attribute::OrganizationName, &"x".repeat(65))
            .fails(&LINT);
        v4().with_value(Attribute::CommonName, &"x".repeat(65)).fails(&LINT);
        v4().with_value(Attribute::LocalityName, &"x".repeat(129)).fails(&LINT);
        v4().with_value(Attribute::CountryName, "GBR").fails(&LINT);
    }
}
