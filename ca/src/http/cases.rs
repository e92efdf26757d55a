//! `/v1/cases`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use ca_api::cases::{CaseSummary, Sha256};
use ca_api::{CaseList, Subject};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::accounts::Caller;
use crate::app::App;
use crate::error::Error;
use crate::http::extract::{JsonBody, QueryOf, RawBody};
use crate::http::problem::HttpProblem;
use crate::validation::case::{self, Case, Document};

pub(super) async fn open_case(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(new): JsonBody<ca_api::NewCase>,
) -> Result<(StatusCode, Json<ca_api::Case>), HttpProblem> {
    let case = case::open(&app, caller.as_member("open cases")?, &new.subject).await?;
    Ok((StatusCode::CREATED, Json(on_the_wire(case)?)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cursor {
    cursor: Option<String>,
}

pub(super) async fn list_cases(
    State(app): State<Arc<App>>,
    caller: Caller,
    QueryOf(query): QueryOf<Cursor>,
) -> Result<Json<CaseList>, HttpProblem> {
    let found = case::list(&app, &caller, query.cursor).await?;
    let next_cursor = found
        .last()
        .filter(|_| found.len() == case::PAGE_LENGTH)
        .map(|last| last.id.clone());
    let cases = found
        .into_iter()
        .map(|summary| CaseSummary {
            id: summary.id,
            account: summary.account.to_string(),
            kind: summary.kind,
            state: summary.state,
            opened_at: summary.opened_at,
            updated_at: summary.updated_at,
        })
        .collect();
    Ok(Json(CaseList { cases, next_cursor }))
}

pub(super) async fn show_case(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ca_api::Case>, HttpProblem> {
    Ok(Json(on_the_wire(case::find(&app, &caller, &id).await?)?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DocumentName {
    name: String,
}

pub(super) async fn add_document(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    QueryOf(query): QueryOf<DocumentName>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<(StatusCode, Json<ca_api::Document>), HttpProblem> {
    let Some(media_type) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return Err(HttpProblem::media_type("application/pdf or whatever the document is"));
    };
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let content = Zeroizing::new(body.to_vec());
    let document = case::add_document(&app, &caller, &id, &query.name, media_type, content).await?;
    Ok((StatusCode::CREATED, Json(document_on_the_wire(document))))
}

pub(super) async fn read_document(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, document)): Path<(String, String)>,
) -> Result<impl IntoResponse, HttpProblem> {
    let officer = caller.as_officer("read documents")?;
    let (document, content) = case::read_document(&app, officer, &id, &document).await?;
    let media_type =
        HeaderValue::from_str(&document.media_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    // Handed in by applicants: a browser saves it and runs nothing in it.
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; sandbox"),
        ),
    ];
    Ok((headers, content.to_vec()))
}

pub(super) async fn record_evidence(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(new): JsonBody<ca_api::NewEvidence>,
) -> Result<(StatusCode, Json<ca_api::Case>), HttpProblem> {
    let officer = caller.as_officer("record evidence")?;
    let case = case::record_evidence(&app, officer, &id, &new).await?;
    Ok((StatusCode::CREATED, Json(on_the_wire(case)?)))
}

pub(super) async fn decide_case(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(new): JsonBody<ca_api::NewDecision>,
) -> Result<(StatusCode, Json<ca_api::Case>), HttpProblem> {
    let officer = caller.as_officer("decide cases")?;
    let case = case::decide(&app, officer, &id, &new).await?;
    Ok((StatusCode::CREATED, Json(on_the_wire(case)?)))
}

fn on_the_wire(case: Case) -> Result<ca_api::Case, Error> {
    let subject = Subject::from_fields(case.kind, &case.fact.fields()).map_err(|error| Error::Row {
        kind: "case",
        id: case.id.clone(),
        reason: error.to_string(),
    })?;
    Ok(ca_api::Case {
        id: case.id,
        account: case.account.to_string(),
        subject,
        state: case.state,
        opened_by: case.opened_by,
        opened_at: case.opened_at,
        updated_at: case.updated_at,
        approvals_needed: case::approvals_needed(case.kind),
        documents: case.documents.into_iter().map(document_on_the_wire).collect(),
        evidence: case
            .evidence
            .into_iter()
            .map(|finding| ca_api::RecordedEvidence {
                id: finding.id,
                method: finding.method.to_string(),
                collected_at: finding.collected_at,
                recorded_by: finding.recorded_by,
                documents: finding.documents.into_iter().map(Sha256).collect(),
                note: finding.note,
            })
            .collect(),
        decisions: case
            .decisions
            .into_iter()
            .map(|verdict| ca_api::RecordedDecision {
                officer: verdict.officer,
                decision: verdict.decision,
                reason: verdict.reason,
                decided_at: verdict.decided_at,
            })
            .collect(),
    })
}

fn document_on_the_wire(document: Document) -> ca_api::Document {
    ca_api::Document {
        id: document.id,
        name: document.name,
        media_type: document.media_type,
        sha256: Sha256(document.sha256),
        added_by: document.added_by,
        added_at: document.added_at,
    }
}
