//! What the fuzz targets and the run over damaged input call: one entrance for each kind of input.
//!
//! Compiled for tests and by cargo-fuzz (which sets `cfg(fuzzing)`) only. Each entrance reads what anybody may have
//! written and checks what must be true of the answer, whatever it is.

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};

use policies::time::Timestamp;

use crate::asn1::{self, Reader, Rules, context_constructed};
use crate::base64;
use crate::certificate::Certificate;
use crate::content;
use crate::content_type::ContentType;
use crate::crypto::PureRust;
use crate::finding::Effect;
use crate::header::{HeaderBlock, date::date, sender};
use crate::links::VerifiedLinks;
use crate::message::{self, Envelope};
use crate::originators::{check_display_name, check_others};
use crate::path::{PathParameters, VerifiedPath, verify_path};
use crate::protection;
use crate::revocation::{self, RevocationStatus, Sources, check_crl, check_ocsp_response};
use crate::signed_data::{self, SignedData};
use crate::trust::{TrustStore, Vouches};
use crate::verdict::{Identity, Integrity, PathFact, Status, Verdict};
use crate::verify::{Decryption, Verification};

/// A message or a part of one: header, sender, envelope, boundaries, transfer encodings, what the content does.
pub fn mime(input: &[u8]) {
    let mut notes = Vec::new();
    let whole = message::canonical(input, &mut notes);
    let Ok((header, body)) = HeaderBlock::parse(&whole) else {
        return;
    };
    let _ = date(&header);
    if let Ok(from) = sender(&header) {
        check_display_name(&from, &mut notes);
        check_others(&header, from.mailbox(), &mut notes);
        // What was accepted can be written and read again as the same.
        assert_eq!(from.mailbox().to_string().parse().as_ref(), Ok(from.mailbox()));
    }
    match message::open(&header, body, &mut notes) {
        Ok(Envelope::Clear { entity, .. }) => {
            let range = body.as_ptr_range();
            let inside = entity.as_ptr_range();
            assert!(
                range.start <= inside.start && inside.end <= range.end,
                "a part of what was given"
            );
            if let Ok((inner, inner_body)) = message::entity_header(entity) {
                examine_entity(&header, &inner, inner_body);
            }
        }
        Ok(Envelope::Opaque { .. } | Envelope::Encrypted { .. }) => {}
        Err(problem) => assert!(problem.code.effect() < Effect::NotVerified, "{problem}"),
    }
    examine_entity(&header, &header, body);
    if let Some(decoded) = base64::decode(body) {
        assert!(decoded.len() <= body.len());
    }
}

fn examine_entity(outer: &HeaderBlock<'_>, inner: &HeaderBlock<'_>, body: &[u8]) {
    let mut problems = Vec::new();
    content::scan(inner, body, &mut problems);
    assert!(problems.iter().all(|problem| problem.code.effect() >= Effect::Warning));
    let Ok(content_type) = ContentType::of(inner) else {
        return;
    };
    let wrapped = HeaderBlock::parse(body).ok().map(|(wrapped, _)| wrapped);
    for wrapped in [None, wrapped.as_ref()] {
        for is_encrypted in [false, true] {
            let found = protection::examine(
                outer,
                inner,
                content_type.as_ref(),
                wrapped,
                is_encrypted,
                &mut problems,
            );
            assert!(
                found.fields.len()
                    <= inner
                        .fields()
                        .len()
                        .max(wrapped.map_or(0, |header| header.fields().len()))
            );
        }
    }
}

/// A CMS structure.
pub fn cms(input: &[u8]) {
    let _ = signed_data::content_type(input);
    let Ok(mut signed_data) = SignedData::read(input) else {
        return;
    };
    assert!(
        signed_data
            .certificates
            .iter()
            .all(|certificate| certificate.len() <= input.len())
    );
    let content = signed_data.content.take().unwrap_or_default();
    if let Ok(signatures) = signed_data.verify(&content, &[], &PureRust) {
        assert!(!signatures.is_empty());
    }
}

/// A certificate: as a signer's, as an authority's, as an anchor.
pub fn certificate(input: &[u8]) {
    let Ok(certificate) = Certificate::read(input) else {
        assert!(TrustStore::new().add(input, Vouches::Tiers).is_err() || str::from_utf8(input).is_ok());
        return;
    };
    assert_eq!(certificate.raw, input);
    let _ = (
        certificate.describe(),
        certificate.public_key().map(|_| ()),
        certificate.is_self_issued(),
    );
    let _ = crate::name::mailboxes(&certificate);
    let at = certificate.not_before;
    let parameters = PathParameters::default();
    let nobody = TrustStore::new();
    assert!(
        verify_path(input, [input], &nobody, at, &parameters).is_err(),
        "nobody is trusted"
    );
    if let Ok(trust) = TrustStore::new().add(input, Vouches::Tiers)
        && let Ok(path) = verify_path(input, [], &trust, at, &parameters)
    {
        assert!(certificate.is_self_issued() && path.anchor() == input);
    }
}

