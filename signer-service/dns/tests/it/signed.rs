//! What a validator must tell apart, asked of BIND with zones that are signed, half signed and wrongly signed.

use std::sync::OnceLock;
use std::time::Duration;

use dns::{Answer, Resolver, ResolverConfig, Security, TrustAnchor, ZoneSecurity};

use crate::bind::{Bind, Internet, Signing, is_installed};
use crate::{name, told};

/// One server for all tests of this file; `None` after saying that they are skipped.
fn internet() -> Option<&'static Bind> {
    static INTERNET: OnceLock<Option<Bind>> = OnceLock::new();
    INTERNET.get_or_init(|| is_installed().then(build)).as_ref()
}

fn build() -> Bind {
    let same = |text: String| text;
    let mut internet = Internet::new();
    let content = "www IN TXT \"genuine\"\nwww IN A 192.0.2.1\nwww IN AAAA 2001:db8::1\n\
        text IN TXT \"one \" \"two\"\n*.wild IN TXT \"any\"\n\
        @ IN MX 20 backup.test.\n@ IN MX 10 mx.test.\n@ IN CAA 0 issuemail \"ca.example; policy=ev\"\n@ IN CAA 128 tbs \"unknown\"\n\
        _25._tcp.mx IN TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\
        hash._smimecert IN TYPE53 \\# 4 03000102\n\
        alias IN CNAME www\nfar IN CNAME www.unsigned.test.\nnowhere IN CNAME missing\n\
        a1 IN CNAME a2\na2 IN CNAME a3\na3 IN CNAME a4\na4 IN CNAME a5\na5 IN CNAME a6\na6 IN CNAME a7\na7 IN CNAME a8\na8 IN CNAME a9\na9 IN CNAME a10\na10 IN TXT \"far\"\n\
        e1 IN CNAME a3\n";
    let many: String = (0..60)
        .map(|number| format!("large IN TXT \"{number:0>60}\"\n"))
        .collect();
    let content = format!("{content}{many}");
    let forge = |text: String| text.replace("\"genuine\"", "\"forgery\"");

    let mut delegations = String::new();
    let mut delegate = |zone: &str, ds: &str| {
        let label = zone.strip_suffix(".test").unwrap();
        delegations += &format!("{label} IN NS ns.test.\n{ds}\n");
    };
    let ds = internet.add("nsec.test", Signing::Nsec, &content, same);
    delegate("nsec.test", &ds);
    let ds = internet.add("nsec3.test", Signing::Nsec3, &content, same);
    delegate("nsec3.test", &ds);
    let ds = internet.add("forged.test", Signing::Nsec, &content, forge);
    delegate("forged.test", &ds);
    let ds = internet.add("expired.test", Signing::Expired, &content, same);
    delegate("expired.test", &ds);
    let ds = internet.add("notyet.test", Signing::NotYet, &content, same);
    delegate("notyet.test", &ds);
    let ds = internet.add("iterated.test", Signing::ManyIterations, &content, same);
    delegate("iterated.test", &ds);
    internet.add("unsigned.test", Signing::None, &content, same);
    delegate("unsigned.test", "");
    internet.add("island.test", Signing::Nsec, &content, same);
    delegate("island.test", "");
    // A DS record says that this zone is signed, and it is not.
    internet.add("stripped.test", Signing::None, &content, same);
    delegate("stripped.test", &ds.replace("iterated", "stripped"));
    // The DS record is of another key.
    internet.add("otherkey.test", Signing::Nsec, &content, same);
    delegate("otherkey.test", &ds.replace("iterated", "otherkey"));
    let mail = "ns IN A 192.0.2.53\nmx IN A 192.0.2.25\nbackup IN A 192.0.2.26\n";
    let ds_test = internet.add("test", Signing::Nsec, &format!("{delegations}{mail}"), same);
    internet.add("child.optout", Signing::None, &content, same);
    let ds_optout = internet.add(
        "optout",
        Signing::OptOut,
        "child IN NS ns.test.\nown IN TXT \"own\"\n",
        same,
    );
    let root = format!("test IN NS ns.test.\n{ds_test}\noptout IN NS ns.test.\n{ds_optout}\n");
    internet.add(".", Signing::Nsec, &root, same);
    internet.serve()
}

async fn text(resolver: &Resolver, at: &str) -> String {
    told(&resolver.txt(&name(at)).await)
}

/// The states of TXT look-ups at names.
async fn check(expected: &[(&str, &str)]) {
    let Some(bind) = internet() else { return };
    let resolver = bind.resolver();
    for (at, state) in expected {
        let told = text(&resolver, at).await;
        assert!(told.starts_with(state), "{at}: {told}, expected {state}");
    }
}

