//! The messages of `verifier/fixtures`, each with what must be said of it, and inputs that must not be taken.

use std::fs;
use std::path::PathBuf;

use policies::time::Timestamp;
use serde_json::Value;
use verifier::{UnsettledRevocation, Vouches};
use verifier_report::{InputProblem, Report, Verifier, unsettled_revocation, vouches};

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn at() -> Timestamp {
    Timestamp::parse_rfc3339(String::from_utf8(fixture("at.txt")).unwrap().trim()).unwrap()
}

fn trusting() -> Verifier {
    let mut verifier = Verifier::new();
    verifier.trust(&fixture("root.pem"), Vouches::Tiers).unwrap();
    verifier
}

fn with_lists() -> Verifier {
    let mut verifier = trusting();
    verifier.add_crls(&fixture("root.crl")).unwrap();
    verifier.add_crls(&fixture("issuing-crl.pem")).unwrap();
    verifier
}

fn json(verifier: &Verifier, message: &str) -> Value {
    serde_json::from_str(&Report::of(&verifier.verify(&fixture(message), at())).to_json()).unwrap()
}

/// Status, tier, label, and the first finding's code or nothing.
fn check(verifier: &Verifier, message: &str, status: &str, tier: Option<&str>, label: &str) {
    let json = json(verifier, message);
    assert_eq!(json["status"], status, "{message}: {json}");
    assert_eq!(json["tier"].as_str(), tier, "{message}: {json}");
    assert_eq!(json["label"], label, "{message}: {json}");
}

#[test]
fn each_message_gets_its_label() {
    let verifier = with_lists();
    check(
        &verifier,
        "v1.eml",
        "tier",
        Some("V1"),
        "V1 Email Validated, Identity Not Validated",
    );
    check(
        &verifier,
        "v3.eml",
        "tier",
        Some("V3"),
        "V3 Example Bank, Identity Validated and Trusted",
    );
    let carol = "V4 Carol Clark, Example Bank, Head of Payments, Identity Validated and Trusted";
    check(&verifier, "v4.eml", "tier", Some("V4"), carol);
    // The lists revoke this one; without them it has its tier.
    check(
        &verifier,
        "v2.eml",
        "not_verified",
        None,
        "SIGNED, NOT VERIFIED (revoked)",
    );
    check(
        &trusting(),
        "v2.eml",
        "tier",
        Some("V2"),
        "V2 Bob Brown, Identity Validated",
    );
}

#[test]
fn what_was_changed_gets_none() {
    let verifier = with_lists();
    check(
        &verifier,
        "tampered.eml",
        "broken",
        None,
        "BROKEN (message-digest-mismatch)",
    );
    let other = "SIGNED, NOT VERIFIED (signer is notices@example.com)";
    check(&verifier, "other-sender.eml", "not_verified", None, other);
    check(&verifier, "unsigned.eml", "not_signed", None, "NOT SIGNED");
}

#[test]
fn the_report_has_exactly_these_keys_in_this_order() {
    let report = Report::of(&with_lists().verify(&fixture("v4.eml"), at())).to_json();
    let keys = [
        "status",
        "tier",
        "label",
        "from",
        "signer",
        "integrity",
        "path",
        "identity",
        "revocation",
        "findings",
        "certificate",
    ];
    let mut rest = report.as_str();
    for key in keys {
        let (_, after) = rest
            .split_once(&format!("\"{key}\":"))
            .unwrap_or_else(|| panic!("{key} in {report}"));
        rest = after;
    }
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report.as_object().unwrap().len(), keys.len());
    assert_eq!(report["from"], "carol@example.com");
    assert_eq!(report["signer"]["address"], "carol@example.com");
    assert_eq!(report["signer"]["name"], "Carol Clark");
    assert_eq!(report["signer"]["organization"], "Example Bank");
    assert_eq!(report["signer"]["title"], "Head of Payments");
    let facts = ["integrity", "path", "identity", "revocation"].map(|key| report[key].as_str().unwrap().to_owned());
    assert_eq!(facts, ["intact", "verified", "matches", "good"]);
    assert!(
        report["certificate"]
            .as_str()
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE-----\n")
    );
}

#[test]
fn what_the_embedder_decides_is_followed() {
    let mut signatures_only = Verifier::new();
    signatures_only
        .trust(&fixture("root.pem"), vouches("signatures_only").unwrap())
        .unwrap();
    assert_eq!(json(&signatures_only, "v1.eml")["status"], "signed");
    check(
        &Verifier::new(),
        "v1.eml",
        "not_verified",
        None,
        json(&Verifier::new(), "v1.eml")["label"].as_str().unwrap(),
    );

    let mut careful = trusting();
    careful.policy_mut().not_checked = unsettled_revocation("withhold_tier").unwrap();
    assert_eq!(json(&careful, "v1.eml")["status"], "signed");
    careful.policy_mut().maximum_message_size = 100;
    assert_eq!(json(&careful, "v1.eml")["findings"][0]["code"], "message-too-large");
    assert_eq!(careful.policy().not_checked, UnsettledRevocation::WithholdTier);
}

#[test]
fn a_refused_input_changes_nothing() {
    let mut verifier = with_lists();
    let before = json(&verifier, "v4.eml");
    let leaf = before["certificate"].as_str().unwrap().to_owned();
    // The first of the two is an authority: none of them is taken.
    let mixed = [fixture("root.pem"), leaf.clone().into_bytes()].concat();
    for anchors in [
        b"".as_slice(),
        b"junk",
        b"0junk",
        b"\xff",
        &mixed,
        leaf.as_bytes(),
        &fixture("root.crl"),
    ] {
        let mut empty = Verifier::new();
        assert!(empty.trust(anchors, Vouches::Tiers).is_err());
        assert_eq!(json(&empty, "v4.eml")["status"], "not_verified");
        assert!(verifier.trust(anchors, Vouches::Tiers).is_err());
    }
    for lists in [
        b"".as_slice(),
        b"junk",
        b"0junk",
        b"\xff",
        &fixture("root.pem"),
        &fixture("issuing.cer"),
    ] {
        assert!(verifier.add_crls(lists).is_err());
    }
    for response in [
        b"".as_slice(),
        b"junk",
        b"0junk",
        &fixture("root.crl"),
        &fixture("issuing.cer"),
    ] {
        let problem = verifier.add_ocsp_response(response).unwrap_err();
        assert!(matches!(problem, InputProblem::OcspResponse(_)), "{problem}");
    }
    for certificates in [b"".as_slice(), b"junk", b"\xff", &fixture("issuing-crl.pem")] {
        let problem = verifier.add_intermediates(certificates).unwrap_err();
        assert!(matches!(problem, InputProblem::NoCertificate(_)), "{problem}");
    }
    assert_eq!(json(&verifier, "v4.eml"), before);
    verifier.add_intermediates(&fixture("issuing.cer")).unwrap();
    // About somebody else's certificate, so it says nothing here.
    verifier.add_ocsp_response(&fixture("other.ocsp")).unwrap();
    assert_eq!(json(&verifier, "v4.eml"), before);
}

#[test]
fn a_word_without_meaning_is_refused_with_those_that_have_one() {
    for word in ["", "Tiers", "tiers ", "signatures"] {
        let sentence = vouches(word).unwrap_err().to_string();
        assert!(sentence.contains("tiers or signatures_only"), "{sentence}");
    }
    for word in ["", "keep", "withhold-tier"] {
        let sentence = unsettled_revocation(word).unwrap_err().to_string();
        assert!(sentence.contains("keep_tier or withhold_tier"), "{sentence}");
    }
}
