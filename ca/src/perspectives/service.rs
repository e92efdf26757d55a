//! The remote side: `sealwright ca perspective serve`.
//!
//! It looks where an authority with the right token asks it to, and says what is there. It looks nowhere else: CAA
//! records, the two labels at which proofs of control are, and the two folders of a website in which they are; over port
//! 80, at public addresses. It keeps nothing and decides nothing.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use keys::tls::TlsIdentity;
use policies::time::Clock;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::protocol::{LARGEST_REQUEST, PATH, PROOF, SharedToken, WireAnswer, WireObservation, WireRequest};
use super::settings::Settings;
use super::{Observation, Question};
use crate::caa;
use crate::error::Error;
use crate::server::{limit_header_time, listen, log_end};
use crate::validation::control::{self, Fetch};

/// A perspective at work. Dropping it ends it at once; [`Running::shutdown`] lets requests finish.
pub struct Running {
    address: SocketAddr,
    tls_root_pem: String,
    handle: Handle<SocketAddr>,
    tasks: JoinSet<()>,
}

struct Service {
    name: String,
    registry: &'static str,
    network: String,
    token: SharedToken,
    resolver: dns::Resolver,
    fetch: Fetch,
    clock: Arc<dyn Clock>,
    /// How many questions are worked on at once.
    permits: Semaphore,
}

/// Begins to answer. When it returns, it does.
///
/// # Errors
/// The address is in use or not ours, or a file that the settings name cannot be used. Nothing runs then.
pub async fn start(settings: Settings, clock: Arc<dyn Clock>) -> Result<Running, Error> {
    let (listener, address) = listen(settings.listen, "questions of the authority", "listen")?;
    let identity = settings.identity(address, clock.now())?;
    let service = Service {
        name: settings.name.clone(),
        registry: settings.registry.word(),
        network: settings.network.clone(),
        token: settings.token()?,
        resolver: dns::Resolver::new(&settings.dns.resolver()?)?,
        fetch: Fetch::new(settings.website),
        clock,
        permits: Semaphore::new(MOST_AT_ONCE),
    };
    serve(service, listener, address, &identity)
}

fn serve(
    service: Service,
    listener: std::net::TcpListener,
    address: SocketAddr,
    identity: &TlsIdentity,
) -> Result<Running, Error> {
    let router = Router::new()
        .route(PATH, post(answer))
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .with_state(Arc::new(service));
    let tls = RustlsConfig::from_config(identity.server_config());
    let mut server = axum_server::from_tcp_rustls(listener, tls).map_err(|source| Error::Listen {
        address,
        what: "questions of the authority",
        key: "listen",
        source,
    })?;
    limit_header_time(server.http_builder());
    let handle = Handle::new();
    let served = server.handle(handle.clone()).serve(router.into_make_service());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { log_end("questions of the authority", served.await) });
    Ok(Running {
        address,
        tls_root_pem: identity.certificate_pem(),
        handle,
        tasks,
    })
}

impl Running {
    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its TLS certificate in PEM. If it is self-made, this is what the authority trusts.
    pub fn tls_root_pem(&self) -> &str {
        &self.tls_root_pem
    }

    /// Accepts nothing new, lets requests finish for a few seconds, and returns when everything has ended.
    pub async fn shutdown(mut self) {
        self.handle.graceful_shutdown(Some(GRACE));
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

async fn answer(State(service): State<Arc<Service>>, headers: HeaderMap, body: Bytes) -> Response {
    let token = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    if !token.is_some_and(|field| service.token.is_bearer(field)) {
        tracing::warn!("refused a request without the token of the authority");
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response();
    }
    let Ok(_permit) = service.permits.try_acquire() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let request: WireRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return refuse(&error.to_string()),
    };
    if request.number.len() > 100 {
        return refuse("the number is longer than 100 characters");
    }
    let question = match request.question.into_question() {
        Ok(question) => question,
        Err(reason) => return refuse(&reason),
    };
    let observation = match tokio::time::timeout(TIME, service.look(&question)).await {
        Ok(observation) => observation,
        Err(_) => Observation::Nothing {
            reason: format!("looking took longer than {} seconds", TIME.as_secs()),
        },
    };
    let answer = WireAnswer {
        number: request.number,
        perspective: service.name.clone(),
        registry: service.registry.to_owned(),
        network: service.network.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at: service.clock.now().unix(),
        observation: WireObservation::from_observation(observation),
    };
    let Ok(body) = serde_json::to_vec(&answer) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let proof = service.token.prove(&answer.number, &body);
    let headers = [
        (HeaderName::from_static(PROOF), proof),
        (header::CONTENT_TYPE, "application/json".to_owned()),
    ];
    (headers, body).into_response()
}

fn refuse(reason: &str) -> Response {
    tracing::warn!(reason, "refused a question");
    let reason: String = reason.chars().take(200).collect();
    (
        StatusCode::BAD_REQUEST,
        axum::Json(serde_json::json!({ "error": reason })),
    )
        .into_response()
}

impl Service {
    async fn look(&self, question: &Question) -> Observation {
        match question {
            Question::About => Observation::About,
            Question::Caa { domain } => Observation::Caa(caa::find(&self.resolver, domain).await),
            Question::Control { domain, place } => {
                match control::look(&self.resolver, &self.fetch, domain, place).await {
                    Ok(seen) => Observation::Control(seen),
                    Err(problem) => Observation::Nothing {
                        reason: crate::error::chain(&problem),
                    },
                }
            }
        }
    }
}

/// Shorter than the authority waits.
const TIME: Duration = Duration::from_secs(18);
const MOST_AT_ONCE: usize = 64;
const GRACE: Duration = Duration::from_secs(10);
