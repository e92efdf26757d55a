//! What the gateway counts, in the text format of Prometheus.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::gateway::Gateway;
use crate::store::queue as store;

/// Counters since the start of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(crate) queued: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) deferred: AtomicU64,
    pub(crate) bounced: AtomicU64,
    pub(crate) notices: AtomicU64,
    pub(crate) storage_failures: AtomicU64,
}

impl Metrics {
    pub(crate) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn render(&self) -> String {
        let mut text = String::new();
        for (name, help, counter) in [
            (
                "messages_queued",
                "Copies of messages that were taken charge of.",
                &self.queued,
            ),
            (
                "recipients_delivered",
                "Recipients whose mail the next mail server has taken.",
                &self.delivered,
            ),
            (
                "recipients_deferred",
                "Attempts that failed for now, by recipient.",
                &self.deferred,
            ),
            ("recipients_bounced", "Recipients that were given up.", &self.bounced),
            (
                "notices_sent",
                "Delivery status notifications that were queued.",
                &self.notices,
            ),
            (
                "storage_failures",
                "Message bodies that could not be read.",
                &self.storage_failures,
            ),
        ] {
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "# HELP sealwright_gateway_{name}_total {help}\n# TYPE sealwright_gateway_{name}_total counter\nsealwright_gateway_{name}_total {}\n",
                counter.load(Ordering::Relaxed)
            );
        }
        text
    }
}

pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new().route("/metrics", get(show_metrics)).with_state(gateway)
}

async fn show_metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    let counted = gateway
        .db
        .read(|conn| store::counts(conn).map_err(crate::error::Error::from))
        .await;
    let counts = match counted {
        Ok(counted) => counted,
        Err(error) => {
            tracing::error!(%error, "the queue could not be counted");
            return (StatusCode::SERVICE_UNAVAILABLE, "the database is not available\n").into_response();
        }
    };
    let mut text = gateway.metrics.render();
    gateway.routes.counts.render(&mut text);
    text.push_str("# HELP sealwright_gateway_queue_recipients Recipients in the queue, whichever node has them.\n# TYPE sealwright_gateway_queue_recipients gauge\n");
    for state in [store::RecipientState::Queued, store::RecipientState::Held] {
        let count = counts
            .recipients
            .iter()
            .find(|(known, _)| *known == state)
            .map_or(0, |(_, count)| *count);
        let _ = writeln!(text, "sealwright_gateway_queue_recipients{{state=\"{state}\"}} {count}");
    }
    let age = counts
        .oldest
        .map_or(0, |oldest| (gateway.clock.now().unix() - oldest).max(0));
    let _ = write!(
        text,
        "# HELP sealwright_gateway_queue_oldest_seconds Age of the oldest message in the queue.\n# TYPE sealwright_gateway_queue_oldest_seconds gauge\nsealwright_gateway_queue_oldest_seconds {age}\n"
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
