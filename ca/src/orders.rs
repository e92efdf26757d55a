//! Orders: a request for one certificate, and what became of it.
//!
//! An order is placed by a member or gateway of an account. If the account's evidence suffices the certificate is
//! issued at once; otherwise the order waits and says what is missing, and [`retry`] is called when evidence arrives.

pub(crate) mod request;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use migrations::AsText;
use policies::key_use::KeyUse;
use policies::mailbox::Mailbox;
use policies::tier::{Generation, Tier};
use policies::time::{Span, Timestamp};
use spki::SubjectPublicKeyInfoOwned;

use crate::accounts::{AccountId, Caller, Role};
use crate::app::{App, on_blocking_thread};
use crate::audit::{self, Action};
use crate::certificates;
use crate::error::Error;
use crate::issuance;
use crate::store;
use crate::store::orders::{Move, OrderRow};
use crate::subject_keys;
use request::CertificateRequest;

/// What a caller wants.
#[derive(Clone, Debug)]
pub struct NewOrder {
    pub mailbox: Mailbox,
    pub tier: TierChoice,
    pub generation: Generation,
    pub key_use: KeyUse,
    /// PKCS#10 in DER, signed with the key that is to be certified.
    pub certificate_request: Vec<u8>,
    /// Placing the same order with the same key again returns the first one.
    pub idempotency_key: Option<String>,
}

/// Places an order and issues at once if the evidence suffices.
///
/// The returned order is `Valid`, or `Pending` with what is missing, or `Invalid` with the lint that refused it.
///
/// # Errors
/// The request or its key is not usable, or the key may not be certified (BR 6.1.1.3), the idempotency key stands for another order, or the caller has no account.
/// After any other error the order stays pending and may be placed again with the same idempotency key.
pub async fn place(app: &Arc<App>, caller: &Caller, request: NewOrder) -> Result<Order, Error> {
    place_and_tie(app, caller, request, |_, _| Ok(())).await
}

/// As [`place`]. `tie` runs in the transaction that places the order, with its identifier: what it writes belongs to the
/// order from the beginning, and when it fails nothing is placed.
pub(crate) async fn place_and_tie(
    app: &Arc<App>,
    caller: &Caller,
    request: NewOrder,
    mut tie: impl FnMut(&mut migrations::AnyConnection, &str) -> Result<(), Error> + Send + 'static,
) -> Result<Order, Error> {
    let account = match (caller.role, &caller.account) {
        (Role::Subscriber | Role::Gateway, Some(account)) => account.clone(),
        _ => {
            return Err(Error::NotAllowed {
                role: caller.role.to_string(),
                name: caller.name.clone(),
                action: "order certificates",
            });
        }
    };
    if let Some(key) = &request.idempotency_key {
        check_idempotency_key(key)?;
    }
    let parsed = CertificateRequest::parse(&request.certificate_request)?;
    // For a quick answer; what counts is decided where the certificate is recorded.
    app.weak_keys.check(parsed.public_key())?;
    let (key, asking) = (subject_keys::spki_sha256(parsed.public_key())?, account.clone());
    app.db
        .read(move |conn| subject_keys::check(conn, &key, &asking))
        .await?;

    let now = app.now();
    let request_der = request.certificate_request.clone();
    let row = OrderRow {
        id: app.new_id("ord"),
        account_id: account.as_ref().to_owned(),
        requested_by: caller.principal_id.to_string(),
        idempotency_key: request.idempotency_key,
        mailbox: request.mailbox.to_string(),
        tier: request.tier.to_string(),
        generation: request.generation.to_string(),
        certificate_request: request.certificate_request,
        state: PENDING.to_owned(),
        certificate_id: None,
        problem: None,
        created_at: now.unix(),
        updated_at: now.unix(),
        key_use: AsText(request.key_use),
    };
    let row = app
        .db
        .write_together(move |conn| {
            let placed = insert_or_find(conn, &row, now)?;
            if placed.id == row.id {
                tie(conn, &row.id)?;
            }
            Ok::<_, Error>(placed)
        })
        .await?;
    let known = (row.certificate_request == request_der).then_some(parsed);
    attempt(app, row, known).await
}

