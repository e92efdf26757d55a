//! Orders as ACME knows them (RFC 8555 section 7.4), each with one mailbox and, once finalized, one order of ours.

use std::sync::Arc;

use policies::evidence::{Evidence, Fact};
use policies::key_use::KeyUse;
use policies::mailbox::Mailbox;
use policies::tier::Generation;
use policies::time::{Span, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::Account;
use super::authorization::{self, Authorization};
use super::problem::{ErrorType, Outcome, Problem, Refusal};
use super::renewal::CertificateId;
use super::request::ByAccount;
use super::resource::Resource;
use crate::accounts::Operator;
use crate::app::App;
use crate::audit::{self, Action};
use crate::error::Error;
use crate::issuance::record::is_corroborated;
use crate::orders::request::CertificateRequest;
use crate::orders::{self, NewOrder, OrderState, TierChoice};
use crate::store;
use crate::store::acme_authorizations::{AuthorizationRow, AuthorizationState};
use crate::store::acme_orders::AcmeOrderRow;

/// An order, and what it has come to.
#[derive(Clone, Debug)]
pub(crate) struct AcmeOrder {
    row: AcmeOrderRow,
    authorization: Authorization,
    status: Status,
}

/// RFC 8555 section 7.1.6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Control of the mailbox is not proved yet.
    Pending,
    /// It is, and the certificate request is awaited.
    Ready,
    /// The certificate is being made, or evidence for its tier is awaited.
    Processing,
    Valid {
        chain_pem: String,
    },
    Invalid(Problem),
}

impl Status {
    fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Processing => "processing",
            Self::Valid { .. } => "valid",
            Self::Invalid(_) => "invalid",
        }
    }
}

impl AcmeOrder {
    pub(crate) fn id(&self) -> &str {
        &self.row.id
    }

    pub(crate) fn status(&self) -> &Status {
        &self.status
    }

