//! Attributes have the string types of RFC 5280.

use super::view::attribute_name;
use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;
use der::asn1::PrintableStringRef;
use der::{Tag, Tagged};

pub(super) const LINT: Lint = Lint {
    id: "name_string_type",
    citation: "RFC 5280 appendix A.1",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let mut attributes = view.subject_attributes();
    attributes.extend(view.tbs.issuer.iter().cloned());
    for attribute in attributes {
        let tag = attribute.value.tag();
        let fits = match Attribute::from_oid(&attribute.oid) {
            Some(Attribute::CountryName | Attribute::SerialNumber) => tag == Tag::PrintableString,
            Some(Attribute::EmailAddress) => tag == Tag::Ia5String,
            Some(_) => matches!(tag, Tag::Utf8String | Tag::PrintableString),
            None => true,
        };
        let content_fits = match tag {
            Tag::Utf8String => std::str::from_utf8(attribute.value.value()).is_ok(),
            Tag::PrintableString => PrintableStringRef::new(attribute.value.value()).is_ok(),
            Tag::Ia5String => attribute.value.value().is_ascii(),
            _ => true,
        };
        if !fits {
            problems.error(format!("{} is written as {tag}", attribute_name(&attribute.oid)));
        } else if !content_fits {
            problems.error(format!(
                "{} has characters that {tag} does not have",
                attribute_name(&attribute.oid)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use der::asn1::Any;
    use der::{Decode, Encode};
    use x509_cert::attr::AttributeTypeAndValue;
    use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

    fn with_value(attribute: Attribute, tag: Tag, value: &[u8]) -> Fixture {
        v4().with(|tbs| {
            let mut sequence = RdnSequence::default();
            let value = AttributeTypeAndValue {
                oid: attribute.oid(),
                value: Any::new(tag, value).unwrap(),
            };
            sequence.push(RelativeDistinguishedName::try_from(vec![value]).unwrap());
            tbs.subject = Name::from_der(&sequence.to_der().unwrap()).unwrap();
        })
    }

    #[test]
    fn our_types_pass() {
        v4().passes(&LINT);
        with_value(Attribute::CommonName, Tag::PrintableString, b"Alice").passes(&LINT);
    }

    #[test]
    fn other_types_fail() {
        with_value(Attribute::CommonName, Tag::TeletexString, b"Alice").fails(&LINT);
        with_value(Attribute::CommonName, Tag::BmpString, b"\0A").fails(&LINT);
        with_value(Attribute::CommonName, Tag::Ia5String, b"Alice").fails(&LINT);
        with_value(Attribute::CountryName, Tag::Utf8String, b"GB").fails(&LINT);
        with_value(Attribute::EmailAddress, Tag::Utf8String, b"a@example.com").fails(&LINT);
    }

    #[test]
    fn characters_outside_the_type_fail() {
        with_value(Attribute::CommonName, Tag::PrintableString, b"alice@example.com").fails(&LINT);
        with_value(Attribute::CommonName, Tag::Utf8String, b"\xff").fails(&LINT);
    }
}
