//! `ca.toml` in the data folder: read once at start, into values that have been checked.
//!
//! Every key has a working default except the ones that only the operator can know; an unknown key is an error.

mod acme;
mod dns;
mod linter;
pub(crate) mod perspective;
mod vp;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use keys::pkcs11::Token;
use keys::{Pkcs11Settings, StoreKind, StoreSettings};
use policies::issuance::Locations;
use policies::url::{HttpUrl, InvalidUrl};
use serde::Deserialize;

use crate::error::Error;
pub use acme::Acme;
pub use dns::{Caa, Dns, Website};
pub(crate) use dns::{DnsSection, WebsiteSection};
pub use linter::ExternalLinter;
pub use perspective::{Perspectives, RemotePerspective, Trusted};
pub use vp::{Vp, VpBinding};

/// What the operator decided, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder; relative paths in the file start here.
    pub folder: PathBuf,
    /// How the authority calls itself in mails and on pages.
    pub name: String,
    /// `sqlite:/absolute/path` or `postgres://…`, ready for `migrations::Pool::open`.
    pub database: String,
    /// Where the API listens (HTTPS). Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// What links in mails begin with: how people reach `listen`. Derived from it when absent.
    pub api_url: Option<ApiUrl>,
    /// Where CRLs and certificates are published (plain HTTP, since BR 7.1.2.3 b and c want `http` URLs).
    pub public_listen: SocketAddr,
    /// What is written into certificates; `http://…` without a slash at the end.
    pub public_url: PublicUrl,
    /// Certificate and key of the API; a self-made certificate when absent.
    pub tls: Option<TlsFiles>,
    pub mail: Mail,
    pub keys: Keys,
    pub issuance: Issuance,
    pub ocsp: Ocsp,
    pub dns: Dns,
    pub caa: Caa,
    pub website: Website,
    /// Who else looks at domains, and whether that is a must.
    pub perspectives: Perspectives,
    /// The ACME server, when there is to be one.
    pub acme: Option<Acme>,
    /// Another authority that certificates for managed mailboxes come from.
    pub vp: Option<Vp>,
}

impl Config {
    /// The name of the file in the data folder.
    pub const FILE_NAME: &'static str = "ca.toml";

    /// Reads `ca.toml` of a data folder.
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

    /// Parses the text of a `ca.toml` that lies, or will lie, in `folder`; the error is one sentence.
    pub fn parse(folder: &Path, text: &str) -> Result<Self, String> {
        let file: ConfigFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
        if file.name.is_empty() || file.name.chars().any(char::is_control) {
            return Err("name must be a text without control characters".to_owned());
        }
        let database = match file.database.strip_prefix("sqlite:") {
            Some(path) => {
                let path = folder.join(path.strip_prefix("//").unwrap_or(path));
                format!("sqlite:{}", path.display())
            }
            None => file.database,
        };
        if file.issuance.crl_refresh_hours == 0 || file.issuance.crl_refresh_hours > Issuance::MOST_CRL_REFRESH_HOURS {
            return Err(format!(
                "issuance.crl_refresh_hours must be 1 to {} (BR 4.9.7)",
                Issuance::MOST_CRL_REFRESH_HOURS
            ));
        }
        if file.issuance.crl_shards > Issuance::MOST_CRL_SHARDS {
            return Err(format!(
                "issuance.crl_shards must be 0 to {}",
                Issuance::MOST_CRL_SHARDS
            ));
        }
        if file.issuance.validity_days == Some(0) {
            return Err("issuance.validity_days must be 1 or more".to_owned());
        }
        let public_url = PublicUrl::parse(&file.public_url)?;
        let (dns, caa, website) = (
            file.dns.check(&folder)?,
            file.caa.check(&public_url)?,
            file.website.check(),
        );
        let perspectives = perspective::check(
            file.publicly_trusted,
            file.primary_perspective,
            file.perspective,
            &folder,
        )?;
        perspectives.forbid(&caa, &dns, &website)?;
        Ok(Self {
            dns,
            caa,
            website,
            perspectives,
            name: file.name,
            database,
            listen: file.listen,
            api_url: file.api_url.as_deref().map(ApiUrl::parse).transpose()?,
            public_listen: file.public_listen,
            public_url,
            tls: file.tls.map(|tls| TlsFiles {
                certificate: folder.join(tls.certificate),
                key: folder.join(tls.key),
            }),
            mail: Mail {
                smtp: file.mail.smtp,
                from: file.mail.from,
            },
            keys: file.keys.check(&folder)?,
            issuance: Issuance {
                validity_days: file.issuance.validity_days,
                crl_refresh_hours: file.issuance.crl_refresh_hours,
                crl_shards: file.issuance.crl_shards,
                weak_key_lists: file
                    .issuance
                    .weak_key_lists
                    .iter()
                    .map(|list| folder.join(list))
                    .collect(),
                external_linter: file
                    .issuance
                    .external_linter
                    .map(linter::ExternalLinterSection::check)
                    .transpose()?,
            },
            ocsp: Ocsp {
                enabled: file.ocsp.enabled,
            },
            acme: file.acme.map(acme::AcmeSection::check).transpose()?,
            vp: file.vp.map(|vp| vp.check(&folder)).transpose()?,
            folder,
        })
    }
}