/// Inserts the order, or returns the one that was placed with the same idempotency key.
fn insert_or_find(conn: &mut migrations::AnyConnection, row: &OrderRow, now: Timestamp) -> Result<OrderRow, Error> {
    if let Some(key) = &row.idempotency_key
        && let Some(earlier) = store::orders::find_by_idempotency_key(conn, &row.account_id, key)?
    {
        let same = earlier.mailbox == row.mailbox
            && earlier.tier == row.tier
            && earlier.generation == row.generation
            && earlier.key_use == row.key_use
            && earlier.certificate_request == row.certificate_request;
        return match same {
            true => Ok(earlier),
            false => Err(Error::IdempotencyKeyReused {
                key: key.clone(),
                order: earlier.id,
            }),
        };
    }
    let waiting = store::orders::count_in_state(conn, &row.account_id, PENDING)?;
    if waiting >= MOST_WAITING {
        return Err(Error::TooMany {
            what: "orders of this account that wait for evidence",
            limit: usize::try_from(MOST_WAITING).unwrap_or(usize::MAX),
            advice: "provide the evidence that they name, or wait until they are given up",
        });
    }
    store::orders::insert(conn, row)?;
    let details = serde_json::json!({
        "order": row.id,
        "account": row.account_id,
        "mailbox": row.mailbox,
        "tier": row.tier,
        "generation": row.generation,
        "use": row.key_use.0.as_ref(),
    });
    audit::append(conn, now, &row.requested_by, Action::OrderPlaced, &details)?;
    Ok(row.clone())
}

/// Tries to issue what is pending, and returns the order as it is afterwards. `request` is that of the row, if it was
/// parsed a moment ago.
async fn attempt(app: &Arc<App>, row: OrderRow, request: Option<CertificateRequest>) -> Result<Order, Error> {
    if row.state == PENDING {
        let (row, blocking) = (row.clone(), Arc::clone(app));
        on_blocking_thread(move || {
            let request = match request {
                Some(request) => request,
                // The proof of possession is checked again: the database is not trusted to hold what was checked.
                None => CertificateRequest::parse(&row.certificate_request)?,
            };
            settle(&blocking, &PendingOrder::new(&row, &request)?)
        })
        .await?;
    }
    let id = row.id;
    app.db
        .read(move |conn| {
            let row = store::orders::find(conn, &id)?.ok_or_else(|| not_found(&id))?;
            load(conn, row)
        })
        .await
        .map(|loaded| loaded.into_order(app))?
}

/// Issues, or writes down why not.
fn settle(app: &App, order: &PendingOrder) -> Result<(), Error> {
    let issued = match issuance::issue(app, order) {
        // Another order took the last seat meanwhile: the next best tier needs none.
        Err(Error::SeatsTaken { .. }) if order.tier == TierChoice::Best => issuance::issue(app, order),
        first => first,
    };
    let error = match issued {
        Ok(issued) => {
            tracing::info!(order = order.id, serial = issued.serial, "issued a certificate");
            return Ok(());
        }
        Err(error) => error,
    };
    app.counts.refuse(&error);
    let to = match &error {
        Error::EvidenceInsufficient(_)
        | Error::PlanExcludes { .. }
        | Error::SeatsTaken { .. }
        | Error::CaaRefused { .. } => PENDING,
        // The same evidence would give the same certificate again.
        Error::LintRefused { .. }
        | Error::ExternalLintRefused { .. }
        | Error::KeyCompromised { .. }
        | Error::KeyOfAnotherSubscriber
        | Error::KeyListedAsWeak => INVALID,
        // Somebody else is at it: the order shows how far they are.
        Error::StateChanged { kind: "order", .. } => return Ok(()),
        _ => return Err(error),
    };
    let now = app.now();
    let problem = crate::error::chain(&error);
    app.db.write_blocking(|conn| {
        let row = store::orders::find(conn, &order.id)?.ok_or_else(|| not_found(&order.id))?;
        if row.problem.as_deref() == Some(&problem) && row.state == to {
            return Ok(());
        }
        let refused = Move {
            from: PENDING,
            to,
            certificate_id: None,
            problem: Some(&problem),
            at: now.unix(),
        };
        if store::orders::advance(conn, &order.id, refused)? {
            let details = serde_json::json!({ "order": order.id, "state": to, "problem": problem });
            audit::append(conn, now, issuance::ACTOR, Action::OrderRefused, &details)?;
        }
        Ok::<_, Error>(())
    })
}

/// Tries the pending orders of an account again, because evidence has arrived. Failures are logged; the orders that
/// still lack something stay as they are.
pub async fn retry(app: &Arc<App>, account: &AccountId) -> Result<(), Error> {
    let account = account.as_ref().to_owned();
    let rows = app
        .db
        .read(move |conn| Ok::<_, Error>(store::orders::in_state(conn, Some(&account), PENDING, MOST_AT_ONCE)?))
        .await?;
    retry_all(app, rows).await;
    Ok(())
}

