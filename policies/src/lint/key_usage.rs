//! Keys are for signing, for key management, or both, as their algorithm can; and the extension is critical.

use super::{FIRST, Lint, Problems, View};
use crate::public_key::PublicKey;
use crate::tier::Generation;
use const_oid::AssociatedOid;
use der::flagset::FlagSet;
use x509_cert::ext::pkix::KeyUsage;
use x509_cert::ext::pkix::KeyUsages::{
    DataEncipherment, DecipherOnly, DigitalSignature, EncipherOnly, KeyAgreement, KeyEncipherment, NonRepudiation,
};

pub(super) const LINT: Lint = Lint {
    id: "key_usage",
    citation: "BR 7.1.2.3 e",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Some(extension) = view.extension(KeyUsage::OID) else {
        problems.error("the keyUsage is missing");
        return;
    };
    if !extension.critical {
        problems.warning("the keyUsage is not critical");
    }
    let (Some(KeyUsage(usages)), Ok(key)) = (view.decode::<KeyUsage>(), &view.public_key) else {
        return;
    };

    // What the key may do at all; key management and what may only stand beside it.
    let signing = DigitalSignature | NonRepudiation;
    let (management, beside) = match key {
        PublicKey::Rsa { .. } if view.generation == Some(Generation::Strict) => (Some(KeyEncipherment), None),
        PublicKey::Rsa { .. } => (Some(KeyEncipherment), Some(FlagSet::from(DataEncipherment))),
        PublicKey::EllipticCurve { .. } => (Some(KeyAgreement), Some(EncipherOnly | DecipherOnly)),
        PublicKey::Edwards | PublicKey::MlDsa => (None, None),
        PublicKey::MlKem => (Some(KeyEncipherment), None),
    };
    let signs = !matches!(key, PublicKey::MlKem);
    let mut permitted = FlagSet::default();
    if signs {
        permitted |= signing;
    }
    permitted |= management.map(FlagSet::from).unwrap_or_default();
    permitted |= beside.unwrap_or_default();

    let manages = management.is_some_and(|management| usages.contains(management));
    if !(usages & !permitted).is_empty() {
        problems.error("the keyUsage has bits that do not fit the key or the generation");
    } else if !usages.contains(DigitalSignature) && !manages {
        problems.error("the keyUsage allows neither signing nor key management");
    } else if usages.contains(NonRepudiation) && !usages.contains(DigitalSignature) {
        problems.error("nonRepudiation stands without digitalSignature");
    } else if beside.is_some_and(|beside| !(usages & beside).is_empty()) && !manages {
        problems.error("encipherOnly, decipherOnly or dataEncipherment stands without key management");
    } else if usages.contains(EncipherOnly | DecipherOnly) {
        problems.error("encipherOnly and decipherOnly exclude each other");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::template::extension;
    use crate::tier::Tier;
    use spki::SubjectPublicKeyInfoOwned;
    use x509_cert::ext::pkix::KeyUsages;

    fn with(generation: Generation, key: SubjectPublicKeyInfoOwned, usages: impl Into<FlagSet<KeyUsages>>) -> Fixture {
        subscriber_with_key(Tier::V1, generation, key)
            .with_extension(extension(true, &KeyUsage(usages.into())).unwrap())
    }

    fn curve(usages: impl Into<FlagSet<KeyUsages>>) -> Fixture {
        with(Generation::Strict, crate::testing::p256(), usages)
    }

    fn rsa(usages: impl Into<FlagSet<KeyUsages>>) -> Fixture {
        with(Generation::Strict, crate::testing::rsa2048(), usages)
    }

    #[test]
    fn the_permitted_combinations_pass() {
        v1().passes(&LINT);
        curve(DigitalSignature).passes(&LINT);
        curve(DigitalSignature | NonRepudiation).passes(&LINT);
        curve(KeyAgreement).passes(&LINT);
        curve(KeyAgreement | EncipherOnly).passes(&LINT);
        curve(DigitalSignature | KeyAgreement | DecipherOnly | NonRepudiation).passes(&LINT);
        rsa(DigitalSignature).passes(&LINT);
        rsa(KeyEncipherment).passes(&LINT);
        rsa(DigitalSignature | KeyEncipherment | NonRepudiation).passes(&LINT);
        with(
            Generation::Multipurpose,
            crate::testing::rsa2048(),
            KeyEncipherment | DataEncipherment,
        )
        .passes(&LINT);
    }

    #[test]
    fn other_combinations_fail() {
        curve(FlagSet::default()).fails(&LINT);
        curve(NonRepudiation).fails(&LINT);
        curve(KeyEncipherment | DigitalSignature).fails(&LINT);
        curve(EncipherOnly | DigitalSignature).fails(&LINT);
        curve(KeyAgreement | EncipherOnly | DecipherOnly).fails(&LINT);
        curve(DigitalSignature | KeyUsages::KeyCertSign).fails(&LINT);
        curve(DigitalSignature | KeyUsages::CRLSign).fails(&LINT);
        rsa(KeyAgreement | DigitalSignature).fails(&LINT);
        rsa(DigitalSignature | KeyEncipherment | DataEncipherment).fails(&LINT);
        rsa(NonRepudiation | KeyEncipherment).fails(&LINT);
        with(
            Generation::Multipurpose,
            crate::testing::rsa2048(),
            DigitalSignature | DataEncipherment,
        )
        .fails(&LINT);
    }

    #[test]
    fn missing_and_uncritical_are_reported() {
        v1().without_extension(KeyUsage::OID).fails(&LINT);
        v1().with_critical(KeyUsage::OID, false).warns(&LINT);
    }
}
