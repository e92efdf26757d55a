//! When to renew (RFC 9773).

use policies::time::{Span, Timestamp};
use serde_json::{Value, json};

use super::problem::{Outcome, Refusal};
use crate::app::App;
use crate::error::Error;
use crate::store;

/// A certificate by its issuer's key identifier and its serial number (RFC 9773 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateId {
    key_identifier: Vec<u8>,
    /// The content octets of the serial number, with the zero octet that DER may need.
    serial: Vec<u8>,
}

impl CertificateId {
    /// `base64url(keyIdentifier).base64url(serialNumber)`.
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let malformed = || {
            Refusal::malformed(
                "a certificate is named by base64url of its issuer's key identifier, a dot, and base64url of its serial \
                 number (RFC 9773 section 4.1)",
            )
        };
        let decode = |part: &str| {
            (part.len() <= LONGEST_PART)
                .then(|| data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).ok())
                .flatten()
                .filter(|octets| !octets.is_empty())
                .ok_or_else(malformed)
        };
        let (key_identifier, serial) = text.split_once('.').ok_or_else(malformed)?;
        Ok(Self {
            key_identifier: decode(key_identifier)?,
            serial: decode(serial)?,
        })
    }

    #[cfg(test)]
    pub(crate) fn new(key_identifier: &[u8], serial: &[u8]) -> Self {
        Self {
            key_identifier: key_identifier.to_vec(),
            serial: serial.to_vec(),
        }
    }

    /// The serial number in our notation, if the issuer is ours.
    pub(crate) fn serial_of(&self, app: &App) -> Option<String> {
        let ours = app.issuers.issuing.key_identifier.0.as_bytes();
        (self.key_identifier == ours).then(|| data_encoding::HEXLOWER.encode(&self.serial))
    }
}

impl std::fmt::Display for CertificateId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let encode = |octets: &[u8]| data_encoding::BASE64URL_NOPAD.encode(octets);
        write!(f, "{}.{}", encode(&self.key_identifier), encode(&self.serial))
    }
}

/// The renewalInfo of a certificate, and after how many seconds to ask again.
pub(crate) async fn info(app: &App, id: &str) -> Outcome<(Value, i64)> {
    let id = CertificateId::parse(id)?;
    let serial = id.serial_of(app).ok_or(Refusal::NotFound)?;
    let issuer = app.issuers.issuing.id.clone();
    let row = app
        .db
        .read(move |conn| Ok::<_, Error>(store::certificates::find_by_serial(conn, &issuer, &serial)?))
        .await?
        .filter(|row| row.certificate.is_some())
        .ok_or(Refusal::NotFound)?;
    let (start, end) = window(
        Timestamp::from_unix(row.not_before),
        Timestamp::from_unix(row.not_after),
        row.revoked_at.map(Timestamp::from_unix),
    );
    let info = json!({"suggestedWindow": {"start": start.to_string(), "end": end.to_string()}});
    Ok((info, ASK_AGAIN.as_seconds()))
}

/// From two thirds of the lifetime on, during a twelfth of it; at once when it was revoked (RFC 9773 section 4.2).
fn window(not_before: Timestamp, not_after: Timestamp, revoked: Option<Timestamp>) -> (Timestamp, Timestamp) {
    match revoked {
        // A window in the past: the client renews immediately.
        Some(at) => (at.minus(Span::hours(1)), at),
        None => {
            let lifetime = not_after.since(not_before).as_seconds();
            let start = not_before.plus(Span::seconds(lifetime / 3 * 2));
            (start, start.plus(Span::seconds((lifetime / 12).max(1))))
        }
    }
}

/// RFC 9773 section 4.3.2: six hours let a client hear of a revocation within a quarter of the 24 hours of BR 4.9.1.1.
const ASK_AGAIN: Span = Span::hours(6);
/// Key identifiers have twenty octets, serial numbers at most as many.
const LONGEST_PART: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9773 section 4.1, the example.
    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        let text = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
        let id = CertificateId::parse(text).unwrap();
        assert_eq!(id.serial, [0x00, 0x87, 0x65, 0x43, 0x21]);
        assert_eq!(id.to_string(), text);
    }

    #[test]
    fn what_names_no_certificate_is_refused() {
        for text in [
            "",
            ".",
            "a.b",
            "AA",
            "AA.",
            ".AA",
            "AA.AA.AA",
            "AA=.AA",
            "A+A.AA",
            &"A".repeat(200),
        ] {
            assert!(CertificateId::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_certificate_is_renewed_in_its_last_third_or_at_once() {
        let (begin, end) = (Timestamp::from_unix(0), Timestamp::from_unix(1200));
        assert_eq!(
            window(begin, end, None),
            (Timestamp::from_unix(800), Timestamp::from_unix(900))
        );
        let (start, until) = window(begin, end, Some(Timestamp::from_unix(5000)));
        assert!(start < until && until <= Timestamp::from_unix(5000));
    }
}
