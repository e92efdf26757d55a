//! The table `[encryption]`: whose certificates mail is encrypted to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EncryptionFile {
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
pub(super) struct SmimeaFile {
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

impl EncryptionFile {
    pub(super) fn check(self, folder: &Path) -> Encryption {
        Encryption {
            certificates: folder.join(self.certificates),
            trust_files: self.trust_files.iter().map(|path| folder.join(path)).collect(),
            crls: folder.join(self.crls),
            require_revocation: self.require_revocation,
            directory: self.directory,
            harvest: self.harvest,
            smimea: self.smimea.map(|smimea| Smimea {
                servers: smimea.servers,
                trust_anchor: smimea.trust_anchor.map(|path| folder.join(path)),
            }),
        }
    }
}
