//! Receives mail: the protocol is spoken here, what to answer is decided by a [`Session`].
//!
//! A session that forwards each command to another server and returns its replies makes a pass-through relay; one
//! that keeps what it gets makes a mailbox, as [`crate::sink`] does.

mod budget;
mod connection;
mod peer;
mod proxy;
mod receiver;
mod request;
mod settings;

use std::future::{Future, poll_fn};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use self::budget::Budget;

pub use self::peer::{Hello, Peer};
pub use self::proxy::{Origin, OriginSource, Trust};
pub use self::settings::{Chunking, Extension, PlainText, Settings, Timeouts};
pub use crate::auth::{Authenticated, Authentication};
pub use crate::envelope::{Body, MailFrom, Parameter, RcptTo};
pub use crate::reply::Reply;
pub use crate::tls::TlsInfo;

/// Makes a [`Session`] for every connection.
pub trait Service: Send + Sync + 'static {
    type Session: Session + 'static;

    /// Takes a new connection, or tells it in the greeting why not; 421 and 554 are the codes for that.
    fn connect(&self, peer: SocketAddr) -> Result<Self::Session, Reply>;

    /// What a client at this address may say of the clients behind it: nothing, unless it is known to be a mail
    /// server of one's own. The address is the true one.
    fn trust(&self, peer: SocketAddr) -> Trust {
        let _ = peer;
        Trust::default()
    }
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

    /// The client has logged in, or a trusted host says so; `peer` has the user now. Void again after
    /// [`Self::tls_started`].
    fn authenticated(&mut self, user: &Authenticated, peer: &Peer) {
        let _ = (user, peer);
    }

    /// A trusted host says where the next message came from (XFORWARD). Comes right before `mail`, and is for that
    /// transaction alone. For logs and records, not for decisions.
    fn forwarded(&mut self, origin: &Origin) {
        let _ = origin;
    }

    /// Opens a transaction if the reply is positive.
    fn mail(&mut self, from: MailFrom) -> impl Future<Output = Reply> + Send;

    /// Adds a recipient if the reply is positive.
    fn rcpt(&mut self, to: RcptTo) -> impl Future<Output = Reply> + Send;

    /// Gets the message: CRLF line ends only, no NUL, dots unstuffed, not longer than the limit; it may hold 8-bit
    /// octets and lines of any length, also when BODY=8BITMIME was not given. Only with [`Body::BinaryMime`], which
    /// the client may use if [`Chunking::OfferWithBinaryMime`] is set, it is any octets at all. The transaction ends
    /// with this, whatever the reply.
    fn data(&mut self, message: Vec<u8>) -> impl Future<Output = Reply> + Send;

    /// The open transaction ends without `data`.
    fn reset(&mut self) -> impl Future<Output = ()> + Send;

    /// TLS has been negotiated. Everything the client said before is void, see RFC 3207 section 4.2.
    fn tls_started(&mut self) {}
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    #[error("cannot listen for mail on {address}; is another server running there?")]
    Bind { address: String, source: io::Error },
    #[error("mail shall only come through TLS, but there is no certificate to do that with")]
    NoTls,
    #[error("\"{hostname}\" is not a host name that a mail server can greet with")]
    Hostname { hostname: String },
}

/// How TLS begins on a listening address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// In plain text, with STARTTLS if there is a certificate: ports 25 and 587.
    StartTls,
    /// With a TLS handshake: port 465, see RFC 8314 section 3.3.
    ImplicitTls,
}

/// A listening server; [`Server::run`] makes it work.
#[derive(Debug)]
pub struct Server<S> {
    /// At least one.
    doors: Vec<Door>,
    local_address: SocketAddr,
    settings: Arc<Settings>,
    service: Arc<S>,
}

#[derive(Debug)]
struct Door {
    listener: TcpListener,
    entrance: Entrance,
}

