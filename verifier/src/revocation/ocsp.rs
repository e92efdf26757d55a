//! OCSP answers (RFC 6960, RFC 5019), as they were stapled or fetched by somebody else.
//!
//! A nonce says that an answer is fresh to whoever asked. Nobody asked here: what counts is the window of the answer.

use const_oid::ObjectIdentifier;
use policies::time::Timestamp;
use sha1::{Digest as _, Sha1};

use super::authority::Authorities;
use super::{Answer, Unusable, check_window};
use crate::asn1::{
    self, Element, GENERALIZED_TIME, INTEGER, Malformed, OCTET_STRING, Reader, SEQUENCE, context, context_constructed,
};
use crate::certificate::{self, Certificate};
use crate::crypto::{AlgorithmIdentifier, Crypto, DigestAlgorithm};
use crate::distinguished_name::DistinguishedName;
use crate::extensions::{DIGITAL_SIGNATURE, NON_REPUDIATION};
use crate::finding::{Code, Problem};

/// Whether the input is an OCSP response in DER that holds a basic response, for those who hand them in.
///
/// Whom it is about, its signature and its window are judged when it is used.
///
/// # Errors
///
/// [`Problem`] with the code `ocsp-malformed`. Such a response is passed over by [`crate::verify`].
pub fn check_ocsp_response(der: &[u8]) -> Result<(), Problem> {
    match Response::read(der) {
        Ok(_) => Ok(()),
        Err(problem) => Err(Code::OcspMalformed.because(format!("this is not an OCSP response: {problem}"))),
    }
}

/// What the answers say of one certificate, which the first of `above` that has its issuer's name signed.
pub(super) fn ask(
    authorities: &Authorities<'_, '_>,
    certificate: &Certificate<'_>,
    above: &[&Certificate<'_>],
) -> Answer {
    let mut result = Answer::Silent;
    for raw in authorities.ocsp_responses().iter().take(MAXIMUM_RESPONSES) {
        // What is no response says nothing; whoever hands it in can ask `check_ocsp_response`.
        let Ok(response) = Response::read(raw) else {
            continue;
        };
        for single in &response.singles {
            let mut issuers = above.iter().filter(|issuer| issuer.subject == certificate.issuer);
            let Some(issuer) = issuers.find(|issuer| single.is_about(certificate, issuer, authorities.crypto())) else {
                continue;
            };
            let answer = response
                .check_responder(authorities, issuer, above)
                .and_then(|()| single.answer(authorities.at()));
            let answer = answer.unwrap_or_else(|problem| Answer::Unusable(format!("an OCSP answer: {problem}")));
            result = result.or(|| answer);
        }
    }
    result
}

/// BasicOCSPResponse (section 4.2.1).
struct Response<'a> {
    to_be_signed: &'a [u8],
    algorithm: AlgorithmIdentifier<'a>,
    signature: &'a [u8],
    responder: ResponderIdentifier<'a>,
    certificates: Vec<&'a [u8]>,
    singles: Vec<SingleResponse<'a>>,
    unknown_critical: Option<ObjectIdentifier>,
}

enum ResponderIdentifier<'a> {
    Name(DistinguishedName),
    /// SHA-1 of the key, without the tag, the length and the count of unused bits.
    KeyHash(&'a [u8]),
}

struct SingleResponse<'a> {
    hash: CertIdHash,
    issuer_name_hash: &'a [u8],
    issuer_key_hash: &'a [u8],
    serial_number: &'a [u8],
    status: CertificateStatus,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    unknown_critical: Option<ObjectIdentifier>,
}

/// How a CertID names the issuer. It finds an answer and protects nothing, so SHA-1, which RFC 5019 section 2.1.1 asks
/// for, is no weakness here: the answer is signed.
#[derive(Clone, Copy)]
enum CertIdHash {
    Sha1,
    Sha256,
    Other,
}

#[derive(Clone, Copy)]
enum CertificateStatus {
    Good,
    Revoked { since: Timestamp },
    Unknown,
}

