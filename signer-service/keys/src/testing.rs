//! Keys for tests, always the same ones. Their private halves are public: never use them for anything else.

use std::sync::{Arc, LazyLock};

use crate::SigningKey;
use crate::sealing::SealingKey;
use crate::software::SoftwareKey;

/// A P-256 key.
pub fn p256() -> Arc<dyn SigningKey> {
    static KEY: LazyLock<Arc<SoftwareKey>> = LazyLock::new(|| fixture(include_bytes!("fixtures/p256.pk8")));
    KEY.clone()
}

/// Another P-256 key, for what happens with the wrong key, and for chains.
pub fn other_p256() -> Arc<dyn SigningKey> {
    static KEY: LazyLock<Arc<SoftwareKey>> = LazyLock::new(|| fixture(include_bytes!("fixtures/other-p256.pk8")));
    KEY.clone()
}

/// A P-384 key.
pub fn p384() -> Arc<dyn SigningKey> {
    static KEY: LazyLock<Arc<SoftwareKey>> = LazyLock::new(|| fixture(include_bytes!("fixtures/p384.pk8")));
    KEY.clone()
}

/// An RSA key of 2048 bits.
pub fn rsa2048() -> Arc<dyn SigningKey> {
    static KEY: LazyLock<Arc<SoftwareKey>> = LazyLock::new(|| fixture(include_bytes!("fixtures/rsa2048.pk8")));
    KEY.clone()
}

/// An RSA key of 3072 bits.
pub fn rsa3072() -> Arc<dyn SigningKey> {
    static KEY: LazyLock<Arc<SoftwareKey>> = LazyLock::new(|| fixture(include_bytes!("fixtures/rsa3072.pk8")));
    KEY.clone()
}

/// An Ed25519 key.
pub fn ed25519() -> Arc<dyn SigningKey> {
    static KEY: LazyLock<Arc<SoftwareKey>> = LazyLock::new(|| fixture(include_bytes!("fixtures/ed25519.pk8")));
    KEY.clone()
}

/// One key of each kind that certificates have.
pub fn all() -> [Arc<dyn SigningKey>; 5] {
    [p256(), other_p256(), p384(), rsa2048(), rsa3072()]
}

/// The same keys, as those who open what is encrypted to them.
pub mod decryption {
    use std::sync::Arc;

    use crate::DecryptionKey;
    use crate::SigningKey as _;
    use crate::decryption::SoftwareDecryptionKey;
    use crate::software::SoftwareKey;

    /// For [`p256`](super::p256).
    pub fn p256() -> Arc<dyn DecryptionKey> {
        fixture(include_bytes!("fixtures/p256.pk8"))
    }

    /// For [`p384`](super::p384).
    pub fn p384() -> Arc<dyn DecryptionKey> {
        fixture(include_bytes!("fixtures/p384.pk8"))
    }

    /// For [`rsa2048`](super::rsa2048).
    pub fn rsa2048() -> Arc<dyn DecryptionKey> {
        fixture(include_bytes!("fixtures/rsa2048.pk8"))
    }

    /// For [`rsa3072`](super::rsa3072).
    pub fn rsa3072() -> Arc<dyn DecryptionKey> {
        fixture(include_bytes!("fixtures/rsa3072.pk8"))
    }

    fn fixture(pkcs8: &[u8]) -> Arc<dyn DecryptionKey> {
        // The bytes are part of the program, and tests open each of them.
        let key = SoftwareKey::from_pkcs8(pkcs8).expect("the fixture is a key in PKCS#8");
        let key = SoftwareDecryptionKey::from_pkcs8(pkcs8, key.public_key().clone());
        Arc::new(key.expect("the fixture is a key in PKCS#8"))
    }
}

/// A sealing key without a file.
pub fn sealing_key() -> SealingKey {
    SealingKey::from_bytes(&[0x5e; 32])
}

/// Another sealing key, for what happens with the wrong one.
pub fn other_sealing_key() -> SealingKey {
    SealingKey::from_bytes(&[0x0d; 32])
}

fn fixture(pkcs8: &[u8]) -> Arc<SoftwareKey> {
    // The bytes are part of the program, and the tests below open each of them.
    Arc::new(SoftwareKey::from_pkcs8(pkcs8).expect("the fixture is a key in PKCS#8"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use der::Encode;

    #[test]
    fn the_fixtures_are_five_different_keys() {
        let public_keys: HashSet<_> = super::all()
            .iter()
            .map(|key| key.public_key().to_der().unwrap())
            .collect();
        assert_eq!(public_keys.len(), 5);
    }
}
