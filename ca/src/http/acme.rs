//! `/acme/…`: the resources of RFC 8555 section 7.1, RFC 8823 and RFC 9773.
//!
//! Each takes a body, has [`request`] check it, calls one function of the domain and renders. Every answer carries a
//! fresh nonce and says where the directory is (RFC 8555 sections 6.5 and 7.1).

mod answer;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use crate::acme::problem::{Outcome, Refusal};
use crate::acme::request::ByAccount;
use crate::acme::resource::Resource;
use crate::acme::{account, authorization, domain, order, renewal, request, revocation};
use crate::app::App;
use answer::Answer;

/// Every path below `/acme/`.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/acme/directory", get(show_directory))
        .route("/acme/new-nonce", get(new_nonce).head(new_nonce))
        .route("/acme/new-account", post(new_account))
        .route("/acme/account/{id}", post(show_or_change_account))
        .route("/acme/account/{id}/orders", post(list_orders))
        .route("/acme/key-change", post(change_key))
        .route("/acme/new-order", post(new_order))
        .route("/acme/new-authz", post(new_authorization))
        .route("/acme/order/{id}", post(show_order))
        .route("/acme/order/{id}/finalize", post(finalize_order))
        .route("/acme/authorization/{id}", post(show_or_change_authorization))
        .route("/acme/challenge/{id}", post(show_or_answer_challenge))
        .route(
            "/acme/domain-authorization/{id}",
            post(show_or_change_domain_authorization),
        )
        .route(
            "/acme/domain-authorization/{id}/{challenge}",
            post(show_or_answer_domain_challenge),
        )
        .route("/acme/certificate/{id}", post(show_certificate))
        .route("/acme/revoke-cert", post(revoke_certificate))
        .route("/acme/renewal-info/{certificate}", get(show_renewal_info))
}

/// RFC 8555 section 7.1.1.
async fn show_directory(State(app): State<Arc<App>>) -> Response {
    let settings = match app.acme() {
        Ok(acme) => &acme.settings,
        Err(error) => return answer::refused(&app, error.into()),
    };
    let mut meta = json!({
        "externalAccountRequired": true,
        "profiles": order::PROFILES
            .iter()
            .map(|(name, what)| ((*name).to_owned(), json!(what)))
            .collect::<serde_json::Map<_, _>>(),
    });
    for (name, value) in [
        ("termsOfService", &settings.terms_of_service),
        ("website", &settings.website),
    ] {
        if let (Some(value), Some(meta)) = (value, meta.as_object_mut()) {
            meta.insert(name.to_owned(), json!(value));
        }
    }
    let directory = json!({
        "newNonce": Resource::NewNonce.url(&app),
        "newAccount": Resource::NewAccount.url(&app),
        "newOrder": Resource::NewOrder.url(&app),
        "newAuthz": Resource::NewAuthorization.url(&app),
        "revokeCert": Resource::RevokeCert.url(&app),
        "keyChange": Resource::KeyChange.url(&app),
        "renewalInfo": Resource::RenewalInfo.url(&app),
        "meta": meta,
    });
    Answer::json(StatusCode::OK, &directory).render(&app)
}

/// RFC 8555 section 7.2: 200 for HEAD, 204 for GET.
async fn new_nonce(State(app): State<Arc<App>>, method: axum::http::Method) -> Response {
    let status = match method {
        axum::http::Method::HEAD => StatusCode::OK,
        _ => StatusCode::NO_CONTENT,
    };
    Answer::empty(status).render(&app)
}

async fn new_account(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let made = async {
        must_be_jose(&headers)?;
        let request = request::by_key(&app, &Resource::NewAccount.url(&app), &body).await?;
        account::create(&app, request).await
    };
    answer::of(&app, made.await, |made| {
        let (status, account) = match made {
            account::Made::New(account) => (StatusCode::CREATED, account),
            account::Made::Existing(account) => (StatusCode::OK, account),
        };
        let location = Resource::Account(&account.id).url(&app);
        Ok(Answer::json(status, &account.to_json(&app)).at(&location))
    })
}

