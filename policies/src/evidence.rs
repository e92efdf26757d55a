//! Evidence: a dated, attributable proof of one fact, and how long it counts.
//!
//! A certificate states only what evidence proves. Each piece knows the method by which it was obtained, and the
//! method decides for how long it may be used again (section 4.2.1).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::mailbox::{Domain, Mailbox};
use crate::organization::{Country, Organization, OrganizationIdentifier};
use crate::person::{Person, Title};
use crate::time::{Span, Timestamp};

/// A proof of one fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    id: EvidenceId,
    fact: Fact,
    method: Method,
    br_version: String,
    collected_at: Timestamp,
    recorded_by: String,
    approved_by: Vec<String>,
    documents: Vec<[u8; 32]>,
}

/// What [`Evidence::new`] is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceParts {
    /// Its identifier in the database.
    pub id: EvidenceId,
    /// What it proves.
    pub fact: Fact,
    /// How it was obtained.
    pub method: Method,
    /// The version of the BR that described the method then, which section 3.2.2 asks to be kept, such as `1.0.16`.
    pub br_version: String,
    /// When its oldest part was obtained; the reuse period runs from here.
    pub collected_at: Timestamp,
    /// The principal who wrote it down.
    pub recorded_by: String,
    /// The officers who approved it.
    pub approved_by: Vec<String>,
    /// SHA-256 of each document it rests on.
    pub documents: Vec<[u8; 32]>,
}

impl Evidence {
    /// Takes the parts if the method can prove the fact.
    ///
    /// # Errors
    ///
    /// [`InvalidEvidence`] if it cannot, or if the person who recorded it or the version of the BR is not named.
    pub fn new(parts: EvidenceParts) -> Result<Self, InvalidEvidence> {
        let EvidenceParts {
            id,
            fact,
            method,
            br_version,
            collected_at,
            recorded_by,
            approved_by,
            documents,
        } = parts;
        if !method.proves(fact.kind()) {
            return Err(InvalidEvidence::MethodDoesNotProve {
                method,
                kind: fact.kind(),
            });
        }
        if recorded_by.trim().is_empty() || approved_by.iter().any(|officer| officer.trim().is_empty()) {
            return Err(InvalidEvidence::Anonymous);
        }
        if br_version.trim().is_empty() {
            return Err(InvalidEvidence::NoVersion);
        }
        Ok(Self {
            id,
            fact,
            method,
            br_version,
            collected_at,
            recorded_by,
            approved_by,
            documents,
        })
    }

    /// Its identifier.
    #[must_use]
    pub const fn id(&self) -> &EvidenceId {
        &self.id
    }

    /// What it proves.
    #[must_use]
    pub const fn fact(&self) -> &Fact {
        &self.fact
    }

    /// How it was obtained.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The version of the BR that described the method.
    #[must_use]
    pub fn br_version(&self) -> &str {
        &self.br_version
    }

    /// When its oldest part was obtained.
    #[must_use]
    pub const fn collected_at(&self) -> Timestamp {
        self.collected_at
    }

    /// Who wrote it down.
    #[must_use]
    pub fn recorded_by(&self) -> &str {
        &self.recorded_by
    }

    /// Who approved it.
    #[must_use]
    pub fn approved_by(&self) -> &[String] {
        &self.approved_by
    }

    /// SHA-256 of each document it rests on.
    #[must_use]
    pub fn documents(&self) -> &[[u8; 32]] {
        &self.documents
    }

    /// For how long after its collection it may be used. See section 4.2.1.
    #[must_use]
    pub const fn reuse_limit(&self) -> Span {
        self.method.reuse_limit()
    }

    /// The last second at which it may be used.
    #[must_use]
    pub const fn counts_until(&self) -> Timestamp {
        self.collected_at.plus(self.reuse_limit())
    }

    /// Whether it may be used at `now`: "obtained no more than 398 days prior" includes the last second, and what is
    /// dated in the future was not obtained yet.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.collected_at <= now && now <= self.counts_until()
    }

    /// How many officers other than `requester` approved it.
    #[must_use]
    pub fn approvals_beside(&self, requester: &str) -> usize {
        let mut officers: Vec<&str> = self
            .approved_by
            .iter()
            .map(String::as_str)
            .filter(|officer| *officer != requester)
            .collect();
        officers.sort_unstable();
        officers.dedup();
        officers.len()
    }
}

