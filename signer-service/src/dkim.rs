//! DKIM signatures (RFC 6376), the last thing that happens to a message.
//!
//! NOTE: this is our own, since mail-auth signs with keys that it holds itself, and no key leaves the key store here.
//! RSA with SHA-256 only, relaxed canonicalization of header and body, which survives relays best.

use std::sync::Arc;

use data_encoding::{BASE64, HEXLOWER};
use der::Encode;
use keys::{DigestAlgorithm, KeyError, SignatureAlgorithm, SigningKey};
use policies::mailbox::Domain;
use policies::time::Timestamp;

use crate::mime::MimeError;
use crate::mime::canonical::lines;
use crate::mime::entity::{Entity, Field};

/// A domain and the key that signs for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    pub domain: Domain,
    /// One or more labels of the DNS name `SELECTOR._domainkey.DOMAIN`.
    pub selector: String,
}

/// A selector with its key open.
#[derive(Debug, Clone)]
pub(crate) struct DomainKey {
    pub(crate) selector: Selector,
    pub(crate) key: Arc<dyn SigningKey>,
}

/// Why there is no DKIM signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DkimError {
    #[error("the message cannot be taken apart")]
    Mime(#[from] MimeError),
    #[error("the key of a DKIM selector could not sign")]
    Key(#[from] KeyError),
    #[error("the gateway is stopping")]
    Interrupted,
    #[error("the key of a DKIM selector is not RSA")]
    NotRsa,
}

impl Selector {
    /// The name of the key in the key store.
    pub fn key_name(&self) -> String {
        let named = format!("{}._domainkey.{}", self.selector, self.domain);
        let hash = HEXLOWER.encode(&DigestAlgorithm::Sha256.hash(named.as_bytes()));
        format!("{KEY_PREFIX}{}", &hash[..32])
    }

    /// Where the public key has to be in the DNS.
    pub fn record_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }
}

/// The content of the TXT record (RFC 6376 section 3.6.1).
///
/// # Errors
/// The key cannot be written as DER.
pub fn record(key: &dyn SigningKey) -> Result<String, der::Error> {
    Ok(format!(
        "v=DKIM1; k=rsa; p={}",
        BASE64.encode(&key.public_key().to_der()?)
    ))
}

/// The message with a DKIM-Signature field on top.
///
/// # Errors
/// See [`DkimError`].
pub fn sign(message: &[u8], selector: &Selector, key: &dyn SigningKey, now: Timestamp) -> Result<Vec<u8>, DkimError> {
    if key.algorithm() != SignatureAlgorithm::RsaPkcs1Sha256 {
        return Err(DkimError::NotRsa);
    }
    let whole = Entity::split(message)?;
    let body_hash = DigestAlgorithm::Sha256.hash(&relaxed_body(whole.body));
    // 1. Which fields, each as often as it is there; From once more, so that nobody adds a second (section 8.15).
    let mut named: Vec<&str> = Vec::new();
    let mut signed = Vec::new();
    for name in SIGNED {
        // Of several, verifiers begin with the last (section 5.4.2).
        for field in whole.fields.iter().rev().filter(|field| field.is(name)) {
            named.push(name);
            signed.extend_from_slice(&relaxed_field(field));
        }
    }
    named.push("From");
    // 2. The signature's own field, whose b= is empty while it is signed (section 3.7).
    let field = format!(
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={};\r\n s={}; t={};\r\n h={};\r\n bh={};\r\n b=",
        selector.domain,
        selector.selector,
        now.unix(),
        named.join(":\r\n  "),
        BASE64.encode(&body_hash)
    );
    let own = format!("{field}\r\n");
    let own = Entity::split(own.as_bytes())?;
    if let Some(own) = own.fields.first() {
        let relaxed = relaxed_field(own);
        signed.extend_from_slice(relaxed.strip_suffix(b"\r\n").unwrap_or(&relaxed));
    }
    let signature = BASE64.encode(key.sign(&signed)?.as_bytes());
    let mut out = field.into_bytes();
    for (index, piece) in signature.as_bytes().chunks(COLUMNS).enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\r\n  ");
        }
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(message);
    Ok(out)
}

/// RFC 6376 section 3.4.2.
fn relaxed_field(field: &Field<'_>) -> Vec<u8> {
    let mut relaxed = field.name().to_ascii_lowercase().into_bytes();
    relaxed.push(b':');
    let value = field.value();
    let mut blank = false;
    for byte in value {
        if matches!(byte, b' ' | b'\t') {
            blank = true;
            continue;
        }
        if blank {
            relaxed.push(b' ');
            blank = false;
        }
        relaxed.push(byte);
    }
    relaxed.extend_from_slice(b"\r\n");
    relaxed
}

/// RFC 6376 section 3.4.4.
fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let mut relaxed = Vec::with_capacity(body.len());
    let mut empty_lines = 0_usize;
    for (_, line) in lines(body) {
        let line = crate::mime::header::trim_blanks_end(line);
        if line.is_empty() {
            empty_lines += 1;
            continue;
        }
        for _ in 0..empty_lines {
            relaxed.extend_from_slice(b"\r\n");
        }
        empty_lines = 0;
        let mut blank = false;
        for byte in line {
            if matches!(byte, b' ' | b'\t') {
                blank = true;
                continue;
            }
            if blank {
                relaxed.push(b' ');
                blank = false;
            }
            relaxed.push(*byte);
        }
        relaxed.extend_from_slice(b"\r\n");
    }
    relaxed
}

/// What identifies a message to its readers (RFC 6376 section 5.4.1).
const SIGNED: [&str; 15] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "List-Id",
    "List-Unsubscribe",
];

const KEY_PREFIX: &str = "dkim-";

const COLUMNS: usize = 72;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms_are_those_of_the_rfc() {
        // RFC 6376 section 3.4.5.
        let message = b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n";
        let header = Entity::split(b"A: X\r\nB: Y\t\r\n\tZ  \r\n").unwrap();
        let relaxed: Vec<u8> = header.fields.iter().flat_map(relaxed_field).collect();
        assert_eq!(relaxed, b"a:X\r\nb:Y Z\r\n");
        let body = &message[message.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4..];
        assert_eq!(relaxed_body(body), b" C\r\nD E\r\n");
        assert_eq!(relaxed_body(b""), b"");
        assert_eq!(relaxed_body(b"\r\n\r\n"), b"");
        assert_eq!(relaxed_body(b"x"), b"x\r\n");
        assert_eq!(relaxed_body(b"x\r\n\r\ny\r\n"), b"x\r\n\r\ny\r\n");
    }

    #[test]
    fn only_rsa_signs() {
        let selector = Selector {
            domain: "example.com".parse().unwrap(),
            selector: "s".to_owned(),
        };
        let now = Timestamp::from_unix(0);
        let message = b"From: alice@example.com\r\n\r\nx\r\n";
        let refused = sign(message, &selector, &*keys::testing::p256(), now);
        assert!(matches!(refused, Err(DkimError::NotRsa)));
        let signed = sign(message, &selector, &*keys::testing::rsa2048(), now).unwrap();
        assert!(signed.ends_with(message));
        assert!(lines(&signed).all(|(_, line)| line.len() <= 78 + "DKIM-Signature: ".len()));
    }
}
