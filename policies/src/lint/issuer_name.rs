//! The issuer is, byte for byte, the subject of the issuing certificate.

use super::{FIRST, Lint, Problems, View};
use der::Encode;

pub(super) const LINT: Lint = Lint {
    id: "issuer_name",
    citation: "BR 7.1.4.1",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    if view.tbs.issuer.is_empty() {
        problems.error("the issuer is empty");
    } else if view
        .issuer
        .is_some_and(|issuer| issuer.name.to_der().ok() != view.tbs.issuer.to_der().ok())
    {
        problems.error("the issuer is not byte for byte the subject of the issuing certificate");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::attribute::Attribute;
    use der::asn1::Any;
    use der::{Decode, Tag};
    use x509_cert::attr::AttributeTypeAndValue;
    use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

    #[test]
    fn the_name_of_the_issuer_passes() {
        v1().passes(&LINT);
        root().passes(&LINT);
    }

    #[test]
    fn other_names_fail() {
        v1().with(|tbs| tbs.issuer = Name::default()).fails(&LINT);
        v1().with(|tbs| tbs.issuer = crate::testing::root().name).fails(&LINT);
        // The same name in another string type is the same to people, and not to path building.
        let common_name = Any::new(Tag::PrintableString, b"Example Mail Issuing 1".as_slice()).unwrap();
        let mut relative_names = Vec::from(RdnSequence::from(crate::testing::issuer().name));
        relative_names[2] = RelativeDistinguishedName::try_from(vec![AttributeTypeAndValue {
            oid: Attribute::CommonName.oid(),
            value: common_name,
        }])
        .unwrap();
        let other_type = Name::from_der(&relative_names.to_der().unwrap()).unwrap();
        v1().with(|tbs| tbs.issuer = other_type).fails(&LINT);
    }
}
