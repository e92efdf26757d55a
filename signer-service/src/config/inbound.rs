//! The table `[inbound]`: mail that comes in.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use milter::server::{Endpoint, InvalidEndpoint};
use policies::mailbox::Mailbox;
use serde::Deserialize;

use super::host::{host_and_port, is_host_name};
use super::network::Network;

/// Mail that comes in.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// Where it is taken in, if not by milter only.
    pub listen: Option<SocketAddr>,
    /// Where a mail server has it labelled by milter, if at all.
    pub milter: Option<Endpoint>,
    /// Whose connections are accepted.
    pub networks: Vec<Network>,
    /// Where labelled mail goes.
    pub deliver: Place,
    pub protocol: Protocol,
    /// In whose name the results are written (RFC 8601 section 2.5).
    pub authserv_id: String,
    /// Whether the tier stands in front of the subject.
    pub subject_tag: bool,
    /// Whether mail is opened for recipients whose key is here.
    pub decrypt: bool,
    /// The mailbox whose key opens mail for everybody.
    pub domain_identity: Option<Mailbox>,
    /// PEM of the roots that vouch for tiers.
    pub trust_files: Vec<PathBuf>,
}

/// A mail server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Smtp,
    Lmtp,
}

#[cfg(test)]
impl Inbound {
    pub(crate) fn for_tests() -> Self {
        Self {
            listen: None,
            milter: None,
            networks: Vec::new(),
            deliver: Place::Unix(PathBuf::new()),
            protocol: Protocol::Lmtp,
            authserv_id: "mx.example.com".to_owned(),
            subject_tag: false,
            decrypt: true,
            domain_identity: None,
            trust_files: Vec::new(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InboundFile {
    listen: Option<SocketAddr>,
    milter: Option<String>,
    #[serde(default = "loopback_networks")]
    networks: Vec<String>,
    #[serde(default = "default_deliver")]
    deliver: String,
    authserv_id: Option<String>,
    #[serde(default)]
    subject_tag: bool,
    #[serde(default = "yes")]
    decrypt: bool,
    domain_identity: Option<String>,
    #[serde(default)]
    trust_files: Vec<PathBuf>,
}

impl InboundFile {
    pub(super) fn check(self, folder: &Path, hostname: &str) -> Result<Inbound, String> {
        if self.listen.is_none() && self.milter.is_none() {
            return Err("[inbound]: say where mail comes in, by listen or milter".to_owned());
        }
        let (protocol, place) = match self.deliver.split_once(':') {
            Some(("smtp", place)) => (Protocol::Smtp, place),
            Some(("lmtp", place)) => (Protocol::Lmtp, place),
            _ => {
                return Err(format!(
                    "inbound.deliver {:?} begins with neither smtp: nor lmtp:, as in \"lmtp:/run/dovecot/lmtp\"",
                    self.deliver
                ));
            }
        };
        let deliver = if place.starts_with('/') {
            Place::Unix(PathBuf::from(place))
        } else {
            let (host, port) = host_and_port("inbound.deliver", place)
                .map_err(|_| format!("inbound.deliver {:?} names neither host:port nor a path", self.deliver))?;
            Place::Tcp { host, port }
        };
        let authserv_id = self.authserv_id.unwrap_or_else(|| hostname.to_owned());
        if !is_host_name(&authserv_id) {
            return Err(format!("inbound.authserv_id {authserv_id:?} is not a host name"));
        }
        let networks = self
            .networks
            .iter()
            .map(|network| network.parse())
            .collect::<Result<_, _>>();
        let domain_identity = self
            .domain_identity
            .map(|text| Mailbox::parse(&text).map_err(|error| format!("inbound.domain_identity {text:?}: {error}")))
            .transpose()?;
        Ok(Inbound {
            listen: self.listen,
            milter: self
                .milter
                .map(|milter| milter.parse())
                .transpose()
                .map_err(|error: InvalidEndpoint| format!("inbound.milter: {error}"))?,
            networks: networks.map_err(|reason| format!("inbound.networks: {reason}"))?,
            deliver,
            protocol,
            authserv_id,
            subject_tag: self.subject_tag,
            decrypt: self.decrypt,
            domain_identity,
            trust_files: self.trust_files.iter().map(|path| folder.join(path)).collect(),
        })
    }
}

fn loopback_networks() -> Vec<String> {
    vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()]
}

fn default_deliver() -> String {
    "lmtp:127.0.0.1:24".to_owned()
}

const fn yes() -> bool {
    true
}
