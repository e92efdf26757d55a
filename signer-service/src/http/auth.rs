//! Who calls: a token, and for whom it may send.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header;
use axum::http::request::Parts;

use super::Api;
use super::problem::HttpProblem;
use crate::tokens;
use crate::users::Rights;

/// A caller whose token was found good. There is no other way to get one.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Of the token.
    pub(super) id: String,
    pub(super) rights: Rights,
    pub(super) address: SocketAddr,
}

impl FromRequestParts<Api> for Caller {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, HttpProblem> {
        let unauthorized = || {
            HttpProblem::new(
                401,
                "Not authorized",
                "send a token, as in \"Authorization: Bearer swg_…\"; `sealwright gateway token add` makes one",
            )
        };
        let ConnectInfo(address) = ConnectInfo::<SocketAddr>::from_request_parts(parts, api)
            .await
            .map_err(|_| HttpProblem::internal())?;
        let value = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let (scheme, token) = value.and_then(|value| value.split_once(' ')).ok_or_else(unauthorized)?;
        if !scheme.eq_ignore_ascii_case("Bearer") {
            return Err(unauthorized());
        }
        match tokens::find(&api.gateway, token.trim()).await {
            Ok(Some((id, rights))) => Ok(Self { id, rights, address }),
            Ok(None) => Err(unauthorized()),
            Err(error) => {
                tracing::error!(%error, "a token could not be looked up");
                Err(HttpProblem::internal())
            }
        }
    }
}
