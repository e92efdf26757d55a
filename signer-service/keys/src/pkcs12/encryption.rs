//! The encryption and the MAC of PKCS#12 (RFC 7292 appendices B and C, RFC 8018).

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{self, Context};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{hmac, pbkdf2, rand};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use zeroize::{Zeroize, Zeroizing};

use super::Form;
use super::der::{Der, integer, null, octet_string, oid, sequence};
use crate::{KeyError, Passphrase, private_file};

/// An algorithm with a key that was derived for one use.
pub(super) struct Encryption {
    /// The AlgorithmIdentifier.
    pub(super) algorithm: Der,
    cipher: Cipher,
}

enum Cipher {
    Aes256 {
        key: Zeroizing<[u8; 32]>,
        initial: [u8; 16],
    },
    TripleDes {
        key: Zeroizing<Vec<u8>>,
        initial: Zeroizing<Vec<u8>>,
    },
}

impl Encryption {
    /// Derives a key with a new salt.
    pub(super) fn new(form: Form, passphrase: &Passphrase) -> Result<Self, KeyError> {
        match form {
            Form::Modern => {
                let salt: [u8; 16] = random()?;
                let initial: [u8; 16] = random()?;
                let mut key = Zeroizing::new([0; 32]);
                pbkdf2::derive(
                    pbkdf2::PBKDF2_HMAC_SHA256,
                    MODERN_ITERATIONS,
                    &salt,
                    passphrase.reveal().as_bytes(),
                    key.as_mut_slice(),
                );
                // RFC 8018 appendices A.2 to A.4.
                let function = sequence(&[&oid(HMAC_SHA256), &null()]);
                let parameters = sequence(&[&octet_string(&salt), &integer(MODERN_ITERATIONS.get()), &function]);
                let derivation = sequence(&[&oid(PBKDF2), &parameters]);
                let scheme = sequence(&[&oid(AES_256_CBC), &octet_string(&initial)]);
                Ok(Self {
                    algorithm: sequence(&[&oid(PBES2), &sequence(&[&derivation, &scheme])]),
                    cipher: Cipher::Aes256 { key, initial },
                })
            }
            Form::Legacy => {
                let salt: [u8; 8] = random()?;
                let password = password_of(passphrase);
                let derive = |purpose, length| {
                    derive(
                        &digest::SHA1_FOR_LEGACY_USE_ONLY,
                        purpose,
                        &password,
                        &salt,
                        LEGACY_ITERATIONS,
                        length,
                    )
                };
                let parameters = sequence(&[&octet_string(&salt), &integer(LEGACY_ITERATIONS)]);
                Ok(Self {
                    algorithm: sequence(&[&oid(SHA1_AND_TRIPLE_DES), &parameters]),
                    cipher: Cipher::TripleDes {
                        key: derive(Purpose::Key, 24),
                        initial: derive(Purpose::InitialVector, 8),
                    },
                })
            }
        }
    }

    /// Consumes the key: an initialization vector is used once.
    pub(super) fn encrypt(&self, plaintext: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = || KeyError::Unavailable {
            what: "the encryption backend".into(),
            source: None,
        };
        match &self.cipher {
            Cipher::Aes256 { key, initial } => {
                // Room for the padding: if the vector grew, a copy of the plaintext would stay behind.
                let mut buffer = Vec::with_capacity(plaintext.len() + 16);
                buffer.extend_from_slice(plaintext);
                let encrypted = UnboundCipherKey::new(&AES_256, key.as_slice())
                    .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
                    .and_then(|key| {
                        let context = EncryptionContext::Iv128(FixedLength::from(initial));
                        key.less_safe_encrypt(&mut buffer, context)
                    });
                if encrypted.is_err() {
                    buffer.zeroize();
                    return Err(failed());
                }
                Ok(buffer)
            }
            Cipher::TripleDes { key, initial } => {
                let cipher = cbc::Encryptor::<des::TdesEde3>::new_from_slices(key, initial).map_err(|_| failed())?;
                let mut buffer = Vec::with_capacity(plaintext.len() + 8);
                buffer.extend_from_slice(plaintext);
                buffer.resize(plaintext.len() + 8, 0);
                match cipher
                    .encrypt_padded::<Pkcs7>(&mut buffer, plaintext.len())
                    .map(<[u8]>::len)
                {
                    Ok(length) => {
                        buffer.truncate(length);
                        Ok(buffer)
                    }
                    Err(_) => {
                        buffer.zeroize();
                        Err(failed())
                    }
                }
            }
        }
    }
}

