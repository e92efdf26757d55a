//! Connections to the next hop, kept for the next message: as many as the configuration allows, and no longer idle
//! than that.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use smtp::client::{ClientError, Connection, Target, Timeouts};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// All connections of this gateway to its next hop.
#[derive(Debug)]
pub(crate) struct NextHopPool {
    target: Target,
    hello_name: String,
    tls: Arc<rustls::ClientConfig>,
    idle_for: Duration,
    slots: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    /// Told when a connection becomes idle, since it keeps its slot.
    given_back: Notify,
}

#[derive(Debug)]
struct Idle {
    next_hop: NextHop,
    since: Instant,
}

/// A connection, and its place among those that are allowed.
#[derive(Debug)]
pub(crate) struct NextHop {
    pub(crate) connection: Connection,
    _slot: OwnedSemaphorePermit,
}

enum Slot {
    Free(Option<OwnedSemaphorePermit>),
    Lent(Box<NextHop>),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoConnection {
    #[error("all connections to the next mail server are in use")]
    Busy,
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl NextHopPool {
    pub(crate) fn new(
        target: Target,
        hello_name: String,
        tls: Arc<rustls::ClientConfig>,
        most: usize,
        idle_for: Duration,
    ) -> Self {
        Self {
            target,
            hello_name,
            tls,
            idle_for,
            slots: Arc::new(Semaphore::new(most)),
            idle: Mutex::default(),
            given_back: Notify::new(),
        }
    }

    /// A connection that was used before and may have been closed over there meanwhile; the last one given back first,
    /// since it is the one least likely to be.
    pub(crate) fn used(&self) -> Option<NextHop> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // Those at the front wait longest.
        let fresh = idle.iter().position(|idle| idle.since.elapsed() < self.idle_for);
        let stale = fresh.unwrap_or(idle.len());
        idle.drain(..stale);
        idle.pop().map(|idle| idle.next_hop)
    }

    /// A new connection as soon as there is room for one, or one that was given back meanwhile.
    pub(crate) async fn connect(&self) -> Result<NextHop, NoConnection> {
        let wait = async {
            loop {
                tokio::select! {
                    slot = self.slots.clone().acquire_owned() => return Slot::Free(slot.ok()),
                    () = self.given_back.notified() => {
                        if let Some(next_hop) = self.used() {
                            return Slot::Lent(Box::new(next_hop));
                        }
                    }
                }
            }
        };
        let slot = match tokio::time::timeout(WAIT_FOR_SLOT, wait).await {
            Ok(Slot::Lent(next_hop)) => return Ok(*next_hop),
            Ok(Slot::Free(Some(slot))) => slot,
            Ok(Slot::Free(None)) | Err(_) => return Err(NoConnection::Busy),
        };
        let connection = Connection::connect(&self.target, &self.hello_name, &self.tls, Timeouts::default()).await?;
        Ok(NextHop {
            connection,
            _slot: slot,
        })
    }

    /// Keeps a connection without an open transaction for the next message.
    pub(crate) fn give_back(&self, next_hop: NextHop) {
        if next_hop.connection.is_usable() && !self.idle_for.is_zero() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let since = Instant::now();
            idle.push(Idle { next_hop, since });
            self.given_back.notify_one();
        }
    }
}

/// Shorter than any sender waits for the answer to MAIL.
const WAIT_FOR_SLOT: Duration = Duration::from_secs(20);
