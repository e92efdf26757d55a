//! What the CRLs handed in say about a path (RFC 5280 sections 5 and 6.3).
//!
//! Nothing is fetched. Complete CRLs by the certificate's own issuer count. A delta CRL can only add revocations: what
//! it takes back is not believed. Indirect CRLs and those signed with a key that is not in the path are not processed;
//! they leave the status unknown or not checked rather than good.

use const_oid::ObjectIdentifier;
use policies::time::Timestamp;

use crate::asn1::{
    self, Element, GENERALIZED_TIME, INTEGER, Malformed, Reader, SEQUENCE, UTC_TIME, context, context_constructed,
};
use crate::certificate::{self, Certificate, RawExtension, Signed};
use crate::crypto::Crypto;
use crate::distinguished_name::DistinguishedName;
use crate::extensions::{CRL_SIGN, DistributionPointName, distribution_point_name};
use crate::finding::{Code, Problem};
use crate::path::VerifiedPath;

/// What is known about the revocation of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RevocationStatus {
    /// Every certificate is covered by a current CRL, and none is listed.
    Good,
    /// For at least one certificate no CRL of its issuer was handed in.
    NotChecked,
    /// For at least one certificate CRLs were handed in, and none of them could be used.
    Unknown,
    /// At least one certificate is listed.
    Revoked,
}

impl AsRef<str> for RevocationStatus {
    fn as_ref(&self) -> &str {
        match self {
            Self::Good => "good",
            Self::NotChecked => "not_checked",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
        }
    }
}

/// Whether the input is a certificate revocation list in DER, for those who hand them in.
///
/// Its signature, its dates and its scope are judged when it is used.
///
/// # Errors
///
/// [`Problem`] with the code `crl-malformed`. Such a list is passed over by [`crate::verify`], which then finds that
/// revocation was not checked.
pub fn check_crl(der: &[u8]) -> Result<(), Problem> {
    match RevocationList::read(der) {
        Ok(_) => Ok(()),
        Err(problem) => Err(Code::CrlMalformed.because(format!("this is not a revocation list in DER: {problem}"))),
    }
}

/// The status of a path, and the sentence for it unless it is good.
#[derive(Debug, Clone)]
pub(crate) struct Revocation {
    pub(crate) status: RevocationStatus,
    pub(crate) detail: String,
}

/// Asks the CRLs about every certificate of the path but the anchor. The worst answer counts.
pub(crate) fn check(path: &VerifiedPath<'_>, crls: &[Vec<u8>], at: Timestamp, crypto: &dyn Crypto) -> Revocation {
    let mut worst = Revocation {
        status: RevocationStatus::Good,
        detail: String::new(),
    };
    let certificates = path.parsed();
    for (index, certificate) in certificates.iter().enumerate() {
        let above = certificates.iter().skip(index + 1).chain([path.parsed_anchor()]);
        let issuers: Vec<_> = above.filter(|issuer| issuer.subject == certificate.issuer).collect();
        let answer = status_of(certificate, &issuers, crls, at, crypto);
        if answer.status > worst.status {
            worst = answer;
        }
    }
    worst
}

fn status_of(
    certificate: &Certificate<'_>,
    issuers: &[&Certificate<'_>],
    crls: &[Vec<u8>],
    at: Timestamp,
    crypto: &dyn Crypto,
) -> Revocation {
    let mut result = Revocation {
        status: RevocationStatus::NotChecked,
        detail: format!("no revocation list was at hand for {}", certificate.describe()),
    };
    for raw in crls {
        let Ok(list) = RevocationList::read(raw) else {
            continue;
        };
        if list.issuer != certificate.issuer {
            continue;
        }
        match list.ask(certificate, issuers, at, crypto) {
            Ok(Answer::Revoked { since }) => {
                return Revocation {
                    status: RevocationStatus::Revoked,
                    detail: format!("the certificate of {} was revoked at {since}", certificate.describe()),
                };
            }
            Ok(Answer::NotListed) => {
                result = Revocation {
                    status: RevocationStatus::Good,
                    detail: String::new(),
                };
            }
            Ok(Answer::NotCovered) => {}
            Err(problem) if result.status == RevocationStatus::NotChecked => {
                result = Revocation {
                    status: RevocationStatus::Unknown,
                    detail: format!(
                        "the revocation list for {} is of no use: {problem}",
                        certificate.describe()
                    ),
                };
            }
            Err(_) => {}
        }
    }
    result
}

/// What one list says of one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Revoked {
        since: Timestamp,
    },
    NotListed,
    /// The list is not about this kind of certificate, or not about all reasons.
    NotCovered,
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it is malformed: {0}")]
    Malformed(#[from] Malformed),
    #[error("its signature does not verify with the key of the issuer")]
    Signature,
    #[error("its issuer may not sign revocation lists")]
    KeyUsage,
    #[error("it is from the future ({0})")]
    NotYet(Timestamp),
    #[error("it is out of date since {0}")]
    OutOfDate(Timestamp),
    #[error("it does not say when the next one comes")]
    NoNextUpdate,
    #[error("it has the critical extension {0}, which is not processed here")]
    CriticalExtension(ObjectIdentifier),
    #[error("it lists certificates of other issuers")]
    Indirect,
    #[error("its distribution point cannot be compared")]
    DistributionPoint,
}

