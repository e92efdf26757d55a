//! Every resource as strangers, neighbours and the wrong roles find it; then the stories that work.

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
        self.call(request(Method::GET, path, Some(token)).body(Body::empty()).unwrap()).await
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
        Self { status: parts.status, headers: parts.headers, body }
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
        assert_eq!(problem.request_id.as_deref(), Some(self.header("x-request-id".parse().unwrap())));
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
    owner: String,
    challenge: String,
    case: String,
    document: String,
    order: String,
    serial: String,
}

async fn belongings(site: &Site) -> Belongings {
    let (alice, owner) = site.world.principal_with_token("Alice", Role::Subscriber).await;
    let challenge = site.post("/v1/challenges", &owner, json!({"mailbox": "alice@example.com"})).await.json();
    let case = site.post("/v1/cases", &owner, individual_case()).await.json();
    let case = case["id"].as_str().unwrap().to_owned();
    let upload = request(Method::POST, &format!("/v1/cases/{case}/documents?name=id.txt"), Some(&owner))
        .header(header::CONTENT_TYPE, "text/plain")
        .body(Body::from("passport"))
        .unwrap();
    let document = site.call(upload).await.json();
    site.world.prove(&alice, Proof::mailbox("alice@example.com"), policies::time::Span::seconds(0)).await;
    let order = site.post("/v1/orders", &owner, order_body("alice@example.com", "V1")).await.json();
    assert_eq!(order["state"], "valid", "{order}");
    Belongings {
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

/// Every resource that needs a token, with a request that would work for the right caller.
fn resources(it: &Belongings) -> Vec<(Method, String, Value)> {
    let decision = json!({"decision": "approve", "reason": "fits"});
    let finding = json!({"method": "identity-document", "note": "seen"});
    let case = &it.case;
    vec![
        (Method::GET, "/v1/whoami".to_owned(), Value::Null),
        (Method::GET, "/v1/accounts".to_owned(), Value::Null),
        (Method::POST, "/v1/accounts".to_owned(), json!({"name": "E", "kind": "organization"})),
        (Method::POST, "/v1/principals".to_owned(), json!({"name": "E", "role": "officer"})),
        (Method::POST, "/v1/principals/pri-x/revocation".to_owned(), Value::Null),
        (Method::POST, "/v1/challenges".to_owned(), json!({"mailbox": "a@example.com"})),
        (Method::GET, format!("/v1/challenges/{}", it.challenge), Value::Null),
        (Method::GET, "/v1/mailboxes/alice@example.com".to_owned(), Value::Null),
        (Method::POST, "/v1/cases".to_owned(), individual_case()),
        (Method::GET, "/v1/cases".to_owned(), Value::Null),
        (Method::GET, format!("/v1/cases/{case}"), Value::Null),
        (Method::POST, format!("/v1/cases/{case}/documents?name=a.txt"), json!("text")),
        (Method::GET, format!("/v1/cases/{case}/documents/{}", it.document), Value::Null),
        (Method::POST, format!("/v1/cases/{case}/evidence"), finding),
        (Method::POST, format!("/v1/cases/{case}/decisions"), decision),
        (Method::POST, "/v1/orders".to_owned(), order_body("alice@example.com", "V1")),
        (Method::GET, format!("/v1/orders/{}", it.order), Value::Null),
        (Method::GET, "/v1/certificates".to_owned(), Value::Null),
        (Method::GET, format!("/v1/certificates/{}", it.serial), Value::Null),
        (Method::POST, format!("/v1/certificates/{}/revocation", it.serial), json!({"reason": "superseded"})),
    ]
}

#[tokio::test]
async fn no_resource_answers_without_a_token_that_counts() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    let unknown = format!("sealwright_{}", "A".repeat(43));
    for (method, path, body) in resources(&it) {
        for authorization in
            [None, Some("Bearer"), Some("Bearer "), Some("Basic YTpi"), Some(it.owner.as_str()), Some(&format!("Bearer {unknown}"))]
        {
            let mut request = with_json(method.clone(), &path, None, &body);
            if let Some(authorization) = authorization {
                request.headers_mut().insert(header::AUTHORIZATION, authorization.parse().unwrap());
            }
            let answer = site.call(request).await;
            answer.problem(401, "unauthenticated");
            assert_eq!(answer.header(header::WWW_AUTHENTICATE), "Bearer", "{method} {path}");
        }
        let mut twice = with_json(method.clone(), &path, Some(&it.owner), &body);
        twice.headers_mut().append(header::AUTHORIZATION, format!("Bearer {}", it.owner).parse().unwrap());
        site.call(twice).await.problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn what_belongs_to_another_account_does_not_exist() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    for role in [Role::Subscriber, Role::Gateway] {
        let mallory = site.token(role).await;
        let (challenge, case, order, serial) = (&it.challenge, &it.case, &it.order, &it.serial);
        for path in [
            format!("/v1/challenges/{challenge}"),
            format!("/v1/cases/{case}"),
            format!("/v1/orders/{order}"),
            format!("/v1/certificates/{serial}"),
        ] {
            site.get(&path, &mallory).await.problem(404, "not-found");
        }
        let upload = request(Method::POST, &format!("/v1/cases/{case}/documents?name=a.txt"), Some(&mallory))
            .header(header::CONTENT_TYPE, "text/plain")
            .body(Body::from("x"))
            .unwrap();
        site.call(upload).await.problem(404, "not-found");
        let revocation = format!("/v1/certificates/{serial}/revocation");
        site.post(&revocation, &mallory, json!({"reason": "keyCompromise"})).await.problem(404, "not-found");
        // Officers' work is not even tried.
        site.get(&format!("/v1/cases/{case}/documents/{}", it.document), &mallory).await.problem(403, "not-allowed");

        assert_eq!(site.get("/v1/cases", &mallory).await.json()["cases"], json!([]));
        assert_eq!(site.get("/v1/certificates", &mallory).await.json()["certificates"], json!([]));
        let standing = site.get("/v1/mailboxes/alice@example.com", &mallory).await.json();
        assert_eq!((&standing["best_tier"], &standing["evidence"]), (&Value::Null, &json!([])));
        // Alice's evidence does not carry Mallory's order.
        let order = site.post("/v1/orders", &mallory, order_body("alice@example.com", "V1")).await.json();
        assert_eq!((&order["state"], &order["certificate_serial"]), (&json!("pending"), &Value::Null), "{order}");
    }
    let still = site.get(&format!("/v1/certificates/{}", it.serial), &it.owner).await.json();
    assert_eq!(still["state"], "valid");
}

#[tokio::test]
async fn roles_reach_only_what_is_theirs() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    let case = &it.case;
    let operators = ["/v1/accounts", "/v1/principals", "/v1/principals/pri-x/revocation"];
    let officers = [format!("/v1/cases/{case}/evidence"), format!("/v1/cases/{case}/decisions")];
    let members = ["/v1/challenges", "/v1/cases", "/v1/orders"];
    let all = resources(&it);
    for role in [Role::Operator, Role::Officer, Role::Subscriber, Role::Gateway] {
        let token = site.token(role).await;
        for (method, path, body) in all.iter().filter(|(method, ..)| method == Method::POST) {
            let allowed = match path.as_str() {
                path if operators.contains(&path) => role == Role::Operator,
                path if officers.iter().any(|officers| officers == path) => role == Role::Officer,
                path if members.contains(&path) => matches!(role, Role::Subscriber | Role::Gateway),
                _ => continue,
            };
            let answer = site.call(with_json(method.clone(), path, Some(&token), body)).await;
            if allowed {
                assert_ne!(answer.status, StatusCode::FORBIDDEN, "{role} {path}: {}", answer.text());
            } else {
                answer.problem(403, "not-allowed");
            }
        }
        if role != Role::Operator {
            site.get("/v1/accounts", &token).await.problem(403, "not-allowed");
        }
        if role != Role::Officer {
            let path = format!("/v1/cases/{case}/documents/{}", it.document);
            site.get(&path, &token).await.problem(403, "not-allowed");
        }
    }
}

#[tokio::test]
async fn bodies_that_do_not_belong_are_refused() {
    let site = Site::new().await;
    let operator = site.token(Role::Operator).await;
    let member = site.token(Role::Subscriber).await;
    let post = |path: &'static str, media_type: &'static str, token: &str, body: String| {
        request(Method::POST, path, Some(token)).header(header::CONTENT_TYPE, media_type).body(Body::from(body)).unwrap()
    };
    let account = json!({"name": "E", "kind": "organization"}).to_string();
    site.call(post("/v1/accounts", "text/plain", &operator, account.clone())).await.problem(415, "media-type");
    site.call(post("/v1/accounts", "application/x-www-form-urlencoded", &operator, account.clone())).await.problem(415, "media-type");
    for body in [
        String::new(),
        "{".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        json!({"name": "E"}).to_string(),
        json!({"name": "E", "kind": "organization", "id": "acc-1"}).to_string(),
        "{\"name\":\"E\",\"name\":\"F\",\"kind\":\"organization\"}".to_owned(),
        "[".repeat(10_000),
        format!("{account}{account}"),
    ] {
        site.call(post("/v1/accounts", "application/json", &operator, body)).await.problem(400, "malformed-request");
    }
    let problem = site.post("/v1/accounts", &operator, json!({"name": "E", "kind": "organization", "admin": 1})).await;
    assert!(problem.problem(400, "malformed-request").detail.contains("admin"));
    let huge = json!({"name": "x".repeat(100_000), "kind": "organization"});
    site.post("/v1/accounts", &operator, huge).await.problem(413, "too-large");
    let name = json!({"name": "x".repeat(300), "kind": "organization"});
    site.post("/v1/accounts", &operator, name).await.problem(422, "invalid-input");
    site.post("/v1/challenges", &member, json!({"mailbox": "a@b@c"})).await.problem(400, "malformed-request");
    site.post("/v1/orders", &member, json!({"mailbox": "a@example.com", "tier": "V1", "generation": "strict", "certificate_request": "AAAA"}))
        .await
        .problem(422, "certificate-request");
    for query in ["?state=gone", "?mailbox=nobody", "?limit=1", "?cursor=a&cursor=b"] {
        site.get(&format!("/v1/certificates{query}"), &member).await.problem(400, "malformed-request");
    }
    site.get("/v1/mailboxes/nobody", &member).await.problem(422, "invalid-input");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let site = Site::new().await;
    let operator = site.token(Role::Operator).await;
    for path in ["/", "/v2/whoami", "/v1", "/v1/certificates/", "/confirm", "/../etc/passwd", "/crl/issuing.crl"] {
        site.get(path, &operator).await.problem(404, "not-found");
    }
    let delete = request(Method::DELETE, "/v1/accounts", Some(&operator)).body(Body::empty()).unwrap();
    site.call(delete).await.problem(405, "method");
    for path in ["/v1/whoami", "/confirm/x", "/crl", "/ca/unknown.cer", "/crl/unknown.crl", "/crl/issuing", "/ca/issuing.pem"] {
        site.public(path).await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let site = Site::new().await;
    let operator = site.token(Role::Operator).await;
    for path in ["/v1/whoami", "/v1/nothing", "/confirm/unknown", "/healthz", "/style.css"] {
        let answer = site.get(path, &operator).await;
        assert!(answer.header(header::CONTENT_SECURITY_POLICY).starts_with("default-src 'none'"), "{path}");
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
        assert_eq!(answer.header(header::X_FRAME_OPTIONS), "DENY", "{path}");
        assert_eq!(answer.header(header::REFERRER_POLICY), "no-referrer", "{path}");
        assert!(!answer.header("x-request-id".parse().unwrap()).is_empty(), "{path}");
    }
    assert_eq!(site.get("/v1/whoami", &operator).await.header(header::CACHE_CONTROL), "no-store");
}

/// The link and the number in the newest mail to an address.
fn mailed(site: &Site, address: &str) -> (String, String) {
    let text = site.world.outbox.newest_to(address).unwrap().text;
    let link = text.lines().find_map(|line| line.trim().split_once("/confirm/")).unwrap().1.to_owned();
    let is_code = |line: &&str| line.len() == 9 && line.chars().all(|c| c.is_ascii_digit() || c == '-');
    let code = text.lines().map(str::trim).find(is_code).unwrap().to_owned();
    (link, code)
}

fn form(link: &str, body: impl Into<String>) -> Request<Body> {
    request(Method::POST, &format!("/confirm/{link}"), None)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body.into()))
        .unwrap()
}

