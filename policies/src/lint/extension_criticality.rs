//! Extensions that must not be critical are not, and those that should not be are not.

use super::{FIRST, Lint, Problems, View};
use const_oid::ObjectIdentifier;

pub(super) const LINT: Lint = Lint {
    id: "extension_criticality",
    citation: "BR 7.1.2",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for extension in view.extensions().iter().filter(|extension| extension.critical) {
        let oid = extension.extn_id;
        if MUST_NOT.contains(&oid) || (oid == CRL_DISTRIBUTION_POINTS && view.is_authority()) {
            problems.error(format!("the extension {oid} is critical, which it must not be"));
        } else if SHOULD_NOT.contains(&oid) {
            problems.warning(format!("the extension {oid} is critical, which it should not be"));
        }
    }
}

const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");

/// authorityInfoAccess, both key identifiers, smimeCapabilities, qcStatements, LEI and role, the Adobe extensions.
const MUST_NOT: &[ObjectIdentifier] = &[
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1"),
    ObjectIdentifier::new_unwrap("2.5.29.35"),
    ObjectIdentifier::new_unwrap("2.5.29.14"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.15"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.3"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.52266.1"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.52266.2"),
    ObjectIdentifier::new_unwrap("1.2.840.113583.1.1.9.1"),
    ObjectIdentifier::new_unwrap("1.2.840.113583.1.1.9.2"),
];

/// certificatePolicies, cRLDistributionPoints and extKeyUsage.
const SHOULD_NOT: &[ObjectIdentifier] = &[
    ObjectIdentifier::new_unwrap("2.5.29.32"),
    CRL_DISTRIBUTION_POINTS,
    ObjectIdentifier::new_unwrap("2.5.29.37"),
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn our_criticalities_pass() {
        v1().passes(&LINT);
        issuing_authority().passes(&LINT);
    }

    #[test]
    fn critical_extensions_are_reported() {
        for oid in MUST_NOT {
            v4().with_raw_extension(&oid.to_string(), true, b"\x05\x00")
                .fails(&LINT);
        }
        for oid in SHOULD_NOT {
            v4().with_critical(*oid, true).warns(&LINT);
        }
        issuing_authority()
            .with_critical(CRL_DISTRIBUTION_POINTS, true)
            .fails(&LINT);
    }
}
