//! A certificate as the rules see it: parsed once, with what is known about it.

use const_oid::{AssociatedOid, ObjectIdentifier};
use der::asn1::Any;
use der::{Decode, Tag, Tagged};
use spki::AlgorithmIdentifierOwned;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, CertificatePolicies, ExtendedKeyUsage, SubjectAltName};
use x509_cert::name::Name;

use super::{Expected, Finding, LintContext, Severity};
use crate::attribute::Attribute;
use crate::authority::OCSP_SIGNING;
use crate::key_use::KeyUse;
use crate::mailbox::{Mailbox, MailboxName};
use crate::public_key::{InvalidPublicKey, PublicKey};
use crate::tbs::TbsCertificate;
use crate::template::Issuer;
use crate::tier::{Generation, ReservedGeneration, Tier};
use crate::time::Timestamp;

/// A certificate as the rules see it.
#[derive(Debug)]
pub struct View<'a> {
    pub(super) der: &'a [u8],
    pub(super) tbs: TbsCertificate,
    /// When it is, or was, signed: the clock before, the beginning of its validity after.
    pub(super) issued_at: Timestamp,
    pub(super) kind: Kind,
    pub(super) tier: Option<Tier>,
    pub(super) generation: Option<Generation>,
    /// What was ordered; `None` after signing.
    pub(super) key_use: Option<KeyUse>,
    pub(super) issuer: Option<&'a Issuer>,
    pub(super) outer_signature_algorithm: Option<&'a AlgorithmIdentifierOwned>,
    pub(super) public_key: Result<PublicKey, InvalidPublicKey>,
}

/// Which of the three parts of section 7.1.2 is about it, or section 4.9.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Root,
    IssuingAuthority,
    OcspResponder,
    Subscriber,
}

/// The bytes cannot be linted at all.
#[derive(Debug)]
pub(super) struct Unreadable(String);

impl Unreadable {
    pub(super) fn into_finding(self) -> Finding {
        Finding {
            lint: "certificate_syntax",
            section: "RFC 5280 section 4.1",
            severity: Severity::Error,
            detail: self.0,
        }
    }
}

impl<'a> View<'a> {
    /// A TBSCertificate of which we know what it is to become.
    pub(super) fn before_signing(der: &'a [u8], context: &LintContext<'a>) -> Result<Self, Unreadable> {
        let mut view = Self::read(der)?;
        view.issuer = Some(context.issuer);
        view.issued_at = context.now;
        (view.kind, view.tier, view.generation, view.key_use) = match context.expected {
            Expected::Root => (Kind::Root, None, None, None),
            Expected::IssuingAuthority => (Kind::IssuingAuthority, None, None, None),
            Expected::OcspResponder => (Kind::OcspResponder, None, None, None),
            Expected::Subscriber(tier, generation, key_use) => {
                (Kind::Subscriber, Some(tier), Some(generation), Some(key_use))
            }
        };
        Ok(view)
    }

    /// A certificate that has to be taken at its word.
    pub(super) fn after_signing(
        der: &'a [u8],
        signature_algorithm: &'a AlgorithmIdentifierOwned,
    ) -> Result<Self, Unreadable> {
        let mut view = Self::read(der)?;
        view.outer_signature_algorithm = Some(signature_algorithm);
        let is_authority = view
            .decode::<BasicConstraints>()
            .is_some_and(|constraints| constraints.ca);
        view.kind = match (is_authority, view.tbs.issuer == view.tbs.subject) {
            (true, true) => Kind::Root,
            (true, false) => Kind::IssuingAuthority,
            (false, _) if view.answers_for_others() => Kind::OcspResponder,
            (false, _) => Kind::Subscriber,
        };
        if view.kind == Kind::Subscriber
            && let Some((tier, generation)) = view.reserved_policies().into_iter().next()
        {
            view.tier = Some(tier);
            view.generation = match generation {
                ReservedGeneration::Legacy => None,
                ReservedGeneration::Multipurpose => Some(Generation::Multipurpose),
                ReservedGeneration::Strict => Some(Generation::Strict),
            };
        }
        Ok(view)
    }

    fn read(der: &'a [u8]) -> Result<Self, Unreadable> {
        if der.len() > SIZE_LIMIT {
            return Err(Unreadable(format!(
                "the TBSCertificate has {} octets; we write at most {SIZE_LIMIT}",
                der.len()
            )));
        }
        let tbs = TbsCertificate::from_der(der)
            .map_err(|error| Unreadable(format!("the TBSCertificate is not DER of the right form: {error}")))?;
        let public_key = PublicKey::read(&tbs.subject_public_key_info);
        Ok(Self {
            der,
            issued_at: Timestamp::from(tbs.validity.not_before),
            tbs,
            kind: Kind::Subscriber,
            tier: None,
            generation: None,
            key_use: None,
            issuer: None,
            outer_signature_algorithm: None,
            public_key,
        })
    }

