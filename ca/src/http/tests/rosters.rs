//! Rosters over HTTP.

use policies::time::Span;

use super::*;

const FILE: &str = "mailbox,given_name,surname,title\nada@example.com,Ada,Lovelace,Engineer\n";

async fn bank(site: &Site) -> String {
    let (bank, token) = site.world.principal_with_token("Bank", Role::Subscriber).await;
    for proof in [Proof::domain("example.com"), Proof::organization(), Proof::authority()] {
        site.world.prove(&bank, proof, Span::hours(1)).await;
    }
    token
}

async fn upload(site: &Site, query: &str, token: &str, media_type: &str, file: Vec<u8>) -> Answer {
    let upload = request(Method::POST, &format!("/v1/rosters{query}"), Some(token))
        .header(header::CONTENT_TYPE, media_type)
        .body(Body::from(file))
        .unwrap();
    site.call(upload).await
}

#[tokio::test]
async fn a_roster_goes_from_the_file_to_the_decision() {
    let site = Site::new().await;
    let bank = bank(&site).await;
    let dry = upload(&site, "?dry_run=true", &bank, "text/csv", FILE.into()).await;
    assert_eq!(
        (dry.status, dry.json()["rows"][0]["outcome"].clone()),
        (StatusCode::OK, json!("add"))
    );
    let report = upload(&site, "", &bank, "text/csv; charset=utf-8", FILE.into()).await;
    assert_eq!(report.status, StatusCode::CREATED, "{}", report.text());
    let path = format!("/v1/rosters/{}", report.json()["id"].as_str().unwrap());

    let officer = site.token(Role::Officer).await;
    let decision = json!({"decision": "approve", "reason": "called them"});
    let path_decision = format!("{path}/decision");
    for body in [
        json!({"decision": "approve"}),
        json!({"decision": "maybe", "reason": "x"}),
        json!({"decision": "approve", "reason": "x", "rows": [1]}),
    ] {
        site.post(&path_decision, &officer, body)
            .await
            .problem(400, "malformed-request");
    }
    site.post(&path_decision, &officer, json!({"decision": "approve", "reason": " "}))
        .await
        .problem(422, "invalid-input");
    for token in [&bank, &site.token(Role::Operator).await] {
        site.post(&path_decision, token, decision.clone())
            .await
            .problem(403, "not-allowed");
    }
    let decided = site.post(&path_decision, &officer, decision.clone()).await.json();
    assert_eq!(decided["state"], "approved", "{decided}");
    assert_eq!(decided["rows"][0]["surname"], "Lovelace");
    site.post(&path_decision, &officer, decision)
        .await
        .problem(409, "state-changed");
    let listed = site.get("/v1/rosters", &bank).await.json();
    assert_eq!(listed[0]["state"], "approved", "{listed}");
    let neighbour = site.token(Role::Subscriber).await;
    assert_eq!(site.get("/v1/rosters", &neighbour).await.json(), json!([]));
    site.get(&path, &neighbour).await.problem(404, "not-found");
}

#[tokio::test]
async fn files_that_are_no_roster_are_refused() {
    let site = Site::new().await;
    let bank = bank(&site).await;
    upload(&site, "", &bank, "application/json", FILE.into())
        .await
        .problem(415, "media-type");
    upload(&site, "?dryrun=true", &bank, "text/csv", FILE.into())
        .await
        .problem(400, "malformed-request");
    for file in [
        &b""[..],
        b"mailbox,surname\n",
        b"\xff\xfe\x00",
        b"name\nAda\n",
        b"\"mailbox,surname\n",
    ] {
        upload(&site, "", &bank, "text/csv", file.to_vec())
            .await
            .problem(422, "invalid-input");
    }
    upload(&site, "", &bank, "text/csv", vec![b'a'; 1024 * 1024 + 1])
        .await
        .problem(422, "invalid-input");
    upload(&site, "", &bank, "text/csv", vec![b'a'; 1024 * 1024 + 2])
        .await
        .problem(413, "too-large");
    let unvalidated = site.token(Role::Subscriber).await;
    let problem = upload(&site, "", &unvalidated, "text/csv", FILE.into()).await;
    assert_eq!(
        problem.problem(409, "evidence-insufficient").section.as_deref(),
        Some("1.3.2.1")
    );
}
