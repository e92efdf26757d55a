//! Plans: which tiers an account may have, and how many V4 certificates at the same time.
//!
//! [`Entitlement::check`] decides inside the transaction that records a certificate, before anything is signed. A V4
//! certificate takes a seat for its mailbox; another one for the same mailbox (a renewal, a second device) takes none.
//! A seat is free again when the last V4 certificate of its mailbox is revoked or has expired.

use std::sync::Arc;

use ca_api::{AccountKind, Plan, PlanChange};
use migrations::AnyConnection;
use policies::evidence::{Evidence, FactKind};
use policies::issuance;
use policies::mailbox::Mailbox;
use policies::tier::Tier;
use policies::time::Timestamp;

use crate::accounts::{AccountId, Caller, Operator};
use crate::app::App;
use crate::audit::{self, Action};
use crate::certificates::visible_account;
use crate::error::Error;
use crate::store;
use crate::validation::retry_waiting_orders;

/// What an account may have at one instant, and what it has taken of it.
#[derive(Debug, Clone)]
pub struct Entitlement {
    pub account: AccountId,
    pub plan: Plan,
    /// Seats beyond those that the plan includes.
    pub granted_employee_seats: u32,
    /// The mailboxes that hold a V4 certificate.
    holders: Vec<String>,
}

impl Entitlement {
    /// How many mailboxes may hold a V4 certificate.
    pub fn employee_seats(&self) -> u64 {
        match self.plan.includes(Tier::V4) {
            true => u64::from(self.plan.included_employee_seats()) + u64::from(self.granted_employee_seats),
            false => 0,
        }
    }

    /// How many do.
    pub fn used_employee_seats(&self) -> u64 {
        u64::try_from(self.holders.len()).unwrap_or(u64::MAX)
    }

    /// Whether a certificate of this tier may be issued for a mailbox, in its form for comparisons.
    ///
    /// # Errors
    /// [`Error::PlanExcludes`], [`Error::SeatsTaken`].
    pub(crate) fn check(&self, tier: Tier, mailbox: &str) -> Result<(), Error> {
        if !self.plan.includes(tier) {
            return Err(Error::PlanExcludes {
                plan: self.plan,
                tier,
                needed: needed(tier),
            });
        }
        let has_seat = || self.holders.iter().any(|holder| holder == mailbox);
        if tier == Tier::V4 && self.used_employee_seats() >= self.employee_seats() && !has_seat() {
            return Err(Error::SeatsTaken {
                seats: self.employee_seats(),
            });
        }
        Ok(())
    }

    /// The best tier that the evidence carries and the plan has room for: an employee without a seat gets V3.
    pub(crate) fn best_tier(
        &self,
        mailbox: &Mailbox,
        requester: &str,
        evidence: &[Evidence],
        now: Timestamp,
    ) -> Option<Tier> {
        // A tier cannot be reached without the fact that only it and the tiers above it need.
        let barred: Vec<FactKind> = [
            (Tier::V2, FactKind::IndividualIdentity),
            (Tier::V3, FactKind::Authority),
            (Tier::V4, FactKind::Employment),
        ]
        .into_iter()
        .filter(|(tier, _)| self.check(*tier, mailbox.as_ref()).is_err())
        .map(|(_, fact)| fact)
        .collect();
        let usable: Vec<Evidence> = evidence
            .iter()
            .filter(|evidence| !barred.contains(&evidence.fact().kind()))
            .cloned()
            .collect();
        issuance::best_tier(mailbox, requester, &usable, now)
    }
}

/// The least plan that includes a tier.
fn needed(tier: Tier) -> Plan {
    match tier {
        Tier::V1 => Plan::Free,
        Tier::V2 => Plan::ProIndividual,
        Tier::V3 | Tier::V4 => Plan::ProOrganization,
    }
}

