//! Certificate revocation lists (RFC 5280 section 5, BR 4.9.7 and 7.2).
//!
//! An issuer has one complete list, of everything it signed, without an issuing distribution point. If the operator wants
//! shards, it has a list for each of them as well: a certificate names one when it is issued and stands on that one for
//! ever, beside the complete list. All lists of an issuer take their numbers from one sequence.
//!
//! The content is read from one state of the database; then the number is taken in a short transaction, which fails when
//! another list of the same scope was begun since. What is signed afterwards can only be that. A crash burns a number and
//! nothing else.

mod encode;
mod scope;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use der::asn1::OctetString;
use migrations::AnyConnection;
use policies::time::{Span, Timestamp};
use sha2::{Digest, Sha256};

use crate::app::{App, on_blocking_thread};
use crate::audit::{self, Action};
use crate::error::Error;
use crate::issuers::{Issuer, IssuerKind};
use crate::store;
use crate::store::crls::{BegunRow, CrlRow};
use encode::Entries;
pub use scope::Scope;
pub(crate) use scope::{of_certificate, register};

/// Makes, signs and stores a new CRL of an issuer, and returns the newest one.
///
/// When two processes publish at once each takes a number of its own, and the list with the higher number was decided
/// later; whoever comes to store an older one drops it. So neither number nor `thisUpdate` nor content ever goes back.
pub async fn publish(app: &App, issuer: &Issuer, scope: Scope) -> Result<Crl, Error> {
    publish_unless(app, issuer, scope, Begun::Whatever)
        .await?
        .ok_or_else(|| Error::StateChanged {
            kind: "CRL",
            id: scope.file_name(&issuer.id),
            expected: "not being made by many at once",
        })
}

async fn publish_unless(app: &App, issuer: &Issuer, scope: Scope, unless: Begun) -> Result<Option<Crl>, Error> {
    // 1. Decide the content and take the number.
    let Some(reserved) = reserve(app, issuer, scope, unless).await? else {
        return Ok(None);
    };
    let number = reserved.number;
    // 2 and 3.
    let outcome = sign_and_store(app, issuer, scope, reserved).await;
    if outcome.is_err() {
        // Nobody needs to wait for it. If this fails as well, the others wait a minute.
        let issuer_id = issuer.id.clone();
        let given_up = app
            .db
            .write(move |conn| Ok::<_, Error>(store::crls::give_up(conn, &issuer_id, scope, number)?))
            .await;
        if let Err(error) = given_up {
            let error = crate::error::chain(&error);
            tracing::warn!(issuer = issuer.id, %scope, error, "could not say that a CRL was given up");
        }
    }
    let crl = outcome?;
    tracing::info!(issuer = issuer.id, %scope, number = crl.number, "published a CRL");
    Ok(Some(crl))
}

async fn sign_and_store(app: &App, issuer: &Issuer, scope: Scope, reserved: ReservedCrl) -> Result<Crl, Error> {
    // 2. Sign exactly that, and check the signature.
    let key = Arc::clone(&issuer.key);
    let signed = on_blocking_thread(move || key.sign_crl(reserved)).await?;
    // 3. Store it, unless a newer one is there already. What nobody can rely on any more goes.
    let now = app.now();
    app.db
        .write(move |conn| {
            if let Some(dates) = store::crls::newest_dates(conn, &signed.issuer_id, scope)?
                && (dates.number > signed.number || dates.this_update > signed.this_update)
                && let Some(newest) = store::crls::newest(conn, &signed.issuer_id, scope)?
            {
                return Ok::<_, Error>(Crl::from(newest));
            }
            let row = CrlRow {
                issuer_id: signed.issuer_id.clone(),
                number: signed.number,
                shard: scope.stored(),
                this_update: signed.this_update,
                next_update: signed.next_update,
                der: signed.der.clone(),
            };
            store::crls::insert(conn, &row)?;
            store::crls::delete_ended(conn, &signed.issuer_id, scope, signed.number, now.unix())?;
            let details = serde_json::json!({
                "issuer": row.issuer_id,
                "number": row.number,
                "shard": row.shard,
                "this_update": row.this_update,
                "next_update": row.next_update,
                "sha256": data_encoding::HEXLOWER.encode(&Sha256::digest(&row.der)),
            });
            audit::append(conn, now, ACTOR, Action::CrlPublished, &details)?;
            Ok(Crl::from(row))
        })
        .await
}

