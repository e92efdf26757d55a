//! The data folder of a remote perspective: `perspective.toml`, the token, its TLS identity.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use keys::sealing::SealingKey;
use keys::tls::TlsIdentity;
use policies::perspective::Registry;
use policies::time::Timestamp;
use rand_core::CryptoRng;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::protocol::SharedToken;
use crate::config::perspective::name;
use crate::config::{Dns, DnsSection, TlsFiles, Website, WebsiteSection};
use crate::error::Error;

/// What the operator of a perspective decided, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder; relative paths in the file start here.
    pub folder: PathBuf,
    pub name: String,
    pub registry: Registry,
    /// Where it is on the Internet, in words; it goes into the records.
    pub network: String,
    pub listen: SocketAddr,
    /// Under which names the authority reaches it; for the self-made TLS certificate.
    pub hosts: Vec<String>,
    pub token_file: PathBuf,
    pub tls: Option<TlsFiles>,
    pub dns: Dns,
    pub website: Website,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    registry: String,
    #[serde(default)]
    network: String,
    #[serde(default = "default_listen")]
    listen: SocketAddr,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default = "default_token_file")]
    token_file: PathBuf,
    tls: Option<TlsSection>,
    #[serde(default)]
    dns: DnsSection,
    #[serde(default)]
    website: WebsiteSection,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsSection {
    certificate: PathBuf,
    key: PathBuf,
}

impl Settings {
    /// Reads `perspective.toml` of a data folder.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE_NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoPerspective {
                    folder: folder.to_owned(),
                });
            }
            Err(source) => return Err(file("read", &path)(source)),
        };
        Self::parse(folder, &text).map_err(|reason| Error::Configuration { path, reason })
    }

    /// Parses the text of a `perspective.toml`; the error is one sentence.
    pub fn parse(folder: &Path, text: &str) -> Result<Self, String> {
        let read: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
        if read.network.chars().count() > 100 || read.network.chars().any(char::is_control) {
            return Err("network has to be at most 100 characters on one line".to_owned());
        }
        Ok(Self {
            name: name(&read.name)?,
            registry: read
                .registry
                .parse()
                .map_err(|error| format!("the registry {:?} is not usable: {error}", read.registry))?,
            network: read.network,
            listen: read.listen,
            hosts: read.hosts,
            token_file: folder.join(read.token_file),
            tls: read.tls.map(|tls| TlsFiles {
                certificate: folder.join(tls.certificate),
                key: folder.join(tls.key),
            }),
            dns: read.dns.check(&folder)?,
            website: read.website.check(),
            folder,
        })
    }

    pub(super) fn token(&self) -> Result<SharedToken, Error> {
        let path = &self.token_file;
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(file("read", path))?);
        SharedToken::parse(&text).map_err(|reason| Error::Configuration {
            path: path.clone(),
            reason,
        })
    }

    /// The configured identity, or a self-made one for every name under which the authority may reach it.
    pub(super) fn identity(&self, bound: SocketAddr, now: Timestamp) -> Result<TlsIdentity, Error> {
        if let Some(files) = &self.tls {
            return TlsIdentity::from_pem_files(&files.certificate, &files.key).map_err(Error::Tls);
        }
        let sealing = SealingKey::open_file(&self.folder.join(SEALING_KEY)).map_err(Error::Sealing)?;
        let mut names = self.hosts.clone();
        for usual in ["localhost", "127.0.0.1", "::1"] {
            if !names.iter().any(|name| name == usual) {
                names.push(usual.to_owned());
            }
        }
        let address = bound.ip().to_string();
        if !bound.ip().is_unspecified() && !names.contains(&address) {
            names.push(address);
        }
        TlsIdentity::self_made_in(&self.folder, &sealing, &names, now.unix()).map_err(Error::Tls)
    }
}

