//! What is seen from one network alone proves nothing to an authority that everybody trusts (BR 4.2.2.2, TLS BR 3.2.2.9).

use std::sync::Arc;

use ca_api::{DomainChallengeState, DomainMethod, NewDomainChallenge};
use dns::{CertificationAuthorityAuthorization, LocalAnswerer, LocalData, Name};
use policies::mailbox::Domain;
use policies::time::{Span, Timestamp};

use crate::accounts::{AccountId, Caller};
use crate::app::App;
use crate::orders::{OrderState, TierChoice, place};
use crate::perspectives::testing::{CITIES, Network, with_perspectives};
use crate::store::corroborations::{AnswerRow, CorroborationRow};
use crate::testing::{Proof, World, order};
use crate::validation::control::{Challenge, begin, check};
use crate::{audit, store};

const PLACE: &str = "_sealwright-challenge.example.com";
const ADA: &str = "ada@example.com";

/// An authority with its own network, and others.
struct Story {
    world: World,
    app: Arc<App>,
    here: LocalAnswerer,
    elsewhere: Vec<Network>,
    ada: Caller,
    account: AccountId,
}

impl Story {
    async fn new(publicly_trusted: bool, cities: &[usize]) -> Option<Self> {
        let here = LocalAnswerer::start().unwrap();
        let world = World::with_dns(super::DATABASE, here.resolver_config()).await?;
        let mut elsewhere = Vec::new();
        for city in cities {
            elsewhere.push(Network::start(CITIES[*city], &world.clock).await);
        }
        let sections: Vec<String> = elsewhere.iter().map(Network::section).collect();
        let app = with_perspectives(&world, &here, publicly_trusted, &sections).await;
        let ada = world.subscriber("Ada").await;
        let account = ada.account.clone().unwrap();
        Some(Self {
            world,
            app,
            here,
            elsewhere,
            ada,
            account,
        })
    }

    async fn begin(&self) -> Challenge {
        let new = NewDomainChallenge {
            domain: Domain::parse("example.com").unwrap(),
            method: DomainMethod::DnsChange,
        };
        begin(&self.app, &self.account, "ada", new).await.unwrap()
    }

    /// Publishes here and in the first `count` of the other networks.
    fn publish(&self, challenge: &Challenge, count: usize) {
        let records = || vec![LocalData::Text(challenge.value.clone())];
        self.here.zone().set(&Name::parse(PLACE).unwrap(), records());
        for (position, network) in self.elsewhere.iter().enumerate() {
            network.say(PLACE, if position < count { records() } else { Vec::new() });
        }
    }

    async fn check(&self, challenge: &Challenge) -> Challenge {
        check(&self.app, &self.account, &challenge.id).await.unwrap()
    }

    async fn validate(&self) {
        let challenge = self.begin().await;
        self.publish(&challenge, self.elsewhere.len());
        assert_eq!(self.check(&challenge).await.state, DomainChallengeState::Validated);
        // What is sorted by time is sorted by what happened.
        self.world.clock.advance(Span::seconds(1));
    }

    async fn evidence(&self) -> usize {
        let account = self.account.clone();
        let found = self.app.db.read(move |conn| store::evidence::of_account(conn, &account));
        found.await.unwrap().len()
    }

    async fn corroborations(&self) -> Vec<(CorroborationRow, Vec<AnswerRow>)> {
        self.app
            .db
            .read(|conn| {
                let rows = store::corroborations::of_domain(conn, "example.com")?;
                rows.into_iter()
                    .map(|row| {
                        let answers = store::corroborations::answers(conn, &row.id)?;
                        Ok::<_, crate::Error>((row, answers))
                    })
                    .collect()
            })
            .await
            .unwrap()
    }

    /// Orders, and says why there is no certificate; nothing was signed then.
    async fn refusal(&self) -> Option<String> {
        let before = self.world.keys.signatures();
        let placed = place(&self.app, &self.ada, order(ADA, TierChoice::Best)).await.unwrap();
        match placed.state {
            OrderState::Valid { .. } => None,
            OrderState::Pending { problem } => {
                assert_eq!(self.world.keys.signatures(), before, "signed although refused");
                problem
            }
            other => panic!("{other:?}"),
        }
    }

    async fn events(&self, action: &str) -> Vec<serde_json::Value> {
        let events = audit::events(&self.app, 0, 1000).await.unwrap();
        events
            .into_iter()
            .filter(|event| event.action == action)
            .map(|event| serde_json::from_str(&event.details).unwrap())
            .collect()
    }
}

fn issuemail(value: &str) -> Vec<LocalData> {
    vec![LocalData::Caa(CertificationAuthorityAuthorization {
        critical: false,
        tag: "issuemail".to_owned(),
        value: value.as_bytes().to_vec(),
    })]
}