/// A certificate revocation list, by itself and as an answer about a certificate that is revoked.
pub fn crl(input: &[u8]) {
    let is_one = check_crl(input).is_ok();
    let found = revocation::check(
        &WORLD_PATH,
        Sources {
            crls: &[input.to_vec()],
            ocsp_responses: &[],
        },
        WORLD.at,
        &PureRust,
    );
    settles_nothing(found.status, is_one && WORLD.list == input);
}

/// An OCSP response, by itself and as an answer about a certificate that is revoked.
pub fn ocsp(input: &[u8]) {
    let _ = check_ocsp_response(input);
    let found = revocation::check(
        &WORLD_PATH,
        Sources {
            crls: &[],
            ocsp_responses: &[input.to_vec()],
        },
        WORLD.at,
        &PureRust,
    );
    settles_nothing(found.status, false);
}

/// Only what the authority signed says whether a certificate is revoked, and that of the second sender is.
fn settles_nothing(status: RevocationStatus, is_honest: bool) {
    match status {
        RevocationStatus::Good => panic!("somebody else says that a revoked certificate is good"),
        RevocationStatus::Revoked => assert!(is_honest, "somebody else revokes"),
        RevocationStatus::NotChecked | RevocationStatus::Unknown => {}
    }
}

/// A whole message, to somebody who trusts the root of `verifier/fixtures` and opens what is "encrypted".
///
/// Nobody who only has messages can make another one that has a tier: that would need a key.
pub fn message(input: &[u8]) -> Verdict {
    let verdict = WORLD.verification().verify(input);
    consistent(&verdict);
    verdict
}

/// Nothing in a verdict contradicts the rest of it, at any depth.
fn consistent(verdict: &Verdict) {
    assert_eq!(verdict.tier().is_some(), verdict.status() == Status::Tier);
    if verdict.status() == Status::Tier {
        assert_eq!(verdict.integrity(), Integrity::Intact);
        assert_eq!(verdict.path(), PathFact::Verified);
        assert_eq!(verdict.identity(), Identity::Matches);
        let shown = verdict.verified_bytes().unwrap_or_default();
        assert!(
            WORLD.honest.iter().any(|bytes| bytes == shown),
            "something else is shown with a tier"
        );
    }
    assert!(!verdict.label().chars().any(char::is_control));
    if let Some(inner) = verdict.inner() {
        consistent(inner);
    }
}

/// The hierarchy of `verifier/fixtures`, and all that its owners signed.
struct World {
    trust: TrustStore,
    at: Timestamp,
    /// The contents of the messages.
    honest: Vec<Vec<u8>>,
    /// The list of the issuing authority.
    list: Vec<u8>,
    /// The certificate of the second sender, which is revoked.
    signer: Vec<u8>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let trust = TrustStore::new().add(include_bytes!("../fixtures/root.pem"), Vouches::Tiers);
    let links = const { NonZeroUsize::new(1000).unwrap() };
    let trust = trust.expect("the root of the fixtures is an authority");
    let mut world = World {
        // Most of the time would go into the signature of the root otherwise.
        trust: trust.remembering(Arc::new(VerifiedLinks::new(links))),
        at: Timestamp::parse_rfc3339(include_str!("../fixtures/at.txt").trim()).expect("at.txt is a time"),
        honest: Vec::new(),
        list: pem(include_str!("../fixtures/issuing-crl.pem")),
        signer: Vec::new(),
    };
    let messages: [&[u8]; 4] = [
        include_bytes!("../fixtures/v1.eml"),
        include_bytes!("../fixtures/v3.eml"),
        include_bytes!("../fixtures/v4.eml"),
        include_bytes!("../fixtures/v2.eml"),
    ];
    for message in messages {
        let verdict = world.verification().verify(message);
        assert!(verdict.tier().is_some(), "{}", verdict.label());
        world.honest.push(verdict.verified_bytes().unwrap_or_default().to_vec());
        world.signer = verdict.certificate.unwrap_or_default();
    }
    world
});

impl World {
    fn verification(&self) -> Verification<'_> {
        Verification::new(&self.trust, self.at).decryption(&Opener)
    }
}

/// From the revoked certificate to the authority that issued it. Not to the root, so that its own status, which needs a
/// signature each time, is not asked as well.
static WORLD_PATH: LazyLock<VerifiedPath<'static>> = LazyLock::new(|| {
    verify_path(&WORLD.signer, [], &ISSUING, WORLD.at, &PathParameters::default())
        .expect("the second sender's certificate was issued by this authority")
});

static ISSUING: LazyLock<TrustStore> = LazyLock::new(|| {
    let issuing = include_bytes!("../fixtures/issuing.cer");
    TrustStore::new().add(issuing, Vouches::Tiers).expect("an authority")
});

