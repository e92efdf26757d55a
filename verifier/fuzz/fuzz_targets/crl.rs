//! Anything as revocation lists.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| verifier::fuzzing::crl(input));
