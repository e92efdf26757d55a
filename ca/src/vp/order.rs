//! Orders at the other authority: placed, answered, gone on with, revoked.
//!
//! A row is committed before the other authority hears of an order, and holds the seat. Whatever is asked there is asked
//! outside of transactions; what came of it is written if nobody else was faster.

use std::sync::Arc;

use der::Encode;
use policies::evidence::Fact;
use policies::mailbox::{Mailbox, MailboxName};
use policies::time::{Span, Timestamp};
use serde_json::json;
use x509_cert::certificate::Certificate;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, SubjectAltName};

use super::Vp;
use super::client::{Authorization, Challenge};
use super::reply;
use crate::accounts::AccountId;
use crate::app::App;
use crate::audit::{self, Action};
use crate::error::{self, Error};
use crate::orders::request::CertificateRequest;
use crate::plans;
use crate::store;
use crate::store::vp_orders::{VpOrderRow, VpState};

/// An order, and what it has come to.
#[derive(Clone, Debug)]
pub struct VpOrder {
    pub id: String,
    pub account: String,
    pub mailbox: Mailbox,
    /// placing, waiting, processing, valid or invalid.
    pub state: String,
    pub created_at: Timestamp,
    pub answered: bool,
    /// The certificate and what is above it, once there is one.
    pub chain_pem: Option<String>,
    /// Lower-case hexadecimal.
    pub serial: Option<String>,
    pub not_after: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub problem: Option<String>,
}

impl VpOrder {
    fn from_row(row: VpOrderRow) -> Result<Self, Error> {
        Ok(Self {
            mailbox: mailbox_of(&row)?,
            id: row.id,
            account: row.account_id,
            state: row.state.0.to_string(),
            created_at: Timestamp::from_unix(row.created_at),
            answered: row.answered_at.is_some(),
            chain_pem: row.chain_pem,
            serial: row.serial,
            not_after: row.not_after.map(Timestamp::from_unix),
            revoked_at: row.revoked_at.map(Timestamp::from_unix),
            problem: row.problem,
        })
    }
}

fn mailbox_of(row: &VpOrderRow) -> Result<Mailbox, Error> {
    Mailbox::parse(&row.mailbox).map_err(|error| Error::Row {
        kind: "order at another authority",
        id: row.id.clone(),
        reason: error.to_string(),
    })
}

/// Orders a certificate for a mailbox that the account controls. A valid one of the same mailbox is named as the one that
/// is replaced (RFC 9773 section 5).
///
/// # Errors
/// The request does not fit, the account does not control the mailbox, no seat is left, or the other authority refuses.
pub async fn place(
    app: &Arc<App>,
    account: &AccountId,
    requested_by: &str,
    mailbox: &Mailbox,
    request: Vec<u8>,
) -> Result<VpOrder, Error> {
    let vp = app.vp()?;
    let parsed = CertificateRequest::parse(&request)?;
    parsed.must_name_only(mailbox)?;
    app.weak_keys.check(parsed.public_key())?;
    let now = app.now();
    let row = VpOrderRow {
        id: app.new_id("vpo"),
        account_id: account.to_string(),
        requested_by: requested_by.to_owned(),
        mailbox: mailbox.to_string(),
        state: migrations::AsText(VpState::Placing),
        request,
        created_at: now.unix(),
        expires_at: now.plus(LIFETIME).unix(),
        order_url: None,
        authorization_url: None,
        answered_at: None,
        chain_pem: None,
        serial: None,
        not_after: None,
        revoked_at: None,
        problem: None,
    };
    let (owner, controlled, placed) = (account.clone(), mailbox.clone(), row.clone());
    let directory = vp.settings.directory.clone();
    let replaced = app
        .db
        .write(move |conn| {
            let proofs = store::evidence::of_account(conn, &owner)?;
            let controls = proofs.iter().any(|proof| {
                let controls = match proof.fact() {
                    Fact::MailboxControl(mailbox) => *mailbox == controlled,
                    _ => proof.controls(controlled.domain()),
                };
                controls && proof.is_fresh(now)
            });
            if !controls {
                return Err(Error::VpNotManaged {
                    mailbox: placed.mailbox.clone(),
                });
            }
            let seats = plans::of_account(conn, &owner, now)?.employee_seats();
            let holders = store::vp_orders::holders(conn, owner.as_ref(), now.unix())?;
            let taken = u64::try_from(holders.len()).unwrap_or(u64::MAX);
            if taken >= seats && !holders.contains(&placed.mailbox) {
                return Err(Error::VpSeatsTaken { seats });
            }
            let replaced = store::vp_orders::current(conn, owner.as_ref(), &placed.mailbox, now.unix())?;
            store::vp_orders::insert(conn, &placed)?;
            let details = json!({
                "order": placed.id,
                "account": placed.account_id,
                "mailbox": placed.mailbox,
                "directory": directory,
                "replaces": replaced.as_ref().and_then(|row| row.serial.clone()),
            });
            audit::append(conn, now, &placed.requested_by, Action::VpOrderPlaced, &details)?;
            Ok(replaced)
        })
        .await?;

    let replaces = replaced
        .and_then(|row| row.chain_pem)
        .and_then(|chain| renewal_name(&chain));
    let mut changed = row.clone();
    let ordered = async {
        let client = vp.connect().await?;
        let profile = vp.settings.profile.as_deref();
        client.new_order(mailbox.as_ref(), profile, replaces.as_deref()).await
    };
    match ordered.await {
        Ok((url, order)) => {
            changed.order_url = Some(url);
            changed.authorization_url = order.authorizations.into_iter().next();
            changed.state = migrations::AsText(VpState::Waiting);
        }
        Err(problem) => {
            changed.problem = Some(error::chain(&problem));
            changed.state = migrations::AsText(VpState::Invalid);
        }
    }
    write(app, changed.clone(), VpState::Placing).await?;
    if let Some(problem) = changed.problem {
        return Err(Error::VpRefused { reason: problem });
    }
    go_on(app, account, &row.id).await
}

