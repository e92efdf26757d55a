//! One connection of the server, from the greeting to the farewell.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::budget::Budget;
use super::receiver::{DataFault, DataReceiver, Received};
use super::request::{self, Command};
use super::{Hello, Peer, Service, Session, Settings};
use crate::envelope::{MailFrom, RcptTo};
use crate::reply::Reply;
use crate::tls::TlsInfo;
use crate::wire::{LineError, Stream, Wire};

/// Serves one client over any stream until one of the two has had enough.
pub(super) async fn serve<S: Service>(
    stream: Box<dyn Stream>,
    address: SocketAddr,
    settings: &Settings,
    service: &S,
    budget: &Arc<Budget>,
    stopping: watch::Receiver<bool>,
) {
    let mut wire = Wire::new(stream);
    let session = match service.connect(address) {
        Ok(session) => session,
        Err(reply) => {
            reply.write_to(&mut wire.output);
            farewell(wire, settings).await;
            return;
        }
    };
    Reply::new(220, None, format!("{} ESMTP", settings.hostname)).write_to(&mut wire.output);
    let mut connection = Connection {
        settings,
        session,
        budget,
        stopping,
        peer: Peer {
            address,
            helo: String::new(),
            hello: Hello::Helo,
            tls: None,
        },
        greeted: false,
        transaction: None,
        errors: 0,
        idle_commands: 0,
    };
    loop {
        match connection.talk(&mut wire).await {
            Talk::Ended => return farewell(wire, settings).await,
            Talk::Lost => return,
            Talk::StartTls(config) => {
                let accepting = TlsAcceptor::from(config).accept(wire.into_stream());
                let stream = match timeout(settings.timeouts.tls_handshake, accepting).await {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => return debug!(%address, %error, "a TLS handshake failed"),
                    Err(_) => return debug!(%address, "a TLS handshake took too long"),
                };
                connection.restart_with(TlsInfo::of(stream.get_ref().1)).await;
                wire = Wire::new(Box::new(stream));
            }
        }
    }
}

struct Connection<'s, S> {
    settings: &'s Settings,
    session: S,
    budget: &'s Arc<Budget>,
    stopping: watch::Receiver<bool>,
    peer: Peer,
    greeted: bool,
    transaction: Option<Transaction>,
    errors: usize,
    /// Commands since the last message that are no errors but achieve nothing.
    idle_commands: usize,
}

/// What has been agreed since MAIL.
struct Transaction {
    smtputf8: bool,
    announced: Option<u64>,
    asked: usize,
    accepted: usize,
}

/// How a stretch of talking ended.
enum Talk {
    /// The last reply is written and the connection is to be closed.
    Ended,
    /// Nobody is there to hear a farewell.
    Lost,
    StartTls(Arc<rustls::ServerConfig>),
}

/// What follows the reply to a command.
enum Next {
    Command,
    Close,
    StartTls(Arc<rustls::ServerConfig>),
    Message,
}

