//! What the key of a certificate is for: signing, encryption, or both. See section 7.1.2.3 e.

use std::fmt;
use std::str::FromStr;

use der::flagset::FlagSet;
use thiserror::Error;
use x509_cert::ext::pkix::KeyUsages;

use crate::public_key::PublicKey;

/// One of the three columns of section 7.1.2.3 e.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyUse {
    /// "Signing only": signs mail, and nothing is encrypted to it. Nobody else may hold a copy of such a key.
    Sign,
    /// "Key management only": receives encrypted mail, and signs nothing. Such a key may be kept in an escrow.
    Encrypt,
    /// "Dual use".
    Both,
}

impl KeyUse {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Sign, Self::Encrypt, Self::Both];

    /// Whether signatures of the key count.
    #[must_use]
    pub const fn signs(self) -> bool {
        matches!(self, Self::Sign | Self::Both)
    }

    /// Whether mail is encrypted to the key.
    #[must_use]
    pub const fn encrypts(self) -> bool {
        matches!(self, Self::Encrypt | Self::Both)
    }

    /// Exactly the bits that a certificate for this use has; `None` when keys of this kind cannot do it.
    ///
    /// nonRepudiation is permitted beside digitalSignature, and left out: whether a signature binds its maker is not
    /// for us to say, least of all where a gateway holds the key.
    #[must_use]
    pub fn key_usage(self, key: &PublicKey) -> Option<FlagSet<KeyUsages>> {
        let signing = match key {
            PublicKey::Rsa { .. } | PublicKey::EllipticCurve { .. } | PublicKey::Edwards | PublicKey::MlDsa => {
                Some(FlagSet::from(KeyUsages::DigitalSignature))
            }
            PublicKey::MlKem => None,
        };
        let management = match key {
            PublicKey::Rsa { .. } | PublicKey::MlKem => Some(FlagSet::from(KeyUsages::KeyEncipherment)),
            PublicKey::EllipticCurve { .. } => Some(FlagSet::from(KeyUsages::KeyAgreement)),
            PublicKey::Edwards | PublicKey::MlDsa => None,
        };
        match self {
            Self::Sign => signing,
            Self::Encrypt => management,
            Self::Both => Some(signing? | management?),
        }
    }

    /// What a keyUsage asks for: RFC 8823 section 3 reads requests so. `None` for no use of ours.
    #[must_use]
    pub fn of(usages: FlagSet<KeyUsages>) -> Option<Self> {
        let signing = KeyUsages::DigitalSignature | KeyUsages::NonRepudiation;
        let management = KeyUsages::KeyEncipherment | KeyUsages::KeyAgreement;
        if !(usages & !(signing | management)).is_empty() {
            return None;
        }
        match (!(usages & signing).is_empty(), !(usages & management).is_empty()) {
            (true, true) => Some(Self::Both),
            (true, false) => Some(Self::Sign),
            (false, true) => Some(Self::Encrypt),
            (false, false) => None,
        }
    }
}

impl AsRef<str> for KeyUse {
    fn as_ref(&self) -> &str {
        match self {
            Self::Sign => "sign",
            Self::Encrypt => "encrypt",
            Self::Both => "both",
        }
    }
}

impl fmt::Display for KeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

impl FromStr for KeyUse {
    type Err = UnknownKeyUse;

    fn from_str(text: &str) -> Result<Self, UnknownKeyUse> {
        Self::ALL
            .into_iter()
            .find(|key_use| key_use.as_ref() == text)
            .ok_or(UnknownKeyUse)
    }
}

/// The text names no use of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a use of a key: write sign, encrypt or both")]
pub struct UnknownKeyUse;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn names_are_read_back_and_others_refused() {
        for key_use in KeyUse::ALL {
            assert_eq!(key_use.to_string().parse(), Ok(key_use));
        }
        for text in ["", "Sign", "signing", "dual-use", "both "] {
            assert_eq!(text.parse::<KeyUse>(), Err(UnknownKeyUse), "{text}");
        }
    }

    #[test]
    fn bits_are_read_back_and_keys_do_only_what_they_can() {
        for info in [testing::p256(), testing::p384(), testing::rsa2048()] {
            let key = PublicKey::read(&info).unwrap();
            for key_use in KeyUse::ALL {
                assert_eq!(KeyUse::of(key_use.key_usage(&key).unwrap()), Some(key_use));
            }
        }
        for key in [PublicKey::Edwards, PublicKey::MlDsa] {
            assert_eq!(key_uses(&key), [true, false, false]);
        }
        assert_eq!(key_uses(&PublicKey::MlKem), [false, true, false]);
    }

    fn key_uses(key: &PublicKey) -> [bool; 3] {
        KeyUse::ALL.map(|key_use| key_use.key_usage(key).is_some())
    }

    #[test]
    fn bits_that_are_no_use_of_ours_are_none() {
        assert_eq!(KeyUse::of(FlagSet::default()), None);
        for bits in [
            FlagSet::from(KeyUsages::KeyCertSign),
            KeyUsages::DigitalSignature | KeyUsages::CRLSign,
            KeyUsages::KeyAgreement | KeyUsages::EncipherOnly,
            KeyUsages::KeyEncipherment | KeyUsages::DataEncipherment,
        ] {
            assert_eq!(KeyUse::of(bits), None, "{bits:?}");
        }
    }
}
