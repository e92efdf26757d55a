//! OpenSSL as a peer: what it signs is read, and what the tests write is what it reads.

use openssl::asn1::Asn1Time;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::pkey::PKey;
use openssl::stack::Stack;
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use policies::time::{Span, Timestamp};
use verifier::Status;

use crate::support::*;

#[test]
fn openssl_agrees_that_the_fixtures_are_good() {
    for opaque in [false, true] {
        let mut scenario = Scenario::new();
        scenario.opaque = opaque;
        let (_, _, root) = scenario.chain();
        let mut store = X509StoreBuilder::new().unwrap();
        store.add_cert(X509::from_der(&root).unwrap()).unwrap();
        let mut parameters = openssl::x509::verify::X509VerifyParam::new().unwrap();
        parameters.set_time(NOW.unix());
        store.set_param(&parameters).unwrap();
        let mut cms = CmsContentInfo::from_der(&scenario.signed_data()).unwrap();
        let detached = (!opaque).then_some(scenario.entity.as_slice());
        let mut content = Vec::new();
        cms.verify(
            None,
            Some(&store.build()),
            detached,
            Some(&mut content),
            CMSOptions::BINARY,
        )
        .unwrap();
        assert_eq!(content, scenario.entity);
    }
}

#[test]
fn what_openssl_signs_gets_its_tier() {
    let rsa = PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
    let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
    let ec = PKey::from_ec_key(openssl::ec::EcKey::generate(&group).unwrap()).unwrap();
    for key in [rsa, ec] {
        for options in [
            CMSOptions::BINARY | CMSOptions::DETACHED,
            CMSOptions::BINARY,
            CMSOptions::BINARY | CMSOptions::DETACHED | CMSOptions::USE_KEYID,
            CMSOptions::BINARY | CMSOptions::DETACHED | CMSOptions::NOSMIMECAP,
        ] {
            let mut scenario = Scenario::new();
            scenario.leaf.public_key = Some(key.public_key_to_der().unwrap());
            scenario.opaque = !options.contains(CMSOptions::DETACHED);
            // OpenSSL writes the time of the machine into the message, so the message is judged at that time.
            scenario.at = machine_time();
            scenario.leaf.not_before = utc(scenario.at.minus(Span::days(10)));
            scenario.leaf.not_after = utc(scenario.at.plus(Span::days(10)));
            let (leaf, issuing, _) = scenario.chain();
            let mut others = Stack::new().unwrap();
            others.push(X509::from_der(&issuing).unwrap()).unwrap();
            let leaf = X509::from_der(&leaf).unwrap();
            let signed = CmsContentInfo::sign(Some(&leaf), Some(&key), Some(&others), Some(&scenario.entity), options)
                .unwrap()
                .to_der()
                .unwrap();
            scenario.cms.edit = Some(Box::new(move |cms| cms.clone_from(&signed)));
            let verdict = scenario.verdict();
            assert_eq!(verdict.status(), Status::Tier, "{options:?} {:#?}", verdict.findings());
            assert_eq!(verdict.verified_bytes(), Some(scenario.entity.as_slice()));
        }
    }
}

fn machine_time() -> Timestamp {
    let epoch = Asn1Time::from_unix(0).unwrap();
    let since = epoch.diff(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    Timestamp::from_unix(i64::from(since.days) * 86_400 + i64::from(since.secs))
}

fn utc(time: Timestamp) -> &'static str {
    let digits: String = time.to_string().chars().filter(char::is_ascii_digit).skip(2).collect();
    Box::leak(format!("{digits}Z").into_boxed_str())
}
