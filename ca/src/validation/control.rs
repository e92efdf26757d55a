//! Control of a domain, shown in the domain itself (BR 3.2.2.1 with TLS BR 3.2.2.4.7 and 3.2.2.4.18).
//!
//! A challenge has a random value that the account publishes, in the DNS or on the website, and then asks to have looked
//! at. Looking is one function, [`observe`], for every method that does not go by mail. What is seen becomes evidence only through [`Observed`].

mod challenge;
mod fetch;

use dns::{Answer, Name, Resolver, Security};
use policies::evidence::Method;
use policies::mailbox::Domain;
use subtle::ConstantTimeEq;

pub use challenge::{Challenge, begin, check, find, list};
pub(crate) use fetch::{Fetch, FetchError};

/// Where to look, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A TXT record at `label.domain` that is exactly this text. TLS BR 3.2.2.4.7: the label begins with an underscore.
    DnsChange { label: &'static str, value: String },
    /// A file at this path of the website, over port 80, that is exactly this text but for white space around it.
    Website { path: String, content: String },
}

impl Expected {
    /// A random value published as TXT record below the domain.
    pub(crate) fn dns_change(value: String) -> Self {
        Self::DnsChange {
            label: DNS_LABEL,
            value,
        }
    }

    /// A random value as the content of a file of the website. The request does not contain it.
    pub(crate) fn website_change(value: String) -> Self {
        Self::Website {
            path: WEBSITE_PATH.to_owned(),
            content: value,
        }
    }

    /// The method that evidence names.
    pub(crate) const fn method(&self) -> Method {
        match self {
            Self::DnsChange { .. } => Method::DomainDnsChange,
            Self::Website { .. } => Method::DomainWebsiteChange,
        }
    }
}

/// That what was expected was there. The only way to evidence of these methods.
#[derive(Debug)]
pub(crate) struct Observed {
    domain: Domain,
    method: Method,
    /// Where it was and how far that is proved, for the audit log.
    seen: String,
}

impl Observed {
    pub(crate) fn domain(&self) -> &Domain {
        &self.domain
    }

    pub(crate) const fn method(&self) -> Method {
        self.method
    }

    /// What was seen where, in words.
    pub(crate) fn seen(&self) -> &str {
        &self.seen
    }
}

/// Why control was not shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotShown {
    #[error("there is no TXT record at {place} yet: publish it, and wait until all name servers have it")]
    NoRecord { place: String },
    #[error("the TXT records at {place} do not contain the value of this challenge; they are {found}")]
    OtherRecords { place: String, found: String },
    #[error("the DNS answer about {place} cannot be trusted: {reason}; repair the domain's DNSSEC")]
    Bogus { place: String, reason: String },
    #[error("the DNS does not answer about {place}: {reason}")]
    NoAnswer { place: String, reason: String },
    #[error("the file {url} could not be fetched")]
    Fetch {
        url: String,
        #[source]
        source: FetchError,
    },
    #[error("the file {url} does not contain the value of this challenge; it begins {found}")]
    OtherContent { url: String, found: String },
    #[error("{text} is not a name that can be looked up")]
    Name { text: String },
}

/// Looks from here whether what was expected is there.
pub(crate) async fn observe(
    resolver: &Resolver,
    fetch: &Fetch,
    domain: &Domain,
    expected: &Expected,
) -> Result<Observed, NotShown> {
    let seen = match expected {
        Expected::DnsChange { label, value } => text_record(resolver, domain, label, value).await?,
        Expected::Website { path, content, .. } => file(resolver, fetch, domain, path, content).await?,
    };
    Ok(Observed {
        domain: domain.clone(),
        method: expected.method(),
        seen,
    })
}

async fn text_record(resolver: &Resolver, domain: &Domain, label: &str, value: &str) -> Result<String, NotShown> {
    let place = format!("{label}.{domain}");
    let name = Name::parse(&place).map_err(|error| NotShown::Name { text: error.text })?;
    let (records, security) = match resolver.txt(&name).await {
        Answer::Secure(found) => (found.records, Security::Secure),
        Answer::Insecure(found) => (found.records, Security::Insecure),
        Answer::NoData(_) | Answer::NxDomain(_) => return Err(NotShown::NoRecord { place }),
        Answer::Bogus(bogus) => {
            return Err(NotShown::Bogus {
                place,
                reason: bogus.to_string(),
            });
        }
        Answer::Failed(failure) => {
            return Err(NotShown::NoAnswer {
                place,
                reason: failure.to_string(),
            });
        }
    };
    if records.iter().any(|text| same(&text.0, value)) {
        return Ok(format!("TXT record at {place}, {security}"));
    }
    let found: Vec<String> = records.iter().take(3).map(|text| beginning(&text.0)).collect();
    Err(NotShown::OtherRecords {
        place,
        found: found.join(", "),
    })
}

async fn file(
    resolver: &Resolver,
    fetch: &Fetch,
    domain: &Domain,
    path: &str,
    content: &str,
) -> Result<String, NotShown> {
    let url = format!("http://{domain}{path}");
    let fetched = match fetch.get(resolver, domain, path).await {
        Ok(fetched) => fetched,
        Err(source) => return Err(NotShown::Fetch { url, source }),
    };
    if same(fetched.body.trim_ascii(), content) {
        return Ok(format!("file {url} from {}", fetched.address));
    }
    Err(NotShown::OtherContent {
        url,
        found: beginning(&fetched.body),
    })
}

fn same(found: &[u8], expected: &str) -> bool {
    !expected.is_empty() && found.ct_eq(expected.as_bytes()).into()
}

/// For messages: what somebody else wrote, cut off and made printable.
fn beginning(octets: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(octets).chars().take(60).collect();
    format!("{text:?}")
}

/// TLS BR 3.2.2.4.7: the record is at the domain "prefixed with a Domain Label that begins with an underscore character".
pub(crate) const DNS_LABEL: &str = "_sealwright-challenge";
/// TLS BR 3.2.2.4.18: under this folder; the name of the file must not contain the random value.
pub(crate) const WEBSITE_PATH: &str = "/.well-known/pki-validation/sealwright.txt";
