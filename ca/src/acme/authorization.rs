//! Authorizations and their challenge `email-reply-00` as clients see them (RFC 8555 section 7.5, RFC 8823 section 3).

use std::sync::Arc;

use policies::time::{Span, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::Account;
use super::challenge;
use super::problem::{Outcome, Problem, Refusal};
use super::request::ByAccount;
use super::resource::Resource;
use crate::app::App;
use crate::audit::{self, Action};
use crate::error::Error;
use crate::store;
use crate::store::acme_authorizations::{AuthorizationRow, AuthorizationState};

/// Whether an account controls a mailbox, for one order.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    pub(crate) id: String,
    pub(crate) mailbox: String,
    pub(crate) status: Status,
    expires_at: Timestamp,
    reply_tag: String,
    token_part2: String,
    pub(crate) mailed: bool,
    client_ready: bool,
    validated_at: Option<Timestamp>,
    /// The proof that the reply gave; none when control was proved before.
    pub(crate) evidence_id: Option<String>,
}

/// RFC 8555 section 7.1.6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Valid,
    Invalid(Problem),
    Expired,
    Deactivated,
}

impl Authorization {
    pub(crate) fn from_row(row: AuthorizationRow, now: Timestamp) -> Self {
        let status = match row.state.0 {
            AuthorizationState::Invalid => {
                Status::Invalid(Problem::from_text(row.problem.as_deref().unwrap_or_default()))
            }
            AuthorizationState::Deactivated => Status::Deactivated,
            // Nobody has to come by for one to expire.
            _ if now.unix() >= row.expires_at => Status::Expired,
            AuthorizationState::Pending => Status::Pending,
            AuthorizationState::Valid => Status::Valid,
        };
        Self {
            id: row.id,
            mailbox: row.mailbox,
            status,
            expires_at: Timestamp::from_unix(row.expires_at),
            reply_tag: row.reply_tag,
            token_part2: row.token_part2,
            mailed: row.mailed_at.is_some(),
            client_ready: row.client_ready_at.is_some(),
            validated_at: row.validated_at.map(Timestamp::from_unix),
            evidence_id: row.evidence_id,
        }
    }

    /// The resource of RFC 8555 section 7.1.4.
    pub(crate) fn to_json(&self, app: &App) -> Outcome<Value> {
        let status = match &self.status {
            Status::Pending => "pending",
            Status::Valid => "valid",
            Status::Invalid(_) => "invalid",
            Status::Expired => "expired",
            Status::Deactivated => "deactivated",
        };
        Ok(json!({
            "status": status,
            "expires": self.expires_at.to_string(),
            "identifier": {"type": "email", "value": self.mailbox},
            "challenges": [self.challenge_to_json(app)?],
        }))
    }

    /// The challenge of RFC 8823 section 3: `token` is token-part2, `from` is where the challenge mail comes from.
    pub(crate) fn challenge_to_json(&self, app: &App) -> Outcome<Value> {
        let status = match &self.status {
            Status::Valid => "valid",
            Status::Invalid(_) | Status::Expired | Status::Deactivated => "invalid",
            Status::Pending if self.client_ready => "processing",
            Status::Pending => "pending",
        };
        let mut challenge = json!({
            "type": "email-reply-00",
            "url": Resource::Challenge(&self.id).url(app),
            "status": status,
            "from": app.acme()?.reply_address(&self.reply_tag),
            "token": self.token_part2,
        });
        if let Some(object) = challenge.as_object_mut() {
            if let Some(at) = self.validated_at {
                object.insert("validated".to_owned(), json!(at.to_string()));
            }
            if let Status::Invalid(problem) = &self.status {
                object.insert("error".to_owned(), super::problem_json(problem));
            }
        }
        Ok(challenge)
    }

    /// Whether asking again makes sense.
    pub(crate) fn is_pending(&self) -> bool {
        self.status == Status::Pending
    }
}

async fn load(app: &App, account: &Account, id: &str) -> Outcome<Authorization> {
    let (acme_account, id) = (account.id.clone(), id.to_owned());
    let row = app
        .db
        .read(move |conn| Ok::<_, Error>(store::acme_authorizations::find(conn, &acme_account, &id)?))
        .await?;
    let row = row.ok_or(Refusal::NotFound)?;
    Ok(Authorization::from_row(row, app.now()))
}

#[derive(Debug, Deserialize)]
struct Change {
    status: String,
}

/// Shows an authorization or deactivates it (RFC 8555 sections 7.5 and 7.5.2).
///
/// Showing a pending one for the first time sends the challenge mail: whoever asks for the token is about to wait for
/// the other half of it.
pub(crate) async fn show_or_change(app: &Arc<App>, request: &ByAccount, id: &str) -> Outcome<Authorization> {
    let account = &request.account;
    let authorization = load(app, account, id).await?;
    if request.is_get() {
        return challenge::mail_once(app, account, authorization).await;
    }
    let change: Change = request.read()?;
    if change.status != "deactivated" {
        return Err(Refusal::malformed("the only status to ask for is deactivated"));
    }
    let now = app.now();
    let actor = account.caller().principal_id.to_string();
    let id = id.to_owned();
    app.db
        .write({
            let id = id.clone();
            move |conn| {
                if store::acme_authorizations::deactivate(conn, &id)? {
                    let details = json!({"authorization": id, "reason": "deactivated by the client"});
                    audit::append(conn, now, &actor, Action::ChallengeRefused, &details)?;
                }
                Ok::<_, Error>(())
            }
        })
        .await?;
    load(app, account, &id).await
}

/// Shows a challenge, or hears from the client that the reply is on its way (RFC 8555 section 7.5.1).
pub(crate) async fn show_or_answer(app: &Arc<App>, request: &ByAccount, id: &str) -> Outcome<Authorization> {
    let account = &request.account;
    let authorization = load(app, account, id).await?;
    if request.is_get() {
        return Ok(authorization);
    }
    // The response object of RFC 8823 is empty; fields of later documents are ignored.
    let _: serde_json::Map<String, Value> = request.read()?;
    if !authorization.is_pending() {
        return Ok(authorization);
    }
    let authorization = challenge::mail_once(app, account, authorization).await?;
    let now = app.now().unix();
    let row = authorization.id.clone();
    app.db
        .write(move |conn| Ok::<_, Error>(store::acme_authorizations::client_is_ready(conn, &row, now)?))
        .await?;
    load(app, account, id).await
}

/// BR 3.2.2.4: a Random Value remains valid for no more than 24 hours.
pub(crate) const LIFETIME: Span = Span::hours(24);
