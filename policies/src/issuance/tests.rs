//! Tests of the decision and of the certificates it leads to.

use der::Decode;
use proptest::prelude::*;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};

use super::*;
use crate::attribute::Attribute;
use crate::evidence::EvidenceParts;
use crate::mailbox::Domain;
use crate::organization::Country;
use crate::profile::{CLIENT_AUTHENTICATION, EMAIL_PROTECTION, profile};
use crate::testing;
use crate::time::Span;

const NOW: Timestamp = Timestamp::from_unix(1_795_305_600);

fn alice() -> Mailbox {
    Mailbox::parse("alice@mail.example.com").unwrap()
}

fn registration() -> OrganizationIdentifier {
    OrganizationIdentifier::parse("NTRGB-12345678").unwrap()
}

fn person() -> Person {
    Person::new(Some("Alice"), Some("Adams")).unwrap()
}

fn organization_named(name: &str, identifier: &str) -> Organization {
    let identifier = OrganizationIdentifier::parse(identifier).unwrap();
    Organization::new(name, Country::parse("GB").unwrap(), None, Some("London"), identifier).unwrap()
}

fn evidence(id: &str, fact: Fact, method: Method, age: Span, approved_by: &[&str]) -> Evidence {
    Evidence::new(EvidenceParts {
        id: EvidenceId::new(id),
        fact,
        method,
        br_version: "1.0.16".to_owned(),
        collected_at: NOW.minus(age),
        recorded_by: "ca".to_owned(),
        approved_by: approved_by.iter().map(|officer| (*officer).to_owned()).collect(),
        documents: Vec::new(),
    })
    .unwrap()
}

/// Everything one could want, one second old.
fn complete() -> Vec<Evidence> {
    let age = Span::seconds(1);
    let authority = Fact::Authority {
        organization_identifier: registration(),
        representative: "Bob Brown".to_owned(),
    };
    let employment = Fact::Employment {
        organization_identifier: registration(),
        person: person(),
        title: Some(Title::new("Engineer").unwrap()),
        mailbox: alice(),
    };
    let identity = Fact::IndividualIdentity {
        person: person(),
        mailbox: alice(),
    };
    let organization = Fact::OrganizationIdentity(organization_named("Example Ltd", "NTRGB-12345678"));
    vec![
        evidence(
            "mailbox",
            Fact::MailboxControl(alice()),
            Method::MailboxByEmail,
            age,
            &[],
        ),
        evidence(
            "domain",
            Fact::DomainControl(Domain::parse("example.com").unwrap()),
            Method::DomainConstructedEmail,
            age,
            &[],
        ),
        evidence(
            "organization",
            organization,
            Method::RegisterExtract,
            age,
            &["o1", "o2"],
        ),
        evidence(
            "authority",
            authority,
            Method::ReliableMethodOfCommunication,
            age,
            &["o1"],
        ),
        evidence("individual", identity, Method::IdentityDocument, age, &["o1"]),
        evidence(
            "employment",
            employment,
            Method::EnterpriseRegistrationAuthority,
            age,
            &["o1"],
        ),
    ]
}

fn without(ids: &[&str]) -> Vec<Evidence> {
    complete()
        .into_iter()
        .filter(|evidence| !ids.contains(&evidence.id().as_ref()))
        .collect()
}

fn replaced(id: &str, replacement: Evidence) -> Vec<Evidence> {
    let mut all = without(&[id]);
    all.push(replacement);
    all
}

fn request(tier: Tier) -> Request {
    Request {
        tier,
        generation: Generation::Strict,
        key_use: KeyUse::Both,
        mailbox: alice(),
        organization: None,
        public_key: testing::p256(),
        requester: "alice".to_owned(),
    }
}

fn decide(tier: Tier, evidence: &[Evidence]) -> Result<Approved, Refusal> {
    approve(request(tier), evidence, profile(tier, Generation::Strict), NOW)
}

