//! The pass-through relay: what the next hop says is what the sender hears, and nothing is stored.
//!
//! MAIL and RCPT go on to the next hop as they come. The message is treated after DATA and handed on in the same
//! transaction, so 250 is said only when the next hop has said it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use smtp::Reply;
use smtp::client::{ClientError, Connection};
use smtp::envelope::{Body, MailFrom, Parameter, RcptTo};
use smtp::server::{Authenticated, Peer, Service, Session};

use crate::delivered;
use crate::engine::{Outgoing, copies, reply};
use crate::gateway::Gateway;
use crate::mime::signed::Smtputf8;
use crate::next_hop::{NextHop, NextHopPool, NoConnection};
use crate::plan::Envelope;
use crate::routing::{Destination, NoRoute};
use crate::trace::{Trace, check_loop};
use crate::treatment::ReversePath;
use crate::users::Rights;
use crate::wishes::TrustFields;

/// Takes in mail from those networks that the configuration names.
#[derive(Debug, Clone)]
pub struct Relay(Arc<Gateway>);

impl Relay {
    pub const fn new(gateway: Arc<Gateway>) -> Self {
        Self(gateway)
    }
}

impl Service for Relay {
    type Session = RelaySession;

    fn connect(&self, peer: SocketAddr) -> Result<RelaySession, Reply> {
        let rights = Rights::of_network(&self.0.config, peer.ip());
        if rights.is_none() && self.0.users.is_none() {
            return Err(not_allowed_here(peer.ip()));
        }
        Ok(RelaySession {
            gateway: self.0.clone(),
            rights,
            peer: None,
            address: peer,
            way: None,
            next_hop: None,
            transaction: None,
        })
    }
}

/// One connection from a sender, with its connection to the next hop.
#[derive(Debug)]
pub struct RelaySession {
    gateway: Arc<Gateway>,
    /// From the user who has logged in, else from the network that the sender is in, and from nothing else. Without
    /// any, no mail is taken.
    rights: Option<Rights>,
    peer: Option<Peer>,
    address: SocketAddr,
    /// Where the mail of the transaction goes; all of its recipients have the same one.
    way: Option<Way>,
    /// Lent by the pool for one transaction.
    next_hop: Option<NextHop>,
    transaction: Option<Transaction>,
}

#[derive(Debug)]
struct Way {
    destination: Destination,
    pool: Arc<NextHopPool>,
}

#[derive(Debug)]
struct Transaction {
    reverse_path: ReversePath,
    smtputf8: Smtputf8,
    from: MailFrom,
    recipients: Vec<RcptTo>,
}

impl Session for RelaySession {
    fn greeted(&mut self, peer: &Peer) {
        self.peer = Some(peer.clone());
    }

    fn authenticated(&mut self, user: &Authenticated, peer: &Peer) {
        self.peer = Some(peer.clone());
        // Less than the network may, if that is what the user may.
        self.rights = self.gateway.users.as_ref().and_then(|users| users.rights(user.user()));
    }

    async fn mail(&mut self, from: MailFrom) -> Reply {
        if self.rights.is_none() {
            return Reply::new(
                530,
                Some([5, 7, 0]),
                "Log in first; this network may not send mail without",
            );
        }
        let transaction = Transaction {
            reverse_path: if from.address.is_empty() {
                ReversePath::Null
            } else {
                ReversePath::Address
            },
            smtputf8: if from.smtputf8 {
                Smtputf8::Requested
            } else {
                Smtputf8::NotRequested
            },
            from,
            recipients: Vec::new(),
        };
        self.way = None;
        let reply = if self.gateway.routes.is_single() {
            // Whoever the recipients are.
            match self.find_way("") {
                Ok(()) => self.forward_mail(&transaction.from).await,
                Err(refusal) => refusal,
            }
        } else {
            self.next_hop = None;
            Reply::ok([2, 1, 0], "Sender noted")
        };
        if reply.is_positive() {
            self.transaction = Some(transaction);
        } else {
            self.give_back();
        }
        self.not_closing(reply)
    }

