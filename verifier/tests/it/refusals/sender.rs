//! Signers who are not the sender.

use super::*;

#[test]
fn the_sender_must_be_the_signer() {
    let status = Status::NotVerified;
    check(
        5,
        "another address",
        from("From: bob@example.org"),
        status,
        "address-mismatch",
    );
    check(
        5,
        "another domain",
        from("From: alice@mail.example.org"),
        status,
        "address-mismatch",
    );
    check(
        5,
        "only Sender matches",
        |s| {
            s.from = "From: eve@example.com\r\nSender: alice@example.org\r\n".to_owned();
        },
        status,
        "address-mismatch",
    );
    check(
        5,
        "a certificate without address",
        |s| {
            s.leaf.without(SUBJECT_ALTERNATIVE_NAME).subject = name(&[(COMMON_NAME, "Alice")]);
        },
        status,
        "certificate-without-address",
    );
    check(
        5,
        "emailAddress does not count beside other addresses",
        |s| {
            s.leaf.subject = name(&[(EMAIL_ADDRESS, "alice@example.org")]);
            s.leaf.addresses(&["eve@example.com"]);
        },
        status,
        "address-mismatch",
    );
    check(
        5,
        "a NUL in the certificate's address",
        |s| {
            s.leaf.addresses(&["alice@example.org\0.example.com"]);
        },
        status,
        "certificate-without-address",
    );
    check(7, "no From", from("X-From: alice@example.org"), status, "from-missing");
    check(
        7,
        "two From fields",
        from("From: alice@example.org\r\nFrom: eve@example.com"),
        status,
        "from-repeated",
    );
    check(
        7,
        "two mailboxes",
        from("From: alice@example.org, eve@example.com"),
        status,
        "from-not-one-mailbox",
    );
    check(
        7,
        "a group",
        from("From: Team: alice@example.org;"),
        status,
        "from-not-one-mailbox",
    );
    check(7, "empty", from("From:"), status, "from-not-one-mailbox");
    check(7, "only a name", from("From: Alice"), status, "from-not-one-mailbox");
    check(
        7,
        "a comment",
        from("From: alice@example.org (eve@example.com)"),
        status,
        "from-syntax",
    );
    check(
        7,
        "a route",
        from("From: <@example.com:alice@example.org>"),
        status,
        "from-syntax",
    );
    check(
        7,
        "two angle addresses",
        from("From: <eve@example.com> <alice@example.org>"),
        status,
        "from-syntax",
    );
    check(
        7,
        "a quoted local part",
        from("From: \"alice\"@example.org"),
        status,
        "from-syntax",
    );
    check(
        7,
        "a control character",
        from("From: alice@example.org\u{8}"),
        status,
        "from-characters",
    );
    check(
        7,
        "a direction override",
        from("From: \u{202e}eve <alice@example.org>"),
        status,
        "from-characters",
    );
    check(
        7,
        "a NUL",
        from("From: alice\0@example.org"),
        Status::Broken,
        "header-malformed",
    );
    check(
        7,
        "a blank continuation",
        from("From: alice@example.org\r\n \r\n , eve@example.com"),
        Status::Broken,
        "header-malformed",
    );
    check(
        9,
        "another From inside with hp=clear",
        |s| s.entity = b"Content-Type: text/plain; hp=\"clear\"\r\nFrom: eve@example.com\r\n\r\nHi\r\n".to_vec(),
        status,
        "protected-from-differs",
    );
    check(
        10,
        "another From in a wrapped message",
        |s| s.entity = b"Content-Type: message/rfc822\r\n\r\nFrom: eve@example.com\r\n\r\nHi\r\n".to_vec(),
        status,
        "protected-from-differs",
    );
    check(
        11,
        "signed in the future",
        attributes(|a| {
            a.remove(1);
            a.push(attribute(SIGNING_TIME, &[&utc_time("261122000600Z")]));
        }),
        status,
        "signing-time-in-future",
    );
    check(
        32,
        "a homograph domain",
        from("From: alice@ex\u{430}mple.org"),
        status,
        "address-mismatch",
    );
    check(
        32,
        "an accented local part",
        from("From: alic\u{e9}@example.org"),
        status,
        "address-mismatch",
    );
    check(
        32,
        "an SmtpUTF8Mailbox for an ASCII address",
        |s| {
            let mailbox = [oid("1.3.6.1.5.5.7.8.9"), tlv(0xa0, &tlv(0x0c, b"alice@example.org"))].concat();
            s.leaf
                .with(SUBJECT_ALTERNATIVE_NAME, false, tlv(0x30, &tlv(0xa0, &mailbox)));
        },
        status,
        "certificate-without-address",
    );
}
