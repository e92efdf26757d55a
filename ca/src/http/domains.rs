//! `/v1/domains`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use crate::accounts::Caller;
use crate::app::App;
use crate::http::extract::JsonBody;
use crate::http::problem::HttpProblem;
use crate::validation::control::{self, Challenge};

pub(super) async fn begin_domain(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(new): JsonBody<ca_api::NewDomainChallenge>,
) -> Result<(StatusCode, Json<ca_api::DomainChallenge>), HttpProblem> {
    let member = caller.as_member("validate domains")?;
    let challenge = control::begin(&app, member.account(), caller.principal_id.as_ref(), new).await?;
    Ok((StatusCode::CREATED, Json(on_the_wire(challenge))))
}

pub(super) async fn list_domains(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<ca_api::DomainChallengeList>, HttpProblem> {
    let member = caller.as_member("see domain challenges")?;
    let challenges = control::list(&app, member.account()).await?;
    Ok(Json(ca_api::DomainChallengeList {
        challenges: challenges.into_iter().map(on_the_wire).collect(),
    }))
}

pub(super) async fn show_domain(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ca_api::DomainChallenge>, HttpProblem> {
    let member = caller.as_member("see domain challenges")?;
    Ok(Json(on_the_wire(control::find(&app, member.account(), &id).await?)))
}

/// 200 whatever was found: the state says it.
pub(super) async fn check_domain(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ca_api::DomainChallenge>, HttpProblem> {
    let member = caller.as_member("validate domains")?;
    Ok(Json(on_the_wire(control::check(&app, member.account(), &id).await?)))
}

pub(crate) fn on_the_wire(challenge: Challenge) -> ca_api::DomainChallenge {
    ca_api::DomainChallenge {
        id: challenge.id,
        domain: challenge.domain,
        method: challenge.method,
        state: challenge.state,
        place: challenge.place,
        value: challenge.value,
        created_at: challenge.created_at,
        expires_at: challenge.expires_at,
        problem: challenge.problem,
        evidence: challenge.evidence,
    }
}
