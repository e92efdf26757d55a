//! Messages whose shape is not that of a signed message.

use super::*;

#[test]
fn what_is_not_around_the_message_is_no_signature() {
    let status = Status::NotSigned;
    let wrap = |m: &mut String| {
        let (header, body) = m.split_once("MIME-Version: 1.0\r\n").unwrap();
        *m = format!(
            "{header}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n{body}\r\n--m\r\n\r\nfooter\r\n--m--\r\n"
        );
    };
    check(
        1,
        "a list footer beside the signed part",
        message(wrap),
        status,
        "signed-part-not-root",
    );
    check(
        1,
        "no signature at all",
        message(|m| *m = "From: alice@example.org\r\n\r\nHi".to_owned()),
        status,
        "no-signature",
    );
    check(
        3,
        "certs-only",
        |s| {
            s.opaque = true;
            s.cms.signers = 0;
        },
        status,
        "no-signer",
    );
    check(
        3,
        "a detached structure without signer",
        |s| s.cms.signers = 0,
        status,
        "no-signer",
    );
    check(
        3,
        "certs-only as RFC 8551 section 3.8 writes it, without digest algorithms",
        |s| {
            s.opaque = true;
            s.cms.signers = 0;
            s.cms.digest_algorithms = Some(set(&[]));
        },
        status,
        "no-signer",
    );
    check(
        29,
        "enveloped-data that says signed-data",
        |s| {
            s.opaque = true;
            s.cms.edit = Some(Box::new(|cms| {
                *cms = sequence(&[&oid("1.2.840.113549.1.7.3"), &tlv(0xa0, &sequence(&[]))])
            }));
        },
        status,
        "encrypted",
    );
    check(
        28,
        "another protocol",
        replace(
            "protocol=\"application/pkcs7-signature\"",
            "protocol=\"application/pgp-signature\"",
        ),
        status,
        "no-signature",
    );
    check(
        28,
        "an unsigned message that cannot be split",
        message(|m| *m = "From: a@example.org\r\nnonsense\r\n\r\n".to_owned()),
        status,
        "unreadable-message",
    );
}

#[test]
fn mime_tricks_break_the_signature() {
    let status = Status::Broken;
    check(
        28,
        "three parts",
        replace("\r\n--=_b--", "\r\n--=_b\r\n\r\nthird\r\n--=_b--"),
        status,
        "multipart-shape",
    );
    check(
        28,
        "no final boundary",
        replace("--=_b--\r\n", ""),
        status,
        "multipart-shape",
    );
    check(
        28,
        "an inner boundary that begins with the outer",
        replace("Hello Bob,", "--=_bx"),
        status,
        "boundary-ambiguous",
    );
    check(
        28,
        "space after a delimiter",
        replace("--=_b\r\nContent-Type: text", "--=_b \r\nContent-Type: text"),
        status,
        "boundary-ambiguous",
    );
    check(
        28,
        "text after the end",
        message(|m| m.push_str("unsigned footer\r\n")),
        status,
        "epilogue-text",
    );
    check(
        28,
        "two boundaries",
        replace("boundary=\"=_b\"", "boundary=\"=_b\"; boundary=\"x\""),
        status,
        "content-type-malformed",
    );
    check(
        28,
        "a boundary in RFC 2231 form",
        replace("boundary=\"=_b\"", "boundary*0=\"=_b\""),
        status,
        "content-type-malformed",
    );
    check(
        28,
        "no boundary",
        replace("; boundary=\"=_b\"", ""),
        status,
        "content-type-malformed",
    );
    check(
        28,
        "no protocol",
        replace("protocol=\"application/pkcs7-signature\"", "x=y"),
        status,
        "protocol-mismatch",
    );
    check(
        28,
        "the second part of another type",
        replace(
            "Content-Type: application/pkcs7-signature",
            "Content-Type: application/octet-stream",
        ),
        status,
        "protocol-mismatch",
    );
    check(
        28,
        "another version of MIME",
        replace("MIME-Version: 1.0", "MIME-Version: 2.0"),
        status,
        "mime-version",
    );
    check(
        28,
        "a version of MIME with something behind it",
        replace("MIME-Version: 1.0", "MIME-Version: 1.0; 2.0"),
        status,
        "mime-version",
    );
    check(
        28,
        "two versions of MIME",
        replace("MIME-Version: 1.0", "MIME-Version: 1.0\r\nMIME-Version: 1.0"),
        status,
        "header-repeated",
    );
    check(
        28,
        "two Content-Type fields",
        replace("MIME-Version", "Content-Type: text/plain\r\nMIME-Version"),
        status,
        "header-repeated",
    );
    check(
        28,
        "two Content-Type fields inside",
        |s| s.entity = b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nHi\r\n".to_vec(),
        status,
        "header-repeated",
    );
    check(
        28,
        "a bare line feed",
        replace("Hello Bob,\r\n", "Hello Bob,\n"),
        status,
        "line-endings",
    );
    check(
        28,
        "a bare carriage return",
        replace("Hello Bob,", "Hello\rBob,"),
        status,
        "line-endings",
    );
    check(
        28,
        "a bare line feed under the signature",
        |s| {
            s.opaque = true;
            s.entity = b"\r\nHello\nBob".to_vec();
        },
        status,
        "line-endings",
    );
    check(
        28,
        "the multipart encoded",
        replace("MIME-Version", "Content-Transfer-Encoding: base64\r\nMIME-Version"),
        status,
        "transfer-encoding",
    );
    check(
        28,
        "the signature not in base64",
        replace("Encoding: base64", "Encoding: 7bit"),
        status,
        "transfer-encoding",
    );
    check(
        28,
        "base64 with other characters",
        replace("base64\r\n\r\nM", "base64\r\n\r\n*M"),
        status,
        "transfer-encoding",
    );
    check(
        28,
        "space before a colon",
        replace("MIME-Version:", "MIME-Version :"),
        status,
        "header-malformed",
    );
    check(
        28,
        "a header inside that cannot be split",
        |s| s.entity = b"nonsense\r\n\r\nHi".to_vec(),
        status,
        "header-malformed",
    );
    check(
        33,
        "larger than the embedder reads",
        |s| {
            s.policy = Policy {
                maximum_message_size: 1000,
                ..Policy::default()
            }
        },
        status,
        "message-too-large",
    );
}