impl<S: Session> Connection<'_, S> {
    async fn talk(&mut self, wire: &mut Wire) -> Talk {
        loop {
            // RFC 2920 section 3.2: replies may be held back as long as there are more commands to answer.
            if !wire.buffered().contains(&b'\n') && !flush(wire, self.settings).await {
                return Talk::Lost;
            }
            let line = tokio::select! {
                line = timeout(self.settings.timeouts.command, wire.read_line(MAX_LINE_OCTETS)) => line,
                () = stopped(&mut self.stopping) => {
                    return end(wire, Reply::closing([4, 3, 2], "Shutting down, try again later"));
                }
            };
            let parsed = match line {
                Ok(Ok(line)) => request::parse(line, &self.settings.extensions),
                Ok(Err(LineError::TooLong)) => Err(Reply::new(500, Some([5, 5, 2]), "Line too long")),
                Ok(Err(LineError::BareLineFeed)) => {
                    return end(wire, Reply::new(500, Some([5, 5, 2]), "Lines must end with CR LF"));
                }
                Ok(Err(LineError::Flood)) => {
                    return end(wire, Reply::closing([4, 7, 0], "That line has no end"));
                }
                Ok(Err(LineError::Closed)) => return Talk::Lost,
                Ok(Err(LineError::Io(error))) => {
                    debug!(address = %self.peer.address, %error, "a mail connection was lost");
                    return Talk::Lost;
                }
                Err(_) => return end(wire, Reply::closing([4, 4, 2], "Idle for too long")),
            };
            let unread = !wire.buffered().is_empty();
            let (reply, next) = match parsed {
                Ok(command) => self.execute(command, unread).await,
                Err(reply) => (self.error(reply), Next::Command),
            };
            reply.write_to(&mut wire.output);
            match next {
                _ if reply.code() == 421 => return Talk::Ended,
                _ if self.errors > self.settings.max_errors => {
                    return end(wire, Reply::closing([4, 7, 0], "Too many errors"));
                }
                Next::Command => {}
                Next::Close => return Talk::Ended,
                Next::StartTls(config) => {
                    return if flush(wire, self.settings).await {
                        Talk::StartTls(config)
                    } else {
                        Talk::Lost
                    };
                }
                Next::Message => {
                    if !flush(wire, self.settings).await {
                        return Talk::Lost;
                    }
                    match self.message(wire).await {
                        Ok(Next::Command) => {}
                        Ok(_) => return Talk::Ended,
                        Err(talk) => return talk,
                    }
                }
            }
        }
    }

    /// Answers one command. `unread` tells whether the client has sent more without waiting for the reply.
    async fn execute(&mut self, command: Command, unread: bool) -> (Reply, Next) {
        let reply = match command {
            Command::Ehlo(name) => {
                self.greet(name, Hello::Ehlo).await;
                self.capabilities()
            }
            Command::Helo(name) => {
                self.greet(name, Hello::Helo).await;
                Reply::new(250, None, &self.settings.hostname)
            }
            Command::Mail(from) => self.mail(from).await,
            Command::Rcpt(to) => self.rcpt(to).await,
            Command::Data => return self.data(unread),
            Command::StartTls => return self.start_tls(unread),
            Command::Rset => {
                self.abandon().await;
                self.idle(Reply::ok([2, 0, 0], "Forgotten"))
            }
            Command::Noop => self.idle(Reply::ok([2, 0, 0], "Still here")),
            Command::Vrfy => self.idle(Reply::new(252, Some([2, 5, 0]), "Send mail to find out")),
            Command::Help => self.idle(Reply::new(
                214,
                Some([2, 0, 0]),
                "EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP STARTTLS QUIT",
            )),
            Command::Quit => return (Reply::new(221, Some([2, 0, 0]), "Bye"), Next::Close),
            Command::Bdat => {
                let text = "BDAT was not offered, and what follows it must not be taken for commands";
                return (Reply::new(502, Some([5, 5, 1]), text), Next::Close);
            }
            Command::Http => return (Reply::new(500, Some([5, 5, 1]), "This is a mail server"), Next::Close),
            Command::NotImplemented(name) => {
                self.error(Reply::new(502, Some([5, 5, 1]), format!("{name} is not implemented")))
            }
        };
        (reply, Next::Command)
    }

    async fn greet(&mut self, name: String, hello: Hello) {
        self.abandon().await;
        self.idle_commands += 1;
        self.peer.helo = name;
        self.peer.hello = hello;
        self.greeted = true;
        self.session.greeted(&self.peer);
    }

    fn capabilities(&self) -> Reply {
        let mut lines = vec![
            self.settings.hostname.clone(),
            "PIPELINING".to_owned(),
            format!("SIZE {}", self.settings.max_message_size),
            "8BITMIME".to_owned(),
            "SMTPUTF8".to_owned(),
            "ENHANCEDSTATUSCODES".to_owned(),
        ];
        if self.settings.tls.is_some() && self.peer.tls.is_none() {
            lines.push("STARTTLS".to_owned());
        }
        lines.extend(
            self.settings
                .extensions
                .iter()
                .map(|extension| extension.keyword.to_owned()),
        );
        Reply::new(250, None, lines.join("\n"))
    }

    async fn mail(&mut self, from: MailFrom) -> Reply {
        if !self.greeted {
            return self.error(Reply::new(503, Some([5, 5, 1]), "Say EHLO first"));
        }
        if self.transaction.is_some() {
            return self.error(Reply::new(
                503,
                Some([5, 5, 1]),
                "There is a sender already; RSET forgets it",
            ));
        }
        // RFC 1870 section 6.1.
        let limit = u64::try_from(self.settings.max_message_size).unwrap_or(u64::MAX);
        if from.size.is_some_and(|size| size > limit) {
            return self.error(too_large(self.settings));
        }
        let transaction = Transaction {
            smtputf8: from.smtputf8,
            announced: from.size,
            asked: 0,
            accepted: 0,
        };
        let reply = self.session.mail(from).await;
        if reply.is_positive() {
            self.transaction = Some(transaction);
        }
        reply
    }

    async fn rcpt(&mut self, to: RcptTo) -> Reply {
        let Some(transaction) = &mut self.transaction else {
            return self.error(Reply::new(503, Some([5, 5, 1]), "Say MAIL first"));
        };
        // RFC 6531 section 3.5.
        if !to.address.is_ascii() && !transaction.smtputf8 {
            let text = "The recipient address is not ASCII and SMTPUTF8 was not requested";
            return self.error(Reply::new(553, Some([5, 6, 7]), text));
        }
        // RFC 5321 section 4.5.3.1.10. Refused ones count too, or one transaction could try addresses for ever.
        // Going over the limit is no error, since nobody told the client; going far over it is one.
        transaction.asked += 1;
        if transaction.asked > self.settings.max_recipients {
            let reply = Reply::new(
                452,
                Some([4, 5, 3]),
                "Too many recipients, send the message again to the rest",
            );
            let far_over = transaction.asked > self.settings.max_recipients.saturating_mul(2);
            return if far_over { self.error(reply) } else { reply };
        }
        let reply = self.session.rcpt(to).await;
        if reply.is_positive()
            && let Some(transaction) = &mut self.transaction
        {
            transaction.accepted += 1;
        }
        reply
    }

    fn data(&mut self, unread: bool) -> (Reply, Next) {
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
            Some(_) => (
                Reply::new(354, None, "Send the message, end it with CR LF . CR LF"),
                Next::Message,
            ),
        }
    }

    fn start_tls(&mut self, unread: bool) -> (Reply, Next) {
        let Some(config) = self.settings.tls.clone() else {
            return (
                self.error(Reply::new(502, Some([5, 5, 1]), "TLS is not available")),
                Next::Command,
            );
        };
        if self.peer.tls.is_some() {
            return (
                self.error(Reply::new(503, Some([5, 5, 1]), "TLS is active already")),
                Next::Command,
            );
        }
        if !self.greeted {
            return (
                self.error(Reply::new(503, Some([5, 5, 1]), "Say EHLO first")),
                Next::Command,
            );
        }
        // Commands that somebody in between put behind STARTTLS would seem to come through TLS (CVE-2011-0411).
        if unread {
            let text = "Nothing may follow STARTTLS before the TLS handshake";
            return (Reply::new(554, Some([5, 5, 0]), text), Next::Close);
        }
        (
            Reply::new(220, Some([2, 0, 0]), "Begin the TLS handshake"),
            Next::StartTls(config),
        )
    }

    /// Reads the message and lets the session answer.
    async fn message(&mut self, wire: &mut Wire) -> Result<Next, Talk> {
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
            Received::Message(message) => {
                self.transaction = None;
                self.idle_commands = 0;
                (self.session.data(message).await, Next::Command)
            }
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

    /// RFC 3207 section 4.2: after the handshake the server knows nothing of what was said before.
    async fn restart_with(&mut self, tls: TlsInfo) {
        self.abandon().await;
        self.greeted = false;
        self.peer.helo.clear();
        self.peer.tls = Some(tls);
        self.session.tls_started();
    }

    async fn abandon(&mut self) {
        if self.transaction.take().is_some() {
            self.session.reset().await;
        }
    }

    fn error(&mut self, reply: Reply) -> Reply {
        self.errors += 1;
        reply
    }

    fn idle(&mut self, reply: Reply) -> Reply {
        self.idle_commands += 1;
        if self.idle_commands > MAX_IDLE_COMMANDS {
            self.error(reply)
        } else {
            reply
        }
    }
}

