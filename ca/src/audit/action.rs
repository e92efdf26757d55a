//! What the audit log can say.

use std::fmt;
use std::str::FromStr;

/// What happened. The text is stored, so a variant may be added but never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    AuthorityInitialized,
    OrderPlaced,
    OrderRefused,
    CertificateRecorded,
    CertificateIssued,
    CertificateAbandoned,
    CertificateRevoked,
    CrlNumberTaken,
    CrlPublished,
    RelintFoundErrors,
    AccountCreated,
    PlanChanged,
    PrincipalCreated,
    TokenCreated,
    TokenRevoked,
    ChallengeSent,
    ChallengeAnswered,
    ChallengeRefused,
    CaseOpened,
    DocumentAdded,
    EvidenceRecorded,
    CaseDecided,
    RosterOpened,
    RosterDecided,
    ResponderRecorded,
    ResponderIssued,
    CaaPermitted,
    CaaRefused,
    DomainChallengeBegun,
    DomainValidated,
    DomainNotValidated,
    ExternalKeyCreated,
    ExternalKeyRevoked,
    AcmeAccountCreated,
    AcmeAccountChanged,
    AcmeOrderPlaced,
    ProblemReported,
    ProblemAnswered,
    ProblemClosed,
    VpOrderPlaced,
    VpOrderChanged,
}

impl Action {
    pub const ALL: [Self; 41] = [
        Self::AuthorityInitialized,
        Self::OrderPlaced,
        Self::OrderRefused,
        Self::CertificateRecorded,
        Self::CertificateIssued,
        Self::CertificateAbandoned,
        Self::CertificateRevoked,
        Self::CrlNumberTaken,
        Self::CrlPublished,
        Self::RelintFoundErrors,
        Self::AccountCreated,
        Self::PlanChanged,
        Self::PrincipalCreated,
        Self::TokenCreated,
        Self::TokenRevoked,
        Self::ChallengeSent,
        Self::ChallengeAnswered,
        Self::ChallengeRefused,
        Self::CaseOpened,
        Self::DocumentAdded,
        Self::EvidenceRecorded,
        Self::CaseDecided,
        Self::RosterOpened,
        Self::RosterDecided,
        Self::ResponderRecorded,
        Self::ResponderIssued,
        Self::CaaPermitted,
        Self::CaaRefused,
        Self::DomainChallengeBegun,
        Self::DomainValidated,
        Self::DomainNotValidated,
        Self::ExternalKeyCreated,
        Self::ExternalKeyRevoked,
        Self::AcmeAccountCreated,
        Self::AcmeAccountChanged,
        Self::AcmeOrderPlaced,
        Self::ProblemReported,
        Self::ProblemAnswered,
        Self::ProblemClosed,
        Self::VpOrderPlaced,
        Self::VpOrderChanged,
    ];
}

impl AsRef<str> for Action {
    fn as_ref(&self) -> &str {
        match self {
            Self::AuthorityInitialized => "authority-initialized",
            Self::OrderPlaced => "order-placed",
            Self::OrderRefused => "order-refused",
            Self::CertificateRecorded => "certificate-recorded",
            Self::CertificateIssued => "certificate-issued",
            Self::CertificateAbandoned => "certificate-abandoned",
            Self::CertificateRevoked => "certificate-revoked",
            Self::CrlNumberTaken => "crl-number-taken",
            Self::CrlPublished => "crl-published",
            Self::RelintFoundErrors => "relint-found-errors",
            Self::AccountCreated => "account-created",
            Self::PlanChanged => "plan-changed",
            Self::PrincipalCreated => "principal-created",
            Self::TokenCreated => "token-created",
            Self::TokenRevoked => "token-revoked",
            Self::ChallengeSent => "challenge-sent",
            Self::ChallengeAnswered => "challenge-answered",
            Self::ChallengeRefused => "challenge-refused",
            Self::CaseOpened => "case-opened",
            Self::DocumentAdded => "document-added",
            Self::EvidenceRecorded => "evidence-recorded",
            Self::CaseDecided => "case-decided",
            Self::RosterOpened => "roster-opened",
            Self::RosterDecided => "roster-decided",
            Self::ResponderRecorded => "responder-recorded",
            Self::ResponderIssued => "responder-issued",
            Self::CaaPermitted => "caa-permitted",
            Self::CaaRefused => "caa-refused",
            Self::DomainChallengeBegun => "domain-challenge-begun",
            Self::DomainValidated => "domain-validated",
            Self::DomainNotValidated => "domain-not-validated",
            Self::ExternalKeyCreated => "external-key-created",
            Self::ExternalKeyRevoked => "external-key-revoked",
            Self::AcmeAccountCreated => "acme-account-created",
            Self::AcmeAccountChanged => "acme-account-changed",
            Self::AcmeOrderPlaced => "acme-order-placed",
            Self::ProblemReported => "problem-reported",
            Self::ProblemAnswered => "problem-answered",
            Self::ProblemClosed => "problem-closed",
            Self::VpOrderPlaced => "vp-order-placed",
            Self::VpOrderChanged => "vp-order-changed",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_ref())
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_ref() == text)
            .ok_or_else(|| format!("{text:?} is not an action of the audit log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_back_as_written() {
        for action in Action::ALL {
            assert_eq!(action.as_ref().parse(), Ok(action));
        }
        assert!("certificate_issued".parse::<Action>().is_err());
    }
}
