//! Legacy policy identifiers ended on 15 July 2025.

use super::{LEGACY_END, Lint, Problems, View};
use crate::tier::ReservedGeneration;

pub(super) const LINT: Lint = Lint {
    id: "policy_legacy",
    citation: "BR 7.1.6.1",
    effective: LEGACY_END,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    if view
        .reserved_policies()
        .iter()
        .any(|(_, generation)| *generation == ReservedGeneration::Legacy)
    {
        problems.error("the certificate is of the legacy generation");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::template::certificate_policies;
    use crate::time::Span;
    use const_oid::ObjectIdentifier;

    fn with_policies(policies: &[&str]) -> Fixture {
        let policies: Vec<_> = policies
            .iter()
            .map(|policy| ObjectIdentifier::new_unwrap(policy))
            .collect();
        v1().with_extension(certificate_policies(&policies, None).unwrap())
    }

    #[test]
    fn the_other_generations_pass() {
        v1().passes(&LINT);
        with_policies(&["2.23.140.1.5.1.2"]).passes(&LINT);
    }

    #[test]
    fn legacy_fails_from_the_day_on() {
        for policy in [
            "2.23.140.1.5.1.1",
            "2.23.140.1.5.2.1",
            "2.23.140.1.5.3.1",
            "2.23.140.1.5.4.1",
        ] {
            with_policies(&[policy]).fails(&LINT);
            with_policies(&[policy]).at(LEGACY_END).fails(&LINT);
            with_policies(&[policy])
                .at(LEGACY_END.minus(Span::seconds(1)))
                .passes(&LINT);
        }
    }
}
