//! A certificate as it arrived: every part is a slice of the input, nothing is encoded again (RFC 5280 section 4.1).

use const_oid::ObjectIdentifier;
use policies::time::Timestamp;

use crate::asn1::{
    self, BIT_STRING, BOOLEAN, Element, GENERALIZED_TIME, INTEGER, Malformed, OCTET_STRING, Reader, Rules, SEQUENCE,
    UTC_TIME, context, context_constructed,
};
use crate::crypto::{AlgorithmIdentifier, Crypto, PublicKey, SignatureAlgorithm, UnacceptableAlgorithm};
use crate::distinguished_name::DistinguishedName;
use crate::extensions::{ExtensionProblem, Extensions};
use crate::finding::{Code, Problem};

/// A parsed certificate. Parsing says nothing about trust.
#[derive(Debug, Clone)]
pub(crate) struct Certificate<'a> {
    /// The whole certificate.
    pub(crate) raw: &'a [u8],
    /// Exactly the bytes that are signed.
    to_be_signed: &'a [u8],
    /// The INTEGER's content octets, which RFC 5652 compares bit by bit.
    pub(crate) serial_number: &'a [u8],
    pub(crate) issuer: DistinguishedName,
    /// The issuer's name as it stands in the certificate.
    pub(crate) raw_issuer: &'a [u8],
    pub(crate) subject: DistinguishedName,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) subject_public_key_info: &'a [u8],
    pub(crate) extensions: Extensions<'a>,
    algorithm: AlgorithmIdentifier<'a>,
    signature: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads one DER certificate that fills the input.
    pub(crate) fn read(raw: &'a [u8]) -> Result<Self, Problem> {
        if raw.len() > MAXIMUM_CERTIFICATE_BYTES {
            return Err(Code::CertificateMalformed.because(format!(
                "a certificate is longer than {MAXIMUM_CERTIFICATE_BYTES} bytes"
            )));
        }
        let malformed =
            |problem: Malformed| Code::CertificateMalformed.because(format!("a certificate is malformed: {problem}"));
        let signed = Signed::read(raw).map_err(malformed)?;
        let fields = Fields::read(&signed).map_err(malformed)?;
        let extensions = match fields.extensions {
            None => Extensions::default(),
            Some(list) => Extensions::read(list).map_err(|problem| match problem {
                ExtensionProblem::Malformed { .. } | ExtensionProblem::Repeated { .. } => {
                    Code::ExtensionMalformed.because(problem.to_string())
                }
            })?,
        };
        Ok(Self {
            raw,
            to_be_signed: signed.to_be_signed.raw,
            serial_number: fields.serial_number,
            issuer: DistinguishedName::read(fields.issuer).map_err(malformed)?,
            raw_issuer: fields.issuer,
            subject: DistinguishedName::read(fields.subject).map_err(malformed)?,
            not_before: fields.not_before,
            not_after: fields.not_after,
            subject_public_key_info: fields.subject_public_key_info,
            extensions,
            algorithm: signed.algorithm,
            signature: signed.signature,
        })
    }

    pub(crate) fn public_key(&self) -> Result<PublicKey, UnacceptableAlgorithm> {
        PublicKey::from_subject_public_key_info(self.subject_public_key_info)
    }

    /// Issuer and subject are the same name (RFC 5280 section 6.1): a key rollover or a root.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether the owner of `key` signed this certificate.
    pub(crate) fn verify_signature(&self, key: &PublicKey, crypto: &dyn Crypto) -> Result<(), Problem> {
        verify(self.to_be_signed, &self.algorithm, self.signature, key, crypto).map_err(|failure| match failure {
            VerificationFailure::Algorithm(problem) => Code::CertificateAlgorithm.because(format!(
                "the certificate of {} is signed unacceptably: {problem}",
                self.describe()
            )),
            VerificationFailure::Signature => Code::CertificateSignature.because(format!(
                "the signature of the certificate of {} does not verify",
                self.describe()
            )),
        })
    }

    /// The subject for a sentence: its common name or organization, or else the serial number.
    pub(crate) fn describe(&self) -> String {
        let named = |kind| self.subject.attributes().find(|attribute| attribute.kind == kind);
        match named(COMMON_NAME)
            .or_else(|| named(ORGANIZATION_NAME))
            .and_then(|attribute| attribute.text.as_deref())
        {
            Some(text) => format!(
                "\"{}\"",
                text.chars()
                    .take(MAXIMUM_DESCRIPTION)
                    .collect::<String>()
                    .escape_debug()
            ),
            None => {
                let hexadecimal: String = self.serial_number.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("serial number {hexadecimal}")
            }
        }
    }
}

