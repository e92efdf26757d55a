//! `GET /v1/messages/ID`: what became of a message that was queued.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;

use super::Api;
use super::auth::Caller;
use super::problem::HttpProblem;
use crate::error::Error;
use crate::queue::admin::{ListedMessage, listed_message};
use crate::store::queue_submissions as store;

/// A submission, with each of its recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct MessageStatus {
    id: String,
    received_at: String,
    sender: String,
    /// `open` as long as somebody may still get it, then `done`.
    state: &'static str,
    recipients: Vec<RecipientStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct RecipientStatus {
    recipient: String,
    /// `queued`, `held`, `delivered`, `bounced` or `dropped`.
    state: String,
    attempts: i64,
    /// While it is queued.
    next_attempt_at: Option<String>,
    /// What the next mail server said last.
    last_reply: Option<String>,
    updated_at: String,
}

/// Answers whoever has handed the message in, and nobody else: to others there is no such message.
pub(super) async fn show_message(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<MessageStatus>, HttpProblem> {
    let (wanted, token) = (id.clone(), caller.id.clone());
    let found = api
        .gateway
        .db()
        .read(move |conn| store::find(conn, &wanted, &token).map_err(Error::from))
        .await
        .map_err(|error| {
            tracing::error!(%error, "a submission could not be looked up");
            HttpProblem::internal()
        })?;
    let messages: Vec<ListedMessage> = found.into_iter().map(listed_message).collect();
    let Some(first) = messages.first() else {
        let hint = match api.queue {
            Some(_) => "this token has queued no message with this id, or it was forgotten (queue.history_hours)",
            None => "this gateway passes messages on at once and keeps nothing; it has no queue",
        };
        return Err(HttpProblem::new(404, "No such message", hint));
    };
    let (received_at, sender) = (first.received_at.clone(), first.sender.clone());
    let recipients: Vec<RecipientStatus> = messages
        .into_iter()
        .flat_map(|message| message.recipients)
        .map(|recipient| RecipientStatus {
            recipient: recipient.address,
            state: recipient.state,
            attempts: recipient.attempts,
            next_attempt_at: recipient.next_attempt_at,
            last_reply: recipient.last_reply,
            updated_at: recipient.updated_at,
        })
        .collect();
    let is_open = |recipient: &RecipientStatus| ["queued", "held"].contains(&recipient.state.as_str());
    Ok(Json(MessageStatus {
        id,
        received_at,
        sender,
        state: if recipients.iter().any(is_open) { "open" } else { "done" },
        recipients,
    }))
}
