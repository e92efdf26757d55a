//! Extensions that this kind of certificate must not have.

use super::{FIRST, Lint, Problems, View};
use crate::tier::{Generation, Tier};
use const_oid::ObjectIdentifier;

pub(super) const LINT: Lint = Lint {
    id: "extension_prohibited",
    citation: "BR 7.1.2.3",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for extension in view.extensions() {
        let oid = extension.extn_id;
        let is_prohibited = match oid {
            // Constraints on certificates below, of which a subscriber has none.
            NAME_CONSTRAINTS | POLICY_MAPPINGS | POLICY_CONSTRAINTS | INHIBIT_ANY_POLICY => true,
            // Item j.
            SUBJECT_DIRECTORY_ATTRIBUTES => view.generation.is_some(),
            // Item l.
            LEI => matches!(view.tier, Some(Tier::V1 | Tier::V2)),
            LEI_ROLE => matches!(view.tier, Some(Tier::V1 | Tier::V2 | Tier::V3)),
            // Item m.
            ADOBE_TIME_STAMP | ADOBE_ARCHIVE => view.generation == Some(Generation::Strict),
            _ => false,
        };
        if is_prohibited {
            problems.error(format!(
                "the extension {oid} must not stand in a certificate of this kind"
            ));
        }
    }
}

const SUBJECT_DIRECTORY_ATTRIBUTES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.9");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const POLICY_MAPPINGS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.33");
const POLICY_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.36");
const INHIBIT_ANY_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.54");
const ADOBE_TIME_STAMP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113583.1.1.9.1");
const ADOBE_ARCHIVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113583.1.1.9.2");
const LEI: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.52266.1");
const LEI_ROLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.52266.2");

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn with(tier: Tier, generation: Generation, oid: ObjectIdentifier) -> Fixture {
        subscriber(tier, generation).with_raw_extension(&oid.to_string(), false, b"\x05\x00")
    }

    #[test]
    fn permitted_extensions_pass() {
        v1().passes(&LINT);
        with(Tier::V3, Generation::Strict, LEI).passes(&LINT);
        with(Tier::V4, Generation::Strict, LEI).passes(&LINT);
        with(Tier::V4, Generation::Strict, LEI_ROLE).passes(&LINT);
        with(Tier::V1, Generation::Multipurpose, ADOBE_ARCHIVE).passes(&LINT);
    }

    #[test]
    fn prohibited_extensions_fail() {
        with(Tier::V1, Generation::Strict, LEI).fails(&LINT);
        with(Tier::V2, Generation::Multipurpose, LEI).fails(&LINT);
        with(Tier::V3, Generation::Strict, LEI_ROLE).fails(&LINT);
        with(Tier::V1, Generation::Strict, ADOBE_TIME_STAMP).fails(&LINT);
        for oid in [
            SUBJECT_DIRECTORY_ATTRIBUTES,
            NAME_CONSTRAINTS,
            POLICY_MAPPINGS,
            POLICY_CONSTRAINTS,
            INHIBIT_ANY_POLICY,
        ] {
            with(Tier::V4, Generation::Multipurpose, oid).fails(&LINT);
        }
    }
}
