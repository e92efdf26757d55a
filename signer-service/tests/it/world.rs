//! A gateway between a sender and a sink, with a certificate authority that answers as the test wishes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use ca_api::{
    Certificate, CertificatePage, CertificateState, MailboxStanding, NewOrder, Order, OrderState, Problem, TierWish,
};
use der::{Decode, EncodePem};
use keys::tls::TlsIdentity;
use policies::key_use::KeyUse;
use policies::mailbox::Mailbox;
use policies::tier::{Generation, Tier};
use policies::time::{FixedClock, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use signer_service::gateway::{Gateway, GatewayParts};
use signer_service::server::{Running, Server};
use smtp::Reply;
use smtp::client::{ClientError, Connection, Delivery, Target, Timeouts, TlsPolicy};
use smtp::envelope::{MailFrom, RcptTo};
use smtp::server::{Service, Settings};
use smtp::sink::Sink;
use x509_cert::request::CertReq;

use crate::support::{Authority, END, START, now};

/// What the certificate authority does with an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mood {
    Issue {
        tier: Tier,
        validity: (i64, i64),
    },
    Pending,
    Invalid,
    NotValidated,
    Unavailable,
    UnknownToken,
    /// A certificate for somebody else.
    OtherMailbox,
    /// A certificate for the right mailbox and another key.
    OtherKey,
}

pub(crate) const ISSUE: Mood = Mood::Issue {
    tier: Tier::V3,
    validity: (START, END),
};

#[derive(Debug)]
pub(crate) struct FakeAuthority {
    pub(crate) mood: Mutex<Mood>,
    /// Idempotency keys in the order in which they came, repeated ones too.
    pub(crate) orders: Mutex<Vec<String>>,
    pub(crate) revoked: Mutex<Vec<String>>,
    /// Chains in PEM that the directory knows, by mailbox.
    pub(crate) directory: Mutex<HashMap<String, String>>,
    issued: Mutex<HashMap<String, Order>>,
    authority: Authority,
    identity: TlsIdentity,
    /// Where it listens, and how it is stopped; set once it does.
    server: Mutex<Option<(SocketAddr, axum_server::Handle<SocketAddr>)>>,
}

impl FakeAuthority {
    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(crate) fn orders(&self) -> Vec<String> {
        self.orders.lock().unwrap().clone()
    }

    /// Ends in the middle of whatever it is doing.
    pub(crate) fn die(&self) {
        if let Some((_, handle)) = &*self.server.lock().unwrap() {
            handle.shutdown();
        }
    }

