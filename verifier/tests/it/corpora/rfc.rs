//! Examples of RFCs: messages with header protection (RFC 9788), certificates (RFC 9216), old S/MIME (RFC 4134), ML-DSA
//! (RFC 9882).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use policies::time::Timestamp;
use verifier::path::{PathParameters, verify_path};
use verifier::{
    HeaderProtection, Integrity, Material, Outside, PathFact, Policy, Status, TrustStore, Verdict, Vouches,
};

use super::{compare, corpus};
use crate::support::{NOW, base64, verify_alike};

fn pem(path: &Path) -> Vec<u8> {
    let stored = fs::read(path).unwrap();
    if stored.starts_with(b"-----") {
        // Read by hand, since the labels are not all those of RFC 7468.
        between_marks(&String::from_utf8(stored).unwrap())
    } else {
        stored
    }
}

/// The bytes between the first BEGIN and END lines, whatever they are called.
fn between_marks(text: &str) -> Vec<u8> {
    let body: String = text
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .skip(1)
        .take_while(|line| !line.starts_with("-----END"))
        .collect();
    openssl::base64::decode_block(&body).unwrap()
}

fn opaque(from: &str, cms: &[u8]) -> Vec<u8> {
    format!(
        "From: {from}\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        base64(cms)
    )
    .into_bytes()
}

fn files(folder: &Path, ending: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(ending))
        .collect();
    names.sort();
    names
}

#[test]
fn header_protected_messages_of_rfc_9788_verify() {
    let (Some(folder), Some(certificates)) = (corpus("rfc9788"), corpus("rfc9216")) else {
        return;
    };
    let trust = TrustStore::new()
        .add(&pem(&certificates.join("ca.rsa.crt")), Vouches::Tiers)
        .unwrap();
    let mut wrong = BTreeMap::new();
    let messages = files(&folder, ".eml");
    for file in &messages {
        let message = fs::read(folder.join(file)).unwrap();
        let verdict = verify_alike(&message, &trust, &Material::default(), NOW, &Policy::default());
        // The certificates assert a policy of tests only: the sender signed, and nobody vouches for more.
        let scheme = if file.ends_with("rfc8551hp.eml") {
            HeaderProtection::Wrapped
        } else {
            HeaderProtection::Clear
        };
        // Appendix C: From, To, Subject, Date, Message-ID and User-Agent, all as they stand outside.
        let protected = verdict.protected_headers();
        let names = ["From", "To", "Subject", "Date", "Message-ID", "User-Agent"];
        let subject = file.strip_suffix(".eml").unwrap();
        let as_published = verdict.status() == Status::Signed
            && verdict.from() == Some("alice@smime.example")
            && verdict.header_protection() == scheme
            && protected.len() == names.len()
            && names
                .iter()
                .all(|name| protected.iter().any(|field| field.name == *name))
            && protected.iter().all(|field| field.outside == Outside::Same)
            && protected.iter().any(|field| field.value == subject);
        if !as_published {
            wrong.insert(
                file.clone(),
                format!("{} {protected:?} {:#?}", verdict.label(), verdict.findings()),
            );
        }
    }
    assert_eq!(messages.len(), 6);
    compare(
        "RFC 9788",
        include_str!("rfc9788_deviations.txt"),
        &wrong,
        messages.len(),
    );
}

#[test]
fn certificates_of_rfc_9216_lead_to_their_roots() {
    let Some(folder) = corpus("rfc9216") else { return };
    let read = |name: &str| pem(&folder.join(name));
    let anchored = |name: &str| TrustStore::new().add(&read(name), Vouches::Tiers).unwrap();
    let (rsa, ed25519) = (anchored("ca.rsa.crt"), anchored("ca.25519.crt"));
    let crosses = [read("ca.rsa.cross.crt"), read("ca.25519.cross.crt")];
    let mut wrong = BTreeMap::new();
    let mut ran = 0;
    for (names, own, other) in [
        (
            ["alice.sign", "alice.encrypt", "bob.sign", "bob.encrypt"],
            &rsa,
            &ed25519,
        ),
        (
            ["carlos.sign", "carlos.encrypt", "dana.sign", "dana.encrypt"],
            &ed25519,
            &rsa,
        ),
    ] {
        for name in names {
            let certificate = read(&format!("{name}.crt"));
            let path = |trust, intermediates: &[Vec<u8>]| {
                let intermediates = intermediates.iter().map(Vec::as_slice);
                verify_path(&certificate, intermediates, trust, NOW, &PathParameters::default())
                    .map(|path| path.certificates().len())
                    .map_err(|problem| problem.code())
            };
            for (what, outcome, expected) in [
                ("own", path(own, &[]), Ok(1)),
                ("cross", path(other, &crosses), Ok(2)),
                ("foreign", path(other, &[]), Err("untrusted-issuer")),
            ] {
                ran += 1;
                if outcome != expected {
                    wrong.insert(format!("{name}:{what}"), format!("{outcome:?}"));
                }
            }
        }
    }
    compare("RFC 9216", include_str!("rfc9216_deviations.txt"), &wrong, ran);
}

