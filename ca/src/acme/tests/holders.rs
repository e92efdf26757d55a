//! Accounts, their keys and their bindings.

use policies::time::Span;

use super::*;

#[tokio::test]
async fn an_account_needs_a_binding_that_an_operator_made_for_it() {
    let site = site!();
    let owner = site.world.principal("Ada", Role::Subscriber).await;
    let (id, secret) = site.external_key(&owner).await;
    let key = Key::es256();
    let url = site.url("new-account");
    let check = async |bound: Value, status: u16, kind: &str| {
        site.new_account(&key, json!({"externalAccountBinding": bound}))
            .await
            .problem(status, kind)
    };
    site.new_account(&key, json!({}))
        .await
        .problem(401, "externalAccountRequired");
    let wrong = encode([7; 32]);
    check(binding(&id, &wrong, &key, &url), 401, "unauthorized").await;
    check(binding("eab-unknown", &secret, &key, &url), 401, "unauthorized").await;
    check(binding(&id, &secret, &key, &site.url("new-order")), 401, "unauthorized").await;
    check(binding(&id, &secret, &Key::es256(), &url), 400, "malformed").await;
    check(json!("x"), 400, "malformed").await;
    let mut other = binding(&id, &secret, &key, &url);
    other["protected"] = json!(encode(json!({"alg": "HS512", "kid": id, "url": url}).to_string()));
    check(other, 400, "malformed").await;
    let mut with_nonce = binding(&id, &secret, &key, &url);
    with_nonce["protected"] = json!(encode(
        json!({"alg": "HS256", "kid": id, "url": url, "nonce": "x"}).to_string()
    ));
    check(with_nonce, 400, "malformed").await;

    let good = json!({"externalAccountBinding": binding(&id, &secret, &key, &url)});
    let made = site.new_account(&key, good.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    // The same key finds its account; another key cannot use the binding again.
    let found = site.new_account(&key, json!({"onlyReturnExisting": true})).await.ok();
    assert_eq!(
        (found.status, found.header("location")),
        (StatusCode::OK, made.header("location"))
    );
    let second = Key::es256();
    let again = json!({"externalAccountBinding": binding(&id, &secret, &second, &url)});
    site.new_account(&second, again).await.problem(401, "unauthorized");
    site.new_account(&second, json!({"onlyReturnExisting": true}))
        .await
        .problem(400, "accountDoesNotExist");
}

#[tokio::test]
async fn expired_and_revoked_bindings_are_of_no_use() {
    let site = site!();
    let owner = site.world.principal("Ada", Role::Subscriber).await;
    let app = &site.world.app;
    let local = accounts::local_operator();
    let operator = local.as_operator("test").unwrap();
    let account = owner.account.as_ref().unwrap().as_ref();
    let (revoked, secret) = external::create(app, operator, account, "r", None).await.unwrap();
    assert_eq!(
        external::revoke(app, operator, &revoked.id)
            .await
            .unwrap()
            .state(app.now()),
        "revoked"
    );
    let until = Some(app.now().plus(Span::hours(1)));
    let (expiring, other) = external::create(app, operator, account, "e", until).await.unwrap();
    site.world.clock.advance(Span::hours(1));
    for (id, secret) in [(&revoked.id, secret.reveal()), (&expiring.id, other.reveal())] {
        let key = Key::es256();
        let bound = binding(id, secret, &key, &site.url("new-account"));
        site.new_account(&key, json!({"externalAccountBinding": bound}))
            .await
            .problem(401, "unauthorized");
    }
    let past = Some(app.now());
    assert!(external::create(app, operator, account, "p", past).await.is_err());
    assert!(external::create(app, operator, "acc-none", "p", None).await.is_err());
    assert!(external::revoke(app, operator, "eab-none").await.is_err());
    let listed = external::list(app, operator, Some(account)).await.unwrap();
    assert_eq!(listed.len(), 2);
}

#[tokio::test]
async fn invariant_12_the_secret_of_a_binding_is_nowhere_in_clear() {
    let site = site!();
    let owner = site.world.principal("Ada", Role::Subscriber).await;
    let (_, secret) = site.external_key(&owner).await;
    let octets = data_encoding::BASE64URL_NOPAD.decode(secret.as_bytes()).unwrap();
    for entry in std::fs::read_dir(&site.world.folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let content = std::fs::read(&path).unwrap();
            let has = |part: &[u8]| content.windows(part.len()).any(|window| window == part);
            assert!(!has(&octets) && !has(secret.as_bytes()), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn revoking_a_binding_ends_the_account_that_it_made() {
    let site = site!();
    let client = site.client("Ada").await;
    let local = accounts::local_operator();
    let operator = local.as_operator("test").unwrap();
    let key = external::list(&site.world.app, operator, None).await.unwrap().remove(0);
    external::revoke(&site.world.app, operator, &key.id).await.unwrap();
    client.get(&client.kid).await.problem(401, "unauthorized");
    client
        .place(json!({"identifiers": [{"type": "email", "value": ADA}]}))
        .await
        .problem(401, "unauthorized");
}

#[tokio::test]
async fn contacts_and_terms_are_checked() {
    let site = site!("terms_of_service = \"https://ca.example.net/terms\"");
    let key = Key::es256();
    let refused = site.new_account(&key, json!({})).await;
    refused.problem(403, "userActionRequired");
    let links: Vec<_> = refused.headers.get_all("link").iter().collect();
    assert!(
        links
            .iter()
            .any(|link| link.to_str().unwrap().contains("terms-of-service"))
    );
    for (contact, kind) in [
        ("tel:+4912345", "unsupportedContact"),
        ("ada@example.com", "unsupportedContact"),
        ("mailto:", "invalidContact"),
        ("mailto:a@example.com,b@example.com", "invalidContact"),
        ("mailto:a@example.com?subject=x", "invalidContact"),
    ] {
        let new = json!({"termsOfServiceAgreed": true, "contact": [contact]});
        site.new_account(&key, new).await.problem(400, kind);
    }
    let six = json!({"termsOfServiceAgreed": true, "contact": vec!["mailto:a@example.com"; 6]});
    site.new_account(&key, six).await.problem(400, "invalidContact");

    let client = site.client("Ada").await;
    let changed = client
        .post(&client.kid, r#"{"contact":["mailto:ada@example.com"]}"#)
        .await
        .ok();
    assert_eq!(changed.json()["contact"], json!(["mailto:ada@example.com"]));
    client
        .post(&client.kid, r#"{"contact":["tel:1"]}"#)
        .await
        .problem(400, "unsupportedContact");
    client
        .post(&client.kid, r#"{"status":"revoked"}"#)
        .await
        .problem(400, "malformed");
}

#[tokio::test]
async fn a_deactivated_account_does_nothing_any_more() {
    let site = site!();
    let client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    let ended = client.post(&client.kid, r#"{"status":"deactivated"}"#).await.ok();
    assert_eq!(ended.json()["status"], "deactivated");
    for url in [&client.kid, &placed.url, &placed.authorization] {
        client.get(url).await.problem(401, "unauthorized");
    }
    let found = site.new_account(&client.key, json!({"onlyReturnExisting": true})).await;
    found.problem(401, "unauthorized");
}

#[tokio::test]
async fn the_key_of_an_account_is_changed_by_both_keys() {
    let site = site!();
    let mut client = site.client("Ada").await;
    let other = site.client("Eve").await;
    let url = site.url("key-change");
    let new = Key::one_of_each_kind()[3].clone();
    let payload = json!({"account": client.kid, "oldKey": client.key.public()}).to_string();
    let change = async |inner: Value| client.post(&url, &inner.to_string()).await;
    change(new.sign_with_key(&url, Some("x"), &payload))
        .await
        .problem(400, "malformed");
    change(new.sign_with_key(&client.kid, None, &payload))
        .await
        .problem(401, "unauthorized");
    let of_another = json!({"account": other.kid, "oldKey": client.key.public()}).to_string();
    change(new.sign_with_key(&url, None, &of_another))
        .await
        .problem(400, "malformed");
    let other_key = json!({"account": client.kid, "oldKey": other.key.public()}).to_string();
    change(new.sign_with_key(&url, None, &other_key))
        .await
        .problem(400, "malformed");
    let with_kid = new.sign_with_header(json!({"url": url, "kid": client.kid}), &payload);
    change(with_kid).await.problem(400, "malformed");
    let mut forged = new.sign_with_key(&url, None, &payload);
    forged["signature"] = json!(encode([7; 64]));
    change(forged).await.problem(400, "malformed");
    let taken = change(other.key.sign_with_key(&url, None, &payload)).await;
    taken.problem(409, "malformed");
    assert_eq!(taken.header("location"), other.kid);

    change(new.sign_with_key(&url, None, &payload)).await.ok();
    client.get(&client.kid).await.problem(400, "malformed");
    client.key = new;
    client.get(&client.kid).await.ok();
}

#[tokio::test]
async fn what_belongs_to_another_account_does_not_exist() {
    let site = site!();
    let ada = site.client("Ada").await;
    let (placed, chain) = ada.certificate(ADA).await;
    let order = ada.get(&placed.url).await.json();
    // A stranger, and a second client of the same tenant: what one client has ordered is not shown to another.
    for eve in [site.client("Eve").await, site.client_of(ada.owner.clone()).await] {
        for url in [
            &placed.url,
            &placed.authorization,
            order["certificate"].as_str().unwrap(),
        ] {
            eve.get(url).await.problem(404, "malformed");
        }
        let challenge = ada.challenge(&placed).await;
        eve.get(challenge["url"].as_str().unwrap())
            .await
            .problem(404, "malformed");
        eve.post(challenge["url"].as_str().unwrap(), "{}")
            .await
            .problem(404, "malformed");
        eve.post(&placed.authorization, r#"{"status":"deactivated"}"#)
            .await
            .problem(404, "malformed");
        eve.finalize(&placed, &request_for(ADA)).await.problem(404, "malformed");
        eve.get(&ada.kid).await.problem(401, "unauthorized");
        eve.post(&ada.kid, r#"{"status":"deactivated"}"#)
            .await
            .problem(401, "unauthorized");
        eve.get(&format!("{}/orders", ada.kid))
            .await
            .problem(401, "unauthorized");
        let revocation = json!({"certificate": encode(leaf(&chain))}).to_string();
        eve.post(&site.url("revoke-cert"), &revocation)
            .await
            .problem(401, "unauthorized");
    }
    let orders = ada.get(&format!("{}/orders", ada.kid)).await.ok().json();
    assert_eq!(orders["orders"], json!([placed.url]));
}
