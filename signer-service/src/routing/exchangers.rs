//! Which hosts take a domain's mail, see [RFC 5321 section 5.1].
//!
//! [RFC 5321 section 5.1]: https://www.rfc-editor.org/rfc/rfc5321#section-5.1

use std::net::IpAddr;

use dns::{Answer, MailExchanger, Name, Resolver, Security};
use rand_core::CryptoRng;

use super::NoRoute;

/// The hosts of a domain in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchangers {
    pub(crate) hosts: Vec<Exchanger>,
    /// Whether DNSSEC proves that it is these.
    pub(crate) security: Security,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchanger {
    pub(crate) name: Name,
    /// `None` for the domain itself, which has no MX record.
    pub(crate) preference: Option<u16>,
}

/// Asks for the MX records of a domain; without any the domain itself takes its mail.
///
/// `own` are the names of this gateway: where it is one of the hosts, only those before it are tried.
pub(super) async fn find(resolver: &Resolver, domain: &Name, own: &[Name]) -> Result<Exchangers, NoRoute> {
    let (records, security) = match resolver.mx(domain).await {
        Answer::Secure(found) => (found.records, Security::Secure),
        Answer::Insecure(found) => (found.records, Security::Insecure),
        Answer::NoData(absent) => {
            let itself = Exchanger {
                name: domain.clone(),
                preference: None,
            };
            return Ok(Exchangers {
                hosts: vec![itself],
                security: absent.security,
            });
        }
        Answer::NxDomain(_) => {
            return Err(NoRoute::NoSuchDomain {
                domain: domain.to_string(),
            });
        }
        Answer::Bogus(problem) => return Err(NoRoute::dns(domain, problem)),
        Answer::Failed(problem) => return Err(NoRoute::dns(domain, problem)),
    };
    let hosts = in_order(domain, records, own)?;
    Ok(Exchangers { hosts, security })
}

impl Exchangers {
    /// Draws the order of those with equal preference anew, so that they share the load.
    pub(super) fn shuffle(&mut self, rng: &mut dyn CryptoRng) {
        shuffle_equals(&mut self.hosts, rng);
    }
}

/// The addresses of a host, and what is needed to find its TLSA records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    /// IPv6 and IPv4 by turns, so that a network without one of them costs little.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) security: Security,
    /// The name after all aliases.
    pub(super) canonical: Name,
}

/// Why a host cannot be connected to; one sentence.
pub(super) async fn addresses(resolver: &Resolver, host: &Name) -> Result<Addresses, Unreachable> {
    let (ipv6, ipv4) = tokio::join!(resolver.aaaa(host), resolver.a(host));
    let mut security = Security::Secure;
    let mut canonical = host.clone();
    let mut found: [Vec<IpAddr>; 2] = Default::default();
    let mut failure = None;
    for (answer, list) in [ipv6, ipv4].into_iter().zip(&mut found) {
        match answer {
            Answer::Secure(of_kind) => {
                canonical = of_kind.name;
                *list = of_kind.records;
            }
            Answer::Insecure(of_kind) => {
                security = Security::Insecure;
                canonical = of_kind.name;
                *list = of_kind.records;
            }
            Answer::NoData(_) | Answer::NxDomain(_) => {}
            // RFC 7672 section 2.1.1: as if the host could not be reached.
            Answer::Bogus(problem) => return Err(Unreachable::Later(problem.to_string())),
            Answer::Failed(problem) => failure = Some(problem.to_string()),
        }
    }
    let [ipv6, ipv4] = found;
    if ipv6.is_empty() && ipv4.is_empty() {
        return Err(failure.map_or(Unreachable::NoAddress, Unreachable::Later));
    }
    let longest = ipv6.len().max(ipv4.len());
    let addresses = (0..longest)
        .flat_map(|index| [ipv6.get(index), ipv4.get(index)])
        .flatten()
        .copied()
        .collect();
    Ok(Addresses {
        addresses,
        security,
        canonical,
    })
}

/// Why a host has no address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreachable {
    /// The DNS says that it has none.
    NoAddress,
    /// The DNS did not answer, or not truthfully.
    Later(String),
}

