//! What a reader sees: labels in each language, and badges.

use verifier::{Language, Status, badge};

use crate::support::*;

fn scenarios() -> Vec<(Status, &'static str, &'static str, Scenario)> {
    let organization = [
        (COUNTRY, "SE"),
        (ORGANIZATION, "A & <b>B</b> AB"),
        (ORGANIZATION_IDENTIFIER, "NTRSE-5560000000"),
    ];
    let person = [(GIVEN_NAME, "Åsa"), (SURNAME, "Öst")];
    let employee = [&organization[..], &person, &[(TITLE, "VD")]].concat();
    let mut signed = Scenario::new();
    signed.vouches = verifier::Vouches::SignaturesOnly;
    let mut other = Scenario::new();
    other.from = "From: bob@example.org\r\n".to_owned();
    let mut untrusted = Scenario::new();
    untrusted.trusted = false;
    let mut broken = Scenario::new();
    broken.edit_message = Some(Box::new(|m| *m = m.replace("Hello", "Hallo")));
    let mut unsigned = Scenario::new();
    unsigned.edit_message = Some(Box::new(|m| *m = "From: alice@example.org\r\n\r\nHi".to_owned()));
    vec![
        (
            Status::Tier,
            "V1 Email Validated, Identity Not Validated",
            "V1 E-postadressen verifierad, identiteten inte verifierad",
            Scenario::new(),
        ),
        (
            Status::Tier,
            "V2 Åsa Öst, Identity Validated",
            "V2 Åsa Öst, identiteten verifierad",
            Scenario::of_tier(V2_STRICT, &person),
        ),
        (
            Status::Tier,
            "V3 A & <b>B</b> AB, Identity Validated and Trusted",
            "V3 A & <b>B</b> AB, identiteten verifierad och betrodd",
            Scenario::of_tier(V3_STRICT, &organization),
        ),
        (
            Status::Tier,
            "V4 Åsa Öst, A & <b>B</b> AB, VD, Identity Validated and Trusted",
            "V4 Åsa Öst, A & <b>B</b> AB, VD, identiteten verifierad och betrodd",
            Scenario::of_tier(V4_STRICT, &employee),
        ),
        (
            Status::Signed,
            "SIGNED by alice@example.org, Identity Not Validated",
            "SIGNERAT av alice@example.org, identiteten inte verifierad",
            signed,
        ),
        (
            Status::NotVerified,
            "SIGNED, NOT VERIFIED (signer is alice@example.org)",
            "SIGNERAT, INTE VERIFIERAT (av alice@example.org)",
            other,
        ),
        (
            Status::NotVerified,
            "SIGNED, NOT VERIFIED (the issuer is not trusted here)",
            "SIGNERAT, INTE VERIFIERAT (utfärdaren är inte betrodd här)",
            untrusted,
        ),
        (
            Status::Broken,
            "BROKEN (the content was changed)",
            "TRASIG SIGNATUR (innehållet har ändrats)",
            broken,
        ),
        (Status::NotSigned, "NOT SIGNED", "INTE SIGNERAT", unsigned),
    ]
}

#[test]
fn every_state_has_its_line_in_each_language() {
    for (status, english, swedish, scenario) in scenarios() {
        let verdict = scenario.verdict();
        assert_eq!(verdict.status(), status, "{:#?}", verdict.findings());
        assert_eq!(verdict.label(), english);
        assert_eq!(verdict.label_in(Language::English), english);
        assert_eq!(verdict.label_in(Language::Swedish), swedish);
    }
}

#[test]
fn badges_are_well_formed_and_say_the_label() {
    for (_, english, swedish, scenario) in scenarios() {
        let verdict = scenario.verdict();
        for (language, label) in [(Language::English, english), (Language::Swedish, swedish)] {
            let svg = badge(&verdict, language);
            let escaped = label.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            assert!(svg.contains(&format!("<title>{escaped}</title>")), "{svg}");
            assert!(svg.contains("<desc>") && svg.contains("role=\"img\""), "{svg}");
            assert!(svg.contains(&format!("lang=\"{}\"", language.as_ref())), "{svg}");
            for forbidden in [
                "<script",
                "<style",
                "href",
                "url(",
                "<b>",
                "<image",
                "<foreignObject",
                "\n",
            ] {
                assert!(!svg.contains(forbidden), "{forbidden}: {svg}");
            }
            assert_well_formed(&svg);
        }
    }
}

/// Tags open and close in pairs, and attributes are quoted: all that this SVG has of XML.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "a stray > in {svg}");
        let end = start + rest[start..].find('>').expect("a tag that ends");
        let tag = &rest[start + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{svg}");
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty() && rest.is_empty(), "{open:?} {svg}");
}
