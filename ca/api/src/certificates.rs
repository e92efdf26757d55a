//! `/v1/certificates`: what was issued, and its revocation.

use policies::key_use::KeyUse;
use policies::mailbox::Mailbox;
use policies::tier::{Generation, Tier};
use policies::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::text::words;

words! {
    /// What a certificate is worth now.
    pub enum CertificateState {
        /// Recorded, and perhaps being signed.
        Recorded = "recorded",
        Valid = "valid",
        Expired = "expired",
        Revoked = "revoked",
        /// Recorded, and never handed out.
        Abandoned = "abandoned",
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Certificate {
    /// Lower-case hexadecimal.
    pub serial: String,
    pub issuer: String,
    pub account: String,
    pub state: CertificateState,
    #[serde(with = "crate::text")]
    pub mailbox: Mailbox,
    #[serde(with = "crate::text")]
    pub tier: Tier,
    #[serde(with = "crate::text")]
    pub generation: Generation,
    /// What its key is for.
    #[serde(rename = "use", default = "crate::orders::for_both", with = "crate::text")]
    pub key_use: KeyUse,
    /// The subject distinguished name, RFC 4514.
    pub subject: String,
    #[serde(with = "crate::text")]
    pub not_before: Timestamp,
    #[serde(with = "crate::text")]
    pub not_after: Timestamp,
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_reason: Option<String>,
    /// The certificate and its issuer, as PEM; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_pem: Option<String>,
}

/// `GET /v1/certificates?mailbox=&state=&tier=&use=&account=&cursor=`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFilter {
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<Mailbox>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<CertificateState>,
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    #[serde(
        rename = "use",
        default,
        with = "crate::text::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub key_use: Option<KeyUse>,
    /// For callers who see more than one account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CertificatePage {
    pub certificates: Vec<Certificate>,
    /// Hand it back as `?cursor=` for the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `POST /v1/certificates/{serial}/revocation`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// A CRLReason of BR 7.2.2, such as `keyCompromise` or `superseded`.
    pub reason: String,
}
