//! The one trait that names algorithms, and the pure Rust backend behind it.
//!
//! This is an allow-list: what is not here does not verify. SHA-1, MD5, DSA, RSASSA-PSS, RSA below 2048 bits or with
//! an odd exponent, and EC keys with parameters other than a named curve are all absent on purpose.

use std::fmt;

use const_oid::ObjectIdentifier;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use thiserror::Error;

use crate::asn1::{self, Malformed, NULL, Reader, Rules, SEQUENCE};

/// Digests and signatures. The results of every backend are the same; only their speed differs.
pub(crate) trait Crypto: fmt::Debug + Send + Sync {
    fn digest(&self, algorithm: DigestAlgorithm, message: &[&[u8]]) -> Vec<u8>;

    /// Whether `signature` over the message with this digest was made by the owner of `key`.
    fn verify(
        &self,
        key: &PublicKey,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature>;
}

/// The digests of RFC 8551 section 2.1 and FIPS 180-4 that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DigestAlgorithm {
    Sha256,
    Sha384,
    Sha512,
}

/// The signature schemes that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// RFC 8017 section 8.2, verified by encoding again and comparing.
    RsaPkcs1,
    /// FIPS 186-5 section 6, the signature in DER (RFC 5480 appendix A).
    Ecdsa,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SignatureAlgorithm {
    pub(crate) scheme: Scheme,
    pub(crate) digest: DigestAlgorithm,
}

/// A key that may verify, from a SubjectPublicKeyInfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublicKey {
    Rsa(Box<rsa::RsaPublicKey>),
    P256(Box<p256::ecdsa::VerifyingKey>),
    P384(Box<p384::ecdsa::VerifyingKey>),
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
    #[error("the RSA key has {bits} bits; 2048 to 8192, divisible by 8, are accepted")]
    RsaSize { bits: u32 },
    #[error("the RSA key has a public exponent below 65537 or above 2^33 or an even one")]
    RsaExponent,
    #[error("the public key is not encoded as its algorithm asks")]
    KeyEncoding,
    #[error("the signature algorithm does not belong to this kind of key")]
    OtherKind,
    #[error("the algorithm identifier is malformed: {0}")]
    Malformed(#[from] Malformed),
}

/// An AlgorithmIdentifier as it stands in the input (RFC 5280 section 4.1.1.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct AlgorithmIdentifier<'a> {
    pub(crate) algorithm: ObjectIdentifier,
    /// The raw parameters; `None` when absent.
    pub(crate) parameters: Option<&'a [u8]>,
}

impl<'a> AlgorithmIdentifier<'a> {
    /// Reads the content of the SEQUENCE.
    pub(crate) fn read(content: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(content, Rules::Distinguished);
        let algorithm = reader.object_identifier()?;
        let parameters = if reader.is_empty() {
            None
        } else {
            Some(reader.any()?.raw)
        };
        reader.finish()?;
        Ok(Self { algorithm, parameters })
    }

    fn has_no_parameters(&self) -> bool {
        self.parameters.is_none()
    }

    /// RFC 5754 section 2 and RFC 4055: NULL and absent mean the same for digests and RSA.
    fn has_null_or_no_parameters(&self) -> bool {
        self.parameters.is_none_or(|parameters| parameters == [NULL, 0])
    }

    /// The same algorithm; NULL and absent parameters are the same (RFC 6211 section 2 compares meaning).
    pub(crate) fn is_same_as(&self, other: &AlgorithmIdentifier<'_>) -> bool {
        self.algorithm == other.algorithm
            && (self.parameters == other.parameters
                || (self.has_null_or_no_parameters() && other.has_null_or_no_parameters()))
    }
}

impl DigestAlgorithm {
    pub(crate) fn from_identifier(identifier: &AlgorithmIdentifier<'_>) -> Result<Self, UnacceptableAlgorithm> {
        let algorithm = match identifier.algorithm {
            SHA_256 => Self::Sha256,
            SHA_384 => Self::Sha384,
            SHA_512 => Self::Sha512,
            other => return Err(UnacceptableAlgorithm::Unlisted(other)),
        };
        if !identifier.has_null_or_no_parameters() {
            return Err(UnacceptableAlgorithm::Parameters(identifier.algorithm));
        }
        Ok(algorithm)
    }

    /// The `micalg` value of RFC 8551 section 3.5.3.2, and the older one without hyphen.
    pub(crate) fn is_named_by(self, micalg: &str) -> bool {
        let bits = match self {
            Self::Sha256 => "256",
            Self::Sha384 => "384",
            Self::Sha512 => "512",
        };
        let micalg = micalg.to_ascii_lowercase();
        micalg
            .strip_prefix("sha")
            .map(|rest| rest.strip_prefix('-').unwrap_or(rest))
            == Some(bits)
    }
}

