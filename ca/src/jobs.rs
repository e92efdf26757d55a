//! What the authority does by itself: finishing what a crash left, CRLs, checkpoints, linting again.
//!
//! The clock that decides is the one of [`App`]; real time only decides how often it is looked at.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use policies::lint::{self, Finding, Severity};
use policies::time::{Span, Timestamp};

use crate::app::App;
use crate::audit::{self, Action};
use crate::crl::{self, Scope};
use crate::error::{self, Error};
use crate::issuance::{self, record};
use crate::notices;
use crate::ocsp;
use crate::orders;
use crate::problem_reports;
use crate::signature;
use crate::store;
use crate::store::certificates::{CertificateRow, CertificateState, Filter};

/// Runs until `shutdown` is ready. A failure is logged and tried again with the next look at the clock.
pub async fn run(app: Arc<App>, shutdown: impl Future<Output = ()> + Send) {
    let mut schedule = Schedule::default();
    let mut interval = tokio::time::interval(LOOK_AT_THE_CLOCK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            _ = interval.tick() => tick(&app, &mut schedule).await,
        }
    }
}

/// Whether the start is over, and when the slower jobs ran last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Schedule {
    recovered: bool,
    checkpoint: Option<Timestamp>,
    daily: Option<Timestamp>,
    notices: Option<Timestamp>,
}

/// One look at the clock: does what is due.
pub async fn tick(app: &Arc<App>, schedule: &mut Schedule) {
    let now = app.now();
    let due = |last: Option<Timestamp>, period: Span| last.is_none_or(|last| now < last || now.since(last) >= period);
    if !schedule.recovered {
        let outcome = recover(app).await;
        schedule.recovered = outcome.is_ok();
        log("finish what was left half done", outcome.map(drop));
    }
    log("refresh the CRLs", refresh_crls(app).await);
    log("renew the OCSP responder", ocsp::renew(app).await);
    log("sign OCSP answers ahead", ocsp::sign_ahead(app).await);
    log("retry interrupted orders", orders::retry_interrupted(app).await);
    if due(schedule.checkpoint, CHECKPOINT_PERIOD) {
        schedule.checkpoint = Some(now);
        log("sign the audit log", audit::checkpoint(app).await.map(drop));
    }
    if due(schedule.notices, NOTICES_PERIOD) {
        schedule.notices = Some(now);
        log("send notices of expiry", notices::send_due(app).await.map(drop));
        log(
            "look at the deadlines of problem reports",
            problem_reports::alarm(app).await,
        );
    }
    if due(schedule.daily, DAILY) {
        schedule.daily = Some(now);
        log("lint the stored certificates again", relint(app).await.map(drop));
        log("give up old orders", orders::give_up_old(app).await.map(drop));
    }
}

fn log(job: &'static str, outcome: Result<(), Error>) {
    if let Err(error) = outcome {
        tracing::error!(job, error = error::chain(&error), "a job failed; it is tried again");
    }
}

/// Publishes what is due of both issuers. The failure of one list does not stop the others.
pub async fn refresh_crls(app: &App) -> Result<(), Error> {
    let mut outcome = Ok(());
    for issuer in app.issuers.all() {
        for scope in crl::scopes(app, issuer).await? {
            if let Err(error) = crl::refresh(app, issuer, scope).await {
                outcome = Err(error);
            }
        }
    }
    outcome
}

/// What [`recover`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Certificates of which a signature may exist that nobody was given: revoked now.
    pub abandoned: u32,
    /// Certificates that were stored, but not yet shown by their orders.
    pub published: u32,
}

/// Finishes what a crash left half done.
///
/// A certificate in the state `recorded` may have been signed: it is abandoned and revoked, so that it is listed on
/// the CRL, and its order is pending again. If another process is just about to store it, that process finds the
/// record changed and does not hand the certificate out.
pub async fn recover(app: &App) -> Result<Recovered, Error> {
    let now = app.now();
    let recovered = app
        .db
        .write(move |conn| {
            let mut recovered = Recovered::default();
            for row in store::certificates::recorded(conn, MOST_AT_ONCE)? {
                if record::abandon(conn, &row.id, now, "found half done at the start")? {
                    recovered.abandoned += 1;
                }
            }
            for order in store::orders::in_state(conn, None, "issuing", MOST_AT_ONCE)? {
                let Some(certificate_id) = &order.certificate_id else {
                    continue;
                };
                let certificate = store::certificates::find(conn, certificate_id)?;
                if certificate.is_some_and(|found| found.state.0 == CertificateState::Signed) {
                    issuance::publish(conn, &order.id, certificate_id, now)?;
                    recovered.published += 1;
                }
            }
            Ok::<_, Error>(recovered)
        })
        .await?;
    if recovered.abandoned > 0 {
        tracing::warn!(
            abandoned = recovered.abandoned,
            "revoked certificates that a crash left half done"
        );
        for scope in crl::scopes(app, &app.issuers.issuing).await? {
            match scope {
                Scope::Complete => drop(crl::publish(app, &app.issuers.issuing, scope).await?),
                Scope::Shard(_) => drop(crl::refresh(app, &app.issuers.issuing, scope).await?),
            }
        }
    }
    Ok(recovered)
}

