//! `/report`, a form for everybody, and `/v1/reports`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ca_api::{
    DueStep, FiledProblemReport, NewProblemReport, ProblemAnswer, ProblemClosing, ProblemReport, ProblemReportList,
};
use policies::time::Timestamp;
use serde::Deserialize;

use crate::accounts::Caller;
use crate::app::App;
use crate::error::Error;
use crate::http::confirm;
use crate::http::extract::JsonBody;
use crate::http::problem::HttpProblem;
use crate::mail::{escape_html, fill};
use crate::problem_reports::{self, Cause, NewReport, Outcome, Report, UnknownCause};

/// The form changes nothing until a person has filled it in.
pub(super) async fn show_form(State(app): State<Arc<App>>) -> Response {
    form(&app, StatusCode::OK, "", &Typed::default())
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Typed {
    serial: String,
    cause: String,
    text: String,
    contact: String,
}

pub(super) async fn submit_form(
    State(app): State<Arc<App>>,
    typed: Result<Form<Typed>, axum::extract::rejection::FormRejection>,
) -> Result<Response, HttpProblem> {
    let Ok(Form(typed)) = typed else {
        return Err(HttpProblem::malformed(
            "the form has the fields `serial`, `cause`, `text` and `contact`",
        ));
    };
    let report = match typed.cause.parse() {
        Err(_) => Err(Error::InvalidInput {
            field: "cause",
            reason: "choose one".to_owned(),
        }),
        Ok(cause) => {
            let report = NewReport {
                serial: typed.serial.clone(),
                cause,
                text: typed.text.clone(),
                contact: Some(typed.contact.clone()),
            };
            problem_reports::submit(&app, report, "form").await
        }
    };
    match report {
        Ok(report) => {
            let body = format!(
                "<p role=\"status\">Thank you. Your report has the number <strong>{}</strong>. By {} you and the holder of the \
                 certificate are told what was found.</p>",
                escape_html(&report.id),
                report.answer_due
            );
            Ok(confirm::page(
                &app,
                StatusCode::CREATED,
                "The report has arrived",
                &body,
            ))
        }
        Err(error @ Error::InvalidInput { .. }) => {
            let alert = format!("<p role=\"alert\">{}.</p>\n", escape_html(&error.to_string()));
            Ok(form(&app, StatusCode::UNPROCESSABLE_ENTITY, &alert, &typed))
        }
        Err(error) => Err(error.into()),
    }
}

fn form(app: &App, status: StatusCode, alert: &str, typed: &Typed) -> Response {
    let causes: String = Cause::ALL
        .into_iter()
        .map(|cause| {
            let selected = if cause.as_ref() == typed.cause { " selected" } else { "" };
            format!("<option value=\"{cause}\"{selected}>{}</option>\n", cause.sentence())
        })
        .collect();
    let (serial, text, contact) = (
        escape_html(&typed.serial),
        escape_html(&typed.text),
        escape_html(&typed.contact),
    );
    let body = fill(
        include_str!("page/report.html"),
        &[
            ("alert", alert),
            ("serial", &serial),
            ("causes", &causes),
            ("text", &text),
            ("contact", &contact),
        ],
    );
    confirm::page(app, status, "Report a problem with a certificate", &body)
}

pub(super) async fn file_report(
    State(app): State<Arc<App>>,
    JsonBody(report): JsonBody<NewProblemReport>,
) -> Result<(StatusCode, Json<FiledProblemReport>), HttpProblem> {
    let report = NewReport {
        cause: cause(&report.cause)?,
        serial: report.serial,
        text: report.text,
        contact: report.contact,
    };
    let report = problem_reports::submit(&app, report, "api").await?;
    let filed = FiledProblemReport {
        id: report.id,
        answer_due: report.answer_due,
    };
    Ok((StatusCode::CREATED, Json(filed)))
}

pub(super) async fn list_reports(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<ProblemReportList>, HttpProblem> {
    let now = app.now();
    let reports = problem_reports::list(&app, &caller, true).await?;
    Ok(Json(ProblemReportList {
        reports: reports.into_iter().map(|report| on_the_wire(report, now)).collect(),
    }))
}

pub(super) async fn answer_report(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(answer): JsonBody<ProblemAnswer>,
) -> Result<Json<ProblemReport>, HttpProblem> {
    let report = problem_reports::answer(&app, &caller, &id, cause(&answer.cause)?, &answer.findings).await?;
    Ok(Json(on_the_wire(report, app.now())))
}

pub(super) async fn close_report(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(closing): JsonBody<ProblemClosing>,
) -> Result<Json<ProblemReport>, HttpProblem> {
    let outcome = match closing.revoke {
        true => Outcome::Revoke,
        false => Outcome::Keep,
    };
    let report = problem_reports::close(&app, &caller, &id, outcome).await?;
    Ok(Json(on_the_wire(report, app.now())))
}

/// For this resource and for the command line.
pub(crate) fn on_the_wire(report: Report, now: Timestamp) -> ProblemReport {
    let next = report.next().map(|(step, due)| DueStep {
        step: step.to_owned(),
        due,
        overdue: due <= now,
    });
    ProblemReport {
        id: report.id,
        serial: report.serial,
        cause: report.cause.to_string(),
        cause_number: report.cause.number(),
        state: report.state.to_string(),
        text: report.text,
        contact: report.contact,
        source: report.source,
        findings: report.findings,
        received_at: report.received_at,
        answer_due: report.answer_due,
        next,
    }
}

fn cause(text: &str) -> Result<Cause, Error> {
    text.parse().map_err(|error: UnknownCause| Error::InvalidInput {
        field: "cause",
        reason: error.to_string(),
    })
}

/// `/metrics` in the text format of Prometheus, for operators: figures of the business are nobody else's.
pub(super) async fn show_metrics(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, HttpProblem> {
    caller.as_operator("read the metrics")?;
    let text = crate::metrics::render(&app).await?;
    let headers: [(HeaderName, HeaderValue); 1] = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    )];
    Ok((headers, text).into_response())
}
