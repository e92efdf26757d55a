//! What is signed was recorded, and what is handed out was signed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use diesel::result::{DatabaseErrorKind, Error as QueryError};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509PurposeId, X509StoreContext};
use policies::tier::{Generation, Tier};
use policies::time::Span;
use sha2::{Digest, Sha256};

use super::world;
use crate::certificates::{self, CertificateState};
use crate::error::Error;
use crate::orders::{OrderState, TierChoice, place};
use crate::testing::{Act, Proof, World, order, order_with_key};
use crate::{jobs, signature, store};

const ADA: &str = "ada@example.com";

/// Serial and DER of a certificate that has just been issued.
async fn issued(world: &World, state: OrderState) -> (String, Vec<u8>) {
    let OrderState::Valid { serial, chain_pem, .. } = state else {
        panic!("not issued: {state:?}")
    };
    let der = world.row(&serial).await.certificate.unwrap();
    let chain = X509::stack_from_pem(chain_pem.as_bytes()).unwrap();
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[0].to_der().unwrap(), der);
    (serial, der)
}

fn openssl_accepts(world: &World, der: &[u8]) {
    let x509 = |der: &[u8]| X509::from_der(der).unwrap();
    let mut roots = X509StoreBuilder::new().unwrap();
    roots
        .add_cert(x509(world.app.issuers().root().certificate_der()))
        .unwrap();
    let mut parameters = X509VerifyParam::new().unwrap();
    parameters.set_flags(X509VerifyFlags::X509_STRICT).unwrap();
    parameters.set_purpose(X509PurposeId::SMIME_SIGN).unwrap();
    parameters.set_time(world.app.now().unix());
    roots.set_param(&parameters).unwrap();
    let mut chain = openssl::stack::Stack::new().unwrap();
    chain
        .push(x509(world.app.issuers().issuing().certificate_der()))
        .unwrap();
    let mut context = X509StoreContext::new().unwrap();
    let (valid, error) = context
        .init(&roots.build(), &x509(der), &chain, |context| {
            let valid = context.verify_cert()?;
            Ok((valid, context.error()))
        })
        .unwrap();
    assert!(valid, "{error}");
}

#[tokio::test]
async fn each_tier_and_generation_is_issued_and_openssl_accepts_the_chain() {
    let world = world!();
    let ada = world.subscriber("Beispiel AG").await;
    for proof in Proof::everything(ADA) {
        world.prove(&ada, proof, Span::hours(1)).await;
    }
    for tier in Tier::ALL {
        for generation in Generation::ALL {
            for key in [keys::testing::p256(), keys::testing::p384(), keys::testing::rsa2048()] {
                let mut request = order_with_key(ADA, TierChoice::Exactly(tier), &*key);
                request.generation = generation;
                let order = place(&world.app, &ada, request).await.unwrap();
                let (serial, der) = issued(&world, order.state).await;
                openssl_accepts(&world, &der);
                let row = world.row(&serial).await;
                assert_eq!((row.tier.0, row.generation.0), (tier, generation));
                let findings = policies::lint::findings_of_certificate(&der, world.app.now()).unwrap();
                assert!(findings.is_empty(), "{tier} {generation}: {findings:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_issuer_name_is_the_subject_of_the_issuer_byte_for_byte() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let order = place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap();
    let (_, der) = issued(&world, order.state).await;
    let certificate = X509::from_der(&der).unwrap();
    let issuer = X509::from_der(world.app.issuers().issuing().certificate_der()).unwrap();
    let subject = issuer.subject_name().to_der().unwrap();
    assert_eq!(certificate.issuer_name().to_der().unwrap(), subject);
    let key_identifier = issuer.subject_key_id().unwrap().as_slice().to_vec();
    assert_eq!(certificate.authority_key_id().unwrap().as_slice(), key_identifier);
}

/// Another connection sees the record, with serial, hash, profile and evidence, before the key is asked.
#[tokio::test]
async fn invariant_01_the_record_is_committed_when_the_key_is_asked() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let evidence = world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let seen = Arc::new(AtomicUsize::new(0));
    let (db, counter) = (world.app.db.clone(), Arc::clone(&seen));
    world.keys.act(Act::Look(Box::new(move |message| {
        let rows = db.read_blocking(|conn| Ok::<_, Error>(store::certificates::recorded(conn, 10)?));
        let rows = rows.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].tbs, message);
        assert_eq!(rows[0].tbs_sha256, Sha256::digest(message).to_vec());
        assert_eq!(rows[0].profile_sha256.len(), 32);
        let id = rows[0].id.clone();
        let links = db.read_blocking(|conn| Ok::<_, Error>(store::certificates::evidence_of(conn, &id)?));
        assert_eq!(links.unwrap(), [evidence.to_string()]);
        counter.fetch_add(1, Ordering::SeqCst);
    })));
    let order = place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap();
    issued(&world, order.state).await;
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn invariant_01_nothing_is_signed_when_the_record_cannot_be_written() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    world.tamper("ALTER TABLE certificate_evidence RENAME TO gone").await;
    let before = world.keys.signatures();
    let error = place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error}");
    assert_eq!(world.keys.signatures(), before);
    assert!(world.certificates().await.is_empty(), "half a record was committed");
}

