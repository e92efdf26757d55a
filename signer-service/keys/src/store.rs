//! Where keys live.

use std::fmt;
use std::sync::Arc;

use crate::{KeyAlgorithm, KeyError, KeyId, SigningKey};

/// A place that keeps private keys and lets them sign. There is no way to take one out.
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// Makes a new key and stores it durably before returning it. Takes seconds for RSA.
    ///
    /// Never replaces a key: fails with [`KeyError::AlreadyExists`] when the id is taken, also by another process.
    fn generate(&self, id: &KeyId, algorithm: KeyAlgorithm) -> Result<Arc<dyn SigningKey>, KeyError>;

    /// The stored key, or [`KeyError::NotFound`].
    fn open(&self, id: &KeyId) -> Result<Arc<dyn SigningKey>, KeyError>;

    /// Destroys the stored key, or fails with [`KeyError::NotFound`]. Whether a key that was opened before goes on signing
    /// depends on the store: one in memory does until it is dropped, one in a security module does not.
    fn remove(&self, id: &KeyId) -> Result<(), KeyError>;

    /// The ids of all stored keys, in alphabetical order.
    fn list(&self) -> Result<Vec<KeyId>, KeyError>;
}
