//! What travels between the certificate authority and its callers: JSON types and a small [`Client`].
//!
//! Requests refuse unknown keys, so that a misspelt one is noticed; answers may gain keys. Instants are RFC 3339 in
//! UTC, bytes are base64, hashes are lower-case hexadecimal. Every identifier is opaque text.

pub mod accounts;
pub mod cases;
pub mod certificates;
pub mod challenges;
pub mod client;
pub mod directory;
pub mod domains;
pub mod mailboxes;
pub mod orders;
pub mod plans;
pub mod problem;
pub mod reports;
pub mod rosters;

mod text;

pub use accounts::{Account, AccountKind, IssuedToken, NewAccount, NewPrincipal, Principal, Role, WhoAmI};
pub use cases::{
    Case, CaseKind, CaseList, CaseState, Decision, Document, NewCase, NewDecision, NewEvidence, RecordedDecision,
    RecordedEvidence, Subject,
};
pub use certificates::{Certificate, CertificateFilter, CertificatePage, CertificateState, Revocation};
pub use challenges::{Challenge, ChallengeState, ConstructedAddress, NewChallenge};
pub use client::{Client, ClientError};
pub use directory::{DirectoryCertificate, DirectoryEntry};
pub use domains::{DomainChallenge, DomainChallengeList, DomainChallengeState, DomainMethod, NewDomainChallenge};
pub use mailboxes::{EvidenceSummary, MailboxStanding};
pub use orders::{NewOrder, Order, OrderState, TierWish};
pub use plans::{AccountPlan, EmployeeSeats, Plan, PlanChange};
pub use problem::Problem;
pub use reports::{
    DueStep, FiledProblemReport, NewProblemReport, ProblemAnswer, ProblemClosing, ProblemReport, ProblemReportList,
};
pub use rosters::{Roster, RosterDecision, RosterReport, RosterRow, RowOutcome};
