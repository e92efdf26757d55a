//! Anything as a whole message, to somebody who trusts the root of `verifier/fixtures`.
//!
//! The fixtures are among the seeds, so what is tried is close to messages that have a tier. None but those may have one.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    verifier::fuzzing::message(input);
});
