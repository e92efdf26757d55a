//! x509-limbo: the cases about RFC 5280 that are not about connections.

use std::collections::BTreeMap;
use std::fs;

use openssl::x509::X509;
use policies::time::Timestamp;
use serde_json::Value;
use verifier::path::{PathParameters, Purpose};
use verifier::{RevocationStatus, TrustStore, Vouches};

use super::{compare, corpus};
use crate::support::{NOW, verify_path_alike};

fn pem(text: &Value) -> Vec<u8> {
    der::pem::decode_vec(text.as_str().unwrap().as_bytes()).unwrap().1
}

fn pems(list: &Value) -> Vec<Vec<u8>> {
    list.as_array().unwrap().iter().map(pem).collect()
}

#[test]
fn paths_follow_limbo() {
    let Some(folder) = corpus("x509-limbo") else { return };
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap() };
    let (limbo, applicable) = (read("limbo.json"), read("rfc5280-applicable.json"));
    let cases: BTreeMap<&str, &Value> = limbo["testcases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| (case["id"].as_str().unwrap(), case))
        .collect();
    let mut wrong = BTreeMap::new();
    let applicable = applicable.as_array().unwrap();
    for entry in applicable {
        let id = entry["id"].as_str().unwrap();
        let outcome = outcome(cases[id]);
        match (cases[id]["expected_result"] == "SUCCESS", outcome) {
            (true, Err(problem)) => drop(wrong.insert(id.to_owned(), problem)),
            (false, Ok(())) => drop(wrong.insert(id.to_owned(), "validated, and should not".to_owned())),
            _ => {}
        }
    }
    compare(
        "x509-limbo",
        include_str!("limbo_deviations.txt"),
        &wrong,
        applicable.len(),
    );
}

fn outcome(case: &Value) -> Result<(), String> {
    let mut trust = TrustStore::new();
    for anchor in pems(&case["trusted_certs"]) {
        // An anchor that cannot be one is not taken; the others still stand.
        if let Ok(more) = trust.clone().add(&anchor, Vouches::SignaturesOnly) {
            trust = more;
        }
    }
    let at = match case["validation_time"].as_str() {
        None => NOW,
        Some(text) => {
            // Fractions of a second are cut off: this crate counts whole seconds.
            let seconds = format!("{}{}", &text[..19], &text[text.len() - 6..]);
            Timestamp::parse_rfc3339(&seconds).unwrap()
        }
    };
    let parameters = PathParameters {
        purpose: Purpose::Any,
        ..PathParameters::default()
    };
    let end_entity = pem(&case["peer_certificate"]);
    let intermediates = pems(&case["untrusted_intermediates"]);
    let crls = pems(&case["crls"]);
    let path = verify_path_alike(&end_entity, &intermediates, &trust, at, &parameters, &crls)
        .map_err(|problem| problem.to_string())?;
    // As with a path length constraint, self-issued intermediates do not count.
    let intermediates = path.certificates().skip(1).filter(|raw| {
        let certificate = X509::from_der(raw).unwrap();
        let (issuer, subject) = (certificate.issuer_name(), certificate.subject_name());
        issuer.try_cmp(subject).unwrap() != std::cmp::Ordering::Equal
    });
    if let Some(limit) = case["max_chain_depth"].as_u64()
        && intermediates.count() > usize::try_from(limit).unwrap()
    {
        return Err("longer than the case asks for".to_owned());
    }
    match path.revocation(&crls, at) {
        RevocationStatus::Good => Ok(()),
        RevocationStatus::NotChecked if crls.is_empty() => Ok(()),
        status => Err(format!("revocation is {}", status.as_ref())),
    }
}
