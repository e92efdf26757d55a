//! Accounts, principals and their tokens: who calls, and what that allows.
//!
//! A [`Caller`] exists only after a token was found by its hash ([`authenticate`]) or on the machine of the data folder
//! itself ([`local_operator`]). What a role allows is a type made from a caller: [`Operator`], [`Officer`], [`Member`].

use std::fmt;

pub use ca_api::{AccountKind, Plan, Role};
use migrations::AsText;
use policies::time::Timestamp;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::app::App;
use crate::audit::{self, Action};
use crate::error::Error;
use crate::input;
use crate::store;
use crate::store::accounts::{AccountRow, PrincipalRow, TokenRow};

/// The identifier of an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(String);

impl AccountId {
    /// For identifiers that come from the database; those from outside go through [`find_account`].
    pub(crate) fn from_stored(id: String) -> Self {
        Self(id)
    }
}

impl AsRef<str> for AccountId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The identifier of a principal, as the audit log names actors.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrincipalId(String);

impl PrincipalId {
    /// For identifiers that come from the database, and names of actors that are no principals.
    pub(crate) fn from_stored(id: String) -> Self {
        Self(id)
    }
}

impl AsRef<str> for PrincipalId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Somebody whose token was checked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Caller {
    pub principal_id: PrincipalId,
    /// Subscribers and gateways belong to one account, operators and officers to none.
    pub account: Option<AccountId>,
    pub role: Role,
    pub name: String,
}

impl Caller {
    fn refuse(&self, action: &'static str) -> Error {
        Error::NotAllowed {
            role: self.role.to_string(),
            name: self.name.clone(),
            action,
        }
    }

    /// The caller as an operator; `action` completes "… may not" when it is none.
    pub fn as_operator(&self, action: &'static str) -> Result<Operator<'_>, Error> {
        match self.role {
            Role::Operator => Ok(Operator(self)),
            Role::Officer | Role::Subscriber | Role::Gateway => Err(self.refuse(action)),
        }
    }

    /// The caller as an officer.
    pub fn as_officer(&self, action: &'static str) -> Result<Officer<'_>, Error> {
        match self.role {
            Role::Officer => Ok(Officer(self)),
            Role::Operator | Role::Subscriber | Role::Gateway => Err(self.refuse(action)),
        }
    }

    /// The caller as one who acts for an account.
    pub fn as_member(&self, action: &'static str) -> Result<Member<'_>, Error> {
        match (self.role, &self.account) {
            (Role::Subscriber | Role::Gateway, Some(account)) => Ok(Member { caller: self, account }),
            _ => Err(self.refuse(action)),
        }
    }
}

/// A caller with the role operator.
#[derive(Debug, Clone, Copy)]
pub struct Operator<'c>(&'c Caller);

impl<'c> Operator<'c> {
    pub fn caller(self) -> &'c Caller {
        self.0
    }
}

/// A caller with the role officer.
#[derive(Debug, Clone, Copy)]
pub struct Officer<'c>(&'c Caller);

impl<'c> Officer<'c> {
    pub fn caller(self) -> &'c Caller {
        self.0
    }
}

/// A subscriber or gateway, and the one account it acts for.
#[derive(Debug, Clone, Copy)]
pub struct Member<'c> {
    caller: &'c Caller,
    account: &'c AccountId,
}

impl<'c> Member<'c> {
    pub fn caller(self) -> &'c Caller {
        self.caller
    }

    pub fn account(self) -> &'c AccountId {
        self.account
    }
}

/// Whoever runs a command on the data folder: who can read its keys can do everything anyway.
pub fn local_operator() -> Caller {
    Caller {
        principal_id: PrincipalId("local-operator".to_owned()),
        account: None,
        role: Role::Operator,
        name: "operator on this machine".to_owned(),
    }
}

