//! Starts the gateway and stops it again.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use milter::server::Endpoint;
use policies::time::Clock;
use rand_core::UnwrapErr;
use smtp::server::{Authentication, Extension, Settings};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::filter::Filter;
use crate::gateway::{Gateway, GatewayParts};
use crate::http;
use crate::inbound::{Inbound, InboundFilter};
use crate::queue::config::{Door, Mode};
use crate::queue::door::QueueRelay;
use crate::queue::{Queue, metrics};
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

    /// Listens for mail and asks the CA for revocations twice a minute.
    ///
    /// # Errors
    /// The address is taken; the database or the key store is not available.
    pub async fn serve(gateway: Arc<Gateway>) -> Result<Running, Error> {
        gateway.remove_orphaned_keys().await?;
        let config = gateway.config();
        let settings = |extensions| Settings {
            max_message_size: config.max_message_size,
            tls: Some(gateway.server_tls.clone()),
            authentication: gateway.users.as_ref().map(|users| {
                let random = UnwrapErr(rand::rngs::SysRng);
                let mut authentication = Authentication::new(users.clone(), users.secret(), random);
                authentication.iterations = users::ITERATIONS;
                authentication
            }),
            extensions,
            ..Settings::new(&config.hostname)
        };
        let first = Door {
            listen: config.listen,
            mode: config.mode,
        };
        let doors: Vec<Door> = [first].into_iter().chain(config.doors.iter().copied()).collect();
        let (queue, queue_tasks) = match doors.iter().any(|door| door.mode == Mode::Queue) {
            true => {
                let (queue, tasks) = Queue::start(gateway.clone()).await?;
                (Some(queue), tasks)
            }
            false => (None, Vec::new()),
        };
        let (stop, stopping) = watch::channel(());
        let mut addresses = Vec::new();
        let mut tasks = Vec::new();
        for door in doors {
            let address = door.listen.to_string();
            let (address, task) = match (door.mode, &queue) {
                (Mode::Queue, Some(queue)) => {
                    let relay = QueueRelay::new(queue.clone());
                    let server = smtp::server::Server::bind(&address, settings(vec![Extension::DSN]), relay).await?;
                    (server.local_addr(), tokio::spawn(server.run(stopped(stopping.clone()))))
                }
                _ => {
                    let extensions = if config.next_hop.dsn {
                        vec![Extension::DSN]
                    } else {
                        Vec::new()
                    };
                    let relay = Relay::new(gateway.clone());
                    let server = smtp::server::Server::bind(&address, settings(extensions), relay).await?;
                    (server.local_addr(), tokio::spawn(server.run(stopped(stopping.clone()))))
                }
            };
            addresses.push(address);
            tasks.push(task);
        }
        let metrics = match &config.metrics {
            None => None,
            Some(metrics) => {
                let failed = |source| Error::Listen {
                    address: metrics.listen,
                    source,
                };
                let listener = TcpListener::bind(metrics.listen).await.map_err(failed)?;
                let address = listener.local_addr().map_err(failed)?;
                let serve = axum::serve(listener, metrics::router(gateway.clone()));
                let serve = serve.with_graceful_shutdown(stopped(stopping.clone()));
                tasks.push(tokio::spawn(async move {
                    if let Err(error) = serve.await {
                        tracing::error!(%error, "the figures are no longer served");
                    }
                }));
                Some(address)
            }
        };
        let filter = match &config.milter {
            None => None,
            Some(endpoint) => {
                let settings = milter::server::Settings::new(config.max_message_size);
                Some(milter::server::Server::bind(endpoint, settings, Filter::new(gateway.clone())).await?)
            }
        };
        let milter = filter.as_ref().map(|filter| filter.endpoint().clone());
        let (mut inbound, mut inbound_filter) = (None, None);
        if let Some(settings) = &config.inbound {
            if let Some(listen) = settings.listen {
                let smtp = Settings {
                    max_message_size: config.max_message_size,
                    tls: Some(gateway.server_tls.clone()),
                    ..Settings::new(&config.hostname)
                };
                let service = Inbound::new(gateway.clone());
                inbound = Some(smtp::server::Server::bind(&listen.to_string(), smtp, service).await?);
            }
            if let Some(endpoint) = &settings.milter {
                let settings = milter::server::Settings::new(config.max_message_size);
                let service = InboundFilter::new(gateway.clone());
                inbound_filter = Some(milter::server::Server::bind(endpoint, settings, service).await?);
            }
        }
        let api = match config.api {
            None => None,
            Some(address) => {
                let failed = |source| Error::Listen { address, source };
                let listener = std::net::TcpListener::bind(address).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                let tls = RustlsConfig::from_config(gateway.server_tls.clone());
                let server = axum_server::from_tcp_rustls(listener, tls).map_err(failed)?;
                let service =
                    http::router(gateway.clone(), queue.clone()).into_make_service_with_connect_info::<SocketAddr>();
                Some((bound, server, service))
            }
        };
        let inbound_addr = inbound.as_ref().map(smtp::server::Server::local_addr);
        let inbound_milter = inbound_filter.as_ref().map(|filter| filter.endpoint().clone());
        let api_addr = api.as_ref().map(|(bound, ..)| *bound);
        let api = api.map(|(_, server, service)| {
            let handle = axum_server::Handle::new();
            let (stopping, at_stop) = (stopping.clone(), handle.clone());
            tokio::spawn(async move {
                stopped(stopping).await;
                at_stop.graceful_shutdown(Some(SHUTDOWN_PATIENCE));
            });
            tokio::spawn(async move {
                if let Err(error) = server.handle(handle).serve(service).await {
                    tracing::error!(%error, "the HTTP API ended");
                }
            })
        });
        let inbound = inbound.map(|server| tokio::spawn(server.run(stopped(stopping.clone()))));
        let inbound_filter = inbound_filter.map(|filter| tokio::spawn(filter.run(stopped(stopping.clone()))));
        tasks.extend(inbound);
        tasks.extend(inbound_filter);
        tasks.extend(api);
        tasks.extend(filter.map(|filter| tokio::spawn(filter.run(stopped(stopping.clone())))));
        tasks.push(tokio::spawn(close_idle(gateway.clone(), stopping.clone())));
        tasks.push(tokio::spawn(watch_revocations(gateway, stopping)));
        Ok(Running {
            addresses,
            milter,
            inbound_addr,
            inbound_milter,
            api_addr,
            metrics,
            stop,
            tasks,
            queue,
            queue_tasks,
        })
    }
}

