//! Authorization of a domain ahead of any order (RFC 8555 section 7.4.1), by `http-01` (section 8.3) or `dns-01` (section
//! 8.4).
//!
//! What comes of it is evidence like that of [`control`], seen from as many networks as have to see it. Orders for
//! addresses of the domain then find control proved, and need no challenge mail (S/MIME BR 3.2.2.1); an account whose
//! organization is validated gets V3 and V4 certificates for all its mailboxes so. Certificates for the domain itself are
//! not issued.

use std::fmt;
use std::sync::Arc;

use policies::mailbox::Domain;
use policies::time::{Span, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::account::Account;
use super::problem::{ErrorType, Outcome, Problem, Refusal};
use super::request::ByAccount;
use super::resource::Resource;
use crate::app::App;
use crate::audit::{self, Action};
use crate::error::{self, Error};
use crate::store;
use crate::store::acme_authorizations::AuthorizationState;
use crate::store::acme_domain_authorizations::DomainAuthorizationRow;
use crate::validation::control::{self, Expected, FilePath, NotShown};
use crate::validation::{BR_VERSION, retry_waiting_orders};

/// How control is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Http,
    Dns,
}

impl Challenge {
    pub(crate) const ALL: [Self; 2] = [Self::Http, Self::Dns];

    /// The name in the registry "ACME Validation Methods".
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http-01",
            Self::Dns => "dns-01",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|challenge| challenge.name() == name)
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether an ACME account controls a domain.
#[derive(Clone, Debug)]
pub(crate) struct DomainAuthorization {
    row: DomainAuthorizationRow,
    now: Timestamp,
}

impl DomainAuthorization {
    pub(crate) fn id(&self) -> &str {
        &self.row.id
    }

    fn has_expired(&self) -> bool {
        self.now.unix() >= self.row.expires_at
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.row.state.0 == AuthorizationState::Pending && !self.has_expired()
    }

    fn token(&self, challenge: Challenge) -> &str {
        match challenge {
            Challenge::Http => &self.row.http_token,
            Challenge::Dns => &self.row.dns_token,
        }
    }

    /// The resource of RFC 8555 section 7.1.4. One that is over has the challenge that was answered alone.
    pub(crate) fn to_json(&self, app: &App) -> Value {
        let status = match self.row.state.0 {
            AuthorizationState::Invalid => "invalid",
            AuthorizationState::Deactivated => "deactivated",
            _ if self.has_expired() => "expired",
            AuthorizationState::Pending => "pending",
            AuthorizationState::Valid => "valid",
        };
        let answered = self.row.challenge.as_deref().and_then(Challenge::parse);
        let challenges: Vec<Value> = Challenge::ALL
            .into_iter()
            .filter(|challenge| self.is_pending() || answered.is_none_or(|answered| answered == *challenge))
            .map(|challenge| self.challenge_to_json(app, challenge))
            .collect();
        json!({
            "status": status,
            "expires": Timestamp::from_unix(self.row.expires_at).to_string(),
            "identifier": {"type": "dns", "value": self.row.domain},
            "challenges": challenges,
        })
    }

    /// The challenge of RFC 8555 sections 8.3 and 8.4.
    pub(crate) fn challenge_to_json(&self, app: &App, challenge: Challenge) -> Value {
        let is_answered = self.row.challenge.as_deref() == Some(challenge.name());
        let status = match self.row.state.0 {
            AuthorizationState::Valid if is_answered => "valid",
            AuthorizationState::Pending if !self.has_expired() => match is_answered {
                true => "processing",
                false => "pending",
            },
            _ => "invalid",
        };
        let mut object = json!({
            "type": challenge.name(),
            "url": Resource::DomainChallenge(&self.row.id, challenge.name()).url(app),
            "status": status,
            "token": self.token(challenge),
        });
        if let Some(object) = object.as_object_mut()
            && is_answered
        {
            if let Some(at) = self.row.validated_at {
                object.insert("validated".to_owned(), json!(Timestamp::from_unix(at).to_string()));
            }
            if let Some(problem) = &self.row.problem {
                let problem = Problem::from_text(problem);
                object.insert("error".to_owned(), super::problem_json(&problem));
            }
        }
        object
    }
}

#[derive(Debug, Deserialize)]
struct New {
    identifier: Identifier,
}

#[derive(Debug, Deserialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