/// By preference, without those that this gateway must not send to.
fn in_order(domain: &Name, mut records: Vec<MailExchanger>, own: &[Name]) -> Result<Vec<Exchanger>, NoRoute> {
    // RFC 7505 section 3: a null MX beside others is none.
    if let [MailExchanger { exchange: None, .. }] = records.as_slice() {
        return Err(NoRoute::NullMx {
            domain: domain.to_string(),
        });
    }
    records.sort();
    let ours = |record: &MailExchanger| record.exchange.as_ref().is_some_and(|name| own.contains(name));
    // Sending to one that is no better than this gateway makes a circle.
    let own_preference = records
        .iter()
        .find(|record| ours(record))
        .map(|record| record.preference);
    let hosts: Vec<Exchanger> = records
        .into_iter()
        .filter(|record| own_preference.is_none_or(|own| record.preference < own))
        .filter_map(|record| {
            Some(Exchanger {
                name: record.exchange?,
                preference: Some(record.preference),
            })
        })
        .take(MOST_HOSTS)
        .collect();
    if hosts.is_empty() {
        return Err(NoRoute::Circle {
            domain: domain.to_string(),
        });
    }
    Ok(hosts)
}

fn shuffle_equals(hosts: &mut [Exchanger], rng: &mut dyn CryptoRng) {
    for equals in hosts.chunk_by_mut(|one, other| one.preference == other.preference) {
        for last in (1..equals.len()).rev() {
            // At most as many as there are records, so what modulo adds to the first ones is beyond measure.
            let other = usize::try_from(rng.next_u32()).unwrap_or(0) % (last + 1);
            equals.swap(last, other);
        }
    }
}

/// More than anybody has; the rest would not be tried before the attempt ends.
const MOST_HOSTS: usize = 16;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn records(list: &[(u16, &str)]) -> Vec<MailExchanger> {
        list.iter()
            .map(|(preference, exchange)| MailExchanger {
                preference: *preference,
                exchange: (*exchange != ".").then(|| name(exchange)),
            })
            .collect()
    }

    fn order(list: &[(u16, &str)], own: &[&str]) -> Result<Vec<String>, NoRoute> {
        let own: Vec<Name> = own.iter().map(|text| name(text)).collect();
        let hosts = in_order(&name("example.com"), records(list), &own)?;
        Ok(hosts.into_iter().map(|host| host.name.to_string()).collect())
    }

    #[test]
    fn the_lowest_preference_comes_first() {
        let hosts = order(&[(20, "b.example"), (5, "a.example"), (20, "c.example")], &[]).unwrap();
        assert_eq!(hosts, ["a.example", "b.example", "c.example"]);
    }

    #[test]
    fn who_is_no_better_than_this_gateway_is_not_sent_to() {
        let list = [
            (10, "a.example"),
            (20, "Gateway.example"),
            (20, "b.example"),
            (30, "c.example"),
        ];
        assert_eq!(order(&list, &["gateway.EXAMPLE"]).unwrap(), ["a.example"]);
        let circle = order(&list[1..], &["gateway.example"]);
        assert!(matches!(circle, Err(NoRoute::Circle { .. })), "{circle:?}");
    }

    #[test]
    fn a_null_mx_counts_only_alone() {
        let refused = order(&[(0, ".")], &[]);
        assert!(matches!(refused, Err(NoRoute::NullMx { .. })), "{refused:?}");
        assert_eq!(order(&[(0, "."), (10, "a.example")], &[]).unwrap(), ["a.example"]);
    }

    #[test]
    fn equal_ones_change_places_and_others_do_not() {
        let list = [
            (1, "a.example"),
            (5, "b.example"),
            (5, "c.example"),
            (5, "d.example"),
            (9, "e.example"),
        ];
        let mut seconds = [0_usize; 3];
        for seed in 0..300 {
            let mut hosts = in_order(&name("example.com"), records(&list), &[]).unwrap();
            shuffle_equals(&mut hosts, &mut ChaCha20Rng::seed_from_u64(seed));
            assert_eq!(hosts[0].name, name("a.example"));
            assert_eq!(hosts[4].name, name("e.example"));
            let second = ["b.example", "c.example", "d.example"]
                .iter()
                .position(|text| hosts[1].name == name(text))
                .unwrap();
            seconds[second] += 1;
        }
        assert!(seconds.iter().all(|count| (60..=140).contains(count)), "{seconds:?}");
    }
}