#[tokio::test]
async fn records_of_every_type_are_read_and_proved() {
    let Some(bind) = internet() else { return };
    let resolver = bind.resolver();
    for zone in ["nsec.test", "nsec3.test"] {
        let at = |label: &str| name(&format!("{label}.{zone}"));
        let Answer::Secure(found) = resolver.txt(&at("text")).await else {
            panic!("{zone}")
        };
        assert_eq!(found.records[0].0, b"one two");
        assert!(found.ttl <= 300 && found.aliases.is_empty());
        assert_eq!(
            resolver.a(&at("www")).await.found().unwrap().0.records,
            ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]
        );
        assert_eq!(
            resolver.aaaa(&at("www")).await.found().unwrap().0.records,
            ["2001:db8::1".parse::<std::net::IpAddr>().unwrap()]
        );
        let Answer::Secure(mx) = resolver.mx(&name(zone)).await else {
            panic!("{zone}")
        };
        let hosts: Vec<String> = mx
            .records
            .iter()
            .map(|mx| mx.exchange.as_ref().unwrap().to_string())
            .collect();
        assert_eq!(hosts, ["mx.test", "backup.test"]);
        let Answer::Secure(caa) = resolver.caa(&name(zone)).await else {
            panic!("{zone}")
        };
        assert!(
            caa.records
                .iter()
                .any(|caa| caa.tag == "issuemail" && caa.value == b"ca.example; policy=ev" && !caa.critical)
        );
        assert!(caa.records.iter().any(|caa| caa.tag == "tbs" && caa.critical));
        let Answer::Secure(tlsa) = resolver.tlsa(&at("_25._tcp.mx")).await else {
            panic!("{zone}")
        };
        let tlsa = &tlsa.records[0];
        assert_eq!(
            (tlsa.usage, tlsa.selector, tlsa.matching_type, tlsa.data.len()),
            (3, 1, 1, 32)
        );
        let Answer::Secure(smimea) = resolver.smimea(&at("hash._smimecert")).await else {
            panic!("{zone}")
        };
        assert_eq!((smimea.records[0].usage, &smimea.records[0].data[..]), (3, &[2][..]));
    }
}

#[tokio::test]
async fn absence_is_proved_in_both_ways() {
    check(&[
        ("missing.nsec.test", "nx_domain secure"),
        ("missing.nsec3.test", "nx_domain secure"),
        ("deep.below.missing.nsec3.test", "nx_domain secure"),
        ("nsec.test", "no_data secure"),
        ("nsec3.test", "no_data secure"),
        ("_tcp.mx.nsec.test", "no_data secure"),
        ("_tcp.mx.nsec3.test", "no_data secure"),
        ("no-such-tld", "nx_domain secure"),
        ("own.optout", "secure"),
    ])
    .await;
}

#[tokio::test]
async fn wildcards_are_proved_with_the_absence_of_a_closer_name() {
    check(&[
        ("x.wild.nsec.test", "secure"),
        ("x.y.wild.nsec3.test", "secure"),
        ("wild.nsec.test", "no_data secure"),
    ])
    .await;
}

