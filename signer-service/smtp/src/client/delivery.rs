//! One message to many recipients, with a result for each of them.

use super::message::octets;
use super::transfer::{Handed, PIECE};
use super::{ClientError, Connection, Phase, Protocol};
use crate::envelope::{Body, MailFrom, RcptTo};
use crate::reply::Reply;

/// What became of a message, from [`Connection::send`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The reply to MAIL. If it is negative, no recipient was asked.
    pub mail: Reply,
    /// The replies to RCPT, in the order of the recipients; empty if MAIL was refused.
    pub recipients: Vec<Reply>,
    /// The reply to the message, or to DATA when that was refused; `None` if no recipient was accepted, and with
    /// LMTP, where a whole message has many replies.
    pub message: Option<Reply>,
    /// With LMTP, the replies to a whole message, in the order of the recipients that were accepted.
    pub per_recipient: Vec<Reply>,
}

impl Delivery {
    /// The reply that decided on the recipient with this index: positive means the next hop has taken charge.
    pub fn outcome(&self, recipient: usize) -> &Reply {
        let Some(reply) = self.recipients.get(recipient) else {
            return &self.mail;
        };
        if !reply.is_positive() {
            return reply;
        }
        let accepted_before = self
            .recipients
            .iter()
            .take(recipient)
            .filter(|reply| reply.is_positive());
        let own = self.per_recipient.get(accepted_before.count());
        own.or(self.message.as_ref()).unwrap_or(reply)
    }
}

/// What became of MAIL, RCPT, and what was sent together with them.
struct Envelope {
    mail: Reply,
    recipients: Vec<Reply>,
    next: AfterEnvelope,
}

enum AfterEnvelope {
    /// The message is still to be sent, if anybody shall get it.
    Nothing,
    /// The reply to DATA.
    Asked(Reply),
    /// The replies to the message.
    Sent(Handed),
}

impl Connection {
    /// Sends one message to all recipients at once: in groups of commands where the server offers PIPELINING
    /// (RFC 2920), one by one otherwise; where it offers CHUNKING as well, a small message goes along with them. SIZE
    /// is derived from the message, and BODY unless it is BINARYMIME; SMTPUTF8 from the addresses if it is not set. A recipient who is refused is no obstacle to the others. Nothing is sent when the message
    /// cannot go to this server at all.
    pub async fn send(
        &mut self,
        from: &MailFrom,
        recipients: &[RcptTo],
        message: &[u8],
    ) -> Result<Delivery, ClientError> {
        self.check_message(message, from.body)?;
        let needs_utf8 = |address: &str| !address.is_ascii();
        let mut from = from.clone();
        from.size = Some(octets(message));
        if from.body != Body::BinaryMime {
            from.body = match message.is_ascii() {
                true => Body::SevenBit,
                false => Body::EightBitMime,
            };
        }
        from.smtputf8 |= recipients.iter().any(|to| needs_utf8(&to.address));
        let mail = self.mail_command(&from)?;
        let rcpts = recipients
            .iter()
            .map(|to| self.rcpt_command(to))
            .collect::<Result<Vec<_>, _>>()?;

        let envelope = match self.capabilities.offers("PIPELINING") && !rcpts.is_empty() {
            true => self.envelope_in_groups(&mail, &rcpts, message).await?,
            false => self.envelope_step_by_step(&mail, &rcpts).await?,
        };
        let is_for_somebody = self.accepted > 0;
        let handed = match envelope.next {
            AfterEnvelope::Asked(reply) if reply.is_intermediate() && is_for_somebody => {
                Some(self.lines(message).await?)
            }
            // RFC 2920 section 3.1: a server may want a message for nobody; it gets an empty one, and whatever it
            // says of that is meant for nobody.
            AfterEnvelope::Asked(reply) if reply.is_intermediate() => {
                self.lines(b"").await?;
                None
            }
            AfterEnvelope::Asked(reply) if is_for_somebody => {
                Some(Handed::Refused(self.expect_final(Phase::Data, reply)?))
            }
            AfterEnvelope::Sent(handed) if is_for_somebody => Some(handed),
            AfterEnvelope::Nothing if is_for_somebody => Some(self.hand_over(message).await?),
            AfterEnvelope::Asked(_) | AfterEnvelope::Sent(_) | AfterEnvelope::Nothing => None,
        };
        let (message, per_recipient) = match (handed, self.protocol) {
            (None, _) => (None, Vec::new()),
            (Some(Handed::Refused(reply)), _) => (Some(reply), Vec::new()),
            (Some(Handed::Whole(mut replies)), Protocol::Smtp) => (replies.pop(), Vec::new()),
            (Some(Handed::Whole(replies)), Protocol::Lmtp) => (None, replies),
        };
        let delivery = Delivery {
            mail: envelope.mail,
            recipients: envelope.recipients,
            message,
            per_recipient,
        };
        // After a refusal of DATA, or without DATA, the transaction is still open; and after a refused chunk
        // nothing but RSET is safe (RFC 3030 section 2).
        let is_over = delivery
            .message
            .iter()
            .chain(&delivery.per_recipient)
            .any(Reply::is_positive);
        if delivery.mail.is_positive() && !is_over && self.usable && self.reset().await.is_err() {
            // What was said of the message counts all the same, also of a server that hangs up after a refusal.
            self.usable = false;
        }
        Ok(delivery)
    }

