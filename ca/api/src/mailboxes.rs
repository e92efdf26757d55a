//! `/v1/mailboxes/{mailbox}`: what the evidence of the caller's account allows for one address.

use policies::mailbox::Mailbox;
use policies::tier::Tier;
use policies::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailboxStanding {
    #[serde(with = "crate::text")]
    pub mailbox: Mailbox,
    /// The highest tier that could be issued now.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub best_tier: Option<Tier>,
    /// What the account has that may count for this mailbox, fresh or not.
    pub evidence: Vec<EvidenceSummary>,
}

/// One proof, without what it rests on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EvidenceSummary {
    pub id: String,
    /// Such as `mailbox-control`.
    pub fact: String,
    /// The mailbox, domain or registration that it is about.
    pub subject: String,
    pub method: String,
    /// The section of the S/MIME BR that describes the method.
    pub section: String,
    #[serde(with = "crate::text")]
    pub collected_at: Timestamp,
    /// The last second at which it may be used (BR 4.2.1).
    #[serde(with = "crate::text")]
    pub counts_until: Timestamp,
}
