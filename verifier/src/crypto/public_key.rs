//! Keys that may verify, read from a SubjectPublicKeyInfo.

use const_oid::ObjectIdentifier;

#[cfg(feature = "ml-dsa")]
use super::DigestAlgorithm;
use super::algorithm::RSA_ENCRYPTION;
use super::rsa_key::RsaKey;
use super::{AlgorithmIdentifier, SignatureAlgorithm, UnacceptableAlgorithm};
use crate::asn1::{self, SEQUENCE};

/// A key that may verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublicKey {
    Rsa(RsaKey),
    P256(Box<p256::ecdsa::VerifyingKey>),
    P384(Box<p384::ecdsa::VerifyingKey>),
    P521(Box<p521::ecdsa::VerifyingKey>),
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    /// The parameter set, and the key as FIPS 204 section 7.2 encodes it.
    #[cfg(feature = "ml-dsa")]
    MlDsa(MlDsaSet, Box<[u8]>),
}

/// The parameter sets of FIPS 204 section 4.
#[cfg(feature = "ml-dsa")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MlDsaSet {
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo (raw, with its SEQUENCE). The algorithm must be written in the bytes that the
    /// S/MIME BR section 7.1.3.1 demand, which leaves explicit curve parameters no way in (CVE-2020-0601).
    pub(crate) fn from_subject_public_key_info(raw: &[u8]) -> Result<Self, UnacceptableAlgorithm> {
        let mut reader = asn1::whole_sequence(raw)?;
        let algorithm = reader.expect(SEQUENCE)?;
        let key = reader.bit_string_octets()?;
        reader.finish()?;
        let encoding = UnacceptableAlgorithm::KeyEncoding;
        // Compressed points are not used in certificates (RFC 5480 section 2.2 leaves them optional).
        let is_uncompressed = key.first() == Some(&4);
        match algorithm.raw {
            RSA_KEY => RsaKey::read(key).map(Self::Rsa),
            P256_KEY | P384_KEY | P521_KEY if !is_uncompressed => Err(encoding),
            P256_KEY => p256::ecdsa::VerifyingKey::from_sec1_bytes(key)
                .map(|key| Self::P256(Box::new(key)))
                .map_err(|_| encoding),
            P384_KEY => p384::ecdsa::VerifyingKey::from_sec1_bytes(key)
                .map(|key| Self::P384(Box::new(key)))
                .map_err(|_| encoding),
            P521_KEY => p521::ecdsa::VerifyingKey::from_sec1_bytes(key)
                .map(|key| Self::P521(Box::new(key)))
                .map_err(|_| encoding),
            ED25519_KEY => ed25519(key).map(|key| Self::Ed25519(Box::new(key))).ok_or(encoding),
            _ => {
                let identifier = AlgorithmIdentifier::read(algorithm.content)?;
                match identifier.algorithm {
                    RSA_ENCRYPTION | EC_PUBLIC_KEY => Err(UnacceptableAlgorithm::Parameters(identifier.algorithm)),
                    #[cfg(feature = "ml-dsa")]
                    algorithm if let Some(set) = MlDsaSet::from_identifier(&algorithm) => {
                        // RFC 9881 section 2: the parameters must be absent.
                        if identifier.parameters.is_some() {
                            return Err(UnacceptableAlgorithm::Parameters(algorithm));
                        }
                        // Section 4: the key itself, not an OCTET STRING with it.
                        if key.len() != set.key_length() {
                            return Err(encoding);
                        }
                        Ok(Self::MlDsa(set, key.into()))
                    }
                    other => Err(UnacceptableAlgorithm::Unlisted(other)),
                }
            }
        }
    }

    /// Whether this kind of key makes signatures of this algorithm.
    pub(crate) fn fits(&self, algorithm: SignatureAlgorithm) -> Result<(), UnacceptableAlgorithm> {
        match (self, algorithm) {
            // FIPS 186-5 section 6.1.1 asks for a digest as strong as the curve. The S/MIME BR section 7.1.3.2.2 give
            // each curve its own; a longer one than needed does no harm, and half the length is the least.
            (Self::P521(_), SignatureAlgorithm::Ecdsa(digest)) if digest.length() < 48 => {
                Err(UnacceptableAlgorithm::ShortDigest)
            }
            (Self::Rsa(_), SignatureAlgorithm::RsaPkcs1(_) | SignatureAlgorithm::RsaPss(_))
            | (Self::P256(_) | Self::P384(_) | Self::P521(_), SignatureAlgorithm::Ecdsa(_))
            | (Self::Ed25519(_), SignatureAlgorithm::Ed25519) => Ok(()),
            #[cfg(feature = "ml-dsa")]
            (Self::MlDsa(own, _), SignatureAlgorithm::MlDsa(set)) if *own == set => Ok(()),
            _ => Err(UnacceptableAlgorithm::OtherKind),
        }
    }
}

