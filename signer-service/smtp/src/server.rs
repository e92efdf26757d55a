//! Receives mail: the protocol is spoken here, what to answer is decided by a [`Session`].
//!
//! A session that forwards each command to another server and returns its replies makes a pass-through relay; one
//! that keeps what it gets makes a mailbox, as [`crate::sink`] does.

mod budget;
mod connection;
mod receiver;
mod request;

use std::future::Future;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use self::budget::Budget;

pub use crate::envelope::{Body, MailFrom, Parameter, RcptTo};
pub use crate::reply::Reply;
pub use crate::tls::TlsInfo;

/// Makes a [`Session`] for every connection.
pub trait Service: Send + Sync + 'static {
    type Session: Session + 'static;

    /// Takes a new connection, or tells it in the greeting why not; 421 and 554 are the codes for that.
    fn connect(&self, peer: SocketAddr) -> Result<Self::Session, Reply>;
}

/// Answers the commands of one connection.
///
/// The connection has already checked syntax, order, sizes and counts: `mail` comes only outside of a transaction,
/// `rcpt` only after a positive reply to `mail`, `data` only after one to `rcpt`. A reply with code 421 closes the
/// connection after it was sent. When the client disappears the session is dropped.
pub trait Session: Send {
    /// The client has said EHLO or HELO, for the first time or again. Comes before every first `mail`, and again
    /// after STARTTLS.
    fn greeted(&mut self, peer: &Peer) {
        let _ = peer;
    }

    /// Opens a transaction if the reply is positive.
    fn mail(&mut self, from: MailFrom) -> impl Future<Output = Reply> + Send;

    /// Adds a recipient if the reply is positive.
    fn rcpt(&mut self, to: RcptTo) -> impl Future<Output = Reply> + Send;

    /// Gets the message: CRLF line ends only, no NUL, dots unstuffed, not longer than the limit; it may hold 8-bit
    /// octets and lines of any length, also when BODY=8BITMIME was not given. The transaction ends with this,
    /// whatever the reply.
    fn data(&mut self, message: Vec<u8>) -> impl Future<Output = Reply> + Send;

    /// The open transaction ends without `data`.
    fn reset(&mut self) -> impl Future<Output = ()> + Send;

    /// TLS has been negotiated. Everything the client said before is void, see RFC 3207 section 4.2.
    fn tls_started(&mut self) {}
}

/// Who is at the other end, for policy and for a Received header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub address: SocketAddr,
    /// What the client calls itself in EHLO or HELO: a claim, of letters, digits and `-._:[]` only.
    pub helo: String,
    pub hello: Hello,
    pub tls: Option<TlsInfo>,
}

/// Which of the two greetings the client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello {
    Helo,
    Ehlo,
}

impl Peer {
    /// The word after `with` in a Received header. See RFC 3848 and RFC 6531 section 4.3.
    pub fn protocol(&self, smtputf8: bool) -> &'static str {
        match (self.hello, smtputf8, self.tls.is_some()) {
            (Hello::Helo, _, _) => "SMTP",
            (Hello::Ehlo, false, false) => "ESMTP",
            (Hello::Ehlo, false, true) => "ESMTPS",
            (Hello::Ehlo, true, false) => "UTF8SMTP",
            (Hello::Ehlo, true, true) => "UTF8SMTPS",
        }
    }
}

/// How a server behaves; [`Settings::new`] has working values for all but the name.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name in the greeting: a host name or an address literal.
    pub hostname: String,
    /// In octets, announced with SIZE.
    pub max_message_size: usize,
    /// In octets: what all messages together may take that are being received or handled by [`Session::data`].
    /// A message that finds no room is refused with 452.
    pub max_memory: usize,
    /// RCPT commands per transaction; RFC 5321 section 4.5.3.1.8 asks for at least 100.
    pub max_recipients: usize,
    /// Further connections are answered 421.
    pub max_connections: usize,
    /// Commands refused for syntax, order or limits before the connection is closed with 421.
    pub max_errors: usize,
    pub timeouts: Timeouts,
    /// STARTTLS is offered when there is one.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Announced beside the ones built in; the session gets their parameters and does what they ask for.
    pub extensions: Vec<Extension>,
}

impl Settings {
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            max_message_size: 50 * 1024 * 1024,
            max_memory: 512 * 1024 * 1024,
            max_recipients: 1000,
            max_connections: 200,
            max_errors: 20,
            timeouts: Timeouts::default(),
            tls: None,
            extensions: Vec::new(),
        }
    }
}

