//! The verifier from outside: messages in, verdicts out.

mod algorithms;
mod good;
mod invariant_11;
mod openssl_peer;
mod pkits;
mod refusals;
mod support;
