//! The table `[next_hop]`: where mail goes that leaves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::host::host_and_port;

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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NextHopFile {
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

impl NextHopFile {
    pub(super) fn check(self, folder: &Path) -> Result<NextHop, String> {
        let (host, port) = host_and_port(&self.address)?;
        if !(1..=10_000).contains(&self.max_connections) {
            return Err("next_hop.max_connections must be 1 to 10000".to_owned());
        }
        if self.idle_seconds > 3600 {
            return Err("next_hop.idle_seconds must be 0 to 3600".to_owned());
        }
        Ok(NextHop {
            host,
            port,
            tls: self.tls,
            max_connections: self.max_connections,
            idle: Duration::from_secs(self.idle_seconds),
            dsn: self.dsn,
            trust_file: self.trust_file.map(|path| folder.join(path)),
        })
    }
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
