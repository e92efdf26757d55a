//! The tables `[ca]` and `[[account]]`: who is asked for certificates, and by which right.

use std::path::{Path, PathBuf};

use policies::signing::MaySign;
use policies::tier::Generation;
use serde::Deserialize;

use super::sender::may_sign;

/// The CA that identities are ordered from.
#[derive(Clone, Debug)]
pub struct CertificateAuthority {
    /// Where its API is, `https://host:port`.
    pub url: String,
    /// PEM of the root of its TLS certificate, if the Web PKI does not vouch for it.
    pub trust_file: Option<PathBuf>,
    pub generation: Generation,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CertificateAuthorityFile {
    url: String,
    trust_file: Option<PathBuf>,
    #[serde(default = "default_generation")]
    generation: String,
}

impl CertificateAuthorityFile {
    pub(super) fn check(self, folder: &Path) -> Result<CertificateAuthority, String> {
        if !self.url.starts_with("https://") {
            return Err(format!("ca.url {:?} does not begin with https://", self.url));
        }
        let generation = self.generation.parse().map_err(|_| {
            format!(
                "ca.generation {:?} is unknown; choose \"strict\" or \"multipurpose\"",
                self.generation
            )
        })?;
        Ok(CertificateAuthority {
            url: self.url.trim_end_matches('/').to_owned(),
            trust_file: self.trust_file.map(|path| folder.join(path)),
            generation,
        })
    }
}

fn default_generation() -> String {
    "strict".to_owned()
}

/// Which token enrols whom.
#[derive(Clone, Debug)]
pub struct Account {
    /// A file with the token of a gateway principal, readable only by this user.
    pub token_file: PathBuf,
    pub covers: Vec<MaySign>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountFile {
    token_file: PathBuf,
    #[serde(default)]
    domains: Vec<String>,
    #[serde(default)]
    mailboxes: Vec<String>,
}

impl AccountFile {
    pub(super) fn check(self, folder: &Path) -> Result<Account, String> {
        // Mailboxes first: they say more than their domain does.
        let covers = may_sign(self.mailboxes.iter().chain(&self.domains));
        let covers = covers.map_err(|reason| format!("[[account]]: {reason}"))?;
        if covers.is_empty() {
            return Err("[[account]]: name at least one of domains and mailboxes".to_owned());
        }
        Ok(Account {
            token_file: folder.join(self.token_file),
            covers,
        })
    }
}