/// A CRL whose outer fields have been read (RFC 5280 section 5.1).
struct RevocationList<'a> {
    signed: Signed<'a>,
    issuer: DistinguishedName,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    entries: Option<Element<'a>>,
    extensions: Option<Element<'a>>,
}

impl<'a> RevocationList<'a> {
    fn read(raw: &'a [u8]) -> Result<Self, Malformed> {
        let signed = Signed::read(raw)?;
        let mut reader = signed.to_be_signed.inside();
        let version = reader
            .optional(INTEGER)?
            .map(|version| asn1::small_integer(version.content))
            .transpose()?;
        if version.is_some_and(|version| version != 1) {
            return Err(Malformed::Value {
                what: "the version of a revocation list",
            });
        }
        signed.expect_same_algorithm(reader.expect(SEQUENCE)?)?;
        let issuer = DistinguishedName::read(reader.expect(SEQUENCE)?.raw)?;
        let this_update = certificate::time(reader.any()?)?;
        let next_update = match (reader.optional(UTC_TIME)?, reader.optional(GENERALIZED_TIME)?) {
            (None, None) => None,
            (Some(time), None) | (None, Some(time)) => Some(certificate::time(time)?),
            (Some(_), Some(_)) => return Err(Malformed::Value { what: "nextUpdate" }),
        };
        let entries = reader.optional(SEQUENCE)?;
        let extensions = match reader.optional(context_constructed(0))? {
            None => None,
            Some(explicit) => {
                let mut inside = explicit.inside();
                let list = inside.expect(SEQUENCE)?;
                inside.finish()?;
                Some(list)
            }
        };
        reader.finish()?;
        Ok(Self {
            signed,
            issuer,
            this_update,
            next_update,
            entries,
            extensions,
        })
    }