/// Takes the challenge mail that the mailbox got, and gives back the reply that has to be sent from there, signed with DKIM
/// by whoever sends it.
pub async fn answer(app: &Arc<App>, account: &AccountId, id: &str, mail: &[u8]) -> Result<Vec<u8>, Error> {
    let vp = app.vp()?;
    let row = load(app, account, id).await?;
    let refuse = |reason: String| Error::VpChallenge { reason };
    let Some(url) = row
        .authorization_url
        .clone()
        .filter(|_| row.state.0 == VpState::Waiting)
    else {
        return Err(refuse(format!("the order is {} and waits for no mail", row.state.0)));
    };
    if mail.len() > LARGEST_MAIL {
        return Err(refuse(format!("it is larger than {LARGEST_MAIL} octets")));
    }
    let mailbox = mailbox_of(&row)?;
    let client = vp.connect().await.map_err(Error::Vp)?;
    let authorization = client.authorization(&url).await.map_err(Error::Vp)?;
    let challenge = by_mail(&authorization).ok_or_else(|| refuse("it offers no challenge by mail".to_owned()))?;
    let now = app.now();
    let id = data_encoding::HEXLOWER.encode(&app.random::<16>());
    let message_id = format!("<{id}@{}>", mailbox.domain());
    let reply = reply::write(&vp.verifier, &client, challenge, &mailbox, mail, &message_id, now)
        .await
        .map_err(|problem| refuse(error::chain(&problem)))?;
    // The reply is worth nothing to anybody else: it says what only this account's key makes of both halves.
    client.ready(&challenge.url).await.map_err(Error::Vp)?;
    let mut changed = row;
    changed.answered_at = Some(now.unix());
    write(app, changed, VpState::Waiting).await?;
    Ok(reply)
}

/// Asks the other authority how an order is, and does what can be done: finalize it, fetch the certificate.
pub async fn go_on(app: &Arc<App>, account: &AccountId, id: &str) -> Result<VpOrder, Error> {
    let vp = app.vp()?;
    let row = load(app, account, id).await?;
    let is_open = matches!(row.state.0, VpState::Waiting | VpState::Processing);
    let Some(url) = row.order_url.clone().filter(|_| is_open) else {
        return VpOrder::from_row(row);
    };
    let from = row.state.0;
    let changed = match step(vp, &row, &url).await {
        Ok(changed) => changed,
        Err(StepError::Client(problem)) if problem.is_temporary() => return Err(Error::Vp(problem)),
        Err(problem) => {
            let mut changed = row;
            changed.state = migrations::AsText(VpState::Invalid);
            changed.problem = Some(error::chain(&problem));
            changed
        }
    };
    write(app, changed, from).await?;
    VpOrder::from_row(load(app, account, id).await?)
}

