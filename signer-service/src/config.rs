//! `gateway.toml` in the data folder: read once at start, into values that have been checked.
//!
//! Every key has a working default except the ones that only the operator can know; an unknown key is an error.
//! Relative paths start at the data folder.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use keys::KeyAlgorithm;
use milter::server::{Endpoint, InvalidEndpoint};
use policies::mailbox::Mailbox;
use policies::signing::MaySign;
use policies::tier::Generation;
use serde::Deserialize;

use crate::dkim::Selector;
use crate::error::Error;
use crate::policy::{Policy, PolicyFile};
use crate::queue::QueueSettings;
use crate::queue::config::{Door, MetricsDoor, Mode, QueueFile};
use crate::wishes::TrustFields;

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
    pub next_hop: NextHop,
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

/// Where signed mail goes.
#[derive(Clone, Debug)]
pub struct NextHop {
    pub host: String,
    pub port: u16,
    pub tls: NextHopTls,
    /// At a time, busy or idle.
    pub max_connections: usize,
    /// How long a connection is kept for the next message; zero closes it at once.
    pub idle: Duration,
    /// Whether it understands the parameters of delivery status notifications (RFC 3461), so that they are offered.
    pub dsn: bool,
    /// PEM of further roots, beside those of the Web PKI.
    pub trust_file: Option<PathBuf>,
}

/// Whether the connection to the next hop is encrypted (RFC 3207).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NextHopTls {
    Never,
    /// If it is offered, whoever's certificate it is.
    Opportunistic,
    /// With a certificate that is valid for the host, or not at all.
    Required,
}

/// The CA that identities are ordered from.
#[derive(Clone, Debug)]
pub struct CertificateAuthority {
    /// Where its API is, `https://host:port`.
    pub url: String,
    /// PEM of the root of its TLS certificate, if the Web PKI does not vouch for it.
    pub trust_file: Option<PathBuf>,
    pub generation: Generation,
}

/// Which token enrols whom.
#[derive(Clone, Debug)]
pub struct Account {
    /// A file with the token of a gateway principal, readable only by this user.
    pub token_file: PathBuf,
    pub covers: Vec<MaySign>,
}

/// A network and whose mail may be signed when it comes from there.
///
/// This is authorization from the session: no header field can widen it.
#[derive(Clone, Debug)]
pub struct Sender {
    pub networks: Vec<Network>,
    /// Names of logins at the mail server whose milter this is; either these or the networks suffice.
    pub auth: Vec<String>,
    pub may_sign_for: Vec<MaySign>,
    /// Whether its `X-Sealwright-` fields are obeyed.
    pub fields: TrustFields,
}

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

/// Where the certificates of recipients come from, and what they must be.
#[derive(Clone, Debug)]
pub struct Encryption {
    /// A folder with certificates of recipients, PEM or DER. It need not be there.
    pub certificates: PathBuf,
    /// PEM of the roots whose certificates are encrypted to, and whose signatures on incoming mail are believed.
    pub trust_files: Vec<PathBuf>,
    /// A folder with CRLs, PEM or DER. It need not be there.
    pub crls: PathBuf,
    /// Whether a certificate is left aside if nothing is known of its revocation.
    pub require_revocation: bool,
    /// Whether the CA is asked for certificates of recipients.
    pub directory: bool,
    pub harvest: Harvest,
    /// Whom to ask for SMIMEA records, if they are asked for (RFC 8162).
    pub smimea: Option<Smimea>,
}

/// DNS servers, and the keys of the root zone where it is not that of the Internet.
#[derive(Clone, Debug)]
pub struct Smimea {
    pub servers: Vec<SocketAddr>,
    pub trust_anchor: Option<PathBuf>,
}

/// What is done with certificates that signed mail brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harvest {
    /// Nothing.
    Never,
    /// They wait for somebody to approve them.
    Offer,
    /// The first one of an address is used at once, if it leads to a trusted root; one with another key waits.
    Trust,
}

/// How the keys of identities are made.
#[derive(Clone, Debug)]
pub struct Keys {
    pub algorithm: KeyAlgorithm,
    pub folder: PathBuf,
    pub sealing_key: PathBuf,
}

