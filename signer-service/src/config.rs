//! `gateway.toml` in the data folder: read once at start, into values that have been checked.
//!
//! Every key has a working default except the ones that only the operator can know; an unknown key is an error.
//! Relative paths start at the data folder.

mod certificate_authority;
mod dkim;
mod dns;
mod encryption;
mod host;
mod inbound;
mod keys;
mod network;
mod next_hop;
mod sender;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use milter::server::{Endpoint, InvalidEndpoint};
use policies::signing::MaySign;
use serde::Deserialize;

use self::certificate_authority::{AccountFile, CertificateAuthorityFile};
use self::dkim::DkimFile;
use self::dns::DnsFile;
use self::encryption::EncryptionFile;
use self::host::is_host_name;
use self::inbound::InboundFile;
use self::keys::{KeysFile, TlsFile};
use self::next_hop::{NextHopFile, RouteFile, closest};
use self::sender::SenderFile;
use crate::dkim::Selector;
use crate::error::Error;
use crate::policy::{Policy, PolicyFile};
use crate::queue::QueueSettings;
use crate::queue::config::{Door, MetricsDoor, Mode, QueueFile};
use crate::wishes::TrustFields;

pub use self::certificate_authority::{Account, CertificateAuthority};
pub(crate) use self::dkim::is_selector;
pub use self::dns::Dns;
pub use self::encryption::{Encryption, Harvest, Smimea};
pub use self::inbound::{Inbound, Place, Protocol};
pub use self::keys::{Keys, TlsFiles};
pub use self::network::Network;
pub use self::next_hop::{NextHop, NextHopTls, Pin, RouteDomain, Way};
pub use self::sender::Sender;

/// What the operator decided, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder.
    pub folder: PathBuf,
    /// `sqlite:PATH` or `postgres://…`, ready for `migrations::Pool::open`.
    pub database: String,
    /// Where mail is taken in. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where a mail server has its mail signed by milter, if at all.
    pub milter: Option<Endpoint>,
    /// The name in the greeting, in EHLO to the next hop and in Received fields.
    pub hostname: String,
    /// What is promised at `listen`.
    pub mode: Mode,
    /// Further addresses where mail is taken in.
    pub doors: Vec<Door>,
    pub queue: QueueSettings,
    pub metrics: Option<MetricsDoor>,
    /// Where mail goes for which there is no closer route.
    pub next_hop: NextHop,
    /// Where mail of some domains goes.
    pub routes: Vec<(Vec<RouteDomain>, NextHop)>,
    pub dns: Dns,
    pub certificate_authority: CertificateAuthority,
    pub accounts: Vec<Account>,
    pub senders: Vec<Sender>,
    /// What is done with whose mail.
    pub policy: Policy,
    /// Whose certificates mail is encrypted to.
    pub encryption: Encryption,
    /// With what the mail of which domain is signed last.
    pub dkim: Vec<Selector>,
    /// Where the HTTP API is, if there is one.
    pub api: Option<SocketAddr>,
    /// What is done with mail that comes in, if it comes by here.
    pub inbound: Option<Inbound>,
    /// In octets, announced as SIZE (RFC 1870).
    pub max_message_size: usize,
    pub keys: Keys,
    /// Certificate and key for STARTTLS towards the senders; a self-made one in the data folder when absent.
    pub tls: Option<TlsFiles>,
}

impl Config {
    /// The name of the file in the data folder.
    pub const FILE_NAME: &'static str = "gateway.toml";

