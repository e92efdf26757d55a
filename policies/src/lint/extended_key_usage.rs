//! The purpose is e-mail; the strict generation has no other, and none has those of other kinds of certificates.

use super::{FIRST, Lint, Problems, View};
use crate::profile::EMAIL_PROTECTION;
use crate::tier::Generation;
use const_oid::ObjectIdentifier;
use x509_cert::ext::pkix::ExtendedKeyUsage;

pub(super) const LINT: Lint = Lint {
    id: "extended_key_usage",
    citation: "BR 7.1.2.3 f",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Some(purposes) = view.decode::<ExtendedKeyUsage>().map(|usage| usage.0) else {
        problems.error("the extKeyUsage is missing");
        return;
    };
    if !purposes.contains(&EMAIL_PROTECTION) {
        problems.error("the extKeyUsage lacks emailProtection");
    }
    for purpose in &purposes {
        if PROHIBITED.contains(purpose) {
            problems.error(format!(
                "the extKeyUsage has {purpose}, which no e-mail certificate may have"
            ));
        } else if *purpose != EMAIL_PROTECTION && view.generation == Some(Generation::Strict) {
            problems.error(format!(
                "the extKeyUsage has {purpose}, which the strict generation does not allow"
            ));
        }
    }
}

/// serverAuth, codeSigning, timeStamping and anyExtendedKeyUsage.
pub(super) const PROHIBITED: [ObjectIdentifier; 4] = [
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8"),
    ObjectIdentifier::new_unwrap("2.5.29.37.0"),
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::template::extension;
    use crate::tier::Tier;
    use const_oid::AssociatedOid;

    fn with(generation: Generation, purposes: &[&str]) -> Fixture {
        let purposes = purposes
            .iter()
            .map(|purpose| ObjectIdentifier::new_unwrap(purpose))
            .collect();
        subscriber(Tier::V1, generation).with_extension(extension(false, &ExtendedKeyUsage(purposes)).unwrap())
    }

    #[test]
    fn mail_passes() {
        v1().passes(&LINT);
        subscriber(Tier::V1, Generation::Multipurpose).passes(&LINT);
        with(
            Generation::Multipurpose,
            &["1.3.6.1.5.5.7.3.4", "1.3.6.1.4.1.311.20.2.2"],
        )
        .passes(&LINT);
    }

    #[test]
    fn other_purposes_fail() {
        v1().without_extension(ExtendedKeyUsage::OID).fails(&LINT);
        with(Generation::Strict, &["1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.2"]).fails(&LINT);
        with(Generation::Multipurpose, &["1.3.6.1.5.5.7.3.2"]).fails(&LINT);
        for purpose in PROHIBITED {
            with(Generation::Multipurpose, &["1.3.6.1.5.5.7.3.4", &purpose.to_string()]).fails(&LINT);
        }
    }
}
