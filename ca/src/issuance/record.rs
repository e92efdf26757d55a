//! The committed record of what is about to be signed (DESIGN invariants 1 and 2).

use std::collections::BTreeSet;

use der::{Decode, Encode};
use migrations::{AnyConnection, AsText};
use policies::evidence::{EvidenceId, Method};
use policies::issuance::Approved;
use policies::lint::Linted;
use policies::time::Timestamp;
use x509_cert::certificate::TbsCertificate;

use crate::app::App;
use crate::audit::{self, Action};
use crate::caa::{Permission, Reliance};
use crate::crl;
use crate::error::Error;
use crate::issuers::Issuer;
use crate::orders::PendingOrder;
use crate::perspectives::Standard;
use crate::plans;
use crate::store;
use crate::store::certificates::{CertificateRow, CertificateState};
use crate::store::orders::Move;
use crate::subject_keys;

/// What is committed to the database and may now be signed, once.
///
/// There is no other constructor than [`record`], which returns after the commit.
#[derive(Debug)]
pub(crate) struct Recorded {
    certificate_id: String,
    issuer_id: String,
    serial: String,
    linted: Linted,
}

impl Recorded {
    pub(crate) fn certificate_id(&self) -> &str {
        &self.certificate_id
    }

    pub(crate) fn issuer_id(&self) -> &str {
        &self.issuer_id
    }

    /// Lower-case hexadecimal.
    pub(crate) fn serial(&self) -> &str {
        &self.serial
    }

    /// The linted bytes.
    pub(crate) fn tbs(&self) -> &[u8] {
        self.linted.tbs()
    }
}

/// Writes the certificate, the proofs and the permission it rests on, the order and the audit entry in one transaction.
///
/// Serial, validity and subject are read from the bytes that were linted, so that the row cannot say anything else.
///
/// # Errors
/// [`Error::PlanExcludes`] and [`Error::SeatsTaken`] when the account's plan has no room for it;
/// [`Error::KeyCompromised`] and [`Error::KeyOfAnotherSubscriber`] when the key may not be certified (BR 6.1.1.3);
/// [`Error::StateChanged`] when the order is no longer pending; [`Error::Database`] when the serial is taken, or a
/// proof is not in the database; whatever the audit log says.
pub(super) fn record(
    app: &App,
    order: &PendingOrder,
    issuer: &Issuer,
    approved: &Approved,
    permission: Permission,
    linted: Linted,
    now: Timestamp,
) -> Result<Recorded, Error> {
    let tbs = TbsCertificate::from_der(linted.tbs()).map_err(Error::encoding("the certificate"))?;
    let same_issuer = tbs.issuer().to_der().map_err(Error::encoding("the issuer's name"))? == issuer.subject_der()?;
    let serial = data_encoding::HEXLOWER.encode(tbs.serial_number().as_bytes());
    if !same_issuer {
        return Err(Error::OwnSignature {
            serial,
            reason: "it names another issuer".to_owned(),
        });
    }
    if !permission.covers(approved.mailbox(), Reliance::of(approved), now) {
        return Err(Error::PermissionUnusable {
            domain: approved.mailbox().domain().clone(),
            serial,
        });
    }
    let scope = crl::of_certificate(&tbs, &issuer.id, &serial)?;
    let key = subject_keys::spki_sha256(tbs.subject_public_key_info())?;
    let instant = |time: &x509_cert::time::Time| {
        // A certificate time is at most the end of the year 9999.
        i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
    };
    let row = CertificateRow {
        id: certificate_id(app, now),
        issuer_id: issuer.id.clone(),
        serial: serial.clone(),
        account_id: order.account.as_ref().to_owned(),
        order_id: order.id.clone(),
        tier: AsText(approved.tier()),
        generation: AsText(approved.generation()),
        profile_sha256: approved.profile().sha256().to_vec(),
        mailbox: order.mailbox.as_ref().to_owned(),
        subject: tbs.subject().to_string(),
        tbs: linted.tbs().to_vec(),
        tbs_sha256: linted.sha256().to_vec(),
        state: AsText(CertificateState::Recorded),
        certificate: None,
        not_before: instant(&tbs.validity().not_before),
        not_after: instant(&tbs.validity().not_after),
        recorded_at: now.unix(),
        signed_at: None,
        revoked_at: None,
        revocation_reason: None,
        spki_sha256: Some(key.clone()),
        key_use: AsText(approved.key_use()),
        crl_shard: scope.stored(),
    };
    // One proof may serve two purposes, such as control of a domain.
    let evidence: BTreeSet<String> = approved.evidence().iter().map(|id| id.as_ref().to_owned()).collect();
    let details = serde_json::json!({
        "certificate": row.id,
        "issuer": row.issuer_id,
        "serial": row.serial,
        "order": row.order_id,
        "tier": approved.tier().as_ref(),
        "generation": approved.generation().as_ref(),
        "use": approved.key_use().as_ref(),
        "crl_shard": row.crl_shard,
        "profile_sha256": data_encoding::HEXLOWER.encode(&row.profile_sha256),
        "tbs_sha256": data_encoding::HEXLOWER.encode(&row.tbs_sha256),
        "evidence": evidence,
        "caa": permission.details(),
    });
    let (certificate_id, issuer_id) = (row.id.clone(), row.issuer_id.clone());
    let (account, order_id, tier) = (order.account.clone(), order.id.clone(), approved.tier());
    let (standard, domain_proofs) = (app.perspectives.standard(), approved.domain_proofs().to_vec());
    // Many at once share a transaction; this returns when it is committed.
    app.db.write_together_blocking(move |conn| {
        // Here, where the record is committed, nothing goes around the plan, and two orders cannot take one seat.
        plans::of_account(conn, &account, now)?.check(tier, &row.mailbox)?;
        // Nor around who may have this key, whatever was known when the order was placed.
        subject_keys::claim(conn, &key, &account, now)?;
        // Nor around the other networks: a proof that rests on one is none.
        for (proof, method) in &domain_proofs {
            if !is_corroborated(conn, standard, proof, *method)? {
                return Err(Error::NotCorroborated {
                    evidence: proof.to_string(),
                });
            }
        }
        store::certificates::insert(conn, &row)?;
        for evidence_id in &evidence {
            store::certificates::link_evidence(conn, &row.id, evidence_id)?;
        }
        store::caa_checks::link(conn, &row.id, permission.check_id(), permission.not_checked_because())?;
        let to_issuing = Move {
            from: "pending",
            to: "issuing",
            certificate_id: Some(&row.id),
            problem: None,
            at: now.unix(),
        };
        if !store::orders::advance(conn, &order_id, to_issuing)? {
            return Err(Error::StateChanged {
                kind: "order",
                id: order_id.clone(),
                expected: "pending",
            });
        }
        audit::append(conn, now, super::ACTOR, Action::CertificateRecorded, &details)
    })?;
    // Committed.
    Ok(Recorded {
        certificate_id,
        issuer_id,
        serial,
        linted,
    })
}

