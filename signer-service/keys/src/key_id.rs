//! The name of a key within its store.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::KeyError;

/// The name of a key within its store: 1 to 64 of the characters a-z, 0-9 and `-`.
///
/// The alphabet is that small so that an id is a file name, a PKCS#11 label and a database key alike, on file systems
/// that ignore case too.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(allowed) {
            return Err(KeyError::InvalidKeyId { text: text.into() });
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl AsRef<str> for KeyId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Room for a prefix and a UUID (36), while file names keep far below the 255 bytes of common file systems.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_alphabet_are_accepted() {
        for text in ["a", "0", "-", "root-2026", &"k".repeat(64)] {
            assert_eq!(text.parse::<KeyId>().unwrap().as_ref(), text);
        }
    }

    #[test]
    fn anything_that_could_leave_the_folder_is_refused() {
        for text in [
            "",
            ".",
            "..",
            "../root",
            "a/b",
            "a\\b",
            "a.key",
            "Root",
            "a b",
            "a\0",
            "a\n",
            "schlüssel",
            "%2e",
            &"k".repeat(65),
            &"k".repeat(1_000_000),
        ] {
            let refusal = text.parse::<KeyId>().unwrap_err();
            assert!(matches!(refusal, KeyError::InvalidKeyId { .. }));
            let message = refusal.to_string();
            assert!(message.contains("1 to 64"), "{message}");
            assert!(message.len() < 400, "{} bytes", message.len());
        }
    }
}
