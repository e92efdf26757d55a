//! CMS SignedData (RFC 5652 section 5, RFC 8551 section 2).
//!
//! What is signed is hashed as it arrived. Structure that other programs read differently is refused: no signed
//! attributes, attributes twice or in the wrong place or not in DER order, bytes after the end.

use const_oid::ObjectIdentifier;
use policies::time::Timestamp;

use crate::asn1::{
    self, Element, Malformed, OBJECT_IDENTIFIER, OCTET_STRING, Reader, Rules, SEQUENCE, SET, context,
    context_constructed,
};
use crate::certificate::{self, Certificate};
use crate::crypto::{AlgorithmIdentifier, Crypto, DigestAlgorithm, SignatureAlgorithm};
use crate::distinguished_name::DistinguishedName;
use crate::finding::{Code, Problem};

/// A parsed ContentInfo with SignedData inside; nothing is verified yet.
#[derive(Debug)]
pub(crate) struct SignedData<'a> {
    /// eContent, if it is inside.
    pub(crate) content: Option<Vec<u8>>,
    /// Raw certificates, in the order of the message.
    pub(crate) certificates: Vec<&'a [u8]>,
    pub(crate) has_crls: bool,
    /// One, or a few certificates' one each.
    signers: Vec<SignerInfo<'a>>,
}

/// A signature that fits the content and the signer's certificate. Only [`SignedData::verify`] makes one.
#[derive(Debug, Clone)]
pub(crate) struct IntactSignature<'a> {
    certificate: Certificate<'a>,
    signing_time: Option<Timestamp>,
    digest: DigestAlgorithm,
}

impl<'a> IntactSignature<'a> {
    pub(crate) fn certificate(&self) -> &Certificate<'a> {
        &self.certificate
    }

    /// When the signer says that it signed (RFC 5652 section 11.3); nobody confirms it.
    pub(crate) fn signing_time(&self) -> Option<Timestamp> {
        self.signing_time
    }

    pub(crate) fn digest(&self) -> DigestAlgorithm {
        self.digest
    }
}

#[derive(Debug)]
struct SignerInfo<'a> {
    version: u32,
    identifier: SignerIdentifier<'a>,
    digest_algorithm: AlgorithmIdentifier<'a>,
    /// The content octets of the SET.
    signed_attributes: &'a [u8],
    signature_algorithm: AlgorithmIdentifier<'a>,
    signature: &'a [u8],
    unsigned_attributes: Option<Element<'a>>,
}

#[derive(Debug)]
enum SignerIdentifier<'a> {
    IssuerAndSerialNumber {
        issuer: DistinguishedName,
        serial_number: &'a [u8],
    },
    SubjectKeyIdentifier(&'a [u8]),
}

/// What the CMS type says of content that is not ours to verify.
pub(crate) fn content_type(cms: &[u8]) -> Option<ObjectIdentifier> {
    let mut reader = Reader::new(cms, Rules::IndefiniteToo);
    reader.sequence().and_then(|mut inside| inside.object_identifier()).ok()
}

fn malformed(problem: Malformed) -> Problem {
    Code::CmsMalformed.because(format!("the signature is malformed: {problem}"))
}

