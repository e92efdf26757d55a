//! OCSP answers: whom they are about, who may give them, and when.

use std::sync::Arc;

use der::Encode;
use keys::{SigningKey, testing};
use openssl::sha::{sha1, sha256};
use verifier::{Material, RevocationStatus, Status, Verification, check_ocsp_response};

use crate::support::*;

const GOOD: &[u8] = &[0x80, 0];
const UNKNOWN: &[u8] = &[0x82, 0];
const OCSP_SIGNING: &str = "1.3.6.1.5.5.7.3.9";
const OCSP_NO_CHECK: &str = "1.3.6.1.5.5.7.48.1.5";

fn revoked() -> Vec<u8> {
    tlv(0xa1, &tlv(0x18, b"20261101000000Z"))
}

/// An answer to be signed; the default is as it should be, about the leaf, by its issuer.
struct Ocsp {
    serial: u8,
    status: Vec<u8>,
    this_update: &'static str,
    next_update: Option<&'static str>,
    sha_256: bool,
    /// Whose name and key stand in the CertID and in the responder's name, unless a test says otherwise.
    issuer: Certificate,
    responder: Option<Vec<u8>>,
    signer: Arc<dyn SigningKey>,
    certificates: Vec<Vec<u8>>,
    extensions: Vec<u8>,
}

impl Ocsp {
    fn by(issuer: &Certificate, serial: u8) -> Self {
        Self {
            serial,
            status: GOOD.to_vec(),
            this_update: "20261121000000Z",
            next_update: Some("20261128000000Z"),
            sha_256: false,
            issuer: issuer.clone(),
            responder: None,
            signer: issuer.key.clone(),
            certificates: Vec::new(),
            extensions: Vec::new(),
        }
    }

    fn sign(&self) -> Vec<u8> {
        let hash = |content: &[u8]| {
            if self.sha_256 {
                octets(&sha256(content))
            } else {
                octets(&sha1(content))
            }
        };
        let key = self.issuer.key.public_key().subject_public_key.raw_bytes().to_vec();
        let hash_algorithm = algorithm(if self.sha_256 { SHA_256 } else { SHA_1 });
        let identifier = sequence(&[
            &hash_algorithm,
            &hash(&self.issuer.subject),
            &hash(&key),
            &integer(self.serial),
        ]);
        let time = |text: &str| tlv(0x18, text.as_bytes());
        let next_update = self.next_update.map(|next| tlv(0xa0, &time(next))).unwrap_or_default();
        let single = sequence(&[&identifier, &self.status, &time(self.this_update), &next_update]);
        let responder = self
            .responder
            .clone()
            .unwrap_or_else(|| tlv(0xa1, &self.issuer.subject));
        let data = sequence(&[
            &responder,
            &time(self.this_update),
            &sequence(&[&single]),
            &self.extensions,
        ]);
        let algorithm = self.signer.algorithm().identifier().to_der().unwrap();
        let signature = self.signer.sign(&data).unwrap();
        let certificates = if self.certificates.is_empty() {
            Vec::new()
        } else {
            tlv(0xa0, &tlv(0x30, &self.certificates.concat()))
        };
        let basic = sequence(&[
            &data,
            &algorithm,
            &tlv(3, &[&[0], signature.as_bytes()].concat()),
            &certificates,
        ]);
        let bytes = sequence(&[&oid("1.3.6.1.5.5.7.48.1.1"), &octets(&basic)]);
        sequence(&[&[0x0a, 1, 0], &tlv(0xa0, &bytes)])
    }
}

/// A responder that the issuing authority certified.
fn delegate(scenario: &Scenario) -> Certificate {
    let mut responder = scenario.leaf.clone();
    responder.serial = 77;
    responder.subject = name(&[(COMMON_NAME, "Responder")]);
    responder.key = testing::rsa2048();
    responder
        .without(SUBJECT_ALTERNATIVE_NAME)
        .without(CERTIFICATE_POLICIES)
        .purposes(&[OCSP_SIGNING])
        .with(OCSP_NO_CHECK, false, vec![5, 0]);
    responder
}

fn delegated(scenario: &Scenario, edit: impl Fn(&mut Certificate)) -> Ocsp {
    let mut responder = delegate(scenario);
    edit(&mut responder);
    Ocsp {
        responder: Some(tlv(0xa1, &responder.subject)),
        signer: responder.key.clone(),
        certificates: vec![responder.sign(&*scenario.issuing.key)],
        ..Ocsp::by(&scenario.issuing, 3)
    }
}

