//! Where a sealing key comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::KeyError;
use crate::private_file::{self, Existing, Readers};

/// Where a sealing key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealingKeySource {
    /// A file that only its owner may read.
    File(PathBuf),
    /// A descriptor that whoever starts the process has opened, such as a pipe of a secret manager; it is read once. The
    /// environment variable of this name holds its number.
    Descriptor(String),
}

impl SealingKeySource {
    /// The text with the keys.
    pub(crate) fn read(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        match self {
            Self::File(path) => private_file::read(path, "sealing key", LONGEST, Readers::OwnerOnly),
            Self::Descriptor(variable) => {
                let number = std::env::var(variable).ok();
                let number =
                    number
                        .and_then(|text| text.parse::<u16>().ok())
                        .ok_or_else(|| KeyError::NotASealingKey {
                            path: self.path(),
                            problem: "the environment variable is not the number of an open descriptor",
                        })?;
                // What is behind a descriptor was opened by somebody with the right to; its mode is not ours to judge.
                let path = Path::new("/dev/fd").join(number.to_string());
                private_file::read(&path, "sealing key", LONGEST, Readers::Anybody)
            }
        }
    }

    /// Writes another text in the place of the one that is there.
    pub(crate) fn replace(&self, text: &str) -> Result<(), KeyError> {
        match self {
            Self::File(path) => private_file::write(path, text.as_bytes(), 0o600, Existing::Replace),
            Self::Descriptor(_) => Ok(()),
        }
    }

    /// Whether another process may replace it.
    pub(crate) const fn can_change(&self) -> bool {
        !matches!(self, Self::Descriptor(_))
    }

    /// For errors.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Descriptor(variable) => PathBuf::from(format!("${variable}")),
        }
    }
}

impl fmt::Display for SealingKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}

/// Eight keys.
const LONGEST: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::SealingKey;

    #[test]
    fn what_is_no_descriptor_is_refused() {
        // Nobody sets such a variable.
        let source = SealingKeySource::Descriptor("SEALWRIGHT_NO_SUCH_VARIABLE".to_owned());
        let refusal = SealingKey::open_source(source).unwrap_err().to_string();
        assert!(
            refusal.contains("$SEALWRIGHT_NO_SUCH_VARIABLE") && refusal.contains("descriptor"),
            "{refusal}"
        );
    }

    #[test]
    fn a_file_with_too_many_keys_or_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sealing.key");
        SealingKey::generate_file(&file).unwrap();
        let line = std::fs::read(&file).unwrap();
        private_file::write(&file, &line.repeat(8), 0o600, Existing::Replace).unwrap();
        assert!(SealingKey::open_file(&file).is_ok());
        for wrong in [line.repeat(9), Vec::new(), [&line[..], b"x\n"].concat()] {
            private_file::write(&file, &wrong, 0o600, Existing::Replace).unwrap();
            let refusal = SealingKey::open_file(&file).unwrap_err();
            assert!(matches!(refusal, KeyError::NotASealingKey { .. }), "{refusal}");
        }
    }
}
