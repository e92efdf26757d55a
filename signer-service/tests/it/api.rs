//! The HTTP API, asked over TLS.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use smtp::Reply;
use smtp::server::Settings;
use smtp::sink::Sink;

use crate::support::openssl_verifies;
use crate::world::{ALICE_WRITES, Mood, World, eventually, listen};

async fn world(more: &str) -> World {
    let sink = Sink::new();
    let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
    let lines = format!(
        "networks = [\"127.0.0.0/8\"]\nmay_sign_for = [\"example.com\"]\n[api]\nlisten = \"127.0.0.1:0\"\n{more}"
    );
    World::with(sink, next_hop, &lines).await
}

struct Caller {
    client: Client,
    base: String,
    token: String,
}

impl Caller {
    async fn for_senders(world: &World, may_sign_for: &[&str]) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let token = world.gateway.new_token("bank", may_sign_for).await.unwrap();
        let pem = std::fs::read(world.folder.path().join("gateway/tls.pem")).ok();
        let builder = Client::builder().danger_accept_invalid_certs(pem.is_none());
        let builder = match pem.and_then(|pem| reqwest::Certificate::from_pem(&pem).ok()) {
            Some(root) => builder.add_root_certificate(root),
            None => builder,
        };
        Self {
            client: builder.build().unwrap(),
            base: format!("https://localhost:{}", world.api_address().port()),
            token,
        }
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        let request = self.client.get(format!("{}{path}", self.base));
        request.bearer_auth(&self.token).send().await.unwrap()
    }

    async fn post(&self, path: &str, key: Option<&str>, body: impl Into<reqwest::Body>) -> reqwest::Response {
        let mut request = self
            .client
            .post(format!("{}{path}", self.base))
            .bearer_auth(&self.token);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        request.body(body).send().await.unwrap()
    }
}

#[tokio::test]
async fn a_message_is_signed_and_handed_on() {
    let world = world("").await;
    let caller = Caller::for_senders(&world, &["alice@example.com"]).await;
    let answer = caller.post("/v1/messages", None, ALICE_WRITES).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["accepted"], json!(["bob@example.net"]));
    openssl_verifies(&world.last(), world.authority());
    let answer = caller
        .post(
            "/v1/messages?to=dan@example.net&to=erin%40example.net&from=alice@example.com",
            None,
            ALICE_WRITES,
        )
        .await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(world.sink.messages().last().unwrap().recipients.len(), 2);
}

#[tokio::test]
async fn a_token_signs_for_its_senders_and_for_nobody_else() {
    let world = world("").await;
    let caller = Caller::for_senders(&world, &["alice@example.com"]).await;
    let other = ALICE_WRITES.replace("alice@example.com", "ceo@example.com");
    for path in ["/v1/messages", "/v1/sign"] {
        let answer = caller.post(path, None, other.clone()).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["enhanced_code"], "5.7.1", "{problem}");
    }
    assert_eq!(world.sink.messages().len(), 0);
}

#[tokio::test]
async fn without_a_good_token_nothing_is_done() {
    let world = world("").await;
    let mut caller = Caller::for_senders(&world, &["alice@example.com"]).await;
    let good = caller.token.clone();
    let (id, secret) = good.strip_prefix("swg_").unwrap().split_once('_').unwrap();
    let mut wrong = secret.to_owned();
    wrong.replace_range(0..1, if secret.starts_with('A') { "B" } else { "A" });
    for bad in [
        String::new(),
        "swg_".to_owned(),
        format!("swg_{id}_"),
        format!("swg_{id}_{wrong}"),
        format!("swg_{id}"),
        format!("SWG_{id}_{secret}"),
        format!("swg_{}_{secret}", "0".repeat(16)),
        format!("swg_{id}_{}", "A".repeat(100_000).get(..2000).unwrap()),
    ] {
        caller.token = bad;
        for path in ["/v1/messages", "/v1/sign", "/v1/batches"] {
            let answer = caller.post(path, None, ALICE_WRITES).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path} {}", caller.token);
        }
    }
    caller.token = good.clone();
    assert_eq!(
        caller.post("/v1/sign", None, ALICE_WRITES).await.status(),
        StatusCode::OK
    );
    assert!(world.gateway.revoke_token(id).await.unwrap());
    assert_eq!(
        caller.post("/v1/sign", None, ALICE_WRITES).await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert!(!world.gateway.revoke_token(id).await.unwrap());
    assert_eq!(world.sink.messages().len(), 0);
}