    /// Listens at the address where it was before, if it was somewhere.
    pub(crate) async fn revive(self: &Arc<Self>) {
        self.die();
        let address = self.server.lock().unwrap().as_ref().map(|(address, _)| *address);
        let wanted = address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = loop {
            match std::net::TcpListener::bind(wanted) {
                Ok(listener) => break listener,
                // Its predecessor is not quite gone.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/v1/mailboxes/{mailbox}", get(mailbox))
            .route("/v1/orders", post(place_order))
            .route("/v1/certificates", get(certificates))
            .route("/v1/certificates/{serial}", get(certificate))
            .with_state(self.clone());
        let handle = axum_server::Handle::new();
        let tls = RustlsConfig::from_config(self.identity.server_config());
        let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
        tokio::spawn(server.handle(handle.clone()).serve(router.into_make_service()));
        *self.server.lock().unwrap() = Some((address, handle));
    }

    fn address(&self) -> SocketAddr {
        self.server.lock().unwrap().as_ref().expect("it listens").0
    }

    fn issue(&self, key: &str, order: &NewOrder) -> Order {
        if let Some(known) = self.issued.lock().unwrap().get(key) {
            return known.clone();
        }
        let mood = self.mood.lock().unwrap().clone();
        let mut answer = Order {
            id: format!("order-{key}"),
            state: OrderState::Pending,
            mailbox: order.mailbox.clone(),
            tier: order.tier,
            generation: order.generation,
            key_use: order.key_use,
            certificate_serial: None,
            chain_pem: None,
            problem: None,
            created_at: now(),
            updated_at: now(),
        };
        let (tier, validity) = match &mood {
            Mood::Issue { tier, validity } => (*tier, *validity),
            Mood::OtherKey | Mood::OtherMailbox => (Tier::V1, (START, END)),
            Mood::Invalid => {
                answer.state = OrderState::Invalid;
                answer.problem = Some(problem(422, "the organization's registration has lapsed"));
                return answer;
            }
            _ => return answer,
        };
        let request = CertReq::from_der(&order.certificate_request).unwrap();
        let foreign = keys::testing::p384();
        let key_to_certify = if mood == Mood::OtherKey {
            foreign.public_key()
        } else {
            &request.info.public_key
        };
        let mailbox = if mood == Mood::OtherMailbox {
            "mallory@example.com".to_owned()
        } else {
            order.mailbox.to_string()
        };
        let serial = u8::try_from(self.issued.lock().unwrap().len() + 10).unwrap();
        let certificate = self.authority.certify(&mailbox, key_to_certify, serial, validity);
        let pem = [&certificate, &self.authority.issuing]
            .map(|certificate| certificate.to_pem(der::pem::LineEnding::LF).unwrap());
        answer.state = OrderState::Valid;
        answer.tier = TierWish::Exactly(tier);
        answer.certificate_serial = Some(format!("{serial:02x}"));
        answer.chain_pem = Some(pem.concat());
        self.issued.lock().unwrap().insert(key.to_owned(), answer.clone());
        answer
    }
}

fn problem(status: u16, detail: &str) -> Problem {
    Problem {
        kind: format!("{}test", Problem::PREFIX),
        title: "Refused".to_owned(),
        status,
        detail: detail.to_owned(),
        section: None,
        lint: None,
        request_id: None,
    }
}

fn refuse(status: u16) -> Response {
    (
        StatusCode::from_u16(status).unwrap(),
        [(header::CONTENT_TYPE, Problem::MEDIA_TYPE)],
        Json(problem(status, "the authority does not want to")),
    )
        .into_response()
}

async fn mailbox(State(ca): State<Arc<FakeAuthority>>, Path(mailbox): Path<String>) -> Response {
    let best_tier = match &*ca.mood.lock().unwrap() {
        Mood::Unavailable => return refuse(503),
        Mood::UnknownToken => return refuse(401),
        Mood::NotValidated => None,
        _ => Some(Tier::V3),
    };
    Json(MailboxStanding {
        mailbox: Mailbox::parse(&mailbox).unwrap(),
        best_tier,
        evidence: Vec::new(),
    })
    .into_response()
}

async fn place_order(
    State(ca): State<Arc<FakeAuthority>>,
    headers: HeaderMap,
    Json(order): Json<NewOrder>,
) -> Response {
    assert_eq!(headers["authorization"], "Bearer the-token");
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    ca.orders.lock().unwrap().push(key.clone());
    match &*ca.mood.lock().unwrap() {
        Mood::Unavailable => return refuse(503),
        Mood::UnknownToken => return refuse(401),
        _ => {}
    }
    Json(ca.issue(&key, &order)).into_response()
}

async fn certificate(State(ca): State<Arc<FakeAuthority>>, Path(serial): Path<String>) -> Response {
    let revoked = ca.revoked.lock().unwrap().contains(&serial);
    Json(Certificate {
        serial,
        issuer: "issuer".to_owned(),
        account: "account".to_owned(),
        state: if revoked {
            CertificateState::Revoked
        } else {
            CertificateState::Valid
        },
        mailbox: Mailbox::parse("alice@example.com").unwrap(),
        tier: Tier::V3,
        generation: Generation::Strict,
        key_use: KeyUse::Both,
        subject: String::new(),
        not_before: Timestamp::from_unix(START),
        not_after: Timestamp::from_unix(END),
        revoked_at: revoked.then(now),
        revocation_reason: revoked.then(|| "keyCompromise".to_owned()),
        chain_pem: None,
    })
    .into_response()
}

#[derive(serde::Deserialize)]
struct Wanted {
    mailbox: Option<String>,
    state: String,
}

/// The directory, as the gateway asks it for certificates of recipients.
async fn certificates(State(ca): State<Arc<FakeAuthority>>, Query(wanted): Query<Wanted>) -> Response {
    if *ca.mood.lock().unwrap() == Mood::Unavailable {
        return refuse(503);
    }
    let is_revoked = wanted.state == "revoked";
    let mailbox = wanted.mailbox.unwrap_or_else(|| "alice@example.com".to_owned());
    let listed: Vec<(String, Option<String>)> = if is_revoked {
        let revoked = ca.revoked.lock().unwrap();
        revoked.iter().map(|serial| (serial.clone(), None)).collect()
    } else {
        let chain = ca.directory.lock().unwrap().get(&mailbox).cloned();
        chain.into_iter().map(|chain| ("01".to_owned(), Some(chain))).collect()
    };
    let certificates = listed.into_iter().map(|(serial, chain_pem)| Certificate {
        serial,
        issuer: "issuer".to_owned(),
        account: "account".to_owned(),
        state: if is_revoked {
            CertificateState::Revoked
        } else {
            CertificateState::Valid
        },
        mailbox: Mailbox::parse(&mailbox).unwrap(),
        tier: Tier::V3,
        generation: Generation::Strict,
        key_use: KeyUse::Both,
        subject: String::new(),
        not_before: Timestamp::from_unix(START),
        not_after: Timestamp::from_unix(END),
        revoked_at: is_revoked.then(now),
        revocation_reason: is_revoked.then(|| "keyCompromise".to_owned()),
        chain_pem,
    });
    Json(CertificatePage {
        certificates: certificates.collect(),
        next_cursor: None,
    })
    .into_response()
}

pub(crate) struct World {
    pub(crate) ca: Arc<FakeAuthority>,
    pub(crate) sink: Sink,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) running: Running,
    /// Where web servers show policies, after the next restart.
    pub(crate) policy_port: u16,
}

impl World {
    pub(crate) async fn new() -> Self {
        let sink = Sink::new();
        let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
        Self::with(
            sink,
            next_hop,
            "networks = [\"127.0.0.0/8\"]\nmay_sign_for = [\"example.com\"]",
        )
        .await
    }

