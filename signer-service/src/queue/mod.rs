//! Queue mode: the gateway takes charge of a message, says so only when that is durable, and sees it through.
//!
//! * [`door`] takes mail in, `committer` makes it durable, `worker` sends it and decides what follows, `notice` tells
//!   the sender, [`admin`] is what an operator sees and does.
//! * Rows are in the database, octets in the object storage (`bodies`); any number of nodes share both. A node says
//!   every few seconds that it is alive, and what it has leased is left alone as long as it does.
//! * What was signed is stored as it is sent: every attempt sends the same octets.
//!
//! What is promised (DESIGN invariant 10): a message that was answered 250 is delivered, bounced with a notice, or still
//! queued. It arrives twice only if the process or the database went away between the next hop's 250 and the commit of
//! that fact.

pub mod admin;
mod bodies;
mod committer;
pub mod config;
mod crash;
mod delivery;
pub(crate) mod door;
pub mod metrics;
mod notice;
mod schedule;
mod worker;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use policies::time::{Span, Timestamp};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

use self::bodies::Bodies;
pub use self::bodies::{BodyError, S3, Storage};
use self::committer::{Committer, Entry, NotDurable};
use self::delivery::Transport;
use self::metrics::Metrics;
pub use self::schedule::{Next, Schedule};
use crate::error::Error;
use crate::gateway::Gateway;
use crate::store::queue::{self as store, MessageRow, Queued};
pub use crate::store::queue::{RecipientState, UnknownState};
use crate::store::queue_submissions::NewSubmission;

/// How queued mail is kept and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    pub storage: Storage,
    pub schedule: Schedule,
    /// Deliveries under way at a time, in all.
    pub deliveries: usize,
    /// Deliveries to one destination at a time.
    pub per_destination: usize,
    /// How long a node may be silent before others take over what it has leased.
    pub lease: Duration,
    /// How long the octets of a message are kept after they were sent, to compare with what arrived.
    pub keep_sent: Span,
    /// How long it is known what became of a message.
    pub history: Span,
}

/// The queue of a running gateway.
#[derive(Debug)]
pub(crate) struct Queue {
    gateway: Arc<Gateway>,
    settings: QueueSettings,
    /// This process, until it ends.
    node: String,
    bodies: Bodies,
    committer: Committer,
    transport: Transport,
    slots: Arc<Semaphore>,
    /// In units of [`MEMORY_UNIT`].
    memory: Arc<Semaphore>,
    /// How many of the messages in an object this node still has to send.
    objects: Mutex<HashMap<String, usize>>,
    wake: Notify,
    /// Whether there may be work that nobody has leased.
    more: AtomicBool,
    alive: Mutex<Option<Instant>>,
    stopping: watch::Sender<bool>,
}

/// The right to deliver one message now.
#[derive(Debug)]
pub(crate) struct Slot {
    _slot: OwnedSemaphorePermit,
    _memory: Option<OwnedSemaphorePermit>,
}

/// A message that shall be taken in.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) reverse_path: String,
    pub(crate) parameters: String,
    pub(crate) smtputf8: bool,
    /// Addresses with their parameters.
    pub(crate) recipients: Vec<(String, String)>,
    /// Those who cannot have it, with the reason as in an SMTP reply: the sender is told of them at once.
    pub(crate) refused: Vec<(String, String, String)>,
    pub(crate) octets: Bytes,
}

impl Queue {
    /// Opens the storage, joins the other nodes and begins to deliver.
    pub(crate) async fn start(gateway: Arc<Gateway>) -> Result<(Arc<Self>, Vec<JoinHandle<()>>), Error> {
        let settings = gateway.config.queue.clone();
        let bodies = Bodies::open(&settings.storage)?;
        let node = unique(&gateway, 8);
        let committer = Committer::start(bodies.clone(), gateway.db.clone(), gateway.clock.clone(), node.clone());
        let queue = Arc::new(Self {
            transport: Transport::new(gateway.clone(), settings.per_destination),
            slots: Arc::new(Semaphore::new(settings.deliveries)),
            memory: Arc::new(Semaphore::new(MEMORY_UNITS)),
            objects: Mutex::default(),
            wake: Notify::new(),
            more: AtomicBool::new(true),
            alive: Mutex::default(),
            stopping: watch::Sender::new(false),
            gateway,
            settings,
            node,
            bodies,
            committer,
        });
        queue.say_alive().await?;
        let tasks = vec![
            tokio::spawn(heartbeat(queue.clone())),
            tokio::spawn(worker::lease_and_deliver(queue.clone())),
            tokio::spawn(tidy_up(queue.clone())),
        ];
        Ok((queue, tasks))
    }