fn used(tier: Tier, evidence: &[Evidence]) -> Vec<String> {
    decide(tier, evidence)
        .unwrap()
        .evidence()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[track_caller]
fn check_refused(tier: Tier, evidence: &[Evidence], expected: &[FactKind]) {
    let refusal = decide(tier, evidence).map(|_| ()).unwrap_err();
    let missing: Vec<FactKind> = refusal
        .shortcomings()
        .iter()
        .filter_map(|shortcoming| match shortcoming {
            Shortcoming::Missing { fact } | Shortcoming::Stale { fact, .. } | Shortcoming::Unapproved { fact, .. } => {
                Some(*fact)
            }
            _ => None,
        })
        .collect();
    assert_eq!(missing, expected, "{refusal}");
}

#[test]
fn complete_evidence_allows_every_tier() {
    let all = complete();
    assert_eq!(used(Tier::V1, &all), ["domain"]);
    assert_eq!(used(Tier::V2, &all), ["domain", "individual"]);
    assert_eq!(used(Tier::V3, &all), ["domain", "organization", "authority"]);
    // Control of the domain is needed twice and recorded once.
    assert_eq!(
        used(Tier::V4, &all),
        ["domain", "organization", "authority", "employment"]
    );
    assert_eq!(best_tier(&alice(), "alice", &all, NOW), Some(Tier::V4));
}

#[test]
fn mailbox_control_alone_suffices_for_v1() {
    assert_eq!(used(Tier::V1, &without(&["domain"])), ["mailbox"]);
    assert_eq!(used(Tier::V1, &without(&["mailbox"])), ["domain"]);
}

#[test]
fn nothing_is_issued_for_nothing() {
    use FactKind::*;
    check_refused(Tier::V1, &[], &[MailboxControl]);
    check_refused(Tier::V2, &[], &[MailboxControl, IndividualIdentity]);
    check_refused(Tier::V3, &[], &[MailboxControl, OrganizationIdentity, Authority]);
    check_refused(
        Tier::V4,
        &[],
        &[MailboxControl, Employment, OrganizationIdentity, Authority],
    );
    assert_eq!(best_tier(&alice(), "alice", &[], NOW), None);
}

#[test]
fn each_fact_is_needed() {
    use FactKind::*;
    check_refused(Tier::V1, &without(&["mailbox", "domain"]), &[MailboxControl]);
    check_refused(Tier::V2, &without(&["individual"]), &[IndividualIdentity]);
    check_refused(
        Tier::V3,
        &without(&["organization"]),
        &[OrganizationIdentity, Authority],
    );
    check_refused(Tier::V3, &without(&["authority"]), &[Authority]);
    check_refused(
        Tier::V4,
        &without(&["organization"]),
        &[OrganizationIdentity, Authority],
    );
    check_refused(Tier::V4, &without(&["authority"]), &[Authority]);
    check_refused(Tier::V4, &without(&["employment"]), &[Employment]);
    check_refused(Tier::V4, &without(&["domain"]), &[DomainControl]);
}

#[test]
fn the_best_tier_falls_with_the_evidence() {
    let best = |evidence: &[Evidence]| best_tier(&alice(), "alice", evidence, NOW);
    assert_eq!(best(&without(&["employment"])), Some(Tier::V3));
    assert_eq!(best(&without(&["employment", "authority"])), Some(Tier::V2));
    assert_eq!(
        best(&without(&["employment", "authority", "individual"])),
        Some(Tier::V1)
    );
    assert_eq!(best(&without(&["mailbox", "domain"])), None);
}

#[test]
fn evidence_of_others_proves_nothing() {
    let age = Span::seconds(1);
    let bob = Mailbox::parse("bob@mail.example.com").unwrap();
    let of_bob = evidence("m", Fact::MailboxControl(bob.clone()), Method::MailboxByEmail, age, &[]);
    check_refused(Tier::V1, &[of_bob], &[FactKind::MailboxControl]);
    for domain in ["badexample.com", "www.mail.example.com", "example.org"] {
        let other = Fact::DomainControl(Domain::parse(domain).unwrap());
        let other = evidence("d", other, Method::DomainConstructedEmail, age, &[]);
        check_refused(Tier::V1, &[other], &[FactKind::MailboxControl]);
    }
    let identity = Fact::IndividualIdentity {
        person: person(),
        mailbox: bob,
    };
    let of_bob = evidence("i", identity, Method::IdentityDocument, age, &["o1"]);
    check_refused(
        Tier::V2,
        &replaced("individual", of_bob),
        &[FactKind::IndividualIdentity],
    );
    let authority = Fact::Authority {
        organization_identifier: OrganizationIdentifier::parse("NTRGB-87654321").unwrap(),
        representative: "Bob".to_owned(),
    };
    let elsewhere = evidence("a", authority, Method::ReliableMethodOfCommunication, age, &["o1"]);
    check_refused(Tier::V3, &replaced("authority", elsewhere), &[FactKind::Authority]);
}

#[test]
fn an_attested_employee_needs_an_identity_of_the_same_name() {
    let age = Span::seconds(1);
    let attested = |person| {
        let fact = Fact::Employment {
            organization_identifier: registration(),
            person,
            title: None,
            mailbox: alice(),
        };
        evidence("employment", fact, Method::EmployerAttestation, age, &["o1"])
    };
    let mut all = replaced("employment", attested(person()));
    assert!(decide(Tier::V4, &all).is_ok());
    all.retain(|evidence| evidence.id().as_ref() != "individual");
    check_refused(Tier::V4, &all, &[FactKind::IndividualIdentity]);
    let other = Person::new(Some("Alicia"), Some("Adams")).unwrap();
    check_refused(
        Tier::V4,
        &replaced("employment", attested(other)),
        &[FactKind::IndividualIdentity],
    );
}

#[test]
fn invariant_06_identities_need_officers_other_than_the_requester() {
    let age = Span::seconds(1);
    for (id, tier, needed) in [
        ("organization", Tier::V3, 2),
        ("organization", Tier::V4, 2),
        ("authority", Tier::V3, 1),
        ("individual", Tier::V2, 1),
        ("employment", Tier::V4, 1),
    ] {
        let original = complete()
            .into_iter()
            .find(|evidence| evidence.id().as_ref() == id)
            .unwrap();
        for (approved_by, enough) in [
            (&[][..], needed == 0),
            (&["alice"], false),
            (&["alice", "alice"], false),
            (&["o1"], needed <= 1),
            (&["o1", "o1"], needed <= 1),
            (&["o1", "alice"], needed <= 1),
            (&["o1", "o2"], true),
            (&["alice", "o1", "o2"], true),
        ] {
            let changed = evidence(id, original.fact().clone(), original.method(), age, approved_by);
            let decision = decide(tier, &replaced(id, changed));
            assert_eq!(decision.is_ok(), enough, "{tier} {id} {approved_by:?}");
            if let Err(refusal) = decision {
                assert!(
                    matches!(refusal.shortcomings(), [Shortcoming::Unapproved { needed: asked, .. }] if *asked == needed)
                );
            }
        }
    }
}

#[test]
fn invariant_04_stale_evidence_is_refused_to_the_second() {
    for (id, tier, days) in [
        ("mailbox", Tier::V1, 30),
        ("domain", Tier::V1, 398),
        ("individual", Tier::V2, 825),
        ("organization", Tier::V3, 825),
        ("authority", Tier::V3, 825),
        ("employment", Tier::V4, 825),
        ("domain", Tier::V4, 398),
    ] {
        let original = complete()
            .into_iter()
            .find(|evidence| evidence.id().as_ref() == id)
            .unwrap();
        let other_control = if tier == Tier::V1 && id == "mailbox" {
            "domain"
        } else {
            "mailbox"
        };
        for (seconds, enough) in [
            (-1, false),
            (0, true),
            (days * 86_400, true),
            (days * 86_400 + 1, false),
        ] {
            let aged = evidence(
                id,
                original.fact().clone(),
                original.method(),
                Span::seconds(seconds),
                &["o1", "o2"],
            );
            let mut all = replaced(id, aged);
            if matches!(id, "mailbox" | "domain") {
                all.retain(|evidence| evidence.id().as_ref() != other_control);
            }
            let decision = decide(tier, &all);
            assert_eq!(decision.is_ok(), enough, "{tier} {id} {seconds}");
            if let Err(refusal) = decision {
                assert!(
                    refusal
                        .shortcomings()
                        .iter()
                        .all(|reason| matches!(reason, Shortcoming::Stale { .. }))
                );
                assert_eq!(refusal.section(), "4.2.1");
            }
        }
    }
}

#[test]
fn accounts_with_several_organizations_must_say_which() {
    let age = Span::seconds(1);
    let mut all = complete();
    let second = Fact::OrganizationIdentity(organization_named("Other Ltd", "NTRGB-87654321"));
    all.push(evidence(
        "organization-2",
        second,
        Method::RegisterExtract,
        age,
        &["o1", "o2"],
    ));
    // Its authority is not proved yet, so there is no choice.
    assert_eq!(used(Tier::V3, &all), ["domain", "organization", "authority"]);

    let other = OrganizationIdentifier::parse("NTRGB-87654321").unwrap();
    let authority = Fact::Authority {
        organization_identifier: other.clone(),
        representative: "Bob".to_owned(),
    };
    all.push(evidence(
        "authority-2",
        authority,
        Method::ReliableMethodOfCommunication,
        age,
        &["o1"],
    ));
    let refusal = decide(Tier::V3, &all).unwrap_err();
    assert!(
        matches!(refusal.shortcomings(), [Shortcoming::SeveralOrganizations { identifiers }] if identifiers.len() == 2)
    );

    let named = Request {
        organization: Some(other.clone()),
        ..request(Tier::V3)
    };
    let approved = approve(named, &all, profile(Tier::V3, Generation::Strict), NOW).unwrap();
    assert_eq!(approved.subject().organization().unwrap().legal_name(), "Other Ltd");

    // An employee belongs to the organization of the employment, whatever else the account has.
    let approved = decide(Tier::V4, &all).unwrap();
    assert_eq!(approved.subject().organization().unwrap().legal_name(), "Example Ltd");
    let elsewhere = Request {
        organization: Some(other),
        ..request(Tier::V4)
    };
    assert!(approve(elsewhere, &all, profile(Tier::V4, Generation::Strict), NOW).is_err());
}

#[test]
fn a_newer_name_of_the_same_organization_wins() {
    let mut all = complete();
    let renamed = Fact::OrganizationIdentity(organization_named("Example plc", "NTRGB-12345678"));
    all.push(evidence(
        "renamed",
        renamed,
        Method::RegisterExtract,
        Span::ZERO,
        &["o1", "o2"],
    ));
    let approved = decide(Tier::V3, &all).unwrap();
    assert_eq!(approved.subject().organization().unwrap().legal_name(), "Example plc");
}

#[test]
fn keys_and_profiles_must_fit() {
    let all = complete();
    let wrong = approve(request(Tier::V1), &all, profile(Tier::V2, Generation::Strict), NOW).unwrap_err();
    assert!(matches!(wrong.shortcomings(), [Shortcoming::OtherProfile { .. }]));
    let wrong = approve(
        request(Tier::V1),
        &all,
        profile(Tier::V1, Generation::Multipurpose),
        NOW,
    )
    .unwrap_err();
    assert!(matches!(wrong.shortcomings(), [Shortcoming::OtherProfile { .. }]));

    let mut bad_key = request(Tier::V1);
    bad_key.public_key.algorithm.parameters = None;
    let refusal = approve(bad_key, &all, profile(Tier::V1, Generation::Strict), NOW).unwrap_err();
    assert!(matches!(refusal.shortcomings(), [Shortcoming::KeyNotPermitted(_)]));

    let mut short_point = request(Tier::V1);
    short_point.public_key.subject_public_key = der::asn1::BitString::from_bytes(&[2; 33]).unwrap();
    let refusal = approve(short_point, &all, profile(Tier::V1, Generation::Strict), NOW).unwrap_err();
    assert!(matches!(refusal.shortcomings(), [Shortcoming::KeyNotAccepted]));
}

#[test]
fn addresses_beyond_ascii_end_when_apple_asks_for_rfc822_name() {
    let profile = profile(Tier::V1, Generation::Strict);
    let until = profile.rfc822_name_required_from();
    let mailbox = Mailbox::parse("jürgen@example.com").unwrap();
    for (now, allowed) in [(until.minus(Span::seconds(1)), true), (until, false)] {
        let control = Evidence::new(EvidenceParts {
            id: EvidenceId::new("m"),
            fact: Fact::MailboxControl(mailbox.clone()),
            method: Method::MailboxByEmail,
            br_version: "1.0.16".to_owned(),
            collected_at: now,
            recorded_by: "ca".to_owned(),
            approved_by: Vec::new(),
            documents: Vec::new(),
        })
        .unwrap();
        let request = Request {
            mailbox: mailbox.clone(),
            ..request(Tier::V1)
        };
        assert_eq!(approve(request, &[control], profile, now).is_ok(), allowed);
    }
}

#[test]
fn refusals_read_well() {
    let refusal = decide(Tier::V3, &without(&["authority"])).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "no V3 certificate for alice@mail.example.com can be issued now: nothing proves authority (BR 3.2.6)"
    );
}