/// The identifier of a piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvidenceId(String);

impl EvidenceId {
    /// Takes an identifier as it is.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }
}

impl AsRef<str> for EvidenceId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EvidenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What can be proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The account controls a mailbox.
    MailboxControl(Mailbox),
    /// The account controls a domain, and with it every mailbox in it and below it.
    DomainControl(Domain),
    /// The organization exists under this name, place and registration.
    OrganizationIdentity(Organization),
    /// A representative may ask for certificates in the name of the organization.
    Authority {
        /// Which organization.
        organization_identifier: OrganizationIdentifier,
        /// Who may speak for it.
        representative: String,
    },
    /// A person is who they say they are and uses the mailbox.
    IndividualIdentity {
        /// The person.
        person: Person,
        /// Their mailbox.
        mailbox: Mailbox,
    },
    /// A person works for an organization and uses the mailbox for it.
    Employment {
        /// Which organization.
        organization_identifier: OrganizationIdentifier,
        /// The employee.
        person: Person,
        /// Their role, if it is to be certified.
        title: Option<Title>,
        /// Their mailbox.
        mailbox: Mailbox,
    },
}

impl Fact {
    /// What kind of fact this is.
    #[must_use]
    pub const fn kind(&self) -> FactKind {
        match self {
            Self::MailboxControl(_) => FactKind::MailboxControl,
            Self::DomainControl(_) => FactKind::DomainControl,
            Self::OrganizationIdentity(_) => FactKind::OrganizationIdentity,
            Self::Authority { .. } => FactKind::Authority,
            Self::IndividualIdentity { .. } => FactKind::IndividualIdentity,
            Self::Employment { .. } => FactKind::Employment,
        }
    }