    /// Begins nothing new, lets deliveries end for a while, and leaves the rest to others or to the next start.
    pub(crate) async fn stop(&self) {
        self.stopping.send_replace(true);
        let all = u32::try_from(self.settings.deliveries).unwrap_or(u32::MAX);
        if tokio::time::timeout(DRAIN, self.slots.acquire_many(all)).await.is_err() {
            tracing::warn!("deliveries were cut off at shutdown; they will be tried again");
        }
        let node = self.node.clone();
        let left = self
            .gateway
            .db
            .write(move |conn| store::leave(conn, &node).map_err(Error::from));
        if let Err(error) = left.await {
            tracing::warn!(%error, "the leases of this node end by themselves, since they could not be given up");
        }
    }

    /// Takes charge of messages, of all or of none, and of the request that has brought them.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        new: Vec<New>,
        submission: Option<NewSubmission>,
    ) -> Result<(), NotDurable> {
        let now = self.gateway.clock.now();
        let mut slots = Vec::with_capacity(new.len());
        let mut entry = Entry {
            submission,
            ..Entry::default()
        };
        for message in new {
            let slot = self.try_slot(message.octets.len());
            let rows = self.rows(&message, slot.is_some().then(|| self.node.clone()), now);
            let notice = worker::notice_of_refused(self, &rows, &message, now);
            entry.messages.push((rows, message.octets));
            slots.push(slot);
            if let Some((rows, octets)) = notice {
                entry.messages.push((rows, octets));
                slots.push(None);
            }
        }
        let octets: Vec<Bytes> = entry.messages.iter().map(|(_, octets)| octets.clone()).collect();
        let written = self.committer.commit(entry).await?;
        Metrics::add(&self.gateway.metrics.queued, written.messages.len());
        for queued in &written.messages {
            self.remember(&queued.message.body_object);
        }
        for ((mut queued, octets), slot) in written.messages.into_iter().zip(octets).zip(slots) {
            queued
                .recipients
                .retain(|recipient| recipient.state.0 == RecipientState::Queued);
            match slot {
                Some(slot) => {
                    tokio::spawn(worker::deliver(self.clone(), queued, Some(octets), slot));
                }
                None => {
                    self.more.store(true, Ordering::Relaxed);
                    self.wake.notify_one();
                }
            }
        }
        Ok(())
    }

    fn rows(&self, new: &New, lease_node: Option<String>, now: Timestamp) -> Queued {
        // Times first, so that rows that come together lie together.
        let id = format!("{:08x}{}", now.unix(), unique(&self.gateway, 8));
        let row = |number, address: &str, parameters: &str| store::RecipientRow {
            message_id: id.clone(),
            number,
            address: address.to_owned(),
            parameters: parameters.to_owned(),
            state: migrations::text::AsText(RecipientState::Queued),
            attempts: 0,
            next_attempt_at: now.unix(),
            delay_notice_sent: false,
            lease_node: lease_node.clone(),
            last_reply: None,
            updated_at: now.unix(),
        };
        let open = new.recipients.iter().zip(0..);
        let mut recipients: Vec<store::RecipientRow> = open
            .map(|((address, parameters), number)| row(number, address, parameters))
            .collect();
        let open_recipients = i64::try_from(recipients.len()).unwrap_or(i64::MAX);
        for ((address, parameters, reply), number) in new.refused.iter().zip(open_recipients..) {
            recipients.push(store::RecipientRow {
                state: migrations::text::AsText(RecipientState::Bounced),
                lease_node: None,
                last_reply: Some(reply.clone()),
                ..row(number, address, parameters)
            });
        }
        let keep = self.settings.keep_sent;
        Queued {
            message: MessageRow {
                id,
                received_at: now.unix(),
                reverse_path: new.reverse_path.clone(),
                parameters: new.parameters.clone(),
                smtputf8: new.smtputf8,
                body_object: String::new(),
                body_offset: 0,
                body_octets: 0,
                open_recipients,
                kept_until: now.plus(keep).unix(),
            },
            recipients,
        }
    }

    /// Room to deliver a message of this size, if there is any and we are not about to stop.
    fn try_slot(&self, octets: usize) -> Option<Slot> {
        if *self.stopping.borrow() || !self.is_alive() {
            return None;
        }
        let slot = self.slots.clone().try_acquire_owned().ok()?;
        let units = u32::try_from(octets / MEMORY_UNIT + 1).ok()?;
        let memory = self.memory.clone().try_acquire_many_owned(units).ok()?;
        Some(Slot {
            _slot: slot,
            _memory: Some(memory),
        })
    }

    /// Whether the other nodes certainly leave our leases alone: a process that was stopped for a while finds out here.
    fn is_alive(&self) -> bool {
        let alive = *self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.is_some_and(|since| since.elapsed() < self.settings.lease * 2 / 3)
    }

    async fn say_alive(&self) -> Result<(), Error> {
        let before = Instant::now();
        let (node, now) = (self.node.clone(), self.gateway.clock.now());
        let lease = i64::try_from(self.settings.lease.as_secs()).unwrap_or(i64::MAX).max(1);
        let until = now.plus(Span::seconds(lease));
        self.gateway
            .db
            .write(move |conn| store::stay_alive(conn, &node, now, until).map_err(Error::from))
            .await?;
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        Ok(())
    }

    fn remember(&self, object: &str) {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        *objects.entry(object.to_owned()).or_default() += 1;
    }

    /// A message in this object needs its octets no longer. The last one of this node asks whether anybody else does.
    async fn release(&self, object: &str) {
        let is_last = {
            let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
            match objects.get_mut(object) {
                Some(count) if *count > 1 => {
                    *count -= 1;
                    false
                }
                _ => {
                    objects.remove(object);
                    true
                }
            }
        };
        if is_last && let Err(error) = self.remove_unneeded(vec![object.to_owned()]).await {
            tracing::warn!(%error, "a message body that nobody needs was left in the storage for now");
        }
    }

    async fn remove_unneeded(&self, mut objects: Vec<String>) -> Result<(), Error> {
        let now = self.gateway.clock.now();
        while !objects.is_empty() {
            let some = objects.split_off(objects.len().saturating_sub(OBJECTS_PER_QUESTION));
            let asked = some.clone();
            let needed = self
                .gateway
                .db
                .read(move |conn| store::needed_objects(conn, &asked, now).map_err(Error::from))
                .await?;
            for object in some.iter().filter(|object| !needed.contains(object)) {
                self.bodies.delete(object).await?;
            }
        }
        Ok(())
    }
}

