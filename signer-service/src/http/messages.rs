//! `POST /v1/messages`: hands a message in. 200 when the next mail server has it, 202 when it is queued.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::Api;
use super::auth::Caller;
use super::problem::HttpProblem;
use super::submission::{Freshness, Submission, submit};

/// Takes message/rfc822 with `?to=…&to=…&from=…` and the header Idempotency-Key.
pub(super) async fn submit_message(
    State(api): State<Api>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, HttpProblem> {
    let Wanted { from, to } = wanted(query.as_deref())?;
    let idempotency_key = match headers.get("idempotency-key") {
        None => None,
        Some(key) => Some(
            key.to_str()
                .map_err(|_| HttpProblem::bad_request("the Idempotency-Key is not ASCII"))?
                .to_owned(),
        ),
    };
    let submission = Submission {
        from,
        to,
        message: body.to_vec(),
        idempotency_key,
    };
    let (submitted, freshness) = submit(&api, &caller, submission).await?;
    let mut response = match &submitted.id {
        None => Json(submitted).into_response(),
        Some(id) => {
            // Ids are hexadecimal.
            let location = [(header::LOCATION, format!("/v1/messages/{id}"))];
            (StatusCode::ACCEPTED, location, Json(submitted)).into_response()
        }
    };
    if freshness == Freshness::Repeated {
        let name = HeaderName::from_static("idempotent-replayed");
        response.headers_mut().insert(name, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The envelope in a query.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) from: Option<String>,
    pub(super) to: Vec<String>,
}

/// Reads application/x-www-form-urlencoded, in which `to` may stand several times.
pub(super) fn wanted(query: Option<&str>) -> Result<Wanted, HttpProblem> {
    let mut wanted = Wanted::default();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value =
            decoded(value).ok_or_else(|| HttpProblem::bad_request(format!("{name} is not percent-encoded UTF-8")))?;
        match name {
            "from" => wanted.from = Some(value),
            "to" => wanted.to.push(value),
            _ => {
                return Err(HttpProblem::bad_request(format!(
                    "there is no parameter {:?}; there are from and to",
                    name.chars().take(40).collect::<String>()
                )));
            }
        }
    }
    Ok(wanted)
}

/// Percent-decodes; a plus sign stays one, since addresses have it and `curl` sends it as it is.
fn decoded(value: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first != b'%' {
            octets.push(first);
            rest = after;
            continue;
        }
        let digits = str::from_utf8(after.get(..2)?).ok()?;
        octets.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after.get(2..)?;
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_are_read_from_the_query() {
        let read = wanted(Some("to=bob%40example.net&from=alice@example.com&to=a+b@example.net")).unwrap();
        assert_eq!(read.from.as_deref(), Some("alice@example.com"));
        assert_eq!(read.to, ["bob@example.net", "a+b@example.net"]);
        assert_eq!(wanted(None).unwrap(), Wanted::default());
        for bad in ["to=%4", "to=%zz", "to=%ff", "cc=x@example.net", "to=%"] {
            assert!(wanted(Some(bad)).is_err(), "{bad}");
        }
    }
}
