//! Answers of the ACME server, and how a refusal looks (RFC 8555 section 6.7, RFC 9457).

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use crate::acme::jwk::Algorithm;
use crate::acme::problem::{ErrorType, Outcome, Problem, Refusal};
use crate::acme::problem_json;
use crate::acme::resource::Resource;
use crate::app::App;
use crate::error;

/// An answer on its way out.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    media_type: Option<&'static str>,
    body: String,
    location: Option<String>,
    links: Vec<String>,
    retry_after: Option<i64>,
}

impl Answer {
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self {
            media_type: Some("application/json"),
            body: body.to_string(),
            ..Self::empty(status)
        }
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            media_type: None,
            body: String::new(),
            location: None,
            links: Vec::new(),
            retry_after: None,
        }
    }

    pub(super) fn pem_chain(chain: String) -> Self {
        Self {
            media_type: Some("application/pem-certificate-chain"),
            body: chain,
            ..Self::empty(StatusCode::OK)
        }
    }

    pub(super) fn at(mut self, location: &str) -> Self {
        self.location = Some(location.to_owned());
        self
    }

    pub(super) fn linking(mut self, url: &str, relation: &str) -> Self {
        self.links.push(format!("<{url}>;rel=\"{relation}\""));
        self
    }

    pub(super) fn retry_after(mut self, seconds: i64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(super) fn render(self, app: &App) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let mut put = |name: HeaderName, value: &str| {
            // Everything here is ASCII that we wrote; what is not is left out.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(name, value);
            }
        };
        if let Some(media_type) = self.media_type {
            put(header::CONTENT_TYPE, media_type);
        }
        if let Some(location) = &self.location {
            put(header::LOCATION, location);
        }
        if let Some(seconds) = self.retry_after {
            put(header::RETRY_AFTER, &seconds.to_string());
        }
        put(
            header::LINK,
            &format!("<{}>;rel=\"index\"", Resource::Directory.url(app)),
        );
        for link in &self.links {
            put(header::LINK, link);
        }
        if let Ok(acme) = app.acme() {
            put(HeaderName::from_static("replay-nonce"), &acme.nonces.make(app));
        }
        response
    }
}

/// Renders what came of a request.
pub(super) fn of<T>(app: &App, outcome: Outcome<T>, render: impl FnOnce(T) -> Outcome<Answer>) -> Response {
    match outcome.and_then(render) {
        Ok(answer) => answer.render(app),
        Err(refusal) => refused(app, refusal),
    }
}

/// The one place that knows which status code a refusal has.
pub(super) fn refused(app: &App, refusal: Refusal) -> Response {
    let problem = |status, problem: &Problem| {
        tracing::info!(
            status = StatusCode::as_u16(&status),
            kind = problem.kind.name(),
            detail = problem.detail,
            "refused an ACME request"
        );
        let mut body = problem_json(problem);
        if let Some(body) = body.as_object_mut() {
            body.insert("status".to_owned(), json!(status.as_u16()));
            if problem.kind == ErrorType::BadSignatureAlgorithm {
                // RFC 8555 section 6.2.
                body.insert("algorithms".to_owned(), json!(Algorithm::ALL.map(Algorithm::name)));
            }
        }
        Answer {
            media_type: Some("application/problem+json"),
            ..Answer::json(status, &body)
        }
    };
    let answer = match refusal {
        Refusal::Problem(refused) => {
            let answer = problem(status(refused.kind), &refused);
            match (
                refused.kind,
                app.acme().ok().and_then(|acme| acme.settings.terms_of_service.as_ref()),
            ) {
                (ErrorType::UserActionRequired, Some(terms)) => answer.linking(terms, "terms-of-service"),
                _ => answer,
            }
        }
        Refusal::Limited { detail, retry_after } => problem(
            StatusCode::TOO_MANY_REQUESTS,
            &Problem::new(ErrorType::RateLimited, detail),
        )
        .retry_after(retry_after),
        Refusal::NotFound => problem(
            StatusCode::NOT_FOUND,
            &Problem::new(ErrorType::Malformed, "there is no such resource for this account"),
        ),
        Refusal::Conflict { account } => problem(
            StatusCode::CONFLICT,
            &Problem::new(ErrorType::Malformed, "another account has this key already"),
        )
        .at(&account),
        Refusal::MediaType => problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &Problem::new(
                ErrorType::Malformed,
                "send the request as Content-Type application/jose+json",
            ),
        ),
        Refusal::Authority(cause) => {
            tracing::error!(error = error::chain(&cause), "could not answer an ACME request");
            let detail = "the authority could not do this; its log says why: try again later";
            let status = match cause.is_temporary() {
                true => StatusCode::SERVICE_UNAVAILABLE,
                false => StatusCode::INTERNAL_SERVER_ERROR,
            };
            problem(status, &Problem::new(ErrorType::ServerInternal, detail)).retry_after(TRY_AGAIN)
        }
    };
    answer.render(app)
}

fn status(kind: ErrorType) -> StatusCode {
    match kind {
        ErrorType::AccountDoesNotExist
        | ErrorType::AlreadyRevoked
        | ErrorType::BadCsr
        | ErrorType::BadNonce
        | ErrorType::BadPublicKey
        | ErrorType::BadRevocationReason
        | ErrorType::BadSignatureAlgorithm
        | ErrorType::Connection
        | ErrorType::Dns
        | ErrorType::IncorrectResponse
        | ErrorType::InvalidContact
        | ErrorType::InvalidProfile
        | ErrorType::Malformed
        | ErrorType::RejectedIdentifier
        | ErrorType::UnsupportedContact
        | ErrorType::UnsupportedIdentifier => StatusCode::BAD_REQUEST,
        ErrorType::ExternalAccountRequired | ErrorType::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorType::OrderNotReady | ErrorType::UserActionRequired => StatusCode::FORBIDDEN,
        ErrorType::AlreadyReplaced => StatusCode::CONFLICT,
        ErrorType::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorType::ServerInternal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

const TRY_AGAIN: i64 = 30;
