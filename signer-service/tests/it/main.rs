//! The gateway held against OpenSSL, mail-parser, a certificate authority and a next hop.

mod api;
mod dkim;
mod encrypting;
mod encryption;
mod enrolment;
mod inbound;
mod keys;
mod login;
mod messages;
mod policy;
mod postfix;
mod protection;
mod queue;
mod refusals;
mod relay;
mod reliability;
mod routing;
mod smuggling;
mod support;
mod two_hops;
mod world;
