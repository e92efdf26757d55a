//! Rosters: an organization confirms its employees as Enterprise RA (BR 1.3.2.1, 3.2.4.1), many at once.
//!
//! A member hands in a CSV file. Every row is checked as a certificate would need it; with one row that is refused
//! nothing is taken. An officer who did not hand it in decides once about all of it (DESIGN invariant 6), and every
//! row becomes evidence of employment, or withdraws what was there, in the same transaction.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ca_api::{CaseState, Decision, RosterDecision, RosterReport, RosterRow, RowOutcome};
use migrations::{AnyConnection, AsText};
use policies::evidence::{Evidence, EvidenceId, EvidenceParts, Fact, FactKind, Method};
use policies::mailbox::Mailbox;
use policies::organization::OrganizationIdentifier;
use policies::tier::Tier;
use policies::time::{Span, Timestamp};
use sha2::{Digest, Sha256};

use crate::accounts::{AccountId, Caller, Officer, Role};
use crate::app::App;
use crate::audit::{self, Action};
use crate::certificates::visible_account;
use crate::error::Error;
use crate::input;
use crate::revocation::{self, Reason};
use crate::store;
use crate::store::rosters::EmployeeRow;
use crate::validation::{BR_VERSION, retry_waiting_orders};
use file::FileRow;

pub use file::LARGEST_ROSTER;

/// How a file is to be taken.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// Which organization, where an account has several.
    pub organization: Option<String>,
    /// The file does not list everybody: nobody is removed for being absent.
    pub partial: bool,
    /// Only report.
    pub dry_run: bool,
}

/// Checks a roster row by row, and hands it to the officers unless a row is refused, nothing is new or it is a dry run.
///
/// # Errors
/// [`Error::NotEnterpriseRa`] while the organization is not validated; the file is no roster; another one waits.
pub async fn import(
    app: &App,
    caller: &Caller,
    account: &AccountId,
    content: &[u8],
    import: Import,
) -> Result<RosterReport, Error> {
    let allowed = match (caller.role, &caller.account) {
        (Role::Operator, _) => true,
        (Role::Subscriber, Some(own)) => own == account,
        _ => false,
    };
    if !allowed {
        return Err(Error::NotAllowed {
            role: caller.role.to_string(),
            name: caller.name.clone(),
            action: "hand in rosters",
        });
    }
    let rows = file::read(content)?;
    let wanted = match &import.organization {
        None => None,
        Some(text) => Some(
            OrganizationIdentifier::parse(text).map_err(|error| Error::InvalidInput {
                field: "organization",
                reason: error.to_string(),
            })?,
        ),
    };
    let now = app.now();
    let id = app.new_id("ros");
    let file_sha256 = Sha256::digest(content).to_vec();
    let sealed = app
        .sealing
        .seal(&format!("roster {id}"), content)
        .map_err(Error::Sealing)?;
    let actor = caller.principal_id.to_string();
    let account = account.clone();
    app.db
        .write(move |conn| {
            if store::accounts::find_account(conn, account.as_ref())?.is_none() {
                return Err(Error::NotFound {
                    kind: "account",
                    id: account.to_string(),
                });
            }
            let evidence = store::evidence::of_account(conn, &account)?;
            let organization = organization(&evidence, wanted.as_ref(), now)?;
            let standing = Standing {
                evidence: &evidence,
                organization: &organization,
                now,
            };
            let mut report = standing.report(&rows, import.partial);
            for row in &mut report.rows {
                if row.outcome == RowOutcome::Remove {
                    row.certificates = employee_certificates(conn, &account, &row.mailbox, now)?;
                }
            }
            let asks = |row: &&RosterRow| row.outcome != RowOutcome::Unchanged;
            if import.dry_run || report.count(RowOutcome::Refused) > 0 || !report.rows.iter().any(|row| asks(&row)) {
                return Ok(report);
            }
            if store::rosters::count_open(conn, account.as_ref())? > 0 {
                return Err(Error::TooMany {
                    what: "rosters of this account that wait for a decision",
                    limit: 1,
                    advice: "wait until an officer has decided it",
                });
            }
            let mut employees = Vec::new();
            for (row, number) in report.rows.iter().filter(asks).zip(1..) {
                let fields = fields(row, &organization);
                employees.push(EmployeeRow {
                    roster_id: id.clone(),
                    number,
                    line: row.line.and_then(|line| i64::try_from(line).ok()),
                    outcome: AsText(row.outcome),
                    mailbox: row.mailbox.clone(),
                    subject: serde_json::json!(fields).to_string(),
                });
            }
            let roster = store::rosters::RosterRow {
                id: id.clone(),
                account_id: account.to_string(),
                organization_identifier: organization.to_string(),
                state: AsText(CaseState::Open),
                file_sha256: file_sha256.clone(),
                sealed: sealed.clone(),
                opened_by: actor.clone(),
                opened_at: now.unix(),
                decided_by: None,
                decided_at: None,
                reason: None,
            };
            store::rosters::insert(conn, &roster, &employees)?;
            let details = serde_json::json!({
                "roster": id,
                "account": account.as_ref(),
                "file_sha256": data_encoding::HEXLOWER.encode(&file_sha256),
                "rows": employees.len(),
            });
            audit::append(conn, now, &actor, Action::RosterOpened, &details)?;
            report.id = Some(id.clone());
            Ok(report)
        })
        .await
}

