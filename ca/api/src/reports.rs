//! `/v1/reports`: certificate problem reports (BR 4.9.3). Anybody may file one, without a token.

use policies::time::Timestamp;
use serde::{Deserialize, Serialize};

/// `POST /v1/reports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewProblemReport {
    /// Of the certificate, in hexadecimal.
    pub serial: String,
    /// Such as `key-compromise` or `misuse`; the refusal of another text lists them.
    pub cause: String,
    /// What was seen, and where.
    pub text: String,
    /// Where the preliminary report is mailed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
}

/// What whoever filed a report is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiledProblemReport {
    pub id: String,
    /// By when there is a preliminary report.
    #[serde(with = "crate::text")]
    pub answer_due: Timestamp,
}

/// What officers and operators see, `GET /v1/reports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemReport {
    pub id: String,
    pub serial: String,
    pub cause: String,
    /// The number of the cause in BR 4.9.1.1.
    pub cause_number: usize,
    /// `received`, `answered` or `closed`.
    pub state: String,
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<String>,
    #[serde(with = "crate::text")]
    pub received_at: Timestamp,
    #[serde(with = "crate::text")]
    pub answer_due: Timestamp,
    /// What has to be done next, and by when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<DueStep>,
}

/// A step of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueStep {
    pub step: String,
    #[serde(with = "crate::text")]
    pub due: Timestamp,
    pub overdue: bool,
}

/// The answer to `GET /v1/reports`: what is due first comes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemReportList {
    pub reports: Vec<ProblemReport>,
}

/// `POST /v1/reports/{id}/answer`: the preliminary report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProblemAnswer {
    /// The cause that counts from here on.
    pub cause: String,
    pub findings: String,
}

/// `POST /v1/reports/{id}/closing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProblemClosing {
    /// Revokes the certificate; otherwise no cause was confirmed.
    pub revoke: bool,
}
