//! The table `acme_domain_authorizations`: one authorization of a domain, with its two challenges.

use diesel::prelude::*;
use migrations::schema::{acme_domain_authorizations, evidence_retractions};
use migrations::{AnyConnection, AsText};

use super::acme_authorizations::AuthorizationState;

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = acme_domain_authorizations)]
pub(crate) struct DomainAuthorizationRow {
    pub(crate) id: String,
    pub(crate) acme_account_id: String,
    pub(crate) domain: String,
    pub(crate) state: AsText<AuthorizationState>,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) http_token: String,
    pub(crate) dns_token: String,
    pub(crate) looked_at: i64,
    pub(crate) challenge: Option<String>,
    pub(crate) validated_at: Option<i64>,
    pub(crate) evidence_id: Option<String>,
    pub(crate) problem: Option<String>,
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &DomainAuthorizationRow) -> QueryResult<()> {
    diesel::insert_into(acme_domain_authorizations::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// An authorization of this ACME account.
pub(crate) fn find(
    conn: &mut AnyConnection,
    acme_account: &str,
    id: &str,
) -> QueryResult<Option<DomainAuthorizationRow>> {
    acme_domain_authorizations::table
        .filter(acme_domain_authorizations::id.eq(id))
        .filter(acme_domain_authorizations::acme_account_id.eq(acme_account))
        .select(DomainAuthorizationRow::as_select())
        .first(conn)
        .optional()
}

/// When an ACME account began authorizations since an instant, newest first, at most `limit`.
pub(crate) fn begun(conn: &mut AnyConnection, acme_account: &str, since: i64, limit: i64) -> QueryResult<Vec<i64>> {
    acme_domain_authorizations::table
        .filter(acme_domain_authorizations::acme_account_id.eq(acme_account))
        .filter(acme_domain_authorizations::created_at.gt(since))
        .select(acme_domain_authorizations::created_at)
        .order(acme_domain_authorizations::created_at.desc())
        .limit(limit)
        .load(conn)
}

/// Claims the one look. `false` when somebody has, or the authorization is no longer pending.
pub(crate) fn claim_look(conn: &mut AnyConnection, id: &str, challenge: &str) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_domain_authorizations::table
            .filter(acme_domain_authorizations::id.eq(id))
            .filter(acme_domain_authorizations::state.eq(AsText(AuthorizationState::Pending)))
            .filter(acme_domain_authorizations::looked_at.eq(0)),
    )
    .set((
        acme_domain_authorizations::looked_at.eq(1),
        acme_domain_authorizations::challenge.eq(challenge),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// pending → valid, until `expires_at`. `false` when it is no longer pending.
pub(crate) fn validate(
    conn: &mut AnyConnection,
    id: &str,
    evidence_id: &str,
    at: i64,
    expires_at: i64,
) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_domain_authorizations::table
            .filter(acme_domain_authorizations::id.eq(id))
            .filter(acme_domain_authorizations::state.eq(AsText(AuthorizationState::Pending))),
    )
    .set((
        acme_domain_authorizations::state.eq(AsText(AuthorizationState::Valid)),
        acme_domain_authorizations::validated_at.eq(Some(at)),
        acme_domain_authorizations::expires_at.eq(expires_at),
        acme_domain_authorizations::evidence_id.eq(Some(evidence_id)),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// pending → invalid. `false` when it is no longer pending.
pub(crate) fn refuse(conn: &mut AnyConnection, id: &str, problem: &str) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_domain_authorizations::table
            .filter(acme_domain_authorizations::id.eq(id))
            .filter(acme_domain_authorizations::state.eq(AsText(AuthorizationState::Pending))),
    )
    .set((
        acme_domain_authorizations::state.eq(AsText(AuthorizationState::Invalid)),
        acme_domain_authorizations::problem.eq(Some(problem)),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// pending or valid → deactivated, and its proof does not count any more. `false` when there was nothing to deactivate.
pub(crate) fn deactivate(conn: &mut AnyConnection, row: &DomainAuthorizationRow, at: i64) -> QueryResult<bool> {
    let changed = diesel::update(
        acme_domain_authorizations::table
            .filter(acme_domain_authorizations::id.eq(&row.id))
            .filter(acme_domain_authorizations::state.eq(row.state))
            .filter(
                acme_domain_authorizations::state
                    .eq_any([AsText(AuthorizationState::Pending), AsText(AuthorizationState::Valid)]),
            ),
    )
    .set(acme_domain_authorizations::state.eq(AsText(AuthorizationState::Deactivated)))
    .execute(conn)?;
    if changed == 1
        && let Some(evidence) = &row.evidence_id
    {
        diesel::insert_into(evidence_retractions::table)
            .values((
                evidence_retractions::evidence_id.eq(evidence),
                evidence_retractions::retracted_at.eq(at),
            ))
            .execute(conn)?;
    }
    Ok(changed == 1)
}
