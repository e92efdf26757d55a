//! DATA: a message up to its end, and what becomes of a message whichever way it came.

use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::{Connection, Next, Talk, Transaction, end};
use crate::envelope::Body;
use crate::reply::Reply;
use crate::server::receiver::{DataFault, DataReceiver, Received};
use crate::server::{Service, Session as _, Settings};
use crate::wire::Wire;

impl<V: Service> Connection<'_, V> {
    pub(super) fn data(&mut self, unread: bool) -> (Reply, Next) {
        // RFC 2920 section 3.1: DATA ends a group. Were it refused, the message would be read as commands; so the
        // connection ends before there can be any doubt.
        if unread {
            let text = "Wait for the reply to DATA before sending the message";
            return (Reply::new(503, Some([5, 5, 0]), text), Next::Close);
        }
        match &self.transaction {
            None => (
                self.error(Reply::new(503, Some([5, 5, 1]), "Say MAIL first")),
                Next::Command,
            ),
            Some(Transaction { asked: 0, .. }) => (
                self.error(Reply::new(503, Some([5, 5, 1]), "Say RCPT first")),
                Next::Command,
            ),
            // Not counted as an error: a client that pipelines cannot know.
            Some(Transaction { accepted: 0, .. }) => (
                Reply::new(554, Some([5, 5, 1]), "No recipient was accepted"),
                Next::Command,
            ),
            // RFC 3030 sections 2 and 3.
            Some(Transaction { chunks: Some(_), .. }) => (
                self.error(Reply::new(
                    503,
                    Some([5, 5, 1]),
                    "DATA cannot follow BDAT; RSET ends this",
                )),
                Next::Command,
            ),
            Some(Transaction {
                body: Body::BinaryMime, ..
            }) => (
                self.error(Reply::new(503, Some([5, 5, 1]), "A BINARYMIME message needs BDAT")),
                Next::Command,
            ),
            Some(_) => (
                Reply::new(354, None, "Send the message, end it with CR LF . CR LF"),
                Next::Message,
            ),
        }
    }

    /// Reads the message and lets the session answer.
    pub(super) async fn message(&mut self, wire: &mut Wire) -> Result<Next, Talk> {
        let announced = self.transaction.as_ref().and_then(|transaction| transaction.announced);
        let mut receiver = DataReceiver::new(self.settings.max_message_size, announced, self.budget.reserve_nothing());
        let deadline = Instant::now() + self.settings.timeouts.message;
        let received = loop {
            let (taken, received) = receiver.take(wire.buffered());
            wire.consume(taken);
            if let Some(received) = received {
                break received;
            }
            let deadline = deadline.min(Instant::now() + self.settings.timeouts.data);
            match timeout_at(deadline, wire.fill()).await {
                // A message without its end is no message: nothing was promised and the client will try again.
                Ok(Ok(0)) => return Err(Talk::Lost),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    debug!(address = %self.peer.address, %error, "a mail connection was lost in a message");
                    return Err(Talk::Lost);
                }
                Err(_) => {
                    return Err(end(wire, Reply::closing([4, 4, 2], "The message took too long")));
                }
            }
        };
        let (reply, next) = match received {
            Received::Message(message) => (self.deliver(message).await, Next::Command),
            Received::Refused(DataFault::NoMemory) => {
                self.abandon().await;
                (refusal(DataFault::NoMemory, self.settings), Next::Command)
            }
            Received::Refused(fault) => {
                self.abandon().await;
                (self.error(refusal(fault, self.settings)), Next::Command)
            }
            Received::Endless(fault) => {
                self.abandon().await;
                (refusal(fault, self.settings), Next::Close)
            }
        };
        reply.write_to(&mut wire.output);
        if self.errors > self.settings.max_errors {
            return Err(end(wire, Reply::closing([4, 7, 0], "Too many errors")));
        }
        Ok(if reply.code() == 421 { Next::Close } else { next })
    }

    /// Lets the session answer a whole message, with which the transaction ends.
    pub(super) async fn deliver(&mut self, message: Vec<u8>) -> Reply {
        self.transaction = None;
        self.origin = None;
        self.idle_commands = 0;
        self.session.data(message).await
    }
}

pub(super) fn refusal(fault: DataFault, settings: &Settings) -> Reply {
    match fault {
        DataFault::BareCarriageReturn => {
            Reply::refused([5, 6, 0], "The message has a carriage return without a line feed")
        }
        DataFault::BareLineFeed => Reply::refused([5, 6, 0], "The message has a line feed without a carriage return"),
        DataFault::Nul => Reply::refused([5, 6, 0], "The message has a NUL octet"),
        DataFault::TooLarge => too_large(settings),
        DataFault::NoMemory => Reply::new(452, Some([4, 3, 1]), "Too many messages at once, try again later"),
    }
}

pub(super) fn too_large(settings: &Settings) -> Reply {
    let text = format!("The message is larger than {} octets", settings.max_message_size);
    Reply::new(552, Some([5, 3, 4]), text)
}
