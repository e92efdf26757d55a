//! The table `acme_authorizations`: one authorization of one order, with its one challenge.

use std::fmt;
use std::str::FromStr;

use diesel::prelude::*;
use migrations::schema::acme_authorizations;
use migrations::{AnyConnection, AsText};

/// As it is stored; that time has passed is seen from `expires_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthorizationState {
    Pending,
    Valid,
    Invalid,
    Deactivated,
}

impl AsRef<str> for AuthorizationState {
    fn as_ref(&self) -> &str {
        match self {
            Self::Pending => "pending",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
        }
    }
}

impl fmt::Display for AuthorizationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

impl FromStr for AuthorizationState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Pending, Self::Valid, Self::Invalid, Self::Deactivated]
            .into_iter()
            .find(|state| state.as_ref() == text)
            .ok_or("it is not a state of an authorization")
    }
}

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = acme_authorizations)]
pub(crate) struct AuthorizationRow {
    pub(crate) id: String,
    pub(crate) acme_account_id: String,
    pub(crate) acme_order_id: String,
    pub(crate) mailbox: String,
    pub(crate) state: AsText<AuthorizationState>,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) reply_tag: String,
    pub(crate) token_part1: Option<Vec<u8>>,
    pub(crate) token_part2: String,
    pub(crate) message_id: Option<String>,
    pub(crate) mailed_at: Option<i64>,
    pub(crate) client_ready_at: Option<i64>,
    pub(crate) validated_at: Option<i64>,
    pub(crate) evidence_id: Option<String>,
    pub(crate) problem: Option<String>,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &AuthorizationRow) -> QueryResult<()> {
    diesel::insert_into(acme_authorizations::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// An authorization of this ACME account.
pub(crate) fn find(conn: &mut AnyConnection, acme_account: &str, id: &str) -> QueryResult<Option<AuthorizationRow>> {
    acme_authorizations::table
        .filter(acme_authorizations::id.eq(id))
        .filter(acme_authorizations::acme_account_id.eq(acme_account))
        .select(AuthorizationRow::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn of_order(conn: &mut AnyConnection, acme_order: &str) -> QueryResult<Option<AuthorizationRow>> {
    acme_authorizations::table
        .filter(acme_authorizations::acme_order_id.eq(acme_order))
        .select(AuthorizationRow::as_select())
        .first(conn)
        .optional()
}

/// The one whose challenge mail came from this address.
pub(crate) fn find_by_reply_tag(conn: &mut AnyConnection, tag: &str) -> QueryResult<Option<AuthorizationRow>> {
    acme_authorizations::table
        .filter(acme_authorizations::reply_tag.eq(tag))
        .select(AuthorizationRow::as_select())
        .first(conn)
        .optional()
}

/// How many authorizations of an ACME account wait.
pub(crate) fn count_pending(conn: &mut AnyConnection, acme_account: &str, now: i64) -> QueryResult<i64> {
    acme_authorizations::table
        .filter(acme_authorizations::acme_account_id.eq(acme_account))
        .filter(acme_authorizations::state.eq(AsText(AuthorizationState::Pending)))
        .filter(acme_authorizations::expires_at.gt(now))
        .count()
        .get_result(conn)
}

/// When challenge mails were sent to an address since an instant, newest first, at most `limit`.
pub(crate) fn mailed_to(conn: &mut AnyConnection, mailbox: &str, since: i64, limit: i64) -> QueryResult<Vec<i64>> {
    let found: Vec<Option<i64>> = acme_authorizations::table
        .filter(acme_authorizations::mailbox.eq(mailbox))
        .filter(acme_authorizations::mailed_at.gt(since))
        .select(acme_authorizations::mailed_at)
        .order(acme_authorizations::mailed_at.desc())
        .limit(limit)
        .load(conn)?;
    Ok(found.into_iter().flatten().collect())
}

/// Claims the sending of the challenge mail. `false` when somebody has, or the authorization is no longer pending.
pub(crate) fn claim_mail(
    conn: &mut AnyConnection,
    id: &str,
    token_part1: &[u8],
    message_id: &str,
    at: i64,
) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_authorizations::table
            .filter(acme_authorizations::id.eq(id))
            .filter(acme_authorizations::state.eq(AsText(AuthorizationState::Pending)))
            .filter(acme_authorizations::mailed_at.is_null()),
    )
    .set((
        acme_authorizations::token_part1.eq(Some(token_part1)),
        acme_authorizations::message_id.eq(Some(message_id)),
        acme_authorizations::mailed_at.eq(Some(at)),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// The mail did not leave: what was claimed is free again, and its token is worth nothing.
pub(crate) fn release_mail(conn: &mut AnyConnection, id: &str, message_id: &str) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_authorizations::table
            .filter(acme_authorizations::id.eq(id))
            .filter(acme_authorizations::message_id.eq(message_id))
            .filter(acme_authorizations::state.eq(AsText(AuthorizationState::Pending))),
    )
    .set((
        acme_authorizations::token_part1.eq(None::<Vec<u8>>),
        acme_authorizations::message_id.eq(None::<String>),
        acme_authorizations::mailed_at.eq(None::<i64>),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// The client says that it has replied.
pub(crate) fn client_is_ready(conn: &mut AnyConnection, id: &str, at: i64) -> QueryResult<()> {
    diesel::update(
        acme_authorizations::table
            .filter(acme_authorizations::id.eq(id))
            .filter(acme_authorizations::client_ready_at.is_null()),
    )
    .set(acme_authorizations::client_ready_at.eq(Some(at)))
    .execute(conn)?;
    Ok(())
}

/// pending → valid; the token is forgotten, so that no second reply can fit. `false` when it is no longer pending.
pub(crate) fn validate(conn: &mut AnyConnection, id: &str, evidence_id: &str, at: i64) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_authorizations::table
            .filter(acme_authorizations::id.eq(id))
            .filter(acme_authorizations::state.eq(AsText(AuthorizationState::Pending))),
    )
    .set((
        acme_authorizations::state.eq(AsText(AuthorizationState::Valid)),
        acme_authorizations::validated_at.eq(Some(at)),
        acme_authorizations::evidence_id.eq(Some(evidence_id)),
        acme_authorizations::token_part1.eq(None::<Vec<u8>>),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// pending → invalid. `false` when it is no longer pending.
pub(crate) fn refuse(conn: &mut AnyConnection, id: &str, problem: &str) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_authorizations::table
            .filter(acme_authorizations::id.eq(id))
            .filter(acme_authorizations::state.eq(AsText(AuthorizationState::Pending))),
    )
    .set((
        acme_authorizations::state.eq(AsText(AuthorizationState::Invalid)),
        acme_authorizations::problem.eq(Some(problem)),
        acme_authorizations::token_part1.eq(None::<Vec<u8>>),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// pending or valid → deactivated, by the client. `false` when there was nothing to deactivate.
pub(crate) fn deactivate(conn: &mut AnyConnection, id: &str) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_authorizations::table
            .filter(acme_authorizations::id.eq(id))
            .filter(
                acme_authorizations::state
                    .eq_any([AsText(AuthorizationState::Pending), AsText(AuthorizationState::Valid)]),
            ),
    )
    .set((
        acme_authorizations::state.eq(AsText(AuthorizationState::Deactivated)),
        acme_authorizations::token_part1.eq(None::<Vec<u8>>),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// Everything of an account that waits, when the account ends.
pub(crate) fn deactivate_pending(conn: &mut AnyConnection, acme_account: &str) -> QueryResult<usize> {
    diesel::update(
        acme_authorizations::table
            .filter(acme_authorizations::acme_account_id.eq(acme_account))
            .filter(acme_authorizations::state.eq(AsText(AuthorizationState::Pending))),
    )
    .set((
        acme_authorizations::state.eq(AsText(AuthorizationState::Deactivated)),
        acme_authorizations::token_part1.eq(None::<Vec<u8>>),
    ))
    .execute(conn)
}

/// Whoever it belongs to.
pub(crate) fn find_by_id(conn: &mut AnyConnection, id: &str) -> QueryResult<Option<AuthorizationRow>> {
    acme_authorizations::table
        .filter(acme_authorizations::id.eq(id))
        .select(AuthorizationRow::as_select())
        .first(conn)
        .optional()
}