/// Whether a proof was seen from as many networks as it has to be, or need not be.
pub(crate) fn is_corroborated(
    conn: &mut AnyConnection,
    standard: Standard,
    proof: &EvidenceId,
    method: Method,
) -> Result<bool, Error> {
    if !method.needs_corroboration() || standard.accepts_uncorroborated_proofs() {
        return Ok(true);
    }
    let corroboration = store::corroborations::of_evidence(conn, proof.as_ref())?;
    Ok(corroboration.is_some_and(|row| standard.accepts(&row)))
}

/// recorded → abandoned and revoked, and its order back to pending. `false` when there is nothing to abandon.
pub(crate) fn abandon(
    conn: &mut AnyConnection,
    certificate_id: &str,
    now: Timestamp,
    why: &str,
) -> Result<bool, Error> {
    let Some(row) = store::certificates::find(conn, certificate_id)? else {
        return Ok(false);
    };
    if !store::certificates::abandon(conn, certificate_id, now.unix())? {
        return Ok(false);
    }
    let to_pending = Move {
        from: "issuing",
        to: "pending",
        certificate_id: None,
        problem: Some(store::orders::INTERRUPTED),
        at: now.unix(),
    };
    // The order may have been given up by somebody in the meantime; the certificate is abandoned all the same.
    store::orders::advance(conn, &row.order_id, to_pending)?;
    let details = serde_json::json!({
        "certificate": row.id,
        "serial": row.serial,
        "order": row.order_id,
        "why": why,
    });
    audit::append(conn, now, super::ACTOR, Action::CertificateAbandoned, &details)?;
    Ok(true)
}

/// Sorts in the order of issuance, so that lists do; the random part keeps it from being guessed.
fn certificate_id(app: &App, now: Timestamp) -> String {
    app.new_id(&format!("crt-{:010x}", now.unix()))
}
