//! What is not signed, with the reason; and that nothing is ever signed wrongly.

use proptest::prelude::*;
use signer_service::mime::entity::Entity;
use signer_service::mime::signed::{HeaderProtection, Smtputf8, prepare};
use signer_service::mime::{Limits, MimeError};
use verifier::header::HeaderBlock;

use crate::support::{Alice, check_transport, find, openssl_verifies, signed_parts, verify_detached};

const FROM: &str = "From: alice@example.com\r\nMIME-Version: 1.0\r\n";

#[track_caller]
fn check(rest: impl AsRef<[u8]>, expected: MimeError) {
    let message = [FROM.as_bytes(), rest.as_ref()].concat();
    let limits = Limits {
        depth: 5,
        parts: 10,
        octets: 100_000,
    };
    assert_eq!(
        prepare(&message, Smtputf8::NotRequested, HeaderProtection::Off, limits).unwrap_err(),
        expected
    );
}

fn boundary(text: &str) -> String {
    text.to_owned()
}

#[test]
fn broken_multiparts() {
    let multipart = |parameters: &str, body: &str| format!("Content-Type: multipart/mixed{parameters}\r\n\r\n{body}");
    check(multipart("", "--b\r\n\r\nx\r\n--b--\r\n"), MimeError::BoundaryMissing);
    check(
        multipart("; boundary=b", "--b\r\n\r\nx\r\n"),
        MimeError::MultipartUnclosed {
            boundary: boundary("b"),
        },
    );
    check(
        multipart("; boundary=b", "--b--\r\n"),
        MimeError::MultipartEmpty {
            boundary: boundary("b"),
        },
    );
    check(
        multipart("; boundary=b", ""),
        MimeError::MultipartUnclosed {
            boundary: boundary("b"),
        },
    );
    check(
        multipart("; boundary=b", "--b\r\n\r\n--bb\r\n--b--\r\n"),
        MimeError::BoundaryAmbiguous {
            boundary: boundary("b"),
        },
    );
    check(
        multipart("; boundary=\"\"", "--\r\n\r\nx\r\n----\r\n"),
        MimeError::BoundaryInvalid { boundary: boundary("") },
    );
    check(
        multipart("; boundary=\"a\u{fc}\"", "x"),
        MimeError::BoundaryInvalid {
            boundary: boundary("aü"),
        },
    );
    check(
        multipart("; boundary*=us-ascii''b", "--b\r\n\r\nx\r\n--b--\r\n"),
        MimeError::BoundaryInvalid {
            boundary: boundary("us-ascii''b"),
        },
    );
    check(
        multipart("; boundary*0=b; boundary=b", "--b\r\n\r\nx\r\n--b--\r\n"),
        MimeError::BoundaryInvalid {
            boundary: boundary("b"),
        },
    );
    check(
        multipart("; boundary=a; boundary=b", "--b\r\n\r\nx\r\n--b--\r\n"),
        MimeError::ContentTypeMalformed,
    );
    check(
        multipart(" boundary=b", "--b\r\n\r\nx\r\n--b--\r\n"),
        MimeError::ContentTypeMalformed,
    );
    check(
        multipart("; boundary=b", "--b\r\nno header field\r\n\r\nx\r\n--b--\r\n"),
        MimeError::HeaderLineMalformed { line: 1 },
    );
}

#[test]
fn encodings_that_cannot_be_told() {
    check(
        "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\nLS1i\r\n",
        MimeError::ContainerEncoded {
            media_type: "multipart/mixed".to_owned(),
            encoding: "base64".to_owned(),
        },
    );
    check(
        "Content-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nü\r\n",
        MimeError::EncodingUnknown {
            encoding: "x-uuencode".to_owned(),
        },
    );
    check(
        "Content-Transfer-Encoding: 8bit please\r\n\r\nü\r\n",
        MimeError::EncodingUnknown {
            encoding: "8bit please".to_owned(),
        },
    );
    check(
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n=XY \r\n",
        MimeError::EncodingBroken {
            encoding: "quoted-printable",
        },
    );
    check(
        "Content-Transfer-Encoding: base64\r\n\r\nAA!\u{fc}\r\n",
        MimeError::EncodingBroken { encoding: "base64" },
    );
    check("Content-Type: text plain\r\n\r\nü\r\n", MimeError::ContentTypeMalformed);
    check(
        "Content-Type: message/partial; id=a\r\n\r\nü\r\n",
        MimeError::PartNotEncodable {
            media_type: "message/partial".to_owned(),
        },
    );
}