/// Finds the caller of a bearer token.
///
/// The lookup is by the SHA-256 of the token, so its timing tells nothing about tokens that exist. What is wrong with a
/// token (unknown, expired, revoked) is for the log, not for the bearer.
pub async fn authenticate(app: &App, bearer: &str) -> Result<Caller, Error> {
    let Some(token) = PlainToken::parse(bearer) else {
        return Err(Error::Unauthenticated {
            reason: "it is not a token of this authority",
        });
    };
    let hash = token.hash();
    let found = app
        .db
        .read(move |conn| Ok::<_, Error>(store::accounts::find_by_token_hash(conn, hash.as_bytes())?))
        .await?;
    let now = app.now().unix();
    match found {
        None => Err(Error::Unauthenticated {
            reason: "it is unknown",
        }),
        Some((token, _)) if token.revoked_at.is_some() => Err(Error::Unauthenticated {
            reason: "it was revoked",
        }),
        Some((token, _)) if token.expires_at.is_some_and(|end| end <= now) => Err(Error::Unauthenticated {
            reason: "it has expired",
        }),
        Some((_, principal)) => Ok(Caller {
            principal_id: PrincipalId(principal.id),
            account: principal.account_id.map(AccountId),
            role: principal.role.0,
            name: principal.name,
        }),
    }
}

/// An account that certificates are issued to.
#[derive(Debug, Clone)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    pub kind: AccountKind,
    pub created_at: Timestamp,
}

/// Makes an account.
pub async fn create_account(
    app: &App,
    operator: Operator<'_>,
    name: &str,
    kind: AccountKind,
) -> Result<Account, Error> {
    let name = input::line("name", name, NAME_LIMIT)?;
    let now = app.now();
    let row = AccountRow {
        id: app.new_id("acc"),
        kind: AsText(kind),
        name,
        created_at: now.unix(),
        plan: AsText(Plan::Free),
        granted_employee_seats: 0,
    };
    let account = Account {
        id: AccountId(row.id.clone()),
        name: row.name.clone(),
        kind,
        created_at: now,
    };
    let actor = operator.0.principal_id.to_string();
    app.db
        .write(move |conn| {
            store::accounts::insert_account(conn, &row)?;
            let details = serde_json::json!({"account": row.id, "kind": row.kind.0.as_ref()});
            audit::append(conn, now, &actor, Action::AccountCreated, &details)
        })
        .await?;
    Ok(account)
}

/// The account with an identifier that came from outside.
pub(crate) async fn find_account(app: &App, id: &str) -> Result<Account, Error> {
    let wanted = id.to_owned();
    let row = app
        .db
        .read(move |conn| Ok::<_, Error>(store::accounts::find_account(conn, &wanted)?))
        .await?;
    match row {
        Some(row) => Ok(Account {
            id: AccountId(row.id),
            name: row.name,
            kind: row.kind.0,
            created_at: Timestamp::from_unix(row.created_at),
        }),
        None => Err(Error::NotFound {
            kind: "account",
            id: id.to_owned(),
        }),
    }
}

/// Every account, oldest first.
pub async fn list_accounts(app: &App, _: Operator<'_>) -> Result<Vec<Account>, Error> {
    let rows = app
        .db
        .read(|conn| Ok::<_, Error>(store::accounts::all_accounts(conn)?))
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Account {
            id: AccountId(row.id),
            name: row.name,
            kind: row.kind.0,
            created_at: Timestamp::from_unix(row.created_at),
        })
        .collect())
}

/// Somebody or something that may hold a token.
#[derive(Debug, Clone)]
pub struct Principal {
    pub id: PrincipalId,
    pub account: Option<AccountId>,
    pub role: Role,
    pub name: String,
    pub created_at: Timestamp,
}

/// A principal to be made.
#[derive(Debug, Clone)]
pub struct NewPrincipal {
    pub name: String,
    pub role: Role,
    /// The identifier of an account, for subscribers and gateways only.
    pub account: Option<String>,
    /// When its token ends; never, if absent.
    pub expires_at: Option<Timestamp>,
}