    async fn rcpt(&mut self, to: RcptTo) -> Reply {
        let Some(transaction) = &mut self.transaction else {
            return lost_connection();
        };
        if self.gateway.config.policy.is_processing_address(&to.address) {
            // It asks for something and is nobody's mailbox, so the next hop hears nothing of it.
            transaction.recipients.push(to);
            return Reply::ok([2, 1, 5], "The message will be encrypted");
        }
        if !self.gateway.routes.is_single()
            && let Err(reply) = self.reach(&to.address).await
        {
            return self.not_closing(reply);
        }
        let (Some(next_hop), Some(transaction)) = (&mut self.next_hop, &mut self.transaction) else {
            return lost_connection();
        };
        if let Some(refusal) = unknown_parameters(&to.parameters, &next_hop.connection) {
            return refusal;
        }
        match next_hop.connection.rcpt(&to).await {
            Ok(reply) => {
                if reply.is_positive() {
                    transaction.recipients.push(to);
                }
                self.not_closing(reply)
            }
            Err(error) => {
                let usable = next_hop.connection.is_usable();
                if !usable {
                    self.next_hop = None;
                }
                next_hop_failure(&error)
            }
        }
    }

    async fn data(&mut self, message: Vec<u8>) -> Reply {
        let (Some(transaction), true) = (self.transaction.take(), self.next_hop.is_some()) else {
            return lost_connection();
        };
        let treated = self.treat(&message, &transaction).await;
        let reply = match treated {
            Ok(copies) => match <[Outgoing; 1]>::try_from(copies) {
                Ok([only]) => self.hand_on(only, &transaction).await,
                Err(several) => self.hand_on_each(several, &message, &transaction).await,
            },
            Err(reply) => {
                self.reset_next_hop().await;
                self.give_back();
                return reply;
            }
        };
        if !reply.is_positive() {
            // Where DATA itself was refused the transaction is still open over there.
            self.reset_next_hop().await;
        }
        let reply = self.not_closing(reply);
        self.give_back();
        reply
    }

    async fn reset(&mut self) {
        self.transaction = None;
        self.reset_next_hop().await;
        self.give_back();
    }

    fn tls_started(&mut self) {
        self.peer = None;
        self.rights = Rights::of_network(&self.gateway.config, self.address.ip());
        self.transaction = None;
        self.next_hop = None;
    }
}

impl RelaySession {
    /// For a program that has authenticated itself in another way than by SMTP.
    pub(crate) const fn for_program(gateway: Arc<Gateway>, rights: Rights, address: SocketAddr) -> Self {
        Self {
            gateway,
            rights: Some(rights),
            peer: None,
            address,
            way: None,
            next_hop: None,
            transaction: None,
        }
    }

    /// Decides where the mail of this transaction goes.
    fn find_way(&mut self, recipient: &str) -> Result<(), Reply> {
        let routes = &self.gateway.routes;
        let destination = routes
            .destination(&self.gateway.config, recipient)
            .map_err(|error| no_route(&error))?;
        let pool = routes.pool(&destination);
        self.way = Some(Way { destination, pool });
        Ok(())
    }

    /// Opens the transaction at the mail server of its first recipient. What is passed through has one answer, so the
    /// others have to go the same way; a sender tries those that have not by themselves (RFC 5321 section 4.5.3.1.10).
    async fn reach(&mut self, recipient: &str) -> Result<(), Reply> {
        let destination = self
            .gateway
            .routes
            .destination(&self.gateway.config, recipient)
            .map_err(|error| no_route(&error))?;
        match &self.way {
            Some(way) if way.destination == destination => return Ok(()),
            Some(_) => {
                return Err(Reply::new(
                    452,
                    Some([4, 5, 3]),
                    "This recipient's mail goes another way; send to it in a transaction of its own",
                ));
            }
            None => {}
        }
        let Some(from) = self.transaction.as_ref().map(|transaction| transaction.from.clone()) else {
            return Err(lost_connection());
        };
        self.find_way(recipient)?;
        let reply = self.forward_mail(&from).await;
        if reply.is_positive() {
            return Ok(());
        }
        self.give_back();
        self.way = None;
        Err(reply)
    }

