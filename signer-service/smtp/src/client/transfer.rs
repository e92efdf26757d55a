//! How a message gets to the server: with DATA, or counted with BDAT where that is offered.

use std::time::Duration;

use super::message::{not_canonical, octets, stuff};
use super::{ChunkingUse, ClientError, Connection, Phase, Protocol};
use crate::envelope::Body;
use crate::reply::Reply;

/// How far a message got.
#[derive(Debug)]
pub(super) enum Handed {
    /// The server did not want it: the reply to DATA.
    Refused(Reply),
    /// The replies to the message: one for SMTP, one for every accepted recipient for LMTP.
    Whole(Vec<Reply>),
}

impl Connection {
    /// Sends the message, with CRLF line ends, dots not stuffed; a last line without line end gets one. After
    /// BODY=BINARYMIME it is any octets, and nothing is added. The reply is the one to the message, or the one to DATA
    /// when the server did not want the message.
    pub async fn data(&mut self, message: &[u8]) -> Result<Reply, ClientError> {
        if self.protocol == Protocol::Lmtp {
            return Err(ClientError::RepliesPerRecipient);
        }
        let mut replies = self.data_each(message).await?;
        // There is one for each recipient, and at least one.
        replies.pop().ok_or(ClientError::Closed {
            phase: Phase::EndOfMessage,
        })
    }

    /// The same for either protocol, with the reply for each recipient that was accepted, in that order. With SMTP
    /// they are all alike. If the connection breaks in the middle of them, the rest become 451: those recipients may
    /// have the message nevertheless.
    pub async fn data_each(&mut self, message: &[u8]) -> Result<Vec<Reply>, ClientError> {
        self.check_message(message, self.body)?;
        match self.hand_over(message).await? {
            Handed::Refused(reply) => Ok(vec![reply; self.accepted.max(1)]),
            Handed::Whole(mut replies) => {
                // With SMTP the only one speaks for all.
                if let (Protocol::Smtp, Some(reply)) = (self.protocol, replies.first()) {
                    replies.resize(self.accepted.max(1), reply.clone());
                }
                Ok(replies)
            }
        }
    }

    /// Whether messages go in chunks.
    pub(super) fn chunks(&self) -> bool {
        self.chunking == ChunkingUse::WhereOffered && self.capabilities.offers("CHUNKING")
    }

    pub(super) fn check_message(&self, message: &[u8], body: Body) -> Result<(), ClientError> {
        self.check_size(octets(message))?;
        if body == Body::BinaryMime {
            return Ok(());
        }
        if let Some(offset) = not_canonical(message) {
            return Err(ClientError::NotCanonical { offset });
        }
        if !message.is_ascii() && !self.capabilities.offers("8BITMIME") {
            return Err(ClientError::EightBitNotOffered);
        }
        Ok(())
    }

    pub(super) fn check_size(&self, size: u64) -> Result<(), ClientError> {
        match self.capabilities.max_message_size() {
            Some(limit) if size > limit => Err(ClientError::TooLarge { size, limit }),
            _ => Ok(()),
        }
    }

    /// Sends a message for the recipients that were accepted.
    pub(super) async fn hand_over(&mut self, message: &[u8]) -> Result<Handed, ClientError> {
        if self.chunks() {
            return self.chunk(message).await;
        }
        let reply = self.command("DATA", Phase::Data, self.timeouts.data_start).await?;
        match reply.is_intermediate() {
            true => self.lines(message).await,
            false => Ok(Handed::Refused(self.expect_final(Phase::Data, reply)?)),
        }
    }

    /// Sends the octets of the message after 354, and reads what the server says of it.
    pub(super) async fn lines(&mut self, message: &[u8]) -> Result<Handed, ClientError> {
        let mut line_start = true;
        for piece in message.chunks(PIECE) {
            line_start = stuff(piece, line_start, &mut self.wire.output);
            if let Err(error) = self.flush_within(Phase::Message, self.timeouts.data_block).await {
                return self.last_words(error).await;
            }
        }
        if !line_start {
            self.wire.output.extend_from_slice(b"\r\n");
        }
        self.wire.output.extend_from_slice(b".\r\n");
        if let Err(error) = self.flush_within(Phase::EndOfMessage, self.timeouts.data_block).await {
            return self.last_words(error).await;
        }
        self.replies_to_message().await
    }

    /// Sends the message as one chunk. See RFC 3030 section 2.
    async fn chunk(&mut self, message: &[u8]) -> Result<Handed, ClientError> {
        let (last_line_end, size) = self.chunk_size(message);
        self.queue(&format!("BDAT {size} LAST"));
        let mut pieces = message.chunks(PIECE).peekable();
        while let Some(piece) = pieces.next() {
            self.wire.output.extend_from_slice(piece);
            if pieces.peek().is_some()
                && let Err(error) = self.flush_within(Phase::Message, self.timeouts.data_block).await
            {
                return self.last_words(error).await;
            }
        }
        self.wire.output.extend_from_slice(last_line_end);
        if let Err(error) = self.flush_within(Phase::EndOfMessage, self.timeouts.data_block).await {
            return self.last_words(error).await;
        }
        self.replies_to_message().await
    }

    /// Writes a message that is sent together with the commands before it, if it is small enough for that.
    pub(super) fn queue_small_chunk(&mut self, message: &[u8]) {
        let (last_line_end, size) = self.chunk_size(message);
        self.queue(&format!("BDAT {size} LAST"));
        self.wire.output.extend_from_slice(message);
        self.wire.output.extend_from_slice(last_line_end);
    }

    /// What the message lacks at its end, and its size with that. Servers that pass it on with DATA would add it.
    fn chunk_size(&self, message: &[u8]) -> (&'static [u8], u64) {
        let is_complete = self.body == Body::BinaryMime || message.is_empty() || message.ends_with(b"\r\n");
        let last_line_end: &[u8] = if is_complete { b"" } else { b"\r\n" };
        (last_line_end, octets(message).saturating_add(octets(last_line_end)))
    }

    /// Reads what the server says of the message: once with SMTP, and with LMTP once for each accepted recipient.
    pub(super) async fn replies_to_message(&mut self) -> Result<Handed, ClientError> {
        let expected = match self.protocol {
            Protocol::Smtp => 1,
            Protocol::Lmtp => self.accepted.max(1),
        };
        let mut replies = Vec::with_capacity(expected);
        while replies.len() < expected {
            let reply = match self.reply(Phase::EndOfMessage, self.timeouts.data_end).await {
                Ok(reply) => self.expect_final(Phase::EndOfMessage, reply),
                Err(error) => Err(error),
            };
            match reply {
                Ok(reply) => replies.push(reply),
                // What has been said of the others must not be lost with it, or they would get a second copy.
                Err(_) if !replies.is_empty() => {
                    let lost = Reply::try_later([4, 4, 2], "The connection broke before the answer for this recipient");
                    replies.resize(expected, lost);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Handed::Whole(replies))
    }

    /// A server that hangs up in the middle of a message often has said why, such as 552; that is worth more than a
    /// broken pipe.
    async fn last_words(&mut self, error: ClientError) -> Result<Handed, ClientError> {
        if let ClientError::Io { phase, .. } = error
            && let Ok(reply) = self.reply(phase, LAST_WORDS).await
            && (reply.is_transient() || reply.is_permanent())
        {
            self.usable = false;
            return Ok(Handed::Refused(reply));
        }
        Err(error)
    }
}

/// Octets of a message that are sent in one go.
pub(super) const PIECE: usize = 64 * 1024;
const LAST_WORDS: Duration = Duration::from_secs(5);