    /// RFC 5280 section 6.3.3, for a complete CRL by the issuer of the certificate.
    fn ask(
        &self,
        certificate: &Certificate<'_>,
        issuers: &[&Certificate<'_>],
        at: Timestamp,
        crypto: &dyn Crypto,
    ) -> Result<Answer, Unusable> {
        if at < self.this_update {
            return Err(Unusable::NotYet(self.this_update));
        }
        match self.next_update {
            Some(next_update) if at > next_update => return Err(Unusable::OutOfDate(next_update)),
            Some(_) => {}
            // RFC 5280 section 5.1.2.5: conforming issuers must include it.
            None => return Err(Unusable::NoNextUpdate),
        }
        let scope = self.scope(certificate)?;
        // (f), (g)
        self.check_signature(issuers, crypto)?;
        // (j)
        let listed = self.entry(certificate.serial_number)?;
        Ok(match (listed, scope) {
            (_, Scope::Other) => Answer::NotCovered,
            (Some(since), _) => Answer::Revoked { since },
            (None, Scope::SomeReasons) => Answer::NotCovered,
            (None, Scope::All) => Answer::NotListed,
        })
    }

    /// An authority that renews its key has several certificates with one name (RFC 5280 section 6.1). Those above the
    /// certificate count: none vouches for itself.
    fn check_signature(&self, issuers: &[&Certificate<'_>], crypto: &dyn Crypto) -> Result<(), Unusable> {
        let signed = &self.signed;
        let mut result = Err(Unusable::KeyUsage);
        for issuer in issuers.iter().filter(|issuer| issuer.extensions.allows(CRL_SIGN)) {
            result = Err(Unusable::Signature);
            let Ok(key) = issuer.public_key() else {
                continue;
            };
            let (to_be_signed, algorithm) = (signed.to_be_signed.raw, &signed.algorithm);
            if certificate::verify(to_be_signed, algorithm, signed.signature, &key, crypto).is_ok() {
                return Ok(());
            }
        }
        result
    }

    /// The revocation date of an entry. All entries are read: one that cannot be processed spoils the list.
    fn entry(&self, serial_number: &[u8]) -> Result<Option<Timestamp>, Unusable> {
        let mut found = None;
        let Some(entries) = self.entries else {
            return Ok(None);
        };
        let mut reader = entries.inside();
        while !reader.is_empty() {
            let mut entry = reader.sequence()?;
            let serial = entry.expect(INTEGER)?.content;
            let date = certificate::time(entry.any()?)?;
            let mut removed = false;
            if let Some(list) = entry.optional(SEQUENCE)? {
                for extension in certificate::extensions(list)? {
                    match extension.kind {
                        CERTIFICATE_ISSUER => return Err(Unusable::Indirect),
                        REASON_CODE => removed |= extension.value == REMOVE_FROM_CRL,
                        INVALIDITY_DATE => {}
                        other if extension.critical => return Err(Unusable::CriticalExtension(other)),
                        _ => {}
                    }
                }
            }
            entry.finish()?;
            if serial == serial_number && !removed {
                found = found.or(Some(date));
            }
        }
        Ok(found)
    }

    /// Which certificates and reasons the list is about: (b) of section 6.3.3.
    fn scope(&self, certificate: &Certificate<'_>) -> Result<Scope, Unusable> {
        let mut scope = Scope::All;
        let mut is_delta = false;
        let Some(list) = self.extensions else {
            return Ok(scope);
        };
        for RawExtension { kind, critical, value } in certificate::extensions(list)? {
            match kind {
                ISSUING_DISTRIBUTION_POINT => scope = issuing_distribution_point(value, certificate)?,
                DELTA_CRL_INDICATOR => is_delta = true,
                // Sections 5.2.1 and 5.2.3: must not be critical.
                AUTHORITY_KEY_IDENTIFIER | CRL_NUMBER if !critical => {}
                other if critical => return Err(Unusable::CriticalExtension(other)),
                _ => {}
            }
        }
        // Not being in a list of changes means nothing.
        Ok(if is_delta && scope == Scope::All {
            Scope::SomeReasons
        } else {
            scope
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    SomeReasons,
    Other,
}

/// RFC 5280 section 5.2.5.
fn issuing_distribution_point(value: &[u8], certificate: &Certificate<'_>) -> Result<Scope, Unusable> {
    let mut reader: Reader<'_> = asn1::whole_sequence(value)?;
    let point = reader
        .optional(context_constructed(0))?
        .map(distribution_point_name)
        .transpose()?;
    let mut flag = |number| -> Result<bool, Malformed> {
        reader
            .optional(context(number))?
            .map_or(Ok(false), |element| asn1::boolean(element.content))
    };
    let only_users = flag(1)?;
    let only_authorities = flag(2)?;
    let some_reasons = reader.optional(context(3))?.is_some();
    let mut flag = |number| -> Result<bool, Malformed> {
        reader
            .optional(context(number))?
            .map_or(Ok(false), |element| asn1::boolean(element.content))
    };
    let indirect = flag(4)?;
    let only_attributes = flag(5)?;
    reader.finish()?;
    if indirect {
        return Err(Unusable::Indirect);
    }
    let is_authority = certificate
        .extensions
        .basic_constraints
        .is_some_and(|constraints| constraints.is_authority);
    if only_attributes || (only_users && is_authority) || (only_authorities && !is_authority) {
        return Ok(Scope::Other);
    }
    if let Some(point) = point {
        let DistributionPointName::Full(names) = point else {
            return Err(Unusable::DistributionPoint);
        };
        let mut named_here = false;
        for of_certificate in certificate.extensions.distribution_points.iter().flatten() {
            if of_certificate.has_other_issuer || of_certificate.has_reasons {
                continue;
            }
            match &of_certificate.name {
                Some(DistributionPointName::Full(own)) => named_here |= own.iter().any(|name| names.contains(name)),
                Some(DistributionPointName::RelativeToIssuer) => return Err(Unusable::DistributionPoint),
                None => {}
            }
        }
        if !named_here {
            return Ok(Scope::Other);
        }
    }
    Ok(if some_reasons { Scope::SomeReasons } else { Scope::All })
}

impl Revocation {
    /// The finding for a status that is not good, given what the embedder decided.
    pub(crate) fn problem(&self, withholds_tier: bool) -> Option<Problem> {
        let code = match (self.status, withholds_tier) {
            (RevocationStatus::Good, _) => return None,
            (RevocationStatus::Revoked, _) => Code::Revoked,
            (_, true) => Code::RevocationDemanded,
            (RevocationStatus::NotChecked, false) => Code::RevocationNotChecked,
            (RevocationStatus::Unknown, false) => Code::RevocationUnknown,
        };
        Some(code.because(self.detail.clone()))
    }
}

const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const REASON_CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");
/// ENUMERATED removeFromCRL (RFC 5280 section 5.3.1).
const REMOVE_FROM_CRL: &[u8] = &[0x0a, 1, 8];
const INVALIDITY_DATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.24");
const DELTA_CRL_INDICATOR: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
const CERTIFICATE_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.29");
const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
