//! One attempt: a connection to where a recipient's mail goes, the message over it, and an answer for each recipient.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use smtp::Reply;
use smtp::client::{ClientError, Delivery, Phase};
use smtp::envelope::{MailFrom, RcptTo};
use tokio::sync::Semaphore;

use crate::gateway::Gateway;
use crate::next_hop::NoConnection;
use crate::routing::{self, NoRoute};

/// Where mail for a recipient goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Destination {
    Way(routing::Destination),
    Nowhere(NoRoute),
}

/// Why an attempt failed for all of its recipients.
enum NotSent {
    Client(ClientError),
    Route(NoRoute),
}

/// What came of an attempt for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Delivered {
        reply: String,
        /// Whether the other side takes over telling the sender of success (RFC 3461 section 5.2.2).
        tells_success: bool,
    },
    /// For good.
    Refused(String),
    /// For now.
    Later(String),
    /// There was no room or no lease; it does not count.
    NotMade,
}

/// The way out, with what is remembered of destinations.
#[derive(Debug)]
pub(super) struct Transport {
    gateway: Arc<Gateway>,
    per_destination: usize,
    destinations: Mutex<HashMap<Destination, Arc<Known>>>,
}

#[derive(Debug)]
struct Known {
    room: Semaphore,
    /// Until when nobody connects, and why.
    down: Mutex<Option<(Instant, String)>>,
}

impl Transport {
    pub(super) fn new(gateway: Arc<Gateway>, per_destination: usize) -> Self {
        Self {
            gateway,
            per_destination,
            destinations: Mutex::default(),
        }
    }

    pub(super) fn destination(&self, recipient: &str) -> Destination {
        let gateway = &self.gateway;
        match gateway.routes.destination(&gateway.config, recipient) {
            Ok(way) => Destination::Way(way),
            Err(error) => Destination::Nowhere(error),
        }
    }

    /// An attempt for each of the recipients, who all belong to the destination.
    pub(super) async fn attempt(
        &self,
        destination: &Destination,
        from: &MailFrom,
        to: &[RcptTo],
        message: &[u8],
    ) -> Vec<Attempt> {
        let way = match destination {
            Destination::Way(way) => way,
            Destination::Nowhere(error) => return vec![nowhere(error); to.len()],
        };
        let known = {
            let mut destinations = self.destinations.lock().unwrap_or_else(PoisonError::into_inner);
            if destinations.len() >= MOST_KNOWN {
                destinations.retain(|_, known| Arc::strong_count(known) > 1 || known.reason_to_wait().is_some());
            }
            let known = destinations.entry(destination.clone()).or_insert_with(|| {
                Arc::new(Known {
                    room: Semaphore::new(self.per_destination),
                    down: Mutex::default(),
                })
            });
            known.clone()
        };
        let room = known.room.acquire();
        // Where there are several destinations, one that is slow must not keep what the others need.
        let room = if self.gateway.routes.is_single() {
            room.await.ok()
        } else {
            tokio::time::timeout(WAIT_FOR_ROOM, room)
                .await
                .ok()
                .and_then(Result::ok)
        };
        let Some(_room) = room else {
            return vec![Attempt::NotMade; to.len()];
        };
        if let Some(reason) = known.reason_to_wait() {
            return vec![Attempt::Later(reason); to.len()];
        }
        let result = self.send(way, from, to, message).await;
        match result {
            Ok(attempts) => {
                known.works();
                attempts
            }
            Err(NotSent::Route(error)) => {
                let attempt = nowhere(&error);
                if let Attempt::Later(reason) = &attempt {
                    known.is_down(reason);
                }
                vec![attempt; to.len()]
            }
            Err(NotSent::Client(error)) => {
                let reason = explain(&error);
                if is_for_now(&error) {
                    known.is_down(&reason);
                    return vec![Attempt::Later(reason); to.len()];
                }
                if let [_] = to {
                    return vec![Attempt::Refused(reason)];
                }
                // The address of one may be to blame: each for itself.
                let mut attempts = Vec::with_capacity(to.len());
                for one in to {
                    attempts.push(match self.send(way, from, std::slice::from_ref(one), message).await {
                        Ok(mut attempt) => attempt.pop().unwrap_or(Attempt::NotMade),
                        Err(NotSent::Route(error)) => nowhere(&error),
                        Err(NotSent::Client(error)) if is_for_now(&error) => Attempt::Later(explain(&error)),
                        Err(NotSent::Client(error)) => Attempt::Refused(explain(&error)),
                    });
                }
                attempts
            }
        }
    }

