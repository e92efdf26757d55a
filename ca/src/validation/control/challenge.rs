//! The challenges of one account: begun, looked at, and turned into evidence.

use std::sync::Arc;

use ca_api::{DomainChallengeState, DomainMethod, NewDomainChallenge};
use migrations::{AnyConnection, AsText};
use policies::evidence::{Evidence, EvidenceId, EvidenceParts, Fact};
use policies::mailbox::Domain;
use policies::time::{Span, Timestamp};

use super::{Expected, FilePath, Label, NotShown, Observed, observe};
use crate::accounts::AccountId;
use crate::app::App;
use crate::audit::{self, Action};
use crate::error::{self, Error};
use crate::store;
use crate::store::domain_challenges::ChallengeRow;
use crate::validation::{BR_VERSION, retry_waiting_orders};

/// A challenge as its account sees it. The value is no secret: it is to be published.
#[derive(Clone, Debug)]
pub struct Challenge {
    pub id: String,
    pub domain: Domain,
    pub method: DomainMethod,
    pub state: DomainChallengeState,
    /// The name of the TXT record or the URL of the file.
    pub place: String,
    /// What the record or the file has to be.
    pub value: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// Why the last look did not find it.
    pub problem: Option<String>,
    pub evidence: Option<String>,
}

/// A new challenge; an earlier open one of the account for the same domain and method ends.
///
/// # Errors
/// The account has too many open challenges.
pub async fn begin(
    app: &App,
    account: &AccountId,
    requested_by: &str,
    new: NewDomainChallenge,
) -> Result<Challenge, Error> {
    let now = app.now();
    let row = ChallengeRow {
        id: app.new_id("dom"),
        account_id: account.to_string(),
        requested_by: requested_by.to_owned(),
        domain: new.domain.to_string(),
        method: AsText(new.method),
        // 160 bits; TLS BR 1.6.1 asks for 112.
        value: data_encoding::BASE64URL_NOPAD.encode(&app.random::<20>()),
        created_at: now.unix(),
        expires_at: now.plus(LIFETIME).unix(),
        looked_at: 0,
        state: AsText(DomainChallengeState::Open),
        problem: None,
        evidence_id: None,
    };
    let made = row.clone();
    app.db
        .write(move |conn| {
            store::domain_challenges::replace_open(conn, &row.account_id, &row.domain, row.method.0)?;
            let open = store::domain_challenges::count_open(conn, &row.account_id, now.unix())?;
            if open >= MOST_OPEN {
                return Err(Error::TooMany {
                    what: "open domain challenges of this account",
                    limit: usize::try_from(MOST_OPEN).unwrap_or(usize::MAX),
                    advice: "finish some, or wait until they end",
                });
            }
            store::domain_challenges::insert(conn, &row)?;
            let details = serde_json::json!({
                "challenge": row.id,
                "account": row.account_id,
                "domain": row.domain,
                "method": row.method.0.as_ref(),
                "br_version": BR_VERSION,
            });
            audit::append(conn, now, &row.requested_by, Action::DomainChallengeBegun, &details)
        })
        .await?;
    Challenge::from_row(made, now)
}

/// A challenge of the account.
pub async fn find(app: &App, account: &AccountId, id: &str) -> Result<Challenge, Error> {
    Challenge::from_row(row(app, account, id).await?, app.now())
}

/// The newest challenges of the account.
pub async fn list(app: &App, account: &AccountId) -> Result<Vec<Challenge>, Error> {
    let (account, now) = (account.to_string(), app.now());
    let rows = app
        .db
        .read(move |conn| Ok::<_, Error>(store::domain_challenges::newest(conn, &account, MOST_LISTED)?))
        .await?;
    rows.into_iter().map(|row| Challenge::from_row(row, now)).collect()
}

/// Looks now. The challenge that comes back is validated, or open with what was found instead.
///
/// # Errors
/// The challenge is over, or was looked at too often.
pub async fn check(app: &Arc<App>, account: &AccountId, id: &str) -> Result<Challenge, Error> {
    let row = row(app, account, id).await?;
    let now = app.now();
    if state(&row, now) != DomainChallengeState::Open {
        return Err(Error::StateChanged {
            kind: "domain challenge",
            id: row.id,
            expected: "open",
        });
    }
    // Counted before looking, so that many at once do not look more often.
    let (challenge, looked_at) = (row.id.clone(), row.looked_at);
    if looked_at >= MOST_LOOKS {
        return Err(Error::TooMany {
            what: "looks at this challenge",
            limit: usize::try_from(MOST_LOOKS).unwrap_or(usize::MAX),
            advice: "begin a new one, and ask for a look when the value is published",
        });
    }
    app.db
        .write(
            move |conn| match store::domain_challenges::count_look(conn, &challenge, looked_at)? {
                true => Ok(()),
                false => Err(changed(&challenge)),
            },
        )
        .await?;

    let domain = Domain::parse(&row.domain).map_err(|error| unreadable(&row, error.to_string()))?;
    let expected = match row.method.0 {
        DomainMethod::DnsChange => Expected::DnsChange {
            value: row.value.clone(),
        },
        DomainMethod::WebsiteChange => Expected::WebsiteChange {
            value: row.value.clone(),
        },
    };
    match observe(app, &domain, &expected).await {
        Ok(observed) => {
            succeed(app, row, observed).await?;
            retry_waiting_orders(app, account).await;
        }
        Err(problem) => fail(app, row, problem).await?,
    }
    find(app, account, id).await
}

