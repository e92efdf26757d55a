//! Signature algorithms beyond those the product signs with, in the signer and in the path.

use std::sync::Arc;

use keys::SigningKey;
use openssl::hash::MessageDigest;
use verifier::Status;

use crate::support::*;

/// What it is, the key, its identifier, and the digest of the content.
type Case = (&'static str, Arc<dyn SigningKey>, Vec<u8>, &'static str);

/// A signer's key, how it is announced, and the digest of the content.
fn signed_by(key: &Arc<dyn SigningKey>, identifier: &[u8], digest: &'static str) -> Scenario {
    let mut scenario = Scenario::new();
    scenario.leaf.key = key.clone();
    scenario.cms.signature_algorithm = Some(identifier.to_vec());
    scenario.cms.digest = digest;
    scenario
}

/// The same key as issuing authority.
fn issued_by(key: &Arc<dyn SigningKey>, identifier: &[u8]) -> Scenario {
    let mut scenario = Scenario::new();
    scenario.issuing.key = key.clone();
    scenario.leaf.algorithm = Some(identifier.to_vec());
    scenario
}

fn check(scenario: &Scenario, what: &str, status: Status, code: Option<&str>) {
    let verdict = scenario.verdict();
    assert_eq!(verdict.status(), status, "{what}: {:#?}", verdict.findings());
    if let Some(code) = code {
        assert_eq!(codes(&verdict).first(), Some(&code), "{what}");
    }
}

#[test]
fn newer_algorithms_carry_a_tier_in_signer_and_path() {
    let ecdsa_sha_512 = algorithm("1.2.840.10045.4.3.4");
    let cases: [Case; 5] = [
        (
            "RSASSA-PSS with SHA-256",
            PeerKey::pss(MessageDigest::sha256, 32),
            pss_identifier(SHA_256, SHA_256, 32),
            SHA_256,
        ),
        (
            "RSASSA-PSS with SHA-384",
            PeerKey::pss(MessageDigest::sha384, 48),
            pss_identifier(SHA_384, SHA_384, 48),
            SHA_384,
        ),
        (
            "RSASSA-PSS with SHA-512",
            PeerKey::pss(MessageDigest::sha512, 64),
            pss_identifier(SHA_512, SHA_512, 64),
            SHA_512,
        ),
        (
            "P-521 with SHA-512",
            PeerKey::p521(MessageDigest::sha512),
            ecdsa_sha_512,
            SHA_512,
        ),
        ("Ed25519", PeerKey::ed25519(), ed25519_identifier(), SHA_512),
    ];
    for (what, key, identifier, digest) in cases {
        check(&signed_by(&key, &identifier, digest), what, Status::Tier, None);
        check(&issued_by(&key, &identifier), what, Status::Tier, None);
        // The same with one bit of the signature wrong.
        let mut scenario = signed_by(&key, &identifier, digest);
        scenario.cms.edit = Some(Box::new(|cms| {
            let last = cms.len() - 3;
            cms[last] ^= 1;
        }));
        check(&scenario, what, Status::Broken, Some("signature-invalid"));
        let mut scenario = issued_by(&key, &identifier);
        scenario.leaf_issuer = Some(match what {
            "Ed25519" => PeerKey::ed25519(),
            "P-521 with SHA-512" => PeerKey::p521(MessageDigest::sha512),
            _ => PeerKey::pss(MessageDigest::sha256, 32),
        });
        check(
            &scenario,
            what,
            Status::NotVerified,
            Some("certificate-signature-invalid"),
        );
    }
}

#[test]
fn digests_and_parameters_must_go_with_the_algorithm() {
    let pss = PeerKey::pss(MessageDigest::sha256, 32);
    let refused: [(&str, Scenario, &str); 8] = [
        (
            "PSS without parameters, which means SHA-1",
            signed_by(&pss, &algorithm("1.2.840.113549.1.1.10"), SHA_256),
            "signature-algorithm",
        ),
        (
            "PSS with another mask digest",
            signed_by(&pss, &pss_identifier(SHA_256, SHA_384, 32), SHA_256),
            "signature-algorithm",
        ),
        (
            "PSS with a short salt",
            signed_by(
                &PeerKey::pss(MessageDigest::sha256, 20),
                &pss_identifier(SHA_256, SHA_256, 20),
                SHA_256,
            ),
            "signature-algorithm",
        ),
        (
            "PSS that announces another salt than it has",
            signed_by(
                &PeerKey::pss(MessageDigest::sha256, 20),
                &pss_identifier(SHA_256, SHA_256, 32),
                SHA_256,
            ),
            "signature-invalid",
        ),
        (
            "PSS with another digest than the content",
            signed_by(&pss, &pss_identifier(SHA_256, SHA_256, 32), SHA_384),
            "digest-algorithm-mismatch",
        ),
        (
            "Ed25519 beside SHA-256 (RFC 8419 asks for SHA-512)",
            signed_by(&PeerKey::ed25519(), &ed25519_identifier(), SHA_256),
            "digest-algorithm-mismatch",
        ),
        (
            "Ed25519 with NULL",
            signed_by(&PeerKey::ed25519(), &sequence(&[&oid("1.3.101.112"), &[5, 0]]), SHA_512),
            "signature-algorithm",
        ),
        (
            "P-521 with SHA-256",
            signed_by(
                &PeerKey::p521(MessageDigest::sha256),
                &algorithm("1.2.840.10045.4.3.2"),
                SHA_256,
            ),
            "signature-invalid",
        ),
    ];
    for (what, scenario, code) in refused {
        let verdict = scenario.verdict();
        assert_eq!(verdict.tier(), None, "{what}");
        assert_eq!(
            codes(&verdict).first(),
            Some(&code),
            "{what}: {:#?}",
            verdict.findings()
        );
    }
    // An algorithm of another kind of key.
    check(
        &signed_by(&PeerKey::ed25519(), &algorithm("1.2.840.10045.4.3.4"), SHA_512),
        "an ECDSA signature with an Ed25519 key",
        Status::Broken,
        Some("signature-invalid"),
    );
}

/// A key of 16384 bits is refused by its size, before anything is computed with it.
#[test]
fn oversized_keys_are_not_computed_with() {
    let mut modulus = vec![0; 2049];
    modulus[1] = 0x80;
    modulus[2048] = 1;
    let key = sequence(&[&tlv(2, &modulus), &tlv(2, &[1, 0, 1])]);
    let public_key = sequence(&[
        &sequence(&[&oid("1.2.840.113549.1.1.1"), &[5, 0]]),
        &tlv(3, &[&[0], key.as_slice()].concat()),
    ]);
    let mut scenario = Scenario::new();
    scenario.leaf.public_key = Some(public_key.clone());
    check(&scenario, "signer", Status::NotVerified, Some("key-algorithm"));
    let mut scenario = Scenario::new();
    scenario.issuing.public_key = Some(public_key);
    check(
        &scenario,
        "authority",
        Status::NotVerified,
        Some("certificate-algorithm"),
    );
}
