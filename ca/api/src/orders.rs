//! `/v1/orders`: requests for one certificate.

use policies::key_use::KeyUse;
use policies::mailbox::Mailbox;
use policies::tier::{Generation, Tier};
use policies::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::text::words;

/// `POST /v1/orders`. Send an `Idempotency-Key` so that a repeated call finds the first order again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    #[serde(with = "crate::text")]
    pub mailbox: Mailbox,
    #[serde(with = "crate::text")]
    pub tier: TierWish,
    #[serde(with = "crate::text")]
    pub generation: Generation,
    /// What the key is for: `sign`, `encrypt` or, when left out, `both`.
    #[serde(
        rename = "use",
        default = "for_both",
        with = "crate::text",
        skip_serializing_if = "is_for_both"
    )]
    pub key_use: KeyUse,
    /// PKCS#10 in DER; only its public key is used, and its signature proves possession (BR 3.2.1).
    #[serde(with = "crate::text::base64")]
    pub certificate_request: Vec<u8>,
}

pub(crate) fn for_both() -> KeyUse {
    KeyUse::Both
}

/// What is the default is not sent: an authority that knows no uses takes the order then.
fn is_for_both(key_use: &KeyUse) -> bool {
    *key_use == KeyUse::Both
}

/// `V1` to `V4`, or `best`: the highest that the evidence carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TierWish {
    Best,
    Exactly(Tier),
}

impl std::fmt::Display for TierWish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Best => f.write_str("best"),
            Self::Exactly(tier) => f.write_str(tier.as_ref()),
        }
    }
}

impl std::str::FromStr for TierWish {
    type Err = crate::text::UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.parse()) {
            ("best", _) => Ok(Self::Best),
            (_, Ok(tier)) => Ok(Self::Exactly(tier)),
            (_, Err(_)) => Err(crate::text::UnknownWord::new(text, &["V1", "V2", "V3", "V4", "best"])),
        }
    }
}

words! {
    /// How far an order has come.
    pub enum OrderState {
        /// Being issued: ask again.
        Pending = "pending",
        /// There is a certificate.
        Valid = "valid",
        /// There will be none; `problem` says why.
        Invalid = "invalid",
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    pub id: String,
    pub state: OrderState,
    #[serde(with = "crate::text")]
    pub mailbox: Mailbox,
    /// What was ordered until the certificate is there, then the tier it has.
    #[serde(with = "crate::text")]
    pub tier: TierWish,
    #[serde(with = "crate::text")]
    pub generation: Generation,
    #[serde(rename = "use", default = "for_both", with = "crate::text")]
    pub key_use: KeyUse,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_serial: Option<String>,
    /// The certificate and its issuer, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_pem: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    #[serde(with = "crate::text")]
    pub created_at: Timestamp,
    #[serde(with = "crate::text")]
    pub updated_at: Timestamp,
}
