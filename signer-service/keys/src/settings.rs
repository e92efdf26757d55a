//! Which key store there is, as a configuration file says it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::sealing::SealingKey;
use crate::{KeyError, KeyStore, Pkcs11KeyStore, Pkcs11Settings, SoftwareKeyStore};

/// Where private keys are kept, from the table `[keys]` of a configuration file:
///
/// ```toml
/// [keys]
/// store = "pkcs11"              # or "software", which is what it is when absent
/// folder = "keys"               # for "software"
/// sealing_key = "sealing.key"   # for "software"; others may seal with it too
///
/// [keys.pkcs11]                 # for "pkcs11", see Pkcs11Settings
/// module = "/usr/lib/softhsm/libsofthsm2.so"
/// token = "sealwright"
/// pin_file = "token.pin"
/// ```
///
/// A program that has more to say in that table declares these four keys itself and calls [`choose`](Self::choose).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub enum StoreSettings {
    /// Sealed files in a folder.
    Software {
        /// Has mode 0700.
        folder: PathBuf,
        /// The file of the key that seals them.
        sealing_key: PathBuf,
    },
    /// A token behind a PKCS#11 module.
    Pkcs11(Pkcs11Settings),
}

/// Which of them, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// `software`: sealed files in a folder.
    #[default]
    Software,
    /// `pkcs11`: a token behind a PKCS#11 module.
    Pkcs11,
}

impl StoreSettings {
    /// Puts together what stands in a table. Settings of a token without the store that would use them are refused, so
    /// that nobody believes keys to be in a token that are in files.
    pub fn choose(
        store: StoreKind,
        folder: PathBuf,
        sealing_key: PathBuf,
        pkcs11: Option<Pkcs11Settings>,
    ) -> Result<Self, KeyError> {
        match (store, pkcs11) {
            (StoreKind::Software, None) => Ok(Self::Software { folder, sealing_key }),
            (StoreKind::Pkcs11, Some(settings)) => Ok(Self::Pkcs11(settings)),
            (StoreKind::Software, Some(_)) => Err(KeyError::StoreSettings {
                problem: "there is a table `pkcs11`, but `store` is not \"pkcs11\"; set it, or remove the table",
            }),
            (StoreKind::Pkcs11, None) => Err(KeyError::StoreSettings {
                problem: "`store` is \"pkcs11\", but the table `pkcs11` with module, token and pin_file is missing",
            }),
        }
    }

    /// The same settings, with relative paths starting at `folder`.
    pub fn relative_to(self, folder: &Path) -> Self {
        match self {
            Self::Software {
                folder: keys,
                sealing_key,
            } => Self::Software {
                folder: folder.join(keys),
                sealing_key: folder.join(sealing_key),
            },
            Self::Pkcs11(settings) => Self::Pkcs11(settings.relative_to(folder)),
        }
    }

    /// Makes a new store. For software the folder must not exist, and the sealing key must. A token is made by its
    /// operator, so here it is only opened; keys that are in it already stay there.
    pub fn create(&self) -> Result<Arc<dyn KeyStore>, KeyError> {
        match self {
            Self::Software { folder, sealing_key } => {
                let sealing_key = SealingKey::open_file(sealing_key)?;
                Ok(Arc::new(SoftwareKeyStore::create(folder, sealing_key)?))
            }
            Self::Pkcs11(settings) => Ok(Arc::new(Pkcs11KeyStore::open(settings)?)),
        }
    }

    /// Opens the store that [`create`](Self::create) has made.
    pub fn open(&self) -> Result<Arc<dyn KeyStore>, KeyError> {
        match self {
            Self::Software { folder, sealing_key } => {
                let sealing_key = SealingKey::open_file(sealing_key)?;
                Ok(Arc::new(SoftwareKeyStore::open(folder, sealing_key)?))
            }
            Self::Pkcs11(settings) => Ok(Arc::new(Pkcs11KeyStore::open(settings)?)),
        }
    }
}

/// The table, before anything is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    store: StoreKind,
    #[serde(default = "default_folder")]
    folder: PathBuf,
    #[serde(default = "default_sealing_key")]
    sealing_key: PathBuf,
    pkcs11: Option<Pkcs11Settings>,
}

impl TryFrom<Written> for StoreSettings {
    type Error = KeyError;

    fn try_from(written: Written) -> Result<Self, KeyError> {
        Self::choose(written.store, written.folder, written.sealing_key, written.pkcs11)
    }
}

fn default_folder() -> PathBuf {
    "keys".into()
}