#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
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
        let (host, port) = host_and_port(&file.next_hop.address)?;
        if !(1..=10_000).contains(&file.next_hop.max_connections) {
            return Err("next_hop.max_connections must be 1 to 10000".to_owned());
        }
        if file.next_hop.idle_seconds > 3600 {
            return Err("next_hop.idle_seconds must be 0 to 3600".to_owned());
        }
        if !file.ca.url.starts_with("https://") {
            return Err(format!("ca.url {:?} does not begin with https://", file.ca.url));
        }
        if !MESSAGE_SIZES.contains(&file.max_message_size) {
            return Err(format!(
                "max_message_size must be {} to {} octets",
                MESSAGE_SIZES.start(),
                MESSAGE_SIZES.end()
            ));
        }
        let mut accounts = Vec::new();
        for account in file.account {
            // Mailboxes first: they say more than their domain does.
            let covers = may_sign(account.mailboxes.iter().chain(&account.domains));
            let covers = covers.map_err(|reason| format!("[[account]]: {reason}"))?;
            if covers.is_empty() {
                return Err("[[account]]: name at least one of domains and mailboxes".to_owned());
            }
            accounts.push(Account {
                token_file: folder.join(account.token_file),
                covers,
            });
        }
        let mut senders = Vec::new();
        for sender in file.sender {
            let may_sign_for = may_sign(&sender.may_sign_for);
            let may_sign_for = may_sign_for.map_err(|reason| format!("[[sender]] may_sign_for: {reason}"))?;
            let networks = sender
                .networks
                .iter()
                .map(|network| network.parse())
                .collect::<Result<Vec<Network>, _>>();
            let networks = networks.map_err(|reason| format!("[[sender]] networks: {reason}"))?;
            if networks.is_empty() && sender.auth.is_empty() {
                return Err("[[sender]]: name at least one network or login (auth)".to_owned());
            }
            if sender.auth.iter().any(String::is_empty) {
                return Err("[[sender]] auth: a login has no name".to_owned());
            }
            if !sender.auth.is_empty() && file.milter.is_none() {
                return Err(
                    "[[sender]] auth: logins are told by a mail server to the [milter], and there is none".to_owned(),
                );
            }
            senders.push(Sender {
                networks,
                auth: sender.auth,
                may_sign_for,
                fields: if sender.trust_fields {
                    TrustFields::Obey
                } else {
                    TrustFields::Ignore
                },
            });
        }
        let algorithm = file.keys.algorithm.parse().map_err(|_| {
            let known: Vec<String> = KeyAlgorithm::ALL.iter().map(ToString::to_string).collect();
            format!(
                "keys.algorithm {:?} is unknown; choose one of {}",
                file.keys.algorithm,
                known.join(", ")
            )
        })?;
        let generation = file.ca.generation.parse().map_err(|_| {
            format!(
                "ca.generation {:?} is unknown; choose \"strict\" or \"multipurpose\"",
                file.ca.generation
            )
        })?;
        Ok(Self {
            database,
            listen: file.listen,
            milter: file
                .milter
                .map(|milter| milter.listen.parse())
                .transpose()
                .map_err(|error: InvalidEndpoint| format!("milter.listen: {error}"))?,
            hostname: file.hostname.clone(),
            mode: file.mode,
            doors: file.door,
            queue: file.queue.check(&folder)?,
            metrics: file.metrics,
            next_hop: NextHop {
                host,
                port,
                tls: file.next_hop.tls,
                max_connections: file.next_hop.max_connections,
                idle: Duration::from_secs(file.next_hop.idle_seconds),
                dsn: file.next_hop.dsn,
                trust_file: file.next_hop.trust_file.map(|path| folder.join(path)),
            },
            certificate_authority: CertificateAuthority {
                url: file.ca.url.trim_end_matches('/').to_owned(),
                trust_file: file.ca.trust_file.map(|path| folder.join(path)),
                generation,
            },
            accounts,
            senders,
            policy: file.policy.check()?,
            dkim: file.dkim.into_iter().map(DkimFile::check).collect::<Result<_, _>>()?,
            api: file.api.map(|api| api.listen),
            inbound: file
                .inbound
                .map(|inbound| inbound.check(&folder, &file.hostname))
                .transpose()?,
            encryption: Encryption {
                certificates: folder.join(file.encryption.certificates),
                trust_files: file
                    .encryption
                    .trust_files
                    .iter()
                    .map(|path| folder.join(path))
                    .collect(),
                crls: folder.join(file.encryption.crls),
                require_revocation: file.encryption.require_revocation,
                directory: file.encryption.directory,
                harvest: file.encryption.harvest,
                smimea: file.encryption.smimea.map(|smimea| Smimea {
                    servers: smimea.servers,
                    trust_anchor: smimea.trust_anchor.map(|path| folder.join(path)),
                }),
            },
            max_message_size: file.max_message_size,
            keys: Keys {
                algorithm,
                folder: folder.join(file.keys.folder),
                sealing_key: folder.join(file.keys.sealing_key),
            },
            tls: file.tls.map(|tls| TlsFiles {
                certificate: folder.join(tls.certificate),
                key: folder.join(tls.key),
            }),
            folder,
        })
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
}

