//! One message on its way through the relay or into the queue, once for each idempotency key.

use data_encoding::HEXLOWER;
use mail_parser::MessageParser;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use smtp::Reply;
use smtp::envelope::{MailFrom, RcptTo};
use smtp::server::Session;

use super::Api;
use super::auth::Caller;
use super::problem::HttpProblem;
use crate::encryption::header_recipients;
use crate::error::Error;
use crate::mime::canonical::canonicalize;
use crate::queue::door::{QUEUED, QueueSession};
use crate::queue::unique;
use crate::relay::RelaySession;
use crate::store::queue_submissions::NewSubmission;
use crate::store::submissions::{self as store, Claim};

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Submitted {
    /// Under which its state can be asked for; only if it was queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// For whom the next mail server, or the queue, has taken it.
    pub(super) accepted: Vec<String>,
    /// Those that it did not want.
    pub(super) refused: Vec<RefusedRecipient>,
    /// What it said last.
    pub(super) answer: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RefusedRecipient {
    pub(super) recipient: String,
    pub(super) smtp_code: u16,
    pub(super) detail: String,
}

/// A message and its envelope, as they came.
#[derive(Debug, Clone)]
pub(super) struct Submission {
    /// The address in From, if it is not named.
    pub(super) from: Option<String>,
    /// Those in To and Cc, if none is named.
    pub(super) to: Vec<String>,
    pub(super) message: Vec<u8>,
    pub(super) idempotency_key: Option<String>,
}

/// Whether the answer is that of an earlier request with the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    New,
    Repeated,
}

/// Hands a message in, unless that was done before under the same key.
pub(super) async fn submit(
    api: &Api,
    caller: &Caller,
    submission: Submission,
) -> Result<(Submitted, Freshness), HttpProblem> {
    let Some(key) = submission.idempotency_key.clone() else {
        return Ok((hand_in(api, caller, submission).await?, Freshness::New));
    };
    if !(1..=LONGEST_KEY).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(HttpProblem::bad_request(format!(
            "an idempotency key has 1 to {LONGEST_KEY} visible characters of ASCII"
        )));
    }
    let hash = hash_of(&submission);
    let now = api.gateway.clock.now();
    let (token, name) = (caller.id.clone(), key.clone());
    let claim = api
        .gateway
        .db()
        .write(move |conn| store::claim(conn, &token, &name, &hash, now).map_err(Error::from))
        .await
        .map_err(unavailable)?;
    match claim {
        Claim::Ours => {}
        Claim::AnotherRequest => {
            return Err(HttpProblem::new(
                422,
                "Key used already",
                "this idempotency key was used for another message; take a new key for each message",
            ));
        }
        Claim::UnderWay => {
            return Err(HttpProblem::new(
                409,
                "Under way",
                "a request with this idempotency key is being worked on; ask again later",
            ));
        }
        Claim::Answered(answer) => {
            let submitted = serde_json::from_str(&answer).map_err(|_| HttpProblem::internal())?;
            return Ok((submitted, Freshness::Repeated));
        }
    }
    // A task of its own: a client that goes away does not leave it undecided.
    let (at_work, who) = (api.clone(), caller.clone());
    let outcome = tokio::spawn(async move {
        let outcome = hand_in(&at_work, &who, submission).await;
        // What was refused may be corrected and sent again under the same key.
        let answer = outcome
            .as_ref()
            .ok()
            .and_then(|submitted| serde_json::to_string(submitted).ok());
        let settled = at_work
            .gateway
            .db()
            .write(move |conn| store::settle(conn, &who.id, &key, answer.as_deref()).map_err(Error::from))
            .await;
        if let Err(error) = settled {
            tracing::error!(%error, "the outcome of a submission could not be written down");
        }
        outcome
    })
    .await;
    Ok((outcome.map_err(|_| HttpProblem::internal())??, Freshness::New))
}

