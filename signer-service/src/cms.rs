//! CMS signatures, beside the content or around it, see RFC 5652 section 5, RFC 8551 section 2.5 and RFC 5035.
//!
//! SignedData is put together by hand from the encodings of the structures of the `cms` crate, so that every attribute
//! is chosen here and the same input, time and RSA key give the same bytes.

mod around;

use std::sync::Arc;

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::signed_data::{CertificateSet, SignerIdentifier};
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

use self::around::{Around, CONTEXT_0, OCTET_STRING, SEQUENCE, SET};

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
    Encoded::of(signer)?.sign(signer.key, content, Placement::Beside, signing_time)
}

/// Signs `content` and gives the DER of the ContentInfo with signature and content that goes into smime.p7m.
///
/// # Errors
/// See [`CmsError`].
pub fn sign_opaque(content: &[u8], signer: Signer<'_>, signing_time: Timestamp) -> Result<Vec<u8>, CmsError> {
    Encoded::of(signer)?.sign(signer.key, content, Placement::Inside, signing_time)
}

/// A signer for many messages: what is the same in all its signatures is encoded once.
#[derive(Debug, Clone)]
pub struct PreparedSigner {
    key: Arc<dyn SigningKey>,
    encoded: Encoded,
}

impl PreparedSigner {
    /// # Errors
    /// [`CmsError::ForeignCertificate`], or a certificate that cannot be written as DER.
    pub fn new(
        key: Arc<dyn SigningKey>,
        certificate: &Certificate,
        intermediates: &[Certificate],
    ) -> Result<Self, CmsError> {
        let encoded = Encoded::of(Signer {
            key: &*key,
            certificate,
            intermediates,
        })?;
        Ok(Self { key, encoded })
    }

    pub fn key(&self) -> &dyn SigningKey {
        &*self.key
    }

    /// See [`sign_detached`].
    ///
    /// # Errors
    /// See [`CmsError`].
    pub fn sign_detached(&self, content: &[u8], signing_time: Timestamp) -> Result<Vec<u8>, CmsError> {
        self.encoded.sign(&*self.key, content, Placement::Beside, signing_time)
    }

    /// See [`sign_opaque`].
    ///
    /// # Errors
    /// See [`CmsError`].
    pub fn sign_opaque(&self, content: &[u8], signing_time: Timestamp) -> Result<Vec<u8>, CmsError> {
        self.encoded.sign(&*self.key, content, Placement::Inside, signing_time)
    }
}

/// Where the content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placement {
    Beside,
    Inside,
}

/// DER of what depends on the signer alone.
///
/// Certificates are cloned and encoded again for every message otherwise, which takes longer than signing with P-256.
#[derive(Debug, Clone)]
struct Encoded {
    digest: DigestAlgorithm,
    digest_algorithm: Vec<u8>,
    signature_algorithm: Vec<u8>,
    signer_identifier: Vec<u8>,
    /// `[0] IMPLICIT CertificateSet`.
    certificates: Vec<u8>,
    /// All signed attributes but the digest and the time.
    attributes: Vec<Vec<u8>>,
}

impl Encoded {
    fn of(signer: Signer<'_>) -> Result<Self, CmsError> {
        let certified_key = signer.certificate.tbs_certificate().subject_public_key_info();
        if certified_key != signer.key.public_key() {
            return Err(CmsError::ForeignCertificate);
        }
        let algorithm = signer.key.algorithm();
        let digest = algorithm.digest();
        let certificates = std::iter::once(signer.certificate)
            .chain(signer.intermediates.iter().filter(|certificate| !is_root(certificate)));
        let certificates: Vec<CertificateChoices> =
            certificates.cloned().map(CertificateChoices::Certificate).collect();
        let mut certificates = CertificateSet::try_from(certificates)?.to_der()?;
        // RFC 5652 section 5.1: [0] IMPLICIT takes the place of SET OF, constructed as that is.
        certificates[0] = CONTEXT_0;
        let identifier = SignerIdentifier::IssuerAndSerialNumber(issuer_and_serial_number(signer.certificate));
        Ok(Self {
            digest,
            digest_algorithm: digest.identifier().to_der()?,
            signature_algorithm: signature_algorithm(algorithm).to_der()?,
            signer_identifier: identifier.to_der()?,
            certificates,
            attributes: lasting_attributes(signer.certificate)?,
        })
    }

