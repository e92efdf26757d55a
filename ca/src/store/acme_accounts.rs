//! The tables `acme_external_keys` and `acme_accounts`.

use std::fmt;
use std::str::FromStr;

use diesel::prelude::*;
use migrations::schema::{acme_accounts, acme_external_keys};
use migrations::{AnyConnection, AsText};

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = acme_external_keys)]
pub(crate) struct ExternalKeyRow {
    pub(crate) id: String,
    pub(crate) account_id: String,
    pub(crate) name: String,
    pub(crate) sealed: Vec<u8>,
    pub(crate) created_by: String,
    pub(crate) created_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) used_at: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
}

pub(crate) fn insert_key(conn: &mut AnyConnection, row: &ExternalKeyRow) -> QueryResult<()> {
    diesel::insert_into(acme_external_keys::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

pub(crate) fn find_key(conn: &mut AnyConnection, id: &str) -> QueryResult<Option<ExternalKeyRow>> {
    acme_external_keys::table
        .filter(acme_external_keys::id.eq(id))
        .select(ExternalKeyRow::as_select())
        .first(conn)
        .optional()
}

/// Of one account, or all; newest first.
pub(crate) fn keys(conn: &mut AnyConnection, account: Option<&str>, limit: i64) -> QueryResult<Vec<ExternalKeyRow>> {
    let mut query = acme_external_keys::table
        .select(ExternalKeyRow::as_select())
        .order((acme_external_keys::created_at.desc(), acme_external_keys::id.asc()))
        .limit(limit)
        .into_boxed();
    if let Some(account) = account {
        query = query.filter(acme_external_keys::account_id.eq(account.to_owned()));
    }
    query.load(conn)
}

/// Marks it as used. `false` when it was used or revoked already.
pub(crate) fn use_key(conn: &mut AnyConnection, id: &str, at: i64) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_external_keys::table
            .filter(acme_external_keys::id.eq(id))
            .filter(acme_external_keys::used_at.is_null())
            .filter(acme_external_keys::revoked_at.is_null()),
    )
    .set(acme_external_keys::used_at.eq(Some(at)))
    .execute(conn)?;
    Ok(changed == 1)
}

/// `false` when it was revoked already.
pub(crate) fn revoke_key(conn: &mut AnyConnection, id: &str, at: i64) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_external_keys::table
            .filter(acme_external_keys::id.eq(id))
            .filter(acme_external_keys::revoked_at.is_null()),
    )
    .set(acme_external_keys::revoked_at.eq(Some(at)))
    .execute(conn)?;
    Ok(changed == 1)
}

/// RFC 8555 section 7.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccountState {
    Valid,
    /// By its holder.
    Deactivated,
    /// By an operator.
    Revoked,
}

impl AsRef<str> for AccountState {
    fn as_ref(&self) -> &str {
        match self {
            Self::Valid => "valid",
            Self::Deactivated => "deactivated",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for AccountState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

impl FromStr for AccountState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Valid, Self::Deactivated, Self::Revoked]
            .into_iter()
            .find(|state| state.as_ref() == text)
            .ok_or("it is not a state of an ACME account")
    }
}

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = acme_accounts)]
pub(crate) struct AcmeAccountRow {
    pub(crate) id: String,
    pub(crate) account_id: String,
    pub(crate) principal_id: String,
    pub(crate) external_key_id: String,
    pub(crate) jwk: String,
    pub(crate) thumbprint: String,
    pub(crate) contacts: String,
    pub(crate) terms_agreed_at: Option<i64>,
    pub(crate) state: AsText<AccountState>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &AcmeAccountRow) -> QueryResult<()> {
    diesel::insert_into(acme_accounts::table).values(row).execute(conn)?;
    Ok(())
}

pub(crate) fn find(conn: &mut AnyConnection, id: &str) -> QueryResult<Option<AcmeAccountRow>> {
    acme_accounts::table
        .filter(acme_accounts::id.eq(id))
        .select(AcmeAccountRow::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn find_by_thumbprint(conn: &mut AnyConnection, thumbprint: &str) -> QueryResult<Option<AcmeAccountRow>> {
    acme_accounts::table
        .filter(acme_accounts::thumbprint.eq(thumbprint))
        .select(AcmeAccountRow::as_select())
        .first(conn)
        .optional()
}

/// Of one of our accounts, or all; newest first.
pub(crate) fn list(conn: &mut AnyConnection, account: Option<&str>, limit: i64) -> QueryResult<Vec<AcmeAccountRow>> {
    let mut query = acme_accounts::table
        .select(AcmeAccountRow::as_select())
        .order((acme_accounts::created_at.desc(), acme_accounts::id.asc()))
        .limit(limit)
        .into_boxed();
    if let Some(account) = account {
        query = query.filter(acme_accounts::account_id.eq(account.to_owned()));
    }
    query.load(conn)
}

/// `false` when it is no longer valid.
pub(crate) fn change_contacts(conn: &mut AnyConnection, id: &str, contacts: &str, at: i64) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_accounts::table
            .filter(acme_accounts::id.eq(id))
            .filter(acme_accounts::state.eq(AsText(AccountState::Valid))),
    )
    .set((acme_accounts::contacts.eq(contacts), acme_accounts::updated_at.eq(at)))
    .execute(conn)?;
    Ok(changed == 1)
}

/// From valid to another state. `false` when it is no longer valid.
pub(crate) fn end(conn: &mut AnyConnection, id: &str, state: AccountState, at: i64) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_accounts::table
            .filter(acme_accounts::id.eq(id))
            .filter(acme_accounts::state.eq(AsText(AccountState::Valid))),
    )
    .set((acme_accounts::state.eq(AsText(state)), acme_accounts::updated_at.eq(at)))
    .execute(conn)?;
    Ok(changed == 1)
}

/// Puts a new key in the place of the old one. `false` when the account has another key by now, or is not valid.
pub(crate) fn change_key(
    conn: &mut AnyConnection,
    id: &str,
    old_thumbprint: &str,
    jwk: &str,
    thumbprint: &str,
    at: i64,
) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_accounts::table
            .filter(acme_accounts::id.eq(id))
            .filter(acme_accounts::thumbprint.eq(old_thumbprint))
            .filter(acme_accounts::state.eq(AsText(AccountState::Valid))),
    )
    .set((
        acme_accounts::jwk.eq(jwk),
        acme_accounts::thumbprint.eq(thumbprint),
        acme_accounts::updated_at.eq(at),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}
