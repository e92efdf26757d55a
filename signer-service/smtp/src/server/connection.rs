//! One connection of the server, from the greeting to the farewell.

mod chunks;
mod login;
mod message;
mod speaking_for;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use self::message::too_large;
use super::budget::Budget;
use super::proxy::{self, Claims, Origin, Trust};
use super::receiver::ChunkReceiver;
use super::request::{self, Command, Offers};
use super::{Chunking, Entrance, Hello, Peer, PlainText, Service, Session, Settings};
use crate::auth::Mechanism;
use crate::envelope::{Body, MailFrom, RcptTo};
use crate::reply::Reply;
use crate::tls::{self, TlsInfo};
use crate::wire::{LineError, Stream, Wire};

/// Serves one client over any stream until one of the two has had enough.
pub(super) async fn serve<V: Service>(
    stream: Box<dyn Stream>,
    address: SocketAddr,
    entrance: Entrance,
    settings: &Settings,
    service: &V,
    budget: &Arc<Budget>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut wire = Wire::new(stream);
    let mut encryption = None;
    if let (Entrance::ImplicitTls, Some(config)) = (entrance, &settings.tls) {
        let handshake = handshake(wire, config.clone(), address, settings);
        let encrypted = tokio::select! {
            encrypted = handshake => encrypted,
            () = stopped(&mut stopping) => None,
        };
        let Some((encrypted, session)) = encrypted else { return };
        (wire, encryption) = (encrypted, Some(session));
    }
    let session = match service.connect(address) {
        Ok(session) => session,
        Err(reply) => {
            reply.write_to(&mut wire.output);
            farewell(wire, settings).await;
            return;
        }
    };
    greeting(settings).write_to(&mut wire.output);
    let mut connection = Connection {
        settings,
        service,
        session,
        budget,
        stopping,
        peer: Peer {
            address,
            helo: String::new(),
            hello: Hello::Helo,
            tls: None,
            user: None,
            name: None,
            via: None,
        },
        exporter: None,
        true_address: address,
        trust: service.trust(address),
        claims: Claims::default(),
        origin: None,
        greeted: false,
        transaction: None,
        chunk_refused: false,
        errors: 0,
        failed_logins: 0,
        idle_commands: 0,
    };
    if let Some(encryption) = encryption {
        connection.restart_with(encryption).await;
    }
    loop {
        match connection.talk(&mut wire).await {
            Talk::Ended => return farewell(wire, settings).await,
            Talk::Lost => return,
            Talk::StartTls(config) => {
                let Some((encrypted, encryption)) = handshake(wire, config, address, settings).await else {
                    return;
                };
                connection.restart_with(encryption).await;
                wire = encrypted;
            }
        }
    }
}

/// What is known of a TLS session that has begun.
struct Encryption {
    info: TlsInfo,
    exporter: Option<[u8; 32]>,
}

/// The caller has seen that nothing is buffered.
async fn handshake(
    wire: Wire,
    config: Arc<rustls::ServerConfig>,
    address: SocketAddr,
    settings: &Settings,
) -> Option<(Wire, Encryption)> {
    let accepting = TlsAcceptor::from(config).accept(wire.into_stream());
    let stream = match timeout(settings.timeouts.tls_handshake, accepting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            debug!(%address, %error, "a TLS handshake failed");
            return None;
        }
        Err(_) => {
            debug!(%address, "a TLS handshake took too long");
            return None;
        }
    };
    let session = stream.get_ref().1;
    let encryption = Encryption {
        info: TlsInfo::of(session),
        exporter: tls::exporter(session),
    };
    Some((Wire::new(Box::new(stream)), encryption))
}

struct Connection<'s, V: Service> {
    settings: &'s Settings,
    service: &'s V,
    session: V::Session,
    budget: &'s Arc<Budget>,
    stopping: watch::Receiver<bool>,
    peer: Peer,
    /// For channel binding; there is none without TLS 1.3.
    exporter: Option<[u8; 32]>,
    /// Of the host that is connected, whoever it speaks for.
    true_address: SocketAddr,
    trust: Trust,
    /// What XCLIENT has said, which what EHLO says does not change.
    claims: Claims,
    /// What XFORWARD has said of the next message.
    origin: Option<Origin>,
    greeted: bool,
    transaction: Option<Transaction>,
    /// A chunk of the last transaction was refused, so more of them may be under way.
    chunk_refused: bool,
    errors: usize,
    failed_logins: u32,
    /// Commands since the last message that are no errors but achieve nothing.
    idle_commands: usize,
}

/// What has been agreed since MAIL.
struct Transaction {
    smtputf8: bool,
    announced: Option<u64>,
    asked: usize,
    accepted: usize,
    body: Body,
    chunks: Option<Chunks>,
}