    /// Opens a transaction at the next hop, over a connection that was used before if one still works.
    async fn forward_mail(&mut self, from: &MailFrom) -> Reply {
        self.next_hop = None;
        let Some(pool) = self.way.as_ref().map(|way| way.pool.clone()) else {
            return lost_connection();
        };
        while let Some(mut next_hop) = pool.used() {
            if let Some(refusal) = unknown_parameters(&from.parameters, &next_hop.connection) {
                self.next_hop = Some(next_hop);
                return refusal;
            }
            let from = for_next_hop(from, &next_hop.connection);
            match next_hop.connection.mail(&from).await {
                // It has grown tired of waiting: that says nothing about a new connection.
                Ok(reply) if reply.code() == 421 => {}
                Err(error) if error.is_temporary() => {}
                Ok(reply) => {
                    self.next_hop = Some(next_hop);
                    return reply;
                }
                Err(error) => return next_hop_failure(&error),
            }
        }
        let mut next_hop = match pool.connect().await {
            Ok(next_hop) => next_hop,
            Err(NoConnection::Client(error)) => return next_hop_failure(&error),
            Err(NoConnection::Route(error)) => return no_route(&error),
            Err(busy @ NoConnection::Busy) => {
                tracing::warn!(error = %busy, "a message has to wait");
                return Reply::try_later([4, 3, 2], "Too many messages are under way; try again later");
            }
        };
        if let Some(refusal) = unknown_parameters(&from.parameters, &next_hop.connection) {
            self.next_hop = Some(next_hop);
            return refusal;
        }
        let from = for_next_hop(from, &next_hop.connection);
        match next_hop.connection.mail(&from).await {
            Ok(reply) => {
                self.next_hop = Some(next_hop);
                reply
            }
            // An error before anything was said leaves the connection in order, but it is simpler to take a new one.
            Err(error) => next_hop_failure(&error),
        }
    }

    /// Sends the message in the transaction that is open.
    async fn hand_on(&mut self, copy: Outgoing, transaction: &Transaction) -> Reply {
        let trace = Trace {
            peer: self.peer.as_ref(),
            address: self.address.ip(),
            smtputf8: transaction.smtputf8,
        };
        let received = trace.received(&self.gateway, &copy.recipients);
        let outgoing = [received.as_bytes(), &copy.message].concat();
        drop(copy);
        let Some(next_hop) = &mut self.next_hop else {
            return lost_connection();
        };
        match next_hop.connection.data(&outgoing).await {
            Ok(reply) => reply,
            Err(error) => next_hop_failure(&error),
        }
    }

    /// Sends several copies in transactions of their own, since recipients get different bytes.
    ///
    /// The sender hears one answer for all. If a copy is refused for now after others were taken, the sender will come
    /// back with the whole message, and those who have it are left out then. If one is refused for good, the answer
    /// says who has got the message nevertheless.
    async fn hand_on_each(&mut self, copies: Vec<Outgoing>, message: &[u8], transaction: &Transaction) -> Reply {
        self.reset_next_hop().await;
        let now = self.gateway.clock.now();
        let key = |recipient: &str| delivered::key(message, &transaction.from.address, recipient);
        let mut done: Vec<String> = Vec::new();
        let mut last = Reply::ok([2, 0, 0], "All recipients have the message already");
        for copy in copies {
            let known = |recipient: &String| self.gateway.delivered.knows(&key(recipient), now);
            let waiting: Vec<RcptTo> = transaction
                .recipients
                .iter()
                .filter(|to| copy.recipients.contains(&to.address) && !known(&to.address))
                .cloned()
                .collect();
            if waiting.is_empty() {
                continue;
            }
            self.give_back();
            let mut reply = self.forward_mail(&transaction.from).await;
            for to in &waiting {
                let Some(next_hop) = self.next_hop.as_mut().filter(|_| reply.is_positive()) else {
                    break;
                };
                reply = match next_hop.connection.rcpt(to).await {
                    Ok(reply) => reply,
                    Err(error) => next_hop_failure(&error),
                };
            }
            if reply.is_positive() {
                reply = self.hand_on(copy, transaction).await;
            }
            if !reply.is_positive() {
                tracing::warn!(
                    code = reply.code(),
                    taken = done.len(),
                    "one of several copies was refused"
                );
                if reply.is_transient() {
                    for recipient in &done {
                        self.gateway.delivered.remember(key(recipient), now);
                    }
                    return reply;
                }
                return if done.is_empty() {
                    reply
                } else {
                    let text = format!(
                        "{} (but the message was delivered to {})",
                        reply.text(),
                        done.join(", ")
                    );
                    Reply::new(reply.code(), reply.enhanced(), text)
                };
            }
            done.extend(waiting.into_iter().map(|to| to.address));
            last = reply;
        }
        last
    }

    async fn reset_next_hop(&mut self) {
        if let Some(next_hop) = &mut self.next_hop
            && !(next_hop.connection.is_usable() && next_hop.connection.reset().await.is_ok())
        {
            self.next_hop = None;
        }
    }

