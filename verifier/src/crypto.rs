//! The one trait that names algorithms; what may verify is in [`algorithm`] and [`public_key`], how in [`pure_rust`].
//!
//! These are allow-lists: what is not there does not verify. SHA-1, MD5, DSA, Ed448, RSA below 2048 bits or with an odd
//! exponent, RSASSA-PSS with other parameters than the usual ones, and EC keys with parameters other than a named curve
//! are all absent on purpose.

mod algorithm;
#[cfg(feature = "fast")]
mod fast;
mod public_key;
mod pure_rust;
mod rsa_key;
mod rsa_pkcs1;

use std::fmt;

use const_oid::ObjectIdentifier;
use thiserror::Error;

pub(crate) use self::algorithm::{AlgorithmIdentifier, DigestAlgorithm, SignatureAlgorithm};
#[cfg(feature = "fast")]
pub(crate) use self::fast::AwsLc;
pub(crate) use self::public_key::PublicKey;
pub(crate) use self::pure_rust::PureRust;
use crate::asn1::Malformed;

/// Digests and signatures. The results of every backend are the same; only their speed differs.
pub(crate) trait Crypto: fmt::Debug + Send + Sync {
    /// The digest of the parts, one after the other.
    fn digest(&self, algorithm: DigestAlgorithm, message: &[&[u8]]) -> Vec<u8>;

    /// Whether `signature` over the parts, one after the other, was made by the owner of `key`.
    ///
    /// A key of another kind than the algorithm asks for is a signature that does not fit.
    fn verify(
        &self,
        key: &PublicKey,
        algorithm: SignatureAlgorithm,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), InvalidSignature>;
}

/// The signature does not fit the message and the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the signature does not fit")]
pub(crate) struct InvalidSignature;

/// Why a key or an algorithm is not used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum UnacceptableAlgorithm {
    #[error("the algorithm {0} is not accepted")]
    Unlisted(ObjectIdentifier),
    #[error("the algorithm {0} has parameters that it must not have")]
    Parameters(ObjectIdentifier),
    #[error("the digest is shorter than this kind of signature needs")]
    ShortDigest,
    #[error("the RSA key has {bits} bits; 2048 to 8192, divisible by 8, are accepted")]
    RsaSize { bits: usize },
    #[error("the RSA key has a public exponent below 65537 or above 2^33 or an even one")]
    RsaExponent,
    #[error("the public key is not encoded as its algorithm asks")]
    KeyEncoding,
    #[error("the signature algorithm does not belong to this kind of key")]
    OtherKind,
    #[error("the algorithm identifier is malformed: {0}")]
    Malformed(#[from] Malformed),
}
