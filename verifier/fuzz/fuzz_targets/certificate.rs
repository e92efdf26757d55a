//! Anything as certificates.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| verifier::fuzzing::certificate(input));
