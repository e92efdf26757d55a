//! The protocol through its router, with replies that real mail systems could have brought.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use migrations::testing::PostgresSchema;
use policies::time::FixedClock;
use serde_json::{Value, json};
use tower::Service;

use super::challenge::{self, Answer};
use super::external;
use super::testing::{Key, MailSystem, binding, encode};
use crate::accounts::{self, Caller, Role};
use crate::app::App;
use crate::http::router;
use crate::init::init;
use crate::issuance::TracingObserver;
use crate::mail::SentMail;
use crate::testing::{Database, FixtureKeys, START, WatchedKeys, World, options, parts};

/// A site on the database of the module, or the end of the test when there is no server for it.
macro_rules! site {
    () => {
        site!("")
    };
    ($more:expr) => {
        match Site::with(super::DATABASE, $more).await {
            Some(site) => site,
            None => return,
        }
    };
}

#[expect(clippy::duplicate_mod, reason = "the same tests run on both databases")]
mod sqlite {
    use super::*;
    pub(super) const DATABASE: Database = Database::Sqlite;
    include!("tests/all.rs");
}

#[expect(clippy::duplicate_mod, reason = "the same tests run on both databases")]
mod postgres {
    use super::*;
    pub(super) const DATABASE: Database = Database::Postgres;
    include!("tests/all.rs");
}

const ADA: &str = "ada@example.com";

/// An authority with an ACME server, and the mail system of its clients.
struct Site {
    world: World,
    api: Router,
    mail: MailSystem,
    base: String,
}

impl Site {
    /// With more lines in the section `[acme]`. `None` when it is for PostgreSQL and there is no server.
    async fn with(database: Database, more: &str) -> Option<Self> {
        Self::with_dns(database, more, crate::testing::local_dns().resolver_config()).await
    }

    async fn with_dns(database: Database, more: &str, dns: dns::ResolverConfig) -> Option<Self> {
        let schema = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(PostgresSchema::from_environment()?),
        };
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("ca");
        let clock = Arc::new(FixedClock::new(START));
        let keys = Arc::new(WatchedKeys::new(FixtureKeys::default()));
        let (first, _) = parts(1, &clock, &keys, Arc::new(TracingObserver));
        let mut options = options(&folder);
        if let Some(schema) = &schema {
            options.database = schema.url();
        }
        init(&options, first).await.unwrap();
        let file = folder.join("ca.toml");
        let mut text = std::fs::read_to_string(&file).unwrap();
        text.push_str(&format!("\n[acme]\nmail_from = \"acme@ca.example.net\"\n{more}\n"));
        std::fs::write(&file, text).unwrap();
        let mail = MailSystem::new();
        let (mut second, outbox) = parts(2, &clock, &keys, Arc::new(TracingObserver));
        second.dns = Some(dns);
        second.text_records = Some(Arc::clone(&mail.dns) as _);
        let app = App::open(&folder, second).await.unwrap();
        let world = World::around(app, clock, outbox, keys, folder, temporary, schema);
        let api = router::api(Arc::clone(&world.app));
        let base = format!("{}/acme/", world.app.api_url());
        Some(Self { world, api, mail, base })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn send(&self, method: Method, url: &str, content_type: &str, body: String) -> Reply {
        let path = url.strip_prefix(&self.world.app.api_url()).unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(Body::from(body))
            .unwrap();
        let response = self.api.clone().call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn post(&self, url: &str, jws: &Value) -> Reply {
        self.send(Method::POST, url, "application/jose+json", jws.to_string())
            .await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, &self.url(path), "text/plain", String::new())
            .await
    }

    async fn nonce(&self) -> String {
        self.get("new-nonce").await.header("replay-nonce").to_owned()
    }

    /// A key for the account of `owner`.
    async fn external_key(&self, owner: &Caller) -> (String, String) {
        let local = accounts::local_operator();
        let operator = local.as_operator("prepare a test").unwrap();
        let account = owner.account.as_ref().unwrap().as_ref();
        let (key, secret) = external::create(&self.world.app, operator, account, "test", None)
            .await
            .unwrap();
        (key.id, secret.reveal().to_owned())
    }

    async fn new_account(&self, key: &Key, payload: Value) -> Reply {
        let url = self.url("new-account");
        let nonce = self.nonce().await;
        let jws = key.sign_with_key(&url, Some(&nonce), &payload.to_string());
        self.post(&url, &jws).await
    }

    /// A client with an account of a new subscriber.
    async fn client(&self, name: &str) -> Client<'_> {
        let owner = self.world.principal(name, Role::Subscriber).await;
        self.client_of(owner).await
    }

    async fn client_of(&self, owner: Caller) -> Client<'_> {
        let key = Key::es256();
        let (id, secret) = self.external_key(&owner).await;
        let bound = binding(&id, &secret, &key, &self.url("new-account"));
        let made = self
            .new_account(
                &key,
                json!({"termsOfServiceAgreed": true, "externalAccountBinding": bound}),
            )
            .await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        Client {
            site: self,
            owner,
            kid: made.header("location").to_owned(),
            key,
        }
    }

    fn challenge_mail(&self, to: &str) -> SentMail {
        self.world.outbox.newest_to(to).expect("a challenge mail")
    }

    /// As if the mail had come to the receiver.
    async fn deliver(&self, message: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(message).into_owned();
        let to = text
            .lines()
            .find_map(|line| line.strip_prefix("To: "))
            .unwrap_or_default();
        let tag = self.world.app.acme().unwrap().tag_of(to).unwrap_or("none").to_owned();
        challenge::answer(&self.world.app, &tag, message).await
    }
}

