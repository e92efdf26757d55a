//! Starts the gateway and stops it again.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use milter::server::Endpoint;
use policies::time::Clock;
use rand_core::UnwrapErr;
use smtp::server::{Authentication, Extension, Settings};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::filter::Filter;
use crate::gateway::{Gateway, GatewayParts};
use crate::relay::Relay;
use crate::users;

/// Starts gateways.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Opens an initialized data folder and serves it, with the system's randomness.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(folder: &Path, clock: Arc<dyn Clock>) -> Result<Running, Error> {
        Self::serve(Gateway::open(folder, GatewayParts::production(clock)).await?).await
    }

    /// Listens for mail and asks the CA for revocations every quarter of an hour.
    ///
    /// # Errors
    /// The address is taken; the database or the key store is not available.
    pub async fn serve(gateway: Arc<Gateway>) -> Result<Running, Error> {
        gateway.remove_orphaned_keys().await?;
        let config = gateway.config();
        let settings = Settings {
            max_message_size: config.max_message_size,
            tls: Some(gateway.server_tls.clone()),
            authentication: gateway.users.as_ref().map(|users| {
                let random = UnwrapErr(rand::rngs::SysRng);
                let mut authentication = Authentication::new(users.clone(), users.secret(), random);
                authentication.iterations = users::ITERATIONS;
                authentication
            }),
            extensions: if config.next_hop.dsn {
                vec![Extension::DSN]
            } else {
                Vec::new()
            },
            ..Settings::new(&config.hostname)
        };
        let server =
            smtp::server::Server::bind(&config.listen.to_string(), settings, Relay::new(gateway.clone())).await?;
        let smtp_addr = server.local_addr();
        let filter = match &config.milter {
            None => None,
            Some(endpoint) => {
                let settings = milter::server::Settings::new(config.max_message_size);
                Some(milter::server::Server::bind(endpoint, settings, Filter::new(gateway.clone())).await?)
            }
        };
        let milter = filter.as_ref().map(|filter| filter.endpoint().clone());
        let (stop, stopping) = watch::channel(());
        let relay = tokio::spawn(server.run(stopped(stopping.clone())));
        let filter = filter.map(|filter| tokio::spawn(filter.run(stopped(stopping.clone()))));
        let revocations = tokio::spawn(watch_revocations(gateway, stopping));
        Ok(Running {
            smtp_addr,
            milter,
            stop,
            tasks: [relay, revocations].into_iter().chain(filter).collect(),
        })
    }
}

/// A gateway at work. Dropping it stops it, without waiting for what is under way.
#[derive(Debug)]
pub struct Running {
    smtp_addr: SocketAddr,
    milter: Option<Endpoint>,
    stop: watch::Sender<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Where it listens, with the port the system has chosen.
    pub const fn smtp_addr(&self) -> SocketAddr {
        self.smtp_addr
    }

    /// Where a mail server finds the milter, with the port the system has chosen.
    pub const fn milter(&self) -> Option<&Endpoint> {
        self.milter.as_ref()
    }

    /// Takes no more mail, lets transactions end and then returns.
    pub async fn shutdown(self) {
        drop(self.stop);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the gateway ended abnormally");
            }
        }
    }
}

async fn watch_revocations(gateway: Arc<Gateway>, stopping: watch::Receiver<()>) {
    loop {
        tokio::select! {
            () = stopped(stopping.clone()) => return,
            retired = gateway.enroller().retire_revoked() => {
                if let Err(error) = retired {
                    tracing::warn!(%error, "could not look for revoked certificates");
                }
            }
        }
        tokio::select! {
            () = stopped(stopping.clone()) => return,
            () = tokio::time::sleep(REVOCATION_PAUSE) => {}
        }
    }
}

/// Ready when the sender is gone.
async fn stopped(mut stopping: watch::Receiver<()>) {
    while stopping.changed().await.is_ok() {}
}

const REVOCATION_PAUSE: Duration = Duration::from_secs(15 * 60);
