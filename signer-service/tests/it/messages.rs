//! Every kind of message that an organization sends, signed with both kinds of key.

use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::{Decode, Encode};
use verifier::{Integrity, Material, Policy, Status, TrustStore, Vouches, verify};

use crate::support::{Alice, contents, find, now, openssl_command_verifies, signed_parts};

const HEADER: &str = "From: Alice <alice@example.com>\r\nTo: bob@example.net\r\nSubject: Test\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n";

/// Signs `rest` behind a usual header with both keys: OpenSSL verifies, and a reader sees the same content as before.
fn check(rest: &str) -> Vec<u8> {
    check_bytes(&[HEADER.as_bytes(), rest.as_bytes()].concat())
}

fn check_bytes(message: &[u8]) -> Vec<u8> {
    let before = contents(message);
    let mut last = Vec::new();
    for alice in Alice::both() {
        last = alice.sign_and_check(message);
        assert_eq!(contents(&last), before, "{}", String::from_utf8_lossy(&last));
        for line in [
            "From: Alice <alice@example.com>\r\n",
            "Subject: ",
            "MIME-Version: 1.0\r\n",
        ] {
            let outer = &last[..find(&last, b"\r\n\r\n").unwrap()];
            assert!(find(outer, line.trim_end().as_bytes()).is_some(), "{line}");
        }
        let folder = tempfile::tempdir().unwrap();
        openssl_command_verifies(&last, &alice.authority, folder.path());
    }
    last
}

fn entity(signed: &[u8]) -> String {
    String::from_utf8(signed_parts(signed).0).unwrap()
}

#[test]
fn plain_text_stays_as_it_is() {
    let signed = check("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nHello\r\n\r\nBob\r\n");
    assert_eq!(
        entity(&signed),
        "Content-Type: text/plain; charset=us-ascii\r\n\r\nHello\r\n\r\nBob\r\n"
    );
    assert!(signed.starts_with(format!("{HEADER}MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n micalg=sha-256; boundary=\"=_").as_bytes()));
}

#[test]
fn no_mime_header_gets_the_default() {
    assert_eq!(
        entity(&check("\r\nHello\r\n")),
        "Content-Type: text/plain; charset=us-ascii\r\n\r\nHello\r\n"
    );
}

#[test]
fn utf_8_text_becomes_quoted_printable() {
    let signed = check(
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße aus Köln – 你好\r\n",
    );
    assert!(
        entity(&signed).contains("Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe aus K=C3=B6ln")
    );
}

#[test]
fn utf_8_text_without_a_label_gets_one() {
    let signed = Alice::with(keys::testing::p256()).sign_and_check(format!("{HEADER}\r\nGrüße\r\n").as_bytes());
    assert_eq!(
        entity(&signed),
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n"
    );
}

#[test]
fn latin_1_text_keeps_its_charset() {
    let message = [HEADER.as_bytes(), b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nK\xf6ln\r\n"].concat();
    assert!(
        entity(&check_bytes(&message))
            .ends_with("charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nK=F6ln\r\n")
    );
}

#[test]
fn html_with_an_inline_image() {
    let image = data_encoding::BASE64.encode(&[0x89; 57]);
    let rest = format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=\"rel\"; type=\"text/html\"\r\n\r\n--rel\r\nContent-Type: multipart/alternative; boundary=alt\r\n\r\n--alt\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nFür Bob\r\n--alt\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<p>Für <b>Bob</b> <img src=\"cid:1\"></p>\r\n--alt--\r\n\r\n--rel\r\nContent-Type: image/png\r\nContent-ID: <1>\r\nContent-Disposition: inline; filename=\"ü.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{image}\r\n--rel--\r\n"
    );
    let signed = check(&rest);
    assert!(entity(&signed).contains("filename*=utf-8''%C3%BC.png"));
    assert!(entity(&signed).contains(&image), "what is fit is not encoded again");
}

#[test]
fn an_attachment_of_a_megabyte() {
    let text = data_encoding::BASE64.encode(&(0..1024 * 1024_u32).map(|n| n.to_le_bytes()[1]).collect::<Vec<u8>>());
    let wrapped: Vec<&str> = text
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let rest = format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=mix\r\n\r\n--mix\r\n\r\nsee there\r\n--mix\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--mix--\r\n",
        wrapped.join("\r\n")
    );
    check(&rest);
}

