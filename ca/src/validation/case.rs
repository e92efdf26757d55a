//! Cases: identities that officers validate (BR 3.2.3, 3.2.4, 3.2.6).
//!
//! An account opens a case and hands in documents; officers record what they found out, and decide. An officer never
//! decides a case that they opened; an organization's identity takes two officers, everything else one (DESIGN
//! invariant 6). The last approval, its audit entry and the evidence that follows from it are one transaction.
//!
//! What an officer approved must not change afterwards: from the first decision on, nothing is added to a case.

mod document;

use std::collections::BTreeMap;
use std::sync::Arc;

use ca_api::{CaseKind, CaseState, Decision, NewDecision, NewEvidence, Subject};
use migrations::{AnyConnection, AsText};
use policies::evidence::{Evidence, EvidenceId, EvidenceParts, Fact, FactKind, Method};
use policies::time::Timestamp;
use sha2::{Digest, Sha256};

use crate::accounts::{AccountId, Caller, Member, Officer, Role};
use crate::app::App;
use crate::audit::{self, Action};
use crate::error::Error;
use crate::input;
use crate::store;
use crate::store::cases::{CaseEvidenceRow, CaseRow, DecisionRow};
use crate::validation::{BR_VERSION, retry_waiting_orders};

pub(crate) use document::unsealed;
pub use document::{Document, LARGEST_DOCUMENT, MEDIA_TYPES, add_document, read_document};

/// A case with everything that was added to it.
#[derive(Debug, Clone)]
pub struct Case {
    pub id: String,
    pub account: AccountId,
    pub kind: CaseKind,
    pub fact: Fact,
    pub state: CaseState,
    pub opened_by: String,
    pub opened_at: Timestamp,
    pub updated_at: Timestamp,
    pub documents: Vec<Document>,
    pub evidence: Vec<Finding>,
    pub decisions: Vec<Verdict>,
}

/// What an officer found out, and how.
#[derive(Debug, Clone)]
pub struct Finding {
    pub id: String,
    pub method: Method,
    pub documents: Vec<[u8; 32]>,
    pub note: String,
    pub recorded_by: String,
    pub collected_at: Timestamp,
}

/// What an officer decided.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub officer: String,
    pub decision: Decision,
    pub reason: String,
    pub decided_at: Timestamp,
}

/// A case in a list.
#[derive(Debug, Clone)]
pub struct Summary {
    pub id: String,
    pub account: AccountId,
    pub kind: CaseKind,
    pub state: CaseState,
    pub opened_at: Timestamp,
    pub updated_at: Timestamp,
}

/// How many different officers must approve a case (DESIGN invariant 6).
pub fn approvals_needed(kind: CaseKind) -> usize {
    match kind {
        CaseKind::OrganizationIdentity => 2,
        CaseKind::Authority | CaseKind::IndividualIdentity | CaseKind::Employment => 1,
    }
}

/// Opens a case for the caller's account.
pub async fn open(app: &App, member: Member<'_>, subject: &Subject) -> Result<Case, Error> {
    let fact = fact_of(subject)?;
    let now = app.now();
    let row = CaseRow {
        id: app.new_id("cas"),
        account_id: member.account().to_string(),
        kind: AsText(subject.kind()),
        subject: serde_json::json!(fact.fields()).to_string(),
        state: AsText(CaseState::Open),
        opened_by: member.caller().principal_id.to_string(),
        opened_at: now.unix(),
        updated_at: now.unix(),
    };
    app.db
        .write(move |conn| {
            refuse_more_than(
                store::cases::count_open(conn, &row.account_id)?,
                MOST_OPEN_CASES,
                "open cases of this account",
                "wait until some are decided",
            )?;
            store::cases::insert(conn, &row)?;
            let details = serde_json::json!({
                "case": row.id,
                "account": row.account_id,
                "kind": row.kind.0.as_ref(),
                "subject_sha256": hexadecimal(&Sha256::digest(row.subject.as_bytes())),
            });
            audit::append(conn, now, &row.opened_by, Action::CaseOpened, &details)?;
            assemble(conn, row.clone())
        })
        .await
}

/// A case, if the caller may see it: members those of their account, operators and officers all.
pub async fn find(app: &App, caller: &Caller, id: &str) -> Result<Case, Error> {
    let visible = Visible::to(caller)?;
    let id = id.to_owned();
    app.db
        .read(move |conn| {
            let row = visible.row(conn, &id)?;
            assemble(conn, row)
        })
        .await
}

