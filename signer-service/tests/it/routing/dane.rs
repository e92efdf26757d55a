//! DANE: what TLSA records hold back, and when they count.

use dns::{CertificateAssociation, LocalData};
use keys::DigestAlgorithm;
use keys::tls::TlsIdentity;

use super::{Internet, Shows, check, delivered, figure, name, to};

/// A record about the whole certificate.
fn about(identity: &TlsIdentity) -> CertificateAssociation {
    let pem = identity.certificate_pem();
    let (_, der) = der::pem::decode_vec(pem.as_bytes()).unwrap();
    CertificateAssociation {
        usage: 3,
        selector: 0,
        matching_type: 1,
        data: DigestAlgorithm::Sha256.hash(&der),
    }
}

fn wrong() -> CertificateAssociation {
    CertificateAssociation {
        usage: 3,
        selector: 1,
        matching_type: 1,
        data: vec![7; 32],
    }
}

#[tokio::test]
async fn the_certificate_that_the_records_name_is_taken_whatever_it_says() {
    for shows in [
        Shows::Untrusted("mail.example.net"),
        Shows::Untrusted("nobody.example"),
        Shows::Expired("mail.example.net"),
    ] {
        let (internet, identity) = Internet::new(shows).await;
        internet.tlsa(about(&identity.unwrap()));
        let world = internet.gateway("").await;
        delivered(&to(&world, "bob@example.net").await);
        assert_eq!(internet.arrived(1), Some(true));
        assert_eq!(
            figure(&world, "sealwright_gateway_connections_total{tls=\"dane\"}").await,
            1
        );
        let explanation = world.gateway.explain_route("bob@example.net").await;
        assert_eq!(explanation["servers"][0]["demand"], "dane");
        assert!(
            explanation["servers"][0]["tlsa"][0]
                .as_str()
                .unwrap()
                .starts_with("3 0 1 ")
        );
    }
}

#[tokio::test]
async fn any_other_certificate_or_none_holds_the_mail_back() {
    for shows in [Shows::Trusted("mail.example.net"), Shows::Nothing] {
        let (internet, _) = Internet::new(shows).await;
        internet.tlsa(wrong());
        let world = internet.gateway("").await;
        check(
            &to(&world, "bob@example.net").await,
            451,
            [4, 4, 1],
            "cannot be reached",
        );
        assert_eq!(internet.arrived(0), None);
        assert_eq!(
            figure(&world, "sealwright_gateway_tls_failures_total{tls=\"dane\"}").await,
            1
        );
    }
}

#[tokio::test]
async fn records_that_cannot_be_used_still_mean_no_plain_text() {
    let unusable = CertificateAssociation { usage: 1, ..wrong() };
    let (internet, _) = Internet::new(Shows::Untrusted("nobody.example")).await;
    internet.tlsa(unusable.clone());
    let world = internet.gateway("").await;
    delivered(&to(&world, "bob@example.net").await);
    assert_eq!(internet.arrived(1), Some(true));
    let (internet, _) = Internet::new(Shows::Nothing).await;
    internet.tlsa(unusable);
    let world = internet.gateway("").await;
    check(
        &to(&world, "bob@example.net").await,
        451,
        [4, 4, 1],
        "cannot be reached",
    );
}

#[tokio::test]
async fn records_that_are_kept_from_us_hold_the_mail_back() {
    let (internet, _) = Internet::new(Shows::Nothing).await;
    let tlsa = format!("_{}._tcp.mail.example.net", internet.server.port());
    internet.dns.zone().silence(&name(&tlsa));
    let world = internet.gateway("").await;
    check(
        &to(&world, "bob@example.net").await,
        451,
        [4, 7, 5],
        "no server answered",
    );
    assert_eq!(internet.arrived(0), None);
}

#[tokio::test]
async fn only_what_dnssec_proves_counts() {
    // The records are wrong, but anybody could have written them.
    let (internet, _) = Internet::new(Shows::Nothing).await;
    internet.dns.zone().delegate_unsigned(&name("example.net"));
    internet.tlsa(wrong());
    let world = internet.gateway("").await;
    delivered(&to(&world, "bob@example.net").await);
    assert_eq!(internet.arrived(1), Some(false));
    // The MX record may be anybody's, though the server's own zone is signed.
    let (internet, _) = Internet::new(Shows::Nothing).await;
    internet.dns.zone().delegate_unsigned(&name("example.org"));
    internet.set("example.org", vec![internet.mx(10, "mail.example.net")]);
    internet.tlsa(wrong());
    let world = internet.gateway("").await;
    delivered(&to(&world, "bob@example.org").await);
    check(
        &to(&world, "bob@example.net").await,
        451,
        [4, 4, 1],
        "cannot be reached",
    );
}

#[tokio::test]
async fn an_alias_has_its_records_where_it_leads_to() {
    let (internet, identity) = Internet::new(Shows::Untrusted("nobody.example")).await;
    internet.set("example.net", vec![internet.mx(10, "mx.example.net")]);
    internet.set("mx.example.net", vec![LocalData::Alias(name("mail.example.net"))]);
    internet.tlsa(about(&identity.unwrap()));
    let world = internet.gateway("").await;
    delivered(&to(&world, "bob@example.net").await);
    assert_eq!(internet.arrived(1), Some(true));
    internet.tlsa(wrong());
    let world = world.restart().await;
    check(
        &to(&world, "bob@example.net").await,
        451,
        [4, 4, 1],
        "cannot be reached",
    );
}

#[tokio::test]
async fn the_records_override_a_policy_in_both_directions() {
    let policy = "version: STSv1\nmode: enforce\nmx: mail.example.net\nmax_age: 86400\n";
    let (internet, identity) = Internet::new(Shows::Untrusted("nobody.example")).await;
    internet.publish("a1", policy);
    internet.tlsa(about(&identity.unwrap()));
    let world = internet.gateway("").await;
    delivered(&to(&world, "bob@example.net").await);
    let (internet, _) = Internet::new(Shows::Trusted("mail.example.net")).await;
    internet.publish("a1", policy);
    internet.tlsa(wrong());
    let world = internet.gateway("").await;
    check(
        &to(&world, "bob@example.net").await,
        451,
        [4, 4, 1],
        "cannot be reached",
    );
    assert_eq!(internet.arrived(0), None);
    // Who does not ask for the records is held to the policy.
    let world = internet.gateway_with("mx = true\ndane = false", "").await;
    delivered(&to(&world, "bob@example.net").await);
}
