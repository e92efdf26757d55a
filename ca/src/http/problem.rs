//! From an error to what the caller is told (RFC 9457): the only place that knows status codes.

use axum::Json;
use axum::extract::OriginalUri;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ca_api::Problem;

use crate::error::{self, Error};

/// An answer that is not the one that was asked for.
#[derive(Debug)]
pub struct HttpProblem {
    status: StatusCode,
    name: &'static str,
    title: &'static str,
    detail: String,
    section: Option<String>,
    lint: Option<String>,
    /// For the log only.
    cause: String,
}

impl HttpProblem {
    fn new(status: StatusCode, name: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            status,
            name,
            title,
            cause: detail.clone(),
            detail,
            section: None,
            lint: None,
        }
    }

    /// The request is not one that can be understood.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed-request",
            "The request cannot be understood",
            detail,
        )
    }

    pub(super) fn media_type(expected: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "The body is of another media type",
            format!("send the body as Content-Type {expected}"),
        )
    }

    pub(super) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            "the body is larger than this resource takes",
        )
    }

    pub(super) fn busy(detail: &'static str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "Try again",
            format!("{detail}: try again in a moment"),
        )
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", detail)
    }

    fn in_section(mut self, section: impl Into<String>) -> Self {
        self.section = Some(section.into());
        self
    }
}

impl From<Error> for HttpProblem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        let problem = |status, name, title| Self::new(status, name, title, detail.clone());
        // What is broken on our side is for our log: the caller learns that it is not their fault.
        let internal = || {
            Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something is broken here",
                "the certificate authority could not do this; its log has the reason under this request identifier",
            )
        };
        let mut problem = match &error {
            Error::Unauthenticated { .. } => Self::new(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "A token is needed",
                "the token is missing or not valid: send `Authorization: Bearer …` with a token of this authority",
            ),
            Error::NotAllowed { .. } => problem(StatusCode::FORBIDDEN, "not-allowed", "The role does not allow it"),
            Error::OwnCase { .. } | Error::DecidedAlready { .. } => problem(
                StatusCode::FORBIDDEN,
                "separation-of-duties",
                "Another officer has to do this",
            )
            .in_section("5.2.4"),
            Error::NotFound { .. } => problem(StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Error::InvalidInput { .. } | Error::MailAddress { .. } => problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-input",
                "A value is not usable",
            ),
            Error::CertificateRequest { .. } => problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "certificate-request",
                "The certificate request is not usable",
            )
            .in_section("3.2.1"),
            Error::KeyNotAllowed { section, .. } => problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-not-allowed",
                "The key may not be certified",
            )
            .in_section(*section),
            Error::KeyCompromised { .. } => problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-compromised",
                "The key is known as compromised",
            )
            .in_section("6.1.1.3"),
            Error::KeyOfAnotherSubscriber => problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-of-another-subscriber",
                "The key belongs to another subscriber",
            )
            .in_section("6.1.1.3"),
            Error::KeyListedAsWeak => problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-weak",
                "The key is known to be weak",
            )
            .in_section("6.1.1.3"),
            Error::Evidence(cause) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "evidence",
                "The evidence is not acceptable",
                cause.to_string(),
            )
            .in_section("3.2"),
            Error::IdempotencyKeyReused { .. } => problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key",
                "The idempotency key is taken",
            ),
            Error::TooMany { .. } => problem(StatusCode::TOO_MANY_REQUESTS, "too-many", "There are too many"),
            Error::NothingToApprove { .. } => {
                problem(StatusCode::CONFLICT, "no-evidence", "There is no evidence yet").in_section("3.2")
            }
            Error::StateChanged { .. } => problem(StatusCode::CONFLICT, "state-changed", "It is in another state"),
            Error::EvidenceInsufficient(refusal) => Self::new(
                StatusCode::CONFLICT,
                "evidence-insufficient",
                "The evidence does not suffice",
                refusal.to_string(),
            )
            .in_section(refusal.section()),
            Error::NotEnterpriseRa => problem(
                StatusCode::CONFLICT,
                "evidence-insufficient",
                "The evidence does not suffice",
            )
            .in_section("1.3.2.1"),
            Error::PlanExcludes { .. } | Error::SeatsTaken { .. } | Error::VpSeatsTaken { .. } => {
                problem(StatusCode::CONFLICT, "plan-limit", "The plan does not include it")
            }
            Error::LintRefused { findings } => {
                let mut problem = problem(
                    StatusCode::CONFLICT,
                    "lint-refused",
                    "The certificate would break a rule",
                );
                if let Some(finding) = findings.first() {
                    problem.section = Some(finding.section.to_owned());
                    problem.lint = Some(finding.lint.to_owned());
                }
                problem
            }
            Error::ExternalLintRefused { .. } => problem(
                StatusCode::CONFLICT,
                "lint-refused",
                "The certificate would break a rule",
            )
            .in_section("4.3.1.2"),
            Error::CaaRefused { refused, .. } => Self::new(
                StatusCode::CONFLICT,
                "caa-refused",
                "The domain does not allow it",
                format!("{detail}: {refused}"),
            )
            .in_section(crate::caa::SECTION),
            Error::NotCorroborated { .. } => problem(
                StatusCode::CONFLICT,
                "not-corroborated",
                "Other networks have to see it too",
            )
            .in_section("4.2.2.2"),
            Error::VpNotManaged { .. } => problem(
                StatusCode::CONFLICT,
                "evidence-insufficient",
                "The evidence does not suffice",
            )
            .in_section("3.2.2"),
            Error::VpChallenge { .. } => problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "not-the-challenge",
                "It is not the challenge mail",
            ),
            Error::VpRefused { .. } | Error::Vp(_) => problem(
                StatusCode::BAD_GATEWAY,
                "other-authority",
                "The other authority was of no use",
            ),
            Error::NoMailServer | Error::MailNotSent { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "mail-not-sent",
                "No mail could be sent",
                "the mail could not be sent: try again later, or tell the operator of the authority",
            ),
            Error::Migrations(cause) if cause.is_temporary() => Self::busy("the database cannot be reached"),
            Error::OwnSignature { .. }
            | Error::PermissionUnusable { .. }
            | Error::Dns(_)
            | Error::IssuerExpires { .. }
            | Error::AuditDamaged { .. }
            | Error::AuditNote { .. }
            | Error::ExternalLinter { .. }
            | Error::AuditTree(_)
            | Error::AlreadyInitialized { .. }
            | Error::NotInitialized { .. }
            | Error::PerspectiveExists { .. }
            | Error::NoPerspective { .. }
            | Error::Issuers { .. }
            | Error::Configuration { .. }
            | Error::File { .. }
            | Error::Row { .. }
            | Error::Database(_)
            | Error::Migrations(_)
            | Error::Key { .. }
            | Error::KeyStore(_)
            | Error::Sealing(_)
            | Error::Listen { .. }
            | Error::MailReceiver(_)
            | Error::Tls(_)
            | Error::Template(_)
            | Error::Encoding { .. } => internal(),
        };
        problem.cause = error::chain(&error);
        problem
    }
}