impl<'a> SignedData<'a> {
    /// Reads a ContentInfo that fills the input.
    pub(crate) fn read(cms: &'a [u8]) -> Result<Self, Problem> {
        let mut outer = Reader::new(cms, Rules::IndefiniteToo);
        let mut content_info = outer.sequence().map_err(malformed)?;
        outer
            .finish()
            .map_err(|_| Code::TrailingBytes.because("bytes follow the end of the signature"))?;
        let kind = content_info.object_identifier().map_err(malformed)?;
        if kind != ID_SIGNED_DATA {
            return Err(Code::CmsUnsupported.because(format!("the CMS content type is {kind}, not SignedData")));
        }
        let mut explicit = content_info.constructed(context_constructed(0)).map_err(malformed)?;
        content_info.finish().map_err(malformed)?;
        let mut reader = explicit.sequence().map_err(malformed)?;
        explicit.finish().map_err(malformed)?;

        // 1. Version: 4 and 5 announce attribute certificates and other formats, which are not read.
        let version = reader.small_integer().map_err(malformed)?;
        if !matches!(version, 1 | 3) {
            return Err(Code::CmsUnsupported.because(format!("SignedData has version {version}")));
        }
        // 2. Digest algorithms.
        let digests = reader
            .constructed(SET)
            .map_err(malformed)?
            .all(MAXIMUM_DIGESTS)
            .map_err(malformed)?;
        if let Some(other) = digests.iter().find(|element| element.tag != SEQUENCE) {
            return Err(malformed(Malformed::UnexpectedTag {
                expected: SEQUENCE,
                found: other.tag,
            }));
        }
        let digest_algorithms: Result<Vec<_>, _> = digests
            .iter()
            .map(|element| AlgorithmIdentifier::read(element.content))
            .collect();
        let digest_algorithms = digest_algorithms.map_err(malformed)?;
        // 3. The content.
        let mut encapsulated = reader.sequence().map_err(malformed)?;
        let content_type = encapsulated.object_identifier().map_err(malformed)?;
        if content_type != ID_DATA {
            return Err(
                Code::ContentTypeNotData.because(format!("the signed content has type {content_type}, not data"))
            );
        }
        let content = match encapsulated.optional(context_constructed(0)).map_err(malformed)? {
            None => None,
            Some(explicit) => {
                let mut inside = Reader::new(explicit.content, Rules::IndefiniteToo);
                let octets = inside.any().and_then(asn1::octet_string).map_err(malformed)?;
                inside.finish().map_err(malformed)?;
                Some(octets)
            }
        };
        encapsulated.finish().map_err(malformed)?;
        // 4. Certificates and CRLs.
        let certificates = match reader.optional(context_constructed(0)).map_err(malformed)? {
            None => Vec::new(),
            Some(set) => {
                let set = Reader::new(set.content, Rules::Distinguished)
                    .all(MAXIMUM_CERTIFICATES)
                    .map_err(malformed)?;
                if set.iter().any(|element| element.tag != SEQUENCE) {
                    return Err(Code::CmsUnsupported.because("the signature carries certificates that are not X.509"));
                }
                set.into_iter().map(|element| element.raw).collect()
            }
        };
        let has_crls = reader.optional(context_constructed(1)).map_err(malformed)?.is_some();
        // 5. The signers.
        let signers = reader
            .constructed(SET)
            .map_err(malformed)?
            .all(MAXIMUM_SIGNERS)
            .map_err(malformed)?;
        reader.finish().map_err(malformed)?;
        let signers: Vec<SignerInfo<'a>> = signers.into_iter().map(SignerInfo::read).collect::<Result<_, _>>()?;
        if signers.is_empty() {
            return Err(Code::NoSigner.because("the CMS structure carries certificates and no signature"));
        }
        if signers.len() > MAXIMUM_EXAMINED_SIGNERS {
            return Err(Code::SeveralSigners.because(format!("{} signers signed, which is too many", signers.len())));
        }
        // Only without signers may the set be empty; with one it has crashed other programs (CVE-2026-45447).
        if digests.is_empty() {
            return Err(Code::DigestAlgorithmsEmpty.because("SignedData lists no digest algorithm"));
        }
        // RFC 5652 section 5.1: with X.509 certificates and data inside, the version is the highest of the SignerInfos.
        if signers.iter().map(|signer| signer.version).max() != Some(version) {
            return Err(Code::CmsMalformed.because("the version of SignedData is not that of its signer"));
        }
        let announced = |signer: &SignerInfo<'_>| {
            let mut listed = digest_algorithms.iter();
            listed.any(|listed| listed.is_same_as(&signer.digest_algorithm))
        };
        if !signers.iter().all(announced) {
            return Err(Code::DigestMismatch.because("the signer's digest algorithm is not among those announced"));
        }
        Ok(Self {
            content,
            certificates,
            has_crls,
            signers,
        })
    }

    /// Verifies all signatures over `content`; several only if all of them are intact and by different certificates.
    ///
    /// The signers' certificates are looked for in the message and then in `others`.
    pub(crate) fn verify(
        &self,
        content: &[u8],
        others: &'a [Vec<u8>],
        crypto: &dyn Crypto,
    ) -> Result<Vec<IntactSignature<'a>>, Problem> {
        let mut intact: Vec<IntactSignature<'a>> = Vec::with_capacity(self.signers.len());
        for signer in &self.signers {
            let signature = self.verify_one(signer, content, others, crypto).map_err(|problem| {
                if self.signers.len() == 1 {
                    problem
                } else {
                    Code::SeveralSigners.because(format!(
                        "{} signers signed, and of one of them is true: {problem}",
                        self.signers.len()
                    ))
                }
            })?;
            if intact
                .iter()
                .any(|other| other.certificate.raw == signature.certificate.raw)
            {
                return Err(Code::SeveralSigners.because("the same signer signed several times"));
            }
            intact.push(signature);
        }
        Ok(intact)
    }

    fn verify_one(
        &self,
        signer: &SignerInfo<'a>,
        content: &[u8],
        others: &'a [Vec<u8>],
        crypto: &dyn Crypto,
    ) -> Result<IntactSignature<'a>, Problem> {
        // 1. Algorithms: on the list, and agreeing with each other (RFC 8933, RFC 6211).
        let unacceptable = |problem| {
            Code::SignatureAlgorithm.because(format!("the signature uses unacceptable algorithms: {problem}"))
        };
        let digest = DigestAlgorithm::from_identifier(&signer.digest_algorithm).map_err(unacceptable)?;
        let algorithm =
            SignatureAlgorithm::of_signer_info(&signer.signature_algorithm, digest).map_err(unacceptable)?;
        if !algorithm.goes_with(digest) {
            return Err(
                Code::DigestMismatch.because("the digest algorithm is not the one the signature algorithm goes with")
            );
        }
        // 2. Attributes: in shape, and about this content.
        let attributes = SignedAttributes::read(signer.signed_attributes)?;
        check_unsigned(signer.unsigned_attributes)?;
        if let Some(protection) = attributes.algorithm_protection {
            check_algorithm_protection(protection, signer)?;
        }
        if attributes.message_digest != crypto.digest(digest, &[content]) {
            return Err(Code::MessageDigest.because("the content was changed after it was signed"));
        }
        // 3. The signature, over the attributes as they arrived with the tag of a SET (RFC 5652 section 5.4).
        let certificate = self.signer_certificate(signer, others)?;
        if let Some(v2) = attributes.signing_certificate_v2 {
            check_signing_certificate(v2, &certificate, crypto)?;
        }
        if attributes.has_signing_certificate_v1 && attributes.signing_certificate_v2.is_none() {
            return Err(Code::SigningCertificateV1
                .because("the signer's certificate is identified by SHA-1, which is not accepted"));
        }
        let key = certificate.public_key().map_err(|problem| {
            Code::KeyAlgorithm.because(format!(
                "the key of {} is not accepted: {problem}",
                certificate.describe()
            ))
        })?;
        key.fits(algorithm)
            .map_err(|problem| Code::SignatureInvalid.because(problem.to_string()))?;
        let length = asn1_length(signer.signed_attributes.len());
        let signed: [&[u8]; 3] = [&[SET], &length, signer.signed_attributes];
        crypto
            .verify(&key, algorithm, &signed, signer.signature)
            .map_err(|_| Code::SignatureInvalid.because("the signature does not verify with the signer's key"))?;
        Ok(IntactSignature {
            certificate,
            signing_time: attributes.signing_time,
            digest,
        })
    }

    /// RFC 5652 section 5.3, sid: exactly the certificate that is named.
    fn signer_certificate(&self, signer: &SignerInfo<'a>, others: &'a [Vec<u8>]) -> Result<Certificate<'a>, Problem> {
        let mut found: Option<Certificate<'a>> = None;
        let mut unreadable: Option<Problem> = None;
        for raw in self
            .certificates
            .iter()
            .copied()
            .chain(others.iter().map(Vec::as_slice))
        {
            let certificate = match Certificate::read(raw) {
                Ok(certificate) => certificate,
                Err(problem) => {
                    unreadable = unreadable.or(Some(problem));
                    continue;
                }
            };
            let is_named = match &signer.identifier {
                SignerIdentifier::IssuerAndSerialNumber { issuer, serial_number } => {
                    certificate.issuer == *issuer && certificate.serial_number == *serial_number
                }
                SignerIdentifier::SubjectKeyIdentifier(identifier) => {
                    certificate.extensions.subject_key_identifier == Some(*identifier)
                }
            };
            if !is_named {
                continue;
            }
            match &found {
                Some(first) if first.raw != certificate.raw => {
                    return Err(Code::SignerCertificateAmbiguous
                        .because("two different certificates fit what the signature says of its signer"));
                }
                _ => found = Some(certificate),
            }
        }
        found.ok_or_else(|| {
            unreadable.unwrap_or_else(|| {
                Code::SignerCertificateMissing.because("the signer's certificate is not in the message")
            })
        })
    }
}