/// What an account may have, inside the caller's transaction.
pub(crate) fn of_account(conn: &mut AnyConnection, account: &AccountId, now: Timestamp) -> Result<Entitlement, Error> {
    let row = store::accounts::find_account(conn, account.as_ref())?.ok_or_else(|| Error::NotFound {
        kind: "account",
        id: account.to_string(),
    })?;
    Ok(Entitlement {
        plan: row.plan.0,
        granted_employee_seats: u32::try_from(row.granted_employee_seats).unwrap_or(0),
        holders: store::certificates::holders(conn, account.as_ref(), Tier::V4, now.unix())?,
        account: account.clone(),
    })
}

/// What an account may have. Members see their own account only.
pub async fn find(app: &App, caller: &Caller, account: &str) -> Result<Entitlement, Error> {
    let own = visible_account(caller)?;
    if own.is_some_and(|own| own.as_ref() != account) {
        return Err(Error::NotFound {
            kind: "account",
            id: account.to_owned(),
        });
    }
    let now = app.now();
    let account = AccountId::from_stored(account.to_owned());
    app.db.read(move |conn| of_account(conn, &account, now)).await
}

/// Changes the plan, the granted seats or both, and tries the orders that may have waited for it.
///
/// Certificates that the new plan would not include stay valid until they end; they are not renewed.
pub async fn change(
    app: &Arc<App>,
    operator: Operator<'_>,
    account: &str,
    change: &PlanChange,
) -> Result<Entitlement, Error> {
    if change.granted_employee_seats.is_some_and(|seats| seats > MOST_SEATS) {
        return Err(Error::InvalidInput {
            field: "granted_employee_seats",
            reason: format!("it is more than {MOST_SEATS}"),
        });
    }
    let now = app.now();
    let actor = operator.caller().principal_id.to_string();
    let id = account.to_owned();
    let change = change.clone();
    let changed = app
        .db
        .write(move |conn| {
            let row = store::accounts::find_account(conn, &id)?.ok_or_else(|| Error::NotFound {
                kind: "account",
                id: id.clone(),
            })?;
            let plan = change.plan.unwrap_or(row.plan.0);
            refuse_other_kind(plan, row.kind.0)?;
            let granted = change
                .granted_employee_seats
                .map_or(row.granted_employee_seats, i64::from);
            if granted > 0 && !plan.includes(Tier::V4) {
                return Err(Error::InvalidInput {
                    field: "granted_employee_seats",
                    reason: format!("the plan {plan} has no V4 certificates: grant 0 seats"),
                });
            }
            if (plan, granted) != (row.plan.0, row.granted_employee_seats) {
                store::accounts::change_plan(conn, &row.id, plan, granted)?;
                let details = serde_json::json!({
                    "account": row.id,
                    "plan": plan,
                    "granted_employee_seats": granted,
                    "plan_before": row.plan.0,
                    "granted_employee_seats_before": row.granted_employee_seats,
                });
                audit::append(conn, now, &actor, Action::PlanChanged, &details)?;
            }
            of_account(conn, &AccountId::from_stored(row.id), now)
        })
        .await?;
    retry_waiting_orders(app, &changed.account).await;
    Ok(changed)
}

fn refuse_other_kind(plan: Plan, kind: AccountKind) -> Result<(), Error> {
    match (plan, kind) {
        (Plan::Free, _)
        | (Plan::ProIndividual, AccountKind::Individual)
        | (Plan::ProOrganization, AccountKind::Organization) => Ok(()),
        (Plan::ProIndividual, AccountKind::Organization) | (Plan::ProOrganization, AccountKind::Individual) => {
            Err(Error::InvalidInput {
                field: "plan",
                reason: format!("{plan} is not for an account of the kind {kind}"),
            })
        }
    }
}

/// Whether an order waits because of its plan, by the text it was refused with.
pub(crate) fn is_problem(problem: &str) -> bool {
    problem.starts_with("the plan ")
}

const MOST_SEATS: u32 = 1_000_000;
