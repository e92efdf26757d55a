//! Control of a mailbox or a domain, proved by answering a mail (BR 3.2.2.2, and 3.2.2.1 with TLS BR 3.2.2.4.4).
//!
//! The mail carries a link with 256 random bits and a confirmation number. The page behind the link does nothing by
//! itself: a person has to type the number, since mail scanners open links and press buttons. The database knows only
//! hashes of both; a challenge is answered once, within 24 hours and five attempts (DESIGN invariant 5).

use std::sync::Arc;

use ca_api::{ChallengeState, ConstructedAddress, NewChallenge};
use migrations::AsText;
use policies::evidence::{Evidence, EvidenceId, EvidenceParts, Fact, FactKind, Method};
use policies::mailbox::{Domain, Mailbox};
use policies::time::{Span, Timestamp};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::accounts::{AccountId, Member};
use crate::app::App;
use crate::audit::{self, Action};
use crate::error::{self, Error};
use crate::mail::{self, Notice};
use crate::store;
use crate::store::challenges::ChallengeRow;
use crate::validation::{BR_VERSION, retry_waiting_orders};

/// A challenge as its account may see it: nothing in it helps to answer.
#[derive(Debug, Clone)]
pub struct Challenge {
    pub id: String,
    pub state: ChallengeState,
    pub fact_kind: FactKind,
    /// The mailbox or domain whose control is being proved.
    pub subject: String,
    pub sent_to: String,
    pub sent_at: Timestamp,
    pub expires_at: Timestamp,
    pub answered_at: Option<Timestamp>,
}

