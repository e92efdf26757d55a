//! NIST PKITS 1.0.1: path validation and CRLs against the published expectations, and the signed messages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use const_oid::ObjectIdentifier;
use serde_json::Value;
use verifier::path::PathParameters;
use verifier::{Integrity, Material, Policy, RevocationStatus, Status, TrustStore, Vouches};

use super::{compare, corpus};
use crate::support::{NOW, verify_alike, verify_path_alike};

fn vectors(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("pkits.json")).unwrap()).unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .map(|list| list.iter().map(|text| text.as_str().unwrap()).collect())
        .unwrap_or_default()
}

fn policies(value: &Value) -> BTreeSet<ObjectIdentifier> {
    let policy = |name: &str| match name.strip_prefix("NIST-test-policy-") {
        Some(number) => format!("2.16.840.1.101.3.2.1.48.{number}"),
        None => "2.5.29.32.0".to_owned(),
    };
    texts(value)
        .into_iter()
        .map(|name| ObjectIdentifier::new_unwrap(&policy(name)))
        .collect()
}

fn trust(folder: &Path) -> TrustStore {
    let anchor = fs::read(folder.join("certs/TrustAnchorRootCertificate.crt")).unwrap();
    TrustStore::new().add(&anchor, Vouches::Tiers).unwrap()
}

#[test]
fn paths_and_revocation_lists_follow_pkits() {
    let Some(folder) = corpus("pkits") else { return };
    let vectors = vectors(&folder);
    let trust = trust(&folder);
    let mut wrong = BTreeMap::new();
    let tests = vectors["tests"].as_array().unwrap();
    for test in tests {
        let number = test["number"].as_str().unwrap().to_owned();
        let read =
            |part: &str, name: &str, ending: &str| fs::read(folder.join(format!("{part}/{name}.{ending}"))).unwrap();
        let certificates: Vec<Vec<u8>> = texts(&test["certs"])
            .into_iter()
            .map(|name| read("certs", name, "crt"))
            .collect();
        let crls: Vec<Vec<u8>> = texts(&test["crls"])
            .into_iter()
            .map(|name| read("crls", name, "crl"))
            .collect();
        let initial = &test["SetInitialPolicySet"];
        let parameters = PathParameters {
            initial_policies: (!initial.is_null() && texts(initial) != ["anyPolicy"]).then(|| policies(initial)),
            require_explicit_policy: test["SetInitialExplicitPolicy"] == true,
            inhibit_policy_mapping: test["SetInitialPolicyMappingInhibit"] == true,
            inhibit_any_policy: test["SetInitialInhibitAnyPolicy"] == true,
            ..PathParameters::default()
        };
        let (end_entity, intermediates) = certificates.split_last().unwrap();
        let path = verify_path_alike(end_entity, intermediates, &trust, NOW, &parameters, &crls);
        let outcome = match &path {
            Err(problem) => Err(problem.to_string()),
            Ok(path) => match path.revocation(&crls, NOW) {
                RevocationStatus::Good => Ok(path.policies()),
                status => Err(format!("revocation is {}", status.as_ref())),
            },
        };
        let expected = test["should_validate"] == true;
        match outcome {
            Ok(_) if !expected => drop(wrong.insert(number, "validated, and should not".to_owned())),
            Err(problem) if expected => drop(wrong.insert(number, problem)),
            Ok(valid) if !test["SetUserConstrainedPolicySet"].is_null() => {
                let constrained = policies(&test["SetUserConstrainedPolicySet"]);
                if *valid != constrained {
                    wrong.insert(number, format!("policies {valid:?} instead of {constrained:?}"));
                }
            }
            _ => {}
        }
    }
    compare(
        "PKITS paths",
        include_str!("pkits_path_deviations.txt"),
        &wrong,
        tests.len(),
    );
}

#[test]
fn signed_pkits_messages_verify_and_never_speak_for_their_sender() {
    let Some(folder) = corpus("pkits") else { return };
    let vectors = vectors(&folder);
    let trust = trust(&folder);
    let mut wrong = BTreeMap::new();
    let messages = vectors["eml"].as_object().unwrap();
    for file in messages.keys() {
        let stored = fs::read_to_string(folder.join("smime").join(file)).unwrap();
        // The files mix line ends, which mail cannot; they are sent as SMTP would have it.
        let message = stored.replace("\r\n", "\n").replace('\n', "\r\n");
        let verdict = verify_alike(
            message.as_bytes(),
            &trust,
            &Material::default(),
            NOW,
            &Policy::default(),
        );
        assert_eq!(verdict.tier(), None, "{file}");
        if verdict.integrity() != Integrity::Intact || verdict.status() == Status::Signed {
            wrong.insert(
                file.clone(),
                format!("{} {:?}", verdict.label(), verdict.findings().first()),
            );
        }
    }
    compare(
        "PKITS messages",
        include_str!("pkits_message_deviations.txt"),
        &wrong,
        messages.len(),
    );
}
