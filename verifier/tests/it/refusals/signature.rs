//! CMS structures that are malformed or do not fit the content.

use super::*;

#[test]
fn content_that_is_not_what_was_signed_is_broken() {
    let status = Status::Broken;
    check(
        2,
        "content inside and outside",
        |s| s.cms.content_inside = Some(b"\r\nother".to_vec()),
        status,
        "content-twice",
    );
    check(
        2,
        "the same content inside and outside",
        |s| s.cms.content_inside = Some(s.entity.clone()),
        status,
        "content-twice",
    );
    check(
        2,
        "no content at all",
        |s| {
            s.opaque = true;
            s.edit_message = None;
            s.cms.edit = Some(Box::new({
                let detached = Scenario::new().signed_data();
                move |cms| cms.clone_from(&detached)
            }));
        },
        status,
        "content-missing",
    );
    check(
        2,
        "changed text",
        replace("this is Alice", "this is Malory"),
        status,
        "message-digest-mismatch",
    );
    check(
        2,
        "one line end more",
        replace("Alice.\r\n\r\n--", "Alice.\r\n\r\n\r\n--"),
        status,
        "message-digest-mismatch",
    );
    check(
        18,
        "signed with another key",
        |s| s.signer = Some(testing::other_p256()),
        status,
        "signature-invalid",
    );
    check(
        18,
        "signed with another kind of key",
        |s| s.signer = Some(testing::rsa2048()),
        status,
        "signature-invalid",
    );
    check(
        18,
        "RSA signed with another key of another size",
        |s| {
            s.leaf.key = testing::rsa2048();
            s.signer = Some(testing::rsa3072());
        },
        status,
        "signature-invalid",
    );
}

