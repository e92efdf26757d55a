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

/// Where mail for a recipient goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Destination {
    NextHop,
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

    pub(super) fn destination(&self, _recipient: &str) -> Destination {
        Destination::NextHop
    }

    /// An attempt for each of the recipients, who all belong to the destination.
    pub(super) async fn attempt(
        &self,
        destination: &Destination,
        from: &MailFrom,
        to: &[RcptTo],
        message: &[u8],
    ) -> Vec<Attempt> {
        let known = {
            let mut destinations = self.destinations.lock().unwrap_or_else(PoisonError::into_inner);
            let known = destinations.entry(destination.clone()).or_insert_with(|| {
                Arc::new(Known {
                    room: Semaphore::new(self.per_destination),
                    down: Mutex::default(),
                })
            });
            known.clone()
        };
        // The semaphore is never closed.
        let Ok(_room) = known.room.acquire().await else {
            return vec![Attempt::NotMade; to.len()];
        };
        if let Some(reason) = known.reason_to_wait() {
            return vec![Attempt::Later(reason); to.len()];
        }
        let result = self.send(from, to, message).await;
        match result {
            Ok(attempts) => {
                known.works();
                attempts
            }
            Err(error) => {
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
                    attempts.push(match self.send(from, std::slice::from_ref(one), message).await {
                        Ok(mut attempt) => attempt.pop().unwrap_or(Attempt::NotMade),
                        Err(error) if is_for_now(&error) => Attempt::Later(explain(&error)),
                        Err(error) => Attempt::Refused(explain(&error)),
                    });
                }
                attempts
            }
        }
    }

    async fn send(&self, from: &MailFrom, to: &[RcptTo], message: &[u8]) -> Result<Vec<Attempt>, ClientError> {
        let pool = &self.gateway.next_hops;
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
                    return Err(error);
                }
            }
        }
        let mut next_hop = match pool.connect().await {
            Ok(next_hop) => next_hop,
            Err(NoConnection::Busy) => return Ok(vec![Attempt::NotMade; to.len()]),
            Err(NoConnection::Client(error)) => return Err(error),
        };
        let tells_success = next_hop.connection.capabilities().offers("DSN");
        let (from, to) = understood(from, to, tells_success);
        let sent = next_hop.connection.send(&from, &to, message).await;
        pool.give_back(next_hop);
        Ok(attempts(&sent?, to.len(), tells_success))
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

/// A server that cannot be reached is not asked for every message; short enough to be no delay.
const DOWN_FOR: Duration = Duration::from_secs(1);
const MOST_REPLY_CHARACTERS: usize = 1000;
