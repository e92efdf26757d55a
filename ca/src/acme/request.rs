//! From a body to a request whose signature, URL and nonce were checked (RFC 8555 sections 6.2 to 6.5).

use super::account::Account;
use super::jwk::Jwk;
use super::jws::{Envelope, Signer};
use super::problem::{ErrorType, Outcome, Refusal};
use super::{account, resource};
use crate::app::App;

/// A request signed by an account that may act.
#[derive(Debug)]
pub(crate) struct ByAccount {
    pub(crate) account: Account,
    payload: Vec<u8>,
}

/// A request signed by a key that it carries itself.
#[derive(Debug)]
pub(crate) struct ByKey {
    pub(crate) key: Jwk,
    payload: Vec<u8>,
}

/// What revoking takes: both are allowed there (RFC 8555 section 7.6).
#[derive(Debug)]
pub(crate) enum ByEither {
    Account(Box<ByAccount>),
    Key(Box<ByKey>),
}

/// Checks a request whoever signed it.
pub(crate) async fn check(app: &App, url: &str, body: &[u8]) -> Outcome<ByEither> {
    let acme = app.acme()?;
    let envelope = Envelope::parse(body)?;
    envelope.algorithm()?;
    envelope.check_url(url)?;
    let nonce = acme.nonces.check(envelope.nonce(), app.now())?;
    let checked = match envelope.signer()? {
        Signer::Jwk(key) => {
            envelope.verify(&key)?;
            ByEither::Key(Box::new(ByKey {
                key: *key,
                payload: envelope.payload().to_vec(),
            }))
        }
        Signer::Account(kid) => {
            let unknown = || {
                Refusal::new(
                    ErrorType::AccountDoesNotExist,
                    "the kid in the protected header is not the URL of an account",
                )
            };
            let id = resource::account_id(app, kid).ok_or_else(unknown)?;
            let account = account::load(app, id).await?.ok_or_else(unknown)?;
            envelope.verify(&account.key)?;
            account.must_be_valid()?;
            ByEither::Account(Box::new(ByAccount {
                account,
                payload: envelope.payload().to_vec(),
            }))
        }
    };
    // Whoever cannot sign writes nothing.
    nonce.spend(app).await?;
    Ok(checked)
}

/// Checks a request that an account must have signed.
pub(crate) async fn by_account(app: &App, url: &str, body: &[u8]) -> Outcome<ByAccount> {
    match check(app, url, body).await? {
        ByEither::Account(request) => Ok(*request),
        ByEither::Key(_) => Err(Refusal::malformed(
            "this resource is for accounts: the protected header must have a kid",
        )),
    }
}

/// Checks a request that must carry its key.
pub(crate) async fn by_key(app: &App, url: &str, body: &[u8]) -> Outcome<ByKey> {
    match check(app, url, body).await? {
        ByEither::Key(request) => Ok(*request),
        ByEither::Account(_) => Err(Refusal::malformed("this resource needs a jwk in the protected header")),
    }
}

/// Reads the payload.
fn read<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Outcome<T> {
    serde_json::from_slice(payload)
        .map_err(|error| Refusal::malformed(format!("the payload is not what belongs here: {error}")))
}

impl ByAccount {
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self) -> Outcome<T> {
        read(&self.payload)
    }

    /// RFC 8555 section 6.3: a POST-as-GET has an empty payload.
    pub(crate) fn is_get(&self) -> bool {
        self.payload.is_empty()
    }

    pub(crate) fn must_be_get(&self) -> Outcome<()> {
        match self.is_get() {
            true => Ok(()),
            false => Err(Refusal::malformed(
                "this resource is read with an empty payload (POST-as-GET)",
            )),
        }
    }
}

impl ByKey {
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self) -> Outcome<T> {
        read(&self.payload)
    }
}