#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error("the other authority was of no use")]
    Client(#[from] super::client::ClientError),
    #[error("the other authority gave the order up: {0}")]
    GivenUp(String),
    #[error("the certificate is not what was ordered: {0}")]
    Certificate(&'static str),
}

async fn step(vp: &Vp, row: &VpOrderRow, url: &str) -> Result<VpOrderRow, StepError> {
    let client = vp.connect().await?;
    let mut changed = row.clone();
    let mut order = client.order(url).await?;
    if order.status == "pending"
        && let Some(url) = &row.authorization_url
    {
        // Reading it has the challenge mail sent, with ours as with others.
        let authorization = client.authorization(url).await?;
        if authorization.status == "invalid" {
            let reason = by_mail(&authorization).and_then(|challenge| challenge.error.clone());
            return Err(StepError::GivenUp(told(reason)));
        }
    }
    if order.status == "ready" {
        order = client.finalize(&order.finalize, &row.request).await?;
    }
    match (order.status.as_str(), &order.certificate) {
        ("valid", Some(url)) => {
            let chain = client.certificate(url).await?;
            let (serial, not_after) = check(&chain, row).map_err(StepError::Certificate)?;
            changed.chain_pem = Some(chain);
            changed.serial = Some(serial);
            changed.not_after = Some(not_after);
            changed.state = migrations::AsText(VpState::Valid);
        }
        ("pending", _) => {}
        ("processing" | "ready" | "valid", _) => changed.state = migrations::AsText(VpState::Processing),
        _ => return Err(StepError::GivenUp(told(order.error))),
    }
    Ok(changed)
}

fn by_mail(authorization: &Authorization) -> Option<&Challenge> {
    authorization
        .challenges
        .iter()
        .find(|challenge| challenge.kind == "email-reply-00")
}

fn told(problem: Option<serde_json::Value>) -> String {
    let detail = problem
        .as_ref()
        .and_then(|problem| problem["detail"].as_str())
        .unwrap_or("it does not say why");
    detail
        .chars()
        .filter(|character| !character.is_control())
        .take(300)
        .collect()
}

/// That the first certificate of a chain is for the key and the mailbox of the order; its serial number and its end.
fn check(chain: &str, row: &VpOrderRow) -> Result<(String, i64), &'static str> {
    let unreadable = "it cannot be read";
    let certificates = Certificate::load_pem_chain(chain.as_bytes()).map_err(|_| unreadable)?;
    let leaf = certificates.first().ok_or("the chain is empty")?.tbs_certificate();
    let request = CertificateRequest::parse(&row.request).map_err(|_| "its request cannot be read")?;
    if leaf.subject_public_key_info() != request.public_key() {
        return Err("it is for another key");
    }
    let names = leaf
        .get_extension::<SubjectAltName>()
        .ok()
        .flatten()
        .ok_or("it has no names")?
        .1;
    let mailbox = Mailbox::parse(&row.mailbox).map_err(|_| unreadable)?;
    let names_it = names.0.iter().any(|name| match MailboxName::from_general_name(name) {
        Ok(Some(name)) => Mailbox::from_subject_alternative_name(&name).is_ok_and(|named| named == mailbox),
        _ => false,
    });
    if !names_it {
        return Err("it is for another mailbox");
    }
    let serial = data_encoding::HEXLOWER.encode(leaf.serial_number().as_bytes());
    let not_after = leaf.validity().not_after.to_unix_duration().as_secs();
    Ok((serial, i64::try_from(not_after).unwrap_or(i64::MAX)))
}

/// `base64url(keyIdentifier).base64url(serialNumber)` of the first certificate of a chain (RFC 9773 section 4.1).
pub(super) fn renewal_name(chain: &str) -> Option<String> {
    let certificates = Certificate::load_pem_chain(chain.as_bytes()).ok()?;
    let leaf = certificates.first()?.tbs_certificate();
    let (_, issuer) = leaf.get_extension::<AuthorityKeyIdentifier>().ok()??;
    let encode = |octets: &[u8]| data_encoding::BASE64URL_NOPAD.encode(octets);
    Some(format!(
        "{}.{}",
        encode(issuer.key_identifier?.as_bytes()),
        encode(leaf.serial_number().as_bytes())
    ))
}

