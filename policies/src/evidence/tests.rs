//! Tests of evidence, its age, and its facts.

use std::collections::BTreeMap;

use super::*;
use crate::mailbox::{Domain, Mailbox};
use crate::organization::{Country, Organization, OrganizationIdentifier};
use crate::person::{Person, Title};

fn facts() -> Vec<Fact> {
    let mailbox = Mailbox::parse("Alice@example.com").unwrap();
    let identifier = OrganizationIdentifier::parse("NTRGB-12345678").unwrap();
    let person = Person::new(Some("Alice"), Some("Adams")).unwrap();
    let country = Country::parse("GB").unwrap();
    vec![
        Fact::MailboxControl(mailbox.clone()),
        Fact::DomainControl(Domain::parse("example.com").unwrap()),
        Fact::OrganizationIdentity(
            Organization::new("Example Ltd", country, None, Some("London"), identifier.clone()).unwrap(),
        ),
        Fact::Authority {
            organization_identifier: identifier.clone(),
            representative: "Bob Brown, director".to_owned(),
        },
        Fact::IndividualIdentity {
            person: person.clone(),
            mailbox: mailbox.clone(),
        },
        Fact::Employment {
            organization_identifier: identifier,
            person,
            title: Some(Title::new("Engineer").unwrap()),
            mailbox,
        },
    ]
}

fn evidence(fact: Fact, method: Method, collected_at: Timestamp) -> Result<Evidence, InvalidEvidence> {
    Evidence::new(EvidenceParts {
        id: EvidenceId::new("e1"),
        fact,
        method,
        br_version: "1.0.16".to_owned(),
        collected_at,
        recorded_by: "officer-1".to_owned(),
        approved_by: vec!["officer-1".to_owned()],
        documents: Vec::new(),
    })
}

#[test]
fn invariant_04_evidence_age_limits_hold_to_the_second() {
    let collected_at = Timestamp::from_unix(1_700_000_000);
    for fact in facts() {
        for method in Method::ALL.into_iter().filter(|method| method.proves(fact.kind())) {
            let days = match fact.kind() {
                FactKind::MailboxControl => 30,
                FactKind::DomainControl => 398,
                _ => 825,
            };
            let evidence = evidence(fact.clone(), method, collected_at).unwrap();
            let last = collected_at.plus(Span::seconds(days * 86_400));
            assert_eq!(evidence.counts_until(), last);
            assert!(
                !evidence.is_fresh(collected_at.minus(Span::seconds(1))),
                "not collected yet"
            );
            assert!(evidence.is_fresh(collected_at));
            assert!(evidence.is_fresh(last.minus(Span::seconds(1))));
            assert!(evidence.is_fresh(last));
            assert!(!evidence.is_fresh(last.plus(Span::seconds(1))), "{method}");
        }
    }
}

#[test]
fn a_method_proves_only_its_own_kind_of_fact() {
    for fact in facts() {
        for method in Method::ALL {
            let made = evidence(fact.clone(), method, Timestamp::from_unix(0));
            if method.proves(fact.kind()) {
                assert!(made.is_ok());
            } else {
                assert_eq!(
                    made,
                    Err(InvalidEvidence::MethodDoesNotProve {
                        method,
                        kind: fact.kind()
                    })
                );
            }
        }
    }
    for kind in FactKind::ALL {
        assert!(
            Method::ALL.into_iter().any(|method| method.proves(kind)),
            "{kind} can be proved"
        );
    }
    for method in Method::ALL {
        assert_eq!(
            FactKind::ALL.into_iter().filter(|kind| method.proves(*kind)).count(),
            1,
            "{method}"
        );
    }
}

