//! The tables `[keys]` and `[tls]`: keys of identities, and of our own TLS.

use std::path::{Path, PathBuf};

use keys::KeyAlgorithm;
use keys::sealing::source::SealingKeySource;
use serde::Deserialize;

/// How the keys of identities are made.
#[derive(Clone, Debug)]
pub struct Keys {
    pub algorithm: KeyAlgorithm,
    pub folder: PathBuf,
    /// Seals them, and the self-made TLS identity.
    pub sealing_key: SealingKeySource,
}

#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KeysFile {
    algorithm: String,
    folder: PathBuf,
    sealing_key: PathBuf,
    sealing_key_descriptor: Option<String>,
}

impl Default for KeysFile {
    fn default() -> Self {
        Self {
            algorithm: "rsa2048".to_owned(),
            folder: PathBuf::from("keys"),
            sealing_key: PathBuf::from("sealing.key"),
            sealing_key_descriptor: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsFile {
    certificate: PathBuf,
    key: PathBuf,
}

impl KeysFile {
    pub(super) fn check(self, folder: &Path) -> Result<Keys, String> {
        let algorithm = self.algorithm.parse().map_err(|_| {
            let known: Vec<String> = KeyAlgorithm::ALL.iter().map(ToString::to_string).collect();
            format!(
                "keys.algorithm {:?} is unknown; choose one of {}",
                self.algorithm,
                known.join(", ")
            )
        })?;
        Ok(Keys {
            algorithm,
            folder: folder.join(self.folder),
            sealing_key: match self.sealing_key_descriptor {
                None => SealingKeySource::File(folder.join(self.sealing_key)),
                Some(variable) => SealingKeySource::Descriptor(variable),
            },
        })
    }
}

impl TlsFile {
    pub(super) fn check(self, folder: &Path) -> TlsFiles {
        TlsFiles {
            certificate: folder.join(self.certificate),
            key: folder.join(self.key),
        }
    }
}