/// From when to when the other authority wants a certificate renewed (RFC 9773); `None` when it does not say.
pub async fn renewal_window(app: &Arc<App>, order: &VpOrder) -> Result<Option<(String, String)>, Error> {
    let Some(name) = order.chain_pem.as_deref().and_then(renewal_name) else {
        return Ok(None);
    };
    let client = app.vp()?.connect().await.map_err(Error::Vp)?;
    client.renewal_window(&name).await.map_err(Error::Vp)
}

/// Has a certificate revoked, and frees its seat. `reason` is a number of RFC 5280 section 5.3.1.
pub async fn revoke(app: &Arc<App>, account: &AccountId, id: &str, reason: u8) -> Result<VpOrder, Error> {
    let vp = app.vp()?;
    let row = load(app, account, id).await?;
    let chain = row
        .chain_pem
        .clone()
        .filter(|_| row.revoked_at.is_none())
        .ok_or_else(|| Error::StateChanged {
            kind: "order at another authority",
            id: id.to_owned(),
            expected: "valid",
        })?;
    let leaf = Certificate::load_pem_chain(chain.as_bytes())
        .ok()
        .and_then(|chain| chain.into_iter().next())
        .ok_or_else(|| Error::Row {
            kind: "order at another authority",
            id: id.to_owned(),
            reason: "its certificate cannot be read".to_owned(),
        })?;
    let der = leaf.to_der().map_err(Error::encoding("the certificate"))?;
    let client = vp.connect().await.map_err(Error::Vp)?;
    client.revoke(&der, reason).await.map_err(Error::Vp)?;
    let mut changed = row;
    changed.revoked_at = Some(app.now().unix());
    write(app, changed, VpState::Valid).await?;
    VpOrder::from_row(load(app, account, id).await?)
}

/// An order of the account, as it was when it was last asked for.
pub async fn find(app: &App, account: &AccountId, id: &str) -> Result<VpOrder, Error> {
    VpOrder::from_row(load(app, account, id).await?)
}

/// The newest orders of an account.
pub async fn list(app: &App, account: &AccountId) -> Result<Vec<VpOrder>, Error> {
    let account = account.to_string();
    let rows = app
        .db
        .read(move |conn| Ok::<_, Error>(store::vp_orders::of_account(conn, &account, MOST_LISTED)?))
        .await?;
    rows.into_iter().map(VpOrder::from_row).collect()
}

async fn load(app: &App, account: &AccountId, id: &str) -> Result<VpOrderRow, Error> {
    let (account, wanted) = (account.to_string(), id.to_owned());
    app.db
        .read(move |conn| Ok::<_, Error>(store::vp_orders::find(conn, &account, &wanted)?))
        .await?
        .ok_or_else(|| Error::NotFound {
            kind: "order at another authority",
            id: id.to_owned(),
        })
}

/// Writes what has become of an order, with its audit entry when the state is another one.
async fn write(app: &App, row: VpOrderRow, from: VpState) -> Result<(), Error> {
    let now = app.now();
    app.db
        .write(move |conn| {
            if !store::vp_orders::change(conn, &row, from)? {
                return Err(Error::StateChanged {
                    kind: "order at another authority",
                    id: row.id.clone(),
                    expected: "as it was read",
                });
            }
            if row.state.0 == from && row.revoked_at.is_none() {
                return Ok(());
            }
            let details = json!({
                "order": row.id,
                "account": row.account_id,
                "state": row.state.0.as_ref(),
                "serial": row.serial,
                "revoked": row.revoked_at.is_some(),
                "problem": row.problem,
            });
            audit::append(conn, now, ACTOR, Action::VpOrderChanged, &details)
        })
        .await
}

/// An order that is not finished by then holds no seat any more.
const LIFETIME: Span = Span::days(7);
const LARGEST_MAIL: usize = 256 * 1024;
const MOST_LISTED: i64 = 500;
const ACTOR: &str = "vp-connector";