async fn show_or_change_account(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let shown = async {
        let request = signed(&app, &headers, &body, Resource::Account(&id)).await?;
        must_be_own(&request, &id)?;
        account::show_or_change(&app, &request).await
    };
    answer::of(&app, shown.await, |account| {
        let location = Resource::Account(&account.id).url(&app);
        Ok(Answer::json(StatusCode::OK, &account.to_json(&app)).at(&location))
    })
}

#[derive(Debug, Deserialize)]
struct Page {
    cursor: Option<String>,
}

async fn list_orders(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(page): Query<Page>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut url = Resource::Orders(&id).url(&app);
    let base = url.clone();
    if let Some(cursor) = &page.cursor {
        url.push_str("?cursor=");
        url.push_str(cursor);
    }
    let listed = async {
        must_be_jose(&headers)?;
        let request = request::by_account(&app, &url, &body).await?;
        request.must_be_get()?;
        must_be_own(&request, &id)?;
        order::page(&app, &request.account, page.cursor.as_deref()).await
    };
    answer::of(&app, listed.await, |(orders, next)| {
        let answer = Answer::json(StatusCode::OK, &json!({"orders": orders}));
        Ok(match next {
            Some(cursor) => answer.linking(&format!("{base}?cursor={cursor}"), "next"),
            None => answer,
        })
    })
}

async fn change_key(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let changed = async {
        let request = signed(&app, &headers, &body, Resource::KeyChange).await?;
        account::change_key(&app, &request).await
    };
    answer::of(&app, changed.await, |()| Ok(Answer::json(StatusCode::OK, &json!({}))))
}

async fn new_order(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let placed = async {
        let request = signed(&app, &headers, &body, Resource::NewOrder).await?;
        order::create(&app, &request).await
    };
    answer::of(&app, placed.await, |order| {
        Ok(of_order(&app, StatusCode::CREATED, &order).at(&Resource::Order(order.id()).url(&app)))
    })
}

async fn show_order(State(app): State<Arc<App>>, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let shown = async {
        let request = signed(&app, &headers, &body, Resource::Order(&id)).await?;
        request.must_be_get()?;
        order::find(&app, &request.account, &id).await
    };
    answer::of(&app, shown.await, |order| Ok(of_order(&app, StatusCode::OK, &order)))
}

async fn finalize_order(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let finalized = async {
        let request = signed(&app, &headers, &body, Resource::Finalize(&id)).await?;
        order::finalize(&app, &request, &id).await
    };
    answer::of(&app, finalized.await, |order| {
        Ok(of_order(&app, StatusCode::OK, &order).at(&Resource::Order(order.id()).url(&app)))
    })
}

async fn show_or_change_authorization(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let shown = async {
        let request = signed(&app, &headers, &body, Resource::Authorization(&id)).await?;
        authorization::show_or_change(&app, &request, &id).await
    };
    answer::of(&app, shown.await, |authorization| {
        let answer = Answer::json(StatusCode::OK, &authorization.to_json(&app)?);
        Ok(match authorization.is_pending() {
            true => answer.retry_after(REPLY_TAKES),
            false => answer,
        })
    })
}

async fn show_or_answer_challenge(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let shown = async {
        let request = signed(&app, &headers, &body, Resource::Challenge(&id)).await?;
        authorization::show_or_answer(&app, &request, &id).await
    };
    answer::of(&app, shown.await, |authorization| {
        let up = Resource::Authorization(&authorization.id).url(&app);
        let answer = Answer::json(StatusCode::OK, &authorization.challenge_to_json(&app)?).linking(&up, "up");
        Ok(match authorization.is_pending() {
            true => answer.retry_after(REPLY_TAKES),
            false => answer,
        })
    })
}

