//! Good certificates to spoil, for the tests of the rules.

use const_oid::ObjectIdentifier;
use der::asn1::OctetString;
use der::{Decode, Encode};
use x509_cert::ext::Extension;

use super::{Expected, Finding, Lint, LintContext, Severity, check};
use crate::attribute::Attribute;
use crate::authority::{issuing_template, responder_template, root_template};
use crate::evidence::{Evidence, EvidenceId, EvidenceParts, Fact, Method};
use crate::issuance::{Issuer, Request, approve};
use crate::key_use::KeyUse;
use crate::mailbox::Mailbox;
use crate::organization::{Country, Organization, OrganizationIdentifier};
use crate::person::{Person, Title};
use crate::profile::{ValidityPeriod, profile};
use crate::tbs::TbsCertificate;
use crate::template::name;
use crate::testing;
use crate::tier::{Generation, Tier};
use crate::time::{Span, Timestamp};

/// 22 November 2026.
pub(super) const NOW: Timestamp = Timestamp::from_unix(1_795_305_600);

/// A certificate to be, and what it is meant to be.
#[derive(Clone, Debug)]
pub(super) struct Fixture {
    pub(super) tbs: TbsCertificate,
    pub(super) expected: Expected,
    pub(super) issuer: Issuer,
    pub(super) now: Timestamp,
}

/// A flawless subscriber certificate for an elliptic-curve key.
pub(super) fn subscriber(tier: Tier, generation: Generation) -> Fixture {
    subscriber_with_key(tier, generation, testing::p256())
}

pub(super) fn subscriber_with_key(
    tier: Tier,
    generation: Generation,
    public_key: spki::SubjectPublicKeyInfoOwned,
) -> Fixture {
    subscriber_for(tier, generation, public_key, KeyUse::Both)
}

pub(super) fn subscriber_for(
    tier: Tier,
    generation: Generation,
    public_key: spki::SubjectPublicKeyInfoOwned,
    key_use: KeyUse,
) -> Fixture {
    let mailbox = Mailbox::parse("alice@example.com").unwrap();
    let person = Person::new(Some("Alice"), Some("Adams")).unwrap();
    let identifier = OrganizationIdentifier::parse("NTRGB-12345678").unwrap();
    let organization = Organization::new(
        "Example Ltd",
        Country::parse("GB").unwrap(),
        Some("England"),
        Some("London"),
        identifier.clone(),
    )
    .unwrap();
    let evidence: Vec<Evidence> = [
        (Fact::MailboxControl(mailbox.clone()), Method::MailboxByEmail),
        (Fact::OrganizationIdentity(organization), Method::RegisterExtract),
        (
            Fact::Authority {
                organization_identifier: identifier.clone(),
                representative: "Bob".to_owned(),
            },
            Method::ReliableMethodOfCommunication,
        ),
        (
            Fact::IndividualIdentity {
                person: person.clone(),
                mailbox: mailbox.clone(),
            },
            Method::IdentityDocument,
        ),
        (
            Fact::Employment {
                organization_identifier: identifier,
                person,
                title: Some(Title::new("Engineer").unwrap()),
                mailbox: mailbox.clone(),
            },
            Method::EmployerAttestation,
        ),
    ]
    .into_iter()
    .map(|(fact, method)| {
        Evidence::new(EvidenceParts {
            id: EvidenceId::new("e"),
            fact,
            method,
            br_version: "1.0.16".to_owned(),
            collected_at: NOW,
            recorded_by: "ca".to_owned(),
            approved_by: vec!["o1".to_owned(), "o2".to_owned()],
            documents: Vec::new(),
        })
        .unwrap()
    })
    .collect();
    let request = Request {
        tier,
        generation,
        key_use,
        mailbox,
        organization: None,
        public_key,
        requester: "alice".to_owned(),
    };
    let approved = approve(request, &evidence, profile(tier, generation), NOW).unwrap();
    let issuer = testing::issuer();
    let template = approved.template(&issuer, &testing::locations()).unwrap();
    let validity = approved.profile().validity_from(NOW);
    let der = template
        .to_be_signed(&testing::serial_number(), validity, &issuer)
        .unwrap();
    Fixture {
        tbs: TbsCertificate::from_der(&der).unwrap(),
        expected: Expected::Subscriber(tier, generation, key_use),
        issuer,
        now: NOW,
    }
}

