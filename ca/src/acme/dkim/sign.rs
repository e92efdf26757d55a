//! Signs a message as RFC 8823 wants it signed.

use std::sync::Arc;

use der::Encode;
use keys::SigningKey;
use policies::time::Timestamp;
use smtp::dkim::{Algorithm, Message, Request};

use crate::error::Error;

/// The key of a domain, and where its public half is published.
pub(crate) struct Signer {
    key: Arc<dyn SigningKey>,
    domain: String,
    selector: String,
}

impl Signer {
    pub(crate) fn new(key: Arc<dyn SigningKey>, domain: &str, selector: &str) -> Self {
        Self {
            key,
            domain: domain.to_owned(),
            selector: selector.to_owned(),
        }
    }

    /// Where the public key has to be in the DNS.
    pub(crate) fn record_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// The TXT record that has to be there.
    pub(crate) fn record(&self) -> Result<String, Error> {
        let der = self
            .key
            .public_key()
            .to_der()
            .map_err(Error::encoding("the public key"))?;
        Ok(Algorithm::RsaSha256.record(&der))
    }

    /// The `DKIM-Signature` field for a message, with its line end: to be put before it. Blocks.
    ///
    /// Every field that RFC 8823 section 3.1 names is in `h=`, present or not, so that none can be added later.
    pub(crate) fn sign(&self, header: &[(&str, &str)], body: &str, now: Timestamp) -> Result<String, Error> {
        let header = header.iter().map(|(name, value)| (*name, value.as_bytes()));
        let unsigned = Message::new(header.collect(), body.as_bytes()).unsigned(&Request {
            algorithm: Algorithm::RsaSha256,
            domain: &self.domain,
            selector: &self.selector,
            signed_at: now.unix(),
            fields: &SIGNED_FIELDS,
        });
        let signature = self.key.sign(unsigned.octets()).map_err(|source| Error::Key {
            key: "acme-dkim".to_owned(),
            source,
        })?;
        Ok(unsigned.finish(signature.as_bytes()))
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.record_name())
    }
}

/// RFC 8823 section 3.1: those it demands, then those it recommends.
const SIGNED_FIELDS: [&str; 25] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "CC",
    "Subject",
    "Date",
    "In-Reply-To",
    "References",
    "Message-ID",
    "Auto-Submitted",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Resent-Date",
    "Resent-From",
    "Resent-To",
    "Resent-Cc",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "List-Unsubscribe-Post",
];