async fn hand_in(api: &Api, caller: &Caller, submission: Submission) -> Result<Submitted, HttpProblem> {
    let Ok(_room) = api.room.clone().try_acquire_owned() else {
        return Err(HttpProblem::busy());
    };
    let message = canonicalize(&submission.message).into_owned();
    let from = match submission.from {
        Some(from) => from,
        None => from_of(&message).ok_or_else(|| {
            HttpProblem::bad_request("the message has no From field with one address; name the sender with from")
        })?,
    };
    let to = if submission.to.is_empty() {
        header_recipients(&message)
    } else {
        submission.to
    };
    if to.is_empty() {
        return Err(HttpProblem::bad_request(
            "the message has no recipient, neither in to nor in its header",
        ));
    }
    if to.len() > MOST_RECIPIENTS {
        return Err(HttpProblem::bad_request(format!(
            "more than {MOST_RECIPIENTS} recipients; send several messages"
        )));
    }
    let smtputf8 = !from.is_ascii() || to.iter().any(|recipient| !recipient.is_ascii());
    let sender = MailFrom {
        smtputf8,
        ..MailFrom::new(from)
    };
    match &api.queue {
        None => {
            let mut session = RelaySession::for_program(api.gateway.clone(), caller.rights.clone(), caller.address);
            let (accepted, refused) = envelope(&mut session, sender, to).await?;
            let reply = session.data(message).await;
            if !reply.is_positive() {
                return Err(HttpProblem::refused(&reply));
            }
            Ok(Submitted {
                id: None,
                accepted,
                refused,
                answer: reply.to_string(),
            })
        }
        Some(queue) => {
            let mut session = QueueSession::for_program(queue.clone(), caller.rights.clone(), caller.address);
            let (accepted, refused) = envelope(&mut session, sender, to).await?;
            let id = unique(&api.gateway, 16);
            let submitted = Submitted {
                id: Some(id.clone()),
                accepted,
                refused,
                answer: Reply::ok([2, 0, 0], QUEUED).to_string(),
            };
            let new = NewSubmission {
                id,
                token_id: caller.id.clone(),
                idempotency_key: submission.idempotency_key,
                answer: serde_json::to_string(&submitted).map_err(|_| HttpProblem::internal())?,
            };
            let reply = session.submit(&message, new).await;
            if !reply.is_positive() {
                return Err(HttpProblem::refused(&reply));
            }
            Ok(submitted)
        }
    }
}

/// Names sender and recipients; gives those who were accepted and those who were not, or a refusal if nobody was.
async fn envelope(
    session: &mut impl Session,
    sender: MailFrom,
    to: Vec<String>,
) -> Result<(Vec<String>, Vec<RefusedRecipient>), HttpProblem> {
    let reply = session.mail(sender).await;
    if !reply.is_positive() {
        return Err(HttpProblem::refused(&reply));
    }
    let (mut accepted, mut refused, mut last) = (Vec::new(), Vec::new(), None);
    for recipient in to {
        let reply = session.rcpt(RcptTo::new(recipient.clone())).await;
        if reply.is_positive() {
            accepted.push(recipient);
        } else {
            refused.push(RefusedRecipient {
                recipient,
                smtp_code: reply.code(),
                detail: reply.text().to_owned(),
            });
            last = Some(reply);
        }
    }
    if accepted.is_empty() {
        session.reset().await;
        return Err(last.as_ref().map_or_else(HttpProblem::internal, HttpProblem::refused));
    }
    Ok((accepted, refused))
}

/// The one address in From.
fn from_of(message: &[u8]) -> Option<String> {
    let parsed = MessageParser::new()
        .header_address(mail_parser::HeaderName::From)
        .parse_headers(message)?;
    let mut addresses = parsed.from()?.iter().filter_map(|address| address.address());
    let first = addresses.next()?.to_owned();
    addresses.next().is_none().then_some(first)
}

fn hash_of(submission: &Submission) -> String {
    let mut hash = Sha256::new();
    let envelope = submission.from.iter().chain(&submission.to).map(String::as_bytes);
    for part in envelope.chain([submission.message.as_slice()]) {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    HEXLOWER.encode(&hash.finalize())
}

fn unavailable(error: Error) -> HttpProblem {
    tracing::error!(%error, "a submission could not be looked up");
    HttpProblem::internal()
}

const LONGEST_KEY: usize = 200;

/// As many as SMTP takes here.
const MOST_RECIPIENTS: usize = 1000;