/// RFC 8032 section 5.1.5. A key of small order would fit every message, so it is no key.
fn ed25519(key: &[u8]) -> Option<ed25519_dalek::VerifyingKey> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
    (!key.is_weak()).then_some(key)
}

#[cfg(feature = "ml-dsa")]
impl MlDsaSet {
    pub(super) fn from_identifier(identifier: &ObjectIdentifier) -> Option<Self> {
        match *identifier {
            ML_DSA_44 => Some(Self::MlDsa44),
            ML_DSA_65 => Some(Self::MlDsa65),
            ML_DSA_87 => Some(Self::MlDsa87),
            _ => None,
        }
    }

    /// FIPS 204 table 2, in octets.
    fn key_length(self) -> usize {
        match self {
            Self::MlDsa44 => 1312,
            Self::MlDsa65 => 1952,
            Self::MlDsa87 => 2592,
        }
    }

    /// RFC 9882 section 3.3, of the digests that are on our list.
    pub(super) fn goes_with(self, digest: DigestAlgorithm) -> bool {
        match self {
            Self::MlDsa44 => true,
            Self::MlDsa65 => digest != DigestAlgorithm::Sha256,
            Self::MlDsa87 => digest == DigestAlgorithm::Sha512,
        }
    }
}

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
#[cfg(feature = "ml-dsa")]
const ML_DSA_44: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17");
#[cfg(feature = "ml-dsa")]
const ML_DSA_65: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");
#[cfg(feature = "ml-dsa")]
const ML_DSA_87: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19");

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
const P521_KEY: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23,
];
const ED25519_KEY: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

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
        for curve in [Nid::X9_62_PRIME256V1, Nid::SECP384R1, Nid::SECP521R1] {
            let group = EcGroup::from_curve_name(curve).unwrap();
            let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
            check(&key.public_key_to_der().unwrap(), Ok(()));
        }
        check(&rsa_key(2048, 65537), Ok(()));
        check(&rsa_key(8192, 65537), Ok(()));
        check(&PKey::generate_ed25519().unwrap().public_key_to_der().unwrap(), Ok(()));
    }

    #[test]
    fn keys_that_are_weak_or_strangely_written_are_refused() {
        check(
            &rsa_key(1024, 65537),
            Err(UnacceptableAlgorithm::RsaSize { bits: 1024 }),
        );
        check(&rsa_key(2048, 3), Err(UnacceptableAlgorithm::RsaExponent));
        check(
            &rsa_key(16384, 65537),
            Err(UnacceptableAlgorithm::RsaSize { bits: 16384 }),
        );
        let k256 = EcGroup::from_curve_name(Nid::SECP256K1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&k256).unwrap()).unwrap();
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
        let ed448 = PKey::generate_ed448().unwrap().public_key_to_der().unwrap();
        assert!(matches!(
            PublicKey::from_subject_public_key_info(&ed448),
            Err(UnacceptableAlgorithm::Unlisted(_))
        ));
        // The neutral element, for which every signature fits.
        let mut weak = PKey::generate_ed25519().unwrap().public_key_to_der().unwrap();
        let start = weak.len() - 32;
        weak[start..].fill(0);
        weak[start] = 1;
        check(&weak, Err(UnacceptableAlgorithm::KeyEncoding));
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
