//! Anything as a whole message, to somebody who trusts the root of `verifier/fixtures`.
//!
//! The fixtures are among the seeds, so what is tried is close to messages that have a tier. None but those may have one.
#![no_main]

use std::sync::LazyLock;

use policies::time::Timestamp;
use verifier::{Material, Policy, TrustStore, Vouches, verify};

/// Whom to trust, and when, and what the fixtures show.
static WORLD: LazyLock<(TrustStore, Timestamp, Vec<Vec<u8>>)> = LazyLock::new(|| {
    let trust = TrustStore::new().add(include_bytes!("../../fixtures/root.pem"), Vouches::Tiers);
    let trust = trust.expect("the root of the fixtures is an authority");
    let at = Timestamp::parse_rfc3339(include_str!("../../fixtures/at.txt").trim()).expect("at.txt is a time");
    let messages: [&[u8]; 4] = [
        include_bytes!("../../fixtures/v1.eml"),
        include_bytes!("../../fixtures/v2.eml"),
        include_bytes!("../../fixtures/v3.eml"),
        include_bytes!("../../fixtures/v4.eml"),
    ];
    let shown = |message| verify(message, &trust, &Material::default(), at, &Policy::default());
    let honest = messages.map(|message| {
        let verdict = shown(message);
        assert!(verdict.tier().is_some(), "{}", verdict.label());
        verdict.verified_bytes().unwrap_or_default().to_vec()
    });
    (trust, at, honest.to_vec())
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let (trust, at, honest) = &*WORLD;
    verifier::fuzzing::message(input, trust, *at, honest);
});
