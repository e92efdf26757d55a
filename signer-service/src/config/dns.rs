//! The table `[dns]`: who is asked for mail servers, and what they are called.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dns::Name;
use serde::Deserialize;

/// DNS servers, and the keys of the root zone where it is not that of the Internet.
#[derive(Clone, Debug, Default)]
pub struct Dns {
    /// Those of /etc/resolv.conf, if none is named.
    pub servers: Vec<SocketAddr>,
    pub trust_anchor: Option<PathBuf>,
    /// Under which names, beside its own, MX records name this gateway.
    pub own_names: Vec<Name>,
    /// PEM of further roots for the web servers with policies of domains.
    pub policy_trust_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DnsFile {
    servers: Vec<SocketAddr>,
    trust_anchor: Option<PathBuf>,
    own_names: Vec<String>,
    policy_trust_file: Option<PathBuf>,
}

impl DnsFile {
    pub(super) fn check(self, folder: &Path) -> Result<Dns, String> {
        let own_names = self
            .own_names
            .iter()
            .map(|text| Name::parse(text))
            .collect::<Result<_, _>>();
        Ok(Dns {
            servers: self.servers,
            trust_anchor: self.trust_anchor.map(|path| folder.join(path)),
            own_names: own_names.map_err(|error| format!("dns.own_names: {error}"))?,
            policy_trust_file: self.policy_trust_file.map(|path| folder.join(path)),
        })
    }
}
