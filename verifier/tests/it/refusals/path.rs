//! Certificates that no trusted authority stands behind.

use verifier::path::{PathParameters, verify_path};

use super::*;

#[test]
fn paths_that_do_not_hold_are_not_verified() {
    let status = Status::NotVerified;
    check(23, "nobody trusted", |s| s.trusted = false, status, "untrusted-issuer");
    check(
        23,
        "self-signed",
        |s| {
            s.leaf.issuer = s.leaf.subject.clone();
            s.leaf_issuer = Some(s.leaf.key.clone());
        },
        status,
        "untrusted-issuer",
    );
    check(
        23,
        "the intermediate left out",
        |s| s.cms.edit_certificates = Some(Box::new(|c| c.truncate(1))),
        status,
        "untrusted-issuer",
    );
    check(
        23,
        "signed by another authority of that name",
        |s| s.leaf_issuer = Some(testing::rsa2048()),
        status,
        "certificate-algorithm",
    );
    check(
        23,
        "signed with another key of that kind",
        |s| {
            s.leaf_issuer = Some(testing::p256());
            s.leaf.key = testing::rsa2048();
        },
        status,
        "certificate-signature-invalid",
    );
    check(
        21,
        "a signer that may sign certificates without being an authority",
        |s| {
            s.leaf.with(KEY_USAGE, true, vec![3, 2, 2, 0x84]);
        },
        status,
        "key-usage",
    );
    check(
        22,
        "a signer that constrains names",
        |s| {
            let subtree = sequence(&[&tlv(0x82, b"example.org")]);
            s.leaf.with(NAME_CONSTRAINTS, true, sequence(&[&tlv(0xa0, &subtree)]));
        },
        status,
        "extension-malformed",
    );
    check(
        22,
        "an unknown critical extension of the anchor",
        |s| {
            s.root.with("1.2.3.4", true, vec![5, 0]);
        },
        status,
        "critical-extension",
    );
    check(
        24,
        "expired",
        |s| {
            s.leaf.not_before = "240101000000Z";
            s.leaf.not_after = "261121235959Z";
        },
        status,
        "certificate-expired",
    );
    check(
        24,
        "not yet valid",
        |s| s.leaf.not_before = "261122000001Z",
        status,
        "certificate-not-yet-valid",
    );
    check(
        24,
        "issuing authority expired",
        |s| s.issuing.not_after = "261121235959Z",
        status,
        "certificate-expired",
    );
    check(
        24,
        "root expired",
        |s| s.root.not_after = "261121235959Z",
        status,
        "certificate-expired",
    );
    check(
        24,
        "back-dated signing time rescues nothing",
        |s| s.at = Timestamp::from_unix(1_900_000_000),
        status,
        "certificate-expired",
    );
    check(
        25,
        "revoked",
        |s| {
            s.crls = vec![
                s.issuing_crl(&RevocationList::of(&[3])),
                s.root_crl(&RevocationList::of(&[])),
            ]
        },
        status,
        "revoked",
    );
    check(
        25,
        "revoked, and nothing known of the authority",
        |s| s.crls = vec![s.issuing_crl(&RevocationList::of(&[3]))],
        status,
        "revoked",
    );
    check(
        25,
        "authority revoked",
        |s| {
            s.crls = vec![
                s.issuing_crl(&RevocationList::of(&[])),
                s.root_crl(&RevocationList::of(&[2])),
            ]
        },
        status,
        "revoked",
    );
    check(
        21,
        "key only for encryption",
        |s| {
            s.leaf.with(KEY_USAGE, true, KEY_ENCIPHERMENT.to_vec());
        },
        status,
        "key-usage",
    );
    check(
        21,
        "not for e-mail",
        |s| {
            s.leaf.purposes(&[SERVER_AUTHENTICATION]);
        },
        status,
        "extended-key-usage",
    );
    check(
        21,
        "authority not for e-mail",
        |s| {
            s.issuing.purposes(&[SERVER_AUTHENTICATION]);
        },
        status,
        "extended-key-usage",
    );
    check(
        21,
        "an authority's certificate signs",
        |s| {
            s.leaf.with(BASIC_CONSTRAINTS, true, AUTHORITY.to_vec());
        },
        status,
        "end-entity-is-authority",
    );
    check(
        22,
        "issuer without basicConstraints",
        |s| {
            s.issuing.without(BASIC_CONSTRAINTS);
        },
        status,
        "not-an-authority",
    );
    check(
        22,
        "issuer says it is no authority",
        |s| {
            s.issuing.with(BASIC_CONSTRAINTS, true, vec![0x30, 0]);
        },
        status,
        "not-an-authority",
    );
    check(
        22,
        "issuer may not sign certificates",
        |s| {
            s.issuing.with(KEY_USAGE, true, DIGITAL_SIGNATURE.to_vec());
        },
        status,
        "key-usage",
    );
    check(
        22,
        "path length of the root",
        |s| {
            s.root.with(BASIC_CONSTRAINTS, true, vec![0x30, 6, 1, 1, 0xff, 2, 1, 0]);
        },
        status,
        "path-length",
    );
    check(
        22,
        "an unknown critical extension",
        |s| {
            s.leaf.with("1.3.6.1.4.1.55555.1", true, vec![5, 0]);
        },
        status,
        "critical-extension",
    );
    check(
        22,
        "an unknown critical extension above",
        |s| {
            s.issuing.with("1.3.6.1.4.1.55555.1", true, vec![5, 0]);
        },
        status,
        "critical-extension",
    );
    check(
        22,
        "outside the permitted domain",
        |s| {
            s.issuing.with(
                NAME_CONSTRAINTS,
                true,
                sequence(&[&tlv(0xa0, &sequence(&[&tlv(0x81, b"example.com")]))]),
            );
        },
        status,
        "name-constraints",
    );
    check(
        22,
        "inside the excluded domain",
        |s| {
            s.issuing.with(
                NAME_CONSTRAINTS,
                true,
                sequence(&[&tlv(0xa1, &sequence(&[&tlv(0x81, b"example.org")]))]),
            );
        },
        status,
        "name-constraints",
    );
    check(
        22,
        "constraints of the root",
        |s| {
            s.root.with(
                NAME_CONSTRAINTS,
                true,
                sequence(&[&tlv(0xa1, &sequence(&[&tlv(0x81, b"example.org")]))]),
            );
        },
        status,
        "name-constraints",
    );
    check(
        22,
        "a subtree with a minimum",
        |s| {
            s.issuing.with(
                NAME_CONSTRAINTS,
                true,
                sequence(&[&tlv(0xa1, &sequence(&[&tlv(0x81, b"example.com"), &tlv(0x80, &[1])]))]),
            );
        },
        status,
        "name-constraints-unsupported",
    );
    check(
        22,
        "a required policy that does not hold",
        |s| {
            s.issuing
                .policies(&[V2_STRICT])
                .with(POLICY_CONSTRAINTS, true, sequence(&[&tlv(0x80, &[0])]));
        },
        status,
        "policy-required",
    );
    check(
        22,
        "anyPolicy mapped",
        |s| {
            s.issuing.with(
                POLICY_MAPPINGS,
                true,
                sequence(&[&sequence(&[&oid(ANY_POLICY), &oid(V1_STRICT)])]),
            );
        },
        status,
        "policy-mapping",
    );
    check(
        22,
        "a malformed extension",
        |s| {
            s.leaf.with(BASIC_CONSTRAINTS, true, vec![0x30, 3, 1, 1, 1]);
        },
        status,
        "extension-malformed",
    );
}

