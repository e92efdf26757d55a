//! Opaque signatures and protected headers, as other software reads them.

use der::Encode;
use openssl::cms::{CMSOptions, CmsContentInfo};
use signer_service::mime::signed::{HeaderProtection, Smtputf8};
use signer_service::mime::strip::strip;
use verifier::{Integrity, Material, Policy, TrustStore, Verdict, Vouches, verify};

use crate::support::{Alice, check_transport, contents, find, now, openssl_command_verifies, openssl_verifies};

const HEADER: &str = "Received: from a by b; now\r\nFrom: Alice <alice@example.com>\r\nTo: Bob <bob@example.net>,\r\n carol@example.net\r\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\r\nDate: Fri, 02 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nDKIM-Signature: v=1; x\r\nX-Mailer: m\r\n";

const CONTENTS: [&str; 8] = [
    "\r\nHello\r\n",
    "Content-Type: text/plain; charset=utf-8;\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n",
    "Content-Type: text/plain\r\n\r\n",
    "Content-Type: multipart/alternative; boundary=alt\r\n\r\n--alt\r\n\r\nHello\r\n--alt\r\nContent-Type: text/html\r\n\r\n<p>Hello\r\n--alt--\r\n",
    "Content-Type: application/pdf; name=\"a.pdf\"; hp=cipher\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n",
    "Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n",
    "Content-Type: multipart/mixed;\r\n\tboundary=\"m\"\r\n\r\n--m\r\n\r\nHello\r\n--m\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx\r\n--m--\r\n",
    "Content-Type: text/html; charset=us-ascii; hp-legacy-display=1;\r\n\r\n<p>Hello\r\n",
];

fn verdict(signed: &[u8], alice: &Alice) -> Verdict {
    let root = alice.authority.root.to_der().unwrap();
    let trust = TrustStore::new().add(&root, Vouches::SignaturesOnly).unwrap();
    verify(signed, &trust, &Material::default(), now(), &Policy::default())
}

fn codes(verdict: &Verdict) -> Vec<&'static str> {
    verdict.findings().iter().map(|finding| finding.code).collect()
}

/// Which findings tell of headers.
const OF_HEADERS: [&str; 3] = [
    "headers-not-covered",
    "protected-field-differs",
    "protected-from-differs",
];

#[test]
fn openssl_and_our_verifier_accept_protected_headers() {
    for alice in Alice::both() {
        for content in CONTENTS {
            let message = [HEADER.as_bytes(), content.as_bytes()].concat();
            let signed = alice
                .sign_protected(&message, Smtputf8::NotRequested, HeaderProtection::Clear)
                .unwrap();
            check_transport(&signed);
            openssl_verifies(&signed, &alice.authority);
            let folder = tempfile::tempdir().unwrap();
            openssl_command_verifies(&signed, &alice.authority, folder.path());
            assert_eq!(contents(&signed), contents(&message), "{content:?}");
            let verdict = verdict(&signed, &alice);
            assert_eq!(verdict.integrity(), Integrity::Intact);
            assert!(
                !codes(&verdict).iter().any(|code| OF_HEADERS.contains(code)),
                "{content:?}: {verdict:?}"
            );
        }
    }
}

#[test]
fn what_the_sender_wrote_is_inside_and_what_servers_write_is_not() {
    let alice = Alice::with(keys::testing::p256());
    let message = format!("{HEADER}Bcc: dan@example.net\r\n\r\nHello\r\n");
    let signed = alice
        .sign_protected(message.as_bytes(), Smtputf8::NotRequested, HeaderProtection::Clear)
        .unwrap();
    let (entity, _) = crate::support::signed_parts(&signed);
    assert_eq!(
        String::from_utf8(entity).unwrap(),
        "From: Alice <alice@example.com>\r\nTo: Bob <bob@example.net>,\r\n carol@example.net\r\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\r\nDate: Fri, 02 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nContent-Type: text/plain; charset=us-ascii; hp=\"clear\"\r\n\r\nHello\r\n"
    );
    assert!(find(&signed, b"dan@example.net").is_none());
}

#[test]
fn a_changed_subject_is_seen_only_with_protection() {
    let alice = Alice::with(keys::testing::p256());
    let message = format!("{HEADER}\r\nHello\r\n");
    for (protection, seen) in [(HeaderProtection::Clear, true), (HeaderProtection::Off, false)] {
        let signed = alice
            .sign_protected(message.as_bytes(), Smtputf8::NotRequested, protection)
            .unwrap();
        let at = find(&signed, b"Subject: =?utf-8?B?R3LD").unwrap() + 9;
        let changed = [&signed[..at], b"Pay ", &signed[at..]].concat();
        let codes = codes(&verdict(&changed, &alice));
        assert_eq!(codes.contains(&"protected-field-differs"), seen, "{codes:?}");
    }
}

