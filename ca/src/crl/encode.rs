//! The bytes of a CRL (RFC 5280 section 5.1), put together without a tree of a million entries in memory.

use const_oid::{AssociatedOid, ObjectIdentifier};
use der::asn1::{AnyRef, Ia5String, OctetString, Uint};
use der::{Encode, Tag, TagNumber};
use policies::time::Timestamp;
use x509_cert::certificate::Version;
use x509_cert::crl::RevokedCert;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlNumber, IssuingDistributionPoint};
use x509_cert::serial_number::SerialNumber;

use super::{Draft, certificate_time};
use crate::error::Error;
use crate::revocation::Reason;
use crate::store::certificates::RevokedRow;

/// The entries of a list one after the other, some fifty octets each.
#[derive(Debug, Default)]
pub(super) struct Entries(Vec<u8>);

impl Entries {
    /// Adds a line.
    pub(super) fn push(&mut self, row: &RevokedRow) -> Result<(), Error> {
        entry(row)?
            .encode_to_vec(&mut self.0)
            .map_err(Error::encoding("a CRL entry"))?;
        Ok(())
    }
}

/// The TBSCertList of RFC 5280 section 5.1.2. Built by hand, since the key identifier must be the issuer's own, and the
/// entries are encoded already.
pub(super) fn to_be_signed(
    draft: &Draft,
    number: i64,
    this_update: Timestamp,
    next_update: Timestamp,
    entries: &Entries,
) -> Result<Vec<u8>, Error> {
    let failed = || Error::encoding("the CRL");
    let mut content = Vec::with_capacity(entries.0.len() + ROOM_FOR_THE_REST);
    // 5.1.2.1 to 5.1.2.5
    Version::V2.encode_to_vec(&mut content).map_err(failed())?;
    draft.signature.encode_to_vec(&mut content).map_err(failed())?;
    draft.issuer.encode_to_vec(&mut content).map_err(failed())?;
    certificate_time(this_update)?
        .encode_to_vec(&mut content)
        .map_err(failed())?;
    certificate_time(next_update)?
        .encode_to_vec(&mut content)
        .map_err(failed())?;
    // 5.1.2.6: "MUST be absent" rather than empty.
    if !entries.0.is_empty() {
        AnyRef::new(Tag::Sequence, &entries.0)
            .and_then(|list| list.encode_to_vec(&mut content))
            .map_err(failed())?;
    }
    // 5.1.2.7: [0] EXPLICIT.
    let number = CrlNumber(Uint::new(&number.to_be_bytes()).map_err(Error::encoding("the CRL number"))?);
    let authority = AuthorityKeyIdentifier {
        key_identifier: Some(draft.key_identifier.clone()),
        ..AuthorityKeyIdentifier::default()
    };
    let mut extensions = vec![extension(&authority)?, extension(&number)?];
    if !draft.distribution_points.is_empty() {
        extensions.push(issuing_distribution_point(&draft.distribution_points)?);
    }
    let extensions = extensions.to_der().map_err(failed())?;
    let tag = Tag::ContextSpecific {
        constructed: true,
        number: TagNumber(0),
    };
    AnyRef::new(tag, &extensions)
        .and_then(|extensions| extensions.encode_to_vec(&mut content))
        .map_err(failed())?;
    AnyRef::new(Tag::Sequence, &content)
        .and_then(|list| list.to_der())
        .map_err(failed())
}

/// One line of the list. The reason is left out when there is none to tell (BR 7.2.2).
fn entry(row: &RevokedRow) -> Result<RevokedCert, Error> {
    let unreadable = |reason: String| Error::Row {
        kind: "certificate",
        id: row.serial.clone(),
        reason,
    };
    let serial = data_encoding::HEXLOWER
        .decode(row.serial.as_bytes())
        .map_err(|error| unreadable(error.to_string()))?;
    let reason = match &row.revocation_reason {
        None => None,
        Some(text) => text
            .parse::<Reason>()
            .map_err(|error| unreadable(error.to_string()))?
            .crl_reason(),
    };
    let crl_entry_extensions = match reason {
        None => None,
        Some(reason) => Some(vec![extension(&reason)?]),
    };
    let revoked_at = row
        .revoked_at
        .ok_or_else(|| unreadable("it is not revoked".to_owned()))?;
    Ok(RevokedCert {
        serial_number: SerialNumber::new(&serial).map_err(|error| unreadable(error.to_string()))?,
        revocation_date: certificate_time(Timestamp::from_unix(revoked_at))?,
        crl_entry_extensions,
    })
}