impl IntoResponse for HttpProblem {
    /// The body is written by [`Explained::render`], which knows the identifier of the request.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 6750 section 3.
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE || self.status == StatusCode::TOO_MANY_REQUESTS {
            let seconds = if self.status == StatusCode::TOO_MANY_REQUESTS {
                "3600"
            } else {
                "5"
            };
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        let problem = Problem {
            kind: format!("{}{}", Problem::PREFIX, self.name),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            section: self.section,
            lint: self.lint,
            request_id: None,
        };
        response.extensions_mut().insert(Explained {
            problem,
            cause: self.cause,
        });
        response
    }
}

/// A problem on its way out.
#[derive(Debug, Clone)]
pub(super) struct Explained {
    problem: Problem,
    pub(super) cause: String,
}

impl Explained {
    pub(super) fn render(mut self, request_id: &str, headers: &HeaderMap) -> Response {
        self.problem.request_id = Some(request_id.to_owned());
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.problem)).into_response();
        for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER, header::ALLOW] {
            if let Some(value) = headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(Problem::MEDIA_TYPE));
        response
    }
}

/// Nothing lives at this path.
pub(super) async fn no_such_path(OriginalUri(_): OriginalUri) -> HttpProblem {
    HttpProblem::not_found("nothing lives at this path: see the list of resources in the documentation")
}

/// The path exists, for other methods.
pub(super) async fn no_such_method(method: Method) -> HttpProblem {
    HttpProblem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        "The method is not allowed here",
        format!("{method} is not something that can be done with this resource"),
    )
}
