//! Routes to fixed servers: whose certificates they may have, and TLS from the first octet.

use keys::DigestAlgorithm;
use keys::tls::TlsIdentity;
use smtp::server::{Entrance, Server, Settings};
use smtp::sink::Sink;

use super::{Internet, Shows, check, delivered, to};
use crate::support::{END, START};

/// A server that speaks TLS from the first octet, and the pin of its key.
async fn implicit(sink: &Sink) -> (u16, String, TlsIdentity) {
    let identity = TlsIdentity::self_made(&["localhost".to_owned()], START, END).unwrap();
    let mut settings = Settings::new("partner.example");
    settings.tls = Some(identity.server_config());
    let server = Server::bind_to("127.0.0.1:0", Entrance::ImplicitTls, settings, sink.clone())
        .await
        .unwrap();
    let port = server.local_addr().port();
    tokio::spawn(server.run(std::future::pending()));
    let pem = identity.certificate_pem();
    let (_, der) = der::pem::decode_vec(pem.as_bytes()).unwrap();
    let certificate: x509_cert::Certificate = der::Decode::from_der(&der).unwrap();
    let key = der::Encode::to_der(certificate.tbs_certificate().subject_public_key_info()).unwrap();
    let pin = format!(
        "sha256:{}",
        data_encoding::HEXLOWER.encode(&DigestAlgorithm::Sha256.hash(&key))
    );
    (port, pin, identity)
}

#[tokio::test]
async fn a_domain_may_have_a_route_of_its_own_with_a_pinned_key() {
    let (internet, _) = Internet::new(Shows::Nothing).await;
    let partner = Sink::new();
    let (port, pin, _) = implicit(&partner).await;
    let route = format!(
        "[[route]]\ndomains = [\"partner.example\", \".partner.example\"]\naddress = \"localhost:{port}\"\ntls = \"implicit\"\npins = [\"{pin}\"]\n"
    );
    let world = internet.gateway(&route).await;
    delivered(&to(&world, "bob@partner.example").await);
    delivered(&to(&world, "bob@Sub.Partner.Example").await);
    let messages = partner.messages();
    assert_eq!(messages.len(), 2);
    assert!(
        messages
            .iter()
            .all(|message| message.peer.as_ref().unwrap().tls.is_some())
    );
    delivered(&to(&world, "bob@example.net").await);
    assert_eq!(internet.arrived(1), Some(false));
    let explanation = world.gateway.explain_route("bob@partner.example").await;
    assert_eq!(
        (&explanation["way"], &explanation["servers"][0]["demand"]),
        (&"host".into(), &"pinned".into())
    );
    assert_eq!(explanation["servers"][0]["beginning"], "implicit");
    // Another key.
    let changed = route.replace("sha256:", "sha256:0000").replace(&pin[7..], &pin[7..67]);
    let world = internet.gateway(&changed).await;
    check(
        &to(&world, "bob@partner.example").await,
        451,
        [4, 4, 1],
        "cannot be reached",
    );
    // A certificate of nobody.
    let unpinned = route
        .lines()
        .filter(|line| !line.starts_with("pins"))
        .collect::<Vec<_>>()
        .join("\n");
    let world = internet.gateway(&unpinned).await;
    check(
        &to(&world, "bob@partner.example").await,
        451,
        [4, 4, 1],
        "cannot be reached",
    );
    assert_eq!(partner.messages().len(), 2);
}

#[tokio::test]
async fn a_fixed_server_that_must_have_tls_is_held_to_it() {
    for (shows, expected) in [
        (Shows::Trusted("localhost"), true),
        (Shows::Untrusted("localhost"), false),
        (Shows::Trusted("other.example"), false),
        (Shows::Nothing, false),
    ] {
        let (internet, _) = Internet::new(shows).await;
        let address = format!("address = \"localhost:{}\"\ntls = \"required\"", internet.server.port());
        let world = internet.gateway_with(&address, "").await;
        let reply = to(&world, "bob@example.net").await;
        if expected {
            delivered(&reply);
            assert_eq!(internet.arrived(1), Some(true));
        } else {
            check(&reply, 451, [4, 4, 1], "cannot be reached");
            assert_eq!(internet.arrived(0), None);
        }
    }
}

#[tokio::test]
async fn a_fixed_server_can_be_known_by_its_tlsa_records() {
    let (internet, identity) = Internet::new(Shows::Untrusted("nobody.example")).await;
    let address = format!(
        "address = \"mail.example.net:{}\"\ntls = \"required\"\ndane = true",
        internet.server.port()
    );
    let world = internet.gateway_with(&address, "").await;
    check(
        &to(&world, "bob@anywhere.example").await,
        451,
        [4, 4, 1],
        "cannot be reached",
    );
    let (_, der) = der::pem::decode_vec(identity.unwrap().certificate_pem().as_bytes()).unwrap();
    internet.tlsa(dns::CertificateAssociation {
        usage: 3,
        selector: 0,
        matching_type: 0,
        data: der,
    });
    delivered(&to(&world, "bob@anywhere.example").await);
    assert_eq!(internet.arrived(1), Some(true));
}