fn pem(text: &str) -> Vec<u8> {
    der::pem::decode_vec(text.as_bytes())
        .expect("a PEM file of the fixtures")
        .1
}

/// Stands in for somebody with a key: what is inside of `[0] OCTET STRING` in the ContentInfo is what was encrypted.
#[derive(Debug)]
struct Opener;

impl Decryption for Opener {
    fn decrypt(&self, cms: &[u8]) -> Option<Vec<u8>> {
        let mut content_info = Reader::new(cms, Rules::IndefiniteToo).sequence().ok()?;
        content_info.object_identifier().ok()?;
        let mut explicit = content_info.constructed(context_constructed(0)).ok()?;
        asn1::octet_string(explicit.any().ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use base64ct::Encoding as _;

    use super::*;

    /// xorshift64*, so that every run sees the same input.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let next = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
            usize::try_from(next).unwrap() % limit.max(1)
        }

        fn damage(&mut self, input: &[u8]) -> Vec<u8> {
            let mut damaged = input.to_vec();
            for _ in 0..=self.below(3) {
                if damaged.is_empty() {
                    break;
                }
                let place = self.below(damaged.len());
                match self.below(5) {
                    0 => damaged[place] ^= 1 << self.below(8),
                    1 => damaged[place] = [0, 0x30, 0x80, 0xff, b'\r', b'\n', b'-', b'='][self.below(8)],
                    2 => drop(damaged.remove(place)),
                    3 => damaged.insert(place, u8::try_from(self.below(256)).unwrap()),
                    _ => damaged.truncate(place),
                }
            }
            damaged
        }
    }

    fn fixture(name: &str) -> Vec<u8> {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)).unwrap()
    }

    /// What is base64 in the second part of a clear-signed message.
    fn signature(message: &[u8]) -> Vec<u8> {
        let text = str::from_utf8(message).unwrap();
        let start = text.rfind("\r\n\r\n").unwrap();
        let end = text[start..].find("\r\n--").unwrap();
        base64::decode(&text.as_bytes()[start..start + end]).unwrap()
    }

    /// Each entrance of the fuzz targets with two thousand damaged inputs.
    #[test]
    fn damaged_input_of_every_kind_is_answered() {
        let v4 = fixture("v4.eml");
        let cms_in_v4 = signature(&v4);
        assert!(
            SignedData::read(&cms_in_v4).is_ok(),
            "the damage starts from something good"
        );
        let mut chance = Chance(0x5ea1_2026);
        let mut check = |entrance: fn(&[u8]), good: &[u8]| {
            entrance(good);
            for _ in 0..2000 {
                entrance(&chance.damage(good));
            }
        };
        check(mime, &v4);
        check(cms, &cms_in_v4);
        check(certificate, &fixture("issuing.cer"));
        check(crl, &fixture("root.crl"));
        check(ocsp, &fixture("other.ocsp"));
    }

    #[test]
    fn damaged_messages_show_nothing_else_with_a_tier() {
        let good = [fixture("v1.eml"), fixture("v4.eml"), encrypted(&fixture("v3.eml"))];
        let mut chance = Chance(0x5ea1_1976);
        let mut kept = [0; 3];
        for round in 0..900 {
            let damaged = chance.damage(&good[round % 3]);
            kept[round % 3] += usize::from(message(&damaged).tier().is_some());
        }
        assert!(
            kept.iter().all(|kept| *kept > 0),
            "some damage is outside of what is signed, or none of this shows anything: {kept:?}"
        );
    }

    /// What the authority itself signed settles the question, so that the runs above show something.
    #[test]
    fn honest_lists_are_believed() {
        crl(&WORLD.list);
        let status = WORLD_PATH.revocation(std::slice::from_ref(&WORLD.list), WORLD.at);
        assert_eq!(status, RevocationStatus::Revoked);
    }

    /// The same message as [`Opener`] reads it: the fields that describe the content move inside.
    fn encrypted(message: &[u8]) -> Vec<u8> {
        let text = str::from_utf8(message).unwrap();
        let (header, _) = text.split_once("\r\n\r\n").unwrap();
        let content = header.find("Content-Type:").unwrap();
        let outside = &header[..content];
        let inside = &text[content..];
        let element = |tag: u8, content: &[u8]| {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            assert!(length[0] > 0, "two octets are the shortest form");
            [&[tag, 0x82], length.as_slice(), content].concat()
        };
        let identifier = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03";
        let explicit = element(0xa0, &element(asn1::OCTET_STRING, inside.as_bytes()));
        let cms = element(asn1::SEQUENCE, &[identifier, explicit.as_slice()].concat());
        let base64 = base64ct::Base64::encode_string(&cms);
        let lines: Vec<&str> = base64
            .as_bytes()
            .chunks(76)
            .map(|line| str::from_utf8(line).unwrap())
            .collect();
        format!(
            "{outside}Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            lines.join("\r\n")
        )
        .into_bytes()
    }
}
