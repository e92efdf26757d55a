//! Signatures whose maker cannot be told.

use super::*;

#[test]
fn a_signer_who_cannot_be_told_is_not_verified() {
    let status = Status::NotVerified;
    check(4, "two signers", |s| s.cms.signers = 2, status, "several-signers");
    check(
        20,
        "no certificate",
        |s| s.cms.edit_certificates = Some(Box::new(Vec::clear)),
        status,
        "signer-certificate-missing",
    );
    check(
        20,
        "only the issuer's certificate",
        |s| {
            s.cms.edit_certificates = Some(Box::new(|c| {
                c.remove(0);
            }))
        },
        status,
        "signer-certificate-missing",
    );
    check(
        20,
        "two certificates with one issuer and serial",
        |s| {
            let mut other = s.leaf.clone();
            other.addresses(&["eve@example.com"]);
            let other = other.sign(&*s.issuing.key);
            s.cms.edit_certificates = Some(Box::new(move |c| c.push(other.clone())));
        },
        status,
        "signer-certificate-ambiguous",
    );
    check(
        20,
        "two certificates with one key identifier",
        |s| {
            s.cms.by_key_identifier = true;
            let mut other = s.leaf.clone();
            other.serial = 99;
            let other = other.sign(&*s.issuing.key);
            s.cms.edit_certificates = Some(Box::new(move |c| c.insert(0, other.clone())));
        },
        status,
        "signer-certificate-ambiguous",
    );
    check(
        20,
        "only the SHA-1 form of signing-certificate",
        attributes(|a| {
            a.pop();
            a.push(attribute(SIGNING_CERTIFICATE, &[&sequence(&[])]));
        }),
        status,
        "signing-certificate-v1",
    );
    check(
        17,
        "SHA-1",
        |s| {
            s.cms.digest = SHA_1;
            s.cms.digest_algorithms = Some(set(&[&algorithm(SHA_1)]));
        },
        status,
        "signature-algorithm",
    );
    check(
        17,
        "parameters after an ECDSA algorithm",
        |s| s.cms.signature_algorithm = Some(sequence(&[&oid("1.2.840.10045.4.3.2"), &[5, 0]])),
        status,
        "signature-algorithm",
    );
    check(
        17,
        "a signer's key of 1024 bits",
        |s| {
            let key = openssl::rsa::Rsa::generate(1024).unwrap();
            let key = openssl::pkey::PKey::from_rsa(key).unwrap();
            s.leaf.public_key = Some(key.public_key_to_der().unwrap());
        },
        status,
        "key-algorithm",
    );
    check(
        18,
        "explicit curve parameters",
        |s| {
            let mut group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
            group.set_asn1_flag(openssl::ec::Asn1Flag::EXPLICIT_CURVE);
            let key = openssl::ec::EcKey::generate(&group).unwrap();
            s.leaf.public_key = Some(
                openssl::pkey::PKey::from_ec_key(key)
                    .unwrap()
                    .public_key_to_der()
                    .unwrap(),
            );
        },
        status,
        "key-algorithm",
    );
    check(
        22,
        "an extension twice",
        |s| {
            let again = s.leaf.extensions[0].clone();
            s.leaf.extensions.push(again);
        },
        status,
        "extension-malformed",
    );
}
