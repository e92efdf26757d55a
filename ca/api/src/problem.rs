//! Why a request was not done (RFC 9457).

use serde::{Deserialize, Serialize};

/// `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A stable name to test for, such as `urn:sealwright:problem:not-found`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// One sentence: what happened and what to do.
    #[serde(default)]
    pub detail: String,
    /// The section of the S/MIME BR (or of the named document) that asks for this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// The lint that refused a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lint: Option<String>,
    /// What to quote to the operator, whose log has the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// The prefix of every `type`.
    pub const PREFIX: &'static str = "urn:sealwright:problem:";
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// The last part of `type`, such as `not-found`.
    pub fn name(&self) -> &str {
        self.kind.strip_prefix(Self::PREFIX).unwrap_or(&self.kind)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = if self.detail.is_empty() {
            &self.title
        } else {
            &self.detail
        };
        f.write_str(text)?;
        if let Some(section) = &self.section {
            write!(f, " (section {section})")?;
        }
        Ok(())
    }
}
