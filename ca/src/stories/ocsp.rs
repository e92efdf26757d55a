//! OCSP, asked and read by OpenSSL over real sockets, and what becomes of requests that are not ones.

use std::process::Command;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use policies::time::{Span, Timestamp};
use tower::Service;

use crate::http::router;
use crate::jobs;
use crate::ocsp::{self, ResponseStatus};
use crate::orders::{OrderState, TierChoice, place};
use crate::revocation::{self, Reason};
use crate::server::Server;
use crate::testing::{Act, Database, Proof, World, order};

/// An authority at the present time, which OpenSSL compares answers with, and one certificate of it.
struct Site {
    world: World,
    alice: crate::accounts::Caller,
    serial: String,
    files: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let world = World::with(Database::Sqlite, |options| {
            options.listen = "127.0.0.1:0".to_owned();
            options.public_listen = "127.0.0.1:0".to_owned();
        })
        .await
        .unwrap();
        let files = tempfile::tempdir().unwrap();
        // What the system calls now, without a clock of ours.
        let made = std::fs::metadata(files.path()).unwrap().modified().unwrap();
        let made = made.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        world.clock.set(Timestamp::from_unix(i64::try_from(made).unwrap()));
        let alice = world.subscriber("Alice").await;
        world
            .prove(&alice, Proof::mailbox("alice@example.com"), Span::days(1))
            .await;
        let order = place(&world.app, &alice, order("alice@example.com", TierChoice::Best))
            .await
            .unwrap();
        let OrderState::Valid { serial, .. } = order.state else {
            panic!("{:?}", order.state)
        };
        let [root, issuing] = world.app.issuers().all();
        let row = world.row(&serial).await;
        for (name, pem) in [
            ("root.pem", root.certificate_pem()),
            ("issuing.pem", issuing.certificate_pem()),
            ("both.pem", root.certificate_pem() + &issuing.certificate_pem()),
            (
                "alice.pem",
                crate::issuers::pem("CERTIFICATE", &row.certificate.unwrap()),
            ),
        ] {
            std::fs::write(files.path().join(name), pem).unwrap();
        }
        Self {
            world,
            alice,
            serial,
            files,
        }
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().to_owned()
    }

    /// A request as OpenSSL makes it.
    fn request(&self, more: &[&str]) -> Vec<u8> {
        let file = self.path("request.der");
        let issuer = self.path("issuing.pem");
        openssl(&[&["-issuer", &issuer], more, &["-reqout", &file]].concat());
        std::fs::read(file).unwrap()
    }

    fn router(&self) -> Router {
        router::public(Arc::clone(&self.world.app))
    }
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").arg("ocsp").args(arguments).output();
    let output = output.expect("openssl is installed: scripts/setup test sees to it");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

