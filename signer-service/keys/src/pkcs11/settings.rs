//! Which token, through which module, and where its PIN is.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::KeyError;
use crate::error::shown;

/// What an operator says about a security module, as the table `[keys.pkcs11]` of a configuration file:
///
/// ```toml
/// module = "/usr/lib/softhsm/libsofthsm2.so"
/// token = "sealwright"          # or: slot = 3
/// pin_file = "token.pin"        # mode 0600
/// max_sessions = 16             # if absent, 16
/// ```
///
/// The PIN itself has no place in it: what stands in configuration files is copied, shown and checked in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Pkcs11Settings {
    /// The shared library of the device's maker.
    pub module: PathBuf,
    /// Which of its tokens.
    pub token: Token,
    /// A file that holds the PIN of the token's user and nothing else, except for a line end. Only its owner may be able
    /// to read it.
    pub pin_file: PathBuf,
    /// How many sessions are open at most, and so how many signatures are made at once: 1 to 1024.
    pub max_sessions: u16,
}

impl Pkcs11Settings {
    /// The number of sessions when the settings do not say: enough to keep several processors busy, few enough for
    /// small devices.
    pub const DEFAULT_SESSIONS: u16 = 16;

    /// The same settings, with relative paths starting at `folder`.
    pub fn relative_to(self, folder: &Path) -> Self {
        Self {
            module: folder.join(self.module),
            pin_file: folder.join(self.pin_file),
            ..self
        }
    }
}

/// How to tell one token from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// The label that it was given when it was initialized: 1 to 32 bytes. At most one token may have it.
    Label(String),
    /// The number of the slot that it is in. Some modules number anew when tokens come and go.
    Slot(u64),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(f, "token `{}`", shown(label)),
            Self::Slot(slot) => write!(f, "token in slot {slot}"),
        }
    }
}

/// The table, before anything is checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    module: PathBuf,
    token: Option<String>,
    slot: Option<u64>,
    pin_file: PathBuf,
    #[serde(default = "default_sessions")]
    max_sessions: u16,
}

impl TryFrom<Written> for Pkcs11Settings {
    type Error = KeyError;

    fn try_from(written: Written) -> Result<Self, KeyError> {
        let refuse = |problem| Err(KeyError::StoreSettings { problem });
        let token = match (written.token, written.slot) {
            // The field has 32 bytes and is filled up with blanks (PKCS #11 v3.1, 3.2, CK_TOKEN_INFO).
            (Some(label), None) if label.is_empty() || label.len() > 32 || label.ends_with(' ') => {
                return refuse("`token` is the label of a token, 1 to 32 bytes that do not end in a blank");
            }
            (Some(label), None) => Token::Label(label),
            (None, Some(slot)) => Token::Slot(slot),
            _ => return refuse("give either `token` (a label) or `slot` (a number)"),
        };
        if !(1..=MOST_SESSIONS).contains(&written.max_sessions) {
            return refuse("`max_sessions` is a number from 1 to 1024");
        }
        Ok(Self {
            module: written.module,
            token,
            pin_file: written.pin_file,
            max_sessions: written.max_sessions,
        })
    }
}

impl From<Pkcs11Settings> for Written {
    fn from(settings: Pkcs11Settings) -> Self {
        let (token, slot) = match settings.token {
            Token::Label(label) => (Some(label), None),
            Token::Slot(slot) => (None, Some(slot)),
        };
        Self {
            module: settings.module,
            token,
            slot,
            pin_file: settings.pin_file,
            max_sessions: settings.max_sessions,
        }
    }
}

fn default_sessions() -> u16 {
    Pkcs11Settings::DEFAULT_SESSIONS
}

/// Far more than any device does at once.
const MOST_SESSIONS: u16 = 1024;
