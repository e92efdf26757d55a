//! `GET /v1/directory/{mailbox}`: the certificates of one address, for those who want to encrypt to it.

use policies::mailbox::Mailbox;
use policies::tier::Tier;
use policies::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What the directory knows of one address; nothing about whose account it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DirectoryEntry {
    #[serde(with = "crate::text")]
    pub mailbox: Mailbox,
    /// Valid now and usable for encryption, the newest first; at most ten.
    pub certificates: Vec<DirectoryCertificate>,
}

/// A certificate to encrypt to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DirectoryCertificate {
    /// Lower-case hexadecimal.
    pub serial: String,
    #[serde(with = "crate::text")]
    pub tier: Tier,
    #[serde(with = "crate::text")]
    pub not_before: Timestamp,
    #[serde(with = "crate::text")]
    pub not_after: Timestamp,
    /// DER.
    #[serde(with = "crate::text::base64")]
    pub certificate: Vec<u8>,
}