/// Makes a principal and its token. The token is returned this once; only its hash is kept.
pub async fn create_principal(
    app: &App,
    operator: Operator<'_>,
    new: NewPrincipal,
) -> Result<(Principal, PlainToken), Error> {
    let name = input::line("name", &new.name, NAME_LIMIT)?;
    let account = match (new.role, new.account) {
        (Role::Operator | Role::Officer, None) => None,
        (Role::Subscriber | Role::Gateway, Some(id)) => Some(find_account(app, &id).await?.id),
        (Role::Operator | Role::Officer, Some(_)) => {
            return Err(Error::InvalidInput {
                field: "account",
                reason: format!(
                    "a principal with the role {} belongs to no account: leave it out",
                    new.role
                ),
            });
        }
        (Role::Subscriber | Role::Gateway, None) => {
            return Err(Error::InvalidInput {
                field: "account",
                reason: format!(
                    "a principal with the role {} belongs to an account: give its identifier",
                    new.role
                ),
            });
        }
    };
    let now = app.now();
    if new.expires_at.is_some_and(|end| end <= now) {
        return Err(Error::InvalidInput {
            field: "expires_at",
            reason: "it is in the past".to_owned(),
        });
    }
    let token = PlainToken::generate(app);
    let principal = Principal {
        id: PrincipalId(app.new_id("pri")),
        account,
        role: new.role,
        name,
        created_at: now,
    };
    let principal_row = PrincipalRow {
        id: principal.id.to_string(),
        account_id: principal.account.as_ref().map(AccountId::to_string),
        role: AsText(principal.role),
        name: principal.name.clone(),
        created_at: now.unix(),
    };
    let token_row = TokenRow {
        id: app.new_id("tok"),
        principal_id: principal_row.id.clone(),
        token_hash: token.hash().as_bytes().to_vec(),
        created_at: now.unix(),
        expires_at: new.expires_at.map(Timestamp::unix),
        revoked_at: None,
    };
    let actor = operator.0.principal_id.to_string();
    app.db
        .write(move |conn| {
            store::accounts::insert_principal(conn, &principal_row)?;
            let details = serde_json::json!({
                "principal": principal_row.id,
                "role": principal_row.role.0.as_ref(),
                "account": principal_row.account_id,
            });
            audit::append(conn, now, &actor, Action::PrincipalCreated, &details)?;
            store::accounts::insert_token(conn, &token_row)?;
            let details = serde_json::json!({"token": token_row.id, "principal": principal_row.id});
            audit::append(conn, now, &actor, Action::TokenCreated, &details)
        })
        .await?;
    Ok((principal, token))
}

/// Revokes every token of a principal and returns how many there were.
pub async fn revoke_tokens(app: &App, operator: Operator<'_>, principal: &str) -> Result<usize, Error> {
    let now = app.now();
    let actor = operator.0.principal_id.to_string();
    let principal = principal.to_owned();
    app.db
        .write(move |conn| {
            if store::accounts::find_principal(conn, &principal)?.is_none() {
                return Err(Error::NotFound {
                    kind: "principal",
                    id: principal.clone(),
                });
            }
            let revoked = store::accounts::revoke_tokens(conn, &principal, now.unix())?;
            if revoked > 0 {
                let details = serde_json::json!({"principal": principal, "tokens": revoked});
                audit::append(conn, now, &actor, Action::TokenRevoked, &details)?;
            }
            Ok(revoked)
        })
        .await
}

/// A token as its bearer knows it: shown once, then forgotten.
pub struct PlainToken(Zeroizing<String>);

impl PlainToken {
    /// 256 random bits in base64url behind a prefix that secret scanners can look for.
    fn generate(app: &App) -> Self {
        let bytes = Zeroizing::new(app.random::<32>());
        Self(Zeroizing::new(format!(
            "{TOKEN_PREFIX}{}",
            data_encoding::BASE64URL_NOPAD.encode(bytes.as_slice())
        )))
    }

    /// Takes what a caller sent, if it looks like a token at all.
    fn parse(text: &str) -> Option<Self> {
        let random = text.strip_prefix(TOKEN_PREFIX)?;
        let looks_right = random.len() == TOKEN_RANDOM_LENGTH
            && random
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        looks_right.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The token in clear, to be handed to its bearer.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn hash(&self) -> HashedToken {
        HashedToken(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainToken(…)")
    }
}

/// What the database knows of a token. 256 random bits need no salt and no slow hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HashedToken([u8; 32]);

impl HashedToken {
    fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

const NAME_LIMIT: usize = 200;
const TOKEN_PREFIX: &str = "sealwright_";
/// 32 bytes in base64url without padding: ceil(32 · 8 / 6).
const TOKEN_RANDOM_LENGTH: usize = 43;

#[cfg(test)]
mod tests;
