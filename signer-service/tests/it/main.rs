//! The gateway held against OpenSSL, mail-parser and a real next hop.

mod messages;
mod refusals;
mod support;
