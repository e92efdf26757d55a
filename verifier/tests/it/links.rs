//! What a trust store may remember between messages, and what it must judge anew.

use std::num::NonZeroUsize;
use std::sync::Arc;

use keys::testing;
use policies::time::{Span, Timestamp};
use verifier::{Material, Policy, Status, TrustStore, Verdict, VerifiedLinks, verify};

use crate::support::*;

/// A trust store with a memory that one good message has filled.
struct Remembering {
    scenario: Scenario,
    message: Vec<u8>,
    trust: TrustStore,
    links: Arc<VerifiedLinks>,
}

impl Remembering {
    fn new() -> Self {
        let links = Arc::new(VerifiedLinks::new(NonZeroUsize::new(8).unwrap()));
        let scenario = Scenario::new();
        let trust = scenario.trust().remembering(links.clone());
        let message = scenario.message();
        let remembering = Self {
            scenario,
            message,
            trust,
            links,
        };
        assert!(remembering.links.is_empty());
        remembering.check(&remembering.message, NOW, &[], Status::Tier, None);
        assert_eq!((remembering.links.len(), remembering.links.used()), (2, 0));
        remembering
    }

    fn check(&self, message: &[u8], at: Timestamp, crls: &[Vec<u8>], status: Status, code: Option<&str>) -> Verdict {
        let material = Material {
            crls: crls.to_vec(),
            ..Material::default()
        };
        let verdict = verify(message, &self.trust, &material, at, &Policy::default());
        observed::observe(message, &self.trust, [&[], crls, &[]], at, &verdict);
        assert_eq!(verdict.status(), status, "{:#?}", verdict.findings());
        if let Some(code) = code {
            assert_eq!(codes(&verdict).first(), Some(&code));
        }
        verdict
    }
}

#[test]
fn links_are_checked_once_and_the_signer_every_time() {
    let memory = Remembering::new();
    memory.check(&memory.message, NOW, &[], Status::Tier, None);
    assert_eq!((memory.links.len(), memory.links.used()), (2, 2));
    // Another message by the same sender; then one that was changed.
    let mut other = Scenario::new();
    let (leaf, issuing, _) = memory.scenario.chain();
    other.entity = b"\r\nAnother text\r\n".to_vec();
    other.cms.edit_certificates = Some(Box::new(move |certificates| {
        *certificates = vec![leaf.clone(), issuing.clone()];
    }));
    // The attribute that names the certificate speaks of the one the scenario would have sent.
    other.cms.edit_attributes = Some(Box::new(|attributes| drop(attributes.pop())));
    memory.check(&other.message(), NOW, &[], Status::Tier, None);
    assert_eq!((memory.links.len(), memory.links.used()), (2, 4));
    let changed = String::from_utf8(other.message())
        .unwrap()
        .replace("Another", "Changed");
    memory.check(
        changed.as_bytes(),
        NOW,
        &[],
        Status::Broken,
        Some("message-digest-mismatch"),
    );
}

#[test]
fn expiry_still_bites() {
    let memory = Remembering::new();
    for at in [
        NOW.plus(Span::days(365)),
        NOW.minus(Span::days(365)),
        NOW.plus(Span::days(365 * 20)),
    ] {
        let status = Status::NotVerified;
        let code = if at < NOW {
            "certificate-not-yet-valid"
        } else {
            "certificate-expired"
        };
        let verdict = memory.check(&memory.message, at, &[], status, None);
        assert!(codes(&verdict).contains(&code), "{at}: {:?}", codes(&verdict));
        assert_eq!(verdict.tier(), None);
    }
    memory.check(&memory.message, NOW, &[], Status::Tier, None);
}

#[test]
fn revocation_still_bites() {
    let memory = Remembering::new();
    let none = RevocationList::of(&[]);
    let [leaf_revoked, issuing_revoked] = [3, 2].map(|serial| RevocationList::of(&[serial]));
    let scenario = &memory.scenario;
    for crls in [
        [scenario.issuing_crl(&leaf_revoked), scenario.root_crl(&none)],
        [scenario.issuing_crl(&none), scenario.root_crl(&issuing_revoked)],
    ] {
        let verdict = memory.check(&memory.message, NOW, &crls, Status::NotVerified, Some("revoked"));
        assert_eq!(verdict.tier(), None);
    }
    let good = [scenario.issuing_crl(&none), scenario.root_crl(&none)];
    memory.check(&memory.message, NOW, &good, Status::Tier, None);
    // A list that the wrong key has signed is not believed either.
    let forged = [
        none.sign(&scenario.issuing.subject, &*testing::rsa2048()),
        good[1].clone(),
    ];
    memory.check(&memory.message, NOW, &forged, Status::Signed, None);
}

#[test]
fn trust_is_judged_anew() {
    let memory = Remembering::new();
    let nobody = TrustStore::new().remembering(memory.links.clone());
    let verdict = verify(&memory.message, &nobody, &Material::default(), NOW, &Policy::default());
    assert_eq!(verdict.status(), Status::NotVerified);
    assert_eq!(codes(&verdict).first(), Some(&"untrusted-issuer"));
    // An anchor of the same name with another key.
    let mut other = Scenario::new();
    other.root.key = testing::rsa3072();
    let other = other.trust().remembering(memory.links.clone());
    let verdict = verify(&memory.message, &other, &Material::default(), NOW, &Policy::default());
    assert_eq!(verdict.status(), Status::NotVerified, "{:#?}", verdict.findings());
}

#[test]
fn certificates_that_only_look_like_remembered_ones_are_checked() {
    let memory = Remembering::new();
    // The same names and numbers, signed by somebody else.
    for forge in [
        |s: &mut Scenario| s.leaf_issuer = Some(testing::p256()),
        |s: &mut Scenario| s.root.key = testing::rsa2048(),
    ] {
        let mut forged = Scenario::new();
        forge(&mut forged);
        let verdict = memory.check(&forged.message(), NOW, &[], Status::NotVerified, None);
        let code = codes(&verdict).first().copied();
        assert!(code.is_some_and(|code| code.starts_with("certificate-")), "{code:?}");
    }
    assert_eq!(memory.links.len(), 2);
}

#[test]
fn only_valid_trusted_paths_are_remembered() {
    type Edit = fn(&mut Scenario);
    let links = Arc::new(VerifiedLinks::new(NonZeroUsize::new(8).unwrap()));
    let unworthy: [(&str, Edit); 4] = [
        ("nobody trusts the root", |s| s.trusted = false),
        ("expired", |s| s.at = NOW.plus(Span::days(365))),
        ("an authority that is none", |s| {
            s.issuing.without(BASIC_CONSTRAINTS);
        }),
        ("forged", |s| s.leaf_issuer = Some(testing::rsa2048())),
    ];
    for (what, edit) in unworthy {
        let mut scenario = Scenario::new();
        edit(&mut scenario);
        let trust = scenario.trust().remembering(links.clone());
        let verdict = verify(
            &scenario.message(),
            &trust,
            &Material::default(),
            scenario.at,
            &Policy::default(),
        );
        assert_ne!(verdict.status(), Status::Tier, "{what}");
        assert!(links.is_empty(), "{what}");
    }
}
