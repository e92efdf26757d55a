//! Hands labelled mail on, by SMTP or LMTP.

use std::sync::Arc;

use smtp::client::{ClientError, Connection, Target, Timeouts, TlsPolicy};

use crate::config::{Place, Protocol};
use crate::gateway::Gateway;

/// A new connection to where labelled mail goes.
pub(super) async fn connect(gateway: &Gateway, protocol: Protocol, place: &Place) -> Result<Connection, ClientError> {
    let (hello, tls) = (&gateway.config.hostname, Arc::clone(&gateway.delivery_tls));
    let timeouts = Timeouts::default();
    match place {
        Place::Tcp { host, port } => {
            let target = target(host, *port, TlsPolicy::Opportunistic);
            match protocol {
                Protocol::Smtp => Connection::connect(&target, hello, &tls, timeouts).await,
                Protocol::Lmtp => Connection::connect_lmtp(&target, hello, &tls, timeouts).await,
            }
        }
        Place::Unix(path) => {
            let stream = tokio::net::UnixStream::connect(path).await;
            let target = target("localhost", 0, TlsPolicy::Never);
            let stream = stream.map_err(|source| ClientError::Connect {
                host: path.display().to_string(),
                port: 0,
                source,
            })?;
            match protocol {
                Protocol::Smtp => Connection::over(stream, &target, hello, &tls, timeouts).await,
                Protocol::Lmtp => Connection::over_lmtp(stream, &target, hello, &tls, timeouts).await,
            }
        }
    }
}

fn target(host: &str, port: u16, tls: TlsPolicy) -> Target {
    Target {
        host: host.to_owned(),
        port,
        tls,
    }
}
