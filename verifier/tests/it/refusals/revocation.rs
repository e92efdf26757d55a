//! Revocation lists that cannot be used.

use verifier::check_crl;

use super::*;

/// Lists that were handed in and are of no use withhold the tier by default, and keep it only on demand.
#[test]
fn unusable_revocation_lists_are_unknown() {
    let point = |content: &[u8]| ("2.5.29.28", true, tlv(0x30, content));
    let lists: Vec<(&str, RevocationList)> = vec![
        (
            "out of date",
            RevocationList {
                next_update: Some("261121000000Z"),
                ..RevocationList::of(&[])
            },
        ),
        (
            "from the future",
            RevocationList {
                this_update: "261123000000Z",
                ..RevocationList::of(&[])
            },
        ),
        (
            "without next update",
            RevocationList {
                next_update: None,
                ..RevocationList::of(&[])
            },
        ),
        (
            "an unknown critical extension",
            RevocationList {
                extensions: vec![("1.2.3.4", true, vec![5, 0])],
                ..RevocationList::of(&[])
            },
        ),
        (
            "about some reasons only",
            RevocationList {
                extensions: vec![point(&[0x83, 2, 6, 0x40])],
                ..RevocationList::of(&[])
            },
        ),
        (
            "a critical number",
            RevocationList {
                extensions: vec![("2.5.29.20", true, integer(1))],
                ..RevocationList::of(&[])
            },
        ),
        (
            "a malformed distribution point",
            RevocationList {
                extensions: vec![point(&[0x99, 1, 0xff])],
                ..RevocationList::of(&[])
            },
        ),
    ];
    for (what, list) in lists {
        check(
            25,
            what,
            |s| s.crls = vec![s.issuing_crl(&list), s.root_crl(&RevocationList::of(&[]))],
            Status::Signed,
            "revocation-demanded",
        );
        let mut scenario = Scenario::new();
        scenario.crls = vec![scenario.issuing_crl(&list), scenario.root_crl(&RevocationList::of(&[]))];
        scenario.policy.unknown = UnsettledRevocation::KeepTier;
        let verdict = scenario.verdict();
        assert_eq!(
            (verdict.status(), verdict.revocation().as_ref()),
            (Status::Tier, "unknown"),
            "{what}"
        );
        assert!(codes(&verdict).contains(&"revocation-unknown"), "{what}");
    }
    check(
        25,
        "signed by somebody else",
        |s| {
            s.crls = vec![
                RevocationList::of(&[]).sign(&s.issuing.subject, &*testing::p256()),
                s.root_crl(&RevocationList::of(&[])),
            ];
        },
        Status::Signed,
        "revocation-demanded",
    );
    // A list of changes can only add revocations.
    let delta = ("2.5.29.27", true, integer(1));
    let mut scenario = Scenario::new();
    scenario.crls = vec![scenario.issuing_crl(&RevocationList {
        extensions: vec![delta.clone()],
        ..RevocationList::of(&[])
    })];
    assert_eq!(scenario.verdict().revocation().as_ref(), "not_checked");
    check(
        25,
        "revoked by a list of changes",
        move |s| {
            let changes = RevocationList {
                extensions: vec![delta.clone()],
                ..RevocationList::of(&[3])
            };
            s.crls = vec![
                s.issuing_crl(&RevocationList::of(&[])),
                s.issuing_crl(&changes),
                s.root_crl(&RevocationList::of(&[])),
            ];
        },
        Status::NotVerified,
        "revoked",
    );
    // A list about other certificates says nothing about this one.
    for content in [&[0x82, 1, 0xff][..], &[0x85, 1, 0xff]] {
        let mut scenario = Scenario::new();
        let list = RevocationList {
            extensions: vec![point(content)],
            ..RevocationList::of(&[3])
        };
        scenario.crls = vec![scenario.issuing_crl(&list), scenario.root_crl(&RevocationList::of(&[]))];
        assert_eq!(scenario.verdict().revocation().as_ref(), "not_checked");
    }
}

#[test]
fn a_list_can_be_told_from_other_files_before_it_is_used() {
    let scenario = Scenario::new();
    let list = scenario.issuing_crl(&RevocationList::of(&[1]));
    assert_eq!(check_crl(&list), Ok(()));
    // Out of date is a matter of time, not of form.
    let old = RevocationList {
        next_update: Some("261121000000Z"),
        ..RevocationList::of(&[])
    };
    assert_eq!(check_crl(&scenario.issuing_crl(&old)), Ok(()));
    let (leaf, ..) = scenario.chain();
    let longer = [list.as_slice(), &[0]].concat();
    for other in [
        &leaf[..],
        b"-----BEGIN X509 CRL-----",
        b"",
        &list[..list.len() - 1],
        &longer,
    ] {
        assert_eq!(check_crl(other).map_err(|problem| problem.code()), Err("crl-malformed"));
    }
}