/// A roster with its rows, if the caller may see it.
pub async fn find(app: &App, caller: &Caller, id: &str) -> Result<ca_api::Roster, Error> {
    let account = visible_account(caller)?.cloned();
    let now = app.now();
    let id = id.to_owned();
    app.db
        .read(move |conn| {
            let row = store::rosters::find(conn, &id)?
                .filter(|row| account.as_ref().is_none_or(|own| own.as_ref() == row.account_id))
                .ok_or_else(|| not_found(&id))?;
            load(conn, row, now)
        })
        .await
}

/// The newest hundred rosters that the caller may see, without their rows.
pub async fn list(app: &App, caller: &Caller) -> Result<Vec<ca_api::Roster>, Error> {
    let account = visible_account(caller)?.map(AccountId::to_string);
    let rows = app
        .db
        .read(move |conn| Ok::<_, Error>(store::rosters::newest(conn, account.as_deref(), MOST_LISTED)?))
        .await?;
    rows.into_iter().map(|row| on_the_wire(row, Vec::new())).collect()
}

/// Decides a roster as a whole.
///
/// An approval makes every row evidence and withdraws the employment of those who are removed. Their certificates are
/// revoked only if the decision says so; otherwise the rows name them.
pub async fn decide(
    app: &Arc<App>,
    officer: Officer<'_>,
    id: &str,
    new: &RosterDecision,
) -> Result<ca_api::Roster, Error> {
    let reason = input::text("reason", &new.reason, REASON_LIMIT)?;
    if reason.is_empty() {
        return Err(Error::InvalidInput {
            field: "reason",
            reason: "it is empty".to_owned(),
        });
    }
    if new.revoke_removed && new.decision == Decision::Reject {
        return Err(Error::InvalidInput {
            field: "revoke_removed",
            reason: "a rejected roster removes nobody: leave it out".to_owned(),
        });
    }
    let now = app.now();
    let decision = new.decision;
    let officer = officer.caller();
    let actor = officer.principal_id.to_string();
    let id = id.to_owned();
    let roster = app
        .db
        .write(move |conn| {
            let row = store::rosters::find(conn, &id)?.ok_or_else(|| not_found(&id))?;
            if row.opened_by == actor {
                return Err(Error::OwnCase {
                    case: row.id,
                    officer: actor.clone(),
                });
            }
            let state = match decision {
                Decision::Approve => CaseState::Approved,
                Decision::Reject => CaseState::Rejected,
            };
            if !store::rosters::close(conn, &row.id, state, &actor, &reason, now.unix())? {
                return Err(Error::StateChanged {
                    kind: "roster",
                    id: row.id,
                    expected: "open",
                });
            }
            let (mut added, mut withdrawn) = (Vec::new(), Vec::new());
            if decision == Decision::Approve {
                (added, withdrawn) = apply(conn, &row, &actor, now)?;
            }
            let details = serde_json::json!({
                "roster": row.id,
                "account": row.account_id,
                "decision": decision.as_ref(),
                "reason": reason,
                "evidence": added,
                "withdrawn": withdrawn,
                "br_version": BR_VERSION,
            });
            audit::append(conn, now, &actor, Action::RosterDecided, &details)?;
            let row = store::rosters::find(conn, &id)?.ok_or_else(|| not_found(&id))?;
            load(conn, row, now)
        })
        .await?;
    if roster.state == CaseState::Approved {
        if new.revoke_removed {
            for serial in roster.rows.iter().flat_map(|row| &row.certificates) {
                revocation::revoke(app, officer, serial, Reason::AffiliationChanged).await?;
            }
        }
        retry_waiting_orders(app, &AccountId::from_stored(roster.account.clone())).await;
    }
    Ok(roster)
}

