//! The other thing that a private key may do: open what was encrypted to it.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::agreement::PrivateKey;
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap as _};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
    OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey,
};
use rand_core::CryptoRng;
use spki::SubjectPublicKeyInfoOwned;
use zeroize::Zeroizing;

use crate::content_key::{ContentCipher, ContentKey};
use crate::recipient_key::{Curve, KeyDerivation, agreed};
use crate::{KeyError, KeyId};

/// A private key that opens and never shows itself. What signs is a [`SigningKey`](crate::SigningKey), even where it is
/// the same key.
pub trait DecryptionKey: fmt::Debug + Send + Sync {
    /// The public half, as certificates have it.
    fn public_key(&self) -> &SubjectPublicKeyInfoOwned;

    /// The content key for `cipher` inside of `protected`, or `None` if that is not encrypted to this key.
    ///
    /// With RSA PKCS#1 v1.5 there is always a key: a random one when the padding is wrong, so that nobody can tell the
    /// one from the other by what happens next (RFC 3218 section 2.3.2).
    fn open(&self, protected: &ProtectedKey<'_>, cipher: ContentCipher, rng: &mut dyn CryptoRng) -> Option<ContentKey>;
}

/// A place that keeps private keys and lets them decrypt.
pub trait DecryptionKeys: fmt::Debug + Send + Sync {
    /// The stored key, or [`KeyError::NotFound`].
    fn open_for_decryption(&self, id: &KeyId) -> Result<Arc<dyn DecryptionKey>, KeyError>;
}

/// A content key as a recipient gets it.
#[derive(Debug, Clone, Copy)]
pub enum ProtectedKey<'p> {
    /// RSAES-PKCS1-v1_5.
    Pkcs1(&'p [u8]),
    /// RSAES-OAEP with the same hash in MGF1, and no label.
    Oaep(OaepHash, &'p [u8]),
    /// Ephemeral-static ECDH.
    Agreed(Agreement<'p>),
}

/// The hash of RSAES-OAEP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OaepHash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// A content key that is wrapped under an agreed one (RFC 5753 section 3.1).
#[derive(Debug, Clone, Copy)]
pub struct Agreement<'p> {
    /// The point of the sender's ephemeral key.
    pub ephemeral: &'p [u8],
    pub derivation: KeyDerivation,
    /// 128 or 256: the length of the agreed key, under which RFC 3394 has wrapped.
    pub wrap_bits: u32,
    /// The DER of ECC-CMS-SharedInfo.
    pub shared_info: &'p [u8],
    pub wrapped: &'p [u8],
}

/// A private key in the memory of this process, for opening.
pub(crate) struct SoftwareDecryptionKey {
    kind: Kind,
    public_key: SubjectPublicKeyInfoOwned,
}

enum Kind {
    Rsa {
        pkcs1: Box<Pkcs1PrivateDecryptingKey>,
        oaep: Box<OaepPrivateDecryptingKey>,
        length: usize,
    },
    Agreement(PrivateKey, Curve),
}

impl SoftwareDecryptionKey {
    /// Reads an unencrypted PKCS#8 form, whose public half is known.
    pub(crate) fn from_pkcs8(pkcs8: &[u8], public_key: SubjectPublicKeyInfoOwned) -> Option<Self> {
        let curves = [Curve::P256, Curve::P384, Curve::P521];
        let agreement = curves.into_iter().find_map(|curve| {
            let key = PrivateKey::from_private_key_der(curve.algorithm(), pkcs8).ok()?;
            Some(Kind::Agreement(key, curve))
        });
        let kind = match agreement {
            Some(kind) => kind,
            None => {
                let key = PrivateDecryptingKey::from_pkcs8(pkcs8).ok()?;
                Kind::Rsa {
                    length: key.key_size_bytes(),
                    pkcs1: Box::new(Pkcs1PrivateDecryptingKey::new(key.clone()).ok()?),
                    oaep: Box::new(OaepPrivateDecryptingKey::new(key).ok()?),
                }
            }
        };
        Some(Self { kind, public_key })
    }
}

impl DecryptionKey for SoftwareDecryptionKey {
    fn public_key(&self) -> &SubjectPublicKeyInfoOwned {
        &self.public_key
    }

    fn open(&self, protected: &ProtectedKey<'_>, cipher: ContentCipher, rng: &mut dyn CryptoRng) -> Option<ContentKey> {
        match (&self.kind, protected) {
            (Kind::Rsa { pkcs1, length, .. }, ProtectedKey::Pkcs1(encrypted)) => {
                // Made before anything is known of the outcome.
                let instead = ContentKey::random(cipher, rng);
                let mut plain = Zeroizing::new(vec![0; *length]);
                let opened = pkcs1.decrypt(encrypted, &mut plain).map(|key| key.len());
                Some(match opened {
                    Ok(opened) if opened == cipher.key_length() => {
                        plain.truncate(opened);
                        ContentKey::new(plain)
                    }
                    _ => instead,
                })
            }
            (Kind::Rsa { oaep, length, .. }, ProtectedKey::Oaep(hash, encrypted)) => {
                let mut plain = Zeroizing::new(vec![0; *length]);
                let opened = oaep.decrypt(hash.algorithm(), encrypted, &mut plain, None).ok()?.len();
                plain.truncate(opened);
                (opened == cipher.key_length()).then(|| ContentKey::new(plain))
            }
            (Kind::Agreement(own, curve), ProtectedKey::Agreed(agreement)) => {
                let (wrap, length) = match agreement.wrap_bits {
                    128 => (&key_wrap::AES_128, 16),
                    256 => (&key_wrap::AES_256, 32),
                    _ => return None,
                };
                let kek = agreed(
                    own,
                    *curve,
                    agreement.ephemeral,
                    agreement.derivation,
                    length,
                    agreement.shared_info,
                )?;
                let kek = AesKek::new(wrap, &kek).ok()?;
                // RFC 3394 section 2.2.2; the buffer of the backend has to be as long as what is wrapped.
                let mut plain = Zeroizing::new(vec![0; agreement.wrapped.len()]);
                let opened = kek.unwrap(agreement.wrapped, &mut plain).ok()?.len();
                plain.truncate(opened);
                (opened == cipher.key_length()).then(|| ContentKey::new(plain))
            }
            _ => None,
        }
    }
}

impl OaepHash {
    const fn algorithm(self) -> &'static OaepAlgorithm {
        match self {
            Self::Sha1 => &OAEP_SHA1_MGF1SHA1,
            Self::Sha256 => &OAEP_SHA256_MGF1SHA256,
            Self::Sha384 => &OAEP_SHA384_MGF1SHA384,
            Self::Sha512 => &OAEP_SHA512_MGF1SHA512,
        }
    }
}

impl fmt::Debug for SoftwareDecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Rsa { .. } => "SoftwareDecryptionKey(RSA)",
            Kind::Agreement(..) => "SoftwareDecryptionKey(elliptic curve)",
        })
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::recipient_key::{KeyTransport, RecipientKey, shared_info};
    use crate::testing;

    const CIPHER: ContentCipher = ContentCipher::Aes256Gcm;

    fn key() -> ContentKey {
        ContentKey::random(CIPHER, &mut ChaCha20Rng::seed_from_u64(7))
    }

    fn opened(by: &dyn DecryptionKey, protected: &ProtectedKey<'_>) -> Option<Vec<u8>> {
        let mut rng = ChaCha20Rng::seed_from_u64(8);
        Some(by.open(protected, CIPHER, &mut rng)?.as_bytes().to_vec())
    }

    #[test]
    fn what_is_transported_is_opened_by_its_owner_alone() {
        let (own, other) = (testing::decryption::rsa2048(), testing::decryption::rsa3072());
        let recipient = RecipientKey::new(own.public_key()).unwrap();
        let encrypted = recipient.transport(KeyTransport::OaepSha256, &key()).unwrap();
        let protected = ProtectedKey::Oaep(OaepHash::Sha256, &encrypted);
        assert_eq!(opened(&*own, &protected).unwrap(), key().as_bytes());
        assert_eq!(opened(&*other, &protected), None);
        assert_eq!(opened(&*own, &ProtectedKey::Oaep(OaepHash::Sha384, &encrypted)), None);
        let encrypted = recipient.transport(KeyTransport::Pkcs1, &key()).unwrap();
        assert_eq!(
            opened(&*own, &ProtectedKey::Pkcs1(&encrypted)).unwrap(),
            key().as_bytes()
        );
        assert_eq!(opened(&*testing::decryption::p256(), &protected), None);
    }

    #[test]
    fn wrong_padding_gives_a_random_key_and_no_error() {
        let own = testing::decryption::rsa2048();
        for bad in [vec![0; 256], vec![0x55; 256], Vec::new(), vec![1; 10_000]] {
            let stands_in = opened(&*own, &ProtectedKey::Pkcs1(&bad)).unwrap();
            assert_eq!(stands_in.len(), CIPHER.key_length());
            assert_ne!(stands_in, key().as_bytes());
        }
        // A key of another length is an oracle as well.
        let short = ContentKey::random(ContentCipher::Aes128Cbc, &mut ChaCha20Rng::seed_from_u64(9));
        let recipient = RecipientKey::new(own.public_key()).unwrap();
        let encrypted = recipient.transport(KeyTransport::Pkcs1, &short).unwrap();
        let stands_in = opened(&*own, &ProtectedKey::Pkcs1(&encrypted)).unwrap();
        assert_eq!(stands_in.len(), CIPHER.key_length());
    }

    #[test]
    fn what_is_agreed_on_is_opened_by_its_owner_alone() {
        for own in [testing::decryption::p256(), testing::decryption::p384()] {
            let recipient = RecipientKey::new(own.public_key()).unwrap();
            let info = shared_info(b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2d", 256);
            let sent = recipient.agree(&info, &key()).unwrap();
            let agreement = Agreement {
                ephemeral: &sent.ephemeral,
                derivation: KeyDerivation::Sha256,
                wrap_bits: 256,
                shared_info: &info,
                wrapped: &sent.wrapped,
            };
            assert_eq!(
                opened(&*own, &ProtectedKey::Agreed(agreement)).unwrap(),
                key().as_bytes()
            );
            let refused = |agreement| assert_eq!(opened(&*own, &ProtectedKey::Agreed(agreement)), None);
            refused(Agreement {
                derivation: KeyDerivation::Sha1,
                ..agreement
            });
            refused(Agreement {
                wrap_bits: 128,
                ..agreement
            });
            refused(Agreement {
                wrap_bits: 192,
                ..agreement
            });
            refused(Agreement {
                shared_info: b"",
                ..agreement
            });
            refused(Agreement {
                ephemeral: b"\x04",
                ..agreement
            });
            refused(Agreement {
                wrapped: &sent.wrapped[8..],
                ..agreement
            });
            refused(Agreement {
                wrapped: b"",
                ..agreement
            });
            let mut changed = sent.wrapped.clone();
            changed[3] ^= 1;
            refused(Agreement {
                wrapped: &changed,
                ..agreement
            });
            assert_eq!(
                opened(&*testing::decryption::rsa2048(), &ProtectedKey::Agreed(agreement)),
                None
            );
        }
    }

    #[test]
    fn every_message_has_an_ephemeral_key_of_its_own() {
        let recipient = RecipientKey::new(testing::p256().public_key()).unwrap();
        let [one, other] = [(); 2].map(|()| recipient.agree(b"", &key()).unwrap());
        assert_ne!(one.ephemeral, other.ephemeral);
        assert_ne!(one.wrapped, other.wrapped);
    }
}
