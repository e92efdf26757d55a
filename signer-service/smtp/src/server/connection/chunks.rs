//! BDAT: messages in counted chunks. See RFC 3030 section 2.

use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::message::{refusal, too_large};
use super::{Chunks, Connection, Next, Talk, Transaction, end};
use crate::envelope::Body;
use crate::reply::Reply;
use crate::server::receiver::{ChunkReceiver, DataFault, MIN_PATIENCE_OCTETS, Octets};
use crate::server::request::Last;
use crate::server::{Chunking, Service};
use crate::wire::Wire;

impl<V: Service> Connection<'_, V> {
    /// Takes a chunk, whatever becomes of it: what follows a BDAT must never be read as commands.
    pub(super) async fn chunk(&mut self, wire: &mut Wire, octets: u64, last: Last) -> Result<(Reply, Next), Talk> {
        if self.settings.chunking == Chunking::Off {
            let text = "BDAT was not offered, and what follows it must not be taken for commands";
            return Ok((Reply::new(502, Some([5, 5, 1]), text), Next::Close));
        }
        // Longer than anybody's patience: it is not worth waiting for its end.
        let patience = self.settings.max_message_size.saturating_add(MIN_PATIENCE_OCTETS);
        if u64::try_from(patience).is_ok_and(|patience| octets > patience) {
            self.abandon().await;
            return Ok((too_large(self.settings), Next::Close));
        }
        let whole_message = Instant::now() + self.settings.timeouts.message;
        let limit = self.settings.max_message_size;
        let out_of_order = match &mut self.transaction {
            None => Some(Reply::new(503, Some([5, 5, 1]), "Say MAIL and RCPT first")),
            Some(Transaction { asked: 0, .. }) => Some(Reply::new(503, Some([5, 5, 1]), "Say RCPT first")),
            Some(Transaction { accepted: 0, .. }) => {
                Some(Reply::new(554, Some([5, 5, 1]), "No recipient was accepted"))
            }
            Some(transaction) => {
                let body = transaction.body;
                let chunks = transaction.chunks.get_or_insert_with(|| Chunks {
                    receiver: ChunkReceiver::new(
                        limit,
                        if body == Body::BinaryMime {
                            Octets::Any
                        } else {
                            Octets::Lines
                        },
                        self.budget.reserve_nothing(),
                    ),
                    deadline: whole_message,
                });
                chunks.receiver.expect(octets);
                None
            }
        };
        self.read_chunk(wire, octets, whole_message).await?;

        let reply = match out_of_order {
            // A client that pipelines could not know.
            Some(reply) if self.chunk_refused || reply.code() == 554 => self.idle(reply),
            Some(reply) => self.error(reply),
            None => self.after_chunk(octets, last).await,
        };
        Ok((reply, Next::Command))
    }

    /// Reads a chunk into the transaction, or nowhere if there is none that could take it.
    async fn read_chunk(&mut self, wire: &mut Wire, octets: u64, deadline: Instant) -> Result<(), Talk> {
        let mut left = octets;
        while left > 0 {
            let mut chunks = self
                .transaction
                .as_mut()
                .and_then(|transaction| transaction.chunks.as_mut());
            let buffered = wire.buffered();
            let count = usize::try_from(left).map_or(buffered.len(), |left| left.min(buffered.len()));
            if let Some(chunks) = &mut chunks {
                chunks.receiver.take(&buffered[..count]);
            }
            wire.consume(count);
            left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
            if left == 0 {
                break;
            }
            let deadline = chunks.map_or(deadline, |chunks| chunks.deadline);
            match timeout_at(deadline.min(Instant::now() + self.settings.timeouts.data), wire.fill()).await {
                // A chunk without its end is no chunk, and the client will try again.
                Ok(Ok(0)) => return Err(Talk::Lost),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    debug!(address = %self.true_address, %error, "a mail connection was lost in a chunk");
                    return Err(Talk::Lost);
                }
                Err(_) => return Err(end(wire, Reply::closing([4, 4, 2], "The message took too long"))),
            }
        }
        Ok(())
    }

    /// Answers a chunk that was read into the transaction.
    async fn after_chunk(&mut self, octets: u64, last: Last) -> Reply {
        let Some(Chunks { receiver, deadline }) = self.transaction.as_mut().and_then(|open| open.chunks.as_mut())
        else {
            return self.error(Reply::new(503, Some([5, 5, 1]), "Say MAIL and RCPT first"));
        };
        let received = match (receiver.fault(), last) {
            (Some(fault), _) => Err(fault),
            (None, Last::Yes) => receiver.finish().map(Some),
            (None, Last::No) if Instant::now() >= *deadline => {
                self.abandon().await;
                return Reply::closing([4, 4, 2], "The message took too long");
            }
            (None, Last::No) => Ok(None),
        };
        match received {
            Ok(Some(message)) => {
                // Held until the session is done with the message, so that its memory stays accounted for.
                let _transaction = self.transaction.take();
                self.deliver(message).await
            }
            Ok(None) => {
                let reply = Reply::ok([2, 0, 0], format!("{octets} octets received"));
                // So many small chunks would only be there to keep us busy.
                match octets < SMALL_CHUNK_OCTETS {
                    true => self.idle(reply),
                    false => reply,
                }
            }
            Err(fault) => {
                self.abandon().await;
                self.chunk_refused = last == Last::No;
                let reply = refusal(fault, self.settings);
                match fault {
                    DataFault::NoMemory => reply,
                    _ => self.error(reply),
                }
            }
        }
    }
}

const SMALL_CHUNK_OCTETS: u64 = 1024;