/// `https://host[:port][/path]`, as it goes into mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUrl(String);

impl ApiUrl {
    /// Plain `https`, a host, no query, fragment or user, at most 200 octets.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
        let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b".-_~:/[]".contains(&octet);
        match rest {
            Some(rest)
                if !rest.is_empty()
                    && !rest.starts_with([':', '/'])
                    && rest.bytes().all(allowed)
                    && text.len() <= 200 =>
            {
                Ok(Self(format!("https://{rest}")))
            }
            _ => Err(format!(
                "api_url {text:?} is not usable; write it like \"https://ca.example.com:8440\""
            )),
        }
    }

    /// The host alone, as it has to stand in the TLS certificate.
    pub fn host(&self) -> &str {
        let rest = self.0.strip_prefix("https://").unwrap_or(&self.0);
        let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
        match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => authority.split_once(':').map_or(authority, |(host, _)| host),
        }
    }
}

impl AsRef<str> for ApiUrl {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// `http://host[:port][/path]`, as it goes into certificates (BR 7.1.2.3 b, c).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(HttpUrl);

impl PublicUrl {
    /// Plain `http` and a host, without query or fragment, at most 200 octets.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &dyn fmt::Display| {
            format!("public_url {text:?} is not usable: {why}; write it like \"http://pki.example.com\"")
        };
        // Two hundred octets leave room for `/crl/issuing.crl` in the 255 that some clients accept.
        if text.len() > 200 {
            return Err(refuse(&"it is longer than 200 octets"));
        }
        HttpUrl::parse(text).map_err(|error| refuse(&error))?;
        let url = HttpUrl::parse(text.trim_end_matches('/')).map_err(|error| refuse(&error))?;
        let this = Self(url);
        // What can be extended here can be extended for every issuer.
        this.locations("issuing").map_err(|error| refuse(&error))?;
        Ok(this)
    }

    /// Where the CRL and the certificate of an issuer are published.
    pub fn locations(&self, issuer_id: &str) -> Result<Locations, InvalidUrl> {
        Ok(Locations {
            revocation_list: self.revocation_list(&format!("{issuer_id}.crl"))?,
            issuer_certificate: self.0.join("ca")?.join(&format!("{issuer_id}.cer"))?,
            ocsp_responder: None,
            practice_statement: None,
        })
    }

    /// Where a revocation list is fetched.
    pub(crate) fn revocation_list(&self, file: &str) -> Result<HttpUrl, InvalidUrl> {
        self.0.join("crl")?.join(file)
    }

    /// The host, without the port.
    pub(crate) fn host(&self) -> &str {
        let text = self.0.as_ref();
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let authority = rest.split('/').next().unwrap_or(rest);
        match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => authority.split_once(':').map_or(authority, |(host, _)| host),
        }
    }

    /// Where OCSP requests are answered.
    pub fn ocsp(&self) -> Result<HttpUrl, InvalidUrl> {
        self.0.join("ocsp")
    }
}

