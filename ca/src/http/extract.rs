//! Bodies and queries, refused with a problem instead of the framework's own words.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::http::problem::HttpProblem;

/// A JSON body; unknown keys are refused by its type.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for JsonBody<T> {
    type Rejection = HttpProblem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, HttpProblem> {
        let is_json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"));
        if !is_json {
            return Err(HttpProblem::media_type("application/json"));
        }
        let RawBody(body) = RawBody::from_request(request, app).await?;
        match serde_json::from_slice(&body) {
            Ok(value) => Ok(Self(value)),
            Err(error) => Err(HttpProblem::malformed(format!(
                "the JSON body is not what belongs here: {error}"
            ))),
        }
    }
}

/// A body as it came, within the limit of its route.
#[derive(Debug)]
pub(super) struct RawBody(pub(super) Bytes);

impl FromRequest<Arc<App>> for RawBody {
    type Rejection = HttpProblem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, HttpProblem> {
        match Bytes::from_request(request, app).await {
            Ok(body) => Ok(Self(body)),
            Err(error) if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE => Err(HttpProblem::too_large()),
            Err(_) => Err(HttpProblem::malformed("the body did not arrive completely")),
        }
    }
}

/// What stands behind the question mark; unknown names are refused by its type.
#[derive(Debug)]
pub(super) struct QueryOf<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for QueryOf<T> {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, HttpProblem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => Err(HttpProblem::malformed(format!(
                "the query is not what belongs here: {}",
                error.body_text()
            ))),
        }
    }
}