    /// Whether OCSP answers are its only purpose.
    fn answers_for_others(&self) -> bool {
        self.decode::<ExtendedKeyUsage>()
            .is_some_and(|usage| usage.0 == [OCSP_SIGNING])
    }

    /// The modulus of an RSA key, big-endian without leading zeros.
    pub(super) fn rsa_modulus(&self) -> Option<&[u8]> {
        match &self.public_key {
            Ok(PublicKey::Rsa { modulus, .. }) => Some(modulus),
            _ => None,
        }
    }

    pub(super) fn is_subscriber(&self) -> bool {
        self.kind == Kind::Subscriber
    }

    pub(super) fn is_authority(&self) -> bool {
        matches!(self.kind, Kind::Root | Kind::IssuingAuthority)
    }

    pub(super) fn not_before(&self) -> Timestamp {
        Timestamp::from(self.tbs.validity.not_before)
    }

    pub(super) fn not_after(&self) -> Timestamp {
        Timestamp::from(self.tbs.validity.not_after)
    }

    pub(super) fn extensions(&self) -> &[Extension] {
        self.tbs.extensions.as_deref().unwrap_or_default()
    }

    pub(super) fn extension(&self, oid: ObjectIdentifier) -> Option<&Extension> {
        self.extensions().iter().find(|extension| extension.extn_id == oid)
    }

    /// The value of an extension; `None` if it is absent or cannot be read, which `extension_syntax` reports.
    pub(super) fn decode<T: AssociatedOid + for<'d> Decode<'d>>(&self) -> Option<T> {
        self.extension(T::OID)
            .and_then(|extension| T::from_der(extension.extn_value.as_bytes()).ok())
    }

    /// The reserved policy identifiers among the policies.
    pub(super) fn reserved_policies(&self) -> Vec<(Tier, ReservedGeneration)> {
        let policies = self
            .decode::<CertificatePolicies>()
            .map(|policies| policies.0)
            .unwrap_or_default();
        policies
            .iter()
            .filter_map(|policy| Tier::from_policy_oid(&policy.policy_identifier))
            .collect()
    }

    pub(super) fn alternative_names(&self) -> Vec<GeneralName> {
        self.decode::<SubjectAltName>().map(|names| names.0).unwrap_or_default()
    }

    /// The mailboxes of the subjectAltName that can be read.
    pub(super) fn mailboxes(&self) -> Vec<Mailbox> {
        self.alternative_names()
            .iter()
            .filter_map(|name| MailboxName::from_general_name(name).ok().flatten())
            .filter_map(|name| Mailbox::from_subject_alternative_name(&name).ok())
            .collect()
    }

    /// The names that have to follow the rules of subjects: the subject, and those in the subjectAltName.
    pub(super) fn subject_names(&self) -> Vec<Name> {
        let mut names = vec![self.tbs.subject.clone()];
        names.extend(self.alternative_names().into_iter().filter_map(|name| match name {
            GeneralName::DirectoryName(name) => Some(name),
            _ => None,
        }));
        names
    }

    /// The attributes of all names that follow the rules of subjects.
    pub(super) fn subject_attributes(&self) -> Vec<AttributeTypeAndValue> {
        self.subject_names()
            .iter()
            .flat_map(|name| name.iter().cloned().collect::<Vec<_>>())
            .collect()
    }

    pub(super) fn has(&self, attribute: Attribute) -> bool {
        self.tbs.subject.iter().any(|value| value.oid == attribute.oid())
    }

    /// The values of an attribute of the subject, as far as they are text.
    pub(super) fn values(&self, attribute: Attribute) -> Vec<String> {
        values(&self.tbs.subject, attribute)
    }
}

pub(super) fn values(name: &Name, attribute: Attribute) -> Vec<String> {
    name.iter()
        .filter(|value| value.oid == attribute.oid())
        .filter_map(|value| text(&value.value))
        .collect()
}

/// The text of a string type whose octets are UTF-8 or a part of it.
pub(super) fn text(value: &Any) -> Option<String> {
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => String::from_utf8(value.value().to_vec()).ok(),
        _ => None,
    }
}

/// The name of an attribute for people.
pub(super) fn attribute_name(oid: &ObjectIdentifier) -> String {
    Attribute::from_oid(oid).map_or_else(|| oid.to_string(), |attribute| attribute.as_ref().to_owned())
}

/// Our own certificates have about 1 KiB; large RSA keys and long names stay far below this.
const SIZE_LIMIT: usize = 65_536;
