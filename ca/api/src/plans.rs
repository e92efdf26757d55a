//! `/v1/accounts/{id}/plan`: what an account may have.

use policies::tier::Tier;
use serde::{Deserialize, Serialize};

use crate::text::words;

words! {
    /// What an account is entitled to. Every account begins with `free`.
    pub enum Plan {
        /// V1: the mailbox is validated, no identity.
        Free = "free",
        /// V1 and V2, for individuals.
        ProIndividual = "pro-individual",
        /// V1 to V3 for everybody of an organization without limit, and V4 by seats.
        ProOrganization = "pro-organization",
    }
}

impl Plan {
    pub fn includes(self, tier: Tier) -> bool {
        match self {
            Self::Free => tier == Tier::V1,
            Self::ProIndividual => tier <= Tier::V2,
            Self::ProOrganization => true,
        }
    }

    /// How many mailboxes may hold a V4 certificate at the same time without further seats.
    pub fn included_employee_seats(self) -> u32 {
        match self {
            Self::Free | Self::ProIndividual => 0,
            Self::ProOrganization => 10,
        }
    }
}

/// `GET /v1/accounts/{id}/plan`, by an operator, an officer, or a member of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountPlan {
    pub account: String,
    pub plan: Plan,
    /// The tiers that the plan includes, such as `V1`.
    pub tiers: Vec<String>,
    pub employee_seats: EmployeeSeats,
}

/// Seats for V4 certificates: one per mailbox, free again when its last V4 certificate is revoked or expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmployeeSeats {
    pub included: u32,
    /// By an operator, beyond those that the plan includes.
    pub granted: u32,
    pub used: u64,
}

/// `PATCH /v1/accounts/{id}/plan`, by an operator. What is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// The whole number of granted seats, not how many more; at most a million.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_employee_seats: Option<u32>,
}

impl PlanChange {
    /// A change of the plan alone.
    pub fn to(plan: Plan) -> Self {
        Self {
            plan: Some(plan),
            granted_employee_seats: None,
        }
    }

    /// A change of the granted seats alone.
    pub fn seats(granted: u32) -> Self {
        Self {
            plan: None,
            granted_employee_seats: Some(granted),
        }
    }
}
