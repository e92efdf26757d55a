//! What everybody may fetch: CRLs, certificates of issuers, and whether the authority is alive.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;

use crate::app::App;
use crate::crl;
use crate::doctor;
use crate::error::Error;
use crate::http::problem::HttpProblem;

/// `/crl/{issuer}.crl`, DER (RFC 5280 section 4.2.1.13, RFC 2585 section 3).
pub(super) async fn crl(
    State(app): State<Arc<App>>,
    Path(file): Path<String>,
) -> Result<impl IntoResponse, HttpProblem> {
    let Some(issuer) = file.strip_suffix(".crl") else {
        return Err(HttpProblem::not_found("CRLs are at /crl/{issuer}.crl"));
    };
    let crl = crl::current(&app, app.issuers().find(issuer)?).await?;
    Ok(cacheable("application/pkix-crl", crl.der.to_vec()))
}

/// `/ca/{issuer}.cer`, DER (RFC 5280 section 4.2.2.1), and `/ca/root.pem`.
pub(super) async fn certificate(
    State(app): State<Arc<App>>,
    Path(file): Path<String>,
) -> Result<impl IntoResponse, HttpProblem> {
    if file == "root.pem" {
        return Ok(cacheable(
            "application/x-pem-file",
            app.issuers().root().certificate_pem().into_bytes(),
        ));
    }
    let Some(issuer) = file.strip_suffix(".cer") else {
        return Err(HttpProblem::not_found(
            "certificates are at /ca/{issuer}.cer and /ca/root.pem",
        ));
    };
    let issuer = app.issuers().find(issuer)?;
    Ok(cacheable("application/pkix-cert", issuer.certificate_der().to_vec()))
}

/// `/healthz`: answers 200 as long as the database does.
pub(super) async fn health(State(app): State<Arc<App>>) -> Result<impl IntoResponse, HttpProblem> {
    app.db
        .read(|conn| Ok::<_, Error>(crate::store::audit::head(conn)?))
        .await
        .map_err(HttpProblem::from)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], "{\"status\":\"ok\"}\n"))
}

/// `/readyz`: answers 200 as long as orders and status requests can be served, for whoever spreads them over nodes.
pub(super) async fn readiness(State(app): State<Arc<App>>) -> Result<impl IntoResponse, HttpProblem> {
    match doctor::is_ready(&app).await {
        true => Ok(([(header::CONTENT_TYPE, "application/json")], "{\"status\":\"ready\"}\n")),
        false => Err(HttpProblem::busy(
            "the authority is not ready, and its operator can ask why",
        )),
    }
}

/// A minute: short enough for a revocation to spread, long enough for a crowd of clients.
fn cacheable(media_type: &'static str, body: Vec<u8>) -> ([(HeaderName, &'static str); 2], Vec<u8>) {
    (
        [
            (header::CONTENT_TYPE, media_type),
            (header::CACHE_CONTROL, "public, max-age=60"),
        ],
        body,
    )
}