/// SHA-1, DSA and 1024 bits: well-formed or not, nothing of it may be believed, and nothing may panic.
#[test]
fn nothing_of_rfc_4134_is_believed() {
    let Some(folder) = corpus("rfc4134") else { return };
    let mut trust = TrustStore::new();
    for root in ["CarlRSASelf.cer", "CarlDSSSelf.cer"] {
        // Their keys are too weak to be anchors at all.
        match trust.clone().add(&fs::read(folder.join(root)).unwrap(), Vouches::Tiers) {
            Ok(more) => trust = more,
            Err(problem) => assert!(problem.to_string().contains("not accepted"), "{problem}"),
        }
    }
    assert!(trust.is_empty());
    let intermediates = files(&folder, ".cer")
        .into_iter()
        .map(|name| fs::read(folder.join(name)).unwrap())
        .collect();
    let material = Material {
        intermediates,
        ..Material::default()
    };
    let expected: BTreeMap<&str, &str> = include_str!("rfc4134_expected.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    let mut wrong = BTreeMap::new();
    let mut ran = 0;
    for (ending, is_message) in [(".bin", false), (".eml", true)] {
        for name in files(&folder, ending)
            .into_iter()
            .filter(|name| name != "ExContent.bin")
        {
            let stored = fs::read(folder.join(&name)).unwrap();
            let message = if is_message {
                stored
            } else {
                opaque("aliceDss@examples.com", &stored)
            };
            // At the time of the examples, so that expiry is not what saves us.
            let verdict = verify_alike(&message, &trust, &material, IN_2002, &Policy::default());
            let outcome = format!("{} {}", verdict.status().as_ref(), verdict.findings()[0].code);
            if expected.get(name.as_str()) != Some(&outcome.as_str()) {
                wrong.insert(name.clone(), outcome);
            }
            assert_ne!(verdict.integrity(), Integrity::Intact, "{name}");
            ran += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(ran, expected.len());
    println!("RFC 4134: {ran} cases ran, all refused as listed");
}

/// 2002-09-06.
const IN_2002: Timestamp = Timestamp::from_unix(1_031_270_400);

fn ml_dsa_verdict(folder: &Path, set: &str, edit: impl Fn(&mut Vec<u8>)) -> Verdict {
    let certificate = pem(&folder.join(format!("ML-DSA-{set}.crt")));
    let mut cms = pem(&folder.join(format!("mldsa{set}-signed-attrs.pem")));
    edit(&mut cms);
    let trust = match TrustStore::new().add(&certificate, Vouches::Tiers) {
        Ok(trust) => trust,
        Err(problem) => {
            if cfg!(feature = "ml-dsa") {
                panic!("{problem}");
            }
            TrustStore::new()
        }
    };
    let material = Material {
        intermediates: vec![certificate],
        ..Material::default()
    };
    verify_alike(
        &opaque("x@example.org", &cms),
        &trust,
        &material,
        NOW,
        &Policy::default(),
    )
}

#[test]
fn signed_data_of_rfc_9882_is_intact_with_the_feature_and_refused_without() {
    let Some(folder) = corpus("rfc9882") else { return };
    for set in ["44", "65", "87"] {
        let verdict = ml_dsa_verdict(&folder, set, |_| {});
        if cfg!(feature = "ml-dsa") {
            // What is signed is a sentence and no MIME entity, so that the message itself is no message.
            assert_eq!(
                verdict.integrity(),
                Integrity::Intact,
                "{set}: {:#?}",
                verdict.findings()
            );
            assert_eq!(verdict.findings()[0].code, "header-malformed", "{set}");
            for place in [80, 400, 1000, 2000] {
                let verdict = ml_dsa_verdict(&folder, set, |cms| cms[place] ^= 1);
                assert_ne!(verdict.integrity(), Integrity::Intact, "{set}, byte {place}");
            }
            // The certificates sign themselves.
            let certificate = pem(&folder.join(format!("ML-DSA-{set}.crt")));
            let trust = TrustStore::new().add(&certificate, Vouches::Tiers).unwrap();
            assert!(
                verify_path(&certificate, [], &trust, NOW, &PathParameters::default()).is_ok(),
                "{set}"
            );
            let mut changed = certificate.clone();
            let last = changed.len() - 1;
            changed[last] ^= 1;
            let problem = verify_path(&changed, [], &trust, NOW, &PathParameters::default()).unwrap_err();
            assert_eq!(problem.code(), "certificate-signature-invalid", "{set}");
        } else {
            assert_eq!(verdict.findings()[0].code, "signature-algorithm", "{set}");
        }
        assert_eq!(verdict.path(), PathFact::NotChecked);
    }
    println!(
        "RFC 9882: 3 cases ran, ML-DSA {}",
        if cfg!(feature = "ml-dsa") { "on" } else { "off" }
    );
}