impl<'a> SignerInfo<'a> {
    /// RFC 5652 section 5.3.
    fn read(element: Element<'a>) -> Result<Self, Problem> {
        if element.tag != SEQUENCE {
            return Err(malformed(Malformed::UnexpectedTag {
                expected: SEQUENCE,
                found: element.tag,
            }));
        }
        let mut reader = Reader::new(element.content, Rules::IndefiniteToo);
        let version = reader.small_integer().map_err(malformed)?;
        let identifier = match version {
            1 => {
                let mut sid = reader.expect(SEQUENCE).map_err(malformed)?.inside();
                let issuer = sid.expect(SEQUENCE).map_err(malformed)?.raw;
                let serial_number = sid.expect(asn1::INTEGER).map_err(malformed)?.content;
                sid.finish().map_err(malformed)?;
                let issuer = DistinguishedName::read(issuer).map_err(malformed)?;
                SignerIdentifier::IssuerAndSerialNumber { issuer, serial_number }
            }
            3 => SignerIdentifier::SubjectKeyIdentifier(reader.expect(context(0)).map_err(malformed)?.content),
            version => return Err(Code::CmsUnsupported.because(format!("SignerInfo has version {version}"))),
        };
        let digest_algorithm = algorithm(&mut reader).map_err(malformed)?;
        let signed_attributes = reader
            .optional(context_constructed(0))
            .map_err(malformed)?
            .ok_or_else(|| {
                // Without them the content itself is what is signed, and attributes of another signature can be passed
                // off as content (draft-ietf-lamps-cms-euf-cma-signeddata).
                Code::SignedAttributesMissing.because("the signature has no signed attributes")
            })?;
        if signed_attributes.raw.get(1) == Some(&0x80) {
            return Err(Code::SignedAttributesNotDer.because("the signed attributes have an indefinite length"));
        }
        let signature_algorithm = algorithm(&mut reader).map_err(malformed)?;
        let signature = reader.expect(OCTET_STRING).map_err(malformed)?.content;
        let unsigned_attributes = reader.optional(context_constructed(1)).map_err(malformed)?;
        reader.finish().map_err(malformed)?;
        Ok(Self {
            version,
            identifier,
            digest_algorithm,
            signed_attributes: signed_attributes.content,
            signature_algorithm,
            signature,
            unsigned_attributes,
        })
    }
}

