//! The writers of signed and encrypted messages: multipart/signed (RFC 1847 section 2.1, RFC 8551 section 3.5.3) and
//! application/pkcs7-mime (RFC 8551 sections 3.3 and 3.5.2).
//!
//! [`prepare`] splits a message into what stays outside and the entity that is signed; [`Prepared::into_signed`] and
//! [`Prepared::into_opaque`] put them together with the signature. The bytes that were signed are the bytes that are
//! sent. [`Prepared::sign_inside`] leaves the signed entity to be encrypted, and [`OuterHeader::into_encrypted`] puts
//! the outer header in front of that.

use data_encoding::HEXLOWER;
use keys::DigestAlgorithm;
use rand_core::CryptoRng;

use super::canonical::{EightBitHeaders, canonicalize, check_transportable, lines};
use super::confidentiality::{Confidentiality, Outside};
use super::content_type::Parameterized;
use super::entity::{Entity, Field};
use super::header::ProtectionMark;
use super::legacy_display::LegacyDisplay;
use super::seven_bit::Protected;
use super::{Budget, Limits, MimeError, base64, header, seven_bit};
use crate::enveloped::MessageCipher;

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
    /// For a message that is encrypted afterwards: the copies inside are true, those outside say what policy lets
    /// everybody know, and HP-Outer repeats them inside (RFC 9788 sections 2.2 and 5.2). Where that hides something, the
    /// text shows it too, for readers that do not know the RFC.
    Cipher(Confidentiality),
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
        HeaderProtection::Clear => protected_fields(&whole, EightBitHeaders::Refused)?,
        // Nothing on the way can change what is encrypted, so that 8-bit text may stay. What cannot be protected is
        // refused: its header would be seen by everybody.
        HeaderProtection::Cipher(_) => {
            Some(protected_fields(&whole, EightBitHeaders::Allowed)?.ok_or(MimeError::ContentTypeMalformed)?)
        }
    };
    let mut outer = Vec::new();
    let mut repeated = Vec::new();
    let mut display = LegacyDisplay::default();
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
        let mut fitted = match (&protected, protection) {
            // Readers compare what is inside with what is outside, so both are written the same way.
            (Some(_), HeaderProtection::Clear) if is_protected(field) => header::fit(field, EightBitHeaders::Refused)?,
            (Some(_), HeaderProtection::Cipher(_)) if is_protected(field) => {
                header::fit(field, EightBitHeaders::Allowed)?
            }
            _ => header::folded(field.name(), field.raw())?,
        };
        if let HeaderProtection::Cipher(confidentiality) = protection {
            match confidentiality.outside(field) {
                Outside::Same => {}
                Outside::Instead(instead) => {
                    display.hide(field);
                    fitted = instead.into();
                }
                Outside::Nothing => {
                    display.hide(field);
                    continue;
                }
            }
            if is_protected(field) {
                let line = [b"HP-Outer: ".as_slice(), &fitted].concat();
                repeated.extend_from_slice(&header::folded("HP-Outer", &line)?);
            }
        }
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
    let eight_bit = match (smtputf8, protection) {
        (Smtputf8::Requested, _) | (_, HeaderProtection::Cipher(_)) => EightBitHeaders::Allowed,
        (Smtputf8::NotRequested, _) => EightBitHeaders::Refused,
    };
    let inner = Entity {
        fields: content_fields,
        body: whole.body,
    };
    let displayed = display.added_to(&inner);
    let inner = match &displayed {
        Some(bytes) => Entity::split(bytes)?,
        None => inner,
    };
    let fields = protected.map(|copies| [copies, repeated].concat());
    let protected = fields.as_deref().map(|fields| Protected {
        fields,
        mark: match protection {
            HeaderProtection::Cipher(_) => ProtectionMark::Cipher,
            HeaderProtection::Clear | HeaderProtection::Off => ProtectionMark::Clear,
        },
    });
    let entity = seven_bit::transform(&inner, eight_bit, protected, &mut Budget::new(limits))?;
    check_transportable(&entity, eight_bit)?;
    Ok(Prepared { outer, entity })
}