    /// The resource of RFC 8555 section 7.1.3.
    pub(crate) fn to_json(&self, app: &App) -> Value {
        let id = &self.row.id;
        let mut order = json!({
            "status": self.status.name(),
            "expires": Timestamp::from_unix(self.row.expires_at).to_string(),
            "identifiers": [{"type": "email", "value": self.row.mailbox}],
            "profile": self.row.tier,
            "authorizations": [Resource::Authorization(&self.authorization.id).url(app)],
            "finalize": Resource::Finalize(id).url(app),
        });
        if let Some(object) = order.as_object_mut() {
            match &self.status {
                Status::Valid { .. } => {
                    object.insert("certificate".to_owned(), json!(Resource::Certificate(id).url(app)));
                }
                Status::Invalid(problem) => {
                    object.insert("error".to_owned(), super::problem_json(problem));
                }
                Status::Pending | Status::Ready | Status::Processing => {}
            }
        }
        order
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewAcmeOrder {
    identifiers: Vec<Identifier>,
    not_before: Option<Value>,
    not_after: Option<Value>,
    profile: Option<String>,
    replaces: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

/// Places an order (RFC 8555 section 7.4): for one mailbox, since a certificate of ours names one.
pub(crate) async fn create(app: &Arc<App>, request: &ByAccount) -> Outcome<AcmeOrder> {
    let new: NewAcmeOrder = request.read()?;
    let mailbox = check_identifiers(&new.identifiers)?;
    if new.not_before.is_some() || new.not_after.is_some() {
        return Err(Refusal::malformed(
            "the profile of the authority decides how long a certificate is valid: leave notBefore and notAfter out",
        ));
    }
    let tier = match new.profile.as_deref() {
        None => TierChoice::Best,
        Some(name) => profile(name).ok_or_else(|| {
            Refusal::new(
                ErrorType::InvalidProfile,
                "there is no such profile: the directory lists those there are",
            )
        })?,
    };
    let account = &request.account;
    let replaces = match &new.replaces {
        None => None,
        Some(text) => Some(find_replaced(app, account, text, &mailbox).await?),
    };

    let now = app.now();
    let reply_tag = data_encoding::HEXLOWER.encode(&app.random::<16>());
    let token_part2 = data_encoding::BASE64URL_NOPAD.encode(&app.random::<24>());
    let (order_id, authorization_id) = (app.new_id("aor"), app.new_id("aut"));
    let caller = account.caller();
    let (acme_account, owner) = (account.id.clone(), account.owner.clone());
    let standard = app.perspectives.standard();
    let expires_at = now.plus(LIFETIME).unix();
    let wanted = order_id.clone();
    let placed: Outcome<()> = app
        .db
        .write(move |conn| {
            refuse_flood(conn, &acme_account, replaces.is_some(), now)?;
            if let Some(certificate) = &replaces {
                refuse_second_replacement(conn, certificate, now)?;
            }
            let order = AcmeOrderRow {
                id: order_id.clone(),
                acme_account_id: acme_account.clone(),
                mailbox: mailbox.to_string(),
                tier: tier.to_string().to_ascii_lowercase(),
                order_id: None,
                replaces: replaces.clone(),
                problem: None,
                created_at: now.unix(),
                expires_at,
            };
            store::acme_orders::insert(conn, &order)?;
            // What the account has proved in another way, and what still counts, need not be proved again (BR 4.2.1).
            let proved = store::evidence::of_account(conn, &owner)?;
            let mut is_proved = false;
            for evidence in proved.iter().filter(|evidence| proves_control(evidence, &mailbox, now)) {
                is_proved |= is_corroborated(conn, standard, evidence.id(), evidence.method())?;
            }
            let authorization = AuthorizationRow {
                id: authorization_id.clone(),
                acme_account_id: acme_account.clone(),
                acme_order_id: order.id.clone(),
                mailbox: order.mailbox.clone(),
                state: migrations::AsText(match is_proved {
                    true => AuthorizationState::Valid,
                    false => AuthorizationState::Pending,
                }),
                created_at: now.unix(),
                expires_at,
                reply_tag: reply_tag.clone(),
                token_part1: None,
                token_part2: token_part2.clone(),
                message_id: None,
                mailed_at: None,
                client_ready_at: None,
                validated_at: is_proved.then_some(now.unix()),
                evidence_id: None,
                problem: None,
            };
            store::acme_authorizations::insert(conn, &authorization)?;
            let details = json!({
                "acme_order": order.id,
                "acme_account": order.acme_account_id,
                "mailbox": order.mailbox,
                "profile": order.tier,
                "replaces": order.replaces,
                "control_proved_before": is_proved,
            });
            let actor = caller.principal_id.to_string();
            audit::append(conn, now, &actor, Action::AcmeOrderPlaced, &details)?;
            Ok(())
        })
        .await;
    placed?;
    find(app, account, &wanted).await
}

/// Exactly one, of the type email, without a wildcard (RFC 8823 section 3).
fn check_identifiers(identifiers: &[Identifier]) -> Outcome<Mailbox> {
    let [identifier] = identifiers else {
        return Err(Refusal::new(
            ErrorType::RejectedIdentifier,
            "an order is for exactly one identifier, since a certificate of this authority names one mailbox",
        ));
    };
    if identifier.kind != "email" {
        return Err(Refusal::new(
            ErrorType::UnsupportedIdentifier,
            "this authority certifies identifiers of the type email (RFC 8823); a domain is authorized by newAuthz",
        ));
    }
    let rejected = |why: String| Refusal::new(ErrorType::RejectedIdentifier, why);
    if identifier.value.contains('*') {
        return Err(rejected(
            "an e-mail address has no wildcard (RFC 8823 section 3)".to_owned(),
        ));
    }
    let mailbox = Mailbox::parse(&identifier.value)
        .map_err(|error| rejected(format!("the value is not an e-mail address: {error}")))?;
    if !mailbox.is_ascii_local() {
        return Err(rejected(
            "the part before the \"@\" must be ASCII for a challenge mail to reach every server".to_owned(),
        ));
    }
    Ok(mailbox)
}

/// Which tier a profile of the directory stands for.
fn profile(name: &str) -> Option<TierChoice> {
    let known = PROFILES.into_iter().any(|(known, _)| known == name);
    known
        .then(|| name.to_ascii_uppercase().replace("BEST", "best").parse().ok())
        .flatten()
}

fn proves_control(evidence: &Evidence, mailbox: &Mailbox, now: Timestamp) -> bool {
    let proves = match evidence.fact() {
        Fact::MailboxControl(proved) => proved == mailbox,
        // A proof on a website is for one name, one in the DNS for those below it as well.
        _ => evidence.controls(mailbox.domain()),
    };
    proves && evidence.is_fresh(now)
}

/// The certificate that a renewal names: one of this account, for the same mailbox (RFC 9773 section 5).
async fn find_replaced(app: &App, account: &Account, text: &str, mailbox: &Mailbox) -> Outcome<String> {
    let id = CertificateId::parse(text)?;
    let serial = id
        .serial_of(app)
        .ok_or_else(|| Refusal::malformed("replaces names a certificate of another issuer than this authority's"))?;
    let (issuer, acme_account) = (app.issuers.issuing.id.clone(), account.id.clone());
    let found = app
        .db
        .read(move |conn| {
            let Some(row) = store::certificates::find_by_serial(conn, &issuer, &serial)? else {
                return Ok::<_, Error>(None);
            };
            let own = store::acme_orders::has_ordered(conn, &acme_account, &row.order_id)?;
            Ok(own.then_some(row))
        })
        .await?;
    match found {
        Some(row) if row.mailbox == mailbox.as_ref() => Ok(row.id),
        Some(_) => Err(Refusal::malformed(
            "replaces names a certificate for another identifier",
        )),
        None => Err(Refusal::unauthorized("replaces names no certificate of this account")),
    }
}

/// RFC 9773 section 5: one certificate is replaced once, unless the first attempt failed.
fn refuse_second_replacement(conn: &mut migrations::AnyConnection, certificate: &str, now: Timestamp) -> Outcome<()> {
    for (row, state) in store::acme_orders::replacing(conn, certificate)? {
        let failed = row.problem.is_some() || state.as_deref() == Some("invalid");
        let given_up = row.order_id.is_none() && row.expires_at <= now.unix();
        let refused = row.order_id.is_none()
            && store::acme_authorizations::of_order(conn, &row.id)?.is_some_and(|authorization| {
                matches!(
                    authorization.state.0,
                    AuthorizationState::Invalid | AuthorizationState::Deactivated
                )
            });
        if !failed && !given_up && !refused {
            return Err(Refusal::new(
                ErrorType::AlreadyReplaced,
                format!("the order {} replaces this certificate already", row.id),
            ));
        }
    }
    Ok(())
}

/// So many orders in a while, and so many that wait; a renewal is never held up.
fn refuse_flood(
    conn: &mut migrations::AnyConnection,
    acme_account: &str,
    is_renewal: bool,
    now: Timestamp,
) -> Outcome<()> {
    let waiting = store::acme_authorizations::count_pending(conn, acme_account, now.unix())?;
    if waiting >= MOST_PENDING {
        return Err(Refusal::Limited {
            detail: format!("{MOST_PENDING} authorizations of this account wait: answer or deactivate some of them"),
            retry_after: 3600,
        });
    }
    if is_renewal {
        return Ok(());
    }
    let since = now.minus(ORDER_WINDOW).unix();
    let placed = store::acme_orders::placed_since(conn, acme_account, since, MOST_ORDERS)?;
    match placed.last() {
        Some(oldest) if i64::try_from(placed.len()).unwrap_or(i64::MAX) >= MOST_ORDERS => Err(Refusal::Limited {
            detail: format!("this account has placed {MOST_ORDERS} orders within {ORDER_WINDOW}"),
            retry_after: (oldest - since).max(1),
        }),
        _ => Ok(()),
    }
}

/// An order of this account; those of others do not exist.
pub(crate) async fn find(app: &Arc<App>, account: &Account, id: &str) -> Outcome<AcmeOrder> {
    let (acme_account, wanted) = (account.id.clone(), id.to_owned());
    let found = app
        .db
        .read(move |conn| {
            let Some(row) = store::acme_orders::find(conn, &acme_account, &wanted)? else {
                return Ok::<_, Error>(None);
            };
            let authorization = store::acme_authorizations::of_order(conn, &row.id)?;
            Ok(authorization.map(|authorization| (row, authorization)))
        })
        .await?;
    let (row, authorization) = found.ok_or(Refusal::NotFound)?;
    let authorization = Authorization::from_row(authorization, app.now());
    let status = status(app, account, &row, &authorization).await?;
    Ok(AcmeOrder {
        row,
        authorization,
        status,
    })
}

async fn status(
    app: &Arc<App>,
    account: &Account,
    row: &AcmeOrderRow,
    authorization: &Authorization,
) -> Outcome<Status> {
    use super::authorization::Status as Proof;
    if let Some(problem) = &row.problem {
        return Ok(Status::Invalid(Problem::from_text(problem)));
    }
    if let Some(order) = &row.order_id {
        let order = orders::find_and_go_on(app, &account.caller(), order).await?;
        return Ok(match order.state {
            OrderState::Pending { .. } | OrderState::Issuing => Status::Processing,
            OrderState::Valid { chain_pem, .. } => Status::Valid { chain_pem },
            OrderState::Invalid { problem } => Status::Invalid(Problem::new(ErrorType::RejectedIdentifier, problem)),
        });
    }
    let expired = || Problem::new(ErrorType::Malformed, "the order was not finalized in time");
    Ok(match &authorization.status {
        _ if app.now().unix() >= row.expires_at => Status::Invalid(expired()),
        Proof::Pending => Status::Pending,
        Proof::Valid => Status::Ready,
        Proof::Invalid(problem) => Status::Invalid(problem.clone()),
        Proof::Expired => Status::Invalid(expired()),
        Proof::Deactivated => Status::Invalid(Problem::new(
            ErrorType::Unauthorized,
            "the client has deactivated the authorization",
        )),
    })
}

#[derive(Debug, Deserialize)]
struct Finalization {
    csr: String,
}

/// Takes the certificate request of an order that is ready (RFC 8555 section 7.4) and issues, as every order is issued.
pub(crate) async fn finalize(app: &Arc<App>, request: &ByAccount, id: &str) -> Outcome<AcmeOrder> {
    let account = &request.account;
    let order = find(app, account, id).await?;
    if order.status != Status::Ready {
        return Err(Refusal::new(
            ErrorType::OrderNotReady,
            format!("the order is {}, not ready", order.status.name()),
        ));
    }
    let finalization: Finalization = request.read()?;
    let bad = |detail: &str| Refusal::new(ErrorType::BadCsr, detail);
    let csr = data_encoding::BASE64URL_NOPAD
        .decode(finalization.csr.as_bytes())
        .map_err(|_| bad("csr is not base64url without padding"))?;
    let mailbox = Mailbox::parse(&order.row.mailbox).map_err(|error| {
        Refusal::Authority(Error::Row {
            kind: "ACME order",
            id: id.to_owned(),
            reason: error.to_string(),
        })
    })?;
    let parsed = CertificateRequest::parse(&csr)?;
    parsed.must_name_only(&mailbox)?;
    // RFC 8823 section 3: the request says by its keyUsage what the certificate is to be for.
    let key_use = parsed.key_use()?.unwrap_or(KeyUse::Both);
    let key = super::jwk::Jwk::from_public_key(parsed.public_key());
    if key.is_some_and(|key| key.is(&account.key)) {
        // RFC 8555 section 11.1.
        return Err(bad("the key of the account cannot be certified: make another one"));
    }

    let tier = profile(&order.row.tier).unwrap_or(TierChoice::Best);
    let new = NewOrder {
        mailbox,
        tier,
        generation: Generation::Strict,
        key_use,
        certificate_request: csr,
        idempotency_key: None,
    };
    let evidence = order.authorization.evidence_id.clone();
    let acme_order = order.row.id.clone();
    let tie = move |conn: &mut migrations::AnyConnection, order_id: &str| {
        if !store::acme_orders::finalize(conn, &acme_order, order_id)? {
            return Err(Error::StateChanged {
                kind: "ACME order",
                id: acme_order.clone(),
                expected: "ready",
            });
        }
        match &evidence {
            Some(evidence) => Ok(store::acme_orders::tie_evidence(conn, evidence, order_id)?),
            None => Ok(()),
        }
    };
    match orders::place_and_tie(app, &account.caller(), new, tie).await {
        Ok(_) => {}
        Err(Error::StateChanged { kind: "ACME order", .. }) => {
            return Err(Refusal::new(
                ErrorType::OrderNotReady,
                "the order was finalized by another request",
            ));
        }
        Err(error) => {
            // Either nothing was placed, and this is why; or it was, and it is gone on with when the client polls.
            if find(app, account, id).await?.row.order_id.is_none() {
                return Err(error.into());
            }
            let error = crate::error::chain(&error);
            tracing::error!(acme_order = id, error, "could not issue at once; the order goes on");
        }
    }
    find(app, account, id).await
}

/// The certificate and what is above it, in PEM (RFC 8555 section 7.4.2).
pub(crate) async fn chain(app: &Arc<App>, account: &Account, id: &str) -> Outcome<String> {
    match find(app, account, id).await?.status {
        Status::Valid { chain_pem } => Ok(chain_pem),
        _ => Err(Refusal::NotFound),
    }
}

/// A page of the URLs of an account's orders, and where the next one begins (RFC 8555 section 7.1.2.1).
pub(crate) async fn page(app: &App, account: &Account, cursor: Option<&str>) -> Outcome<(Vec<String>, Option<String>)> {
    let before = match cursor {
        None => None,
        Some(cursor) => {
            let (at, id) = cursor.split_once('.').ok_or(Refusal::NotFound)?;
            Some((at.parse().map_err(|_| Refusal::NotFound)?, id.to_owned()))
        }
    };
    let acme_account = account.id.clone();
    let rows = app
        .db
        .read(move |conn| {
            let page = store::acme_orders::page(conn, Some(&acme_account), before.clone(), PAGE)?;
            Ok::<_, Error>(page)
        })
        .await?;
    let next = match rows.last() {
        Some(last) if i64::try_from(rows.len()).unwrap_or(0) == PAGE => {
            Some(format!("{}.{}", last.created_at, last.id))
        }
        _ => None,
    };
    let urls = rows.iter().map(|row| Resource::Order(&row.id).url(app)).collect();
    Ok((urls, next))
}

/// An order as operators see it.
#[derive(Clone, Debug)]
pub struct ListedOrder {
    pub id: String,
    pub acme_account: String,
    pub mailbox: String,
    pub profile: String,
    /// The order of ours that finalizing placed.
    pub order: Option<String>,
    pub created_at: Timestamp,
}

/// The newest orders, of one ACME account or of all.
pub(crate) async fn list(app: &App, _: Operator<'_>, acme_account: Option<&str>) -> Result<Vec<ListedOrder>, Error> {
    let acme_account = acme_account.map(str::to_owned);
    let rows = app
        .db
        .read(move |conn| {
            let rows = store::acme_orders::page(conn, acme_account.as_deref(), None, MOST_LISTED)?;
            Ok::<_, Error>(rows)
        })
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| ListedOrder {
            id: row.id,
            acme_account: row.acme_account_id,
            mailbox: row.mailbox,
            profile: row.tier,
            order: row.order_id,
            created_at: Timestamp::from_unix(row.created_at),
        })
        .collect())
}

/// An authorization lives as long as its order, and the Random Value in it no longer (BR 3.2.2.4: 24 hours).
pub(crate) const LIFETIME: Span = authorization::LIFETIME;
/// What the directory offers (draft-ietf-acme-profiles), each with what it stands for.
pub(crate) const PROFILES: [(&str, &str); 5] = [
    ("best", "the highest tier that the account's evidence and plan allow"),
    ("v1", "V1: a mailbox"),
    ("v2", "V2: a person"),
    ("v3", "V3: an organization"),
    ("v4", "V4: an employee of an organization"),
];
const ORDER_WINDOW: Span = Span::hours(3);
const MOST_ORDERS: i64 = 300;
const MOST_PENDING: i64 = 100;
const PAGE: i64 = 50;
const MOST_LISTED: i64 = 1000;
