//! The tables `accounts`, `principals` and `api_tokens`.

use diesel::prelude::*;
use migrations::schema::{accounts, api_tokens, principals};
use migrations::{AnyConnection, AsText};

use crate::accounts::{AccountKind, Plan, Role};

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = accounts)]
pub(crate) struct AccountRow {
    pub(crate) id: String,
    pub(crate) kind: AsText<AccountKind>,
    pub(crate) name: String,
    pub(crate) created_at: i64,
    pub(crate) plan: AsText<Plan>,
    /// Seats beyond those that the plan includes.
    pub(crate) granted_employee_seats: i64,
}

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = principals)]
pub(crate) struct PrincipalRow {
    pub(crate) id: String,
    pub(crate) account_id: Option<String>,
    pub(crate) role: AsText<Role>,
    pub(crate) name: String,
    pub(crate) created_at: i64,
}

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = api_tokens)]
pub(crate) struct TokenRow {
    pub(crate) id: String,
    pub(crate) principal_id: String,
    pub(crate) token_hash: Vec<u8>,
    pub(crate) created_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
}

pub(crate) fn insert_account(conn: &mut AnyConnection, row: &AccountRow) -> QueryResult<()> {
    diesel::insert_into(accounts::table).values(row).execute(conn)?;
    Ok(())
}

pub(crate) fn find_account(conn: &mut AnyConnection, id: &str) -> QueryResult<Option<AccountRow>> {
    accounts::table
        .filter(accounts::id.eq(id))
        .select(AccountRow::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn all_accounts(conn: &mut AnyConnection) -> QueryResult<Vec<AccountRow>> {
    accounts::table
        .select(AccountRow::as_select())
        .order((accounts::created_at.asc(), accounts::id.asc()))
        .load(conn)
}

pub(crate) fn change_plan(
    conn: &mut AnyConnection,
    id: &str,
    plan: Plan,
    granted_employee_seats: i64,
) -> QueryResult<()> {
    diesel::update(accounts::table.filter(accounts::id.eq(id)))
        .set((
            accounts::plan.eq(AsText(plan)),
            accounts::granted_employee_seats.eq(granted_employee_seats),
        ))
        .execute(conn)?;
    Ok(())
}

pub(crate) fn insert_principal(conn: &mut AnyConnection, row: &PrincipalRow) -> QueryResult<()> {
    diesel::insert_into(principals::table).values(row).execute(conn)?;
    Ok(())
}

pub(crate) fn find_principal(conn: &mut AnyConnection, id: &str) -> QueryResult<Option<PrincipalRow>> {
    principals::table
        .filter(principals::id.eq(id))
        .select(PrincipalRow::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn insert_token(conn: &mut AnyConnection, row: &TokenRow) -> QueryResult<()> {
    diesel::insert_into(api_tokens::table).values(row).execute(conn)?;
    Ok(())
}

/// A token and whose it is, also when it is no longer valid.
pub(crate) fn find_by_token_hash(
    conn: &mut AnyConnection,
    hash: &[u8],
) -> QueryResult<Option<(TokenRow, PrincipalRow)>> {
    api_tokens::table
        .inner_join(principals::table)
        .filter(api_tokens::token_hash.eq(hash.to_vec()))
        .select((TokenRow::as_select(), PrincipalRow::as_select()))
        .first(conn)
        .optional()
}

/// Revokes what is not revoked yet and returns how many tokens that were.
pub(crate) fn revoke_tokens(conn: &mut AnyConnection, principal_id: &str, now: i64) -> QueryResult<usize> {
    diesel::update(
        api_tokens::table
            .filter(api_tokens::principal_id.eq(principal_id))
            .filter(api_tokens::revoked_at.is_null()),
    )
    .set(api_tokens::revoked_at.eq(now))
    .execute(conn)
}
