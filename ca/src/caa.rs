//! Asking the domain of an address whether it lets us certify the address (BR 4.2.2.1, RFC 9495, RFC 8659).
//!
//! A [`Permission`] is the proof that it was asked, no more than eight hours before, and did not refuse. Recording a
//! certificate takes one, so nothing is signed without. Every look-up is kept with what the domain said, permitted or
//! refused, together with its audit entry.

mod look_up;

use policies::caa::{CaaDecision, CaaRecord, CaaRefusal};
use policies::mailbox::{Domain, Mailbox};
use policies::time::{Span, Timestamp};

use crate::app::App;
use crate::audit::{self, Action};
use crate::config::Caa;
use crate::error::Error;
use crate::store;
use crate::store::caa_checks::{CheckRow, PERMITTED, REFUSED};

pub(crate) use look_up::{Outcome, Proof, look_up};

/// That the domain of a mailbox lets us certify it.
#[derive(Debug)]
pub(crate) struct Permission {
    domain: Domain,
    basis: Basis,
    /// When the domain was asked.
    at: Timestamp,
}

#[derive(Debug)]
enum Basis {
    Check { id: String },
    NotChecked { because: String },
}

impl Permission {
    /// Whether it is about this mailbox and still counts.
    ///
    /// BR 4.2.2.1: a certificate is issued "within the TTL of the CAA record, or 8 hours, whichever is greater". The
    /// longer TTL is not made use of.
    pub(crate) fn covers(&self, mailbox: &Mailbox, now: Timestamp) -> bool {
        self.domain == *mailbox.domain() && self.at <= now && now <= self.at.plus(REUSE)
    }

    /// The row of the check, if there was one.
    pub(crate) fn check_id(&self) -> Option<&str> {
        match &self.basis {
            Basis::Check { id } => Some(id),
            Basis::NotChecked { .. } => None,
        }
    }

    /// Why there was no check.
    pub(crate) fn not_checked_because(&self) -> Option<&str> {
        match &self.basis {
            Basis::Check { .. } => None,
            Basis::NotChecked { because } => Some(because),
        }
    }

    /// For the audit log.
    pub(crate) fn details(&self) -> serde_json::Value {
        match &self.basis {
            Basis::Check { id } => serde_json::json!({ "check": id, "at": self.at.to_string() }),
            Basis::NotChecked { because } => serde_json::json!({ "not_checked_because": because }),
        }
    }
}

/// Why an address may not be certified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The records say so.
    #[error("{found_at} does not let this authority certify it: {refusal}")]
    Records { found_at: String, refusal: CaaRefusal },
    /// The answer is forged, or the zone is broken.
    #[error("its CAA records cannot be trusted: {reason}; the holder of the domain has to repair its DNSSEC")]
    Bogus { reason: String },
    /// There was no answer, and no proof that this may be overlooked.
    #[error(
        "its CAA records could not be looked up: {reason}; that may only be overlooked for a domain that is proved not to \
         use DNSSEC"
    )]
    NoAnswer { reason: String },
}

