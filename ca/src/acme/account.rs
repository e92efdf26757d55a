//! ACME accounts (RFC 8555 section 7.3): a key that acts for one of our accounts.

use policies::mailbox::Mailbox;
use policies::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::external::{self, Binding};
use super::jwk::Jwk;
use super::jws::{Envelope, Signer};
use super::nonce::is_taken;
use super::problem::{ErrorType, Outcome, Refusal};
use super::request::{ByAccount, ByKey};
use super::resource::Resource;
use crate::accounts::{AccountId, Caller, Operator, PrincipalId, Role};
use crate::app::App;
use crate::audit::{self, Action};
use crate::error::Error;
use crate::store;
use crate::store::accounts::PrincipalRow;
use crate::store::acme_accounts::{AccountState, AcmeAccountRow};

/// An account with its key.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    /// The account that its certificates belong to.
    pub(crate) owner: AccountId,
    principal: PrincipalId,
    pub(crate) key: Jwk,
    contacts: Vec<String>,
    terms_agreed_at: Option<Timestamp>,
    state: AccountState,
    created_at: Timestamp,
}

impl Account {
    fn from_row(row: AcmeAccountRow) -> Result<Self, Error> {
        let unreadable = |reason: &str| Error::Row {
            kind: "ACME account",
            id: row.id.clone(),
            reason: reason.to_owned(),
        };
        Ok(Self {
            key: Jwk::from_stored(&row.jwk).map_err(unreadable)?,
            contacts: serde_json::from_str(&row.contacts).map_err(|error| unreadable(&error.to_string()))?,
            owner: AccountId::from_stored(row.account_id),
            principal: PrincipalId::from_stored(row.principal_id),
            terms_agreed_at: row.terms_agreed_at.map(Timestamp::from_unix),
            state: row.state.0,
            created_at: Timestamp::from_unix(row.created_at),
            id: row.id,
        })
    }

    /// RFC 8555 section 7.3.6: a deactivated account authorizes nothing.
    pub(crate) fn must_be_valid(&self) -> Outcome<()> {
        match self.state {
            AccountState::Valid => Ok(()),
            ended => Err(Refusal::unauthorized(format!("the account is {ended}"))),
        }
    }

    /// As whom the account orders and revokes.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            principal_id: self.principal.clone(),
            account: Some(self.owner.clone()),
            role: Role::Subscriber,
            name: format!("ACME account {}", self.id),
        }
    }

    /// The resource of RFC 8555 section 7.1.2.
    pub(crate) fn to_json(&self, app: &App) -> Value {
        json!({
            "status": self.state.as_ref(),
            "contact": self.contacts,
            "termsOfServiceAgreed": self.terms_agreed_at.is_some(),
            "orders": Resource::Orders(&self.id).url(app),
            "createdAt": self.created_at.to_string(),
        })
    }

    fn actor(&self) -> String {
        self.principal.to_string()
    }
}

/// An account, valid or not.
pub(crate) async fn load(app: &App, id: &str) -> Result<Option<Account>, Error> {
    let id = id.to_owned();
    let row = app
        .db
        .read(move |conn| Ok::<_, Error>(store::acme_accounts::find(conn, &id)?))
        .await?;
    row.map(Account::from_row).transpose()
}

async fn find_by_key(app: &App, key: &Jwk) -> Result<Option<Account>, Error> {
    let thumbprint = key.thumbprint();
    let row = app
        .db
        .read(move |conn| Ok::<_, Error>(store::acme_accounts::find_by_thumbprint(conn, &thumbprint)?))
        .await?;
    row.map(Account::from_row).transpose()
}

/// What a client sends to make or find its account. Other fields are ignored, as RFC 8555 section 7.3 asks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewAccount {
    #[serde(default)]
    contact: Vec<String>,
    #[serde(default)]
    terms_of_service_agreed: bool,
    #[serde(default)]
    only_return_existing: bool,
    external_account_binding: Option<Value>,
}

/// What became of a request for an account.
#[derive(Debug)]
pub(crate) enum Made {
    New(Account),
    Existing(Account),
}

