//! The facts that certificates state, and how they are written as named texts.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::mailbox::{Domain, Mailbox};
use crate::organization::{Country, Organization, OrganizationIdentifier};
use crate::person::{Person, Title};

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
