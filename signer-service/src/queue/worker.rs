//! Leases messages that are due, has them delivered, and writes down what follows from the answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use policies::time::{Span, Timestamp};
use smtp::envelope::{MailFrom, Parameter, RcptTo};

use super::committer::{Entry, NotDurable};
use super::crash;
use super::delivery::{Attempt, Destination};
use super::metrics::Metrics;
use super::notice::{Kind, Notice, Told, is_wanted};
use super::schedule::Next;
use super::{New, Queue, Slot, unique};
use crate::error::Error;
use crate::store::queue::{self as store, Fate, MessageRow, Outcome, Queued, RecipientRow};

/// Until the queue stops: looks for work whenever there may be some, and every second in any case.
pub(super) async fn lease_and_deliver(queue: Arc<Queue>) {
    let mut stopping = queue.stopping.subscribe();
    loop {
        if *stopping.borrow() {
            return;
        }
        if let Err(error) = lease(&queue).await {
            tracing::error!(%error, "no work could be leased from the queue");
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = queue.wake.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn lease(queue: &Arc<Queue>) -> Result<(), Error> {
    while queue.is_alive() && !*queue.stopping.borrow() {
        let free = queue.slots.available_permits().min(MOST_AT_ONCE);
        if free == 0 {
            queue.more.store(true, Ordering::Relaxed);
            return Ok(());
        }
        queue.more.store(false, Ordering::Relaxed);
        let (node, now) = (queue.node.clone(), queue.gateway.clock.now());
        let most = i64::try_from(free).unwrap_or(i64::MAX);
        let claimed = queue
            .gateway
            .db
            .write(move |conn| store::claim(conn, &node, now, most).map_err(Error::from))
            .await?;
        let is_all = claimed.is_empty();
        for queued in claimed {
            // Doors take slots as well, so this one may have to wait.
            let Ok(slot) = queue.slots.clone().acquire_owned().await else {
                return Ok(());
            };
            let slot = Slot {
                _slot: slot,
                _memory: None,
            };
            queue.remember(&queued.message.body_object);
            tokio::spawn(deliver(queue.clone(), queued, None, slot));
        }
        if is_all {
            return Ok(());
        }
    }
    Ok(())
}

/// Delivers a leased message to those of its recipients that are leased, each destination for itself.
pub(super) async fn deliver(queue: Arc<Queue>, queued: Queued, octets: Option<Bytes>, slot: Slot) {
    let octets = match octets {
        Some(octets) => Ok(octets),
        None => read(&queue, &queued.message).await,
    };
    match octets {
        Ok(octets) => {
            let mut groups: Vec<(Destination, Vec<RecipientRow>)> = Vec::new();
            for recipient in queued.recipients {
                let destination = queue.transport.destination(&recipient.address);
                match groups.iter_mut().find(|(known, _)| *known == destination) {
                    Some((_, group)) => group.push(recipient),
                    None => groups.push((destination, vec![recipient])),
                }
            }
            let deliveries = groups
                .into_iter()
                .map(|(destination, recipients)| deliver_to(&queue, destination, &queued.message, recipients, &octets));
            join_all(deliveries).await;
        }
        Err(error) => {
            Metrics::add(&queue.gateway.metrics.storage_failures, 1);
            tracing::error!(message = queued.message.id, %error, cause = ?std::error::Error::source(&error), "a message body cannot be read; the message waits");
            let next_attempt_at = queue.gateway.clock.now().plus(STORAGE_PAUSE);
            let untried = |recipient: &RecipientRow| {
                (
                    recipient.number,
                    Fate::Untried { next_attempt_at },
                    recipient.last_reply.clone(),
                )
            };
            let outcome = Outcome {
                fates: queued.recipients.iter().map(untried).collect(),
                message_id: queued.message.id.clone(),
            };
            write_down(
                &queue,
                Entry {
                    outcome: Some(outcome),
                    ..Entry::default()
                },
            )
            .await;
        }
    }
    queue.release(&queued.message.body_object).await;
    drop(slot);
    if queue.more.load(Ordering::Relaxed) && queue.slots.available_permits() >= queue.settings.deliveries / 4 {
        queue.wake.notify_one();
    }
}

async fn read(queue: &Queue, message: &MessageRow) -> Result<Bytes, super::BodyError> {
    let start = u64::try_from(message.body_offset).unwrap_or(0);
    let octets = u64::try_from(message.body_octets).unwrap_or(0);
    queue.bodies.get(&message.body_object, start..start + octets).await
}

async fn deliver_to(
    queue: &Arc<Queue>,
    destination: Destination,
    message: &MessageRow,
    recipients: Vec<RecipientRow>,
    octets: &Bytes,
) {
    let attempts = if queue.is_alive() && !*queue.stopping.borrow() {
        let from = MailFrom {
            smtputf8: message.smtputf8,
            parameters: parameters(&message.parameters),
            ..MailFrom::new(message.reverse_path.clone())
        };
        let to: Vec<RcptTo> = recipients
            .iter()
            .map(|recipient| RcptTo {
                address: recipient.address.clone(),
                parameters: parameters(&recipient.parameters),
            })
            .collect();
        crash::point("before delivery");
        queue.transport.attempt(&destination, &from, &to, octets).await
    } else {
        vec![Attempt::NotMade; recipients.len()]
    };
    crash::point("after delivery");
    let entry = conclude(queue, message, recipients.iter().zip(attempts), octets);
    let told = entry.messages.len();
    write_down(queue, entry).await;
    crash::point("after outcome");
    if told > 0 {
        queue.more.store(true, Ordering::Relaxed);
        queue.wake.notify_one();
    }
}

/// What is to be written down after an attempt, with the notices that the sender gets.
fn conclude<'r>(
    queue: &Queue,
    message: &MessageRow,
    attempts: impl Iterator<Item = (&'r RecipientRow, Attempt)>,
    octets: &Bytes,
) -> Entry {
    let now = queue.gateway.clock.now();
    let received = Timestamp::from_unix(message.received_at);
    let schedule = &queue.settings.schedule;
    let metrics = &queue.gateway.metrics;
    let has_sender = !message.reverse_path.is_empty();
    let mut fates = Vec::new();
    let mut told: [(Kind, Vec<Told>); 3] = [Kind::Failed, Kind::Delayed, Kind::Relayed].map(|kind| (kind, Vec::new()));
    for (recipient, attempt) in attempts {
        let number = recipient.number;
        let mut tell = |wanted: Kind, reply: &str| {
            let is_told = has_sender && is_wanted(wanted, &recipient.parameters);
            if is_told && let Some((_, told)) = told.iter_mut().find(|(kind, _)| *kind == wanted) {
                told.push(Told {
                    address: recipient.address.clone(),
                    parameters: recipient.parameters.clone(),
                    reply: reply.to_owned(),
                });
            }
            is_told
        };
        let (fate, reply) = match attempt {
            Attempt::Delivered { reply, tells_success } => {
                Metrics::add(&metrics.delivered, 1);
                if !tells_success {
                    tell(Kind::Relayed, &reply);
                }
                (Fate::Delivered, Some(reply))
            }
            Attempt::Refused(reply) => {
                Metrics::add(&metrics.bounced, 1);
                tell(Kind::Failed, &reply);
                (Fate::Bounced, Some(reply))
            }
            Attempt::Later(reply) => {
                let next = queue
                    .gateway
                    .with_rng(|rng| schedule.after(recipient.attempts + 1, received, now, rng));
                match next {
                    Next::GiveUp => {
                        Metrics::add(&metrics.bounced, 1);
                        tell(Kind::Failed, &reply);
                        (Fate::Bounced, Some(reply))
                    }
                    Next::TryAt(next_attempt_at) => {
                        Metrics::add(&metrics.deferred, 1);
                        let notice = !recipient.delay_notice_sent
                            && schedule.wants_notice(received, now)
                            && tell(Kind::Delayed, &reply);
                        (
                            Fate::Deferred {
                                next_attempt_at,
                                notice,
                            },
                            Some(reply),
                        )
                    }
                }
            }
            Attempt::NotMade => (
                Fate::Untried {
                    next_attempt_at: now.plus(BUSY_PAUSE),
                },
                recipient.last_reply.clone(),
            ),
        };
        fates.push((number, fate, reply));
    }
    let messages = told
        .iter()
        .filter(|(_, told)| !told.is_empty())
        .map(|(kind, told)| {
            Metrics::add(&metrics.notices, 1);
            notice(queue, message, *kind, told, octets, now)
        })
        .collect();
    Entry {
        messages,
        outcome: Some(Outcome {
            message_id: message.id.clone(),
            fates,
        }),
        submission: None,
    }
}

/// What the sender is told at once, if anybody of a new message was refused and the sender wants to know.
pub(super) fn notice_of_refused(queue: &Queue, rows: &Queued, new: &New, now: Timestamp) -> Option<(Queued, Bytes)> {
    Metrics::add(&queue.gateway.metrics.bounced, new.refused.len());
    let told: Vec<Told> = new
        .refused
        .iter()
        .filter(|(_, parameters, _)| !new.reverse_path.is_empty() && is_wanted(Kind::Failed, parameters))
        .map(|(address, parameters, reply)| Told {
            address: address.clone(),
            parameters: parameters.clone(),
            reply: reply.clone(),
        })
        .collect();
    if told.is_empty() {
        return None;
    }
    Metrics::add(&queue.gateway.metrics.notices, 1);
    Some(notice(queue, &rows.message, Kind::Failed, &told, &new.octets, now))
}

fn notice(
    queue: &Queue,
    message: &MessageRow,
    kind: Kind,
    told: &[Told],
    octets: &Bytes,
    now: Timestamp,
) -> (Queued, Bytes) {
    let unique = unique(&queue.gateway, 16);
    let received_at = Timestamp::from_unix(message.received_at);
    let notice = Notice {
        kind,
        hostname: &queue.gateway.config.hostname,
        reverse_path: &message.reverse_path,
        parameters: &message.parameters,
        received_at,
        now,
        until: received_at.plus(queue.settings.schedule.give_up_after),
        told,
        message: octets,
        unique: &unique,
    };
    let octets = Bytes::from(notice.build());
    let new = New {
        // RFC 5321 section 4.5.5: so that notices never cause notices.
        reverse_path: String::new(),
        parameters: String::new(),
        smtputf8: !message.reverse_path.is_ascii() || !octets.is_ascii(),
        recipients: vec![(message.reverse_path.clone(), "NOTIFY=NEVER".to_owned())],
        refused: Vec::new(),
        octets: octets.clone(),
    };
    (queue.rows(&new, None, now), octets)
}

/// Does not come back before it is written down, since forgetting a delivery makes a second one: a database that is
/// away is waited for, and so is a full disk.
async fn write_down(queue: &Queue, entry: Entry) {
    let mut pause = Duration::from_millis(100);
    loop {
        match queue.committer.commit(entry.clone()).await {
            Ok(_) => return,
            Err(NotDurable::Stopped) => return,
            Err(error) => {
                tracing::error!(%error, "what became of a message could not be written down; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        }
    }
}

fn parameters(text: &str) -> Vec<Parameter> {
    text.split(' ').filter_map(Parameter::parse).collect()
}

const POLL: Duration = Duration::from_secs(1);
const MOST_AT_ONCE: usize = 100;
const STORAGE_PAUSE: Span = Span::seconds(30);
const BUSY_PAUSE: Span = Span::seconds(5);