fn default_sealing_key() -> PathBuf {
    "sealing.key".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkcs11::Token;
    use crate::{KeyAlgorithm, KeyId};

    fn parse(text: &str) -> Result<StoreSettings, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    fn check_refused(text: &str, expected: &str) {
        let refusal = parse(text).unwrap_err();
        assert!(refusal.contains(expected), "{text}: {refusal}");
    }

    const PKCS11: &str = "store = 'pkcs11'\n[pkcs11]\nmodule = '/m.so'\npin_file = 'pin'\n";

    #[test]
    fn an_empty_table_means_software_with_the_usual_files() {
        let expected = StoreSettings::Software {
            folder: "/data/keys".into(),
            sealing_key: "/data/sealing.key".into(),
        };
        assert_eq!(parse("").unwrap().relative_to(Path::new("/data")), expected);
        let written = "store = 'software'\nfolder = 'keys'\nsealing_key = '/data/sealing.key'";
        assert_eq!(parse(written).unwrap().relative_to(Path::new("/data")), expected);
    }

    #[test]
    fn a_token_is_named_by_label_or_slot() {
        let expected = |token, max_sessions| {
            StoreSettings::Pkcs11(Pkcs11Settings {
                module: "/m.so".into(),
                token,
                pin_file: "/data/pin".into(),
                max_sessions,
            })
        };
        let read = |more| {
            parse(&format!("{PKCS11}{more}"))
                .unwrap()
                .relative_to(Path::new("/data"))
        };
        assert_eq!(
            read("token = 'sealwright'"),
            expected(Token::Label("sealwright".into()), 16)
        );
        assert_eq!(read("slot = 7\nmax_sessions = 1"), expected(Token::Slot(7), 1));
    }

    #[test]
    fn tables_that_could_be_misread_are_refused() {
        check_refused("store = 'PKCS11'", "unknown variant");
        check_refused("store = 'pkcs11'", "table `pkcs11`");
        check_refused("colour = 'red'", "unknown field `colour`");
        // A table for a token that would not be used.
        let unused = PKCS11.replace("store = 'pkcs11'\n", "");
        check_refused(&format!("{unused}token = 'a'"), "`store` is not \"pkcs11\"");
        check_refused(PKCS11, "either `token` (a label) or `slot`");
        check_refused(
            &format!("{PKCS11}token = 'a'\nslot = 1"),
            "either `token` (a label) or `slot`",
        );
        check_refused(&format!("{PKCS11}token = ''"), "1 to 32 bytes");
        check_refused(&format!("{PKCS11}token = 'a '"), "do not end in a blank");
        check_refused(&format!("{PKCS11}token = '{}'", "a".repeat(33)), "1 to 32 bytes");
        check_refused(&format!("{PKCS11}slot = -1"), "slot");
        check_refused(&format!("{PKCS11}slot = 1\nmax_sessions = 0"), "from 1 to 1024");
        check_refused(&format!("{PKCS11}slot = 1\nmax_sessions = 1025"), "from 1 to 1024");
        check_refused(
            "store = 'pkcs11'\n[pkcs11]\ntoken = 'a'\nmodule = 'm'",
            "missing field `pin_file`",
        );
    }

    #[test]
    fn invariant_12_a_pin_has_no_place_in_a_configuration() {
        check_refused(&format!("{PKCS11}token = 'a'\npin = '1234'"), "unknown field `pin`");
    }

    #[test]
    fn a_software_store_is_made_once_and_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let settings = parse("").unwrap().relative_to(folder.path());
        let refusal = settings.create().unwrap_err();
        assert!(
            matches!(
                refusal,
                KeyError::FileMissing {
                    what: "sealing key",
                    ..
                }
            ),
            "{refusal}"
        );
        SealingKey::generate_file(&folder.path().join("sealing.key")).unwrap();
        let refusal = settings.open().unwrap_err();
        assert!(
            matches!(refusal, KeyError::FileMissing { what: "key store", .. }),
            "{refusal}"
        );

        let id: KeyId = "root".parse().unwrap();
        let made = settings.create().unwrap().generate(&id, KeyAlgorithm::P256).unwrap();
        let opened = settings.open().unwrap().open(&id).unwrap();
        assert_eq!(made.public_key(), opened.public_key());
        let refusal = settings.create().unwrap_err();
        assert!(matches!(refusal, KeyError::FileExists { .. }), "{refusal}");
    }

    #[test]
    fn a_module_that_is_not_there_or_not_a_module_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let settings = parse(&format!("{PKCS11}token = 'a'").replace("/m.so", "m.so"))
            .unwrap()
            .relative_to(folder.path());
        let refusal = settings.open().unwrap_err();
        let module = folder.path().join("m.so");
        let expected = format!("there is no PKCS#11 module at {}; check the path", module.display());
        assert_eq!(refusal.to_string(), expected);
        std::fs::write(module, "text").unwrap();
        let refusal = settings.create().unwrap_err();
        assert!(matches!(refusal, KeyError::ModuleUnusable { .. }), "{refusal}");
        assert!(!refusal.is_temporary());
    }
}
