//! Issuing one certificate, in the one order that is safe (DESIGN §4).
//!
//! A crash between any two steps leaves either nothing signed, or a record of what may have been signed, which
//! [`crate::jobs::recover`] revokes. The types enforce the order: `Approved` → `Linted` → `Recorded` → `Signed` →
//! `Checked`; each has one constructor and is consumed by the next step.

mod external_lint;
pub(crate) mod prepare;
pub(crate) mod record;

use std::fmt;
use std::sync::atomic::Ordering;

use policies::evidence::Evidence;
use policies::issuance::Request;
use policies::tier::Tier;
use policies::time::Timestamp;
use policies::{issuance, profile};

use crate::app::App;
use crate::audit::{self, Action};
use crate::caa::{self, Reliance};
use crate::error::Error;
use crate::orders::{PendingOrder, TierChoice};
use crate::plans::{self, Entitlement};
use crate::store;
use crate::store::orders::Move;
use record::Recorded;

/// Issues the certificate of a pending order, or says why not. Blocks: the database is asked and the key is used.
///
/// Whatever fails after the record was committed, the record is abandoned (and so revoked), and the order goes back
/// to where it was; another attempt takes another serial.
pub(crate) fn issue(app: &App, order: &PendingOrder) -> Result<Issued, Error> {
    // The signer's own clock decides what is fresh, not the caller's.
    let now = app.now();
    let issuer = &app.issuers.issuing;
    let reached = |step, serial: Option<&str>| app.observer.reached(step, &order.id, serial);

    // 1. Approve: the evidence is read here and now, whatever anybody checked before.
    let account = &order.account;
    let (evidence, plan) = app.db.read_blocking(|conn| {
        let evidence = store::evidence::for_order(conn, account, &order.id)?;
        let evidence = corroborated(conn, app, evidence)?;
        Ok::<_, Error>((evidence, plans::of_account(conn, account, now)?))
    })?;
    let tier = tier(order, &evidence, &plan, now)?;
    app.weak_keys.check(&order.public_key)?;
    let profile = profile::profile(tier, order.generation);
    let request = Request {
        tier,
        generation: order.generation,
        key_use: order.key_use,
        mailbox: order.mailbox.clone(),
        organization: None,
        public_key: order.public_key.clone(),
        requester: order.requested_by.clone(),
    };
    let approved = issuance::approve(request, &evidence, profile, now)
        .map_err(|refusal| Error::EvidenceInsufficient(Box::new(refusal)))?;
    reached(Step::Approved, None);

    // 2. Prepare: the exact bytes that will be signed.
    let prepared = prepare::prepare(app, issuer, &approved, now)?;
    reached(Step::Prepared, Some(&prepared.serial));

    // 3. Lint them.
    let linted = prepared.lint(now)?;
    external_lint::check(app.config.issuance.external_linter.as_ref(), &linted)?;
    reached(Step::Linted, None);

    // Ask the domain, unless it was asked within hours. Last of all that may refuse, since it takes longest.
    let permission = caa::permit(app, &order.id, &order.mailbox, Reliance::of(&approved), now)?;

    // 4. Record them, together with the evidence, the order and the audit entry.
    let recorded = record::record(app, order, issuer, &approved, permission, linted, now)?;
    let certificate_id = recorded.certificate_id().to_owned();
    let serial = recorded.serial().to_owned();
    reached(Step::Recorded, Some(&serial));

    // 5 to 8.
    match sign_and_store(app, order, recorded, now) {
        Ok(issued) => {
            app.counts.issued.fetch_add(1, Ordering::Relaxed);
            Ok(issued)
        }
        Err(error) => {
            app.counts.abandoned.fetch_add(1, Ordering::Relaxed);
            tracing::error!(serial, error = crate::error::chain(&error), "abandoned a certificate");
            let abandoned = app
                .db
                .write_blocking(|conn| record::abandon(conn, &certificate_id, now, "issuance failed"));
            // What cannot be abandoned now stays recorded, and is abandoned at the next start.
            if let Err(error) = abandoned {
                let error = crate::error::chain(&error);
                tracing::error!(serial, error, "could not abandon a certificate");
            }
            Err(error)
        }
    }
}

/// Leaves out what was seen from one network only, where everything has to be corroborated (BR 4.2.2.2).
fn corroborated(
    conn: &mut migrations::AnyConnection,
    app: &App,
    evidence: Vec<Evidence>,
) -> Result<Vec<Evidence>, Error> {
    let mut usable = Vec::with_capacity(evidence.len());
    for proof in evidence {
        if record::is_corroborated(conn, app.perspectives.standard(), proof.id(), proof.method())? {
            usable.push(proof);
        }
    }
    Ok(usable)
}

