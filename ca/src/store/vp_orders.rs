//! The table `vp_orders`: certificates from another authority.

use std::fmt;
use std::str::FromStr;

use diesel::prelude::*;
use migrations::schema::vp_orders;
use migrations::{AnyConnection, AsText};

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VpState {
    /// Taken down here; the other authority may not know of it yet.
    Placing,
    /// The other authority has sent, or will send, a mail to the mailbox.
    Waiting,
    /// Control of the mailbox is shown.
    Processing,
    Valid,
    Invalid,
}

impl AsRef<str> for VpState {
    fn as_ref(&self) -> &str {
        match self {
            Self::Placing => "placing",
            Self::Waiting => "waiting",
            Self::Processing => "processing",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

impl fmt::Display for VpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

impl FromStr for VpState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [
            Self::Placing,
            Self::Waiting,
            Self::Processing,
            Self::Valid,
            Self::Invalid,
        ]
        .into_iter()
        .find(|state| state.as_ref() == text)
        .ok_or("it is not a state of such an order")
    }
}

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = vp_orders)]
pub(crate) struct VpOrderRow {
    pub(crate) id: String,
    pub(crate) account_id: String,
    pub(crate) requested_by: String,
    pub(crate) mailbox: String,
    pub(crate) state: AsText<VpState>,
    pub(crate) request: Vec<u8>,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) order_url: Option<String>,
    pub(crate) authorization_url: Option<String>,
    pub(crate) answered_at: Option<i64>,
    pub(crate) chain_pem: Option<String>,
    pub(crate) serial: Option<String>,
    pub(crate) not_after: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) problem: Option<String>,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &VpOrderRow) -> QueryResult<()> {
    diesel::insert_into(vp_orders::table).values(row).execute(conn)?;
    Ok(())
}

pub(crate) fn find(conn: &mut AnyConnection, account: &str, id: &str) -> QueryResult<Option<VpOrderRow>> {
    vp_orders::table
        .filter(vp_orders::id.eq(id))
        .filter(vp_orders::account_id.eq(account))
        .select(VpOrderRow::as_select())
        .first(conn)
        .optional()
}

/// The orders of an account, newest first.
pub(crate) fn of_account(conn: &mut AnyConnection, account: &str, limit: i64) -> QueryResult<Vec<VpOrderRow>> {
    vp_orders::table
        .filter(vp_orders::account_id.eq(account))
        .order((vp_orders::created_at.desc(), vp_orders::id.desc()))
        .limit(limit)
        .select(VpOrderRow::as_select())
        .load(conn)
}

/// The mailboxes of an account that have such a certificate, or an order for one, at an instant.
pub(crate) fn holders(conn: &mut AnyConnection, account: &str, now: i64) -> QueryResult<Vec<String>> {
    let of_account = vp_orders::table.filter(vp_orders::account_id.eq(account));
    let mut holders: Vec<String> = of_account
        .filter(vp_orders::state.eq(AsText(VpState::Valid)))
        .filter(vp_orders::revoked_at.is_null())
        .filter(vp_orders::not_after.ge(now))
        .select(vp_orders::mailbox)
        .load(conn)?;
    let waiting: Vec<String> = of_account
        .filter(vp_orders::state.eq_any([
            AsText(VpState::Placing),
            AsText(VpState::Waiting),
            AsText(VpState::Processing),
        ]))
        .filter(vp_orders::expires_at.gt(now))
        .select(vp_orders::mailbox)
        .load(conn)?;
    holders.extend(waiting);
    holders.sort_unstable();
    holders.dedup();
    Ok(holders)
}

/// The newest certificate of a mailbox that counts.
pub(crate) fn current(
    conn: &mut AnyConnection,
    account: &str,
    mailbox: &str,
    now: i64,
) -> QueryResult<Option<VpOrderRow>> {
    vp_orders::table
        .filter(vp_orders::account_id.eq(account))
        .filter(vp_orders::mailbox.eq(mailbox))
        .filter(vp_orders::state.eq(AsText(VpState::Valid)))
        .filter(vp_orders::revoked_at.is_null())
        .filter(vp_orders::not_after.ge(now))
        .order((vp_orders::not_after.desc(), vp_orders::id.desc()))
        .select(VpOrderRow::as_select())
        .first(conn)
        .optional()
}

/// Writes what has become of an order, if its state is still `from`.
pub(crate) fn change(conn: &mut AnyConnection, row: &VpOrderRow, from: VpState) -> QueryResult<bool> {
    let changed = diesel::update(
        vp_orders::table
            .filter(vp_orders::id.eq(&row.id))
            .filter(vp_orders::state.eq(AsText(from))),
    )
    .set((
        vp_orders::state.eq(row.state),
        vp_orders::order_url.eq(&row.order_url),
        vp_orders::authorization_url.eq(&row.authorization_url),
        vp_orders::answered_at.eq(row.answered_at),
        vp_orders::chain_pem.eq(&row.chain_pem),
        vp_orders::serial.eq(&row.serial),
        vp_orders::not_after.eq(row.not_after),
        vp_orders::revoked_at.eq(row.revoked_at),
        vp_orders::problem.eq(&row.problem),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}
