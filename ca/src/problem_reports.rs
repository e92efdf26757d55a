//! Certificate problem reports and the clocks that run from their receipt (BR 4.9.1.1, 4.9.3 and 4.9.5).
//!
//! Anybody may report a certificate, at any time. Within 24 hours its subscriber and the reporter are told what was found
//! (the preliminary report); if a cause for revocation is confirmed, the certificate is revoked within 24 hours or five
//! days, counted from the receipt. What is due is shown by `sealwright ca report list`, by the doctor, by `/metrics`, and
//! said in the log every hour until it is done.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use policies::mailbox::Mailbox;
use policies::time::{Span, Timestamp};

use crate::accounts::{Caller, Role};
use crate::app::App;
use crate::audit::{self, Action};
use crate::error::{self, Error};
use crate::input;
use crate::mail::{Notice, escape_html};
use crate::revocation::{self, Reason};
use crate::store;
use crate::store::problem_reports::ReportRow;

/// Why a certificate has to be revoked, numbered as in BR 4.9.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    SubscriberRequest,
    RequestNotAuthorized,
    KeyCompromise,
    KeyComputable,
    ControlUnreliable,
    KeyNoncompliant,
    Misuse,
    ObligationViolated,
    AddressNotPermitted,
    InformationChanged,
    IssuedAgainstRequirements,
    InformationInaccurate,
    RightToIssueEnded,
    PracticeStatement,
    KeyGenerationFlawed,
}

impl Cause {
    pub const ALL: [Self; 15] = [
        Self::SubscriberRequest,
        Self::RequestNotAuthorized,
        Self::KeyCompromise,
        Self::KeyComputable,
        Self::ControlUnreliable,
        Self::KeyNoncompliant,
        Self::Misuse,
        Self::ObligationViolated,
        Self::AddressNotPermitted,
        Self::InformationChanged,
        Self::IssuedAgainstRequirements,
        Self::InformationInaccurate,
        Self::RightToIssueEnded,
        Self::PracticeStatement,
        Self::KeyGenerationFlawed,
    ];

    /// The number in BR 4.9.1.1.
    pub fn number(self) -> usize {
        // `ALL` has every variant, in the order of their numbers.
        Self::ALL
            .iter()
            .position(|cause| *cause == self)
            .map_or(0, |index| index + 1)
    }

    /// How long after the receipt of a report the certificate has to be revoked: 24 hours for 1 to 5, five days for the
    /// rest, of which the BR ask for 24 hours as well where possible.
    pub fn time_to_revoke(self) -> Span {
        match self.number() {
            1..=5 => Span::hours(24),
            _ => Span::days(5),
        }
    }

    /// What the revocation list tells of it (RFC 5280 section 5.3.1).
    pub fn reason(self) -> Reason {
        match self {
            Self::SubscriberRequest => Reason::CessationOfOperation,
            Self::KeyCompromise | Self::KeyComputable | Self::KeyGenerationFlawed => Reason::KeyCompromise,
            Self::InformationChanged => Reason::AffiliationChanged,
            Self::KeyNoncompliant | Self::IssuedAgainstRequirements => Reason::Superseded,
            Self::RequestNotAuthorized
            | Self::ControlUnreliable
            | Self::Misuse
            | Self::ObligationViolated
            | Self::AddressNotPermitted
            | Self::InformationInaccurate => Reason::PrivilegeWithdrawn,
            Self::RightToIssueEnded | Self::PracticeStatement => Reason::Unspecified,
        }
    }

    /// For the form.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::SubscriberRequest => "The certificate is mine and shall be revoked",
            Self::RequestNotAuthorized => "Nobody was authorized to ask for the certificate",
            Self::KeyCompromise => "Somebody else has the private key",
            Self::KeyComputable => "The private key can be computed from the public one",
            Self::ControlUnreliable => "The address belonged to somebody else when the certificate was issued",
            Self::KeyNoncompliant => "The key does not comply with the requirements",
            Self::Misuse => "The certificate is misused",
            Self::ObligationViolated => "The subscriber violates the subscriber agreement",
            Self::AddressNotPermitted => "The address may no longer be used by the subscriber",
            Self::InformationChanged => "What the certificate says has changed",
            Self::IssuedAgainstRequirements => "The certificate was issued against the requirements",
            Self::InformationInaccurate => "What the certificate says is wrong",
            Self::RightToIssueEnded => "The authority may no longer issue certificates",
            Self::PracticeStatement => "The certification practice statement demands it",
            Self::KeyGenerationFlawed => "The way in which the key was generated is flawed",
        }
    }
}

