//! The door of queue mode: SMTP in, 250 when the message is durable.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use smtp::Reply;
use smtp::envelope::{MailFrom, Parameter, RcptTo};
use smtp::server::{Authenticated, Peer, Service, Session};

use super::committer::NotDurable;
use super::{New, Queue};
use crate::engine::{copies_for_some, reply};
use crate::mime::signed::Smtputf8;
use crate::plan::Envelope;
use crate::relay::not_allowed_here;
use crate::store::queue_submissions::NewSubmission;
use crate::trace::{Trace, check_loop};
use crate::treatment::ReversePath;
use crate::users::Rights;
use crate::wishes::TrustFields;

/// Takes charge of mail from those networks and users that the configuration names.
#[derive(Debug, Clone)]
pub(crate) struct QueueRelay(Arc<Queue>);

impl QueueRelay {
    pub(crate) const fn new(queue: Arc<Queue>) -> Self {
        Self(queue)
    }
}

impl Service for QueueRelay {
    type Session = QueueSession;

    fn connect(&self, peer: SocketAddr) -> Result<QueueSession, Reply> {
        let rights = Rights::of_network(&self.0.gateway.config, peer.ip());
        if rights.is_none() && self.0.gateway.users.is_none() {
            return Err(not_allowed_here(peer.ip()));
        }
        Ok(QueueSession {
            queue: self.0.clone(),
            rights,
            peer: None,
            address: peer,
            transaction: None,
        })
    }
}

/// One connection from a sender.
#[derive(Debug)]
pub(crate) struct QueueSession {
    queue: Arc<Queue>,
    /// From the user who has logged in, else from the network that the sender is in, and from nothing else.
    rights: Option<Rights>,
    peer: Option<Peer>,
    address: SocketAddr,
    transaction: Option<(MailFrom, Vec<RcptTo>)>,
}

impl Session for QueueSession {
    fn greeted(&mut self, peer: &Peer) {
        self.peer = Some(peer.clone());
    }

    fn authenticated(&mut self, user: &Authenticated, peer: &Peer) {
        self.peer = Some(peer.clone());
        // Less than the network may, if that is what the user may.
        let users = self.queue.gateway.users.as_ref();
        self.rights = users.and_then(|users| users.rights(user.user()));
    }

    async fn mail(&mut self, from: MailFrom) -> Reply {
        if self.rights.is_none() {
            return Reply::new(
                530,
                Some([5, 7, 0]),
                "Log in first; this network may not send mail without",
            );
        }
        self.transaction = Some((from, Vec::new()));
        Reply::ok([2, 1, 0], "Sender accepted")
    }

    async fn rcpt(&mut self, to: RcptTo) -> Reply {
        let Some((_, recipients)) = &mut self.transaction else {
            return Reply::try_later([4, 3, 0], "The transaction was lost; try again");
        };
        if to.address.eq_ignore_ascii_case("postmaster") {
            // No domain says where it would go.
            return Reply::refused(
                [5, 1, 1],
                "This gateway has no mailboxes; write to postmaster at your domain",
            );
        }
        // RFC 5321 section 4.5.3.1.10: naming somebody twice is no error, and no reason for two copies.
        if !recipients.iter().any(|known| known.address == to.address) {
            recipients.push(to);
        }
        Reply::ok([2, 1, 5], "Recipient accepted")
    }

    async fn data(&mut self, message: Vec<u8>) -> Reply {
        let Some((from, recipients)) = self.transaction.take() else {
            return Reply::try_later([4, 3, 0], "The transaction was lost; try again");
        };
        match self.take(&from, &recipients, &message, None).await {
            Ok(()) => Reply::ok([2, 0, 0], QUEUED),
            Err(refusal) => refusal,
        }
    }

    async fn reset(&mut self) {
        self.transaction = None;
    }

    fn tls_started(&mut self) {
        self.peer = None;
        self.rights = Rights::of_network(&self.queue.gateway.config, self.address.ip());
        self.transaction = None;
    }
}

