//! The two listeners: the API over TLS, and CRLs and certificates over plain HTTP.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use keys::tls::TlsIdentity;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::acme::receiver::{self, Receiver};
use crate::app::App;
use crate::error::{self, Error};
use crate::http::router;
use crate::jobs;
use crate::ocsp;

/// Starts certificate authorities.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Opens both listeners and begins to serve and to run the jobs. When it returns, both answer.
    ///
    /// # Errors
    /// An address is in use or not ours, or the TLS identity cannot be opened. Nothing runs then.
    pub async fn start(app: Arc<App>) -> Result<Running, Error> {
        let config = app.config();
        let (api, api_address) = listen(config.listen, "the API", "listen")?;
        let (public, public_address) = listen(config.public_listen, "CRLs and certificates", "public_listen")?;
        let identity = tls_identity(&app, api_address)?;
        let tls_root_pem = identity.certificate_pem();
        // A second server over the same App keeps the first address in its links; both are right.
        let _ = app.listening_at.set(api_address);

        let unusable = |what, key, address| {
            move |source| Error::Listen {
                address,
                what,
                key,
                source,
            }
        };
        let tls = RustlsConfig::from_config(identity.server_config());
        let mut api = axum_server::from_tcp_rustls(api, tls).map_err(unusable("the API", "listen", api_address))?;
        limit_header_time(api.http_builder());
        let mut public = axum_server::from_tcp(public).map_err(unusable(
            "CRLs and certificates",
            "public_listen",
            public_address,
        ))?;
        limit_header_time(public.http_builder());

        let replies = match &config.acme {
            None => None,
            Some(acme) => {
                let mut settings = receiver::settings(&acme.hostname);
                settings.tls = Some(identity.server_config());
                let address = acme.listen.to_string();
                let server = smtp::server::Server::bind(&address, settings, Receiver(Arc::clone(&app))).await;
                Some(server.map_err(Error::MailReceiver)?)
            }
        };
        let replies_address = replies.as_ref().map(smtp::server::Server::local_addr);

        let api_handle = Handle::new();
        let public_handle = Handle::new();
        let (stop_jobs, mut stopped) = watch::channel(());
        let mut stop_replies = stop_jobs.subscribe();
        let mut tasks = JoinSet::new();
        let api_service = router::api(Arc::clone(&app)).into_make_service();
        let served = api.handle(api_handle.clone()).serve(api_service);
        tasks.spawn(async move { log_end("the API", served.await) });
        let public_service = router::public(Arc::clone(&app)).into_make_service();
        let served = public.handle(public_handle.clone()).serve(public_service);
        tasks.spawn(async move { log_end("CRLs and certificates", served.await) });
        if let Some(replies) = replies {
            tasks.spawn(async move {
                let until_stopped = async move {
                    let _ = stop_replies.changed().await;
                };
                replies.run(until_stopped).await;
            });
        }
        if app.config().ocsp.enabled {
            let (app, mut stopped) = (Arc::clone(&app), stop_jobs.subscribe());
            tasks.spawn(async move {
                let until_stopped = async move {
                    let _ = stopped.changed().await;
                };
                ocsp::watch(app, until_stopped).await;
            });
        }
        let jobs_app = Arc::clone(&app);
        tasks.spawn(async move {
            let until_stopped = async move {
                // An error means that the sender is gone, which is a stop as well.
                let _ = stopped.changed().await;
            };
            jobs::run(jobs_app, until_stopped).await;
        });

        Ok(Running {
            acme_directory: crate::acme::operations::directory(&app).ok(),
            api_url: app.api_url(),
            public_url: format!("http://{public_address}"),
            tls_root_pem,
            api_address,
            public_address,
            replies_address,
            handles: [api_handle, public_handle],
            stop_jobs,
            tasks,
        })
    }
}

/// A certificate authority at work. Dropping it ends it at once; [`Running::shutdown`] lets requests finish.
pub struct Running {
    api_url: String,
    acme_directory: Option<String>,
    public_url: String,
    tls_root_pem: String,
    api_address: SocketAddr,
    public_address: SocketAddr,
    replies_address: Option<SocketAddr>,
    handles: [Handle<SocketAddr>; 2],
    stop_jobs: watch::Sender<()>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Where clients reach the API: `https://…`.
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// Where the public listener is on this machine: `http://…`. Certificates carry the configured `public_url`.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The certificates of the API's TLS identity in PEM. If it is self-made, this is what its clients trust.
    pub fn tls_root_pem(&self) -> &str {
        &self.tls_root_pem
    }

    /// The address that was bound for the API.
    pub fn api_address(&self) -> SocketAddr {
        self.api_address
    }

    /// The address that was bound for CRLs and certificates.
    pub fn public_address(&self) -> SocketAddr {
        self.public_address
    }

    /// Where ACME clients begin, if ca.toml has a section `[acme]`.
    pub fn acme_directory(&self) -> Option<&str> {
        self.acme_directory.as_deref()
    }

    /// The address that was bound for replies to ACME challenges, if ca.toml has a section [acme].
    pub fn replies_address(&self) -> Option<SocketAddr> {
        self.replies_address
    }

    /// Accepts nothing new, lets requests finish for a few seconds, and returns when everything has ended.
    pub async fn shutdown(mut self) {
        for handle in &self.handles {
            handle.graceful_shutdown(Some(GRACE));
        }
        self.stop_jobs.send_replace(());
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
        for handle in &self.handles {
            handle.shutdown();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("api_url", &self.api_url)
            .field("public_url", &self.public_url)
            .finish_non_exhaustive()
    }
}

pub(crate) fn listen(
    address: SocketAddr,
    what: &'static str,
    key: &'static str,
) -> Result<(TcpListener, SocketAddr), Error> {
    let open = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    open().map_err(|source| Error::Listen {
        address,
        what,
        key,
        source,
    })
}

/// The configured identity, or a self-made one for every name under which this listener can be reached.
fn tls_identity(app: &App, bound: SocketAddr) -> Result<TlsIdentity, Error> {
    let config = app.config();
    if let Some(files) = &config.tls {
        return TlsIdentity::from_pem_files(&files.certificate, &files.key).map_err(Error::Tls);
    }
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let configured = config.api_url.as_ref().map(|url| url.host().to_owned());
    let address = (!bound.ip().is_unspecified()).then(|| bound.ip().to_string());
    for name in [configured, address].into_iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    TlsIdentity::self_made_in(&config.folder, &app.sealing, &names, app.now().unix()).map_err(Error::Tls)
}

/// A client that opens a connection and says nothing, or says it slowly, must not hold it for ever.
pub(crate) fn limit_header_time(builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>) {
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
}

pub(crate) fn log_end(what: &'static str, ended: std::io::Result<()>) {
    if let Err(error) = ended {
        tracing::error!(listener = what, error = error::chain(&error), "a listener ended");
    }
}

/// Requests take at most 25 s; a shutdown does not wait for the slowest.
const GRACE: Duration = Duration::from_secs(10);
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
