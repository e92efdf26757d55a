//! `POST /v1/sign`: gives a message back as the relay would send it.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::Api;
use super::auth::Caller;
use super::messages::wanted;
use super::problem::HttpProblem;
use crate::encryption::header_recipients;
use crate::engine::{copies, reply};
use crate::mime::canonical::canonicalize;
use crate::mime::signed::Smtputf8;
use crate::plan::Envelope;
use crate::treatment::ReversePath;

/// Takes message/rfc822 with `?to=…`; gives message/rfc822.
pub(super) async fn sign_message(
    State(api): State<Api>,
    caller: Caller,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, HttpProblem> {
    let Ok(_room) = api.room.clone().try_acquire_owned() else {
        return Err(HttpProblem::busy());
    };
    let message = canonicalize(&body).into_owned();
    let asked = wanted(query.as_deref())?;
    let recipients = if asked.to.is_empty() {
        header_recipients(&message)
    } else {
        asked.to
    };
    let envelope = Envelope {
        reverse_path: ReversePath::Address,
        recipients: &recipients,
        may_sign_for: &caller.rights.may_sign_for,
        fields: caller.rights.fields,
        now: api.gateway.clock.now(),
    };
    let mut header_lines = message
        .split(|byte| *byte == b'\n')
        .take_while(|line| !line.trim_ascii().is_empty());
    let smtputf8 = if header_lines.any(|line| !line.is_ascii()) {
        Smtputf8::Requested
    } else {
        Smtputf8::NotRequested
    };
    let made = copies(&api.gateway, &message, &envelope, smtputf8).await;
    let made = made.map_err(|error| HttpProblem::refused(&reply(&error)))?;
    match <[_; 1]>::try_from(made) {
        Ok([only]) => Ok(([(header::CONTENT_TYPE, "message/rfc822")], only.message).into_response()),
        Err(several) => {
            let groups: Vec<String> = several.iter().map(|copy| copy.recipients.join(", ")).collect();
            Err(HttpProblem::new(
                422,
                "Several copies",
                format!(
                    "the recipients get different copies; ask for one of these at a time, with to: {}",
                    groups.join("; ")
                ),
            ))
        }
    }
}
