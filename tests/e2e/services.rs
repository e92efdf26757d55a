//! The certificate authority and the gateway as two processes that meet over HTTPS, the way an operator runs them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dns::LocalAnswerer;
use keys::tls::Trust;
use smtp::client::{Connection, Delivery, MailFrom, RcptTo, Target, Timeouts, TlsPolicy};
use smtp::server::{Server, Settings};
use smtp::sink::Sink;

use crate::support::service::Service;
use crate::support::{peers, sealwright, text, words};

/// Both services with an account for example.com of which nobody has validated anything.
struct Pair {
    folder: tempfile::TempDir,
    /// The DNS of both: no domain has any records, and that is proved.
    _dns: LocalAnswerer,
    ca: Service,
    gateway: Service,
}

impl Pair {
    fn start(next_hop: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let ca_folder = folder.path().join("ca");
        let ca_data = text(&ca_folder);
        let dns = LocalAnswerer::start().expect("a name server on loopback can be started");
        let trust_anchor = folder.path().join("dns-root.key");
        fs::write(&trust_anchor, dns.trust_anchor()).expect("the folder can be written to");
        json(&[
            "ca",
            "init",
            "--data",
            ca_data,
            "--dns-server",
            &dns.address().to_string(),
            "--dns-trust-anchor",
            text(&trust_anchor),
            "--listen",
            "127.0.0.1:0",
            "--public-listen",
            "127.0.0.1:0",
        ]);
        let account = json(&[
            "ca",
            "account",
            "create",
            "--data",
            ca_data,
            "--kind",
            "organization",
            "--name",
            "Example",
        ]);
        let account = find_text(&account, "id");
        let token = json(&[
            "ca",
            "token",
            "create",
            "--data",
            ca_data,
            "--role",
            "gateway",
            "--name",
            "gateway",
            "--account",
            &account,
        ]);
        let token_file = folder.path().join("gateway.token");
        write_secret(&token_file, &find_text(&token, "token"));
        let ca = Service::start(&["ca", "serve", "--data", ca_data, "--json"]);

        let gateway_folder = folder.path().join("gateway");
        let gateway_data = text(&gateway_folder);
        json(&[
            "gateway",
            "init",
            "--data",
            gateway_data,
            "--hostname",
            "gateway.example.com",
            "--listen",
            "127.0.0.1:0",
            "--next-hop",
            next_hop,
            "--next-hop-tls",
            "never",
            "--ca",
            ca.said("api"),
            "--ca-trust",
            ca.said("tls_root"),
            "--token-file",
            text(&token_file),
            "--domain",
            "example.com",
        ]);
        let gateway = Service::start(&["gateway", "serve", "--data", gateway_data, "--json"]);
        Self {
            folder,
            _dns: dns,
            ca,
            gateway,
        }
    }

    fn tls_root(&self) -> PathBuf {
        self.folder.path().join("gateway").join("tls.pem")
    }

    /// Sends one mail over STARTTLS whose certificate is checked.
    async fn send(&self, from: &str, mail: &str) -> Delivery {
        let (_, port) = self
            .gateway
            .said("smtp")
            .rsplit_once(':')
            .expect("an address has a port");
        let target = Target {
            host: "127.0.0.1".to_owned(),
            port: port.parse().expect("a port is a number"),
            tls: TlsPolicy::Required,
        };
        let root = fs::read(self.tls_root()).expect("the gateway keeps its certificate");
        let tls = keys::tls::client_config(Trust::Only(&root)).expect("it is a certificate");
        let mut connection = Connection::connect(&target, "client.example.com", &tls, Timeouts::default())
            .await
            .expect("it answers");
        assert!(connection.tls().is_some(), "the connection is encrypted");
        let mail = mail.replace('\n', "\r\n");
        connection
            .send(
                &MailFrom::new(from),
                &[RcptTo::new("reader@example.net")],
                mail.as_bytes(),
            )
            .await
            .expect("it answers every command")
    }

    fn stop(self) {
        assert!(self.gateway.stop(), "the gateway ends well");
        assert!(self.ca.stop(), "the certificate authority ends well");
    }
}

fn json(arguments: &[&str]) -> serde_json::Value {
    let output = sealwright(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", words(&output)))
}

/// The text under `key`, in an object or in the one object of a list.
fn find_text(value: &serde_json::Value, key: &str) -> String {
    let object = value.as_array().and_then(|list| list.first()).unwrap_or(value);
    object[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} is in {value}"))
        .to_owned()
}

fn write_secret(path: &Path, secret: &str) {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .expect("a new file");
    file.write_all(secret.as_bytes()).expect("it is written");
}

#[tokio::test]
async fn what_cannot_be_signed_is_refused_and_says_why() {
    let sink = Sink::new();
    let server = Server::bind("127.0.0.1:0", Settings::new("sink.example.net"), sink.clone())
        .await
        .expect("a free port");
    let next_hop = server.local_addr().to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));
    let pair = Pair::start(&next_hop);

    for (from, mail, code, says) in [
        (
            "a@example.com",
            "From: a@example.com\nSubject: x\n\nHello\n",
            550,
            "nobody has validated",
        ),
        (
            "a@example.com",
            "From: a@example.org\nSubject: x\n\nHello\n",
            550,
            "a@example.org",
        ),
        ("a@example.com", "Subject: x\n\nHello\n", 554, "From"),
        (
            "a@example.com",
            "From: a@example.com\nFrom: b@example.com\nSubject: x\n\nHello\n",
            554,
            "From",
        ),
        (
            "a@example.com",
            "From: a@example.com, b@example.com\nSubject: x\n\nHello\n",
            554,
            "From",
        ),
    ] {
        let delivery = pair.send(from, mail).await;
        let outcome = delivery.outcome(0);
        assert_eq!(outcome.code(), code, "{mail:?}: {outcome}");
        assert!(outcome.to_string().contains(says), "{mail:?} says {says:?}: {outcome}");
    }
    assert!(sink.messages().is_empty(), "nothing went out");
    pair.stop();
    drop(stop);
    running.await.expect("the sink ends");
}

#[tokio::test]
async fn a_next_hop_that_is_down_means_try_again() {
    // A port that was free a moment ago and that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port");
    let pair = Pair::start(&free.to_string());
    let delivery = pair
        .send("a@example.com", "From: a@example.com\nSubject: x\n\nHello\n")
        .await;
    let outcome = delivery.outcome(0);
    assert_eq!(outcome.code(), 451, "{outcome}");
    assert!(
        outcome.to_string().contains("next mail server cannot be reached"),
        "{outcome}"
    );
    // Which one it is concerns the operator.
    let log = pair.gateway.log();
    assert!(
        log.contains(&free.port().to_string()),
        "the log names the next hop: {log}"
    );
    pair.stop();
}

#[tokio::test]
async fn starttls_works_with_openssl_and_the_self_made_certificate() {
    if !peers::present("openssl") {
        return;
    }
    let pair = Pair::start("127.0.0.1:1");
    let root = pair.tls_root();
    let output = Command::new("openssl")
        .args([
            "s_client",
            "-starttls",
            "smtp",
            "-connect",
            pair.gateway.said("smtp"),
            "-CAfile",
            text(&root),
        ])
        .args(["-verify_return_error", "-verify_hostname", "gateway.example.com"])
        .stdin(Stdio::null())
        .output()
        .expect("openssl starts");
    assert!(
        words(&output).contains("Verify return code: 0 (ok)"),
        "{}",
        words(&output)
    );
    pair.stop();
}