#[test]
fn raw_text_outside_is_written_as_inside() {
    let alice = Alice::with(keys::testing::p256());
    let message = "From: alice@example.com\r\nSubject: Grüße  \r\nTo: bob@example.net \r\n\r\nHello\r\n";
    let signed = alice
        .sign_protected(message.as_bytes(), Smtputf8::NotRequested, HeaderProtection::Clear)
        .unwrap();
    assert!(
        signed.starts_with(b"From: alice@example.com\r\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\r\nTo: bob@example.net\r\n")
    );
    assert!(
        !codes(&verdict(&signed, &alice))
            .iter()
            .any(|code| OF_HEADERS.contains(code))
    );
}

#[test]
fn headers_without_a_7_bit_form_are_left_outside() {
    let alice = Alice::with(keys::testing::p256());
    for message in [
        "From: Jürgen <alice@example.com>\r\n\r\nHello\r\n",
        "From: alice@example.com\r\nContent-Type: text plain\r\n\r\nHello\r\n",
    ] {
        let signed = alice
            .sign_protected(message.as_bytes(), Smtputf8::Requested, HeaderProtection::Clear)
            .unwrap();
        check_transport(&signed);
        openssl_verifies(&signed, &alice.authority);
        assert!(find(&signed, b"hp=").is_none());
    }
}

/// The content of an opaque message, as OpenSSL gives it out after verification.
fn opened(signed: &[u8], alice: &Alice) -> Result<Vec<u8>, openssl::error::ErrorStack> {
    let mut cms = CmsContentInfo::smime_read_cms(signed)?;
    let mut content = Vec::new();
    let store = alice.authority.store();
    cms.verify(None, Some(&store), None, Some(&mut content), CMSOptions::BINARY)?;
    Ok(content)
}

#[test]
fn openssl_opens_opaque_messages() {
    for alice in Alice::both() {
        for content in CONTENTS {
            let message = [HEADER.as_bytes(), content.as_bytes()].concat();
            let signed = alice.sign_opaque(&message, HeaderProtection::Clear);
            check_transport(&signed);
            let folder = tempfile::tempdir().unwrap();
            openssl_command_verifies(&signed, &alice.authority, folder.path());
            let inside = opened(&signed, &alice).unwrap();
            assert_eq!(contents(&inside), contents(&message));
            let verdict = verdict(&signed, &alice);
            assert_eq!(verdict.integrity(), Integrity::Intact, "{verdict:?}");
            assert_eq!(verdict.verified_bytes(), Some(inside.as_slice()));
            assert!(!codes(&verdict).iter().any(|code| OF_HEADERS.contains(code)));
        }
        let signed = alice.sign_opaque(format!("{HEADER}\r\nHello\r\n").as_bytes(), HeaderProtection::Off);
        let text = String::from_utf8(signed.clone()).unwrap();
        assert!(
            text.contains("Content-Type: application/pkcs7-mime; smime-type=signed-data;\r\n name=\"smime.p7m\"\r\n")
        );
        // A changed letter in the base64 of the content, which comes first.
        let body = find(&signed, b"\r\n\r\n").unwrap() + 4;
        let at = (body + 200..body + 276)
            .find(|at| signed[*at].is_ascii_lowercase())
            .unwrap();
        let mut changed = signed;
        changed[at] = changed[at].to_ascii_uppercase();
        assert!(opened(&changed, &alice).is_err());
        assert_ne!(verdict(&changed, &alice).integrity(), Integrity::Intact);
    }
}

#[test]
fn a_signature_comes_off_again() {
    let alice = Alice::with(keys::testing::p256());
    for content in CONTENTS {
        let message = [HEADER.as_bytes(), content.as_bytes()].concat();
        let clear = alice
            .sign_protected(&message, Smtputf8::NotRequested, HeaderProtection::Clear)
            .unwrap();
        for signed in [clear, alice.sign_opaque(&message, HeaderProtection::Clear)] {
            let stripped = strip(&signed).unwrap().expect("it is signed");
            assert_eq!(contents(&stripped), contents(&message));
            assert!(
                find(&stripped, b"hp=").is_none(),
                "{}",
                String::from_utf8_lossy(&stripped)
            );
            let again = alice
                .sign_protected(&stripped, Smtputf8::NotRequested, HeaderProtection::Clear)
                .unwrap();
            openssl_verifies(&again, &alice.authority);
            assert_eq!(contents(&again), contents(&message));
        }
    }
}

#[test]
fn other_signatures_stay_on() {
    let alice = Alice::with(keys::testing::p256());
    let once = alice.sign(format!("{HEADER}\r\nHello\r\n").as_bytes()).unwrap();
    let twice = alice.sign(&once).unwrap();
    let pgp = "From: a@example.com\r\nContent-Type: multipart/signed; protocol=\"application/pgp-signature\"; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--\r\n";
    for message in [
        twice.as_slice(),
        pgp.as_bytes(),
        b"From: a@example.com\r\n\r\nplain\r\n",
        b"From: a@example.com\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nMIAGCSqGSIb3DQEHA6CA\r\n",
        b"From: a@example.com\r\nContent-Type: application/pkcs7-mime\r\n\r\nnot base64!\r\n",
    ] {
        assert_eq!(strip(message).unwrap(), None, "{}", String::from_utf8_lossy(message));
    }
    let cut =
        b"Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=b\r\n\r\n--b\r\n\r\nx\r\n";
    assert!(strip(cut).is_err());
}