impl AsRef<str> for PublicUrl {
    fn as_ref(&self) -> &str {
        self.0.as_ref()
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// PEM files of the API's own TLS identity.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// How notices and challenges leave.
#[derive(Clone, Debug)]
pub struct Mail {
    /// `host:port`; without it no mail can be sent, and challenges are refused.
    pub smtp: Option<String>,
    /// The sender of all mails.
    pub from: String,
}

/// Where the private keys are, and the key that seals what is stored secret beside them.
#[derive(Clone, Debug)]
pub struct Keys {
    pub store: StoreSettings,
    /// Seals software keys, documents and the self-made TLS key. Better on another disk than what it seals, so that a
    /// backup of one is worthless without the other.
    pub sealing_key: PathBuf,
}

/// Whether certificates say where their status can be asked, and questions are answered there.
#[derive(Clone, Debug)]
pub struct Ocsp {
    pub enabled: bool,
}

/// How long things count.
#[derive(Clone, Debug)]
pub struct Issuance {
    /// Shortens what the profiles allow; never lengthens it.
    pub validity_days: Option<u32>,
    /// How often a new CRL is made even when nothing was revoked.
    pub crl_refresh_hours: u32,
    /// Over how many lists new certificates are spread, beside the complete one. None with 0.
    pub crl_shards: u16,
    /// Lists of keys that were generated weakly, in the format of Debian's openssl-blacklist.
    pub weak_key_lists: Vec<PathBuf>,
    /// A linter of somebody else that must agree as well.
    pub external_linter: Option<ExternalLinter>,
}

impl Issuance {
    /// BR 4.9.7: a new CRL at least every seven days.
    pub const MOST_CRL_REFRESH_HOURS: u32 = 7 * 24;
    /// With as many, a list of ten million revoked certificates has ten thousand, some 500 KB.
    pub const MOST_CRL_SHARDS: u16 = 1024;
}

/// A new `ca.toml` with every key explained, as `init` writes it.
pub(crate) fn template(
    name: &str,
    database: &str,
    public_url: &PublicUrl,
    ports: Ports<'_>,
    token: Option<&Pkcs11Settings>,
    dns: Option<&Dns>,
) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let entry = |key: &str, path: &Path| format!("{key} = {}", quoted(&path.to_string_lossy()));
    let mut text = String::new();
    let mut line = |comment: &str, entry: String| {
        for comment in comment.lines() {
            text.push_str("# ");
            text.push_str(comment);
            text.push('\n');
        }
        text.push_str(&entry);
        text.push('\n');
    };
    line(
        "How the authority calls itself in mails and on pages.",
        format!("name = {}\n", quoted(name)),
    );
    line(
        "sqlite:FILE (relative to this folder) or postgres://user@host/database",
        format!("database = {}\n", quoted(database)),
    );
    line("The API, with TLS.", format!("listen = {}", quoted(ports.listen)));
    line(
        "What links in mails begin with, when people reach the API under another name:\n\
         api_url = \"https://ca.example.com\"",
        String::new(),
    );
    line(
        "CRLs and certificates, plain HTTP: BR 7.1.2.3 wants http URLs in certificates.",
        format!("public_listen = {}", quoted(ports.public_listen)),
    );
    line(
        "Written into every certificate; must reach public_listen from everywhere.",
        format!("public_url = {}\n", quoted(public_url.as_ref())),
    );
    line(
        "Whether everybody trusts this authority, so that the BR hold without exception. Domains are then looked at from\n\
         several networks, each a section [[perspective]]: see docs/perspectives.md.\n\
         publicly_trusted = true",
        String::new(),
    );
    line("", "[mail]".to_owned());
    line(
        "The server that takes our mail, host:port. Without it no challenge can be sent.",
        match ports.smtp {
            Some(smtp) => format!("smtp = {}", quoted(smtp)),
            None => "# smtp = \"127.0.0.1:25\"".to_owned(),
        },
    );
    line("", format!("from = {}\n", quoted(ports.mail_from)));
    line("", "[issuance]".to_owned());
    line(
        "A new CRL is made at least this often, 1 to 168 hours (BR 4.9.7).",
        format!("crl_refresh_hours = {}", default_crl_refresh_hours()),
    );
    line(
        "Over how many lists new certificates are spread, beside the complete one. Of use from some 100,000 certificates\n\
         on; a certificate stays on the list it was issued with.",
        "crl_shards = 0".to_owned(),
    );
    line(
        "Shortens the validity that the profiles give to certificates.",
        "# validity_days = 365".to_owned(),
    );
    line(
        "Lists of keys that anybody can compute, such as Debian's of 2008, in the format of its package openssl-blacklist:\n\
         weak_key_lists = [\"blacklist.RSA-2048\"]",
        String::new(),
    );
    line(
        "Another linter that must find nothing in a certificate before it is signed, such as pkilint:\n\
         external_linter = { command = [\"lint_cabf_smime_cert\", \"lint\", \"-s\", \"WARNING\", \"{certificate}\"] }",
        String::new(),
    );
    line("", "\n[ocsp]".to_owned());
    line(
        "Certificates name public_url/ocsp, and public_listen answers there (RFC 6960, BR 4.9.9).",
        "enabled = true".to_owned(),
    );
    line("", "\n[dns]".to_owned());
    line(
        "Recursive resolvers; by default those of /etc/resolv.conf. Answers are validated here, with DNSSEC.",
        match dns {
            Some(dns) if !dns.servers.is_empty() => {
                let servers: Vec<String> = dns.servers.iter().map(|server| quoted(&server.to_string())).collect();
                format!("servers = [{}]", servers.join(", "))
            }
            _ => "# servers = [\"127.0.0.1:53\"]".to_owned(),
        },
    );
    line(
        "A file with DNSKEY records of a root of your own; by default the root of the Internet is trusted.",
        match dns.and_then(|dns| dns.trust_anchor.as_deref()) {
            Some(path) => entry("trust_anchor", path),
            None => "# trust_anchor = \"root.key\"".to_owned(),
        },
    );
    line("", "\n[caa]".to_owned());
    line(
        "The domain names by which CAA records may name this authority (BR 4.2.2.1); by default the host of public_url.",
        "# issuers = [\"ca.example.com\"]".to_owned(),
    );
    if let Some(token) = token {
        line("", "\n[keys]".to_owned());
        line(
            "The private keys are made and used in a token behind a PKCS#11 module.",
            "store = \"pkcs11\"\n".to_owned(),
        );
        line("", "[keys.pkcs11]".to_owned());
        line("The library of the device's maker.", entry("module", &token.module));
        line(
            "The label of the token, or `slot` with its number.",
            match &token.token {
                Token::Label(label) => format!("token = {}", quoted(label)),
                Token::Slot(slot) => format!("slot = {slot}"),
            },
        );
        line(
            "A file with the PIN of the token's user; only its owner may be able to read it.",
            entry("pin_file", &token.pin_file),
        );
        line(
            "How many signatures are made at once at most.",
            format!("max_sessions = {}", token.max_sessions),
        );
    }
    text
}

/// The addresses that `template` writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports<'a> {
    pub(crate) listen: &'a str,
    pub(crate) public_listen: &'a str,
    pub(crate) smtp: Option<&'a str>,
    pub(crate) mail_from: &'a str,
}

