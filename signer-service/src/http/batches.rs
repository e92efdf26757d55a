//! `POST /v1/batches`: many messages in one request, and an answer to each as soon as there is one.
//!
//! Request and response are lines of JSON. A line is worked on while the next ones are still on their way, one at a
//! time and in their order, so that neither side has to hold more than one message.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use data_encoding::BASE64;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::Api;
use super::auth::Caller;
use super::problem::HttpProblem;
use super::submission::{Freshness, Submission, submit};

/// One line of the request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    from: Option<String>,
    #[serde(default)]
    to: Vec<String>,
    /// The message in base64.
    message: Option<String>,
    /// The message as it is, if it is UTF-8.
    text: Option<String>,
    idempotency_key: Option<String>,
}

pub(super) async fn submit_batch(State(api): State<Api>, caller: Caller, body: Body) -> Response {
    let (results, waiting) = mpsc::channel::<Bytes>(1);
    tokio::spawn(async move {
        let longest = api.gateway.config.max_message_size / 3 * 4 + ENVELOPE;
        let mut incoming = body.into_data_stream();
        let mut buffer: Vec<u8> = Vec::new();
        let mut number = 0_u64;
        loop {
            // 1. A whole line, or the rest if nothing comes any more.
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let line: Vec<u8> = match end {
                Some(end) => buffer.drain(..=end).collect(),
                None if buffer.len() > longest => {
                    number += 1;
                    let problem = HttpProblem::new(
                        413,
                        "Too large",
                        "the line is longer than a message may be; the rest was not read",
                    );
                    let _ = results.send(result(number, Err(problem))).await;
                    return;
                }
                None => match incoming.next().await {
                    Some(Ok(more)) => {
                        buffer.extend_from_slice(&more);
                        continue;
                    }
                    Some(Err(error)) => {
                        tracing::info!(%error, "a batch was cut off");
                        return;
                    }
                    None if buffer.is_empty() => return,
                    None => std::mem::take(&mut buffer),
                },
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            // 2. Its message; and nobody is left waiting who does not wait any more.
            number += 1;
            let outcome = match parse(&line) {
                Ok(submission) => submit(&api, &caller, submission).await,
                Err(problem) => Err(problem),
            };
            if results.send(result(number, outcome)).await.is_err() {
                return;
            }
        }
    });
    let lines = stream::unfold(waiting, |mut waiting| async move {
        let line = waiting.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), waiting))
    });
    (
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(lines),
    )
        .into_response()
}

fn parse(line: &[u8]) -> Result<Submission, HttpProblem> {
    let line: Line = serde_json::from_slice(line).map_err(|error| HttpProblem::bad_request(error.to_string()))?;
    let message = match (line.message, line.text) {
        (Some(message), None) => BASE64
            .decode(message.as_bytes())
            .map_err(|error| HttpProblem::bad_request(format!("message is not base64: {error}")))?,
        (None, Some(text)) => text.into_bytes(),
        _ => return Err(HttpProblem::bad_request("give either message (base64) or text")),
    };
    Ok(Submission {
        from: line.from,
        to: line.to,
        message,
        idempotency_key: line.idempotency_key,
    })
}

fn result(number: u64, outcome: Result<(super::submission::Submitted, Freshness), HttpProblem>) -> Bytes {
    let mut line = match outcome {
        Ok((submitted, freshness)) => {
            let mut line = json!({
                "line": number,
                "status": if submitted.id.is_some() { 202 } else { 200 },
                "replayed": freshness == Freshness::Repeated,
                "accepted": submitted.accepted,
                "refused": submitted.refused,
                "answer": submitted.answer,
            });
            if let (Some(id), Some(line)) = (submitted.id, line.as_object_mut()) {
                line.insert("id".to_owned(), json!(id));
            }
            line
        }
        Err(problem) => {
            let mut line = problem.to_json();
            if let Some(line) = line.as_object_mut() {
                line.insert("line".to_owned(), json!(number));
            }
            line
        }
    }
    .to_string()
    .into_bytes();
    line.push(b'\n');
    line.into()
}

/// Room for the recipients of a message and their names.
const ENVELOPE: usize = 256 * 1024;
