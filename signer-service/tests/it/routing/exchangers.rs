//! MX records: which server, and when there is none.

use super::{Internet, Shows, check, delivered, name, to};
use crate::world::ALICE_WRITES;
use dns::LocalData;
use smtp::client::{MailFrom, RcptTo};

#[tokio::test]
async fn the_best_server_that_can_be_reached_gets_the_mail() {
    let (internet, _) = Internet::new(Shows::Nothing).await;
    // Nobody listens at the best one, and the next one does not exist.
    internet.set(
        "example.net",
        vec![
            internet.mx(30, "gateway.example.net"),
            internet.mx(20, "mail.example.net"),
            internet.mx(10, "missing.example.net"),
            internet.mx(5, "down.example.net"),
        ],
    );
    internet.set("down.example.net", vec![LocalData::Address([127, 0, 0, 2].into())]);
    let world = internet.gateway("").await;
    delivered(&to(&world, "bob@example.net").await);
    assert_eq!(internet.arrived(1), Some(false));
    let explanation = world.gateway.explain_route("bob@example.net").await;
    let servers = explanation["servers"].as_array().unwrap();
    let hosts: Vec<&str> = servers.iter().map(|server| server["host"].as_str().unwrap()).collect();
    assert_eq!(
        hosts,
        ["down.example.net", "mail.example.net"],
        "the gateway itself is not sent to"
    );
    assert_eq!(explanation["skipped"][0]["host"], "missing.example.net");
    assert_eq!(explanation["mx_security"], "secure");
}

#[tokio::test]
async fn a_domain_without_mx_takes_its_mail_itself_and_an_alias_is_followed() {
    let (internet, _) = Internet::new(Shows::Nothing).await;
    let here = LocalData::Address(internet.server.ip());
    internet.set("plain.example.net", vec![here.clone()]);
    internet.set("alias.example.net", vec![LocalData::Alias(name("plain.example.net"))]);
    internet.set(
        "six.example.net",
        vec![LocalData::Address("::1".parse().unwrap()), here],
    );
    let world = internet.gateway("").await;
    for (count, recipient) in ["bob@plain.example.net", "bob@alias.example.net", "bob@SIX.example.net"]
        .iter()
        .enumerate()
    {
        delivered(&to(&world, recipient).await);
        assert_eq!(internet.arrived(count + 1), Some(false));
    }
}

#[tokio::test]
async fn mail_without_a_way_is_refused_and_the_reason_said() {
    let (internet, _) = Internet::new(Shows::Nothing).await;
    internet.set(
        "null.example.net",
        vec![LocalData::MailExchanger {
            preference: 0,
            exchange: dns::Name::root(),
        }],
    );
    internet.set(
        "circle.example.net",
        vec![
            internet.mx(10, "gateway.example.net"),
            internet.mx(10, "mail.example.net"),
        ],
    );
    internet.set("own.example.net", vec![internet.mx(10, "gateway.test")]);
    internet.set("dead.example.net", vec![internet.mx(10, "missing.example.net")]);
    let world = internet.gateway("").await;
    for (recipient, code, enhanced, words) in [
        ("bob@null.example.net", 556, [5, 1, 10], "takes no mail"),
        ("bob@circle.example.net", 554, [5, 4, 6], "itself the best"),
        ("bob@own.example.net", 554, [5, 4, 6], "itself the best"),
        ("bob@dead.example.net", 550, [5, 4, 4], "no mail server"),
        ("bob@unknown.example.net", 550, [5, 4, 4], "no mail server"),
    ] {
        check(&to(&world, recipient).await, code, enhanced, words);
        let explanation = world.gateway.explain_route(recipient).await;
        assert_eq!(explanation["problem"]["temporary"], false, "{explanation}");
    }
    for nowhere in ["bob@[127.0.0.1]", "bob", "bob@a b"] {
        let explanation = world.gateway.explain_route(nowhere).await;
        assert_eq!(explanation["problem"]["status"], "5.1.2", "{explanation}");
    }
    assert_eq!(internet.arrived(0), None);
}

