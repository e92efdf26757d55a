//! The reserved policy identifier is that of the tier and generation the certificate is meant to have.

use super::{FIRST, Lint, Problems, View};

pub(super) const LINT: Lint = Lint {
    id: "policy_tier",
    citation: "BR 7.1.6.1",
    effective: FIRST,
    applies: |view| view.is_subscriber() && view.issuer.is_some(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let (Some(tier), Some(generation)) = (view.tier, view.generation) else {
        return;
    };
    for found in view.reserved_policies() {
        if found != (tier, generation.into()) {
            problems.error(format!(
                "the policy is that of {} {:?} instead of {tier} {generation}",
                found.0, found.1
            ));
        }
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
    fn the_right_policy_passes() {
        v1().passes(&LINT);
        v4().passes(&LINT);
    }

    #[test]
    fn other_policies_fail() {
        for policy in [
            "2.23.140.1.5.1.1",
            "2.23.140.1.5.1.2",
            "2.23.140.1.5.2.3",
            "2.23.140.1.5.4.3",
        ] {
            with_policies(&[policy]).fails(&LINT);
        }
    }
}