/// A gateway at work. Dropping it stops it, without waiting for what is under way.
#[derive(Debug)]
pub struct Running {
    /// At least one.
    addresses: Vec<SocketAddr>,
    milter: Option<Endpoint>,
    inbound_addr: Option<SocketAddr>,
    inbound_milter: Option<Endpoint>,
    api_addr: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    stop: watch::Sender<()>,
    tasks: Vec<JoinHandle<()>>,
    queue: Option<Arc<Queue>>,
    queue_tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Where it listens, with the port the system has chosen.
    pub fn smtp_addr(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The same for all its doors, the first one first.
    pub fn doors(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where Prometheus finds the figures.
    pub const fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Where the HTTP API is, if there is one.
    pub const fn api_addr(&self) -> Option<SocketAddr> {
        self.api_addr
    }

    /// Where incoming mail is taken, if it is.
    pub const fn inbound_addr(&self) -> Option<SocketAddr> {
        self.inbound_addr
    }

    /// Where a mail server finds the milter for incoming mail.
    pub const fn inbound_milter(&self) -> Option<&Endpoint> {
        self.inbound_milter.as_ref()
    }

    /// Where a mail server finds the milter, with the port the system has chosen.
    pub const fn milter(&self) -> Option<&Endpoint> {
        self.milter.as_ref()
    }

    /// Takes no more mail, lets transactions and then deliveries end, and returns. What is still queued stays queued.
    pub async fn shutdown(self) {
        drop(self.stop);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the gateway ended abnormally");
            }
        }
        if let Some(queue) = &self.queue {
            queue.stop().await;
        }
        for task in self.queue_tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the gateway ended abnormally");
            }
        }
    }
}

/// Connections to mail servers that nobody came back for.
async fn close_idle(gateway: Arc<Gateway>, stopping: watch::Receiver<()>) {
    let sweep = async {
        loop {
            tokio::time::sleep(SWEEP).await;
            gateway.routes.sweep();
        }
    };
    tokio::select! {
        () = sweep => {}
        () = stopped(stopping) => {}
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

/// A revocation is to be noticed within a minute, the question and its answer included.
const REVOCATION_PAUSE: Duration = Duration::from_secs(30);

/// Much shorter than connections are kept.
const SWEEP: Duration = Duration::from_secs(5);

/// As long as open SMTP transactions have.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(30);
