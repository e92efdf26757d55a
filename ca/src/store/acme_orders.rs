//! The tables `acme_orders` and `evidence_for_order`.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::{acme_orders, evidence_for_order, orders};

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = acme_orders)]
pub(crate) struct AcmeOrderRow {
    pub(crate) id: String,
    pub(crate) acme_account_id: String,
    pub(crate) mailbox: String,
    pub(crate) tier: String,
    pub(crate) order_id: Option<String>,
    pub(crate) replaces: Option<String>,
    pub(crate) problem: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &AcmeOrderRow) -> QueryResult<()> {
    diesel::insert_into(acme_orders::table).values(row).execute(conn)?;
    Ok(())
}

/// An order of this ACME account.
pub(crate) fn find(conn: &mut AnyConnection, acme_account: &str, id: &str) -> QueryResult<Option<AcmeOrderRow>> {
    acme_orders::table
        .filter(acme_orders::id.eq(id))
        .filter(acme_orders::acme_account_id.eq(acme_account))
        .select(AcmeOrderRow::as_select())
        .first(conn)
        .optional()
}

/// Newest first, from the one after `before` on.
pub(crate) fn page(
    conn: &mut AnyConnection,
    acme_account: Option<&str>,
    before: Option<(i64, String)>,
    limit: i64,
) -> QueryResult<Vec<AcmeOrderRow>> {
    let mut query = acme_orders::table
        .select(AcmeOrderRow::as_select())
        .order((acme_orders::created_at.desc(), acme_orders::id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some(acme_account) = acme_account {
        query = query.filter(acme_orders::acme_account_id.eq(acme_account.to_owned()));
    }
    if let Some((at, id)) = before {
        query = query.filter(
            acme_orders::created_at
                .lt(at)
                .or(acme_orders::created_at.eq(at).and(acme_orders::id.lt(id))),
        );
    }
    query.load(conn)
}

/// When the newest orders since an instant were placed, newest first, at most `limit` of them.
pub(crate) fn placed_since(
    conn: &mut AnyConnection,
    acme_account: &str,
    since: i64,
    limit: i64,
) -> QueryResult<Vec<i64>> {
    acme_orders::table
        .filter(acme_orders::acme_account_id.eq(acme_account))
        .filter(acme_orders::created_at.gt(since))
        .filter(acme_orders::replaces.is_null())
        .select(acme_orders::created_at)
        .order(acme_orders::created_at.desc())
        .limit(limit)
        .load(conn)
}

/// Ties an ACME order to the order that finalizing placed. `false` when it has one already.
pub(crate) fn finalize(conn: &mut AnyConnection, id: &str, order_id: &str) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_orders::table
            .filter(acme_orders::id.eq(id))
            .filter(acme_orders::order_id.is_null())
            .filter(acme_orders::problem.is_null()),
    )
    .set(acme_orders::order_id.eq(Some(order_id)))
    .execute(conn)?;
    Ok(changed == 1)
}

/// Whether the certificate of this order was asked for by this ACME account.
pub(crate) fn has_ordered(conn: &mut AnyConnection, acme_account: &str, order_id: &str) -> QueryResult<bool> {
    let found: i64 = acme_orders::table
        .filter(acme_orders::acme_account_id.eq(acme_account))
        .filter(acme_orders::order_id.eq(order_id))
        .count()
        .get_result(conn)?;
    Ok(found > 0)
}

/// The orders that replace a certificate, each with the state of the order it led to.
pub(crate) fn replacing(
    conn: &mut AnyConnection,
    certificate_id: &str,
) -> QueryResult<Vec<(AcmeOrderRow, Option<String>)>> {
    acme_orders::table
        .left_join(orders::table.on(acme_orders::order_id.eq(orders::id.nullable())))
        .filter(acme_orders::replaces.eq(certificate_id))
        .select((AcmeOrderRow::as_select(), orders::state.nullable()))
        .load(conn)
}

/// The proof counts for this order and for no other; a second order finds the row there.
pub(crate) fn tie_evidence(conn: &mut AnyConnection, evidence_id: &str, order_id: &str) -> QueryResult<()> {
    diesel::insert_into(evidence_for_order::table)
        .values((
            evidence_for_order::evidence_id.eq(evidence_id),
            evidence_for_order::order_id.eq(order_id),
        ))
        .execute(conn)?;
    Ok(())
}
