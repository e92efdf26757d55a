//! `/v1/certificates`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use ca_api::{CertificateFilter, CertificatePage, CertificateState};
use policies::mailbox::Mailbox;
use policies::time::Timestamp;

use crate::accounts::Caller;
use crate::app::App;
use crate::certificates::{self, Certificate};
use crate::error::Error;
use crate::http::extract::{JsonBody, QueryOf};
use crate::http::problem::HttpProblem;
use crate::revocation::{self, Reason};

pub(super) async fn list_certificates(
    State(app): State<Arc<App>>,
    caller: Caller,
    QueryOf(filter): QueryOf<CertificateFilter>,
) -> Result<Json<CertificatePage>, HttpProblem> {
    Ok(Json(page(&app, &caller, filter).await?))
}

pub(super) async fn show_certificate(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(serial): Path<String>,
) -> Result<Json<ca_api::Certificate>, HttpProblem> {
    let certificate = certificates::find(&app, &caller, &serial).await?;
    Ok(Json(with_chain(&app, certificate)?))
}

pub(super) async fn revoke_certificate(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(serial): Path<String>,
    JsonBody(revocation): JsonBody<ca_api::Revocation>,
) -> Result<Json<ca_api::Certificate>, HttpProblem> {
    let reason: Reason = revocation
        .reason
        .parse()
        .map_err(|error: revocation::UnknownReason| Error::InvalidInput {
            field: "reason",
            reason: error.to_string(),
        })?;
    let certificate = revocation::revoke(&app, &caller, &serial, reason).await?;
    Ok(Json(with_chain(&app, certificate)?))
}

/// One page of certificates, for this resource and for the command line.
pub(crate) async fn page(app: &App, caller: &Caller, filter: CertificateFilter) -> Result<CertificatePage, Error> {
    let query = certificates::Query {
        mailbox: filter.mailbox,
        tier: filter.tier,
        key_use: filter.key_use,
        account: filter.account,
        worth: filter.state,
        after: filter.cursor,
        limit: PAGE,
    };
    let found = certificates::list(app, caller, query).await?;
    let is_last = found.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
    let next_cursor = found
        .last()
        .filter(|_| !is_last)
        .map(|certificate| certificate.id.clone());
    let now = app.now();
    let certificates = found
        .into_iter()
        .map(|certificate| on_the_wire(certificate, now))
        .collect::<Result<_, _>>()?;
    Ok(CertificatePage {
        certificates,
        next_cursor,
    })
}

/// A certificate with its PEM.
pub(crate) fn with_chain(app: &App, certificate: Certificate) -> Result<ca_api::Certificate, Error> {
    let chain_pem = certificate.der.as_deref().map(|der| certificates::chain_pem(app, der));
    Ok(ca_api::Certificate {
        chain_pem,
        ..on_the_wire(certificate, app.now())?
    })
}

fn on_the_wire(certificate: Certificate, now: Timestamp) -> Result<ca_api::Certificate, Error> {
    let state = match certificate.state {
        certificates::CertificateState::Recorded => CertificateState::Recorded,
        certificates::CertificateState::Abandoned => CertificateState::Abandoned,
        certificates::CertificateState::Signed if certificate.revoked_at.is_some() => CertificateState::Revoked,
        certificates::CertificateState::Signed if certificate.not_after < now => CertificateState::Expired,
        certificates::CertificateState::Signed => CertificateState::Valid,
    };
    let mailbox = Mailbox::parse(&certificate.mailbox).map_err(|error| Error::Row {
        kind: "certificate",
        id: certificate.id.clone(),
        reason: error.to_string(),
    })?;
    Ok(ca_api::Certificate {
        serial: certificate.serial,
        issuer: certificate.issuer_id,
        account: certificate.account.to_string(),
        state,
        mailbox,
        tier: certificate.tier,
        generation: certificate.generation,
        key_use: certificate.key_use,
        subject: certificate.subject,
        not_before: certificate.not_before,
        not_after: certificate.not_after,
        revoked_at: certificate.revoked_at,
        revocation_reason: certificate.revocation_reason.map(|reason| reason.to_string()),
        chain_pem: None,
    })
}

const PAGE: u32 = 100;