fn algorithm<'a>(reader: &mut Reader<'a>) -> Result<AlgorithmIdentifier<'a>, Malformed> {
    AlgorithmIdentifier::read(reader.expect(SEQUENCE)?.content)
}

/// The signed attributes that are understood (RFC 5652 section 11, RFC 5035, RFC 6211).
struct SignedAttributes<'a> {
    message_digest: &'a [u8],
    signing_time: Option<Timestamp>,
    signing_certificate_v2: Option<&'a [u8]>,
    has_signing_certificate_v1: bool,
    algorithm_protection: Option<&'a [u8]>,
}

impl<'a> SignedAttributes<'a> {
    fn read(set: &'a [u8]) -> Result<Self, Problem> {
        let not_der =
            |problem| Code::SignedAttributesNotDer.because(format!("the signed attributes are not in DER: {problem}"));
        let elements = Reader::new(set, Rules::Distinguished)
            .all(MAXIMUM_ATTRIBUTES)
            .map_err(not_der)?;
        // X.690 section 11.6: the components of a SET OF in ascending order of their encodings.
        if elements
            .windows(2)
            .any(|pair| matches!(pair, [left, right] if left.raw >= right.raw))
        {
            return Err(Code::SignedAttributesNotDer.because("the signed attributes are not in DER order"));
        }
        let mut seen: Vec<ObjectIdentifier> = Vec::with_capacity(elements.len());
        let mut content_type = None;
        let mut message_digest = None;
        let mut signing_time = None;
        let mut signing_certificate_v2 = None;
        let mut has_signing_certificate_v1 = false;
        let mut algorithm_protection = None;
        for element in elements {
            let (kind, values) = attribute(element).map_err(not_der)?;
            if seen.contains(&kind) {
                return Err(Code::AttributeCount.because(format!("the signed attribute {kind} occurs twice")));
            }
            seen.push(kind);
            let single = || match values.as_slice() {
                [value] => Ok(*value),
                values => Err(Code::AttributeCount.because(format!(
                    "the signed attribute {kind} has {} values instead of one",
                    values.len()
                ))),
            };
            let expect = |value: Element<'a>, tag| {
                if value.tag == tag {
                    Ok(value)
                } else {
                    Err(Code::AttributeValue
                        .because(format!("the signed attribute {kind} has a value of another type")))
                }
            };
            match kind {
                CONTENT_TYPE => content_type = Some(expect(single()?, OBJECT_IDENTIFIER)?.content),
                MESSAGE_DIGEST => message_digest = Some(expect(single()?, OCTET_STRING)?.content),
                SIGNING_TIME => {
                    let time = certificate::time(single()?)
                        .map_err(|_| Code::AttributeValue.because("the time of signing cannot be read"))?;
                    signing_time = Some(time);
                }
                SIGNING_CERTIFICATE_V2 => signing_certificate_v2 = Some(expect(single()?, SEQUENCE)?.raw),
                SIGNING_CERTIFICATE => has_signing_certificate_v1 = true,
                ALGORITHM_PROTECTION => algorithm_protection = Some(expect(single()?, SEQUENCE)?.raw),
                _ => {}
            }
        }
        let missing = |what| Code::AttributeCount.because(format!("the signed attribute {what} is missing"));
        let content_type = content_type.ok_or_else(|| missing("contentType"))?;
        let content_type = asn1::object_identifier(content_type).map_err(not_der)?;
        if content_type != ID_DATA {
            return Err(Code::AttributeValue.because(format!(
                "the signed attribute contentType says {content_type}, and the content is data"
            )));
        }
        Ok(Self {
            message_digest: message_digest.ok_or_else(|| missing("messageDigest"))?,
            signing_time,
            signing_certificate_v2,
            has_signing_certificate_v1,
            algorithm_protection,
        })
    }
}

