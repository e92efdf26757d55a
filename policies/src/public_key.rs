//! What a SubjectPublicKeyInfo holds, as far as the BR care: kind, size, and the exact bytes of its algorithm.

use der::asn1::UintRef;
use der::{Encode, Sequence};
use sha2::{Digest, Sha256};
use spki::SubjectPublicKeyInfoOwned;
use thiserror::Error;

/// A public key of a kind that section 7.1.3.1 permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// Section 7.1.3.1.1.
    Rsa {
        /// The modulus, big-endian without leading zeros.
        modulus: Vec<u8>,
        /// The public exponent, big-endian without leading zeros.
        exponent: Vec<u8>,
    },
    /// Section 7.1.3.1.2.
    EllipticCurve {
        /// The curve.
        curve: Curve,
        /// The encoded point.
        point: Vec<u8>,
    },
    /// Section 7.1.3.1.3: Ed25519 or Ed448.
    Edwards,
    /// Ballot SMC013: ML-DSA, for signatures only.
    MlDsa,
    /// Ballot SMC013: ML-KEM, for key encipherment only.
    MlKem,
}

/// The curves of section 7.1.3.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    P521,
}

impl Curve {
    /// Octets of one coordinate.
    #[must_use]
    pub const fn coordinate_length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

impl PublicKey {
    /// Reads a key whose AlgorithmIdentifier is byte for byte one of section 7.1.3.1.
    ///
    /// # Errors
    ///
    /// [`InvalidPublicKey`] if it is another, or an RSA key that is not an RSAPublicKey (RFC 8017 appendix A.1.1).
    pub fn read(info: &SubjectPublicKeyInfoOwned) -> Result<Self, InvalidPublicKey> {
        let algorithm = info.algorithm.to_der().map_err(|_| InvalidPublicKey::Algorithm)?;
        let key = info.subject_public_key.as_bytes().ok_or(InvalidPublicKey::UnusedBits)?;
        let curve = |curve| Self::EllipticCurve {
            curve,
            point: key.to_vec(),
        };
        match algorithm.as_slice() {
            RSA => {
                let RsaPublicKey { modulus, exponent } =
                    der::Decode::from_der(key).map_err(|_| InvalidPublicKey::RsaEncoding)?;
                Ok(Self::Rsa {
                    modulus: modulus.as_bytes().to_vec(),
                    exponent: exponent.as_bytes().to_vec(),
                })
            }
            P256 => Ok(curve(Curve::P256)),
            P384 => Ok(curve(Curve::P384)),
            P521 => Ok(curve(Curve::P521)),
            ED25519 | ED448 => Ok(Self::Edwards),
            ML_DSA_44 | ML_DSA_65 | ML_DSA_87 => Ok(Self::MlDsa),
            ML_KEM_512 | ML_KEM_768 | ML_KEM_1024 => Ok(Self::MlKem),
            _ => Err(InvalidPublicKey::Algorithm),
        }
    }

    /// The size of an RSA modulus in bits; `None` for other keys.
    #[must_use]
    pub fn rsa_bits(&self) -> Option<usize> {
        let Self::Rsa { modulus, .. } = self else { return None };
        let leading = modulus.first().map_or(0, |first| first.leading_zeros());
        Some((modulus.len() * 8).saturating_sub(usize::try_from(leading).unwrap_or(0)))
    }
}

/// The key identifier we put into certificates: RFC 7093 section 2 method 1, the leftmost 160 bits of the SHA-256 of
/// the subjectPublicKey. Method 1 of RFC 5280 section 4.2.1.2 would need SHA-1.
#[must_use]
pub fn key_identifier(info: &SubjectPublicKeyInfoOwned) -> [u8; 20] {
    let digest = Sha256::digest(info.subject_public_key.raw_bytes());
    let mut identifier = [0; 20];
    identifier.copy_from_slice(&digest[..20]);
    identifier
}

/// Why a public key cannot be certified at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidPublicKey {
    /// Not one of the algorithms of the BR, or written differently.
    #[error("the key's algorithm identifier is none of those that BR 7.1.3.1 permits byte for byte")]
    Algorithm,
    /// The bits of the key do not end with an octet.
    #[error("the key does not consist of whole octets")]
    UnusedBits,
    /// Not an RSAPublicKey.
    #[error("the RSA key is not encoded as RFC 8017 appendix A.1.1 asks")]
    RsaEncoding,
}

/// RFC 8017 appendix A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

// Section 7.1.3.1 with ballot SMC013.
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const P256: &[u8] = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
const P521: &[u8] = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23";
const ED25519: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70";
const ED448: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x71";
const ML_DSA_44: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x11";
const ML_DSA_65: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12";
const ML_DSA_87: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x13";
const ML_KEM_512: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x04\x01";
const ML_KEM_768: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x04\x02";
const ML_KEM_1024: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x04\x03";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use der::Any;
    use der::asn1::Null;

    #[test]
    fn permitted_keys_are_read() {
        let read = |info: &SubjectPublicKeyInfoOwned| PublicKey::read(info).unwrap();
        assert!(matches!(
            read(&testing::p256()),
            PublicKey::EllipticCurve { curve: Curve::P256, .. }
        ));
        assert!(matches!(
            read(&testing::p384()),
            PublicKey::EllipticCurve { curve: Curve::P384, .. }
        ));
        assert_eq!(read(&testing::rsa2048()).rsa_bits(), Some(2048));
        assert_eq!(read(&testing::rsa4096()).rsa_bits(), Some(4096));
        assert_eq!(read(&testing::p256()).rsa_bits(), None);
    }

    #[test]
    fn other_algorithm_bytes_are_refused() {
        let mut no_null = testing::rsa2048();
        no_null.algorithm.parameters = None;
        assert_eq!(PublicKey::read(&no_null), Err(InvalidPublicKey::Algorithm));

        let mut pss = testing::rsa2048();
        pss.algorithm.oid = const_oid::db::rfc5912::ID_RSASSA_PSS;
        assert_eq!(PublicKey::read(&pss), Err(InvalidPublicKey::Algorithm));

        let mut no_curve = testing::p256();
        no_curve.algorithm.parameters = Some(Any::from(Null));
        assert_eq!(PublicKey::read(&no_curve), Err(InvalidPublicKey::Algorithm));

        let mut not_rsa = testing::rsa2048();
        not_rsa.subject_public_key = testing::p256().subject_public_key;
        assert_eq!(PublicKey::read(&not_rsa), Err(InvalidPublicKey::RsaEncoding));
    }

    #[test]
    fn key_identifiers_differ_between_keys() {
        assert_eq!(key_identifier(&testing::p256()), key_identifier(&testing::p256()));
        assert_ne!(key_identifier(&testing::p256()), key_identifier(&testing::p384()));
    }
}