/// The outer SEQUENCE that certificates and CRLs share: what is signed, how, and the signature.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) to_be_signed: Element<'a>,
    pub(crate) algorithm: AlgorithmIdentifier<'a>,
    raw_algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    pub(crate) fn read(raw: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = asn1::whole_sequence(raw)?;
        let to_be_signed = reader.expect(SEQUENCE)?;
        let algorithm = reader.expect(SEQUENCE)?;
        let signature = reader.bit_string_octets()?;
        reader.finish()?;
        Ok(Self {
            to_be_signed,
            algorithm: AlgorithmIdentifier::read(algorithm.content)?,
            raw_algorithm: algorithm.raw,
            signature,
        })
    }

    /// RFC 5280 sections 4.1.1.2 and 5.1.1.2: the algorithm inside must be the one outside.
    pub(crate) fn expect_same_algorithm(&self, inner: Element<'_>) -> Result<(), Malformed> {
        if inner.raw == self.raw_algorithm {
            Ok(())
        } else {
            Err(Malformed::Value {
                what: "the signature algorithm, which differs inside and outside",
            })
        }
    }
}

/// Why a signed structure does not verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VerificationFailure {
    Algorithm(UnacceptableAlgorithm),
    Signature,
}

/// Checks the signature of a certificate or CRL over the bytes as they arrived.
pub(crate) fn verify(
    to_be_signed: &[u8],
    algorithm: &AlgorithmIdentifier<'_>,
    signature: &[u8],
    key: &PublicKey,
    crypto: &dyn Crypto,
) -> Result<(), VerificationFailure> {
    let algorithm = SignatureAlgorithm::from_identifier(algorithm).map_err(VerificationFailure::Algorithm)?;
    key.fits(algorithm).map_err(VerificationFailure::Algorithm)?;
    #[cfg(test)]
    crate::work::signature();
    crypto
        .verify(key, algorithm, &[to_be_signed], signature)
        .map_err(|_| VerificationFailure::Signature)
}

struct Fields<'a> {
    serial_number: &'a [u8],
    issuer: &'a [u8],
    not_before: Timestamp,
    not_after: Timestamp,
    subject: &'a [u8],
    subject_public_key_info: &'a [u8],
    extensions: Option<Element<'a>>,
}

impl<'a> Fields<'a> {
    /// TBSCertificate of RFC 5280 section 4.1.
    fn read(signed: &Signed<'a>) -> Result<Self, Malformed> {
        let mut reader = signed.to_be_signed.inside();
        let version = match reader.optional(context_constructed(0))? {
            None => 0,
            Some(explicit) => {
                let mut inside = explicit.inside();
                let version = inside.small_integer()?;
                inside.finish()?;
                version
            }
        };
        if version > 2 {
            return Err(Malformed::Value {
                what: "the certificate version",
            });
        }
        let serial_number = reader.expect(INTEGER)?.content;
        if serial_number.is_empty() || serial_number.len() > MAXIMUM_SERIAL_NUMBER_BYTES {
            return Err(Malformed::Value {
                what: "the serial number",
            });
        }
        signed.expect_same_algorithm(reader.expect(SEQUENCE)?)?;
        let issuer = reader.expect(SEQUENCE)?.raw;
        let mut validity = reader.sequence()?;
        let not_before = time(validity.any()?)?;
        let not_after = time(validity.any()?)?;
        validity.finish()?;
        let subject = reader.expect(SEQUENCE)?.raw;
        let subject_public_key_info = reader.expect(SEQUENCE)?.raw;
        // issuerUniqueID and subjectUniqueID: must not be used (section 4.1.2.8) and say nothing here.
        for number in [1, 2] {
            reader.optional(context(number))?;
        }
        let extensions = match reader.optional(context_constructed(3))? {
            None => None,
            Some(_) if version != 2 => {
                return Err(Malformed::Value {
                    what: "extensions, which need version 3",
                });
            }
            Some(explicit) => {
                let mut inside = explicit.inside();
                let list = inside.expect(SEQUENCE)?;
                inside.finish()?;
                Some(list)
            }
        };
        reader.finish()?;
        Ok(Self {
            serial_number,
            issuer,
            not_before,
            not_after,
            subject,
            subject_public_key_info,
            extensions,
        })
    }
}

