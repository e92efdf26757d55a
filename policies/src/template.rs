//! Subscriber certificates, all but serial number, dates and signature.
//!
//! The extensions are those of section 7.1.2.3 in exact DER, and nothing else. [`CertificateTemplate::to_be_signed`]
//! writes the TBSCertificate; the same parts can feed another builder, since each can be had by itself.

use const_oid::AssociatedOid;
use const_oid::ObjectIdentifier;
use der::asn1::{Any, Ia5String, Int, OctetString, PrintableStringRef, Utf8StringRef};
use der::flagset::FlagSet;
use der::{Decode, Encode};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use thiserror::Error;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::certpolicy::{PolicyInformation, PolicyQualifierInfo};
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, CertificatePolicies, CrlDistributionPoints,
    ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;

use crate::attribute::Attribute;
use crate::issuance::Approved;
use crate::key_use::KeyUse;
use crate::profile::{CommonName, ValidityPeriod};
use crate::public_key::{InvalidPublicKey, PublicKey, key_identifier};
use crate::tbs::{TbsCertificate, TbsValidity, Version};
use crate::time::InvalidTimestamp;
use crate::url::{HttpUrl, PracticeStatementUrl};

/// Subject, key and extensions of a certificate to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateTemplate {
    subject: Name,
    public_key: SubjectPublicKeyInfoOwned,
    extensions: Vec<Extension>,
}

impl CertificateTemplate {
    pub(crate) const fn new(subject: Name, public_key: SubjectPublicKeyInfoOwned, extensions: Vec<Extension>) -> Self {
        Self {
            subject,
            public_key,
            extensions,
        }
    }

    /// The subject.
    #[must_use]
    pub const fn subject(&self) -> &Name {
        &self.subject
    }

    /// The key.
    #[must_use]
    pub const fn public_key(&self) -> &SubjectPublicKeyInfoOwned {
        &self.public_key
    }

    /// The extensions, in the order in which they are written.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// The DER of the TBSCertificate (RFC 5280 section 4.1), ready for [`crate::lint::check`].
    ///
    /// The same arguments always give the same bytes.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] if something cannot be encoded, such as a date before 1970.
    pub fn to_be_signed(
        &self,
        serial_number: &SerialNumber,
        validity: ValidityPeriod,
        issuer: &Issuer,
    ) -> Result<Vec<u8>, TemplateError> {
        let tbs = TbsCertificate {
            version: Version::V3,
            serial_number: Int::from_der(&serial_number.to_der()?)?,
            signature: issuer.signature_algorithm.clone(),
            issuer: issuer.name.clone(),
            validity: TbsValidity {
                not_before: validity.not_before.to_certificate_time()?,
                not_after: validity.not_after.to_certificate_time()?,
            },
            subject: self.subject.clone(),
            subject_public_key_info: self.public_key.clone(),
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(self.extensions.clone()),
        };
        Ok(tbs.to_der()?)
    }
}

/// What a certificate says about its issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The subject of the issuer's certificate; the bytes are taken over (section 7.1.4.1).
    pub name: Name,
    /// The key of the issuer's certificate. The authorityKeyIdentifier is its [`key_identifier`], so the issuer's
    /// certificate must have been made with the templates of this crate.
    pub public_key: SubjectPublicKeyInfoOwned,
    /// How the issuer signs. See section 7.1.3.2.
    pub signature_algorithm: AlgorithmIdentifierOwned,
}

/// Where relying parties find what belongs to a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations {
    /// The issuer's revocation list.
    pub revocation_list: HttpUrl,
    /// The issuer's certificate.
    pub issuer_certificate: HttpUrl,
    /// The issuer's OCSP responder, if there is one.
    pub ocsp_responder: Option<HttpUrl>,
    /// The issuer's certification practice statement, if it is published.
    pub practice_statement: Option<PracticeStatementUrl>,
}

