//! Revocation lists in shards, as OpenSSL reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use openssl::x509::{X509, X509Crl};
use policies::time::Span;

use super::world;
use crate::accounts::Caller;
use crate::app::App;
use crate::crl::{self, Crl, Scope};
use crate::issuance::TracingObserver;
use crate::jobs;
use crate::orders::{OrderState, TierChoice, place};
use crate::revocation::{Reason, revoke};
use crate::testing::{Proof, World, order, parts};

const ADA: &str = "ada@example.com";

/// Another process over the same database, which spreads new certificates over so many shards.
async fn node(world: &World, shards: u16, seed: u8) -> Arc<App> {
    node_at(world, shards, seed, "http://pki.example.com").await
}

async fn node_at(world: &World, shards: u16, seed: u8, public_url: &str) -> Arc<App> {
    let path = world.folder.join("ca.toml");
    let written = std::fs::read_to_string(&path).unwrap();
    let lines = written.lines().map(|line| match line.split_once(" = ") {
        Some(("crl_shards", _)) => format!("crl_shards = {shards}"),
        Some(("public_url", _)) => format!("public_url = \"{public_url}\""),
        _ => line.to_owned(),
    });
    let changed = lines.collect::<Vec<_>>().join("\n");
    assert!(changed.contains(&format!("\ncrl_shards = {shards}\n")), "{changed}");
    std::fs::write(&path, changed).unwrap();
    let (parts, _) = parts(seed, &world.clock, &world.keys, Arc::new(TracingObserver));
    App::open(&world.folder, parts).await.unwrap()
}

async fn issue(app: &Arc<App>, caller: &Caller) -> String {
    let placed = place(app, caller, order(ADA, TierChoice::Best)).await.unwrap();
    match placed.state {
        OrderState::Valid { serial, .. } => serial,
        other => panic!("{other:?}"),
    }
}

async fn subscriber(world: &World) -> Caller {
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    ada
}

async fn list(app: &App, scope: Scope) -> Crl {
    crl::current(app, app.issuers().issuing(), scope).await.unwrap()
}

fn serials(crl: &Crl) -> BTreeSet<String> {
    let list = X509Crl::from_der(&crl.der).unwrap();
    let revoked = list.get_revoked();
    let numbers = revoked.into_iter().flatten().map(|entry| entry.serial_number().to_bn().unwrap());
    numbers.map(|number| number.to_hex_str().unwrap().to_lowercase()).collect()
}

async fn scope_of(world: &World, serial: &str) -> Scope {
    world.row(serial).await.scope().unwrap()
}

#[tokio::test]
async fn a_certificate_names_one_shard_and_stands_on_that_and_on_the_complete_list() {
    let world = world!();
    let ada = subscriber(&world).await;
    // From before there were shards.
    let old = issue(&world.app, &ada).await;
    assert_eq!(scope_of(&world, &old).await, Scope::Complete);
    let app = node(&world, 3, 11).await;
    let scopes = crl::scopes(&app, app.issuers().issuing()).await.unwrap();
    assert_eq!(scopes.len(), 4);
    let mut by_shard: BTreeMap<Scope, Vec<String>> = BTreeMap::new();
    while by_shard.len() < 2 {
        let serial = issue(&app, &ada).await;
        let scope = scope_of(&world, &serial).await;
        let certificate = X509::from_der(&world.row(&serial).await.certificate.unwrap()).unwrap();
        let points = certificate.crl_distribution_points().unwrap();
        let name = points[0].distpoint().unwrap().fullname().unwrap();
        let file = scope.file_name("issuing");
        assert_eq!(name[0].uri(), Some(&*format!("http://pki.example.com/crl/{file}")));
        assert_eq!((points.len(), name.len()), (1, 1));
        by_shard.entry(scope).or_default().push(serial);
    }
    let shards: Vec<(&Scope, &Vec<String>)> = by_shard.iter().collect();
    let (&first, revoked) = (shards[0].0, &shards[0].1[0]);
    let &other = shards[1].0;
    for scope in &scopes {
        assert!(serials(&list(&app, *scope).await).is_empty(), "{scope}");
    }

    // On its own list at once, on the complete one with the next look at the clock, and on no other.
    world.clock.advance(Span::minutes(5));
    let complete = list(&app, Scope::Complete).await;
    revoke(&app, &ada, revoked, Reason::Superseded).await.unwrap();
    assert_eq!(serials(&list(&app, first).await), BTreeSet::from([revoked.clone()]));
    assert_eq!(list(&app, Scope::Complete).await.number, complete.number);
    jobs::refresh_crls(&app).await.unwrap();
    assert_eq!(serials(&list(&app, Scope::Complete).await), BTreeSet::from([revoked.clone()]));
    assert!(serials(&list(&app, other).await).is_empty());

    // What names no shard is on the complete list at once.
    let unchanged = list(&app, first).await;
    revoke(&app, &ada, &old, Reason::Superseded).await.unwrap();
    let both = BTreeSet::from([revoked.clone(), old]);
    assert_eq!(serials(&list(&app, Scope::Complete).await), both);
    assert_eq!(list(&app, first).await.number, unchanged.number);

    // Another reason for what is listed already: both lists tell of it at once.
    let complete = list(&app, Scope::Complete).await;
    revoke(&app, &ada, revoked, Reason::KeyCompromise).await.unwrap();
    assert!(list(&app, first).await.number > unchanged.number);
    assert!(list(&app, Scope::Complete).await.number > complete.number);
}