async fn heartbeat(queue: Arc<Queue>) {
    let mut stopping = queue.stopping.subscribe();
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(queue.settings.lease / 4) => {}
        }
        if let Err(error) = queue.say_alive().await {
            tracing::error!(%error, "this node could not say that it is alive; it delivers nothing until it can");
        }
    }
}

/// Forgets what is over, and removes objects that a crash has left without rows.
async fn tidy_up(queue: Arc<Queue>) {
    let mut stopping = queue.stopping.subscribe();
    loop {
        if let Err(error) = tidy(&queue).await {
            tracing::warn!(%error, "old mail could not be tidied up; it is tried again");
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(TIDY_PAUSE) => {}
        }
    }
}

async fn tidy(queue: &Queue) -> Result<(), Error> {
    let now = queue.gateway.clock.now();
    let before = now.minus(queue.settings.history);
    loop {
        let forgotten = queue
            .gateway
            .db
            .write(move |conn| store::forget(conn, before, FORGET_AT_ONCE).map_err(Error::from))
            .await?;
        if forgotten.0 == 0 {
            break;
        }
        queue.remove_unneeded(forgotten.1).await?;
    }
    // What is being written right now has no row yet.
    let old = queue.bodies.older_than(now.minus(Span::hours(1)).unix()).await?;
    queue.remove_unneeded(old).await
}

/// So many random octets, in hexadecimal.
pub(crate) fn unique(gateway: &Gateway, octets: usize) -> String {
    let mut random = vec![0; octets];
    gateway.with_rng(|rng| rng.fill_bytes(&mut random));
    HEXLOWER.encode(&random)
}

/// Message octets held for deliveries that are under way: 128 MiB.
const MEMORY_UNIT: usize = 4096;
const MEMORY_UNITS: usize = 32 * 1024;
const OBJECTS_PER_QUESTION: usize = 200;
const FORGET_AT_ONCE: i64 = 500;
const TIDY_PAUSE: Duration = Duration::from_secs(10 * 60);
/// As long as the door waits for transactions.
const DRAIN: Duration = Duration::from_secs(30);