/// What a new perspective is made of.
#[derive(Clone, Debug)]
pub struct NewPerspective {
    pub folder: PathBuf,
    pub name: String,
    pub registry: Registry,
    pub network: String,
    pub listen: SocketAddr,
    /// How the authority reaches it: a host name or an address.
    pub host: String,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Made {
    pub folder: PathBuf,
    pub token_file: PathBuf,
    pub certificate_file: PathBuf,
    /// What belongs into `ca.toml`.
    pub section: String,
}

/// Makes the data folder of a perspective, with a new token and a TLS identity.
///
/// # Errors
/// The folder exists already, or cannot be made; nothing that was there is changed.
pub fn make(new: &NewPerspective, rng: &mut dyn CryptoRng, now: Timestamp) -> Result<Made, Error> {
    let invalid = |reason| Error::InvalidInput { field: "name", reason };
    name(&new.name).map_err(invalid)?;
    let folder = std::path::absolute(&new.folder).map_err(file("find", &new.folder))?;
    if folder.join(FILE_NAME).exists() {
        return Err(Error::PerspectiveExists { folder });
    }
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent).map_err(file("make", parent))?;
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).map_err(file("make", &folder))?;
    SealingKey::generate_file(&folder.join(SEALING_KEY)).map_err(Error::Sealing)?;

    let mut secret = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *secret);
    let token = Zeroizing::new(format!(
        "{TOKEN_PREFIX}{}\n",
        data_encoding::BASE64URL_NOPAD.encode(&*secret)
    ));
    let token_file = folder.join(default_token_file());
    write(&token_file, token.as_bytes(), 0o600)?;

    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let text = format!(
        "# How this perspective calls itself; the same stands in the authority's ca.toml.\n\
         name = {}\n\
         # In whose service region it is: afrinic, apnic, arin, lacnic or ripe. Its DNS resolver has to be there as well.\n\
         registry = {}\n\
         # Where it is on the Internet, in words, such as the number of the network. It goes into the records.\n\
         network = {}\n\
         listen = {}\n\
         # Under which names the authority reaches it, for the self-made TLS certificate.\n\
         hosts = [{}]\n\n\
         [dns]\n\
         # Recursive resolvers of its own; by default those of /etc/resolv.conf. No other perspective may share them.\n\
         # servers = [\"127.0.0.1:53\"]\n",
        quoted(&new.name),
        quoted(new.registry.as_ref()),
        quoted(&new.network),
        quoted(&new.listen.to_string()),
        quoted(&new.host),
    );
    let settings = Settings::parse(&folder, &text).map_err(|reason| Error::InvalidInput {
        field: "network",
        reason,
    })?;
    // So that the certificate can be carried to the authority before the first start.
    settings.identity(new.listen, now)?;
    write(&folder.join(FILE_NAME), text.as_bytes(), 0o644)?;

    let host = match new.host.contains(':') {
        true => format!("[{}]", new.host),
        false => new.host.clone(),
    };
    let section = format!(
        "[[perspective]]\nname = {}\nurl = {}\nregistry = {}\nlocation = \"…\"                 # latitude, longitude in \
         degrees\ntoken_file = {}\ntrust_file = {}\n",
        quoted(&new.name),
        quoted(&format!("https://{host}:{}", new.listen.port())),
        quoted(new.registry.as_ref()),
        quoted(&format!("perspectives/{}.token", new.name)),
        quoted(&format!("perspectives/{}.pem", new.name)),
    );
    Ok(Made {
        token_file,
        certificate_file: folder.join("tls.pem"),
        folder,
        section,
    })
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let mut written = options.open(path).map_err(file("write", path))?;
    written.write_all(content).map_err(file("write", path))?;
    written.sync_all().map_err(file("write", path))
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { action, path, source }
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8441))
}

fn default_token_file() -> PathBuf {
    PathBuf::from("token")
}

const FILE_NAME: &str = "perspective.toml";
const SEALING_KEY: &str = "sealing.key";
const TOKEN_PREFIX: &str = "sealwright-perspective_";