    /// What the fact is about, in the form that equal things share: a mailbox key, a domain, or a registration.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::MailboxControl(mailbox)
            | Self::IndividualIdentity { mailbox, .. }
            | Self::Employment { mailbox, .. } => mailbox.as_ref().to_owned(),
            Self::DomainControl(domain) => domain.to_string(),
            Self::OrganizationIdentity(organization) => organization.identifier().to_string(),
            Self::Authority {
                organization_identifier,
                ..
            } => organization_identifier.to_string(),
        }
    }

    /// The fact as named texts, from which [`Fact::from_fields`] makes it again.
    #[must_use]
    pub fn fields(&self) -> BTreeMap<&'static str, String> {
        fn add_person(fields: &mut BTreeMap<&'static str, String>, person: &Person) {
            if let Some(given_name) = person.given_name() {
                fields.insert(GIVEN_NAME, given_name.to_owned());
            }
            if let Some(surname) = person.surname() {
                fields.insert(SURNAME, surname.to_owned());
            }
        }

        let mut fields = BTreeMap::new();
        match self {
            Self::MailboxControl(mailbox) => {
                fields.insert(MAILBOX, mailbox.to_string());
            }
            Self::DomainControl(domain) => {
                fields.insert(DOMAIN, domain.to_string());
            }
            Self::OrganizationIdentity(organization) => {
                fields.insert(LEGAL_NAME, organization.legal_name().to_owned());
                fields.insert(COUNTRY, organization.country().to_string());
                if let Some(state_or_province) = organization.state_or_province() {
                    fields.insert(STATE_OR_PROVINCE, state_or_province.to_owned());
                }
                if let Some(locality) = organization.locality() {
                    fields.insert(LOCALITY, locality.to_owned());
                }
                fields.insert(ORGANIZATION_IDENTIFIER, organization.identifier().to_string());
            }
            Self::Authority {
                organization_identifier,
                representative,
            } => {
                fields.insert(ORGANIZATION_IDENTIFIER, organization_identifier.to_string());
                fields.insert(REPRESENTATIVE, representative.clone());
            }
            Self::IndividualIdentity { person, mailbox } => {
                add_person(&mut fields, person);
                fields.insert(MAILBOX, mailbox.to_string());
            }
            Self::Employment {
                organization_identifier,
                person,
                title,
                mailbox,
            } => {
                fields.insert(ORGANIZATION_IDENTIFIER, organization_identifier.to_string());
                add_person(&mut fields, person);
                if let Some(title) = title {
                    fields.insert(TITLE, title.to_string());
                }
                fields.insert(MAILBOX, mailbox.to_string());
            }
        }
        fields
    }

    /// Makes a fact of `kind` out of named texts, checking each as its type does.
    ///
    /// # Errors
    ///
    /// [`InvalidFact`] if a field is missing, unknown to this kind, or not acceptable.
    pub fn from_fields(kind: FactKind, fields: &BTreeMap<String, String>) -> Result<Self, InvalidFact> {
        let known = kind.fields();
        if let Some(field) = fields.keys().find(|field| !known.contains(&field.as_str())) {
            return Err(InvalidFact::UnknownField {
                kind,
                field: field.clone(),
            });
        }
        let optional = |field: &'static str| fields.get(field).map(String::as_str);
        let required = |field: &'static str| optional(field).ok_or(InvalidFact::MissingField { kind, field });
        let mailbox = || Mailbox::parse(required(MAILBOX)?).map_err(InvalidFact::unacceptable(MAILBOX));
        let identifier = || {
            OrganizationIdentifier::parse(required(ORGANIZATION_IDENTIFIER)?)
                .map_err(InvalidFact::unacceptable(ORGANIZATION_IDENTIFIER))
        };
        let person =
            || Person::new(optional(GIVEN_NAME), optional(SURNAME)).map_err(InvalidFact::unacceptable(SURNAME));
        Ok(match kind {
            FactKind::MailboxControl => Self::MailboxControl(mailbox()?),
            FactKind::DomainControl => {
                Self::DomainControl(Domain::parse(required(DOMAIN)?).map_err(InvalidFact::unacceptable(DOMAIN))?)
            }
            FactKind::OrganizationIdentity => {
                let country = Country::parse(required(COUNTRY)?).map_err(InvalidFact::unacceptable(COUNTRY))?;
                let organization = Organization::new(
                    required(LEGAL_NAME)?,
                    country,
                    optional(STATE_OR_PROVINCE),
                    optional(LOCALITY),
                    identifier()?,
                );
                Self::OrganizationIdentity(organization.map_err(InvalidFact::unacceptable(LEGAL_NAME))?)
            }
            FactKind::Authority => {
                let representative = required(REPRESENTATIVE)?;
                crate::text::check(representative, REPRESENTATIVE_LIMIT).map_err(|flaw| InvalidFact::Unacceptable {
                    field: REPRESENTATIVE,
                    problem: flaw.to_string(),
                })?;
                Self::Authority {
                    organization_identifier: identifier()?,
                    representative: representative.to_owned(),
                }
            }
            FactKind::IndividualIdentity => Self::IndividualIdentity {
                person: person()?,
                mailbox: mailbox()?,
            },
            FactKind::Employment => Self::Employment {
                organization_identifier: identifier()?,
                person: person()?,
                title: optional(TITLE)
                    .map(Title::new)
                    .transpose()
                    .map_err(InvalidFact::unacceptable(TITLE))?,
                mailbox: mailbox()?,
            },
        })
    }
}

/// The kinds of [`Fact`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactKind {
    /// [`Fact::MailboxControl`]
    MailboxControl,
    /// [`Fact::DomainControl`]
    DomainControl,
    /// [`Fact::OrganizationIdentity`]
    OrganizationIdentity,
    /// [`Fact::Authority`]
    Authority,
    /// [`Fact::IndividualIdentity`]
    IndividualIdentity,
    /// [`Fact::Employment`]
    Employment,
}

