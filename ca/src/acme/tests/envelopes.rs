//! Requests that are not what RFC 8555 section 6 wants them to be.

use policies::time::Span;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::acme::nonce;

#[tokio::test]
async fn a_nonce_counts_once_for_a_while_and_only_if_it_is_ours() {
    let site = site!();
    let client = site.client("Ada").await;
    let nonce = site.nonce().await;
    let jws = client.key.sign_as_account(&client.kid, &client.kid, &nonce, "");
    site.post(&client.kid, &jws).await.ok();
    site.post(&client.kid, &jws).await.problem(400, "badNonce");
    let again = client.key.sign_as_account(&client.kid, &client.kid, &nonce, "{}");
    site.post(&client.kid, &again).await.problem(400, "badNonce");

    let fresh = site.nonce().await;
    for foreign in [
        "",
        "x",
        &"A".repeat(75),
        &fresh[1..],
        &format!("{fresh}A"),
        &fresh.replacen(&fresh[..1], "_", 1),
    ] {
        let jws = client.key.sign_as_account(&client.kid, &client.kid, foreign, "");
        site.post(&client.kid, &jws).await.problem(400, "badNonce");
    }
    let without = client
        .key
        .sign_with_header(json!({"url": client.kid, "kid": client.kid}), "");
    site.post(&client.kid, &without).await.problem(400, "badNonce");

    let old = site.nonce().await;
    site.world.clock.advance(nonce::LIFETIME);
    let jws = client.key.sign_as_account(&client.kid, &client.kid, &old, "");
    site.post(&client.kid, &jws).await.problem(400, "badNonce");
    // Traces are kept only as long as they are needed.
    site.world.clock.advance(Span::hours(2));
    client.get(&client.kid).await.ok();
    let traces = site
        .world
        .app
        .db
        .read(|conn| {
            use diesel::prelude::*;
            use migrations::schema::acme_used_nonces::dsl::acme_used_nonces;
            Ok::<_, crate::error::Error>(acme_used_nonces.count().get_result::<i64>(conn)?)
        })
        .await
        .unwrap();
    assert_eq!(traces, 1);
}

#[tokio::test]
async fn nodes_on_one_database_take_the_nonces_of_each_other_once() {
    let site = site!();
    let client = site.client("Ada").await;
    let (mut parts, _) = parts(3, &site.world.clock, &site.world.keys, Arc::new(TracingObserver));
    parts.text_records = Some(Arc::clone(&site.mail.dns) as _);
    let other = App::open(&site.world.folder, parts).await.unwrap();
    let nonce = other.acme().unwrap().nonces.make(&other);
    let jws = client
        .key
        .sign_as_account(&client.kid, &client.kid, &nonce, "")
        .to_string();
    let sending: Vec<_> = [&site.world.app, &other, &site.world.app, &other]
        .into_iter()
        .map(|node| {
            let (node, kid, jws) = (Arc::clone(node), client.kid.clone(), jws.clone());
            tokio::spawn(async move {
                crate::acme::request::by_account(&node, &kid, jws.as_bytes())
                    .await
                    .is_ok()
            })
        })
        .collect();
    let mut taken = 0;
    for sent in sending {
        taken += u32::from(sent.await.unwrap());
    }
    assert_eq!(taken, 1);
}

#[tokio::test]
async fn headers_that_say_something_else_than_the_request_are_refused() {
    let site = site!();
    let client = site.client("Ada").await;
    let url = site.url("new-order");
    let check = async |header: Value, status: u16, kind: &str| {
        let jws = client.key.sign_with_header(header, "{}");
        site.post(&url, &jws).await.problem(status, kind)
    };
    let kid = &client.kid;
    let n = || site.nonce();
    check(
        json!({"kid": kid, "nonce": n().await, "url": site.url("new-account")}),
        401,
        "unauthorized",
    )
    .await;
    check(
        json!({"kid": kid, "nonce": n().await, "url": format!("{url}/")}),
        401,
        "unauthorized",
    )
    .await;
    check(json!({"kid": kid, "nonce": n().await}), 400, "malformed").await;
    check(json!({"nonce": n().await, "url": url}), 400, "malformed").await;
    let key = client.key.public();
    check(
        json!({"kid": kid, "jwk": key, "nonce": n().await, "url": url}),
        400,
        "malformed",
    )
    .await;
    check(json!({"jwk": key, "nonce": n().await, "url": url}), 400, "malformed").await;
    check(
        json!({"jwk": {"kty": "oct"}, "nonce": n().await, "url": url}),
        400,
        "badPublicKey",
    )
    .await;
    for stranger in [
        "",
        "https://elsewhere.example/acme/account/1",
        &format!("{kid}x"),
        &format!("{kid}/../x"),
    ] {
        let header = json!({"kid": stranger, "nonce": n().await, "url": url});
        check(header, 400, "accountDoesNotExist").await;
    }
    for algorithm in ["none", "HS256", "RS512"] {
        let header = json!({"alg": algorithm, "kid": kid, "nonce": n().await, "url": url});
        let problem = check(header, 400, "badSignatureAlgorithm").await;
        assert_eq!(problem["algorithms"], json!(["ES256", "ES384", "RS256", "EdDSA"]));
    }
    check(
        json!({"alg": "ES384", "kid": kid, "nonce": n().await, "url": url}),
        400,
        "malformed",
    )
    .await;
    let stolen = Key::es256().sign_as_account(kid, &url, &n().await, "{}");
    site.post(&url, &stolen).await.problem(400, "malformed");
    for media_type in ["application/json", "application/jose+json; charset=utf-8", ""] {
        let jws = client.key.sign_as_account(kid, &url, &n().await, "{}");
        site.send(Method::POST, &url, media_type, jws.to_string())
            .await
            .problem(415, "malformed");
    }
}

/// A seeded run over every resource that takes a body: no changed octet is taken, and none of them makes a panic.
#[tokio::test]
async fn changed_octets_are_never_taken() {
    let site = site!();
    let client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    let mut rng = ChaCha20Rng::from_seed([77; 32]);
    let payload = json!({"identifiers": [{"type": "email", "value": ADA}], "csr": "AAAA", "status": "deactivated"});
    let urls = [
        site.url("new-order"),
        site.url("new-account"),
        site.url("key-change"),
        site.url("revoke-cert"),
        client.kid.clone(),
        placed.url.clone(),
        placed.authorization.clone(),
        placed.finalize.clone(),
    ];
    for round in 0..400_usize {
        let url = &urls[round % urls.len()];
        let nonce = site.nonce().await;
        let jws = client
            .key
            .sign_as_account(&client.kid, url, &nonce, &payload.to_string());
        let mut body = jws.to_string().into_bytes();
        let at = usize::try_from(rng.next_u32()).unwrap() % body.len();
        let before = body[at];
        body[at] = u8::try_from(rng.next_u32() & 0x7f).unwrap();
        if body[at] == before {
            continue;
        }
        let text = String::from_utf8(body).unwrap();
        // A changed blank or escape may leave the same JSON: that is the same request.
        if serde_json::from_str::<Value>(&text).is_ok_and(|changed| changed == jws) {
            continue;
        }
        let answer = site.send(Method::POST, url, "application/jose+json", text).await;
        assert!(
            answer.status.is_client_error(),
            "{url}: {} {}",
            answer.status,
            answer.body
        );
    }
    let order = client.get(&placed.url).await.ok().json();
    assert_eq!(order["status"], "pending");
}