fn end(wire: &mut Wire, reply: Reply) -> Talk {
    reply.write_to(&mut wire.output);
    Talk::Ended
}

/// Ready when the server is asked to stop, or is gone.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

fn refusal(fault: DataFault, settings: &Settings) -> Reply {
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

fn too_large(settings: &Settings) -> Reply {
    let text = format!("The message is larger than {} octets", settings.max_message_size);
    Reply::new(552, Some([5, 3, 4]), text)
}

async fn flush(wire: &mut Wire, settings: &Settings) -> bool {
    matches!(timeout(settings.timeouts.write, wire.flush()).await, Ok(Ok(())))
}

async fn farewell(mut wire: Wire, settings: &Settings) {
    if flush(&mut wire, settings).await {
        // Who does not hang up after the farewell is left alone with it.
        let _ = timeout(FAREWELL, wire.close()).await;
    }
}

/// RFC 5321 section 4.5.3.1.4 has 512, RFC 1870, RFC 6152, RFC 6531 and RFC 3461 add 26, 17, 10 and about 1100.
const MAX_LINE_OCTETS: usize = 2048;
/// Postfix draws the same line for what it calls junk commands.
const MAX_IDLE_COMMANDS: usize = 100;
const FAREWELL: Duration = Duration::from_secs(2);
