//! The table `identities`: one row per key, from the order to the end of the certificate.

use std::fmt;
use std::str::FromStr;

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::identities;
use migrations::text::AsText;
use policies::mailbox::Mailbox;
use policies::tier::Tier;
use policies::time::Timestamp;

/// How far an identity has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The certificate is ordered; the order can be repeated with the same key until it is answered.
    Ordered,
    /// There is a certificate.
    Valid,
    /// The CA has refused; the key is gone.
    Refused,
    Revoked,
}

impl AsRef<str> for State {
    fn as_ref(&self) -> &str {
        match self {
            Self::Ordered => "ordered",
            Self::Valid => "valid",
            Self::Refused => "refused",
            Self::Revoked => "revoked",
        }
    }
}

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let all = [Self::Ordered, Self::Valid, Self::Refused, Self::Revoked];
        all.into_iter().find(|state| state.as_ref() == text).ok_or(UnknownState)
    }
}

/// A state that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a state of an identity")]
pub struct UnknownState;

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = identities)]
pub(crate) struct IdentityRow {
    pub(crate) id: String,
    /// The canonical form of the mailbox.
    pub(crate) mailbox: String,
    pub(crate) key_id: String,
    pub(crate) state: AsText<State>,
    pub(crate) certificate_request: Vec<u8>,
    pub(crate) problem: Option<String>,
    pub(crate) tier: Option<AsText<Tier>>,
    pub(crate) serial: Option<String>,
    pub(crate) chain_pem: Option<String>,
    pub(crate) not_before: Option<i64>,
    pub(crate) not_after: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

/// What a fulfilled order brings.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) tier: Tier,
    pub(crate) serial: String,
    pub(crate) chain_pem: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// Whether the row is in; not when another order for the mailbox is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    Done,
    AnotherIsOrdered,
}

/// Begins an order. Two processes that get here at once are told apart by an index: the loser gets an error.
pub(crate) fn insert_order(conn: &mut AnyConnection, row: &IdentityRow, mailbox: &Mailbox) -> QueryResult<Insertion> {
    if ordered(conn, mailbox)?.is_some() {
        return Ok(Insertion::AnotherIsOrdered);
    }
    diesel::insert_into(identities::table).values(row).execute(conn)?;
    Ok(Insertion::Done)
}

/// The order for a mailbox that is under way; there is at most one.
pub(crate) fn ordered(conn: &mut AnyConnection, mailbox: &Mailbox) -> QueryResult<Option<IdentityRow>> {
    let query = identities::table.filter(identities::mailbox.eq(mailbox.as_ref().to_owned()));
    query
        .filter(identities::state.eq(AsText(State::Ordered)))
        .select(IdentityRow::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn valid(conn: &mut AnyConnection, mailbox: &Mailbox) -> QueryResult<Vec<IdentityRow>> {
    let query = identities::table.filter(identities::mailbox.eq(mailbox.as_ref().to_owned()));
    query
        .filter(identities::state.eq(AsText(State::Valid)))
        .select(IdentityRow::as_select())
        .order(identities::created_at.desc())
        .load(conn)
}

/// All that ever had a certificate, the newest first: what was encrypted to an old one can still be opened.
pub(crate) fn with_certificate(conn: &mut AnyConnection, mailbox: &Mailbox) -> QueryResult<Vec<IdentityRow>> {
    identities::table
        .filter(identities::mailbox.eq(mailbox.as_ref().to_owned()))
        .filter(identities::chain_pem.is_not_null())
        .select(IdentityRow::as_select())
        .order(identities::created_at.desc())
        .limit(MOST_OF_ONE)
        .load(conn)
}

/// Ten years with a certificate for two months each.
const MOST_OF_ONE: i64 = 60;

/// Those whose certificates have not ended at `now`, for the question whether one was revoked.
pub(crate) fn unexpired(conn: &mut AnyConnection, now: Timestamp) -> QueryResult<Vec<IdentityRow>> {
    let query = identities::table
        .filter(identities::state.eq(AsText(State::Valid)))
        .filter(identities::not_after.ge(now.unix()));
    query
        .select(IdentityRow::as_select())
        .order(identities::mailbox.asc())
        .load(conn)
}

/// All rows, by mailbox, the newest first.
pub(crate) fn all(conn: &mut AnyConnection) -> QueryResult<Vec<IdentityRow>> {
    identities::table
        .select(IdentityRow::as_select())
        .order((
            identities::mailbox.asc(),
            identities::created_at.desc(),
            identities::id.asc(),
        ))
        .load(conn)
}

pub(crate) fn key_ids(conn: &mut AnyConnection) -> QueryResult<Vec<String>> {
    identities::table.select(identities::key_id).load(conn)
}

/// Ordered becomes valid; false if somebody else has moved the row on.
pub(crate) fn fulfil(conn: &mut AnyConnection, id: &str, issued: &Issued, now: Timestamp) -> QueryResult<bool> {
    let ordered = identities::table
        .filter(identities::id.eq(id.to_owned()))
        .filter(identities::state.eq(AsText(State::Ordered)));
    let changed = diesel::update(ordered)
        .set((
            identities::state.eq(AsText(State::Valid)),
            identities::tier.eq(Some(AsText(issued.tier))),
            identities::serial.eq(Some(issued.serial.clone())),
            identities::chain_pem.eq(Some(issued.chain_pem.clone())),
            identities::not_before.eq(Some(issued.not_before.unix())),
            identities::not_after.eq(Some(issued.not_after.unix())),
            identities::updated_at.eq(now.unix()),
        ))
        .execute(conn)?;
    Ok(changed == 1)
}

/// Moves a row from one state to another, with the reason; false if it was not in that state any more.
pub(crate) fn end(
    conn: &mut AnyConnection,
    id: &str,
    (from, to): (State, State),
    problem: &str,
    now: Timestamp,
) -> QueryResult<bool> {
    let row = identities::table
        .filter(identities::id.eq(id.to_owned()))
        .filter(identities::state.eq(AsText(from)));
    let changed = diesel::update(row)
        .set((
            identities::state.eq(AsText(to)),
            identities::problem.eq(Some(problem.to_owned())),
            identities::updated_at.eq(now.unix()),
        ))
        .execute(conn)?;
    Ok(changed == 1)
}
