//! Puts together what the authority knows about one certificate.

use std::collections::BTreeSet;

use policies::evidence::Evidence;
use policies::lint;
use policies::time::Timestamp;
use serde_json::json;

use super::archive::Pack;
use super::names;
use crate::accounts::Operator;
use crate::app::App;
use crate::audit::{self, Action};
use crate::error::Error;
use crate::store;
use crate::store::audit::AuditRow;
use crate::store::certificates::CertificateRow;
use crate::validation::case;

/// Whether a pack has the documents of the cases, such as copies of identity papers, or only their names and hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Documents {
    Include,
    NameOnly,
}

/// Everything that `serial` rests on.
///
/// Reads the whole audit log, which takes seconds per million rows.
///
/// # Errors
/// [`Error::NotFound`] when no such certificate was recorded; [`Error::AuditDamaged`] when a row cannot be proved.
pub async fn collect(app: &App, _: Operator<'_>, serial: &str, documents: Documents) -> Result<Pack, Error> {
    let mut pack = Pack::default();
    let (issuer_id, wanted) = (app.issuers.issuing.id.clone(), serial.to_owned());
    let not_found = |kind, id: &str| Error::NotFound {
        kind,
        id: id.to_owned(),
    };

    // 1. The certificate, its order and its proofs.
    let (row, order, proofs, permission) = app
        .db
        .read(move |conn| {
            let row = store::certificates::find_by_serial(conn, &issuer_id, &wanted)?
                .ok_or_else(|| not_found("certificate", &wanted))?;
            let order = store::orders::find(conn, &row.order_id)?.ok_or_else(|| not_found("order", &row.order_id))?;
            let proofs = store::evidence::of_certificate(conn, &row.id)?;
            let permission = store::caa_checks::of_certificate(conn, &row.id)?;
            let check = match &permission {
                Some((Some(check), _)) => store::caa_checks::find(conn, check)?,
                _ => None,
            };
            Ok::<_, Error>((row, order, proofs, (permission, check)))
        })
        .await?;
    add_certificate(app, &mut pack, &row)?;
    pack.add(names::REQUEST, order.certificate_request.clone());
    pack.add_json(
        names::ORDER,
        &json!({
            "id": order.id, "account": order.account_id, "requested_by": order.requested_by, "mailbox": order.mailbox,
            "tier": order.tier, "generation": order.generation, "state": order.state,
            "created_at": instant(order.created_at), "updated_at": instant(order.updated_at),
        }),
    );
    let (permission, check) = permission;
    let not_checked_because = permission.and_then(|(_, reason)| reason);
    pack.add_json(
        names::CAA,
        &match &check {
            None => json!({ "checked": false, "because": not_checked_because }),
            Some(check) => json!({
                "checked": true, "id": check.id, "domain": check.domain, "issuers": check.issuers,
                "at": instant(check.checked_at), "decision": check.decision, "found_at": check.found_at,
                "records": check.records, "iodef": check.iodef, "proof": check.proof, "reason": check.reason,
            }),
        },
    );

    // 2. The cases that the proofs came from.
    let mut validations = BTreeSet::new();
    let mut cases = BTreeSet::new();
    for (proof, case) in &proofs {
        pack.add_json(
            names::evidence(proof.id().as_ref()),
            &evidence_json(proof, case.as_deref()),
        );
        validations.insert(proof.id().as_ref().to_owned());
        cases.extend(case.clone());
    }
    for case in &cases {
        add_case(app, &mut pack, case, documents).await?;
    }
    validations.extend(cases);
    validations.extend(check.map(|check| check.id));

    // 3. What the log says of all that, each row with its proof.
    let issuance = [row.id.clone(), row.order_id.clone(), row.serial.clone()];
    for audit_row in rows_about(app, issuance.into(), validations).await? {
        let proof = audit::prove_row(app, audit_row.sequence).await?;
        pack.add_json(names::audit_row(audit_row.sequence), &audit_row.to_json());
        pack.add(names::audit_proof(audit_row.sequence), proof.text());
    }
    pack.add(names::AUDIT_KEY, audit::public_key(app)?.pem());
    pack.add(names::README, README.replace("{serial}", &row.serial));
    pack.seal();
    Ok(pack)
}

fn add_certificate(app: &App, pack: &mut Pack, row: &CertificateRow) -> Result<(), Error> {
    pack.add(names::TBS, row.tbs.clone());
    pack.add(names::ISSUER, app.issuers.issuing.certificate_der().to_vec());
    pack.add_json(
        names::ABOUT,
        &json!({
            "id": row.id, "serial": row.serial, "issuer": row.issuer_id, "account": row.account_id,
            "tier": row.tier.0.as_ref(), "generation": row.generation.0.as_ref(), "mailbox": row.mailbox,
            "subject": row.subject, "state": row.state.0.as_ref(),
            "tbs_sha256": data_encoding::HEXLOWER.encode(&row.tbs_sha256),
            "profile_sha256": data_encoding::HEXLOWER.encode(&row.profile_sha256),
            "not_before": instant(row.not_before), "not_after": instant(row.not_after),
            "recorded_at": instant(row.recorded_at), "signed_at": row.signed_at.map(instant),
            "revoked_at": row.revoked_at.map(instant), "revocation_reason": row.revocation_reason,
        }),
    );
    if let Some(der) = &row.certificate {
        pack.add(names::CERTIFICATE, der.clone());
        let now = Timestamp::from_unix(row.recorded_at);
        let findings = lint::findings_of_certificate(der, now).map_err(|error| Error::Row {
            kind: "certificate",
            id: row.id.clone(),
            reason: error.to_string(),
        })?;
        let findings: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({
                    "lint": finding.lint, "section": finding.section,
                    "severity": finding.severity.to_string(), "detail": finding.detail,
                })
            })
            .collect();
        let rules = json!({ "at": instant(row.recorded_at), "rules": lint::all().len(), "findings": findings });
        pack.add_json(names::LINTS, &rules);
    }
    Ok(())
}