impl SignatureAlgorithm {
    /// The algorithm of a certificate or CRL, where the identifier names the digest (RFC 5754, RFC 5758).
    pub(crate) fn from_identifier(identifier: &AlgorithmIdentifier<'_>) -> Result<Self, UnacceptableAlgorithm> {
        let (scheme, digest) = match identifier.algorithm {
            SHA_256_WITH_RSA => (Scheme::RsaPkcs1, DigestAlgorithm::Sha256),
            SHA_384_WITH_RSA => (Scheme::RsaPkcs1, DigestAlgorithm::Sha384),
            SHA_512_WITH_RSA => (Scheme::RsaPkcs1, DigestAlgorithm::Sha512),
            ECDSA_WITH_SHA_256 => (Scheme::Ecdsa, DigestAlgorithm::Sha256),
            ECDSA_WITH_SHA_384 => (Scheme::Ecdsa, DigestAlgorithm::Sha384),
            ECDSA_WITH_SHA_512 => (Scheme::Ecdsa, DigestAlgorithm::Sha512),
            other => return Err(UnacceptableAlgorithm::Unlisted(other)),
        };
        let parameters_fit = match scheme {
            Scheme::RsaPkcs1 => identifier.has_null_or_no_parameters(),
            Scheme::Ecdsa => identifier.has_no_parameters(),
        };
        if !parameters_fit {
            return Err(UnacceptableAlgorithm::Parameters(identifier.algorithm));
        }
        Ok(Self { scheme, digest })
    }

    /// The algorithm of a SignerInfo, where rsaEncryption leaves the digest to the SignerInfo (RFC 3370 section 3.2).
    pub(crate) fn of_signer_info(
        identifier: &AlgorithmIdentifier<'_>,
        digest: DigestAlgorithm,
    ) -> Result<Self, UnacceptableAlgorithm> {
        if identifier.algorithm == RSA_ENCRYPTION {
            if !identifier.has_null_or_no_parameters() {
                return Err(UnacceptableAlgorithm::Parameters(identifier.algorithm));
            }
            return Ok(Self {
                scheme: Scheme::RsaPkcs1,
                digest,
            });
        }
        Self::from_identifier(identifier)
    }
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo (raw, with its SEQUENCE). The algorithm must be written in the bytes that the
    /// S/MIME BR section 7.1.3.1 demand, which leaves explicit curve parameters no way in (CVE-2020-0601).
    pub(crate) fn from_subject_public_key_info(raw: &[u8]) -> Result<Self, UnacceptableAlgorithm> {
        let mut reader = asn1::whole_sequence(raw)?;
        let algorithm = reader.expect(SEQUENCE)?;
        let key = reader.bit_string_octets()?;
        reader.finish()?;
        match algorithm.raw {
            RSA_KEY => {
                let key =
                    rsa::RsaPublicKey::from_public_key_der(raw).map_err(|_| UnacceptableAlgorithm::KeyEncoding)?;
                let bits = key.n().as_ref().bits();
                if !(2048..=8192).contains(&bits) || bits % 8 != 0 {
                    return Err(UnacceptableAlgorithm::RsaSize { bits });
                }
                let exponent = key.e().to_be_bytes();
                let exponent = exponent.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
                if exponent < 65537 || exponent >> 33 != 0 || exponent & 1 == 0 {
                    return Err(UnacceptableAlgorithm::RsaExponent);
                }
                Ok(Self::Rsa(Box::new(key)))
            }
            // Compressed points are not used in certificates (RFC 5480 section 2.2 leaves them optional).
            P256_KEY if key.first() == Some(&4) => p256::ecdsa::VerifyingKey::from_sec1_bytes(key)
                .map(|key| Self::P256(Box::new(key)))
                .map_err(|_| UnacceptableAlgorithm::KeyEncoding),
            P384_KEY if key.first() == Some(&4) => p384::ecdsa::VerifyingKey::from_sec1_bytes(key)
                .map(|key| Self::P384(Box::new(key)))
                .map_err(|_| UnacceptableAlgorithm::KeyEncoding),
            P256_KEY | P384_KEY => Err(UnacceptableAlgorithm::KeyEncoding),
            _ => {
                let identifier = AlgorithmIdentifier::read(algorithm.content)?;
                Err(match identifier.algorithm {
                    RSA_ENCRYPTION | EC_PUBLIC_KEY => UnacceptableAlgorithm::Parameters(identifier.algorithm),
                    other => UnacceptableAlgorithm::Unlisted(other),
                })
            }
        }
    }

    /// Whether this kind of key makes signatures of this scheme.
    pub(crate) fn fits(&self, algorithm: SignatureAlgorithm) -> Result<(), UnacceptableAlgorithm> {
        match (self, algorithm.scheme) {
            (Self::Rsa(_), Scheme::RsaPkcs1) | (Self::P256(_) | Self::P384(_), Scheme::Ecdsa) => Ok(()),
            _ => Err(UnacceptableAlgorithm::OtherKind),
        }
    }
}

/// The backend in Rust alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PureRust;

