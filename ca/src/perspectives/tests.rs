//! Perspectives that are asked what they must not be asked, and perspectives that lie.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use dns::{LocalAnswerer, LocalData};
use keys::tls::{TlsIdentity, Trust};
use policies::perspective::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::Unanswered;
use super::protocol::{LARGEST_ANSWER, PATH, PROOF, SharedToken, WireAnswer, WireObservation, WireRequest};
use super::settings::{Made, Settings};
use super::testing::{CITIES, Network, section, with_perspectives};
use super::*;
use crate::doctor::{self, Health};
use crate::testing::{Database, START, World};
use crate::validation::control::Label;

const PLACE: &str = "_sealwright-challenge.example.com";

fn text_question() -> Question {
    Question::Control {
        domain: Domain::parse("example.com").unwrap(),
        place: Place::Text(Label::Sealwright),
    }
}

/// Asks everybody for the TXT records, and says how each answered.
async fn ask(app: &App) -> Vec<Result<Observation, Unanswered>> {
    let asked = app.perspectives.ask(app, &text_question()).await;
    asked.answers.into_iter().map(|answer| answer.observation).collect()
}

/// The status and the body of a request to a perspective, made by hand.
async fn send(network: &Network, token: Option<&str>, body: &str) -> (StatusCode, String) {
    let tls = keys::tls::client_config(Trust::Only(network.running.tls_root_pem().as_bytes())).unwrap();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured((*tls).clone())
        .no_proxy()
        .build()
        .unwrap();
    let mut request = client.post(format!("https://{}{PATH}", network.running.address()));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = request.body(body.to_owned()).send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

#[tokio::test]
async fn a_perspective_answers_its_authority_and_nobody_else() {
    let clock = Arc::new(policies::time::FixedClock::new(START));
    let network = Network::start(CITIES[0], &clock).await;
    let token = std::fs::read_to_string(&network.made.token_file).unwrap();
    let about = r#"{"number":"1","question":{"kind":"about"}}"#;
    for wrong in [
        None,
        Some(""),
        Some("x"),
        Some(&token.trim()[1..]),
        Some(&*format!("{}x", token.trim())),
    ] {
        assert_eq!(
            send(&network, wrong, about).await.0,
            StatusCode::UNAUTHORIZED,
            "{wrong:?}"
        );
    }
    let (status, body) = send(&network, Some(token.trim()), about).await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        body.contains("\"perspective\":\"iad\"") && body.contains("\"registry\":\"arin\""),
        "{body}"
    );
}