async fn succeed(app: &App, row: ChallengeRow, observed: Observed) -> Result<(), Error> {
    let now = app.now();
    let evidence = evidence(app, &observed, &row.requested_by, now)?;
    app.db
        .write(move |conn| {
            let account = AccountId::from_stored(row.account_id.clone());
            keep(conn, &account, &evidence, &observed, now)?;
            if !store::domain_challenges::validate(conn, &row.id, evidence.id().as_ref())? {
                return Err(changed(&row.id));
            }
            let details = serde_json::json!({
                "challenge": row.id,
                "account": row.account_id,
                "evidence": evidence.id().as_ref(),
                "domain": row.domain,
                "method": observed.method().as_ref(),
                "section": observed.method().tls_section(),
                "br_version": BR_VERSION,
                "seen": observed.seen(),
                "corroboration": observed.corroboration().details(),
            });
            audit::append(conn, now, ACTOR, Action::DomainValidated, &details)
        })
        .await
}

/// Stores the evidence that an observation is, with what other networks saw.
pub(crate) fn keep(
    conn: &mut AnyConnection,
    account: &AccountId,
    evidence: &Evidence,
    observed: &Observed,
    now: Timestamp,
) -> Result<(), Error> {
    store::evidence::insert(conn, account, evidence, None, now)?;
    if let Some(report) = observed.corroboration().report() {
        report.store(conn)?;
        store::corroborations::link_evidence(conn, evidence.id().as_ref(), report.id())?;
    }
    Ok(())
}

/// The evidence that an observation is.
pub(crate) fn evidence(app: &App, observed: &Observed, requested_by: &str, now: Timestamp) -> Result<Evidence, Error> {
    Ok(Evidence::new(EvidenceParts {
        id: EvidenceId::new(app.new_id("evi")),
        fact: Fact::DomainControl(observed.domain().clone()),
        method: observed.method(),
        br_version: BR_VERSION.to_owned(),
        collected_at: now,
        recorded_by: requested_by.to_owned(),
        approved_by: Vec::new(),
        documents: Vec::new(),
    })?)
}

async fn fail(app: &App, row: ChallengeRow, problem: NotShown) -> Result<(), Error> {
    let now = app.now();
    let reason = error::chain(&problem);
    let report = problem.into_report();
    app.db
        .write(move |conn| {
            store::domain_challenges::note_problem(conn, &row.id, &reason)?;
            if let Some(report) = &report {
                report.store(conn)?;
            }
            let details = serde_json::json!({
                "challenge": row.id,
                "domain": row.domain,
                "reason": reason,
                "corroboration": report.as_ref().map(|report| report.details()),
            });
            audit::append(conn, now, ACTOR, Action::DomainNotValidated, &details)
        })
        .await
}

async fn row(app: &App, account: &AccountId, id: &str) -> Result<ChallengeRow, Error> {
    let (account, wanted) = (account.to_string(), id.to_owned());
    app.db
        .read(move |conn| Ok::<_, Error>(store::domain_challenges::find(conn, &account, &wanted)?))
        .await?
        .ok_or_else(|| Error::NotFound {
            kind: "domain challenge",
            id: id.to_owned(),
        })
}

impl Challenge {
    fn from_row(row: ChallengeRow, now: Timestamp) -> Result<Self, Error> {
        let state = state(&row, now);
        let domain = Domain::parse(&row.domain).map_err(|error| unreadable(&row, error.to_string()))?;
        let place = match row.method.0 {
            DomainMethod::DnsChange => Label::Sealwright.of(&domain),
            DomainMethod::WebsiteChange => FilePath::sealwright().of(&domain),
        };
        Ok(Self {
            id: row.id,
            domain,
            method: row.method.0,
            state,
            place,
            value: row.value,
            created_at: Timestamp::from_unix(row.created_at),
            expires_at: Timestamp::from_unix(row.expires_at),
            problem: row.problem,
            evidence: row.evidence_id,
        })
    }
}

/// Nobody has to come by for a challenge to expire.
fn state(row: &ChallengeRow, now: Timestamp) -> DomainChallengeState {
    match row.state.0 {
        DomainChallengeState::Open if now.unix() >= row.expires_at => DomainChallengeState::Expired,
        state => state,
    }
}

fn unreadable(row: &ChallengeRow, reason: String) -> Error {
    Error::Row {
        kind: "domain challenge",
        id: row.id.clone(),
        reason,
    }
}

fn changed(id: &str) -> Error {
    Error::StateChanged {
        kind: "domain challenge",
        id: id.to_owned(),
        expected: "open",
    }
}

/// TLS BR 3.2.2.4.7 and 3.2.2.4.18: a random value is used for 30 days at most.
const LIFETIME: Span = Span::days(30);
/// An organization has some dozens of domains.
const MOST_OPEN: i64 = 200;
/// Each makes us ask and connect.
const MOST_LOOKS: i64 = 50;
const MOST_LISTED: i64 = 500;
/// Who is named in the audit log for what was seen.
pub(crate) const ACTOR: &str = "domain-validation";