impl FactKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::MailboxControl,
        Self::DomainControl,
        Self::OrganizationIdentity,
        Self::Authority,
        Self::IndividualIdentity,
        Self::Employment,
    ];

    /// The section of the BR that asks for this fact.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::MailboxControl => "3.2.2",
            Self::DomainControl => "3.2.2.1",
            Self::OrganizationIdentity => "3.2.3",
            Self::Authority => "3.2.6",
            Self::IndividualIdentity | Self::Employment => "3.2.4",
        }
    }

    /// The names of the texts a fact of this kind is written with.
    #[must_use]
    pub const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::MailboxControl => &[MAILBOX],
            Self::DomainControl => &[DOMAIN],
            Self::OrganizationIdentity => &[
                LEGAL_NAME,
                COUNTRY,
                STATE_OR_PROVINCE,
                LOCALITY,
                ORGANIZATION_IDENTIFIER,
            ],
            Self::Authority => &[ORGANIZATION_IDENTIFIER, REPRESENTATIVE],
            Self::IndividualIdentity => &[GIVEN_NAME, SURNAME, MAILBOX],
            Self::Employment => &[ORGANIZATION_IDENTIFIER, GIVEN_NAME, SURNAME, TITLE, MAILBOX],
        }
    }
}

impl AsRef<str> for FactKind {
    fn as_ref(&self) -> &str {
        match self {
            Self::MailboxControl => "mailbox-control",
            Self::DomainControl => "domain-control",
            Self::OrganizationIdentity => "organization-identity",
            Self::Authority => "authority",
            Self::IndividualIdentity => "individual-identity",
            Self::Employment => "employment",
        }
    }
}

impl fmt::Display for FactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

impl FromStr for FactKind {
    type Err = UnknownFactKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_ref() == text)
            .ok_or(UnknownFactKind)
    }
}

/// How evidence is obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// A random value mailed to the address came back. Section 3.2.2.2.
    MailboxByEmail,
    /// A random value mailed to an address such as postmaster@ of the domain came back. Section 3.2.2.1 with section
    /// 3.2.2.4.4 of the TLS Baseline Requirements.
    DomainConstructedEmail,
    /// An extract of a government register. Section 3.2.3.2.1, item 1.
    RegisterExtract,
    /// A fully corroborated record of the Global LEI Foundation. Section 3.2.3.2.1, item 2.
    LegalEntityIdentifierRecord,
    /// An attestation with copies of the founding documents. Section 3.2.3.2.1, item 4.
    OrganizationAttestation,
    /// A physical or digital identity document, compared with its holder. Section 3.2.4.1.
    IdentityDocument,
    /// Asking the organization back through a channel that it did not name itself. Section 3.2.6.
    ReliableMethodOfCommunication,
    /// The organization's attestation that the person works for it. Section 3.2.4.1.
    EmployerAttestation,
    /// The records of an organization whose domain and identity are validated, about its own people. Sections 1.3.2.1
    /// and 3.2.4.1.
    EnterpriseRegistrationAuthority,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 9] = [
        Self::MailboxByEmail,
        Self::DomainConstructedEmail,
        Self::RegisterExtract,
        Self::LegalEntityIdentifierRecord,
        Self::OrganizationAttestation,
        Self::IdentityDocument,
        Self::ReliableMethodOfCommunication,
        Self::EmployerAttestation,
        Self::EnterpriseRegistrationAuthority,
    ];

    /// The section of the BR that describes the method.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::MailboxByEmail => "3.2.2.2",
            Self::DomainConstructedEmail => "3.2.2.1",
            Self::RegisterExtract | Self::LegalEntityIdentifierRecord | Self::OrganizationAttestation => "3.2.3.2.1",
            Self::IdentityDocument | Self::EmployerAttestation => "3.2.4.1",
            Self::ReliableMethodOfCommunication => "3.2.6",
            Self::EnterpriseRegistrationAuthority => "1.3.2.1",
        }
    }

    /// Whether the method can prove a fact of this kind.
    #[must_use]
    pub const fn proves(self, kind: FactKind) -> bool {
        match self {
            Self::MailboxByEmail => matches!(kind, FactKind::MailboxControl),
            Self::DomainConstructedEmail => matches!(kind, FactKind::DomainControl),
            Self::RegisterExtract | Self::LegalEntityIdentifierRecord | Self::OrganizationAttestation => {
                matches!(kind, FactKind::OrganizationIdentity)
            }
            Self::IdentityDocument => matches!(kind, FactKind::IndividualIdentity),
            Self::ReliableMethodOfCommunication => matches!(kind, FactKind::Authority),
            Self::EmployerAttestation | Self::EnterpriseRegistrationAuthority => matches!(kind, FactKind::Employment),
        }
    }

    /// For how long after its collection such evidence may be used. See section 4.2.1.
    #[must_use]
    pub const fn reuse_limit(self) -> Span {
        match self {
            Self::MailboxByEmail => Span::days(30),
            Self::DomainConstructedEmail => Span::days(398),
            Self::RegisterExtract
            | Self::LegalEntityIdentifierRecord
            | Self::OrganizationAttestation
            | Self::IdentityDocument
            | Self::ReliableMethodOfCommunication
            | Self::EmployerAttestation
            | Self::EnterpriseRegistrationAuthority => Span::days(825),
        }
    }
}