/// The bytes of all fields that are copied inside; `None` if the header cannot be protected.
fn protected_fields(whole: &Entity<'_>, eight_bit: EightBitHeaders) -> Result<Option<Vec<u8>>, MimeError> {
    if let Some(content_type) = whole.only("Content-Type")?
        && Parameterized::parse(&content_type.value()).is_none()
    {
        // Nothing can be added to what is not understood.
        return Ok(None);
    }
    let mut copies = Vec::new();
    for field in whole.fields.iter().filter(|field| is_protected(field)) {
        match header::fit(field, eight_bit) {
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
        [self.outer, opaque(signed_data)].concat()
    }

    /// The bytes to sign: exactly these stand between the delimiters afterwards.
    pub fn entity(&self) -> &[u8] {
        &self.entity
    }

    /// Writes the signed message around the detached signature (DER of a ContentInfo).
    pub fn into_signed(self, digest: DigestAlgorithm, signature: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
        let mut message = self.outer;
        clear_signed(&mut message, &self.entity, digest, signature, rng);
        message
    }

    /// Puts the detached signature beside the content, both to be encrypted.
    pub fn sign_inside(&mut self, digest: DigestAlgorithm, signature: &[u8], rng: &mut dyn CryptoRng) {
        let mut signed = Vec::new();
        clear_signed(&mut signed, &self.entity, digest, signature, rng);
        self.entity = signed;
    }

    /// Puts SignedData with the content in place of the content, to be encrypted.
    pub fn sign_inside_opaque(&mut self, signed_data: &[u8]) {
        self.entity = opaque(signed_data);
    }

    /// What goes outside of the encryption, and what goes inside.
    pub fn into_parts(self) -> (OuterHeader, Vec<u8>) {
        (OuterHeader(self.outer), self.entity)
    }
}

/// The header of an encrypted message as everybody can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OuterHeader(Vec<u8>);

impl OuterHeader {
    /// Writes the encrypted message (DER of a ContentInfo with EnvelopedData or AuthEnvelopedData).
    pub fn into_encrypted(self, cipher: MessageCipher, enveloped: &[u8]) -> Vec<u8> {
        let kind = match cipher {
            // In the spelling of RFC 8551 section 3.2.2.
            MessageCipher::Aes256Gcm => "authEnveloped-data",
            MessageCipher::Aes256Cbc => "enveloped-data",
        };
        let mut message = self.0;
        message.extend_from_slice(
            format!("Content-Type: application/pkcs7-mime; smime-type={kind};\r\n name=\"smime.p7m\"\r\n{ENCRYPTED_HEADER}\r\n")
                .as_bytes(),
        );
        message.extend_from_slice(&base64::encode(enveloped));
        message.extend_from_slice(b"\r\n");
        message
    }
}

/// An entity of multipart/signed, at the end of `out`.
///
/// protocol, micalg and boundary stand in this order, since some readers depend on it.
fn clear_signed(out: &mut Vec<u8>, entity: &[u8], digest: DigestAlgorithm, signature: &[u8], rng: &mut dyn CryptoRng) {
    let boundary = unused_boundary(entity, rng);
    out.reserve(entity.len() + signature.len() * 3 / 2 + 1024);
    out.extend_from_slice(
        format!(
            "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n micalg={}; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n",
            message_integrity_check(digest)
        )
        .as_bytes(),
    );
    out.extend_from_slice(entity);
    out.extend_from_slice(format!("\r\n--{boundary}\r\n{SIGNATURE_HEADER}\r\n").as_bytes());
    out.extend_from_slice(&base64::encode(signature));
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
}

/// An entity of application/pkcs7-mime with signature and content.
fn opaque(signed_data: &[u8]) -> Vec<u8> {
    let base64 = base64::encode(signed_data);
    [OPAQUE_HEADER.as_bytes(), b"\r\n", &base64, b"\r\n"].concat()
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
        DigestAlgorithm::Sha512 => "sha-512",
    }
}

/// A boundary that is nowhere in the entity. `=_` occurs in no quoted-printable or base64 text (RFC 2045 section 6.7).
fn unused_boundary(entity: &[u8], rng: &mut dyn CryptoRng) -> String {
    loop {
        let mut random = [0; 16];
        rng.fill_bytes(&mut random);
        let boundary = format!("=_{}", HEXLOWER.encode(&random));
        if memchr::memmem::find(entity, boundary.as_bytes()).is_none() {
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

/// Behind the Content-Type of an encrypted message.
const ENCRYPTED_HEADER: &str = "Content-Transfer-Encoding: base64\r\n\
     Content-Disposition: attachment; filename=\"smime.p7m\"\r\n\
     Content-Description: S/MIME Encrypted Message\r\n";

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
