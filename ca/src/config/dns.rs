//! `[dns]` and `[caa]`: whom to ask, and by which names a domain may name this authority.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dns::{ResolverConfig, TrustAnchor};
use policies::mailbox::Domain;
use serde::Deserialize;

use super::PublicUrl;
use crate::error::Error;

/// Where names are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Recursive resolvers; those of the system when empty.
    pub servers: Vec<SocketAddr>,
    /// A file with DNSKEY records of another root than the Internet's.
    pub trust_anchor: Option<PathBuf>,
}

/// Whether domains are asked before certificates for their addresses are issued (BR 4.2.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caa {
    /// Always. These are the names by which a record may name us.
    Check { issuers: Vec<Domain> },
    /// Never, for a reason that stands in the record of every certificate. No publicly trusted authority may do this.
    Off { because: String },
}

impl Dns {
    /// What a resolver is made of. Reads the trust anchor, and the system's servers if none are configured.
    pub(crate) fn resolver(&self) -> Result<ResolverConfig, Error> {
        let mut servers = self.servers.clone();
        if servers.is_empty() {
            let text = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
            servers = dns::system_servers(&text);
        }
        if servers.is_empty() {
            // What resolv.conf(5) says of a file without servers.
            servers = vec![SocketAddr::from(([127, 0, 0, 1], 53))];
        }
        let mut config = ResolverConfig::new(servers);
        if let Some(path) = &self.trust_anchor {
            let text = std::fs::read_to_string(path).map_err(|source| Error::File {
                action: "read",
                path: path.clone(),
                source,
            })?;
            config.trust_anchor = TrustAnchor::Records(text);
        }
        Ok(config)
    }
}

/// How files of websites are fetched. The defaults are the only ones that the BR allow; others are for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Website {
    /// The port that stands for 80.
    pub http_port: u16,
    /// Whether loopback and private addresses are connected to.
    pub private_addresses: bool,
}

impl Default for Website {
    fn default() -> Self {
        Self {
            http_port: 80,
            private_addresses: false,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebsiteSection {
    danger_http_port: Option<u16>,
    danger_private_addresses: bool,
}

impl WebsiteSection {
    pub(crate) fn check(self) -> Website {
        let usual = Website::default();
        Website {
            http_port: self.danger_http_port.unwrap_or(usual.http_port),
            private_addresses: self.danger_private_addresses,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DnsSection {
    servers: Vec<String>,
    trust_anchor: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CaaSection {
    check: CheckWord,
    issuers: Option<Vec<String>>,
    off_because: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CheckWord {
    #[default]
    Always,
    Off,
}

impl DnsSection {
    pub(crate) fn check(self, folder: &Path) -> Result<Dns, String> {
        let servers = self.servers.iter().map(|text| server(text)).collect::<Result<_, _>>()?;
        Ok(Dns {
            servers,
            trust_anchor: self.trust_anchor.map(|path| folder.join(path)),
        })
    }
}

impl CaaSection {
    pub(super) fn check(self, public_url: &PublicUrl) -> Result<Caa, String> {
        match (self.check, self.off_because) {
            (CheckWord::Off, Some(because)) if is_sentence(&because) => Ok(Caa::Off { because }),
            (CheckWord::Off, _) => Err(
                "[caa] check = \"off\" needs off_because = \"…\": why, in 10 to 300 characters; it goes into the record of \
                 every certificate, and no publicly trusted authority may do it (BR 4.2.2.1)"
                    .to_owned(),
            ),
            (CheckWord::Always, Some(_)) => {
                Err("[caa] off_because is written, but check is not \"off\": remove one of them".to_owned())
            }
            (CheckWord::Always, None) => {
                let issuers = match self.issuers {
                    Some(names) if names.is_empty() => {
                        return Err(
                            "[caa] issuers is empty: write the domain names by which CAA records may name this authority"
                                .to_owned(),
                        );
                    }
                    Some(names) => names.iter().map(|name| issuer(name)).collect::<Result<_, _>>()?,
                    // An address is not a name; nobody can then permit us, and whoever has no records still can be served.
                    None => issuer(public_url.host()).into_iter().collect(),
                };
                Ok(Caa::Check { issuers })
            }
        }
    }
}

fn server(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse::<SocketAddr>();
    let alone = || text.parse().map(|address| SocketAddr::new(address, 53));
    with_port
        .or_else(|_| alone())
        .map_err(|_| format!("[dns] servers: {text:?} is not an address; write \"192.0.2.53\" or \"192.0.2.53:53\""))
}

fn issuer(text: &str) -> Result<Domain, String> {
    Domain::parse(text).map_err(|error| format!("[caa] issuers: {text:?} is not a domain name: {error}"))
}

fn is_sentence(text: &str) -> bool {
    (10..=300).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