#[tokio::test]
async fn invariant_12_a_token_is_stored_as_a_hash_only() {
    let world = world("").await;
    let caller = Caller::for_senders(&world, &["alice@example.com"]).await;
    assert_eq!(
        caller.post("/v1/sign", None, ALICE_WRITES).await.status(),
        StatusCode::OK
    );
    let (_, secret) = caller.token.rsplit_once('_').unwrap();
    for entry in std::fs::read_dir(world.folder.path().join("gateway")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(
                crate::support::find(&bytes, secret.as_bytes()).is_none(),
                "{}",
                path.display()
            );
        }
    }
}

#[tokio::test]
async fn signing_gives_the_message_back_and_sends_nothing() {
    let world = world("").await;
    let caller = Caller::for_senders(&world, &["example.com"]).await;
    let answer = caller.post("/v1/sign", None, ALICE_WRITES.replace("\r\n", "\n")).await;
    assert_eq!(
        (answer.status(), &answer.headers()["content-type"]),
        (StatusCode::OK, &"message/rfc822".parse().unwrap())
    );
    let signed = answer.bytes().await.unwrap();
    openssl_verifies(&signed, world.authority());
    assert_eq!(world.sink.messages().len(), 0);
    let secure = ALICE_WRITES.replace("Subject: ", "Subject: [secure] ");
    let answer = caller.post("/v1/sign", None, secure).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let problem: Value = answer.json().await.unwrap();
    assert!(
        problem["detail"].as_str().unwrap().contains("bob@example.net"),
        "{problem}"
    );
}

#[tokio::test]
async fn the_same_key_sends_once() {
    let world = world("").await;
    let caller = Caller::for_senders(&world, &["example.com"]).await;
    let first = caller.post("/v1/messages", Some("invoice-1"), ALICE_WRITES).await;
    assert_eq!(first.status(), StatusCode::OK);
    assert!(first.headers().get("idempotent-replayed").is_none());
    let first: Value = first.json().await.unwrap();
    let again = caller.post("/v1/messages", Some("invoice-1"), ALICE_WRITES).await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    assert_eq!(world.sink.messages().len(), 1);
    let other = caller
        .post(
            "/v1/messages",
            Some("invoice-1"),
            ALICE_WRITES.replace("Hello", "Hallo"),
        )
        .await;
    assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY);
    // Keys of another token are others.
    let neighbour = Caller::for_senders(&world, &["example.com"]).await;
    let own = neighbour.post("/v1/messages", Some("invoice-1"), ALICE_WRITES).await;
    assert!(own.headers().get("idempotent-replayed").is_none());
    assert_eq!(world.sink.messages().len(), 2);
    for key in ["", &"k".repeat(201), "a b"] {
        let answer = caller.post("/v1/messages", Some(key), ALICE_WRITES).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{key:?}");
    }
}

#[tokio::test]
async fn what_failed_may_be_tried_again_under_its_key() {
    let world = world("").await;
    let caller = Caller::for_senders(&world, &["example.com"]).await;
    world.ca.set(Mood::Unavailable);
    let answer = caller.post("/v1/messages", Some("k"), ALICE_WRITES).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    world.ca.set(crate::world::ISSUE);
    let answer = caller.post("/v1/messages", Some("k"), ALICE_WRITES).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(world.sink.messages().len(), 1);
}

#[tokio::test]
async fn two_at_once_under_one_key_send_once() {
    let world = world("").await;
    let caller = Caller::for_senders(&world, &["example.com"]).await;
    let ask = || caller.post("/v1/messages", Some("twice"), ALICE_WRITES);
    let (one, other) = tokio::join!(ask(), ask());
    let mut statuses = [one.status().as_u16(), other.status().as_u16()];
    statuses.sort_unstable();
    assert!(statuses == [200, 200] || statuses == [200, 409], "{statuses:?}");
    assert_eq!(world.sink.messages().len(), 1);
}