/// The newest CRL of an issuer; makes the first one when there is none.
pub async fn current(app: &App, issuer: &Issuer, scope: Scope) -> Result<Crl, Error> {
    match newest(app, issuer, scope).await? {
        Some(crl) => Ok(crl),
        None if !scopes(app, issuer).await?.contains(&scope) => Err(Error::NotFound {
            kind: "CRL",
            id: scope.file_name(&issuer.id),
        }),
        None => publish(app, issuer, scope).await,
    }
}

/// Publishes a new CRL when the newest one is due, or does not list what was revoked since. `None` when not, or when
/// another process is about to.
pub async fn refresh(app: &App, issuer: &Issuer, scope: Scope) -> Result<Option<Crl>, Error> {
    let now = app.now();
    let issuer_id = issuer.id.clone();
    let (newest, last_revocation) = app
        .db
        .read(move |conn| {
            Ok::<_, Error>((
                store::crls::newest_dates(conn, &issuer_id, scope)?,
                store::certificates::last_revocation(conn, &issuer_id, scope)?,
            ))
        })
        .await?;
    let due = match newest {
        None => true,
        Some(newest) => {
            let age = now.since(Timestamp::from_unix(newest.this_update));
            // At the very same second the list may have been decided before the revocation.
            age >= refresh_period(app, issuer) || last_revocation.is_some_and(|at| at >= newest.this_update)
        }
    };
    match due {
        true => publish_unless(app, issuer, scope, Begun::WithinAMinute).await,
        false => Ok(None),
    }
}

/// The scopes of all lists of an issuer: the complete one, and the shards that its certificates may name.
pub async fn scopes(app: &App, issuer: &Issuer) -> Result<Vec<Scope>, Error> {
    let issuer_id = issuer.id.clone();
    let shards = app
        .db
        .read(move |conn| Ok::<_, Error>(store::crls::shards(conn, &issuer_id)?))
        .await?;
    Ok(std::iter::once(Scope::Complete)
        .chain(shards.into_iter().filter_map(Scope::from_stored))
        .collect())
}

/// A signed CRL, as published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    pub number: i64,
    pub this_update: Timestamp,
    pub next_update: Timestamp,
    pub der: Arc<[u8]>,
    /// Whether another list of the same scope may have been made in the same second.
    pub(crate) shares_its_second: bool,
}

impl From<CrlRow> for Crl {
    fn from(row: CrlRow) -> Self {
        Self {
            number: row.number,
            this_update: Timestamp::from_unix(row.this_update),
            next_update: Timestamp::from_unix(row.next_update),
            der: row.der.into(),
            shares_its_second: true,
        }
    }
}

/// The newest list of each issuer and scope, so that a list of megabytes is read from the database once.
#[derive(Debug, Default)]
pub(crate) struct Published(Mutex<HashMap<(String, Scope), Crl>>);

/// Which one is the newest is asked every time: another node may have published.
async fn newest(app: &App, issuer: &Issuer, scope: Scope) -> Result<Option<Crl>, Error> {
    let key = (issuer.id.clone(), scope);
    let kept = app.crls.lock().get(&key).cloned();
    let issuer_id = issuer.id.clone();
    let newest = app
        .db
        .read(move |conn| {
            let number = store::crls::newest_dates(conn, &issuer_id, scope)?.map(|dates| dates.number);
            match &kept {
                Some(kept) if number == Some(kept.number) => Ok::<_, Error>(Some(kept.clone())),
                _ => match store::crls::newest(conn, &issuer_id, scope)? {
                    None => Ok(None),
                    Some(row) => Ok(Some(Crl {
                        shares_its_second: store::crls::made_at(conn, &issuer_id, scope, row.this_update)? != 1,
                        ..Crl::from(row)
                    })),
                },
            }
        })
        .await?;
    if let Some(newest) = &newest {
        app.crls.lock().insert(key, newest.clone());
    }
    Ok(newest)
}