pub(super) fn v1() -> Fixture {
    subscriber(Tier::V1, Generation::Strict)
}

pub(super) fn v2() -> Fixture {
    subscriber(Tier::V2, Generation::Strict)
}

pub(super) fn v3() -> Fixture {
    subscriber(Tier::V3, Generation::Strict)
}

pub(super) fn v4() -> Fixture {
    subscriber(Tier::V4, Generation::Strict)
}

/// A flawless root.
pub(super) fn root() -> Fixture {
    let issuer = testing::root();
    let template = root_template(&testing::root_name(), &issuer.public_key).unwrap();
    let validity = ValidityPeriod::of_days(NOW, 6570);
    let der = template
        .to_be_signed(&testing::serial_number(), validity, &issuer)
        .unwrap();
    Fixture {
        tbs: TbsCertificate::from_der(&der).unwrap(),
        expected: Expected::Root,
        issuer,
        now: NOW,
    }
}

/// A flawless issuing authority.
pub(super) fn issuing_authority() -> Fixture {
    issuing_authority_with_key(testing::p256())
}

pub(super) fn issuing_authority_with_key(public_key: spki::SubjectPublicKeyInfoOwned) -> Fixture {
    let issuer = testing::root();
    let template = issuing_template(
        &testing::issuing_name(),
        &public_key,
        &issuer,
        &testing::locations(),
        &Tier::ALL,
        &Generation::ALL,
    )
    .unwrap();
    let validity = ValidityPeriod::of_days(NOW, 3285);
    let der = template
        .to_be_signed(&testing::serial_number(), validity, &issuer)
        .unwrap();
    Fixture {
        tbs: TbsCertificate::from_der(&der).unwrap(),
        expected: Expected::IssuingAuthority,
        issuer,
        now: NOW,
    }
}

/// A flawless OCSP responder.
pub(super) fn ocsp_responder() -> Fixture {
    let issuer = testing::issuer();
    let template = responder_template(&issuer, &testing::p256()).unwrap();
    let validity = ValidityPeriod::of_days(NOW, 30);
    let der = template
        .to_be_signed(&testing::serial_number(), validity, &issuer)
        .unwrap();
    Fixture {
        tbs: TbsCertificate::from_der(&der).unwrap(),
        expected: Expected::OcspResponder,
        issuer,
        now: NOW,
    }
}

/// Everything we issue.
pub(super) fn every() -> Vec<Fixture> {
    let mut all = vec![
        root(),
        issuing_authority(),
        issuing_authority_with_key(testing::rsa4096()),
        ocsp_responder(),
    ];
    for tier in Tier::ALL {
        for generation in Generation::ALL {
            for key in [
                testing::p256(),
                testing::p384(),
                testing::rsa2048(),
                testing::rsa3072(),
                testing::rsa4096(),
            ] {
                all.push(subscriber_with_key(tier, generation, key));
            }
        }
    }
    all
}

impl Fixture {
    pub(super) fn with(mut self, change: impl FnOnce(&mut TbsCertificate)) -> Self {
        change(&mut self.tbs);
        self
    }

    /// Another extension in the place of the one of the same type, or at the end.
    pub(super) fn with_extension(self, extension: Extension) -> Self {
        self.with(|tbs| {
            let extensions = tbs.extensions.get_or_insert_default();
            match extensions.iter_mut().find(|old| old.extn_id == extension.extn_id) {
                Some(old) => *old = extension,
                None => extensions.push(extension),
            }
        })
    }