/// The file as written, before anything is checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    #[serde(default = "default_name")]
    name: String,
    #[serde(default = "default_database")]
    database: String,
    #[serde(default = "default_listen")]
    listen: SocketAddr,
    api_url: Option<String>,
    #[serde(default = "default_public_listen")]
    public_listen: SocketAddr,
    public_url: String,
    tls: Option<TlsSection>,
    #[serde(default)]
    mail: MailSection,
    #[serde(default)]
    keys: KeysSection,
    #[serde(default)]
    issuance: IssuanceSection,
    #[serde(default)]
    ocsp: OcspSection,
    #[serde(default)]
    dns: DnsSection,
    #[serde(default)]
    caa: dns::CaaSection,
    #[serde(default)]
    website: WebsiteSection,
    #[serde(default)]
    publicly_trusted: bool,
    primary_perspective: Option<perspective::PrimarySection>,
    #[serde(default)]
    perspective: Vec<perspective::PerspectiveSection>,
    acme: Option<acme::AcmeSection>,
    vp: Option<vp::VpSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsSection {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MailSection {
    smtp: Option<String>,
    from: String,
}

impl Default for MailSection {
    fn default() -> Self {
        Self {
            smtp: None,
            from: DEFAULT_MAIL_FROM.to_owned(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KeysSection {
    store: StoreKind,
    folder: PathBuf,
    sealing_key: PathBuf,
    pkcs11: Option<Pkcs11Settings>,
}

impl KeysSection {
    fn check(self, folder: &Path) -> Result<Keys, String> {
        let store = StoreSettings::choose(self.store, self.folder, self.sealing_key.clone(), self.pkcs11);
        let store = store.map_err(|error| format!("[keys] {error}"))?;
        Ok(Keys {
            store: store.relative_to(folder),
            sealing_key: folder.join(self.sealing_key),
        })
    }
}

impl Default for KeysSection {
    fn default() -> Self {
        Self {
            store: StoreKind::Software,
            folder: PathBuf::from("keys"),
            sealing_key: PathBuf::from("sealing.key"),
            pkcs11: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct IssuanceSection {
    validity_days: Option<u32>,
    crl_refresh_hours: u32,
    crl_shards: u16,
    weak_key_lists: Vec<PathBuf>,
    external_linter: Option<linter::ExternalLinterSection>,
}

impl Default for IssuanceSection {
    fn default() -> Self {
        Self {
            validity_days: None,
            crl_refresh_hours: default_crl_refresh_hours(),
            crl_shards: 0,
            weak_key_lists: Vec::new(),
            external_linter: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OcspSection {
    enabled: bool,
}

impl Default for OcspSection {
    fn default() -> Self {
        Self { enabled: true }
    }
}

fn default_name() -> String {
    "Sealwright certificate authority".to_owned()
}

pub(crate) const DEFAULT_MAIL_FROM: &str = "ca@localhost";

pub(crate) const DEFAULT_DATABASE: &str = "sqlite:ca.sqlite";

fn default_database() -> String {
    DEFAULT_DATABASE.to_owned()
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8440))
}

fn default_public_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

/// Daily, seven times as often as BR 4.9.7 asks: a missed run harms nobody.
const fn default_crl_refresh_hours() -> u32 {
    24
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::dkim::ReplyFields;

    const LEAST: &str = "public_url = \"http://pki.example.com\"\n";

    fn check(text: &str, expected: Result<(), &str>) {
        match (Config::parse(Path::new("/data"), text), expected) {
            (Ok(_), Ok(())) => {}
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason:?} lacks {part:?}"),
            (outcome, expected) => panic!("{text}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn the_least_configuration_has_working_defaults() {
        let config = Config::parse(Path::new("/data"), LEAST).unwrap();
        assert_eq!(config.database, "sqlite:/data/ca.sqlite");
        let software = StoreSettings::Software {
            folder: "/data/keys".into(),
            sealing_key: "/data/sealing.key".into(),
        };
        assert_eq!(config.keys.store, software);
        assert_eq!(config.listen.to_string(), "127.0.0.1:8440");
        assert_eq!(
            config.public_url.locations("issuing").unwrap().revocation_list.as_ref(),
            "http://pki.example.com/crl/issuing.crl"
        );
    }

    #[test]
    fn what_init_writes_can_be_read() {
        let url = PublicUrl::parse("http://localhost:8080/").unwrap();
        let ports = Ports {
            listen: "127.0.0.1:0",
            public_listen: "127.0.0.1:0",
            smtp: Some("127.0.0.1:2525"),
            mail_from: "ca@example.com",
        };
        let text = template("A \"quoted\" name", "sqlite:ca.sqlite", &url, ports, None, None);
        let config = Config::parse(Path::new("/data"), &text).unwrap();
        assert_eq!(config.name, "A \"quoted\" name");
        assert_eq!(config.mail.smtp.as_deref(), Some("127.0.0.1:2525"));
        assert_eq!(config.mail.from, "ca@example.com");
    }

    #[test]
    fn what_init_writes_about_a_token_can_be_read() {
        let url = PublicUrl::parse("http://localhost:8080/").unwrap();
        let ports = Ports {
            listen: "127.0.0.1:0",
            public_listen: "127.0.0.1:0",
            smtp: None,
            mail_from: "ca@example.com",
        };
        for token in [Token::Label("a \"token\"".to_owned()), Token::Slot(7)] {
            let settings = Pkcs11Settings {
                module: "/usr/lib/m.so".into(),
                token,
                pin_file: "/etc/pin".into(),
                max_sessions: 3,
            };
            let text = template("Name", "sqlite:ca.sqlite", &url, ports, Some(&settings), None);
            let config = Config::parse(Path::new("/data"), &text).unwrap();
            assert_eq!(config.keys.store, StoreSettings::Pkcs11(settings));
            assert_eq!(config.keys.sealing_key, Path::new("/data/sealing.key"));
        }
    }

    #[test]
    fn keys_in_a_token_are_said_clearly_or_refused() {
        let token = "[keys.pkcs11]\nmodule = \"/m.so\"\ntoken = \"t\"\npin_file = \"pin\"";
        check(&format!("{LEAST}[keys]\nstore = \"pkcs11\"\n{token}"), Ok(()));
        check(&format!("{LEAST}[keys]\nstore = \"pkcs11\""), Err("is missing"));
        check(&format!("{LEAST}{token}"), Err("`store` is not"));
        check(&format!("{LEAST}[keys]\nstore = \"paper\""), Err("paper"));
        check(
            &format!("{LEAST}[keys]\nstore = \"pkcs11\"\n{token}\npin = \"1234\""),
            Err("unknown field `pin`"),
        );
    }

    #[test]
    fn other_databases_pass_through() {
        let text = format!("{LEAST}database = \"postgres://ca@db/ca\"");
        let config = Config::parse(Path::new("/data"), &text).unwrap();
        assert_eq!(config.database, "postgres://ca@db/ca");
    }

    #[test]
    fn unknown_keys_are_refused() {
        check(&format!("{LEAST}lisen = \"127.0.0.1:1\""), Err("lisen"));
        check(&format!("{LEAST}[mail]\nsmpt = \"x\""), Err("smpt"));
        check(&format!("{LEAST}[keys]\npin = \"x\""), Err("pin"));
        check(&format!("{LEAST}[issuance]\nlint = false"), Err("lint"));
        check(&format!("{LEAST}[ocsp]\nenabled = false"), Ok(()));
        check(&format!("{LEAST}[ocsp]\nenable = true"), Err("enable"));
        check(&format!("{LEAST}[ocsp]\nenabled = \"yes\""), Err("enabled"));
    }

    #[test]
    fn resolvers_and_issuer_names_are_checked() {
        check(
            &format!("{LEAST}[dns]\nservers = [\"192.0.2.53\", \"[::1]:5353\"]"),
            Ok(()),
        );
        check(
            &format!("{LEAST}[dns]\nservers = [\"dns.example.com\"]"),
            Err("dns.example.com"),
        );
        check(&format!("{LEAST}[dns]\nserver = \"192.0.2.53\""), Err("server"));
        check(&format!("{LEAST}[caa]\nissuers = [\"ca.example\"]"), Ok(()));
        check(&format!("{LEAST}[caa]\nissuers = []"), Err("issuers is empty"));
        check(&format!("{LEAST}[caa]\nissuers = [\"a b\"]"), Err("a b"));
        let config = Config::parse(Path::new("/data"), "public_url = \"http://pki.example.com:8080/x\"").unwrap();
        assert!(matches!(&config.caa, Caa::Check { issuers } if issuers[0].as_ref() == "pki.example.com"));
    }

    /// Two perspectives at places and registries that suit each other, changed in one way.
    fn with_perspectives(from: &str, to: &str) -> String {
        let text = format!(
            "{LEAST}publicly_trusted = true\n[primary_perspective]\nlocation = \"50.11, 8.68\"\n\
             [[perspective]]\nname = \"iad\"\nurl = \"https://iad.example:8441\"\nregistry = \"arin\"\n\
             location = \"39.04, -77.49\"\ntoken_file = \"iad.token\"\n\
             [[perspective]]\nname = \"sin\"\nurl = \"https://sin.example\"\nregistry = \"apnic\"\n\
             location = \"1.35, 103.82\"\ntoken_file = \"sin.token\"\ntrust_file = \"sin.pem\"\n"
        );
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    }

    #[test]
    fn perspectives_are_far_from_each_other_and_reached_in_safety() {
        let config = Config::parse(Path::new("/data"), &with_perspectives("iad", "iad")).unwrap();
        assert_eq!(config.perspectives.trusted, Trusted::Publicly);
        assert_eq!(
            config.perspectives.remote[1].trust_file.as_deref(),
            Some(Path::new("/data/sin.pem"))
        );
        for (from, to, part) in [
            ("\"sin\"", "\"iad\"", "two sections"),
            ("https://sin.example", "https://iad.example:8441", "two sections"),
            ("https://sin", "http://sin", "authenticated and encrypted"),
            ("\"apnic\"", "\"icann\"", "icann"),
            ("1.35, 103.82", "here", "location \"here\""),
            ("1.35, 103.82", "38.9, -77.0", "from iad"),
            ("1.35, 103.82", "50.94, 6.96", "from this authority"),
            ("\"sin\"", "\"Singapore!\"", "Singapore!"),
            (
                "[primary_perspective]\nlocation = \"50.11, 8.68\"\n",
                "",
                "needs a section [primary_perspective]",
            ),
            ("token_file = \"iad.token\"\n", "", "token_file"),
            ("trust_file", "trustfile", "trustfile"),
            ("8.68\"\n", "8.68\"\npatience_seconds = 21\n", "1 to 20"),
        ] {
            check(&with_perspectives(from, to), Err(part));
        }
    }

    #[test]
    fn whom_everybody_trusts_makes_no_exceptions() {
        let public = format!("{LEAST}publicly_trusted = true\n");
        check(&public, Ok(()));
        for (exception, part) in [
            (
                "[caa]\ncheck = \"off\"\noff_because = \"a private authority\"",
                "4.2.2.1",
            ),
            ("[dns]\ntrust_anchor = \"root.key\"", "root of IANA"),
            ("[website]\ndanger_http_port = 8080", "danger_"),
            ("[website]\ndanger_private_addresses = true", "danger_"),
        ] {
            check(&format!("{public}{exception}"), Err(part));
            check(&format!("{LEAST}{exception}"), Ok(()));
        }
    }

    #[test]
    fn domains_are_asked_unless_somebody_says_why_not() {
        let because = "off_because = \"a private authority\"";
        check(&format!("{LEAST}[caa]\ncheck = \"off\"\n{because}"), Ok(()));
        check(&format!("{LEAST}[caa]\ncheck = \"off\""), Err("needs off_because"));
        check(
            &format!("{LEAST}[caa]\ncheck = \"off\"\noff_because = \"\""),
            Err("4.2.2.1"),
        );
        check(&format!("{LEAST}[caa]\n{because}"), Err("check is not \"off\""));
        check(&format!("{LEAST}[caa]\ncheck = \"sometimes\""), Err("sometimes"));
        check(&format!("{LEAST}[caa]\ncheck = false"), Err("check"));
    }

    #[test]
    fn the_acme_server_is_configured_completely_or_refused() {
        let acme = |text: &str| format!("{LEAST}[acme]\n{text}");
        let least = "mail_from = \"acme@ca.example.com\"\n";
        let config = Config::parse(Path::new("/data"), &acme(least)).unwrap().acme.unwrap();
        assert_eq!(
            (&*config.hostname, &*config.dkim_selector),
            ("ca.example.com", "sealwright")
        );
        assert_eq!(config.reply_fields, ReplyFields::All);
        check(&acme(&format!("{least}reply_fields = \"present\"")), Ok(()));
        check(&acme(&format!("{least}reply_fields = \"none\"")), Err("none"));
        check(&acme(""), Err("mail_from"));
        check(&acme("mail_from = \"ca.example.com\""), Err("mail_from"));
        check(&acme("mail_from = \"acme+x@ca.example.com\""), Err("plus sign"));
        check(&acme(&format!("{least}dkim_selector = \"a.b\"")), Err("dkim_selector"));
        check(
            &acme(&format!("{least}terms_of_service = \"http://x\"")),
            Err("https://"),
        );
        check(&acme(&format!("{least}port = 25")), Err("port"));
    }

    #[test]
    fn another_authority_is_reached_in_safety_and_with_a_whole_key() {
        let vp = |text: &str| format!("{LEAST}[vp]\n{text}");
        let least = "directory = \"https://acme.example/directory\"\n";
        check(&vp(least), Ok(()));
        check(&vp(""), Err("directory"));
        check(&vp("directory = \"http://acme.example/directory\""), Err("https://"));
        check(&vp(&format!("{least}key_id = \"eab-1\"")), Err("belong together"));
        check(&vp(&format!("{least}mac_key_file = \"x\"")), Err("belong together"));
        check(&vp(&format!("{least}contact = \"nobody\"")), Err("vp.contact"));
        let bound = vp(&format!("{least}key_id = \"eab-1\"\nmac_key_file = \"vp.mac\""));
        let config = Config::parse(Path::new("/data"), &bound).unwrap().vp.unwrap();
        assert_eq!(config.binding.unwrap().mac_key_file, Path::new("/data/vp.mac"));
    }

    #[test]
    fn public_urls_that_clients_would_refuse_are_refused() {
        check("", Err("public_url"));
        check("public_url = \"https://pki.example.com\"", Err("http://"));
        check("public_url = \"ldap://pki.example.com\"", Err("http://"));
        check("public_url = \"http://\"", Err("host name"));
        check("public_url = \"http://:80\"", Err("host name"));
        check("public_url = \"http://user@host\"", Err("user name"));
        check("public_url = \"http://host/?q\"", Err("query"));
        check("public_url = \"http://host/\\u0000\"", Err("character"));
        check(
            &format!("public_url = \"http://{}\"", "a".repeat(200)),
            Err("200 octets"),
        );
    }

    #[test]
    fn crl_periods_outside_the_requirements_are_refused() {
        check(&format!("{LEAST}[issuance]\ncrl_refresh_hours = 168"), Ok(()));
        check(&format!("{LEAST}[issuance]\ncrl_refresh_hours = 169"), Err("4.9.7"));
        check(&format!("{LEAST}[issuance]\ncrl_refresh_hours = 0"), Err("4.9.7"));
        check(&format!("{LEAST}[issuance]\ncrl_shards = 1024"), Ok(()));
        check(&format!("{LEAST}[issuance]\ncrl_shards = 1025"), Err("crl_shards"));
        check(&format!("{LEAST}[issuance]\nvalidity_days = 0"), Err("validity_days"));
    }

    #[test]
    fn urls_of_links_that_would_not_work_are_refused() {
        for url in [
            "http://ca.example.com",
            "https://",
            "https://:8440",
            "https://user@host",
            "https://host/?q",
            "",
        ] {
            check(&format!("{LEAST}api_url = \"{url}\""), Err("api_url"));
        }
        for (url, host) in [
            ("https://ca.example.com", "ca.example.com"),
            ("https://ca.example.com:8440/pki/", "ca.example.com"),
            ("https://[::1]:8440", "::1"),
        ] {
            assert_eq!(ApiUrl::parse(url).unwrap().host(), host);
        }
    }

    #[test]
    fn addresses_and_names_are_checked() {
        check(&format!("{LEAST}listen = \"8440\""), Err("listen"));
        check(&format!("{LEAST}name = \"\""), Err("name"));
        check(&format!("{LEAST}name = \"a\\nb\""), Err("name"));
    }
}
