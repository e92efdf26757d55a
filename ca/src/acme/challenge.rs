//! The challenge `email-reply-00` (RFC 8823, S/MIME BR 3.2.2.4): one half of a token by mail, the other over HTTPS, and
//! a reply that only who has both and the account's key can write.
//!
//! token-part1 is made when the mail is sent, lives 24 hours at most together with its authorization, and is forgotten
//! when a reply was taken or refused for good. A forged reply changes nothing: it would let strangers end the challenges
//! of others. A reply that is authentic but wrong ends the challenge (RFC 8555 section 8.2).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use policies::evidence::{Evidence, EvidenceId, EvidenceParts, Fact, Method};
use policies::mailbox::Mailbox;
use policies::time::{Span, Timestamp};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::account::{self, Account};
use super::authorization::Authorization;
use super::dkim::NotAuthentic;
use super::problem::{ErrorType, Outcome, Problem, Refusal};
use super::reply::Reply;
use crate::app::{App, on_blocking_thread};
use crate::audit::{self, Action};
use crate::error::{self, Error};
use crate::store;
use crate::store::acme_authorizations::{AuthorizationRow, AuthorizationState};
use crate::validation::BR_VERSION;

/// Sends the challenge mail of a pending authorization, if it was not sent yet.
pub(crate) async fn mail_once(
    app: &Arc<App>,
    account: &Account,
    authorization: Authorization,
) -> Outcome<Authorization> {
    if !authorization.is_pending() || authorization.mailed {
        return Ok(authorization);
    }
    let now = app.now();
    let (id, mailbox) = (authorization.id.clone(), authorization.mailbox.clone());
    // A multiple of three octets: whether the halves are joined as text or as octets, the token is the same.
    let secret = Zeroizing::new(app.random::<24>());
    let token_part1 = Zeroizing::new(data_encoding::BASE64URL_NOPAD.encode(secret.as_slice()));
    let sealed = app
        .sealing
        .seal(&sealed_as(&id), token_part1.as_bytes())
        .map_err(Error::Sealing)?;
    let domain = app.acme()?.settings.mail_from.domain().to_string();
    let message_id = format!("<{}@{domain}>", data_encoding::HEXLOWER.encode(&app.random::<16>()));
    let actor = account.caller().principal_id.to_string();

    // The row is committed before the mail leaves: a reply always finds its challenge.
    let claim = {
        let (id, mailbox, message_id, actor) = (id.clone(), mailbox.clone(), message_id.clone(), actor.clone());
        move |conn: &mut migrations::AnyConnection| {
            refuse_flood(conn, &mailbox, now)?;
            if !store::acme_authorizations::claim_mail(conn, &id, &sealed, &message_id, now.unix())? {
                return Ok(false);
            }
            let details =
                json!({"authorization": id, "sent_to": mailbox, "method": "3.2.2.4", "br_version": BR_VERSION});
            audit::append(conn, now, &actor, Action::ChallengeSent, &details)?;
            Ok::<_, Refusal>(true)
        }
    };
    if !app.db.write(claim).await? {
        // Another request is sending it, or the authorization has just ended.
        return reload(app, account, &id).await;
    }

    if let Err(refusal) = send(app, &id, &mailbox, &token_part1, &message_id, now).await {
        let reason = error::chain(&refusal);
        app.db
            .write(move |conn| {
                if store::acme_authorizations::release_mail(conn, &id, &message_id)? {
                    let details = json!({"authorization": id, "reason": reason});
                    audit::append(conn, now, &actor, Action::ChallengeRefused, &details)?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        return Err(refusal.into());
    }
    reload(app, account, &id).await
}

async fn reload(app: &App, account: &Account, id: &str) -> Outcome<Authorization> {
    let (acme_account, id) = (account.id.clone(), id.to_owned());
    let row = app
        .db
        .read(move |conn| Ok::<_, Error>(store::acme_authorizations::find(conn, &acme_account, &id)?))
        .await?;
    Ok(Authorization::from_row(row.ok_or(Refusal::NotFound)?, app.now()))
}

/// Nobody gets more challenge mails than this, whoever orders for them.
fn refuse_flood(conn: &mut migrations::AnyConnection, mailbox: &str, now: Timestamp) -> Outcome<()> {
    let since = now.minus(MAIL_WINDOW).unix();
    let mailed = store::acme_authorizations::mailed_to(conn, mailbox, since, MOST_MAILS)?;
    match mailed.last() {
        Some(oldest) if i64::try_from(mailed.len()).unwrap_or(i64::MAX) >= MOST_MAILS => Err(Refusal::Limited {
            detail: format!("{MOST_MAILS} challenge mails went to this address within {MAIL_WINDOW}"),
            retry_after: (oldest - since).max(1),
        }),
        _ => Ok(()),
    }
}

async fn send(
    app: &Arc<App>,
    id: &str,
    mailbox: &str,
    token_part1: &str,
    message_id: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let acme = app.acme()?;
    let id = id.to_owned();
    let row = {
        let id = id.clone();
        app.db
            .read(move |conn| Ok::<_, Error>(store::acme_authorizations::find_by_id(conn, &id)?))
            .await?
    };
    let tag = row.map(|row| row.reply_tag).unwrap_or_default();
    let from = acme.reply_address(&tag);
    let to = Mailbox::parse(mailbox).map_err(|error| Error::MailAddress {
        address: mailbox.to_owned(),
        reason: error.to_string(),
    })?;
    let subject = format!("ACME: {token_part1}");
    let address = to.to_string();
    let text = include_str!("challenge.txt")
        .replace("{mailbox}", &address)
        .replace('\n', "\r\n");
    let date = date(now);
    let header: Vec<(&str, &str)> = vec![
        ("From", &from),
        ("To", &address),
        ("Subject", &subject),
        ("Date", &date),
        ("Message-ID", message_id),
        // RFC 8823 section 3.1.
        ("Auto-Submitted", "auto-generated; type=acme"),
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=us-ascii"),
        ("Content-Transfer-Encoding", "7bit"),
    ];
    let mut message = String::new();
    for (name, value) in &header {
        message.push_str(&format!("{name}: {value}\r\n"));
    }
    message.push_str("\r\n");
    message.push_str(&text);
    let signature = {
        let app = Arc::clone(app);
        let header: Vec<(String, String)> = header
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let text = text.clone();
        on_blocking_thread(move || {
            let header: Vec<(&str, &str)> = header
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            app.acme()?.signer.sign(&header, &text, now)
        })
        .await?
    };
    let message = format!("{signature}{message}");
    app.mail
        .send_message(&from, &to, &subject, &text, message.into_bytes())
        .await
}

/// RFC 5322 section 3.3.
pub(crate) fn date(now: Timestamp) -> String {
    let seconds = u64::try_from(now.unix()).unwrap_or(0);
    // A date of HTTP differs from one of mail in how it names the time zone.
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    date.replace("GMT", "+0000")
}

/// What became of a reply, for the server that brings it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// There is evidence now.
    Accepted,
    /// The reply is no good, and nothing was changed.
    NotTaken(String),
    /// It is authentic but wrong: the challenge is over.
    Wrong,
    /// Something else than the reply is at fault.
    TryLater(String),
}

/// Takes a mail that came to the address with this tag.
pub(crate) async fn answer(app: &Arc<App>, tag: &str, message: &[u8]) -> Answer {
    let outcome = try_answer(app, tag, message).await;
    match outcome {
        Ok(answer) => answer,
        Err(error) => {
            let error = error::chain(&error);
            tracing::error!(error, "could not take a reply to a challenge");
            Answer::TryLater("the reply could not be checked".to_owned())
        }
    }
}

async fn try_answer(app: &Arc<App>, tag: &str, message: &[u8]) -> Result<Answer, Error> {
    let now = app.now();
    let not_taken = |reason: &str| Ok(Answer::NotTaken(reason.to_owned()));
    let Some(row) = find(app, tag).await? else {
        return not_taken("there is no such challenge");
    };
    let refuse = async |reason: String| -> Result<Answer, Error> {
        tracing::info!(authorization = row.id, reason, "refused a reply to a challenge");
        Ok(Answer::NotTaken(reason))
    };
    // 1. What it says.
    let reply = match Reply::parse(message) {
        Ok(reply) => reply,
        Err(error) => return refuse(error.to_string()).await,
    };
    // 2. Whether it may say so: from the mailbox itself, to the address it was asked from, and signed by its domain.
    let mailbox = Mailbox::parse(&row.mailbox).map_err(|error| Error::Row {
        kind: "authorization",
        id: row.id.clone(),
        reason: error.to_string(),
    })?;
    if reply.from != mailbox {
        return refuse("it does not come from the mailbox that is to be certified".to_owned()).await;
    }
    let address = app.acme()?.reply_address(tag).to_ascii_lowercase();
    if !reply.to.to_ascii_lowercase().contains(&address) {
        return refuse("it is not addressed to where the challenge came from".to_owned()).await;
    }
    let present: Vec<&str> = reply.fields.iter().map(String::as_str).collect();
    let verifier = &app.acme()?.verifier;
    match verifier.verify(message, mailbox.domain().as_ref(), &present, now).await {
        Ok(()) => {}
        Err(NotAuthentic::Lookup(failure)) => return Ok(Answer::TryLater(failure.to_string())),
        Err(error) => return refuse(error.to_string()).await,
    }
    // 3. Whether it is for this challenge, and in time.
    if row.state.0 != AuthorizationState::Pending {
        return refuse("the challenge is over".to_owned()).await;
    }
    if now.unix() >= row.expires_at {
        return refuse("the challenge has expired: tokens live 24 hours (BR 3.2.2.4)".to_owned()).await;
    }
    let Some(sealed) = &row.token_part1 else {
        return refuse("the challenge mail was not sent yet".to_owned()).await;
    };
    let token_part1 = app.sealing.open(&sealed_as(&row.id), sealed).map_err(Error::Sealing)?;
    let is_this: bool = reply.token_part1.as_bytes().ct_eq(&token_part1).into();
    if !is_this {
        return refuse("the token in its subject is not the one of this challenge".to_owned()).await;
    }
    // 4. Whether the account's key is in it.
    let Some(account) = account::load(app, &row.acme_account_id).await? else {
        return not_taken("there is no such account");
    };
    let expected = digest(&token_part1, &row.token_part2, &account.key.thumbprint());
    let is_right: bool = reply.digest.as_bytes().ct_eq(expected.as_bytes()).into();
    match is_right {
        true => accept(app, &account, row, mailbox, message, now).await,
        false => end(app, row, now).await,
    }
}

async fn find(app: &App, tag: &str) -> Result<Option<AuthorizationRow>, Error> {
    let tag = tag.to_ascii_lowercase();
    app.db
        .read(move |conn| Ok::<_, Error>(store::acme_authorizations::find_by_reply_tag(conn, &tag)?))
        .await
}

/// Whether a mail to this tag is worth receiving.
pub(crate) async fn awaits_reply(app: &App, tag: &str) -> Result<bool, Error> {
    Ok(find(app, tag).await?.is_some())
}

/// RFC 8823 section 3, step 5: base64url of the SHA-256 of the key authorization (RFC 8555 section 8.1) over both halves.
pub(crate) fn digest(token_part1: &[u8], token_part2: &str, thumbprint: &str) -> String {
    let hash = Sha256::new()
        .chain_update(token_part1)
        .chain_update(token_part2)
        .chain_update(".")
        .chain_update(thumbprint)
        .finalize();
    data_encoding::BASE64URL_NOPAD.encode(&hash)
}

/// The evidence, the authorization and the audit entry, in one transaction.
async fn accept(
    app: &Arc<App>,
    account: &Account,
    row: AuthorizationRow,
    mailbox: Mailbox,
    message: &[u8],
    now: Timestamp,
) -> Result<Answer, Error> {
    let owner = account.owner.clone();
    let evidence = Evidence::new(EvidenceParts {
        id: EvidenceId::new(app.new_id("evi")),
        fact: Fact::MailboxControl(mailbox),
        method: Method::MailboxByAcme,
        br_version: BR_VERSION.to_owned(),
        collected_at: now,
        recorded_by: account.caller().principal_id.to_string(),
        approved_by: Vec::new(),
        documents: vec![Sha256::digest(message).into()],
    })?;
    let taken = app
        .db
        .write(move |conn| {
            store::evidence::insert(conn, &owner, &evidence, None, now)?;
            let evidence_id = evidence.id().to_string();
            if !store::acme_authorizations::validate(conn, &row.id, &evidence_id, now.unix())? {
                return Err(Error::StateChanged {
                    kind: "authorization",
                    id: row.id.clone(),
                    expected: "pending",
                });
            }
            let details = json!({
                "authorization": row.id,
                "account": owner.as_ref(),
                "evidence": evidence_id,
                "subject": row.mailbox,
                "method": evidence.method().as_ref(),
                "br_version": BR_VERSION,
            });
            audit::append(conn, now, ACTOR, Action::ChallengeAnswered, &details)
        })
        .await;
    match taken {
        Ok(()) => Ok(Answer::Accepted),
        Err(Error::StateChanged { .. }) => Ok(Answer::NotTaken("the challenge is over".to_owned())),
        Err(error) => Err(error),
    }
}

async fn end(app: &App, row: AuthorizationRow, now: Timestamp) -> Result<Answer, Error> {
    let problem = Problem::new(
        ErrorType::IncorrectResponse,
        "the reply is authentic, but its digest does not fit the token and the key of the account",
    )
    .in_section("3.2.2.4");
    app.db
        .write(move |conn| {
            if store::acme_authorizations::refuse(conn, &row.id, &problem.to_text())? {
                let details = json!({"authorization": row.id, "reason": problem.detail});
                audit::append(conn, now, ACTOR, Action::ChallengeRefused, &details)?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    Ok(Answer::Wrong)
}

fn sealed_as(id: &str) -> String {
    format!("acme token {id}")
}

/// As for other challenge mails: enough for what goes astray, too few to bother anybody.
const MOST_MAILS: i64 = 10;
const MAIL_WINDOW: Span = Span::hours(24);
/// Whoever replies is known only as the reader of the mail.
const ACTOR: &str = "reader-of-the-mail";