/// Makes an account for the key of the request, or finds the one it has (RFC 8555 sections 7.3 and 7.3.1).
pub(crate) async fn create(app: &App, request: ByKey) -> Outcome<Made> {
    let new: NewAccount = request.read()?;
    if let Some(existing) = find_by_key(app, &request.key).await? {
        existing.must_be_valid()?;
        return Ok(Made::Existing(existing));
    }
    if new.only_return_existing {
        return Err(Refusal::new(
            ErrorType::AccountDoesNotExist,
            "no account has this key, and the request asked not to make one",
        ));
    }
    let contacts = check_contacts(&new.contact)?;
    if app.acme()?.settings.terms_of_service.is_some() && !new.terms_of_service_agreed {
        return Err(Refusal::new(
            ErrorType::UserActionRequired,
            "agree to the terms of service that the directory names, with termsOfServiceAgreed",
        ));
    }
    let Some(binding) = new.external_account_binding else {
        return Err(Refusal::new(
            ErrorType::ExternalAccountRequired,
            "accounts are made with an externalAccountBinding: ask an operator of the authority for a key",
        ));
    };
    let url = Resource::NewAccount.url(app);
    let binding = external::check(app, binding, &request.key, &url).await?;
    let account = insert(app, &request.key, contacts, new.terms_of_service_agreed, binding).await?;
    Ok(Made::New(account))
}

async fn insert(app: &App, key: &Jwk, contacts: Vec<String>, agreed: bool, binding: Binding) -> Outcome<Account> {
    let now = app.now();
    let id = app.new_id("aac");
    let principal = PrincipalRow {
        id: app.new_id("pri"),
        account_id: Some(binding.account.to_string()),
        role: migrations::AsText(Role::Subscriber),
        name: format!("ACME account of {}", binding.name),
        created_at: now.unix(),
    };
    let row = AcmeAccountRow {
        id,
        account_id: binding.account.to_string(),
        principal_id: principal.id.clone(),
        external_key_id: binding.key_id,
        jwk: key.canonical().to_owned(),
        thumbprint: key.thumbprint(),
        contacts: json!(contacts).to_string(),
        terms_agreed_at: agreed.then_some(now.unix()),
        state: migrations::AsText(AccountState::Valid),
        created_at: now.unix(),
        updated_at: now.unix(),
    };
    let account = Account::from_row(row.clone())?;
    let inserted = app
        .db
        .write(move |conn| {
            if !store::acme_accounts::use_key(conn, &row.external_key_id, now.unix())? {
                return Ok(false);
            }
            store::accounts::insert_principal(conn, &principal)?;
            store::acme_accounts::insert(conn, &row)?;
            let details = json!({
                "acme_account": row.id,
                "account": row.account_id,
                "principal": row.principal_id,
                "external_key": row.external_key_id,
                "thumbprint": row.thumbprint,
                "terms_of_service": agreed,
            });
            audit::append(conn, now, &row.principal_id, Action::AcmeAccountCreated, &details)?;
            Ok::<_, Error>(true)
        })
        .await?;
    match inserted {
        true => Ok(account),
        false => Err(Refusal::unauthorized(
            "the key of the externalAccountBinding was used just now: ask an operator for another one",
        )),
    }
}

/// RFC 8555 section 7.3: mail addresses, without header fields and not several in one.
fn check_contacts(contacts: &[String]) -> Outcome<Vec<String>> {
    if contacts.len() > MOST_CONTACTS {
        return Err(Refusal::new(
            ErrorType::InvalidContact,
            format!("there are more than {MOST_CONTACTS} contacts"),
        ));
    }
    for contact in contacts {
        let Some(address) = contact.strip_prefix("mailto:") else {
            return Err(Refusal::new(
                ErrorType::UnsupportedContact,
                "contacts are mail addresses, written as mailto:somebody@example.com",
            ));
        };
        if address.contains(['?', ',', '%']) || Mailbox::parse(address).is_err() {
            return Err(Refusal::new(
                ErrorType::InvalidContact,
                "a contact is not one mail address without header fields",
            ));
        }
    }
    Ok(contacts.to_vec())
}

#[derive(Debug, Deserialize)]
struct Change {
    contact: Option<Vec<String>>,
    status: Option<String>,
}

