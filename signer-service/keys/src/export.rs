//! Keys that are made here for somebody else and leave as PKCS#12: the one exception from "no key can be exported".
//!
//! An [`ExportableKey`] is not in a [`KeyStore`](crate::KeyStore) and cannot be made from a key that is in one, so no
//! key of an authority or a gateway becomes one. Its private half leaves this crate encrypted only: as PKCS#12 under a
//! [`Passphrase`] (see [`pkcs12`](crate::pkcs12)), or sealed (here and in [`escrow`](crate::escrow)).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand;
use spki::SubjectPublicKeyInfoOwned;
use zeroize::Zeroizing;

use crate::sealing::SealingKey;
use crate::software::SoftwareKey;
use crate::{KeyAlgorithm, KeyError, SigningKey, private_file};

/// A private key that was generated to be handed to its subscriber.
pub struct ExportableKey {
    key: Arc<SoftwareKey>,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl ExportableKey {
    /// Makes a new one.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let (key, pkcs8) = SoftwareKey::generate(algorithm)?;
        Ok(Self {
            key: Arc::new(key),
            pkcs8,
        })
    }

    /// Its public half.
    pub fn public_key(&self) -> &SubjectPublicKeyInfoOwned {
        self.key.public_key()
    }

    /// What signs its certificate request, to prove that whoever asks holds the key (RFC 2986).
    pub fn signing_key(&self) -> Arc<dyn SigningKey> {
        self.key.clone()
    }

    /// Seals it for the time until it is handed over, under the name `context`.
    pub fn seal(&self, sealing_key: &SealingKey, context: &str) -> Result<Vec<u8>, KeyError> {
        sealing_key.seal(&sealed_as(context), &self.pkcs8)
    }

    /// Opens what [`seal`](Self::seal) has sealed under the same name. What was sealed as something else does not open.
    pub fn open(sealing_key: &SealingKey, context: &str, sealed: &[u8]) -> Result<Self, KeyError> {
        let place = || format!("the key sealed as `{context}`");
        let pkcs8 = sealing_key.open_at(&sealed_as(context), sealed, place)?;
        Self::from_pkcs8(pkcs8, place)
    }

    pub(crate) fn from_pkcs8(pkcs8: Zeroizing<Vec<u8>>, place: impl FnOnce() -> String) -> Result<Self, KeyError> {
        match SoftwareKey::from_pkcs8(&pkcs8) {
            Some(key) => Ok(Self {
                key: Arc::new(key),
                pkcs8,
            }),
            None => Err(KeyError::Damaged {
                place: place(),
                problem: "it is not a key that we make",
            }),
        }
    }

    /// The PKCS#8 form (RFC 5958), for whoever in this crate encrypts it.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }
}

impl fmt::Debug for ExportableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportableKey")
            .field("public_key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Exportable keys have names of their own, so that no key of a store opens as one.
fn sealed_as(context: &str) -> String {
    format!("exportable-key:{context}")
}

/// The activation data of a PKCS#12 file: 125 random bits, made here and nowhere else.
///
/// S/MIME BR 6.1.2 asks for 112 bits of protection on the way. The passphrases of people do not have them, so nobody
/// chooses one.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// A new one: five groups of five characters that are hard to confuse, with hyphens.
    pub fn generate() -> Result<Self, KeyError> {
        let mut random = Zeroizing::new([0; GROUPS * GROUP_LENGTH]);
        rand::fill(random.as_mut_slice()).map_err(|_| private_file::no_randomness())?;
        let mut text = Zeroizing::new(String::with_capacity(GROUPS * (GROUP_LENGTH + 1)));
        for (index, byte) in random.iter().enumerate() {
            if index > 0 && index % GROUP_LENGTH == 0 {
                text.push('-');
            }
            // 32 divides 256, so every character is as likely as any other.
            text.push(char::from(ALPHABET[usize::from(byte % 32)]));
        }
        Ok(Self(text))
    }

    /// The text, for the one who is to open the file.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// Crockford's base 32: digits and letters without i, l, o and u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Five times five characters of five bits are 125 bits.
const GROUPS: usize = 5;
const GROUP_LENGTH: usize = 5;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::testing;

    #[test]
    fn a_sealed_key_opens_under_its_name_only() {
        let key = ExportableKey::generate(KeyAlgorithm::P256).unwrap();
        let sealing = testing::sealing_key();
        let sealed = key.seal(&sealing, "ord-1").unwrap();
        let opened = ExportableKey::open(&sealing, "ord-1", &sealed).unwrap();
        assert_eq!(opened.public_key(), key.public_key());
        for (sealing, name) in [
            (testing::sealing_key(), "ord-2"),
            (testing::other_sealing_key(), "ord-1"),
        ] {
            let error = ExportableKey::open(&sealing, name, &sealed).unwrap_err();
            assert!(matches!(error, KeyError::DoesNotOpen { .. }), "{error}");
        }
    }

    #[test]
    fn invariant_12_a_key_of_a_store_does_not_become_exportable() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let store = crate::SoftwareKeyStore::create(&keys, testing::sealing_key()).unwrap();
        let id: crate::KeyId = "issuing".parse().unwrap();
        crate::KeyStore::generate(&store, &id, KeyAlgorithm::P256).unwrap();
        let sealed = std::fs::read(keys.join("issuing.key")).unwrap();
        for name in ["issuing", "key:issuing", ""] {
            let error = ExportableKey::open(&testing::sealing_key(), name, &sealed).unwrap_err();
            assert!(matches!(error, KeyError::DoesNotOpen { .. }), "{error}");
        }
    }

    #[test]
    fn what_is_sealed_but_no_key_is_refused() {
        let sealing = testing::sealing_key();
        let sealed = sealing.seal(&sealed_as("ord-1"), b"no key").unwrap();
        let error = ExportableKey::open(&sealing, "ord-1", &sealed).unwrap_err();
        assert!(matches!(error, KeyError::Damaged { .. }), "{error}");
    }

    #[test]
    fn passphrases_are_long_and_differ() {
        let made: HashSet<String> = (0..200)
            .map(|_| Passphrase::generate().unwrap().reveal().to_owned())
            .collect();
        assert_eq!(made.len(), 200);
        for text in made {
            let groups: Vec<&str> = text.split('-').collect();
            assert_eq!(groups.len(), GROUPS, "{text}");
            let known = |character: u8| ALPHABET.contains(&character);
            assert!(
                groups
                    .iter()
                    .all(|group| group.len() == GROUP_LENGTH && group.bytes().all(known))
            );
        }
    }

    #[test]
    fn invariant_12_debug_shows_no_secret() {
        let key = ExportableKey::generate(KeyAlgorithm::P256).unwrap();
        assert!(format!("{key:?}").len() < 120, "{key:?}");
        let passphrase = Passphrase::generate().unwrap();
        assert_eq!(format!("{passphrase:?}"), "Passphrase(…)");
    }
}