/// Up to a hundred cases that the caller may see, after the one with the identifier `after`.
pub async fn list(app: &App, caller: &Caller, after: Option<String>) -> Result<Vec<Summary>, Error> {
    let visible = Visible::to(caller)?;
    let rows = app
        .db
        .read(move |conn| Ok::<_, Error>(store::cases::page(conn, visible.account(), after.as_deref(), PAGE)?))
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Summary {
            id: row.id,
            account: AccountId::from_stored(row.account_id),
            kind: row.kind.0,
            state: row.state.0,
            opened_at: Timestamp::from_unix(row.opened_at),
            updated_at: Timestamp::from_unix(row.updated_at),
        })
        .collect())
}

/// Records what an officer found out. It becomes evidence once the case is approved.
pub async fn record_evidence(app: &App, officer: Officer<'_>, case: &str, new: &NewEvidence) -> Result<Case, Error> {
    let now = app.now();
    let method: Method = new.method.parse().map_err(|_| Error::InvalidInput {
        field: "method",
        reason: format!(
            "{:?} is not a method of validation",
            new.method.chars().take(60).collect::<String>()
        ),
    })?;
    let collected_at = new.collected_at.unwrap_or(now);
    if collected_at > now {
        return Err(Error::InvalidInput {
            field: "collected_at",
            reason: "it is in the future".to_owned(),
        });
    }
    let note = input::text("note", &new.note, TEXT_LIMIT)?;
    let documents: Vec<[u8; 32]> = new.documents.iter().map(|sha256| sha256.0).collect();
    if documents.len() > MOST_DOCUMENTS {
        return Err(Error::InvalidInput {
            field: "documents",
            reason: format!("they are more than {MOST_DOCUMENTS}"),
        });
    }
    let recorded_by = officer.caller().principal_id.to_string();
    let id = app.new_id("fnd");
    let case = case.to_owned();
    app.db
        .write(move |conn| {
            let row = Visible::Everything.row(conn, &case)?;
            refuse_if_decided(conn, &row)?;
            let known = store::cases::documents(conn, &row.id)?;
            if let Some(unknown) = documents
                .iter()
                .find(|wanted| !known.iter().any(|document| document.sha256 == **wanted))
            {
                return Err(Error::InvalidInput {
                    field: "documents",
                    reason: format!("{} is not a document of this case", hexadecimal(unknown)),
                });
            }
            if documents.is_empty() && note.is_empty() {
                return Err(Error::InvalidInput {
                    field: "note",
                    reason: "without documents it has to say what was found out (BR 5.4.1)".to_owned(),
                });
            }
            if store::cases::evidence(conn, &row.id)?.len() >= MOST_FINDINGS {
                return Err(Error::TooMany {
                    what: "pieces of evidence in this case",
                    limit: MOST_FINDINGS,
                    advice: "decide it",
                });
            }
            let hashes: Vec<String> = documents.iter().map(|sha256| hexadecimal(sha256)).collect();
            let finding = CaseEvidenceRow {
                id: id.clone(),
                case_id: row.id.clone(),
                account_id: row.account_id.clone(),
                method: AsText(method),
                documents: serde_json::json!(hashes).to_string(),
                note: note.clone(),
                recorded_by: recorded_by.clone(),
                collected_at: collected_at.unix(),
            };
            // Whether the method proves the fact is found out now, not at the decision.
            evidence_from(&row, Finding::from_row(finding.clone())?, Vec::new(), "unapproved")?;
            store::cases::insert_evidence(conn, &finding)?;
            store::cases::touch(conn, &row.id, now.unix())?;
            let details = serde_json::json!({
                "case": row.id,
                "finding": finding.id,
                "method": method.as_ref(),
                "collected_at": collected_at.to_string(),
                "documents": hashes,
                "note": note,
                "br_version": BR_VERSION,
            });
            audit::append(conn, now, &recorded_by, Action::EvidenceRecorded, &details)?;
            assemble(conn, row)
        })
        .await
}

