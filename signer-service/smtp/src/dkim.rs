//! DKIM signatures (RFC 6376, RFC 8463) but for the private key: what has to be signed, and the field that comes of it.
//!
//! Header and body are canonicalized `relaxed/relaxed`, which survives relays best, and the whole body is signed. The
//! private-key operation is up to the caller, so that it stays where keys are:
//!
//! ```
//! use smtp::dkim::{Algorithm, Message, Request};
//!
//! let message = Message::new(vec![("From", b" alice@example.com")], b"Hello\r\n");
//! let request = Request {
//!     algorithm: Algorithm::RsaSha256,
//!     domain: "example.com",
//!     selector: "s2026",
//!     signed_at: 1_700_000_000,
//!     fields: &["From", "From"],
//! };
//! let unsigned = message.unsigned(&request);
//! # let sign = |octets: &[u8]| octets.to_vec();
//! let signature = sign(unsigned.octets());
//! assert!(unsigned.finish(&signature).starts_with("DKIM-Signature: v=1; a=rsa-sha256;"));
//! ```

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

/// How a domain signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 6376 section 3.3.1).
    RsaSha256,
    /// PureEdDSA over a SHA-256 (RFC 8463 section 3). Not every receiver knows it, so it stands beside an RSA signature.
    Ed25519Sha256,
}

impl Algorithm {
    /// As in `a=`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa-sha256",
            Self::Ed25519Sha256 => "ed25519-sha256",
        }
    }

    /// The TXT record for a public key (RFC 6376 section 3.6.1): for RSA the DER of its SubjectPublicKeyInfo, for Ed25519
    /// the 32 octets of the key alone (RFC 8463 section 4.2).
    pub fn record(self, public_key: &[u8]) -> String {
        let kind = match self {
            Self::RsaSha256 => "rsa",
            Self::Ed25519Sha256 => "ed25519",
        };
        format!("v=DKIM1; k={kind}; p={}", Base64::encode_string(public_key))
    }
}

/// A message about to be signed, once or several times.
#[derive(Debug)]
pub struct Message<'m> {
    /// Name, and what follows the colon with its folds.
    header: Vec<(&'m str, &'m [u8])>,
    body_hash: [u8; 32],
}

/// Who signs which fields.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    pub algorithm: Algorithm,
    pub domain: &'r str,
    pub selector: &'r str,
    /// In seconds since 1970.
    pub signed_at: i64,
    /// The names for `h=`. A name that is there more often than its field says that there is no further such field, so
    /// that none can be added unseen (RFC 6376 section 8.15).
    pub fields: &'r [&'r str],
}

/// A signature field that lacks its signature.
#[derive(Debug)]
pub struct Unsigned {
    field: String,
    octets: Vec<u8>,
}

impl<'m> Message<'m> {
    /// `header` has each field's name and all that follows its colon; `body` has lines that end with CRLF.
    pub fn new(header: Vec<(&'m str, &'m [u8])>, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        relaxed_body(body, |octets| hash.update(octets));
        Self {
            header,
            body_hash: hash.finalize().into(),
        }
    }

    /// What a signature by this request is made over.
    pub fn unsigned(&self, request: &Request<'_>) -> Unsigned {
        let mut canonical = Vec::new();
        // Of several fields of one name, verifiers begin with the last (section 5.4.2).
        let mut left: Vec<&(&str, &[u8])> = self.header.iter().collect();
        for name in request.fields {
            if let Some(at) = left.iter().rposition(|(field, _)| field.eq_ignore_ascii_case(name)) {
                let (field, value) = left.remove(at);
                relaxed_field(field, value, &mut canonical);
                canonical.extend_from_slice(b"\r\n");
            }
        }
        let value = format!(
            " v=1; a={}; c=relaxed/relaxed; d={};\r\n s={}; t={};\r\n h={};\r\n bh={};\r\n b=",
            request.algorithm.name(),
            request.domain,
            request.selector,
            request.signed_at,
            request.fields.join(":\r\n  "),
            Base64::encode_string(&self.body_hash)
        );
        // The field itself comes last, with an empty b= and without a line end (section 3.7).
        relaxed_field(FIELD, value.as_bytes(), &mut canonical);
        let octets = match request.algorithm {
            Algorithm::RsaSha256 => canonical,
            // RFC 8463 section 3: what Ed25519 signs is the hash.
            Algorithm::Ed25519Sha256 => Sha256::digest(&canonical).to_vec(),
        };
        Unsigned {
            field: format!("{FIELD}:{value}"),
            octets,
        }
    }
}

impl Unsigned {
    /// What the private key signs: with RSA the hash is part of the signature scheme, with Ed25519 it is done already.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The field with its signature and its line end, to be put before the message.
    pub fn finish(self, signature: &[u8]) -> String {
        let mut field = self.field;
        let signature = Base64::encode_string(signature);
        for (index, character) in signature.chars().enumerate() {
            if index > 0 && index % COLUMNS == 0 {
                field.push_str("\r\n  ");
            }
            field.push(character);
        }
        field.push_str("\r\n");
        field
    }
}

/// RFC 6376 section 3.4.2: the name in lower case, runs of blanks and folds as one blank, none at the ends.
fn relaxed_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend(name.bytes().map(|octet| octet.to_ascii_lowercase()));
    out.push(b':');
    let mut blank = false;
    let begin = out.len();
    for octet in value {
        if matches!(octet, b' ' | b'\t' | b'\r' | b'\n') {
            blank = true;
            continue;
        }
        if std::mem::take(&mut blank) && out.len() > begin {
            out.push(b' ');
        }
        out.push(*octet);
    }
}

