//! `/v1/accounts`, `/v1/principals`, `/v1/whoami`: who certificates are issued to, and who may ask for what.

use policies::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::text::words;

words! {
    /// What an account stands for.
    pub enum AccountKind {
        Individual = "individual",
        Organization = "organization",
    }
}

words! {
    /// What the bearer of a token may do.
    pub enum Role {
        /// Runs the authority: accounts, tokens, every certificate. No account of its own.
        Operator = "operator",
        /// Validates identities: evidence and decisions of every account's cases. No account of its own.
        Officer = "officer",
        /// A member of one account: challenges, cases and orders of that account.
        Subscriber = "subscriber",
        /// A service of one account that orders certificates for its mailboxes.
        Gateway = "gateway",
    }
}

/// `POST /v1/accounts`, by an operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// For people; 1 to 200 characters.
    pub name: String,
    pub kind: AccountKind,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    pub id: String,
    pub name: String,
    pub kind: AccountKind,
    #[serde(with = "crate::text")]
    pub created_at: Timestamp,
}

/// `POST /v1/principals`, by an operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPrincipal {
    /// Who it is, as the audit log will say it; 1 to 200 characters.
    pub name: String,
    pub role: Role,
    /// Needed for subscribers and gateways, refused for operators and officers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// When the token ends; never, if absent.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Principal {
    pub id: String,
    pub name: String,
    pub role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(with = "crate::text")]
    pub created_at: Timestamp,
}

/// The answer to a new principal. The token is shown this once; the authority keeps only its hash.
#[derive(Clone, Serialize, Deserialize)]
pub struct IssuedToken {
    pub principal: Principal,
    pub token: String,
}

impl std::fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedToken")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// `GET /v1/whoami`: whose token this is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WhoAmI {
    pub principal: String,
    pub name: String,
    pub role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}