fn pem(label: &str, der: &[u8]) -> String {
    crate::issuers::pem(label, der)
}

/// What `openssl verify -crl_check_all` says of a certificate with these lists.
async fn openssl_verify(world: &World, serial: &str, lists: &[&Crl]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let [root, issuing] = world.app.issuers().all();
    let anchor = write("root.pem", root.certificate_pem());
    let chain = write("issuing.pem", issuing.certificate_pem());
    let of_root = crl::current(&world.app, root, Scope::Complete).await.unwrap();
    let text = std::iter::once(&of_root).chain(lists.iter().copied()).map(|crl| pem("X509 CRL", &crl.der)).collect();
    let lists = write("lists.pem", text);
    let der = world.row(serial).await.certificate.unwrap();
    let leaf = write("leaf.pem", pem("CERTIFICATE", &der));
    let now = world.app.now().unix().to_string();
    let of = |path: &Path| path.to_str().unwrap().to_owned();
    let output = Command::new("openssl")
        .args(["verify", "-crl_check_all", "-x509_strict", "-attime", &now])
        .args(["-CAfile", &of(&anchor), "-untrusted", &of(&chain), "-CRLfile", &of(&lists), &of(&leaf)])
        .output()
        .expect("openssl is installed: scripts/setup test sees to it");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[tokio::test]
async fn openssl_takes_the_list_of_a_shard_for_its_certificates_only() {
    let world = world!();
    let ada = subscriber(&world).await;
    let app = node(&world, 2, 12).await;
    let mut found: BTreeMap<Scope, String> = BTreeMap::new();
    while found.len() < 2 {
        let serial = issue(&app, &ada).await;
        found.insert(scope_of(&world, &serial).await, serial);
    }
    let (scopes, certificates): (Vec<Scope>, Vec<String>) = found.into_iter().unzip();
    let lists = [list(&app, scopes[0]).await, list(&app, scopes[1]).await];
    for (number, serial) in certificates.iter().enumerate() {
        let said = openssl_verify(&world, serial, &[&lists[number]]).await;
        assert!(said.contains(": OK"), "{said}");
        // A list of other certificates says nothing of this one, not even that it is good.
        let said = openssl_verify(&world, serial, &[&lists[1 - number]]).await;
        assert!(said.contains("different CRL scope") && !said.contains(": OK"), "{said}");
    }
    revoke(&app, &ada, &certificates[0], Reason::CessationOfOperation).await.unwrap();
    let said = openssl_verify(&world, &certificates[0], &[&list(&app, scopes[0]).await]).await;
    assert!(said.contains("certificate revoked"), "{said}");
    let complete = crl::publish(&app, app.issuers().issuing(), Scope::Complete).await.unwrap();
    let said = openssl_verify(&world, &certificates[0], &[&complete]).await;
    assert!(said.contains("certificate revoked"), "{said}");
    let said = openssl_verify(&world, &certificates[1], &[&complete]).await;
    assert!(said.contains(": OK"), "{said}");
}

#[tokio::test]
async fn shards_stay_when_there_are_to_be_fewer_and_keep_the_names_they_had() {
    let world = world!();
    let ada = subscriber(&world).await;
    let app = node(&world, 2, 13).await;
    let serial = issue(&app, &ada).await;
    let scope = scope_of(&world, &serial).await;
    let before = list(&app, scope).await;
    // One moves, and one does without.
    let moved = node_at(&world, 2, 14, "http://lists.example.net").await;
    let without = node(&world, 0, 15).await;
    assert_eq!(scope_of(&world, &issue(&without, &ada).await).await, Scope::Complete);
    assert_eq!(crl::scopes(&without, without.issuers().issuing()).await.unwrap().len(), 3);
    revoke(&without, &ada, &serial, Reason::Superseded).await.unwrap();
    let after = list(&moved, scope).await;
    assert!(after.number > before.number);
    assert_eq!(serials(&after), BTreeSet::from([serial.clone()]));
    // The list goes by both names, so that neither certificates from before nor those from now are without one.
    let file = scope.file_name("issuing");
    let contains = |text: &str| after.der.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains(&format!("http://pki.example.com/crl/{file}")));
    assert!(contains(&format!("http://lists.example.net/crl/{file}")));
    let said = openssl_verify(&world, &serial, &[&after]).await;
    assert!(said.contains("certificate revoked"), "{said}");
    // It is renewed as long as there are certificates that may name it.
    world.clock.advance(Span::days(6));
    jobs::refresh_crls(&without).await.unwrap();
    assert!(list(&without, scope).await.this_update > after.this_update);
}