#[test]
fn binary_content_becomes_base64() {
    let mut message =
        format!("{HEADER}MIME-Version: 1.0\r\nContent-Type: image/jpeg\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
            .into_bytes();
    message.extend(
        (0..=255_u8)
            .filter(|byte| !matches!(byte, 0 | b'\r' | b'\n'))
            .cycle()
            .take(3000),
    );
    assert!(entity(&check_bytes(&message)).contains("Content-Transfer-Encoding: base64"));
}

#[test]
fn long_lines_are_encoded() {
    for media_type in ["text/plain; charset=us-ascii", "application/json"] {
        let rest = format!(
            "MIME-Version: 1.0\r\nContent-Type: {media_type}\r\n\r\n{}\r\nshort\r\n",
            "long ".repeat(400).trim_end()
        );
        check(&rest);
    }
}

#[test]
fn wide_encoded_lines_are_wrapped_again() {
    let base64 = data_encoding::BASE64.encode(&[1; 900]);
    check(&format!(
        "MIME-Version: 1.0\r\nContent-Type: image/gif\r\nContent-Transfer-Encoding: base64\r\n\r\n{base64}\r\n"
    ));
    check(&format!(
        "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}=\r\nend=20\r\n",
        "x".repeat(300)
    ));
}

#[test]
fn names_beyond_ascii_stay_outside_untouched() {
    let message = "From: =?utf-8?Q?J=C3=BCrgen?= <alice@example.com>\r\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\r\nTo: bob@example.net\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n";
    let signed = Alice::with(keys::testing::rsa2048()).sign_and_check(message.as_bytes());
    assert!(signed.starts_with(b"From: =?utf-8?Q?J=C3=BCrgen?= <alice@example.com>\r\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\r\nTo: bob@example.net\r\nMIME-Version: 1.0\r\n"));
}

#[test]
fn an_attached_message_is_converted_inside() {
    let signed = check(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--m\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nweiter: ä\r\n--m\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nFrom: carol@example.org\r\nSubject: Gr\u{fc}\u{df}e\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nInnen: ö\r\n\r\n--m--\r\n",
    );
    let entity = entity(&signed);
    assert!(entity.contains("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nFrom: carol@example.org\r\nSubject: =?utf-8?B?"));
    assert!(entity.contains("Innen: =C3=B6"));
    assert_eq!(entity.matches("Content-Transfer-Encoding: 8bit").count(), 0);
}

#[test]
fn a_digest_holds_messages_without_saying_so() {
    let signed = check(
        "MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nFrom: carol@example.org\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nä\r\n--d--\r\n",
    );
    assert!(entity(&signed).contains("=C3=A4"));
}

#[test]
fn a_calendar_invitation() {
    check(
        "MIME-Version: 1.0\r\nContent-Type: text/calendar; charset=utf-8; method=REQUEST\r\nContent-Transfer-Encoding: 8bit\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:Frühstück\r\nEND:VCALENDAR\r\n",
    );
}

#[test]
fn flowed_text_keeps_its_blanks() {
    let signed = check(
        "MIME-Version: 1.0\r\nContent-Type: text/plain; format=flowed\r\n\r\nThis flows \r\non.\r\n-- \r\nAlice\r\n",
    );
    assert!(entity(&signed).contains("This flows=20\r\non.\r\n=2D-=20\r\nAlice\r\n"));
}

#[test]
fn preamble_and_epilogue_are_dropped() {
    let signed = check(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\npreamble\r\n--m\r\n\r\ncontent\r\n--m--\r\nepilogue",
    );
    assert_eq!(
        entity(&signed),
        "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\ncontent\r\n--m--\r\n"
    );
    let inner = "--o\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\npreamble\r\n--i\r\n\r\ncontent\r\n--i--\r\nepilogue\r\n--o--\r\n";
    let signed = check(&format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n{inner}"
    ));
    assert!(
        entity(&signed).ends_with(inner),
        "what is inside and fit is not touched"
    );
}

#[test]
fn a_missing_final_line_break() {
    assert!(
        entity(&check(
            "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nno line break"
        ))
        .ends_with("\r\n\r\nno line break")
    );
    check("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\ncontent\r\n--m--");
}

#[test]
fn lines_with_dots_and_from() {
    let signed = check("MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n.\r\n..two\r\nFrom here on\r\n.");
    assert!(entity(&signed).ends_with("=2E\r\n=2E.two\r\n=46rom here on\r\n=2E"));
}

#[test]
fn an_empty_body() {
    check("MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n");
    check("MIME-Version: 1.0\r\nContent-Type: text/plain\r\n");
    check("\r\n");
}

#[test]
fn empty_parts() {
    check(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\n\r\n--m\r\nContent-Type: text/plain\r\n\r\n--m--\r\n",
    );
}

#[test]
fn folds_and_blanks_in_the_content_header() {
    let signed = check(
        "MIME-Version: 1.0\r\nContent-Type: text/plain; \r\n\tcharset=us-ascii;\r\n\tname=\"a.txt\" \r\nContent-Disposition: inline\r\n\r\nx\r\n",
    );
    assert_eq!(
        entity(&signed),
        "Content-Type: text/plain;\r\n\tcharset=us-ascii;\r\n\tname=\"a.txt\"\r\nContent-Disposition: inline\r\n\r\nx\r\n"
    );
}