/// A certificate that would not be issued today.
#[derive(Clone, Debug)]
pub struct Relinted {
    pub serial: String,
    /// Errors only.
    pub findings: Vec<Finding>,
}

/// Lints every certificate that is valid and not revoked with the newest rules (DESIGN invariant 13), and writes
/// what it finds to the audit log.
///
/// An operator decides about revocation: a new rule says what may be issued from its date on, not that older
/// certificates were wrong (BR 4.9.1.1).
pub async fn relint(app: &App) -> Result<Vec<Relinted>, Error> {
    let now = app.now();
    let filter = Filter {
        state: Some(CertificateState::Signed),
        not_expired_at: Some(now.unix()),
        ..Filter::default()
    };
    let mut found = Vec::new();
    let mut checked = 0_u64;
    let mut after: Option<String> = None;
    loop {
        let (page_filter, page_after) = (filter.clone(), after.clone());
        let rows = app
            .db
            .read(move |conn| {
                let after = page_after.as_deref();
                Ok::<_, Error>(store::certificates::page(conn, &page_filter, after, RELINT_PAGE)?)
            })
            .await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.id.clone());
        for row in rows {
            if row.revoked_at.is_some() {
                continue;
            }
            checked += 1;
            let errors = errors_of(&row, now);
            if errors.is_empty() {
                continue;
            }
            tracing::warn!(
                serial = row.serial,
                errors = errors.len(),
                "a stored certificate has lint errors"
            );
            let details = serde_json::json!({
                "certificate": row.id,
                "serial": row.serial,
                "lints": errors.iter().map(|finding| finding.lint).collect::<Vec<_>>(),
            });
            app.db
                .write(move |conn| audit::append(conn, now, ACTOR, Action::RelintFoundErrors, &details))
                .await?;
            found.push(Relinted {
                serial: row.serial,
                findings: errors,
            });
        }
    }
    tracing::info!(
        checked,
        with_errors = found.len(),
        "linted the stored certificates again"
    );
    Ok(found)
}

/// What a lint says of the stored bytes, and whether they are still those that were linted and recorded.
fn errors_of(row: &CertificateRow, now: Timestamp) -> Vec<Finding> {
    let error = |lint, section, detail: String| Finding {
        lint,
        section,
        severity: Severity::Error,
        detail,
    };
    let der = row.certificate.as_deref().unwrap_or_default();
    let mut errors: Vec<Finding> = match lint::findings_of_certificate(der, now) {
        Ok(findings) => findings
            .into_iter()
            .filter(|finding| finding.severity == Severity::Error)
            .collect(),
        Err(cause) => vec![error(
            "stored_certificate_unreadable",
            "RFC 5280 section 4.1",
            cause.to_string(),
        )],
    };
    if signature::signed_part(der).is_ok_and(|tbs| tbs != row.tbs) {
        let detail = "the stored certificate is not the one that was recorded before signing".to_owned();
        errors.push(error("stored_certificate_changed", "BR 5.4.1", detail));
    }
    errors
}

/// How often the clock is looked at.
const LOOK_AT_THE_CLOCK: Duration = Duration::from_secs(30);
const CHECKPOINT_PERIOD: Span = Span::hours(1);
const NOTICES_PERIOD: Span = Span::hours(1);
/// DESIGN invariant 13: daily.
const DAILY: Span = Span::hours(24);
const RELINT_PAGE: i64 = 200;
/// More than a process can have at work when it stops.
const MOST_AT_ONCE: i64 = 10_000;
/// Who is named in the audit log.
const ACTOR: &str = "jobs";
