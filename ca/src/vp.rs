//! Certificates from another authority that speaks ACME (RFC 8555, RFC 8823), for mailboxes that are managed here: the Vp
//! certificates of a plan, beside our own.
//!
//! We are the client there: one account, bound with an external key (RFC 8555 section 7.3.4), orders for all. The owner of
//! a mailbox brings a certificate request; the other authority sends a challenge mail to the mailbox unless it holds the
//! domain for authorized; whoever reads that mail hands it to [`order::answer`], which makes sure that it is genuine and
//! gives back the reply to send. Private keys and mail stay where they are.

pub(crate) mod client;
pub mod order;
pub(crate) mod reply;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use keys::{KeyAlgorithm, KeyError, KeyId, KeyStore, SigningKey};
use zeroize::Zeroizing;

use crate::acme::dkim::{TextRecords, Verifier};
use crate::config;
use crate::error::Error;

/// The other authority, and who we are there.
pub(crate) struct Vp {
    pub(crate) settings: config::Vp,
    key: Arc<dyn SigningKey>,
    binding_key: Option<Zeroizing<Vec<u8>>>,
    trust: Option<Vec<u8>>,
    pub(crate) verifier: Verifier,
}

impl Vp {
    /// Opens the key of our account there, or makes it the first time.
    pub(crate) fn open(
        settings: config::Vp,
        keys: &dyn KeyStore,
        text_records: Arc<dyn TextRecords>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Key {
            key: ACCOUNT_KEY.to_owned(),
            source,
        };
        let read = |path: &std::path::Path| {
            std::fs::read(path).map_err(|source| Error::File {
                action: "read",
                path: path.to_owned(),
                source,
            })
        };
        let id: KeyId = ACCOUNT_KEY.parse().map_err(failed)?;
        let key = match keys.open(&id) {
            Err(KeyError::NotFound { .. }) => keys.generate(&id, KeyAlgorithm::P256).map_err(failed)?,
            other => other.map_err(failed)?,
        };
        let binding_key = match &settings.binding {
            None => None,
            Some(binding) => {
                let text = Zeroizing::new(read(&binding.mac_key_file)?);
                let secret = data_encoding::BASE64URL_NOPAD
                    .decode(text.trim_ascii())
                    .map_err(|error| Error::Configuration {
                        path: binding.mac_key_file.clone(),
                        reason: format!("it has to be the key in base64url, as the other authority gave it: {error}"),
                    })?;
                Some(Zeroizing::new(secret))
            }
        };
        Ok(Self {
            trust: settings.trust_file.as_deref().map(read).transpose()?,
            verifier: Verifier::of_challenges(text_records)?,
            key,
            binding_key,
            settings,
        })
    }

    /// A client with an account there, which is made the first time.
    pub(crate) async fn connect(&self) -> Result<client::Client, client::ClientError> {
        let binding = self.settings.binding.as_ref().zip(self.binding_key.as_deref());
        let binding = binding.map(|(binding, secret)| client::Binding {
            key_id: &binding.key_id,
            secret,
        });
        client::Client::connect(
            &self.settings.directory,
            self.trust.as_deref(),
            Arc::clone(&self.key),
            binding,
            self.settings.contact.as_deref(),
        )
        .await
    }
}

impl std::fmt::Debug for Vp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vp")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

const ACCOUNT_KEY: &str = "vp-account";