#[tokio::test]
async fn invariant_02_the_database_refuses_a_serial_that_is_taken() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let order = place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap();
    let (serial, _) = issued(&world, order.state).await;
    let mut again = world.row(&serial).await;
    again.id = "crt-another".to_owned();
    let outcome = world
        .app
        .db
        .write(move |conn| Ok::<_, Error>(store::certificates::insert(conn, &again)?))
        .await;
    let unique = DatabaseErrorKind::UniqueViolation;
    let Err(Error::Database(QueryError::DatabaseError(kind, _))) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(format!("{kind:?}"), format!("{unique:?}"));
}

#[tokio::test]
async fn invariant_03_what_was_signed_is_what_was_linted_and_recorded() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let signed: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let sink = Arc::clone(&signed);
    world.keys.act(Act::Look(Box::new(move |message| {
        sink.lock().unwrap().push(message.to_vec())
    })));
    // Local parts that are quoted, long, upper case, or look like DER: what comes out is what was recorded.
    let long = format!("{}@example.com", "x".repeat(64));
    for address in [
        ADA,
        "A.B+c@example.com",
        "0@sub.example.com",
        "o'neill@example.com",
        long.as_str(),
    ] {
        world.prove(&ada, Proof::mailbox(address), Span::hours(1)).await;
        for key in keys::testing::all() {
            let request = order_with_key(address, TierChoice::Best, &*key);
            let order = place(&world.app, &ada, request).await.unwrap();
            let (serial, der) = issued(&world, order.state).await;
            let row = world.row(&serial).await;
            assert_eq!(signature::signed_part(&der).unwrap(), row.tbs);
            assert_eq!(row.tbs_sha256, Sha256::digest(&row.tbs).to_vec());
            assert_eq!(signed.lock().unwrap().pop().unwrap(), row.tbs);
            let again = signature::signed_part(&der).unwrap();
            assert_eq!(data_encoding::HEXLOWER.encode(&serial_of(again)), serial);
        }
    }
}

fn serial_of(tbs: &[u8]) -> Vec<u8> {
    use der::Decode;
    let tbs = x509_cert::certificate::TbsCertificate::from_der(tbs).unwrap();
    tbs.serial_number().as_bytes().to_vec()
}

/// A device that signs other bytes than it was given is found out, and what it signed is revoked.
#[tokio::test]
async fn invariant_03_a_key_that_signs_something_else_is_found_out() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    world.keys.act(Act::SignOther);
    let error = place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap_err();
    assert!(matches!(error, Error::OwnSignature { .. }), "{error}");
    world.keys.act(Act::Sign);
    let certificates = world.certificates().await;
    assert_eq!(certificates.len(), 1);
    assert_eq!(certificates[0].state, CertificateState::Abandoned);
    assert!(certificates[0].revoked_at.is_some());
    assert_eq!(certificates[0].der, None);
}

#[tokio::test]
async fn a_key_that_is_not_there_abandons_the_certificate_and_the_order_is_tried_again() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    world.keys.act(Act::Fail);
    let mut request = order(ADA, TierChoice::Best);
    request.idempotency_key = Some("once".to_owned());
    let error = place(&world.app, &ada, request.clone()).await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
    world.keys.act(Act::Sign);
    let mut schedule = jobs::Schedule::default();
    jobs::tick(&world.app, &mut schedule).await;
    let order = place(&world.app, &ada, request).await.unwrap();
    let (serial, _) = issued(&world, order.state).await;
    let certificates = world.certificates().await;
    assert_eq!(certificates.len(), 2);
    // Both were recorded within a second, so that their order is chance.
    for certificate in certificates {
        let expected = match certificate.serial == serial {
            true => CertificateState::Signed,
            false => CertificateState::Abandoned,
        };
        assert_eq!(certificate.state, expected);
    }
}