/// Tries again what an earlier process was interrupted in.
pub(crate) async fn retry_interrupted(app: &Arc<App>) -> Result<(), Error> {
    let rows = app
        .db
        .read(|conn| Ok::<_, Error>(store::orders::interrupted(conn, MOST_AT_ONCE)?))
        .await?;
    retry_all(app, rows).await;
    Ok(())
}

async fn retry_all(app: &Arc<App>, rows: Vec<OrderRow>) {
    for row in rows {
        let id = row.id.clone();
        if let Err(error) = attempt(app, row, None).await {
            let error = crate::error::chain(&error);
            tracing::warn!(order = id, error, "could not issue for a waiting order");
        }
    }
}

/// Gives up what has waited for so long that nobody counts on it any more. Returns how many orders that were.
pub async fn give_up_old(app: &App) -> Result<usize, Error> {
    let now = app.now();
    let before = now.minus(LONGEST_WAIT).unix();
    app.db
        .write(move |conn| {
            let old = store::orders::pending_since(conn, before, MOST_AT_ONCE)?;
            for row in &old {
                let problem = match &row.problem {
                    Some(problem) => format!("given up after {LONGEST_WAIT}: {problem}"),
                    None => format!("given up after {LONGEST_WAIT}"),
                };
                let given_up = Move {
                    from: PENDING,
                    to: INVALID,
                    certificate_id: None,
                    problem: Some(&problem),
                    at: now.unix(),
                };
                if store::orders::advance(conn, &row.id, given_up)? {
                    let details = serde_json::json!({ "order": row.id, "state": INVALID, "problem": problem });
                    audit::append(conn, now, issuance::ACTOR, Action::OrderRefused, &details)?;
                }
            }
            Ok::<_, Error>(old.len())
        })
        .await
}

/// An order of the caller's account; operators and officers see all.
pub async fn find(app: &App, caller: &Caller, id: &str) -> Result<Order, Error> {
    let account = certificates::visible_account(caller)?.cloned();
    let id = id.to_owned();
    app.db
        .read(move |conn| {
            let found = store::orders::find(conn, &id)?;
            let visible = found.filter(|row| {
                account
                    .as_ref()
                    .is_none_or(|account| row.account_id == account.as_ref())
            });
            load(conn, visible.ok_or_else(|| not_found(&id))?)
        })
        .await
        .map(|loaded| loaded.into_order(app))?
}

/// As [`find`], and goes on with an order whose first attempt failed before it came to an end.
pub(crate) async fn find_and_go_on(app: &Arc<App>, caller: &Caller, id: &str) -> Result<Order, Error> {
    let order = find(app, caller, id).await?;
    if order.state != (OrderState::Pending { problem: None }) {
        return Ok(order);
    }
    let wanted = id.to_owned();
    let row = app
        .db
        .read(move |conn| Ok::<_, Error>(store::orders::find(conn, &wanted)?))
        .await?;
    match row {
        Some(row) => attempt(app, row, None).await,
        None => Ok(order),
    }
}

/// An order, as callers see it.
#[derive(Clone, Debug)]
pub struct Order {
    pub id: String,
    pub account: AccountId,
    pub mailbox: Mailbox,
    pub tier: TierChoice,
    pub generation: Generation,
    pub key_use: KeyUse,
    pub state: OrderState,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Each state carries what is true only then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// Something is missing; `problem` says what, once it was tried.
    Pending { problem: Option<String> },
    /// A certificate is recorded and being signed.
    Issuing,
    Valid {
        /// Lower-case hexadecimal.
        serial: String,
        /// What the certificate has, whatever was asked for.
        tier: Tier,
        /// The certificate and the issuing certificate.
        chain_pem: String,
    },
    /// It will never become a certificate.
    Invalid { problem: String },
}

/// Which tier an order is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierChoice {
    /// The best that the evidence carries when it is issued.
    Best,
    Exactly(Tier),
}

impl fmt::Display for TierChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best => formatter.write_str("best"),
            Self::Exactly(tier) => formatter.write_str(tier.as_ref()),
        }
    }
}

impl FromStr for TierChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "best" => Ok(Self::Best),
            other => match other.parse() {
                Ok(tier) => Ok(Self::Exactly(tier)),
                Err(_) => Err(format!("{other:?} is not a tier: use V1, V2, V3, V4 or best")),
            },
        }
    }
}