impl<S: Service> Server<S> {
    /// Listens on `address`, such as `127.0.0.1:2525`; port 0 leaves the choice to the system.
    pub async fn bind(address: &str, settings: Settings, service: S) -> Result<Self, ServerError> {
        Self::bind_to(address, Entrance::StartTls, settings, service).await
    }

    /// The same, with a choice of how TLS begins.
    pub async fn bind_to(
        address: &str,
        entrance: Entrance,
        settings: Settings,
        service: S,
    ) -> Result<Self, ServerError> {
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
        if settings.tls.is_none() && (settings.plain_text == PlainText::Refuse || entrance == Entrance::ImplicitTls) {
            return Err(ServerError::NoTls);
        }
        let (listener, local_address) = listen(address).await?;
        Ok(Self {
            doors: vec![Door { listener, entrance }],
            local_address,
            settings: Arc::new(settings),
            service: Arc::new(service),
        })
    }

    /// Listens on a further address, whose connections count towards the same limits, and tells it.
    pub async fn also_listen(&mut self, address: &str, entrance: Entrance) -> Result<SocketAddr, ServerError> {
        if self.settings.tls.is_none() && entrance == Entrance::ImplicitTls {
            return Err(ServerError::NoTls);
        }
        let (listener, local_address) = listen(address).await?;
        self.doors.push(Door { listener, entrance });
        Ok(local_address)
    }

    /// Where it listens (first), with the port the system has chosen.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_address
    }

    /// Serves until `shutdown` is ready. Then idle clients are told 421 at once, and transactions that are under way
    /// may end within [`Timeouts::shutdown`].
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let Self {
            doors,
            settings,
            service,
            local_address,
        } = self;
        let budget = Budget::new(settings.max_memory);
        let slots = Arc::new(Semaphore::new(settings.max_connections));
        let (stop, stopping) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut first_door = 0;
        tokio::pin!(shutdown);
        info!(address = %local_address, "listening for mail");

        loop {
            // Each door is the first in turn, so that a crowd at one does not close the others.
            first_door = (first_door + 1) % doors.len();
            let (accepted, entrance) = tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(error) = ended {
                        warn!(%error, "a mail connection ended abnormally");
                    }
                    continue;
                }
                accepted = accept(&doors, first_door) => accepted,
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
                        serve_tcp(stream, address, entrance, &settings, &*service, &budget, stopping).await;
                        drop(slot);
                    });
                }
                Err(_) => {
                    debug!(%address, "too many mail connections");
                    refuse(stream, entrance, &settings.hostname);
                }
            }
        }

        drop(doors);
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

async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), ServerError> {
    let bind = async {
        let listener = TcpListener::bind(address).await?;
        let local_address = listener.local_addr()?;
        Ok((listener, local_address))
    };
    bind.await.map_err(|source| ServerError::Bind {
        address: address.to_owned(),
        source,
    })
}

async fn accept(doors: &[Door], first: usize) -> (io::Result<(TcpStream, SocketAddr)>, Entrance) {
    poll_fn(|context| {
        for door in doors.iter().cycle().skip(first).take(doors.len()) {
            if let Poll::Ready(accepted) = door.listener.poll_accept(context) {
                return Poll::Ready((accepted, door.entrance));
            }
        }
        Poll::Pending
    })
    .await
}

async fn serve_tcp<S: Service>(
    stream: TcpStream,
    address: SocketAddr,
    entrance: Entrance,
    settings: &Settings,
    service: &S,
    budget: &Arc<Budget>,
    stopping: watch::Receiver<bool>,
) {
    // Replies are small and the client waits for them.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot switch off Nagle's algorithm");
    }
    connection::serve(Box::new(stream), address, entrance, settings, service, budget, stopping).await;
}

/// Says 421 without waiting: an empty socket buffer has room for one line, and whoever comes uninvited in great
/// numbers gets no task, no timer and no buffer. Who waits for a TLS handshake gets no word either.
fn refuse(stream: TcpStream, entrance: Entrance, hostname: &str) {
    if entrance == Entrance::ImplicitTls {
        return;
    }
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
