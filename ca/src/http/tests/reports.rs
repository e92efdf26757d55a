//! The form that everybody may fill in, its API, and the metrics.

use policies::time::Span;

use super::*;
use crate::orders::{OrderState, place};

async fn serial(site: &Site) -> String {
    let ada = site.world.subscriber("Ada").await;
    site.world
        .prove(&ada, Proof::mailbox("ada@example.com"), Span::hours(1))
        .await;
    let placed = place(&site.world.app, &ada, order("ada@example.com", TierChoice::Best))
        .await
        .unwrap();
    match placed.state {
        OrderState::Valid { serial, .. } => serial,
        other => panic!("{other:?}"),
    }
}

async fn submit(site: &Site, form: &str) -> Answer {
    let request = request(Method::POST, "/report", None)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form.to_owned()))
        .unwrap();
    site.call(request).await
}

#[tokio::test]
async fn the_form_is_inert_until_it_is_filled_in_and_gives_back_what_was_typed() {
    let site = Site::new().await;
    let serial = serial(&site).await;
    let page = site
        .call(request(Method::GET, "/report", None).body(Body::empty()).unwrap())
        .await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("<form method=\"post\">") && !page.text().contains("<script"));
    let wrong = submit(&site, "serial=40&cause=misuse&text=%3Cb%3Eseen%3C%2Fb%3E&contact=").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    // Nothing typed becomes markup.
    assert!(wrong.text().contains("&lt;b&gt;seen&lt;/b&gt;") && !wrong.text().contains("<b>seen"));
    for form in ["", "serial=1", "serial=1&cause=misuse&text=x&contact=&more=1"] {
        assert_eq!(submit(&site, form).await.status, StatusCode::BAD_REQUEST, "{form}");
    }
    let sent = submit(
        &site,
        &format!("serial={serial}&cause=misuse&text=a%0D%0Ab&contact=eve%40example.net"),
    )
    .await;
    assert_eq!(sent.status, StatusCode::CREATED);
    let officer = site.token(Role::Officer).await;
    let listed = site.get("/v1/reports", &officer).await.json();
    let report = &listed["reports"][0];
    assert!(sent.text().contains(report["id"].as_str().unwrap()));
    assert_eq!(
        (report["text"].as_str(), report["source"].as_str()),
        (Some("a\nb"), Some("form"))
    );
    assert_eq!(report["cause_number"], 7);
}

#[tokio::test]
async fn a_program_files_a_report_and_officers_bring_it_to_its_end() {
    let site = Site::new().await;
    let serial = serial(&site).await;
    let body = json!({"serial": serial, "cause": "key-compromise", "text": "seen"});
    let filed = site.call(with_json(Method::POST, "/v1/reports", None, &body)).await;
    assert_eq!(filed.status, StatusCode::CREATED);
    let id = filed.json()["id"].as_str().unwrap().to_owned();
    let bad = json!({"serial": serial, "cause": "keyCompromise", "text": "seen"});
    site.call(with_json(Method::POST, "/v1/reports", None, &bad))
        .await
        .problem(422, "invalid-input");

    let (officer, subscriber) = (site.token(Role::Officer).await, site.token(Role::Subscriber).await);
    site.get("/v1/reports", &subscriber).await.problem(403, "not-allowed");
    let answer = json!({"cause": "key-compromise", "findings": "It is."});
    let path = format!("/v1/reports/{id}/answer");
    site.post(&path, &subscriber, answer.clone())
        .await
        .problem(403, "not-allowed");
    let answered = site.post(&path, &officer, answer.clone()).await;
    assert_eq!(
        (answered.status, &answered.json()["state"]),
        (StatusCode::OK, &json!("answered"))
    );
    assert_eq!(answered.json()["next"]["overdue"], false);
    assert_eq!(site.post(&path, &officer, answer).await.status, StatusCode::CONFLICT);
    let closed = site
        .post(&format!("/v1/reports/{id}/closing"), &officer, json!({"revoke": true}))
        .await;
    assert_eq!(
        (closed.status, &closed.json()["state"]),
        (StatusCode::OK, &json!("closed"))
    );
    assert!(site.world.row(&serial).await.revoked_at.is_some());
}

#[tokio::test]
async fn operators_read_figures_for_prometheus() {
    let site = Site::new().await;
    let serial = serial(&site).await;
    let body = json!({"serial": serial, "cause": "misuse", "text": "seen"});
    site.call(with_json(Method::POST, "/v1/reports", None, &body)).await;
    // Refused for want of evidence.
    let mallory = site.world.subscriber("Mallory").await;
    place(&site.world.app, &mallory, order("m@example.net", TierChoice::Best))
        .await
        .unwrap();
    let officer = site.token(Role::Officer).await;
    site.get("/metrics", &officer).await.problem(403, "not-allowed");
    let operator = site.token(Role::Operator).await;
    let answer = site.get("/metrics", &operator).await;
    assert!(
        answer
            .header(header::CONTENT_TYPE)
            .starts_with("text/plain; version=0.0.4")
    );
    let text = answer.text();
    for line in [
        "sealwright_certificates_issued_total 1",
        "sealwright_orders_refused_total{why=\"evidence\"} 1",
        "sealwright_orders_refused_total{why=\"caa\"} 0",
        "sealwright_orders_pending 1",
        "sealwright_problem_report_clocks{state=\"running\"} 1",
        "sealwright_problem_report_clocks{state=\"overdue\"} 0",
        "sealwright_crl_age_seconds{issuer=\"issuing\",shard=\"0\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    // Each metric is described once, before its lines, and its lines stand together.
    let mut described = std::collections::BTreeSet::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            current = rest.split(' ').next().unwrap().to_owned();
            assert!(described.insert(current.clone()), "{line}");
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&current), "{line} after {current}");
        }
    }
}
