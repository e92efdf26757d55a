//! Who calls: extractors that exist only for a token that was found.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use crate::accounts::{self, Caller};
use crate::app::App;
use crate::error::Error;
use crate::http::problem::HttpProblem;

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, HttpProblem> {
        let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Error::Unauthenticated {
                reason: "there is not exactly one Authorization field",
            }
            .into());
        };
        // RFC 9110 11.1: the scheme is case-insensitive.
        let token = value
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim_matches(' ')));
        let Some(token) = token else {
            return Err(Error::Unauthenticated {
                reason: "it is not a bearer token",
            }
            .into());
        };
        Ok(accounts::authenticate(app, token).await?)
    }
}