/// UTCTime or GeneralizedTime in the one form that RFC 5280 section 4.1.2.5 allows: seconds, and Z.
pub(crate) fn time(element: Element<'_>) -> Result<Timestamp, Malformed> {
    let invalid = Malformed::Value { what: "a time" };
    let digits = str::from_utf8(element.content)
        .ok()
        .and_then(|text| text.strip_suffix('Z'))
        .ok_or(invalid)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid);
    }
    let (century, digits) = match (element.tag, digits.len()) {
        // Section 4.1.2.5.1: YY of 50 and above is 19YY.
        (UTC_TIME, 12) => (if digits >= "50" { "19" } else { "20" }, digits),
        (GENERALIZED_TIME, 14) => ("", digits),
        _ => return Err(invalid),
    };
    let digits = format!("{century}{digits}");
    let part = |range: std::ops::Range<usize>| digits.get(range).ok_or(invalid);
    let rfc3339 = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(8..10)?,
        part(10..12)?,
        part(12..14)?
    );
    Timestamp::parse_rfc3339(&rfc3339).map_err(|_| invalid)
}

/// One Extension: which, whether critical, and its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawExtension<'a> {
    pub(crate) kind: ObjectIdentifier,
    pub(crate) critical: bool,
    pub(crate) value: &'a [u8],
}

/// Reads a list of Extensions, as certificates, CRLs and CRL entries have it.
pub(crate) fn extensions(list: Element<'_>) -> Result<Vec<RawExtension<'_>>, Malformed> {
    let mut extensions = Vec::new();
    for extension in list.inside().all(MAXIMUM_EXTENSIONS)? {
        if extension.tag != SEQUENCE {
            return Err(Malformed::UnexpectedTag {
                expected: SEQUENCE,
                found: extension.tag,
            });
        }
        let mut reader = Reader::new(extension.content, Rules::Distinguished);
        let kind = reader.object_identifier()?;
        // NOTE: DER leaves the default FALSE out, yet many issuers write it. It changes nothing, so it is read.
        let critical = match reader.optional(BOOLEAN)? {
            None => false,
            Some(element) => asn1::boolean(element.content)?,
        };
        let value = reader.expect(OCTET_STRING)?.content;
        reader.finish()?;
        extensions.push(RawExtension { kind, critical, value });
    }
    Ok(extensions)
}

/// The content of a BIT STRING with named bits, such as KeyUsage.
pub(crate) fn whole_named_bits(value: &[u8]) -> Result<u16, Malformed> {
    let mut reader = Reader::new(value, Rules::Distinguished);
    let bits = asn1::named_bits(reader.expect(BIT_STRING)?.content)?;
    reader.finish()?;
    Ok(bits)
}

pub(crate) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
pub(crate) const ORGANIZATION_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
/// Characters of a certificate's name in the sentence of a finding. Source: own choice, the same as for names in labels.
const MAXIMUM_DESCRIPTION: usize = 64;
/// Octets of a certificate. Source: own choice; the largest root of Debian's ca-certificates has 2,007, key and
/// signature of ML-DSA-87 have 7,219 (FIPS 204 table 2), and RFC 5280 sets none.
const MAXIMUM_CERTIFICATE_BYTES: usize = 64 * 1024;
/// Extensions of a certificate, a list or an entry. Source: own choice; RFC 5280 section 4.2 defines 17.
const MAXIMUM_EXTENSIONS: usize = 64;
/// Content octets of a serial number. Source: RFC 5280 section 4.1.2.2 (20), and one zero in front of them, which some
/// authorities wrote by misunderstanding.
const MAXIMUM_SERIAL_NUMBER_BYTES: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tag: u8, content: &[u8], expected: Option<&str>) {
        let got = time(Element {
            tag,
            content,
            raw: content,
        })
        .ok()
        .map(|time| time.to_string());
        assert_eq!(got.as_deref(), expected, "{}", content.escape_ascii());
    }

    #[test]
    fn times_have_one_form() {
        check(UTC_TIME, b"261122000000Z", Some("2026-11-22T00:00:00Z"));
        check(UTC_TIME, b"500101000000Z", Some("1950-01-01T00:00:00Z"));
        check(GENERALIZED_TIME, b"20500101120001Z", Some("2050-01-01T12:00:01Z"));
        for (tag, content) in [
            (UTC_TIME, &b"2611220000Z"[..]),
            (UTC_TIME, b"261122000000+0000"),
            (UTC_TIME, b"261322000000Z"),
            (UTC_TIME, b"20261122000000Z"),
            (GENERALIZED_TIME, b"20261122000000"),
            (GENERALIZED_TIME, b"20261122000000.5Z"),
            (GENERALIZED_TIME, b"2026112200000\xb9Z"),
            (INTEGER, b"261122000000Z"),
        ] {
            check(tag, content, None);
        }
    }
}
