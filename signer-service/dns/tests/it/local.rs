//! The server for trying out, asked by our own resolver and by BIND's `delv`.

use std::process::{Command, Stdio};

use dns::{
    Answer, CertificateAssociation, CertificationAuthorityAuthorization, LocalAnswerer, LocalData, Resolver,
    ZoneSecurity,
};

use crate::{name, told};

fn issuemail(value: &str) -> LocalData {
    LocalData::Caa(CertificationAuthorityAuthorization {
        critical: false,
        tag: "issuemail".to_owned(),
        value: value.as_bytes().to_vec(),
    })
}

#[tokio::test]
async fn it_proves_what_it_has_and_what_it_has_not() {
    let local = LocalAnswerer::start().unwrap();
    let resolver = Resolver::new(&local.resolver_config()).unwrap();
    let zone = local.zone();
    let association = CertificateAssociation {
        usage: 3,
        selector: 1,
        matching_type: 1,
        data: vec![7; 32],
    };
    zone.set(&name("example.com"), vec![issuemail("ca.example"), issuemail(";")]);
    zone.set(&name("alias.example.com"), vec![LocalData::Alias(name("example.com"))]);
    zone.set(
        &name("_25._tcp.mx.example.com"),
        vec![LocalData::Tlsa(association.clone())],
    );
    zone.set(
        &name("h._smimecert.example.com"),
        vec![LocalData::Smimea(association.clone())],
    );
    let long = "x".repeat(300);
    zone.set(&name("long.example.com"), vec![LocalData::Text(long.clone())]);
    let Answer::Secure(caa) = resolver.caa(&name("EXAMPLE.com")).await else {
        panic!()
    };
    assert_eq!(caa.records.len(), 2);
    assert!(matches!(
        resolver.caa(&name("alias.example.com")).await,
        Answer::Secure(_)
    ));
    assert_eq!(
        resolver
            .tlsa(&name("_25._tcp.mx.example.com"))
            .await
            .found()
            .unwrap()
            .0
            .records,
        std::slice::from_ref(&association)
    );
    assert_eq!(
        resolver
            .smimea(&name("h._smimecert.example.com"))
            .await
            .found()
            .unwrap()
            .0
            .records,
        [association]
    );
    assert_eq!(
        resolver.txt(&name("long.example.com")).await.found().unwrap().0.records[0].0,
        long.as_bytes()
    );
    for absent in ["example.com", "com", "deep.below.nothing.example"] {
        assert_eq!(told(&resolver.txt(&name(absent)).await), "no_data secure", "{absent}");
    }
    zone.set(&name("example.com"), Vec::new());
    assert_eq!(told(&resolver.caa(&name("example.com")).await), "no_data secure");
    assert_eq!(
        resolver.zone_security(&name("example.com")).await,
        ZoneSecurity::NotProvedInsecure
    );
}

#[tokio::test]
async fn it_is_silent_where_told() {
    let local = LocalAnswerer::start().unwrap();
    let mut config = local.resolver_config();
    config.limits.time_of_a_try = std::time::Duration::from_millis(50);
    let resolver = Resolver::new(&config).unwrap();
    local.zone().silence(&name("down.example"));
    assert_eq!(
        told(&resolver.txt(&name("www.down.example")).await),
        "failed: no server answered in time about www.down.example"
    );
    assert_eq!(told(&resolver.txt(&name("up.example")).await), "no_data secure");
}

#[tokio::test]
async fn an_unsigned_zone_is_proved_to_be_one_even_when_it_is_silent() {
    let local = LocalAnswerer::start().unwrap();
    let mut config = local.resolver_config();
    config.limits.time_of_a_try = std::time::Duration::from_millis(50);
    let resolver = Resolver::new(&config).unwrap();
    local.zone().delegate_unsigned(&name("unsigned.example"));
    local
        .zone()
        .set(&name("www.unsigned.example"), vec![issuemail("ca.example")]);
    local
        .zone()
        .set(&name("unsigned.example"), vec![LocalData::Text("apex".to_owned())]);
    assert_eq!(told(&resolver.caa(&name("www.unsigned.example")).await), "insecure");
    assert_eq!(told(&resolver.txt(&name("unsigned.example")).await), "insecure");
    assert_eq!(
        told(&resolver.txt(&name("missing.unsigned.example")).await),
        "no_data insecure"
    );
    assert_eq!(told(&resolver.txt(&name("example")).await), "no_data secure");
    let proved = ZoneSecurity::ProvedInsecure {
        delegation: name("unsigned.example"),
    };
    assert_eq!(resolver.zone_security(&name("www.unsigned.example")).await, proved);
    local.zone().silence(&name("unsigned.example"));
    assert!(told(&resolver.caa(&name("www.unsigned.example")).await).starts_with("failed"));
    assert_eq!(resolver.zone_security(&name("www.unsigned.example")).await, proved);
}

#[tokio::test]
async fn aliases_in_a_circle_end() {
    let local = LocalAnswerer::start().unwrap();
    let resolver = Resolver::new(&local.resolver_config()).unwrap();
    for (from, to) in [
        ("a.example", "b.example"),
        ("b.example", "c.example"),
        ("c.example", "b.example"),
        ("self.example", "self.example"),
    ] {
        local.zone().set(&name(from), vec![LocalData::Alias(name(to))]);
    }
    for from in ["a.example", "b.example", "self.example"] {
        assert_eq!(
            told(&resolver.caa(&name(from)).await),
            format!("failed: {from} is an alias in a circle")
        );
    }
}

#[test]
fn it_stops_when_dropped() {
    let local = LocalAnswerer::start().unwrap();
    let address = local.address();
    drop(local);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn delv_of_bind_validates_it_too() {
    if !crate::bind::is_installed() || Command::new("delv").arg("-v").stderr(Stdio::null()).status().is_err() {
        return;
    }
    let local = LocalAnswerer::start().unwrap();
    local
        .zone()
        .set(&name("example.com"), vec![LocalData::Text("hello".to_owned())]);
    let folder = tempfile::tempdir().unwrap();
    let anchors = folder.path().join("anchors");
    let dnskey = local.trust_anchor().split_whitespace().skip(4).collect::<Vec<_>>();
    let [flags, protocol, algorithm, key] = dnskey[..] else {
        panic!("{dnskey:?}")
    };
    std::fs::write(
        &anchors,
        format!("trust-anchors {{ . static-key {flags} {protocol} {algorithm} \"{key}\"; }};\n"),
    )
    .unwrap();
    for (at, expected) in [
        ("example.com", "fully validated"),
        ("nothing.example.com", "negative response, fully validated"),
    ] {
        let output = Command::new("delv")
            .args(["@127.0.0.1", "-p", &local.address().port().to_string(), "-a"])
            .arg(&anchors)
            .args([at, "TXT"])
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(printed.contains(expected), "{at}: {printed}");
    }
}
