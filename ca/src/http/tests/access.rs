//! Every resource as strangers, neighbours and the wrong roles find it.

use super::*;

/// Every resource that needs a token, with a request that would work for the right caller.
fn resources(it: &Belongings) -> Vec<(Method, String, Value)> {
    let decision = json!({"decision": "approve", "reason": "fits"});
    let finding = json!({"method": "identity-document", "note": "seen"});
    let case = &it.case;
    vec![
        (Method::GET, "/v1/whoami".to_owned(), Value::Null),
        (Method::GET, "/v1/accounts".to_owned(), Value::Null),
        (
            Method::POST,
            "/v1/accounts".to_owned(),
            json!({"name": "E", "kind": "organization"}),
        ),
        (Method::GET, format!("/v1/accounts/{}/plan", it.account), Value::Null),
        (
            Method::PATCH,
            format!("/v1/accounts/{}/plan", it.account),
            json!({"granted_employee_seats": 1}),
        ),
        (Method::POST, "/v1/rosters".to_owned(), json!("mailbox,surname")),
        (Method::GET, "/v1/rosters".to_owned(), Value::Null),
        (Method::GET, "/v1/rosters/ros-x".to_owned(), Value::Null),
        (Method::POST, "/v1/rosters/ros-x/decision".to_owned(), decision.clone()),
        (
            Method::POST,
            "/v1/principals".to_owned(),
            json!({"name": "E", "role": "officer"}),
        ),
        (Method::POST, "/v1/principals/pri-x/revocation".to_owned(), Value::Null),
        (
            Method::POST,
            "/v1/challenges".to_owned(),
            json!({"mailbox": "a@example.com"}),
        ),
        (Method::GET, format!("/v1/challenges/{}", it.challenge), Value::Null),
        (
            Method::POST,
            "/v1/domains".to_owned(),
            json!({"domain": "example.com", "method": "dns-change"}),
        ),
        (Method::GET, "/v1/domains".to_owned(), Value::Null),
        (Method::GET, "/v1/domains/dom-x".to_owned(), Value::Null),
        (Method::POST, "/v1/domains/dom-x/check".to_owned(), Value::Null),
        (Method::GET, "/v1/mailboxes/alice@example.com".to_owned(), Value::Null),
        (Method::GET, "/v1/directory/alice@example.com".to_owned(), Value::Null),
        (Method::POST, "/v1/cases".to_owned(), individual_case()),
        (Method::GET, "/v1/cases".to_owned(), Value::Null),
        (Method::GET, format!("/v1/cases/{case}"), Value::Null),
        (
            Method::POST,
            format!("/v1/cases/{case}/documents?name=a.txt"),
            json!("text"),
        ),
        (
            Method::GET,
            format!("/v1/cases/{case}/documents/{}", it.document),
            Value::Null,
        ),
        (Method::POST, format!("/v1/cases/{case}/evidence"), finding),
        (Method::POST, format!("/v1/cases/{case}/decisions"), decision),
        (
            Method::POST,
            "/v1/orders".to_owned(),
            order_body("alice@example.com", "V1"),
        ),
        (Method::GET, format!("/v1/orders/{}", it.order), Value::Null),
        (Method::GET, "/v1/reports".to_owned(), Value::Null),
        (
            Method::POST,
            "/v1/reports/rep-x/answer".to_owned(),
            json!({"cause": "misuse", "findings": "nothing"}),
        ),
        (
            Method::POST,
            "/v1/reports/rep-x/closing".to_owned(),
            json!({"revoke": true}),
        ),
        (Method::GET, "/metrics".to_owned(), Value::Null),
        (Method::GET, "/v1/certificates".to_owned(), Value::Null),
        (Method::GET, format!("/v1/certificates/{}", it.serial), Value::Null),
        (
            Method::POST,
            format!("/v1/certificates/{}/revocation", it.serial),
            json!({"reason": "superseded"}),
        ),
    ]
}

#[tokio::test]
async fn no_resource_answers_without_a_token_that_counts() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    let unknown = format!("sealwright_{}", "A".repeat(43));
    for (method, path, body) in resources(&it) {
        for authorization in [
            None,
            Some("Bearer"),
            Some("Bearer "),
            Some("Basic YTpi"),
            Some(it.owner.as_str()),
            Some(&format!("Bearer {unknown}")),
        ] {
            let mut request = with_json(method.clone(), &path, None, &body);
            if let Some(authorization) = authorization {
                request
                    .headers_mut()
                    .insert(header::AUTHORIZATION, authorization.parse().unwrap());
            }
            let answer = site.call(request).await;
            answer.problem(401, "unauthenticated");
            assert_eq!(answer.header(header::WWW_AUTHENTICATE), "Bearer", "{method} {path}");
        }
        let mut twice = with_json(method.clone(), &path, Some(&it.owner), &body);
        twice
            .headers_mut()
            .append(header::AUTHORIZATION, format!("Bearer {}", it.owner).parse().unwrap());
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
        let upload = request(
            Method::POST,
            &format!("/v1/cases/{case}/documents?name=a.txt"),
            Some(&mallory),
        )
        .header(header::CONTENT_TYPE, "text/plain")
        .body(Body::from("x"))
        .unwrap();
        site.call(upload).await.problem(404, "not-found");
        let revocation = format!("/v1/certificates/{serial}/revocation");
        site.post(&revocation, &mallory, json!({"reason": "keyCompromise"}))
            .await
            .problem(404, "not-found");
        // Officers' work is not even tried.
        site.get(&format!("/v1/cases/{case}/documents/{}", it.document), &mallory)
            .await
            .problem(403, "not-allowed");

        assert_eq!(site.get("/v1/cases", &mallory).await.json()["cases"], json!([]));
        assert_eq!(
            site.get("/v1/certificates", &mallory).await.json()["certificates"],
            json!([])
        );
        let standing = site.get("/v1/mailboxes/alice@example.com", &mallory).await.json();
        assert_eq!(
            (&standing["best_tier"], &standing["evidence"]),
            (&Value::Null, &json!([]))
        );
        // Alice's evidence does not carry Mallory's order.
        let order = site
            .post("/v1/orders", &mallory, order_body("alice@example.com", "V1"))
            .await
            .json();
        assert_eq!(
            (&order["state"], &order["certificate_serial"]),
            (&json!("pending"), &Value::Null),
            "{order}"
        );
    }
    let still = site
        .get(&format!("/v1/certificates/{}", it.serial), &it.owner)
        .await
        .json();
    assert_eq!(still["state"], "valid");
}