/// Section 5.2.5: of a shard, every name that a certificate may call it by. Critical, so that nobody takes it for the list
/// of all certificates. Only subscribers have shards.
fn issuing_distribution_point(urls: &[String]) -> Result<Extension, Error> {
    let failed = || Error::encoding("the issuing distribution point");
    let names = urls
        .iter()
        .map(|url| Ia5String::new(url).map(GeneralName::UniformResourceIdentifier))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed())?;
    let point = IssuingDistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(names)),
        only_contains_user_certs: true,
        only_contains_ca_certs: false,
        only_some_reasons: None,
        indirect_crl: false,
        only_contains_attribute_certs: false,
    };
    Ok(Extension {
        extn_id: ISSUING_DISTRIBUTION_POINT,
        critical: true,
        extn_value: OctetString::new(point.to_der().map_err(failed())?).map_err(failed())?,
    })
}

/// None of these is critical: AKI and number must not be (5.2.1, 5.2.3), reasonCode neither (BR 7.2.2).
fn extension<T: Encode + AssociatedOid>(value: &T) -> Result<Extension, Error> {
    let value = value.to_der().map_err(Error::encoding("a CRL extension"))?;
    Ok(Extension {
        extn_id: T::OID,
        critical: false,
        extn_value: OctetString::new(value).map_err(Error::encoding("a CRL extension"))?,
    })
}

/// Everything but the entries.
const ROOM_FOR_THE_REST: usize = 4096;
/// NOTE: x509-cert 0.3 ties the structure to the identifier of subjectInfoAccess.
const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;
    use const_oid::db::rfc5912;
    use policies::time::Span;
    use spki::AlgorithmIdentifierOwned;
    use x509_cert::certificate::Rfc5280;
    use x509_cert::crl::TbsCertList;

    use std::str::FromStr;

    fn draft() -> Draft {
        Draft {
            issuer_id: "issuing".to_owned(),
            issuer: x509_cert::name::Name::from_str("CN=Example,C=DE").unwrap(),
            key_identifier: OctetString::new(vec![7; 20]).unwrap(),
            signature: AlgorithmIdentifierOwned {
                oid: rfc5912::ECDSA_WITH_SHA_256,
                parameters: None,
            },
            lifetime: Span::days(7),
            scope: Scope::Complete,
            distribution_points: Vec::new(),
        }
    }

    fn row(number: u32) -> RevokedRow {
        let reasons = [None, Some("keyCompromise"), Some("superseded")];
        let reason = reasons[usize::try_from(number % 3).unwrap()];
        RevokedRow {
            serial: format!("40{number:030x}"),
            revoked_at: Some(1_782_000_000 + i64::from(number)),
            revocation_reason: reason.map(str::to_owned),
        }
    }

    /// The bytes are those that a list of structures would give.
    #[test]
    fn the_list_is_the_one_that_x509_cert_would_encode() {
        let now = Timestamp::from_unix(1_782_000_000);
        // None, short and long forms of the length.
        for count in [0, 1, 2, 6, 2000] {
            let rows: Vec<RevokedRow> = (0..count).map(row).collect();
            let mut entries = Entries::default();
            for row in &rows {
                entries.push(row).unwrap();
            }
            let draft = draft();
            let ours = to_be_signed(&draft, 300, now, now.plus(draft.lifetime), &entries).unwrap();
            let list: Vec<RevokedCert> = rows.iter().map(|row| entry(row).unwrap()).collect();
            let authority = AuthorityKeyIdentifier {
                key_identifier: Some(draft.key_identifier.clone()),
                ..AuthorityKeyIdentifier::default()
            };
            let number = CrlNumber(Uint::new(&300_u32.to_be_bytes()).unwrap());
            let theirs = TbsCertList::<Rfc5280> {
                version: Version::V2,
                signature: draft.signature.clone(),
                issuer: draft.issuer.clone(),
                this_update: certificate_time(now).unwrap(),
                next_update: Some(certificate_time(now.plus(draft.lifetime)).unwrap()),
                revoked_certificates: (!list.is_empty()).then_some(list),
                crl_extensions: Some(vec![extension(&authority).unwrap(), extension(&number).unwrap()]),
            };
            assert!(ours == theirs.to_der().unwrap(), "{count} entries");
        }
    }

    #[test]
    fn rows_that_are_no_entries_are_refused() {
        let changes: [fn(&mut RevokedRow); 4] = [
            |row| row.serial = "xy".to_owned(),
            |row| row.serial = "4".to_owned(),
            |row| row.revoked_at = None,
            |row| row.revocation_reason = Some("certificateHold".to_owned()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut changed = row(1);
            change(&mut changed);
            let mut entries = Entries::default();
            assert!(
                matches!(entries.push(&changed), Err(Error::Row { .. })),
                "change {number}"
            );
            assert!(entries.0.is_empty(), "change {number}");
        }
    }
}
