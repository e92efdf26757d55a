//! DKIM signatures (RFC 6376), the last thing that happens to a message.
//!
//! A domain may have several keys: RSA, which everybody verifies, and Ed25519 (RFC 8463) beside it. Each signs the message
//! as it is, so that either signature holds without the other.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use der::Encode as _;
use keys::{DigestAlgorithm, KeyError, SignatureAlgorithm, SigningKey};
use policies::mailbox::Domain;
use policies::time::Timestamp;
use smtp::dkim::{Algorithm, Message, Request};

use crate::mime::MimeError;
use crate::mime::entity::Entity;

/// A domain and the key that signs for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    pub domain: Domain,
    /// One or more labels of the DNS name `SELECTOR._domainkey.DOMAIN`.
    pub selector: String,
}

/// A selector with its key open.
#[derive(Debug, Clone)]
pub struct DomainKey {
    pub selector: Selector,
    pub key: Arc<dyn SigningKey>,
}

/// Why there is no DKIM signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DkimError {
    #[error("the message cannot be taken apart")]
    Mime(#[from] MimeError),
    #[error("the key of a DKIM selector could not sign")]
    Key(#[from] KeyError),
    #[error("the public key of a DKIM selector cannot be written")]
    Encoding(#[from] der::Error),
    #[error("the gateway is stopping")]
    Interrupted,
    #[error("the key of a DKIM selector is neither RSA nor Ed25519")]
    WrongKind,
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

/// The content of the TXT record (RFC 6376 section 3.6.1, RFC 8463 section 4.2).
///
/// # Errors
/// The key is of a kind that DKIM has no name for, or cannot be written as DER.
pub fn record(key: &dyn SigningKey) -> Result<String, DkimError> {
    let algorithm = algorithm(key)?;
    let public_key = key.public_key();
    Ok(match algorithm {
        Algorithm::RsaSha256 => algorithm.record(&public_key.to_der()?),
        Algorithm::Ed25519Sha256 => algorithm.record(public_key.subject_public_key.raw_bytes()),
    })
}

/// The message with a DKIM-Signature field on top for each of the keys, the first one uppermost.
///
/// # Errors
/// See [`DkimError`].
pub fn sign(message: &[u8], keys: &[DomainKey], now: Timestamp) -> Result<Vec<u8>, DkimError> {
    let whole = Entity::split(message)?;
    // Each field as often as it is there; From once more, so that nobody adds a second.
    let mut named: Vec<&str> = Vec::new();
    for name in SIGNED {
        named.extend(whole.fields.iter().filter(|field| field.is(name)).map(|_| name));
    }
    named.push("From");
    let header = whole.fields.iter().map(|field| {
        let name = field.name();
        (name, &field.raw()[name.len() + 1..])
    });
    let prepared = Message::new(header.collect(), whole.body);
    let mut out = Vec::new();
    for DomainKey { selector, key } in keys {
        let unsigned = prepared.unsigned(&Request {
            algorithm: algorithm(&**key)?,
            domain: selector.domain.as_ref(),
            selector: &selector.selector,
            signed_at: now.unix(),
            fields: &named,
        });
        let signature = key.sign(unsigned.octets())?;
        out.extend_from_slice(unsigned.finish(signature.as_bytes()).as_bytes());
    }
    out.extend_from_slice(message);
    Ok(out)
}

fn algorithm(key: &dyn SigningKey) -> Result<Algorithm, DkimError> {
    match key.algorithm() {
        SignatureAlgorithm::RsaPkcs1Sha256 => Ok(Algorithm::RsaSha256),
        SignatureAlgorithm::Ed25519 => Ok(Algorithm::Ed25519Sha256),
        SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::EcdsaP384Sha384 => Err(DkimError::WrongKind),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::canonical::lines;

    fn signed_by(message: &[u8], keys: &[Arc<dyn SigningKey>]) -> Result<Vec<u8>, DkimError> {
        let key = |(index, key): (usize, &Arc<dyn SigningKey>)| DomainKey {
            selector: Selector {
                domain: "example.com".parse().unwrap(),
                selector: format!("s{index}"),
            },
            key: key.clone(),
        };
        let keys: Vec<DomainKey> = keys.iter().enumerate().map(key).collect();
        sign(message, &keys, Timestamp::from_unix(0))
    }

    #[test]
    fn only_rsa_and_ed25519_sign() {
        let message = b"From: alice@example.com\r\n\r\nx\r\n";
        for wrong in [keys::testing::p256(), keys::testing::p384()] {
            assert!(matches!(record(&*wrong), Err(DkimError::WrongKind)));
            let refused = signed_by(message, &[keys::testing::rsa2048(), wrong]);
            assert!(matches!(refused, Err(DkimError::WrongKind)));
        }
        let signed = signed_by(message, &[keys::testing::rsa2048(), keys::testing::ed25519()]).unwrap();
        assert!(signed.ends_with(message));
        assert!(lines(&signed).all(|(_, line)| line.len() <= 78 + "DKIM-Signature: ".len()));
        let text = String::from_utf8(signed).unwrap();
        let (rsa, ed25519) = (
            text.find("a=rsa-sha256").unwrap(),
            text.find("a=ed25519-sha256").unwrap(),
        );
        assert!(rsa < ed25519);
        assert_eq!(signed_by(message, &[]).unwrap(), message);
    }
}
