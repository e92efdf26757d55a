//! The domain of an address is asked before the address is certified, and what it says is kept (BR 4.2.2.1).

use std::sync::Arc;

use dns::{CertificationAuthorityAuthorization, LocalAnswerer, LocalData, Name};
use policies::time::Span;

use super::world;
use crate::accounts::Caller;
use crate::app::App;
use crate::orders::{Order, OrderState, TierChoice, place};
use crate::testing::{Proof, World, order, parts};
use crate::{audit, issuance, store};

const ADA: &str = "ada@sub.example.com";

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn caa(critical: bool, tag: &str, value: &str) -> LocalData {
    LocalData::Caa(CertificationAuthorityAuthorization {
        critical,
        tag: tag.to_owned(),
        value: value.as_bytes().to_vec(),
    })
}

fn issuemail(value: &str) -> LocalData {
    caa(false, "issuemail", value)
}

/// A world that asks `local`, with somebody whose mailbox is proved.
async fn with_ada(local: &LocalAnswerer) -> Option<(World, Caller)> {
    let world = World::with_dns(super::DATABASE, local.resolver_config()).await?;
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    Some((world, ada))
}

async fn try_order(world: &World, ada: &Caller) -> Order {
    place(&world.app, ada, order(ADA, TierChoice::Best)).await.unwrap()
}

/// Orders, and says why there is no certificate; nothing was signed then.
async fn refusal(world: &World, ada: &Caller) -> Option<String> {
    let before = world.keys.signatures();
    match try_order(world, ada).await.state {
        OrderState::Valid { .. } => None,
        OrderState::Pending { problem } => {
            assert_eq!(world.keys.signatures(), before, "signed although refused");
            problem
        }
        other => panic!("{other:?}"),
    }
}

async fn events(world: &World, action: &str) -> Vec<serde_json::Value> {
    let events = audit::events(&world.app, 0, 1000).await.unwrap();
    events
        .into_iter()
        .filter(|event| event.action == action)
        .map(|event| serde_json::from_str(&event.details).unwrap())
        .collect()
}

#[tokio::test]
async fn a_permission_is_recorded_with_the_certificate_and_used_for_eight_hours() {
    let local = LocalAnswerer::start().unwrap();
    let Some((world, ada)) = with_ada(&local).await else {
        return;
    };
    local.zone().set(&name("example.com"), vec![issuemail("pki.example.com"), issuemail("other.example")]);
    let OrderState::Valid { serial, .. } = try_order(&world, &ada).await.state else {
        panic!();
    };
    let certificate = world.row(&serial).await.id;
    let linked = world
        .app
        .db
        .read(move |conn| Ok::<_, crate::Error>(store::caa_checks::of_certificate(conn, &certificate)?))
        .await
        .unwrap()
        .unwrap();
    let permitted = events(&world, "caa-permitted").await;
    assert_eq!(permitted.len(), 1);
    assert_eq!(linked.0.as_deref(), permitted[0]["check"].as_str());
    assert_eq!(permitted[0]["found_at"], "example.com");
    assert_eq!(permitted[0]["proof"], "secure");
    assert_eq!(permitted[0]["reason"], "permitted by `0 issuemail \"pki.example.com\"`");
    let recorded = events(&world, "certificate-recorded").await;
    assert_eq!(recorded[0]["caa"]["check"], permitted[0]["check"]);
    assert_eq!(recorded[0]["caa"]["at"], world.app.now().to_string());

    // The domain changes its mind. To the last second of the eighth hour the earlier answer counts.
    local.zone().set(&name("example.com"), vec![issuemail(";")]);
    world.clock.advance(Span::hours(8));
    assert_eq!(refusal(&world, &ada).await, None);
    assert_eq!(events(&world, "caa-permitted").await.len(), 1, "not asked again");
    world.clock.advance(Span::seconds(1));
    let refused = refusal(&world, &ada).await.unwrap();
    assert!(refused.contains("`0 issuemail \";\"`"), "{refused}");
}

#[tokio::test]
async fn a_refusal_names_the_record_the_domain_and_the_section_and_is_kept() {
    let local = LocalAnswerer::start().unwrap();
    let Some((world, ada)) = with_ada(&local).await else {
        return;
    };
    let iodef = caa(false, "iodef", "mailto:security@example.com");
    local.zone().set(&name("example.com"), vec![issuemail("other.example"), iodef]);
    let refused = refusal(&world, &ada).await.unwrap();
    for part in ["sub.example.com", "example.com does not let", "`0 issuemail \"other.example\"`", "BR 4.2.2.1"] {
        assert!(refused.contains(part), "{refused:?} lacks {part:?}");
    }
    let kept = events(&world, "caa-refused").await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["domain"], "sub.example.com");
    assert_eq!(kept[0]["iodef"], serde_json::json!(["mailto:security@example.com"]));
    assert_eq!(kept[0]["section"], "4.2.2.1");
    assert!(world.certificates().await.is_empty());
    // A refusal is not held against anybody: the next order asks again.
    local.zone().set(&name("sub.example.com"), vec![issuemail("pki.example.com")]);
    assert_eq!(refusal(&world, &ada).await, None);
}