/// Decides a case: one rejection ends it, enough approvals turn what was found into evidence.
pub async fn decide(app: &Arc<App>, officer: Officer<'_>, case: &str, new: &NewDecision) -> Result<Case, Error> {
    let now = app.now();
    let reason = input::text("reason", &new.reason, TEXT_LIMIT)?;
    if reason.is_empty() {
        return Err(Error::InvalidInput {
            field: "reason",
            reason: "it is empty".to_owned(),
        });
    }
    let decision = new.decision;
    let officer = officer.caller().principal_id.to_string();
    let id = app.new_id("dec");
    let evidence_ids: Vec<String> = (0..MOST_FINDINGS).map(|_| app.new_id("evi")).collect();
    let case = case.to_owned();
    let case = app
        .db
        .write(move |conn| {
            let row = Visible::Everything.row(conn, &case)?;
            refuse_if_closed(&row)?;
            if row.opened_by == officer {
                return Err(Error::OwnCase {
                    case: row.id,
                    officer: officer.clone(),
                });
            }
            let earlier = store::cases::decisions(conn, &row.id)?;
            if earlier.iter().any(|decision| decision.principal_id == officer) {
                return Err(Error::DecidedAlready {
                    case: row.id,
                    officer: officer.clone(),
                });
            }
            let findings = store::cases::evidence(conn, &row.id)?;
            if decision == Decision::Approve && findings.is_empty() {
                return Err(Error::NothingToApprove { case: row.id });
            }
            // The unique key over case and officer holds even if another node decides at this moment.
            store::cases::insert_decision(
                conn,
                &DecisionRow {
                    id: id.clone(),
                    case_id: row.id.clone(),
                    principal_id: officer.clone(),
                    decision: AsText(decision),
                    reason: reason.clone(),
                    decided_at: now.unix(),
                },
            )?;
            let mut approved_by: Vec<String> = earlier
                .into_iter()
                .filter(|earlier| earlier.decision.0 == Decision::Approve)
                .map(|earlier| earlier.principal_id)
                .collect();
            let (state, evidence) = match decision {
                Decision::Reject => (CaseState::Rejected, Vec::new()),
                Decision::Approve => {
                    approved_by.push(officer.clone());
                    if approved_by.len() < approvals_needed(row.kind.0) {
                        (CaseState::Open, Vec::new())
                    } else {
                        let mut ids = Vec::new();
                        for (finding, evidence_id) in findings.into_iter().zip(&evidence_ids) {
                            let finding = Finding::from_row(finding)?;
                            let evidence = evidence_from(&row, finding, approved_by.clone(), evidence_id)?;
                            let account = AccountId::from_stored(row.account_id.clone());
                            store::evidence::insert(conn, &account, &evidence, Some(&row.id), now)?;
                            ids.push(evidence_id);
                        }
                        (CaseState::Approved, ids)
                    }
                }
            };
            if !store::cases::close(conn, &row.id, state, now.unix())? {
                return Err(Error::StateChanged {
                    kind: "case",
                    id: row.id,
                    expected: "open",
                });
            }
            let details = serde_json::json!({
                "case": row.id,
                "account": row.account_id,
                "decision": decision.as_ref(),
                "reason": reason,
                "state": state.as_ref(),
                "evidence": evidence,
                "br_version": BR_VERSION,
            });
            audit::append(conn, now, &officer, Action::CaseDecided, &details)?;
            let row = Visible::Everything.row(conn, &case)?;
            assemble(conn, row)
        })
        .await?;
    if case.state == CaseState::Approved {
        retry_waiting_orders(app, &case.account).await;
    }
    Ok(case)
}

/// Which cases exist for a caller.
#[derive(Debug, Clone)]
enum Visible {
    Everything,
    Of(AccountId),
}

impl Visible {
    fn to(caller: &Caller) -> Result<Self, Error> {
        match caller.role {
            Role::Operator | Role::Officer => Ok(Self::Everything),
            Role::Subscriber | Role::Gateway => Ok(Self::Of(
                caller.as_member("see cases without an account")?.account().clone(),
            )),
        }
    }

    fn account(&self) -> Option<&str> {
        match self {
            Self::Everything => None,
            Self::Of(account) => Some(account.as_ref()),
        }
    }

    /// Somebody else's case does not exist for this caller.
    fn row(&self, conn: &mut AnyConnection, id: &str) -> Result<CaseRow, Error> {
        store::cases::find(conn, id)?
            .filter(|row| self.account().is_none_or(|account| row.account_id == account))
            .ok_or_else(|| Error::NotFound {
                kind: "case",
                id: id.to_owned(),
            })
    }
}

fn refuse_if_closed(row: &CaseRow) -> Result<(), Error> {
    match row.state.0 {
        CaseState::Open => Ok(()),
        CaseState::Approved | CaseState::Rejected => Err(Error::StateChanged {
            kind: "case",
            id: row.id.clone(),
            expected: "open",
        }),
    }
}