#[test]
fn bare_line_feeds_are_normalized() {
    let message = format!("{HEADER}\r\none\ntwo\n").replace("\r\n", "\n");
    let signed = Alice::with(keys::testing::p256()).sign_and_check(message.as_bytes());
    assert!(entity(&signed).ends_with("one\r\ntwo\r\n"));
}

#[test]
fn bcc_stays_behind() {
    let signed = check("Bcc: dan@example.net\r\nResent-Bcc: eve@example.net,\r\n erin@example.net\r\n\r\nx\r\n");
    for name in ["dan", "eve", "erin", "Bcc", "bcc"] {
        assert!(find(&signed, name.as_bytes()).is_none(), "{name}");
    }
}

#[test]
fn protected_parts_inside_are_not_touched() {
    let inner = "Content-Type: multipart/signed; boundary=s; protocol=\"application/pgp-signature\"\r\n\r\nhello \r\n--s \r\n\r\n.signed \r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nxxxx\r\n--s--\r\n";
    let message = format!(
        "{HEADER}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n{inner}\r\n--m--\r\n"
    );
    let signed = Alice::with(keys::testing::p256()).sign(message.as_bytes()).unwrap();
    assert!(find(&signed, inner.as_bytes()).is_some());
}

#[test]
fn p_384_names_its_digest() {
    let alice = Alice::with(keys::testing::p384());
    let signed = alice.sign_and_check(format!("{HEADER}\r\nx\r\n").as_bytes());
    assert!(find(&signed, b"micalg=sha-384").is_some());
}

#[test]
fn our_own_verifier_finds_nothing_wrong() {
    for alice in Alice::both() {
        let signed = alice.sign(format!("{HEADER}\r\nHello\r\n").as_bytes()).unwrap();
        let trust = TrustStore::new()
            .add(&alice.authority.root.to_der().unwrap(), Vouches::SignaturesOnly)
            .unwrap();
        let verdict = verify(&signed, &trust, &Material::default(), now(), &Policy::default());
        assert_eq!(verdict.integrity(), Integrity::Intact, "{verdict:?}");
        assert_eq!(verdict.from(), Some("alice@example.com"));
        assert_eq!(
            verdict.signer().map(|signer| signer.address.as_str()),
            Some("alice@example.com")
        );
        assert_eq!(verdict.verified_bytes(), Some(signed_parts(&signed).0.as_slice()));
        let mut changed = signed;
        let at = find(&changed, b"Hello").unwrap();
        changed[at] = b'J';
        let verdict = verify(&changed, &trust, &Material::default(), now(), &Policy::default());
        assert_eq!(verdict.status(), Status::Broken, "{verdict:?}");
    }
}

#[test]
fn signed_attributes_are_in_the_order_of_der() {
    for alice in Alice::both() {
        let signed = alice.sign(format!("{HEADER}\r\nHello\r\n").as_bytes()).unwrap();
        let content_info = ContentInfo::from_der(&signed_parts(&signed).1).unwrap();
        let signed_data: SignedData = content_info.content.decode_as().unwrap();
        let [signer_info] = signed_data.signer_infos.0.as_slice() else {
            panic!("one signer")
        };
        let attributes = signer_info.signed_attrs.as_ref().unwrap();
        let encoded: Vec<Vec<u8>> = attributes.iter().map(|attribute| attribute.to_der().unwrap()).collect();
        assert!(encoded.is_sorted(), "X.690 section 11.6");
        let mut names: Vec<String> = attributes.iter().map(|attribute| attribute.oid.to_string()).collect();
        names.sort();
        let expected = [
            "1.2.840.113549.1.9.15",
            "1.2.840.113549.1.9.16.2.11",
            "1.2.840.113549.1.9.16.2.47",
            "1.2.840.113549.1.9.3",
            "1.2.840.113549.1.9.4",
            "1.2.840.113549.1.9.5",
        ];
        assert_eq!(names, expected);
        assert!(signed_data.encap_content_info.econtent.is_none(), "detached");
        let certificates = signed_data.certificates.unwrap();
        assert_eq!(certificates.0.len(), 2, "the root stays at home");
    }
}

#[test]
fn invariant_09_same_input_clock_and_randomness_give_the_same_bytes() {
    let message = format!("{HEADER}\r\nGr\u{fc}\u{df}e\r\n");
    let signed = Alice::with(keys::testing::rsa2048()).sign(message.as_bytes()).unwrap();
    assert_eq!(
        signed,
        Alice::with(keys::testing::rsa2048()).sign(message.as_bytes()).unwrap()
    );
    let golden = include_bytes!("golden.eml");
    assert!(
        signed == golden,
        "the bytes have changed; if that is meant, golden.eml becomes:\n{}",
        String::from_utf8_lossy(&signed)
    );
}
