//! Checks a pack with nothing but the pack, and the audit key if somebody has it from elsewhere.

use std::collections::BTreeMap;

use der::{Decode, Encode};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::request::CertReq;

use super::archive::{FORMAT, Pack};
use super::names;
use crate::audit::{Action, AuditPublicKey, RowProof};
use crate::signature;
use crate::store::audit::AuditRow;

/// What one check found; `Err` says what does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub about: &'static str,
    pub result: Result<String, String>,
}

/// Every check there is, in the order in which a reader would ask. A pack is good when all are `Ok`.
pub fn check(pack: &Pack, audit_key: Option<&AuditPublicKey>) -> Vec<Outcome> {
    let rows = audit_rows(pack);
    let outcome = |about, result| Outcome { about, result };
    vec![
        outcome("manifest", manifest(pack)),
        outcome("audit key", key(pack, audit_key).map(|(_, said)| said)),
        outcome("audit log", audit_log(pack, audit_key, &rows)),
        outcome("certificate", certificate(pack)),
        outcome("request", request(pack)),
        outcome("record", record(pack, &rows)),
        outcome("evidence", evidence(pack, &rows)),
    ]
}

/// Every file is listed with its hash, and nothing is listed that is not there.
fn manifest(pack: &Pack) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Manifest {
        format: String,
        sha256: BTreeMap<String, String>,
    }
    let manifest: Manifest = json(pack, names::MANIFEST)?;
    if manifest.format != FORMAT {
        return Err(format!("the format is {:?}, not {FORMAT:?}", manifest.format));
    }
    let found: BTreeMap<String, String> = pack.hashes().map(|(name, hash)| (name.to_owned(), hash)).collect();
    for (name, hash) in &found {
        match manifest.sha256.get(name) {
            Some(listed) if listed == hash => {}
            Some(_) => return Err(format!("{name} was changed")),
            None => return Err(format!("{name} was added")),
        }
    }
    match manifest.sha256.keys().find(|name| !found.contains_key(*name)) {
        Some(name) => Err(format!("{name} is missing")),
        None => Ok(format!("{} files have the hashes that are listed", found.len())),
    }
}

fn key(pack: &Pack, expected: Option<&AuditPublicKey>) -> Result<(AuditPublicKey, String), String> {
    let pem = text(pack, names::AUDIT_KEY)?;
    let key = AuditPublicKey::from_pem(pem).ok_or("the audit key is not a public key in PEM")?;
    match expected {
        Some(expected) if *expected == key => Ok((key, "it is the key that was given".to_owned())),
        Some(_) => Err("it is not the key that was given".to_owned()),
        None => Ok((
            key,
            "taken from the pack: compare it with the one that the authority publishes".to_owned(),
        )),
    }
}

/// Every row is in the log that the audit key signed.
fn audit_log(
    pack: &Pack,
    expected: Option<&AuditPublicKey>,
    rows: &Result<Vec<AuditRow>, String>,
) -> Result<String, String> {
    let (key, _) = key(pack, expected)?;
    let rows = rows.as_ref().map_err(Clone::clone)?;
    let mut newest = None;
    for row in rows {
        let name = names::audit_proof(row.sequence);
        let proof = RowProof::parse(text(pack, &name)?).map_err(|error| format!("{name}: {error}"))?;
        let head = proof.check(row, &key).map_err(|error| format!("{name}: {error}"))?;
        newest = newest.max(Some((head.size, head.origin)));
    }
    match newest {
        Some((size, origin)) => Ok(format!("{} rows are in the log {origin} of {size} rows", rows.len())),
        None => Err("there is not one row of the audit log".to_owned()),
    }
}

/// It has the recorded bytes, and the issuer signed them.
fn certificate(pack: &Pack) -> Result<String, String> {
    let certificate = file(pack, names::CERTIFICATE)?;
    let parsed = parsed(certificate)?;
    let signed = signature::signed_part(certificate).map_err(|error| error.to_string())?;
    if signed != file(pack, names::TBS)? {
        return Err("it is not the one that was recorded before signing".to_owned());
    }
    let issuer = Certificate::from_der(file(pack, names::ISSUER)?).map_err(|error| error.to_string())?;
    let (tbs, issuer) = (parsed.tbs_certificate(), issuer.tbs_certificate());
    if tbs.issuer() != issuer.subject() {
        return Err("it names another issuer".to_owned());
    }
    let octets = parsed.signature().raw_bytes();
    match signature::is_valid(
        issuer.subject_public_key_info(),
        parsed.signature_algorithm(),
        signed,
        octets,
    ) {
        true => Ok(format!(
            "it has the recorded bytes, and {} signed them",
            issuer.subject()
        )),
        false => Err("the issuer did not sign it".to_owned()),
    }
}

