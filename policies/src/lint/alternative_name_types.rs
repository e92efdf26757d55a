//! The subjectAltName has mailboxes and directory names.
//!
//! The multipurpose generation may have other kinds of otherName besides; everything else is forbidden.

use super::{FIRST, Lint, Problems, View};
use crate::mailbox::SMTP_UTF8_MAILBOX;
use crate::tier::Generation;
use x509_cert::ext::pkix::name::GeneralName;

pub(super) const LINT: Lint = Lint {
    id: "alternative_name_types",
    citation: "BR 7.1.4.2.1",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for name in view.alternative_names() {
        let is_permitted = match &name {
            GeneralName::Rfc822Name(_) | GeneralName::DirectoryName(_) => true,
            GeneralName::OtherName(other) if other.type_id == SMTP_UTF8_MAILBOX => true,
            GeneralName::OtherName(_) => view.generation == Some(Generation::Multipurpose),
            _ => false,
        };
        if !is_permitted {
            problems.error("the subjectAltName has a name of a type that is not permitted there");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::template::extension;
    use crate::tier::Tier;
    use der::Tag;
    use der::asn1::{Any, Ia5String};
    use x509_cert::ext::pkix::SubjectAltName;
    use x509_cert::ext::pkix::name::OtherName;

    fn with_name(generation: Generation, name: GeneralName) -> Fixture {
        let mailbox = GeneralName::Rfc822Name(Ia5String::new("alice@example.com").unwrap());
        subscriber(Tier::V1, generation).with_extension(extension(false, &SubjectAltName(vec![mailbox, name])).unwrap())
    }

    fn user_principal_name() -> GeneralName {
        let type_id = const_oid::ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");
        let value = Any::new(Tag::Utf8String, b"alice@example.com".as_slice()).unwrap();
        GeneralName::OtherName(OtherName { type_id, value })
    }

    #[test]
    fn permitted_types_pass() {
        v1().passes(&LINT);
        with_name(Generation::Multipurpose, user_principal_name()).passes(&LINT);
    }

    #[test]
    fn other_types_fail() {
        with_name(Generation::Strict, user_principal_name()).fails(&LINT);
        let text = |text: &str| Ia5String::new(text).unwrap();
        for generation in Generation::ALL {
            with_name(generation, GeneralName::DnsName(text("example.com"))).fails(&LINT);
            with_name(
                generation,
                GeneralName::UniformResourceIdentifier(text("http://example.com/")),
            )
            .fails(&LINT);
        }
    }
}
