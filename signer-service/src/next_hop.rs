//! Connections to where mail goes next, kept for the next message: as many as the configuration allows, and no longer idle
//! than that.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use smtp::client::{ClientError, Connection};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::routing::{ConnectError, Destination, NoRoute, Routes};

/// All connections of this gateway to one destination.
#[derive(Debug)]
pub(crate) struct NextHopPool {
    routes: Weak<Routes>,
    destination: Destination,
    idle_for: Duration,
    most: usize,
    slots: Arc<Semaphore>,
    /// Shared with other destinations, if idle connections to this one are not kept at any price.
    idle_room: Option<Arc<Semaphore>>,
    idle: Mutex<Vec<Idle>>,
    /// Told when a connection becomes idle, since it keeps its slot.
    given_back: Notify,
}

#[derive(Debug)]
struct Idle {
    next_hop: NextHop,
    since: Instant,
    _room: Option<OwnedSemaphorePermit>,
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
    Client(ClientError),
    #[error(transparent)]
    Route(NoRoute),
}

impl From<ConnectError> for NoConnection {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Client(error) => Self::Client(error),
            ConnectError::Route(error) => Self::Route(error),
        }
    }
}

impl NextHopPool {
    pub(crate) fn new(
        routes: Weak<Routes>,
        destination: Destination,
        most: usize,
        idle_for: Duration,
        idle_room: Option<Arc<Semaphore>>,
    ) -> Self {
        Self {
            routes,
            destination,
            idle_for,
            most,
            slots: Arc::new(Semaphore::new(most)),
            idle_room,
            idle: Mutex::default(),
            given_back: Notify::new(),
        }
    }

    /// A connection that was used before and may have been closed over there meanwhile; the last one given back first,
    /// since it is the one least likely to be.
    pub(crate) fn used(&self) -> Option<NextHop> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        self.drop_stale(&mut idle);
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
        // The gateway is stopping.
        let routes = self.routes.upgrade().ok_or(NoConnection::Busy)?;
        let connection = routes.connect(&self.destination).await?;
        Ok(NextHop {
            connection,
            _slot: slot,
        })
    }

    /// Keeps a connection without an open transaction for the next message.
    pub(crate) fn give_back(&self, next_hop: NextHop) {
        if !next_hop.connection.is_usable() || self.idle_for.is_zero() {
            return;
        }
        let room = match &self.idle_room {
            None => None,
            Some(room) => match room.clone().try_acquire_owned() {
                Ok(room) => Some(room),
                Err(_) => return,
            },
        };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(Idle {
            next_hop,
            since: Instant::now(),
            _room: room,
        });
        self.given_back.notify_one();
    }

    /// Closes what has been idle for too long; gives how many connections are left.
    pub(crate) fn sweep(&self) -> usize {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        self.drop_stale(&mut idle);
        self.most - self.slots.available_permits()
    }

    fn drop_stale(&self, idle: &mut Vec<Idle>) {
        // Those at the front wait longest.
        let fresh = idle.iter().position(|idle| idle.since.elapsed() < self.idle_for);
        let stale = fresh.unwrap_or(idle.len());
        idle.drain(..stale);
    }
}

/// Shorter than any sender waits for the answer to MAIL.
const WAIT_FOR_SLOT: Duration = Duration::from_secs(20);