#[tokio::test]
async fn what_other_networks_see_too_is_recorded_with_each_of_them_and_carries_a_certificate() {
    let Some(story) = Story::new(true, &[0, 1, 2, 3]).await else {
        return;
    };
    story.validate().await;
    assert_eq!(story.evidence().await, 1);
    let found = story.corroborations().await;
    let [(row, answers)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((row.subject.as_str(), row.standard.as_str()), ("domain-control", "public"));
    assert_eq!((row.needed_perspectives, row.needed_registries), (4, 2));
    assert_eq!((row.asked, row.corroborating, row.outcome.as_str()), (4, 4, "corroborated"));
    let names: Vec<&str> = answers.iter().map(|answer| answer.perspective.as_str()).collect();
    assert_eq!(names, ["gru", "iad", "lhr", "sin"]);
    for answer in answers {
        assert!(answer.corroborates && answer.saw.contains("TXT record at"), "{answer:?}");
        assert_eq!(answer.answered_at, Some(crate::testing::START.unix()));
        assert_eq!(answer.network.as_deref(), Some(&*format!("network of {}", answer.perspective)));
    }
    let validated = &story.events("domain-validated").await[0];
    assert_eq!(validated["corroboration"]["quorum"], "4/4");
    assert_eq!(validated["corroboration"]["section"], "TLS BR 3.2.2.9");
    assert_eq!(validated["corroboration"]["id"], row.id);

    // And CAA, before the certificate.
    assert_eq!(story.refusal().await, None);
    let found = story.corroborations().await;
    assert_eq!((found.len(), found[1].0.subject.as_str()), (2, "caa"));
    assert!(found[1].1.iter().all(|answer| answer.saw == "there are no records"));
    assert_eq!(story.events("caa-permitted").await[0]["corroboration"]["quorum"], "4/4");
    // For eight hours nobody is asked again.
    assert_eq!(story.refusal().await, None);
    assert_eq!(story.corroborations().await.len(), 2);
}

#[tokio::test]
async fn whoever_diverts_our_network_alone_proves_nothing() {
    let Some(story) = Story::new(true, &[0, 1, 2, 3]).await else {
        return;
    };
    let challenge = story.begin().await;
    for seen_by in [0, 1, 2] {
        story.publish(&challenge, seen_by);
        let looked = story.check(&challenge).await;
        assert_eq!(looked.state, DomainChallengeState::Open);
        let problem = looked.problem.unwrap();
        for part in ["TLS BR 3.2.2.9", "gru: there is no TXT record", &format!("{seen_by} of 4"), "3 have to"] {
            assert!(problem.contains(part), "{problem:?} lacks {part:?}");
        }
    }
    assert_eq!(story.evidence().await, 0);
    let found = story.corroborations().await;
    assert_eq!(found.len(), 3, "failures are kept too");
    assert!(found.iter().all(|(row, answers)| row.outcome.contains("saw the same") && answers.len() == 4));
    let failed = &story.events("domain-not-validated").await[2];
    assert_eq!(failed["corroboration"]["quorum"], "2/4");
    // One of four may see something else: it may be the one that is diverted.
    story.publish(&challenge, 3);
    assert_eq!(story.check(&challenge).await.state, DomainChallengeState::Validated);
}

#[tokio::test]
async fn a_record_that_is_only_seen_elsewhere_proves_nothing_either() {
    let Some(story) = Story::new(true, &[0, 1, 2, 3]).await else {
        return;
    };
    let challenge = story.begin().await;
    story.publish(&challenge, 4);
    story.here.zone().set(&Name::parse(PLACE).unwrap(), Vec::new());
    let looked = story.check(&challenge).await;
    assert!(looked.problem.unwrap().contains("there is no TXT record"));
    assert_eq!(story.evidence().await, 0);
    // Nor does another value elsewhere corroborate ours.
    story.publish(&challenge, 0);
    for network in &story.elsewhere {
        network.say(PLACE, vec![LocalData::Text("another value".to_owned())]);
    }
    let problem = story.check(&challenge).await.problem.unwrap();
    assert!(problem.contains("they are \"another value\"") && problem.contains("0 of 4"), "{problem}");
}

#[tokio::test]
async fn caa_records_that_are_hidden_from_our_network_still_refuse() {
    let Some(story) = Story::new(true, &[0, 1, 2, 3]).await else {
        return;
    };
    story.validate().await;
    for network in &story.elsewhere[..2] {
        network.say("example.com", issuemail(";"));
    }
    let refused = story.refusal().await.unwrap();
    for part in ["permit it as seen from here", "2 of 4", "iad: example.com does not let", "BR 4.2.2.1"] {
        assert!(refused.contains(part), "{refused:?} lacks {part:?}");
    }
    assert!(story.world.certificates().await.is_empty());
    let kept = &story.events("caa-refused").await[0];
    assert_eq!(kept["corroboration"]["quorum"], "2/4");
    assert_eq!(story.corroborations().await[1].0.subject, "caa");
    // One may be wrong, and whatever permits need not be the same everywhere.
    story.elsewhere[0].say("example.com", issuemail("pki.example.com"));
    assert_eq!(story.refusal().await, None);
}

#[tokio::test]
async fn too_few_perspectives_are_none_at_all() {
    let Some(story) = Story::new(true, &[0, 1, 2]).await else {
        return;
    };
    let challenge = story.begin().await;
    story.publish(&challenge, 3);
    let problem = story.check(&challenge).await.problem.unwrap();
    assert!(problem.contains("4 remote network perspectives have to look, and 0 did"), "{problem}");
    // Control of the mailbox itself needs nobody else (BR 3.2.2.2).
    story.world.prove(&story.ada, Proof::mailbox(ADA), Span::hours(1)).await;
    assert_eq!(story.refusal().await, None);
    // What that look-up came to does not serve for control of the domain, though.
    let domain = Proof::domain("example.org");
    story.world.prove(&story.ada, domain, Span::hours(1)).await;
    let placed = place(&story.app, &story.ada, order("ada@example.org", TierChoice::Best)).await.unwrap();
    let OrderState::Pending { problem: Some(problem) } = placed.state else {
        panic!("{placed:?}");
    };
    assert!(problem.contains("4 remote network perspectives have to look"), "{problem}");
}

#[tokio::test]
async fn the_number_that_is_needed_grows_with_the_calendar() {
    let Some(story) = Story::new(true, &[0, 1, 2, 3]).await else {
        return;
    };
    story.world.clock.set(Timestamp::parse_rfc3339("2026-12-14T23:59:59Z").unwrap());
    // It ends a second later.
    story.validate().await;
    let challenge = story.begin().await;
    story.publish(&challenge, 4);
    let problem = story.check(&challenge).await.problem.unwrap();
    assert!(problem.contains("5 remote network perspectives have to look"), "{problem}");
}

#[tokio::test]
async fn those_that_agree_are_in_the_regions_of_two_registries() {
    let Some(story) = Story::new(true, &[0, 1, 2, 5]).await else {
        return;
    };
    // iad (ARIN) and sin (APNIC) see nothing, which is too many; with iad alone, sin, lhr and hel agree: two regions.
    let challenge = story.begin().await;
    story.publish(&challenge, 4);
    for network in &story.elsewhere[..2] {
        network.say(PLACE, Vec::new());
    }
    assert!(story.check(&challenge).await.problem.unwrap().contains("2 of 4"));
    story.elsewhere[1].say(PLACE, vec![LocalData::Text(challenge.value.clone())]);
    assert_eq!(story.check(&challenge).await.state, DomainChallengeState::Validated);
}

#[tokio::test]
async fn an_answer_from_here_alone_is_not_used_again_where_more_is_needed() {
    let Some(story) = Story::new(true, &[0, 1, 2, 3]).await else {
        return;
    };
    story.world.prove(&story.ada, Proof::mailbox(ADA), Span::hours(1)).await;
    assert_eq!(story.refusal().await, None);
    assert_eq!(story.events("caa-permitted").await[0]["corroboration"], serde_json::Value::Null);
    assert!(story.corroborations().await.is_empty());
    story.validate().await;
    assert_eq!(story.refusal().await, None);
    let permitted = story.events("caa-permitted").await;
    assert_eq!((permitted.len(), &permitted[1]["corroboration"]["quorum"]), (2, &"4/4".into()));
}

#[tokio::test]
async fn proofs_of_a_private_past_do_not_count_in_public() {
    let Some(story) = Story::new(false, &[]).await else {
        return;
    };
    let challenge = story.begin().await;
    story.publish(&challenge, 0);
    assert_eq!(story.check(&challenge).await.state, DomainChallengeState::Validated);
    let validated = &story.events("domain-validated").await[0];
    assert!(validated["corroboration"]["not_asked_because"].is_string());
    assert_eq!(story.refusal().await, None, "a private authority may look alone");

    let mut networks = Vec::new();
    for city in &CITIES[..4] {
        networks.push(Network::start(*city, &story.world.clock).await);
    }
    let sections: Vec<String> = networks.iter().map(Network::section).collect();
    // With perspectives and still private, what was proved before counts on, and new proofs need them.
    let private = with_perspectives(&story.world, &story.here, false, &sections).await;
    let story = Story { app: private, elsewhere: networks, ..story };
    assert_eq!(story.refusal().await, None);
    let challenge = story.begin().await;
    story.publish(&challenge, 2);
    assert!(story.check(&challenge).await.problem.unwrap().contains("2 of 4"));
    story.publish(&challenge, 3);
    assert_eq!(story.check(&challenge).await.state, DomainChallengeState::Validated);
    // In public neither of the two counts: the standard of the second was another one.
    let public = with_perspectives(&story.world, &story.here, true, &sections).await;
    let story = Story { app: public, ..story };
    assert!(story.refusal().await.unwrap().contains("evidence"));
    story.validate().await;
    assert_eq!(story.refusal().await, None);
}
