//! Anything as MIME: header, sender, envelope, boundaries, encodings, what the content does.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| verifier::fuzzing::mime(input));
