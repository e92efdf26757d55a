//! Refusals as problem details (RFC 9457).

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use smtp::Reply;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpProblem {
    pub(crate) status: u16,
    pub(crate) title: &'static str,
    pub(crate) detail: String,
    /// What an SMTP client would have heard.
    pub(crate) smtp: Option<(u16, Option<[u16; 3]>)>,
}

impl HttpProblem {
    pub(crate) fn new(status: u16, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            title,
            detail: detail.into(),
            smtp: None,
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, "Bad request", detail)
    }

    pub(crate) fn busy() -> Self {
        Self::new(
            503,
            "Busy",
            "too many messages are under way; try again in a few seconds",
        )
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            503,
            "Not available",
            "the gateway cannot do this for now; its log says why",
        )
    }

    /// A negative reply: 4yz may be tried again, 5yz not.
    pub(crate) fn refused(reply: &Reply) -> Self {
        let (status, title) = if reply.is_transient() {
            (503, "Not now")
        } else if reply.enhanced() == Some([5, 7, 1]) {
            (403, "Not allowed")
        } else {
            (422, "Refused")
        };
        Self {
            smtp: Some((reply.code(), reply.enhanced())),
            ..Self::new(status, title, reply.text())
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        let mut body = json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        });
        if let (Some((code, enhanced)), Some(body)) = (self.smtp, body.as_object_mut()) {
            body.insert("smtp_code".to_owned(), json!(code));
            if let Some([class, subject, detail]) = enhanced {
                body.insert("enhanced_code".to_owned(), json!(format!("{class}.{subject}.{detail}")));
            }
        }
        body
    }
}

impl IntoResponse for HttpProblem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.to_json())).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(ca_api::Problem::MEDIA_TYPE),
        );
        let extra: Option<(HeaderName, &'static str)> = match self.status {
            401 => Some((header::WWW_AUTHENTICATE, "Bearer")),
            503 => Some((header::RETRY_AFTER, "30")),
            _ => None,
        };
        if let Some((name, value)) = extra {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

pub(super) async fn not_found() -> HttpProblem {
    HttpProblem::new(
        404,
        "Not found",
        "there are POST /v1/messages, GET /v1/messages/ID, POST /v1/sign and POST /v1/batches",
    )
}
