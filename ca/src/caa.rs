//! Asking the domain of an address whether it lets us certify the address (BR 4.2.2.1, RFC 9495, RFC 8659).
//!
//! A [`Permission`] is the proof that it was asked, no more than eight hours before, and did not refuse. Recording a
//! certificate takes one, so nothing is signed without. Where the certificate rests on control of the domain, what the domain
//! said is corroborated from other networks. Every look-up is kept with what the domain said, permitted or
//! refused, together with its audit entry.

mod look_up;

use policies::caa::{CaaDecision, CaaRecord, CaaRefusal};
use policies::issuance::Approved;
use policies::mailbox::{Domain, Mailbox};
use policies::perspective::NoQuorum;
use policies::time::{Span, Timestamp};

use crate::app::App;
use crate::audit::{self, Action};
use crate::config::Caa;
use crate::error::Error;
use crate::perspectives::{Corroboration, NotCorroborated, Observation, Question, Report};
use crate::store;
use crate::store::caa_checks::{CheckRow, PERMITTED, REFUSED};

pub(crate) use look_up::{Found, Outcome, Proof, find};

/// That the domain of a mailbox lets us certify it.
#[derive(Debug)]
pub(crate) struct Permission {
    domain: Domain,
    basis: Basis,
    elsewhere: Elsewhere,
    /// When the domain was asked.
    at: Timestamp,
}

/// Whether the domain said the same to other networks (BR 4.2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Elsewhere {
    Corroborated,
    /// A private authority that has nobody to ask.
    NobodyToAsk,
    /// It was not asked, since control of the mailbox itself was shown.
    NotAsked,
}

/// What shows that the subscriber may have a certificate for the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reliance {
    /// Control of the mailbox alone (BR 3.2.2.2, 3.2.2.4).
    Mailbox,
    /// Control of its domain, so that CAA records have to be corroborated from other networks (BR 4.2.2.1, 4.2.2.2).
    ///
    /// NOTE: the TLS BR name a method without look-up, mail to a constructed address, for which this is not a must. It is
    /// done for that as well.
    Domain,
}

impl Reliance {
    pub(crate) fn of(approved: &Approved) -> Self {
        match approved.domain_proofs() {
            [] => Self::Mailbox,
            _ => Self::Domain,
        }
    }
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
    pub(crate) fn covers(&self, mailbox: &Mailbox, reliance: Reliance, now: Timestamp) -> bool {
        let corroborated = match reliance {
            Reliance::Mailbox => true,
            Reliance::Domain => self.elsewhere != Elsewhere::NotAsked,
        };
        corroborated && self.domain == *mailbox.domain() && self.at <= now && now <= self.at.plus(REUSE)
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
    /// It permits here, and not in enough other networks.
    #[error(
        "its CAA records permit it as seen from here, and not as seen from enough other networks (TLS BR 3.2.2.9): \
         {missing} ({summary})"
    )]
    NotCorroborated { missing: NoQuorum, summary: String },
}

/// Asks the domain of a mailbox, or finds that it was asked a short time ago. Blocks while it asks.
///
/// # Errors
/// [`Error::CaaRefused`], which is in the audit log by then.
pub(crate) fn permit(
    app: &App,
    order_id: &str,
    mailbox: &Mailbox,
    reliance: Reliance,
    now: Timestamp,
) -> Result<Permission, Error> {
    let domain = mailbox.domain();
    let issuers = match &app.config.caa {
        Caa::Off { because } => {
            return Ok(Permission {
                domain: domain.clone(),
                basis: Basis::NotChecked {
                    because: because.clone(),
                },
                // Only a private authority may be configured so.
                elsewhere: Elsewhere::NobodyToAsk,
                at: now,
            });
        }
        Caa::Check { issuers } => issuers,
    };
    let issuer_names = issuers.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
    let since = now.minus(REUSE).unix();
    let earlier = app.db.read_blocking(|conn| {
        let Some(row) = store::caa_checks::newest(conn, domain.as_ref(), &issuer_names, since)? else {
            return Ok::<_, Error>(None);
        };
        let corroboration = store::corroborations::of_caa_check(conn, &row.id)?;
        let elsewhere = match (corroboration, reliance) {
            (Some(corroboration), _) if app.perspectives.standard().accepts(&corroboration) => Elsewhere::Corroborated,
            _ if !app.perspectives.demands() => Elsewhere::NobodyToAsk,
            (_, Reliance::Mailbox) => Elsewhere::NotAsked,
            (_, Reliance::Domain) => return Ok(None),
        };
        Ok(Some((row, elsewhere)))
    })?;
    // What refused is asked again: the holder may have changed it because of us. What permitted counts, unless a later
    // answer refuses.
    if let Some((row, elsewhere)) = earlier
        && row.decision == PERMITTED
        && row.checked_at <= now.unix()
    {
        return Ok(Permission {
            domain: domain.clone(),
            at: Timestamp::from_unix(row.checked_at),
            elsewhere,
            basis: Basis::Check { id: row.id },
        });
    }

    let (outcome, corroboration) = tokio::runtime::Handle::current().block_on(ask(app, domain, issuers, reliance));
    let (refused, elsewhere, report) = match (outcome.refused(), corroboration) {
        // Others corroborate a permission; a refusal needs nobody.
        (Some(refused), _) => (Some(refused), Elsewhere::NotAsked, None),
        (None, None) => (None, Elsewhere::NotAsked, None),
        (None, Some(Ok(corroboration))) => match corroboration.report() {
            Some(report) => (None, Elsewhere::Corroborated, Some(report.clone())),
            None => (None, Elsewhere::NobodyToAsk, None),
        },
        (None, Some(Err(NotCorroborated { report, missing }))) => {
            let summary = report.summary();
            let refused = Refused::NotCorroborated { missing, summary };
            (Some(refused), Elsewhere::NotAsked, Some(*report))
        }
    };
    let row = row(app, domain, &issuer_names, &outcome, refused.as_ref(), now);
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
        "corroboration": report.as_ref().map(Report::details),
    });
    let action = match &refused {
        None => Action::CaaPermitted,
        Some(_) => Action::CaaRefused,
    };
    app.db.write_blocking(|conn| {
        store::caa_checks::insert(conn, &row)?;
        if let Some(report) = &report {
            report.store(conn)?;
            store::corroborations::link_caa_check(conn, &row.id, report.id())?;
        }
        audit::append(conn, now, crate::issuance::ACTOR, action, &details)
    })?;
    match refused {
        None => Ok(Permission {
            domain: domain.clone(),
            basis: Basis::Check { id: row.id },
            elsewhere,
            at: now,
        }),
        Some(refused) => Err(Error::CaaRefused {
            domain: domain.clone(),
            refused: Box::new(refused),
        }),
    }
}