#[tokio::test]
async fn invariant_05_get_and_head_are_inert_and_post_needs_the_number() {
    let site = Site::new().await;
    let alice = site.token(Role::Subscriber).await;
    let sent = site.post("/v1/challenges", &alice, json!({"mailbox": "alice@example.com"})).await;
    assert_eq!(sent.status, StatusCode::CREATED);
    let sent = sent.json();
    assert_eq!(sent["sent_to"], "alice@example.com");
    let (link, code) = mailed(&site, "alice@example.com");
    for secret in [&link, &code, &code.replace('-', "")] {
        assert!(!sent.to_string().contains(secret.as_str()));
    }
    let state_path = format!("/v1/challenges/{}", sent["id"].as_str().unwrap());
    let path = format!("/confirm/{link}");
    for method in [Method::GET, Method::HEAD, Method::GET] {
        let request = request(method.clone(), &path, None).body(Body::empty()).unwrap();
        let page = site.call(request).await;
        assert_eq!(page.status, StatusCode::OK, "{method}");
        assert!(!page.text().contains(&code), "the page tells the number");
        assert!(!page.text().contains(&link), "the page repeats the link");
    }
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let request = request(method, &path, None).body(Body::from(format!("code={code}"))).unwrap();
        site.call(request).await.problem(405, "method");
    }
    // What a script that presses every button would send.
    for body in ["", "submit=Confirm", "code=1&code=2", "code=12345678&confirm=yes"] {
        site.call(form(&link, body)).await.problem(400, "malformed-request");
    }
    let mut as_json = form(&link, json!({"code": code}).to_string());
    as_json.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    site.call(as_json).await.problem(400, "malformed-request");
    let in_query = request(Method::GET, &format!("{path}?code={code}"), None).body(Body::empty()).unwrap();
    assert_eq!(site.call(in_query).await.status, StatusCode::OK);
    for _ in 0..20 {
        for body in ["code", "code=", "code=confirm", "code=1234567", "code=123456789", "code=%D9%A1%D9%A2%D9%A3%D9%A4"] {
            let again = site.call(form(&link, body)).await;
            assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
            assert!(again.text().contains("role=\"alert\">Type the eight digits"), "{}", again.text());
        }
    }
    let next = |digit: char| if digit == '9' { '0' } else { char::from(digit as u8 + 1) };
    let wrong: String = code.chars().filter(|c| *c != '-').map(next).collect();
    let counted = site.call(form(&link, format!("code={wrong}"))).await;
    assert_eq!(counted.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(counted.text().contains("There are 4 more tries."), "{}", counted.text());
    assert_eq!(site.get(&state_path, &alice).await.json()["state"], "sent");

    let confirmed = site.call(form(&link, format!("code={code}"))).await;
    assert_eq!(confirmed.status, StatusCode::OK, "{}", confirmed.text());
    assert_eq!(site.get(&state_path, &alice).await.json()["state"], "answered");
    let again = site.call(form(&link, format!("code={code}"))).await;
    assert_eq!(again.status, StatusCode::GONE);
    let standing = site.get("/v1/mailboxes/alice@example.com", &alice).await.json();
    assert_eq!(standing["best_tier"], "V1");
    assert_eq!(standing["evidence"][0]["section"], "3.2.2.2");
}

