//! CMS signatures, beside the content or around it, see RFC 5652 section 5, RFC 8551 section 2.5 and RFC 5035.
//!
//! SignedData is put together by hand on the structures of the `cms` crate, so that every attribute is chosen here
//! and the same input, time and RSA key give the same bytes.

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos};
use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5911, rfc5912};
use der::asn1::{Any, Null, OctetString, SetOfVec};
use der::{Decode, Encode, Sequence};
use keys::{DigestAlgorithm, KeyError, SignatureAlgorithm, SigningKey};
use policies::time::Timestamp;
use spki::AlgorithmIdentifierOwned;
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::attr::Attribute;
use x509_cert::ext::pkix::KeyUsage;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::serial_number::SerialNumber;

/// Who signs: a key, the certificate for it, and the certificates between that one and a root.
#[derive(Debug, Clone, Copy)]
pub struct Signer<'s> {
    pub key: &'s dyn SigningKey,
    pub certificate: &'s Certificate,
    /// Sent along without the root, which a reader must have already.
    pub intermediates: &'s [Certificate],
}

/// Why there is no signature.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CmsError {
    #[error("the certificate belongs to another key")]
    ForeignCertificate,
    #[error("the key could not sign")]
    Key(#[from] KeyError),
    #[error("the signature could not be written as DER")]
    Encoding(#[from] der::Error),
    #[error("the signing time is outside what CMS can express")]
    SigningTime(#[from] policies::time::InvalidTimestamp),
}

/// Signs `content` (the bytes of a MIME entity) and gives the DER of the ContentInfo that goes into smime.p7s.
///
/// # Errors
/// See [`CmsError`].
pub fn sign_detached(content: &[u8], signer: Signer<'_>, signing_time: Timestamp) -> Result<Vec<u8>, CmsError> {
    sign(content, None, signer, signing_time)
}

/// Signs `content` and gives the DER of the ContentInfo with signature and content that goes into smime.p7m.
///
/// # Errors
/// See [`CmsError`].
pub fn sign_opaque(content: &[u8], signer: Signer<'_>, signing_time: Timestamp) -> Result<Vec<u8>, CmsError> {
    let carried = Any::encode_from(&OctetString::new(content)?)?;
    sign(content, Some(carried), signer, signing_time)
}

fn sign(
    content: &[u8],
    carried: Option<Any>,
    signer: Signer<'_>,
    signing_time: Timestamp,
) -> Result<Vec<u8>, CmsError> {
    let certified_key = signer.certificate.tbs_certificate().subject_public_key_info();
    if certified_key != signer.key.public_key() {
        return Err(CmsError::ForeignCertificate);
    }
    let algorithm = signer.key.algorithm();
    let digest = algorithm.digest();
    let signed_attributes = signed_attributes(content, signer.certificate, digest, signing_time)?;

    // RFC 5652 section 5.4: what is signed is the DER of the attributes as a SET OF, not with the tag [0] that they
    // carry in the SignerInfo.
    let signature = signer.key.sign(&signed_attributes.to_der()?)?;

    let signer_info = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(issuer_and_serial_number(signer.certificate)),
        digest_alg: digest.identifier(),
        signed_attrs: Some(signed_attributes),
        signature_algorithm: signature_algorithm(algorithm),
        signature: OctetString::new(signature.into_bytes())?,
        unsigned_attrs: None,
    };
    let certificates = std::iter::once(signer.certificate)
        .chain(signer.intermediates.iter().filter(|certificate| !is_root(certificate)));
    let certificates: Vec<CertificateChoices> = certificates.cloned().map(CertificateChoices::Certificate).collect();
    let signed_data = SignedData {
        // RFC 5652 section 5.1: 1 with plain X.509 certificates, version 1 SignerInfos and id-data.
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![digest.identifier()])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: rfc5911::ID_DATA,
            econtent: carried,
        },
        certificates: Some(certificates.try_into()?),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![signer_info])?),
    };
    let content_info = ContentInfo {
        content_type: rfc5911::ID_SIGNED_DATA,
        content: Any::encode_from(&signed_data)?,
    };
    Ok(content_info.to_der()?)
}

fn signed_attributes(
    content: &[u8],
    certificate: &Certificate,
    digest: DigestAlgorithm,
    signing_time: Timestamp,
) -> Result<SetOfVec<Attribute>, CmsError> {
    let mut attributes = vec![
        attribute(rfc5911::ID_CONTENT_TYPE, &rfc5911::ID_DATA)?,
        attribute(rfc5911::ID_MESSAGE_DIGEST, &OctetString::new(digest.hash(content))?)?,
        attribute(rfc5911::ID_SIGNING_TIME, &signing_time.to_certificate_time()?)?,
        attribute(ID_SMIME_CAPABILITIES, &capabilities())?,
        attribute(ID_SIGNING_CERTIFICATE_V2, &signing_certificate(certificate)?)?,
    ];
    if may_receive_encrypted(certificate)? {
        attributes.push(attribute(
            ID_ENCRYPTION_KEY_PREFERENCE,
            &EncryptionKeyPreference(issuer_and_serial_number(certificate)),
        )?);
    }
    // `SetOfVec` puts the attributes into the order of their encodings, as DER demands (X.690 section 11.6).
    Ok(SetOfVec::try_from(attributes)?)
}