/// RFC 8555 section 7.4.1.
async fn new_authorization(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let begun = async {
        let request = signed(&app, &headers, &body, Resource::NewAuthorization).await?;
        domain::create(&app, &request).await
    };
    answer::of(&app, begun.await, |authorization| {
        let location = Resource::DomainAuthorization(authorization.id()).url(&app);
        Ok(Answer::json(StatusCode::CREATED, &authorization.to_json(&app)).at(&location))
    })
}

async fn show_or_change_domain_authorization(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let shown = async {
        let request = signed(&app, &headers, &body, Resource::DomainAuthorization(&id)).await?;
        domain::show_or_change(&app, &request, &id).await
    };
    answer::of(&app, shown.await, |authorization| {
        Ok(Answer::json(StatusCode::OK, &authorization.to_json(&app)))
    })
}

async fn show_or_answer_domain_challenge(
    State(app): State<Arc<App>>,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let shown = async {
        let challenge = domain::Challenge::parse(&name).ok_or(Refusal::NotFound)?;
        let request = signed(&app, &headers, &body, Resource::DomainChallenge(&id, &name)).await?;
        let authorization = domain::show_or_answer(&app, &request, &id, challenge).await?;
        Ok((authorization, challenge))
    };
    answer::of(&app, shown.await, |(authorization, challenge)| {
        let up = Resource::DomainAuthorization(authorization.id()).url(&app);
        let answer = Answer::json(StatusCode::OK, &authorization.challenge_to_json(&app, challenge)).linking(&up, "up");
        Ok(match authorization.is_pending() {
            true => answer.retry_after(LOOKING_TAKES),
            false => answer,
        })
    })
}

async fn show_certificate(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let shown = async {
        let request = signed(&app, &headers, &body, Resource::Certificate(&id)).await?;
        request.must_be_get()?;
        order::chain(&app, &request.account, &id).await
    };
    answer::of(&app, shown.await, |chain| Ok(Answer::pem_chain(chain)))
}

async fn revoke_certificate(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let revoked = async {
        must_be_jose(&headers)?;
        let request = request::check(&app, &Resource::RevokeCert.url(&app), &body).await?;
        revocation::revoke(&app, &request).await
    };
    answer::of(&app, revoked.await, |()| Ok(Answer::empty(StatusCode::OK)))
}

/// RFC 9773 section 4.1: an ordinary GET, for anybody.
async fn show_renewal_info(State(app): State<Arc<App>>, Path(certificate): Path<String>) -> Response {
    answer::of(&app, renewal::info(&app, &certificate).await, |(info, retry_after)| {
        Ok(Answer::json(StatusCode::OK, &info).retry_after(retry_after))
    })
}

fn of_order(app: &App, status: StatusCode, order: &order::AcmeOrder) -> Answer {
    let answer = Answer::json(status, &order.to_json(app));
    match order.status() {
        order::Status::Processing => answer.retry_after(ISSUING_TAKES),
        _ => answer,
    }
}

/// What most handlers begin with: a request for this resource that an account has signed.
async fn signed(app: &App, headers: &HeaderMap, body: &[u8], resource: Resource<'_>) -> Outcome<ByAccount> {
    must_be_jose(headers)?;
    request::by_account(app, &resource.url(app), body).await
}

/// RFC 8555 section 6.2.
fn must_be_jose(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"application/jose+json") => Ok(()),
        _ => Err(Refusal::MediaType),
    }
}

/// An account sees no other, and learns nothing about whether there is one.
fn must_be_own(request: &ByAccount, id: &str) -> Result<(), Refusal> {
    match request.account.id == id {
        true => Ok(()),
        false => Err(Refusal::unauthorized(
            "this is another account than the one that signed",
        )),
    }
}

/// How long to wait before asking again, in seconds: a reply has to travel through two mail systems.
const REPLY_TAKES: i64 = 10;
/// Another request is looking.
const LOOKING_TAKES: i64 = 5;
/// Evidence that an order waits for comes from people.
const ISSUING_TAKES: i64 = 30;
