//! Look-ups with validation.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_net::dnssec::DnssecDnsHandle;
use hickory_net::proto::dnssec::{Proof, TrustAnchors};
use hickory_net::proto::op::{DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_net::proto::rr::{RData, Record, RecordType};
use hickory_net::xfer::FirstAnswer;
use hickory_net::{DnsError, DnsHandle, NetError};

use crate::answer::{Absent, Answer, Bogus, Failure, Found, Security};
use crate::config::{InvalidConfig, Limits, ResolverConfig};
use crate::exchange::Exchange;
use crate::name::Name;
use crate::record::{self, CertificateAssociation, CertificationAuthorityAuthorization, MailExchanger, Text};
use crate::wildcard;

/// Asks recursive resolvers and validates what they say.
///
/// Cheap to clone. A look-up takes what [`Limits`] allow and no more, however hostile the zone.
#[derive(Clone)]
pub struct Resolver {
    servers: Arc<[SocketAddr]>,
    anchors: Arc<TrustAnchors>,
    limits: Limits,
}

impl Resolver {
    /// Reads the trust anchor; asks nothing yet.
    pub fn new(config: &ResolverConfig) -> Result<Self, InvalidConfig> {
        if config.servers.is_empty() {
            return Err(InvalidConfig::NoServer);
        }
        Ok(Self {
            servers: config.servers.clone().into(),
            anchors: Arc::new(config.trust_anchor.load()?),
            limits: config.limits,
        })
    }

    /// The servers that are asked.
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// TXT records.
    pub async fn txt(&self, name: &Name) -> Answer<Text> {
        self.look_up(name, RecordType::TXT)
            .await
            .filter_map("TXT", Text::from_rdata)
    }

    /// CAA records of exactly this name; climbing the tree is up to whoever issues.
    pub async fn caa(&self, name: &Name) -> Answer<CertificationAuthorityAuthorization> {
        self.look_up(name, RecordType::CAA)
            .await
            .filter_map("CAA", CertificationAuthorityAuthorization::from_rdata)
    }

    /// MX records, in the order of their preference.
    pub async fn mx(&self, name: &Name) -> Answer<MailExchanger> {
        let mut answer = self
            .look_up(name, RecordType::MX)
            .await
            .filter_map("MX", MailExchanger::from_rdata);
        if let Answer::Secure(found) | Answer::Insecure(found) = &mut answer {
            found.records.sort();
        }
        answer
    }

    /// A records.
    pub async fn a(&self, name: &Name) -> Answer<IpAddr> {
        self.look_up(name, RecordType::A).await.filter_map("A", record::address)
    }

    /// AAAA records.
    pub async fn aaaa(&self, name: &Name) -> Answer<IpAddr> {
        self.look_up(name, RecordType::AAAA)
            .await
            .filter_map("AAAA", record::address)
    }

    /// TLSA records, such as those of `_25._tcp.mail.example.com` ([RFC 7672]).
    ///
    /// [RFC 7672]: https://www.rfc-editor.org/rfc/rfc7672
    pub async fn tlsa(&self, name: &Name) -> Answer<CertificateAssociation> {
        self.look_up(name, RecordType::TLSA)
            .await
            .filter_map("TLSA", CertificateAssociation::from_rdata)
    }

    /// SMIMEA records; [`Name::below`] builds the name ([RFC 8162 section 3]).
    ///
    /// [RFC 8162 section 3]: https://www.rfc-editor.org/rfc/rfc8162#section-3
    pub async fn smimea(&self, name: &Name) -> Answer<CertificateAssociation> {
        self.look_up(name, RecordType::SMIMEA)
            .await
            .filter_map("SMIMEA", CertificateAssociation::from_rdata)
    }

    /// A resolver's pieces for one look-up.
    pub(crate) fn exchange(&self) -> Exchange {
        Exchange::new(Arc::clone(&self.servers), self.limits)
    }

    pub(crate) fn anchors(&self) -> Arc<TrustAnchors> {
        Arc::clone(&self.anchors)
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    async fn look_up(&self, name: &Name, kind: RecordType) -> Answer<RData> {
        let exchange = self.exchange();
        let work = self.follow(name, kind, &exchange);
        match tokio::time::timeout(self.limits.time, work).await {
            Ok(Answer::Bogus(bogus)) => match exchange.failure() {
                // What could not be asked could not be checked: that is no answer rather than a wrong one.
                Some(failure) => Answer::Failed(failure),
                None => Answer::Bogus(bogus),
            },
            Ok(answer) => answer,
            Err(_) => Answer::Failed(Failure::Timeout { name: name.clone() }),
        }
    }

    /// Asks for the records, and again for the target of each alias.
    ///
    /// A server usually sends the records of the target along. They are not taken from there: the validator looks at
    /// wildcards and denials only for the name of the question.
    async fn follow(&self, name: &Name, kind: RecordType, exchange: &Exchange) -> Answer<RData> {
        let validator = DnssecDnsHandle::with_trust_anchor(exchange.clone(), Arc::clone(&self.anchors));
        let mut current = name.clone();
        let mut security = Security::Secure;
        let mut ttl = u32::MAX;
        let mut aliases: Vec<Name> = Vec::new();
        loop {
            let query = Query::query(current.labels().clone(), kind);
            let (response, denial) = match validator.lookup(query, with_signatures()).first_answer().await {
                Ok(response) => (response, Denial::Checked),
                // NSEC3 with more iterations than anybody should compute is as good as no signature
                // ([RFC 9276 section 3.2]): what came is believed as what an unsigned zone says.
                Err(NetError::Dns(DnsError::Nsec {
                    response,
                    proof: Proof::Insecure,
                    ..
                })) => {
                    security = Security::Insecure;
                    (*response, Denial::Insecure)
                }
                Err(NetError::Dns(DnsError::Nsec { response, .. })) => (*response, Denial::Wrong),
                Err(error) => {
                    let failure = exchange.failure().unwrap_or_else(|| Failure::Malformed {
                        name: current,
                        reason: error.to_string(),
                    });
                    return Answer::Failed(failure);
                }
            };
            let records = match proved(&response, &current, kind, denial) {
                Ok(records) => records,
                Err(bogus) => return Answer::Bogus(bogus),
            };
            if let Some((records, records_security, records_ttl)) = records {
                if records.len() > self.limits.records {
                    let limit = self.limits.records;
                    return Answer::Failed(Failure::TooManyRecords { name: current, limit });
                }
                let found = Found {
                    records,
                    ttl: ttl.min(records_ttl),
                    name: current,
                    aliases,
                };
                return match security.min(records_security) {
                    Security::Secure => Answer::Secure(found),
                    Security::Insecure => Answer::Insecure(found),
                };
            }
            let alias = match proved(&response, &current, RecordType::CNAME, denial) {
                Ok(alias) => alias,
                Err(bogus) => return Answer::Bogus(bogus),
            };
            let Some((targets, alias_security, alias_ttl)) = alias else {
                return match denied(&response, &current, denial) {
                    Ok(denial_security) => absent(&response, current, security.min(denial_security), ttl, aliases),
                    Err(NotDenied::Referral) => Answer::Failed(Failure::Referral { name: current }),
                    Err(NotDenied::Unproved) => Answer::Bogus(Bogus::Denial {
                        name: current,
                        kind: word(kind),
                    }),
                };
            };
            security = security.min(alias_security);
            ttl = ttl.min(alias_ttl);
            let target = match &targets[..] {
                [RData::CNAME(target)] => Name::from_labels(target.0.clone()),
                _ => {
                    let reason = "more than one CNAME record".to_owned();
                    return Answer::Failed(Failure::Malformed { name: current, reason });
                }
            };
            if target == *name || aliases.contains(&target) {
                return Answer::Failed(Failure::AliasLoop { name: name.clone() });
            }
            if aliases.len() == self.limits.aliases {
                return Answer::Failed(Failure::TooManyAliases {
                    name: name.clone(),
                    limit: self.limits.aliases,
                });
            }
            aliases.push(target.clone());
            current = target;
        }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Resolver")
            .field("servers", &self.servers)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What the validator made of the NSEC and NSEC3 records of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denial {
    /// It found nothing wrong, but see [`denied`].
    Checked,
    /// They prove that nothing can be proved.
    Insecure,
    /// They do not prove what the response says.
    Wrong,
}

/// The type's name, for messages.
fn word(kind: RecordType) -> &'static str {
    kind.into()
}

/// Records, whether they are proved, and their time to live in seconds.
type Proved = (Vec<RData>, Security, u32);

/// The records of one type at one name and what proves them; `None` when there are none.
fn proved(response: &DnsResponse, name: &Name, kind: RecordType, denial: Denial) -> Result<Option<Proved>, Bogus> {
    let records: Vec<&Record> = response
        .answers
        .iter()
        .filter(|record| record.name == *name.labels() && record.record_type() == kind)
        .collect();
    let Some(ttl) = records.iter().map(|record| record.ttl).min() else {
        return Ok(None);
    };
    let security = if records.iter().all(|record| record.proof == Proof::Secure) {
        Security::Secure
    } else if records.iter().all(|record| record.proof == Proof::Insecure) {
        Security::Insecure
    } else {
        return Err(Bogus::Records {
            name: name.clone(),
            kind: word(kind),
        });
    };
    let there = match (wildcard::expanded_from(response, name.labels(), kind), denial) {
        // Without a wildcard there is nothing to deny, and a denial that comes along is wrong.
        (None, Denial::Checked | Denial::Insecure) | (Some(_), Denial::Insecure) => true,
        (None, Denial::Wrong) => false,
        // The validator leaves out this proof when everything in the authority section is of an unsigned zone, which
        // anybody can add; so a proved NSEC or NSEC3 must be there ([RFC 4035 section 5.3.4]).
        (Some(_), Denial::Checked) if proves_denial(response) => true,
        (Some(expanded), _) => {
            security == Security::Insecure || wildcard::no_closer_name(response, name.labels(), expanded)
        }
    };
    if !there {
        return Err(Bogus::Wildcard { name: name.clone() });
    }
    let records = records.into_iter().map(|record| record.data.clone()).collect();
    Ok(Some((records, security, ttl)))
}

fn proves_denial(response: &DnsResponse) -> bool {
    response.authorities.iter().any(|record| {
        record.proof == Proof::Secure && matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3)
    })
}

enum NotDenied {
    Referral,
    Unproved,
}

/// What proves that there are no records, in a response that the validator let pass.
fn denied(response: &DnsResponse, name: &Name, denial: Denial) -> Result<Security, NotDenied> {
    match denial {
        Denial::Checked => {}
        Denial::Insecure => return Ok(Security::Insecure),
        Denial::Wrong => return Err(NotDenied::Unproved),
    }
    if proves_denial(response) {
        // With those, the validator has checked the whole proof for the name and type of the question.
        return Ok(Security::Secure);
    }
    let has = |kind| response.authorities.iter().any(|record| record.record_type() == kind);
    if has(RecordType::NS) && !has(RecordType::SOA) && !response.authoritative {
        return Err(NotDenied::Referral);
    }
    // The validator also lets pass what has only unsigned records in its authority section, whatever zone they are of.
    // They must be of a zone that the name is in; without any, it has proved that the name is in an unsigned zone.
    let of_a_zone_above = |record: &Record| record.name.zone_of(name.labels());
    if response.authorities.is_empty() || response.authorities.iter().any(of_a_zone_above) {
        return Ok(Security::Insecure);
    }
    Err(NotDenied::Unproved)
}

fn absent(
    response: &DnsResponse,
    name: Name,
    security: Security,
    ttl_of_aliases: u32,
    aliases: Vec<Name>,
) -> Answer<RData> {
    let ttl = response
        .authorities
        .iter()
        .find_map(|record| match &record.data {
            RData::SOA(soa) => Some(soa.minimum.min(record.ttl)),
            _ => None,
        })
        .unwrap_or(0);
    let absent = Absent {
        security,
        ttl: ttl.min(ttl_of_aliases),
        name,
        aliases,
    };
    match response.response_code {
        ResponseCode::NXDomain => Answer::NxDomain(absent),
        _ => Answer::NoData(absent),
    }
}

/// The options of every question.
pub(crate) fn with_signatures() -> DnsRequestOptions {
    let mut options = DnsRequestOptions::default();
    options.edns_set_dnssec_ok = true;
    options
}
