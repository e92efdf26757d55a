//! What the CRLs and OCSP answers handed in say about a path.
//!
//! Nothing is fetched. Each certificate of the path but the anchor is asked about; the worst answer counts. What cannot
//! be used leaves a status unknown or not checked, never good.

mod authority;
mod crl;
mod ocsp;
mod scope;

use policies::time::{Span, Timestamp};

use self::authority::Authorities;
pub use self::crl::check_crl;
pub use self::ocsp::check_ocsp_response;
use crate::certificate::Certificate;
use crate::crypto::Crypto;
use crate::finding::{Code, Problem};
use crate::path::VerifiedPath;

/// What is known about the revocation of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RevocationStatus {
    /// Every certificate is covered by a current CRL or OCSP answer, and none is revoked.
    Good,
    /// For at least one certificate neither a CRL nor an answer about it was handed in.
    NotChecked,
    /// For at least one certificate some were handed in, and none of them could be used.
    Unknown,
    /// At least one certificate is revoked.
    Revoked,
}

impl AsRef<str> for RevocationStatus {
    fn as_ref(&self) -> &str {
        match self {
            Self::Good => "good",
            Self::NotChecked => "not_checked",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
        }
    }
}

/// The status of a path or certificate, and the sentence for it unless it is good.
#[derive(Debug, Clone)]
pub(crate) struct Revocation {
    pub(crate) status: RevocationStatus,
    pub(crate) detail: String,
}

/// What the embedder has at hand about revocation, all of it in DER.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) crls: &'a [Vec<u8>],
    pub(crate) ocsp_responses: &'a [Vec<u8>],
}

/// Asks about every certificate of the path but the anchor. The worst answer counts.
pub(crate) fn check(path: &VerifiedPath<'_>, sources: Sources<'_>, at: Timestamp, crypto: &dyn Crypto) -> Revocation {
    let authorities = Authorities::new(path, sources, at, crypto);
    let mut worst = Revocation::good();
    for index in 0..path.parsed().len() {
        let answer = authorities.status_in_path(index);
        if answer.status > worst.status {
            worst = answer;
        }
    }
    worst
}

/// What one source says of one certificate, or what all of them together say.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Revoked {
        since: Timestamp,
    },
    Good,
    /// Nothing that was handed in is about this certificate.
    Silent,
    /// Something is, and it cannot be used; why.
    Unusable(String),
}

impl Answer {
    fn about(self, certificate: &Certificate<'_>) -> Revocation {
        let name = certificate.describe();
        match self {
            Self::Good => Revocation::good(),
            Self::Revoked { since } => Revocation {
                status: RevocationStatus::Revoked,
                detail: format!("the certificate of {name} was revoked at {since}"),
            },
            Self::Silent => Revocation {
                status: RevocationStatus::NotChecked,
                detail: format!("neither a revocation list nor an OCSP answer was at hand for {name}"),
            },
            Self::Unusable(why) => Revocation {
                status: RevocationStatus::Unknown,
                detail: format!("whether {name} was revoked is not known: {why}"),
            },
        }
    }

    /// Revoked by one is revoked; otherwise what one settles, the other need not.
    fn or(self, other: impl FnOnce() -> Self) -> Self {
        if matches!(self, Self::Revoked { .. }) {
            return self;
        }
        match (self, other()) {
            (_, revoked @ Self::Revoked { .. }) => revoked,
            (Self::Good, _) | (_, Self::Good) => Self::Good,
            (Self::Silent, other) => other,
            (own, _) => own,
        }
    }
}

impl Revocation {
    fn good() -> Self {
        Self {
            status: RevocationStatus::Good,
            detail: String::new(),
        }
    }

    /// The finding for a status that is not good, given what the embedder decided.
    pub(crate) fn problem(&self, withholds_tier: bool) -> Option<Problem> {
        let code = match (self.status, withholds_tier) {
            (RevocationStatus::Good, _) => return None,
            (RevocationStatus::Revoked, _) => Code::Revoked,
            (_, true) => Code::RevocationDemanded,
            (RevocationStatus::NotChecked, false) => Code::RevocationNotChecked,
            (RevocationStatus::Unknown, false) => Code::RevocationUnknown,
        };
        Some(code.because(self.detail.clone()))
    }
}

/// A source is current from its thisUpdate to its nextUpdate, which it must have (RFC 5280 section 5.1.2.5; RFC 6960
/// section 2.4 lets an answer without it be right for a moment that nobody knows).
fn check_window(this_update: Timestamp, next_update: Option<Timestamp>, at: Timestamp) -> Result<(), Unusable> {
    if at.plus(CLOCK_TOLERANCE) < this_update {
        return Err(Unusable::NotYet(this_update));
    }
    match next_update {
        Some(next_update) if at > next_update => Err(Unusable::OutOfDate(next_update)),
        Some(_) => Ok(()),
        None => Err(Unusable::NoNextUpdate),
    }
}

/// Why a source is of no use.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it is malformed: {0}")]
    Malformed(#[from] crate::asn1::Malformed),
    #[error("it is not signed with a key of the issuer")]
    Signature,
    #[error("its issuer may not sign revocation lists")]
    KeyUsage,
    #[error("whether its signer was revoked is not known")]
    SignerUnsettled,
    #[error("it is from the future ({0})")]
    NotYet(Timestamp),
    #[error("it is out of date since {0}")]
    OutOfDate(Timestamp),
    #[error("it does not say when the next one comes")]
    NoNextUpdate,
    #[error("it has the critical extension {0}, which is not processed here")]
    CriticalExtension(const_oid::ObjectIdentifier),
    #[error("it lists certificates of other issuers without saying that it does")]
    Indirect,
    #[error("the responder does not know the certificate")]
    UnknownToResponder,
    #[error("the responder answered with status {0} instead of a statement")]
    NoStatement(u32),
    #[error("the responder may not speak for the issuer")]
    Responder,
    #[error("checking it would take too much work")]
    TooExpensive,
}

/// How far ahead thisUpdate may lie: fresh OCSP answers are seconds old. Source: own choice, the same as for signingTime;
/// RFC 5019 section 4 asks for a small tolerance and leaves it open.
const CLOCK_TOLERANCE: Span = Span::minutes(5);