/// RFC 6376 section 3.4.4: runs of blanks as one, none at line ends, no empty lines at the end. Tells `out` piece by
/// piece, so that a large message is not copied.
fn relaxed_body(body: &[u8], mut out: impl FnMut(&[u8])) {
    let mut empty_lines = 0_usize;
    let mut rest = body;
    let mut relaxed = Vec::new();
    while !rest.is_empty() {
        let (line, after) = match rest.windows(2).position(|pair| pair == b"\r\n") {
            Some(end) => (&rest[..end], &rest[end + 2..]),
            None => (rest, &b""[..]),
        };
        rest = after;
        relaxed.clear();
        let mut blank = false;
        for octet in line {
            if matches!(octet, b' ' | b'\t') {
                blank = true;
                continue;
            }
            if std::mem::take(&mut blank) {
                relaxed.push(b' ');
            }
            relaxed.push(*octet);
        }
        if relaxed.is_empty() {
            empty_lines += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty_lines) {
            out(b"\r\n");
        }
        relaxed.extend_from_slice(b"\r\n");
        out(&relaxed);
    }
}

const FIELD: &str = "DKIM-Signature";

const COLUMNS: usize = 72;

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> String {
        let mut relaxed = Vec::new();
        relaxed_field(name, value.as_bytes(), &mut relaxed);
        String::from_utf8(relaxed).unwrap()
    }

    fn body(text: &[u8]) -> Vec<u8> {
        let mut relaxed = Vec::new();
        relaxed_body(text, |octets| relaxed.extend_from_slice(octets));
        relaxed
    }

    /// RFC 6376 section 3.4.5, the example.
    #[test]
    fn canonical_forms_are_those_of_the_rfc() {
        assert_eq!(field("A", " X\r\n"), "a:X");
        assert_eq!(field("B", " Y\t\r\n\tZ  \r\n"), "b:Y Z");
        assert_eq!(field("Empty", " \r\n \r\n"), "empty:");
        assert_eq!(body(b" C \r\nD \t E\r\n\r\n\r\n"), b" C\r\nD E\r\n");
        assert_eq!(body(b""), b"");
        assert_eq!(body(b"\r\n\r\n"), b"");
        assert_eq!(body(b" \t\r\n\r\n"), b"");
        assert_eq!(body(b"x"), b"x\r\n");
        assert_eq!(body(b"x\r\n\r\ny\r\n"), b"x\r\n\r\ny\r\n");
        assert_eq!(body(b"x\ry\nz\r\n"), b"x\ry\nz\r\n", "bare line ends are no line ends");
    }

    const FIELDS: [&str; 4] = ["From", "List-Id", "List-Id", "Subject"];

    fn unsigned(header: Vec<(&str, &[u8])>, algorithm: Algorithm) -> Unsigned {
        Message::new(header, b"x\r\n").unsigned(&Request {
            algorithm,
            domain: "example.com",
            selector: "s",
            signed_at: 7,
            fields: &FIELDS,
        })
    }

    #[test]
    fn of_several_fields_the_last_comes_first_and_what_is_not_there_is_left_out() {
        let header: Vec<(&str, &[u8])> = vec![
            ("list-id", b" <a>"),
            ("From", b" a@example.com"),
            ("X-Other", b" y"),
            ("List-Id", b" <b>"),
            ("List-ID", b" <c>"),
        ];
        let octets = unsigned(header, Algorithm::RsaSha256).octets().to_vec();
        let text = String::from_utf8(octets).unwrap();
        assert!(
            text.starts_with("from:a@example.com\r\nlist-id:<c>\r\nlist-id:<b>\r\ndkim-signature:v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=s; t=7; h=From: List-Id: List-Id: Subject; bh="),
            "{text}"
        );
        assert!(text.ends_with("; b="), "{text}");
    }

    #[test]
    fn ed25519_signs_the_hash_and_rsa_the_text() {
        let header: Vec<(&str, &[u8])> = vec![("From", b" a@example.com")];
        assert_eq!(unsigned(header.clone(), Algorithm::Ed25519Sha256).octets().len(), 32);
        assert!(unsigned(header, Algorithm::RsaSha256).octets().len() > 32);
    }

    #[test]
    fn the_field_is_folded_and_the_signature_is_all_that_is_added() {
        let unsigned = unsigned(vec![("From", b" a@example.com")], Algorithm::RsaSha256);
        let before = unsigned.field.clone();
        let field = unsigned.finish(&[0xff; 256]);
        let signature: String = field.strip_prefix(&before).unwrap().split_whitespace().collect();
        assert_eq!(signature, Base64::encode_string(&[0xff; 256]));
        assert!(field.ends_with("\r\n"));
        assert!(
            field
                .split("\r\n")
                .all(|line| line.len() <= 78 + "DKIM-Signature: ".len())
        );
    }

    #[test]
    fn records_name_the_kind_of_key() {
        assert_eq!(Algorithm::RsaSha256.record(&[0, 0, 0]), "v=DKIM1; k=rsa; p=AAAA");
        assert_eq!(
            Algorithm::Ed25519Sha256.record(&[0; 32]).len(),
            "v=DKIM1; k=ed25519; p=".len() + 44
        );
    }
}