fn refuse_if_decided(conn: &mut AnyConnection, row: &CaseRow) -> Result<(), Error> {
    refuse_if_closed(row)?;
    if store::cases::decisions(conn, &row.id)?.is_empty() {
        return Ok(());
    }
    Err(Error::StateChanged {
        kind: "case",
        id: row.id.clone(),
        expected: "undecided",
    })
}

fn refuse_more_than(count: i64, limit: usize, what: &'static str, advice: &'static str) -> Result<(), Error> {
    match usize::try_from(count) {
        Ok(count) if count < limit => Ok(()),
        _ => Err(Error::TooMany { what, limit, advice }),
    }
}

/// The evidence that an approved finding is.
fn evidence_from(row: &CaseRow, finding: Finding, approved_by: Vec<String>, id: &str) -> Result<Evidence, Error> {
    Ok(Evidence::new(EvidenceParts {
        id: EvidenceId::new(id),
        fact: stored_fact(row)?,
        method: finding.method,
        br_version: BR_VERSION.to_owned(),
        collected_at: finding.collected_at,
        recorded_by: finding.recorded_by,
        approved_by,
        documents: finding.documents,
    })?)
}

/// The fact in the words of the applicant, checked as a certificate would need it.
fn fact_of(subject: &Subject) -> Result<Fact, Error> {
    Fact::from_fields(fact_kind(subject.kind()), &subject.fields()).map_err(|error| Error::InvalidInput {
        field: "subject",
        reason: error.to_string(),
    })
}

fn stored_fact(row: &CaseRow) -> Result<Fact, Error> {
    let unreadable = |reason: String| Error::Row {
        kind: "case",
        id: row.id.clone(),
        reason,
    };
    let fields: BTreeMap<String, String> =
        serde_json::from_str(&row.subject).map_err(|error| unreadable(error.to_string()))?;
    Fact::from_fields(fact_kind(row.kind.0), &fields).map_err(|error| unreadable(error.to_string()))
}

fn fact_kind(kind: CaseKind) -> FactKind {
    match kind {
        CaseKind::OrganizationIdentity => FactKind::OrganizationIdentity,
        CaseKind::Authority => FactKind::Authority,
        CaseKind::IndividualIdentity => FactKind::IndividualIdentity,
        CaseKind::Employment => FactKind::Employment,
    }
}

fn assemble(conn: &mut AnyConnection, row: CaseRow) -> Result<Case, Error> {
    let documents = store::cases::documents(conn, &row.id)?
        .into_iter()
        .map(Document::from_row);
    let documents = documents.collect::<Result<_, _>>()?;
    let evidence = store::cases::evidence(conn, &row.id)?
        .into_iter()
        .map(Finding::from_row);
    let evidence = evidence.collect::<Result<_, _>>()?;
    let decisions = store::cases::decisions(conn, &row.id)?
        .into_iter()
        .map(Verdict::from_row)
        .collect();
    Ok(Case {
        fact: stored_fact(&row)?,
        id: row.id,
        account: AccountId::from_stored(row.account_id),
        kind: row.kind.0,
        state: row.state.0,
        opened_by: row.opened_by,
        opened_at: Timestamp::from_unix(row.opened_at),
        updated_at: Timestamp::from_unix(row.updated_at),
        documents,
        evidence,
        decisions,
    })
}

impl Finding {
    fn from_row(row: CaseEvidenceRow) -> Result<Self, Error> {
        let unreadable = |reason: String| Error::Row {
            kind: "finding",
            id: row.id.clone(),
            reason,
        };
        let texts: Vec<ca_api::cases::Sha256> =
            serde_json::from_str(&row.documents).map_err(|error| unreadable(error.to_string()))?;
        Ok(Self {
            documents: texts.into_iter().map(|sha256| sha256.0).collect(),
            id: row.id,
            method: row.method.0,
            note: row.note,
            recorded_by: row.recorded_by,
            collected_at: Timestamp::from_unix(row.collected_at),
        })
    }
}

impl Verdict {
    fn from_row(row: DecisionRow) -> Self {
        Self {
            officer: row.principal_id,
            decision: row.decision.0,
            reason: row.reason,
            decided_at: Timestamp::from_unix(row.decided_at),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

const MOST_DOCUMENTS: usize = 20;
const MOST_FINDINGS: usize = 20;
/// An organization that validates its people by cases opens one for each: officers see what waits.
const MOST_OPEN_CASES: usize = 500;
const TEXT_LIMIT: usize = 4000;
/// How many cases [`list`] returns at most.
pub const PAGE_LENGTH: usize = 100;
const PAGE: i64 = 100;

#[cfg(test)]
mod tests;