#[tokio::test]
async fn batches_are_answered_line_by_line() {
    let world = world("").await;
    let caller = Caller::for_senders(&world, &["example.com"]).await;
    let line = |value: Value| format!("{value}\n");
    let body = [
        line(json!({ "text": ALICE_WRITES, "idempotency_key": "a" })),
        "\n".to_owned(),
        line(json!({ "message": data_encoding::BASE64.encode(ALICE_WRITES.as_bytes()), "to": ["dan@example.net"] })),
        "not json\n".to_owned(),
        line(json!({ "text": ALICE_WRITES.replace("alice@example.com", "mallory@example.net") })),
        line(json!({ "text": ALICE_WRITES, "message": "" })),
        line(json!({ "text": ALICE_WRITES, "colour": "red" })),
        line(json!({ "text": ALICE_WRITES, "idempotency_key": "a" }))
            .trim_end()
            .to_owned(),
    ]
    .concat();
    let answer = caller.post("/v1/batches", None, body).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let text = answer.text().await.unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<(u64, u64)> = lines
        .iter()
        .map(|line| (line["line"].as_u64().unwrap(), line["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        seen,
        [(1, 200), (2, 200), (3, 400), (4, 403), (5, 400), (6, 400), (7, 200)],
        "{text}"
    );
    assert_eq!(lines[6]["replayed"], true);
    assert_eq!(world.sink.messages().len(), 2);
}

#[tokio::test]
async fn limits_are_kept() {
    let world = world("").await;
    let caller = Caller::for_senders(&world, &["example.com"]).await;
    let limit = world.gateway.config().max_message_size;
    let large = format!("{ALICE_WRITES}{}", "x".repeat(limit));
    let answer = caller.post("/v1/messages", None, large).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let many: String = (0..1001).map(|number| format!("to=u{number}@example.net&")).collect();
    let answer = caller.post(&format!("/v1/messages?{many}"), None, ALICE_WRITES).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    for (path, body) in [
        ("/v1/messages?colour=red", ALICE_WRITES.to_owned()),
        ("/v1/messages", "Subject: nobody\r\n\r\n".to_owned()),
        ("/v1/messages", "From: alice@example.com\r\n\r\n".to_owned()),
    ] {
        let answer = caller.post(path, None, body).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
    }
    assert_eq!(caller.post("/v2", None, "").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.sink.messages().len(), 0);
}

/// What is known of a message, once nobody waits for it any more.
async fn done(caller: &Caller, id: &str) -> Value {
    let mut last = Value::Null;
    eventually(async || {
        let answer = caller.get(&format!("/v1/messages/{id}")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        last = answer.json().await.unwrap();
        last["state"] == "done"
    })
    .await;
    last
}

const QUEUE: &str = "[[door]]\nlisten = \"127.0.0.1:0\"\nmode = \"queue\"\n";

#[tokio::test]
async fn with_a_queue_a_message_is_accepted_and_can_be_asked_for() {
    let world = world(QUEUE).await;
    let caller = Caller::for_senders(&world, &["example.com"]).await;
    world
        .sink
        .refuse("gone@example.net", Reply::refused([5, 1, 1], "No such mailbox"));
    let path = "/v1/messages?to=bob@example.net&to=gone@example.net&to=postmaster";
    let answer = caller.post(path, None, ALICE_WRITES).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let answer: Value = answer.json().await.unwrap();
    let id = answer["id"].as_str().unwrap();
    assert_eq!(location, format!("/v1/messages/{id}"));
    assert_eq!(answer["accepted"], json!(["bob@example.net", "gone@example.net"]));
    assert_eq!(answer["refused"][0]["recipient"], "postmaster");
    let status = done(&caller, id).await;
    assert_eq!(status["sender"], "alice@example.com");
    let states: Vec<(&str, &str)> = status["recipients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["recipient"].as_str().unwrap(), one["state"].as_str().unwrap()))
        .collect();
    assert_eq!(
        states,
        [("bob@example.net", "delivered"), ("gone@example.net", "bounced")]
    );
    let last = status["recipients"][1]["last_reply"].as_str().unwrap();
    assert!(last.contains("No such mailbox"), "{last}");
    let arrived = world.sink.messages();
    let arrived = arrived
        .iter()
        .find(|one| one.from.address == "alice@example.com")
        .unwrap();
    openssl_verifies(&arrived.content, world.authority());
}

#[tokio::test]
async fn nobody_else_can_ask_for_a_message() {
    let world = world(QUEUE).await;
    let caller = Caller::for_senders(&world, &["example.com"]).await;
    let answer = caller.post("/v1/messages", None, ALICE_WRITES).await;
    let id = answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let mut other = Caller::for_senders(&world, &["example.com"]).await;
    for id in [id.as_str(), "0", "%00", &"f".repeat(5000)] {
        let answer = other.get(&format!("/v1/messages/{id}")).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{id}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    other.token = "swg_x".to_owned();
    let answer = other.get(&format!("/v1/messages/{id}")).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let answer = caller.get("/v1/messages").await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    done(&caller, &id).await;
}

#[tokio::test]
async fn without_a_queue_there_is_nothing_to_ask_for() {
    let world = world("").await;
    let caller = Caller::for_senders(&world, &["example.com"]).await;
    let answer = caller.get("/v1/messages/0123").await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    let problem: Value = answer.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("no queue"), "{problem}");
}

#[tokio::test]
async fn an_idempotency_key_survives_a_restart_and_queues_once() {
    let world = world(QUEUE).await;
    let mut caller = Caller::for_senders(&world, &["example.com"]).await;
    let first = caller.post("/v1/messages", Some("invoice-1"), ALICE_WRITES).await;
    assert_eq!(first.status(), StatusCode::ACCEPTED);
    let first: Value = first.json().await.unwrap();
    done(&caller, first["id"].as_str().unwrap()).await;
    let world = world.restart().await;
    caller.base = format!("https://localhost:{}", world.api_address().port());
    let again = caller.post("/v1/messages", Some("invoice-1"), ALICE_WRITES).await;
    assert_eq!(
        (again.status(), &again.headers()["idempotent-replayed"]),
        (StatusCode::ACCEPTED, &"true".parse().unwrap())
    );
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    assert_eq!(world.sink.messages().len(), 1);
    let status = done(&caller, first["id"].as_str().unwrap()).await;
    assert_eq!(status["recipients"][0]["state"], "delivered");
}

#[tokio::test]
async fn a_batch_is_queued_line_by_line() {
    let world = world(QUEUE).await;
    let caller = Caller::for_senders(&world, &["example.com"]).await;
    let good = json!({ "text": ALICE_WRITES, "idempotency_key": "a" });
    let forged = json!({ "text": ALICE_WRITES.replace("alice@example.com", "mallory@example.net") });
    let answer = caller
        .post("/v1/batches", None, format!("{good}\n{forged}\n{good}\n"))
        .await;
    let text = answer.text().await.unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<u64> = lines.iter().map(|line| line["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [202, 403, 202], "{text}");
    assert_eq!(lines[0]["id"], lines[2]["id"]);
    done(&caller, lines[0]["id"].as_str().unwrap()).await;
    assert_eq!(world.sink.messages().len(), 1);
}

#[tokio::test]
async fn what_the_queue_refuses_frees_the_key() {
    let world = world(QUEUE).await;
    let caller = Caller::for_senders(&world, &["example.com"]).await;
    world.ca.set(Mood::Unavailable);
    let answer = caller.post("/v1/messages", Some("k"), ALICE_WRITES).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    world.ca.set(crate::world::ISSUE);
    let answer = caller.post("/v1/messages", Some("k"), ALICE_WRITES).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let id = answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    done(&caller, &id).await;
    assert_eq!(world.sink.messages().len(), 1);
}
