//! The page behind the link of a mail.

use super::*;

/// The link and the number in the newest mail to an address.
fn mailed(site: &Site, address: &str) -> (String, String) {
    let text = site.world.outbox.newest_to(address).unwrap().text;
    let link = text
        .lines()
        .find_map(|line| line.trim().split_once("/confirm/"))
        .unwrap()
        .1
        .to_owned();
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
    let sent = site
        .post("/v1/challenges", &alice, json!({"mailbox": "alice@example.com"}))
        .await;
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
        let request = request(method, &path, None)
            .body(Body::from(format!("code={code}")))
            .unwrap();
        site.call(request).await.problem(405, "method");
    }
    // What a script that presses every button would send.
    for body in ["", "submit=Confirm", "code=1&code=2", "code=12345678&confirm=yes"] {
        site.call(form(&link, body)).await.problem(400, "malformed-request");
    }
    let mut as_json = form(&link, json!({"code": code}).to_string());
    as_json
        .headers_mut()
        .insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    site.call(as_json).await.problem(400, "malformed-request");
    let in_query = request(Method::GET, &format!("{path}?code={code}"), None)
        .body(Body::empty())
        .unwrap();
    assert_eq!(site.call(in_query).await.status, StatusCode::OK);
    for _ in 0..20 {
        for body in [
            "code",
            "code=",
            "code=confirm",
            "code=1234567",
            "code=123456789",
            "code=%D9%A1%D9%A2%D9%A3%D9%A4",
        ] {
            let again = site.call(form(&link, body)).await;
            assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
            assert!(
                again.text().contains("role=\"alert\">Type the eight digits"),
                "{}",
                again.text()
            );
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
    site.post("/v1/challenges", &alice, json!({"mailbox": "a&b@example.com"}))
        .await;
    let (link, _) = mailed(&site, "a&b@example.com");
    let page = site.get(&format!("/confirm/{link}"), "").await;
    let html = page.text();
    assert!(
        html.contains("<html lang=\"en\">") && html.contains("<h1>") && html.contains("<main>"),
        "{html}"
    );
    assert!(
        html.contains("<label for=\"code\">") && html.contains("id=\"code\""),
        "{html}"
    );
    assert!(html.contains("a&amp;b@example.com") && !html.contains("a&b@"), "{html}");
    assert!(
        !html.contains("<script") && !html.contains("style=") && !html.contains("<img"),
        "{html}"
    );
    assert!(!html.contains('{'), "a place of the template was left open: {html}");
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    for directive in [
        "default-src 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header(header::CACHE_CONTROL), "no-store");
    let unknown = site.get(&format!("/confirm/{}", "A".repeat(43)), "").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(unknown.text().contains("<h1>Unknown link</h1>"));
}
