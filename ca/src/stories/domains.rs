//! Control of a domain is shown in the DNS or on the website, and counts as far as the method reaches (BR 3.2.2.1).

use std::net::SocketAddr;
use std::sync::Arc;

use ca_api::{DomainChallengeState, DomainMethod, NewDomainChallenge};
use dns::{LocalAnswerer, LocalData, Name};
use policies::evidence::{Evidence, Method};
use policies::mailbox::Domain;
use policies::time::Span;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::accounts::{AccountId, Caller};
use crate::app::App;
use crate::error::Error;
use crate::orders::{OrderState, TierChoice, place};
use crate::testing::{World, order, parts};
use crate::validation::control::{Challenge, begin, check, find, list};
use crate::{audit, issuance, store};

const PLACE: &str = "_sealwright-challenge.example.com";

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn domain(text: &str, method: DomainMethod) -> NewDomainChallenge {
    NewDomainChallenge {
        domain: Domain::parse(text).unwrap(),
        method,
    }
}

async fn start(local: &LocalAnswerer) -> Option<(World, Caller, AccountId)> {
    let world = World::with_dns(super::DATABASE, local.resolver_config()).await?;
    let ada = world.subscriber("Example").await;
    let account = ada.account.clone().unwrap();
    Some((world, ada, account))
}

async fn evidence(app: &App, account: &AccountId) -> Vec<Evidence> {
    let account = account.clone();
    app.db
        .read(move |conn| store::evidence::of_account(conn, &account))
        .await
        .unwrap()
}

async fn is_issued(app: &Arc<App>, ada: &Caller, address: &str) -> bool {
    let placed = place(app, ada, order(address, TierChoice::Best)).await.unwrap();
    matches!(placed.state, OrderState::Valid { .. })
}

/// Looks, and says what was found instead; nothing is proved then.
async fn problem(app: &Arc<App>, account: &AccountId, challenge: &Challenge) -> String {
    let looked = check(app, account, &challenge.id).await.unwrap();
    assert_eq!(looked.state, DomainChallengeState::Open);
    assert!(evidence(app, account).await.is_empty());
    looked.problem.unwrap()
}

#[tokio::test]
async fn a_txt_record_proves_the_domain_and_all_below_it() {
    let local = LocalAnswerer::start().unwrap();
    let Some((world, ada, account)) = start(&local).await else {
        return;
    };
    let app = &world.app;
    let challenge = begin(app, &account, "ada", domain("example.com", DomainMethod::DnsChange)).await.unwrap();
    assert_eq!(challenge.place, PLACE);
    assert!(challenge.value.len() >= 27, "160 bits");
    assert!(problem(app, &account, &challenge).await.contains("there is no TXT record"));
    // Neither another value, nor more than the value, nor the value elsewhere.
    for (at, text) in [
        (PLACE, "x".to_owned()),
        (PLACE, format!("{} ", challenge.value)),
        (PLACE, challenge.value.to_uppercase() + "A"),
        ("example.com", challenge.value.clone()),
    ] {
        local.zone().set(&name(PLACE), Vec::new());
        local.zone().set(&name(at), vec![LocalData::Text(text)]);
        problem(app, &account, &challenge).await;
    }
    let records = vec![LocalData::Text("other".to_owned()), LocalData::Text(challenge.value.clone())];
    local.zone().set(&name(PLACE), records);
    let validated = check(app, &account, &challenge.id).await.unwrap();
    assert_eq!(validated.state, DomainChallengeState::Validated);
    let proofs = evidence(app, &account).await;
    assert_eq!((proofs.len(), proofs[0].method()), (1, Method::DomainDnsChange));
    assert_eq!(proofs[0].counts_until(), app.now().plus(Span::days(398)));
    assert_eq!(proofs[0].br_version(), "1.0.16");
    let events = audit::events(app, 0, 1000).await.unwrap();
    let event = events.iter().find(|event| event.action == "domain-validated").unwrap();
    assert!(event.details.contains("3.2.2.4.7") && event.details.contains("secure"), "{}", event.details);
    assert!(is_issued(app, &ada, "ada@example.com").await);
    assert!(is_issued(app, &ada, "ada@deep.sub.example.com").await);
    assert!(!is_issued(app, &ada, "ada@example.org").await);
    // It is over.
    let again = check(app, &account, &challenge.id).await.unwrap_err();
    assert!(matches!(again, Error::StateChanged { .. }), "{again}");
}