#[test]
fn fields_that_readers_take_differently() {
    check(
        "Content-Type: text/plain\r\ncontent-type: text/html\r\n\r\nx",
        MimeError::DuplicateField { field: "Content-Type" },
    );
    check(
        "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n\r\nx",
        MimeError::DuplicateField {
            field: "Content-Transfer-Encoding",
        },
    );
    check(
        "X-Fold: a\r\n \t\r\n b\r\n\r\nx",
        MimeError::HeaderLineMalformed { line: 4 },
    );
    check(
        "X-A: a\0\r\n\r\nx",
        MimeError::NulInHeader {
            field: "X-A".to_owned(),
        },
    );
    check("no colon\r\n\r\nx", MimeError::HeaderLineMalformed { line: 3 });
    check(
        format!("Content-Description: {}\r\n\r\nx", "x".repeat(1000)),
        MimeError::HeaderLineTooLong {
            field: "Content-Description".to_owned(),
        },
    );
    check(
        "Content-ID: <ü@example.com>\r\n\r\nx",
        MimeError::HeaderNotAscii {
            field: "Content-ID".to_owned(),
        },
    );
}

#[test]
fn overlong_lines_outside_are_folded_or_refused() {
    check(
        format!("{}Content-Type: multipart/mixed; boundary=b\r\n\r\nx", "x".repeat(1023)),
        MimeError::HeaderLineTooLong { field: "x".repeat(40) },
    );
    let to = vec!["bob@example.net,"; 100].join(" ");
    let signed = Alice::with(keys::testing::p256())
        .sign_and_check(format!("{FROM}To: {to} dan@example.net\r\n\r\nx\r\n").as_bytes());
    assert!(signed.split(|byte| *byte == b'\n').all(|line| line.len() <= 999));
}

#[test]
fn protected_parts_that_cannot_travel() {
    check(
        "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nü\r\n--s--\r\n--m--\r\n",
        MimeError::ProtectedPartNotSevenBit,
    );
}

#[test]
fn budgets() {
    let nested = |depth: usize| {
        (0..depth).rev().fold("\r\nx".to_owned(), |inner, level| {
            format!(
                "Content-Type: multipart/mixed; boundary=b{level}x\r\n\r\n--b{level}x\r\n{inner}\r\n--b{level}x--\r\n"
            )
        })
    };
    let limits = Limits {
        depth: 5,
        parts: 10,
        octets: 100_000,
    };
    let signs = |message: String| {
        prepare(
            format!("{FROM}{message}").as_bytes(),
            Smtputf8::NotRequested,
            HeaderProtection::Off,
            limits,
        )
        .is_ok()
    };
    assert!(signs(nested(5)));
    check(nested(6), MimeError::TooDeep { limit: 5 });
    let messages = "Content-Type: message/rfc822\r\n\r\n";
    assert!(signs(format!("{}\r\nx", messages.repeat(5))));
    check(format!("{}\r\nx", messages.repeat(6)), MimeError::TooDeep { limit: 5 });
    let wide = |parts: usize| {
        format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
            "--b\r\n\r\nx\r\n".repeat(parts)
        )
    };
    assert!(signs(wide(10)));
    check(wide(11), MimeError::TooManyParts { limit: 10 });
    check(
        format!("Content-Type: text/plain\r\n\r\n{}", "ü\r\n".repeat(20_000)),
        MimeError::TooLarge { limit: 100_000 },
    );
    // Deep nesting ends at the limit and not on the stack.
    let error = prepare(
        format!("{FROM}{}\r\nx", messages.repeat(100_000)).as_bytes(),
        Smtputf8::NotRequested,
        HeaderProtection::Off,
        Limits::for_messages_up_to(8 << 20),
    )
    .unwrap_err();
    assert_eq!(error, MimeError::TooDeep { limit: 32 });
}

#[test]
fn a_changed_byte_is_noticed() {
    let alice = Alice::with(keys::testing::p256());
    let signed = alice.sign(format!("{FROM}\r\nPay 100\r\n").as_bytes()).unwrap();
    let (entity, signature) = signed_parts(&signed);
    for at in 0..entity.len() {
        let mut changed = entity.clone();
        changed[at] ^= 1;
        assert!(
            verify_detached(&changed, &signature, &alice.authority).is_err(),
            "octet {at}"
        );
    }
}