fn attribute(oid: ObjectIdentifier, value: &impl Encode) -> Result<Attribute, CmsError> {
    let value = Any::from_der(&value.to_der()?)?;
    Ok(Attribute {
        oid,
        values: SetOfVec::try_from(vec![value])?,
    })
}

/// What the holder of the key can decrypt, the preferred first (RFC 8551 section 2.5.2).
fn capabilities() -> Vec<Capability> {
    let ciphers = [
        rfc5911::ID_AES_256_GCM,
        rfc5911::ID_AES_128_GCM,
        rfc5911::ID_AES_256_CBC,
        rfc5911::ID_AES_128_CBC,
    ];
    ciphers
        .into_iter()
        .map(|capability| Capability { capability })
        .collect()
}

/// Binds the signature to this certificate, so that no other one for the same key can take its place (RFC 5035
/// section 3). SHA-256 is the default of the hash algorithm and therefore absent.
fn signing_certificate(certificate: &Certificate) -> Result<SigningCertificateV2, CmsError> {
    let tbs = certificate.tbs_certificate();
    let identifier = EssCertIdV2 {
        hash: OctetString::new(DigestAlgorithm::Sha256.hash(&certificate.to_der()?))?,
        issuer_serial: IssuerSerial {
            issuer: vec![GeneralName::DirectoryName(tbs.issuer().clone())],
            serial_number: tbs.serial_number().clone(),
        },
    };
    Ok(SigningCertificateV2 {
        certificates: vec![identifier],
    })
}

/// Whether the certificate may be used to encrypt towards its holder: only then it is preferred for that.
fn may_receive_encrypted(certificate: &Certificate) -> Result<bool, CmsError> {
    let usage = certificate.tbs_certificate().get_extension::<KeyUsage>()?;
    Ok(usage.is_some_and(|(_, usage)| usage.key_encipherment() || usage.key_agreement()))
}

pub(crate) fn issuer_and_serial_number(certificate: &Certificate) -> IssuerAndSerialNumber {
    let tbs = certificate.tbs_certificate();
    IssuerAndSerialNumber {
        issuer: tbs.issuer().clone(),
        serial_number: tbs.serial_number().clone(),
    }
}

fn is_root(certificate: &Certificate) -> bool {
    certificate.tbs_certificate().issuer() == certificate.tbs_certificate().subject()
}

/// RSA is named `rsaEncryption`, which every reader knows (RFC 3370 section 3.2, RFC 5754 section 3.2); ECDSA with
/// its hash (RFC 5754 section 3.3), Ed25519 without parameters (RFC 8419 section 2.3).
fn signature_algorithm(algorithm: SignatureAlgorithm) -> AlgorithmIdentifierOwned {
    match algorithm {
        SignatureAlgorithm::RsaPkcs1Sha256 => AlgorithmIdentifierOwned {
            oid: rfc5912::RSA_ENCRYPTION,
            parameters: Some(Any::from(Null)),
        },
        SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::EcdsaP384Sha384 | SignatureAlgorithm::Ed25519 => {
            algorithm.identifier()
        }
    }
}

/// RFC 8551 section 2.5.2, without parameters: none of the announced ciphers has any.
#[derive(Clone, Debug, Sequence)]
struct Capability {
    capability: ObjectIdentifier,
}

/// RFC 8551 section 2.5.3: `CHOICE { issuerAndSerialNumber [0] IMPLICIT IssuerAndSerialNumber, … }`.
#[derive(Clone, Debug)]
struct EncryptionKeyPreference(IssuerAndSerialNumber);

impl Encode for EncryptionKeyPreference {
    fn encoded_len(&self) -> der::Result<der::Length> {
        // The implicit tag takes the place of SEQUENCE and is as long.
        self.0.encoded_len()
    }

    fn encode(&self, writer: &mut impl der::Writer) -> der::Result<()> {
        let mut encoded = self.0.to_der()?;
        // An IssuerAndSerialNumber begins with the one octet of SEQUENCE; [0] constructed takes its place.
        encoded[0] = 0xa0;
        writer.write(&encoded)
    }
}

/// RFC 5035 section 3.
#[derive(Clone, Debug, Sequence)]
struct SigningCertificateV2 {
    certificates: Vec<EssCertIdV2>,
}

/// RFC 5035 section 4.
#[derive(Clone, Debug, Sequence)]
struct EssCertIdV2 {
    hash: OctetString,
    issuer_serial: IssuerSerial,
}

#[derive(Clone, Debug, Sequence)]
struct IssuerSerial {
    issuer: Vec<GeneralName>,
    serial_number: SerialNumber,
}

pub(crate) const ID_SMIME_CAPABILITIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.15");
const ID_ENCRYPTION_KEY_PREFERENCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.11");
const ID_SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
