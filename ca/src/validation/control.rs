//! Control of a domain, shown in the domain itself (BR 3.2.2.1 with TLS BR 3.2.2.4.7, 3.2.2.4.18 and 3.2.2.4.19).
//!
//! A challenge has a random value that the account publishes, in the DNS or on the website, and then asks to have looked
//! at. Looking is one function, [`observe`], for every method that does not go by mail. What is seen becomes evidence only through [`Observed`].

mod challenge;
mod fetch;
mod place;

use std::net::SocketAddr;

use dns::{Answer, Name, Resolver, Security};
use policies::evidence::Method;
use policies::mailbox::Domain;
use policies::perspective::NoQuorum;
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::perspectives::{Corroboration, NotCorroborated, Observation, Question, Report};

pub(crate) use challenge::{ACTOR, evidence, keep};
pub use challenge::{Challenge, begin, check, find, list};
pub(crate) use fetch::{Fetch, FetchError};
pub(crate) use place::{FilePath, Label, Place};

/// What has to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A TXT record that is exactly this random value. TLS BR 3.2.2.4.7.
    DnsChange { value: String },
    /// A file of the website that is this random value. The request does not contain it. TLS BR 3.2.2.4.18.
    WebsiteChange { value: String },
    /// A TXT record that is this digest of a key authorization. RFC 8555 section 8.4, TLS BR 3.2.2.4.7.
    AcmeDns { digest: String },
    /// A file of the website, named by the token, that is this key authorization. RFC 8555 section 8.3, TLS BR 3.2.2.4.19.
    AcmeHttp { path: FilePath, key_authorization: String },
}

impl Expected {
    /// The method that evidence names.
    pub(crate) const fn method(&self) -> Method {
        match self {
            Self::DnsChange { .. } => Method::DomainDnsChange,
            Self::WebsiteChange { .. } => Method::DomainWebsiteChange,
            Self::AcmeDns { .. } => Method::DomainAcmeDns,
            Self::AcmeHttp { .. } => Method::DomainAcmeHttp,
        }
    }

    /// Where to look. It does not say for what, so it can be told to others.
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::DnsChange { .. } => Place::Text(Label::Sealwright),
            Self::WebsiteChange { .. } => Place::File(FilePath::sealwright()),
            Self::AcmeDns { .. } => Place::Text(Label::Acme),
            Self::AcmeHttp { path, .. } => Place::File(path.clone()),
        }
    }

    fn value(&self) -> &str {
        match self {
            Self::DnsChange { value } | Self::WebsiteChange { value } => value,
            Self::AcmeDns { digest } => digest,
            Self::AcmeHttp { key_authorization, .. } => key_authorization,
        }
    }

    /// Compares what somebody saw with what has to be there; says in words where it was.
    pub(crate) fn compare(&self, seen: &Seen) -> Result<String, NotShown> {
        match seen {
            Seen::Texts {
                place,
                records,
                security,
            } => {
                if records.iter().any(|text| same(text, self.value())) {
                    return Ok(format!("TXT record at {place}, {security}"));
                }
                let found: Vec<String> = records.iter().take(3).map(|text| beginning(text)).collect();
                Err(NotShown::OtherRecords {
                    place: place.clone(),
                    found: found.join(", "),
                })
            }
            Seen::File { url, body, address } => {
                // RFC 8555 section 8.3: white space at the end is ignored; so is what editors put at the beginning.
                if same(body.trim_ascii(), self.value()) {
                    return Ok(format!("file {url} from {address}"));
                }
                Err(NotShown::OtherContent {
                    url: url.clone(),
                    found: beginning(body),
                })
            }
        }
    }
}

/// What is at a place, seen from one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Texts {
        place: String,
        records: Vec<Vec<u8>>,
        security: Security,
    },
    File {
        url: String,
        body: Vec<u8>,
        address: SocketAddr,
    },
}

/// That what was expected was there, seen from here and from as many other networks as have to see it. The only way to
/// evidence of these methods.
#[derive(Debug)]
pub(crate) struct Observed {
    domain: Domain,
    method: Method,
    /// Where it was and how far that is proved, for the audit log.
    seen: String,
    corroboration: Corroboration,
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

    /// What other networks saw.
    pub(crate) const fn corroboration(&self) -> &Corroboration {
        &self.corroboration
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
    #[error("it was seen from here, and not from enough other networks (TLS BR 3.2.2.9; {summary})")]
    NotCorroborated {
        summary: String,
        report: Box<Report>,
        #[source]
        source: NoQuorum,
    },
}

impl NotShown {
    /// What other networks saw, if that is why.
    pub(crate) fn into_report(self) -> Option<Box<Report>> {
        match self {
            Self::NotCorroborated { report, .. } => Some(report),
            _ => None,
        }
    }
}

/// Looks from here and from the remote perspectives, at the same time, whether what was expected is there.
pub(crate) async fn observe(app: &App, domain: &Domain, expected: &Expected) -> Result<Observed, NotShown> {
    let place = expected.place();
    let question = Question::Control {
        domain: domain.clone(),
        place: place.clone(),
    };
    let (here, elsewhere) = tokio::join!(
        look(&app.dns, &app.fetch, domain, &place),
        app.perspectives.ask(app, &question)
    );
    // Others corroborate what we saw; they never stand in for it.
    let seen = expected.compare(&here?)?;
    let corroboration = elsewhere.judge(|observation| match observation {
        Observation::Control(seen) => expected.compare(seen).map_err(|problem| problem.to_string()),
        _ => Err("it answered another question".to_owned()),
    });
    match corroboration {
        Ok(corroboration) => Ok(Observed {
            domain: domain.clone(),
            method: expected.method(),
            seen,
            corroboration,
        }),
        Err(NotCorroborated { report, missing }) => Err(NotShown::NotCorroborated {
            summary: report.summary(),
            report,
            source: missing,
        }),
    }
}

/// Looks at a place of a domain from where this program runs.
pub(crate) async fn look(resolver: &Resolver, fetch: &Fetch, domain: &Domain, place: &Place) -> Result<Seen, NotShown> {
    match place {
        Place::Text(label) => text_records(resolver, domain, *label).await,
        Place::File(path) => file(resolver, fetch, domain, path).await,
    }
}

async fn text_records(resolver: &Resolver, domain: &Domain, label: Label) -> Result<Seen, NotShown> {
    let place = label.of(domain);
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
    Ok(Seen::Texts {
        place,
        records: records.into_iter().map(|text| text.0).collect(),
        security,
    })
}

async fn file(resolver: &Resolver, fetch: &Fetch, domain: &Domain, path: &FilePath) -> Result<Seen, NotShown> {
    let url = path.of(domain);
    match fetch.get(resolver, domain, path.as_ref()).await {
        Ok(fetched) => Ok(Seen::File {
            url,
            body: fetched.body,
            address: fetched.address,
        }),
        Err(source) => Err(NotShown::Fetch { url, source }),
    }
}

fn same(found: &[u8], expected: &str) -> bool {
    !expected.is_empty() && found.ct_eq(expected.as_bytes()).into()
}

/// For messages: what somebody else wrote, cut off and made printable.
fn beginning(octets: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(octets).chars().take(60).collect();
    format!("{text:?}")
}
