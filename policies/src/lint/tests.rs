//! Tests of the set of rules and of what leads to a [`Linted`].

use std::collections::HashSet;

use proptest::prelude::*;

use super::testing::*;
use super::*;
use crate::key_use::KeyUse;
use crate::tier::{Generation, Tier};
use crate::time::Span;

fn context(fixture: &Fixture) -> LintContext<'_> {
    LintContext {
        expected: fixture.expected,
        issuer: &fixture.issuer,
        now: fixture.now,
    }
}

/// A certificate around a TBSCertificate, with a signature that nobody checks here.
fn certificate(fixture: &Fixture) -> Vec<u8> {
    let tbs = fixture.der();
    SignedCertificate {
        tbs_certificate: AnyRef::from_der(&tbs).unwrap(),
        signature_algorithm: fixture.tbs.signature.clone(),
        signature: BitString::from_bytes(&[0; 64]).unwrap(),
    }
    .to_der()
    .unwrap()
}

#[test]
fn what_every_profile_produces_is_clean() {
    for fixture in every() {
        assert_eq!(fixture.findings(), [], "{:?}", fixture.expected);
        assert_eq!(
            findings_of_certificate(&certificate(&fixture), fixture.now).unwrap(),
            []
        );
    }
}

#[test]
fn invariant_03_a_linted_certificate_is_the_one_that_was_checked() {
    let fixture = v4();
    let linted = check(fixture.der(), &context(&fixture)).unwrap();
    assert_eq!(linted.tbs(), fixture.der());
    assert_eq!(linted.sha256(), <[u8; 32]>::from(Sha256::digest(fixture.der())));
}

#[test]
fn warnings_do_not_refuse_but_stay_known() {
    let fixture = v1().without_extension(const_oid::ObjectIdentifier::new_unwrap("2.5.29.14"));
    let linted = check(fixture.der(), &context(&fixture)).unwrap();
    assert_eq!(linted.findings().len(), 1);
    assert_eq!(linted.findings()[0].severity, Severity::Warning);
}

#[test]
fn a_certificate_for_another_tier_is_refused() {
    for meant in Tier::ALL {
        for found in Tier::ALL {
            let mut fixture = subscriber(found, Generation::Strict);
            fixture.expected = Expected::Subscriber(meant, Generation::Strict, KeyUse::Both);
            assert_eq!(check(fixture.der(), &context(&fixture)).is_ok(), meant == found);
        }
    }
    let mut multipurpose = subscriber(Tier::V1, Generation::Multipurpose);
    multipurpose.expected = Expected::Subscriber(Tier::V1, Generation::Strict, KeyUse::Both);
    assert!(check(multipurpose.der(), &context(&multipurpose)).is_err());
}

#[test]
fn authorities_and_subscribers_do_not_pass_for_each_other() {
    for expected in [Expected::Root, Expected::IssuingAuthority] {
        let mut fixture = v4();
        fixture.expected = expected;
        assert!(check(fixture.der(), &context(&fixture)).is_err());
    }
    let mut authority = issuing_authority();
    authority.expected = Expected::Subscriber(Tier::V1, Generation::Strict, KeyUse::Both);
    assert!(check(authority.der(), &context(&authority)).is_err());
    authority.expected = Expected::Root;
    assert!(check(authority.der(), &context(&authority)).is_err());
}

#[test]
fn what_is_not_a_certificate_is_refused() {
    let fixture = v1();
    for bytes in [
        vec![],
        vec![0x30, 0x00],
        vec![0xff; 100],
        vec![0x30; 100_000],
        certificate(&fixture),
    ] {
        let findings = check(bytes.clone(), &context(&fixture)).unwrap_err();
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].lint, "certificate_syntax");
    }
    assert!(findings_of_certificate(&[], fixture.now).is_err());
    assert!(findings_of_certificate(&fixture.der(), fixture.now).is_err());
}

#[test]
fn invariant_13_old_certificates_are_judged_by_the_rules_of_their_day() {
    let old = issuing_authority_with_key(crate::testing::rsa3072());
    let day_before = AUTHORITY_RSA_4096.minus(Span::days(1));
    let old = old.at(day_before);
    let findings = findings_of_certificate(&certificate(&old), day_before).unwrap();
    assert_eq!(findings, []);
    let findings = findings_of_certificate(&certificate(&old), AUTHORITY_RSA_4096).unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(
        (findings[0].lint, findings[0].severity),
        ("authority_rsa_size", Severity::Notice)
    );

    let young = old.at(AUTHORITY_RSA_4096);
    let findings = findings_of_certificate(&certificate(&young), AUTHORITY_RSA_4096).unwrap();
    assert_eq!(findings[0].severity, Severity::Error);
}

#[test]
fn a_clock_before_the_first_rules_does_not_switch_them_off() {
    let mut fixture = v1().with(|tbs| tbs.version = crate::tbs::Version::V1);
    fixture.now = Timestamp::from_unix(0);
    assert!(check(fixture.der(), &context(&fixture)).is_err());
}

#[test]
fn rules_are_named_once_and_cite_something() {
    let mut names = HashSet::new();
    for lint in all() {
        assert!(names.insert(lint.id), "{}", lint.id);
        assert!(
            lint.id
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        );
        assert!(
            ["BR ", "RFC ", "Apple "]
                .iter()
                .any(|source| lint.citation.starts_with(source)),
            "{}",
            lint.id
        );
        assert!(lint.effective >= FIRST);
    }
}

proptest! {
    #[test]
    fn spoiled_bytes_never_panic(position in 0_usize..2000, value in any::<u8>()) {
        let fixture = v4();
        let mut der = fixture.der();
        let position = position % der.len();
        der[position] = value;
        let _ = check(der.clone(), &context(&fixture));
        let _ = findings_of_certificate(&der, fixture.now);
    }

    #[test]
    fn truncated_bytes_are_refused(length in 0_usize..2000) {
        let fixture = v4();
        let mut der = fixture.der();
        der.truncate(length % der.len());
        prop_assert!(check(der, &context(&fixture)).is_err());
    }
}
