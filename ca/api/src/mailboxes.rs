//! `/v1/mailboxes/{mailbox}`: what the evidence of the caller's account allows for one address.

use policies::mailbox::Mailbox;
use policies::tier::Tier;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailboxStanding {
    #[serde(with = "crate::text")]
    pub mailbox: Mailbox,
    /// The highest tier that could be issued now.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub best_tier: Option<Tier>,
    /// V1 to V4.
    pub tiers: Vec<TierStanding>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TierStanding {
    #[serde(with = "crate::text")]
    pub tier: Tier,
    pub allowed: bool,
    /// What is missing or stale, one sentence each with its BR section; empty when allowed.
    pub missing: Vec<String>,
}
