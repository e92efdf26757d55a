//! DESIGN section 4, 11: no message is shown with a tier unless all that is shown was covered by a valid signature of a
//! certificate whose address is the one From address.

mod single_change;

use openssl::base64::{decode_block, encode_block};
use policies::tier::Tier;
use proptest::prelude::*;
use verifier::Verdict;

use crate::support::*;

/// A tier means: these bytes, this sender. Anything else is a lie.
fn assert_honest(scenario: &Scenario, verdict: &Verdict) {
    if verdict.tier().is_some() {
        assert_eq!(verdict.verified_bytes(), Some(scenario.entity.as_slice()));
        assert_eq!(
            verdict.from().map(str::to_ascii_lowercase).as_deref(),
            Some("alice@example.org")
        );
        assert_eq!(verdict.tier(), Some(Tier::V1));
    }
}

/// Where the parts of the clear-signed message stand.
fn bounds(message: &[u8], from: &str, to: &str) -> std::ops::Range<usize> {
    let text = str::from_utf8(message).unwrap();
    let start = text.find(from).unwrap();
    start..start + text[start..].find(to).unwrap()
}

#[test]
fn invariant_11_no_flipped_byte_under_the_signature_keeps_a_tier() {
    let scenario = Scenario::new();
    let message = scenario.message();
    assert!(scenario.verdict_on(&message).tier().is_some());
    for index in bounds(
        &message,
        "Content-Type: text/plain",
        "\r\n--=_b\r\nContent-Type: application/pkcs7",
    ) {
        for mask in [0x01, 0x20, 0x80] {
            let mut flipped = message.clone();
            flipped[index] ^= mask;
            assert_eq!(scenario.verdict_on(&flipped).tier(), None, "byte {index} ^ {mask:#04x}");
        }
    }
}

#[test]
fn invariant_11_no_flipped_byte_of_the_address_keeps_a_tier() {
    let scenario = Scenario::new();
    let message = scenario.message();
    for index in bounds(&message, "alice@example.org", ">") {
        for bit in 0..8 {
            let mut flipped = message.clone();
            flipped[index] ^= 1 << bit;
            // The case of ASCII letters is no difference between addresses.
            if !flipped[index].eq_ignore_ascii_case(&message[index]) {
                assert_eq!(scenario.verdict_on(&flipped).tier(), None, "byte {index}, bit {bit}");
            }
        }
    }
}

/// What the signature and the certificates do not cover: neither may change anything that is shown.
#[test]
fn invariant_11_no_flipped_byte_of_cms_or_certificates_lends_another_identity() {
    let mut scenario = Scenario::new();
    let cms = scenario.signed_data();
    let (leaf, issuing, _) = scenario.chain();
    let fixed = cms.clone();
    scenario.cms.edit = Some(Box::new(move |cms| cms.clone_from(&fixed)));
    let place = |part: &[u8]| cms.windows(part.len()).position(|window| window == part).unwrap();
    let covered = [
        place(&leaf)..place(&leaf) + leaf.len(),
        place(&issuing)..place(&issuing) + issuing.len(),
    ];
    let message = String::from_utf8(scenario.message()).unwrap();
    let encoded = base64(&cms);
    let mut survived = Vec::new();
    for index in 0..cms.len() {
        let mut flipped = cms.clone();
        flipped[index] ^= 1 << (index % 8);
        let changed = message.replace(&encoded, &base64(&flipped));
        let verdict = scenario.verdict_on(changed.as_bytes());
        assert_honest(&scenario, &verdict);
        if verdict.tier().is_some() {
            assert!(
                !covered.iter().any(|range| range.contains(&index)),
                "byte {index} of a certificate"
            );
            survived.push((index, cms[index], flipped[index]));
        }
    }
    // Only the name of the issuer in the SignerInfo may be written in other letters: RFC 5280 section 7.1.
    for (index, before, after) in survived {
        assert!(
            before.eq_ignore_ascii_case(&after),
            "byte {index}: {before:#04x} and {after:#04x}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariant_11_any_damage_anywhere_stays_honest(
        opaque in any::<bool>(),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut scenario = Scenario::new();
        scenario.opaque = opaque;
        let mut message = scenario.message();
        for (place, value) in places {
            let place = place.index(message.len());
            message[place] = value;
        }
        assert_honest(&scenario, &scenario.verdict_on(&message));
    }

    #[test]
    fn invariant_11_cut_and_spliced_messages_stay_honest(
        cut in any::<prop::sample::Index>(),
        splice in any::<prop::sample::Index>(),
        text in "(From: eve@example.com\r\n|--=_b\r\n|--=_b--\r\n|\r\n|\0|Content-Type: text/html\r\n)",
    ) {
        let scenario = Scenario::new();
        let message = scenario.message();
        assert_honest(&scenario, &scenario.verdict_on(&message[..cut.index(message.len())]));
        let splice = splice.index(message.len());
        let spliced = [&message[..splice], text.as_bytes(), &message[splice..]].concat();
        assert_honest(&scenario, &scenario.verdict_on(&spliced));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let scenario = Scenario::new();
        prop_assert_eq!(scenario.verdict_on(&bytes).tier(), None);
        let opaque = format!("From: alice@example.org\r\nContent-Type: application/pkcs7-mime\r\n\
            Content-Transfer-Encoding: base64\r\n\r\n{}\r\n", encode_block(&bytes));
        prop_assert_eq!(scenario.verdict_on(opaque.as_bytes()).tier(), None);
        prop_assert_eq!(decode_block(&encode_block(&bytes)).unwrap(), bytes);
    }
}