fn issuer() -> Issuer {
    testing::issuer()
}

fn subject_values(template: &CertificateTemplate) -> Vec<(Attribute, String)> {
    template
        .subject()
        .iter()
        .map(|value| {
            let text = String::from_utf8(value.value.value().to_vec()).unwrap();
            (Attribute::from_oid(&value.oid).unwrap(), text)
        })
        .collect()
}

#[test]
fn subjects_say_what_the_tier_says() {
    use Attribute::*;
    let template = |tier| {
        decide(tier, &complete())
            .unwrap()
            .template(&issuer(), &testing::locations())
            .unwrap()
    };
    let check = |tier, expected: &[(Attribute, &str)]| {
        let expected: Vec<_> = expected
            .iter()
            .map(|(attribute, value)| (*attribute, (*value).to_owned()))
            .collect();
        assert_eq!(subject_values(&template(tier)), expected);
    };
    check(Tier::V1, &[(CommonName, "alice@mail.example.com")]);
    check(
        Tier::V2,
        &[(Surname, "Adams"), (GivenName, "Alice"), (CommonName, "Alice Adams")],
    );
    let organization = [
        (CountryName, "GB"),
        (LocalityName, "London"),
        (OrganizationName, "Example Ltd"),
        (OrganizationIdentifier, "NTRGB-12345678"),
    ];
    check(Tier::V3, &[&organization[..], &[(CommonName, "Example Ltd")]].concat());
    let employee = [
        (Surname, "Adams"),
        (GivenName, "Alice"),
        (Title, "Engineer"),
        (CommonName, "Alice Adams"),
    ];
    check(Tier::V4, &[&organization[..], &employee].concat());
}

