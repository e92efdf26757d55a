//! Evidence: a dated, attributable proof of one fact, and how long it counts.
//!
//! A certificate states only what evidence proves. Each piece knows the method by which it was obtained, and the
//! method decides for how long it may be used again (section 4.2.1).

use std::fmt;

use thiserror::Error;

use crate::mailbox::Domain;
use crate::time::{Span, Timestamp};

pub use fact::{Fact, FactKind, InvalidFact, UnknownFactKind};
pub use method::{Method, UnknownMethod};

mod fact;
mod method;
#[cfg(test)]
mod tests;

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

    /// Whether it proves control of a domain that addresses at `domain` are in.
    #[must_use]
    pub fn controls(&self, domain: &Domain) -> bool {
        match &self.fact {
            Fact::DomainControl(proved) if self.method.covers_subdomains() => domain.is_same_or_subdomain_of(proved),
            Fact::DomainControl(proved) => domain == proved,
            _ => false,
        }
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
