//! The tables `[next_hop]` and `[[route]]`: where mail goes that leaves.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use data_encoding::HEXLOWER_PERMISSIVE;
use dns::{CertificateAssociation, Name};
use serde::Deserialize;

use super::host::host_and_port;

/// Where signed mail goes.
#[derive(Clone, Debug)]
pub struct NextHop {
    pub way: Way,
    pub tls: NextHopTls,
    /// The public keys that the server may have; without any, a certificate for the host is asked for.
    pub pins: Vec<Pin>,
    /// Whether TLSA records of the servers count (RFC 7672).
    pub dane: bool,
    /// Whether policies of the domains count (RFC 8461).
    pub mta_sts: bool,
    /// At a time, busy or idle; to the servers of one domain, where they are found by MX records.
    pub max_connections: usize,
    /// How long a connection is kept for the next message; zero closes it at once.
    pub idle: Duration,
    /// Whether it understands the parameters of delivery status notifications (RFC 3461), so that they are offered.
    pub dsn: bool,
    /// PEM of further roots, beside those of the Web PKI.
    pub trust_file: Option<PathBuf>,
}

/// Which servers these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// One, for all domains.
    Host { host: String, port: u16 },
    /// Those of each recipient's domain, by its MX records.
    Mx { port: u16 },
}

/// Whether the connection to a mail server is encrypted (RFC 3207).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NextHopTls {
    Never,
    /// If it is offered, whoever's certificate it is.
    Opportunistic,
    /// With a certificate that is valid for the host, or not at all.
    Required,
    /// The same, from the first octet (port 465, RFC 8314 section 3.3).
    Implicit,
}

/// A public key by its SHA-256, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin([u8; 32]);

/// Whom a route is for: `example.com`, or `.example.com` for all that is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteDomain {
    Exactly(Name),
    Below(Name),
}

impl Pin {
    /// As a TLSA record would say it: this very key (RFC 6698 section 2.1).
    pub(crate) fn association(&self) -> CertificateAssociation {
        CertificateAssociation {
            usage: 3,
            selector: 1,
            matching_type: 1,
            data: self.0.to_vec(),
        }
    }
}

impl FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.strip_prefix("sha256:")
            .and_then(|digits| HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok())
            .and_then(|octets| octets.try_into().ok())
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not sha256: and the 64 hexadecimal digits of a public key's hash"))
    }
}

impl RouteDomain {
    /// How much a route for this says of a domain: `None` for nothing, else the more the closer it is.
    fn closeness(&self, domain: &Name) -> Option<usize> {
        match self {
            Self::Exactly(name) => (name == domain).then_some(usize::MAX),
            Self::Below(name) => (name != domain && name.covers(domain)).then(|| name.to_string().len()),
        }
    }
}

impl FromStr for RouteDomain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |text: &str| Name::parse(text).map_err(|error| error.to_string());
        match text.strip_prefix('.') {
            Some(rest) => parse(rest).map(Self::Below),
            None => parse(text).map(Self::Exactly),
        }
    }
}

impl fmt::Display for RouteDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(name) => name.fmt(f),
            Self::Below(name) => write!(f, ".{name}"),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
            Self::Mx { .. } => f.write_str("the mail servers of each domain (MX)"),
        }
    }
}