    pub(super) fn with_raw_extension(self, oid: &str, critical: bool, value: &[u8]) -> Self {
        let extn_value = OctetString::new(value).unwrap();
        self.with_extension(Extension {
            extn_id: ObjectIdentifier::new_unwrap(oid),
            critical,
            extn_value,
        })
    }

    pub(super) fn without_extension(self, oid: ObjectIdentifier) -> Self {
        self.with(|tbs| {
            tbs.extensions
                .get_or_insert_default()
                .retain(|extension| extension.extn_id != oid)
        })
    }

    pub(super) fn with_critical(self, oid: ObjectIdentifier, critical: bool) -> Self {
        self.with(|tbs| {
            for extension in tbs.extensions.get_or_insert_default() {
                if extension.extn_id == oid {
                    extension.critical = critical;
                }
            }
        })
    }

    /// The subject with one more attribute.
    pub(super) fn with_attribute(self, attribute: Attribute, value: &str) -> Self {
        let mut values = self.subject();
        values.push((attribute, value.to_owned()));
        self.with(|tbs| tbs.subject = name(&values).unwrap())
    }

    pub(super) fn without_attribute(self, attribute: Attribute) -> Self {
        let mut values = self.subject();
        values.retain(|(present, _)| *present != attribute);
        self.with(|tbs| tbs.subject = name(&values).unwrap())
    }

    /// The subject with another value.
    pub(super) fn with_value(self, attribute: Attribute, value: &str) -> Self {
        let mut values = self.subject();
        for (_, old) in values.iter_mut().filter(|(present, _)| *present == attribute) {
            value.clone_into(old);
        }
        self.with(|tbs| tbs.subject = name(&values).unwrap())
    }

    fn subject(&self) -> Vec<(Attribute, String)> {
        self.tbs
            .subject
            .iter()
            .map(|value| {
                (
                    Attribute::from_oid(&value.oid).unwrap(),
                    super::view::text(&value.value).unwrap(),
                )
            })
            .collect()
    }

    pub(super) fn at(mut self, now: Timestamp) -> Self {
        let length = Timestamp::from(self.tbs.validity.not_after).since(Timestamp::from(self.tbs.validity.not_before));
        self.now = now;
        self.tbs.validity.not_before = now.to_certificate_time().unwrap();
        self.tbs.validity.not_after = now.plus(length).to_certificate_time().unwrap();
        self
    }

    pub(super) fn lasting(mut self, span: Span) -> Self {
        self.tbs.validity.not_after = Timestamp::from(self.tbs.validity.not_before)
            .plus(span)
            .to_certificate_time()
            .unwrap();
        self
    }

    pub(super) fn der(&self) -> Vec<u8> {
        self.tbs.to_der().unwrap()
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let context = LintContext {
            expected: self.expected,
            issuer: &self.issuer,
            now: self.now,
        };
        match check(self.der(), &context) {
            Ok(linted) => linted.findings().to_vec(),
            Err(findings) => findings,
        }
    }

    fn severity(&self, lint: &Lint) -> Option<Severity> {
        self.findings()
            .iter()
            .filter(|finding| finding.lint == lint.id)
            .map(|finding| finding.severity)
            .max()
    }

    /// The rule has nothing to say.
    #[track_caller]
    pub(super) fn passes(self, lint: &Lint) {
        assert_eq!(self.severity(lint), None, "{:#?}", self.findings());
    }

    /// The rule reports an error.
    #[track_caller]
    pub(super) fn fails(self, lint: &Lint) {
        assert_eq!(self.severity(lint), Some(Severity::Error), "{:#?}", self.findings());
    }

    /// The rule reports a warning and no error.
    #[track_caller]
    pub(super) fn warns(self, lint: &Lint) {
        assert_eq!(self.severity(lint), Some(Severity::Warning), "{:#?}", self.findings());
    }
}
