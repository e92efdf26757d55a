//! SMTP receiving and sending sessions.
//!
//! * [`server`] receives: a [`server::Server`] speaks the protocol and asks a [`server::Session`] what to answer.
//! * [`auth`] is for logging in, on either side.
//! * [`client`] sends: a [`client::Connection`] reports what the next hop said of every single recipient.
//! * [`dkim`] says what a domain signs of a message, and how that is written.
//! * [`sink`] is a small real mailbox server on top of [`server`], for trying out and for tests.
//!
//! What is promised, by both directions:
//!
//! * A message ends with CRLF "." CRLF or where it was counted to end, and with nothing else; bare CR, bare LF and NUL
//!   are refused, so that no two programs can disagree on where a message ends (SMTP smuggling). The one exception is
//!   BODY=BINARYMIME, which is only ever counted, and which a service has to ask for.
//! * Plain text that came before a TLS handshake is never read as if it had come through TLS.
//! * Every line, list, message and wait has a limit.
//! * Passwords are wiped after use, and never stand in a log, an error or a `Debug` output.
//!
//! Standards: [RFC 5321] (SMTP), [RFC 1870] (SIZE), [RFC 2034] and [RFC 3463] (enhanced status codes), [RFC 2920]
//! (PIPELINING), [RFC 3030] (CHUNKING, BINARYMIME), [RFC 3207] (STARTTLS), [RFC 4954] (AUTH), [RFC 6152] (8BITMIME),
//! [RFC 6531] (SMTPUTF8), [RFC 6376] and [RFC 8463] (DKIM), [RFC 8314] (implicit TLS); [RFC 2033] (LMTP) as a client; XCLIENT and XFORWARD of Postfix.
//!
//! [RFC 5321]: https://www.rfc-editor.org/rfc/rfc5321
//! [RFC 1870]: https://www.rfc-editor.org/rfc/rfc1870
//! [RFC 2034]: https://www.rfc-editor.org/rfc/rfc2034
//! [RFC 3463]: https://www.rfc-editor.org/rfc/rfc3463
//! [RFC 2920]: https://www.rfc-editor.org/rfc/rfc2920
//! [RFC 2033]: https://www.rfc-editor.org/rfc/rfc2033
//! [RFC 3030]: https://www.rfc-editor.org/rfc/rfc3030
//! [RFC 3207]: https://www.rfc-editor.org/rfc/rfc3207
//! [RFC 4954]: https://www.rfc-editor.org/rfc/rfc4954
//! [RFC 6152]: https://www.rfc-editor.org/rfc/rfc6152
//! [RFC 6376]: https://www.rfc-editor.org/rfc/rfc6376
//! [RFC 6531]: https://www.rfc-editor.org/rfc/rfc6531
//! [RFC 8314]: https://www.rfc-editor.org/rfc/rfc8314
//! [RFC 8463]: https://www.rfc-editor.org/rfc/rfc8463

mod address;
pub mod auth;
pub mod client;
pub mod dkim;
pub mod envelope;
pub mod reply;
pub mod server;
pub mod sink;
#[cfg(test)]
mod testing;
mod tls;
mod wire;

pub use reply::Reply;
pub use tls::TlsInfo;
