//! An ACME client that is not ours gets certificates: `acme` of certbot with `dkimpy`, over TLS, SMTP and DNS.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use dns::{LocalAnswerer, LocalData, Name};
use smtp::server::{Server, Settings};
use smtp::sink::Sink;

use crate::support::service::Service;
use crate::support::{peers, sealwright, text, words};

fn json(arguments: &[&str]) -> serde_json::Value {
    let output = sealwright(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    serde_json::from_slice(&output.stdout).expect("it answers in JSON")
}

fn string(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is text")).to_owned()
}

/// The Python of the folder that scripts/test has installed `acme` and `dkimpy` into.
fn python() -> String {
    std::env::var("SEALWRIGHT_ACME_PYTHON").unwrap_or_else(|_| "python-with-acme-and-dkimpy".to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_not_ours_gets_renews_and_revokes_certificates() {
    if !peers::present(&python()) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().join("ca");
    let data = text(&data);
    let mailbox = folder.path().join("mailbox");
    let sink = Sink::in_folder(&mailbox).expect("the folder can be made");
    let server = Server::bind("127.0.0.1:0", Settings::new("mail.example.com"), sink)
        .await
        .expect("a port is free");
    let smtp = server.local_addr().to_string();
    tokio::spawn(server.run(std::future::pending()));

    let key = openssl::rsa::Rsa::generate(2048).expect("a key is made");
    let public = openssl::base64::encode_block(&key.public_key_to_der().expect("it is written"));
    let dkim_key = folder.path().join("dkim.pem");
    fs::write(&dkim_key, key.private_key_to_pem().expect("it is written")).expect("it is written");
    let zone = LocalAnswerer::start().expect("a port is free");
    let publish = |name: &str, value: String| {
        let name = Name::parse(name).expect("it is a name");
        zone.zone().set(&name, vec![LocalData::Text(value)]);
    };
    publish("mail._domainkey.example.com", format!("v=DKIM1; k=rsa; p={public}"));
    let anchor = folder.path().join("root.key");
    fs::write(&anchor, zone.trust_anchor()).expect("it is written");

    json(&[
        "ca",
        "init",
        "--data",
        data,
        "--listen",
        "127.0.0.1:0",
        "--public-listen",
        "127.0.0.1:0",
        "--smtp",
        &smtp,
        "--dns-server",
        &zone.address().to_string(),
        "--dns-trust-anchor",
        text(&anchor),
    ]);
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(Path::new(data).join("ca.toml"))
        .expect("init has written it");
    write!(
        file,
        "\n[acme]\nmail_from = \"acme@ca.example.net\"\nlisten = \"127.0.0.1:0\"\n"
    )
    .expect("it is written");
    drop(file);
    let account = string(&json(&["ca", "account", "create", "--data", data, "--name", "Example"])[0]["id"]);
    let keys: Vec<_> = ["first", "second"]
        .into_iter()
        .map(|name| {
            json(&[
                "ca",
                "acme",
                "create-key",
                "--data",
                data,
                "--account",
                &account,
                "--name",
                name,
            ])
        })
        .collect();
    let records = json(&["ca", "acme", "dns", "--data", data]);

    let ca = Service::start(&["ca", "serve", "--data", data, "--json"]);
    let (host, port) = ca.said("acme_replies").rsplit_once(':').expect("an address has a port");
    let given = serde_json::json!({
        "directory": ca.said("acme"),
        "tls_root": ca.said("tls_root"),
        "keys": keys,
        "mailbox": mailbox,
        "dkim_key": dkim_key,
        "dkim_name": records[0]["name"],
        "dkim_record": records[0]["value"],
        "replies_host": host,
        "replies_port": port.parse::<u16>().expect("a port is a number"),
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/acme_client.py");
    let mut client = Command::new(python())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client starts");
    let mut stdin = client.stdin.take().expect("its standard input is a pipe");
    let lines = BufReader::new(client.stdout.take().expect("its standard output is a pipe"));
    writeln!(stdin, "{given}").expect("it reads");
    let said = tokio::task::block_in_place(|| {
        for line in lines.lines() {
            let line: serde_json::Value = serde_json::from_str(&line.expect("it is text")).expect("it prints JSON");
            let Some(record) = line.get("publish") else {
                return Some(line);
            };
            publish(&string(&record["name"]), string(&record["value"]));
            writeln!(stdin, "published").expect("it reads");
        }
        None
    });
    drop(stdin);
    let ended = client.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{}\n{}", words(&ended), ca.log());
    let said = said.expect("it says what it has got");

    // Three certificates, of which the first was revoked; openssl accepts another one up to the root.
    let listed = json(&["ca", "list", "--data", data]);
    let mut states: Vec<&str> = listed
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|certificate| certificate["state"].as_str())
        .collect();
    states.sort_unstable();
    assert_eq!(states, ["revoked", "valid", "valid"]);
    let chain = folder.path().join("chain.pem");
    fs::write(&chain, string(&said["chains"][1])).expect("it is written");
    let root = folder.path().join("root.pem");
    let url = format!("{}/ca/root.pem", ca.said("public"));
    let pem = reqwest::get(url)
        .await
        .expect("it answers")
        .bytes()
        .await
        .expect("it is sent");
    fs::write(&root, pem).expect("it is written");
    let verified = Command::new("openssl")
        .args([
            "verify",
            "-purpose",
            "smimesign",
            "-x509_strict",
            "-no-CApath",
            "-CAfile",
        ])
        .arg(&root)
        .arg("-untrusted")
        .arg(&chain)
        .arg(&chain)
        .output()
        .expect("openssl runs");
    assert!(verified.status.success(), "{}", words(&verified));
    let orders = json(&["ca", "acme", "orders", "--data", data]);
    assert_eq!(orders.as_array().map(Vec::len), Some(3));
    assert!(ca.stop());
}
