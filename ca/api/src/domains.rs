//! `/v1/domains`: proofs of control over a domain, shown in the domain itself (BR 3.2.2.1).

use policies::mailbox::Domain;
use policies::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::text::words;

words! {
    /// How control of a domain is shown without mail.
    pub enum DomainMethod {
        /// A TXT record below the domain (TLS BR 3.2.2.4.7). It counts for all names below the domain.
        DnsChange = "dns-change",
        /// A file of the website at the domain (TLS BR 3.2.2.4.18). It counts for this very name only.
        WebsiteChange = "website-change",
    }
}

words! {
    /// How far a challenge has come. Only `open` can still change.
    pub enum DomainChallengeState {
        Open = "open",
        /// The value was found: there is evidence now.
        Validated = "validated",
        /// 30 days went by.
        Expired = "expired",
        /// A later challenge for the same domain and method took its place.
        Replaced = "replaced",
    }
}

/// `POST /v1/domains`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDomainChallenge {
    #[serde(with = "crate::text")]
    pub domain: Domain,
    pub method: DomainMethod,
}

/// Publish `value` at `place`, then `POST /v1/domains/{id}/check`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainChallenge {
    pub id: String,
    #[serde(with = "crate::text")]
    pub domain: Domain,
    pub method: DomainMethod,
    pub state: DomainChallengeState,
    /// The name of a TXT record, or the URL of a file.
    pub place: String,
    /// What the record or the file has to be, and nothing else.
    pub value: String,
    #[serde(with = "crate::text")]
    pub created_at: Timestamp,
    #[serde(with = "crate::text")]
    pub expires_at: Timestamp,
    /// What the last check found instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The evidence, once it is validated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// The newest 500.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainChallengeList {
    pub challenges: Vec<DomainChallenge>,
}
