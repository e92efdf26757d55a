//! The evidence pack of a certificate says enough for somebody who has nothing else, and cannot be changed.

use std::io::{Cursor, Read, Write};

use policies::tier::Tier;
use policies::time::Span;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::world;
use crate::accounts;
use crate::audit;
use crate::error::Error;
use crate::evidence_pack::{Documents, Pack, check, collect};
use crate::orders::{OrderState, TierChoice, place};
use crate::testing::{Proof, World, order};

const ADA: &str = "ada@example.com";

/// A V4 certificate, which rests on every kind of proof, and another of the same account.
async fn issued(world: &World) -> String {
    let ada = world.subscriber("Beispiel AG").await;
    for proof in Proof::everything(ADA) {
        world.prove(&ada, proof, Span::hours(1)).await;
    }
    let mut serials = Vec::new();
    for _ in 0..2 {
        let order = place(&world.app, &ada, order(ADA, TierChoice::Exactly(Tier::V4))).await.unwrap();
        match order.state {
            OrderState::Valid { serial, .. } => serials.push(serial),
            other => panic!("{other:?}"),
        }
    }
    serials.remove(0)
}

async fn pack(world: &World, serial: &str) -> Pack {
    let operator = accounts::local_operator();
    let operator = operator.as_operator("read all evidence").unwrap();
    collect(&world.app, operator, serial, Documents::NameOnly).await.unwrap()
}

/// Names of the checks that fail.
fn wrong(pack: &Pack) -> Vec<&'static str> {
    check(pack, None)
        .into_iter()
        .filter(|outcome| outcome.result.is_err())
        .map(|outcome| outcome.about)
        .collect()
}

/// The pack with some files replaced, added or (`None`) left out.
fn changed(pack: &Pack, change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> Pack {
    let mut archive = Cursor::new(Vec::new());
    pack.write(&mut archive).unwrap();
    let mut from = ZipArchive::new(archive).unwrap();
    let mut to = ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..from.len() {
        let mut file = from.by_index(number).unwrap();
        let name = file.name().unwrap().into_owned();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        if let Some(content) = change(&name, content) {
            to.start_file(name, SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored))
                .unwrap();
            to.write_all(&content).unwrap();
        }
    }
    Pack::read(&to.finish().unwrap().into_inner()).unwrap()
}

#[tokio::test]
async fn a_pack_proves_why_a_certificate_was_issued() {
    let world = world!();
    let serial = issued(&world).await;
    let pack = pack(&world, &serial).await;
    assert_eq!(wrong(&pack), [""; 0], "{:#?}", check(&pack, None));
    let key = audit::public_key(&world.app).unwrap();
    assert!(check(&pack, Some(&key)).iter().all(|outcome| outcome.result.is_ok()));
    let evidence = pack.names().filter(|name| name.starts_with("evidence/")).count();
    assert_eq!(evidence, 5, "mailbox, individual, organization, authority and employment");
    for name in ["order.json", "caa.json", "lints.json", "README.txt", "certificate.json"] {
        assert!(pack.file(name).is_some(), "{name}");
    }
    // The other certificate of the same proofs is nobody's business here.
    let rows = pack.names().filter(|name| name.starts_with("audit/") && name.ends_with(".json"));
    let recorded = rows
        .filter(|name| {
            let row = String::from_utf8_lossy(pack.file(name).unwrap()).into_owned();
            row.contains("certificate-recorded")
        })
        .count();
    assert_eq!(recorded, 1);
}

#[tokio::test]
async fn a_changed_pack_proves_nothing() {
    let world = world!();
    let serial = issued(&world).await;
    let pack = pack(&world, &serial).await;

    // Any file that is changed, left out or added is found by the manifest.
    let names: Vec<String> = pack.names().filter(|name| *name != "manifest.json").map(str::to_owned).collect();
    for name in &names {
        let touched = changed(&pack, |file, mut content| {
            if file == name {
                content.push(b'\n');
            }
            Some(content)
        });
        assert!(wrong(&touched).contains(&"manifest"), "{name} changed");
        let missing = changed(&pack, |file, content| (file != name).then_some(content));
        assert!(wrong(&missing).contains(&"manifest"), "{name} missing");
    }
    assert!(wrong(&changed(&pack, |file, content| (file != "manifest.json").then_some(content))).contains(&"manifest"));

    // Somebody who makes the manifest anew is found by what the files say.
    let reads = |file: &str, from: &str, to: &str| {
        changed(&pack, |name, content| {
            let text = String::from_utf8_lossy(&content).into_owned();
            Some(match name.starts_with(file) && text.contains(from) {
                true => text.replace(from, to).into_bytes(),
                false => content,
            })
        })
    };
    let found = |pack: &Pack, about: &str| assert!(wrong(pack).contains(&about), "{about}: {:#?}", check(pack, None));
    found(&reads("audit/", "issuance", "issuancf"), "audit log");
    found(&reads("audit/", "index ", "index 1"), "audit log");
    found(&reads("audit-key.pem", "PUBLIC KEY", "PRIVATE KEY"), "audit key");
    found(&changed(&pack, |name, content| (!name.starts_with("evidence/")).then_some(content)), "evidence");
    found(&changed(&pack, |name, content| (!name.starts_with("audit/")).then_some(content)), "record");
    let octet = |file: &str, from_the_end: usize| {
        changed(&pack, |name, mut content| {
            if name == file {
                let place = content.len() - from_the_end;
                content[place] ^= 1;
            }
            Some(content)
        })
    };
    found(&octet("certificate.der", 1), "certificate");
    found(&octet("certificate.der", 1), "record");
    found(&octet("tbs.der", 20), "certificate");
    found(&octet("tbs.der", 20), "record");
    found(&octet("request.der", 1), "request");

    // Another authority's key.
    let other = World::new(super::DATABASE).await.unwrap();
    let other_key = keys::testing::other_p256();
    drop(other);
    let key = audit::AuditPublicKey::new(other_key.public_key().clone()).unwrap();
    let outcomes = check(&pack, Some(&key));
    assert!(outcomes.iter().any(|outcome| outcome.about == "audit key" && outcome.result.is_err()));
}

#[tokio::test]
async fn what_was_never_recorded_has_no_pack() {
    let world = world!();
    let operator = accounts::local_operator();
    let operator = operator.as_operator("read all evidence").unwrap();
    for serial in ["", "00", "ff", "../x"] {
        let error = collect(&world.app, operator, serial, Documents::Include).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{serial:?}: {error}");
    }
}