/// Why a certificate cannot be put together.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A value does not fit its ASN.1 type.
    #[error("a part of the certificate cannot be encoded")]
    Encoding(#[from] der::Error),
    /// A date does not fit.
    #[error("a date of the certificate cannot be encoded")]
    Date(#[from] InvalidTimestamp),
    /// The key is not of a kind we certify.
    #[error("the public key cannot be certified")]
    Key(#[from] InvalidPublicKey),
    /// An authority without anything to issue.
    #[error("an issuing authority needs at least one tier and generation")]
    NothingToIssue,
    /// A name of an authority is not fit for a certificate.
    #[error("the authority's {part} {flaw}")]
    Name {
        /// Which part.
        part: &'static str,
        /// What is wrong with it, continuing the sentence.
        flaw: String,
    },
}

/// The certificate for an approved request.
pub(crate) fn subscriber(
    approved: &Approved,
    issuer: &Issuer,
    locations: &Locations,
) -> Result<CertificateTemplate, TemplateError> {
    let profile = approved.profile();
    let subject = subscriber_subject(approved)?;
    // Section 7.1.2.3 h: critical only if nothing else names the subject.
    let alternative_name_is_critical = subject.is_empty();
    let mailbox = approved.mailbox().subject_alternative_name().to_general_name()?;
    let extensions = vec![
        authority_key_identifier(issuer)?,
        subject_key_identifier(approved.public_key())?,
        extension(true, &KeyUsage(key_usage(approved.public_key(), approved.key_use())?))?,
        certificate_policies(&[profile.policy()], locations.practice_statement.as_ref())?,
        extension(alternative_name_is_critical, &SubjectAltName(vec![mailbox]))?,
        extension(false, &ExtendedKeyUsage(profile.extended_key_usage().to_vec()))?,
        crl_distribution_points(&locations.revocation_list)?,
        authority_information_access(locations)?,
    ];
    Ok(CertificateTemplate::new(
        subject,
        approved.public_key().clone(),
        extensions,
    ))
}

/// The subject: those attributes of the profile for which there is a value. See section 7.1.4.2.
fn subscriber_subject(approved: &Approved) -> Result<Name, der::Error> {
    let facts = approved.subject();
    let organization = facts.organization();
    let person = facts.person();
    let mut values = Vec::new();
    for attribute in approved.profile().subject_attributes() {
        let value = match attribute {
            Attribute::CommonName => match approved.profile().common_name() {
                CommonName::Mailbox => Some(approved.mailbox().to_string()),
                CommonName::OrganizationName => organization.map(|organization| organization.legal_name().to_owned()),
                CommonName::PersonalName => person.map(|person| person.full_name()),
            }
            // A commonName is a repetition and has at most 64 characters; what is longer stands elsewhere in full.
            .filter(|value| value.chars().count() <= Attribute::CommonName.upper_bound()),
            Attribute::EmailAddress => Some(approved.mailbox().to_string()).filter(|mailbox| mailbox.is_ascii()),
            Attribute::OrganizationName => organization.map(|organization| organization.legal_name().to_owned()),
            Attribute::OrganizationIdentifier => organization.map(|organization| organization.identifier().to_string()),
            Attribute::CountryName => organization.map(|organization| organization.country().to_string()),
            Attribute::StateOrProvinceName => {
                organization.and_then(|organization| organization.state_or_province().map(str::to_owned))
            }
            Attribute::LocalityName => organization.and_then(|organization| organization.locality().map(str::to_owned)),
            Attribute::GivenName => person.and_then(|person| person.given_name().map(str::to_owned)),
            Attribute::Surname => person.and_then(|person| person.surname().map(str::to_owned)),
            Attribute::Title => facts.title().map(|title| title.to_string()),
            // Nothing in the evidence proves these.
            Attribute::OrganizationalUnitName
            | Attribute::Pseudonym
            | Attribute::SerialNumber
            | Attribute::StreetAddress
            | Attribute::PostalCode => None,
        };
        if let Some(value) = value {
            values.push((*attribute, value));
        }
    }
    name(&values)
}

/// Section 7.1.2.3 e: what a key of this kind is certified for.
fn key_usage(public_key: &SubjectPublicKeyInfoOwned, key_use: KeyUse) -> Result<FlagSet<KeyUsages>, InvalidPublicKey> {
    key_use
        .key_usage(&PublicKey::read(public_key)?)
        .ok_or(InvalidPublicKey::Algorithm)
}

/// A name with one attribute in each RDN, in the string types of RFC 5280 appendix A.1.
pub(crate) fn name(values: &[(Attribute, String)]) -> Result<Name, der::Error> {
    let mut sequence = RdnSequence::default();
    for (attribute, value) in values {
        let value = match attribute {
            Attribute::CountryName | Attribute::SerialNumber => Any::encode_from(&PrintableStringRef::new(value)?)?,
            Attribute::EmailAddress => Any::encode_from(&Ia5String::new(value)?)?,
            _ => Any::encode_from(&Utf8StringRef::new(value)?)?,
        };
        let mut relative = RelativeDistinguishedName::default();
        relative.insert(AttributeTypeAndValue {
            oid: attribute.oid(),
            value,
        })?;
        sequence.push(relative);
    }
    Name::from_der(&sequence.to_der()?)
}

/// Sections 7.1.2.2 h and 7.1.2.3 g: the keyIdentifier alone.
pub(crate) fn authority_key_identifier(issuer: &Issuer) -> Result<Extension, der::Error> {
    let key_identifier = Some(OctetString::new(key_identifier(&issuer.public_key))?);
    extension(
        false,
        &AuthorityKeyIdentifier {
            key_identifier,
            authority_cert_issuer: None,
            authority_cert_serial_number: None,
        },
    )
}

/// Sections 7.1.2.1 e, 7.1.2.2 i and 7.1.2.3 n.
pub(crate) fn subject_key_identifier(public_key: &SubjectPublicKeyInfoOwned) -> Result<Extension, der::Error> {
    extension(
        false,
        &SubjectKeyIdentifier(OctetString::new(key_identifier(public_key))?),
    )
}

/// Sections 7.1.2.2 a and 7.1.2.3 a. The practice statement stands at the first policy.
pub(crate) fn certificate_policies(
    policies: &[ObjectIdentifier],
    practice_statement: Option<&PracticeStatementUrl>,
) -> Result<Extension, der::Error> {
    let mut information = Vec::new();
    for (index, policy) in policies.iter().enumerate() {
        let policy_qualifiers = match practice_statement {
            Some(url) if index == 0 => Some(vec![PolicyQualifierInfo {
                policy_qualifier_id: ID_QT_CPS,
                qualifier: Some(Any::encode_from(&Ia5String::new(url.as_ref())?)?),
            }]),
            _ => None,
        };
        information.push(PolicyInformation {
            policy_identifier: *policy,
            policy_qualifiers,
        });
    }
    extension(false, &CertificatePolicies(information))
}

/// Sections 7.1.2.2 b and 7.1.2.3 b.
pub(crate) fn crl_distribution_points(url: &HttpUrl) -> Result<Extension, der::Error> {
    let name = DistributionPointName::FullName(vec![uri(url)?]);
    let point = DistributionPoint {
        distribution_point: Some(name),
        reasons: None,
        crl_issuer: None,
    };
    extension(false, &CrlDistributionPoints(vec![point]))
}

/// Sections 7.1.2.2 c and 7.1.2.3 c.
pub(crate) fn authority_information_access(locations: &Locations) -> Result<Extension, der::Error> {
    let mut descriptions = Vec::new();
    if let Some(responder) = &locations.ocsp_responder {
        descriptions.push(AccessDescription {
            access_method: ID_AD_OCSP,
            access_location: uri(responder)?,
        });
    }
    descriptions.push(AccessDescription {
        access_method: ID_AD_CA_ISSUERS,
        access_location: uri(&locations.issuer_certificate)?,
    });
    extension(false, &AuthorityInfoAccessSyntax(descriptions))
}

fn uri(url: &HttpUrl) -> Result<GeneralName, der::Error> {
    Ok(GeneralName::UniformResourceIdentifier(Ia5String::new(url.as_ref())?))
}

/// An extension whose criticality is decided here and not by the type.
pub(crate) fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> Result<Extension, der::Error> {
    Ok(Extension {
        extn_id: T::OID,
        critical,
        extn_value: OctetString::new(value.to_der()?)?,
    })
}

/// RFC 5280 section 4.2.1.4.
pub(crate) const ID_QT_CPS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.2.1");
/// RFC 5280 section 4.2.2.1.
pub(crate) const ID_AD_OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
/// RFC 5280 section 4.2.2.1.
pub(crate) const ID_AD_CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
