//! ACME (RFC 8555) for e-mail certificates (RFC 8823), with external account binding and renewal information (RFC 9773).
//!
//! An ACME account acts for one of our accounts, to which an operator has bound it with an [`external`] key. Its orders
//! become orders like all others: [`order::finalize`] goes through [`crate::orders`], where evidence, plan, lints and
//! record decide, and there is no other way to a certificate. Control of a mailbox is proved by a reply to a challenge
//! mail (S/MIME BR 3.2.2.4), which counts for that one order; control of a whole domain ahead of orders by `http-01` or
//! `dns-01` ([`domain`]).
//!
//! Requests are JSON Web Signatures: a [`jws::Verified`] exists only after its signature, its URL and its nonce were
//! checked, in [`request`].

pub(crate) mod account;
pub(crate) mod authorization;
pub(crate) mod challenge;
pub mod dkim;
pub(crate) mod domain;
pub mod external;
pub(crate) mod jwk;
pub(crate) mod jws;
pub(crate) mod nonce;
pub mod operations;
pub(crate) mod order;
pub(crate) mod problem;
pub(crate) mod receiver;
pub(crate) mod renewal;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod resource;
pub(crate) mod revocation;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use keys::{KeyAlgorithm, KeyError, KeyId, KeyStore};
use serde_json::{Value, json};

use crate::config;
use crate::error::Error;

/// What the ACME server holds while it runs.
pub(crate) struct Acme {
    pub(crate) settings: config::Acme,
    pub(crate) nonces: nonce::NonceKey,
    pub(crate) signer: dkim::Signer,
    pub(crate) verifier: dkim::Verifier,
}

impl Acme {
    /// Opens the key that signs challenge mails, or makes it the first time.
    pub(crate) fn open(
        settings: config::Acme,
        keys: &dyn KeyStore,
        nonces: nonce::NonceKey,
        text_records: Arc<dyn dkim::TextRecords>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Key {
            key: DKIM_KEY.to_owned(),
            source,
        };
        let id: KeyId = DKIM_KEY.parse().map_err(failed)?;
        let key = match keys.open(&id) {
            Err(KeyError::NotFound { .. }) => keys.generate(&id, KeyAlgorithm::Rsa2048).map_err(failed)?,
            other => other.map_err(failed)?,
        };
        Ok(Self {
            signer: dkim::Signer::new(key, settings.mail_from.domain().as_ref(), &settings.dkim_selector),
            verifier: dkim::Verifier::new(text_records, settings.reply_fields)?,
            nonces,
            settings,
        })
    }

    /// Where the challenge mail with this tag comes from, and the reply goes to.
    pub(crate) fn reply_address(&self, tag: &str) -> String {
        let from = &self.settings.mail_from;
        format!("{}+{tag}@{}", from.local_part(), from.domain())
    }

    /// The tag in an address that [`reply_address`](Self::reply_address) has made.
    pub(crate) fn tag_of<'a>(&self, address: &'a str) -> Option<&'a str> {
        let (local, domain) = address.rsplit_once('@')?;
        let from = &self.settings.mail_from;
        if !domain.eq_ignore_ascii_case(from.domain().as_ref()) {
            return None;
        }
        let (name, tag) = local.split_once('+')?;
        name.eq_ignore_ascii_case(from.local_part()).then_some(tag)
    }
}

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acme")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A problem inside of an order or a challenge.
pub(crate) fn problem_json(problem: &problem::Problem) -> Value {
    let mut value = json!({
        "type": format!("urn:ietf:params:acme:error:{}", problem.kind.name()),
        "detail": problem.detail,
    });
    if let (Some(section), Some(object)) = (&problem.section, value.as_object_mut()) {
        object.insert("section".to_owned(), json!(section));
    }
    value
}

/// RFC 6376 knows RSA, and every receiver verifies 2048 bits.
const DKIM_KEY: &str = "acme-dkim";
