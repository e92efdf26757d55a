//! The HTTP API: systems hand in mail, or have it signed, with a token that is bound to senders.
//!
//! What is handed in goes the way of all mail: the same policy, the same relay or queue, the same answers.

mod auth;
mod batches;
mod messages;
mod problem;
mod sign;
mod status;
mod submission;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use crate::gateway::Gateway;
use crate::queue::Queue;

/// What every handler works with.
#[derive(Clone)]
pub(crate) struct Api {
    gateway: Arc<Gateway>,
    /// Where messages go if the gateway has a queue; to the next hop at once otherwise.
    queue: Option<Arc<Queue>>,
    /// Messages in memory at a time.
    room: Arc<Semaphore>,
}

pub(crate) fn router(gateway: Arc<Gateway>, queue: Option<Arc<Queue>>) -> Router {
    let limit = gateway.config.max_message_size;
    let api = Api {
        gateway,
        queue,
        room: Arc::new(Semaphore::new(MOST_AT_ONCE)),
    };
    Router::new()
        .route("/v1/messages", post(messages::submit_message))
        .route("/v1/sign", post(sign::sign_message))
        .layer(DefaultBodyLimit::max(limit))
        .route("/v1/messages/{id}", get(status::show_message))
        .route(
            "/v1/batches",
            post(batches::submit_batch).layer(DefaultBodyLimit::disable()),
        )
        .fallback(problem::not_found)
        .with_state(api)
}

/// As many as a relay has connections for, half of them.
const MOST_AT_ONCE: usize = 50;
