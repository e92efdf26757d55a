//! External account keys (RFC 8555 section 7.3.4): how an operator lets an ACME client act for one of our accounts.
//!
//! A key is a random MAC key with an identifier. It is shown once, when it is made, and kept sealed, since a MAC can
//! only be checked with the key itself. It makes one ACME account, and is of no use afterwards.

use std::fmt;

use policies::time::Timestamp;
use zeroize::Zeroizing;

use super::jwk::Jwk;
use super::jws::Envelope;
use super::problem::{ErrorType, Outcome, Refusal};
use crate::accounts::{self, AccountId, Operator};
use crate::app::App;
use crate::audit::{self, Action};
use crate::error::Error;
use crate::input;
use crate::store;
use crate::store::acme_accounts::ExternalKeyRow;

/// A key as operators see it: never with its secret.
#[derive(Clone, Debug)]
pub struct ExternalKey {
    pub id: String,
    pub account: AccountId,
    /// What the operator called it.
    pub name: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

impl ExternalKey {
    fn from_row(row: ExternalKeyRow) -> Self {
        Self {
            id: row.id,
            account: AccountId::from_stored(row.account_id),
            name: row.name,
            created_at: Timestamp::from_unix(row.created_at),
            expires_at: row.expires_at.map(Timestamp::from_unix),
            used_at: row.used_at.map(Timestamp::from_unix),
            revoked_at: row.revoked_at.map(Timestamp::from_unix),
        }
    }

    /// unused, used, expired or revoked.
    pub fn state(&self, now: Timestamp) -> &'static str {
        match (self.revoked_at, self.used_at, self.expires_at) {
            (Some(_), ..) => "revoked",
            (None, Some(_), _) => "used",
            (None, None, Some(end)) if end <= now => "expired",
            (None, None, _) => "unused",
        }
    }
}

/// The secret half, in base64url as ACME clients take it: shown once, then forgotten.
pub struct PlainMacKey(Zeroizing<String>);

impl PlainMacKey {
    /// In clear, to be handed to whoever runs the client.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PlainMacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainMacKey(…)")
    }
}

/// Makes a key with which one ACME account may be made for an account.
pub async fn create(
    app: &App,
    operator: Operator<'_>,
    account: &str,
    name: &str,
    expires_at: Option<Timestamp>,
) -> Result<(ExternalKey, PlainMacKey), Error> {
    let name = input::line("name", name, NAME_LIMIT)?;
    let account = accounts::find_account(app, account).await?.id;
    let now = app.now();
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Error::InvalidInput {
            field: "expires_at",
            reason: "it is in the past".to_owned(),
        });
    }
    let secret = Zeroizing::new(app.random::<32>());
    let id = app.new_id("eab");
    let row = ExternalKeyRow {
        sealed: app
            .sealing
            .seal(&sealed_as(&id), secret.as_slice())
            .map_err(Error::Sealing)?,
        account_id: account.to_string(),
        name,
        created_by: operator.caller().principal_id.to_string(),
        created_at: now.unix(),
        expires_at: expires_at.map(Timestamp::unix),
        used_at: None,
        revoked_at: None,
        id,
    };
    let key = ExternalKey::from_row(row.clone());
    app.db
        .write(move |conn| {
            store::acme_accounts::insert_key(conn, &row)?;
            let details = serde_json::json!({"external_key": row.id, "account": row.account_id});
            audit::append(conn, now, &row.created_by, Action::ExternalKeyCreated, &details)
        })
        .await?;
    let plain = data_encoding::BASE64URL_NOPAD.encode(secret.as_slice());
    Ok((key, PlainMacKey(Zeroizing::new(plain))))
}

/// The newest keys, of one account or of all.
pub async fn list(app: &App, _: Operator<'_>, account: Option<&str>) -> Result<Vec<ExternalKey>, Error> {
    let account = account.map(str::to_owned);
    let rows = app
        .db
        .read(move |conn| Ok::<_, Error>(store::acme_accounts::keys(conn, account.as_deref(), MOST_LISTED)?))
        .await?;
    Ok(rows.into_iter().map(ExternalKey::from_row).collect())
}

/// Ends a key, and the ACME account that was made with it.
pub async fn revoke(app: &App, operator: Operator<'_>, id: &str) -> Result<ExternalKey, Error> {
    use store::acme_accounts::AccountState;
    let now = app.now();
    let actor = operator.caller().principal_id.to_string();
    let id = id.to_owned();
    app.db
        .write(move |conn| {
            let not_found = || Error::NotFound {
                kind: "external account key",
                id: id.clone(),
            };
            store::acme_accounts::find_key(conn, &id)?.ok_or_else(not_found)?;
            if store::acme_accounts::revoke_key(conn, &id, now.unix())? {
                let mut ended = None;
                for account in store::acme_accounts::list(conn, None, i64::MAX)? {
                    if account.external_key_id == id
                        && store::acme_accounts::end(conn, &account.id, AccountState::Revoked, now.unix())?
                    {
                        store::acme_authorizations::deactivate_pending(conn, &account.id)?;
                        ended = Some(account.id);
                    }
                }
                let details = serde_json::json!({"external_key": id, "acme_account": ended});
                audit::append(conn, now, &actor, Action::ExternalKeyRevoked, &details)?;
            }
            let row = store::acme_accounts::find_key(conn, &id)?.ok_or_else(not_found)?;
            Ok(ExternalKey::from_row(row))
        })
        .await
}

/// The key that a new account was bound with, after its MAC was checked and while it may be used.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    pub(crate) key_id: String,
    pub(crate) name: String,
    pub(crate) account: AccountId,
}

/// Checks the binding of a new account: the MAC, the URL, and that it is over the key of the account.
pub(crate) async fn check(app: &App, binding: serde_json::Value, account_key: &Jwk, url: &str) -> Outcome<Binding> {
    let envelope = Envelope::parse_value(binding)?;
    let key_id = envelope.external_key_id()?.to_owned();
    envelope.check_url(url)?;
    let unusable = || Refusal::unauthorized("the key of the externalAccountBinding is unknown or no longer usable");
    let wanted = key_id.clone();
    let row = app
        .db
        .read(move |conn| Ok::<_, Error>(store::acme_accounts::find_key(conn, &wanted)?))
        .await?
        .ok_or_else(unusable)?;
    let secret = app
        .sealing
        .open(&sealed_as(&row.id), &row.sealed)
        .map_err(|error| Refusal::Authority(Error::Sealing(error)))?;
    // Only who has the secret learns more than that it cannot be used.
    envelope.verify_mac(&secret)?;
    let bound: serde_json::Value = serde_json::from_slice(envelope.payload())
        .map_err(|_| Refusal::malformed("the payload of the externalAccountBinding is not a JWK"))?;
    let bound = Jwk::parse(&bound)
        .map_err(|reason| Refusal::malformed(format!("the payload of the externalAccountBinding: {reason}")))?;
    if !bound.is(account_key) {
        return Err(Refusal::malformed(
            "the externalAccountBinding is over another key than that of the account",
        ));
    }
    let key = ExternalKey::from_row(row);
    match key.state(app.now()) {
        "unused" => Ok(Binding {
            key_id: key.id,
            name: key.name,
            account: key.account,
        }),
        state => Err(Refusal::new(
            ErrorType::Unauthorized,
            format!("the key of the externalAccountBinding is {state}: ask an operator for another one"),
        )),
    }
}

fn sealed_as(id: &str) -> String {
    format!("acme external account key {id}")
}

const NAME_LIMIT: usize = 200;
const MOST_LISTED: i64 = 1000;
