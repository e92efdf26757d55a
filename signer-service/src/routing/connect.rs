//! Connecting to one of a destination's servers, with all that is asked of it.

use std::net::SocketAddr;
use std::time::Duration;

use smtp::client::{ClientError, Connection, Target, Timeouts, TlsPolicy};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::demand::{Beginning, Demand};
use super::{Destination, Hop, NoRoute, Route, Routes};

/// Why there is no connection to any server of a destination.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Route(#[from] NoRoute),
    /// What the last server that was tried did.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Routes {
    /// A new connection to the first server that can be reached and does what is asked of it.
    pub(crate) async fn connect(&self, destination: &Destination) -> Result<Connection, ConnectError> {
        let route = self.route(destination.route);
        let found = self.find(destination).await?;
        let mut last = None;
        for (hop, address) in attempts(&found.hops) {
            match self.connect_to(route, hop, address).await {
                Ok(connection) => {
                    let tls = connection.tls();
                    tracing::info!(
                        %destination,
                        host = hop.host,
                        address = address.map(|address| address.to_string()),
                        tls = tls.map(|tls| tls.version.as_str()),
                        cipher = tls.map(|tls| tls.cipher_suite.as_str()),
                        demand = hop.demand.name(),
                        "connected to a mail server"
                    );
                    self.counts.connected(&hop.demand, tls.is_some());
                    return Ok(connection);
                }
                Err(error) => {
                    tracing::warn!(
                        %destination,
                        host = hop.host,
                        address = address.map(|address| address.to_string()),
                        demand = hop.demand.name(),
                        %error,
                        cause = std::error::Error::source(&error).map(ToString::to_string),
                        "a mail server could not be used"
                    );
                    self.counts.failed(&hop.demand, &error);
                    // What failed first is the best server, but what TLS says is what an operator has to know.
                    if last.is_none() || is_about_tls(&error) {
                        last = Some(error);
                    }
                }
            }
        }
        match last {
            Some(error) => Err(error.into()),
            // There is at least one server, and each is tried.
            None => Err(ConnectError::Route(NoRoute::NoServer {
                domain: destination.to_string(),
            })),
        }
    }

    async fn connect_to(
        &self,
        route: &Route,
        hop: &Hop,
        address: Option<SocketAddr>,
    ) -> Result<Connection, ClientError> {
        let (policy, config) = hop
            .demand
            .tls(hop.beginning, &route.tls)
            .map_err(|source| ClientError::TlsConfiguration { source })?;
        let first = self.greet(hop, address, policy, &config).await;
        match (&hop.demand, hop.beginning, first) {
            // The mail gets through, but the domain's operator wants to know.
            (Demand::Tested, _, Err(error)) if is_about_tls(&error) => {
                tracing::warn!(host = hop.host, %error, "an MTA-STS policy in testing would have held mail back");
                self.counts.policy_failed();
                self.open_opportunistically(route, hop, address).await
            }
            (Demand::Opportunistic, Beginning::StartTls, Err(error)) if address.is_some() && is_about_tls(&error) => {
                // RFC 7435 section 3: what cannot be encrypted goes in plain text, if nobody has asked for more. Only to the
                // servers of others: what is wrong with one's own should be seen.
                tracing::info!(host = hop.host, %error, "a mail server offers TLS that does not work");
                self.greet(hop, address, TlsPolicy::Never, &route.tls).await
            }
            (_, _, first) => first,
        }
    }

    async fn open_opportunistically(
        &self,
        route: &Route,
        hop: &Hop,
        address: Option<SocketAddr>,
    ) -> Result<Connection, ClientError> {
        match self.greet(hop, address, TlsPolicy::Opportunistic, &route.tls).await {
            Err(error) if is_about_tls(&error) => self.greet(hop, address, TlsPolicy::Never, &route.tls).await,
            other => other,
        }
    }

    async fn greet(
        &self,
        hop: &Hop,
        address: Option<SocketAddr>,
        tls: TlsPolicy,
        config: &std::sync::Arc<rustls::ClientConfig>,
    ) -> Result<Connection, ClientError> {
        let target = Target {
            host: hop.host.clone(),
            port: hop.port,
            tls,
        };
        let timeouts = Timeouts::default();
        let Some(address) = address else {
            return Connection::connect(&target, &self.hostname, config, timeouts).await;
        };
        let failed = |source| ClientError::Connect {
            host: hop.host.clone(),
            port: hop.port,
            source,
        };
        let stream = timeout(CONNECT, TcpStream::connect(address)).await;
        let stream = stream
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(failed)?;
        // Small commands wait for nothing.
        stream.set_nodelay(true).map_err(failed)?;
        Connection::over(stream, &target, &self.hostname, config, timeouts).await
    }
}

/// The servers with their addresses, as many as one attempt may try.
fn attempts(hops: &[Hop]) -> impl Iterator<Item = (&Hop, Option<SocketAddr>)> {
    hops.iter()
        .flat_map(|hop| {
            let by_name = hop.addresses.is_empty().then_some((hop, None));
            let by_address = hop.addresses.iter().map(move |address| (hop, Some(*address)));
            by_name.into_iter().chain(by_address)
        })
        .take(MOST_ADDRESSES)
}

/// Whether the server can be reached and its TLS is what is wrong.
pub(super) fn is_about_tls(error: &ClientError) -> bool {
    use smtp::client::Phase::{Handshake, StartTls};
    matches!(
        error,
        ClientError::TlsNotOffered { .. }
            | ClientError::ServerName { .. }
            | ClientError::Certificate { .. }
            | ClientError::Handshake { .. }
            | ClientError::PlaintextAfterStartTls
            | ClientError::Refused { phase: StartTls, .. }
            | ClientError::TimedOut { phase: Handshake, .. }
    )
}

/// Postfix tries as many (smtp_mx_address_limit); RFC 5321 section 5.1 wants at least two.
const MOST_ADDRESSES: usize = 5;
/// For one of several addresses; 30 seconds each would hold up all mail behind a network that is away.
const CONNECT: Duration = Duration::from_secs(15);
