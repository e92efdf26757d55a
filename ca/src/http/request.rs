//! What surrounds every request: an identifier, limits, headers for browsers, and one line in the log.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use crate::http::problem::{Explained, HttpProblem};

/// How many requests are worked on at once.
#[derive(Debug, Clone)]
pub(super) struct Limits(Arc<Semaphore>);

impl Limits {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST_AT_ONCE)))
    }
}

/// Runs a request within the limits and finishes its answer.
pub(super) async fn handle(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let id = next_id();
    let method = request.method().clone();
    // The pattern, never the path: a path may hold an address or the link of a challenge.
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("(none)", MatchedPath::as_str)
        .to_owned();

    let mut response = match limits.0.try_acquire() {
        Ok(_permit) => match tokio::time::timeout(TIMEOUT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => HttpProblem::busy("the request took too long").into_response(),
        },
        Err(_) => HttpProblem::busy("too many requests are being worked on").into_response(),
    };

    let explained = response.extensions_mut().remove::<Explained>();
    let status = response.status().as_u16();
    match &explained {
        Some(explained) if status >= 500 => {
            tracing::error!(request = id, %method, path, status, error = explained.cause, "could not answer a request");
        }
        Some(explained) => {
            tracing::info!(request = id, %method, path, status, error = explained.cause, "refused a request");
        }
        None => tracing::debug!(request = id, %method, path, status, "answered a request"),
    }
    if let Some(explained) = explained {
        response = explained.render(&id, response.headers());
    }
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    response
}

/// Unique within a process and, by the random beginning, in practice between processes.
fn next_id() -> String {
    static PROCESS: OnceLock<u32> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // The low half of a 64-bit hash.
    let process = PROCESS.get_or_init(|| {
        (RandomState::new().hash_one(0_u8) & 0xffff_ffff)
            .try_into()
            .unwrap_or(0)
    });
    format!("{process:08x}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Nothing here is meant to be framed, sniffed, kept by a proxy, or told to another site; pages say for themselves what
/// they may load.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("x-robots-tag"), "noindex"),
];
const MOST_AT_ONCE: usize = 256;
/// Longer than a write waits for the database, shorter than a client waits for us.
const TIMEOUT: Duration = Duration::from_secs(25);
