//! No attribute stands twice in a subject: nobody can tell which one counts.

use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;

pub(super) const LINT: Lint = Lint {
    id: "name_repeated_attribute",
    citation: "BR 7.1.4.2.2",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for name in view.subject_names() {
        for attribute in Attribute::ALL {
            // An organization may have several affiliates, and an address several lines.
            let may_repeat = matches!(attribute, Attribute::OrganizationalUnitName | Attribute::StreetAddress);
            let count = name.iter().filter(|value| value.oid == attribute.oid()).count();
            if count > 1 && !may_repeat {
                problems.error(format!("{} stands {count} times", attribute.as_ref()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn single_attributes_pass() {
        v4().passes(&LINT);
    }

    #[test]
    fn repetitions_fail() {
        for attribute in [
            Attribute::CommonName,
            Attribute::OrganizationName,
            Attribute::GivenName,
            Attribute::Title,
        ] {
            v4().with_attribute(attribute, "Somebody Else").fails(&LINT);
        }
        v1().with_attribute(Attribute::EmailAddress, "alice@example.com")
            .with_attribute(Attribute::EmailAddress, "alice@example.com")
            .fails(&LINT);
    }
}
