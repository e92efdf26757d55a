//! The messages of `verifier/fixtures`, each with what must be said of it, and inputs that must not be taken.

use std::fs;
use std::path::PathBuf;

use policies::time::Timestamp;
use serde_json::Value;
use verifier::{Language, UnsettledRevocation, Vouches};
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
        "SIGNED, NOT VERIFIED (the certificate was withdrawn)",
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
        "BROKEN (the content was changed)",
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
        "description",
        "from",
        "signer",
        "integrity",
        "path",
        "identity",
        "revocation",
        "encryption",
        "header_protection",
        "protected_headers",
        "verified_length",
        "findings",
        "certificate",
        "inner",
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

#[test]
fn findings_are_explained_in_the_language_asked_for() {
    let verdict = with_lists().verify(&fixture("tampered.eml"), at());
    let english = Report::of(&verdict);
    let swedish = Report::in_language(&verdict, Language::Swedish);
    assert_eq!(english.findings[0].meaning, "The content is not what was signed.");
    assert_eq!(swedish.findings[0].meaning, "Innehållet är inte det som signerades.");
    assert_eq!(swedish.label, "TRASIG SIGNATUR (innehållet har ändrats)");
    // What is for programs is the same.
    let without_words = |report: &Report| {
        let mut value = serde_json::to_value(report).unwrap();
        for key in ["label", "description"] {
            value[key] = Value::Null;
        }
        for finding in value["findings"].as_array_mut().unwrap() {
            for key in ["meaning", "importance", "advice"] {
                assert!(!finding[key].as_str().unwrap().is_empty());
                finding[key] = Value::Null;
            }
        }
        value
    };
    assert_eq!(without_words(&english), without_words(&swedish));
}

#[test]
fn a_badge_is_there_where_it_was_asked_for() {
    let verdict = with_lists().verify(&fixture("v3.eml"), at());
    let plain = Report::of(&verdict);
    assert_eq!((plain.badge.as_ref(), plain.to_json().contains("badge")), (None, false));
    let report = plain.with_badge(&verdict, Language::English);
    let svg = report.badge.as_deref().unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains(&report.label), "{svg}");
    let json: Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["badge"], svg);
}

#[test]
fn protected_fields_are_reported_beside_those_outside() {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let folder = std::env::var_os("SEALWRIGHT_CORPORA").map_or_else(default, PathBuf::from);
    let Ok(message) = fs::read(folder.join("rfc9788/smime-one-part-hp.eml")) else {
        println!(
            "RFC 9788: SKIPPED, 0 cases ran: there is no rfc9788 in {}",
            folder.display()
        );
        return;
    };
    let report = |message: &[u8]| {
        let verdict = Verifier::new().verify(message, at());
        let report = Report::of(&verdict);
        assert_eq!(report.verified_length, verdict.verified_bytes().map(<[u8]>::len));
        serde_json::to_value(report).unwrap()
    };
    let subject = |report: &Value| {
        let fields = report["protected_headers"].as_array().unwrap();
        fields.iter().find(|field| field["name"] == "Subject").unwrap().clone()
    };
    let honest = report(&message);
    assert_eq!(
        (&honest["integrity"], &honest["header_protection"]),
        (&"intact".into(), &"clear".into())
    );
    assert_eq!(subject(&honest)["outside"], "same");
    // The first Subject is the one outside.
    let text = String::from_utf8(message).unwrap();
    let changed = report(text.replacen("\nSubject: ", "\nSubject: Re: ", 1).as_bytes());
    let (inside, outside) = (
        subject(&changed),
        format!("Re: {}", subject(&honest)["value"].as_str().unwrap()),
    );
    assert_eq!(inside["value"], subject(&honest)["value"]);
    assert_eq!(
        (&inside["outside"], &inside["outside_values"]),
        (&"differs".into(), &serde_json::json!([outside]))
    );
}

#[test]
fn a_layer_inside_has_a_report_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl").args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !openssl(&["version"]) {
        assert!(std::env::var_os("CI").is_none(), "openssl is not installed");
        println!("a layer inside: SKIPPED: openssl is not installed");
        return;
    }
    let (key, certificate) = (path("key"), path("certificate"));
    let new = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "30",
    ];
    let files = ["-subj", "/CN=List", "-keyout", &key, "-out", &certificate];
    assert!(openssl(&[&["req", "-x509"], &new[..], &files[..]].concat()));
    let (inner, signed) = (fixture("v3.eml"), path("signed"));
    fs::write(path("inner"), &inner).unwrap();
    let command = [
        "cms",
        "-sign",
        "-signer",
        &certificate,
        "-inkey",
        &key,
        "-out",
        &signed,
        "-crlfeol",
        "-binary",
    ];
    assert!(openssl(&[&command[..], &["-in", &path("inner")]].concat()));
    let from = String::from_utf8(inner).unwrap();
    let from = from.lines().find(|line| line.starts_with("From: ")).unwrap();
    // OpenSSL writes base64 with LF, whatever else it writes.
    let signed = fs::read_to_string(&signed).unwrap().replace("\r\n", "\n");
    let message = format!("{from}\n{signed}").replace('\n', "\r\n").into_bytes();
    let verdict = with_lists().verify(&message, at());
    let report = serde_json::to_value(Report::of(&verdict)).unwrap();
    // A stranger signed around what the bank signed: each layer counts for itself.
    assert_eq!(
        (&report["status"], &report["tier"]),
        (&"not_verified".into(), &Value::Null),
        "{report}"
    );
    assert_eq!(
        (&report["inner"]["status"], &report["inner"]["tier"]),
        (&"tier".into(), &"V3".into())
    );
    assert_eq!(report["inner"]["inner"], Value::Null);
}