fn status(scenario: &Scenario, answers: &[Vec<u8>]) -> (Status, RevocationStatus) {
    let trust = scenario.trust();
    let material = Material {
        crls: scenario.crls.clone(),
        ..Material::default()
    };
    let message = scenario.message();
    let verdict = alike(&trust, |trust| {
        Verification::new(trust, scenario.at)
            .material(&material)
            .policy(&scenario.policy)
            .ocsp_responses(answers)
            .verify(&message)
    });
    observed::observe(&message, &trust, [&[], &material.crls, answers], scenario.at, &verdict);
    (verdict.status(), verdict.revocation())
}

/// A scenario in which the root's list clears the issuing authority, so that the leaf alone is open.
fn only_the_leaf_is_open() -> Scenario {
    let mut scenario = Scenario::new();
    scenario.crls = vec![scenario.root_crl(&RevocationList::of(&[]))];
    scenario
}

#[test]
fn current_answers_of_those_who_may_give_them_count() {
    let scenario = only_the_leaf_is_open();
    let key_hash = sha1(scenario.issuing.key.public_key().subject_public_key.raw_bytes());
    let answers: Vec<(&str, Ocsp)> = vec![
        ("by the issuer", Ocsp::by(&scenario.issuing, 3)),
        (
            "with SHA-256 in the CertID",
            Ocsp {
                sha_256: true,
                ..Ocsp::by(&scenario.issuing, 3)
            },
        ),
        (
            "by the issuer, named by its key",
            Ocsp {
                responder: Some(tlv(0xa2, &octets(&key_hash))),
                ..Ocsp::by(&scenario.issuing, 3)
            },
        ),
        ("by a responder", delegated(&scenario, |_| {})),
        (
            "made seconds ago by a clock that is ahead",
            Ocsp {
                this_update: "20261122000100Z",
                ..Ocsp::by(&scenario.issuing, 3)
            },
        ),
    ];
    for (what, answer) in answers {
        let answer = answer.sign();
        assert_eq!(check_ocsp_response(&answer), Ok(()), "{what}");
        let expected = (Status::Tier, RevocationStatus::Good);
        assert_eq!(status(&scenario, &[b"junk".to_vec(), answer]), expected, "{what}");
    }
    // Both certificates by answers, none by a list.
    let scenario = Scenario::new();
    let answers = [
        Ocsp::by(&scenario.issuing, 3).sign(),
        Ocsp::by(&scenario.root, 2).sign(),
    ];
    assert_eq!(status(&scenario, &answers), (Status::Tier, RevocationStatus::Good));
    // A responder without nocheck whom a list clears.
    let mut scenario = only_the_leaf_is_open();
    let answer = delegated(&scenario, |responder| {
        responder.without(OCSP_NO_CHECK);
    })
    .sign();
    scenario.crls.push(scenario.issuing_crl(&RevocationList::of(&[])));
    assert_eq!(status(&scenario, &[answer]), (Status::Tier, RevocationStatus::Good));
}

#[test]
fn answers_about_others_say_nothing() {
    let scenario = only_the_leaf_is_open();
    let mut other_key = scenario.issuing.clone();
    other_key.key = testing::p256();
    let mut other_name = scenario.issuing.clone();
    other_name.subject = name(&[(COMMON_NAME, "Test Issuing 2")]);
    for answer in [
        Ocsp::by(&scenario.issuing, 4),
        Ocsp::by(&scenario.root, 3),
        Ocsp {
            signer: scenario.issuing.key.clone(),
            ..Ocsp::by(&other_key, 3)
        },
        Ocsp::by(&other_name, 3),
    ] {
        let expected = (Status::Tier, RevocationStatus::NotChecked);
        assert_eq!(status(&scenario, &[answer.sign()]), expected);
    }
}