/// Whoever comes too late to store a certificate does not hand it out.
#[tokio::test]
async fn a_certificate_abandoned_by_somebody_else_is_not_handed_out() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let db = world.app.db.clone();
    world.keys.act(Act::Look(Box::new(move |_| {
        // As the recovery of another process would, while this one signs.
        db.write_blocking(|conn| {
            for row in store::certificates::recorded(conn, 10)? {
                store::certificates::abandon(conn, &row.id, 0)?;
            }
            Ok::<_, Error>(())
        })
        .unwrap();
    })));
    let error = place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::StateChanged {
                kind: "certificate",
                ..
            }
        ),
        "{error}"
    );
    let certificates = world.certificates().await;
    assert_eq!(certificates[0].state, CertificateState::Abandoned);
    assert_eq!(certificates[0].der, None);
}

#[tokio::test]
async fn invariant_13_stored_certificates_are_linted_again() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let mut serials = Vec::new();
    for address in ["a@example.com", "b@example.com", "c@example.com"] {
        world.prove(&ada, Proof::mailbox(address), Span::hours(1)).await;
        let order = place(&world.app, &ada, order(address, TierChoice::Best)).await.unwrap();
        serials.push(issued(&world, order.state).await.0);
    }
    assert!(jobs::relint(&world.app).await.unwrap().is_empty());

    // A certificate without mailbox and policy, recorded and stored, as if an older program had let it through; and
    // one that is fine by itself, but not what was recorded.
    let bad = without_mailbox(&world);
    let bad_tbs = blob(signature::signed_part(&bad).unwrap());
    let root = blob(world.app.issuers().root().certificate_der());
    for (serial, change) in [
        (&serials[1], format!("certificate = {}, tbs = {bad_tbs}", blob(&bad))),
        (&serials[2], format!("certificate = {root}")),
    ] {
        world
            .tamper(&format!("UPDATE certificates SET {change} WHERE serial = '{serial}'"))
            .await;
    }
    let mut found = jobs::relint(&world.app).await.unwrap();
    found.sort_by_key(|relinted| relinted.serial == serials[2]);
    let serials_found: Vec<_> = found.iter().map(|relinted| &relinted.serial).collect();
    assert_eq!(serials_found, [&serials[1], &serials[2]]);
    let lints =
        |relinted: &jobs::Relinted| -> Vec<&str> { relinted.findings.iter().map(|finding| finding.lint).collect() };
    assert!(
        lints(&found[0]).contains(&"alternative_name_required"),
        "{:?}",
        found[0]
    );
    assert_eq!(lints(&found[1]), ["stored_certificate_changed"]);
    let events = crate::audit::events(&world.app, 0, 1000).await.unwrap();
    let told: Vec<_> = events
        .iter()
        .filter(|event| event.action == "relint-found-errors")
        .collect();
    assert_eq!(told.len(), 2);
    assert!(
        serials[1..]
            .iter()
            .all(|serial| told.iter().any(|event| event.details.contains(serial)))
    );
}

/// Signed by somebody, with a name and dates and nothing else.
fn without_mailbox(world: &World) -> Vec<u8> {
    let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
    let key = openssl::pkey::PKey::from_ec_key(openssl::ec::EcKey::generate(&group).unwrap()).unwrap();
    let now = world.app.now().unix();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder
        .set_not_before(&openssl::asn1::Asn1Time::from_unix(now).unwrap())
        .unwrap();
    builder
        .set_not_after(&openssl::asn1::Asn1Time::from_unix(now + 86_400).unwrap())
        .unwrap();
    builder
        .append_extension(openssl::x509::extension::BasicConstraints::new().build().unwrap())
        .unwrap();
    builder.sign(&key, openssl::hash::MessageDigest::sha256()).unwrap();
    builder.build().to_der().unwrap()
}

/// Bytes as SQL writes them.
fn blob(bytes: &[u8]) -> String {
    let hex = data_encoding::HEXLOWER.encode(bytes);
    match super::DATABASE {
        crate::testing::Database::Sqlite => format!("x'{hex}'"),
        crate::testing::Database::Postgres => format!("'\\x{hex}'"),
    }
}

#[tokio::test]
async fn a_caller_sees_the_certificates_of_its_account_only() {
    let world = world!();
    let ada = world.subscriber("Ada").await;
    let eve = world.subscriber("Eve").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let order = place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap();
    let (serial, _) = issued(&world, order.state).await;
    assert_eq!(
        certificates::find(&world.app, &ada, &serial).await.unwrap().serial,
        serial
    );
    let error = certificates::find(&world.app, &eve, &serial).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    let query = certificates::Query::default;
    assert_eq!(certificates::list(&world.app, &ada, query()).await.unwrap().len(), 1);
    assert_eq!(certificates::list(&world.app, &eve, query()).await.unwrap().len(), 0);
}