#[tokio::test]
async fn dns_that_lies_or_is_silent_proves_nothing() {
    let (local, other) = (LocalAnswerer::start().unwrap(), LocalAnswerer::start().unwrap());
    let mut dns = local.resolver_config();
    dns.trust_anchor = other.resolver_config().trust_anchor;
    let Some(world) = World::with_dns(super::DATABASE, dns).await else {
        return;
    };
    let account = world.subscriber("Example").await.account.unwrap();
    let challenge = begin(&world.app, &account, "ada", domain("example.com", DomainMethod::DnsChange))
        .await
        .unwrap();
    local.zone().set(&name(PLACE), vec![LocalData::Text(challenge.value.clone())]);
    assert!(problem(&world.app, &account, &challenge).await.contains("cannot be trusted"));
    drop(local);
    assert!(problem(&world.app, &account, &challenge).await.contains("does not answer"));
}

#[tokio::test]
async fn a_challenge_belongs_to_one_account_and_ends() {
    let local = LocalAnswerer::start().unwrap();
    let Some((world, _, account)) = start(&local).await else {
        return;
    };
    let app = &world.app;
    let mallory = world.subscriber("Mallory").await.account.unwrap();
    let new = || domain("example.com", DomainMethod::DnsChange);
    let first = begin(app, &account, "ada", new()).await.unwrap();
    local.zone().set(&name(PLACE), vec![LocalData::Text(first.value.clone())]);
    for error in [
        find(app, &mallory, &first.id).await.unwrap_err(),
        check(app, &mallory, &first.id).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }
    assert!(list(app, &mallory).await.unwrap().is_empty());
    // A later one takes its place; the earlier value is worth nothing any more.
    let second = begin(app, &account, "ada", new()).await.unwrap();
    assert_ne!(first.value, second.value);
    let error = check(app, &account, &first.id).await.unwrap_err();
    assert!(matches!(error, Error::StateChanged { .. }), "{error}");
    problem(app, &account, &second).await;
    // TLS BR 3.2.2.4.7: a random value counts for 30 days.
    local.zone().set(&name(PLACE), vec![LocalData::Text(second.value.clone())]);
    world.clock.advance(Span::days(30));
    assert!(matches!(check(app, &account, &second.id).await, Err(Error::StateChanged { .. })));
    assert_eq!(find(app, &account, &second.id).await.unwrap().state, DomainChallengeState::Expired);
    assert!(evidence(app, &account).await.is_empty());
}

#[tokio::test]
async fn looking_has_an_end() {
    let local = LocalAnswerer::start().unwrap();
    let Some((world, _, account)) = start(&local).await else {
        return;
    };
    let challenge = begin(&world.app, &account, "ada", domain("example.com", DomainMethod::DnsChange))
        .await
        .unwrap();
    for _ in 0..50 {
        problem(&world.app, &account, &challenge).await;
    }
    let error = check(&world.app, &account, &challenge.id).await.unwrap_err();
    assert!(matches!(error, Error::TooMany { .. }), "{error}");
}