/// The evidence that the rows become, and the evidence that they end.
fn apply(
    conn: &mut AnyConnection,
    roster: &store::rosters::RosterRow,
    officer: &str,
    now: Timestamp,
) -> Result<(Vec<String>, Vec<String>), Error> {
    let account = AccountId::from_stored(roster.account_id.clone());
    let document = <[u8; 32]>::try_from(roster.file_sha256.as_slice()).map_err(|_| unreadable(&roster.id))?;
    let before = store::evidence::of_account(conn, &account)?;
    let (mut added, mut withdrawn) = (Vec::new(), Vec::new());
    for employee in store::rosters::employees(conn, &roster.id)? {
        let fact = stored_fact(&roster.id, &employee)?;
        // A changed title or name replaces what was proved before: the old one must not come back.
        for old in before.iter().filter(|old| same_employee(old.fact(), &fact)) {
            store::rosters::withdraw(conn, old.id().as_ref(), &roster.id, now.unix())?;
            withdrawn.push(old.id().to_string());
        }
        if employee.outcome.0 == RowOutcome::Remove {
            continue;
        }
        let id = format!("evi-{}-{}", roster.id, employee.number);
        let proof = Evidence::new(EvidenceParts {
            id: EvidenceId::new(id.clone()),
            fact,
            method: Method::EnterpriseRegistrationAuthority,
            br_version: BR_VERSION.to_owned(),
            collected_at: Timestamp::from_unix(roster.opened_at),
            recorded_by: roster.opened_by.clone(),
            approved_by: vec![officer.to_owned()],
            documents: vec![document],
        })?;
        store::evidence::insert(conn, &account, &proof, None, now)?;
        added.push(id);
    }
    Ok((added, withdrawn))
}

/// The one validated organization of an account, or the one that is asked for.
fn organization(
    evidence: &[Evidence],
    wanted: Option<&OrganizationIdentifier>,
    now: Timestamp,
) -> Result<OrganizationIdentifier, Error> {
    let authorized = |identifier: &OrganizationIdentifier| {
        evidence.iter().any(|proof| {
            let same = matches!(proof.fact(), Fact::Authority { organization_identifier, .. } if organization_identifier == identifier);
            same && proof.is_fresh(now) && proof.approvals_beside("") >= 1
        })
    };
    let mut found: Vec<&OrganizationIdentifier> = Vec::new();
    for proof in evidence {
        if let Fact::OrganizationIdentity(organization) = proof.fact()
            && proof.is_fresh(now)
            && proof.approvals_beside("") >= 2
            && authorized(organization.identifier())
            && wanted.is_none_or(|wanted| wanted == organization.identifier())
            && !found.contains(&organization.identifier())
        {
            found.push(organization.identifier());
        }
    }
    match found.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(Error::NotEnterpriseRa),
        _ => Err(Error::InvalidInput {
            field: "organization",
            reason: "the account has several organizations: name one by its identifier".to_owned(),
        }),
    }
}