    pub(crate) async fn with_next_hop(next_hop: SocketAddr) -> Self {
        Self::with(
            Sink::new(),
            next_hop,
            "networks = [\"127.0.0.0/8\"]\nmay_sign_for = [\"example.com\"]",
        )
        .await
    }

    pub(crate) async fn with(sink: Sink, next_hop: SocketAddr, sender: &str) -> Self {
        Self::with_next_hop_lines(sink, next_hop, "", sender).await
    }

    pub(crate) async fn with_next_hop_lines(
        sink: Sink,
        next_hop: SocketAddr,
        next_hop_lines: &str,
        sender: &str,
    ) -> Self {
        Self::make(sink, next_hop, next_hop_lines, sender, None).await
    }

    pub(crate) async fn with_users(sink: Sink, next_hop: SocketAddr, sender: &str, users: &str) -> Self {
        Self::make(sink, next_hop, "", sender, Some(users)).await
    }

    async fn make(sink: Sink, next_hop: SocketAddr, next_hop_lines: &str, sender: &str, users: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identity = TlsIdentity::self_made(&["127.0.0.1".to_owned()], START, END).unwrap();
        let root = folder.path().join("ca.pem");
        std::fs::write(&root, identity.certificate_pem()).unwrap();
        let ca = Arc::new(FakeAuthority {
            mood: Mutex::new(ISSUE),
            orders: Mutex::default(),
            revoked: Mutex::default(),
            directory: Mutex::default(),
            issued: Mutex::default(),
            authority: Authority::new(),
            identity,
            server: Mutex::default(),
        });
        ca.revive().await;
        let ca_address = ca.address();

        // For those whose configuration names them, from the data folder on.
        let recipients_root = ca.authority.root.to_pem(der::pem::LineEnding::LF).unwrap();
        std::fs::write(folder.path().join("recipients-root.pem"), recipients_root).unwrap();
        std::fs::create_dir(folder.path().join("certificates")).unwrap();
        let token = folder.path().join("token");
        write_secret(&token, "the-token\n");
        let tls = if next_hop_lines.starts_with("tls = ") {
            ""
        } else {
            "tls = \"never\"\n"
        };
        let configuration = format!(
            "hostname = \"gateway.test\"\nlisten = \"127.0.0.1:0\"\n[next_hop]\naddress = \"{next_hop}\"\n{tls}{next_hop_lines}\n[ca]\nurl = \"https://{ca_address}\"\ntrust_file = \"{}\"\n[[account]]\ntoken_file = \"{}\"\ndomains = [\"example.com\"]\n[[sender]]\n{sender}\n[keys]\nalgorithm = \"p256\"\n",
            root.display(),
            token.display()
        );
        let clock = Arc::new(FixedClock::new(now()));
        let data = folder.path().join("gateway");
        signer_service::init::create(&data, &configuration).unwrap();
        if let Some(users) = users {
            std::fs::write(data.join("users.toml"), users).unwrap();
        }
        let gateway = open(&data, &clock, 443).await;
        let running = Server::serve(gateway.clone()).await.unwrap();
        Self {
            ca,
            sink,
            clock,
            gateway,
            folder,
            running,
            policy_port: 443,
        }
    }

