//! `/v1/accounts/{id}/plan`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use policies::tier::Tier;

use crate::accounts::Caller;
use crate::app::App;
use crate::http::extract::JsonBody;
use crate::http::problem::HttpProblem;
use crate::plans::{self, Entitlement};

pub(super) async fn show_plan(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(account): Path<String>,
) -> Result<Json<ca_api::AccountPlan>, HttpProblem> {
    Ok(Json(on_the_wire(&plans::find(&app, &caller, &account).await?)))
}

pub(super) async fn change_plan(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(account): Path<String>,
    JsonBody(change): JsonBody<ca_api::PlanChange>,
) -> Result<Json<ca_api::AccountPlan>, HttpProblem> {
    let operator = caller.as_operator("change plans")?;
    let changed = plans::change(&app, operator, &account, &change).await?;
    Ok(Json(on_the_wire(&changed)))
}

/// For this resource and for the command line.
pub(crate) fn on_the_wire(entitlement: &Entitlement) -> ca_api::AccountPlan {
    let plan = entitlement.plan;
    ca_api::AccountPlan {
        account: entitlement.account.to_string(),
        plan,
        tiers: Tier::ALL
            .into_iter()
            .filter(|tier| plan.includes(*tier))
            .map(|tier| tier.to_string())
            .collect(),
        employee_seats: ca_api::EmployeeSeats {
            included: plan.included_employee_seats(),
            granted: entitlement.granted_employee_seats,
            used: entitlement.used_employee_seats(),
        },
    }
}
