//! `/v1/cases`: identities that officers validate (BR 3.2.3, 3.2.4, 3.2.6).

use std::collections::BTreeMap;

use policies::mailbox::Mailbox;
use policies::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::text::words;
pub use crate::text::{InvalidSha256, Sha256};

words! {
    /// Which fact a case is about.
    pub enum CaseKind {
        OrganizationIdentity = "organization-identity",
        Authority = "authority",
        IndividualIdentity = "individual-identity",
        Employment = "employment",
    }
}

/// `POST /v1/cases`: `{"kind": …, "subject": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCase {
    #[serde(flatten)]
    pub subject: Subject,
}

/// The fact to be proved, in the words of the applicant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "subject", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Subject {
    OrganizationIdentity(OrganizationIdentity),
    Authority(Authority),
    IndividualIdentity(IndividualIdentity),
    Employment(Employment),
}

impl Subject {
    pub fn kind(&self) -> CaseKind {
        match self {
            Self::OrganizationIdentity(_) => CaseKind::OrganizationIdentity,
            Self::Authority(_) => CaseKind::Authority,
            Self::IndividualIdentity(_) => CaseKind::IndividualIdentity,
            Self::Employment(_) => CaseKind::Employment,
        }
    }

    /// The other way round; fails if a text is missing, unknown, or a mailbox that is none.
    pub fn from_fields<K: AsRef<str>>(kind: CaseKind, fields: &BTreeMap<K, String>) -> Result<Self, serde_json::Error> {
        let fields: BTreeMap<&str, &str> = fields
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_str()))
            .collect();
        serde_json::from_value(serde_json::json!({"kind": kind, "subject": fields}))
    }

    /// The texts by their names on the wire.
    pub fn fields(&self) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        let mut add = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value.to_owned());
            }
        };
        match self {
            Self::OrganizationIdentity(organization) => {
                add("legal_name", Some(&organization.legal_name));
                add("country", Some(&organization.country));
                add("state_or_province", organization.state_or_province.as_deref());
                add("locality", organization.locality.as_deref());
                add("organization_identifier", Some(&organization.organization_identifier));
            }
            Self::Authority(authority) => {
                add("organization_identifier", Some(&authority.organization_identifier));
                add("representative", Some(&authority.representative));
            }
            Self::IndividualIdentity(individual) => {
                add("given_name", individual.given_name.as_deref());
                add("surname", individual.surname.as_deref());
                // As it was written; its `AsRef` is a key for comparisons.
                let mailbox = individual.mailbox.to_string();
                add("mailbox", Some(&mailbox));
            }
            Self::Employment(employment) => {
                add("organization_identifier", Some(&employment.organization_identifier));
                add("given_name", employment.given_name.as_deref());
                add("surname", employment.surname.as_deref());
                add("title", employment.title.as_deref());
                // As it was written; its `AsRef` is a key for comparisons.
                let mailbox = employment.mailbox.to_string();
                add("mailbox", Some(&mailbox));
            }
        }
        fields
    }
}

/// BR 3.2.3: an organization exists under this name and registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganizationIdentity {
    pub legal_name: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_or_province: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locality: Option<String>,
    /// As BR 7.1.4.2.2.d writes it, such as `NTRDE-DER3306.HRB12345` or `LEIXG-…`.
    pub organization_identifier: String,
}

/// BR 3.2.6: a person may act for the organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    pub organization_identifier: String,
    pub representative: String,
}

/// BR 3.2.4: the user of a mailbox is this person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndividualIdentity {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surname: Option<String>,
    #[serde(with = "crate::text")]
    pub mailbox: Mailbox,
}

/// BR 3.2.4: the user of a mailbox is this person and works for the organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Employment {
    pub organization_identifier: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(with = "crate::text")]
    pub mailbox: Mailbox,
}

words! {
    /// How far a case has come. Only `open` can still change.
    pub enum CaseState {
        Open = "open",
        Approved = "approved",
        Rejected = "rejected",
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Case {
    pub id: String,
    pub account: String,
    #[serde(flatten)]
    pub subject: Subject,
    pub state: CaseState,
    /// The principal who asked, and who may therefore not decide.
    pub opened_by: String,
    #[serde(with = "crate::text")]
    pub opened_at: Timestamp,
    #[serde(with = "crate::text")]
    pub updated_at: Timestamp,
    /// How many different officers must approve.
    pub approvals_needed: usize,
    pub documents: Vec<Document>,
    pub evidence: Vec<RecordedEvidence>,
    pub decisions: Vec<RecordedDecision>,
}

/// `GET /v1/cases`: newest first, without their contents.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseList {
    pub cases: Vec<CaseSummary>,
    /// Hand it back as `?cursor=` for the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseSummary {
    pub id: String,
    pub account: String,
    pub kind: CaseKind,
    pub state: CaseState,
    #[serde(with = "crate::text")]
    pub opened_at: Timestamp,
    #[serde(with = "crate::text")]
    pub updated_at: Timestamp,
}

/// A document of a case. Its content is sealed at rest; officers read it at
/// `GET /v1/cases/{case}/documents/{document}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub id: String,
    pub name: String,
    pub media_type: String,
    pub sha256: Sha256,
    pub added_by: String,
    #[serde(with = "crate::text")]
    pub added_at: Timestamp,
}

/// `POST /v1/cases/{id}/evidence`, by an officer: what was found out, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEvidence {
    /// Such as `register-extract`; it must be able to prove the fact of the case.
    pub method: String,
    /// When it was found out; now, if absent. The reuse periods of BR 4.2.1 count from here.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub collected_at: Option<Timestamp>,
    /// Documents of the case that show it.
    #[serde(default)]
    pub documents: Vec<Sha256>,
    /// Up to 4000 characters.
    #[serde(default)]
    pub note: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedEvidence {
    pub id: String,
    pub method: String,
    #[serde(with = "crate::text")]
    pub collected_at: Timestamp,
    pub recorded_by: String,
    pub documents: Vec<Sha256>,
    pub note: String,
}

words! {
    pub enum Decision {
        Approve = "approve",
        Reject = "reject",
    }
}

/// `POST /v1/cases/{id}/decisions`, by an officer who did not open the case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDecision {
    pub decision: Decision,
    /// 1 to 4000 characters; it goes into the audit log.
    pub reason: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedDecision {
    pub officer: String,
    pub decision: Decision,
    pub reason: String,
    #[serde(with = "crate::text")]
    pub decided_at: Timestamp,
}