/// What the server answered.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn ok(self) -> Self {
        assert!(self.status.is_success(), "{} {}", self.status, self.body);
        self
    }

    /// Checks that it is this problem, told as RFC 8555 section 6.7 wants it, and that a nonce came with it.
    #[track_caller]
    fn problem(&self, status: u16, kind: &str) -> Value {
        let problem: Value = serde_json::from_str(&self.body).unwrap_or_default();
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(
            problem["type"],
            format!("urn:ietf:params:acme:error:{kind}"),
            "{}",
            self.body
        );
        assert_eq!(problem["status"], status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert!(!self.header("replay-nonce").is_empty());
        assert!(self.header("link").contains("/acme/directory>;rel=\"index\""));
        problem
    }
}

/// One who speaks the protocol as it should be.
struct Client<'s> {
    site: &'s Site,
    owner: Caller,
    kid: String,
    key: Key,
}

impl Client<'_> {
    async fn post(&self, url: &str, payload: &str) -> Reply {
        let nonce = self.site.nonce().await;
        let jws = self.key.sign_as_account(&self.kid, url, &nonce, payload);
        self.site.post(url, &jws).await
    }

    async fn get(&self, url: &str) -> Reply {
        self.post(url, "").await
    }

    async fn place(&self, payload: Value) -> Reply {
        self.post(&self.site.url("new-order"), &payload.to_string()).await
    }

    async fn order(&self, address: &str) -> Placed {
        let placed = self
            .place(json!({"identifiers": [{"type": "email", "value": address}]}))
            .await;
        assert_eq!(placed.status, StatusCode::CREATED, "{}", placed.body);
        let order = placed.json();
        Placed {
            url: placed.header("location").to_owned(),
            authorization: order["authorizations"][0].as_str().unwrap().to_owned(),
            finalize: order["finalize"].as_str().unwrap().to_owned(),
        }
    }

    /// The challenge of an authorization, after whose fetching a mail has left.
    async fn challenge(&self, placed: &Placed) -> Value {
        self.get(&placed.authorization).await.ok().json()["challenges"][0].clone()
    }

    /// What the reply has to say, for the mail that was sent.
    fn digest(&self, mail: &SentMail, challenge: &Value) -> String {
        let token_part1 = mail.subject.strip_prefix("ACME: ").unwrap();
        let token_part2 = challenge["token"].as_str().unwrap();
        challenge::digest(token_part1.as_bytes(), token_part2, &self.key.jwk().thumbprint())
    }

    /// A good reply, not yet signed.
    fn reply(&self, address: &str, challenge: &Value) -> Letter {
        let mail = self.site.challenge_mail(address);
        let text = String::from_utf8(mail.bytes.clone()).unwrap();
        let message_id = text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap();
        Letter {
            header: vec![
                ("From".to_owned(), format!("Ada Lovelace <{address}>")),
                ("To".to_owned(), challenge["from"].as_str().unwrap().to_owned()),
                ("Subject".to_owned(), format!("Re: {}", mail.subject)),
                ("Date".to_owned(), "Sun, 21 Jun 2026 00:00:00 +0000".to_owned()),
                ("Message-ID".to_owned(), "<reply@example.com>".to_owned()),
                ("In-Reply-To".to_owned(), message_id.to_owned()),
                ("Content-Type".to_owned(), "text/plain; charset=utf-8".to_owned()),
            ],
            body: format!(
                "-----BEGIN ACME RESPONSE-----\r\n{}\r\n-----END ACME RESPONSE-----\r\n",
                self.digest(&mail, challenge)
            ),
        }
    }

    /// Proves control of the mailbox for this order.
    async fn prove(&self, address: &str, placed: &Placed) {
        let challenge = self.challenge(placed).await;
        let message = self.reply(address, &challenge).signed(self.site);
        let answer = self.site.deliver(&message).await;
        assert!(matches!(answer, Answer::Accepted), "{answer:?}");
        self.post(challenge["url"].as_str().unwrap(), "{}").await.ok();
    }

    async fn finalize(&self, placed: &Placed, csr: &[u8]) -> Reply {
        self.post(&placed.finalize, &json!({"csr": encode(csr)}).to_string())
            .await
    }

    /// A certificate for the mailbox, and its chain in PEM.
    async fn certificate(&self, address: &str) -> (Placed, String) {
        let placed = self.order(address).await;
        self.prove(address, &placed).await;
        let order = self.finalize(&placed, &request_for(address)).await.ok().json();
        assert_eq!(order["status"], "valid", "{order}");
        let chain = self.get(order["certificate"].as_str().unwrap()).await.ok();
        assert_eq!(chain.header("content-type"), "application/pem-certificate-chain");
        (placed, chain.body)
    }
}

/// The URLs of an order.
#[derive(Clone, Debug)]
struct Placed {
    url: String,
    authorization: String,
    finalize: String,
}

/// A mail in the making.
#[derive(Clone, Debug)]
struct Letter {
    header: Vec<(String, String)>,
    body: String,
}

impl Letter {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.header.retain(|(field, _)| field != name);
        self.header.push((name.to_owned(), value.to_owned()));
        self
    }

    fn saying(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    fn signed(&self, site: &Site) -> Vec<u8> {
        self.signed_by(site, "example.com")
    }

    fn signed_by(&self, site: &Site, domain: &str) -> Vec<u8> {
        let header: Vec<(&str, &str)> = self
            .header
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        site.mail.sign(domain, &header, &self.body, site.world.app.now())
    }
}

fn request_for(address: &str) -> Vec<u8> {
    keys::mailbox_request(&*keys::testing::p256(), address).unwrap()
}

/// The first certificate of a chain.
fn leaf(chain: &str) -> Vec<u8> {
    openssl::x509::X509::from_pem(chain.as_bytes())
        .unwrap()
        .to_der()
        .unwrap()
}