fn sign_and_store(app: &App, order: &PendingOrder, recorded: Recorded, now: Timestamp) -> Result<Issued, Error> {
    let issuer = &app.issuers.issuing;
    let serial = recorded.serial().to_owned();
    let reached = |step| app.observer.reached(step, &order.id, Some(&serial));

    // 5. Sign exactly what was recorded.
    let signed = issuer.key.sign_certificate(recorded)?;
    reached(Step::Signed);

    // 6. Verify our own signature with another implementation, and compare with the record.
    let checked = signed.check(&issuer.key)?;
    reached(Step::Verified);

    // 7. Store. Only the one who finds the record untouched may hand the certificate out.
    let certificate_id = checked.recorded().certificate_id().to_owned();
    let details = serde_json::json!({
        "certificate": certificate_id,
        "serial": serial,
        "order": order.id,
        "der": data_encoding::HEXLOWER.encode(checked.der()),
    });
    let (id, stored_serial) = (certificate_id.clone(), serial.clone());
    app.db.write_together_blocking(move |conn| {
        if !store::certificates::mark_signed(conn, &id, checked.der(), now.unix())? {
            return Err(Error::StateChanged {
                kind: "certificate",
                id: stored_serial.clone(),
                expected: "recorded",
            });
        }
        audit::append(conn, now, ACTOR, Action::CertificateIssued, &details)
    })?;
    reached(Step::Stored);

    // 8. Publish: from here on the order shows the certificate.
    let order_id = order.id.clone();
    app.db
        .write_together_blocking(move |conn| publish(conn, &order_id, &certificate_id, now))?;
    reached(Step::Published);
    Ok(Issued { serial })
}

/// issuing → valid.
pub(crate) fn publish(
    conn: &mut migrations::AnyConnection,
    order_id: &str,
    certificate_id: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let to_valid = Move {
        from: "issuing",
        to: "valid",
        certificate_id: Some(certificate_id),
        problem: None,
        at: now.unix(),
    };
    match store::orders::advance(conn, order_id, to_valid)? {
        true => Ok(()),
        false => Err(Error::StateChanged {
            kind: "order",
            id: order_id.to_owned(),
            expected: "being issued",
        }),
    }
}

/// What the order asked for, or the best that the evidence carries and the plan has room for.
fn tier(order: &PendingOrder, evidence: &[Evidence], plan: &Entitlement, now: Timestamp) -> Result<Tier, Error> {
    match order.tier {
        TierChoice::Exactly(tier) => {
            plan.check(tier, order.mailbox.as_ref())?;
            Ok(tier)
        }
        // With nothing at hand, the refusal of V1 says what is needed first.
        TierChoice::Best => Ok(plan
            .best_tier(&order.mailbox, &order.requested_by, evidence, now)
            .unwrap_or(Tier::V1)),
    }
}

/// What came of it; the order has the certificate.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) serial: String,
}

/// How far an issuance came; each is told once the step is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Approved,
    Prepared,
    Linted,
    Recorded,
    Signed,
    Verified,
    Stored,
    Published,
}

impl Step {
    /// In the order in which they happen.
    pub const ALL: [Self; 8] = [
        Self::Approved,
        Self::Prepared,
        Self::Linted,
        Self::Recorded,
        Self::Signed,
        Self::Verified,
        Self::Stored,
        Self::Published,
    ];
}

impl AsRef<str> for Step {
    fn as_ref(&self) -> &str {
        match self {
            Self::Approved => "approved",
            Self::Prepared => "prepared",
            Self::Linted => "linted",
            Self::Recorded => "recorded",
            Self::Signed => "signed",
            Self::Verified => "verified",
            Self::Stored => "stored",
            Self::Published => "published",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_ref())
    }
}

/// Is told of every step of every issuance, between the steps; production logs, a crash test stops here.
pub trait IssuanceObserver: fmt::Debug + Send + Sync {
    /// The step is over; the next one begins when this returns.
    fn reached(&self, step: Step, order_id: &str, serial: Option<&str>);
}

/// Writes the steps to the log.
#[derive(Clone, Copy, Debug)]
pub struct TracingObserver;

impl IssuanceObserver for TracingObserver {
    fn reached(&self, step: Step, order_id: &str, serial: Option<&str>) {
        tracing::debug!(
            order = order_id,
            serial,
            step = step.as_ref(),
            "issuance reached a step"
        );
    }
}

/// Who is named in the audit log for what the signer does by itself.
pub(crate) const ACTOR: &str = "issuance";