#[test]
fn answers_that_cannot_be_relied_on_leave_the_status_unknown() {
    let scenario = only_the_leaf_is_open();
    let issuing = &scenario.issuing;
    let nonce_that_is_critical = sequence(&[&oid("1.3.6.1.5.5.7.48.1.2"), &tlv(1, &[0xff]), &octets(&[4, 0])]);
    let stranger = testing::p256();
    let answers: Vec<(&str, Ocsp)> = vec![
        (
            "out of date",
            Ocsp {
                next_update: Some("20261121120000Z"),
                ..Ocsp::by(issuing, 3)
            },
        ),
        (
            "from the future",
            Ocsp {
                this_update: "20261122000600Z",
                ..Ocsp::by(issuing, 3)
            },
        ),
        (
            "without next update",
            Ocsp {
                next_update: None,
                ..Ocsp::by(issuing, 3)
            },
        ),
        (
            "unknown to the responder",
            Ocsp {
                status: UNKNOWN.to_vec(),
                ..Ocsp::by(issuing, 3)
            },
        ),
        (
            "signed by a stranger",
            Ocsp {
                signer: stranger.clone(),
                ..Ocsp::by(issuing, 3)
            },
        ),
        (
            "signed by the certificate in question",
            Ocsp {
                signer: scenario.leaf.key.clone(),
                responder: Some(tlv(0xa1, &scenario.leaf.subject)),
                certificates: vec![scenario.chain().0],
                ..Ocsp::by(issuing, 3)
            },
        ),
        (
            "a critical extension",
            Ocsp {
                extensions: tlv(0xa1, &sequence(&[&nonce_that_is_critical])),
                ..Ocsp::by(issuing, 3)
            },
        ),
        (
            "a responder for another purpose",
            delegated(&scenario, |responder| {
                responder.purposes(&[EMAIL_PROTECTION]);
            }),
        ),
        (
            "a responder for any purpose",
            delegated(&scenario, |responder| {
                responder.purposes(&["2.5.29.37.0"]);
            }),
        ),
        (
            "a responder without purpose",
            delegated(&scenario, |responder| {
                responder.without(EXTENDED_KEY_USAGE);
            }),
        ),
        (
            "an expired responder",
            delegated(&scenario, |responder| responder.not_after = "261121000000Z"),
        ),
        (
            "a responder whose key is not for signatures",
            delegated(&scenario, |responder| {
                responder.with(KEY_USAGE, true, KEY_ENCIPHERMENT.to_vec());
            }),
        ),
        (
            "a responder with an unknown critical extension",
            delegated(&scenario, |responder| {
                responder.with("1.2.3.4", true, vec![5, 0]);
            }),
        ),
        (
            "a responder that may have been revoked",
            delegated(&scenario, |responder| {
                responder.without(OCSP_NO_CHECK);
            }),
        ),
        (
            "a responder of another authority",
            delegated(&scenario, |responder| responder.issuer = scenario.root.subject.clone()),
        ),
        (
            "a responder that is not there",
            Ocsp {
                certificates: Vec::new(),
                ..delegated(&scenario, |_| {})
            },
        ),
    ];
    for (what, answer) in answers {
        let expected = (Status::Signed, RevocationStatus::Unknown);
        assert_eq!(status(&scenario, &[answer.sign()]), expected, "{what}");
    }
}

#[test]
fn revoked_by_an_answer_is_revoked_whatever_else_says() {
    let mut scenario = only_the_leaf_is_open();
    scenario.crls.push(scenario.issuing_crl(&RevocationList::of(&[])));
    let revoked_answer = Ocsp {
        status: revoked(),
        ..Ocsp::by(&scenario.issuing, 3)
    };
    let good = Ocsp::by(&scenario.issuing, 3).sign();
    let expected = (Status::NotVerified, RevocationStatus::Revoked);
    assert_eq!(status(&scenario, &[revoked_answer.sign()]), expected);
    assert_eq!(status(&scenario, &[good.clone(), revoked_answer.sign()]), expected);
    assert_eq!(status(&scenario, &[revoked_answer.sign(), good.clone()]), expected);
    // An old answer too: nobody takes a revocation back.
    let old = Ocsp {
        status: revoked(),
        next_update: Some("20261121120000Z"),
        ..Ocsp::by(&scenario.issuing, 3)
    };
    assert_eq!(status(&scenario, &[old.sign()]), expected);
    // And a list that revokes, beside an answer that is good.
    scenario.crls.push(scenario.issuing_crl(&RevocationList::of(&[3])));
    assert_eq!(status(&scenario, &[good]), expected);
}

#[test]
fn what_is_no_answer_can_be_told_before_it_is_used() {
    let scenario = Scenario::new();
    let answer = Ocsp::by(&scenario.issuing, 3).sign();
    // tryLater, which says nothing.
    let try_later = sequence(&[&[0x0a, 1, 3]]);
    let crl = scenario.issuing_crl(&RevocationList::of(&[]));
    for other in [
        &try_later[..],
        &crl,
        b"",
        &answer[..answer.len() - 1],
        &[&answer[..], &[0]].concat(),
    ] {
        let problem = check_ocsp_response(other).unwrap_err();
        assert_eq!(problem.code(), "ocsp-malformed");
    }
    // No flipped bit of a good answer makes it good about anybody else, or panics.
    let scenario = only_the_leaf_is_open();
    let revoked = Ocsp {
        status: revoked(),
        ..Ocsp::by(&scenario.issuing, 3)
    }
    .sign();
    let trust = scenario.trust();
    let material = Material {
        crls: scenario.crls.clone(),
        ..Material::default()
    };
    let message = scenario.message();
    for place in 0..revoked.len() {
        let mut changed = revoked.clone();
        changed[place] ^= 1 << (place % 8);
        let answers = [changed];
        let verdict = Verification::new(&trust, scenario.at)
            .material(&material)
            .ocsp_responses(&answers)
            .verify(&message);
        assert_ne!(verdict.revocation(), RevocationStatus::Good, "byte {place}");
    }
}
