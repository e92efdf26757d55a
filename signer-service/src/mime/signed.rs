//! The writers of signed messages: multipart/signed (RFC 1847 section 2.1, RFC 8551 section 3.5.3) and
//! application/pkcs7-mime (RFC 8551 section 3.5.2).
//!
//! [`prepare`] splits a message into what stays outside and the entity that is signed; [`Prepared::into_signed`] and
//! [`Prepared::into_opaque`] put them together with the signature. The bytes that were signed are the bytes that are
//! sent.

use data_encoding::HEXLOWER;
use keys::DigestAlgorithm;
use rand_core::CryptoRng;

use super::canonical::{EightBitHeaders, canonicalize, check_transportable, lines};
use super::content_type::Parameterized;
use super::entity::{Entity, Field};
use super::{Budget, Limits, MimeError, base64, header, seven_bit};

/// Whether the envelope said SMTPUTF8, so that raw UTF-8 may stand in header fields (RFC 6531 section 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Smtputf8 {
    Requested,
    NotRequested,
}

/// Whether the signature covers the header of the message too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderProtection {
    Off,
    /// Copies of the fields are signed with the content, marked with `hp="clear"`. See RFC 9788 sections 2.1.1 and 5.2.
    ///
    /// Left off for a message with a field that has no 7-bit form, such as a raw UTF-8 address in SMTPUTF8 mail: what
    /// is signed has to survive every relay.
    Clear,
}

/// A message ready to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    outer: Vec<u8>,
    entity: Vec<u8>,
}

/// Takes a message apart.
///
/// Fields that describe the content move inside, all others stay outside with their bytes (overlong lines folded),
/// except Bcc and Resent-Bcc, which are not sent (RFC 5322 section 3.6.3). The entity is made fit for any relay, see
/// [`seven_bit`].
///
/// # Errors
/// See [`MimeError`].
pub fn prepare(
    message: &[u8],
    smtputf8: Smtputf8,
    protection: HeaderProtection,
    limits: Limits,
) -> Result<Prepared, MimeError> {
    let message = canonicalize(message);
    let whole = Entity::split(&message)?;
    let protected = match protection {
        HeaderProtection::Off => None,
        HeaderProtection::Clear => protected_fields(&whole)?,
    };
    let mut outer = Vec::new();
    let mut content_fields = Vec::new();
    let mut has_version = false;
    for field in &whole.fields {
        if field.describes_content() {
            content_fields.push(*field);
            continue;
        }
        if field.is("Bcc") || field.is("Resent-Bcc") {
            continue;
        }
        if field.raw().contains(&0) {
            return Err(MimeError::NulInHeader {
                field: field.name().to_owned(),
            });
        }
        has_version |= field.is("MIME-Version");
        let fitted = match &protected {
            // Readers compare what is inside with what is outside, so both are written the same way.
            Some(_) if is_protected(field) => header::fit(field, EightBitHeaders::Refused)?,
            _ => header::folded(field.name(), field.raw())?,
        };
        outer.extend_from_slice(&fitted);
        if !outer.ends_with(b"\r\n") {
            outer.extend_from_slice(b"\r\n");
        }
    }
    if let Some(number) = lines(&outer).position(|(_, line)| line.trim_ascii().is_empty()) {
        // To some readers a line of blanks ends the header, and what follows would be another message.
        return Err(MimeError::HeaderLineMalformed { line: number + 1 });
    }
    if !has_version {
        outer.extend_from_slice(b"MIME-Version: 1.0\r\n");
    }
    let eight_bit = match smtputf8 {
        Smtputf8::Requested => EightBitHeaders::Allowed,
        Smtputf8::NotRequested => EightBitHeaders::Refused,
    };
    let inner = Entity {
        fields: content_fields,
        body: whole.body,
    };
    let entity = seven_bit::transform(&inner, eight_bit, protected.as_deref(), &mut Budget::new(limits))?;
    check_transportable(&entity, eight_bit)?;
    Ok(Prepared { outer, entity })
}

