//! Whole messages with bytes changed, cut out, put in and moved, from a fixed seed: no panic, no lie.

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::stack::Stack;
use openssl::symm::Cipher;
use openssl::x509::X509;
use verifier::{Decryption, Identity, Integrity, Material, PathFact, Status, Verdict, Verification};

use crate::support::*;

/// xorshift64*, so that every run sees the same messages.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

const TOKENS: [&[u8]; 14] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"--=_b\r\n",
    b"--=_b--\r\n",
    b"From: eve@example.com\r\n",
    b"Content-Type: text/html\r\n",
    b"; boundary=\"=_b\"",
    b"=?utf-8?B?",
    b"\x30\x80",
    b"\x30\x84\xff\xff\xff\xff",
    b"<img src=//x ",
    b"hp=\"cipher\"",
];

fn mutate(message: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..=chance.below(2) {
        let place = chance.below(message.len());
        match chance.below(6) {
            0 => message[place] ^= 1 << chance.below(8),
            1 => message[place] = u8::try_from(chance.below(256)).unwrap(),
            2 => {
                let end = (place + chance.below(40)).min(message.len());
                message.drain(place..end);
            }
            3 => {
                let token = TOKENS[chance.below(TOKENS.len())];
                message.splice(place..place, token.iter().copied());
            }
            4 => {
                let end = (place + chance.below(200)).min(message.len());
                let copy = message[place..end].to_vec();
                let target = chance.below(message.len());
                message.splice(target..target, copy);
            }
            _ => message.truncate(place.max(1)),
        }
        if message.is_empty() {
            message.push(b'x');
        }
    }
}

/// What must be true of every verdict, whatever the message was.
fn assert_consistent(scenario: &Scenario, verdict: &Verdict) {
    assert_eq!(verdict.tier().is_some(), verdict.status() == Status::Tier);
    if verdict.status() == Status::Tier {
        assert_eq!(verdict.integrity(), Integrity::Intact);
        assert_eq!(verdict.path(), PathFact::Verified);
        assert_eq!(verdict.identity(), Identity::Matches);
        assert_eq!(verdict.verified_bytes(), Some(scenario.entity.as_slice()));
        assert!(
            verdict
                .from()
                .is_some_and(|from| from.eq_ignore_ascii_case("alice@example.org"))
        );
        assert_eq!(verdict.certificate(), Some(scenario.chain().0.as_slice()));
    }
    if matches!(verdict.status(), Status::NotSigned | Status::Broken) {
        assert_eq!(verdict.signer(), None);
    }
    let label = verdict.label();
    assert!(!label.chars().any(char::is_control), "{label:?}");
}

/// Opens what the test encrypted.
#[derive(Debug)]
struct Opener {
    key: openssl::pkey::PKey<openssl::pkey::Private>,
    certificate: X509,
}

impl Decryption for Opener {
    fn decrypt(&self, cms: &[u8]) -> Option<Vec<u8>> {
        CmsContentInfo::from_der(cms)
            .ok()?
            .decrypt(&self.key, &self.certificate)
            .ok()
    }
}

fn opener() -> Opener {
    let key = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
    let mut scenario = Scenario::new();
    scenario.leaf.public_key = Some(key.public_key_to_der().unwrap());
    let certificate = X509::from_der(&scenario.chain().0).unwrap();
    Opener { key, certificate }
}

#[test]
fn invariant_11_six_thousand_damaged_messages_stay_honest() {
    let mut chance = Chance(0x5ea1_1976);
    let opener = opener();
    let mut clear = Scenario::new();
    clear.entity = b"Content-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\n\r\nHello\r\n--in\r\n\
        Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p style=3D\"x\">Hello</p>\r\n--in--\r\n"
        .to_vec();
    let mut opaque = Scenario::new();
    opaque.opaque = true;
    opaque.entity =
        b"From: Alice <alice@example.org>\r\nSubject: Hello\r\nContent-Type: text/plain; hp=\"clear\"\r\n\r\nHi\r\n"
            .to_vec();
    let mut counts = std::collections::BTreeMap::new();
    for scenario in [&clear, &opaque] {
        let whole = scenario.message();
        let trust = scenario.trust();
        let crls = vec![
            scenario.issuing_crl(&RevocationList::of(&[9])),
            scenario.root_crl(&RevocationList::of(&[])),
        ];
        let start = whole.windows(12).position(|window| window == b"MIME-Version").unwrap();
        let mut certificates = Stack::new().unwrap();
        certificates.push(opener.certificate.clone()).unwrap();
        for round in 0..3000 {
            let mut message = whole.clone();
            if round % 10 == 0 {
                // The damage is inside of the encryption.
                let mut inside = whole[start..].to_vec();
                mutate(&mut inside, &mut chance);
                let cms =
                    CmsContentInfo::encrypt(&certificates, &inside, Cipher::aes_256_gcm(), CMSOptions::BINARY).unwrap();
                message.truncate(start);
                message.extend_from_slice(
                    b"MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n",
                );
                message.extend_from_slice(base64(&cms.to_der().unwrap()).as_bytes());
            } else {
                mutate(&mut message, &mut chance);
            }
            let mut damaged = crls.clone();
            mutate(&mut damaged[round % 2], &mut chance);
            let material = Material {
                crls: damaged,
                ..Material::default()
            };
            let verdict = Verification::new(&trust, scenario.at)
                .material(&material)
                .decryption(&opener)
                .verify(&message);
            assert_consistent(scenario, &verdict);
            *counts.entry(verdict.status().as_ref().to_owned()).or_insert(0) += 1;
        }
    }
    println!("6000 damaged messages: {counts:?}");
    // The damage reaches everything: a run in which nothing is left, or everything, would show nothing.
    assert!(counts.len() >= 4, "{counts:?}");
}
