//! Certificate revocation lists (RFC 5280 sections 5 and 6.3).

use const_oid::ObjectIdentifier;
use policies::time::Timestamp;

use super::authority::Authorities;
use super::scope::{self, IssuingDistributionPoint, Reasons};
use super::{Answer, Unusable, check_window};
use crate::asn1::{self, Element, GENERALIZED_TIME, INTEGER, Malformed, SEQUENCE, UTC_TIME, context_constructed};
use crate::certificate::{self, Certificate, RawExtension, Signed};
use crate::distinguished_name::DistinguishedName;
use crate::extensions::{GeneralName, general_names};
use crate::finding::{Code, Problem};

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

/// A CRL whose outer fields have been read (RFC 5280 section 5.1).
#[derive(Debug, Clone)]
pub(super) struct RevocationList<'a> {
    pub(super) signed: Signed<'a>,
    pub(super) issuer: DistinguishedName,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    entries: Option<Element<'a>>,
    extensions: Option<Element<'a>>,
}

/// The extensions that are processed (section 5.2).
#[derive(Default)]
struct ListExtensions<'a> {
    scope: Option<IssuingDistributionPoint<'a>>,
    /// cRLNumber and deltaCRLIndicator, as the content of their INTEGERs.
    number: Option<&'a [u8]>,
    changes_since: Option<&'a [u8]>,
}

/// What the entries of one list say of one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Revoked {
        since: Timestamp,
    },
    /// removeFromCRL, which only lists of changes have (section 5.3.1).
    Removed,
    NotListed,
}

/// A list that may be believed about a certificate.
struct Usable<'l> {
    entry: Entry,
    reasons: Reasons,
    number: Option<&'l [u8]>,
    changes_since: Option<&'l [u8]>,
    issuer: &'l DistinguishedName,
}