impl AsRef<str> for Cause {
    fn as_ref(&self) -> &str {
        match self {
            Self::SubscriberRequest => "subscriber-request",
            Self::RequestNotAuthorized => "request-not-authorized",
            Self::KeyCompromise => "key-compromise",
            Self::KeyComputable => "key-computable",
            Self::ControlUnreliable => "control-unreliable",
            Self::KeyNoncompliant => "key-noncompliant",
            Self::Misuse => "misuse",
            Self::ObligationViolated => "obligation-violated",
            Self::AddressNotPermitted => "address-not-permitted",
            Self::InformationChanged => "information-changed",
            Self::IssuedAgainstRequirements => "issued-against-requirements",
            Self::InformationInaccurate => "information-inaccurate",
            Self::RightToIssueEnded => "right-to-issue-ended",
            Self::PracticeStatement => "practice-statement",
            Self::KeyGenerationFlawed => "key-generation-flawed",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_ref())
    }
}

impl FromStr for Cause {
    type Err = UnknownCause;

    fn from_str(text: &str) -> Result<Self, UnknownCause> {
        Self::ALL
            .into_iter()
            .find(|cause| cause.as_ref() == text)
            .ok_or(UnknownCause)
    }
}

/// The text is not one of [`Cause::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a cause for revocation (BR 4.9.1.1): use subscriber-request, request-not-authorized, key-compromise, \
     key-computable, control-unreliable, key-noncompliant, misuse, obligation-violated, address-not-permitted, \
     information-changed, issued-against-requirements, information-inaccurate, right-to-issue-ended, practice-statement \
     or key-generation-flawed"
)]
pub struct UnknownCause;

/// How far a report came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has answered yet.
    Received,
    /// The preliminary report was given; what becomes of the certificate is open, or it is still to be revoked.
    Answered,
    /// No cause was confirmed, or the certificate is revoked.
    Closed,
}

impl AsRef<str> for State {
    fn as_ref(&self) -> &str {
        match self {
            Self::Received => "received",
            Self::Answered => "answered",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_ref())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Received, Self::Answered, Self::Closed]
            .into_iter()
            .find(|state| state.as_ref() == text)
            .ok_or_else(|| format!("{text:?} is not a state of a report"))
    }
}

/// What somebody sends.
#[derive(Clone, Debug)]
pub struct NewReport {
    /// In hexadecimal, of one of our certificates; upper case and colons do not matter.
    pub serial: String,
    pub cause: Cause,
    /// What makes them think so.
    pub text: String,
    /// Where the preliminary report goes.
    pub contact: Option<String>,
}

/// A report with its clocks.
#[derive(Clone, Debug)]
pub struct Report {
    pub id: String,
    pub serial: String,
    pub received_at: Timestamp,
    pub cause: Cause,
    pub text: String,
    pub contact: Option<String>,
    /// How it came: form or command.
    pub source: String,
    pub state: State,
    pub findings: Option<String>,
    /// The preliminary report was or is due then.
    pub answer_due: Timestamp,
    pub answered_at: Option<Timestamp>,
    /// If the cause is confirmed or open, the certificate is revoked by then. `None` once it is, or nothing has to be.
    pub revocation_due: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
}

impl Report {
    fn from_row(row: ReportRow) -> Result<Self, Error> {
        let unreadable = |reason: String| Error::Row {
            kind: "problem report",
            id: row.id.clone(),
            reason,
        };
        let cause: Cause = row
            .cause
            .parse()
            .map_err(|error: UnknownCause| unreadable(error.to_string()))?;
        let state: State = row.state.parse().map_err(unreadable)?;
        let received_at = Timestamp::from_unix(row.received_at);
        Ok(Self {
            answer_due: received_at.plus(TIME_TO_ANSWER),
            revocation_due: (state != State::Closed).then(|| received_at.plus(cause.time_to_revoke())),
            id: row.id,
            serial: row.serial,
            received_at,
            cause,
            text: row.text,
            contact: row.contact,
            source: row.source,
            state,
            findings: row.findings,
            answered_at: row.answered_at.map(Timestamp::from_unix),
            closed_at: row.closed_at.map(Timestamp::from_unix),
        })
    }