#[tokio::test]
async fn a_perspective_is_no_proxy() {
    let clock = Arc::new(policies::time::FixedClock::new(START));
    let network = Network::start(CITIES[0], &clock).await;
    let token = std::fs::read_to_string(&network.made.token_file).unwrap();
    let file = |domain: &str, path: &str| {
        format!(r#"{{"number":"1","question":{{"kind":"file","domain":"{domain}","path":"{path}"}}}}"#)
    };
    for body in [
        file("example.com", "/"),
        file("example.com", "/.well-known/acme-challenge/../../secret"),
        file("example.com", "/.well-known/security.txt"),
        file("127.0.0.1", "/.well-known/acme-challenge/x"),
        file("localhost", "/.well-known/acme-challenge/x"),
        file("example.com:8080", "/.well-known/acme-challenge/x"),
        file("user@example.com", "/.well-known/acme-challenge/x"),
        r#"{"number":"1","question":{"kind":"text","domain":"example.com","label":"_dmarc"}}"#.to_owned(),
        r#"{"number":"1","question":{"kind":"text","domain":"example.com","label":""}}"#.to_owned(),
        r#"{"number":"1","question":{"kind":"mx","domain":"example.com"}}"#.to_owned(),
        r#"{"number":"1","question":{"kind":"caa","domain":"example.com","server":"192.0.2.1"}}"#.to_owned(),
        r#"{"number":"1","question":{"kind":"about"},"more":1}"#.to_owned(),
        format!(r#"{{"number":"{}","question":{{"kind":"about"}}}}"#, "1".repeat(101)),
        "{".to_owned(),
        String::new(),
    ] {
        assert_eq!(
            send(&network, Some(token.trim()), &body).await.0,
            StatusCode::BAD_REQUEST,
            "{body}"
        );
    }
    let large = format!(r#"{{"number":"1","question":{{"kind":"about"}}}}{}"#, " ".repeat(5000));
    assert_eq!(
        send(&network, Some(token.trim()), &large).await.0,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    // Nor does it connect to its own neighbours, whatever the DNS of the domain says.
    network.say("example.com", vec![LocalData::Address([127, 0, 0, 1].into())]);
    let (status, body) = send(
        &network,
        Some(token.trim()),
        &file("example.com", "/.well-known/acme-challenge/x"),
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        body.contains("\"kind\":\"nothing\"") && body.contains("has no public address"),
        "{body}"
    );
}

/// What a fake perspective does with a request: the request, what an honest one would answer, and the secret.
type Lie = fn(&Liar, &WireRequest, WireAnswer) -> Response;

/// Whether a liar was found out as it should be.
type Expected = fn(&Unanswered) -> bool;

struct Liar {
    token: SharedToken,
    lie: Lie,
    /// An answer to an earlier request, with its proof.
    recorded: std::sync::Mutex<Option<(Vec<u8>, String)>>,
}

impl Liar {
    fn proved(&self, number: &str, body: Vec<u8>) -> Response {
        let proof = self.token.prove(number, &body);
        ([(PROOF, proof)], body).into_response()
    }

    fn honest(&self, answer: &WireAnswer) -> Response {
        self.proved(&answer.number, serde_json::to_vec(answer).unwrap())
    }
}

async fn lie(State(liar): State<Arc<Liar>>, body: Bytes) -> Response {
    let request: WireRequest = serde_json::from_slice(&body).unwrap();
    let honest = WireAnswer {
        number: request.number.clone(),
        perspective: "iad".to_owned(),
        registry: "arin".to_owned(),
        network: "network of a liar".to_owned(),
        version: "0".to_owned(),
        at: START.unix(),
        observation: WireObservation::Text {
            records: vec![data_encoding::BASE64.encode(b"seen")],
            secure: true,
        },
    };
    (liar.lie)(&liar, &request, honest)
}

/// A server that has the certificate and the token of a perspective, and lies.
struct Fake {
    _server: axum_server::Handle<std::net::SocketAddr>,
    section: String,
    _folder: tempfile::TempDir,
}

async fn fake(lie_as: Lie) -> Fake {
    let folder = tempfile::tempdir().unwrap();
    let names = ["127.0.0.1".to_owned()];
    let identity = TlsIdentity::self_made(&names, 0, i64::from(u32::MAX)).unwrap();
    let (token_file, certificate_file) = (folder.path().join("token"), folder.path().join("pem"));
    let token = "0123456789abcdef0123456789abcdef";
    std::fs::write(&token_file, token).unwrap();
    std::fs::write(&certificate_file, identity.certificate_pem()).unwrap();
    let (listener, address) = crate::server::listen("127.0.0.1:0".parse().unwrap(), "a liar", "listen").unwrap();
    let liar = Liar {
        token: SharedToken::parse(token).unwrap(),
        lie: lie_as,
        recorded: std::sync::Mutex::new(None),
    };
    let router = Router::new().route(PATH, post(lie)).with_state(Arc::new(liar));
    let tls = axum_server::tls_rustls::RustlsConfig::from_config(identity.server_config());
    let handle = axum_server::Handle::new();
    let server = axum_server::from_tcp_rustls(listener, tls)
        .unwrap()
        .handle(handle.clone());
    tokio::spawn(async move { server.serve(router.into_make_service()).await.unwrap() });
    let made = Made {
        folder: folder.path().to_owned(),
        token_file,
        certificate_file,
        section: String::new(),
    };
    Fake {
        _server: handle,
        section: section(
            "iad",
            Registry::Arin,
            "39.04, -77.49",
            &format!("https://{address}"),
            &made,
        ),
        _folder: folder,
    }
}

/// A private authority with nobody to ask but a liar, asked twice.
async fn answers_of(lie_as: Lie) -> [Result<Observation, Unanswered>; 2] {
    let local = LocalAnswerer::start().unwrap();
    let world = World::with_dns(Database::Sqlite, local.resolver_config())
        .await
        .unwrap();
    let fake = fake(lie_as).await;
    let app = with_perspectives(&world, &local, false, std::slice::from_ref(&fake.section)).await;
    [ask(&app).await.remove(0), ask(&app).await.remove(0)]
}

#[tokio::test]
async fn liars_have_no_vote() {
    let [first, second] = answers_of(|liar, _, answer| liar.honest(&answer)).await;
    assert!(matches!(
        (first, second),
        (Ok(Observation::Control(_)), Ok(Observation::Control(_)))
    ));

    let cases: [(Lie, Expected); 14] = [
        (
            |_, _, answer| axum::Json(answer).into_response(),
            |error| *error == Unanswered::NotProved,
        ),
        (
            |_, _, answer| ([(PROOF, "00".repeat(32))], axum::Json(answer)).into_response(),
            |error| *error == Unanswered::NotProved,
        ),
        (
            |_, _, answer| {
                // Somebody between us, with a token of their own.
                let other = SharedToken::parse("another-token-of-thirty-four-octets").unwrap();
                let body = serde_json::to_vec(&answer).unwrap();
                ([(PROOF, other.prove(&answer.number, &body))], body).into_response()
            },
            |error| *error == Unanswered::NotProved,
        ),
        (
            |liar, request, mut answer| {
                let body = serde_json::to_vec(&answer).unwrap();
                let proof = liar.token.prove(&request.number, &body);
                answer.observation = WireObservation::About;
                ([(PROOF, proof)], axum::Json(answer)).into_response()
            },
            |error| *error == Unanswered::NotProved,
        ),
        (
            |liar, request, mut answer| {
                answer.number = "another".to_owned();
                liar.proved(&request.number, serde_json::to_vec(&answer).unwrap())
            },
            |error| *error == Unanswered::OtherRequest,
        ),
        (
            |liar, _, mut answer| {
                answer.perspective = "sin".to_owned();
                liar.honest(&answer)
            },
            |error| matches!(error, Unanswered::OtherName { name } if name == "sin"),
        ),
        (
            |liar, _, mut answer| {
                answer.registry = "apnic".to_owned();
                liar.honest(&answer)
            },
            |error| matches!(error, Unanswered::OtherRegistry { .. }),
        ),
        (
            |liar, _, mut answer| {
                answer.at += 301;
                liar.honest(&answer)
            },
            |error| matches!(error, Unanswered::Clock { .. }),
        ),
        (
            |liar, _, mut answer| {
                answer.at -= 301;
                liar.honest(&answer)
            },
            |error| matches!(error, Unanswered::Clock { .. }),
        ),
        (
            |liar, _, mut answer| {
                answer.observation = WireObservation::About;
                liar.honest(&answer)
            },
            |error| matches!(error, Unanswered::Unreadable { .. }),
        ),
        (
            |liar, request, _| liar.proved(&request.number, b"{\"x\":".to_vec()),
            |error| matches!(error, Unanswered::Unreadable { .. }),
        ),
        (
            |liar, request, _| liar.proved(&request.number, vec![b' '; LARGEST_ANSWER + 1]),
            |error| *error == Unanswered::TooLarge,
        ),
        (
            |_, _, _| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            |error| *error == Unanswered::Status { status: 500 },
        ),
        (
            |_, _, _| StatusCode::UNAUTHORIZED.into_response(),
            |error| *error == Unanswered::TokenRefused,
        ),
    ];
    for (position, (lie_as, expected)) in cases.into_iter().enumerate() {
        for answer in answers_of(lie_as).await {
            let error = answer.unwrap_err();
            assert!(expected(&error), "case {position}: {error}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_was_recorded_does_not_count_again() {
    let [first, second] = answers_of(|liar, _, answer| {
        let mut recorded = liar.recorded.lock().unwrap();
        let (body, proof) = recorded.get_or_insert_with(|| {
            let body = serde_json::to_vec(&answer).unwrap();
            let proof = liar.token.prove(&answer.number, &body);
            (body, proof)
        });
        ([(PROOF, proof.clone())], body.clone()).into_response()
    })
    .await;
    assert!(first.is_ok());
    assert_eq!(second.unwrap_err(), Unanswered::NotProved);
}

#[tokio::test]
async fn silent_and_absent_perspectives_cost_their_vote_and_three_seconds() {
    let local = LocalAnswerer::start().unwrap();
    let world = World::with_dns(Database::Sqlite, local.resolver_config())
        .await
        .unwrap();
    let network = Network::start(CITIES[1], &world.clock).await;
    network.say(PLACE, vec![LocalData::Text("seen".to_owned())]);
    let certificate = std::fs::read_to_string(&network.made.certificate_file).unwrap();
    // One that takes the connection and says nothing, one that is gone, one with the certificate of another.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let urls = [silent.local_addr().unwrap(), gone.local_addr().unwrap()].map(|address| format!("https://{address}"));
    drop(gone);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = silent.accept().await {
            let _ = stream.write_all(&[]).await;
            let _ = stream.read_u8().await;
            held.push(stream);
        }
    });
    let other = Network::start(CITIES[2], &world.clock).await;
    std::fs::write(&other.made.certificate_file, certificate).unwrap();
    let sections = [
        network.section(),
        section("iad", Registry::Arin, "39.04, -77.49", &urls[0], &network.made),
        section("gru", Registry::Lacnic, "-23.55, -46.63", &urls[1], &network.made),
        other.section(),
    ];
    let app = with_perspectives(&world, &local, false, &sections).await;
    let begun = tokio::time::Instant::now();
    let answers = ask(&app).await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(matches!(&answers[0], Ok(Observation::Control(_))), "{answers:?}");
    assert_eq!(*answers[1].as_ref().unwrap_err(), Unanswered::TooSlow);
    for answer in &answers[2..] {
        assert!(matches!(answer, Err(Unanswered::Unreachable { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn a_file_is_fetched_through_other_networks_too() {
    let local = LocalAnswerer::start().unwrap();
    let world = World::with_dns(Database::Sqlite, local.resolver_config())
        .await
        .unwrap();
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.accept().await {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /.well-known/acme-challenge/token HTTP/1.1\r\n"));
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nseen";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let more = format!("[website]\ndanger_http_port = {port}\ndanger_private_addresses = true");
    let network = Network::start_with(CITIES[0], &world.clock, &more).await;
    network.say("example.com", vec![LocalData::Address([127, 0, 0, 1].into())]);
    let app = with_perspectives(&world, &local, false, &[network.section()]).await;
    let question = Question::Control {
        domain: Domain::parse("example.com").unwrap(),
        place: Place::File(crate::validation::control::FilePath::acme("token").unwrap()),
    };
    let asked = app.perspectives.ask(&app, &question).await;
    let Ok(Observation::Control(Seen::File { url, body, address })) = &asked.answers[0].observation else {
        panic!("{asked:?}");
    };
    assert_eq!(url, "http://example.com/.well-known/acme-challenge/token");
    assert_eq!((body.as_slice(), address.port()), (b"seen".as_slice(), port));
}

#[tokio::test]
async fn the_doctor_looks_at_each_of_them() {
    let local = LocalAnswerer::start().unwrap();
    let world = World::with_dns(Database::Sqlite, local.resolver_config())
        .await
        .unwrap();
    let mut networks = Vec::new();
    for city in &CITIES[..4] {
        networks.push(Network::start(*city, &world.clock).await);
    }
    let sections: Vec<String> = networks.iter().map(Network::section).collect();
    let check = async |app: &App, name: &str| {
        let checks = doctor::examine(app).await;
        let check = checks.into_iter().find(|check| check.name == name).unwrap();
        (check.health, check.finding)
    };
    let app = with_perspectives(&world, &local, true, &sections).await;
    let (health, finding) = check(&app, "perspectives").await;
    assert_eq!((health, finding.as_str()), (Health::Good, "remote perspectives: 4"));
    let (health, finding) = check(&app, "perspective-sin").await;
    assert!(
        health == Health::Good && finding.contains("(apnic, network of sin)"),
        "{finding}"
    );
    // In September, December is near.
    world
        .clock
        .set(Timestamp::parse_rfc3339("2026-09-20T00:00:00Z").unwrap());
    let (health, finding) = check(&app, "perspectives").await;
    assert!(
        health == Health::Attention && finding.contains("2026-12-15"),
        "{finding}"
    );
    let gone = networks.remove(1);
    drop(gone.running);
    let (health, finding) = check(&app, "perspective-sin").await;
    assert!(
        health == Health::Broken && finding.contains("it has no vote"),
        "{finding}"
    );
    let app = with_perspectives(&world, &local, true, &sections[..3]).await;
    let (health, finding) = check(&app, "perspectives").await;
    assert!(
        health == Health::Broken && finding.contains("4 are needed now"),
        "{finding}"
    );
    let app = with_perspectives(&world, &local, false, &[]).await;
    let (health, finding) = check(&app, "perspectives").await;
    assert!(
        health == Health::Attention && finding.contains("only a private authority"),
        "{finding}"
    );
}

#[test]
fn tokens_are_long_enough_to_be_secret() {
    for text in [
        "",
        "short",
        &"x".repeat(31),
        &"x".repeat(201),
        "with a space in the middle of it, and long",
    ] {
        assert!(SharedToken::parse(text).is_err(), "{text:?}");
    }
    let token = SharedToken::parse(&format!(" {}\n", "x".repeat(32))).unwrap();
    assert!(token.is_bearer(format!("Bearer {}", "x".repeat(32)).as_bytes()));
    assert_eq!(format!("{token:?}"), "SharedToken(…)");
}

#[test]
fn a_perspective_is_configured_completely_or_refused() {
    let folder = std::path::Path::new("/data");
    let least = "name = \"iad\"\nregistry = \"arin\"\n";
    let settings = Settings::parse(folder, least).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8441");
    assert_eq!(settings.token_file, std::path::Path::new("/data/token"));
    for (text, part) in [
        ("registry = \"arin\"".to_owned(), "name"),
        ("name = \"iad\"".to_owned(), "registry"),
        (least.replace("iad", "I A D"), "I A D"),
        (least.replace("arin", "iana"), "iana"),
        (format!("{least}network = \"a\\nb\""), "network"),
        (format!("{least}tokenfile = \"x\""), "tokenfile"),
        (format!("{least}[dns]\nservers = [\"x\"]"), "servers"),
    ] {
        let reason = Settings::parse(folder, &text).unwrap_err();
        assert!(reason.contains(part), "{reason:?} lacks {part:?}");
    }
}