impl Crypto for PureRust {
    fn digest(&self, algorithm: DigestAlgorithm, message: &[&[u8]]) -> Vec<u8> {
        fn of<D: sha2::Digest>(message: &[&[u8]]) -> Vec<u8> {
            let mut digest = D::new();
            for part in message {
                digest.update(part);
            }
            digest.finalize().to_vec()
        }
        match algorithm {
            DigestAlgorithm::Sha256 => of::<sha2::Sha256>(message),
            DigestAlgorithm::Sha384 => of::<sha2::Sha384>(message),
            DigestAlgorithm::Sha512 => of::<sha2::Sha512>(message),
        }
    }

    fn verify(
        &self,
        key: &PublicKey,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let fits = match (key, algorithm.scheme) {
            (PublicKey::Rsa(key), Scheme::RsaPkcs1) => {
                // RFC 8017 section 8.2.2 step 1: exactly as long as the modulus.
                if signature.len() != key.size() {
                    return Err(InvalidSignature);
                }
                let padding = match algorithm.digest {
                    DigestAlgorithm::Sha256 => rsa::Pkcs1v15Sign::new::<sha2::Sha256>(),
                    DigestAlgorithm::Sha384 => rsa::Pkcs1v15Sign::new::<sha2::Sha384>(),
                    DigestAlgorithm::Sha512 => rsa::Pkcs1v15Sign::new::<sha2::Sha512>(),
                };
                key.verify(padding, digest, signature).is_ok()
            }
            (PublicKey::P256(key), Scheme::Ecdsa) => p256::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()),
            (PublicKey::P384(key), Scheme::Ecdsa) => p384::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()),
            _ => false,
        };
        if fits { Ok(()) } else { Err(InvalidSignature) }
    }
}

const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const SHA_256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA_384_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA_512_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ECDSA_WITH_SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_WITH_SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");

// S/MIME BR section 7.1.3.1: these bytes and no others.
const RSA_KEY: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
const P256_KEY: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07,
];
const P384_KEY: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22,
];

#[cfg(test)]
mod tests {
    use openssl::bn::BigNum;
    use openssl::ec::{Asn1Flag, EcGroup, EcKey};
    use openssl::nid::Nid;
    use openssl::pkey::PKey;
    use openssl::rsa::Rsa;

    use super::*;

    fn check(key: &[u8], expected: Result<(), UnacceptableAlgorithm>) {
        assert_eq!(PublicKey::from_subject_public_key_info(key).map(|_| ()), expected);
    }

    #[test]
    fn named_curves_and_ordinary_rsa() {
        for curve in [Nid::X9_62_PRIME256V1, Nid::SECP384R1] {
            let group = EcGroup::from_curve_name(curve).unwrap();
            let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
            check(&key.public_key_to_der().unwrap(), Ok(()));
        }
        check(&rsa_key(2048, 65537), Ok(()));
    }

    #[test]
    fn keys_that_are_weak_or_strangely_written_are_refused() {
        check(
            &rsa_key(1024, 65537),
            Err(UnacceptableAlgorithm::RsaSize { bits: 1024 }),
        );
        check(&rsa_key(2048, 3), Err(UnacceptableAlgorithm::RsaExponent));
        let p521 = EcGroup::from_curve_name(Nid::SECP521R1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&p521).unwrap()).unwrap();
        check(
            &key.public_key_to_der().unwrap(),
            Err(UnacceptableAlgorithm::Parameters(EC_PUBLIC_KEY)),
        );
        let mut explicit = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        explicit.set_asn1_flag(Asn1Flag::EXPLICIT_CURVE);
        let key = PKey::from_ec_key(EcKey::generate(&explicit).unwrap()).unwrap();
        check(
            &key.public_key_to_der().unwrap(),
            Err(UnacceptableAlgorithm::Parameters(EC_PUBLIC_KEY)),
        );
        let ed25519 = PKey::generate_ed25519().unwrap().public_key_to_der().unwrap();
        assert!(matches!(
            PublicKey::from_subject_public_key_info(&ed25519),
            Err(UnacceptableAlgorithm::Unlisted(_))
        ));
        // A point that is not on the curve.
        let mut off_curve =
            PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap())
                .unwrap()
                .public_key_to_der()
                .unwrap();
        *off_curve.last_mut().unwrap() ^= 1;
        check(&off_curve, Err(UnacceptableAlgorithm::KeyEncoding));
    }

    /// A modulus of the right size is enough: the key is only read.
    fn rsa_key(bits: i32, exponent: u32) -> Vec<u8> {
        let mut modulus = BigNum::new().unwrap();
        modulus.set_bit(bits - 1).unwrap();
        modulus.set_bit(0).unwrap();
        let key = Rsa::from_public_components(modulus, BigNum::from_u32(exponent).unwrap()).unwrap();
        PKey::from_rsa(key).unwrap().public_key_to_der().unwrap()
    }
}