impl<'a> Response<'a> {
    fn read(raw: &'a [u8]) -> Result<Self, Unusable> {
        let mut outer = asn1::whole_sequence(raw)?;
        let status = asn1::small_integer(outer.expect(ENUMERATED)?.content)?;
        if status != 0 {
            return Err(Unusable::NoStatement(status));
        }
        let mut bytes = outer.expect(context_constructed(0))?.inside();
        outer.finish()?;
        let mut inside = bytes.sequence()?;
        bytes.finish()?;
        if inside.object_identifier()? != ID_PKIX_OCSP_BASIC {
            return Err(Malformed::Value {
                what: "the response type",
            }
            .into());
        }
        let basic = inside.expect(OCTET_STRING)?.content;
        inside.finish()?;

        let mut basic = asn1::whole_sequence(basic)?;
        let data = basic.expect(SEQUENCE)?;
        let algorithm = AlgorithmIdentifier::read(basic.expect(SEQUENCE)?.content)?;
        let signature = basic.bit_string_octets()?;
        let certificates = match basic.optional(context_constructed(0))? {
            None => Vec::new(),
            Some(explicit) => {
                let mut inside = explicit.inside();
                let list = inside.sequence()?.all(MAXIMUM_CERTIFICATES)?;
                inside.finish()?;
                list.into_iter().map(|certificate| certificate.raw).collect()
            }
        };
        basic.finish()?;

        let mut fields = data.inside();
        // version: v1 is the default, which DER leaves out; some responders write it.
        if let Some(version) = fields.optional(context_constructed(0))? {
            let mut inside = version.inside();
            if inside.small_integer()? != 0 {
                return Err(Malformed::Value { what: "the version" }.into());
            }
            inside.finish()?;
        }
        let responder = match fields.optional(context_constructed(1))? {
            Some(by_name) => {
                let mut inside = by_name.inside();
                let name = DistinguishedName::read(inside.expect(SEQUENCE)?.raw)?;
                inside.finish()?;
                ResponderIdentifier::Name(name)
            }
            None => {
                let mut inside = fields.expect(context_constructed(2))?.inside();
                let hash = inside.expect(OCTET_STRING)?.content;
                inside.finish()?;
                ResponderIdentifier::KeyHash(hash)
            }
        };
        certificate::time(fields.expect(GENERALIZED_TIME)?)?;
        let mut singles = Vec::new();
        for element in fields.sequence()?.all(MAXIMUM_SINGLES)? {
            singles.push(SingleResponse::read(element)?);
        }
        let unknown_critical = critical_extension(&mut fields)?;
        fields.finish()?;
        Ok(Self {
            to_be_signed: data.raw,
            algorithm,
            signature,
            responder,
            certificates,
            singles,
            unknown_critical,
        })
    }

