//! What can go wrong on the way to the next hop.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::auth::{Mechanism, UntrustworthyServer};
use crate::reply::Reply;

/// Why the client could not do what it was asked to. A refusal of MAIL, RCPT or DATA is not among these: it is the
/// reply of the next hop and comes back as such.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    #[error("cannot connect to the mail server {host}:{port}")]
    Connect { host: String, port: u16, source: io::Error },
    #[error("the mail server did not answer within {} s {phase}", waited.as_secs())]
    TimedOut { phase: Phase, waited: Duration },
    #[error("the connection to the mail server broke {phase}")]
    Io { phase: Phase, source: io::Error },
    #[error("the mail server closed the connection {phase}")]
    Closed { phase: Phase },
    #[error("the mail server gave an answer that is no SMTP reply {phase}: {line:?}")]
    NotAReply { phase: Phase, line: String },
    #[error("the mail server gave an answer without end {phase}")]
    EndlessReply { phase: Phase },
    #[error("the mail server refused to go on {phase}: {reply}")]
    Refused { phase: Phase, reply: Reply },
    #[error("the mail server {host} does not offer STARTTLS, which is required for it")]
    TlsNotOffered { host: String },
    #[error("\"{host}\" is not a name that a TLS certificate can be checked against")]
    ServerName { host: String },
    #[error("the TLS configuration cannot be used")]
    TlsConfiguration { source: rustls::Error },
    #[error("the certificate of the mail server {host} was not accepted")]
    Certificate { host: String, source: rustls::Error },
    #[error("the TLS handshake with the mail server {host} failed")]
    Handshake { host: String, source: io::Error },
    #[error("the mail server sent plain text after agreeing to STARTTLS, as if somebody were tampering")]
    PlaintextAfterStartTls,
    #[error("the address {address:?} {fault}")]
    Address { address: String, fault: &'static str },
    #[error("the message has {size} octets, but the mail server takes no more than {limit}")]
    TooLarge { size: u64, limit: u64 },
    #[error("the message has 8-bit octets, but the mail server does not offer 8BITMIME; encode it as 7bit")]
    EightBitNotOffered,
    #[error("{address:?} needs SMTPUTF8, which the mail server does not offer")]
    Utf8NotOffered { address: String },
    #[error("the recipient {address:?} needs SMTPUTF8, which was not requested with the sender")]
    Utf8NotRequested { address: String },
    #[error("the message is any octets, but the mail server does not offer BINARYMIME; encode it as 7bit")]
    BinaryNotOffered,
    #[error("with LMTP each recipient has a reply to the message of its own; data_each or send gives them")]
    RepliesPerRecipient,
    #[error("the mail server offers no way to log in that is known here, only {offered:?}")]
    AuthenticationNotOffered { offered: String },
    #[error("the login would cross the network where others can read it; ask for TLS with a certificate")]
    AuthenticationNeedsTls,
    #[error("the mail server refused the login as {user:?} by {mechanism}: {reply}")]
    AuthenticationRefused {
        user: String,
        mechanism: Mechanism,
        reply: Reply,
    },
    #[error("the mail server did not prove by {mechanism} that it is the one which knows {user:?}")]
    Untrustworthy {
        user: String,
        mechanism: Mechanism,
        source: UntrustworthyServer,
    },
    #[error("the message has a NUL octet or a line that does not end with CR LF, at offset {offset}")]
    NotCanonical { offset: usize },
}

impl ClientError {
    /// Whether the same message may get through later, so that a relay answers 4yz or tries again. What is wrong
    /// with TLS or a login is temporary, since it is the path that fails and not the message (RFC 8461 section 5).
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::TimedOut { .. }
            | Self::Io { .. }
            | Self::Closed { .. }
            | Self::NotAReply { .. }
            | Self::EndlessReply { .. }
            | Self::TlsNotOffered { .. }
            | Self::ServerName { .. }
            | Self::TlsConfiguration { .. }
            | Self::Certificate { .. }
            | Self::Handshake { .. }
            | Self::PlaintextAfterStartTls
            | Self::AuthenticationNotOffered { .. }
            | Self::AuthenticationNeedsTls
            | Self::AuthenticationRefused { .. }
            | Self::Untrustworthy { .. } => true,
            Self::Refused { reply, .. } => !reply.is_permanent(),
            Self::Address { .. }
            | Self::TooLarge { .. }
            | Self::EightBitNotOffered
            | Self::BinaryNotOffered
            | Self::RepliesPerRecipient
            | Self::Utf8NotOffered { .. }
            | Self::Utf8NotRequested { .. }
            | Self::NotCanonical { .. } => false,
        }
    }

    /// Whether the next hop may have taken the message although nobody heard it say so: sending again can make a
    /// second copy. See RFC 1047.
    pub fn may_have_been_delivered(&self) -> bool {
        matches!(
            self,
            Self::TimedOut { phase, .. }
            | Self::Io { phase, .. }
            | Self::Closed { phase }
            | Self::NotAReply { phase, .. }
            | Self::EndlessReply { phase } if *phase == Phase::EndOfMessage
        )
    }
}

/// What the client was doing; reads on after "the connection broke".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    Greeting,
    Hello,
    StartTls,
    Handshake,
    Authentication,
    Mail,
    Rcpt,
    Data,
    /// While the octets of the message were on their way.
    Message,
    /// After the whole message was sent, when only the reply to it was missing.
    EndOfMessage,
    Reset,
    Quit,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "at its greeting",
            Self::Hello => "at EHLO",
            Self::StartTls => "at STARTTLS",
            Self::Handshake => "in the TLS handshake",
            Self::Authentication => "at AUTH",
            Self::Mail => "at MAIL",
            Self::Rcpt => "at RCPT",
            Self::Data => "at DATA",
            Self::Message => "in the message",
            Self::EndOfMessage => "after the message",
            Self::Reset => "at RSET",
            Self::Quit => "at QUIT",
        })
    }
}
