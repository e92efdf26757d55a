//! Domains that are authorized ahead of orders (RFC 8555 sections 7.4.1, 8.3 and 8.4), and what that is good for.

use std::sync::Mutex;

use dns::{LocalAnswerer, LocalData, Name};
use policies::time::Span;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::testing::Proof;

/// A site with a DNS of its own.
async fn site(more: &str) -> Option<(Site, LocalAnswerer)> {
    let local = LocalAnswerer::start().unwrap();
    let mut dns = local.resolver_config();
    dns.limits.time_of_a_try = std::time::Duration::from_millis(100);
    Some((Site::with_dns(DATABASE, more, dns).await?, local))
}

fn say(local: &LocalAnswerer, at: &str, records: Vec<LocalData>) {
    local.zone().set(&Name::parse(at).unwrap(), records);
}

async fn begin(client: &Client<'_>, domain: &str) -> (String, Value) {
    let payload = json!({"identifier": {"type": "dns", "value": domain}});
    let begun = client.post(&client.site.url("new-authz"), &payload.to_string()).await;
    assert_eq!(begun.status, StatusCode::CREATED, "{}", begun.body);
    (begun.header("location").to_owned(), begun.json())
}

fn challenge_of(authorization: &Value, kind: &str) -> Value {
    let challenges = authorization["challenges"].as_array().unwrap();
    challenges.iter().find(|challenge| challenge["type"] == kind).unwrap().clone()
}

fn url(challenge: &Value) -> &str {
    challenge["url"].as_str().unwrap()
}

fn key_authorization(client: &Client<'_>, challenge: &Value) -> String {
    format!("{}.{}", challenge["token"].as_str().unwrap(), client.key.jwk().thumbprint())
}

fn digest(client: &Client<'_>, challenge: &Value) -> String {
    encode(Sha256::digest(key_authorization(client, challenge)))
}

/// Whether an order for an address is ready without a challenge mail.
async fn is_authorized(client: &Client<'_>, address: &str) -> bool {
    let placed = client.order(address).await;
    let order = client.get(&placed.url).await.ok().json();
    order["status"] == "ready"
}

#[tokio::test]
async fn a_domain_authorized_in_the_dns_serves_the_orders_of_all_its_addresses() {
    let Some((site, local)) = site("").await else { return };
    let client = site.client("Ada").await;
    for proof in [Proof::organization(), Proof::authority()] {
        site.world.prove(&client.owner, proof, Span::days(1)).await;
    }
    let (location, authorization) = begin(&client, "Example.COM").await;
    assert_eq!(authorization["status"], "pending");
    assert_eq!(authorization["identifier"], json!({"type": "dns", "value": "example.com"}));
    let (dns, http) = (challenge_of(&authorization, "dns-01"), challenge_of(&authorization, "http-01"));
    assert_ne!(dns["token"], http["token"]);
    assert!(dns["token"].as_str().unwrap().len() >= 22, "128 bits");
    assert!(!is_authorized(&client, ADA).await);

    say(&local, "_acme-challenge.example.com", vec![LocalData::Text(digest(&client, &dns))]);
    let answered = client.post(url(&dns), "{}").await.ok();
    assert!(answered.header("link").contains("rel=\"index\""));
    let answered = answered.json();
    assert_eq!(answered["status"], "valid", "{answered}");
    assert_eq!(answered["validated"], site.world.app.now().to_string());
    let shown = client.get(&location).await.ok().json();
    assert_eq!((shown["status"].as_str(), shown["challenges"].as_array().unwrap().len()), (Some("valid"), 1));
    assert_eq!(shown["expires"], site.world.app.now().plus(Span::days(398)).to_string());

    // RFC 8555 section 7.1.3: nothing more is to be authorized; no mail leaves.
    for address in [ADA, "grace@deep.example.com"] {
        let placed = client.order(address).await;
        let request = keys::mailbox_request(&*keys::ExportableKey::generate(keys::KeyAlgorithm::P256).unwrap().signing_key(), address);
        let order = client.finalize(&placed, &request.unwrap()).await.ok().json();
        assert_eq!(order["status"], "valid", "{order}");
        let chain = client.get(order["certificate"].as_str().unwrap()).await.ok().body;
        let certificate = openssl::x509::X509::from_pem(chain.as_bytes()).unwrap();
        let organization = certificate.subject_name().entries_by_nid(openssl::nid::Nid::ORGANIZATIONNAME).next();
        assert_eq!(organization.unwrap().data().as_slice(), b"Beispiel AG", "V3");
        assert!(site.world.outbox.newest_to(address).is_none());
    }
    assert!(!is_authorized(&client, "ada@example.org").await);
    let mallory = site.client("Mallory").await;
    assert!(!is_authorized(&mallory, ADA).await, "it belongs to one account");
    mallory.get(&location).await.problem(404, "malformed");
    mallory.post(url(&dns), "{}").await.problem(404, "malformed");
}

