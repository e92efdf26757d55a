//! Certificates of the authority itself: the root, and the issuing authorities below it.

use const_oid::ObjectIdentifier;
use der::asn1::{Null, OctetString};
use der::flagset::FlagSet;
use der::{Decode, Encode};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages};
use x509_cert::name::{Name, RdnSequence};

use crate::attribute::Attribute;
use crate::organization::Country;
use crate::profile::{CLIENT_AUTHENTICATION, EMAIL_PROTECTION};
use crate::public_key::PublicKey;
use crate::template::{
    CertificateTemplate, Issuer, Locations, TemplateError, authority_information_access, authority_key_identifier,
    certificate_policies, crl_distribution_points, extension, name, subject_key_identifier,
};
use crate::text;
use crate::tier::{Generation, Tier};

/// The subject of an authority's certificate. See section 7.1.4.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityName {
    common_name: String,
    organization: String,
    country: Country,
}

impl AuthorityName {
    /// A name; the common name should be unlike that of any other authority of the organization.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Name`] if a text has more than 64 characters, deceives, or says nothing.
    pub fn new(common_name: &str, organization: &str, country: Country) -> Result<Self, TemplateError> {
        for (part, value) in [("common name", common_name), ("organization", organization)] {
            text::check(value, Attribute::CommonName.upper_bound()).map_err(|flaw| TemplateError::Name {
                part,
                flaw: flaw.to_string(),
            })?;
        }
        Ok(Self {
            common_name: common_name.to_owned(),
            organization: organization.to_owned(),
            country,
        })
    }

    /// The name as a certificate has it.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Encoding`] if it cannot be encoded.
    pub fn to_name(&self) -> Result<Name, TemplateError> {
        Ok(name(&[
            (Attribute::CountryName, self.country.to_string()),
            (Attribute::OrganizationName, self.organization.clone()),
            (Attribute::CommonName, self.common_name.clone()),
        ])?)
    }
}

/// A self-issued root. See section 7.1.2.1: no policies, no extended key usage, no path length.
///
/// # Errors
///
/// [`TemplateError`] if the key is of no permitted kind or something cannot be encoded.
pub fn root_template(
    name: &AuthorityName,
    public_key: &SubjectPublicKeyInfoOwned,
) -> Result<CertificateTemplate, TemplateError> {
    PublicKey::read(public_key)?;
    let extensions = vec![
        extension(
            true,
            &BasicConstraints {
                ca: true,
                path_len_constraint: None,
            },
        )?,
        extension(true, &KeyUsage(authority_key_usage()))?,
        subject_key_identifier(public_key)?,
    ];
    Ok(CertificateTemplate::new(
        name.to_name()?,
        public_key.clone(),
        extensions,
    ))
}

/// An issuing authority of the same organization as its issuer. See section 7.1.2.2.
///
/// It names the reserved policies of all tiers and generations that it issues (section 7.1.6.3) and nothing below it
/// may be an authority.
///
/// # Errors
///
/// [`TemplateError`] if there is no tier or generation, the key is of no permitted kind, or something cannot be
/// encoded.
pub fn issuing_template(
    name: &AuthorityName,
    public_key: &SubjectPublicKeyInfoOwned,
    issuer: &Issuer,
    locations: &Locations,
    tiers: &[Tier],
    generations: &[Generation],
) -> Result<CertificateTemplate, TemplateError> {
    PublicKey::read(public_key)?;
    let mut policies: Vec<ObjectIdentifier> = Vec::new();
    for tier in Tier::ALL.into_iter().filter(|tier| tiers.contains(tier)) {
        for generation in Generation::ALL
            .into_iter()
            .filter(|generation| generations.contains(generation))
        {
            policies.push(tier.policy_oid(generation));
        }
    }
    if policies.is_empty() {
        return Err(TemplateError::NothingToIssue);
    }
    let mut purposes = vec![EMAIL_PROTECTION];
    if generations.contains(&Generation::Multipurpose) {
        purposes.push(CLIENT_AUTHENTICATION);
    }
    let extensions = vec![
        extension(
            true,
            &BasicConstraints {
                ca: true,
                path_len_constraint: Some(0),
            },
        )?,
        extension(true, &KeyUsage(authority_key_usage()))?,
        authority_key_identifier(issuer)?,
        subject_key_identifier(public_key)?,
        certificate_policies(&policies, locations.practice_statement.as_ref())?,
        extension(false, &ExtendedKeyUsage(purposes))?,
        crl_distribution_points(&locations.revocation_list)?,
        authority_information_access(locations)?,
    ];
    Ok(CertificateTemplate::new(
        name.to_name()?,
        public_key.clone(),
        extensions,
    ))
}

/// A delegated OCSP responder of an issuing authority. See section 4.9.9: it signs OCSP answers and nothing else, and
/// its own status is not looked up, so it must be short-lived.
///
/// The subject is country and organization of the issuer, and a common name.
///
/// # Errors
///
/// [`TemplateError`] if the key is of no permitted kind or something cannot be encoded.
pub fn responder_template(
    issuer: &Issuer,
    public_key: &SubjectPublicKeyInfoOwned,
) -> Result<CertificateTemplate, TemplateError> {
    PublicKey::read(public_key)?;
    let mut subject = Vec::new();
    for part in Vec::from(RdnSequence::from(issuer.name.clone())) {
        let kept = [Attribute::CountryName.oid(), Attribute::OrganizationName.oid()];
        if part.iter().all(|attribute| kept.contains(&attribute.oid)) {
            subject.push(part);
        }
    }
    let common_name = name(&[(Attribute::CommonName, "OCSP Responder".to_owned())])?;
    subject.extend(Vec::from(RdnSequence::from(common_name)));
    let extensions = vec![
        authority_key_identifier(issuer)?,
        subject_key_identifier(public_key)?,
        extension(true, &KeyUsage(KeyUsages::DigitalSignature.into()))?,
        extension(false, &ExtendedKeyUsage(vec![OCSP_SIGNING]))?,
        Extension {
            extn_id: OCSP_NO_CHECK,
            critical: false,
            extn_value: OctetString::new(Null.to_der()?)?,
        },
    ];
    Ok(CertificateTemplate::new(
        Name::from_der(&subject.to_der()?)?,
        public_key.clone(),
        extensions,
    ))
}

/// Sections 7.1.2.1 b and 7.1.2.2 e. OCSP responses are not signed with the authority's own key.
fn authority_key_usage() -> FlagSet<KeyUsages> {
    KeyUsages::KeyCertSign | KeyUsages::CRLSign
}

/// id-kp-OCSPSigning (RFC 6960 section 4.2.2.2).
pub const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");
/// id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1).
pub const OCSP_NO_CHECK: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.5");