/// Mails a new challenge; an earlier open one of the account for the same fact ends.
///
/// # Errors
/// Too many mails to the address or from the account; the mail could not be sent, in which case the challenge is over.
pub async fn create(app: &App, member: Member<'_>, new: NewChallenge) -> Result<Challenge, Error> {
    let now = app.now();
    let (fact_kind, subject, to) = match new {
        NewChallenge::Mailbox(mailbox) => (FactKind::MailboxControl, mailbox.to_string(), mailbox),
        NewChallenge::Domain { domain, via } => (
            FactKind::DomainControl,
            domain.to_string(),
            constructed_address(&domain, via)?,
        ),
    };
    let secrets = Secrets::draw(app);
    let row = ChallengeRow {
        id: app.new_id("chl"),
        account_id: member.account().to_string(),
        requested_by: member.caller().principal_id.to_string(),
        fact_kind: AsText(fact_kind),
        subject,
        sent_to: to.to_string(),
        link_hash: secrets.link_hash().to_vec(),
        code_hash: secrets.code_hash().to_vec(),
        sent_at: now.unix(),
        expires_at: now.plus(LIFETIME).unix(),
        attempts: 0,
        state: AsText(ChallengeState::Sent),
        answered_at: None,
        evidence_id: None,
    };
    let challenge = Challenge::from_row(row.clone(), now);

    // The row is committed before the mail leaves: an answer always finds its challenge.
    app.db
        .write(move |conn| {
            let day_ago = now.minus(LIFETIME).unix();
            refuse_flood(
                store::challenges::count_sent_to(conn, &row.account_id, &row.sent_to, day_ago)?,
                MOST_MAILS_PER_ADDRESS,
                "challenge mails to this address within a day",
            )?;
            refuse_flood(
                store::challenges::count_sent(conn, &row.account_id, day_ago)?,
                MOST_MAILS_PER_ACCOUNT,
                "challenge mails for this account within a day",
            )?;
            store::challenges::replace_open(conn, &row.account_id, row.fact_kind.0, &row.subject)?;
            store::challenges::insert(conn, &row)?;
            let details = serde_json::json!({
                "challenge": row.id,
                "account": row.account_id,
                "fact": row.fact_kind.0.as_ref(),
                "subject": row.subject,
                "sent_to": row.sent_to,
                "br_version": BR_VERSION,
            });
            audit::append(conn, now, &row.requested_by, Action::ChallengeSent, &details)
        })
        .await?;

    if let Err(error) = app.mail.send(notice(app, &challenge, &secrets, to)).await {
        let id = challenge.id.clone();
        let reason = error::chain(&error);
        let actor = member.caller().principal_id.to_string();
        app.db
            .write(move |conn| {
                if store::challenges::finish(conn, &id, ChallengeState::Failed)? {
                    let details = serde_json::json!({"challenge": id, "reason": reason});
                    audit::append(conn, now, &actor, Action::ChallengeRefused, &details)?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        return Err(error);
    }
    Ok(challenge)
}

/// A challenge of the account.
pub async fn find(app: &App, account: &AccountId, id: &str) -> Result<Challenge, Error> {
    let (account, wanted) = (account.to_string(), id.to_owned());
    let row = app
        .db
        .read(move |conn| Ok::<_, Error>(store::challenges::find(conn, &account, &wanted)?))
        .await?;
    match row {
        Some(row) => Ok(Challenge::from_row(row, app.now())),
        None => Err(Error::NotFound {
            kind: "challenge",
            id: id.to_owned(),
        }),
    }
}

/// What the page behind the link shows. Looking changes nothing.
pub async fn look_at(app: &App, link: &str) -> Result<Option<Challenge>, Error> {
    let Some(link_hash) = hash_of_link(link) else {
        return Ok(None);
    };
    let row = app
        .db
        .read(move |conn| Ok::<_, Error>(store::challenges::find_by_link_hash(conn, &link_hash)?))
        .await?;
    Ok(row.map(|row| Challenge::from_row(row, app.now())))
}

/// What came of a typed confirmation number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmation {
    /// There is evidence now.
    Confirmed { subject: String },
    /// What was typed is no number of eight digits, as when a machine presses the button. It is not counted.
    NotANumber,
    /// The number is not the one in the mail.
    WrongNumber { attempts_left: i64 },
    /// It cannot be answered any more; the state says why.
    Over(ChallengeState),
    /// No challenge has this link.
    UnknownLink,
}

/// Answers a challenge with the number a person typed.
///
/// Whether it is right, wrong or too late, the outcome and its audit entry are one transaction, and with them the
/// evidence. Spaces and hyphens in the number do not matter.
pub async fn confirm(app: &Arc<App>, link: &str, typed: &str) -> Result<Confirmation, Error> {
    let Some(link_hash) = hash_of_link(link) else {
        return Ok(Confirmation::UnknownLink);
    };
    // However long the text is, one character more than a number has is enough to see that it is none.
    let digits: Zeroizing<String> = Zeroizing::new(
        typed
            .chars()
            .filter(|character| !matches!(character, ' ' | '-' | '\u{a0}'))
            .take(CODE_DIGITS + 1)
            .collect(),
    );
    if digits.len() != CODE_DIGITS || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Ok(Confirmation::NotANumber);
    }
    let code_hash = hash_of_code(link, &digits);
    let evidence_id = app.new_id("evi");
    let now = app.now();
    let (confirmation, account) = app
        .db
        .write(move |conn| {
            let Some(row) = store::challenges::find_by_link_hash(conn, &link_hash)? else {
                return Ok((Confirmation::UnknownLink, None));
            };
            if row.state.0 != ChallengeState::Sent {
                return Ok((Confirmation::Over(row.state.0), None));
            }
            let refused = |reason: &str| serde_json::json!({"challenge": row.id, "reason": reason});
            if now.unix() >= row.expires_at {
                store::challenges::finish(conn, &row.id, ChallengeState::Expired)?;
                audit::append(conn, now, ACTOR, Action::ChallengeRefused, &refused("expired"))?;
                return Ok((Confirmation::Over(ChallengeState::Expired), None));
            }
            let is_right: bool = row.code_hash.ct_eq(&code_hash).into();
            if !is_right {
                if !store::challenges::count_attempt(conn, &row.id, row.attempts)? {
                    return Err(changed(&row.id));
                }
                audit::append(
                    conn,
                    now,
                    ACTOR,
                    Action::ChallengeRefused,
                    &refused("wrong confirmation number"),
                )?;
                let attempts_left = MOST_ATTEMPTS - (row.attempts + 1);
                if attempts_left > 0 {
                    return Ok((Confirmation::WrongNumber { attempts_left }, None));
                }
                store::challenges::finish(conn, &row.id, ChallengeState::Failed)?;
                return Ok((Confirmation::Over(ChallengeState::Failed), None));
            }
            let evidence = proof(&row, &evidence_id, now)?;
            let account = AccountId::from_stored(row.account_id.clone());
            store::evidence::insert(conn, &account, &evidence, None, now)?;
            if !store::challenges::answer(conn, &row.id, &evidence_id, now.unix())? {
                return Err(changed(&row.id));
            }
            let details = serde_json::json!({
                "challenge": row.id,
                "account": row.account_id,
                "evidence": evidence_id,
                "fact": row.fact_kind.0.as_ref(),
                "subject": row.subject,
                "method": evidence.method().as_ref(),
                "br_version": BR_VERSION,
            });
            audit::append(conn, now, ACTOR, Action::ChallengeAnswered, &details)?;
            Ok((
                Confirmation::Confirmed {
                    subject: row.subject.clone(),
                },
                Some(account),
            ))
        })
        .await?;
    if let Some(account) = account {
        retry_waiting_orders(app, &account).await;
    }
    Ok(confirmation)
}

impl Challenge {
    fn from_row(row: ChallengeRow, now: Timestamp) -> Self {
        // Nobody has to come by for a challenge to expire.
        let state = match row.state.0 {
            ChallengeState::Sent if now.unix() >= row.expires_at => ChallengeState::Expired,
            state => state,
        };
        Self {
            id: row.id,
            state,
            fact_kind: row.fact_kind.0,
            subject: row.subject,
            sent_to: row.sent_to,
            sent_at: Timestamp::from_unix(row.sent_at),
            expires_at: Timestamp::from_unix(row.expires_at),
            answered_at: row.answered_at.map(Timestamp::from_unix),
        }
    }
}

fn proof(row: &ChallengeRow, evidence_id: &str, now: Timestamp) -> Result<Evidence, Error> {
    let unreadable = |reason: String| Error::Row {
        kind: "challenge",
        id: row.id.clone(),
        reason,
    };
    let (fact, method) = match row.fact_kind.0 {
        FactKind::MailboxControl => {
            let mailbox = Mailbox::parse(&row.subject).map_err(|error| unreadable(error.to_string()))?;
            (Fact::MailboxControl(mailbox), Method::MailboxByEmail)
        }
        FactKind::DomainControl => {
            let domain = Domain::parse(&row.subject).map_err(|error| unreadable(error.to_string()))?;
            (Fact::DomainControl(domain), Method::DomainConstructedEmail)
        }
        other => return Err(unreadable(format!("{other} is not proved by mail"))),
    };
    Ok(Evidence::new(EvidenceParts {
        id: EvidenceId::new(evidence_id),
        fact,
        method,
        br_version: BR_VERSION.to_owned(),
        collected_at: now,
        recorded_by: row.requested_by.clone(),
        approved_by: Vec::new(),
        documents: Vec::new(),
    })?)
}

fn changed(id: &str) -> Error {
    Error::StateChanged {
        kind: "challenge",
        id: id.to_owned(),
        expected: "open",
    }
}

fn refuse_flood(sent: i64, limit: usize, what: &'static str) -> Result<(), Error> {
    match usize::try_from(sent) {
        Ok(sent) if sent < limit => Ok(()),
        _ => Err(Error::TooMany {
            what,
            limit,
            advice: "answer one of those that were sent, or wait",
        }),
    }
}

/// TLS BR 3.2.2.4.4: one of five names, at the domain itself.
fn constructed_address(domain: &Domain, via: ConstructedAddress) -> Result<Mailbox, Error> {
    Mailbox::parse(&format!("{via}@{domain}")).map_err(|error| Error::InvalidInput {
        field: "domain",
        reason: error.to_string(),
    })
}

fn notice(app: &App, challenge: &Challenge, secrets: &Secrets, to: Mailbox) -> Notice {
    let link = Zeroizing::new(format!("{}/confirm/{}", app.api_url(), secrets.link.as_str()));
    let code = Zeroizing::new(format!(
        "{}-{}",
        &secrets.code[..CODE_DIGITS / 2],
        &secrets.code[CODE_DIGITS / 2..]
    ));
    let expires_at = challenge.expires_at.to_string();
    let values = [
        ("authority", app.config().name.as_str()),
        ("subject", challenge.subject.as_str()),
        ("link", link.as_str()),
        ("code", code.as_str()),
        ("expires_at", expires_at.as_str()),
    ];
    let escaped: Vec<(&str, String)> = values
        .iter()
        .map(|(name, value)| (*name, mail::escape_html(value)))
        .collect();
    let escaped: Vec<(&str, &str)> = escaped.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Notice {
        to,
        subject: SUBJECT.to_owned(),
        text: mail::fill(include_str!("challenge.txt"), &values),
        html: mail::fill(include_str!("challenge.html"), &escaped),
    }
}

/// What only the reader of the mail knows.
struct Secrets {
    /// 256 bits in base64url.
    link: Zeroizing<String>,
    /// Decimal digits.
    code: Zeroizing<String>,
}

impl Secrets {
    fn draw(app: &App) -> Self {
        let link = Zeroizing::new(app.random::<32>());
        let link = Zeroizing::new(data_encoding::BASE64URL_NOPAD.encode(link.as_slice()));
        let mut code = Zeroizing::new(String::with_capacity(CODE_DIGITS));
        while code.len() < CODE_DIGITS {
            // 250 is the largest multiple of ten in an octet: what is above would favour the low digits.
            let [octet] = app.random::<1>();
            if octet < 250 {
                code.push(char::from(b'0' + octet % 10));
            }
        }
        Self { link, code }
    }

    fn link_hash(&self) -> [u8; 32] {
        Sha256::digest(self.link.as_bytes()).into()
    }

    fn code_hash(&self) -> [u8; 32] {
        hash_of_code(&self.link, &self.code)
    }
}

/// The hash of a link that looks like one of ours.
fn hash_of_link(link: &str) -> Option<[u8; 32]> {
    (link.len() == LINK_LENGTH).then(|| Sha256::digest(link.as_bytes()).into())
}

/// The link goes into the hash of the number, or whoever reads the database could find the number by trying them all.
fn hash_of_code(link: &str, code: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"sealwright confirmation number\0")
        .chain_update(link.as_bytes())
        .chain_update([0])
        .chain_update(code.as_bytes())
        .finalize()
        .into()
}

/// BR 3.2.2.2: a Random Value remains valid for no more than 24 hours.
const LIFETIME: Span = Span::hours(24);
/// Of a hundred million numbers a guesser sees five, and only with the link.
const MOST_ATTEMPTS: i64 = 5;
const CODE_DIGITS: usize = 8;
/// 32 bytes in base64url without padding: ceil(32 · 8 / 6).
const LINK_LENGTH: usize = 43;
/// Enough for a mail that went astray a few times, too few to bother anybody.
const MOST_MAILS_PER_ADDRESS: usize = 10;
/// An organization that enrols its people one by one does not reach it in a day.
const MOST_MAILS_PER_ACCOUNT: usize = 1000;
/// Whoever answers a mail is known only as its reader.
const ACTOR: &str = "reader-of-the-mail";
const SUBJECT: &str = "Please confirm your e-mail certificate";

#[cfg(test)]
mod tests;
