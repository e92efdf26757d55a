//! The authorityKeyIdentifier is the key identifier of the issuer and nothing more.

use super::view::Kind;
use super::{FIRST, Lint, Problems, View};
use crate::public_key::key_identifier;
use x509_cert::ext::pkix::AuthorityKeyIdentifier;

pub(super) const LINT: Lint = Lint {
    id: "authority_key_identifier",
    citation: "BR 7.1.2.2 h, 7.1.2.3 g",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Some(identifier) = view.decode::<AuthorityKeyIdentifier>() else {
        // A root may leave it out (RFC 5280 section 4.2.1.1).
        if view.kind != Kind::Root {
            problems.error("the authorityKeyIdentifier is missing");
        }
        return;
    };
    if identifier.authority_cert_issuer.is_some() || identifier.authority_cert_serial_number.is_some() {
        problems.error("the authorityKeyIdentifier has more than the keyIdentifier");
    }
    match (&identifier.key_identifier, view.issuer) {
        (None, _) => problems.error("the authorityKeyIdentifier has no keyIdentifier"),
        (Some(found), Some(issuer)) if found.as_bytes() != key_identifier(&issuer.public_key) => {
            problems.error("the authorityKeyIdentifier is not that of the issuer's key");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::template::extension;
    use const_oid::AssociatedOid;
    use der::asn1::OctetString;
    use x509_cert::ext::pkix::name::GeneralName;

    fn with(identifier: AuthorityKeyIdentifier) -> Fixture {
        v1().with_extension(extension(false, &identifier).unwrap())
    }

    fn octets(octets: &[u8]) -> Option<OctetString> {
        Some(OctetString::new(octets).unwrap())
    }

    #[test]
    fn the_issuers_identifier_passes() {
        v1().passes(&LINT);
        issuing_authority().passes(&LINT);
        root().passes(&LINT);
    }

    #[test]
    fn other_forms_fail() {
        v1().without_extension(AuthorityKeyIdentifier::OID).fails(&LINT);
        issuing_authority()
            .without_extension(AuthorityKeyIdentifier::OID)
            .fails(&LINT);
        with(AuthorityKeyIdentifier::default()).fails(&LINT);
        with(AuthorityKeyIdentifier {
            key_identifier: octets(&[1; 20]),
            ..Default::default()
        })
        .fails(&LINT);
        let issuer = GeneralName::DirectoryName(crate::testing::issuer().name);
        with(AuthorityKeyIdentifier {
            key_identifier: octets(&key_identifier(&crate::testing::issuer().public_key)),
            authority_cert_issuer: Some(vec![issuer]),
            authority_cert_serial_number: Some(crate::testing::serial_number()),
        })
        .fails(&LINT);
    }
}