/// The bytes of all fields that are copied inside; `None` if the header cannot be protected.
fn protected_fields(whole: &Entity<'_>) -> Result<Option<Vec<u8>>, MimeError> {
    if let Some(content_type) = whole.only("Content-Type")?
        && Parameterized::parse(&content_type.value()).is_none()
    {
        // Nothing can be added to what is not understood.
        return Ok(None);
    }
    let mut copies = Vec::new();
    for field in whole.fields.iter().filter(|field| is_protected(field)) {
        match header::fit(field, EightBitHeaders::Refused) {
            Ok(fitted) => copies.extend_from_slice(&fitted),
            Err(MimeError::HeaderNotAscii { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(copies))
}

/// Every field that the sender has written: all but the structural ones (RFC 9788 section 1.1.1), those that are not
/// sent, and those that servers add, change or remove on the way.
fn is_protected(field: &Field<'_>) -> bool {
    let starts = |prefix: &str| {
        let start = field.name().get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    !(field.describes_content()
        || field.is("MIME-Version")
        || starts("Resent-")
        || starts("ARC-")
        || starts("X-")
        || IN_TRANSIT.iter().any(|name| field.is(name)))
}

impl Prepared {
    /// Writes the message with the signature and the content in one CMS object (DER of a ContentInfo).
    pub fn into_opaque(self, signed_data: &[u8]) -> Vec<u8> {
        let mut message = self.outer;
        message.extend_from_slice(OPAQUE_HEADER.as_bytes());
        message.extend_from_slice(b"\r\n");
        message.extend_from_slice(&base64::encode(signed_data));
        message.extend_from_slice(b"\r\n");
        message
    }

    /// The bytes to sign: exactly these stand between the delimiters afterwards.
    pub fn entity(&self) -> &[u8] {
        &self.entity
    }

    /// Writes the signed message around the detached signature (DER of a ContentInfo).
    ///
    /// protocol, micalg and boundary stand in this order, since some readers depend on it.
    pub fn into_signed(self, digest: DigestAlgorithm, signature: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
        let boundary = unused_boundary(&self.entity, rng);
        let mut message = self.outer;
        message.reserve(self.entity.len() + signature.len() * 3 / 2 + 1024);
        message.extend_from_slice(
            format!(
                "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n micalg={}; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n",
                message_integrity_check(digest)
            )
            .as_bytes(),
        );
        message.extend_from_slice(&self.entity);
        message.extend_from_slice(format!("\r\n--{boundary}\r\n{SIGNATURE_HEADER}\r\n").as_bytes());
        message.extend_from_slice(&base64::encode(signature));
        message.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        message
    }
}

/// The message without its Bcc fields and otherwise untouched; for what is passed on unsigned.
///
/// # Errors
/// [`MimeError::HeaderLineMalformed`].
pub fn without_bcc(message: &[u8]) -> Result<Vec<u8>, MimeError> {
    let whole = Entity::split(message)?;
    let mut kept = Vec::with_capacity(message.len());
    let header_length: usize = whole.fields.iter().map(|field| field.raw().len()).sum();
    for field in whole
        .fields
        .iter()
        .filter(|field| !field.is("Bcc") && !field.is("Resent-Bcc"))
    {
        kept.extend_from_slice(field.raw());
    }
    kept.extend_from_slice(&message[header_length..]);
    Ok(kept)
}

/// The names of RFC 8551 section 3.5.3.2.
const fn message_integrity_check(digest: DigestAlgorithm) -> &'static str {
    match digest {
        DigestAlgorithm::Sha256 => "sha-256",
        DigestAlgorithm::Sha384 => "sha-384",
    }
}

/// A boundary that is nowhere in the entity. `=_` occurs in no quoted-printable or base64 text (RFC 2045 section 6.7).
fn unused_boundary(entity: &[u8], rng: &mut dyn CryptoRng) -> String {
    loop {
        let mut random = [0; 16];
        rng.fill_bytes(&mut random);
        let boundary = format!("=_{}", HEXLOWER.encode(&random));
        if !entity
            .windows(boundary.len())
            .any(|window| window == boundary.as_bytes())
        {
            return boundary;
        }
    }
}

/// `name` beside `filename` is for readers that know only the older one.
const SIGNATURE_HEADER: &str = "Content-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\n\
     Content-Transfer-Encoding: base64\r\n\
     Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\
     Content-Description: S/MIME Cryptographic Signature\r\n";

/// In this order the media type reads as in RFC 8551 section 3.5.2.
const OPAQUE_HEADER: &str = "Content-Type: application/pkcs7-mime; smime-type=signed-data;\r\n name=\"smime.p7m\"\r\n\
     Content-Transfer-Encoding: base64\r\n\
     Content-Disposition: attachment; filename=\"smime.p7m\"\r\n\
     Content-Description: S/MIME Signed Message\r\n";

/// Fields of which the header outside is true and a copy inside would soon be wrong.
const IN_TRANSIT: [&str; 13] = [
    "Bcc",
    "Return-Path",
    "Received",
    "Received-SPF",
    "Delivered-To",
    "Authentication-Results",
    "DKIM-Signature",
    "DomainKey-Signature",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Precedence",
    "Status",
    "Content-Length",
];
