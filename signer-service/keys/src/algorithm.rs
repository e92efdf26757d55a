//! Which keys exist, how they sign, and the exact bytes by which certificates name that.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use const_oid::ObjectIdentifier;
use der::asn1::Null;
use serde::{Deserialize, Serialize};
use spki::AlgorithmIdentifierOwned;

use crate::KeyError;

/// A kind of key that can be generated.
///
/// All but Ed25519 are for certificates, and allowed for subscribers and issuers by the S/MIME BR, 6.1.5; RSA is never
/// shorter than 2048 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum KeyAlgorithm {
    /// The curve P-256 (secp256r1).
    P256,
    /// The curve P-384 (secp384r1).
    P384,
    /// RSA with a modulus of 2048 bits.
    Rsa2048,
    /// RSA with a modulus of 3072 bits.
    Rsa3072,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
    /// Ed25519 (RFC 8032). Only domains sign with it (DKIM, RFC 8463): hardly any mail client verifies it in
    /// certificates, so it cannot be chosen for one.
    Ed25519,
}

impl KeyAlgorithm {
    /// Every kind of key that certificates have, weakest first within each family.
    pub const ALL: [Self; 5] = [Self::P256, Self::P384, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// How a key of this kind signs. The hash of an elliptic curve key is tied to its curve by the S/MIME BR, 7.1.3.2.2.
    pub fn signature_algorithm(self) -> SignatureAlgorithm {
        match self {
            Self::P256 => SignatureAlgorithm::EcdsaP256Sha256,
            Self::P384 => SignatureAlgorithm::EcdsaP384Sha384,
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => SignatureAlgorithm::RsaPkcs1Sha256,
            Self::Ed25519 => SignatureAlgorithm::Ed25519,
        }
    }
}

impl AsRef<str> for KeyAlgorithm {
    fn as_ref(&self) -> &str {
        (*self).into()
    }
}

impl From<KeyAlgorithm> for &'static str {
    fn from(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::P256 => "p256",
            KeyAlgorithm::P384 => "p384",
            KeyAlgorithm::Rsa2048 => "rsa2048",
            KeyAlgorithm::Rsa3072 => "rsa3072",
            KeyAlgorithm::Rsa4096 => "rsa4096",
            KeyAlgorithm::Ed25519 => "ed25519",
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

impl FromStr for KeyAlgorithm {
    type Err = KeyError;

    /// Reads what [`Display`](fmt::Display) writes for the keys of certificates; nothing else, not even in upper case.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_ref() == text)
            .ok_or_else(|| KeyError::UnknownAlgorithm { text: text.into() })
    }
}

impl TryFrom<String> for KeyAlgorithm {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ECDSA on P-256 with SHA-256 (FIPS 186-5, RFC 5758 section 3.2).
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384 (FIPS 186-5, RFC 5758 section 3.2).
    EcdsaP384Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2, RFC 4055 section 5).
    RsaPkcs1Sha256,
    /// PureEdDSA on Curve25519 (RFC 8032 section 5.1, RFC 8410 section 3).
    Ed25519,
}

impl SignatureAlgorithm {
    /// The identifier, byte for byte as the S/MIME BR, 7.1.3.2 demand it: with NULL parameters for RSA, without
    /// parameters for ECDSA.
    pub fn identifier(self) -> AlgorithmIdentifierOwned {
        let (oid, parameters) = match self {
            Self::EcdsaP256Sha256 => (const_oid::db::rfc5912::ECDSA_WITH_SHA_256, None),
            Self::EcdsaP384Sha384 => (const_oid::db::rfc5912::ECDSA_WITH_SHA_384, None),
            Self::RsaPkcs1Sha256 => (const_oid::db::rfc5912::SHA_256_WITH_RSA_ENCRYPTION, Some(Null.into())),
            Self::Ed25519 => (const_oid::db::rfc8410::ID_ED_25519, None),
        };
        AlgorithmIdentifierOwned { oid, parameters }
    }

