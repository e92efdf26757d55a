//! What a `gateway.toml` may say, and which mistakes are named.

use ::keys::KeyAlgorithm;

use super::*;

const LEAST: &str = r#"
    hostname = "gateway.example.com"
    [next_hop]
    address = "127.0.0.1:25"
    [ca]
    url = "https://ca.example.com:8440/"
"#;

fn parse(extra: &str) -> Result<Config, String> {
    Config::parse(Path::new("/data"), &format!("{LEAST}\n{extra}"))
}

#[test]
fn the_least_that_must_be_said() {
    let config = parse("").unwrap();
    assert_eq!(config.database, "sqlite:/data/gateway.sqlite");
    assert_eq!(config.next_hop.way.to_string(), "127.0.0.1:25");
    assert_eq!(config.next_hop.tls, NextHopTls::Opportunistic);
    assert_eq!(config.certificate_authority.url, "https://ca.example.com:8440");
    assert_eq!(config.keys.algorithm, KeyAlgorithm::Rsa2048);
    assert!(
        config.authorized_from("127.0.0.1".parse().unwrap()).is_none(),
        "nobody may send unless the file says so"
    );
}

#[test]
fn senders_of_one_network_add_up() {
    let config = parse(
        "[[sender]]\nnetworks = [\"127.0.0.0/8\", \"::1\"]\nmay_sign_for = [\"example.com\"]\n[[sender]]\nnetworks = [\"127.0.0.1\"]\nmay_sign_for = [\"alice@example.org\"]",
    )
    .unwrap();
    let allowed = config.authorized_from("::ffff:127.0.0.1".parse().unwrap()).unwrap();
    assert_eq!(
        allowed,
        ["example.com", "alice@example.org"].map(|text| text.parse().unwrap())
    );
    assert_eq!(config.authorized_from("127.0.0.2".parse().unwrap()).unwrap().len(), 1);
    assert!(config.authorized_from("::1".parse().unwrap()).is_some());
    assert!(config.authorized_from("192.0.2.1".parse().unwrap()).is_none());
}

#[test]
fn a_login_counts_only_where_it_is_told() {
    let config = parse(
        "[milter]\nlisten = \"unix:/run/sealwright/milter.sock\"\n[[sender]]\nauth = [\"alice\"]\nmay_sign_for = [\"alice@example.org\"]\n[[sender]]\nnetworks = [\"192.0.2.0/24\"]\nmay_sign_for = [\"example.com\"]",
    )
    .unwrap();
    let peer = "192.0.2.1".parse().unwrap();
    let count = |peer, login| config.authorized_as(peer, login).map(|allowed| allowed.len());
    assert_eq!(count(Some(peer), Some("alice")), Some(2));
    assert_eq!(count(None, Some("alice")), Some(1));
    assert_eq!(count(Some(peer), None), Some(1));
    assert_eq!(count(None, None), None);
    assert_eq!(count(None, Some("")), None);
    assert_eq!(count(None, Some("Alice")), None);
    assert_eq!(count(Some("198.51.100.1".parse().unwrap()), Some("mallory")), None);
    assert_eq!(
        config.authorized_from(peer).map(|allowed| allowed.len()),
        Some(1),
        "the relay knows networks only"
    );
}

#[test]
fn mistakes_are_named() {
    for (extra, expected) in [
        ("[[sender]]\nnetworks = [\"10.0.0.1/8\"]\nmay_sign_for = []", "bits set"),
        ("[[sender]]\nnetworks = [\"10.0.0.0/33\"]\nmay_sign_for = []", "prefix"),
        (
            "[[sender]]\nnetworks = [\"example.com\"]\nmay_sign_for = []",
            "not a network",
        ),
        ("[[sender]]\nnetworks = []\nmay_sign_for = []", "at least one network"),
        ("[[sender]]\nmay_sign_for = []", "at least one network"),
        ("[[sender]]\nauth = [\"alice\"]\nmay_sign_for = []", "there is none"),
        (
            "[milter]\nlisten = \"inet:127.0.0.1:0\"\n[[sender]]\nauth = [\"\"]\nmay_sign_for = []",
            "no name",
        ),
        ("[milter]\nlisten = \"inet:192.0.2.1:8891\"", "not a loopback address"),
        ("[milter]\nlisten = \"milter.sock\"", "milter.listen"),
        ("[milter]", "listen"),
        (
            "[[sender]]\nnetworks = [\"::1\"]\nmay_sign_for = [\"a b@example.com\"]",
            "may_sign_for",
        ),
        ("[[account]]\ntoken_file = \"t\"", "at least one"),
        (
            "[[account]]\ntoken_file = \"t\"\ndomains = [\"exa mple\"]",
            "[[account]]",
        ),
        ("[keys]\nalgorithm = \"rsa1024\"", "keys.algorithm"),
        ("[[route]]\ndomains = []\nmx = true", "at least one of domains"),
        ("[[route]]\ndomains = [\"a b\"]\nmx = true", "[[route]] domains"),
        ("[[route]]\ndomains = [\"a.example\"]\naddress = \"h\"", "route.address"),
        (
            "[[route]]\ndomains = [\"a.example\"]\nmx = true\ndsn = true",
            "unknown field",
        ),
        ("[dns]\nown_names = [\"a b\"]", "dns.own_names"),
        ("[keys]\ncolour = \"red\"", "unknown field"),
        ("colour = \"red\"", "unknown field"),
    ] {
        let reason = parse(extra).unwrap_err();
        assert!(reason.contains(expected), "{extra}: {reason}");
    }
    for (wrong, expected) in [
        (
            "hostname = \"a b\"\n[next_hop]\naddress = \"h:25\"\n[ca]\nurl = \"https://c\"",
            "hostname",
        ),
        (
            "hostname = \"h\"\n[next_hop]\naddress = \"h\"\n[ca]\nurl = \"https://c\"",
            "next_hop.address",
        ),
        (
            "hostname = \"h\"\n[next_hop]\naddress = \"h:0\"\n[ca]\nurl = \"https://c\"",
            "next_hop.address",
        ),
        (
            "hostname = \"h\"\n[next_hop]\naddress = \"h:25\"\n[ca]\nurl = \"http://ca.example.com\"",
            "ca.url",
        ),
        (
            "hostname = \"h\"\nmax_message_size = 1\n[next_hop]\naddress = \"h:25\"\n[ca]\nurl = \"https://c\"",
            "max_message_size",
        ),
    ] {
        let reason = Config::parse(Path::new("/data"), wrong).unwrap_err();
        assert!(reason.contains(expected), "{wrong}: {reason}");
    }
}
