//! Why a request was refused, in the words of RFC 8555 section 6.7, RFC 9773 section 7.4 and the profiles draft.

use serde::{Deserialize, Serialize};

use crate::error::{self, Error};

/// An error type of the registry "ACME Error Types".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ErrorType {
    AccountDoesNotExist,
    AlreadyReplaced,
    AlreadyRevoked,
    #[serde(rename = "badCSR")]
    BadCsr,
    BadNonce,
    BadPublicKey,
    BadRevocationReason,
    BadSignatureAlgorithm,
    Connection,
    Dns,
    ExternalAccountRequired,
    IncorrectResponse,
    InvalidContact,
    InvalidProfile,
    Malformed,
    OrderNotReady,
    RateLimited,
    RejectedIdentifier,
    ServerInternal,
    Unauthorized,
    UnsupportedContact,
    UnsupportedIdentifier,
    UserActionRequired,
}

impl ErrorType {
    /// The name in the registry.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AccountDoesNotExist => "accountDoesNotExist",
            Self::AlreadyReplaced => "alreadyReplaced",
            Self::AlreadyRevoked => "alreadyRevoked",
            Self::BadCsr => "badCSR",
            Self::BadNonce => "badNonce",
            Self::BadPublicKey => "badPublicKey",
            Self::BadRevocationReason => "badRevocationReason",
            Self::BadSignatureAlgorithm => "badSignatureAlgorithm",
            Self::Connection => "connection",
            Self::Dns => "dns",
            Self::ExternalAccountRequired => "externalAccountRequired",
            Self::IncorrectResponse => "incorrectResponse",
            Self::InvalidContact => "invalidContact",
            Self::InvalidProfile => "invalidProfile",
            Self::Malformed => "malformed",
            Self::OrderNotReady => "orderNotReady",
            Self::RateLimited => "rateLimited",
            Self::RejectedIdentifier => "rejectedIdentifier",
            Self::ServerInternal => "serverInternal",
            Self::Unauthorized => "unauthorized",
            Self::UnsupportedContact => "unsupportedContact",
            Self::UnsupportedIdentifier => "unsupportedIdentifier",
            Self::UserActionRequired => "userActionRequired",
        }
    }
}

/// What the client is told, and what is kept with an order or a challenge that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub(crate) kind: ErrorType,
    pub(crate) detail: String,
    /// The section of the S/MIME BR, where one decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) section: Option<String>,
}

/// A request that was not carried out.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The client can do something about it.
    Problem(Problem),
    /// Too much of something; it works again after so many seconds.
    Limited { detail: String, retry_after: i64 },
    /// The body is of another media type (RFC 8555 section 6.2).
    MediaType,
    /// There is no such resource, or it belongs to another account.
    NotFound,
    /// The key is bound to this account already (RFC 8555 section 7.3.5).
    Conflict { account: String },
    /// Something of ours failed.
    Authority(Error),
}

/// The usual result in this module.
pub(crate) type Outcome<T> = Result<T, Refusal>;

impl Problem {
    pub(crate) fn new(kind: ErrorType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            section: None,
        }
    }

    pub(crate) fn in_section(mut self, section: impl Into<String>) -> Self {
        self.section = Some(section.into());
        self
    }

    /// As it is stored.
    pub(crate) fn to_text(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// As it was stored; a text that cannot be read is shown as it is rather than lost.
    pub(crate) fn from_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self::new(ErrorType::ServerInternal, text))
    }

    /// What stands in the way of an order, from what refused it.
    pub(crate) fn of(error: &Error) -> Self {
        let detail = error::chain(error);
        match error {
            Error::CertificateRequest { .. } => Self::new(ErrorType::BadCsr, detail).in_section("3.2.1"),
            Error::KeyNotAllowed { section, .. } => Self::new(ErrorType::BadCsr, detail).in_section(*section),
            Error::KeyCompromised { .. } => Self::new(ErrorType::BadCsr, detail).in_section("6.1.1.3"),
            Error::EvidenceInsufficient(refusal) => {
                Self::new(ErrorType::Unauthorized, detail).in_section(refusal.section())
            }
            Error::LintRefused { findings } => Self {
                kind: ErrorType::RejectedIdentifier,
                detail,
                section: findings.first().map(|finding| finding.section.to_owned()),
            },
            _ => Self::new(ErrorType::Unauthorized, detail),
        }
    }
}

impl Refusal {
    pub(crate) fn new(kind: ErrorType, detail: impl Into<String>) -> Self {
        Self::Problem(Problem::new(kind, detail))
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Malformed, detail)
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Unauthorized, detail)
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::CertificateRequest { .. }
            | Error::KeyNotAllowed { .. }
            | Error::KeyCompromised { .. }
            | Error::EvidenceInsufficient(_)
            | Error::LintRefused { .. }
            | Error::PlanExcludes { .. }
            | Error::SeatsTaken { .. } => Self::Problem(Problem::of(&error)),
            Error::NotFound { .. } => Self::NotFound,
            Error::TooMany { .. } => Self::Limited {
                detail: error.to_string(),
                retry_after: 3600,
            },
            other => Self::Authority(other),
        }
    }
}

impl From<diesel::result::Error> for Refusal {
    fn from(error: diesel::result::Error) -> Self {
        Self::Authority(error.into())
    }
}

impl From<migrations::Error> for Refusal {
    fn from(error: migrations::Error) -> Self {
        Self::Authority(error.into())
    }
}
