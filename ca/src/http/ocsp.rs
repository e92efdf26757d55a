//! OCSP over HTTP (RFC 6960 appendix A, RFC 5019 sections 5 and 6).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use policies::time::Span;

use crate::app::App;
use crate::http::cache::Cacheable;
use crate::http::problem::HttpProblem;
use crate::ocsp::{self, LARGEST_REQUEST, ResponseStatus};

/// `POST /ocsp` with the request in DER.
pub(super) async fn post_request(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, HttpProblem> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if media_type.map(str::trim) != Some(REQUEST_TYPE) {
        return Err(HttpProblem::media_type(REQUEST_TYPE));
    }
    // An answer to POST is not cached by HTTP, so there is nothing to compare with.
    Ok(answer(&app, &body, &HeaderMap::new()).await)
}

/// `GET /ocsp/{base64 of the request}`. The slashes of base64 may stand as they are.
pub(super) async fn get_request(
    State(app): State<Arc<App>>,
    Path(request): Path<String>,
    headers: HeaderMap,
) -> Response {
    // Base64 of the largest request.
    if request.len() > LARGEST_REQUEST.div_ceil(3) * 4 {
        return unsigned(ResponseStatus::MalformedRequest);
    }
    match data_encoding::BASE64.decode(request.as_bytes()) {
        Ok(request) => answer(&app, &request, &headers).await,
        Err(_) => unsigned(ResponseStatus::MalformedRequest),
    }
}

async fn answer(app: &App, request: &[u8], headers: &HeaderMap) -> Response {
    let answer = match ocsp::answer(app, request).await {
        Ok(answer) => answer,
        Err(status) => return unsigned(status),
    };
    let body = Bytes::from_owner(Arc::clone(&answer.der));
    if !answer.is_for_everybody {
        return (
            [
                (header::CONTENT_TYPE, RESPONSE_TYPE),
                (header::CACHE_CONTROL, "no-store"),
            ],
            body,
        )
            .into_response();
    }
    // RFC 5019 section 6.2.
    let cacheable = Cacheable {
        media_type: RESPONSE_TYPE,
        directives: "public, no-transform, must-revalidate",
        ask_again_after: ANSWER_AGE,
        tag: answer.tag.to_string(),
        last_modified: answer.this_update,
        // A revocation may follow an answer within a second.
        shares_its_second: true,
        expires: Some(answer.next_update),
    };
    cacheable.answer(app.now(), headers, body)
}

/// Always 200: that it is no answer stands in the body.
fn unsigned(status: ResponseStatus) -> Response {
    (
        StatusCode::OK,
        [
            (header::CONTENT_TYPE, RESPONSE_TYPE),
            (header::CACHE_CONTROL, "no-store"),
        ],
        ocsp::unsigned(status),
    )
        .into_response()
}

/// Five minutes let a revocation spread; the answer itself lasts longer.
const ANSWER_AGE: Span = Span::seconds(300);
const REQUEST_TYPE: &str = "application/ocsp-request";
const RESPONSE_TYPE: &str = "application/ocsp-response";