/// A web server on loopback that answers every path with what `answer` says: status line, fields, and body.
async fn website(answer: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                    match stream.read_buf(&mut request).await {
                        Ok(octets) if octets > 0 => {}
                        _ => return,
                    }
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
                let _ = stream.write_all(answer(host, path).as_bytes()).await;
            });
        }
    });
    address
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn redirect(code: u16, to: &str) -> String {
    format!("HTTP/1.1 {code} Moved\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

/// The same authority, which takes `server` for every website and does not mind that it is on loopback.
async fn with_website(world: &World, local: &LocalAnswerer, server: SocketAddr) -> Arc<App> {
    let path = world.folder.join("ca.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let section = format!("\n[website]\ndanger_http_port = {}\ndanger_private_addresses = true\n", server.port());
    std::fs::write(&path, text + &section).unwrap();
    let (mut parts, _) = parts(6, &world.clock, &world.keys, Arc::new(issuance::TracingObserver));
    parts.dns = Some(local.resolver_config());
    App::open(&world.folder, parts).await.unwrap()
}

#[tokio::test]
async fn a_file_proves_the_one_name_it_is_on() {
    let local = LocalAnswerer::start().unwrap();
    let Some((world, ada, account)) = start(&local).await else {
        return;
    };
    let new = domain("example.com", DomainMethod::WebsiteChange);
    let challenge = begin(&world.app, &account, "ada", new).await.unwrap();
    assert_eq!(challenge.place, "http://example.com/.well-known/pki-validation/sealwright.txt");
    assert!(!challenge.place.contains(&challenge.value), "the request must not contain the value");
    let value = challenge.value.clone();
    // Over a redirect to another host, which the section allows.
    let server = website(move |host, path| match (host, path) {
        ("example.com", "/.well-known/pki-validation/sealwright.txt") => redirect(302, "http://www.example.com/moved"),
        ("www.example.com", "/moved") => ok(&format!("{value}\n")),
        other => panic!("{other:?}"),
    })
    .await;
    let loopback = || vec![LocalData::Address([127, 0, 0, 1].into())];
    local.zone().set(&name("example.com"), loopback());
    local.zone().set(&name("www.example.com"), loopback());
    let app = with_website(&world, &local, server).await;
    let validated = check(&app, &account, &challenge.id).await.unwrap();
    assert_eq!(validated.state, DomainChallengeState::Validated, "{:?}", validated.problem);
    assert_eq!(evidence(&app, &account).await[0].method(), Method::DomainWebsiteChange);
    assert!(is_issued(&app, &ada, "ada@example.com").await);
    // TLS BR 3.2.2.4.18: not for other names that end with these labels.
    assert!(!is_issued(&app, &ada, "ada@sub.example.com").await);
}

#[tokio::test]
async fn files_elsewhere_or_otherwise_prove_nothing() {
    let local = LocalAnswerer::start().unwrap();
    let Some((world, _, account)) = start(&local).await else {
        return;
    };
    let new = domain("example.com", DomainMethod::WebsiteChange);
    let challenge = begin(&world.app, &account, "ada", new).await.unwrap();
    let answers = Arc::new(std::sync::Mutex::new(String::new()));
    let said = Arc::clone(&answers);
    let server = website(move |_, _| said.lock().unwrap().clone()).await;
    local.zone().set(&name("example.com"), vec![LocalData::Address([127, 0, 0, 1].into())]);
    let app = with_website(&world, &local, server).await;
    let value = &challenge.value;
    let with_status = |status: &str| ok(value).replace("200 OK", status);
    for (answer, expected) in [
        (ok("other"), "does not contain the value"),
        (ok(&format!("{value}{value}")), "does not contain the value"),
        (ok(""), "does not contain the value"),
        (with_status("404 Not Found"), "answers 404"),
        (with_status("201 Created"), "answers 201"),
        (redirect(303, "http://example.com/"), "answers 303"),
        (redirect(302, "http://example.com/"), "redirects more than 5 times"),
        (redirect(302, "http://example.com:8080/"), "ports 80 and 443"),
        (redirect(302, "http://127.0.0.1/"), "an address instead of a domain"),
        (redirect(302, "http://169.254.169.254/latest"), "an address instead of a domain"),
        (redirect(302, "file:///etc/passwd"), "only http and https"),
        (redirect(302, "http://nowhere.example/"), "nowhere.example has no address"),
        (redirect(302, ""), "no Location"),
        (ok(&"x".repeat(20_000)), "larger than 16384"),
        ("garbage\r\n\r\n".to_owned(), "could not be talked to"),
    ] {
        *answers.lock().unwrap() = answer;
        let problem = problem(&app, &account, &challenge).await;
        assert!(problem.contains(expected), "{problem:?} lacks {expected:?}");
    }
}

#[tokio::test]
async fn nobody_has_us_connect_to_ourselves_or_our_neighbours() {
    let local = LocalAnswerer::start().unwrap();
    let Some((world, _, account)) = start(&local).await else {
        return;
    };
    let new = domain("example.com", DomainMethod::WebsiteChange);
    let challenge = begin(&world.app, &account, "ada", new).await.unwrap();
    for address in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:127.0.0.1"] {
        local.zone().set(&name("example.com"), vec![LocalData::Address(address.parse().unwrap())]);
        let problem = problem(&world.app, &account, &challenge).await;
        assert!(problem.contains("has no public address"), "{address}: {problem}");
    }
}