/// The place of the closest of some routes for a domain.
pub(super) fn closest(routes: &[(Vec<RouteDomain>, NextHop)], domain: &Name) -> Option<usize> {
    let closeness = |domains: &[RouteDomain]| domains.iter().filter_map(|one| one.closeness(domain)).max();
    routes
        .iter()
        .enumerate()
        .filter_map(|(index, (domains, _))| Some((closeness(domains)?, index)))
        // Of two that are as close the first one counts.
        .max_by_key(|(closeness, index)| (*closeness, usize::MAX - index))
        .map(|(_, index)| index)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NextHopFile {
    address: Option<String>,
    #[serde(default)]
    mx: bool,
    mx_port: Option<u16>,
    #[serde(default = "default_next_hop_tls")]
    tls: NextHopTls,
    #[serde(default)]
    pins: Vec<String>,
    dane: Option<bool>,
    mta_sts: Option<bool>,
    max_connections: Option<usize>,
    #[serde(default = "default_idle_seconds")]
    idle_seconds: u64,
    #[serde(default)]
    dsn: bool,
    trust_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteFile {
    domains: Vec<String>,
    address: Option<String>,
    #[serde(default)]
    mx: bool,
    mx_port: Option<u16>,
    #[serde(default = "default_next_hop_tls")]
    tls: NextHopTls,
    #[serde(default)]
    pins: Vec<String>,
    dane: Option<bool>,
    mta_sts: Option<bool>,
    max_connections: Option<usize>,
    #[serde(default = "default_idle_seconds")]
    idle_seconds: u64,
    trust_file: Option<PathBuf>,
}

impl RouteFile {
    pub(super) fn check(self, folder: &Path) -> Result<(Vec<RouteDomain>, NextHop), String> {
        let domains: Result<Vec<RouteDomain>, String> = self.domains.iter().map(|text| text.parse()).collect();
        let domains = domains.map_err(|reason| format!("[[route]] domains: {reason}"))?;
        if domains.is_empty() {
            return Err("[[route]]: name at least one of domains".to_owned());
        }
        let next_hop = NextHopFile {
            address: self.address,
            mx: self.mx,
            mx_port: self.mx_port,
            tls: self.tls,
            pins: self.pins,
            dane: self.dane,
            mta_sts: self.mta_sts,
            max_connections: self.max_connections,
            idle_seconds: self.idle_seconds,
            dsn: false,
            trust_file: self.trust_file,
        };
        Ok((domains, next_hop.check("route", folder)?))
    }
}

impl NextHopFile {
    /// `table` is its name, for mistakes.
    pub(super) fn check(self, table: &str, folder: &Path) -> Result<NextHop, String> {
        let way = match (&self.address, self.mx) {
            (Some(address), false) => {
                let (host, port) = host_and_port(&format!("{table}.address"), address)?;
                Way::Host { host, port }
            }
            (None, true) => Way::Mx {
                port: self.mx_port.unwrap_or(25),
            },
            _ => {
                return Err(format!(
                    "{table}: say where mail goes, either by {table}.address or by mx = true"
                ));
            }
        };
        let is_mx = matches!(way, Way::Mx { .. });
        let max_connections = self.max_connections.unwrap_or(if is_mx {
            DEFAULT_CONNECTIONS_PER_DOMAIN
        } else {
            DEFAULT_CONNECTIONS
        });
        if !(1..=10_000).contains(&max_connections) {
            return Err(format!("{table}.max_connections must be 1 to 10000"));
        }
        if self.idle_seconds > 3600 {
            return Err(format!("{table}.idle_seconds must be 0 to 3600"));
        }
        if is_mx && self.tls == NextHopTls::Implicit {
            return Err(format!(
                "{table}.tls: mail servers of other domains have STARTTLS; implicit needs an address"
            ));
        }
        if !is_mx && (self.mx_port.is_some() || self.mta_sts == Some(true)) {
            return Err(format!("{table}: mx_port and mta_sts are only for mx = true"));
        }
        if is_mx && self.dsn {
            return Err(format!(
                "{table}.dsn: what servers found by MX understand is not known before; leave it out"
            ));
        }
        let pins = self
            .pins
            .iter()
            .map(|text| text.parse())
            .collect::<Result<Vec<Pin>, _>>();
        let pins = pins.map_err(|reason| format!("{table}.pins: {reason}"))?;
        if !pins.is_empty() && !matches!(self.tls, NextHopTls::Required | NextHopTls::Implicit) {
            return Err(format!(
                "{table}.pins are looked at only where tls is required or implicit"
            ));
        }
        // What an operator has switched off by `never` is not looked for.
        let is_open = self.tls != NextHopTls::Never;
        Ok(NextHop {
            way,
            tls: self.tls,
            pins,
            dane: is_open && self.dane.unwrap_or(is_mx),
            mta_sts: is_open && is_mx && self.mta_sts.unwrap_or(true),
            max_connections,
            idle: Duration::from_secs(self.idle_seconds),
            dsn: self.dsn,
            trust_file: self.trust_file.map(|path| folder.join(path)),
        })
    }
}

const fn default_idle_seconds() -> u64 {
    // Postfix closes an idle connection after 300 seconds, others after 60.
    30
}

const fn default_next_hop_tls() -> NextHopTls {
    NextHopTls::Opportunistic
}

const DEFAULT_CONNECTIONS: usize = 100;
/// What strangers put up with; Postfix opens as many (default_destination_concurrency_limit).
const DEFAULT_CONNECTIONS_PER_DOMAIN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NextHop, String> {
        let file: NextHopFile = toml::from_str(text).map_err(|error| error.to_string())?;
        file.check("next_hop", Path::new("/data"))
    }

    #[test]
    fn a_server_is_fixed_or_found() {
        let fixed = parse("address = \"mail.example.com:25\"").unwrap();
        assert_eq!((fixed.dane, fixed.mta_sts, fixed.max_connections), (false, false, 100));
        assert_eq!(fixed.way.to_string(), "mail.example.com:25");
        let found = parse("mx = true").unwrap();
        assert_eq!(found.way, Way::Mx { port: 25 });
        assert_eq!((found.dane, found.mta_sts, found.max_connections), (true, true, 20));
        let open = parse("mx = true\ntls = \"never\"").unwrap();
        assert_eq!((open.dane, open.mta_sts), (false, false));
    }

    #[test]
    fn mistakes_are_named() {
        let pin = format!("sha256:{}", "0".repeat(64));
        for (text, expected) in [
            ("", "either by next_hop.address"),
            ("mx = true\naddress = \"a:25\"", "either by next_hop.address"),
            ("address = \"a\"", "next_hop.address"),
            ("mx = true\ntls = \"implicit\"", "needs an address"),
            ("mx = true\ndsn = true", "next_hop.dsn"),
            ("address = \"a:25\"\nmta_sts = true", "only for mx"),
            ("address = \"a:25\"\nmx_port = 26", "only for mx"),
            ("mx = true\nmax_connections = 0", "max_connections"),
            (
                &format!("address = \"a:25\"\npins = [\"{pin}\"]"),
                "required or implicit",
            ),
            (
                &format!("address = \"a:25\"\ntls = \"required\"\npins = [\"{pin}0\"]"),
                "64 hexadecimal",
            ),
            (
                "address = \"a:25\"\ntls = \"required\"\npins = [\"sha1:00\"]",
                "64 hexadecimal",
            ),
            ("address = \"a:25\"\ntls = \"maybe\"", "unknown variant"),
        ] {
            let reason = parse(text).unwrap_err();
            assert!(reason.contains(expected), "{text}: {reason}");
        }
        assert_eq!(
            parse(&format!("address = \"a:465\"\ntls = \"implicit\"\npins = [\"{pin}\"]"))
                .unwrap()
                .pins
                .len(),
            1
        );
    }

    #[test]
    fn the_closest_route_counts() {
        let hop = parse("mx = true").unwrap();
        let routes: Vec<(Vec<RouteDomain>, NextHop)> = [
            &[".example.com"][..],
            &["a.b.example.com", "example.net"],
            &[".b.example.com"],
            &[".b.example.com"],
        ]
        .iter()
        .map(|domains| {
            let domains = domains.iter().map(|text| text.parse().unwrap()).collect();
            (domains, hop.clone())
        })
        .collect();
        for (domain, expected) in [
            ("example.com", None),
            ("x.example.com", Some(0)),
            ("b.example.com", Some(0)),
            ("x.b.example.com", Some(2)),
            ("A.b.example.com", Some(1)),
            ("x.a.b.example.com", Some(2)),
            ("example.net", Some(1)),
            ("x.example.net", None),
            ("xexample.com", None),
        ] {
            assert_eq!(closest(&routes, &Name::parse(domain).unwrap()), expected, "{domain}");
        }
    }
}