/// Asks the domain of a mailbox, or finds that it was asked a short time ago. Blocks while it asks.
///
/// # Errors
/// [`Error::CaaRefused`], which is in the audit log by then.
pub(crate) fn permit(app: &App, order_id: &str, mailbox: &Mailbox, now: Timestamp) -> Result<Permission, Error> {
    let domain = mailbox.domain();
    let issuers = match &app.config.caa {
        Caa::Off { because } => {
            return Ok(Permission {
                domain: domain.clone(),
                basis: Basis::NotChecked {
                    because: because.clone(),
                },
                at: now,
            });
        }
        Caa::Check { issuers } => issuers,
    };
    let issuer_names = issuers.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
    let since = now.minus(REUSE).unix();
    let earlier = app.db.read_blocking(|conn| {
        Ok::<_, Error>(store::caa_checks::newest(conn, domain.as_ref(), &issuer_names, since)?)
    })?;
    // What refused is asked again: the holder may have changed it because of us. What permitted counts, unless a later
    // answer refuses.
    if let Some(row) = earlier
        && row.decision == PERMITTED
        && row.checked_at <= now.unix()
    {
        return Ok(Permission {
            domain: domain.clone(),
            at: Timestamp::from_unix(row.checked_at),
            basis: Basis::Check { id: row.id },
        });
    }

    let outcome = tokio::runtime::Handle::current().block_on(look_up(&app.dns, domain, issuers));
    let row = row(app, domain, &issuer_names, &outcome, now);
    let refused = outcome.refused();
    let details = serde_json::json!({
        "check": row.id,
        "order": order_id,
        "domain": row.domain,
        "decision": row.decision,
        "found_at": row.found_at,
        "records": outcome.records.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "iodef": policies::caa::report_addresses(&outcome.records).collect::<Vec<_>>(),
        "proof": row.proof,
        "reason": row.reason,
        "section": SECTION,
    });
    let action = match &refused {
        None => Action::CaaPermitted,
        Some(_) => Action::CaaRefused,
    };
    app.db.write_blocking(|conn| {
        store::caa_checks::insert(conn, &row)?;
        audit::append(conn, now, crate::issuance::ACTOR, action, &details)
    })?;
    match refused {
        None => Ok(Permission {
            domain: domain.clone(),
            basis: Basis::Check { id: row.id },
            at: now,
        }),
        Some(refused) => Err(Error::CaaRefused {
            domain: domain.clone(),
            refused: Box::new(refused),
        }),
    }
}

impl Outcome {
    fn refused(&self) -> Option<Refused> {
        match (&self.decision, &self.proof) {
            (_, Proof::Bogus(reason)) => Some(Refused::Bogus { reason: reason.clone() }),
            (_, Proof::NoAnswer(reason)) => Some(Refused::NoAnswer { reason: reason.clone() }),
            (CaaDecision::Refused(refusal), _) => Some(Refused::Records {
                found_at: self.found_at.as_ref().map(ToString::to_string).unwrap_or_default(),
                refusal: refusal.clone(),
            }),
            (CaaDecision::Unrestricted | CaaDecision::Permitted(_), _) => None,
        }
    }
}

fn row(app: &App, domain: &Domain, issuers: &str, outcome: &Outcome, now: Timestamp) -> CheckRow {
    let texts = |records: &[CaaRecord]| {
        let texts: Vec<String> = records.iter().map(ToString::to_string).collect();
        serde_json::json!(texts).to_string()
    };
    let iodef: Vec<String> = policies::caa::report_addresses(&outcome.records).collect();
    let refused = outcome.refused();
    let reason = match (&refused, &outcome.decision, &outcome.proof) {
        (Some(refused), _, _) => refused.to_string(),
        (None, _, Proof::AcceptedFailure(reason)) => reason.clone(),
        (None, CaaDecision::Permitted(record), _) => format!("permitted by `{record}`"),
        (None, _, _) if outcome.found_at.is_some() => "no record is about e-mail".to_owned(),
        (None, _, _) => "there are no records".to_owned(),
    };
    CheckRow {
        id: app.new_id(&format!("caa-{:010x}", now.unix())),
        domain: domain.to_string(),
        issuers: issuers.to_owned(),
        checked_at: now.unix(),
        decision: if refused.is_some() { REFUSED } else { PERMITTED }.to_owned(),
        found_at: outcome.found_at.as_ref().map(ToString::to_string),
        records: texts(&outcome.records),
        iodef: serde_json::json!(iodef).to_string(),
        proof: outcome.proof.word().to_owned(),
        reason,
    }
}

/// For how long an answer is used again.
pub(crate) const REUSE: Span = Span::hours(8);
/// Where the BR ask for this.
pub(crate) const SECTION: &str = "4.2.2.1";

#[cfg(test)]
mod tests;