/// Attribute ::= SEQUENCE { attrType, SET OF values }.
fn attribute(element: Element<'_>) -> Result<(ObjectIdentifier, Vec<Element<'_>>), Malformed> {
    if element.tag != SEQUENCE {
        return Err(Malformed::UnexpectedTag {
            expected: SEQUENCE,
            found: element.tag,
        });
    }
    let mut reader = element.inside();
    let kind = reader.object_identifier()?;
    let values = reader.constructed(SET)?.all(MAXIMUM_VALUES)?;
    reader.finish()?;
    Ok((kind, values))
}

/// RFC 5652 sections 11.1 to 11.3: these must not be unsigned.
fn check_unsigned(attributes: Option<Element<'_>>) -> Result<(), Problem> {
    let Some(attributes) = attributes else {
        return Ok(());
    };
    for element in Reader::new(attributes.content, Rules::Distinguished)
        .all(MAXIMUM_ATTRIBUTES)
        .map_err(malformed)?
    {
        let (kind, _) = attribute(element).map_err(malformed)?;
        let belongs_to_signed = [
            CONTENT_TYPE,
            MESSAGE_DIGEST,
            SIGNING_TIME,
            SIGNING_CERTIFICATE,
            SIGNING_CERTIFICATE_V2,
            ALGORITHM_PROTECTION,
        ];
        if belongs_to_signed.contains(&kind) {
            return Err(Code::AttributeMisplaced.because(format!("the attribute {kind} is among the unsigned ones")));
        }
    }
    Ok(())
}

/// RFC 6211 section 2: CMSAlgorithmProtection repeats the algorithms under the signature.
fn check_algorithm_protection(raw: &[u8], signer: &SignerInfo<'_>) -> Result<(), Problem> {
    let malformed =
        |problem| Code::AttributeValue.because(format!("the signed attribute CMSAlgorithmProtection: {problem}"));
    let mut reader = asn1::whole_sequence(raw).map_err(malformed)?;
    let digest = algorithm(&mut reader).map_err(malformed)?;
    let signature = reader.expect(context_constructed(1)).map_err(malformed)?;
    let signature = AlgorithmIdentifier::read(signature.content).map_err(malformed)?;
    reader.finish().map_err(malformed)?;
    if digest.is_same_as(&signer.digest_algorithm) && signature.is_same_as(&signer.signature_algorithm) {
        Ok(())
    } else {
        Err(Code::AlgorithmProtection.because("the algorithms were changed after signing"))
    }
}