#[tokio::test]
async fn invariant_08_nodes_that_publish_at_once_share_one_sequence() {
    let world = world!();
    let nodes = [node(&world, 2, 16).await, node(&world, 2, 17).await, node(&world, 2, 18).await];
    let mut publishing = tokio::task::JoinSet::new();
    for round in 0..12 {
        let app = Arc::clone(&nodes[round % 3]);
        let scopes = crl::scopes(&app, app.issuers().issuing()).await.unwrap();
        let scope = scopes[round % scopes.len()];
        publishing.spawn(async move { crl::publish(&app, app.issuers().issuing(), scope).await.unwrap() });
    }
    let published = publishing.join_all().await;
    assert_eq!(published.len(), 12);
    let mut numbers: [Vec<i64>; 3] = [const { Vec::new() }; 3];
    let mut taken = BTreeSet::new();
    for event in crate::audit::events(&world.app, 0, 1000).await.unwrap() {
        let details: serde_json::Value = serde_json::from_str(&event.details).unwrap();
        if details["issuer"] != "issuing" {
            continue;
        }
        let number = details["number"].as_i64();
        match event.action.as_str() {
            "crl-number-taken" => assert!(taken.insert(number.unwrap()), "{details}"),
            "crl-published" => {
                let shard = usize::try_from(details["shard"].as_i64().unwrap()).unwrap();
                numbers[shard].push(number.unwrap());
            }
            _ => {}
        }
    }
    let all: BTreeSet<i64> = numbers.iter().flatten().copied().collect();
    // No number on two lists, of whichever scope, and none that was not taken.
    assert_eq!(all.len(), numbers.iter().map(Vec::len).sum::<usize>());
    assert!(all.is_subset(&taken), "{numbers:?} {taken:?}");
    for (stored, of_scope) in numbers.iter().enumerate() {
        let scope = Scope::from_stored(i32::try_from(stored).unwrap()).unwrap();
        assert!(of_scope.is_sorted(), "{of_scope:?}");
        assert_eq!(list(&nodes[0], scope).await.number, *of_scope.last().unwrap());
    }
    crate::audit::verify(&world.app).await.unwrap();
}

#[tokio::test]
async fn a_list_that_another_node_has_begun_is_left_to_it_for_a_minute() {
    let world = world!();
    let issuing = world.app.issuers().issuing();
    world.clock.advance(Span::days(6));
    let before = list(&world.app, Scope::Complete).await;
    // That node has taken a number, and nothing more was heard of it.
    let now = world.app.now().unix();
    world
        .tamper(&format!(
            "UPDATE issuers SET crl_number = crl_number + 1 WHERE id = 'issuing';
             UPDATE crls_begun SET number = number + 1, begun_at = {now} WHERE issuer_id = 'issuing';"
        ))
        .await;
    assert_eq!(crl::refresh(&world.app, issuing, Scope::Complete).await.unwrap(), None);
    world.clock.advance(Span::seconds(59));
    assert_eq!(crl::refresh(&world.app, issuing, Scope::Complete).await.unwrap(), None);
    world.clock.advance(Span::seconds(1));
    let after = crl::refresh(&world.app, issuing, Scope::Complete).await.unwrap().unwrap();
    assert_eq!(after.number, before.number + 2);
    // Whoever revokes does not wait for anybody.
    assert_eq!(crl::refresh(&world.app, issuing, Scope::Complete).await.unwrap(), None);
    let next = crl::publish(&world.app, issuing, Scope::Complete).await.unwrap();
    assert_eq!(next.number, after.number + 1);
}
