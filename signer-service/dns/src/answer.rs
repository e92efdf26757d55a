//! What a look-up comes to.

use std::fmt;

use crate::name::Name;

/// Whether DNSSEC proves an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Security {
    /// It is proved that the zone is not signed, so anybody on the way could have written the answer.
    Insecure,
    /// Signatures lead from the trust anchor to the answer ([RFC 4035 section 5]).
    ///
    /// [RFC 4035 section 5]: https://www.rfc-editor.org/rfc/rfc4035#section-5
    Secure,
}

/// What a look-up came to. Only the first two variants hold records.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer<T> {
    /// Records, proved.
    Secure(Found<T>),
    /// Records of a zone that is proved not to be signed.
    Insecure(Found<T>),
    /// The name exists and has no records of this type.
    NoData(Absent),
    /// The name does not exist.
    NxDomain(Absent),
    /// An answer came, and its proof is wrong or missing although there must be one. Never use what it said.
    Bogus(Bogus),
    /// There is no answer.
    Failed(Failure),
}

/// Records of one type at one name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found<T> {
    /// At least one.
    pub records: Vec<T>,
    /// For how many seconds they may be used, at most: the least of the records' and of all aliases on the way.
    pub ttl: u32,
    /// Where the records are, after all aliases.
    pub name: Name,
    /// The targets of the CNAME records that were followed, in order.
    pub aliases: Vec<Name>,
}

/// There are no such records.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Absent {
    /// Whether the absence is proved.
    pub security: Security,
    /// For how many seconds that may be believed ([RFC 2308 section 5]); 0 when the answer does not say.
    ///
    /// [RFC 2308 section 5]: https://www.rfc-editor.org/rfc/rfc2308#section-5
    pub ttl: u32,
    /// The name that lacks the records, after all aliases.
    pub name: Name,
    /// The targets of the CNAME records that were followed, in order.
    pub aliases: Vec<Name>,
}

/// An answer without the proof that it must have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Bogus {
    #[error("the signatures over the {kind} records of {name} do not lead to the trust anchor")]
    Records { name: Name, kind: &'static str },
    #[error("the answer for {name} was made from a wildcard, and nothing proves that there is no closer name")]
    Wildcard { name: Name },
    #[error("that {name} has no {kind} records is not proved, although its zone seems to be signed")]
    Denial { name: Name, kind: &'static str },
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    #[error("no server answered in time about {name}")]
    Timeout { name: Name },
    #[error("the servers could not be reached about {name}: {reason}")]
    Unreachable { name: Name, reason: String },
    #[error("the server answered {code} about {name}")]
    Refused { name: Name, code: String },
    #[error("the answer about {name} cannot be read: {reason}")]
    Malformed { name: Name, reason: String },
    #[error("the server does not resolve names itself: it answered about {name} with a referral")]
    Referral { name: Name },
    #[error("{name} is an alias in a circle")]
    AliasLoop { name: Name },
    #[error("{name} is an alias of an alias, more than {limit} times")]
    TooManyAliases { name: Name, limit: usize },
    #[error("there are more than {limit} records at {name}")]
    TooManyRecords { name: Name, limit: usize },
    #[error("validating the answer about {name} takes more than {limit} questions")]
    TooMuchWork { name: Name, limit: u32 },
}

impl<T> Answer<T> {
    /// The records and whether they are proved; `None` without records, whatever the reason.
    pub fn found(&self) -> Option<(&Found<T>, Security)> {
        match self {
            Self::Secure(found) => Some((found, Security::Secure)),
            Self::Insecure(found) => Some((found, Security::Insecure)),
            _ => None,
        }
    }

    /// The absence of records, if that is what is known.
    pub fn absent(&self) -> Option<&Absent> {
        match self {
            Self::NoData(absent) | Self::NxDomain(absent) => Some(absent),
            _ => None,
        }
    }

    /// One word for logs and records: `secure`, `insecure`, `no_data`, `nx_domain`, `bogus` or `failed`.
    pub fn state(&self) -> &'static str {
        match self {
            Self::Secure(_) => "secure",
            Self::Insecure(_) => "insecure",
            Self::NoData(_) => "no_data",
            Self::NxDomain(_) => "nx_domain",
            Self::Bogus(_) => "bogus",
            Self::Failed(_) => "failed",
        }
    }

    /// The same answer with other records; an empty result of `change` leaves the record out.
    pub(crate) fn filter_map<U>(self, kind: &'static str, change: impl FnMut(T) -> Option<U>) -> Answer<U> {
        let over = |found: Found<T>| -> Result<Found<U>, Bogus> {
            let records: Vec<U> = found.records.into_iter().filter_map(change).collect();
            if records.is_empty() {
                return Err(Bogus::Records { name: found.name, kind });
            }
            Ok(Found {
                records,
                ttl: found.ttl,
                name: found.name,
                aliases: found.aliases,
            })
        };
        match self {
            Self::Secure(found) => over(found).map_or_else(Answer::Bogus, Answer::Secure),
            Self::Insecure(found) => over(found).map_or_else(Answer::Bogus, Answer::Insecure),
            Self::NoData(absent) => Answer::NoData(absent),
            Self::NxDomain(absent) => Answer::NxDomain(absent),
            Self::Bogus(bogus) => Answer::Bogus(bogus),
            Self::Failed(failure) => Answer::Failed(failure),
        }
    }
}

impl Failure {
    /// Whether asking again may help, since it was silence or the word of a server rather than the content of an answer.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Timeout { .. } | Self::Unreachable { .. } | Self::Refused { .. }
        )
    }
}

impl fmt::Display for Security {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Secure => "secure",
            Self::Insecure => "insecure",
        })
    }
}
