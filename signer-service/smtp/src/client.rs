//! Sends mail to a next hop, and tells what it said of every recipient.

mod capabilities;
mod delivery;
mod error;
mod login;
mod message;
mod transfer;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub use self::capabilities::Capabilities;
pub use self::delivery::Delivery;
pub use self::error::{ClientError, Phase};
pub use crate::auth::{Credentials, Password};
pub use crate::envelope::{Body, MailFrom, Parameter, RcptTo};
pub use crate::reply::Reply;
pub use crate::tls::{TlsInfo, danger_without_authentication};

#[cfg(test)]
pub(crate) use self::message::stuff;

use crate::address;
use crate::reply::{ReplyFault, ReplyParser};
use crate::tls::exporter;
use crate::wire::{LineError, Wire};

/// Where to send mail, and how much TLS is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A host name or an IP address; with [`TlsPolicy::Required`] the certificate must be for it.
    pub host: String,
    pub port: u16,
    pub tls: TlsPolicy,
}

/// When STARTTLS is used. See RFC 3207.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPolicy {
    /// For a next hop on the same machine.
    Never,
    /// Encrypt when the server offers it, without looking at the certificate: protects against listening, not
    /// against somebody in between. A handshake that fails is an error and not followed by plain text.
    Opportunistic,
    /// No mail without TLS and a certificate for the host from an issuer in the TLS configuration.
    Required,
    /// The same, with TLS from the first octet: port 465, see RFC 8314 section 3.3.
    Implicit,
}

/// What is spoken over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Smtp,
    Lmtp,
}

/// How long the client waits; the defaults are those of RFC 5321 section 4.5.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    pub greeting: Duration,
    /// For the reply to EHLO, MAIL, RCPT, RSET.
    pub command: Duration,
    pub tls_handshake: Duration,
    /// For the reply to DATA.
    pub data_start: Duration,
    /// For the server to take the next piece of the message.
    pub data_block: Duration,
    /// For the reply to the message; impatience here makes duplicates.
    pub data_end: Duration,
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            greeting: Duration::from_secs(5 * 60),
            command: Duration::from_secs(5 * 60),
            tls_handshake: Duration::from_secs(60),
            data_start: Duration::from_secs(2 * 60),
            data_block: Duration::from_secs(3 * 60),
            data_end: Duration::from_secs(10 * 60),
            quit: Duration::from_secs(5),
        }
    }
}

/// A connection to a next hop, greeted and, where the policy says so, encrypted.
pub struct Connection {
    wire: Wire,
    timeouts: Timeouts,
    capabilities: Capabilities,
    tls: Option<TlsInfo>,
    /// False once replies can no longer be matched with commands.
    usable: bool,
    protocol: Protocol,
    policy: TlsPolicy,
    /// For channel binding; there is none without TLS 1.3.
    exporter: Option<[u8; 32]>,
    chunking: ChunkingUse,
    /// Whether the open transaction was begun with SMTPUTF8.
    smtputf8: bool,
    /// With what BODY the open transaction was begun.
    body: Body,
    /// Recipients accepted in the open transaction.
    accepted: usize,
}

/// Whether BDAT is used where the server offers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkingUse {
    WhereOffered,
    Never,
}

impl Connection {
    /// Connects, greets as `hello_name`, and starts TLS as the policy says.
    pub async fn connect(
        target: &Target,
        hello_name: &str,
        tls_config: &Arc<ClientConfig>,
        timeouts: Timeouts,
    ) -> Result<Self, ClientError> {
        let stream = connect(target, timeouts).await?;
        Self::over(stream, target, hello_name, tls_config, timeouts).await
    }