/// Begins an authorization (RFC 8555 section 7.4.1).
pub(crate) async fn create(app: &Arc<App>, request: &ByAccount) -> Outcome<DomainAuthorization> {
    let new: New = request.read()?;
    let domain = check_identifier(&new.identifier)?;
    let now = app.now();
    let account = &request.account;
    // 192 random bits each; RFC 8555 section 8 asks for 128, TLS BR 1.6.1 for 112.
    let token = || data_encoding::BASE64URL_NOPAD.encode(&app.random::<24>());
    let row = DomainAuthorizationRow {
        id: app.new_id("dau"),
        acme_account_id: account.id.clone(),
        domain: domain.to_string(),
        state: migrations::AsText(AuthorizationState::Pending),
        created_at: now.unix(),
        expires_at: now.plus(LIFETIME).unix(),
        http_token: token(),
        dns_token: token(),
        looked_at: 0,
        challenge: None,
        validated_at: None,
        evidence_id: None,
        problem: None,
    };
    let actor = account.caller().principal_id.to_string();
    let made = row.clone();
    let written: Outcome<()> = app
        .db
        .write(move |conn| {
            let since = now.minus(WINDOW).unix();
            let begun = store::acme_domain_authorizations::begun(conn, &row.acme_account_id, since, MOST)?;
            if let Some(oldest) = begun.last()
                && i64::try_from(begun.len()).unwrap_or(i64::MAX) >= MOST
            {
                return Err(Refusal::Limited {
                    detail: format!("{MOST} authorizations of domains were begun within {WINDOW}"),
                    retry_after: (oldest - since).max(1),
                });
            }
            store::acme_domain_authorizations::insert(conn, &row)?;
            let details = json!({
                "authorization": row.id,
                "acme_account": row.acme_account_id,
                "domain": row.domain,
                "br_version": BR_VERSION,
            });
            audit::append(conn, now, &actor, Action::DomainChallengeBegun, &details)?;
            Ok(())
        })
        .await;
    written?;
    Ok(DomainAuthorization { row: made, now })
}

fn check_identifier(identifier: &Identifier) -> Outcome<Domain> {
    match identifier.kind.as_str() {
        "dns" => {}
        // BR 3.2.2.4: such a proof is for one request.
        "email" => {
            return Err(Refusal::new(
                ErrorType::UnsupportedIdentifier,
                "an e-mail address is authorized within an order: place one",
            ));
        }
        _ => {
            return Err(Refusal::new(
                ErrorType::UnsupportedIdentifier,
                "identifiers of the type dns can be authorized ahead of orders",
            ));
        }
    }
    let rejected = |why: String| Refusal::new(ErrorType::RejectedIdentifier, why);
    if identifier.value.contains('*') {
        // RFC 8555 section 7.4.1.
        return Err(rejected("a wildcard cannot be authorized ahead of orders".to_owned()));
    }
    Domain::parse(&identifier.value).map_err(|error| rejected(format!("the value is not a domain: {error}")))
}

async fn load(app: &App, account: &Account, id: &str) -> Outcome<DomainAuthorization> {
    let (acme_account, id) = (account.id.clone(), id.to_owned());
    let row = app
        .db
        .read(move |conn| {
            let row = store::acme_domain_authorizations::find(conn, &acme_account, &id)?;
            Ok::<_, Error>(row)
        })
        .await?;
    let row = row.ok_or(Refusal::NotFound)?;
    Ok(DomainAuthorization { row, now: app.now() })
}

#[derive(Debug, Deserialize)]
struct Change {
    status: String,
}

