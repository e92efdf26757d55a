//! One connection of a mail server, as a state machine: packets in, answers and events out.

use std::net::IpAddr;

use crate::ProtocolError;
use crate::command::Command;
use crate::negotiation::{Agreement, step};
use crate::response::{Answer, Modification, Reply, UnwritableField};

/// The filter's side of a connection.
#[derive(Debug)]
pub struct Conversation {
    agreement: Option<Agreement>,
    stage: Stage,
    macros: Vec<Macro>,
    message: Message,
    /// What is kept of a message; see [`Message::is_too_large`].
    max_message_size: usize,
}

/// How far the connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    /// Nobody is connected to the mail server yet.
    Negotiated,
    /// Between messages.
    Connected,
    /// After MAIL.
    Envelope,
    Header,
    Body,
    /// The filter owes an answer.
    Answering,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// What there was to say has been written.
    Nothing,
    /// Somebody has connected to the mail server.
    Connected(Peer),
    /// A message begins; [`Conversation::answer`] it.
    Mail(Mail),
    /// A message is complete; [`Conversation::finish`] it.
    Message(Message),
    /// The message that has begun is void.
    Aborted,
    /// The connection is over.
    Quit,
}

/// Who is connected to the mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// As the mail server calls it; not necessarily true.
    pub host: String,
    /// `None` where it is not an address of the Internet Protocol.
    pub address: Option<IpAddr>,
}

/// The beginning of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Without angle brackets; empty in notifications.
    pub reverse_path: String,
    /// As written, such as `BODY=8BITMIME`.
    pub parameters: Vec<String>,
    /// Who has logged in to the mail server (macro `{auth_authen}`).
    pub login: Option<String>,
}

impl Mail {
    pub fn has_parameter(&self, name: &str) -> bool {
        self.parameters
            .iter()
            .any(|parameter| parameter.eq_ignore_ascii_case(name))
    }
}

/// A whole message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    pub fields: Vec<HeaderField>,
    /// Lines with CRLF, as the mail server sends them.
    pub body: Vec<u8>,
    /// Of the mail server (macro `i`), for logs.
    pub queue_id: Option<String>,
    size: usize,
    /// More came than is kept; what is here is cut off.
    pub is_too_large: bool,
}

/// A header field: what stands on both sides of the colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderField {
    pub name: Vec<u8>,
    /// With the blank after the colon, and with CRLF where the field is folded.
    pub value: Vec<u8>,
}

/// A header field that would be read as something else once it is written down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the header field {name} is malformed")]
pub struct MalformedField {
    pub name: String,
}