/// Row 33: authorities that certify each other with one key have more paths than anybody can try.
#[test]
fn a_maze_of_cross_certificates_ends_on_the_budget() {
    let scenario = Scenario::new();
    let (leaf, _, _) = scenario.chain();
    let names: Vec<Vec<u8>> = (0..7)
        .map(|number| name(&[(COMMON_NAME, &format!("Maze {number}"))]))
        .collect();
    let names = [vec![scenario.issuing.subject.clone()], names].concat();
    let mut maze = Vec::new();
    for subject in &names {
        for issuer in names.iter().filter(|issuer| *issuer != subject) {
            let mut authority = scenario.issuing.clone();
            (authority.subject, authority.issuer) = (subject.clone(), issuer.clone());
            maze.push(authority.sign(&*scenario.issuing.key));
        }
    }
    let trust = scenario.trust();
    let maze = maze.iter().map(Vec::as_slice);
    let problem = verify_path(&leaf, maze, &trust, NOW, &PathParameters::default()).unwrap_err();
    assert_eq!(problem.code(), "path-too-expensive");
}

/// A way round a dead end is found, in whatever order the certificates come.
#[test]
fn one_good_path_among_bad_ones_suffices() {
    let scenario = Scenario::new();
    let (leaf, issuing, _) = scenario.chain();
    let mut expired = scenario.issuing.clone();
    expired.not_after = "260101000000Z";
    let mut other_key = scenario.issuing.clone();
    other_key.key = testing::rsa3072();
    let bad = [
        expired.sign(&*scenario.root.key),
        other_key.sign(&*scenario.root.key),
        b"junk".to_vec(),
    ];
    let trust = scenario.trust();
    for last in [true, false] {
        let mut pool: Vec<&[u8]> = bad.iter().map(Vec::as_slice).collect();
        pool.insert(if last { pool.len() } else { 0 }, &issuing);
        let path = verify_path(&leaf, pool, &trust, NOW, &PathParameters::default()).unwrap();
        assert_eq!(path.certificates().collect::<Vec<_>>(), [leaf.as_slice(), &issuing]);
        assert_eq!(path.policies().len(), 1);
    }
}