fn evidence_json(proof: &Evidence, case: Option<&str>) -> serde_json::Value {
    let documents: Vec<_> = proof
        .documents()
        .iter()
        .map(|sha256| data_encoding::HEXLOWER.encode(sha256))
        .collect();
    json!({
        "id": proof.id().as_ref(), "fact": proof.fact().kind().to_string(), "says": proof.fact().fields(),
        "method": proof.method().to_string(), "br_version": proof.br_version(),
        "collected_at": instant(proof.collected_at().unix()), "recorded_by": proof.recorded_by(),
        "approved_by": proof.approved_by(), "documents_sha256": documents, "case": case,
    })
}

async fn add_case(app: &App, pack: &mut Pack, id: &str, include: Documents) -> Result<(), Error> {
    let case_id = id.to_owned();
    let (about, documents, evidence, decisions) = app
        .db
        .read(move |conn| {
            let case = store::cases::find(conn, &case_id)?.ok_or_else(|| Error::NotFound {
                kind: "case",
                id: case_id.clone(),
            })?;
            Ok::<_, Error>((
                case,
                store::cases::documents(conn, &case_id)?,
                store::cases::evidence(conn, &case_id)?,
                store::cases::decisions(conn, &case_id)?,
            ))
        })
        .await?;
    let hex = |octets: &[u8]| data_encoding::HEXLOWER.encode(octets);
    pack.add_json(
        names::case(id),
        &json!({
            "id": about.id, "account": about.account_id, "kind": about.kind.0.as_ref(), "subject": about.subject,
            "state": about.state.0.as_ref(), "opened_by": about.opened_by, "opened_at": instant(about.opened_at),
            "documents": documents.iter().map(|document| json!({
                "id": document.id, "name": document.name, "media_type": document.media_type,
                "sha256": hex(&document.sha256), "added_by": document.added_by, "added_at": instant(document.added_at),
            })).collect::<Vec<_>>(),
            "evidence": evidence.iter().map(|evidence| json!({
                "id": evidence.id, "method": evidence.method.0.as_ref(), "documents_sha256": evidence.documents,
                "note": evidence.note, "recorded_by": evidence.recorded_by,
                "collected_at": instant(evidence.collected_at),
            })).collect::<Vec<_>>(),
            "decisions": decisions.iter().map(|decision| json!({
                "id": decision.id, "by": decision.principal_id, "decision": decision.decision.0.as_ref(),
                "reason": decision.reason, "at": instant(decision.decided_at),
            })).collect::<Vec<_>>(),
        }),
    );
    if include == Documents::Include {
        for document in &documents {
            let (_, content) = case::unsealed(app, id, &document.id).await?;
            pack.add(names::document(&document.id), content.to_vec());
        }
    }
    Ok(())
}

/// The rows that speak of the issuance, and those that speak of the validations it rests on.
///
/// A validation may serve ten thousand certificates: the rows of the others are not of interest here.
async fn rows_about(
    app: &App,
    issuance: BTreeSet<String>,
    validations: BTreeSet<String>,
) -> Result<Vec<AuditRow>, Error> {
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let rows = app
            .db
            .read(move |conn| Ok::<_, Error>(store::audit::page(conn, after, PAGE)?))
            .await?;
        let Some(last) = rows.last() else {
            return Ok(found);
        };
        after = last.sequence;
        found.extend(rows.into_iter().filter(|row| {
            let of_others = [Action::CertificateRecorded, Action::OrderPlaced].map(|action| action.to_string());
            let details: serde_json::Value = serde_json::from_str(&row.details).unwrap_or_default();
            names_one_of(&details, &issuance)
                || (!of_others.contains(&row.action) && names_one_of(&details, &validations))
        }));
    }
}

/// Whether one of the texts stands somewhere in the value by itself.
fn names_one_of(value: &serde_json::Value, texts: &BTreeSet<String>) -> bool {
    match value {
        serde_json::Value::String(text) => texts.contains(text),
        serde_json::Value::Array(values) => values.iter().any(|value| names_one_of(value, texts)),
        serde_json::Value::Object(fields) => fields.values().any(|value| names_one_of(value, texts)),
        _ => false,
    }
}

fn instant(unix: i64) -> String {
    Timestamp::from_unix(unix).to_string()
}

const PAGE: i64 = 1000;
const README: &str = "\
Evidence pack of certificate {serial}

certificate.der  what was issued; tbs.der is what was linted, recorded and signed, issuer.der who signed it
certificate.json what is known about it, order.json and request.der who asked for it
evidence/        the proofs it rests on, cases/ the validations they came from, documents/ what was handed in
caa.json         what the domain said about who may issue (RFC 9495)
lints.json       what the rules of the day of issuance say about it
audit/           the rows of the audit log about all that, each with a proof that it is in the log
audit-key.pem    the key that the log is signed with: compare it with the one that the authority publishes
manifest.json    the SHA-256 of every file

Check it, without access to the authority:
  sealwright ca check-evidence FILE --audit-key KEY.pem
Proofs are in the format of c2sp.org/tlog-proof, checkpoints in that of c2sp.org/tlog-checkpoint. The leaf of a row is
the bytes `sealwright audit row 1` and a NUL, its sequence and its instant in eight octets each, then hash of the row
before, actor, action and details, each with its length in eight octets before it.
";