    /// Section 4.2.2.2: the issuer itself, or whoever it certified directly for this purpose.
    fn check_responder(
        &self,
        authorities: &Authorities<'_, '_>,
        issuer: &Certificate<'_>,
        above: &[&Certificate<'_>],
    ) -> Result<(), Unusable> {
        if let Some(kind) = self.unknown_critical {
            return Err(Unusable::CriticalExtension(kind));
        }
        if self.is_named(issuer) && self.is_signed_by(issuer, authorities.crypto()) {
            return Ok(());
        }
        for raw in &self.certificates {
            let Ok(responder) = Certificate::read(raw) else {
                continue;
            };
            if self.is_named(&responder) && self.is_signed_by(&responder, authorities.crypto()) {
                return check_delegate(authorities, &responder, issuer, above);
            }
        }
        Err(Unusable::Signature)
    }

    fn is_named(&self, responder: &Certificate<'_>) -> bool {
        match &self.responder {
            ResponderIdentifier::Name(name) => responder.subject == *name,
            ResponderIdentifier::KeyHash(hash) => {
                key_octets(responder).is_some_and(|key| Sha1::digest(key).as_slice() == *hash)
            }
        }
    }

    /// An authority whose key usage is keyCertSign and cRLSign alone may still answer for what it issued: RFC 6960 asks
    /// nothing more of the issuer itself. A delegate signs with a key for signatures.
    fn is_signed_by(&self, responder: &Certificate<'_>, crypto: &dyn Crypto) -> bool {
        let extensions = &responder.extensions;
        let is_authority = extensions
            .basic_constraints
            .is_some_and(|constraints| constraints.is_authority);
        (is_authority || extensions.allows(DIGITAL_SIGNATURE | NON_REPUDIATION))
            && responder.public_key().is_ok_and(|key| {
                certificate::verify(self.to_be_signed, &self.algorithm, self.signature, &key, crypto).is_ok()
            })
    }
}

fn check_delegate(
    authorities: &Authorities<'_, '_>,
    responder: &Certificate<'_>,
    issuer: &Certificate<'_>,
    above: &[&Certificate<'_>],
) -> Result<(), Unusable> {
    let extensions = &responder.extensions;
    let purposes = extensions.extended_key_usage.as_deref().unwrap_or_default();
    let at = authorities.at();
    let certified = responder.issuer == issuer.subject
        && purposes.contains(&OCSP_SIGNING)
        && extensions.unknown_critical.is_empty()
        && (responder.not_before..=responder.not_after).contains(&at)
        && issuer
            .public_key()
            .is_ok_and(|key| responder.verify_signature(&key, authorities.crypto()).is_ok());
    if !certified {
        return Err(Unusable::Responder);
    }
    // Section 4.2.2.2.1 and the S/MIME BR section 4.9.9: id-pkix-ocsp-nocheck, or else somebody must vouch for it.
    if extensions.ocsp_no_check || authorities.lists_clear(responder, above) {
        Ok(())
    } else {
        Err(Unusable::SignerUnsettled)
    }
}

impl<'a> SingleResponse<'a> {
    fn read(element: Element<'a>) -> Result<Self, Malformed> {
        if element.tag != SEQUENCE {
            return Err(Malformed::UnexpectedTag {
                expected: SEQUENCE,
                found: element.tag,
            });
        }
        let mut fields = element.inside();
        let mut identifier = fields.sequence()?;
        let algorithm = AlgorithmIdentifier::read(identifier.expect(SEQUENCE)?.content)?;
        let issuer_name_hash = identifier.expect(OCTET_STRING)?.content;
        let issuer_key_hash = identifier.expect(OCTET_STRING)?.content;
        let serial_number = identifier.expect(INTEGER)?.content;
        identifier.finish()?;
        let hash = match DigestAlgorithm::from_identifier(&algorithm) {
            Ok(DigestAlgorithm::Sha256) => CertIdHash::Sha256,
            _ if algorithm.algorithm == SHA_1 => CertIdHash::Sha1,
            _ => CertIdHash::Other,
        };
        let status = fields.any()?;
        let status = match status.tag {
            GOOD if status.content.is_empty() => CertificateStatus::Good,
            UNKNOWN if status.content.is_empty() => CertificateStatus::Unknown,
            REVOKED => CertificateStatus::Revoked {
                since: certificate::time(status.inside().expect(GENERALIZED_TIME)?)?,
            },
            _ => return Err(Malformed::Value { what: "the status" }),
        };
        let this_update = certificate::time(fields.expect(GENERALIZED_TIME)?)?;
        let next_update = match fields.optional(context_constructed(0))? {
            None => None,
            Some(explicit) => {
                let mut inside = explicit.inside();
                let time = certificate::time(inside.expect(GENERALIZED_TIME)?)?;
                inside.finish()?;
                Some(time)
            }
        };
        let unknown_critical = critical_extension(&mut fields)?;
        fields.finish()?;
        Ok(Self {
            hash,
            issuer_name_hash,
            issuer_key_hash,
            serial_number,
            status,
            this_update,
            next_update,
            unknown_critical,
        })
    }

    /// Section 4.1.1: the name is hashed as it stands in the certificate, the key without tag and length.
    fn is_about(&self, certificate: &Certificate<'_>, issuer: &Certificate<'_>, crypto: &dyn Crypto) -> bool {
        if self.serial_number != certificate.serial_number {
            return false;
        }
        let hashed = |content: &[u8]| match self.hash {
            CertIdHash::Sha1 => Some(Sha1::digest(content).to_vec()),
            CertIdHash::Sha256 => Some(crypto.digest(DigestAlgorithm::Sha256, &[content])),
            CertIdHash::Other => None,
        };
        hashed(certificate.raw_issuer).as_deref() == Some(self.issuer_name_hash)
            && key_octets(issuer).and_then(hashed).as_deref() == Some(self.issuer_key_hash)
    }

    fn answer(&self, at: Timestamp) -> Result<Answer, Unusable> {
        // A revocation stands, even if the answer is old: nobody takes it back but the issuer, who would sign again.
        if let CertificateStatus::Revoked { since } = self.status {
            return Ok(Answer::Revoked { since });
        }
        if let Some(kind) = self.unknown_critical {
            return Err(Unusable::CriticalExtension(kind));
        }
        check_window(self.this_update, self.next_update, at)?;
        match self.status {
            CertificateStatus::Good => Ok(Answer::Good),
            CertificateStatus::Revoked { since } => Ok(Answer::Revoked { since }),
            CertificateStatus::Unknown => Err(Unusable::UnknownToResponder),
        }
    }
}

/// responseExtensions and singleExtensions: none has to be understood but critical ones.
fn critical_extension(fields: &mut Reader<'_>) -> Result<Option<ObjectIdentifier>, Malformed> {
    let Some(explicit) = fields.optional(context_constructed(1))? else {
        return Ok(None);
    };
    let mut inside = explicit.inside();
    let list = inside.expect(SEQUENCE)?;
    inside.finish()?;
    let extensions = certificate::extensions(list)?;
    Ok(extensions
        .iter()
        .find(|extension| extension.critical)
        .map(|extension| extension.kind))
}

fn key_octets<'a>(certificate: &Certificate<'a>) -> Option<&'a [u8]> {
    let mut reader = asn1::whole_sequence(certificate.subject_public_key_info).ok()?;
    reader.expect(SEQUENCE).ok()?;
    reader.bit_string_octets().ok()
}

const ENUMERATED: u8 = 0x0a;
/// CertStatus: good [0] and unknown [2] are NULL, revoked [1] is RevokedInfo, all IMPLICIT.
const GOOD: u8 = context(0);
const REVOKED: u8 = context_constructed(1);
const UNKNOWN: u8 = context(2);
const ID_PKIX_OCSP_BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");
const SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
/// OCSP responses that are looked at. Source: own choice; one for each certificate of the longest path is 12, and
/// whoever hands them in may not have sorted them.
const MAXIMUM_RESPONSES: usize = 256;
/// SingleResponses of one response. Source: own choice; RFC 5019 section 2.2.1 asks for one, RFC 6960 section 4.2.1 allows
/// any number.
const MAXIMUM_SINGLES: usize = 64;
/// Certificates of one response. Source: own choice; RFC 6960 section 4.2.2.2 needs the responder's alone.
const MAXIMUM_CERTIFICATES: usize = 8;