/// Section 6.3.3: the distribution points of the certificate one after the other, then its issuer's own lists.
pub(super) fn ask(
    authorities: &Authorities<'_, '_>,
    certificate: &Certificate<'_>,
    above: &[&Certificate<'_>],
) -> Answer {
    let points = certificate.extensions.distribution_points.iter().flatten().map(Some);
    let mut usable: Vec<Usable<'_>> = Vec::new();
    let mut unusable = None;
    for point in points.chain([None]) {
        for list in authorities.lists() {
            let believed = list.extensions().and_then(|extensions| {
                let scope = extensions.scope.as_ref();
                let Some(reasons) = scope::reasons(&list.issuer, scope, certificate, point)? else {
                    return Ok(None);
                };
                check_window(list.this_update, list.next_update, authorities.at())?;
                authorities.check_list_signer(list, certificate, above)?;
                let indirect = scope.is_some_and(|scope| scope.indirect);
                Ok(Some(Usable {
                    entry: list.entry(certificate, indirect)?,
                    reasons,
                    number: extensions.number,
                    changes_since: extensions.changes_since,
                    issuer: &list.issuer,
                }))
            });
            match believed {
                Ok(Some(list)) => usable.push(list),
                Ok(None) => {}
                // A list of somebody else that cannot be read is not about this certificate.
                Err(_) if list.issuer != certificate.issuer && point.is_none() => {}
                Err(problem) => unusable = unusable.or(Some(problem)),
            }
        }
    }
    conclude(&usable, unusable)
}

fn conclude(usable: &[Usable<'_>], unusable: Option<Unusable>) -> Answer {
    let mut known = Reasons::NONE;
    for list in usable {
        match list.entry {
            // (c), (h): what a newer list of changes to this very list takes back is taken back.
            Entry::Revoked { .. } if usable.iter().any(|changes| changes.takes_back(list)) => {}
            Entry::Revoked { since } => return Answer::Revoked { since },
            Entry::Removed | Entry::NotListed => {}
        }
        // Not being in a list of changes means nothing.
        if list.changes_since.is_none() {
            known = known.and(list.reasons);
        }
    }
    match (Reasons::ALL.adds_to(known), unusable) {
        (false, _) => Answer::Good,
        (true, Some(problem)) => Answer::Unusable(format!("a revocation list is of no use: {problem}")),
        (true, None) if known != Reasons::NONE => {
            Answer::Unusable("the revocation lists at hand are about some reasons only".to_owned())
        }
        (true, None) => Answer::Silent,
    }
}

impl Usable<'_> {
    /// Section 5.2.4: changes may be applied to a complete list of the same issuer and scope whose number is at least
    /// the one they start from, and less than their own.
    fn takes_back(&self, complete: &Self) -> bool {
        let (Some(since), Some(number), Some(base)) = (self.changes_since, self.number, complete.number) else {
            return false;
        };
        self.entry == Entry::Removed
            && complete.changes_since.is_none()
            && self.issuer == complete.issuer
            && self.reasons == complete.reasons
            && magnitude(since) <= magnitude(base)
            && magnitude(base) < magnitude(number)
    }
}

/// Two positive INTEGERs compare by length, then by octets.
fn magnitude(content: &[u8]) -> (usize, &[u8]) {
    let significant = content.strip_prefix(&[0]).unwrap_or(content);
    (significant.len(), significant)
}

impl<'a> RevocationList<'a> {
    pub(super) fn read(raw: &'a [u8]) -> Result<Self, Malformed> {
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

    fn extensions(&self) -> Result<ListExtensions<'a>, Unusable> {
        let mut result = ListExtensions::default();
        let Some(list) = self.extensions else {
            return Ok(result);
        };
        for RawExtension { kind, critical, value } in certificate::extensions(list)? {
            match kind {
                ISSUING_DISTRIBUTION_POINT => result.scope = Some(IssuingDistributionPoint::read(value)?),
                DELTA_CRL_INDICATOR => result.changes_since = Some(asn1::whole_element(value, INTEGER)?.content),
                // Sections 5.2.1 and 5.2.3: must not be critical.
                CRL_NUMBER if !critical => result.number = Some(asn1::whole_element(value, INTEGER)?.content),
                AUTHORITY_KEY_IDENTIFIER if !critical => {}
                other if critical => return Err(Unusable::CriticalExtension(other)),
                _ => {}
            }
        }
        Ok(result)
    }

    /// (i), (j). All entries are read: one that cannot be processed spoils the list.
    fn entry(&self, certificate: &Certificate<'_>, indirect: bool) -> Result<Entry, Unusable> {
        let mut found = Entry::NotListed;
        let Some(entries) = self.entries else {
            return Ok(found);
        };
        // Section 5.3.3: the issuer of an entry holds until another one is named.
        let mut is_own_issuer = self.issuer == certificate.issuer;
        let mut reader = entries.inside();
        while !reader.is_empty() {
            let mut entry = reader.sequence()?;
            let serial = entry.expect(INTEGER)?.content;
            let since = certificate::time(entry.any()?)?;
            let mut removed = false;
            if let Some(list) = entry.optional(SEQUENCE)? {
                for extension in certificate::extensions(list)? {
                    match extension.kind {
                        CERTIFICATE_ISSUER if indirect => {
                            is_own_issuer = general_names(extension.value)?.iter().any(
                                |name| matches!(name, GeneralName::DirectoryName(name) if *name == certificate.issuer),
                            );
                        }
                        CERTIFICATE_ISSUER => return Err(Unusable::Indirect),
                        REASON_CODE => removed |= extension.value == REMOVE_FROM_CRL,
                        INVALIDITY_DATE => {}
                        other if extension.critical => return Err(Unusable::CriticalExtension(other)),
                        _ => {}
                    }
                }
            }
            entry.finish()?;
            if serial == certificate.serial_number && is_own_issuer {
                found = match (found, removed) {
                    (Entry::Revoked { .. }, _) => found,
                    (_, true) => Entry::Removed,
                    (_, false) => Entry::Revoked { since },
                };
            }
        }
        Ok(found)
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