#[tokio::test]
async fn the_confirmation_page_is_plain_accessible_and_locked_down() {
    let site = Site::new().await;
    let alice = site.token(Role::Subscriber).await;
    site.post("/v1/challenges", &alice, json!({"mailbox": "a&b@example.com"})).await;
    let (link, _) = mailed(&site, "a&b@example.com");
    let page = site.get(&format!("/confirm/{link}"), "").await;
    let html = page.text();
    assert!(html.contains("<html lang=\"en\">") && html.contains("<h1>") && html.contains("<main>"), "{html}");
    assert!(html.contains("<label for=\"code\">") && html.contains("id=\"code\""), "{html}");
    assert!(html.contains("a&amp;b@example.com") && !html.contains("a&b@"), "{html}");
    assert!(!html.contains("<script") && !html.contains("style=") && !html.contains("<img"), "{html}");
    assert!(!html.contains('{'), "a place of the template was left open: {html}");
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    for directive in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header(header::CACHE_CONTROL), "no-store");
    let unknown = site.get(&format!("/confirm/{}", "A".repeat(43)), "").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(unknown.text().contains("<h1>Unknown link</h1>"));
}

#[tokio::test]
async fn invariant_06_a_case_goes_from_its_documents_to_a_v2_certificate() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    let officer = site.token(Role::Officer).await;
    let case = &it.case;
    let waiting = site.post("/v1/orders", &it.owner, order_body("alice@example.com", "V2")).await.json();
    assert_eq!(waiting["state"], "pending", "{waiting}");
    assert!(waiting["problem"]["detail"].as_str().unwrap().contains("individual-identity"), "{waiting}");

    let decision = json!({"decision": "approve", "reason": "The passport is genuine."});
    site.post(&format!("/v1/cases/{case}/decisions"), &officer, decision.clone()).await.problem(409, "no-evidence");
    let document = site.get(&format!("/v1/cases/{case}/documents/{}", it.document), &officer).await;
    assert_eq!(document.text(), "passport");
    assert_eq!(document.header(header::CONTENT_DISPOSITION), "attachment");
    assert!(document.header(header::CONTENT_SECURITY_POLICY).contains("sandbox"));

    let sha256 = site.get(&format!("/v1/cases/{case}"), &officer).await.json()["documents"][0]["sha256"].clone();
    let finding = json!({"method": "identity-document", "documents": [sha256], "note": "Video call, face compared."});
    let recorded = site.post(&format!("/v1/cases/{case}/evidence"), &officer, finding).await;
    assert_eq!(recorded.status, StatusCode::CREATED, "{}", recorded.text());
    let decided = site.post(&format!("/v1/cases/{case}/decisions"), &officer, decision.clone()).await.json();
    assert_eq!(decided["state"], "approved", "{decided}");
    site.post(&format!("/v1/cases/{case}/decisions"), &officer, decision).await.problem(409, "state-changed");

    // The order that waited was issued with the decision.
    let order = site.get(&format!("/v1/orders/{}", waiting["id"].as_str().unwrap()), &it.owner).await.json();
    assert_eq!(order["state"], "valid", "{order}");
    let serial = order["certificate_serial"].as_str().unwrap();
    let certificate = site.get(&format!("/v1/certificates/{serial}"), &it.owner).await.json();
    assert_eq!((&certificate["tier"], &certificate["state"]), (&json!("V2"), &json!("valid")));
    assert!(certificate["chain_pem"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
}

#[tokio::test]
async fn invariant_06_an_officer_decides_an_organization_once() {
    let site = Site::new().await;
    let owner = site.token(Role::Subscriber).await;
    let case = site
        .post("/v1/cases", &owner, json!({"kind": "organization-identity", "subject": {
            "legal_name": "Beispiel AG", "country": "DE", "organization_identifier": "NTRDE-DEK1101R.HRB12345"
        }}))
        .await
        .json();
    assert_eq!(case["approvals_needed"], 2);
    let path = format!("/v1/cases/{}", case["id"].as_str().unwrap());
    let (olga, otto) = (site.token(Role::Officer).await, site.token(Role::Officer).await);
    let finding = json!({"method": "register-extract", "note": "HRB 12345 read at handelsregister.de"});
    site.post(&format!("{path}/evidence"), &olga, finding.clone()).await;
    let approve = json!({"decision": "approve", "reason": "fits"});
    let first = site.post(&format!("{path}/decisions"), &olga, approve.clone()).await.json();
    assert_eq!(first["state"], "open");
    let again = site.post(&format!("{path}/decisions"), &olga, approve.clone()).await;
    assert_eq!(again.problem(403, "separation-of-duties").section.as_deref(), Some("5.2.4"));
    site.post(&format!("{path}/evidence"), &otto, finding).await.problem(409, "state-changed");
    let second = site.post(&format!("{path}/decisions"), &otto, approve).await.json();
    assert_eq!(second["state"], "approved");
    assert_eq!(second["decisions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn orders_are_idempotent_and_keys_are_not_shared() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    let place = |token: &str, key: &str, body: &Value| {
        let mut request = with_json(Method::POST, "/v1/orders", Some(token), body);
        request.headers_mut().insert("Idempotency-Key", key.parse().unwrap());
        request
    };
    let body = order_body("alice@example.com", "V1");
    let first = site.call(place(&it.owner, "order-1", &body)).await.json();
    let second = site.call(place(&it.owner, "order-1", &body)).await.json();
    assert_eq!(first["id"], second["id"]);
    assert_eq!(first["certificate_serial"], second["certificate_serial"]);
    let other = order_body("bob@example.com", "V1");
    site.call(place(&it.owner, "order-1", &other)).await.problem(422, "idempotency-key");
    let neighbour = site.token(Role::Subscriber).await;
    let theirs = site.call(place(&neighbour, "order-1", &other)).await.json();
    assert_ne!(theirs["id"], first["id"]);
    for key in ["", &"x".repeat(129), "two words"] {
        site.call(place(&it.owner, key, &body)).await.problem(422, "invalid-input");
    }
    let mut twice = place(&it.owner, "order-2", &body);
    twice.headers_mut().append("Idempotency-Key", "order-3".parse().unwrap());
    site.call(twice).await.problem(400, "malformed-request");
}

#[tokio::test]
async fn a_revocation_shows_in_the_list_and_in_the_crl() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    let path = format!("/v1/certificates/{}/revocation", it.serial);
    for reason in ["certificateHold", "", "because", "cACompromise"] {
        site.post(&path, &it.owner, json!({"reason": reason})).await.problem(422, "invalid-input");
    }
    let before = site.public("/crl/issuing.crl").await;
    assert_eq!(before.header(header::CONTENT_TYPE), "application/pkix-crl");
    let revoked = site.post(&path, &it.owner, json!({"reason": "superseded"})).await.json();
    assert_eq!((&revoked["state"], &revoked["revocation_reason"]), (&json!("revoked"), &json!("superseded")));
    let after = site.public("/crl/issuing.crl").await;
    assert_ne!(before.body, after.body);
    let serial = data_encoding::HEXLOWER.decode(it.serial.as_bytes()).unwrap();
    assert!(after.body.windows(serial.len()).any(|window| window == serial), "the CRL does not list the serial");
    let valid = site.get("/v1/certificates?state=valid", &it.owner).await.json();
    assert_eq!(valid["certificates"], json!([]));
    let listed = site.get("/v1/certificates?state=revoked&mailbox=alice@example.com", &it.owner).await.json();
    assert_eq!(listed["certificates"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn issuers_are_public_and_health_is_known() {
    let site = Site::new().await;
    let root = site.public("/ca/root.pem").await;
    assert!(root.text().starts_with("-----BEGIN CERTIFICATE-----"));
    for issuer in site.world.app.issuers().all() {
        let certificate = site.public(&format!("/ca/{}.cer", issuer.id())).await;
        assert_eq!(certificate.body, issuer.certificate_der());
        assert_eq!(certificate.header(header::CONTENT_TYPE), "application/pkix-cert");
    }
    assert_eq!(site.public("/healthz").await.json(), json!({"status": "ok"}));
}

#[tokio::test]
async fn what_is_broken_here_is_not_told_outside() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    site.world.tamper("UPDATE cases SET subject = 'secret nonsense'").await;
    let problem = site.get(&format!("/v1/cases/{}", it.case), &it.owner).await.problem(500, "internal");
    assert!(!serde_json::to_string(&problem).unwrap().contains("nonsense"), "{problem:?}");
}
