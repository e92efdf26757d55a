//! Authorities sign certificates and revocation lists, critically, and nothing but perhaps OCSP responses besides.

use super::{FIRST, Lint, Problems, View};
use const_oid::AssociatedOid;
use x509_cert::ext::pkix::KeyUsage;
use x509_cert::ext::pkix::KeyUsages::{CRLSign, DigitalSignature, KeyCertSign};

pub(super) const LINT: Lint = Lint {
    id: "authority_key_usage",
    citation: "BR 7.1.2.1 b, 7.1.2.2 e",
    effective: FIRST,
    applies: |view| view.is_authority(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Some(KeyUsage(usages)) = view.decode::<KeyUsage>() else {
        problems.error("the keyUsage is missing");
        return;
    };
    if view
        .extension(KeyUsage::OID)
        .is_some_and(|extension| !extension.critical)
    {
        problems.error("the keyUsage is not critical");
    }
    if !usages.contains(KeyCertSign | CRLSign) {
        problems.error("the keyUsage lacks keyCertSign or cRLSign");
    }
    if !(usages & !(KeyCertSign | CRLSign | DigitalSignature)).is_empty() {
        problems.error("the keyUsage has bits that an authority does not need");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::template::extension;
    use der::flagset::FlagSet;
    use x509_cert::ext::pkix::KeyUsages;

    fn with(usages: FlagSet<KeyUsages>) -> Fixture {
        issuing_authority().with_extension(extension(true, &KeyUsage(usages)).unwrap())
    }

    #[test]
    fn signing_authorities_pass() {
        root().passes(&LINT);
        issuing_authority().passes(&LINT);
        with(KeyCertSign | CRLSign | DigitalSignature).passes(&LINT);
    }

    #[test]
    fn others_fail() {
        root().without_extension(KeyUsage::OID).fails(&LINT);
        root().with_critical(KeyUsage::OID, false).fails(&LINT);
        with(KeyCertSign.into()).fails(&LINT);
        with(CRLSign.into()).fails(&LINT);
        with(KeyCertSign | CRLSign | KeyUsages::KeyEncipherment).fails(&LINT);
        with(KeyCertSign | CRLSign | KeyUsages::NonRepudiation).fails(&LINT);
    }
}
