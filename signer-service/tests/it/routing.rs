//! Where mail goes and with which TLS: a signed root zone, mail servers with real TLS, and a web server with policies.

mod dane;
mod exchangers;
mod fixed;
mod policies;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use dns::{CertificateAssociation, LocalAnswerer, LocalData, Name};
use keys::tls::TlsIdentity;
use smtp::Reply;
use smtp::server::Settings;
use smtp::sink::Sink;

use crate::support::{END, START};
use crate::world::{ALICE_WRITES, World, listen};

/// The Internet of one test: its DNS, one mail server, one web server.
struct Internet {
    dns: LocalAnswerer,
    sink: Sink,
    server: SocketAddr,
    /// What the web server shows, and whom its certificate is for.
    website: Arc<Mutex<Website>>,
    policy_port: u16,
    /// PEM of the certificates that everybody trusts.
    roots: String,
}

#[derive(Clone, Debug)]
struct Website {
    status: u16,
    media_type: &'static str,
    text: String,
}

/// What the mail server shows.
enum Shows {
    Nothing,
    /// A certificate from a trusted authority for this name.
    Trusted(&'static str),
    /// A certificate from nobody.
    Untrusted(&'static str),
    /// A trusted one that ended long ago.
    Expired(&'static str),
}

impl Internet {
    async fn new(shows: Shows) -> (Self, Option<TlsIdentity>) {
        let identity = |name: &str, from, to| TlsIdentity::self_made(&[name.to_owned()], from, to).unwrap();
        let (identity, is_trusted) = match shows {
            Shows::Nothing => (None, false),
            Shows::Trusted(name) => (Some(identity(name, START, END)), true),
            Shows::Untrusted(name) => (Some(identity(name, START, END)), false),
            Shows::Expired(name) => (Some(identity(name, 1_000_000_000, 1_100_000_000)), true),
        };
        let sink = Sink::new();
        let mut settings = Settings::new("mail.example.net");
        settings.tls = identity.as_ref().map(TlsIdentity::server_config);
        let server = listen(settings, sink.clone()).await;
        let web = TlsIdentity::self_made(&["mta-sts.example.net".to_owned()], START, END).unwrap();
        let mut roots = web.certificate_pem();
        if let Some(identity) = identity.as_ref().filter(|_| is_trusted) {
            roots.push_str(&identity.certificate_pem());
        }
        let website = Arc::new(Mutex::new(Website {
            status: 200,
            media_type: "text/plain; charset=utf-8",
            text: String::new(),
        }));
        let internet = Self {
            dns: LocalAnswerer::start().unwrap(),
            sink,
            server,
            policy_port: serve(&web, website.clone()),
            website,
            roots,
        };
        internet.set("example.net", vec![internet.mx(10, "mail.example.net")]);
        internet.set("mail.example.net", vec![LocalData::Address(server.ip())]);
        (internet, identity)
    }

    fn set(&self, name: &str, records: Vec<LocalData>) {
        self.dns.zone().set(&self::name(name), records);
    }

    fn mx(&self, preference: u16, exchange: &str) -> LocalData {
        LocalData::MailExchanger {
            preference,
            exchange: name(exchange),
        }
    }

    /// Gives the domain a policy: its TXT record and its file.
    fn publish(&self, id: &str, policy: &str) {
        self.set(
            "_mta-sts.example.net",
            vec![LocalData::Text(format!("v=STSv1; id={id};"))],
        );
        let here = IpAddr::from([127, 0, 0, 1]);
        self.set("mta-sts.example.net", vec![LocalData::Address(here)]);
        policy.clone_into(&mut self.website.lock().unwrap().text);
    }

    fn tlsa(&self, association: CertificateAssociation) {
        let name = format!("_{}._tcp.mail.example.net", self.server.port());
        self.set(&name, vec![LocalData::Tlsa(association)]);
    }

    /// A gateway that lives in this Internet, with `more` in its configuration.
    async fn gateway(&self, more: &str) -> World {
        self.gateway_with("mx = true", more).await
    }

    async fn gateway_with(&self, next_hop: &str, more: &str) -> World {
        let mut world = World::new().await;
        let folder = world.folder.path().join("gateway");
        std::fs::write(folder.join("anchor"), self.dns.trust_anchor()).unwrap();
        std::fs::write(folder.join("roots.pem"), &self.roots).unwrap();
        let file = folder.join("gateway.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let (before, rest) = text.split_once("[next_hop]\n").unwrap();
        let (_, after) = rest.split_once("[ca]").unwrap();
        let port = match next_hop.contains("mx = true") {
            true => format!("mx_port = {}\n", self.server.port()),
            false => String::new(),
        };
        let text = format!(
            "{before}[next_hop]\n{next_hop}\n{port}trust_file = \"roots.pem\"\n[dns]\nservers = [\"{}\"]\ntrust_anchor = \"anchor\"\nown_names = [\"gateway.example.net\"]\npolicy_trust_file = \"roots.pem\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n{more}\n[ca]{after}",
            self.dns.address()
        );
        std::fs::write(&file, text).unwrap();
        world.policy_port = self.policy_port;
        world.restart().await
    }

    /// Whether the last message came through TLS; none must have come if it is `None`.
    #[track_caller]
    fn arrived(&self, count: usize) -> Option<bool> {
        let messages = self.sink.messages();
        assert_eq!(messages.len(), count);
        let peer = messages.last()?.peer.as_ref()?;
        Some(peer.tls.is_some())
    }
}

/// A web server on loopback.
fn serve(identity: &TlsIdentity, website: Arc<Mutex<Website>>) -> u16 {
    use axum::http::{StatusCode, header};
    let show = move || {
        let Website {
            status,
            media_type,
            text,
        } = website.lock().unwrap().clone();
        let status = StatusCode::from_u16(status).unwrap();
        std::future::ready((status, [(header::CONTENT_TYPE, media_type)], text))
    };
    let router = axum::Router::new().route("/.well-known/mta-sts.txt", axum::routing::get(show));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = axum_server::tls_rustls::RustlsConfig::from_config(identity.server_config());
    let server = axum_server::from_tcp_rustls(listener, config).unwrap();
    tokio::spawn(server.serve(router.into_make_service()));
    port
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

async fn to(world: &World, recipient: &str) -> Reply {
    let message = ALICE_WRITES.replace("bob@example.net", recipient);
    world.send("alice@example.com", &[recipient], &message).await
}

#[track_caller]
fn check(reply: &Reply, code: u16, enhanced: [u16; 3], words: &str) {
    assert_eq!((reply.code(), reply.enhanced()), (code, Some(enhanced)), "{reply}");
    assert!(reply.text().contains(words), "{reply}");
}

#[track_caller]
fn delivered(reply: &Reply) {
    assert_eq!(reply.code(), 250, "{reply}");
}

/// The figures as Prometheus gets them.
async fn figure(world: &World, line: &str) -> u64 {
    // reqwest wants one even where it does not speak TLS.
    keys::tls::install_default_provider();
    let address = world.running.metrics().unwrap();
    let text = reqwest::get(format!("http://{address}/metrics"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let found = text.lines().find_map(|found| found.strip_prefix(line));
    found
        .unwrap_or_else(|| panic!("{line}: {text}"))
        .trim()
        .parse()
        .unwrap()
}
