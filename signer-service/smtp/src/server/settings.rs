//! How a server behaves: limits, waits, and what it offers.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::Authentication;

/// How a server behaves; [`Settings::new`] has working values for all but the name.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name in the greeting: a host name or an address literal.
    pub hostname: String,
    /// In octets, announced with SIZE.
    pub max_message_size: usize,
    /// In octets: what all messages together may take that are being received or handled by [`super::Session::data`].
    /// A message that finds no room is refused with 452.
    pub max_memory: usize,
    /// RCPT commands per transaction; RFC 5321 section 4.5.3.1.8 asks for at least 100.
    pub max_recipients: usize,
    /// Further connections are answered 421.
    pub max_connections: usize,
    /// Commands refused for syntax, order or limits before the connection is closed with 421.
    pub max_errors: usize,
    pub timeouts: Timeouts,
    /// STARTTLS is offered when there is one.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    pub plain_text: PlainText,
    pub chunking: Chunking,
    /// AUTH is offered when there is one.
    pub authentication: Option<Authentication>,
    /// Announced beside the ones built in; the session gets their parameters and does what they ask for.
    pub extensions: Vec<Extension>,
}

impl Settings {
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            max_message_size: 50 * 1024 * 1024,
            max_memory: 512 * 1024 * 1024,
            max_recipients: 1000,
            max_connections: 200,
            max_errors: 20,
            timeouts: Timeouts::default(),
            tls: None,
            plain_text: PlainText::Accept,
            chunking: Chunking::Offer,
            authentication: None,
            extensions: Vec::new(),
        }
    }
}

/// Whether mail may come without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainText {
    Accept,
    /// MAIL is answered 530 until there is TLS. Not for a server that the whole world sends mail to, see RFC 3207
    /// section 4.
    Refuse,
}

/// Whether messages may come in counted chunks, with BDAT. See RFC 3030.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunking {
    Off,
    /// The message is the same as it would be with DATA: the same line ends, the same refusals.
    Offer,
    /// BINARYMIME too: for sessions that can handle bare CR, bare LF and NUL, see [`super::Session::data`].
    OfferWithBinaryMime,
}

/// How long the server waits. See RFC 5321 section 4.5.3.2.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a whole command line.
    pub command: Duration,
    /// For the next octets of a message.
    pub data: Duration,
    /// For a whole message, which a trickle of octets could stretch otherwise.
    pub message: Duration,
    pub tls_handshake: Duration,
    /// For the client to take a reply.
    pub write: Duration,
    /// For open transactions when the server is asked to stop.
    pub shutdown: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            command: Duration::from_secs(5 * 60),
            data: Duration::from_secs(3 * 60),
            message: Duration::from_secs(60 * 60),
            tls_handshake: Duration::from_secs(30),
            write: Duration::from_secs(60),
            shutdown: Duration::from_secs(30),
        }
    }
}

/// A service extension that only adds parameters. See RFC 5321 section 2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Its line in the EHLO reply.
    pub keyword: &'static str,
    /// In upper case.
    pub mail_parameters: &'static [&'static str],
    /// In upper case.
    pub recipient_parameters: &'static [&'static str],
}

impl Extension {
    /// Delivery status notifications, RFC 3461. Whoever announces it has to pass the parameters on or to send them.
    pub const DSN: Self = Self {
        keyword: "DSN",
        mail_parameters: &["RET", "ENVID"],
        recipient_parameters: &["NOTIFY", "ORCPT"],
    };
}
