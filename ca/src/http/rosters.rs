//! `/v1/rosters`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use crate::accounts::Caller;
use crate::app::App;
use crate::http::extract::{JsonBody, QueryOf, RawBody};
use crate::http::problem::HttpProblem;
use crate::validation::roster::{self, Import};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportQuery {
    organization: Option<String>,
    #[serde(default)]
    partial: bool,
    #[serde(default)]
    dry_run: bool,
}

/// 201 when the roster waits for an officer, 200 when the report is all there is.
pub(super) async fn import_roster(
    State(app): State<Arc<App>>,
    caller: Caller,
    QueryOf(query): QueryOf<ImportQuery>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<(StatusCode, Json<ca_api::RosterReport>), HttpProblem> {
    let member = caller.as_member("hand in rosters")?;
    let is_csv = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("text/csv"));
    if !is_csv {
        return Err(HttpProblem::media_type("text/csv"));
    }
    let import = Import {
        organization: query.organization,
        partial: query.partial,
        dry_run: query.dry_run,
    };
    let report = roster::import(&app, &caller, member.account(), &body, import).await?;
    let status = match report.id {
        Some(_) => StatusCode::CREATED,
        None => StatusCode::OK,
    };
    Ok((status, Json(report)))
}

pub(super) async fn list_rosters(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Vec<ca_api::Roster>>, HttpProblem> {
    Ok(Json(roster::list(&app, &caller).await?))
}

pub(super) async fn show_roster(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ca_api::Roster>, HttpProblem> {
    Ok(Json(roster::find(&app, &caller, &id).await?))
}

pub(super) async fn decide_roster(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(decision): JsonBody<ca_api::RosterDecision>,
) -> Result<Json<ca_api::Roster>, HttpProblem> {
    let officer = caller.as_officer("decide rosters")?;
    Ok(Json(roster::decide(&app, officer, &id, &decision).await?))
}