    /// The same over a stream that is already open, such as a Unix socket; `target.host` is only used to check the
    /// certificate.
    pub async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        target: &Target,
        hello_name: &str,
        tls_config: &Arc<ClientConfig>,
        timeouts: Timeouts,
    ) -> Result<Self, ClientError> {
        let wire = Wire::new(Box::new(stream));
        Self::open(wire, Protocol::Smtp, target, hello_name, tls_config, timeouts).await
    }

    /// Connects to a server that speaks LMTP (RFC 2033) and so has an answer of its own for every recipient of a
    /// message.
    pub async fn connect_lmtp(
        target: &Target,
        hello_name: &str,
        tls_config: &Arc<ClientConfig>,
        timeouts: Timeouts,
    ) -> Result<Self, ClientError> {
        let stream = connect(target, timeouts).await?;
        Self::over_lmtp(stream, target, hello_name, tls_config, timeouts).await
    }

    /// LMTP over a stream that is already open, as a mailbox server on the same machine has it: a Unix socket.
    pub async fn over_lmtp(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        target: &Target,
        hello_name: &str,
        tls_config: &Arc<ClientConfig>,
        timeouts: Timeouts,
    ) -> Result<Self, ClientError> {
        let wire = Wire::new(Box::new(stream));
        Self::open(wire, Protocol::Lmtp, target, hello_name, tls_config, timeouts).await
    }

    async fn open(
        wire: Wire,
        protocol: Protocol,
        target: &Target,
        hello_name: &str,
        tls_config: &Arc<ClientConfig>,
        timeouts: Timeouts,
    ) -> Result<Self, ClientError> {
        if hello_name.is_empty() || !hello_name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ClientError::Address {
                address: hello_name.to_owned(),
                fault: "is not a name to say in EHLO",
            });
        }
        let mut connection = Self {
            wire,
            timeouts,
            capabilities: Capabilities::default(),
            tls: None,
            usable: true,
            protocol,
            policy: target.tls,
            exporter: None,
            chunking: ChunkingUse::WhereOffered,
            smtputf8: false,
            body: Body::SevenBit,
            accepted: 0,
        };
        if target.tls == TlsPolicy::Implicit {
            connection = connection.handshake(target, tls_config).await?;
        }
        let greeting = connection.reply(Phase::Greeting, timeouts.greeting).await?;
        if !greeting.is_positive() {
            return Err(ClientError::Refused {
                phase: Phase::Greeting,
                reply: greeting,
            });
        }
        connection.hello(hello_name).await?;

        let offered = connection.capabilities.offers("STARTTLS");
        match target.tls {
            TlsPolicy::Never | TlsPolicy::Implicit => return Ok(connection),
            TlsPolicy::Opportunistic if !offered => return Ok(connection),
            TlsPolicy::Required if !offered => {
                return Err(ClientError::TlsNotOffered {
                    host: target.host.clone(),
                });
            }
            TlsPolicy::Opportunistic | TlsPolicy::Required => {}
        }
        let reply = connection
            .command("STARTTLS", Phase::StartTls, timeouts.command)
            .await?;
        match target.tls {
            _ if reply.is_positive() => {}
            TlsPolicy::Required => {
                return Err(ClientError::Refused {
                    phase: Phase::StartTls,
                    reply,
                });
            }
            // The server has changed its mind; it was only a wish.
            TlsPolicy::Never | TlsPolicy::Opportunistic | TlsPolicy::Implicit => return Ok(connection),
        }
        let mut connection = connection.handshake(target, tls_config).await?;
        connection.hello(hello_name).await?;
        Ok(connection)
    }

    /// What the server has announced, inside TLS if there is TLS.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    pub fn tls(&self) -> Option<&TlsInfo> {
        self.tls.as_ref()
    }

    /// False after an error that has put replies and commands out of step; only dropping it is left then.
    pub fn is_usable(&self) -> bool {
        self.usable
    }

    /// From now on sends messages with DATA, also where the server offers CHUNKING.
    pub fn avoid_chunking(&mut self) {
        self.chunking = ChunkingUse::Never;
    }

    /// Opens a transaction. SIZE and BODY are told if the server wants to know them, SMTPUTF8 if it is set or the
    /// address needs it.
    pub async fn mail(&mut self, from: &MailFrom) -> Result<Reply, ClientError> {
        let command = self.mail_command(from)?;
        self.command(&command, Phase::Mail, self.timeouts.command).await
    }

    /// Names a recipient.
    pub async fn rcpt(&mut self, to: &RcptTo) -> Result<Reply, ClientError> {
        let command = self.rcpt_command(to)?;
        let reply = self.command(&command, Phase::Rcpt, self.timeouts.command).await?;
        if reply.is_positive() {
            self.accepted += 1;
        }
        Ok(reply)
    }

    /// Ends the open transaction, so that another can begin.
    pub async fn reset(&mut self) -> Result<(), ClientError> {
        let reply = self.command("RSET", Phase::Reset, self.timeouts.command).await?;
        match reply.is_positive() {
            true => Ok(()),
            false => Err(ClientError::Refused {
                phase: Phase::Reset,
                reply,
            }),
        }
    }

    /// Takes leave. Mail that was accepted before stays accepted, whatever happens here.
    pub async fn quit(mut self) -> Result<(), ClientError> {
        self.command("QUIT", Phase::Quit, self.timeouts.quit).await?;
        within(Phase::Quit, self.timeouts.quit, self.wire.close()).await
    }

    fn mail_command(&mut self, from: &MailFrom) -> Result<String, ClientError> {
        if !from.address.is_empty() {
            check_address(&from.address)?;
        }
        let smtputf8 = from.smtputf8 || !from.address.is_ascii();
        if smtputf8 && !self.capabilities.offers("SMTPUTF8") {
            return Err(ClientError::Utf8NotOffered {
                address: from.address.clone(),
            });
        }
        if from.body == Body::EightBitMime && !self.capabilities.offers("8BITMIME") {
            return Err(ClientError::EightBitNotOffered);
        }
        if from.body == Body::BinaryMime && !(self.capabilities.offers("BINARYMIME") && self.chunks()) {
            return Err(ClientError::BinaryNotOffered);
        }
        let mut command = format!("MAIL FROM:<{}>", from.address);
        if let Some(size) = from.size
            && self.capabilities.offers("SIZE")
        {
            self.check_size(size)?;
            command.push_str(&format!(" SIZE={size}"));
        }
        match from.body {
            Body::SevenBit => {}
            Body::EightBitMime => command.push_str(" BODY=8BITMIME"),
            Body::BinaryMime => command.push_str(" BODY=BINARYMIME"),
        }
        if smtputf8 {
            command.push_str(" SMTPUTF8");
        }
        for parameter in &from.parameters {
            command.push_str(&format!(" {parameter}"));
        }
        self.smtputf8 = smtputf8;
        self.body = from.body;
        self.accepted = 0;
        Ok(command)
    }

    fn rcpt_command(&self, to: &RcptTo) -> Result<String, ClientError> {
        if !to.address.eq_ignore_ascii_case("postmaster") {
            check_address(&to.address)?;
        }
        if !to.address.is_ascii() && !self.smtputf8 {
            return Err(ClientError::Utf8NotRequested {
                address: to.address.clone(),
            });
        }
        let parameters: String = to.parameters.iter().map(|parameter| format!(" {parameter}")).collect();
        Ok(format!("RCPT TO:<{}>{parameters}", to.address))
    }

    async fn hello(&mut self, hello_name: &str) -> Result<(), ClientError> {
        let verb = match self.protocol {
            Protocol::Smtp => "EHLO",
            Protocol::Lmtp => "LHLO",
        };
        let reply = self
            .command(&format!("{verb} {hello_name}"), Phase::Hello, self.timeouts.command)
            .await?;
        if reply.is_positive() {
            self.capabilities = Capabilities::parse(&reply);
            return Ok(());
        }
        // RFC 5321 section 3.2: a server that does not know EHLO is asked again, in the old way.
        self.capabilities = Capabilities::default();
        let reply = match reply.is_permanent() && self.protocol == Protocol::Smtp {
            true => {
                self.command(&format!("HELO {hello_name}"), Phase::Hello, self.timeouts.command)
                    .await?
            }
            false => reply,
        };
        match reply.is_positive() {
            true => Ok(()),
            false => Err(ClientError::Refused {
                phase: Phase::Hello,
                reply,
            }),
        }
    }

    async fn handshake(self, target: &Target, config: &Arc<ClientConfig>) -> Result<Self, ClientError> {
        // Replies that somebody in between put behind the 220 would seem to come through TLS.
        if !self.wire.buffered().is_empty() {
            return Err(ClientError::PlaintextAfterStartTls);
        }
        let host = target.host.clone();
        let name = ServerName::try_from(host.clone()).map_err(|_| ClientError::ServerName { host: host.clone() })?;
        let config = match target.tls {
            TlsPolicy::Required | TlsPolicy::Implicit => config.clone(),
            TlsPolicy::Never | TlsPolicy::Opportunistic => Arc::new(
                danger_without_authentication(config).map_err(|source| ClientError::TlsConfiguration { source })?,
            ),
        };
        let waited = self.timeouts.tls_handshake;
        let connecting = TlsConnector::from(config).connect(name, self.wire.into_stream());
        let stream = timeout(waited, connecting)
            .await
            .map_err(|_| ClientError::TimedOut {
                phase: Phase::Handshake,
                waited,
            })?
            .map_err(|source| handshake_error(host, source))?;
        let session = stream.get_ref().1;
        let tls = Some(TlsInfo::of(session));
        let exporter = exporter(session);
        let capabilities = Capabilities::default();
        Ok(Self {
            wire: Wire::new(Box::new(stream)),
            tls,
            exporter,
            capabilities,
            ..self
        })
    }

    async fn command(&mut self, command: &str, phase: Phase, patience: Duration) -> Result<Reply, ClientError> {
        self.queue(command);
        self.flush(phase).await?;
        let reply = self.reply(phase, patience).await?;
        match phase {
            // Only these have 3yz for an answer, and there it is the caller who knows what to do.
            Phase::Data | Phase::Authentication => Ok(reply),
            _ => self.expect_final(phase, reply),
        }
    }

    /// Refuses 3yz where it has no meaning: to go on would put replies and commands out of step.
    fn expect_final(&mut self, phase: Phase, reply: Reply) -> Result<Reply, ClientError> {
        if reply.is_intermediate() {
            self.usable = false;
            return Err(ClientError::NotAReply {
                phase,
                line: reply.to_string(),
            });
        }
        Ok(reply)
    }

    fn queue(&mut self, command: &str) {
        self.wire.output.extend_from_slice(command.as_bytes());
        self.wire.output.extend_from_slice(b"\r\n");
    }

    async fn flush(&mut self, phase: Phase) -> Result<(), ClientError> {
        self.flush_within(phase, self.timeouts.command).await
    }

    async fn flush_within(&mut self, phase: Phase, patience: Duration) -> Result<(), ClientError> {
        if !self.usable {
            return Err(ClientError::Closed { phase });
        }
        // Not usable until the end of this: if the caller gives up waiting, part of a command may have gone out.
        self.usable = false;
        within(phase, patience, self.wire.flush())
            .await?
            .map_err(|source| ClientError::Io { phase, source })?;
        self.usable = true;
        Ok(())
    }

    async fn reply(&mut self, phase: Phase, patience: Duration) -> Result<Reply, ClientError> {
        self.usable = false;
        let reply = within(phase, patience, read_reply(&mut self.wire, phase)).await??;
        // 421 says that the server closes the connection (RFC 5321 section 3.8).
        self.usable = reply.code() != 421;
        Ok(reply)
    }
}