    /// What has to be done next, and by when.
    pub fn next(&self) -> Option<(&'static str, Timestamp)> {
        match (self.state, self.revocation_due) {
            (State::Received, _) => Some(("preliminary report", self.answer_due)),
            (_, Some(due)) => Some(("revocation or decision", due)),
            (_, None) => None,
        }
    }
}

/// Takes a report; the clocks run from now.
///
/// # Errors
/// The certificate is not one of ours, a text is not usable, or there are more open reports than anybody could read.
pub async fn submit(app: &App, report: NewReport, source: &'static str) -> Result<Report, Error> {
    let serial: String = report
        .serial
        .chars()
        .filter(|character| !matches!(character, ':' | ' '))
        .map(|character| character.to_ascii_lowercase())
        .collect();
    let text = input::text("text", &report.text.replace("\r\n", "\n"), LONGEST_TEXT)?;
    if text.is_empty() {
        return Err(Error::InvalidInput {
            field: "text",
            reason: "it is empty: say what you have seen, and where".to_owned(),
        });
    }
    let contact = match report.contact.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(contact) => Some(Mailbox::parse(contact).map_err(|error| Error::InvalidInput {
            field: "contact",
            reason: error.to_string(),
        })?),
    };
    let now = app.now();
    let row = ReportRow {
        id: app.new_id("rep"),
        issuer_id: app.issuers.issuing.id.clone(),
        serial,
        received_at: now.unix(),
        cause: report.cause.as_ref().to_owned(),
        text,
        contact: contact.map(|contact| contact.to_string()),
        source: source.to_owned(),
        state: State::Received.as_ref().to_owned(),
        findings: None,
        answered_by: None,
        answered_at: None,
        closed_at: None,
    };
    let row = app
        .db
        .write(move |conn| {
            if store::certificates::find_by_serial(conn, &row.issuer_id, &row.serial)?.is_none() {
                return Err(Error::InvalidInput {
                    field: "serial",
                    reason: "no certificate of this authority has it: copy it from the certificate, in hexadecimal"
                        .to_owned(),
                });
            }
            let (of_certificate, all) = store::problem_reports::count_open(conn, &row.issuer_id, &row.serial)?;
            if source != BY_COMMAND && (of_certificate >= MOST_OPEN_OF_ONE || all >= MOST_OPEN) {
                return Err(Error::TooMany {
                    what: "open reports",
                    limit: usize::try_from(MOST_OPEN).unwrap_or(usize::MAX),
                    advice: "write to the authority's address in its certification practice statement",
                });
            }
            store::problem_reports::insert(conn, &row)?;
            let details = serde_json::json!({
                "report": row.id,
                "serial": row.serial,
                "cause": row.cause,
                "source": row.source,
                "section": "4.9.3",
            });
            audit::append(conn, now, ACTOR, Action::ProblemReported, &details)?;
            Ok(row.clone())
        })
        .await?;
    tracing::warn!(report = row.id, cause = row.cause, "a certificate problem was reported");
    Report::from_row(row)
}

/// Gives the preliminary report: what was found, and which cause counts. It goes to the subscriber, and to the reporter if
/// there is a contact.
///
/// # Errors
/// The caller is neither officer nor operator, or it was answered already.
pub async fn answer(app: &Arc<App>, caller: &Caller, id: &str, cause: Cause, findings: &str) -> Result<Report, Error> {
    may_work(caller)?;
    let findings = input::text("findings", findings, LONGEST_TEXT)?;
    if findings.is_empty() {
        return Err(Error::InvalidInput {
            field: "findings",
            reason: "it is empty: the subscriber and the reporter are told what was found".to_owned(),
        });
    }
    let now = app.now();
    let (id, by) = (id.to_owned(), caller.principal_id.to_string());
    let (row, mailbox) = app
        .db
        .write(move |conn| {
            if !store::problem_reports::answer(conn, &id, cause.as_ref(), &findings, &by, now.unix())? {
                return Err(refused(store::problem_reports::find(conn, &id)?, &id, "received"));
            }
            let row = store::problem_reports::find(conn, &id)?.ok_or_else(|| not_found(&id))?;
            let details = serde_json::json!({
                "report": row.id,
                "serial": row.serial,
                "cause": row.cause,
                "late": now.unix() > row.received_at + TIME_TO_ANSWER.as_seconds(),
                "section": "4.9.5",
            });
            audit::append(conn, now, &by, Action::ProblemAnswered, &details)?;
            let certificate = store::certificates::find_by_serial(conn, &row.issuer_id, &row.serial)?;
            Ok::<_, Error>((row, certificate.map(|certificate| certificate.mailbox)))
        })
        .await?;
    let report = Report::from_row(row)?;
    for to in [mailbox, report.contact.clone()].into_iter().flatten() {
        tell(app, &to, &report).await;
    }
    Ok(report)
}