    /// Reads `gateway.toml` of a data folder.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(Self::FILE_NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NotInitialized {
                    folder: folder.to_owned(),
                });
            }
            Err(source) => {
                return Err(Error::File {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        Self::parse(folder, &text).map_err(|reason| Error::Configuration { path, reason })
    }

    /// Parses the text of a `gateway.toml` that lies, or will lie, in `folder`; the error is one sentence.
    pub fn parse(folder: &Path, text: &str) -> Result<Self, String> {
        let file: ConfigFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
        let database = match file.database.strip_prefix("sqlite:") {
            Some(path) => {
                let path = folder.join(path.strip_prefix("//").unwrap_or(path));
                format!("sqlite:{}", path.display())
            }
            None => file.database,
        };
        if !is_host_name(&file.hostname) {
            return Err(format!(
                "hostname {:?} is not a host name; write the full name of this machine",
                file.hostname
            ));
        }
        if !MESSAGE_SIZES.contains(&file.max_message_size) {
            return Err(format!(
                "max_message_size must be {} to {} octets",
                MESSAGE_SIZES.start(),
                MESSAGE_SIZES.end()
            ));
        }
        let milter: Option<Endpoint> = file
            .milter
            .map(|milter| milter.listen.parse())
            .transpose()
            .map_err(|error: InvalidEndpoint| format!("milter.listen: {error}"))?;
        let senders = file.sender.into_iter().map(|sender| sender.check(milter.is_some()));
        let senders = senders.collect::<Result<_, _>>()?;
        let accounts = file.account.into_iter().map(|account| account.check(&folder));
        Ok(Self {
            database,
            listen: file.listen,
            milter,
            hostname: file.hostname.clone(),
            mode: file.mode,
            doors: file.door,
            queue: file.queue.check(&folder)?,
            metrics: file.metrics,
            next_hop: file.next_hop.check("next_hop", &folder)?,
            routes: file
                .route
                .into_iter()
                .map(|route| route.check(&folder))
                .collect::<Result<_, _>>()?,
            dns: file.dns.check(&folder)?,
            certificate_authority: file.ca.check(&folder)?,
            accounts: accounts.collect::<Result<_, _>>()?,
            senders,
            policy: file.policy.check()?,
            dkim: file.dkim.into_iter().map(DkimFile::check).collect::<Result<_, _>>()?,
            api: file.api.map(|api| api.listen),
            inbound: file
                .inbound
                .map(|inbound| inbound.check(&folder, &file.hostname))
                .transpose()?,
            encryption: file.encryption.check(&folder),
            max_message_size: file.max_message_size,
            keys: file.keys.check(&folder)?,
            tls: file.tls.map(|tls| tls.check(&folder)),
            folder,
        })
    }

    /// The place of the closest route for a domain, counted from 1; 0 is `[next_hop]`.
    pub(crate) fn route_of(&self, domain: &::dns::Name) -> usize {
        closest(&self.routes, domain).map_or(0, |index| index + 1)
    }

    /// Whose mail may be signed in a session from `peer`; `None` if nobody may send mail from there at all.
    ///
    /// Several `[[sender]]` entries with the same network add up.
    pub fn authorized_from(&self, peer: IpAddr) -> Option<Vec<MaySign>> {
        self.authorized(|sender| sender.networks.iter().any(|network| network.contains(peer)))
    }

    /// As [`Config::authorized_from`], for one who has also logged in or is not known by address.
    pub fn authorized_as(&self, peer: Option<IpAddr>, login: Option<&str>) -> Option<Vec<MaySign>> {
        self.authorized(|sender| {
            peer.is_some_and(|peer| sender.networks.iter().any(|network| network.contains(peer)))
                || login.is_some_and(|login| sender.auth.iter().any(|known| known == login))
        })
    }

    fn authorized(&self, applies: impl Fn(&Sender) -> bool) -> Option<Vec<MaySign>> {
        let mut matching = self.senders.iter().filter(|sender| applies(sender)).peekable();
        matching.peek()?;
        Some(
            matching
                .flat_map(|sender| sender.may_sign_for.iter().cloned())
                .collect(),
        )
    }

    /// Whether the `X-Sealwright-` fields of messages from `peer` are obeyed.
    pub fn fields_from(&self, peer: IpAddr) -> TrustFields {
        let trusted = self.senders.iter().any(|sender| {
            sender.fields == TrustFields::Obey && sender.networks.iter().any(|network| network.contains(peer))
        });
        if trusted {
            TrustFields::Obey
        } else {
            TrustFields::Ignore
        }
    }
}

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    #[serde(default = "default_database")]
    database: String,
    #[serde(default = "default_listen")]
    listen: SocketAddr,
    hostname: String,
    #[serde(default = "default_max_message_size")]
    max_message_size: usize,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    door: Vec<Door>,
    #[serde(default)]
    queue: QueueFile,
    metrics: Option<MetricsDoor>,
    next_hop: NextHopFile,
    #[serde(default)]
    route: Vec<RouteFile>,
    #[serde(default)]
    dns: DnsFile,
    ca: CertificateAuthorityFile,
    milter: Option<MilterFile>,
    #[serde(default)]
    account: Vec<AccountFile>,
    #[serde(default)]
    sender: Vec<SenderFile>,
    #[serde(default)]
    policy: PolicyFile,
    #[serde(default)]
    encryption: EncryptionFile,
    inbound: Option<InboundFile>,
    api: Option<ApiFile>,
    #[serde(default)]
    dkim: Vec<DkimFile>,
    #[serde(default)]
    keys: KeysFile,
    tls: Option<TlsFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MilterFile {
    listen: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiFile {
    listen: SocketAddr,
}

fn default_database() -> String {
    "sqlite:gateway.sqlite".to_owned()
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 2525))
}

const fn default_max_message_size() -> usize {
    // 25 MiB, what the large providers accept, and base64 around it.
    35 * 1024 * 1024
}

/// From the least that RFC 5321 section 4.5.3.1.7 allows to what still fits in memory a few times over.
const MESSAGE_SIZES: std::ops::RangeInclusive<usize> = 64 * 1024..=256 * 1024 * 1024;
