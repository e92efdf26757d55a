//! The one joint: everything that holds a private key is a [`SigningKey`].

use std::fmt;

use spki::SubjectPublicKeyInfoOwned;

use crate::{KeyError, SignatureAlgorithm};

/// A private key that signs and never shows itself.
pub trait SigningKey: fmt::Debug + Send + Sync {
    /// How this key signs.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// The public half, encoded as the S/MIME BR, 7.1.3.1 demand it.
    fn public_key(&self) -> &SubjectPublicKeyInfoOwned;

    /// Signs `message`, which is hashed here by the digest of [`algorithm`](Self::algorithm).
    ///
    /// When trying again may help, the error [is temporary](KeyError::is_temporary). Most others are
    /// [`KeyError::SigningFailed`].
    fn sign(&self, message: &[u8]) -> Result<Signature, KeyError>;

    /// Whether signing takes some dozens of microseconds and never waits for anything, so that it need not be moved to
    /// a thread that may wait.
    fn is_quick(&self) -> bool {
        false
    }
}

/// A signature in the form in which certificates and CMS carry it.
///
/// For ECDSA the DER of `ECDSA-Sig-Value` (RFC 3279 section 2.2.3), for RSA the octets of RFC 8017 section 8.2.1.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature(Vec<u8>);

impl Signature {
    /// Wraps the bytes that an implementation of [`SigningKey`] has made.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The content of the BIT STRING or OCTET STRING that will hold the signature.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same bytes as [`as_bytes`](Self::as_bytes), without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({} bytes)", self.0.len())
    }
}