#[tokio::test]
async fn the_nearest_records_decide() {
    let local = LocalAnswerer::start().unwrap();
    let Some((world, ada)) = with_ada(&local).await else {
        return;
    };
    let zone = local.zone();
    // The top-level domain is asked too.
    zone.set(&name("com"), vec![issuemail(";")]);
    assert!(refusal(&world, &ada).await.unwrap().contains("com does not let"));
    // Records that are not about mail end the climb as well (RFC 8659 section 3, RFC 9495 section 4).
    zone.set(&name("sub.example.com"), vec![caa(false, "issue", ";")]);
    assert_eq!(refusal(&world, &ada).await, None);
    // An alias is followed for its own name only, and the climb goes on from the name that was asked for.
    world.clock.advance(Span::hours(9));
    zone.set(&name("sub.example.com"), vec![LocalData::Alias(name("elsewhere.example"))]);
    zone.set(&name("example"), vec![issuemail(";")]);
    zone.set(&name("example.com"), vec![issuemail("pki.example.com")]);
    assert_eq!(refusal(&world, &ada).await, None);
    world.clock.advance(Span::hours(9));
    zone.set(&name("elsewhere.example"), vec![issuemail("other.example")]);
    assert!(refusal(&world, &ada).await.unwrap().contains("other.example"));
}

#[tokio::test]
async fn critical_records_that_nobody_here_knows_refuse() {
    let local = LocalAnswerer::start().unwrap();
    let Some((world, ada)) = with_ada(&local).await else {
        return;
    };
    let records = vec![issuemail("pki.example.com"), caa(true, "future", "x")];
    local.zone().set(&name("example.com"), records);
    assert!(refusal(&world, &ada).await.unwrap().contains("`128 future \"x\"`"));
}

#[tokio::test]
async fn silence_is_permission_only_where_there_is_provably_no_dnssec() {
    let local = LocalAnswerer::start().unwrap();
    let Some((world, ada)) = with_ada(&local).await else {
        return;
    };
    local.zone().silence(&name("example.com"));
    let refused = refusal(&world, &ada).await.unwrap();
    assert!(refused.contains("no server answered in time about sub.example.com"), "{refused}");
    assert_eq!(events(&world, "caa-refused").await[0]["proof"], "no-answer");
    local.zone().delegate_unsigned(&name("example.com"));
    assert_eq!(refusal(&world, &ada).await, None);
    let permitted = &events(&world, "caa-permitted").await[0];
    assert_eq!(permitted["proof"], "accepted-failure");
    assert!(permitted["reason"].as_str().unwrap().contains("example.com is proved not to use DNSSEC"));
}

#[tokio::test]
async fn when_nobody_at_all_answers_the_fault_may_be_ours() {
    let local = LocalAnswerer::start().unwrap();
    local.zone().delegate_unsigned(&name("example.com"));
    let Some((world, ada)) = with_ada(&local).await else {
        return;
    };
    drop(local);
    assert!(refusal(&world, &ada).await.unwrap().contains("could not be looked up"));
}

#[tokio::test]
async fn forged_answers_refuse() {
    let (local, other) = (LocalAnswerer::start().unwrap(), LocalAnswerer::start().unwrap());
    let mut dns = local.resolver_config();
    dns.trust_anchor = other.resolver_config().trust_anchor;
    let Some(world) = World::with_dns(super::DATABASE, dns).await else {
        return;
    };
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let refused = refusal(&world, &ada).await.unwrap();
    assert!(refused.contains("cannot be trusted"), "{refused}");
    assert_eq!(events(&world, "caa-refused").await[0]["proof"], "bogus");
}

#[tokio::test]
async fn nobody_is_asked_before_the_evidence_suffices() {
    let local = LocalAnswerer::start().unwrap();
    let Some(world) = World::with_dns(super::DATABASE, local.resolver_config()).await else {
        return;
    };
    local.zone().set(&name("example.com"), vec![issuemail(";")]);
    let ada = world.subscriber("Ada").await;
    assert!(refusal(&world, &ada).await.unwrap().contains("evidence"));
    assert!(events(&world, "caa-refused").await.is_empty());
}

#[tokio::test]
async fn not_asking_needs_a_reason_that_every_certificate_keeps() {
    let world = world!();
    let path = world.folder.join("ca.toml");
    let because = "a private authority for the people of one company";
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("[caa]\n", &format!("[caa]\ncheck = \"off\"\noff_because = \"{because}\"\n"));
    std::fs::write(&path, text).unwrap();
    let (parts, _) = parts(5, &world.clock, &world.keys, Arc::new(issuance::TracingObserver));
    let app = App::open(&world.folder, parts).await.unwrap();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let placed = place(&app, &ada, order(ADA, TierChoice::Best)).await.unwrap();
    let OrderState::Valid { serial, .. } = placed.state else {
        panic!("{placed:?}");
    };
    let certificate = world.row(&serial).await.id;
    let linked = app
        .db
        .read(move |conn| Ok::<_, crate::Error>(store::caa_checks::of_certificate(conn, &certificate)?))
        .await
        .unwrap();
    assert_eq!(linked, Some((None, Some(because.to_owned()))));
    assert_eq!(events(&world, "certificate-recorded").await[0]["caa"]["not_checked_because"], because);
}