/// How long the server waits. See RFC 5321 section 4.5.3.2.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a whole command line.
    pub command: Duration,
    /// For the next octets of a message.
    pub data: Duration,
    /// For a whole message, which a trickle of octets could stretch otherwise.
    pub message: Duration,
    pub tls_handshake: Duration,
    /// For the client to take a reply.
    pub write: Duration,
    /// For open transactions when the server is asked to stop.
    pub shutdown: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            command: Duration::from_secs(5 * 60),
            data: Duration::from_secs(3 * 60),
            message: Duration::from_secs(60 * 60),
            tls_handshake: Duration::from_secs(30),
            write: Duration::from_secs(60),
            shutdown: Duration::from_secs(30),
        }
    }
}

/// A service extension that only adds parameters. See RFC 5321 section 2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Its line in the EHLO reply.
    pub keyword: &'static str,
    /// In upper case.
    pub mail_parameters: &'static [&'static str],
    /// In upper case.
    pub recipient_parameters: &'static [&'static str],
}

impl Extension {
    /// Delivery status notifications, RFC 3461. Whoever announces it has to pass the parameters on or to send them.
    pub const DSN: Self = Self {
        keyword: "DSN",
        mail_parameters: &["RET", "ENVID"],
        recipient_parameters: &["NOTIFY", "ORCPT"],
    };
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    #[error("cannot listen for mail on {address}; is another server running there?")]
    Bind { address: String, source: io::Error },
    #[error("\"{hostname}\" is not a host name that a mail server can greet with")]
    Hostname { hostname: String },
}

/// A listening server; [`Server::run`] makes it work.
#[derive(Debug)]
pub struct Server<S> {
    listener: TcpListener,
    local_address: SocketAddr,
    settings: Arc<Settings>,
    service: Arc<S>,
}

impl<S: Service> Server<S> {
    /// Listens on `address`, such as `127.0.0.1:2525`; port 0 leaves the choice to the system.
    pub async fn bind(address: &str, settings: Settings, service: S) -> Result<Self, ServerError> {
        let hostname = &settings.hostname;
        if hostname.is_empty()
            || !hostname
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
        {
            return Err(ServerError::Hostname {
                hostname: hostname.clone(),
            });
        }
        let bind = async {
            let listener = TcpListener::bind(address).await?;
            let local_address = listener.local_addr()?;
            Ok((listener, local_address))
        };
        let (listener, local_address) = bind.await.map_err(|source| ServerError::Bind {
            address: address.to_owned(),
            source,
        })?;
        Ok(Self {
            listener,
            local_address,
            settings: Arc::new(settings),
            service: Arc::new(service),
        })
    }

    /// Where it listens, with the port the system has chosen.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_address
    }

    /// Serves until `shutdown` is ready. Then idle clients are told 421 at once, and transactions that are under way
    /// may end within [`Timeouts::shutdown`].
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let Self {
            listener,
            settings,
            service,
            local_address,
        } = self;
        let budget = Budget::new(settings.max_memory);
        let slots = Arc::new(Semaphore::new(settings.max_connections));
        let (stop, stopping) = watch::channel(false);
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        info!(address = %local_address, "listening for mail");

        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(error) = ended {
                        warn!(%error, "a mail connection ended abnormally");
                    }
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Usually too many open files: accepting at once again would spin until one is closed.
                    warn!(%error, "cannot accept a mail connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match slots.clone().try_acquire_owned() {
                Ok(slot) => {
                    let (settings, service) = (settings.clone(), service.clone());
                    let (budget, stopping) = (budget.clone(), stopping.clone());
                    connections.spawn(async move {
                        serve_tcp(stream, address, &settings, &*service, &budget, stopping).await;
                        drop(slot);
                    });
                }
                Err(_) => {
                    debug!(%address, "too many mail connections");
                    refuse(stream, &settings.hostname);
                }
            }
        }

        drop(listener);
        stop.send_replace(true);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(settings.timeouts.shutdown, all_ended)
            .await
            .is_err()
        {
            warn!("mail connections were cut off at shutdown");
        }
    }
}

async fn serve_tcp<S: Service>(
    stream: TcpStream,
    address: SocketAddr,
    settings: &Settings,
    service: &S,
    budget: &Arc<Budget>,
    stopping: watch::Receiver<bool>,
) {
    // Replies are small and the client waits for them.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot switch off Nagle's algorithm");
    }
    connection::serve(Box::new(stream), address, settings, service, budget, stopping).await;
}

/// Says 421 without waiting: an empty socket buffer has room for one line, and whoever comes uninvited in great
/// numbers gets no task, no timer and no buffer.
fn refuse(stream: TcpStream, hostname: &str) {
    let mut output = Vec::new();
    Reply::closing(
        [4, 3, 2],
        format!("{hostname} has too many connections, try again later"),
    )
    .write_to(&mut output);
    // The socket stays in non-blocking mode; tokio's own write would have to wait for its first readiness event.
    if let Err(error) = stream.into_std().and_then(|mut stream| stream.write_all(&output)) {
        debug!(%error, "cannot tell a client that there are too many connections");
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