/// An order whose parts were parsed again from its row: what issuance works with.
#[derive(Clone, Debug)]
pub(crate) struct PendingOrder {
    pub(crate) id: String,
    pub(crate) account: AccountId,
    pub(crate) requested_by: String,
    pub(crate) mailbox: Mailbox,
    pub(crate) tier: TierChoice,
    pub(crate) generation: Generation,
    pub(crate) key_use: KeyUse,
    pub(crate) public_key: SubjectPublicKeyInfoOwned,
}

impl PendingOrder {
    fn new(row: &OrderRow, request: &CertificateRequest) -> Result<Self, Error> {
        let (mailbox, tier, generation) = parse_texts(row)?;
        Ok(Self {
            id: row.id.clone(),
            account: AccountId::from_stored(row.account_id.clone()),
            requested_by: row.requested_by.clone(),
            mailbox,
            tier,
            generation,
            key_use: row.key_use.0,
            public_key: request.public_key().clone(),
        })
    }
}

/// A row with the certificate it led to.
struct Loaded {
    row: OrderRow,
    certificate: Option<IssuedCertificate>,
}

struct IssuedCertificate {
    serial: String,
    tier: Tier,
    der: Vec<u8>,
}

fn load(conn: &mut migrations::AnyConnection, row: OrderRow) -> Result<Loaded, Error> {
    let certificate = match (&*row.state, &row.certificate_id) {
        (VALID, Some(id)) => store::certificates::find(conn, id)?.and_then(|row| {
            Some(IssuedCertificate {
                serial: row.serial,
                tier: row.tier.0,
                der: row.certificate?,
            })
        }),
        _ => None,
    };
    Ok(Loaded { row, certificate })
}

impl Loaded {
    fn into_order(self, app: &App) -> Result<Order, Error> {
        let Self { row, certificate } = self;
        let unreadable = |reason: &str| Error::Row {
            kind: "order",
            id: row.id.clone(),
            reason: reason.to_owned(),
        };
        let state = match (&*row.state, certificate) {
            (PENDING, _) => OrderState::Pending {
                problem: row.problem.clone(),
            },
            (ISSUING, _) => OrderState::Issuing,
            (VALID, Some(IssuedCertificate { serial, tier, der })) => OrderState::Valid {
                serial,
                tier,
                chain_pem: certificates::chain_pem(app, &der),
            },
            (VALID, None) => return Err(unreadable("it is valid, but its certificate is missing")),
            (INVALID, _) => OrderState::Invalid {
                problem: row.problem.clone().unwrap_or_default(),
            },
            (other, _) => return Err(unreadable(&format!("{other:?} is not a state of an order"))),
        };
        let (mailbox, tier, generation) = parse_texts(&row)?;
        Ok(Order {
            account: AccountId::from_stored(row.account_id.clone()),
            mailbox,
            tier,
            generation,
            key_use: row.key_use.0,
            state,
            created_at: Timestamp::from_unix(row.created_at),
            updated_at: Timestamp::from_unix(row.updated_at),
            id: row.id,
        })
    }
}

fn parse_texts(row: &OrderRow) -> Result<(Mailbox, TierChoice, Generation), Error> {
    let unreadable = |reason: String| Error::Row {
        kind: "order",
        id: row.id.clone(),
        reason,
    };
    let mailbox = Mailbox::parse(&row.mailbox).map_err(|error| unreadable(error.to_string()))?;
    let tier = row.tier.parse().map_err(unreadable)?;
    let generation = row
        .generation
        .parse::<Generation>()
        .map_err(|error| unreadable(error.to_string()))?;
    Ok((mailbox, tier, generation))
}

fn check_idempotency_key(key: &str) -> Result<(), Error> {
    match key.is_empty() || key.len() > 128 || !key.bytes().all(|octet| octet.is_ascii_graphic()) {
        true => Err(Error::InvalidInput {
            field: "Idempotency-Key",
            reason: "it must be 1 to 128 visible ASCII characters".to_owned(),
        }),
        false => Ok(()),
    }
}

fn not_found(id: &str) -> Error {
    Error::NotFound {
        kind: "order",
        id: id.to_owned(),
    }
}

const PENDING: &str = "pending";
const ISSUING: &str = "issuing";
const VALID: &str = "valid";
const INVALID: &str = "invalid";
/// Nobody waits for more at once; keeps an account from filling the database.
const MOST_WAITING: i64 = 1000;
/// As long as the control of a mailbox counts (BR 4.2.1): what was missing for longer has to be begun anew.
const LONGEST_WAIT: Span = Span::days(30);
/// Keeps one run of a retry short; what is left comes with the next one.
const MOST_AT_ONCE: i64 = 100;
