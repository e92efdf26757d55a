//! The verifier from outside: messages in, verdicts out.

mod algorithms;
mod corpora;
mod good;
mod invariant_11;
mod layers;
mod limits;
mod linear;
mod links;
mod mutations;
mod ocsp;
mod openssl_differences;
mod openssl_peer;
mod refusals;
mod shown;
mod support;
