//! The extensions we know have the form of their type, in DER.

use super::{FIRST, Lint, Problems, View};
use const_oid::{AssociatedOid, ObjectIdentifier};
use der::{Decode, Encode};
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies, CrlDistributionPoints,
    ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName, SubjectKeyIdentifier,
};

pub(super) const LINT: Lint = Lint {
    id: "extension_syntax",
    citation: "RFC 5280 section 4.2",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for extension in view.extensions() {
        let value = extension.extn_value.as_bytes();
        let is_well_formed = match extension.extn_id {
            AuthorityKeyIdentifier::OID => reads::<AuthorityKeyIdentifier>(value),
            SubjectKeyIdentifier::OID => reads::<SubjectKeyIdentifier>(value),
            KeyUsage::OID => reads::<KeyUsage>(value),
            CertificatePolicies::OID => reads::<CertificatePolicies>(value),
            SubjectAltName::OID => reads::<SubjectAltName>(value),
            ExtendedKeyUsage::OID => reads::<ExtendedKeyUsage>(value),
            CrlDistributionPoints::OID => reads::<CrlDistributionPoints>(value),
            AuthorityInfoAccessSyntax::OID => reads::<AuthorityInfoAccessSyntax>(value),
            BasicConstraints::OID => reads::<BasicConstraints>(value),
            NameConstraints::OID => reads::<NameConstraints>(value),
            _ => true,
        };
        let is_empty_list = NON_EMPTY_LISTS.contains(&extension.extn_id) && value == EMPTY_SEQUENCE;
        if !is_well_formed || is_empty_list {
            problems.error(format!(
                "the extension {} is empty or not DER of its type",
                extension.extn_id
            ));
        }
    }
}

/// Whether the value is of the type, and the only way to write it.
fn reads<T: for<'d> Decode<'d> + Encode>(value: &[u8]) -> bool {
    T::from_der(value).is_ok_and(|read| read.to_der().is_ok_and(|again| again == value))
}

/// The types of RFC 5280 section 4.2 that are `SEQUENCE SIZE (1..MAX)`.
const NON_EMPTY_LISTS: [ObjectIdentifier; 5] = [
    CertificatePolicies::OID,
    SubjectAltName::OID,
    ExtendedKeyUsage::OID,
    CrlDistributionPoints::OID,
    AuthorityInfoAccessSyntax::OID,
];

const EMPTY_SEQUENCE: [u8; 2] = [0x30, 0x00];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn what_we_write_passes() {
        v1().passes(&LINT);
        issuing_authority().passes(&LINT);
    }

    #[test]
    fn other_contents_fail() {
        let types = v1().tbs.extensions.unwrap();
        for extension in types {
            let oid = extension.extn_id.to_string();
            v1().with_raw_extension(&oid, false, b"\x05\x00").fails(&LINT);
            v1().with_raw_extension(&oid, false, b"").fails(&LINT);
            let trailing = [extension.extn_value.as_bytes(), &[0]].concat();
            v1().with_raw_extension(&oid, false, &trailing).fails(&LINT);
        }
    }

    #[test]
    fn empty_lists_fail() {
        for oid in NON_EMPTY_LISTS {
            v1().with_raw_extension(&oid.to_string(), false, b"\x30\x00")
                .fails(&LINT);
        }
    }

    #[test]
    fn key_usage_with_trailing_zero_bits_fails() {
        // DER of a named bit list ends with a one.
        v1().with_raw_extension("2.5.29.15", true, b"\x03\x02\x00\x88")
            .fails(&LINT);
    }
}
