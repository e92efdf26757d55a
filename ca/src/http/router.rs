//! Every path there is, in one list.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};

use crate::app::App;
use crate::http::{
    accounts, acme, cases, certificates, challenges, confirm, directory, domains, mailboxes, ocsp, orders, plans,
    problem, public, reports, request, rosters,
};
use crate::ocsp::LARGEST_REQUEST;
use crate::validation::case::LARGEST_DOCUMENT;
use crate::validation::roster::LARGEST_ROSTER;

/// What the API listener serves, over TLS.
pub fn api(app: Arc<App>) -> Router {
    let routes = Router::new()
        // Operators
        .route(
            "/v1/accounts",
            get(accounts::list_accounts).post(accounts::create_account),
        )
        .route(
            "/v1/accounts/{id}/plan",
            get(plans::show_plan).patch(plans::change_plan),
        )
        .route("/v1/principals", post(accounts::create_principal))
        .route("/v1/principals/{id}/revocation", post(accounts::revoke_tokens))
        // Everybody with a token
        .route("/v1/whoami", get(accounts::show_caller))
        // Subscribers and gateways
        .route("/v1/challenges", post(challenges::create_challenge))
        .route("/v1/challenges/{id}", get(challenges::show_challenge))
        .route("/v1/directory/{mailbox}", get(directory::show_entry))
        .route("/v1/domains", get(domains::list_domains).post(domains::begin_domain))
        .route("/v1/domains/{id}", get(domains::show_domain))
        .route("/v1/domains/{id}/check", post(domains::check_domain))
        .route("/v1/mailboxes/{mailbox}", get(mailboxes::show_mailbox))
        .route("/v1/orders", post(orders::place_order))
        .route("/v1/orders/{id}", get(orders::show_order))
        .route("/v1/certificates", get(certificates::list_certificates))
        .route("/v1/certificates/{serial}", get(certificates::show_certificate))
        .route(
            "/v1/certificates/{serial}/revocation",
            post(certificates::revoke_certificate),
        )
        .route("/v1/cases", get(cases::list_cases).post(cases::open_case))
        .route("/v1/cases/{id}", get(cases::show_case))
        .route(
            "/v1/cases/{id}/documents",
            // One octet more, so that the domain says what is too large rather than the framework.
            post(cases::add_document).layer(DefaultBodyLimit::max(LARGEST_DOCUMENT + 1)),
        )
        .route(
            "/v1/rosters",
            get(rosters::list_rosters)
                .post(rosters::import_roster)
                .layer(DefaultBodyLimit::max(LARGEST_ROSTER + 1)),
        )
        .route("/v1/rosters/{id}", get(rosters::show_roster))
        // Officers
        .route("/v1/rosters/{id}/decision", post(rosters::decide_roster))
        .route("/v1/cases/{id}/documents/{document}", get(cases::read_document))
        .route("/v1/cases/{id}/evidence", post(cases::record_evidence))
        .route("/v1/cases/{id}/decisions", post(cases::decide_case))
        // Anybody, without a token
        .route("/report", get(reports::show_form).post(reports::submit_form))
        .route("/v1/reports", get(reports::list_reports).post(reports::file_report))
        // Officers and operators
        .route("/v1/reports/{id}/answer", post(reports::answer_report))
        .route("/v1/reports/{id}/closing", post(reports::close_report))
        .route("/metrics", get(reports::show_metrics))
        // Readers of challenge mails, without a token
        .route("/confirm/{link}", get(confirm::show_page).post(confirm::submit_page))
        .route("/style.css", get(confirm::style))
        .route("/healthz", get(public::health))
        .route("/readyz", get(public::readiness));
    let routes = match app.config.acme {
        Some(_) => routes.merge(acme::routes()),
        None => routes,
    };
    finish(routes, app)
}

/// What the public listener serves, over plain HTTP.
pub fn public(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route("/crl/{file}", get(public::crl))
        .route("/ca/{file}", get(public::certificate))
        .route("/healthz", get(public::health))
        .route("/readyz", get(public::readiness));
    let routes = match app.config.ocsp.enabled {
        true => routes
            .route(
                "/ocsp",
                post(ocsp::post_request).layer(DefaultBodyLimit::max(LARGEST_REQUEST)),
            )
            .route("/ocsp/{*request}", get(ocsp::get_request)),
        false => routes,
    };
    finish(routes, app)
}

fn finish(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    routes
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(request::Limits::new(), request::handle))
        .with_state(app)
}

/// The largest JSON body is an order: an RSA-4096 certificate request is 2 KiB in base64.
const LARGEST_BODY: usize = 64 * 1024;
