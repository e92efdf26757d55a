//! Anything as CMS structures.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| verifier::fuzzing::cms(input));
