//! Issuing authorities name reserved policies or anyPolicy, never both; roots need none.

use super::view::Kind;
use super::{FIRST, Lint, Problems, View};
use crate::tier::ReservedGeneration;
use const_oid::ObjectIdentifier;
use x509_cert::ext::pkix::CertificatePolicies;

pub(super) const LINT: Lint = Lint {
    id: "authority_policies",
    citation: "BR 7.1.2.1 c, 7.1.6.3",
    effective: FIRST,
    applies: |view| view.is_authority(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let policies = view.decode::<CertificatePolicies>().map(|policies| policies.0);
    if view.kind == Kind::Root {
        if policies.is_some() {
            problems.warning("the root has certificatePolicies");
        }
        return;
    }
    let Some(policies) = policies else {
        problems.error("the certificatePolicies are missing");
        return;
    };
    let has_any_policy = policies.iter().any(|policy| policy.policy_identifier == ANY_POLICY);
    let reserved = view.reserved_policies();
    match (has_any_policy, reserved.is_empty()) {
        (false, true) => problems.error("the authority has none of the reserved policy identifiers and no anyPolicy"),
        (true, false) => problems.error("the authority has anyPolicy beside reserved policy identifiers"),
        _ => {}
    }
    if reserved
        .iter()
        .any(|(_, generation)| *generation == ReservedGeneration::Legacy)
    {
        problems.warning("the authority still has policies of the legacy generation");
    }
}

const ANY_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32.0");

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::template::certificate_policies;
    use const_oid::AssociatedOid;

    fn with(fixture: Fixture, policies: &[&str]) -> Fixture {
        let policies: Vec<_> = policies
            .iter()
            .map(|policy| ObjectIdentifier::new_unwrap(policy))
            .collect();
        fixture.with_extension(certificate_policies(&policies, None).unwrap())
    }

    #[test]
    fn our_authorities_pass() {
        root().passes(&LINT);
        issuing_authority().passes(&LINT);
        with(issuing_authority(), &["2.5.29.32.0"]).passes(&LINT);
    }

    #[test]
    fn others_are_reported() {
        issuing_authority()
            .without_extension(CertificatePolicies::OID)
            .fails(&LINT);
        with(issuing_authority(), &["1.3.6.1.4.1.32473.1"]).fails(&LINT);
        with(issuing_authority(), &["2.5.29.32.0", "2.23.140.1.5.1.3"]).fails(&LINT);
        with(issuing_authority(), &["2.23.140.1.5.1.3", "2.23.140.1.5.1.1"]).warns(&LINT);
        with(root(), &["2.5.29.32.0"]).warns(&LINT);
    }
}