    /// The hash that this algorithm applies to the message. Ed25519 applies SHA-512 in a way of its own, and CMS is signed
    /// over that hash too (RFC 8419 section 2.3).
    pub fn digest(self) -> DigestAlgorithm {
        match self {
            Self::EcdsaP256Sha256 | Self::RsaPkcs1Sha256 => DigestAlgorithm::Sha256,
            Self::EcdsaP384Sha384 => DigestAlgorithm::Sha384,
            Self::Ed25519 => DigestAlgorithm::Sha512,
        }
    }
}

/// A hash that is part of a [`SignatureAlgorithm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-384 (FIPS 180-4).
    Sha384,
    /// SHA-512 (FIPS 180-4).
    Sha512,
}

impl DigestAlgorithm {
    /// The object identifier alone.
    pub fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha256 => const_oid::db::rfc5912::ID_SHA_256,
            Self::Sha384 => const_oid::db::rfc5912::ID_SHA_384,
            Self::Sha512 => const_oid::db::rfc5912::ID_SHA_512,
        }
    }

    /// The identifier as `SignerInfo.digestAlgorithm` has it: parameters absent (RFC 5754 section 2).
    pub fn identifier(self) -> AlgorithmIdentifierOwned {
        AlgorithmIdentifierOwned {
            oid: self.oid(),
            parameters: None,
        }
    }

    /// The hash of `message`: 32, 48 or 64 bytes.
    pub fn hash(self, message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, message).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use der::Encode;
    use serde::de::IntoDeserializer;
    use serde::de::value::{self, StrDeserializer};

    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for algorithm in KeyAlgorithm::ALL {
            assert_eq!(algorithm.to_string().parse::<KeyAlgorithm>().unwrap(), algorithm);
        }
    }

    #[test]
    fn other_names_are_refused_with_the_list_of_good_ones() {
        for text in [
            "",
            "P256",
            "rsa1024",
            "rsa 2048",
            "p521",
            "ed25519",
            "p256 ",
            "\u{202e}p",
        ] {
            let refusal = text.parse::<KeyAlgorithm>().unwrap_err().to_string();
            assert!(refusal.contains("p256, p384, rsa2048, rsa3072, rsa4096"), "{refusal}");
            assert!(!refusal.contains('\u{202e}'), "{refusal}");
        }
    }

    #[test]
    fn configuration_is_read_by_the_same_names() {
        let read = |text: &'static str| {
            let text: StrDeserializer<'_, value::Error> = text.into_deserializer();
            KeyAlgorithm::deserialize(text)
        };
        assert_eq!(read("rsa3072").unwrap(), KeyAlgorithm::Rsa3072);
        let refusal = read("rsa").unwrap_err().to_string();
        assert!(refusal.contains("`rsa` is not a key algorithm"), "{refusal}");
    }

    #[test]
    fn signature_identifiers_are_the_bytes_of_the_baseline_requirements() {
        let check = |algorithm: SignatureAlgorithm, expected: &[u8]| {
            assert_eq!(algorithm.identifier().to_der().unwrap(), expected);
        };
        // S/MIME BR, 7.1.3.2.1 and 7.1.3.2.2.
        check(
            SignatureAlgorithm::RsaPkcs1Sha256,
            b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
        );
        check(
            SignatureAlgorithm::EcdsaP256Sha256,
            b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
        );
        check(
            SignatureAlgorithm::EcdsaP384Sha384,
            b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
        );
        // S/MIME BR, 7.1.3.2.3.
        check(SignatureAlgorithm::Ed25519, b"\x30\x05\x06\x03\x2b\x65\x70");
    }

    #[test]
    fn hashes_agree_with_openssl() {
        assert_eq!(DigestAlgorithm::Sha256.hash(b"abc"), openssl::sha::sha256(b"abc"));
        assert_eq!(DigestAlgorithm::Sha384.hash(b"abc"), openssl::sha::sha384(b"abc"));
        assert_eq!(DigestAlgorithm::Sha512.hash(b"abc"), openssl::sha::sha512(b"abc"));
    }
}
