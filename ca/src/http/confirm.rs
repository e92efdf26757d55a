//! The page behind the link of a challenge mail: a form without script, which a person fills in.
//!
//! GET and HEAD show it and change nothing, however often mail scanners open it (DESIGN invariant 5). The link is a
//! secret: the page loads nothing from elsewhere, sends no referrer and is not kept.

use std::sync::Arc;

use axum::extract::{Form, Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ca_api::ChallengeState;
use serde::Deserialize;

use crate::app::App;
use crate::http::problem::HttpProblem;
use crate::mail::{escape_html, fill};
use crate::validation::challenge::{self, Confirmation};

pub(super) async fn show_page(State(app): State<Arc<App>>, Path(link): Path<String>) -> Result<Response, HttpProblem> {
    Ok(match challenge::look_at(&app, &link).await? {
        None => unknown_link(&app),
        Some(challenge) if challenge.state == ChallengeState::Sent => form(&app, &challenge.subject, Note::None),
        Some(challenge) => over(&app, challenge.state),
    })
}

/// What the form says above itself.
enum Note {
    None,
    NotANumber,
    WrongNumber { attempts_left: i64 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Typed {
    code: String,
}

pub(super) async fn submit_page(
    State(app): State<Arc<App>>,
    Path(link): Path<String>,
    typed: Result<Form<Typed>, axum::extract::rejection::FormRejection>,
) -> Result<Response, HttpProblem> {
    let Ok(Form(typed)) = typed else {
        return Err(HttpProblem::malformed("the form has exactly one field, `code`"));
    };
    Ok(match challenge::confirm(&app, &link, &typed.code).await? {
        Confirmation::Confirmed { subject } => confirmed(&app, &subject),
        Confirmation::NotANumber => form_again(&app, &link, Note::NotANumber).await?,
        Confirmation::WrongNumber { attempts_left } => {
            form_again(&app, &link, Note::WrongNumber { attempts_left }).await?
        }
        Confirmation::Over(state) => over(&app, state),
        Confirmation::UnknownLink => unknown_link(&app),
    })
}

async fn form_again(app: &App, link: &str, note: Note) -> Result<Response, HttpProblem> {
    Ok(match challenge::look_at(app, link).await? {
        None => unknown_link(app),
        Some(challenge) if challenge.state == ChallengeState::Sent => form(app, &challenge.subject, note),
        Some(challenge) => over(app, challenge.state),
    })
}

pub(super) async fn style() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, include_str!("page/style.css"))
}

fn form(app: &App, subject: &str, note: Note) -> Response {
    let sentence = match note {
        Note::None => None,
        Note::NotANumber => Some("Type the eight digits that stand in the mail.".to_owned()),
        Note::WrongNumber { attempts_left: 1 } => {
            Some("That is not the number in the mail. There is 1 more try.".to_owned())
        }
        Note::WrongNumber { attempts_left } => Some(format!(
            "That is not the number in the mail. There are {attempts_left} more tries."
        )),
    };
    let (status, alert, invalid) = match sentence {
        None => (StatusCode::OK, String::new(), ""),
        Some(sentence) => {
            let alert = format!("<p role=\"alert\">{sentence}</p>\n");
            (
                StatusCode::UNPROCESSABLE_ENTITY,
                alert,
                " aria-invalid=\"true\" autofocus",
            )
        }
    };
    let subject = escape_html(subject);
    let body = fill(
        include_str!("page/form.html"),
        &[("alert", &alert), ("subject", &subject), ("invalid", invalid)],
    );
    page(app, status, "Confirm your e-mail certificate", &body)
}

fn confirmed(app: &App, subject: &str) -> Response {
    let body = format!(
        "<p><strong>{}</strong> is confirmed. You can close this page.</p>",
        escape_html(subject)
    );
    page(app, StatusCode::OK, "Confirmed", &body)
}

fn over(app: &App, state: ChallengeState) -> Response {
    let (title, sentence) = match state {
        ChallengeState::Answered => (
            "Confirmed already",
            "This was confirmed before. There is nothing left to do.",
        ),
        ChallengeState::Expired => ("Too late", "The link was valid for 24 hours. Ask for a new mail."),
        ChallengeState::Failed => ("Too many tries", "The number was wrong too often. Ask for a new mail."),
        ChallengeState::Replaced => (
            "There is a newer mail",
            "A newer mail was sent. Use the link in that one.",
        ),
        ChallengeState::Sent => (
            "Try again",
            "Somebody else answered at the same moment. Open the link again.",
        ),
    };
    page(
        app,
        StatusCode::GONE,
        title,
        &format!("<p role=\"status\">{sentence}</p>"),
    )
}

fn unknown_link(app: &App) -> Response {
    let sentence = "This link belongs to no mail of ours. Perhaps a part of it is missing: copy it whole.";
    page(
        app,
        StatusCode::NOT_FOUND,
        "Unknown link",
        &format!("<p role=\"status\">{sentence}</p>"),
    )
}

/// A page for people, in the authority's dress.
pub(super) fn page(app: &App, status: StatusCode, title: &str, body: &str) -> Response {
    let authority = escape_html(&app.config().name);
    let html = fill(
        include_str!("page/confirm.html"),
        &[("title", title), ("body", body), ("authority", &authority)],
    );
    let headers: [(HeaderName, HeaderValue); 2] = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY)),
    ];
    (status, headers, html).into_response()
}

/// One stylesheet from here, one form to here, no script, no frames, nothing else.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
