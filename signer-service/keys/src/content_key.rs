//! Keys for the content of one message, and the ciphers they are for.

use std::fmt;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    self, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// How content is encrypted. Written are only the ciphers with 256 bits; the others are read (RFC 8551 section 2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentCipher {
    /// AES in CBC mode, padded as RFC 5652 section 6.3 says. It hides and does not authenticate.
    Aes128Cbc,
    Aes192Cbc,
    Aes256Cbc,
    /// AES in GCM mode with a nonce of 12 octets and a tag of 16 (RFC 5084 section 3.2).
    Aes128Gcm,
    Aes192Gcm,
    Aes256Gcm,
}

impl ContentCipher {
    /// Octets of a key.
    pub const fn key_length(self) -> usize {
        match self {
            Self::Aes128Cbc | Self::Aes128Gcm => 16,
            Self::Aes192Cbc | Self::Aes192Gcm => 24,
            Self::Aes256Cbc | Self::Aes256Gcm => 32,
        }
    }

    /// Octets of an initialization vector or nonce.
    pub const fn nonce_length(self) -> usize {
        if self.is_authenticated() { 12 } else { 16 }
    }

    /// Whether a change to the encrypted content is noticed.
    pub const fn is_authenticated(self) -> bool {
        matches!(self, Self::Aes128Gcm | Self::Aes192Gcm | Self::Aes256Gcm)
    }
}

/// A key for the content of one message. Overwritten when it goes, and shown to nobody.
pub struct ContentKey(Zeroizing<Vec<u8>>);

/// Content that was encrypted under a key of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphertext {
    /// Initialization vector or nonce.
    pub nonce: Vec<u8>,
    pub content: Vec<u8>,
    /// Of authenticated ciphers, 16 octets; else empty.
    pub tag: Vec<u8>,
}

impl ContentKey {
    /// A new key.
    pub fn random(cipher: ContentCipher, rng: &mut dyn CryptoRng) -> Self {
        let mut key = Zeroizing::new(vec![0; cipher.key_length()]);
        rng.fill_bytes(&mut key);
        Self(key)
    }

    pub(crate) fn new(key: Zeroizing<Vec<u8>>) -> Self {
        Self(key)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Encrypts under this key, which is spent by that: no nonce is ever used with it again.
    ///
    /// `None` for a cipher of another key length, or more content than the cipher may take.
    pub fn encrypt_once(
        &self,
        cipher: ContentCipher,
        mut content: Vec<u8>,
        rng: &mut dyn CryptoRng,
    ) -> Option<Ciphertext> {
        if self.0.len() != cipher.key_length() {
            return None;
        }
        let mut nonce = vec![0; cipher.nonce_length()];
        rng.fill_bytes(&mut nonce);
        let mut tag = Vec::new();
        if cipher.is_authenticated() {
            let key = LessSafeKey::new(UnboundKey::new(authenticated(cipher)?, &self.0).ok()?);
            let sealed = key.seal_in_place_separate_tag(
                Nonce::try_assume_unique_for_key(&nonce).ok()?,
                Aad::empty(),
                &mut content,
            );
            tag = sealed.ok()?.as_ref().to_vec();
        } else {
            let key = UnboundCipherKey::new(block_cipher(cipher)?, &self.0).ok()?;
            let vector: [u8; 16] = nonce.as_slice().try_into().ok()?;
            let context = EncryptionContext::Iv128(FixedLength::from(vector));
            let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).ok()?;
            key.less_safe_encrypt(&mut content, context).ok()?;
        }
        Some(Ciphertext { nonce, content, tag })
    }

    /// Decrypts; `associated` is what an authenticated cipher has authenticated beside the content.
    ///
    /// `None` for whatever reason: a sender must not learn how far this came (RFC 3218).
    pub fn decrypt(&self, cipher: ContentCipher, ciphertext: Ciphertext, associated: &[u8]) -> Option<Vec<u8>> {
        let Ciphertext {
            nonce,
            mut content,
            tag,
        } = ciphertext;
        if self.0.len() != cipher.key_length() || nonce.len() != cipher.nonce_length() {
            return None;
        }
        let length = if cipher.is_authenticated() {
            // Shorter tags are easier to forge, and nobody sends them.
            if tag.len() != TAG_LENGTH {
                return None;
            }
            let key = LessSafeKey::new(UnboundKey::new(authenticated(cipher)?, &self.0).ok()?);
            content.extend_from_slice(&tag);
            let nonce = Nonce::try_assume_unique_for_key(&nonce).ok()?;
            key.open_in_place(nonce, Aad::from(associated), &mut content)
                .ok()?
                .len()
        } else {
            let key = UnboundCipherKey::new(block_cipher(cipher)?, &self.0).ok()?;
            let vector: [u8; 16] = nonce.as_slice().try_into().ok()?;
            let context = DecryptionContext::Iv128(FixedLength::from(vector));
            let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
            key.decrypt(&mut content, context).ok()?.len()
        };
        content.truncate(length);
        Some(content)
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey")
    }
}