#[tokio::test]
async fn a_domain_authorized_on_its_website_serves_that_very_name() {
    let served = Arc::new(Mutex::new(String::new()));
    let says = Arc::clone(&served);
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.accept().await {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /.well-known/acme-challenge/"));
            let body = says.lock().unwrap().clone();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let website = format!("[website]\ndanger_http_port = {port}\ndanger_private_addresses = true");
    let Some((site, local)) = site(&website).await else { return };
    say(&local, "example.com", vec![LocalData::Address([127, 0, 0, 1].into())]);
    let client = site.client("Ada").await;
    for wrong in ["", "nothing", "token.of-another-account"] {
        *served.lock().unwrap() = wrong.to_owned();
        let (location, authorization) = begin(&client, "example.com").await;
        let http = challenge_of(&authorization, "http-01");
        let answered = client.post(url(&http), "{}").await.ok().json();
        assert_eq!(answered["status"], "invalid", "{answered}");
        assert_eq!(answered["error"]["type"], "urn:ietf:params:acme:error:incorrectResponse");
        assert_eq!(client.get(&location).await.ok().json()["status"], "invalid");
        // It is over: what is right now comes too late.
        *served.lock().unwrap() = key_authorization(&client, &http);
        assert_eq!(client.post(url(&http), "{}").await.ok().json()["status"], "invalid");
        assert!(!is_authorized(&client, ADA).await);
    }
    let (_, authorization) = begin(&client, "example.com").await;
    let http = challenge_of(&authorization, "http-01");
    // RFC 8555 section 8.3: white space at the end is ignored.
    *served.lock().unwrap() = key_authorization(&client, &http) + "\r\n";
    let answered = client.post(url(&http), "{}").await.ok().json();
    assert_eq!(answered["status"], "valid", "{answered}");
    assert!(is_authorized(&client, ADA).await);
    // TLS BR 3.2.2.4.19: not for other names that end with these labels.
    assert!(!is_authorized(&client, "ada@www.example.com").await);
}

#[tokio::test]
async fn what_is_missing_wrong_or_unreachable_is_told_apart() {
    let Some((site, local)) = site("").await else { return };
    let client = site.client("Ada").await;
    let answer = async |kind: &str| {
        let (_, authorization) = begin(&client, "example.com").await;
        let answered = client.post(url(&challenge_of(&authorization, kind)), "{}").await.ok().json();
        assert_eq!(answered["status"], "invalid", "{answered}");
        answered["error"].clone()
    };
    let error = answer("dns-01").await;
    assert_eq!(error["type"], "urn:ietf:params:acme:error:incorrectResponse");
    assert_eq!(error["section"], "3.2.2.1");
    assert!(error["detail"].as_str().unwrap().contains("_acme-challenge.example.com"), "{error}");
    let error = answer("http-01").await;
    assert_eq!(error["type"], "urn:ietf:params:acme:error:connection");
    // Nobody has us connect to our neighbours.
    say(&local, "example.com", vec![LocalData::Address([10, 0, 0, 1].into())]);
    assert!(answer("http-01").await["detail"].as_str().unwrap().contains("no public address"));
    // The digest of one challenge is worth nothing for another.
    let (_, authorization) = begin(&client, "example.com").await;
    let record = digest(&client, &challenge_of(&authorization, "dns-01"));
    say(&local, "_acme-challenge.example.com", vec![LocalData::Text(record)]);
    assert_eq!(answer("dns-01").await["type"], "urn:ietf:params:acme:error:incorrectResponse");
    local.zone().silence(&Name::parse("example.com").unwrap());
    assert_eq!(answer("dns-01").await["type"], "urn:ietf:params:acme:error:dns");
    assert!(!is_authorized(&client, ADA).await);
}

#[tokio::test]
async fn identifiers_that_cannot_be_authorized_ahead_are_refused() {
    let Some((site, _local)) = site("").await else { return };
    let client = site.client("Ada").await;
    for (kind, value, problem) in [
        ("email", ADA, "unsupportedIdentifier"),
        ("ip", "192.0.2.1", "unsupportedIdentifier"),
        ("dns", "*.example.com", "rejectedIdentifier"),
        ("dns", "192.0.2.1", "rejectedIdentifier"),
        ("dns", "localhost", "rejectedIdentifier"),
        ("dns", "example.com.", "rejectedIdentifier"),
        ("dns", "exa mple.com", "rejectedIdentifier"),
        ("dns", "", "rejectedIdentifier"),
    ] {
        let payload = json!({"identifier": {"type": kind, "value": value}}).to_string();
        client.post(&site.url("new-authz"), &payload).await.problem(400, problem);
    }
    client.post(&site.url("new-authz"), "{}").await.problem(400, "malformed");
    // A certificate for the domain itself is not to be had.
    let placed = client.place(json!({"identifiers": [{"type": "dns", "value": "example.com"}]})).await;
    placed.problem(400, "unsupportedIdentifier");
    let (location, _) = begin(&client, "example.com").await;
    client.get(&format!("{location}/tls-alpn-01")).await.problem(404, "malformed");
    client.get(&format!("{location}x")).await.problem(404, "malformed");
}

#[tokio::test]
async fn an_authorization_ends_when_its_account_or_the_calendar_says_so() {
    let Some((site, local)) = site("").await else { return };
    let client = site.client("Ada").await;
    let validate = async || {
        let (location, authorization) = begin(&client, "example.com").await;
        let dns = challenge_of(&authorization, "dns-01");
        say(&local, "_acme-challenge.example.com", vec![LocalData::Text(digest(&client, &dns))]);
        assert_eq!(client.post(url(&dns), "{}").await.ok().json()["status"], "valid");
        location
    };
    let location = validate().await;
    assert!(is_authorized(&client, ADA).await);
    client.post(&location, r#"{"status":"valid"}"#).await.problem(400, "malformed");
    let ended = client.post(&location, r#"{"status":"deactivated"}"#).await.ok().json();
    assert_eq!(ended["status"], "deactivated");
    assert!(!is_authorized(&client, ADA).await, "what it proved does not count any more");
    client.post(&location, r#"{"status":"deactivated"}"#).await.ok();

    let (pending, authorization) = begin(&client, "example.org").await;
    let location = validate().await;
    site.world.clock.advance(Span::days(7));
    assert_eq!(client.get(&pending).await.ok().json()["status"], "expired");
    let dns = challenge_of(&authorization, "dns-01");
    say(&local, "_acme-challenge.example.org", vec![LocalData::Text(digest(&client, &dns))]);
    assert_eq!(client.post(url(&dns), "{}").await.ok().json()["status"], "invalid");
    assert!(is_authorized(&client, ADA).await);
    site.world.clock.advance(Span::days(392));
    assert_eq!(client.get(&location).await.ok().json()["status"], "expired");
    assert!(!is_authorized(&client, ADA).await);
}

#[tokio::test]
async fn nobody_begins_without_end() {
    let Some((site, _local)) = site("").await else { return };
    let client = site.client("Ada").await;
    for _ in 0..100 {
        begin(&client, "example.com").await;
    }
    let payload = json!({"identifier": {"type": "dns", "value": "example.com"}}).to_string();
    let refused = client.post(&site.url("new-authz"), &payload).await;
    refused.problem(429, "rateLimited");
    assert!(!refused.header("retry-after").is_empty());
    site.world.clock.advance(Span::hours(3));
    begin(&client, "example.com").await;
}