    /// The connection, on which no transaction is open any more, goes back to the pool.
    fn give_back(&mut self) {
        if let (Some(next_hop), Some(way)) = (self.next_hop.take(), &self.way) {
            way.pool.give_back(next_hop);
        }
    }

    /// A next hop that closes its connection (421) does not make us close ours.
    fn not_closing(&mut self, reply: Reply) -> Reply {
        if reply.code() != 421 {
            return reply;
        }
        self.next_hop = None;
        Reply::try_later(
            [4, 4, 2],
            format!("The next mail server is closing its connection: {}", reply.text()),
        )
    }

    /// The copies as they go out, or why there are none.
    async fn treat(&mut self, message: &[u8], transaction: &Transaction) -> Result<Vec<Outgoing>, Reply> {
        check_loop(&self.gateway, message)?;
        let recipients: Vec<String> = transaction.recipients.iter().map(|to| to.address.clone()).collect();
        let envelope = Envelope {
            reverse_path: transaction.reverse_path,
            recipients: &recipients,
            may_sign_for: self.rights.as_ref().map_or(&[], |rights| &rights.may_sign_for),
            fields: self.rights.as_ref().map_or(TrustFields::Ignore, |rights| rights.fields),
            now: self.gateway.clock.now(),
        };
        copies(&self.gateway, message, &envelope, transaction.smtputf8)
            .await
            .map_err(|error| reply(&error))
    }
}

/// The greeting for those who may not send and cannot log in either.
pub(crate) fn not_allowed_here(peer: IpAddr) -> Reply {
    Reply::new(
        554,
        Some([5, 7, 1]),
        format!(
            "{} may not send mail here; ask the operator of this gateway to list your network",
            peer.to_canonical()
        ),
    )
}

/// What goes on of MAIL: all that the next hop understands.
///
/// The announced size is the least that the message will have, so that a next hop that is too small says so early;
/// the real size is checked before DATA. What is signed is 7bit, so 8BITMIME is asked for only where it is offered.
fn for_next_hop(from: &MailFrom, next_hop: &Connection) -> MailFrom {
    let body = match from.body {
        Body::EightBitMime if next_hop.capabilities().offers("8BITMIME") => Body::EightBitMime,
        _ => Body::SevenBit,
    };
    MailFrom { body, ..from.clone() }
}

/// Parameters that the next hop has not announced, though the configuration says that it would: nothing is dropped
/// silently.
fn unknown_parameters(parameters: &[Parameter], next_hop: &Connection) -> Option<Reply> {
    (!parameters.is_empty() && !next_hop.capabilities().offers("DSN")).then(|| {
        tracing::error!("next_hop.dsn is set, and the next mail server does not offer DSN");
        Reply::new(
            555,
            Some([5, 5, 4]),
            "The next mail server does not understand RET, ENVID, NOTIFY and ORCPT; send the message without them",
        )
    })
}

/// What the sender hears when there is no way to a recipient.
fn no_route(error: &NoRoute) -> Reply {
    tracing::warn!(%error, "there is no way for a message");
    let (code, status) = error.status();
    let text = if error.is_temporary() {
        format!("For now: {error}")
    } else {
        error.to_string()
    };
    Reply::new(code, Some(status), text)
}

fn lost_connection() -> Reply {
    Reply::try_later(
        [4, 4, 2],
        "The connection to the next mail server was lost; try again later",
    )
}

/// What the sender hears when the next hop has not answered. Its own answers are passed on and never come here.
fn next_hop_failure(error: &ClientError) -> Reply {
    tracing::warn!(%error, cause = std::error::Error::source(error).map(ToString::to_string), "the next hop did not take a message");
    match error {
        ClientError::TooLarge { .. } => Reply::new(
            552,
            Some([5, 3, 4]),
            format!("The message is too large with its signature: {error}"),
        ),
        ClientError::EightBitNotOffered => Reply::new(
            554,
            Some([5, 6, 3]),
            "The next mail server takes only 7-bit messages, and this one may not be changed",
        ),
        ClientError::Utf8NotOffered { .. } | ClientError::Utf8NotRequested { .. } => {
            Reply::refused([5, 6, 7], error.to_string())
        }
        ClientError::Address { .. } => Reply::new(553, Some([5, 1, 3]), error.to_string()),
        ClientError::NotCanonical { .. } => Reply::new(554, Some([5, 6, 0]), error.to_string()),
        _ => Reply::try_later([4, 4, 1], "The next mail server cannot be reached; try again later"),
    }
}