    /// Stops the gateway and starts it anew on the same folder.
    pub(crate) async fn restart(self) -> Self {
        let Self {
            ca,
            sink,
            clock,
            gateway,
            folder,
            running,
            policy_port,
        } = self;
        running.shutdown().await;
        drop(gateway);
        let gateway = open(&folder.path().join("gateway"), &clock, policy_port).await;
        let running = Server::serve(gateway.clone()).await.unwrap();
        Self {
            ca,
            sink,
            clock,
            gateway,
            folder,
            running,
            policy_port,
        }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.ca.authority
    }

    pub(crate) fn api_address(&self) -> SocketAddr {
        self.running.api_addr().unwrap()
    }

    pub(crate) fn inbound_address(&self) -> SocketAddr {
        self.running.inbound_addr().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.smtp_addr()
    }

    pub(crate) async fn connect(&self) -> Result<Connection, ClientError> {
        self.connect_to(self.running.smtp_addr()).await
    }

    pub(crate) async fn connect_to(&self, address: SocketAddr) -> Result<Connection, ClientError> {
        let target = Target {
            host: address.ip().to_string(),
            port: address.port(),
            tls: TlsPolicy::Never,
        };
        let tls = keys::tls::client_config(keys::tls::Trust::Only(
            TlsIdentity::self_made(&["x.test".to_owned()], START, END)
                .unwrap()
                .certificate_pem()
                .as_bytes(),
        ))
        .unwrap();
        Connection::connect(&target, "sender.test", &tls, Timeouts::default()).await
    }

    /// Sends one message over a connection of its own; gives what the gateway said of it in the end.
    pub(crate) async fn send(&self, from: &str, to: &[&str], message: &str) -> Reply {
        let delivery = self.deliver(from, to, message).await;
        delivery.outcome(0).clone()
    }

    pub(crate) async fn deliver(&self, from: &str, to: &[&str], message: &str) -> Delivery {
        let recipients: Vec<RcptTo> = to.iter().map(|address| RcptTo::new(*address)).collect();
        self.connect()
            .await
            .unwrap()
            .send(&MailFrom::new(from), &recipients, message.as_bytes())
            .await
            .unwrap()
    }

    /// A usual message from Alice.
    pub(crate) async fn alice_writes(&self) -> Reply {
        self.send("alice@example.com", &["bob@example.net"], ALICE_WRITES).await
    }

    /// The last message that the sink has taken.
    pub(crate) fn last(&self) -> Vec<u8> {
        self.sink.messages().last().unwrap().content.clone()
    }

    pub(crate) fn stored_keys(&self) -> Vec<PathBuf> {
        let keys = self.folder.path().join("gateway/keys");
        keys.read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().contains("identity-"))
            .collect()
    }
}

pub(crate) async fn open(data: &std::path::Path, clock: &Arc<FixedClock>, policy_port: u16) -> Arc<Gateway> {
    let parts = GatewayParts {
        clock: clock.clone(),
        rng: Box::new(ChaCha20Rng::seed_from_u64(
            1 + u64::from(data.join("restarted").exists()),
        )),
        policy_port,
    };
    std::fs::write(data.join("restarted"), "").unwrap();
    Gateway::open(data, parts).await.unwrap()
}

/// A mail server on a port of the system's choice.
pub(crate) async fn listen<S: Service>(settings: Settings, service: S) -> SocketAddr {
    let server = smtp::server::Server::bind("127.0.0.1:0", settings, service)
        .await
        .unwrap();
    let address = server.local_addr();
    tokio::spawn(server.run(std::future::pending()));
    address
}

/// A port where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Waits until something that happens in the background has happened.
pub(crate) async fn eventually(mut happened: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !happened().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .expect("it did not happen within 20 seconds");
}

fn write_secret(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

pub(crate) const ALICE_WRITES: &str = "From: Alice <alice@example.com>\r\nTo: bob@example.net\r\nBcc: carol@example.net\r\nSubject: Test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\nHello Bob\r\n";