/// RFC 5035 section 3: the first ESSCertIDv2 identifies the signer's certificate.
fn check_signing_certificate(raw: &[u8], certificate: &Certificate<'_>, crypto: &dyn Crypto) -> Result<(), Problem> {
    let malformed =
        |problem| Code::AttributeValue.because(format!("the signed attribute signing-certificate-v2: {problem}"));
    let mut reader = asn1::whole_sequence(raw).map_err(malformed)?;
    let mut identifiers = reader.sequence().map_err(malformed)?;
    let mut first = identifiers.sequence().map_err(malformed)?;
    let algorithm = match first.optional(SEQUENCE).map_err(malformed)? {
        None => DigestAlgorithm::Sha256,
        Some(element) => AlgorithmIdentifier::read(element.content)
            .map_err(malformed)
            .map(|identifier| DigestAlgorithm::from_identifier(&identifier))?
            .map_err(|problem| Code::SignatureAlgorithm.because(problem.to_string()))?,
    };
    let digest = first.expect(OCTET_STRING).map_err(malformed)?.content;
    if let Some(issuer_serial) = first.optional(SEQUENCE).map_err(malformed)? {
        check_issuer_serial(issuer_serial, certificate).map_err(malformed)?;
    }
    first.finish().map_err(malformed)?;
    if digest == crypto.digest(algorithm, &[certificate.raw]) {
        Ok(())
    } else {
        Err(Code::SigningCertificateMismatch.because("the signature was made with another certificate"))
    }
}

/// IssuerSerial ::= SEQUENCE { GeneralNames, serialNumber }.
fn check_issuer_serial(element: Element<'_>, certificate: &Certificate<'_>) -> Result<(), Malformed> {
    let mut reader = element.inside();
    let mut names = reader.sequence()?;
    let name = names.expect(context_constructed(4))?;
    names.finish()?;
    let serial_number = reader.expect(asn1::INTEGER)?.content;
    reader.finish()?;
    let mut explicit = name.inside();
    let issuer = DistinguishedName::read(explicit.expect(SEQUENCE)?.raw)?;
    if issuer == certificate.issuer && serial_number == certificate.serial_number {
        Ok(())
    } else {
        Err(Malformed::Value {
            what: "issuerSerial, which is that of another certificate",
        })
    }
}

/// The length octets of a DER element.
fn asn1_length(length: usize) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => vec![short],
        _ => {
            let octets: Vec<u8> = length
                .to_be_bytes()
                .into_iter()
                .skip_while(|octet| *octet == 0)
                .collect();
            // A usize has at most eight octets.
            let count = u8::try_from(octets.len()).unwrap_or(8);
            [&[0x80 | count], octets.as_slice()].concat()
        }
    }
}

const ID_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
pub(crate) const ID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
pub(crate) const ID_ENVELOPED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.3");
pub(crate) const ID_AUTH_ENVELOPED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.23");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
const SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const ALGORITHM_PROTECTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.52");
/// Digest algorithms of a SignedData. Source: own choice; each signer brings one at most (RFC 5652 section 5.1), and this
/// is twice as many as signers that are examined.
const MAXIMUM_DIGESTS: usize = 8;
/// SignerInfos that are counted. Source: own choice, enough to say in the report how many there are.
const MAXIMUM_SIGNERS: usize = 16;
/// SignerInfos that are examined. Source: own choice; two while one algorithm replaces another (RFC 5752), and as many
/// again.
const MAXIMUM_EXAMINED_SIGNERS: usize = 4;
/// Certificates of a SignedData. Source: own choice; a path of three is usual, some senders add a second path and an
/// encryption certificate, and the longest path that is followed is 12.
const MAXIMUM_CERTIFICATES: usize = 32;
/// Signed or unsigned attributes of a signer. Source: own choice; senders use eight at most (RFC
/// 5652 section 11, RFC 8551 section 2.5, RFC 5035, RFC 6211).
const MAXIMUM_ATTRIBUTES: usize = 32;
/// Values of an attribute. Source: own choice; those that are read have one (RFC 5652 section 11, RFC 5035 section 3).
const MAXIMUM_VALUES: usize = 16;