impl AsRef<str> for Method {
    fn as_ref(&self) -> &str {
        match self {
            Self::MailboxByEmail => "mailbox-by-email",
            Self::DomainConstructedEmail => "domain-constructed-email",
            Self::RegisterExtract => "register-extract",
            Self::LegalEntityIdentifierRecord => "legal-entity-identifier-record",
            Self::OrganizationAttestation => "organization-attestation",
            Self::IdentityDocument => "identity-document",
            Self::ReliableMethodOfCommunication => "reliable-method-of-communication",
            Self::EmployerAttestation => "employer-attestation",
            Self::EnterpriseRegistrationAuthority => "enterprise-registration-authority",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|method| method.as_ref() == text)
            .ok_or(UnknownMethod)
    }
}

/// Why something is not evidence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidEvidence {
    /// The method proves other facts.
    #[error("the method {method} cannot prove {kind} (BR {})", kind.section())]
    MethodDoesNotProve {
        /// The method.
        method: Method,
        /// The fact.
        kind: FactKind,
    },
    /// It is not said who recorded or approved it.
    #[error("evidence needs the names of those who recorded and approved it")]
    Anonymous,
    /// It is not said which BR were followed.
    #[error("evidence needs the version of the BR that its method followed (BR 3.2.2)")]
    NoVersion,
}

/// Why named texts are not a fact.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidFact {
    /// A field is not there.
    #[error("{kind} needs the field {field}")]
    MissingField {
        /// The kind of fact.
        kind: FactKind,
        /// The field.
        field: &'static str,
    },
    /// A field does not belong to this kind.
    #[error("{kind} has no field {field:?}")]
    UnknownField {
        /// The kind of fact.
        kind: FactKind,
        /// The field.
        field: String,
    },
    /// A field's text is not acceptable.
    #[error("the field {field} is not acceptable: {problem}")]
    Unacceptable {
        /// The field.
        field: &'static str,
        /// What its type says.
        problem: String,
    },
}

impl InvalidFact {
    fn unacceptable<E: std::error::Error>(field: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Unacceptable {
            field,
            problem: match error.source() {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            },
        }
    }
}

/// Not the name of a [`FactKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "there is no such fact; choose mailbox-control, domain-control, organization-identity, authority, \
     individual-identity or employment"
)]
pub struct UnknownFactKind;

/// Not the name of a [`Method`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no such method of validation")]
pub struct UnknownMethod;

const MAILBOX: &str = "mailbox";
const DOMAIN: &str = "domain";
const LEGAL_NAME: &str = "legal_name";
const COUNTRY: &str = "country";
const STATE_OR_PROVINCE: &str = "state_or_province";
const LOCALITY: &str = "locality";
const ORGANIZATION_IDENTIFIER: &str = "organization_identifier";
const REPRESENTATIVE: &str = "representative";
const GIVEN_NAME: &str = "given_name";
const SURNAME: &str = "surname";
const TITLE: &str = "title";

/// Enough for a name and a function; it never stands in a certificate.
const REPRESENTATIVE_LIMIT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

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
}
