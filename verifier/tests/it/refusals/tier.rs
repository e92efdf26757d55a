//! Signatures that are good, and for which nobody vouches more than that.

use super::*;

#[test]
fn nobody_vouches_for_more_than_the_signature() {
    let status = Status::Signed;
    check(
        23,
        "an anchor for signatures only",
        |s| s.vouches = Vouches::SignaturesOnly,
        status,
        "anchor-does-not-vouch",
    );
    check(
        26,
        "no policy",
        |s| {
            s.leaf.without(CERTIFICATE_POLICIES);
        },
        status,
        "no-tier-policy",
    );
    check(
        26,
        "only anyPolicy",
        |s| {
            s.leaf.policies(&[ANY_POLICY]);
        },
        status,
        "no-tier-policy",
    );
    check(
        26,
        "a private policy",
        |s| {
            s.leaf.policies(&["1.3.6.1.4.1.55555.2"]);
        },
        status,
        "no-tier-policy",
    );
    check(
        26,
        "two tiers",
        |s| {
            s.leaf.policies(&[V1_STRICT, V4_STRICT]);
        },
        status,
        "several-tier-policies",
    );
    check(
        26,
        "a policy the issuer does not have",
        |s| {
            s.issuing.policies(&[V2_STRICT]);
        },
        status,
        "tier-policy-not-in-path",
    );
    check(
        26,
        "an issuer without policies",
        |s| {
            s.issuing.without(CERTIFICATE_POLICIES);
        },
        status,
        "tier-policy-not-in-path",
    );
    check(
        26,
        "a policy made by mapping",
        |s| {
            s.issuing.policies(&["1.3.6.1.4.1.55555.2"]).with(
                POLICY_MAPPINGS,
                true,
                sequence(&[&sequence(&[&oid("1.3.6.1.4.1.55555.2"), &oid(V1_STRICT)])]),
            );
        },
        status,
        "tier-policy-not-in-path",
    );
    check(
        26,
        "legacy after its end",
        |s| {
            s.leaf.policies(&[V1_LEGACY]);
        },
        status,
        "legacy-generation",
    );
    check(
        26,
        "mailbox-validated with an organization",
        |s| s.leaf.subject = name(&[(ORGANIZATION, "Bank")]),
        status,
        "subject-does-not-fit",
    );
    check(
        26,
        "mailbox-validated with a name as commonName",
        |s| s.leaf.subject = name(&[(COMMON_NAME, "Your Bank")]),
        status,
        "subject-does-not-fit",
    );
    check(
        26,
        "organization-validated without organization",
        |s| {
            s.leaf.policies(&[V3_STRICT]);
        },
        status,
        "subject-does-not-fit",
    );
    check(
        26,
        "organization-validated without identifier",
        |s| {
            s.leaf.policies(&[V3_STRICT]).subject = name(&[(ORGANIZATION, "Bank")]);
        },
        status,
        "subject-does-not-fit",
    );
    check(
        26,
        "a nonsensical identifier",
        |s| {
            s.leaf.policies(&[V3_STRICT]).subject = name(&[(ORGANIZATION, "Bank"), (ORGANIZATION_IDENTIFIER, "12345")]);
        },
        status,
        "subject-does-not-fit",
    );
    check(
        26,
        "individual-validated under a pseudonym",
        |s| {
            s.leaf.policies(&[V2_STRICT]).subject = name(&[(PSEUDONYM, "Zorro")]);
        },
        status,
        "subject-does-not-fit",
    );
    check(
        26,
        "individual-validated with an organization",
        |s| {
            s.leaf.policies(&[V2_STRICT]).subject = name(&[(SURNAME, "Doe"), (ORGANIZATION, "Bank")]);
        },
        status,
        "subject-does-not-fit",
    );
    check(
        26,
        "sponsor-validated without person",
        |s| {
            s.leaf.policies(&[V4_STRICT]).subject = name(&[
                (ORGANIZATION, "Bank"),
                (ORGANIZATION_IDENTIFIER, "NTRDE-DEK1101R.HRB12345"),
            ]);
        },
        status,
        "subject-does-not-fit",
    );
    check(
        26,
        "strict with another purpose",
        |s| {
            s.leaf.purposes(&[EMAIL_PROTECTION, "1.3.6.1.5.5.7.3.2"]);
        },
        status,
        "profile-does-not-fit",
    );
    check(
        21,
        "only anyExtendedKeyUsage",
        |s| {
            s.leaf.purposes(&["2.5.29.37.0"]);
        },
        status,
        "profile-does-not-fit",
    );
    check(
        21,
        "no extended key usage",
        |s| {
            s.leaf.without(EXTENDED_KEY_USAGE);
        },
        status,
        "profile-does-not-fit",
    );
    check(
        21,
        "no key usage",
        |s| {
            s.leaf.without(KEY_USAGE);
        },
        status,
        "profile-does-not-fit",
    );
    check(
        26,
        "valid for too long",
        |s| s.leaf.not_after = "290101000000Z",
        status,
        "profile-does-not-fit",
    );
    check(
        5,
        "the address only in the subject",
        |s| {
            s.leaf.without(SUBJECT_ALTERNATIVE_NAME).subject = name(&[(EMAIL_ADDRESS, "alice@example.org")]);
        },
        status,
        "profile-does-not-fit",
    );
    check(
        27,
        "the same attribute twice",
        |s| {
            s.leaf.policies(&[V2_STRICT]).subject = name(&[(SURNAME, "Doe"), (SURNAME, "Roe")]);
        },
        status,
        "subject-does-not-fit",
    );
    check(
        27,
        "a direction override in a name",
        |s| {
            s.leaf.policies(&[V2_STRICT]).subject = name(&[(SURNAME, "Doe\u{202e}")]);
        },
        status,
        "subject-does-not-fit",
    );
    check(
        27,
        "a NUL in a name",
        |s| {
            s.leaf.policies(&[V2_STRICT]).subject = name(&[(SURNAME, "Doe\0")]);
        },
        status,
        "subject-does-not-fit",
    );
    check(
        27,
        "an overlong name",
        |s| {
            s.leaf.policies(&[V2_STRICT]).subject = name(&[(SURNAME, &"D".repeat(300))]);
        },
        status,
        "subject-does-not-fit",
    );
    check(
        27,
        "a title beyond the bound of RFC 5280",
        |s| {
            s.leaf.policies(&[V2_STRICT]).subject = name(&[(SURNAME, "Doe"), (TITLE, &"T".repeat(65))]);
        },
        status,
        "subject-does-not-fit",
    );
    check(
        26,
        "a postal code, which the strict generation may not name",
        |s| {
            s.leaf.policies(&[V2_STRICT]).subject = name(&[(SURNAME, "Doe"), ("2.5.4.17", "11122")]);
        },
        status,
        "subject-does-not-fit",
    );
    check(
        27,
        "a name that says nothing",
        |s| {
            s.leaf.policies(&[V2_STRICT]).subject = name(&[(SURNAME, "-")]);
        },
        status,
        "subject-does-not-fit",
    );
    check(
        27,
        "another string type",
        |s| {
            s.leaf.policies(&[V2_STRICT]).subject =
                sequence(&[&set(&[&sequence(&[&oid(SURNAME), &tlv(0x1e, b"\0D\0o\0e")])])]);
        },
        status,
        "subject-does-not-fit",
    );
    let strict = Policy {
        not_checked: UnsettledRevocation::WithholdTier,
        ..Policy::default()
    };
    check(
        25,
        "revocation demanded and not checked",
        move |s| s.policy = strict,
        status,
        "revocation-demanded",
    );
}
