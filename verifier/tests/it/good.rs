//! Messages that have nothing wrong, and what is said of them.

use keys::testing;
use policies::tier::Tier;
use verifier::{Identity, Integrity, PathFact, RevocationStatus, Status};

use crate::support::*;

type Case = (&'static str, fn(&mut Scenario));

fn check(scenario: &Scenario, tier: Tier, label: &str) {
    let verdict = scenario.verdict();
    assert_eq!(verdict.status(), Status::Tier, "{:#?}", verdict.findings());
    assert_eq!((verdict.tier(), verdict.label().as_str()), (Some(tier), label));
    assert_eq!(verdict.from(), Some("alice@example.org"));
    assert_eq!(verdict.integrity(), Integrity::Intact);
    assert_eq!(verdict.path(), PathFact::Verified);
    assert_eq!(verdict.identity(), Identity::Matches);
    assert_eq!(verdict.verified_bytes(), Some(scenario.entity.as_slice()));
    assert_eq!(verdict.certificate(), Some(scenario.chain().0.as_slice()));
    assert_eq!(
        verdict.signer().map(|signer| signer.address.as_str()),
        Some("alice@example.org")
    );
}

#[test]
fn each_tier_shows_its_label() {
    check(&Scenario::new(), Tier::V1, "V1 Email Validated, Identity Not Validated");
    let person = [(GIVEN_NAME, "Alice"), (SURNAME, "Doe"), (COMMON_NAME, "Alice Doe")];
    check(
        &Scenario::of_tier(V2_STRICT, &person),
        Tier::V2,
        "V2 Alice Doe, Identity Validated",
    );
    let organization = [
        (COUNTRY, "DE"),
        (ORGANIZATION, "Beispiel GmbH"),
        (ORGANIZATION_IDENTIFIER, "NTRDE-DEK1101R.HRB12345"),
    ];
    check(
        &Scenario::of_tier(V3_STRICT, &organization),
        Tier::V3,
        "V3 Beispiel GmbH, Identity Validated and Trusted",
    );
    let employee = [&organization[..], &person[..2], &[(TITLE, "Head of Sales")]].concat();
    check(
        &Scenario::of_tier(V4_STRICT, &employee),
        Tier::V4,
        "V4 Alice Doe, Beispiel GmbH, Head of Sales, Identity Validated and Trusted",
    );
    let untitled = &employee[..employee.len() - 1];
    assert_eq!(Scenario::of_tier(V4_STRICT, untitled).verdict().tier(), Some(Tier::V4));
}

#[test]
fn every_key_signs_clear_and_opaque() {
    for key in [testing::p256(), testing::p384(), testing::rsa2048(), testing::rsa3072()] {
        for opaque in [false, true] {
            let mut scenario = Scenario::new();
            scenario.leaf.key = key.clone();
            scenario.opaque = opaque;
            if key.algorithm() == keys::SignatureAlgorithm::EcdsaP384Sha384 {
                scenario.cms.digest = SHA_384;
            }
            let verdict = scenario.verdict();
            assert_eq!(
                verdict.status(),
                Status::Tier,
                "{:?} {:#?}",
                key.algorithm(),
                verdict.findings()
            );
        }
    }
}

#[test]
fn other_honest_forms_are_read() {
    let honest: [Case; 11] = [
        ("legacy while it could be issued", |s| {
            s.leaf.policies(&[V1_LEGACY]);
            s.leaf.not_before = "250714000000Z";
        }),
        ("indefinite lengths, clear", |s| s.cms.indefinite = true),
        ("indefinite lengths and chunks, opaque", |s| {
            s.cms.indefinite = true;
            s.opaque = true;
        }),
        ("signer named by key identifier", |s| s.cms.by_key_identifier = true),
        ("rsaEncryption as signature algorithm", |s| {
            s.leaf.key = testing::rsa2048();
            s.cms.signature_algorithm = Some(sequence(&[&oid("1.2.840.113549.1.1.1"), &[5, 0]]));
        }),
        ("NULL after the digest algorithm of the set", |s| {
            s.cms.digest_algorithms = Some(set(&[&sequence(&[&oid(SHA_256), &[5, 0]])]));
        }),
        ("attachments", |s| {
            s.entity = b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\ntext\r\n--in\r\n\
                Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--in--\r\n"
                .to_vec();
        }),
        ("matching algorithm protection", |s| {
            s.cms.edit_attributes = Some(Box::new(|attributes| {
                attributes.push(attribute(
                    ALGORITHM_PROTECTION,
                    &[&sequence(&[
                        &algorithm(SHA_256),
                        &tlv(0xa1, &oid("1.2.840.10045.4.3.2")),
                    ])],
                ));
            }));
        }),
        ("MIME-Version with a comment", |s| {
            s.edit_message = Some(Box::new(|m| *m = m.replacen("1.0", "1.(by hand)0", 1)));
        }),
        ("text before the first delimiter", |s| {
            s.edit_message = Some(Box::new(|m| {
                *m = m.replacen("--=_b", "This is an S/MIME signed message\r\n\r\n--=_b", 1)
            }));
        }),
        ("stored with Unix line ends", |s| {
            s.edit_message = Some(Box::new(|m| *m = m.replace("\r\n", "\n")))
        }),
    ];
    for (what, edit) in honest {
        let mut scenario = Scenario::new();
        edit(&mut scenario);
        let verdict = scenario.verdict();
        assert_eq!(verdict.status(), Status::Tier, "{what}: {:#?}", verdict.findings());
        assert_eq!(verdict.verified_bytes(), Some(scenario.entity.as_slice()), "{what}");
    }
}

#[test]
fn addresses_compare_by_one_rule() {
    for (from, certified) in [
        ("Alice@Example.ORG", "alice@example.org"),
        ("alice@bücher.example", "alice@xn--bcher-kva.example"),
        ("alice@xn--bcher-kva.example", "alice@XN--BCHER-KVA.example"),
    ] {
        let mut scenario = Scenario::new();
        scenario.from = format!("From: {from}\r\n");
        scenario.leaf.addresses(&["other@example.net", certified]);
        scenario.leaf.subject = tlv(0x30, &[]);
        let verdict = scenario.verdict();
        assert_eq!(verdict.status(), Status::Tier, "{from}: {:#?}", verdict.findings());
    }
    let mut scenario = Scenario::new();
    scenario.from = "From: jürgen@example.org\r\n".to_owned();
    let mailbox = [
        oid("1.3.6.1.5.5.7.8.9"),
        tlv(0xa0, &tlv(0x0c, "jürgen@example.org".as_bytes())),
    ]
    .concat();
    scenario
        .leaf
        .with(SUBJECT_ALTERNATIVE_NAME, true, tlv(0x30, &tlv(0xa0, &mailbox)));
    scenario.leaf.subject = tlv(0x30, &[]);
    assert_eq!(
        scenario.verdict().status(),
        Status::Tier,
        "{:#?}",
        scenario.verdict().findings()
    );
}

#[test]
fn revocation_is_a_fact_of_its_own() {
    let mut scenario = Scenario::new();
    assert_eq!(scenario.verdict().revocation(), RevocationStatus::NotChecked);
    assert!(codes(&scenario.verdict()).contains(&"revocation-not-checked"));
    scenario.crls = vec![
        scenario.issuing_crl(&RevocationList::of(&[9])),
        scenario.root_crl(&RevocationList::of(&[])),
        b"not a list".to_vec(),
    ];
    let verdict = scenario.verdict();
    assert_eq!(
        (verdict.status(), verdict.revocation()),
        (Status::Tier, RevocationStatus::Good)
    );
    // One of two is not enough for Good.
    scenario.crls.truncate(1);
    assert_eq!(scenario.verdict().revocation(), RevocationStatus::NotChecked);
}

#[test]
fn warnings_leave_the_tier() {
    let warned: [Case; 19] = [
        ("mime-version-missing", |s| {
            s.edit_message = Some(Box::new(|m| *m = m.replacen("MIME-Version: 1.0\r\n", "", 1)));
        }),
        ("nested-security", |s| {
            s.entity =
                b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n".to_vec();
        }),
        ("display-name-address", |s| {
            s.from = "From: \"ceo@example.com\" <alice@example.org>\r\n".to_owned()
        }),
        ("display-name-unreadable", |s| {
            s.from = "From: =?x-a?Q?b?= <alice@example.org>\r\n".to_owned()
        }),
        ("reply-to-differs", |s| {
            s.fields.push_str("Reply-To: eve@example.com\r\n")
        }),
        ("sender-differs", |s| s.fields.push_str("Sender: eve@example.com\r\n")),
        ("resent-fields", |s| {
            s.fields.push_str("Resent-From: eve@example.com\r\n")
        }),
        ("signing-time-apart", |s| {
            s.fields = s.fields.replace("23:00:00", "21:59:59")
        }),
        ("micalg-differs", |s| {
            s.edit_message = Some(Box::new(|m| *m = m.replace("sha-256", "sha-512")))
        }),
        ("smime-type-lies", |s| {
            s.opaque = true;
            s.edit_message = Some(Box::new(|m| *m = m.replace("=signed-data", "=enveloped-data")));
        }),
        ("display-name-confusable", |s| {
            s.from = "From: \"\u{420}\u{430}\u{443} P\u{430}l\" <alice@example.org>\r\n".to_owned();
        }),
        ("display-name-imitation", |s| {
            s.from = "From: \"V3 Bank, Identity Validated and Trusted\" <alice@example.org>\r\n".to_owned();
        }),
        ("address-confusable", |s| {
            // A registered domain of look-alikes: the certificate is for it, and readers take it for another.
            s.from = "From: alice@\u{430}\u{440}\u{440}\u{4cf}\u{435}.example\r\n".to_owned();
            s.leaf.addresses(&["alice@xn--80ak6aa92e.example"]).subject = tlv(0x30, &[]);
        }),
        ("remote-content", |s| {
            s.entity = b"Content-Type: text/html\r\n\r\n<img src=https://example.com/x>\r\n".to_vec();
        }),
        ("active-content", |s| {
            s.entity = b"Content-Type: text/html\r\n\r\n<form action=https://example.com>\r\n".to_vec();
        }),
        ("conditional-content", |s| {
            s.entity = b"Content-Type: text/html\r\n\r\n<!--[if mso]>Pay Eve<![endif]-->\r\n".to_vec();
        }),
        ("ambiguous-content", |s| {
            s.entity = b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\nnot closed\r\n".to_vec();
        }),
        ("remote-content", |s| {
            s.opaque = true;
            s.entity = b"Content-Type: message/rfc822\r\n\r\nFrom: alice@example.org\r\n\
                Content-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\n\r\nHi\r\n--in\r\n\
                Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
                <img sr=\r\nc=3D//example.com>\r\n--in--\r\n"
                .to_vec();
        }),
        ("protected-field-differs", |s| {
            s.entity = b"Content-Type: text/plain; hp=\"clear\"\r\nFrom: alice@example.org\r\nSubject: Other\r\n\
                To: bob@example.net\r\nDate: Sat, 21 Nov 2026 23:00:00 +0000\r\n\r\nHi\r\n"
                .to_vec();
        }),
    ];
    for (code, edit) in warned {
        let mut scenario = Scenario::new();
        edit(&mut scenario);
        let verdict = scenario.verdict();
        assert_eq!(verdict.status(), Status::Tier, "{code}: {:#?}", verdict.findings());
        assert!(codes(&verdict).contains(&code), "{code}: {:#?}", verdict.findings());
    }
}
