//! `[vp]`: another authority that certificates for managed mailboxes come from.

use std::path::{Path, PathBuf};

use policies::mailbox::Mailbox;
use serde::Deserialize;

/// The other authority, and who we are there.
#[derive(Clone, Debug)]
pub struct Vp {
    /// The URL of its ACME directory.
    pub directory: String,
    /// What binds our account there to a contract (RFC 8555 section 7.3.4).
    pub binding: Option<VpBinding>,
    /// Where it reaches us.
    pub contact: Option<String>,
    /// Its TLS certificate, if not one that this system trusts.
    pub trust_file: Option<PathBuf>,
    /// Which of its profiles to order.
    pub profile: Option<String>,
}

/// An external account key.
#[derive(Clone, Debug)]
pub struct VpBinding {
    pub key_id: String,
    /// The key in base64url.
    pub mac_key_file: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VpSection {
    directory: String,
    key_id: Option<String>,
    mac_key_file: Option<PathBuf>,
    contact: Option<String>,
    trust_file: Option<PathBuf>,
    profile: Option<String>,
}

impl VpSection {
    pub(super) fn check(self, folder: &Path) -> Result<Vp, String> {
        if !self.directory.starts_with("https://") || !self.directory.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err("vp.directory must be a URL that begins with https://".to_owned());
        }
        let binding = match (self.key_id, self.mac_key_file) {
            (None, None) => None,
            (Some(key_id), Some(file)) => Some(VpBinding {
                key_id,
                mac_key_file: folder.join(file),
            }),
            _ => return Err("vp.key_id and vp.mac_key_file belong together: write both or none".to_owned()),
        };
        if let Some(contact) = &self.contact {
            Mailbox::parse(contact).map_err(|error| format!("vp.contact {contact:?} is not usable: {error}"))?;
        }
        Ok(Vp {
            directory: self.directory,
            binding,
            contact: self.contact,
            trust_file: self.trust_file.map(|file| folder.join(file)),
            profile: self.profile,
        })
    }
}