impl QueueSession {
    /// For a program that has authenticated itself in another way than by SMTP.
    pub(crate) const fn for_program(queue: Arc<Queue>, rights: Rights, address: SocketAddr) -> Self {
        Self {
            queue,
            rights: Some(rights),
            peer: None,
            address,
            transaction: None,
        }
    }

    /// As [`Session::data`], and writes down the request that has brought the message.
    pub(crate) async fn submit(&mut self, message: &[u8], submission: NewSubmission) -> Reply {
        let Some((from, recipients)) = self.transaction.take() else {
            return Reply::try_later([4, 3, 0], "The transaction was lost; try again");
        };
        match self.take(&from, &recipients, message, Some(submission)).await {
            Ok(()) => Reply::ok([2, 0, 0], QUEUED),
            Err(refusal) => refusal,
        }
    }

    async fn take(
        &self,
        from: &MailFrom,
        recipients: &[RcptTo],
        message: &[u8],
        submission: Option<NewSubmission>,
    ) -> Result<(), Reply> {
        let gateway = &self.queue.gateway;
        check_loop(gateway, message)?;
        let addresses: Vec<String> = recipients.iter().map(|to| to.address.clone()).collect();
        let smtputf8 = if from.smtputf8 {
            Smtputf8::Requested
        } else {
            Smtputf8::NotRequested
        };
        let envelope = Envelope {
            reverse_path: if from.address.is_empty() {
                ReversePath::Null
            } else {
                ReversePath::Address
            },
            recipients: &addresses,
            may_sign_for: self.rights.as_ref().map_or(&[], |rights| &rights.may_sign_for),
            fields: self.rights.as_ref().map_or(TrustFields::Ignore, |rights| rights.fields),
            now: gateway.clock.now(),
        };
        let made = copies_for_some(gateway, message, &envelope, smtputf8).await;
        let (copies, unreachable) = made.map_err(|error| reply(&error))?;
        let trace = Trace {
            peer: self.peer.as_ref(),
            address: self.address.ip(),
            smtputf8,
        };
        let mut new: Vec<New> = copies
            .into_iter()
            .map(|copy| New {
                reverse_path: from.address.clone(),
                parameters: text_of(&from.parameters),
                smtputf8: from.smtputf8,
                recipients: recipients
                    .iter()
                    .filter(|to| copy.recipients.contains(&to.address))
                    .map(|to| (to.address.clone(), text_of(&to.parameters)))
                    .collect(),
                refused: Vec::new(),
                octets: Bytes::from([trace.received(gateway, &copy.recipients).as_bytes(), &copy.message].concat()),
            })
            .filter(|new| !new.recipients.is_empty())
            .collect();
        // RFC 3463: the security that was asked for cannot be given. One of them does not harm the others.
        if let Some(new) = new.first_mut() {
            new.refused = recipients
                .iter()
                .filter_map(|to| {
                    let unreachable = unreachable.iter().find(|one| one.recipient == to.address)?;
                    let reply = format!("554 5.7.4 It cannot be encrypted to: {}", unreachable.reason);
                    Some((to.address.clone(), text_of(&to.parameters), reply))
                })
                .collect();
        }
        self.queue.accept(new, submission).await.map_err(|error| {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "a message was not taken in");
            match error {
                _ if error.is_full() => Reply::new(
                    452,
                    Some([4, 3, 1]),
                    "There is no room to store the message; try again later",
                ),
                NotDurable::Body(_) | NotDurable::Database(_) => {
                    Reply::try_later([4, 3, 0], "The queue cannot be written; try again later")
                }
                NotDurable::Stopped => Reply::closing([4, 3, 2], "This gateway is stopping; try again later"),
            }
        })
    }
}

fn text_of(parameters: &[Parameter]) -> String {
    let words: Vec<String> = parameters.iter().map(ToString::to_string).collect();
    words.join(" ")
}

pub(crate) const QUEUED: &str = "Queued; it will be delivered or come back";
