//! `/v1/directory/{mailbox}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use ca_api::{DirectoryCertificate, DirectoryEntry};
use policies::mailbox::Mailbox;

use crate::accounts::Caller;
use crate::app::App;
use crate::directory;
use crate::error::Error;
use crate::http::problem::HttpProblem;

/// In JSON; with `Accept: application/pkix-cert` the newest certificate in DER, with `text/vcard` as a vCard.
pub(super) async fn show_entry(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(mailbox): Path<String>,
    headers: HeaderMap,
) -> Result<Response, HttpProblem> {
    let mailbox = Mailbox::parse(&mailbox).map_err(|error| Error::InvalidInput {
        field: "mailbox",
        reason: error.to_string(),
    })?;
    let found = directory::find(&app, &mailbox).await?;
    let Some(newest) = found.first() else {
        return Err(HttpProblem::not_found(
            "there is no certificate to encrypt to that address",
        ));
    };
    let wanted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    Ok(match wanted.map(str::trim) {
        Some(DER) => ([(header::CONTENT_TYPE, DER)], newest.der.clone()).into_response(),
        Some(VCARD) => ([(header::CONTENT_TYPE, "text/vcard; charset=utf-8")], newest.vcard()).into_response(),
        _ => Json(DirectoryEntry {
            mailbox,
            certificates: found
                .into_iter()
                .map(|found| DirectoryCertificate {
                    serial: found.serial,
                    tier: found.tier,
                    not_before: found.not_before,
                    not_after: found.not_after,
                    certificate: found.der,
                })
                .collect(),
        })
        .into_response(),
    })
}

/// RFC 2585 section 4.1.
const DER: &str = "application/pkix-cert";
/// RFC 6350 section 10.1.
const VCARD: &str = "text/vcard";