#[test]
fn a_long_mailbox_leaves_the_subject_empty_and_the_alternative_name_critical() {
    let mailbox = Mailbox::parse(&format!("{}@example.com", "a".repeat(60))).unwrap();
    let control = evidence(
        "m",
        Fact::MailboxControl(mailbox.clone()),
        Method::MailboxByEmail,
        Span::ZERO,
        &[],
    );
    let request = Request {
        mailbox,
        ..request(Tier::V1)
    };
    let approved = approve(request, &[control], profile(Tier::V1, Generation::Strict), NOW).unwrap();
    let template = approved.template(&issuer(), &testing::locations()).unwrap();
    assert!(template.subject().is_empty());
    let name = template
        .extensions()
        .iter()
        .find(|extension| extension.extn_id == SAN)
        .unwrap();
    assert!(name.critical);
    assert_eq!(SubjectAltName::from_der(name.extn_value.as_bytes()).unwrap().0.len(), 1);
}

#[test]
fn key_usage_follows_the_key() {
    for (public_key, second) in [
        (testing::p256(), KeyUsages::KeyAgreement),
        (testing::rsa2048(), KeyUsages::KeyEncipherment),
    ] {
        let request = Request {
            public_key,
            ..request(Tier::V1)
        };
        let approved = approve(request, &complete(), profile(Tier::V1, Generation::Strict), NOW).unwrap();
        let template = approved.template(&issuer(), &testing::locations()).unwrap();
        let usage = template
            .extensions()
            .iter()
            .find(|extension| extension.extn_id == KEY_USAGE)
            .unwrap();
        assert!(usage.critical);
        let bits = KeyUsage::from_der(usage.extn_value.as_bytes()).unwrap();
        assert_eq!(bits.0, KeyUsages::DigitalSignature | second);
    }
}