fn authenticated(cipher: ContentCipher) -> Option<&'static aead::Algorithm> {
    match cipher {
        ContentCipher::Aes128Gcm => Some(&aead::AES_128_GCM),
        ContentCipher::Aes192Gcm => Some(&aead::AES_192_GCM),
        ContentCipher::Aes256Gcm => Some(&aead::AES_256_GCM),
        ContentCipher::Aes128Cbc | ContentCipher::Aes192Cbc | ContentCipher::Aes256Cbc => None,
    }
}

fn block_cipher(cipher: ContentCipher) -> Option<&'static cipher::Algorithm> {
    match cipher {
        ContentCipher::Aes128Cbc => Some(&cipher::AES_128),
        ContentCipher::Aes192Cbc => Some(&cipher::AES_192),
        ContentCipher::Aes256Cbc => Some(&cipher::AES_256),
        ContentCipher::Aes128Gcm | ContentCipher::Aes192Gcm | ContentCipher::Aes256Gcm => None,
    }
}

const TAG_LENGTH: usize = 16;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const ALL: [ContentCipher; 6] = [
        ContentCipher::Aes128Cbc,
        ContentCipher::Aes192Cbc,
        ContentCipher::Aes256Cbc,
        ContentCipher::Aes128Gcm,
        ContentCipher::Aes192Gcm,
        ContentCipher::Aes256Gcm,
    ];

    #[test]
    fn what_was_encrypted_is_read_by_openssl_and_by_us() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for cipher in ALL {
            for length in [0, 1, 15, 16, 17, 5000] {
                let key = ContentKey::random(cipher, &mut rng);
                let content = vec![0x61; length];
                let ciphertext = key.encrypt_once(cipher, content.clone(), &mut rng).unwrap();
                let peer = openssl_decrypts(cipher, &key, &ciphertext);
                assert_eq!(peer, content, "{cipher:?}");
                assert_eq!(key.decrypt(cipher, ciphertext, b"").unwrap(), content, "{cipher:?}");
            }
        }
    }

    fn openssl_decrypts(cipher: ContentCipher, key: &ContentKey, ciphertext: &Ciphertext) -> Vec<u8> {
        use openssl::symm::{Cipher, decrypt, decrypt_aead};
        let peer = match cipher {
            ContentCipher::Aes128Cbc => Cipher::aes_128_cbc(),
            ContentCipher::Aes192Cbc => Cipher::aes_192_cbc(),
            ContentCipher::Aes256Cbc => Cipher::aes_256_cbc(),
            ContentCipher::Aes128Gcm => Cipher::aes_128_gcm(),
            ContentCipher::Aes192Gcm => Cipher::aes_192_gcm(),
            ContentCipher::Aes256Gcm => Cipher::aes_256_gcm(),
        };
        let (nonce, content) = (Some(ciphertext.nonce.as_slice()), &ciphertext.content);
        if cipher.is_authenticated() {
            decrypt_aead(peer, key.as_bytes(), nonce, b"", content, &ciphertext.tag).unwrap()
        } else {
            decrypt(peer, key.as_bytes(), nonce, content).unwrap()
        }
    }

    #[test]
    fn no_changed_bit_gets_through_an_authenticated_cipher() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let cipher = ContentCipher::Aes256Gcm;
        let key = ContentKey::random(cipher, &mut rng);
        let sealed = key.encrypt_once(cipher, b"content".to_vec(), &mut rng).unwrap();
        for place in 0..sealed.content.len() * 8 {
            let mut changed = sealed.clone();
            changed.content[place / 8] ^= 1 << (place % 8);
            assert_eq!(key.decrypt(cipher, changed, b""), None);
        }
        for place in 0..TAG_LENGTH * 8 {
            let mut changed = sealed.clone();
            changed.tag[place / 8] ^= 1 << (place % 8);
            assert_eq!(key.decrypt(cipher, changed, b""), None);
        }
        for length in [0, 4, 12, 15] {
            let mut short = sealed.clone();
            short.tag.truncate(length);
            assert_eq!(key.decrypt(cipher, short, b""), None, "a tag of {length} octets");
        }
        assert_eq!(key.decrypt(cipher, sealed, b"other attributes"), None);
    }

    #[test]
    fn a_key_of_another_length_does_nothing() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let key = ContentKey::random(ContentCipher::Aes128Gcm, &mut rng);
        assert!(key.encrypt_once(ContentCipher::Aes256Gcm, vec![1], &mut rng).is_none());
        let sealed = key.encrypt_once(ContentCipher::Aes128Gcm, vec![1], &mut rng).unwrap();
        assert!(key.decrypt(ContentCipher::Aes256Gcm, sealed.clone(), b"").is_none());
        assert!(key.decrypt(ContentCipher::Aes128Cbc, sealed, b"").is_none());
        let torn = Ciphertext {
            nonce: vec![0; 16],
            content: vec![0; 17],
            tag: Vec::new(),
        };
        assert!(key.decrypt(ContentCipher::Aes128Cbc, torn, b"").is_none());
    }

    #[test]
    fn invariant_12_a_content_key_is_not_shown() {
        let key = ContentKey::new(Zeroizing::new(vec![0x41; 32]));
        assert_eq!(format!("{key:?}"), "ContentKey");
    }
}
