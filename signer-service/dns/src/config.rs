//! Whom to ask, what to trust, and how much to spend.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_net::proto::dnssec::TrustAnchors;

/// Whom to ask, what to trust, and how much to spend.
#[derive(Clone, Debug)]
pub struct ResolverConfig {
    /// Recursive resolvers, asked in this order; at least one.
    pub servers: Vec<SocketAddr>,
    pub trust_anchor: TrustAnchor,
    pub limits: Limits,
}

/// Where the chain of signatures begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustAnchor {
    /// The keys of the root zone that IANA publishes: KSK-2017 (20326) and KSK-2024 (38696).
    Iana,
    /// DNSKEY records in the form of a zone file, for a root of one's own.
    Records(String),
}

/// What one look-up may take. Whoever runs a zone decides how much work an answer makes, so everything has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the whole look-up.
    pub time: Duration,
    /// For one question to one server.
    pub time_of_a_try: Duration,
    /// How often a question is asked, over all servers.
    pub tries: u32,
    /// How many questions a look-up may ask with those for keys and delegations. A name with five labels in five signed
    /// zones takes 11; each alias begins anew.
    pub questions: u32,
    /// How many CNAME records are followed. Mainstream resolvers stop between 8 and 16.
    pub aliases: usize,
    /// How many records an answer may have.
    pub records: usize,
}

/// Why a resolver cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidConfig {
    #[error("no DNS server is named: give the address of a recursive resolver")]
    NoServer,
    #[error("the DNSSEC trust anchor cannot be read: {0}; write DNSKEY records in the form of a zone file")]
    TrustAnchor(String),
    #[error("the DNSSEC trust anchor names no key of the root zone")]
    NoRootKey,
}

impl ResolverConfig {
    /// Asks these servers and trusts the root zone of the Internet.
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            trust_anchor: TrustAnchor::Iana,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(15),
            time_of_a_try: Duration::from_secs(2),
            tries: 3,
            questions: 128,
            aliases: 8,
            records: 128,
        }
    }
}

impl TrustAnchor {
    pub(crate) fn load(&self) -> Result<TrustAnchors, InvalidConfig> {
        let anchors = match self {
            Self::Iana => TrustAnchors::default(),
            Self::Records(text) => text
                .parse()
                .map_err(|error| InvalidConfig::TrustAnchor(format!("{error}")))?,
        };
        if anchors.is_empty() {
            return Err(InvalidConfig::NoRootKey);
        }
        Ok(anchors)
    }
}

/// The servers in the text of a `resolv.conf`, in order.
pub fn system_servers(resolv_conf: &str) -> Vec<SocketAddr> {
    resolv_conf
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = (words.next()? == "nameserver").then(|| words.next())??;
            // A link-local address may come with its interface, which a socket address has no place for.
            let address: IpAddr = address.parse().ok()?;
            Some(SocketAddr::new(address, 53))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_from_resolv_conf() {
        let text = "# nameserver 192.0.2.9\nsearch example.com\nnameserver 192.0.2.1\nnameserver\t2001:db8::1 # x\nnameserver fe80::1%eth0\nnameserver\n";
        let expected: Vec<SocketAddr> = ["192.0.2.1:53", "[2001:db8::1]:53"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        assert_eq!(system_servers(text), expected);
    }

    #[test]
    fn an_anchor_without_a_root_key_is_refused() {
        assert!(TrustAnchor::Iana.load().is_ok());
        assert!(matches!(
            TrustAnchor::Records(String::new()).load(),
            Err(InvalidConfig::NoRootKey)
        ));
        assert!(matches!(
            TrustAnchor::Records("what is this".to_owned()).load(),
            Err(InvalidConfig::TrustAnchor(_))
        ));
    }
}