#[tokio::test]
async fn unsigned_zones_are_insecure_and_not_bogus() {
    check(&[
        ("www.unsigned.test", "insecure"),
        ("missing.unsigned.test", "nx_domain insecure"),
        ("mx.unsigned.test", "no_data insecure"),
        ("www.child.optout", "insecure"),
        ("missing.child.optout", "nx_domain insecure"),
        // Signed, and the zone above does not say so.
        ("www.island.test", "insecure"),
        ("missing.island.test", "nx_domain insecure"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_wrongly_signed_is_bogus() {
    check(&[
        ("www.forged.test", "bogus"),
        ("text.forged.test", "secure"),
        ("www.expired.test", "bogus"),
        ("missing.expired.test", "bogus"),
        ("www.notyet.test", "bogus"),
        ("www.stripped.test", "bogus"),
        ("missing.stripped.test", "bogus"),
        ("stripped.test", "bogus"),
        ("www.otherkey.test", "bogus"),
        ("missing.otherkey.test", "bogus"),
    ])
    .await;
}

#[tokio::test]
async fn too_many_iterations_of_nsec3_prove_nothing_and_lose_nothing() {
    check(&[
        ("www.iterated.test", "secure"),
        ("missing.iterated.test", "nx_domain insecure"),
        // The record is there, and that there is no closer name is not proved.
        ("x.wild.iterated.test", "insecure"),
    ])
    .await;
}

#[tokio::test]
async fn the_weakest_zone_on_the_way_of_an_alias_counts() {
    let Some(bind) = internet() else { return };
    let resolver = bind.resolver();
    let Answer::Secure(found) = resolver.txt(&name("alias.nsec.test")).await else {
        panic!()
    };
    assert_eq!(
        (found.name, found.aliases),
        (name("www.nsec.test"), vec![name("www.nsec.test")])
    );
    let Answer::Insecure(found) = resolver.txt(&name("far.nsec.test")).await else {
        panic!()
    };
    assert_eq!(found.name, name("www.unsigned.test"));
    // An alias in an unsigned zone makes everything insecure, and an alias to nothing is nothing.
    assert_eq!(text(&resolver, "nowhere.nsec.test").await, "nx_domain secure");
    assert_eq!(text(&resolver, "nowhere.unsigned.test").await, "nx_domain insecure");
    assert!(text(&resolver, "alias.forged.test").await.starts_with("bogus"));
}

#[tokio::test]
async fn aliases_end() {
    check(&[
        ("e1.nsec.test", "secure"),
        (
            "a1.nsec.test",
            "failed: a1.nsec.test is an alias of an alias, more than 8 times",
        ),
    ])
    .await;
}

#[tokio::test]
async fn long_answers_come_over_tcp_and_have_an_end() {
    let Some(bind) = internet() else { return };
    let resolver = bind.resolver();
    let answer = resolver.txt(&name("large.nsec.test")).await;
    assert_eq!(answer.found().unwrap().0.records.len(), 60);
    let mut config = bind.config();
    config.limits.records = 59;
    let resolver = Resolver::new(&config).unwrap();
    let told = text(&resolver, "large.nsec.test").await;
    assert_eq!(told, "failed: there are more than 59 records at large.nsec.test");
}

#[tokio::test]
async fn work_has_an_end() {
    let Some(bind) = internet() else { return };
    let mut config = bind.config();
    config.limits.questions = 2;
    let resolver = Resolver::new(&config).unwrap();
    let told = text(&resolver, "www.nsec.test").await;
    assert!(told.starts_with("failed: validating the answer about"), "{told}");
    config.limits.questions = 128;
    config.limits.time = Duration::ZERO;
    let resolver = Resolver::new(&config).unwrap();
    assert!(
        text(&resolver, "www.nsec.test")
            .await
            .starts_with("failed: no server answered in time")
    );
}

#[tokio::test]
async fn another_anchor_makes_everything_bogus() {
    let Some(bind) = internet() else { return };
    let mut config: ResolverConfig = bind.config();
    config.trust_anchor = TrustAnchor::Iana;
    let resolver = Resolver::new(&config).unwrap();
    for at in ["www.nsec.test", "www.unsigned.test", "missing.nsec.test"] {
        assert!(text(&resolver, at).await.starts_with("bogus"), "{at}");
    }
    assert_eq!(
        resolver.zone_security(&name("www.unsigned.test")).await,
        ZoneSecurity::NotProvedInsecure
    );
}

#[tokio::test]
async fn only_a_proof_makes_a_zone_unsigned() {
    let Some(bind) = internet() else { return };
    let resolver = bind.resolver();
    for (at, delegation) in [
        ("www.unsigned.test", Some("unsigned.test")),
        ("deep.below.unsigned.test", Some("unsigned.test")),
        ("island.test", Some("island.test")),
        ("www.child.optout", Some("child.optout")),
        ("www.nsec.test", None),
        ("missing.nsec3.test", None),
        ("www.stripped.test", None),
        ("www.forged.test", None),
        ("www.expired.test", None),
        ("own.optout", None),
    ] {
        let expected = match delegation {
            Some(delegation) => ZoneSecurity::ProvedInsecure {
                delegation: name(delegation),
            },
            None => ZoneSecurity::NotProvedInsecure,
        };
        assert_eq!(resolver.zone_security(&name(at)).await, expected, "{at}");
    }
}

#[tokio::test]
async fn a_second_server_answers_for_a_dead_one() {
    let Some(bind) = internet() else { return };
    let mut config = bind.config();
    let dead = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    config.servers = vec![dead.local_addr().unwrap(), bind.address()];
    config.limits.time_of_a_try = Duration::from_millis(200);
    let resolver = Resolver::new(&config).unwrap();
    let answer = resolver.txt(&name("www.nsec.test")).await;
    assert!(matches!(answer, Answer::Secure(_)), "{answer:?}");
    assert_eq!(answer.found().unwrap().1, Security::Secure);
}
