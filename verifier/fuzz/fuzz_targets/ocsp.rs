//! Anything as OCSP responses.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| verifier::fuzzing::ocsp(input));