/// What is proved when a file comes in.
struct Standing<'a> {
    evidence: &'a [Evidence],
    organization: &'a OrganizationIdentifier,
    now: Timestamp,
}

impl Standing<'_> {
    fn report(&self, rows: &[FileRow], partial: bool) -> RosterReport {
        let mut listed: BTreeSet<String> = BTreeSet::new();
        let mut report: Vec<RosterRow> = rows.iter().map(|row| self.row(row, &mut listed)).collect();
        if !partial {
            let mut removed = BTreeSet::new();
            for proof in self.evidence.iter().filter(|proof| proof.is_fresh(self.now)) {
                if let Fact::Employment {
                    organization_identifier,
                    person,
                    title,
                    mailbox,
                } = proof.fact()
                    && organization_identifier == self.organization
                    && !listed.contains(mailbox.as_ref())
                    && removed.insert(mailbox.as_ref().to_owned())
                {
                    report.push(RosterRow {
                        line: None,
                        outcome: RowOutcome::Remove,
                        mailbox: mailbox.to_string(),
                        given_name: person.given_name().map(str::to_owned),
                        surname: person.surname().map(str::to_owned),
                        title: title.as_ref().map(ToString::to_string),
                        problem: None,
                        certificates: Vec::new(),
                    });
                }
            }
        }
        RosterReport {
            id: None,
            organization_identifier: self.organization.to_string(),
            rows: report,
        }
    }

    fn row(&self, row: &FileRow, listed: &mut BTreeSet<String>) -> RosterRow {
        let text = |field: &str| row.fields.as_ref().ok().and_then(|fields| fields.get(field).cloned());
        let mut reported = RosterRow {
            line: Some(row.line),
            outcome: RowOutcome::Refused,
            mailbox: text("mailbox").unwrap_or_default(),
            given_name: text("given_name"),
            surname: text("surname"),
            title: text("title"),
            problem: None,
            certificates: Vec::new(),
        };
        match self.judge(row, listed) {
            Ok(outcome) => reported.outcome = outcome,
            Err(problem) => reported.problem = Some(problem),
        }
        reported
    }

    fn judge(&self, row: &FileRow, listed: &mut BTreeSet<String>) -> Result<RowOutcome, String> {
        let mut fields = row.fields.clone()?;
        fields.insert("organization_identifier".to_owned(), self.organization.to_string());
        // Before anything else, so that a row that is refused does not remove the employee.
        let mailbox = fields.get("mailbox").ok_or("it has no mailbox")?;
        let mailbox = Mailbox::parse(mailbox).map_err(|error| error.to_string())?;
        if !listed.insert(mailbox.as_ref().to_owned()) {
            return Err(format!("{mailbox} stands in an earlier row already"));
        }
        let fact = Fact::from_fields(FactKind::Employment, &fields).map_err(|error| error.to_string())?;
        let controlled = self.evidence.iter().any(|proof| {
            let covers = proof.controls(mailbox.domain());
            covers && proof.is_fresh(self.now)
        });
        if !controlled {
            return Err(format!(
                "the domain {} is not validated for this account (BR 1.3.2.1)",
                mailbox.domain()
            ));
        }
        let newest = self
            .evidence
            .iter()
            .filter(|proof| proof.is_fresh(self.now) && same_employee(proof.fact(), &fact))
            .max_by_key(|proof| proof.counts_until());
        Ok(match newest {
            None => RowOutcome::Add,
            Some(proof) if *proof.fact() != fact => RowOutcome::Change,
            Some(proof) if proof.counts_until() < self.now.plus(RENEW_BEFORE) => RowOutcome::Renew,
            Some(_) => RowOutcome::Unchanged,
        })
    }
}

/// Two employments of one mailbox at one organization.
fn same_employee(left: &Fact, right: &Fact) -> bool {
    match (left, right) {
        (
            Fact::Employment {
                organization_identifier: left_organization,
                mailbox: left_mailbox,
                ..
            },
            Fact::Employment {
                organization_identifier: right_organization,
                mailbox: right_mailbox,
                ..
            },
        ) => left_organization == right_organization && left_mailbox == right_mailbox,
        _ => false,
    }
}