#[tokio::test]
async fn roles_reach_only_what_is_theirs() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    let case = &it.case;
    let operators = ["/v1/accounts", "/v1/principals", "/v1/principals/pri-x/revocation"];
    let officers = [
        format!("/v1/cases/{case}/evidence"),
        format!("/v1/cases/{case}/decisions"),
    ];
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
        request(Method::POST, path, Some(token))
            .header(header::CONTENT_TYPE, media_type)
            .body(Body::from(body))
            .unwrap()
    };
    let account = json!({"name": "E", "kind": "organization"}).to_string();
    site.call(post("/v1/accounts", "text/plain", &operator, account.clone()))
        .await
        .problem(415, "media-type");
    site.call(post(
        "/v1/accounts",
        "application/x-www-form-urlencoded",
        &operator,
        account.clone(),
    ))
    .await
    .problem(415, "media-type");
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
        site.call(post("/v1/accounts", "application/json", &operator, body))
            .await
            .problem(400, "malformed-request");
    }
    let problem = site
        .post(
            "/v1/accounts",
            &operator,
            json!({"name": "E", "kind": "organization", "admin": 1}),
        )
        .await;
    assert!(problem.problem(400, "malformed-request").detail.contains("admin"));
    let huge = json!({"name": "x".repeat(100_000), "kind": "organization"});
    site.post("/v1/accounts", &operator, huge)
        .await
        .problem(413, "too-large");
    let name = json!({"name": "x".repeat(300), "kind": "organization"});
    site.post("/v1/accounts", &operator, name)
        .await
        .problem(422, "invalid-input");
    site.post("/v1/challenges", &member, json!({"mailbox": "a@b@c"}))
        .await
        .problem(400, "malformed-request");
    site.post(
        "/v1/orders",
        &member,
        json!({"mailbox": "a@example.com", "tier": "V1", "generation": "strict", "certificate_request": "AAAA"}),
    )
    .await
    .problem(422, "certificate-request");
    for query in ["?state=gone", "?mailbox=nobody", "?limit=1", "?cursor=a&cursor=b"] {
        site.get(&format!("/v1/certificates{query}"), &member)
            .await
            .problem(400, "malformed-request");
    }
    site.get("/v1/mailboxes/nobody", &member)
        .await
        .problem(422, "invalid-input");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let site = Site::new().await;
    let operator = site.token(Role::Operator).await;
    for path in [
        "/",
        "/v2/whoami",
        "/v1",
        "/v1/certificates/",
        "/confirm",
        "/../etc/passwd",
        "/crl/issuing.crl",
    ] {
        site.get(path, &operator).await.problem(404, "not-found");
    }
    let delete = request(Method::DELETE, "/v1/accounts", Some(&operator))
        .body(Body::empty())
        .unwrap();
    site.call(delete).await.problem(405, "method");
    for path in [
        "/v1/whoami",
        "/confirm/x",
        "/crl",
        "/ca/unknown.cer",
        "/crl/unknown.crl",
        "/crl/issuing",
        "/ca/issuing.pem",
    ] {
        site.public(path).await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let site = Site::new().await;
    let operator = site.token(Role::Operator).await;
    for path in [
        "/v1/whoami",
        "/v1/nothing",
        "/confirm/unknown",
        "/healthz",
        "/style.css",
    ] {
        let answer = site.get(path, &operator).await;
        assert!(
            answer
                .header(header::CONTENT_SECURITY_POLICY)
                .starts_with("default-src 'none'"),
            "{path}"
        );
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
        assert_eq!(answer.header(header::X_FRAME_OPTIONS), "DENY", "{path}");
        assert_eq!(answer.header(header::REFERRER_POLICY), "no-referrer", "{path}");
        assert!(!answer.header("x-request-id".parse().unwrap()).is_empty(), "{path}");
    }
    assert_eq!(
        site.get("/v1/whoami", &operator).await.header(header::CACHE_CONTROL),
        "no-store"
    );
}

#[tokio::test]
async fn what_is_broken_here_is_not_told_outside() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    site.world.tamper("UPDATE cases SET subject = 'secret nonsense'").await;
    let problem = site
        .get(&format!("/v1/cases/{}", it.case), &it.owner)
        .await
        .problem(500, "internal");
    assert!(
        !serde_json::to_string(&problem).unwrap().contains("nonsense"),
        "{problem:?}"
    );
}
