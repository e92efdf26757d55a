//! The filter side of the milter protocol, by which Postfix and Sendmail have their mail looked at and changed.
//!
//! [`frame`], [`command`], [`negotiation`], [`response`] and [`conversation`] do no I/O: bytes in, bytes and events
//! out. [`server`] runs conversations over Unix sockets and loopback TCP, for a [`Service`](server::Service) that
//! sees one envelope and one whole message at a time.
//!
//! There is no standard. What is implemented is version 6 as Sendmail 8.14 and Postfix 2.6 and their successors speak
//! it, described in the Internet-Draft [draft-adams-milter-protocol].
//!
//! [draft-adams-milter-protocol]: https://datatracker.ietf.org/doc/draft-adams-milter-protocol/

pub mod command;
pub mod conversation;
pub mod frame;
pub mod negotiation;
pub mod response;
pub mod server;

use thiserror::Error;

/// The peer does not speak the protocol as it should. The conversation ends; the mail server then does what it was
/// told to do without a filter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    #[error("the mail server announced a packet of {length} octets; at most {limit} are taken")]
    FrameTooLong { length: usize, limit: usize },
    #[error("the mail server sent a packet without a command")]
    FrameEmpty,
    #[error("the mail server sent the unknown command {:?}", char::from(*.code))]
    UnknownCommand { code: u8 },
    #[error("the mail server sent a {command} packet that is malformed: {reason}")]
    Malformed {
        command: &'static str,
        reason: &'static str,
    },
    #[error("the mail server sent {command} out of order, {state}")]
    OutOfOrder { command: &'static str, state: &'static str },
    #[error("the mail server speaks version {version} of the milter protocol; 2 or newer is needed")]
    Version { version: u32 },
    #[error("the mail server does not let a filter {missing}")]
    ActionNotOffered { missing: &'static str },
    #[error("the mail server sent more than {limit} macros")]
    TooManyMacros { limit: usize },
}
