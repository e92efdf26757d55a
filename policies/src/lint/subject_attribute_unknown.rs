//! Subjects have no attributes beside those of the tables.

use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;

pub(super) const LINT: Lint = Lint {
    id: "subject_attribute_unknown",
    citation: "BR 7.1.4.2.3 to 7.1.4.2.6",
    effective: FIRST,
    applies: |view| view.is_subscriber() && view.generation.is_some(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for attribute in view.subject_attributes() {
        if Attribute::from_oid(&attribute.oid).is_none() {
            problems.error(format!("the attribute {} must not stand in a subject", attribute.oid));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use std::str::FromStr;
    use x509_cert::name::Name;

    #[test]
    fn attributes_of_the_tables_pass() {
        v4().passes(&LINT);
        v1().with_attribute(Attribute::SerialNumber, "4711").passes(&LINT);
    }

    #[test]
    fn other_attributes_fail() {
        for name in ["DC=example,CN=alice@example.com", "UID=alice"] {
            v1().with(|tbs| tbs.subject = Name::from_str(name).unwrap())
                .fails(&LINT);
        }
    }
}
