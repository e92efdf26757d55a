//! One message to many recipients, with a result for each of them.

use super::message::octets;
use super::{ClientError, Connection, Phase};
use crate::envelope::{Body, MailFrom, RcptTo};
use crate::reply::Reply;

/// What became of a message, from [`Connection::send`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The reply to MAIL. If it is negative, no recipient was asked.
    pub mail: Reply,
    /// The replies to RCPT, in the order of the recipients; empty if MAIL was refused.
    pub recipients: Vec<Reply>,
    /// The reply to the message, or to DATA when that was refused; `None` if no recipient was accepted.
    pub message: Option<Reply>,
}

impl Delivery {
    /// The reply that decided on the recipient with this index: positive means the next hop has taken charge.
    pub fn outcome(&self, recipient: usize) -> &Reply {
        match (self.recipients.get(recipient), &self.message) {
            (Some(reply), Some(message)) if reply.is_positive() => message,
            (Some(reply), _) => reply,
            (None, _) => &self.mail,
        }
    }
}

impl Connection {
    /// Sends one message to all recipients at once: in groups of commands where the server offers PIPELINING
    /// (RFC 2920), one by one otherwise. BODY and SIZE are derived from the message, SMTPUTF8 from the addresses if
    /// it is not set. A recipient who is refused is no obstacle to the others. Nothing is sent when the message
    /// cannot go to this server at all.
    pub async fn send(
        &mut self,
        from: &MailFrom,
        recipients: &[RcptTo],
        message: &[u8],
    ) -> Result<Delivery, ClientError> {
        self.check_message(message)?;
        let needs_utf8 = |address: &str| !address.is_ascii();
        let mut from = from.clone();
        from.size = Some(octets(message));
        from.body = if message.is_ascii() {
            Body::SevenBit
        } else {
            Body::EightBitMime
        };
        from.smtputf8 |= recipients.iter().any(|to| needs_utf8(&to.address));
        let mail = self.mail_command(&from)?;
        let rcpts = recipients
            .iter()
            .map(|to| self.rcpt_command(to))
            .collect::<Result<Vec<_>, _>>()?;

        let mut delivery = match self.capabilities.offers("PIPELINING") && !rcpts.is_empty() {
            true => self.envelope_in_groups(&mail, &rcpts).await?,
            false => self.envelope_step_by_step(&mail, &rcpts).await?,
        };
        let accepted = delivery.recipients.iter().any(Reply::is_positive);
        match delivery.message.take() {
            Some(reply) if reply.is_intermediate() && accepted => {
                delivery.message = Some(self.message(message).await?);
            }
            // RFC 2920 section 3.1: a server may want a message for nobody; it gets an empty one, and whatever it
            // says of that is meant for nobody.
            Some(reply) if reply.is_intermediate() => drop(self.message(b"").await?),
            Some(reply) if accepted => delivery.message = Some(self.expect_final(Phase::Data, reply)?),
            Some(_) | None => {}
        }
        // After a refusal of DATA, or without DATA, the transaction is still open.
        if delivery.mail.is_positive() && !delivery.message.as_ref().is_some_and(Reply::is_positive) && self.usable {
            self.reset().await?;
        }
        Ok(delivery)
    }

    async fn envelope_step_by_step(&mut self, mail: &str, rcpts: &[String]) -> Result<Delivery, ClientError> {
        let mail = self.command(mail, Phase::Mail, self.timeouts.command).await?;
        let mut delivery = Delivery {
            mail,
            recipients: Vec::new(),
            message: None,
        };
        if !delivery.mail.is_positive() {
            return Ok(delivery);
        }
        for rcpt in rcpts {
            delivery
                .recipients
                .push(self.command(rcpt, Phase::Rcpt, self.timeouts.command).await?);
        }
        if delivery.recipients.iter().any(Reply::is_positive) {
            delivery.message = Some(self.command("DATA", Phase::Data, self.timeouts.data_start).await?);
        }
        Ok(delivery)
    }

    /// MAIL with the first recipients, more recipients, and DATA with the last. Replies are read after every group,
    /// since a server that cannot get rid of its replies stops reading (RFC 2920 section 3.1).
    async fn envelope_in_groups(&mut self, mail: &str, rcpts: &[String]) -> Result<Delivery, ClientError> {
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
            if is_last {
                self.queue("DATA");
            }
            self.flush(Phase::Rcpt).await?;
            let mail = match mail_reply.take() {
                Some(reply) => reply,
                None => self.reply(Phase::Mail, self.timeouts.command).await?,
            };
            for _ in group {
                let reply = self.reply(Phase::Rcpt, self.timeouts.command).await?;
                // Without a sender these are only complaints about the order of commands.
                if mail.is_positive() {
                    recipients.push(reply);
                }
            }
            let message = match is_last {
                true => Some(self.reply(Phase::Data, self.timeouts.data_start).await?),
                false => None,
            };
            match groups.next() {
                Some(next) if mail.is_positive() => (group, mail_reply) = (next, Some(mail)),
                _ => {
                    return Ok(Delivery {
                        mail,
                        recipients,
                        message,
                    });
                }
            }
        }
    }
}

/// Recipients per group of pipelined commands: their replies, of 512 octets at most, fit into any socket buffer.
const GROUP: usize = 50;