/// Ends a report. With [`Outcome::Revoke`] the certificate is revoked with the reason that its cause has.
///
/// # Errors
/// As [`answer`], or it was not answered yet, or what [`revocation::revoke`] says.
pub async fn close(app: &Arc<App>, caller: &Caller, id: &str, outcome: Outcome) -> Result<Report, Error> {
    may_work(caller)?;
    let report = find(app, caller, id).await?;
    if report.state != State::Answered {
        return Err(Error::StateChanged {
            kind: "problem report",
            id: id.to_owned(),
            expected: "answered",
        });
    }
    if outcome == Outcome::Revoke {
        match revocation::revoke(app, caller, &report.serial, report.cause.reason()).await {
            Ok(_) => {}
            // It has expired: nothing is left to be revoked.
            Err(Error::StateChanged {
                kind: "certificate", ..
            }) => {}
            Err(error) => return Err(error),
        }
    }
    let now = app.now();
    let (id, by) = (id.to_owned(), caller.principal_id.to_string());
    let row = app
        .db
        .write(move |conn| {
            if !store::problem_reports::close(conn, &id, now.unix())? {
                return Err(refused(store::problem_reports::find(conn, &id)?, &id, "answered"));
            }
            let row = store::problem_reports::find(conn, &id)?.ok_or_else(|| not_found(&id))?;
            let details = serde_json::json!({
                "report": row.id,
                "serial": row.serial,
                "cause": row.cause,
                "outcome": outcome.as_ref(),
                "section": "4.9.1.1",
            });
            audit::append(conn, now, &by, Action::ProblemClosed, &details)?;
            Ok::<_, Error>(row)
        })
        .await?;
    Report::from_row(row)
}

/// What came of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Revoke,
    /// No cause was confirmed.
    Keep,
}

impl AsRef<str> for Outcome {
    fn as_ref(&self) -> &str {
        match self {
            Self::Revoke => "revoked",
            Self::Keep => "kept",
        }
    }
}

pub async fn find(app: &App, caller: &Caller, id: &str) -> Result<Report, Error> {
    may_work(caller)?;
    let id = id.to_owned();
    let row = app
        .db
        .read(move |conn| store::problem_reports::find(conn, &id)?.ok_or_else(|| not_found(&id)))
        .await?;
    Report::from_row(row)
}

/// Reports in the order in which something is due, the open ones first; closed ones only if they are asked for.
pub async fn list(app: &App, caller: &Caller, closed_too: bool) -> Result<Vec<Report>, Error> {
    may_work(caller)?;
    let rows = app
        .db
        .read(move |conn| Ok::<_, Error>(store::problem_reports::list(conn, closed_too, MOST_LISTED)?))
        .await?;
    let mut reports = rows
        .into_iter()
        .map(Report::from_row)
        .collect::<Result<Vec<_>, Error>>()?;
    reports.sort_by_key(|report| {
        (
            report.next().is_none(),
            report.next().map(|(_, due)| due),
            report.id.clone(),
        )
    });
    Ok(reports)
}

/// How many clocks run, and how many have run out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    pub running: usize,
    /// Within a quarter of the time there is.
    pub soon: usize,
    pub overdue: usize,
}