/// The subscriber's request has the certified key, and is signed with it.
fn request(pack: &Pack) -> Result<String, String> {
    let der = file(pack, names::REQUEST)?;
    let request = CertReq::from_der(der).map_err(|error| error.to_string())?;
    let certificate = parsed(file(pack, names::CERTIFICATE)?)?;
    let info = &request.info.public_key;
    let spki = |info: &spki::SubjectPublicKeyInfoOwned| info.to_der().map_err(|error| error.to_string());
    if spki(info)? != spki(certificate.tbs_certificate().subject_public_key_info())? {
        return Err("it was made for another key".to_owned());
    }
    let signed = signature::signed_part(der).map_err(|error| error.to_string())?;
    match signature::is_valid(info, &request.algorithm, signed, request.signature.raw_bytes()) {
        true => Ok("it is signed with the certified key".to_owned()),
        false => Err("it is not signed with the certified key".to_owned()),
    }
}

/// The log has the hash of the bytes before they were signed, and the certificate after.
fn record(pack: &Pack, rows: &Result<Vec<AuditRow>, String>) -> Result<String, String> {
    let rows = rows.as_ref().map_err(Clone::clone)?;
    let hex = |octets: &[u8]| data_encoding::HEXLOWER.encode(octets);
    let tbs_sha256 = hex(&Sha256::digest(file(pack, names::TBS)?));
    let der = hex(file(pack, names::CERTIFICATE)?);
    let says = |action: Action, field: &str, value: &str| {
        rows.iter().find(|row| {
            row.action == action.as_ref() && details(row).is_some_and(|details| details[field].as_str() == Some(value))
        })
    };
    let recorded = says(Action::CertificateRecorded, "tbs_sha256", &tbs_sha256)
        .ok_or("no row of the audit log records these bytes")?;
    let issued =
        says(Action::CertificateIssued, "der", &der).ok_or("no row of the audit log says that it was issued")?;
    match recorded.sequence < issued.sequence {
        true => Ok(format!(
            "recorded in row {}, issued in row {}",
            recorded.sequence, issued.sequence
        )),
        false => Err("it was issued before it was recorded".to_owned()),
    }
}

/// Every proof that the record names is in the pack.
fn evidence(pack: &Pack, rows: &Result<Vec<AuditRow>, String>) -> Result<String, String> {
    let rows = rows.as_ref().map_err(Clone::clone)?;
    let tbs_sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(file(pack, names::TBS)?));
    let recorded = rows
        .iter()
        .filter(|row| row.action == Action::CertificateRecorded.as_ref())
        .filter_map(details)
        .find(|details| details["tbs_sha256"].as_str() == Some(&tbs_sha256))
        .ok_or("no row of the audit log records these bytes")?;
    let ids: Vec<&str> = recorded["evidence"]
        .as_array()
        .map(|ids| ids.iter().filter_map(serde_json::Value::as_str).collect())
        .unwrap_or_default();
    if ids.is_empty() {
        return Err("the record names no evidence".to_owned());
    }
    for id in &ids {
        let name = names::evidence(id);
        let proof: serde_json::Value = json(pack, &name)?;
        if proof["id"].as_str() != Some(id) {
            return Err(format!("{name} is about other evidence"));
        }
    }
    Ok(format!("all {} that the record names are here", ids.len()))
}

/// The rows in the pack as they were hashed.
fn audit_rows(pack: &Pack) -> Result<Vec<AuditRow>, String> {
    pack.names()
        .filter(|name| name.starts_with(names::AUDIT_ROWS) && name.ends_with(".json"))
        .map(|name| {
            AuditRow::from_json(&json(pack, name)?).ok_or_else(|| format!("{name} is not a row of an audit log"))
        })
        .collect()
}

fn details(row: &AuditRow) -> Option<serde_json::Value> {
    serde_json::from_str(&row.details).ok()
}

fn parsed(der: &[u8]) -> Result<Certificate, String> {
    Certificate::from_der(der).map_err(|error| error.to_string())
}

fn file<'a>(pack: &'a Pack, name: &str) -> Result<&'a [u8], String> {
    pack.file(name).ok_or_else(|| format!("{name} is missing"))
}

fn text<'a>(pack: &'a Pack, name: &str) -> Result<&'a str, String> {
    std::str::from_utf8(file(pack, name)?).map_err(|_| format!("{name} is not text"))
}

fn json<T: for<'de> Deserialize<'de>>(pack: &Pack, name: &str) -> Result<T, String> {
    serde_json::from_slice(file(pack, name)?).map_err(|error| format!("{name}: {error}"))
}