impl Config {
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

/// An IPv4 or IPv6 network, such as `192.0.2.0/24` or one address (RFC 4632 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Whether `address` lies in the network; an IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 one.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = text
            .split_once('/')
            .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("{text:?} is not a network; write it like \"192.0.2.0/24\""))?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|prefix| *prefix <= bits)
                .ok_or_else(|| format!("{text:?} has a prefix that is not 0 to {bits}"))?,
        };
        let network = Self { address, prefix };
        // 192.0.2.1/24 is a slip of which nobody knows what was meant.
        let host_bits = match address {
            IpAddr::V4(address) => address.to_bits() & !u32::MAX.checked_shl(32 - prefix).unwrap_or(0) != 0,
            IpAddr::V6(address) => address.to_bits() & !u128::MAX.checked_shl(128 - prefix).unwrap_or(0) != 0,
        };
        if host_bits {
            return Err(format!(
                "{text:?} has bits set behind its prefix; write the first address of the network"
            ));
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn may_sign<'t>(texts: impl IntoIterator<Item = &'t String>) -> Result<Vec<MaySign>, String> {
    texts
        .into_iter()
        .map(|text| text.parse().map_err(|error| format!("{text:?}: {error}")))
        .collect()
}

fn host_and_port(address: &str) -> Result<(String, u16), String> {
    let malformed = || format!("next_hop.address {address:?} is not host:port, such as \"mail.example.com:25\"");
    let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let port: u16 = port.parse().map_err(|_| malformed())?;
    let is_address = host.parse::<IpAddr>().is_ok();
    if port == 0 || !(is_address || is_host_name(host)) {
        return Err(malformed());
    }
    Ok((host.to_owned(), port))
}

fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
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
struct NextHopFile {
    address: String,
    #[serde(default = "default_next_hop_tls")]
    tls: NextHopTls,
    #[serde(default = "default_max_connections")]
    max_connections: usize,
    #[serde(default = "default_idle_seconds")]
    idle_seconds: u64,
    #[serde(default)]
    dsn: bool,
    trust_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateAuthorityFile {
    url: String,
    trust_file: Option<PathBuf>,
    #[serde(default = "default_generation")]
    generation: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MilterFile {
    listen: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountFile {
    token_file: PathBuf,
    #[serde(default)]
    domains: Vec<String>,
    #[serde(default)]
    mailboxes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SenderFile {
    #[serde(default)]
    networks: Vec<String>,
    #[serde(default)]
    auth: Vec<String>,
    may_sign_for: Vec<String>,
    #[serde(default)]
    trust_fields: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DkimFile {
    domain: String,
    #[serde(default = "default_selector")]
    selector: String,
}

impl DkimFile {
    fn check(self) -> Result<Selector, String> {
        let domain = self
            .domain
            .parse()
            .map_err(|error| format!("[[dkim]] domain {:?}: {error}", self.domain))?;
        if !is_selector(&self.selector) {
            return Err(format!(
                "[[dkim]] selector {:?} is not a name of letters, digits and hyphens",
                self.selector
            ));
        }
        Ok(Selector {
            domain,
            selector: self.selector,
        })
    }
}

fn default_selector() -> String {
    "sealwright".to_owned()
}

/// RFC 6376 section 3.1: labels of a DNS name.
pub(crate) fn is_selector(text: &str) -> bool {
    is_host_name(text) && text.len() <= 63
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiFile {
    listen: SocketAddr,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InboundFile {
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
    fn check(self, folder: &Path, hostname: &str) -> Result<Inbound, String> {
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
            let (host, port) = host_and_port(place)
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EncryptionFile {
    certificates: PathBuf,
    trust_files: Vec<PathBuf>,
    crls: PathBuf,
    require_revocation: bool,
    directory: bool,
    harvest: Harvest,
    smimea: Option<SmimeaFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SmimeaFile {
    /// Those of /etc/resolv.conf, if none is named.
    #[serde(default)]
    servers: Vec<SocketAddr>,
    trust_anchor: Option<PathBuf>,
}

impl Default for EncryptionFile {
    fn default() -> Self {
        Self {
            certificates: PathBuf::from("certificates"),
            trust_files: Vec::new(),
            crls: PathBuf::from("crls"),
            require_revocation: false,
            directory: true,
            harvest: Harvest::Offer,
            smimea: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KeysFile {
    algorithm: String,
    folder: PathBuf,
    sealing_key: PathBuf,
}

impl Default for KeysFile {
    fn default() -> Self {
        Self {
            algorithm: "rsa2048".to_owned(),
            folder: PathBuf::from("keys"),
            sealing_key: PathBuf::from("sealing.key"),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsFile {
    certificate: PathBuf,
    key: PathBuf,
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

const fn default_max_connections() -> usize {
    100
}

const fn default_idle_seconds() -> u64 {
    // Postfix closes an idle connection after 300 seconds, others after 60.
    30
}

const fn default_next_hop_tls() -> NextHopTls {
    NextHopTls::Opportunistic
}

fn default_generation() -> String {
    "strict".to_owned()
}

/// From the least that RFC 5321 section 4.5.3.1.7 allows to what still fits in memory a few times over.
const MESSAGE_SIZES: std::ops::RangeInclusive<usize> = 64 * 1024..=256 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = r#"
        hostname = "gateway.example.com"
        [next_hop]
        address = "127.0.0.1:25"
        [ca]
        url = "https://ca.example.com:8440/"
    "#;

    fn parse(extra: &str) -> Result<Config, String> {
        Config::parse(Path::new("/data"), &format!("{LEAST}\n{extra}"))
    }

    #[test]
    fn the_least_that_must_be_said() {
        let config = parse("").unwrap();
        assert_eq!(config.database, "sqlite:/data/gateway.sqlite");
        assert_eq!((config.next_hop.host.as_str(), config.next_hop.port), ("127.0.0.1", 25));
        assert_eq!(config.next_hop.tls, NextHopTls::Opportunistic);
        assert_eq!(config.certificate_authority.url, "https://ca.example.com:8440");
        assert_eq!(config.keys.algorithm, KeyAlgorithm::Rsa2048);
        assert!(
            config.authorized_from("127.0.0.1".parse().unwrap()).is_none(),
            "nobody may send unless the file says so"
        );
    }

    #[test]
    fn senders_of_one_network_add_up() {
        let config = parse(
            "[[sender]]\nnetworks = [\"127.0.0.0/8\", \"::1\"]\nmay_sign_for = [\"example.com\"]\n[[sender]]\nnetworks = [\"127.0.0.1\"]\nmay_sign_for = [\"alice@example.org\"]",
        )
        .unwrap();
        let allowed = config.authorized_from("::ffff:127.0.0.1".parse().unwrap()).unwrap();
        assert_eq!(
            allowed,
            ["example.com", "alice@example.org"].map(|text| text.parse().unwrap())
        );
        assert_eq!(config.authorized_from("127.0.0.2".parse().unwrap()).unwrap().len(), 1);
        assert!(config.authorized_from("::1".parse().unwrap()).is_some());
        assert!(config.authorized_from("192.0.2.1".parse().unwrap()).is_none());
    }

    #[test]
    fn a_login_counts_only_where_it_is_told() {
        let config = parse(
            "[milter]\nlisten = \"unix:/run/sealwright/milter.sock\"\n[[sender]]\nauth = [\"alice\"]\nmay_sign_for = [\"alice@example.org\"]\n[[sender]]\nnetworks = [\"192.0.2.0/24\"]\nmay_sign_for = [\"example.com\"]",
        )
        .unwrap();
        let peer = "192.0.2.1".parse().unwrap();
        let count = |peer, login| config.authorized_as(peer, login).map(|allowed| allowed.len());
        assert_eq!(count(Some(peer), Some("alice")), Some(2));
        assert_eq!(count(None, Some("alice")), Some(1));
        assert_eq!(count(Some(peer), None), Some(1));
        assert_eq!(count(None, None), None);
        assert_eq!(count(None, Some("")), None);
        assert_eq!(count(None, Some("Alice")), None);
        assert_eq!(count(Some("198.51.100.1".parse().unwrap()), Some("mallory")), None);
        assert_eq!(
            config.authorized_from(peer).map(|allowed| allowed.len()),
            Some(1),
            "the relay knows networks only"
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (extra, expected) in [
            ("[[sender]]\nnetworks = [\"10.0.0.1/8\"]\nmay_sign_for = []", "bits set"),
            ("[[sender]]\nnetworks = [\"10.0.0.0/33\"]\nmay_sign_for = []", "prefix"),
            (
                "[[sender]]\nnetworks = [\"example.com\"]\nmay_sign_for = []",
                "not a network",
            ),
            ("[[sender]]\nnetworks = []\nmay_sign_for = []", "at least one network"),
            ("[[sender]]\nmay_sign_for = []", "at least one network"),
            ("[[sender]]\nauth = [\"alice\"]\nmay_sign_for = []", "there is none"),
            (
                "[milter]\nlisten = \"inet:127.0.0.1:0\"\n[[sender]]\nauth = [\"\"]\nmay_sign_for = []",
                "no name",
            ),
            ("[milter]\nlisten = \"inet:192.0.2.1:8891\"", "not a loopback address"),
            ("[milter]\nlisten = \"milter.sock\"", "milter.listen"),
            ("[milter]", "listen"),
            (
                "[[sender]]\nnetworks = [\"::1\"]\nmay_sign_for = [\"a b@example.com\"]",
                "may_sign_for",
            ),
            ("[[account]]\ntoken_file = \"t\"", "at least one"),
            (
                "[[account]]\ntoken_file = \"t\"\ndomains = [\"exa mple\"]",
                "[[account]]",
            ),
            ("[keys]\nalgorithm = \"rsa1024\"", "keys.algorithm"),
            ("[keys]\ncolour = \"red\"", "unknown field"),
            ("colour = \"red\"", "unknown field"),
        ] {
            let reason = parse(extra).unwrap_err();
            assert!(reason.contains(expected), "{extra}: {reason}");
        }
        for (wrong, expected) in [
            (
                "hostname = \"a b\"\n[next_hop]\naddress = \"h:25\"\n[ca]\nurl = \"https://c\"",
                "hostname",
            ),
            (
                "hostname = \"h\"\n[next_hop]\naddress = \"h\"\n[ca]\nurl = \"https://c\"",
                "next_hop.address",
            ),
            (
                "hostname = \"h\"\n[next_hop]\naddress = \"h:0\"\n[ca]\nurl = \"https://c\"",
                "next_hop.address",
            ),
            (
                "hostname = \"h\"\n[next_hop]\naddress = \"h:25\"\n[ca]\nurl = \"http://ca.example.com\"",
                "ca.url",
            ),
            (
                "hostname = \"h\"\nmax_message_size = 1\n[next_hop]\naddress = \"h:25\"\n[ca]\nurl = \"https://c\"",
                "max_message_size",
            ),
        ] {
            let reason = Config::parse(Path::new("/data"), wrong).unwrap_err();
            assert!(reason.contains(expected), "{wrong}: {reason}");
        }
    }
}