async fn call(router: Router, request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, Vec<u8>) {
    let (parts, body) = router.clone().call(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec();
    (parts.status, parts.headers, body)
}

fn post(body: impl Into<Body>) -> Request<Body> {
    Request::post("/ocsp")
        .header(header::CONTENT_TYPE, "application/ocsp-request")
        .body(body.into())
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_reads_good_revoked_and_unknown() {
    let site = Site::new().await;
    let running = Server::start(Arc::clone(&site.world.app)).await.unwrap();
    let url = format!("{}/ocsp", running.public_url());
    let (issuer, certificate, anchors) = (site.path("issuing.pem"), site.path("alice.pem"), site.path("both.pem"));
    let ask = |what: &[&str]| openssl(&[&["-issuer", &issuer, "-CAfile", &anchors, "-url", &url], what].concat());

    let text = ask(&["-cert", &certificate]);
    assert!(text.contains("Response verify OK"), "{text}");
    assert!(text.contains("alice.pem: good") && !text.contains("WARNING"), "{text}");
    let text = ask(&["-sha256", "-cert", &certificate, "-no_nonce"]);
    assert!(text.contains("alice.pem: good"), "{text}");
    let text = ask(&["-serial", "0x40000000000000000000000000000001"]);
    assert!(
        text.contains("Response verify OK") && text.contains(": unknown"),
        "{text}"
    );

    // A revocation counts for the very next question, although an answer was signed a moment ago.
    revocation::revoke(&site.world.app, &site.alice, &site.serial, Reason::KeyCompromise)
        .await
        .unwrap();
    for what in [
        &["-cert", &certificate] as &[&str],
        &["-sha256", "-cert", &certificate, "-no_nonce"],
    ] {
        let text = ask(what);
        assert!(text.contains("Response verify OK"), "{text}");
        assert!(
            text.contains("alice.pem: revoked") && text.contains("keyCompromise"),
            "{text}"
        );
    }
    // Two certificates in one question, and another authority's certificate.
    let text = ask(&["-cert", &certificate, "-serial", "7"]);
    assert!(
        text.contains("alice.pem: revoked") && text.contains("7: unknown"),
        "{text}"
    );
    let root = site.path("root.pem");
    let text = openssl(&["-issuer", &root, "-CAfile", &anchors, "-url", &url, "-cert", &issuer]);
    assert!(text.contains("unauthorized"), "{text}");
    running.shutdown().await;
}

#[tokio::test]
async fn certificates_name_the_responder_unless_it_is_off() {
    let site = Site::new().await;
    let certificate = std::fs::read(site.files.path().join("alice.pem")).unwrap();
    let certificate = openssl::x509::X509::from_pem(&certificate).unwrap();
    let responders = certificate.ocsp_responders().unwrap();
    let responders: Vec<&str> = responders.iter().map(|url| &**url).collect();
    assert_eq!(responders, ["http://pki.example.com/ocsp"]);

    let path = site.world.folder.join("ca.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("[ocsp]"), "{text}");
    let off = text.replace("enabled = true", "enabled = false");
    let config = crate::Config::parse(&site.world.folder, &off).unwrap();
    let (parts, _) = crate::testing::parts(
        5,
        &site.world.clock,
        &site.world.keys,
        Arc::new(crate::issuance::TracingObserver),
    );
    let app = crate::App::with_config(config, parts).await.unwrap();
    let (status, ..) = call(router::public(Arc::clone(&app)), post("")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let order = place(&app, &site.alice, order("alice@example.com", TierChoice::Best))
        .await
        .unwrap();
    let OrderState::Valid { serial, .. } = order.state else {
        panic!("{:?}", order.state)
    };
    let der = site.world.row(&serial).await.certificate.unwrap();
    assert!(openssl::x509::X509::from_der(&der).unwrap().ocsp_responders().is_err());
}

#[tokio::test]
async fn get_and_post_give_the_same_answer_with_headers_for_caches() {
    let site = Site::new().await;
    let request = site.request(&["-cert", &site.path("alice.pem"), "-no_nonce"]);
    let (status, posted_headers, posted) = call(site.router(), post(request.clone())).await;
    assert_eq!(status, StatusCode::OK);
    let base64 = data_encoding::BASE64.encode(&request);
    for encoded in [
        base64.clone(),
        base64.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D"),
    ] {
        let get = Request::get(format!("/ocsp/{encoded}")).body(Body::empty()).unwrap();
        let (status, headers, body) = call(site.router(), get).await;
        assert_eq!((status, &body), (StatusCode::OK, &posted));
        assert_eq!(headers, {
            let mut expected = posted_headers.clone();
            expected.insert("x-request-id", headers["x-request-id"].clone());
            expected
        });
        assert_eq!(headers[header::CONTENT_TYPE], "application/ocsp-response");
        assert!(
            headers[header::CACHE_CONTROL]
                .to_str()
                .unwrap()
                .starts_with("max-age=300, public")
        );
        for name in [header::ETAG, header::EXPIRES, header::LAST_MODIFIED] {
            assert!(headers.contains_key(&name), "{name}");
        }
    }
    // Kept for an hour, signed anew after it (BR 4.9.10), and never kept when it has a nonce.
    site.world.clock.advance(Span::minutes(59));
    assert_eq!(call(site.router(), post(request.clone())).await.2, posted);
    site.world.clock.advance(Span::minutes(1));
    assert_ne!(call(site.router(), post(request)).await.2, posted);
    let with_nonce = site.request(&["-cert", &site.path("alice.pem"), "-nonce"]);
    let (_, headers, _) = call(site.router(), post(with_nonce)).await;
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn requests_that_are_none_are_refused_without_a_signature() {
    let site = Site::new().await;
    let good = site.request(&["-cert", &site.path("alice.pem"), "-nonce"]);
    assert!(ocsp::answer(&site.world.app, &good).await.is_ok());
    let before = site.world.keys.signatures();

    // 1. Cut off anywhere, empty, too many certificates, nonces that are too long (RFC 9654).
    for length in 0..good.len() {
        let refusal = ocsp::answer(&site.world.app, &good[..length]).await.unwrap_err();
        assert_eq!(refusal, ResponseStatus::MalformedRequest, "{length}");
    }
    let many: Vec<String> = (1..=17).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().flat_map(|number| ["-serial", number]).collect();
    let many = site.request(&[&["-no_nonce"], &*many].concat());
    assert_eq!(
        ocsp::answer(&site.world.app, &many).await.unwrap_err(),
        ResponseStatus::MalformedRequest
    );
    // SEQUENCE { SEQUENCE { SEQUENCE {} } }
    let nothing_asked = [0x30, 0x04, 0x30, 0x02, 0x30, 0x00];
    assert_eq!(
        ocsp::answer(&site.world.app, &nothing_asked).await.unwrap_err(),
        ResponseStatus::MalformedRequest
    );

    // 2. Over HTTP: another type, too large, not base64; in OCSP's own words where the request can be one.
    let untyped = Request::post("/ocsp").body(Body::from(good.clone())).unwrap();
    assert_eq!(call(site.router(), untyped).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (status, ..) = call(site.router(), post(vec![0x30; 5000])).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    for path in ["/ocsp/!", "/ocsp/AAAA", &format!("/ocsp/{}", "A".repeat(6000))] {
        let get = Request::get(path).body(Body::empty()).unwrap();
        let (status, headers, body) = call(site.router(), get).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(body, [0x30, 0x03, 0x0a, 0x01, 0x01], "{path}");
    }
    let bare = Request::get("/ocsp").body(Body::empty()).unwrap();
    assert_eq!(call(site.router(), bare).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(site.world.keys.signatures(), before);
}

#[tokio::test]
async fn flipped_octets_never_make_an_unused_serial_good() {
    let site = Site::new().await;
    let request = site.request(&["-cert", &site.path("alice.pem"), "-no_nonce"]);
    let good = ocsp::answer(&site.world.app, &request).await.unwrap();
    for position in 0..request.len() {
        let mut flipped = request.clone();
        flipped[position] ^= 0x01;
        // Whatever it is now, it is not a question about Alice's certificate.
        if let Ok(answer) = ocsp::answer(&site.world.app, &flipped).await {
            assert_ne!(answer.der, good.der, "{position}");
            let file = site.path("answer.der");
            std::fs::write(&file, &answer.der).unwrap();
            let text = openssl(&["-respin", &file, "-text", "-noverify"]);
            assert!(!text.contains("Cert Status: good"), "{position}: {text}");
        }
    }
}

#[tokio::test]
async fn invariant_01_a_responder_is_recorded_linted_and_renewed() {
    let site = Site::new().await;
    let app = &site.world.app;
    // A key that fails leaves a record and no answer, and the next attempt succeeds.
    let request = site.request(&["-cert", &site.path("alice.pem"), "-no_nonce"]);
    site.world.keys.act(Act::Fail);
    assert_eq!(ocsp::answer(app, &request).await.unwrap_err(), ResponseStatus::TryLater);
    site.world.keys.act(Act::SignOther);
    assert_eq!(
        ocsp::answer(app, &request).await.unwrap_err(),
        ResponseStatus::InternalError
    );
    site.world.keys.act(Act::Sign);
    ocsp::answer(app, &request).await.unwrap();
    let count = async |action: &str| {
        let rows = app
            .db
            .read(|conn| Ok::<_, crate::Error>(crate::store::audit::page(conn, 0, 10_000)?));
        rows.await.unwrap().iter().filter(|row| row.action == action).count()
    };
    assert_eq!(
        (count("responder-recorded").await, count("responder-issued").await),
        (3, 1)
    );

    // Nothing to do for twenty days; then the job makes another one.
    ocsp::renew(app).await.unwrap();
    assert_eq!(count("responder-issued").await, 1);
    site.world.clock.advance(Span::days(21));
    jobs::tick(app, &mut jobs::Schedule::default()).await;
    assert_eq!(count("responder-issued").await, 2);
    crate::audit::verify(app).await.unwrap();
}

/// Whether the database was asked for an answer is seen by what the program counts.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_ready_go_out_while_somebody_watches_and_never_after_a_revocation() {
    let site = Site::new().await;
    let app = &site.world.app;
    let serial = format!("0x{}", site.serial);
    let request = site.request(&["-serial", &serial, "-no_nonce"]);
    let counts = || {
        let counts = &app.ocsp.counts;
        [&counts.ready, &counts.decided].map(|count| count.load(std::sync::atomic::Ordering::Relaxed))
    };
    // Nobody watches: every answer is decided.
    let first = ocsp::answer(app, &request).await.unwrap();
    ocsp::answer(app, &request).await.unwrap();
    assert_eq!(counts(), [0, 2]);
    ocsp::look(app).await.unwrap();
    ocsp::answer(app, &request).await.unwrap();
    let ready = ocsp::answer(app, &request).await.unwrap();
    assert_eq!(counts(), [1, 3]);
    assert_eq!(ready.der, first.der);
    // With a nonce it is decided as before.
    let with_nonce = site.request(&["-serial", &serial, "-nonce"]);
    ocsp::answer(app, &with_nonce).await.unwrap();
    ocsp::answer(app, &with_nonce).await.unwrap();
    assert_eq!(counts(), [1, 5]);
    // Another process revokes: seen with the next look.
    let (parts, _) = crate::testing::parts(
        9,
        &site.world.clock,
        &site.world.keys,
        Arc::new(crate::issuance::TracingObserver),
    );
    let other = crate::app::App::open(&site.world.folder, parts).await.unwrap();
    revocation::revoke(&other, &site.alice, &site.serial, Reason::Superseded)
        .await
        .unwrap();
    ocsp::look(app).await.unwrap();
    let revoked = ocsp::answer(app, &request).await.unwrap();
    assert_ne!(revoked.der, first.der);
    assert_ne!(revoked.tag, first.tag);
    assert_eq!(counts(), [1, 6]);
    assert_eq!(ocsp::answer(app, &request).await.unwrap().der, revoked.der);
    assert_eq!(counts(), [2, 6]);
    // An hour later it is signed again.
    site.world.clock.advance(Span::hours(1));
    assert_ne!(ocsp::answer(app, &request).await.unwrap().der, revoked.der);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_signed_before_anybody_asks() {
    let site = Site::new().await;
    let app = &site.world.app;
    ocsp::look(app).await.unwrap();
    ocsp::sign_ahead(app).await.unwrap();
    let signatures = site.world.keys.signatures();
    let serial = format!("0x{}", site.serial);
    let request = site.request(&["-serial", &serial, "-no_nonce"]);
    let answer = ocsp::answer(app, &request).await.unwrap();
    assert_eq!(site.world.keys.signatures(), signatures);
    assert_eq!(app.ocsp.counts.ready.load(std::sync::atomic::Ordering::Relaxed), 1);
    // What OpenSSL asks is what was signed ahead, and it takes the answer.
    let file = site.path("ahead.der");
    std::fs::write(&file, &*answer.der).unwrap();
    let (issuer, both) = (site.path("issuing.pem"), site.path("both.pem"));
    let said = openssl(&[
        "-respin", &file, "-issuer", &issuer, "-serial", &serial, "-CAfile", &both,
    ]);
    assert!(said.contains("Response verify OK") && said.contains(": good"), "{said}");
    // Everything of the page is there: the second time nothing is signed.
    ocsp::sign_ahead(app).await.unwrap();
    ocsp::sign_ahead(app).await.unwrap();
    assert_eq!(site.world.keys.signatures(), signatures);
}