#[test]
fn anonymous_evidence_is_refused() {
    let parts = |recorded_by: &str, approved_by: &[&str], version: &str| EvidenceParts {
        id: EvidenceId::new("e1"),
        fact: facts().remove(0),
        method: Method::MailboxByEmail,
        br_version: version.to_owned(),
        collected_at: Timestamp::from_unix(0),
        recorded_by: recorded_by.to_owned(),
        approved_by: approved_by.iter().map(|officer| (*officer).to_owned()).collect(),
        documents: Vec::new(),
    };
    assert!(Evidence::new(parts("ca", &[], "1.0.16")).is_ok());
    assert_eq!(
        Evidence::new(parts(" ", &[], "1.0.16")),
        Err(InvalidEvidence::Anonymous)
    );
    assert_eq!(
        Evidence::new(parts("ca", &["a", ""], "1.0.16")),
        Err(InvalidEvidence::Anonymous)
    );
    assert_eq!(Evidence::new(parts("ca", &[], "")), Err(InvalidEvidence::NoVersion));
}

#[test]
fn invariant_06_the_requester_and_repetitions_do_not_count_as_approvals() {
    let mut parts = EvidenceParts {
        id: EvidenceId::new("e1"),
        fact: facts().remove(2),
        method: Method::RegisterExtract,
        br_version: "1.0.16".to_owned(),
        collected_at: Timestamp::from_unix(0),
        recorded_by: "a".to_owned(),
        approved_by: Vec::new(),
        documents: Vec::new(),
    };
    for (approved_by, count) in [
        (&[][..], 0),
        (&["a"], 1),
        (&["a", "a"], 1),
        (&["a", "b"], 2),
        (&["r", "a"], 1),
        (&["r", "r"], 0),
    ] {
        parts.approved_by = approved_by.iter().map(|officer| (*officer).to_owned()).collect();
        assert_eq!(
            Evidence::new(parts.clone()).unwrap().approvals_beside("r"),
            count,
            "{approved_by:?}"
        );
    }
}

#[test]
fn facts_survive_their_fields() {
    for fact in facts() {
        let fields = fact
            .fields()
            .into_iter()
            .map(|(field, value)| (field.to_owned(), value))
            .collect();
        assert_eq!(Fact::from_fields(fact.kind(), &fields), Ok(fact));
    }
}

#[test]
fn broken_fields_are_refused() {
    for fact in facts() {
        let kind = fact.kind();
        let fields: BTreeMap<String, String> = fact
            .fields()
            .into_iter()
            .map(|(field, value)| (field.to_owned(), value))
            .collect();

        let mut more = fields.clone();
        more.insert("admin".to_owned(), "yes".to_owned());
        assert!(matches!(
            Fact::from_fields(kind, &more),
            Err(InvalidFact::UnknownField { .. })
        ));

        for field in fields.keys() {
            let mut empty = fields.clone();
            empty.insert(field.clone(), String::new());
            assert!(
                matches!(Fact::from_fields(kind, &empty), Err(InvalidFact::Unacceptable { .. })),
                "{kind} {field}"
            );
        }
        assert!(Fact::from_fields(kind, &BTreeMap::new()).is_err());
    }
    let missing = Fact::from_fields(FactKind::DomainControl, &BTreeMap::new()).unwrap_err();
    assert_eq!(missing.to_string(), "domain-control needs the field domain");
}

#[test]
fn subjects_are_canonical() {
    let subjects: Vec<String> = facts().iter().map(Fact::subject).collect();
    assert_eq!(
        subjects,
        [
            "alice@example.com",
            "example.com",
            "NTRGB-12345678",
            "NTRGB-12345678",
            "alice@example.com",
            "alice@example.com"
        ]
    );
}

#[test]
fn names_are_read_back() {
    for kind in FactKind::ALL {
        assert_eq!(kind.as_ref().parse(), Ok(kind));
    }
    for method in Method::ALL {
        assert_eq!(method.as_ref().parse(), Ok(method));
    }
    assert_eq!("mailbox".parse::<FactKind>(), Err(UnknownFactKind));
    assert_eq!("telepathy".parse::<Method>(), Err(UnknownMethod));
}
