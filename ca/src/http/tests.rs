//! The resources through their routers, without a network.

mod access;
mod caching;
mod confirm;
mod directory;
mod plans;
mod reports;
mod rosters;
mod stories;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use ca_api::{Problem, Role};
use serde_json::{Value, json};
use tower::Service;

use crate::http::router;
use crate::orders::TierChoice;
use crate::testing::{Database, Proof, World, order};

/// An authority and its two routers.
struct Site {
    world: World,
    api: Router,
    public: Router,
}

impl Site {
    async fn new() -> Self {
        let world = World::new(Database::Sqlite).await.unwrap();
        let api = router::api(Arc::clone(&world.app));
        let public = router::public(Arc::clone(&world.app));
        Self { world, api, public }
    }

    async fn token(&self, role: Role) -> String {
        self.world.principal_with_token("P", role).await.1
    }

    async fn call(&self, request: Request<Body>) -> Answer {
        Answer::of(self.api.clone().call(request).await.unwrap()).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(request(Method::GET, path, Some(token)).body(Body::empty()).unwrap())
            .await
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call(with_json(Method::POST, path, Some(token), &body)).await
    }

    async fn public(&self, path: &str) -> Answer {
        let request = request(Method::GET, path, None).body(Body::empty()).unwrap();
        Answer::of(self.public.clone().call(request).await.unwrap()).await
    }
}

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 64 << 20).await.unwrap().to_vec();
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(&name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem, after checking that it is one.
    fn problem(&self, status: u16, name: &str) -> Problem {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header(header::CONTENT_TYPE), "application/problem+json");
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!((problem.status, problem.name()), (status, name), "{problem:?}");
        assert_eq!(
            problem.request_id.as_deref(),
            Some(self.header("x-request-id".parse().unwrap()))
        );
        problem
    }
}

fn request(method: Method, path: &str, token: Option<&str>) -> axum::http::request::Builder {
    let request = Request::builder().method(method).uri(path);
    match token {
        Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
        None => request,
    }
}

fn with_json(method: Method, path: &str, token: Option<&str>, body: &Value) -> Request<Body> {
    request(method, path, token)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// What exists in one account, as identifiers in paths.
struct Belongings {
    account: String,
    owner: String,
    challenge: String,
    case: String,
    document: String,
    order: String,
    serial: String,
}

async fn belongings(site: &Site) -> Belongings {
    let (alice, owner) = site.world.principal_with_token("Alice", Role::Subscriber).await;
    let challenge = site
        .post("/v1/challenges", &owner, json!({"mailbox": "alice@example.com"}))
        .await
        .json();
    let case = site.post("/v1/cases", &owner, individual_case()).await.json();
    let case = case["id"].as_str().unwrap().to_owned();
    let upload = request(
        Method::POST,
        &format!("/v1/cases/{case}/documents?name=id.txt"),
        Some(&owner),
    )
    .header(header::CONTENT_TYPE, "text/plain")
    .body(Body::from("passport"))
    .unwrap();
    let document = site.call(upload).await.json();
    site.world
        .prove(
            &alice,
            Proof::mailbox("alice@example.com"),
            policies::time::Span::seconds(0),
        )
        .await;
    let order = site
        .post("/v1/orders", &owner, order_body("alice@example.com", "V1"))
        .await
        .json();
    assert_eq!(order["state"], "valid", "{order}");
    Belongings {
        account: alice.account.as_ref().unwrap().to_string(),
        owner,
        challenge: challenge["id"].as_str().unwrap().to_owned(),
        case,
        document: document["id"].as_str().unwrap().to_owned(),
        order: order["id"].as_str().unwrap().to_owned(),
        serial: order["certificate_serial"].as_str().unwrap().to_owned(),
    }
}

fn individual_case() -> Value {
    json!({"kind": "individual-identity", "subject": {
        "given_name": "Alice", "surname": "Example", "mailbox": "alice@example.com"
    }})
}

fn order_body(mailbox: &str, tier: &str) -> Value {
    let new = order(mailbox, TierChoice::Best);
    json!({
        "mailbox": mailbox,
        "tier": tier,
        "generation": "strict",
        "certificate_request": data_encoding::BASE64.encode(&new.certificate_request),
    })
}