/// Shows an authorization or deactivates it (RFC 8555 sections 7.5 and 7.5.2); what it proved does not count any more then.
pub(crate) async fn show_or_change(app: &Arc<App>, request: &ByAccount, id: &str) -> Outcome<DomainAuthorization> {
    let account = &request.account;
    let authorization = load(app, account, id).await?;
    if request.is_get() {
        return Ok(authorization);
    }
    let change: Change = request.read()?;
    if change.status != "deactivated" {
        return Err(Refusal::malformed("the only status to ask for is deactivated"));
    }
    let now = app.now();
    let actor = account.caller().principal_id.to_string();
    app.db
        .write(move |conn| {
            if store::acme_domain_authorizations::deactivate(conn, &authorization.row, now.unix())? {
                let details = json!({
                    "authorization": authorization.row.id,
                    "domain": authorization.row.domain,
                    "evidence": authorization.row.evidence_id,
                    "reason": "deactivated by the client",
                });
                audit::append(conn, now, &actor, Action::DomainNotValidated, &details)?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    load(app, account, id).await
}

/// Shows a challenge, or looks because the client says that all is in place (RFC 8555 section 7.5.1).
///
/// There is one look: what is not there then ends the authorization (RFC 8555 section 7.1.6), and the client begins another.
pub(crate) async fn show_or_answer(
    app: &Arc<App>,
    request: &ByAccount,
    id: &str,
    challenge: Challenge,
) -> Outcome<DomainAuthorization> {
    let account = &request.account;
    let authorization = load(app, account, id).await?;
    if request.is_get() {
        return Ok(authorization);
    }
    // The response object is empty; fields of other documents are ignored.
    let _: serde_json::Map<String, Value> = request.read()?;
    if !authorization.is_pending() {
        return Ok(authorization);
    }
    let row = authorization.row.id.clone();
    let claimed = app
        .db
        .write(move |conn| {
            let claimed = store::acme_domain_authorizations::claim_look(conn, &row, challenge.name())?;
            Ok::<_, Error>(claimed)
        })
        .await?;
    if claimed {
        // Whoever hangs up does not leave a challenge that nobody works on.
        let looking = look(Arc::clone(app), account.clone(), authorization, challenge);
        match tokio::spawn(looking).await {
            Ok(looked) => looked?,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(Refusal::Authority(migrations::Error::Stopping.into())),
            },
        }
    }
    load(app, account, id).await
}

async fn look(
    app: Arc<App>,
    account: Account,
    authorization: DomainAuthorization,
    challenge: Challenge,
) -> Result<(), Error> {
    let row = &authorization.row;
    let unreadable = |reason: String| Error::Row {
        kind: "ACME domain authorization",
        id: row.id.clone(),
        reason,
    };
    let domain = Domain::parse(&row.domain).map_err(|error| unreadable(error.to_string()))?;
    let token = authorization.token(challenge);
    // RFC 8555 section 8.1.
    let key_authorization = format!("{token}.{}", account.key.thumbprint());
    let expected = match challenge {
        Challenge::Http => Expected::AcmeHttp {
            path: FilePath::acme(token).ok_or_else(|| unreadable("the token is not one".to_owned()))?,
            key_authorization,
        },
        Challenge::Dns => Expected::AcmeDns {
            digest: data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(key_authorization)),
        },
    };
    let observed = control::observe(&app, &domain, &expected).await;
    let now = app.now();
    let id = row.id.clone();
    match observed {
        Ok(observed) => {
            let actor = account.caller().principal_id.to_string();
            let evidence = control::evidence(&app, &observed, &actor, now)?;
            let owner = account.owner.clone();
            app.db
                .write(move |conn| {
                    control::keep(conn, &owner, &evidence, &observed, now)?;
                    let until = evidence.counts_until().unix();
                    let evidence_id = evidence.id().as_ref();
                    if !store::acme_domain_authorizations::validate(conn, &id, evidence_id, now.unix(), until)? {
                        return Err(Error::StateChanged {
                            kind: "ACME domain authorization",
                            id: id.clone(),
                            expected: "pending",
                        });
                    }
                    let details = json!({
                        "authorization": id,
                        "account": owner.as_ref(),
                        "evidence": evidence_id,
                        "domain": observed.domain().as_ref(),
                        "method": observed.method().as_ref(),
                        "section": observed.method().tls_section(),
                        "br_version": BR_VERSION,
                        "seen": observed.seen(),
                        "corroboration": observed.corroboration().details(),
                    });
                    audit::append(conn, now, control::ACTOR, Action::DomainValidated, &details)
                })
                .await?;
            retry_waiting_orders(&app, &account.owner).await;
            Ok(())
        }
        Err(problem) => {
            let (told, reason) = (told(&problem), error::chain(&problem));
            let report = problem.into_report();
            let domain = row.domain.clone();
            app.db
                .write(move |conn| {
                    if let Some(report) = &report {
                        report.store(conn)?;
                    }
                    store::acme_domain_authorizations::refuse(conn, &id, &told.to_text())?;
                    let details = json!({
                        "authorization": id,
                        "domain": domain,
                        "challenge": challenge.name(),
                        "reason": reason,
                        "corroboration": report.as_ref().map(|report| report.details()),
                    });
                    audit::append(conn, now, control::ACTOR, Action::DomainNotValidated, &details)
                })
                .await
        }
    }
}

/// RFC 8555 section 6.7.
fn told(problem: &NotShown) -> Problem {
    let kind = match problem {
        NotShown::Bogus { .. } | NotShown::NoAnswer { .. } | NotShown::Name { .. } => ErrorType::Dns,
        NotShown::Fetch { .. } => ErrorType::Connection,
        NotShown::NotCorroborated { .. } => {
            return Problem::new(ErrorType::IncorrectResponse, error::chain(problem)).in_section("4.2.2.2");
        }
        NotShown::NoRecord { .. } | NotShown::OtherRecords { .. } | NotShown::OtherContent { .. } => {
            ErrorType::IncorrectResponse
        }
    };
    Problem::new(kind, error::chain(problem)).in_section("3.2.2.1")
}

/// TLS BR 3.2.2.4.7 and 3.2.2.4.19 allow 30 days; a client that begins means to finish.
const LIFETIME: Span = Span::days(7);
/// Each may make us, and every perspective, ask and connect.
const MOST: i64 = 100;
const WINDOW: Span = Span::hours(3);
