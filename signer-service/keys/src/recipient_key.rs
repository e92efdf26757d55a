//! Public keys of others, to whom the keys of messages are encrypted.
//!
//! Everything runs in AWS-LC, in constant time where secrets are involved. The ephemeral key of an agreement is made
//! here, used once and forgotten.

use std::fmt;

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsBigEndian, EcPublicKeyUncompressedBin};
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap as _};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1, SECP_521_R_1};
use der::Encode;
use spki::SubjectPublicKeyInfoOwned;
use zeroize::Zeroizing;

use crate::content_key::ContentKey;

/// A public key that content keys can be encrypted to.
pub struct RecipientKey(Kind);

enum Kind {
    Rsa(PublicEncryptingKey),
    Agreement { curve: Curve, point: Vec<u8> },
}

/// The curves of [RFC 5753] that certificates name (S/MIME BR, 6.1.5).
///
/// [RFC 5753]: https://www.rfc-editor.org/rfc/rfc5753
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    P256,
    P384,
    P521,
}

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientKeyKind {
    /// Key transport (RFC 5652 section 6.2.1).
    Rsa,
    /// Key agreement (RFC 5652 section 6.2.2).
    EllipticCurve(Curve),
}

/// How a content key is encrypted with RSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyTransport {
    /// RSAES-PKCS1-v1_5 (RFC 8017 section 7.2), which every reader knows.
    Pkcs1,
    /// RSAES-OAEP with SHA-256, and MGF1 with SHA-256 (RFC 4055 section 4.1).
    OaepSha256,
}

/// A content key wrapped under a key that was agreed on with an ephemeral key.
#[derive(Clone, PartialEq, Eq)]
pub struct AgreedKey {
    /// The point of the ephemeral key, uncompressed (SEC 1 section 2.3.3).
    pub ephemeral: Vec<u8>,
    /// RFC 3394, under a key of 256 bits.
    pub wrapped: Vec<u8>,
}

/// Why a public key cannot be encrypted to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableRecipientKey {
    #[error("keys of the kind {0} cannot be encrypted to; use RSA, or an elliptic curve P-256, P-384 or P-521")]
    Kind(ObjectIdentifier),
    #[error("the public key is malformed, or RSA of less than 2048 or more than 8192 bits")]
    Malformed,
}

impl RecipientKey {
    /// Reads the key of a certificate.
    ///
    /// # Errors
    /// See [`UnusableRecipientKey`]; a point off its curve is refused here.
    pub fn new(public_key: &SubjectPublicKeyInfoOwned) -> Result<Self, UnusableRecipientKey> {
        let oid = public_key.algorithm.oid;
        if oid == RSA_ENCRYPTION {
            let der = public_key.to_der().map_err(|_| UnusableRecipientKey::Malformed)?;
            let key = PublicEncryptingKey::from_der(&der).map_err(|_| UnusableRecipientKey::Malformed)?;
            return Ok(Self(Kind::Rsa(key)));
        }
        if oid != ID_EC_PUBLIC_KEY {
            return Err(UnusableRecipientKey::Kind(oid));
        }
        let named = public_key.algorithm.parameters.as_ref();
        let named: ObjectIdentifier = named
            .and_then(|parameters| parameters.decode_as().ok())
            .ok_or(UnusableRecipientKey::Malformed)?;
        let curve = Curve::named(named).ok_or(UnusableRecipientKey::Kind(named))?;
        let point = public_key.subject_public_key.raw_bytes().to_vec();
        agreement::ParsedPublicKey::try_from(UnparsedPublicKey::new(curve.algorithm(), &point))
            .map_err(|_| UnusableRecipientKey::Malformed)?;
        Ok(Self(Kind::Agreement { curve, point }))
    }

    pub const fn kind(&self) -> RecipientKeyKind {
        match &self.0 {
            Kind::Rsa(_) => RecipientKeyKind::Rsa,
            Kind::Agreement { curve, .. } => RecipientKeyKind::EllipticCurve(*curve),
        }
    }

    /// Encrypts a content key with RSA; `None` for another kind of key.
    pub fn transport(&self, how: KeyTransport, key: &ContentKey) -> Option<Vec<u8>> {
        let Kind::Rsa(public) = &self.0 else { return None };
        let mut encrypted = vec![0; public.key_size_bytes()];
        let length = match how {
            KeyTransport::Pkcs1 => {
                let public = Pkcs1PublicEncryptingKey::new(public.clone()).ok()?;
                public.encrypt(key.as_bytes(), &mut encrypted).ok()?.len()
            }
            KeyTransport::OaepSha256 => {
                let public = OaepPublicEncryptingKey::new(public.clone()).ok()?;
                let encrypted = public.encrypt(&OAEP_SHA256_MGF1SHA256, key.as_bytes(), &mut encrypted, None);
                encrypted.ok()?.len()
            }
        };
        encrypted.truncate(length);
        Some(encrypted)
    }

    /// Wraps a content key by dhSinglePass-stdDH-sha256kdf and aes256-wrap (RFC 5753 section 3.1); `None` for another
    /// kind of key. `shared_info` is the DER of ECC-CMS-SharedInfo, see [`shared_info`].
    pub fn agree(&self, shared_info: &[u8], key: &ContentKey) -> Option<AgreedKey> {
        let Kind::Agreement { curve, point } = &self.0 else {
            return None;
        };
        let ephemeral = PrivateKey::generate(curve.algorithm()).ok()?;
        let public = ephemeral.compute_public_key().ok()?;
        let public: EcPublicKeyUncompressedBin<'_> = public.as_be_bytes().ok()?;
        let kek = agreed(&ephemeral, *curve, point, KeyDerivation::Sha256, 32, shared_info)?;
        let kek = AesKek::new(&key_wrap::AES_256, &kek).ok()?;
        // RFC 3394 section 2.2.1: eight octets more than the key has.
        let mut wrapped = vec![0; key.as_bytes().len() + 8];
        let length = kek.wrap(key.as_bytes(), &mut wrapped).ok()?.len();
        wrapped.truncate(length);
        Some(AgreedKey {
            ephemeral: public.as_ref().to_vec(),
            wrapped,
        })
    }
}