async fn connect(target: &Target, timeouts: Timeouts) -> Result<TcpStream, ClientError> {
    let failed = |source| ClientError::Connect {
        host: target.host.clone(),
        port: target.port,
        source,
    };
    let connecting = TcpStream::connect((target.host.as_str(), target.port));
    let stream = timeout(timeouts.connect, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("capabilities", &self.capabilities)
            .field("tls", &self.tls)
            .field("usable", &self.usable)
            .finish_non_exhaustive()
    }
}

async fn read_reply(wire: &mut Wire, phase: Phase) -> Result<Reply, ClientError> {
    let mut parser = ReplyParser::default();
    loop {
        let line = wire
            .read_line(MAX_REPLY_LINE_OCTETS)
            .await
            .map_err(|error| match error {
                LineError::Closed => ClientError::Closed { phase },
                LineError::TooLong | LineError::Flood => ClientError::EndlessReply { phase },
                LineError::BareLineFeed => ClientError::NotAReply {
                    phase,
                    line: "a line that ends with LF alone".into(),
                },
                LineError::Io(source) => ClientError::Io { phase, source },
            })?;
        match parser.line(line) {
            Ok(Some(reply)) => return Ok(reply),
            Ok(None) => {}
            Err(ReplyFault::TooLong) => return Err(ClientError::EndlessReply { phase }),
            Err(ReplyFault::Malformed) => {
                let line = String::from_utf8_lossy(line)
                    .chars()
                    .take(MAX_QUOTED_CHARACTERS)
                    .collect();
                return Err(ClientError::NotAReply { phase, line });
            }
        }
    }
}

async fn within<T>(phase: Phase, patience: Duration, work: impl Future<Output = T>) -> Result<T, ClientError> {
    timeout(patience, work).await.map_err(|_| ClientError::TimedOut {
        phase,
        waited: patience,
    })
}

fn handshake_error(host: String, error: io::Error) -> ClientError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(source @ rustls::Error::InvalidCertificate(_)) => ClientError::Certificate {
            host,
            source: source.clone(),
        },
        _ => ClientError::Handshake { host, source: error },
    }
}

fn check_address(address: &str) -> Result<(), ClientError> {
    address::check(address).map_err(|fault| ClientError::Address {
        address: address.to_owned(),
        fault: fault.as_str(),
    })
}

/// RFC 5321 section 4.5.3.1.5 has 512; some servers put URLs into their refusals.
const MAX_REPLY_LINE_OCTETS: usize = 4096;
const MAX_QUOTED_CHARACTERS: usize = 80;

#[cfg(test)]
mod tests;