/// The MAC over the whole (RFC 7292 section 4).
pub(super) struct Mac {
    /// The object identifier of the hash.
    pub(super) digest: &'static str,
    pub(super) value: Vec<u8>,
    pub(super) salt: [u8; 16],
    pub(super) iterations: u32,
}

impl Mac {
    pub(super) fn of(content: &[u8], form: Form, passphrase: &Passphrase) -> Result<Self, KeyError> {
        let salt = random()?;
        let (name, hash, algorithm) = match form {
            Form::Modern => (SHA256, &digest::SHA256, hmac::HMAC_SHA256),
            Form::Legacy => (
                SHA1,
                &digest::SHA1_FOR_LEGACY_USE_ONLY,
                hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            ),
        };
        let password = password_of(passphrase);
        let key = derive(
            hash,
            Purpose::Mac,
            &password,
            &salt,
            LEGACY_ITERATIONS,
            hash.output_len(),
        );
        let tag = hmac::sign(&hmac::Key::new(algorithm, &key), content);
        Ok(Self {
            digest: name,
            value: tag.as_ref().to_vec(),
            salt,
            iterations: LEGACY_ITERATIONS,
        })
    }
}

/// RFC 7292 appendix B.3.
#[derive(Clone, Copy)]
enum Purpose {
    Key = 1,
    InitialVector = 2,
    Mac = 3,
}

/// RFC 7292 appendix B.2, for a hash whose blocks have 64 octets.
fn derive(
    hash: &'static digest::Algorithm,
    purpose: Purpose,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    length: usize,
) -> Der {
    // 1. to 4. The purpose, then salt and password, each repeated to whole blocks.
    let purpose = [match purpose {
        Purpose::Key => 1,
        Purpose::InitialVector => 2,
        Purpose::Mac => 3,
    }; BLOCK];
    let mut input = Zeroizing::new(Vec::with_capacity(4 * BLOCK));
    for part in [salt, password] {
        input.extend(part.iter().copied().cycle().take(part.len().next_multiple_of(BLOCK)));
    }
    let mut derived = Zeroizing::new(Vec::with_capacity(length + hash.output_len()));
    loop {
        // 6. A: hashed again and again.
        let mut context = Context::new(hash);
        context.update(&purpose);
        context.update(&input);
        let mut output = context.finish();
        for _ in 1..iterations {
            output = digest::digest(hash, output.as_ref());
        }
        derived.extend_from_slice(output.as_ref());
        if derived.len() >= length {
            derived.truncate(length);
            return derived;
        }
        // B: A repeated to a block, added to every block of the input, plus one, without the carry at the top.
        let block: Zeroizing<Vec<u8>> = Zeroizing::new(output.as_ref().iter().copied().cycle().take(BLOCK).collect());
        for part in input.chunks_exact_mut(BLOCK) {
            let mut carry = 1_u16;
            for (octet, addend) in part.iter_mut().zip(block.iter()).rev() {
                let sum = u16::from(*octet) + u16::from(*addend) + carry;
                [_, *octet] = sum.to_be_bytes();
                carry = sum >> 8;
            }
        }
    }
}

/// RFC 7292 appendix B.1: UTF-16 in big-endian order, with two octets of zero at the end.
fn password_of(passphrase: &Passphrase) -> Der {
    let text = passphrase.reveal();
    let mut password = Zeroizing::new(Vec::with_capacity(2 * text.len() + 2));
    for unit in text.encode_utf16() {
        password.extend_from_slice(&unit.to_be_bytes());
    }
    password.extend_from_slice(&[0, 0]);
    password
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], KeyError> {
    let mut octets = [0; LENGTH];
    rand::fill(&mut octets).map_err(|_| private_file::no_randomness())?;
    Ok(octets)
}

/// The blocks of SHA-1 and SHA-256.
const BLOCK: usize = 64;
/// The passphrase cannot be guessed, so this only has to be a number that every reader takes.
const MODERN_ITERATIONS: NonZeroU32 = NonZeroU32::new(100_000).expect("it is not zero");
/// What OpenSSL writes; gpgsm and old Windows take long with more.
const LEGACY_ITERATIONS: u32 = 2048;

const PBES2: &str = "1.2.840.113549.1.5.13";
const PBKDF2: &str = "1.2.840.113549.1.5.12";
const HMAC_SHA256: &str = "1.2.840.113549.2.9";
const AES_256_CBC: &str = "2.16.840.1.101.3.4.1.42";
const SHA1_AND_TRIPLE_DES: &str = "1.2.840.113549.1.12.1.3";
const SHA1: &str = "1.3.14.3.2.26";
const SHA256: &str = "2.16.840.1.101.3.4.2.1";
