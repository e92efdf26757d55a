//! What everybody may fetch: CRLs, certificates of issuers, and whether the authority is alive.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use policies::time::Span;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::crl::{self, Scope};
use crate::doctor;
use crate::error::Error;
use crate::http::cache::Cacheable;
use crate::http::problem::HttpProblem;

/// `/crl/{issuer}.crl` and `/crl/{issuer}-{shard}.crl`, DER (RFC 5280 section 4.2.1.13, RFC 2585 section 3).
pub(super) async fn crl(
    State(app): State<Arc<App>>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, HttpProblem> {
    let Some((issuer, scope)) = Scope::of_file_name(&file) else {
        return Err(HttpProblem::not_found("CRLs are at /crl/{issuer}.crl"));
    };
    let crl = crl::current(&app, app.issuers().find(issuer)?, scope).await?;
    let cacheable = Cacheable {
        media_type: "application/pkix-crl",
        directives: "public, no-transform, must-revalidate",
        ask_again_after: CRL_AGE,
        // A number is used for one list only (DESIGN invariant 8).
        tag: format!("{issuer}-{}", crl.number),
        last_modified: crl.this_update,
        shares_its_second: crl.shares_its_second,
        expires: Some(crl.next_update),
    };
    Ok(cacheable.answer(app.now(), &headers, Bytes::from_owner(crl.der)))
}

/// `/ca/{issuer}.cer`, DER (RFC 5280 section 4.2.2.1), and `/ca/root.pem`.
pub(super) async fn certificate(
    State(app): State<Arc<App>>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, HttpProblem> {
    let (media_type, issuer, body) = if file == "root.pem" {
        let root = app.issuers().root();
        ("application/x-pem-file", root, root.certificate_pem().into_bytes())
    } else {
        let Some(issuer) = file.strip_suffix(".cer") else {
            return Err(HttpProblem::not_found(
                "certificates are at /ca/{issuer}.cer and /ca/root.pem",
            ));
        };
        let issuer = app.issuers().find(issuer)?;
        ("application/pkix-cert", issuer, issuer.certificate_der().to_vec())
    };
    let cacheable = Cacheable {
        media_type,
        directives: "public, no-transform",
        ask_again_after: CERTIFICATE_AGE,
        tag: data_encoding::HEXLOWER.encode(&Sha256::digest(&body)),
        last_modified: issuer.not_before(),
        // A new certificate of an issuer begins later than the one it replaces.
        shares_its_second: false,
        expires: Some(issuer.not_after()),
    };
    Ok(cacheable.answer(app.now(), &headers, body))
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
const CRL_AGE: Span = Span::seconds(60);
const CERTIFICATE_AGE: Span = Span::hours(1);
