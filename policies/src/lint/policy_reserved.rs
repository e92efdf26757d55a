//! There is exactly one reserved policy identifier.

use super::{FIRST, Lint, Problems, View};

pub(super) const LINT: Lint = Lint {
    id: "policy_reserved",
    citation: "BR 7.1.2.3 a",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    match view.reserved_policies().len() {
        0 => problems.error("the certificate has none of the reserved policy identifiers of BR 7.1.6.1"),
        1 => {}
        count => problems.error(format!(
            "the certificate has {count} reserved policy identifiers instead of one"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::template::certificate_policies;
    use const_oid::ObjectIdentifier;

    fn with_policies(policies: &[&str]) -> Fixture {
        let policies: Vec<_> = policies
            .iter()
            .map(|policy| ObjectIdentifier::new_unwrap(policy))
            .collect();
        v1().with_extension(certificate_policies(&policies, None).unwrap())
    }

    #[test]
    fn one_passes() {
        v1().passes(&LINT);
        with_policies(&["2.23.140.1.5.1.3", "1.3.6.1.4.1.32473.1"]).passes(&LINT);
    }

    #[test]
    fn none_and_two_fail() {
        v1().without_extension(ObjectIdentifier::new_unwrap("2.5.29.32"))
            .fails(&LINT);
        with_policies(&["1.3.6.1.4.1.32473.1"]).fails(&LINT);
        with_policies(&["2.5.29.32.0"]).fails(&LINT);
        with_policies(&["2.23.140.1.5.1.3", "2.23.140.1.5.1.2"]).fails(&LINT);
        with_policies(&["2.23.140.1.5.1.3", "2.23.140.1.5.4.3"]).fails(&LINT);
    }
}
