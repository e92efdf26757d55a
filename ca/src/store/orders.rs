//! The table `orders`.

use diesel::prelude::*;
use migrations::schema::orders;
use migrations::{AnyConnection, AsText};
use policies::key_use::KeyUse;

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = orders)]
pub(crate) struct OrderRow {
    pub(crate) id: String,
    pub(crate) account_id: String,
    pub(crate) requested_by: String,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) mailbox: String,
    pub(crate) tier: String,
    pub(crate) generation: String,
    pub(crate) certificate_request: Vec<u8>,
    pub(crate) state: String,
    pub(crate) certificate_id: Option<String>,
    pub(crate) problem: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) key_use: AsText<KeyUse>,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &OrderRow) -> QueryResult<()> {
    diesel::insert_into(orders::table).values(row).execute(conn)?;
    Ok(())
}

pub(crate) fn find(conn: &mut AnyConnection, id: &str) -> QueryResult<Option<OrderRow>> {
    orders::table
        .filter(orders::id.eq(id))
        .select(OrderRow::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn find_by_idempotency_key(
    conn: &mut AnyConnection,
    account_id: &str,
    key: &str,
) -> QueryResult<Option<OrderRow>> {
    orders::table
        .filter(orders::account_id.eq(account_id))
        .filter(orders::idempotency_key.eq(key))
        .select(OrderRow::as_select())
        .first(conn)
        .optional()
}

/// Orders of an account in one state, oldest first.
pub(crate) fn in_state(
    conn: &mut AnyConnection,
    account_id: Option<&str>,
    state: &str,
    limit: i64,
) -> QueryResult<Vec<OrderRow>> {
    let mut query = orders::table
        .filter(orders::state.eq(state.to_owned()))
        .select(OrderRow::as_select())
        .order((orders::created_at.asc(), orders::id.asc()))
        .limit(limit)
        .into_boxed();
    if let Some(account_id) = account_id {
        query = query.filter(orders::account_id.eq(account_id.to_owned()));
    }
    query.load(conn)
}

/// Pending orders whose last attempt ended in the middle, oldest first.
pub(crate) fn interrupted(conn: &mut AnyConnection, limit: i64) -> QueryResult<Vec<OrderRow>> {
    orders::table
        .filter(orders::state.eq("pending"))
        .filter(orders::problem.eq(INTERRUPTED))
        .select(OrderRow::as_select())
        .order((orders::created_at.asc(), orders::id.asc()))
        .limit(limit)
        .load(conn)
}

/// How many orders of all accounts are in a state.
pub(crate) fn count_all_in_state(conn: &mut AnyConnection, state: &str) -> QueryResult<i64> {
    orders::table.filter(orders::state.eq(state)).count().get_result(conn)
}

/// How many orders of an account are in a state.
pub(crate) fn count_in_state(conn: &mut AnyConnection, account_id: &str, state: &str) -> QueryResult<i64> {
    orders::table
        .filter(orders::account_id.eq(account_id))
        .filter(orders::state.eq(state))
        .count()
        .get_result(conn)
}

/// Pending orders that were placed at or before an instant, oldest first.
pub(crate) fn pending_since(conn: &mut AnyConnection, instant: i64, limit: i64) -> QueryResult<Vec<OrderRow>> {
    orders::table
        .filter(orders::state.eq("pending"))
        .filter(orders::created_at.le(instant))
        .select(OrderRow::as_select())
        .order((orders::created_at.asc(), orders::id.asc()))
        .limit(limit)
        .load(conn)
}

/// What an order says whose certificate was abandoned.
pub(crate) const INTERRUPTED: &str = "the last attempt was interrupted; it is made again";

/// Where an order goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) certificate_id: Option<&'a str>,
    pub(crate) problem: Option<&'a str>,
    pub(crate) at: i64,
}

/// Compare and set. `false` when the order is no longer in the state `from`: somebody else was faster.
pub(crate) fn advance(conn: &mut AnyConnection, id: &str, order_move: Move<'_>) -> QueryResult<bool> {
    let changed = diesel::update(
        orders::table
            .filter(orders::id.eq(id))
            .filter(orders::state.eq(order_move.from)),
    )
    .set((
        orders::state.eq(order_move.to),
        orders::certificate_id.eq(order_move.certificate_id),
        orders::problem.eq(order_move.problem),
        orders::updated_at.eq(order_move.at),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}