/// The texts of the employment that a row states.
fn fields(row: &RosterRow, organization: &OrganizationIdentifier) -> BTreeMap<&'static str, String> {
    let mut fields = BTreeMap::from([
        ("organization_identifier", organization.to_string()),
        ("mailbox", row.mailbox.clone()),
    ]);
    for (name, value) in [
        ("given_name", &row.given_name),
        ("surname", &row.surname),
        ("title", &row.title),
    ] {
        if let Some(value) = value {
            fields.insert(name, value.clone());
        }
    }
    fields
}

fn stored_fact(roster: &str, employee: &EmployeeRow) -> Result<Fact, Error> {
    let fields: BTreeMap<String, String> = serde_json::from_str(&employee.subject).map_err(|_| unreadable(roster))?;
    Fact::from_fields(FactKind::Employment, &fields).map_err(|_| unreadable(roster))
}

fn load(conn: &mut AnyConnection, row: store::rosters::RosterRow, now: Timestamp) -> Result<ca_api::Roster, Error> {
    let account = AccountId::from_stored(row.account_id.clone());
    let mut rows = Vec::new();
    for employee in store::rosters::employees(conn, &row.id)? {
        let fields: BTreeMap<String, String> =
            serde_json::from_str(&employee.subject).map_err(|_| unreadable(&row.id))?;
        let certificates = match employee.outcome.0 {
            RowOutcome::Remove => employee_certificates(conn, &account, &employee.mailbox, now)?,
            _ => Vec::new(),
        };
        rows.push(RosterRow {
            line: employee.line.and_then(|line| u64::try_from(line).ok()),
            outcome: employee.outcome.0,
            mailbox: employee.mailbox,
            given_name: fields.get("given_name").cloned(),
            surname: fields.get("surname").cloned(),
            title: fields.get("title").cloned(),
            problem: None,
            certificates,
        });
    }
    on_the_wire(row, rows)
}

fn on_the_wire(row: store::rosters::RosterRow, rows: Vec<RosterRow>) -> Result<ca_api::Roster, Error> {
    let file_sha256 = <[u8; 32]>::try_from(row.file_sha256.as_slice()).map_err(|_| unreadable(&row.id))?;
    Ok(ca_api::Roster {
        id: row.id,
        account: row.account_id,
        organization_identifier: row.organization_identifier,
        state: row.state.0,
        file_sha256: ca_api::cases::Sha256(file_sha256),
        opened_by: row.opened_by,
        opened_at: Timestamp::from_unix(row.opened_at),
        decided_by: row.decided_by,
        decided_at: row.decided_at.map(Timestamp::from_unix),
        reason: row.reason,
        rows,
    })
}

/// The serials of the V4 certificates of a mailbox that are neither revoked nor expired.
fn employee_certificates(
    conn: &mut AnyConnection,
    account: &AccountId,
    mailbox: &str,
    now: Timestamp,
) -> Result<Vec<String>, Error> {
    let mailbox = Mailbox::parse(mailbox).map_err(|error| Error::InvalidInput {
        field: "mailbox",
        reason: error.to_string(),
    })?;
    Ok(store::certificates::held(
        conn,
        account.as_ref(),
        Tier::V4,
        mailbox.as_ref(),
        now.unix(),
    )?)
}

fn not_found(id: &str) -> Error {
    Error::NotFound {
        kind: "roster",
        id: id.to_owned(),
    }
}

fn unreadable(id: &str) -> Error {
    Error::Row {
        kind: "roster",
        id: id.to_owned(),
        reason: "it is not what was stored".to_owned(),
    }
}

/// A proof that ends sooner is renewed by the next roster.
const RENEW_BEFORE: Span = Span::days(90);
const REASON_LIMIT: usize = 4000;
const MOST_LISTED: i64 = 100;