impl Curve {
    pub(crate) fn named(oid: ObjectIdentifier) -> Option<Self> {
        [
            (SECP_256_R_1, Self::P256),
            (SECP_384_R_1, Self::P384),
            (SECP_521_R_1, Self::P521),
        ]
        .into_iter()
        .find_map(|(known, curve)| (known == oid).then_some(curve))
    }

    pub(crate) const fn algorithm(self) -> &'static agreement::Algorithm {
        match self {
            Self::P256 => &ECDH_P256,
            Self::P384 => &ECDH_P384,
            Self::P521 => &ECDH_P521,
        }
    }

    /// The named curve as an AlgorithmIdentifier has it.
    pub const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::P256 => SECP_256_R_1,
            Self::P384 => SECP_384_R_1,
            Self::P521 => SECP_521_R_1,
        }
    }
}

/// The hash in the key derivation of ANSI X9.63 (SEC 1 section 3.6.1). SHA-1 only for what others have sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyDerivation {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl KeyDerivation {
    const fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// The DER of ECC-CMS-SharedInfo without entityUInfo (RFC 5753 section 7.2): `wrap` is the DER of the AlgorithmIdentifier
/// of the key wrap, `key_bits` the length of the key that is agreed on.
pub fn shared_info(wrap: &[u8], key_bits: u32) -> Vec<u8> {
    // SEQUENCE { wrap, [2] EXPLICIT OCTET STRING of four octets }: less than 128 octets whatever the algorithm.
    let supplement = [&[0xa2, 0x06, 0x04, 0x04][..], &key_bits.to_be_bytes()].concat();
    let content = [wrap, &supplement].concat();
    let length = match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => vec![short],
        Ok(long) => vec![0x81, long],
        // Whoever writes such an algorithm will find that nothing can be opened with it.
        Err(_) => vec![0x81, 0xff],
    };
    [&[0x30][..], &length, &content].concat()
}

/// Z of ECDH and the key derived from it.
pub(crate) fn agreed(
    own: &PrivateKey,
    curve: Curve,
    point: &[u8],
    derivation: KeyDerivation,
    length: usize,
    shared_info: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let peer = UnparsedPublicKey::new(curve.algorithm(), point);
    agree(own, peer, None, |z| {
        Ok::<_, Option<()>>(derive(z, derivation, length, shared_info))
    })
    .ok()
}

/// SEC 1 section 3.6.1: hashes of Z, a counter and the shared information, as many as are needed.
fn derive(z: &[u8], derivation: KeyDerivation, length: usize, shared_info: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(length + derivation.digest().output_len()));
    for counter in 1_u32.. {
        if key.len() >= length {
            break;
        }
        let mut context = digest::Context::new(derivation.digest());
        context.update(z);
        context.update(&counter.to_be_bytes());
        context.update(shared_info);
        key.extend_from_slice(context.finish().as_ref());
    }
    key.truncate(length);
    key
}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecipientKey({:?})", self.kind())
    }
}

impl fmt::Debug for AgreedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgreedKey({} octets)", self.wrapped.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivation_agrees_with_a_known_answer() {
        // NIST CAVS 12.0, ANSI X9.63-2001 KDF with SHA-256, shared secret of 192 bits, no shared information.
        let z = data("96c05619d56c328ab95fe84b18264b08725b85e33fd34f08");
        let key = derive(&z, KeyDerivation::Sha256, 16, b"");
        assert_eq!(*key, data("443024c3dae66b95e6f5670601558f71"));
        assert_eq!(derive(&z, KeyDerivation::Sha1, 100, b"").len(), 100);
    }

    #[test]
    fn shared_info_is_that_of_rfc_5753() {
        // aes256-wrap without parameters, 256 bits.
        let wrap = data("300b060960864801650304012d");
        assert_eq!(
            shared_info(&wrap, 256),
            data("3015300b060960864801650304012da206040400000100")
        );
    }

    #[test]
    fn keys_that_cannot_be_encrypted_to_are_refused() {
        use der::asn1::BitString;
        let mut key = crate::testing::p256().public_key().clone();
        let off_curve = [&[4][..], &[1; 64]].concat();
        key.subject_public_key = BitString::from_bytes(&off_curve).unwrap();
        assert_eq!(RecipientKey::new(&key).unwrap_err(), UnusableRecipientKey::Malformed);
        key.subject_public_key = BitString::from_bytes(&[0]).unwrap();
        assert_eq!(RecipientKey::new(&key).unwrap_err(), UnusableRecipientKey::Malformed);
        key.algorithm.oid = ObjectIdentifier::new_unwrap("1.3.101.112");
        assert!(matches!(RecipientKey::new(&key), Err(UnusableRecipientKey::Kind(_))));
        let small = openssl::rsa::Rsa::generate(1024).unwrap().public_key_to_der().unwrap();
        let small = der::Decode::from_der(&small).unwrap();
        assert_eq!(RecipientKey::new(&small).unwrap_err(), UnusableRecipientKey::Malformed);
    }

    fn data(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }
}