#[derive(Debug)]
struct Macro {
    stage: u8,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Conversation {
    /// At most `max_message_size` octets of a message are kept.
    pub const fn new(max_message_size: usize) -> Self {
        Self {
            agreement: None,
            stage: Stage::Start,
            macros: Vec::new(),
            message: Message {
                fields: Vec::new(),
                body: Vec::new(),
                queue_id: None,
                size: 0,
                is_too_large: false,
            },
            max_message_size,
        }
    }

    /// Whether no message is under way, so that hanging up harms none.
    pub const fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Start | Stage::Negotiated | Stage::Connected)
    }

    /// Takes a packet without its length, and appends to `out` what is to be said at once.
    ///
    /// # Errors
    /// See [`ProtocolError`]: the connection is of no use any more.
    pub fn receive(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<Event, ProtocolError> {
        let command = Command::parse(frame)?;
        let name = command.name();
        let out_of_order = |state| Err(ProtocolError::OutOfOrder { command: name, state });
        let agreement = match (self.agreement, &command) {
            (None, Command::Offer(offer)) => {
                let agreement = offer.accept()?;
                agreement.write(out);
                self.agreement = Some(agreement);
                self.stage = Stage::Negotiated;
                return Ok(Event::Nothing);
            }
            (None, Command::Quit) => return Ok(Event::Quit),
            (None, _) => return out_of_order("before the options were negotiated"),
            (Some(_), Command::Offer(_)) => return out_of_order("after the options were negotiated"),
            (Some(agreement), _) => agreement,
        };
        if self.stage == Stage::Answering && !matches!(command, Command::Quit | Command::Abort) {
            return out_of_order("before its last command was answered");
        }
        match (command, self.stage) {
            // Handled above.
            (Command::Offer(_), _) => {}
            (Command::Macros { stage, values }, _) => {
                self.macros.retain(|known| known.stage != stage);
                self.macros.extend(values.into_iter().map(|(name, value)| Macro {
                    stage,
                    name: name.to_vec(),
                    value: value.to_vec(),
                }));
            }
            (Command::Connect { host, address }, Stage::Negotiated) => {
                self.stage = Stage::Connected;
                self.go_on(agreement, step::NO_REPLY_TO_CONNECT, out);
                return Ok(Event::Connected(Peer {
                    host: text(host),
                    address,
                }));
            }
            (Command::Connect { .. }, _) => return out_of_order("after somebody was connected"),
            (Command::Helo(_), Stage::Connected) | (Command::Unknown(_), _) => Answer::Continue.write(out),
            (Command::Helo(_), _) => return out_of_order("outside the beginning of a session"),
            (Command::Mail(words), Stage::Connected) => {
                self.stage = Stage::Answering;
                self.message = Message::default();
                let reverse_path = words.first().copied().unwrap_or_default();
                let reverse_path = reverse_path.strip_prefix(b"<").unwrap_or(reverse_path);
                return Ok(Event::Mail(Mail {
                    reverse_path: text(reverse_path.strip_suffix(b">").unwrap_or(reverse_path)),
                    parameters: words.iter().skip(1).map(|word| text(word)).collect(),
                    login: self.value_of(b'M', "{auth_authen}"),
                }));
            }
            (Command::Mail(_), _) => return out_of_order("without a session, or in the middle of a message"),
            (Command::Rcpt(_) | Command::Data, Stage::Envelope) => Answer::Continue.write(out),
            (Command::Rcpt(_) | Command::Data, _) => return out_of_order("without an envelope"),
            (Command::Header { name, value }, Stage::Envelope | Stage::Header) => {
                self.stage = Stage::Header;
                self.keep_field(agreement, name, value);
                self.go_on(agreement, step::NO_REPLY_TO_HEADER, out);
            }
            (Command::Header { .. }, _) => return out_of_order("where no header can be"),
            (Command::EndOfHeader, Stage::Envelope | Stage::Header) => {
                self.stage = Stage::Body;
                self.go_on(agreement, step::NO_REPLY_TO_END_OF_HEADER, out);
            }
            (Command::EndOfHeader, _) => return out_of_order("where no header can be"),
            (Command::Body(chunk), Stage::Body) => {
                self.keep_body(chunk);
                self.go_on(agreement, step::NO_REPLY_TO_BODY, out);
            }
            (Command::EndOfBody(chunk), Stage::Body) => {
                self.keep_body(chunk);
                self.stage = Stage::Answering;
                let mut message = std::mem::take(&mut self.message);
                message.queue_id = [b'E', b'N', b'T', b'R', b'M']
                    .into_iter()
                    .find_map(|stage| self.value_of(stage, "i"));
                return Ok(Event::Message(message));
            }
            (Command::Body(_) | Command::EndOfBody(_), _) => return out_of_order("before the end of a header"),
            (Command::Abort, _) => {
                self.end_message();
                return Ok(Event::Aborted);
            }
            (Command::QuitForNewConnection, _) => {
                self.end_message();
                self.macros.clear();
                self.stage = Stage::Negotiated;
            }
            (Command::Quit, _) => return Ok(Event::Quit),
        }
        Ok(Event::Nothing)
    }

    /// Answers [`Event::Mail`].
    pub fn answer(&mut self, answer: &Answer, out: &mut Vec<u8>) {
        if self.stage != Stage::Answering {
            return;
        }
        answer.write(out);
        if *answer == Answer::Continue {
            self.stage = Stage::Envelope;
        } else {
            self.end_message();
        }
    }

    /// Answers [`Event::Message`]: changes it and lets it go on, or not.
    ///
    /// # Errors
    /// A change cannot be written; the message is refused then.
    pub fn finish(&mut self, verdict: &Verdict, out: &mut Vec<u8>) -> Result<(), UnwritableField> {
        let (Stage::Answering, Some(agreement)) = (self.stage, self.agreement) else {
            return Ok(());
        };
        self.end_message();
        let modifications = match verdict {
            Verdict::Deliver(modifications) => modifications,
            Verdict::Refuse(answer) => {
                answer.write(out);
                return Ok(());
            }
        };
        let start = out.len();
        for modification in modifications {
            if let Err(error) = modification.write(agreement, out) {
                // No half-changed message.
                out.truncate(start);
                let reply = Reply::new(554, [5, 6, 0], &error.to_string());
                reply.map_or(Answer::Reject, Answer::Reply).write(out);
                return Err(error);
            }
        }
        Answer::Continue.write(out);
        Ok(())
    }

    fn go_on(&self, agreement: Agreement, may_be_left_out: u32, out: &mut Vec<u8>) {
        if !agreement.expects_no_reply_to(may_be_left_out) {
            Answer::Continue.write(out);
        }
    }

    fn keep_field(&mut self, agreement: Agreement, name: &[u8], value: &[u8]) {
        let message = &mut self.message;
        message.size += name.len() + value.len() + 4;
        if message.size > self.max_message_size {
            message.is_too_large = true;
            return;
        }
        let mut with_crlf = Vec::with_capacity(value.len() + 1);
        if !agreement.keeps_leading_space() {
            with_crlf.push(b' ');
        }
        for octet in value {
            if *octet == b'\n' && with_crlf.last() != Some(&b'\r') {
                with_crlf.push(b'\r');
            }
            with_crlf.push(*octet);
        }
        message.fields.push(HeaderField {
            name: name.to_vec(),
            value: with_crlf,
        });
    }

    fn keep_body(&mut self, chunk: &[u8]) {
        let message = &mut self.message;
        message.size += chunk.len();
        if message.size > self.max_message_size {
            message.is_too_large = true;
            message.body = Vec::new();
            return;
        }
        message.body.extend_from_slice(chunk);
    }

    /// Whatever was known of a message is void; the session remains.
    fn end_message(&mut self) {
        self.message = Message::default();
        self.macros.retain(|known| matches!(known.stage, b'C' | b'H'));
        if !matches!(self.stage, Stage::Start | Stage::Negotiated) {
            self.stage = Stage::Connected;
        }
    }

    fn value_of(&self, stage: u8, name: &str) -> Option<String> {
        let mut matching = self
            .macros
            .iter()
            .filter(|known| known.stage == stage && known.name == name.as_bytes());
        matching
            .next()
            .map(|known| text(&known.value))
            .filter(|value| !value.is_empty())
    }
}

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, with these changes in this order.
    Deliver(Vec<Modification>),
    Refuse(Answer),
}

impl Message {
    /// The message as it would be sent, with CRLF.
    ///
    /// # Errors
    /// A field whose octets would be read as several, or as the end of the header.
    pub fn to_bytes(&self) -> Result<Vec<u8>, MalformedField> {
        let mut bytes = Vec::with_capacity(self.size + 2 * self.fields.len() + 2);
        for field in &self.fields {
            let folds_well = field
                .value
                .split(|octet| *octet == b'\n')
                .enumerate()
                .all(|(number, line)| {
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    (number == 0 || matches!(line.first(), Some(b' ' | b'\t'))) && !line.contains(&b'\r')
                });
            let is_named = !field.name.is_empty()
                && field
                    .name
                    .iter()
                    .all(|octet| octet.is_ascii_graphic() && *octet != b':');
            if !folds_well || !is_named || field.value.ends_with(b"\r") {
                let name = String::from_utf8_lossy(&field.name).chars().take(40).collect();
                return Err(MalformedField { name });
            }
            for piece in [&field.name, &b":"[..], &field.value, b"\r\n"] {
                bytes.extend_from_slice(piece);
            }
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        Ok(bytes)
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[cfg(test)]
mod tests;