/// Shows, changes or deactivates the account that asks (RFC 8555 sections 7.3.2 and 7.3.6).
pub(crate) async fn show_or_change(app: &App, request: &ByAccount) -> Outcome<Account> {
    if request.is_get() {
        return Ok(request.account.clone());
    }
    let change: Change = request.read()?;
    let now = app.now();
    let (id, actor) = (request.account.id.clone(), request.account.actor());
    let contacts = change.contact.as_deref().map(check_contacts).transpose()?;
    let ends = match change.status.as_deref() {
        None | Some("valid") => false,
        Some("deactivated") => true,
        Some(_) => return Err(Refusal::malformed("the only status to ask for is deactivated")),
    };
    app.db
        .write(move |conn| {
            if let Some(contacts) = &contacts {
                store::acme_accounts::change_contacts(conn, &id, &json!(contacts).to_string(), now.unix())?;
                let details = json!({"acme_account": id, "change": "contact"});
                audit::append(conn, now, &actor, Action::AcmeAccountChanged, &details)?;
            }
            if ends && store::acme_accounts::end(conn, &id, AccountState::Deactivated, now.unix())? {
                store::acme_authorizations::deactivate_pending(conn, &id)?;
                let details = json!({"acme_account": id, "change": "deactivated"});
                audit::append(conn, now, &actor, Action::AcmeAccountChanged, &details)?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    load(app, &request.account.id).await?.ok_or(Refusal::NotFound)
}

#[derive(Debug, Deserialize)]
struct KeyChange {
    account: String,
    #[serde(rename = "oldKey")]
    old_key: Value,
}

/// Puts a new key in the place of the account's (RFC 8555 section 7.3.5). Both keys sign: the old one the request, the
/// new one what is in it.
pub(crate) async fn change_key(app: &App, request: &ByAccount) -> Outcome<()> {
    let inner = Envelope::parse_value(request.read()?)?;
    inner.algorithm()?;
    inner.check_url(&Resource::KeyChange.url(app))?;
    if inner.nonce().is_some() {
        return Err(Refusal::malformed("the inner JWS of a key change has no nonce"));
    }
    let Signer::Jwk(new_key) = inner.signer()? else {
        return Err(Refusal::malformed(
            "the inner JWS of a key change has a jwk: the new key",
        ));
    };
    inner.verify(&new_key)?;
    let change: KeyChange = serde_json::from_slice(inner.payload())
        .map_err(|error| Refusal::malformed(format!("the payload of the inner JWS: {error}")))?;
    let account = &request.account;
    if change.account != Resource::Account(&account.id).url(app) {
        return Err(Refusal::malformed(
            "the inner JWS names another account than the one that signed",
        ));
    }
    let old_key = Jwk::parse(&change.old_key).map_err(|reason| Refusal::malformed(format!("oldKey: {reason}")))?;
    if !old_key.is(&account.key) {
        return Err(Refusal::malformed("oldKey is not the key of the account"));
    }
    if let Some(other) = find_by_key(app, &new_key).await? {
        return Err(Refusal::Conflict {
            account: Resource::Account(&other.id).url(app),
        });
    }
    let now = app.now();
    let (id, actor) = (account.id.clone(), account.actor());
    let (before, after) = (account.key.thumbprint(), new_key.thumbprint());
    let jwk = new_key.canonical().to_owned();
    let changed = app
        .db
        .write(move |conn| {
            if !store::acme_accounts::change_key(conn, &id, &before, &jwk, &after, now.unix())? {
                return Ok(false);
            }
            let details = json!({"acme_account": id, "change": "key", "thumbprint": after, "before": before});
            audit::append(conn, now, &actor, Action::AcmeAccountChanged, &details)?;
            Ok::<_, Error>(true)
        })
        .await;
    match changed {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refusal::unauthorized("the key of the account was changed meanwhile")),
        Err(error) if is_taken(&error) => Err(Refusal::malformed("another account has just taken the new key")),
        Err(error) => Err(error.into()),
    }
}

/// An account as operators see it.
#[derive(Clone, Debug)]
pub struct AcmeAccount {
    pub id: String,
    pub account: AccountId,
    pub external_key: String,
    /// valid, deactivated or revoked.
    pub state: String,
    pub contacts: Vec<String>,
    /// RFC 7638.
    pub thumbprint: String,
    pub created_at: Timestamp,
}

/// The newest accounts, of one of our accounts or of all.
pub(crate) async fn list(app: &App, _: Operator<'_>, account: Option<&str>) -> Result<Vec<AcmeAccount>, Error> {
    let account = account.map(str::to_owned);
    let rows = app
        .db
        .read(move |conn| Ok::<_, Error>(store::acme_accounts::list(conn, account.as_deref(), MOST_LISTED)?))
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| AcmeAccount {
            account: AccountId::from_stored(row.account_id),
            external_key: row.external_key_id,
            state: row.state.0.to_string(),
            contacts: serde_json::from_str(&row.contacts).unwrap_or_default(),
            thumbprint: row.thumbprint,
            created_at: Timestamp::from_unix(row.created_at),
            id: row.id,
        })
        .collect())
}

const MOST_CONTACTS: usize = 5;
const MOST_LISTED: i64 = 1000;