#[test]
fn a_certificate_for_one_use_has_no_bit_of_the_other() {
    for (public_key, management) in [
        (testing::p256(), KeyUsages::KeyAgreement),
        (testing::p384(), KeyUsages::KeyAgreement),
        (testing::rsa2048(), KeyUsages::KeyEncipherment),
    ] {
        for (key_use, expected) in [
            (KeyUse::Sign, KeyUsages::DigitalSignature.into()),
            (KeyUse::Encrypt, management.into()),
            (KeyUse::Both, KeyUsages::DigitalSignature | management),
        ] {
            for generation in Generation::ALL {
                let request = Request {
                    public_key: public_key.clone(),
                    key_use,
                    generation,
                    ..request(Tier::V4)
                };
                let approved = approve(request, &complete(), profile(Tier::V4, generation), NOW).unwrap();
                assert_eq!(approved.key_use(), key_use);
                let template = approved.template(&issuer(), &testing::locations()).unwrap();
                let usage = template
                    .extensions()
                    .iter()
                    .find(|extension| extension.extn_id == KEY_USAGE)
                    .unwrap();
                let bits = KeyUsage::from_der(usage.extn_value.as_bytes()).unwrap();
                assert_eq!(bits.0, expected, "{key_use} {generation}");
            }
        }
    }
}

