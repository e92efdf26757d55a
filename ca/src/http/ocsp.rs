//! OCSP over HTTP (RFC 6960 appendix A, RFC 5019 sections 5 and 6).

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use policies::time::Timestamp;
use sha2::{Digest, Sha256};

use crate::app::App;
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
    Ok(answer(&app, &body).await)
}

/// `GET /ocsp/{base64 of the request}`. The slashes of base64 may stand as they are.
pub(super) async fn get_request(State(app): State<Arc<App>>, Path(request): Path<String>) -> Response {
    // Base64 of the largest request.
    if request.len() > LARGEST_REQUEST.div_ceil(3) * 4 {
        return unsigned(ResponseStatus::MalformedRequest);
    }
    match data_encoding::BASE64.decode(request.as_bytes()) {
        Ok(request) => answer(&app, &request).await,
        Err(_) => unsigned(ResponseStatus::MalformedRequest),
    }
}

async fn answer(app: &App, request: &[u8]) -> Response {
    let answer = match ocsp::answer(app, request).await {
        Ok(answer) => answer,
        Err(status) => return unsigned(status),
    };
    let body = answer.der.to_vec();
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
    // RFC 5019 section 6.2. Five minutes let a revocation spread; the answer itself lasts longer.
    let tag = format!("\"{}\"", data_encoding::HEXLOWER.encode(&Sha256::digest(&body)));
    (
        [
            (header::CONTENT_TYPE, RESPONSE_TYPE.to_owned()),
            (
                header::CACHE_CONTROL,
                "max-age=300, public, no-transform, must-revalidate".to_owned(),
            ),
            (header::LAST_MODIFIED, date(answer.this_update)),
            (header::EXPIRES, date(answer.next_update)),
            (header::ETAG, tag),
        ],
        body,
    )
        .into_response()
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

/// RFC 9110 section 5.6.7.
fn date(instant: Timestamp) -> String {
    let seconds = u64::try_from(instant.unix()).unwrap_or(0);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

const REQUEST_TYPE: &str = "application/ocsp-request";
const RESPONSE_TYPE: &str = "application/ocsp-response";
