//! `/v1/challenges`: proofs of control over a mailbox or a domain, by mail (BR 3.2.2.1, 3.2.2.2).

use policies::mailbox::{Domain, Mailbox};
use policies::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::text::words;

words! {
    /// The addresses a domain challenge may be sent to, see TLS BR 3.2.2.4.4.
    pub enum ConstructedAddress {
        Admin = "admin",
        Administrator = "administrator",
        Webmaster = "webmaster",
        Hostmaster = "hostmaster",
        Postmaster = "postmaster",
    }
}

/// `POST /v1/challenges`: `{"mailbox": …}` or `{"domain": …, "via": …}`.
///
/// A new challenge for the same mailbox or domain carries new values and ends the earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub enum NewChallenge {
    Mailbox(Mailbox),
    Domain { domain: Domain, via: ConstructedAddress },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    mailbox: Option<Mailbox>,
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    domain: Option<Domain>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    via: Option<ConstructedAddress>,
}

impl TryFrom<Fields> for NewChallenge {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        match (fields.mailbox, fields.domain, fields.via) {
            (Some(mailbox), None, None) => Ok(Self::Mailbox(mailbox)),
            (None, Some(domain), Some(via)) => Ok(Self::Domain { domain, via }),
            (None, Some(_), None) => Err("a domain challenge needs `via`: the address at the domain it is sent to"),
            _ => Err("write either `mailbox`, or `domain` and `via`"),
        }
    }
}

impl From<NewChallenge> for Fields {
    fn from(challenge: NewChallenge) -> Self {
        match challenge {
            NewChallenge::Mailbox(mailbox) => Self {
                mailbox: Some(mailbox),
                domain: None,
                via: None,
            },
            NewChallenge::Domain { domain, via } => Self {
                mailbox: None,
                domain: Some(domain),
                via: Some(via),
            },
        }
    }
}

words! {
    /// How far a challenge has come. Only `sent` can still change.
    pub enum ChallengeState {
        Sent = "sent",
        /// Somebody who read the mail confirmed it: there is evidence now.
        Answered = "answered",
        /// 24 hours went by.
        Expired = "expired",
        /// Too many wrong confirmation numbers.
        Failed = "failed",
        /// A later challenge for the same mailbox or domain took its place.
        Replaced = "replaced",
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Challenge {
    pub id: String,
    pub state: ChallengeState,
    /// `mailbox-control` or `domain-control`.
    pub fact: String,
    /// The mailbox or domain whose control is being proved.
    pub subject: String,
    pub sent_to: String,
    #[serde(with = "crate::text")]
    pub sent_at: Timestamp,
    #[serde(with = "crate::text")]
    pub expires_at: Timestamp,
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
}