    fn sign(
        &self,
        key: &dyn SigningKey,
        content: &[u8],
        placement: Placement,
        signing_time: Timestamp,
    ) -> Result<Vec<u8>, CmsError> {
        let digest = OctetString::new(self.digest.hash(content))?;
        let digest = attribute(rfc5911::ID_MESSAGE_DIGEST, &digest)?.to_der()?;
        let time = attribute(rfc5911::ID_SIGNING_TIME, &signing_time.to_certificate_time()?)?.to_der()?;
        let mut attributes: Vec<&[u8]> = self.attributes.iter().map(Vec::as_slice).collect();
        attributes.extend([digest.as_slice(), &time]);
        // X.690 section 11.6: the elements of a SET OF stand in the order of their encodings.
        attributes.sort_unstable();
        let attributes = attributes.concat();

        // RFC 5652 section 5.4: what is signed is the DER of the attributes as a SET OF, not with the tag [0] that they
        // carry in the SignerInfo.
        let signature = key.sign(&Around::content(&attributes).inside(SET).into_vec())?;

        let signer_info = Around::content(&attributes)
            .inside(CONTEXT_0)
            .preceded_by(&self.digest_algorithm)
            .preceded_by(&self.signer_identifier)
            // RFC 5652 section 5.3: 1 with issuerAndSerialNumber.
            .preceded_by(VERSION_1)
            .followed_by(&self.signature_algorithm)
            .followed_by(&Around::content(&signature.into_bytes()).inside(OCTET_STRING).into_vec())
            .inside(SEQUENCE)
            .inside(SET)
            .into_vec();
        let digest_algorithms = Around::content(&self.digest_algorithm).inside(SET).into_vec();
        let encapsulated = match placement {
            Placement::Beside => Around::content(b""),
            Placement::Inside => Around::content(content).inside(OCTET_STRING).inside(CONTEXT_0),
        };
        Ok(encapsulated
            .preceded_by(&rfc5911::ID_DATA.to_der()?)
            .inside(SEQUENCE)
            .preceded_by(&digest_algorithms)
            // RFC 5652 section 5.1: 1 with plain X.509 certificates, version 1 SignerInfos and id-data.
            .preceded_by(VERSION_1)
            .followed_by(&self.certificates)
            .followed_by(&signer_info)
            .inside(SEQUENCE)
            .inside(CONTEXT_0)
            .preceded_by(&rfc5911::ID_SIGNED_DATA.to_der()?)
            .inside(SEQUENCE)
            .into_vec())
    }
}

fn lasting_attributes(certificate: &Certificate) -> Result<Vec<Vec<u8>>, CmsError> {
    let mut attributes = vec![
        attribute(rfc5911::ID_CONTENT_TYPE, &rfc5911::ID_DATA)?,
        attribute(ID_SMIME_CAPABILITIES, &capabilities())?,
        attribute(ID_SIGNING_CERTIFICATE_V2, &signing_certificate(certificate)?)?,
    ];
    if may_receive_encrypted(certificate)? {
        attributes.push(attribute(
            ID_ENCRYPTION_KEY_PREFERENCE,
            &EncryptionKeyPreference(issuer_and_serial_number(certificate)),
        )?);
    }
    Ok(attributes.iter().map(Encode::to_der).collect::<Result<_, _>>()?)
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

/// DER of the INTEGER 1.
const VERSION_1: &[u8] = &[0x02, 0x01, 0x01];
