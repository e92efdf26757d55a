//! Roots have no purposes; issuing authorities have e-mail and none of other kinds of certificates.

use super::extended_key_usage::PROHIBITED;
use super::view::Kind;
use super::{FIRST, Lint, Problems, View};
use crate::profile::EMAIL_PROTECTION;
use x509_cert::ext::pkix::ExtendedKeyUsage;

pub(super) const LINT: Lint = Lint {
    id: "authority_extended_key_usage",
    citation: "BR 7.1.2.1 d, 7.1.2.2 g",
    effective: FIRST,
    applies: |view| view.is_authority(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let purposes = view.decode::<ExtendedKeyUsage>().map(|usage| usage.0);
    match (view.kind, purposes) {
        (Kind::Root, Some(_)) => problems.error("the root has an extKeyUsage"),
        (Kind::Root, None) => {}
        (_, None) => problems.error("the extKeyUsage is missing"),
        (_, Some(purposes)) => {
            if !purposes.contains(&EMAIL_PROTECTION) {
                problems.error("the extKeyUsage lacks emailProtection");
            }
            if let Some(purpose) = purposes.iter().find(|purpose| PROHIBITED.contains(purpose)) {
                problems.error(format!(
                    "the extKeyUsage has {purpose}, which no authority for e-mail may have"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::profile::CLIENT_AUTHENTICATION;
    use crate::template::extension;
    use const_oid::AssociatedOid;

    #[test]
    fn our_authorities_pass() {
        root().passes(&LINT);
        issuing_authority().passes(&LINT);
    }

    #[test]
    fn others_fail() {
        let purposes = |purposes| extension(false, &ExtendedKeyUsage(purposes)).unwrap();
        root().with_extension(purposes(vec![EMAIL_PROTECTION])).fails(&LINT);
        issuing_authority()
            .without_extension(ExtendedKeyUsage::OID)
            .fails(&LINT);
        issuing_authority()
            .with_extension(purposes(vec![CLIENT_AUTHENTICATION]))
            .fails(&LINT);
        for purpose in PROHIBITED {
            issuing_authority()
                .with_extension(purposes(vec![EMAIL_PROTECTION, purpose]))
                .fails(&LINT);
        }
    }
}
