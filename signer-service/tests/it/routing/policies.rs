//! MTA-STS: what a policy holds back, and how long it lasts.

use super::{Internet, Shows, check, delivered, figure, to};
use dns::LocalData;
use policies::time::Span;

const ENFORCE: &str = "version: STSv1\nmode: enforce\nmx: *.example.net\nmax_age: 86400\n";

async fn enforced(shows: Shows) -> (Internet, crate::world::World) {
    let (internet, _) = Internet::new(shows).await;
    internet.publish("a1", ENFORCE);
    let world = internet.gateway("").await;
    (internet, world)
}

#[tokio::test]
async fn a_server_that_keeps_the_policy_gets_the_mail() {
    let (internet, world) = enforced(Shows::Trusted("mail.example.net")).await;
    delivered(&to(&world, "bob@example.net").await);
    assert_eq!(internet.arrived(1), Some(true));
    assert_eq!(
        figure(&world, "sealwright_gateway_connections_total{tls=\"mta-sts\"}").await,
        1
    );
    let explanation = world.gateway.explain_route("bob@example.net").await;
    assert_eq!(explanation["policy"]["mode"], "enforce");
    assert_eq!(explanation["servers"][0]["demand"], "mta-sts");
}

#[tokio::test]
async fn one_that_does_not_gets_nothing_and_never_plain_text() {
    for (shows, words) in [
        (Shows::Nothing, "cannot be reached"),
        (Shows::Untrusted("mail.example.net"), "cannot be reached"),
        (Shows::Trusted("other.example.net"), "cannot be reached"),
        (Shows::Expired("mail.example.net"), "cannot be reached"),
    ] {
        let (internet, world) = enforced(shows).await;
        check(&to(&world, "bob@example.net").await, 451, [4, 4, 1], words);
        assert_eq!(internet.arrived(0), None);
        assert_eq!(
            figure(&world, "sealwright_gateway_tls_failures_total{tls=\"mta-sts\"}").await,
            1
        );
    }
}

#[tokio::test]
async fn a_server_that_the_policy_does_not_name_is_not_used() {
    let (internet, _) = Internet::new(Shows::Trusted("mail.example.net")).await;
    internet.publish("a1", &ENFORCE.replace("*.example.net", "*.other.example.net"));
    let world = internet.gateway("").await;
    check(&to(&world, "bob@example.net").await, 451, [4, 7, 5], "does not name it");
    assert_eq!(internet.arrived(0), None);
}

#[tokio::test]
async fn a_policy_lasts_whatever_becomes_of_its_sources_until_it_expires() {
    let (internet, world) = enforced(Shows::Nothing).await;
    check(
        &to(&world, "bob@example.net").await,
        451,
        [4, 4, 1],
        "cannot be reached",
    );
    // 1. Its web server fails, and the DNS says that there is a newer one.
    internet.website.lock().unwrap().status = 503;
    internet.publish("a2", "");
    check(
        &to(&world, "bob@example.net").await,
        451,
        [4, 4, 1],
        "cannot be reached",
    );
    let explanation = world.gateway.explain_route("bob@example.net").await;
    assert!(
        explanation["policy"]["problem"].as_str().unwrap().contains("503"),
        "{explanation}"
    );
    // 2. The DNS says that there is none; and the gateway starts anew.
    internet.set("_mta-sts.example.net", Vec::new());
    let world = world.restart().await;
    check(
        &to(&world, "bob@example.net").await,
        451,
        [4, 4, 1],
        "cannot be reached",
    );
    // 3. A day later.
    world.clock.advance(Span::seconds(86_401));
    delivered(&to(&world, "bob@example.net").await);
    assert_eq!(internet.arrived(1), Some(false));
}

#[tokio::test]
async fn a_newer_policy_takes_the_place_of_the_older_one() {
    let (internet, world) = enforced(Shows::Nothing).await;
    check(
        &to(&world, "bob@example.net").await,
        451,
        [4, 4, 1],
        "cannot be reached",
    );
    // The same id: nobody asks again.
    let none = "version: STSv1\nmode: none\nmax_age: 86400\n";
    internet.publish("a1", none);
    check(
        &to(&world, "bob@example.net").await,
        451,
        [4, 4, 1],
        "cannot be reached",
    );
    internet.publish("a2", none);
    delivered(&to(&world, "bob@example.net").await);
}

#[tokio::test]
async fn in_testing_the_mail_gets_through_and_the_failure_is_counted() {
    for shows in [Shows::Nothing, Shows::Untrusted("mail.example.net")] {
        let has_tls = !matches!(shows, Shows::Nothing);
        let (internet, _) = Internet::new(shows).await;
        internet.publish("a1", &ENFORCE.replace("enforce", "testing"));
        let world = internet.gateway("").await;
        delivered(&to(&world, "bob@example.net").await);
        assert_eq!(internet.arrived(1), Some(has_tls));
        assert_eq!(
            figure(&world, "sealwright_gateway_mta_sts_testing_failures_total").await,
            1
        );
    }
}

#[tokio::test]
async fn what_is_not_a_policy_or_not_from_the_domain_is_none() {
    let (internet, _) = Internet::new(Shows::Nothing).await;
    internet.publish("a1", ENFORCE);
    let good = internet.website.lock().unwrap().clone();
    // Each time a new connection, for which the policy is looked for.
    let world = internet.gateway_with("mx = true\nidle_seconds = 0", "").await;
    let mut count = 0;
    for change in [
        |site: &mut super::Website| site.status = 404,
        // A redirect leads to somebody else (RFC 8461 section 3.3).
        |site: &mut super::Website| site.status = 302,
        |site: &mut super::Website| site.media_type = "text/html",
        |site: &mut super::Website| site.text = "version: STSv1\nmode: enforce\nmax_age: 1\n".to_owned(),
        |site: &mut super::Website| site.text.push_str(&"future: x\n".repeat(7000)),
    ] {
        let mut site = good.clone();
        change(&mut site);
        *internet.website.lock().unwrap() = site;
        // What failed is not asked for again for five minutes.
        world.clock.advance(Span::seconds(301));
        delivered(&to(&world, "bob@example.net").await);
        count += 1;
        assert_eq!(internet.arrived(count), Some(false));
    }
    // A certificate for another host.
    *internet.website.lock().unwrap() = good;
    internet.set(
        "_mta-sts.example.org",
        vec![LocalData::Text("v=STSv1; id=a1;".to_owned())],
    );
    internet.set("mta-sts.example.org", vec![LocalData::Address([127, 0, 0, 1].into())]);
    internet.set("example.org", vec![internet.mx(10, "mail.example.net")]);
    delivered(&to(&world, "bob@example.org").await);
    // And the good one is taken as soon as it is there.
    world.clock.advance(Span::seconds(301));
    check(
        &to(&world, "bob@example.net").await,
        451,
        [4, 4, 1],
        "cannot be reached",
    );
}