/// For the doctor, the metrics and the log.
pub async fn clocks(app: &App) -> Result<Clocks, Error> {
    let now = app.now();
    let rows = app
        .db
        .read(|conn| Ok::<_, Error>(store::problem_reports::list(conn, false, MOST_OPEN * 2)?))
        .await?;
    let mut clocks = Clocks::default();
    for row in rows {
        let report = Report::from_row(row)?;
        let Some((_, due)) = report.next() else { continue };
        clocks.running += 1;
        let whole = due.since(report.received_at).as_seconds();
        if due <= now {
            clocks.overdue += 1;
        } else if due.since(now).as_seconds() * 4 <= whole {
            clocks.soon += 1;
        }
    }
    Ok(clocks)
}

/// Says in the log what is due; [`crate::jobs`] calls it every hour.
pub(crate) async fn alarm(app: &App) -> Result<(), Error> {
    let clocks = clocks(app).await?;
    if clocks.overdue > 0 {
        tracing::error!(
            overdue = clocks.overdue,
            "deadlines of problem reports have passed (BR 4.9.1.1, 4.9.5): see `sealwright ca report list`"
        );
    } else if clocks.soon > 0 {
        tracing::warn!(
            soon = clocks.soon,
            "deadlines of problem reports are near (BR 4.9.1.1, 4.9.5): see `sealwright ca report list`"
        );
    }
    Ok(())
}

/// A mail that cannot be sent does not undo the answer; it is in the log, and an officer finds another way.
async fn tell(app: &App, to: &str, report: &Report) {
    let outcome = match Mailbox::parse(to) {
        Err(error) => Err(Error::InvalidInput {
            field: "contact",
            reason: error.to_string(),
        }),
        Ok(to) => {
            let findings = report.findings.as_deref().unwrap_or_default();
            let begin = format!(
                "the certificate with the serial number {} was reported to {} on {}. This is what was found so far:",
                report.serial, app.config.name, report.received_at
            );
            let text = format!("Hello,\n\n{begin}\n\n{findings}\n\nReport {}\n", report.id);
            let html = format!(
                "<p>Hello,</p>\n<p>{}</p>\n<pre>{}</pre>\n<p>Report {}</p>\n",
                escape_html(&begin),
                escape_html(findings),
                escape_html(&report.id)
            );
            let subject = format!("Preliminary report on certificate {}", report.serial);
            app.mail
                .send(Notice {
                    to,
                    subject,
                    text,
                    html,
                })
                .await
        }
    };
    if let Err(error) = outcome {
        let error = error::chain(&error);
        tracing::error!(report = report.id, error, "a preliminary report could not be mailed");
    }
}

fn may_work(caller: &Caller) -> Result<(), Error> {
    match caller.role {
        Role::Officer | Role::Operator => Ok(()),
        Role::Subscriber | Role::Gateway => Err(Error::NotAllowed {
            role: caller.role.to_string(),
            name: caller.name.clone(),
            action: "work on problem reports",
        }),
    }
}

fn refused(row: Option<ReportRow>, id: &str, expected: &'static str) -> Error {
    match row {
        None => not_found(id),
        Some(_) => Error::StateChanged {
            kind: "problem report",
            id: id.to_owned(),
            expected,
        },
    }
}

fn not_found(id: &str) -> Error {
    Error::NotFound {
        kind: "problem report",
        id: id.to_owned(),
    }
}

/// BR 4.9.5.
const TIME_TO_ANSWER: Span = Span::hours(24);
/// A report that came by another way and was entered on this machine.
pub const BY_COMMAND: &str = "command";
/// In characters.
const LONGEST_TEXT: usize = 8000;
/// More than an authority of this size gets in a year; beyond it somebody floods the form.
const MOST_OPEN: i64 = 1000;
const MOST_OPEN_OF_ONE: i64 = 10;
const MOST_LISTED: i64 = 5000;
/// Who is named in the audit log for what comes from the public.
const ACTOR: &str = "public";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_numbered_and_timed_as_the_requirements_do() {
        for (index, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause.number(), index + 1);
            assert_eq!(cause.as_ref().parse(), Ok(cause));
        }
        assert_eq!(Cause::KeyCompromise.number(), 3);
        assert_eq!(Cause::Misuse.number(), 7);
        assert_eq!(Cause::KeyGenerationFlawed.number(), 15);
        assert_eq!(Cause::ControlUnreliable.time_to_revoke(), Span::hours(24));
        assert_eq!(Cause::KeyNoncompliant.time_to_revoke(), Span::days(5));
        assert!("keyCompromise".parse::<Cause>().is_err());
    }
}