    async fn send(
        &self,
        way: &routing::Destination,
        from: &MailFrom,
        to: &[RcptTo],
        message: &[u8],
    ) -> Result<Vec<Attempt>, NotSent> {
        let pool = self.gateway.routes.pool(way);
        // A connection that has waited may have been closed over there meanwhile, which says nothing about a new one.
        while let Some(mut next_hop) = pool.used() {
            let (from, to) = understood(from, to, next_hop.connection.capabilities().offers("DSN"));
            match next_hop.connection.send(&from, &to, message).await {
                Ok(delivery) if delivery.mail.code() == 421 => {}
                Err(error) if is_for_now(&error) => {}
                Ok(delivery) => {
                    let tells_success = next_hop.connection.capabilities().offers("DSN");
                    pool.give_back(next_hop);
                    return Ok(attempts(&delivery, to.len(), tells_success));
                }
                Err(error) => {
                    pool.give_back(next_hop);
                    return Err(NotSent::Client(error));
                }
            }
        }
        let mut next_hop = match pool.connect().await {
            Ok(next_hop) => next_hop,
            Err(NoConnection::Busy) => return Ok(vec![Attempt::NotMade; to.len()]),
            Err(NoConnection::Client(error)) => return Err(NotSent::Client(error)),
            Err(NoConnection::Route(error)) => return Err(NotSent::Route(error)),
        };
        let tells_success = next_hop.connection.capabilities().offers("DSN");
        let (from, to) = understood(from, to, tells_success);
        let sent = next_hop.connection.send(&from, &to, message).await;
        pool.give_back(next_hop);
        let sent = sent.map_err(NotSent::Client)?;
        Ok(attempts(&sent, to.len(), tells_success))
    }
}

impl Known {
    fn reason_to_wait(&self) -> Option<String> {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.as_ref()
            .filter(|(until, _)| Instant::now() < *until)
            .map(|(_, reason)| reason.clone())
    }

    fn is_down(&self, reason: &str) {
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        *down = Some((Instant::now() + DOWN_FOR, reason.to_owned()));
    }

    fn works(&self) {
        *self.down.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A server that does not even greet refuses everybody's mail and not this message: one that is set up wrong for an
/// hour must not send a whole queue back.
fn is_for_now(error: &ClientError) -> bool {
    let before_the_message = matches!(
        error,
        ClientError::Refused {
            phase: Phase::Greeting | Phase::Hello | Phase::StartTls,
            ..
        }
    );
    before_the_message || error.is_temporary()
}

/// The status is where notices look for it.
fn nowhere(error: &NoRoute) -> Attempt {
    let (_, [class, subject, detail]) = error.status();
    let text: String = error.to_string().chars().take(MOST_REPLY_CHARACTERS - 20).collect();
    let text = format!("{} ( {class}.{subject}.{detail} )", text.replace('\0', "?"));
    if error.is_temporary() {
        Attempt::Later(text)
    } else {
        Attempt::Refused(text)
    }
}

/// The parameters of RFC 3461 go on to servers that know them.
fn understood(from: &MailFrom, to: &[RcptTo], knows_dsn: bool) -> (MailFrom, Vec<RcptTo>) {
    let (mut from, mut to) = (from.clone(), to.to_vec());
    if !knows_dsn {
        from.parameters.clear();
        for to in &mut to {
            to.parameters.clear();
        }
    }
    (from, to)
}

fn attempts(delivery: &Delivery, recipients: usize, tells_success: bool) -> Vec<Attempt> {
    (0..recipients)
        .map(|index| {
            let reply = delivery.outcome(index);
            let text = text_of(reply);
            if reply.is_positive() {
                Attempt::Delivered {
                    reply: text,
                    tells_success,
                }
            } else if reply.is_permanent() {
                Attempt::Refused(text)
            } else {
                Attempt::Later(text)
            }
        })
        .collect()
}

/// At most what a database and a notice have room for.
fn text_of(reply: &Reply) -> String {
    let text: String = reply.to_string().chars().take(MOST_REPLY_CHARACTERS).collect();
    text.replace('\0', "?")
}

fn explain(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text.chars()
        .take(MOST_REPLY_CHARACTERS)
        .collect::<String>()
        .replace('\0', "?")
}

/// Shorter than a lease.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(2);
/// Others are learnt anew.
const MOST_KNOWN: usize = 10_000;
/// A server that cannot be reached is not asked for every message; short enough to be no delay.
const DOWN_FOR: Duration = Duration::from_secs(1);
const MOST_REPLY_CHARACTERS: usize = 1000;