#[test]
fn cms_confusions_are_broken() {
    let status = Status::Broken;
    check(
        13,
        "no signed attributes",
        |s| s.cms.without_attributes = true,
        status,
        "signed-attributes-missing",
    );
    check(
        13,
        "attributes passed off as content",
        |s| {
            s.cms.without_attributes = true;
            s.opaque = true;
        },
        status,
        "signed-attributes-missing",
    );
    check(
        14,
        "no contentType",
        attributes(|a| {
            a.remove(0);
        }),
        status,
        "attribute-count",
    );
    check(
        14,
        "no messageDigest",
        attributes(|a| {
            a.remove(2);
        }),
        status,
        "attribute-count",
    );
    check(
        14,
        "messageDigest twice",
        attributes(|a| {
            let other = attribute(MESSAGE_DIGEST, &[&octets(&[0; 32])]);
            a.push(other);
        }),
        status,
        "attribute-count",
    );
    check(
        14,
        "messageDigest with two values",
        attributes(|a| {
            a.remove(2);
            a.push(attribute(MESSAGE_DIGEST, &[&octets(&[0; 32]), &octets(&[1; 32])]));
        }),
        status,
        "attribute-count",
    );
    check(
        14,
        "messageDigest without value",
        attributes(|a| {
            a.remove(2);
            a.push(attribute(MESSAGE_DIGEST, &[]));
        }),
        status,
        "attribute-count",
    );
    check(
        14,
        "messageDigest of another type",
        attributes(|a| {
            a.remove(2);
            a.push(attribute(MESSAGE_DIGEST, &[&tlv(0x03, &[0; 33])]));
        }),
        status,
        "attribute-value",
    );
    check(
        14,
        "contentType of another type",
        attributes(|a| {
            a.remove(0);
            a.push(attribute(CONTENT_TYPE, &[&oid(SIGNED_DATA)]));
        }),
        status,
        "attribute-value",
    );
    check(
        14,
        "messageDigest among the unsigned",
        |s| s.cms.unsigned_attributes = Some(attribute(MESSAGE_DIGEST, &[&octets(&[0; 32])])),
        status,
        "attribute-misplaced",
    );
    check(
        14,
        "eContentType is not data",
        |s| s.cms.content_type = "1.2.840.113549.1.9.16.1.4",
        status,
        "content-type-not-data",
    );
    check(
        15,
        "attributes not in DER order",
        |s| {
            s.cms.keep_attribute_order = true;
            s.cms.edit_attributes = Some(Box::new(|a| {
                a.sort();
                a.reverse();
            }));
        },
        status,
        "signed-attributes-not-der",
    );
    check(
        15,
        "an attribute with a long length",
        attributes(|a| {
            let last = a.pop().unwrap();
            let content = &last[2..];
            a.push([&[0x30, 0x81, u8::try_from(content.len()).unwrap()], content].concat());
        }),
        status,
        "signed-attributes-not-der",
    );
    check(
        15,
        "bytes after the end",
        |s| s.cms.edit = Some(Box::new(|cms| cms.push(0))),
        status,
        "trailing-bytes",
    );
    check(
        15,
        "cut short",
        |s| {
            s.cms.edit = Some(Box::new(|cms| {
                cms.pop();
            }))
        },
        status,
        "cms-malformed",
    );
    check(
        15,
        "too deep",
        |s| {
            s.opaque = true;
            s.cms.edit = Some(Box::new(|cms| {
                *cms = [
                    sequence(&[&oid(SIGNED_DATA)])[..1].to_vec(),
                    vec![0x80],
                    oid(SIGNED_DATA),
                    [0xa0, 0x80].repeat(1000),
                ]
                .concat();
            }));
        },
        status,
        "cms-malformed",
    );
    check(
        15,
        "not CMS",
        |s| s.cms.edit = Some(Box::new(|cms| *cms = b"junk".to_vec())),
        status,
        "cms-malformed",
    );
    check(
        15,
        "another CMS type",
        |s| {
            s.cms.edit = Some(Box::new(|cms| {
                *cms = sequence(&[&oid(ID_DATA), &tlv(0xa0, &octets(b"x"))])
            }))
        },
        status,
        "cms-unsupported",
    );
    check(
        16,
        "digest and signature algorithm differ",
        |s| s.cms.digest = SHA_384,
        status,
        "digest-algorithm-mismatch",
    );
    check(
        16,
        "the digest is not announced",
        |s| s.cms.digest_algorithms = Some(set(&[&algorithm(SHA_384)])),
        status,
        "digest-algorithm-mismatch",
    );
    check(
        16,
        "algorithm protection names others",
        attributes(|a| {
            a.push(attribute(
                ALGORITHM_PROTECTION,
                &[&sequence(&[
                    &algorithm(SHA_384),
                    &tlv(0xa1, &oid("1.2.840.10045.4.3.3")),
                ])],
            ))
        }),
        status,
        "algorithm-protection-mismatch",
    );
    check(
        16,
        "algorithm protection for a MAC",
        attributes(|a| {
            a.push(attribute(
                ALGORITHM_PROTECTION,
                &[&sequence(&[
                    &algorithm(SHA_256),
                    &tlv(0xa2, &oid("1.2.840.10045.4.3.2")),
                ])],
            ))
        }),
        status,
        "attribute-value",
    );
    check(
        19,
        "no digest algorithms",
        |s| s.cms.digest_algorithms = Some(set(&[])),
        status,
        "digest-algorithms-empty",
    );
    check(
        20,
        "signing-certificate-v2 of another certificate",
        attributes(|a| {
            a.pop();
            a.push(attribute(
                SIGNING_CERTIFICATE_V2,
                &[&sequence(&[&sequence(&[&sequence(&[&octets(&[1; 32])])])])],
            ));
        }),
        status,
        "signing-certificate-mismatch",
    );
    check(
        33,
        "a hundred signers",
        |s| s.cms.signers = 100,
        status,
        "cms-malformed",
    );
    check(
        33,
        "a hundred digest algorithms",
        |s| s.cms.digest_algorithms = Some(tlv(0x31, &algorithm(SHA_256).repeat(100))),
        status,
        "cms-malformed",
    );
    check(
        33,
        "a thousand certificates",
        |s| s.cms.edit_certificates = Some(Box::new(|c| *c = vec![c[0].clone(); 1000])),
        status,
        "cms-malformed",
    );
    check(
        33,
        "a certificate that is none",
        |s| s.cms.edit_certificates = Some(Box::new(|c| c.push(tlv(0xa1, &[])))),
        status,
        "cms-unsupported",
    );
}