impl Published {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Scope), Crl>> {
        // Whoever panicked while it held the lock had not begun to change the map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A CRL whose number was taken in a committed transaction; signing consumes it.
#[derive(Debug)]
pub(crate) struct ReservedCrl {
    issuer_id: String,
    number: i64,
    this_update: i64,
    next_update: i64,
    tbs: Vec<u8>,
}

impl ReservedCrl {
    pub(crate) fn issuer_id(&self) -> &str {
        &self.issuer_id
    }

    pub(crate) fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// Joins the list with its signature.
    pub(crate) fn into_signed(self, der: Vec<u8>) -> SignedCrl {
        SignedCrl {
            issuer_id: self.issuer_id,
            number: self.number,
            this_update: self.this_update,
            next_update: self.next_update,
            der,
        }
    }
}

/// A CRL with a signature that was checked.
#[derive(Debug)]
pub(crate) struct SignedCrl {
    issuer_id: String,
    number: i64,
    this_update: i64,
    next_update: i64,
    der: Vec<u8>,
}

/// Whether a list is made although another process has begun one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    Whatever,
    /// Whoever began it is given that long.
    WithinAMinute,
}

/// The only way to a [`ReservedCrl`]. `None` when another process was first and `unless` says to leave it to that one.
async fn reserve(app: &App, issuer: &Issuer, scope: Scope, unless: Begun) -> Result<Option<ReservedCrl>, Error> {
    let signature = issuer.key.algorithm()?.identifier();
    for _ in 0..MOST_ATTEMPTS {
        let now = app.now();
        let mut draft = Draft {
            issuer_id: issuer.id.clone(),
            scope,
            issuer: issuer.certificate.tbs_certificate().subject().clone(),
            key_identifier: issuer.key_identifier.0.clone(),
            signature: signature.clone(),
            lifetime: lifetime(issuer),
            distribution_points: Vec::new(),
        };
        let issuer_id = issuer.id.clone();
        // 1. The content, from one state of the database. Writers do not wait for it.
        let read = app
            .db
            .read(move |conn| {
                let begun = store::crls::begun(conn, &issuer_id, scope)?;
                if let (Begun::WithinAMinute, Some(begun)) = (unless, &begun)
                    && (0..A_MINUTE).contains(&(now.unix() - begun.begun_at))
                    && store::crls::newest_dates(conn, &issuer_id, scope)?.map(|newest| newest.number)
                        < Some(begun.number)
                {
                    return Ok::<_, Error>(None);
                }
                let content = Content::read(conn, &issuer_id, scope)?;
                let points = store::crls::distribution_points(conn, &issuer_id, scope)?;
                Ok(Some((begun, content, points)))
            })
            .await?;
        let Some((begun, content, points)) = read else {
            return Ok(None);
        };
        draft.distribution_points = points;
        // 2. The number, if no other list of this scope was begun in between: a higher number must not stand on an older
        //    content.
        let content = Arc::new(content);
        let reserved = app
            .db
            .write(move |conn| {
                let Some(reserved) = draft.decide(conn, begun.as_ref(), &content, now)? else {
                    return Ok(None);
                };
                let details = serde_json::json!({
                    "issuer": reserved.issuer_id,
                    "number": reserved.number,
                    "shard": scope.stored(),
                    "tbs_sha256": data_encoding::HEXLOWER.encode(&Sha256::digest(&reserved.tbs)),
                });
                audit::append(conn, now, ACTOR, Action::CrlNumberTaken, &details)?;
                Ok::<_, Error>(Some(reserved))
            })
            .await?;
        if reserved.is_some() || unless == Begun::WithinAMinute {
            return Ok(reserved);
        }
    }
    Ok(None)
}

/// What of a list one state of the database decides.
#[derive(Debug)]
struct Content {
    /// When the list before it was made.
    previous: Option<Timestamp>,
    entries: Entries,
}

