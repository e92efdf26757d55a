//! Domains looked at from several networks, each a process with a DNS of its own.

use std::fs;
use std::path::Path;

use dns::{LocalAnswerer, LocalData, Name};

use crate::support::service::Service;
use crate::support::{sealwright, text, words};

fn json(arguments: &[&str]) -> serde_json::Value {
    let output = sealwright(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    serde_json::from_slice(&output.stdout).expect("it answers in JSON")
}

/// A network: its DNS, and the perspective in it.
struct Network {
    zone: LocalAnswerer,
    _service: Service,
    /// What stands in the authority's `ca.toml`.
    section: String,
}

impl Network {
    fn start(folder: &Path, name: &str, registry: &str, location: &str) -> Self {
        let zone = LocalAnswerer::start().expect("a port is free");
        let data = folder.join(name);
        let made = json(&[
            "ca",
            "perspective",
            "init",
            "--data",
            text(&data),
            "--name",
            name,
            "--registry",
            registry,
            "--host",
            "127.0.0.1",
            "--listen",
            "127.0.0.1:0",
        ]);
        fs::write(data.join("root.key"), zone.trust_anchor()).expect("it is written");
        let file = data.join("perspective.toml");
        let settings = fs::read_to_string(&file).expect("init has written it");
        let servers = format!("servers = [\"{}\"]\ntrust_anchor = \"root.key\"\n", zone.address());
        fs::write(&file, settings + &servers).expect("it is written");
        let service = Service::start(&["ca", "perspective", "serve", "--data", text(&data), "--json"]);
        // The section as `init` has printed it, with what only we can know.
        let section = made["section"].as_str().expect("a text");
        let section: Vec<String> = section
            .lines()
            .map(|line| match line.split_once(" = ").map_or(line, |(key, _)| key) {
                "url" => format!("url = \"https://{}\"", service.said("address")),
                "location" => format!("location = \"{location}\""),
                "token_file" => format!("token_file = {:?}", data.join("token")),
                "trust_file" => format!("trust_file = {:?}", data.join("tls.pem")),
                _ => line.to_owned(),
            })
            .collect();
        Self {
            zone,
            _service: service,
            section: section.join("\n"),
        }
    }

    fn say(&self, at: &str, value: &str) {
        let name = Name::parse(at).expect("it is a name");
        self.zone.zone().set(&name, vec![LocalData::Text(value.to_owned())]);
    }
}

#[test]
fn a_network_that_is_diverted_does_not_get_a_domain_validated() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let networks = [
        Network::start(folder.path(), "iad", "arin", "39.04, -77.49"),
        Network::start(folder.path(), "sin", "apnic", "1.35, 103.82"),
        Network::start(folder.path(), "gru", "lacnic", "-23.55, -46.63"),
    ];
    let here = LocalAnswerer::start().expect("a port is free");
    let anchor = folder.path().join("root.key");
    fs::write(&anchor, here.trust_anchor()).expect("it is written");
    let data = folder.path().join("ca");
    let data = text(&data);
    json(&[
        "ca",
        "init",
        "--data",
        data,
        "--dns-server",
        &here.address().to_string(),
        "--dns-trust-anchor",
        text(&anchor),
    ]);
    let file = Path::new(data).join("ca.toml");
    let mut configuration = fs::read_to_string(&file).expect("init has written it");
    configuration.push_str("\n[primary_perspective]\nlocation = \"50.11, 8.68\"\n\n");
    for network in &networks {
        configuration.push_str(&network.section);
        configuration.push_str("\n\n");
    }
    fs::write(&file, configuration).expect("it is written");

    let account = json(&["ca", "account", "create", "--data", data, "--name", "Example"]);
    let account = account[0]["id"].as_str().expect("a text");
    let challenge = json(&[
        "ca",
        "domain",
        "begin",
        "example.com",
        "--account",
        account,
        "--data",
        data,
    ]);
    let (id, place, value) = (
        challenge["id"].as_str().expect("a text"),
        challenge["place"].as_str().expect("a text"),
        challenge["value"].as_str().expect("a text"),
    );
    let check = || sealwright(&["ca", "domain", "check", id, "--account", account, "--data", data]);
    // Whoever diverts our traffic shows us what they like; the others do not see it.
    let name = Name::parse(place).expect("it is a name");
    here.zone().set(&name, vec![LocalData::Text(value.to_owned())]);
    networks[0].say(place, value);
    let refused = check();
    assert_eq!(refused.status.code(), Some(1), "{}", words(&refused));
    let said = words(&refused);
    for part in [
        "not from enough other networks",
        "sin: there is no TXT record",
        "1 of 3",
    ] {
        assert!(said.contains(part), "{said:?} lacks {part:?}");
    }
    networks[1].say(place, value);
    let validated = check();
    assert!(validated.status.success(), "{}", words(&validated));

    let checks = json(&["ca", "doctor", "--data", data]);
    let health = |name: &str| {
        let checks = checks.as_array().expect("a list");
        checks
            .iter()
            .find(|check| check["name"] == name)
            .map(|check| check["health"].clone())
    };
    for name in ["perspectives", "perspective-iad", "perspective-sin", "perspective-gru"] {
        assert_eq!(health(name), Some("good".into()), "{name}");
    }
    let asked = sealwright(&["ca", "perspective", "ask", "example.com", "--data", data]);
    assert!(asked.status.success(), "{}", words(&asked));
    assert!(words(&asked).contains("3 of 3 agree"), "{}", words(&asked));
}