#[test]
fn only_the_multipurpose_generation_adds_client_authentication() {
    for (generation, expected) in [
        (Generation::Strict, vec![EMAIL_PROTECTION]),
        (Generation::Multipurpose, vec![EMAIL_PROTECTION, CLIENT_AUTHENTICATION]),
    ] {
        let request = Request {
            generation,
            ..request(Tier::V4)
        };
        let approved = approve(request, &complete(), profile(Tier::V4, generation), NOW).unwrap();
        let template = approved.template(&issuer(), &testing::locations()).unwrap();
        let usage = template
            .extensions()
            .iter()
            .find(|extension| extension.extn_id == EKU)
            .unwrap();
        assert_eq!(
            ExtendedKeyUsage::from_der(usage.extn_value.as_bytes()).unwrap().0,
            expected
        );
    }
}

#[test]
fn invariant_09_same_input_gives_the_same_bytes() {
    let bytes = || {
        let approved = decide(Tier::V4, &complete()).unwrap();
        let template = approved.template(&issuer(), &testing::locations()).unwrap();
        let validity = approved.profile().validity_from(NOW);
        template
            .to_be_signed(&testing::serial_number(), validity, &issuer())
            .unwrap()
    };
    assert_eq!(bytes(), bytes());
}

const SAN: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.17");
const KEY_USAGE: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.15");
const EKU: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.37");

proptest! {
    #[test]
    fn invariant_04_approval_never_rests_on_stale_or_unapproved_evidence(
        ages in proptest::collection::vec(-86_400_i64..900 * 86_400, 6),
        approvals in proptest::collection::vec(0_usize..4, 6),
        keep in proptest::collection::vec(any::<bool>(), 6),
        tier in prop_oneof![Just(Tier::V1), Just(Tier::V2), Just(Tier::V3), Just(Tier::V4)],
    ) {
        let officers = [&[][..], &["alice"], &["o1"], &["o1", "o2"]];
        let all: Vec<Evidence> = complete()
            .into_iter()
            .enumerate()
            .filter(|(index, _)| keep[*index])
            .map(|(index, original)| {
                let age = Span::seconds(ages[index]);
                evidence(original.id().as_ref(), original.fact().clone(), original.method(), age, officers[approvals[index]])
            })
            .collect();
        if let Ok(approved) = decide(tier, &all) {
            prop_assert!(!approved.evidence().is_empty());
            for id in approved.evidence() {
                let used = all.iter().find(|evidence| evidence.id() == id).unwrap();
                let age = NOW.since(used.collected_at());
                let limit = match used.fact().kind() {
                    FactKind::MailboxControl => Span::days(30),
                    FactKind::DomainControl => Span::days(398),
                    _ => Span::days(825),
                };
                prop_assert!(age >= Span::ZERO && age <= limit);
                let needed = match used.fact().kind() {
                    FactKind::MailboxControl | FactKind::DomainControl => 0,
                    FactKind::OrganizationIdentity => 2,
                    _ => 1,
                };
                prop_assert!(used.approvals_beside("alice") >= needed);
            }
            prop_assert!(best_tier(&alice(), "alice", &all, NOW) >= Some(tier));
        }
    }
}