impl Content {
    fn read(conn: &mut AnyConnection, issuer_id: &str, scope: Scope) -> Result<Self, Error> {
        let previous = store::crls::newest_dates(conn, issuer_id, scope)?;
        let previous = previous.map(|crl| Timestamp::from_unix(crl.this_update));
        // RFC 5280 section 3.3: an entry stays until it has stood on one list made after the certificate expired.
        // The last list was such a one for everything that had expired when it was made.
        let since = previous.unwrap_or(Timestamp::EARLIEST);
        // Page by page, so that a million entries are in memory once and as they will be sent.
        let mut entries = Entries::default();
        let mut after: Option<String> = None;
        loop {
            let page =
                store::certificates::revoked(conn, issuer_id, scope, since.unix(), after.as_deref(), ENTRIES_PER_PAGE)?;
            for row in &page {
                entries.push(row)?;
            }
            match page.last() {
                Some(last) => after = Some(last.serial.clone()),
                None => return Ok(Self { previous, entries }),
            }
        }
    }
}

/// What of a CRL is known before the database is asked.
#[derive(Debug)]
struct Draft {
    issuer_id: String,
    scope: Scope,
    issuer: x509_cert::name::Name,
    key_identifier: OctetString,
    signature: spki::AlgorithmIdentifierOwned,
    lifetime: Span,
    /// Of a shard: every URL that a certificate may name it by.
    distribution_points: Vec<String>,
}

impl Draft {
    /// `None` when `begun` is not the list of this scope that was begun last any more.
    fn decide(
        &self,
        conn: &mut AnyConnection,
        begun: Option<&BegunRow>,
        content: &Content,
        now: Timestamp,
    ) -> Result<Option<ReservedCrl>, Error> {
        if store::crls::begun(conn, &self.issuer_id, self.scope)?.as_ref() != begun {
            return Ok(None);
        }
        // A clock that was set back must not make this list look older than the last one.
        let this_update = content.previous.map_or(now, |previous| previous.max(now));
        let next_update = this_update.plus(self.lifetime);
        let number = store::issuers::take_crl_number(conn, &self.issuer_id)?;
        let row = BegunRow {
            issuer_id: self.issuer_id.clone(),
            shard: self.scope.stored(),
            number,
            begun_at: now.unix(),
        };
        store::crls::begin(conn, &row)?;
        let tbs = encode::to_be_signed(self, number, this_update, next_update, &content.entries)?;
        Ok(Some(ReservedCrl {
            issuer_id: self.issuer_id.clone(),
            number,
            this_update: this_update.unix(),
            next_update: next_update.unix(),
            tbs,
        }))
    }
}

fn certificate_time(instant: Timestamp) -> Result<x509_cert::time::Time, Error> {
    instant.to_certificate_time().map_err(|error| Error::InvalidInput {
        field: "time",
        reason: error.to_string(),
    })
}

/// How long a list may be relied upon (BR 4.9.7).
fn lifetime(issuer: &Issuer) -> Span {
    match issuer.kind {
        IssuerKind::Root => ROOT_LIFETIME,
        IssuerKind::Issuing => ISSUING_LIFETIME,
    }
}

/// How old the newest list may become.
fn refresh_period(app: &App, issuer: &Issuer) -> Span {
    match issuer.kind {
        IssuerKind::Root => ROOT_REFRESH,
        IssuerKind::Issuing => Span::hours(i64::from(app.config.issuance.crl_refresh_hours)),
    }
}

/// With as many processes publishing the same list at the same moment something is wrong.
const MOST_ATTEMPTS: usize = 32;
/// In seconds: ten times what the largest list takes.
const A_MINUTE: i64 = 60;
/// Some two megabytes of rows.
const ENTRIES_PER_PAGE: i64 = 10_000;
/// Who is named in the audit log.
const ACTOR: &str = "crl";
/// BR 4.9.7: nextUpdate at most ten days after thisUpdate, a new list at least every seven days. Seven days and the
/// three that are left would let a week pass in which no list can be made; we stay below both.
const ISSUING_LIFETIME: Span = Span::days(7);
/// BR 4.9.7: at most twelve months, of which the shortest have 365 days.
const ROOT_LIFETIME: Span = Span::days(364);
const ROOT_REFRESH: Span = Span::days(90);
