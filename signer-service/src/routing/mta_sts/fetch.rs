//! Fetching the policy file, see RFC 8461 section 3.3.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dns::{Name, Resolver};
use reqwest::{StatusCode, header};
use rustls::ClientConfig;

use crate::routing::exchangers::{Unreachable, addresses};

/// Why there is no policy file.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the policy host {host} has no address")]
    NoAddress { host: String },
    #[error("the address of the policy host {host} could not be found: {reason}")]
    Dns { host: String, reason: String },
    #[error("the policy host could not be talked to: {reason}")]
    Connection { reason: String },
    #[error("the policy host answers {status} instead of 200")]
    Status { status: u16 },
    #[error("the policy host sends {found:?} instead of text/plain")]
    MediaType { found: String },
    #[error("the policy is longer than {} octets", LARGEST)]
    TooLarge,
    #[error("the policy is not text")]
    NotText,
    #[error("fetching the policy took longer than {} seconds", LONGEST.as_secs())]
    TooSlow,
}

/// The text of `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`: with a certificate that is valid for that host, without
/// redirects, within a minute and 64 kB.
pub(super) async fn text(
    resolver: &Resolver,
    domain: &Name,
    tls: &Arc<ClientConfig>,
    port: u16,
) -> Result<String, FetchError> {
    tokio::time::timeout(LONGEST, get(resolver, domain, tls, port))
        .await
        .unwrap_or(Err(FetchError::TooSlow))
}

async fn get(resolver: &Resolver, domain: &Name, tls: &ClientConfig, port: u16) -> Result<String, FetchError> {
    let host = format!("mta-sts.{domain}");
    let no_address = || FetchError::NoAddress { host: host.clone() };
    let name = Name::parse(&host).map_err(|_| no_address())?;
    let found = addresses(resolver, &name).await.map_err(|problem| match problem {
        Unreachable::NoAddress => no_address(),
        Unreachable::Later(reason) => FetchError::Dns {
            host: host.clone(),
            reason,
        },
    })?;
    let places: Vec<SocketAddr> = found
        .addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .resolve_to_addrs(&host, &places)
        .connect_timeout(Duration::from_secs(10))
        .user_agent(concat!("sealwright/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| connection(&error))?;
    let url = match port {
        443 => format!("https://{host}{PATH}"),
        other => format!("https://{host}:{other}{PATH}"),
    };
    let mut response = client.get(url).send().await.map_err(|error| connection(&error))?;
    if response.status() != StatusCode::OK {
        let status = response.status().as_u16();
        return Err(FetchError::Status { status });
    }
    // So that nobody who may put other files there makes a policy.
    let media_type = response.headers().get(header::CONTENT_TYPE);
    let media_type = media_type.map_or("", |value| value.to_str().unwrap_or_default());
    let essence = media_type.split(';').next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case("text/plain") {
        let found = media_type.chars().take(100).collect();
        return Err(FetchError::MediaType { found });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| connection(&error))? {
        if body.len() + chunk.len() > LARGEST {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| FetchError::NotText)
}

/// The innermost cause says most.
fn connection(error: &reqwest::Error) -> FetchError {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reason = error.to_string();
        cause = error.source();
    }
    FetchError::Connection { reason }
}

const PATH: &str = "/.well-known/mta-sts.txt";
/// RFC 8461 section 3.3 suggests 64 kB and one minute.
const LARGEST: usize = 64 * 1024;
const LONGEST: Duration = Duration::from_secs(60);