#[test]
fn smtputf8_keeps_what_has_no_encoded_form() {
    let alice = Alice::with(keys::testing::p256());
    let message = "From: alice@example.com\r\nSubject: Grüße\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\nContent-Description: Grüße\r\n\r\nTo: jürgen@example.com\r\nSubject: Größe\r\n\r\nä\r\n";
    let signed = alice.sign_with(message.as_bytes(), Smtputf8::Requested).unwrap();
    openssl_verifies(&signed, &alice.authority);
    for kept in [
        "\r\nSubject: Grüße\r\n",
        "To: jürgen@example.com\r\n",
        "Content-Description: =?utf-8?B?R3LDvMOfZQ==?=\r\n",
        "Subject: =?utf-8?B?R3LDtsOfZQ==?=\r\n",
        "\r\n=C3=A4",
    ] {
        assert!(find(&signed, kept.as_bytes()).is_some(), "{kept}");
    }
    assert_eq!(
        alice.sign(message.as_bytes()).unwrap_err(),
        MimeError::HeaderNotAscii { field: "To".to_owned() }
    );
}

/// Pieces that mail is made of, so that random messages come close to real ones.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::sample::select(vec![
            "Content-Type: multipart/mixed; boundary=b\r\n",
            "Content-Type: multipart/alternative; boundary=\"c d\"\r\n",
            "Content-Type: message/rfc822\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: application/octet-stream\r\n",
            "Content-Type: multipart/digest; boundary=b\r\n",
            "Content-Type: multipart/signed; boundary=c\r\n",
            "Content-Transfer-Encoding: 8bit\r\n",
            "Content-Transfer-Encoding: base64\r\n",
            "Content-Transfer-Encoding: quoted-printable\r\n",
            "Content-Disposition: attachment; filename=\"ü\"\r\n",
            "Subject: x\r\n",
            "\r\n",
            "\r\n\r\n",
            "\r\n--b\r\n",
            "\r\n--b--\r\n",
            "\r\n--c d\r\n",
            "\r\n--c d--\r\n",
            "--b",
            "text ",
            "From me\r\n",
            ".\r\n",
            "=3D=\r\n",
            "QUJD\r\n",
            "ü",
            "\n",
            "\r",
            "\0",
            ": ",
            "\t",
            " ",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
        (900..1100_usize).prop_map(|length| vec![b'x'; length]),
    ]
}

thread_local! {
    static ALICE: Alice = Alice::with(keys::testing::p256());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_bytes_are_refused_or_signed_so_that_openssl_verifies(pieces in proptest::collection::vec(piece(), 0..16)) {
        let message = [b"From: alice@example.com\r\n".to_vec(), pieces.concat()].concat();
        ALICE.with(|alice| {
            if let Ok(signed) = alice.sign(&message) {
                openssl_verifies(&signed, &alice.authority);
                // What is signed is signed again without a change: nothing is left to encode.
                let (entity, _) = signed_parts(&signed);
                let again = prepare(&entity, Smtputf8::NotRequested, HeaderProtection::Off, Limits::for_messages_up_to(1 << 20)).unwrap();
                assert_eq!(String::from_utf8_lossy(again.entity()), String::from_utf8_lossy(&entity));
            }
        });
    }

    #[test]
    fn well_formed_text_always_goes_through(lines in proptest::collection::vec("[ -~äöü€\u{1F600}]{0,120}", 0..20)) {
        let text = lines.join("\r\n");
        let message = format!("From: alice@example.com\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}");
        let signed = ALICE.with(|alice| {
            let signed = alice.sign(message.as_bytes()).unwrap();
            check_transport(&signed);
            openssl_verifies(&signed, &alice.authority);
            signed
        });
        prop_assert_eq!(crate::support::contents(&signed), crate::support::contents(message.as_bytes()));
    }

    /// Gateway and verifier must not disagree about what the header of a message is.
    #[test]
    fn both_header_parsers_see_the_same_fields(pieces in proptest::collection::vec(piece(), 0..10)) {
        let message = pieces.concat();
        if let Ok((block, body)) = HeaderBlock::parse(&message) {
            let entity = Entity::split(&message).unwrap();
            prop_assert_eq!(entity.body, body);
            let ours: Vec<_> = entity.fields.iter().map(|field| (field.name(), field.value())).collect();
            let theirs: Vec<_> = block.fields().iter().map(|field| (field.name(), field.unfolded())).collect();
            prop_assert_eq!(ours, theirs);
        }
    }
}
