//! `/v1/challenges`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use crate::accounts::Caller;
use crate::app::App;
use crate::http::extract::JsonBody;
use crate::http::problem::HttpProblem;
use crate::validation::challenge::{self, Challenge};

pub(super) async fn create_challenge(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(new): JsonBody<ca_api::NewChallenge>,
) -> Result<(StatusCode, Json<ca_api::Challenge>), HttpProblem> {
    let member = caller.as_member("ask for challenges")?;
    let challenge = challenge::create(&app, member, new).await?;
    Ok((StatusCode::CREATED, Json(on_the_wire(challenge))))
}

pub(super) async fn show_challenge(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ca_api::Challenge>, HttpProblem> {
    let member = caller.as_member("see challenges")?;
    Ok(Json(on_the_wire(challenge::find(&app, member.account(), &id).await?)))
}

fn on_the_wire(challenge: Challenge) -> ca_api::Challenge {
    ca_api::Challenge {
        id: challenge.id,
        state: challenge.state,
        fact: challenge.fact_kind.to_string(),
        subject: challenge.subject,
        sent_to: challenge.sent_to,
        sent_at: challenge.sent_at,
        expires_at: challenge.expires_at,
        answered_at: challenge.answered_at,
    }
}