/// What a certificate on the base of control of the domain would meet.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    /// What is seen from here: why it permits, or why not.
    pub(crate) here: Result<String, String>,
    /// What is missing elsewhere.
    pub(crate) elsewhere: Result<(), String>,
    pub(crate) report: Option<Report>,
}

/// Asks as for a certificate, and records nothing.
pub(crate) async fn rehearse(app: &App, domain: &Domain) -> Rehearsal {
    let issuers: &[Domain] = match &app.config.caa {
        Caa::Check { issuers } => issuers,
        Caa::Off { .. } => &[],
    };
    let (outcome, corroboration) = ask(app, domain, issuers, Reliance::Domain).await;
    let here = match outcome.refused() {
        None => Ok(outcome.reason()),
        Some(refused) => Err(refused.to_string()),
    };
    let (elsewhere, report) = match corroboration {
        None => (Ok(()), None),
        Some(Ok(corroboration)) => (Ok(()), corroboration.report().cloned()),
        Some(Err(NotCorroborated { report, missing })) => (Err(missing.to_string()), Some(*report)),
    };
    Rehearsal {
        here,
        elsewhere,
        report,
    }
}

/// Asks the domain from here and, where it matters, from the remote perspectives, at the same time.
async fn ask(
    app: &App,
    domain: &Domain,
    issuers: &[Domain],
    reliance: Reliance,
) -> (Outcome, Option<Result<Corroboration, NotCorroborated>>) {
    let here = async { find(&app.dns, domain).await.decide(issuers) };
    if reliance == Reliance::Mailbox {
        return (here.await, None);
    }
    let question = Question::Caa { domain: domain.clone() };
    let (here, elsewhere) = tokio::join!(here, app.perspectives.ask(app, &question));
    // BR 4.2.2.1: corroborating is what can be "interpreted as permission to issue, regardless of whether the responses from
    // both Perspectives are byte-for-byte identical".
    let corroboration = elsewhere.judge(|observation| match observation {
        Observation::Caa(found) => {
            let outcome = found.clone().decide(issuers);
            match outcome.refused() {
                None => Ok(outcome.reason()),
                Some(refused) => Err(refused.to_string()),
            }
        }
        _ => Err("it answered another question".to_owned()),
    });
    (here, Some(corroboration))
}

impl Outcome {
    /// Why it permits, in words.
    fn reason(&self) -> String {
        match (&self.decision, &self.proof, &self.found_at) {
            (_, Proof::AcceptedFailure(reason), _) => reason.clone(),
            (CaaDecision::Permitted(record), _, _) => format!("permitted by `{record}`"),
            (_, _, Some(_)) => "no record is about e-mail".to_owned(),
            (_, _, None) => "there are no records".to_owned(),
        }
    }

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

fn row(
    app: &App,
    domain: &Domain,
    issuers: &str,
    outcome: &Outcome,
    refused: Option<&Refused>,
    now: Timestamp,
) -> CheckRow {
    let texts = |records: &[CaaRecord]| {
        let texts: Vec<String> = records.iter().map(ToString::to_string).collect();
        serde_json::json!(texts).to_string()
    };
    let iodef: Vec<String> = policies::caa::report_addresses(&outcome.records).collect();
    let reason = refused.map_or_else(|| outcome.reason(), ToString::to_string);
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