    async fn envelope_step_by_step(&mut self, mail: &str, rcpts: &[String]) -> Result<Envelope, ClientError> {
        let mail = self.command(mail, Phase::Mail, self.timeouts.command).await?;
        let mut recipients = Vec::new();
        if mail.is_positive() {
            for rcpt in rcpts {
                recipients.push(self.command(rcpt, Phase::Rcpt, self.timeouts.command).await?);
            }
        }
        self.accepted = recipients.iter().filter(|reply| reply.is_positive()).count();
        Ok(Envelope {
            mail,
            recipients,
            next: AfterEnvelope::Nothing,
        })
    }

    /// MAIL with the first recipients, more recipients, and DATA, or the whole message if it is small, with the last.
    /// Replies are read after every group, since a server that cannot get rid of its replies stops reading (RFC 2920
    /// section 3.1).
    async fn envelope_in_groups(
        &mut self,
        mail: &str,
        rcpts: &[String],
        message: &[u8],
    ) -> Result<Envelope, ClientError> {
        let mut groups = rcpts.chunks(GROUP).peekable();
        let mut group = groups.next().unwrap_or_default();
        let mut mail_reply = None;
        let mut recipients = Vec::with_capacity(rcpts.len());
        self.queue(mail);
        loop {
            let is_last = groups.peek().is_none();
            for rcpt in group {
                self.queue(rcpt);
            }
            let with_message = is_last && self.chunks() && message.len() <= PIECE;
            if with_message {
                self.queue_small_chunk(message);
            } else if is_last && !self.chunks() {
                self.queue("DATA");
            }
            // Once the message is on its way with the commands, whatever goes wrong may go wrong after it arrived.
            let phase = |phase| if with_message { Phase::EndOfMessage } else { phase };
            self.flush(phase(Phase::Rcpt)).await?;
            let mail = match mail_reply.take() {
                Some(reply) => reply,
                None => self.reply(phase(Phase::Mail), self.timeouts.command).await?,
            };
            // Without a sender the message went nowhere.
            let phase = |phase| {
                if with_message && mail.is_positive() {
                    Phase::EndOfMessage
                } else {
                    phase
                }
            };
            for _ in group {
                let reply = self.reply(phase(Phase::Rcpt), self.timeouts.command).await?;
                // Without a sender these are only complaints about the order of commands.
                if mail.is_positive() {
                    recipients.push(reply);
                }
            }
            match groups.next() {
                Some(next) if mail.is_positive() => (group, mail_reply) = (next, Some(mail)),
                _ => {
                    self.accepted = recipients.iter().filter(|reply| reply.is_positive()).count();
                    let next = match (is_last, with_message, self.chunks()) {
                        (true, true, _) => match self.replies_to_message().await {
                            Ok(handed) => AfterEnvelope::Sent(handed),
                            // Nobody would have got it, so it does not matter what could not be heard.
                            Err(_) if self.accepted == 0 => AfterEnvelope::Nothing,
                            Err(error) => return Err(error),
                        },
                        (true, false, false) => {
                            AfterEnvelope::Asked(self.reply(Phase::Data, self.timeouts.data_start).await?)
                        }
                        (true, false, true) | (false, ..) => AfterEnvelope::Nothing,
                    };
                    return Ok(Envelope { mail, recipients, next });
                }
            }
        }
    }
}

/// Recipients per group of pipelined commands: their replies, of 512 octets at most, fit into any socket buffer.
const GROUP: usize = 50;
