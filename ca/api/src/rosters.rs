//! `/v1/rosters`: the employees of an organization, handed in as one CSV file and decided once (BR 1.3.2.1).

use policies::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cases::{CaseState, Decision, Sha256};
use crate::text::words;

words! {
    /// What a row of a roster means.
    pub enum RowOutcome {
        /// Nobody was validated under this mailbox.
        Add = "add",
        /// Name or title differ from what was validated.
        Change = "change",
        /// As validated before, but the proof ends soon.
        Renew = "renew",
        /// As validated before: nothing to do.
        Unchanged = "unchanged",
        /// Validated before and not in the file.
        Remove = "remove",
        /// Not usable; the row says why.
        Refused = "refused",
    }
}

/// One row of a roster, or one employee whom it no longer lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterRow {
    /// In the file, beginning with 1 for the headings; absent for removals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    pub outcome: RowOutcome,
    /// As written, for rows that are refused.
    pub mailbox: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Why the row is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// For removals: the V4 certificates that ought to be revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
}

/// The answer to `POST /v1/rosters` (CSV), row by row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterReport {
    /// The roster that now waits for an officer; absent after a dry run, when a row is refused, and when nothing is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub organization_identifier: String,
    pub rows: Vec<RosterRow>,
}

impl RosterReport {
    pub fn count(&self, outcome: RowOutcome) -> usize {
        self.rows.iter().filter(|row| row.outcome == outcome).count()
    }
}

/// `GET /v1/rosters/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    pub id: String,
    pub account: String,
    pub organization_identifier: String,
    pub state: CaseState,
    pub file_sha256: Sha256,
    /// Who handed it in, and who may therefore not decide.
    pub opened_by: String,
    #[serde(with = "crate::text")]
    pub opened_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Absent in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RosterRow>,
}

/// `POST /v1/rosters/{id}/decision`, by an officer who did not hand it in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterDecision {
    pub decision: Decision,
    /// 1 to 4000 characters; it goes into the audit log.
    pub reason: String,
    /// With an approval: revoke the V4 certificates of those who are removed, for the reason affiliationChanged.
    #[serde(default)]
    pub revoke_removed: bool,
}