#[tokio::test]
async fn mail_waits_for_a_dns_that_is_silent_or_lies() {
    let (internet, _) = Internet::new(Shows::Nothing).await;
    internet.dns.zone().silence(&name("example.net"));
    let world = internet.gateway("").await;
    check(
        &to(&world, "bob@example.net").await,
        451,
        [4, 4, 3],
        "could not be found out",
    );
    internet.set("example.org", vec![internet.mx(10, "mail.example.net")]);
    // A root zone with another key: every answer is forged.
    let other = dns::LocalAnswerer::start().unwrap();
    std::fs::write(world.folder.path().join("gateway/anchor"), other.trust_anchor()).unwrap();
    let world = world.restart().await;
    check(
        &to(&world, "bob@example.org").await,
        451,
        [4, 4, 3],
        "do not lead to the trust anchor",
    );
    assert_eq!(internet.arrived(0), None);
}

#[tokio::test]
async fn recipients_of_one_transaction_go_one_way() {
    let (internet, _) = Internet::new(Shows::Nothing).await;
    internet.set("other.example.net", vec![LocalData::Address(internet.server.ip())]);
    let world = internet.gateway("").await;
    let mut connection = world.connect().await.unwrap();
    assert!(
        connection
            .mail(&MailFrom::new("alice@example.com"))
            .await
            .unwrap()
            .is_positive()
    );
    assert!(
        connection
            .rcpt(&RcptTo::new("bob@example.net"))
            .await
            .unwrap()
            .is_positive()
    );
    let reply = connection.rcpt(&RcptTo::new("bob@other.example.net")).await.unwrap();
    check(&reply, 452, [4, 5, 3], "another way");
    assert!(
        connection
            .rcpt(&RcptTo::new("carol@Example.net"))
            .await
            .unwrap()
            .is_positive()
    );
    delivered(&connection.data(ALICE_WRITES.as_bytes()).await.unwrap());
    let messages = internet.sink.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].recipients.len(), 2);
    // The next transaction of the same session goes its own way.
    assert!(
        connection
            .mail(&MailFrom::new("alice@example.com"))
            .await
            .unwrap()
            .is_positive()
    );
    assert!(
        connection
            .rcpt(&RcptTo::new("bob@other.example.net"))
            .await
            .unwrap()
            .is_positive()
    );
    delivered(&connection.data(ALICE_WRITES.as_bytes()).await.unwrap());
}

#[tokio::test]
async fn invariant_10_one_domain_without_a_way_never_holds_up_another_in_the_queue() {
    let (internet, _) = Internet::new(Shows::Nothing).await;
    internet.set(
        "null.example.net",
        vec![LocalData::MailExchanger {
            preference: 0,
            exchange: dns::Name::root(),
        }],
    );
    internet.set("example.com", vec![internet.mx(10, "mail.example.net")]);
    let world = internet
        .gateway("[[door]]\nlisten = \"127.0.0.1:0\"\nmode = \"queue\"\n")
        .await;
    let recipients = ["bob@null.example.net", "bob@example.net"];
    crate::queue::alice_queues(&world, &recipients).await;
    crate::world::eventually(async || internet.sink.messages().len() == 2).await;
    let messages = internet.sink.messages();
    let to: Vec<&str> = messages
        .iter()
        .map(|message| message.recipients[0].address.as_str())
        .collect();
    assert!(to.contains(&"bob@example.net"), "{to:?}");
    let notice = messages
        .iter()
        .find(|message| message.recipients[0].address == "alice@example.com")
        .unwrap();
    let text = String::from_utf8_lossy(&notice.content);
    assert!(
        text.contains("Status: 5.1.10") && text.contains("bob@null.example.net"),
        "{text}"
    );
    assert!(!text.contains("rfc822;bob@example.net"), "{text}");
}