/// What BDAT has brought so far.
struct Chunks {
    receiver: ChunkReceiver,
    /// For the whole message.
    deadline: Instant,
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

impl<V: Service> Connection<'_, V> {
    async fn talk(&mut self, wire: &mut Wire) -> Talk {
        loop {
            // RFC 2920 section 3.2: replies may be held back as long as there are more commands to answer.
            if !wire.buffered().contains(&b'\n') && !flush(wire, self.settings).await {
                return Talk::Lost;
            }
            let parsed = match self.line(wire).await {
                Ok(Ok(())) => request::parse(wire.line(), &self.offers()),
                Ok(Err(reply)) => Err(reply),
                Err(talk) => return talk,
            };
            let unread = !wire.buffered().is_empty();
            let answered = match parsed {
                Ok(Command::Auth { mechanism, initial }) => {
                    let answered = self.login(wire, &mechanism, initial).await;
                    wire.wipe();
                    answered
                }
                Ok(Command::Bdat { octets, last }) => self.chunk(wire, octets, last).await,
                Ok(command) => Ok(self.execute(command, unread).await),
                Err(reply) => {
                    // It may have been meant for an AUTH.
                    wire.wipe();
                    Ok((self.error(reply), Next::Command))
                }
            };
            let (reply, next) = match answered {
                Ok(answered) => answered,
                Err(talk) => return talk,
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

    /// Reads a line into [`Wire::line`], or tells what to answer to something else, or how the connection ends.
    async fn line(&mut self, wire: &mut Wire) -> Result<Result<(), Reply>, Talk> {
        let line = tokio::select! {
            line = timeout(self.settings.timeouts.command, wire.read_line(request::MAX_AUTH_LINE_OCTETS)) => {
                line.map(|line| line.map(drop))
            }
            () = stopped(&mut self.stopping) => {
                return Err(end(wire, Reply::closing([4, 3, 2], "Shutting down, try again later")));
            }
        };
        match line {
            Ok(Ok(())) => Ok(Ok(())),
            Ok(Err(LineError::TooLong)) => Ok(Err(Reply::new(500, Some([5, 5, 2]), "Line too long"))),
            Ok(Err(LineError::BareLineFeed)) => {
                let reply = Reply::new(500, Some([5, 5, 2]), "Lines must end with CR LF");
                Err(end(wire, reply))
            }
            Ok(Err(LineError::Flood)) => Err(end(wire, Reply::closing([4, 7, 0], "That line has no end"))),
            Ok(Err(LineError::Closed)) => Err(Talk::Lost),
            Ok(Err(LineError::Io(error))) => {
                debug!(address = %self.true_address, %error, "a mail connection was lost");
                Err(Talk::Lost)
            }
            Err(_) => Err(end(wire, Reply::closing([4, 4, 2], "Idle for too long"))),
        }
    }

    fn offers(&self) -> Offers<'_> {
        Offers {
            extensions: &self.settings.extensions,
            binary_mime: self.settings.chunking == Chunking::OfferWithBinaryMime,
            auth: !self.mechanisms().is_empty(),
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
                "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP STARTTLS AUTH QUIT",
            )),
            Command::Quit => return (Reply::new(221, Some([2, 0, 0]), "Bye"), Next::Close),
            Command::UncountedBdat => {
                let text = "Syntax: BDAT chunk-size [LAST]; what follows must not be taken for commands";
                return (Reply::new(501, Some([5, 5, 4]), text), Next::Close);
            }
            Command::XClient(words) => return self.speak_for(&words).await,
            Command::XForward(words) => self.record_origin(&words),
            // These two need the wire and are dealt with there.
            Command::Auth { .. } | Command::Bdat { .. } => self.error(Reply::new(503, Some([5, 5, 1]), "Not now")),
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
        self.peer.helo = self.claims.helo.clone().unwrap_or(name);
        self.peer.hello = self.claims.hello.unwrap_or(hello);
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
        if self.settings.chunking != Chunking::Off {
            lines.push("CHUNKING".to_owned());
        }
        if self.settings.chunking == Chunking::OfferWithBinaryMime {
            lines.push("BINARYMIME".to_owned());
        }
        if self.settings.tls.is_some() && self.peer.tls.is_none() {
            lines.push("STARTTLS".to_owned());
        }
        let mechanisms = self.mechanisms();
        if !mechanisms.is_empty() {
            let names: Vec<&str> = mechanisms.into_iter().map(Mechanism::name).collect();
            lines.push(format!("AUTH {}", names.join(" ")));
        }
        if self.trust.xclient {
            lines.push(proxy::XCLIENT.to_owned());
        }
        if self.trust.xforward {
            lines.push(proxy::XFORWARD.to_owned());
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
        // RFC 3207 section 4.
        if self.settings.plain_text == PlainText::Refuse && self.peer.tls.is_none() {
            return self.error(Reply::new(530, Some([5, 7, 0]), "Must issue a STARTTLS command first"));
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
            body: from.body,
            chunks: None,
        };
        self.chunk_refused = false;
        if let Some(origin) = &self.origin {
            self.session.forwarded(origin);
        }
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
        if transaction.chunks.is_some() {
            return self.error(Reply::new(503, Some([5, 5, 1]), "The message has begun already"));
        }
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

    /// RFC 3207 section 4.2: after the handshake the server knows nothing of what was said before.
    async fn restart_with(&mut self, encryption: Encryption) {
        self.abandon().await;
        self.greeted = false;
        self.peer.helo.clear();
        self.peer.user = None;
        self.peer.tls = Some(encryption.info);
        self.exporter = encryption.exporter;
        self.session.tls_started();
    }

    async fn abandon(&mut self) {
        self.chunk_refused = false;
        if self.transaction.take().is_some() {
            self.origin = None;
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

fn greeting(settings: &Settings) -> Reply {
    Reply::new(220, None, format!("{} ESMTP", settings.hostname))
}

fn end(wire: &mut Wire, reply: Reply) -> Talk {
    reply.write_to(&mut wire.output);
    Talk::Ended
}

/// Ready when the server is asked to stop, or is gone.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
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

/// Postfix draws the same line for what it calls junk commands.
const MAX_IDLE_COMMANDS: usize = 100;
const FAREWELL: Duration = Duration::from_secs(2);
