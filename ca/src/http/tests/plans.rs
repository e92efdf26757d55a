//! Plans as operators, members and neighbours find them.

use super::*;

#[tokio::test]
async fn an_account_begins_free_and_an_order_over_the_plan_says_what_to_ask_for() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    let operator = site.token(Role::Operator).await;
    let fresh = site
        .post("/v1/accounts", &operator, json!({"name": "E", "kind": "organization"}))
        .await
        .json();
    let path = format!("/v1/accounts/{}/plan", fresh["id"].as_str().unwrap());
    let plan = site.get(&path, &operator).await.json();
    assert_eq!(
        (&plan["plan"], &plan["tiers"], &plan["employee_seats"]["included"]),
        (&json!("free"), &json!(["V1"]), &json!(0))
    );

    let own = format!("/v1/accounts/{}/plan", it.account);
    let free = patch(&site, &own, &operator, json!({"plan": "free"})).await;
    assert_eq!(free.json()["plan"], "free");
    let order = site
        .post("/v1/orders", &it.owner, order_body("alice@example.com", "V3"))
        .await
        .json();
    assert_eq!(order["state"], "pending", "{order}");
    assert!(
        order["problem"]["type"].as_str().unwrap().ends_with("plan-limit"),
        "{order}"
    );
    let detail = order["problem"]["detail"].as_str().unwrap();
    assert!(
        detail.contains("ask an operator for the plan pro-organization"),
        "{detail}"
    );
}

#[tokio::test]
async fn changes_that_make_no_sense_are_refused_and_change_nothing() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    let operator = site.token(Role::Operator).await;
    let path = format!("/v1/accounts/{}/plan", it.account);
    let before = site.get(&path, &operator).await.json();
    for (body, name) in [
        (json!({"plan": "gold"}), "malformed-request"),
        (json!({"plan": "free", "seats": 1}), "malformed-request"),
        (json!({"granted_employee_seats": -1}), "malformed-request"),
        (json!({"granted_employee_seats": 1.5}), "malformed-request"),
    ] {
        patch(&site, &path, &operator, body).await.problem(400, name);
    }
    for body in [
        json!({"granted_employee_seats": 1_000_001}),
        json!({"plan": "pro-individual"}),
        json!({"plan": "free", "granted_employee_seats": 1}),
    ] {
        patch(&site, &path, &operator, body).await.problem(422, "invalid-input");
    }
    patch(
        &site,
        "/v1/accounts/acc-nobody/plan",
        &operator,
        json!({"plan": "free"}),
    )
    .await
    .problem(404, "not-found");
    assert_eq!(site.get(&path, &operator).await.json(), before);
}

#[tokio::test]
async fn members_see_their_own_plan_and_change_none() {
    let site = Site::new().await;
    let it = belongings(&site).await;
    let path = format!("/v1/accounts/{}/plan", it.account);
    let change = json!({"granted_employee_seats": 100});
    assert_eq!(site.get(&path, &it.owner).await.json()["plan"], "pro-organization");
    patch(&site, &path, &it.owner, change.clone())
        .await
        .problem(403, "not-allowed");
    for role in [Role::Subscriber, Role::Gateway] {
        let stranger = site.token(role).await;
        site.get(&path, &stranger).await.problem(404, "not-found");
        patch(&site, &path, &stranger, change.clone())
            .await
            .problem(403, "not-allowed");
    }
    let officer = site.token(Role::Officer).await;
    patch(&site, &path, &officer, change).await.problem(403, "not-allowed");
    assert_eq!(site.get(&path, &officer).await.json()["employee_seats"]["granted"], 0);
}

async fn patch(site: &Site, path: &str, token: &str, body: Value) -> Answer {
    site.call(with_json(Method::PATCH, path, Some(token), &body)).await
}
