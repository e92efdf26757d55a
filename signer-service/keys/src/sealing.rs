//! Sealing: what is stored secret is stored like this.
//!
//! A [`SealingKey`] is 256 random bits in a file of its own, which belongs in another backup than what it seals. The file
//! may hold several, a line each: the first one seals, all of them open. So a key can be replaced while it is in use.
//! [`source`] says where else it may come from.
//!
//! Sealed bytes are, in this order:
//!
//! | bytes | content |
//! | --- | --- |
//! | 7 | `SWSEAL` and 0: what this is |
//! | 1 | 1: the version of this form |
//! | 12 | nonce, random |
//! | n | ciphertext, as long as the plaintext |
//! | 16 | tag |
//!
//! The algorithm is AES-256-GCM (NIST SP 800-38D). The associated data are the first eight bytes and the context: the
//! name of what is sealed, so that one sealed thing cannot be passed off as another.

pub mod source;

use std::fmt;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use self::source::SealingKeySource;
use crate::KeyError;
use crate::private_file::{self, Existing};

/// The key that seals. It cannot be copied or shown; the backend overwrites it in memory when it is dropped.
///
/// One key may seal 2^32 things before random nonces become likely enough to repeat (NIST SP 800-38D section 8.3).
pub struct SealingKey {
    /// The first one seals. At least one.
    ring: RwLock<Vec<LessSafeKey>>,
    /// Where newer ones are found.
    source: Option<SealingKeySource>,
}

impl SealingKey {
    /// Makes a new sealing key and keeps it in a new file, mode 0600. Fails when there is such a file already.
    pub fn generate_file(path: &Path) -> Result<Self, KeyError> {
        let text = new_line()?;
        private_file::write(path, text.as_bytes(), 0o600, Existing::Refuse)?;
        Self::open_file(path)
    }

    /// Opens the file that [`generate_file`](Self::generate_file) has made. Fails when its mode lets anybody but the
    /// owner at it.
    pub fn open_file(path: &Path) -> Result<Self, KeyError> {
        Self::open_source(SealingKeySource::File(path.into()))
    }

    /// The key from wherever it comes.
    pub fn open_source(source: SealingKeySource) -> Result<Self, KeyError> {
        let ring = parse(&source.read()?, &source)?;
        Ok(Self {
            ring: RwLock::new(ring),
            source: Some(source),
        })
    }

    /// Reads the key again from where it came, since another process may have replaced it.
    pub(crate) fn refresh(&self) -> Result<(), KeyError> {
        let Some(source) = self.source.as_ref().filter(|source| source.can_change()) else {
            return Ok(());
        };
        let ring = parse(&source.read()?, source)?;
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }

    /// Puts a new key before the others, which still open what they have sealed. Where the key comes from somebody else,
    /// who has to do that, nothing happens.
    pub(crate) fn begin_rotation(&self) -> Result<(), KeyError> {
        let Some(source) = self.source.as_ref().filter(|source| source.can_change()) else {
            return Ok(());
        };
        let old = source.read()?;
        let mut text = Zeroizing::new(String::with_capacity(FILE_LENGTH + old.len()));
        text.push_str(&new_line()?);
        text.push_str(str::from_utf8(&old).unwrap_or_default());
        source.replace(&text)?;
        self.refresh()
    }

    /// Forgets all keys but the first.
    pub(crate) fn end_rotation(&self) -> Result<(), KeyError> {
        let Some(source) = self.source.as_ref().filter(|source| source.can_change()) else {
            return Ok(());
        };
        let text = source.read()?;
        let first = text.split(|octet| *octet == b'\n').next().unwrap_or_default();
        let mut only = Zeroizing::new(String::with_capacity(FILE_LENGTH));
        only.push_str(str::from_utf8(first).unwrap_or_default());
        only.push('\n');
        source.replace(&only)?;
        self.refresh()
    }

    /// Seals `plaintext` under the name `context`. The same input gives other bytes each time.
    pub fn seal(&self, context: &str, plaintext: &[u8]) -> Result<Vec<u8>, KeyError> {
        if plaintext.len() > LONGEST_PLAINTEXT {
            return Err(KeyError::TooLongToSeal {
                context: context.into(),
                length: plaintext.len(),
                limit: LONGEST_PLAINTEXT,
            });
        }
        let mut nonce = [0; NONCE_LENGTH];
        rand::fill(&mut nonce).map_err(|_| private_file::no_randomness())?;

        // Room for everything at once: if the vector grew, a copy of the plaintext would stay behind.
        let mut sealed = Vec::with_capacity(OVERHEAD + plaintext.len());
        sealed.extend_from_slice(&HEADER);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        // There is at least one.
        let tag = ring.first().ok_or(aws_lc_rs::error::Unspecified).and_then(|key| {
            key.seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                associated_data(context),
                &mut sealed[HEADER.len() + NONCE_LENGTH..],
            )
        });
        match tag {
            Ok(tag) => sealed.extend_from_slice(tag.as_ref()),
            Err(_) => {
                // What is in the vector may still be the plaintext.
                drop(Zeroizing::new(sealed));
                return Err(KeyError::Unavailable {
                    what: "the encryption backend".into(),
                    source: None,
                });
            }
        }
        Ok(sealed)
    }

    /// Opens what [`seal`](Self::seal) has sealed under the same name.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.open_at(context, sealed, || format!("what is sealed as `{context}`"))
    }

    /// Like [`open`](Self::open); `place` says in errors where the sealed bytes are.
    pub(crate) fn open_at(
        &self,
        context: &str,
        sealed: &[u8],
        place: impl FnOnce() -> String,
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let damaged = |problem, place: String| Err(KeyError::Damaged { place, problem });
        if sealed.len() < OVERHEAD {
            return damaged("it is cut off", place());
        }
        if sealed.len() > OVERHEAD + LONGEST_PLAINTEXT {
            return damaged("it is too long", place());
        }
        let (header, rest) = sealed.split_at(HEADER.len());
        match header.split_last() {
            Some((_, magic)) if magic != &HEADER[..HEADER.len() - 1] => {
                return damaged("it does not begin like sealed data", place());
            }
            Some((version, _)) if *version != VERSION => {
                return damaged("it is of a version that this program does not know", place());
            }
            _ => {}
        }
        let (nonce, ciphertext) = rest.split_at(NONCE_LENGTH);
        let opened = self.open_by_any(context, nonce, ciphertext);
        // It may have been sealed by a newer key.
        let opened = match opened {
            None if self.refresh().is_ok() => self.open_by_any(context, nonce, ciphertext),
            other => other,
        };
        opened.ok_or_else(|| KeyError::DoesNotOpen { place: place() })
    }

    fn open_by_any(&self, context: &str, nonce: &[u8], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.iter().find_map(|key| {
            let mut plaintext = Zeroizing::new(ciphertext.to_vec());
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let length = key
                .open_in_place(nonce, associated_data(context), &mut plaintext)
                .ok()?
                .len();
            plaintext.truncate(length);
            Some(plaintext)
        })
    }

    pub(crate) fn from_bytes(bytes: &[u8; KEY_LENGTH]) -> Self {
        Self {
            ring: RwLock::new(vec![less_safe(bytes)]),
            source: None,
        }
    }
}

fn less_safe(bytes: &[u8; KEY_LENGTH]) -> LessSafeKey {
    // AES-256-GCM takes every key of 32 bytes, and the length is in the type.
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("32 bytes are an AES-256 key"))
}

/// A new key as a line of its file.
fn new_line() -> Result<Zeroizing<String>, KeyError> {
    let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| private_file::no_randomness())?;
    let mut text = Zeroizing::new(String::with_capacity(FILE_LENGTH));
    text.push_str(FILE_PREFIX);
    for byte in bytes.iter() {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    Ok(text)
}

/// The keys of a file, the one that seals first.
fn parse(text: &[u8], source: &SealingKeySource) -> Result<Vec<LessSafeKey>, KeyError> {
    let not_a_key = |problem| KeyError::NotASealingKey {
        path: source.path(),
        problem,
    };
    let mut ring = Vec::new();
    for line in text.trim_ascii_end().split(|octet| *octet == b'\n') {
        let digits = line
            .strip_prefix(FILE_PREFIX.as_bytes())
            .ok_or_else(|| not_a_key("it does not begin with `sealwright-sealing-key-1:`"))?
            .trim_ascii_end();
        if digits.len() != 2 * KEY_LENGTH {
            return Err(not_a_key("it does not have 64 digits"));
        }
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let (Some(high), Some(low)) = (hexadecimal(pair[0]), hexadecimal(pair[1])) else {
                return Err(not_a_key("it has other characters than 0-9 and a-f"));
            };
            *byte = high << 4 | low;
        }
        if ring.len() == MOST_KEYS {
            return Err(not_a_key("it holds more than eight keys"));
        }
        ring.push(less_safe(&bytes));
    }
    Ok(ring)
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

fn associated_data(context: &str) -> Aad<Vec<u8>> {
    Aad::from([HEADER.as_slice(), context.as_bytes()].concat())
}

/// The value of a lower-case hexadecimal digit.
fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

const VERSION: u8 = 1;
const HEADER: [u8; 8] = *b"SWSEAL\0\x01";
const NONCE_LENGTH: usize = 12;
const TAG_LENGTH: usize = 16;
const OVERHEAD: usize = HEADER.len() + NONCE_LENGTH + TAG_LENGTH;

/// 256 MiB: more than any document that somebody hands in, and far below the 64 GiB where GCM ends.
const LONGEST_PLAINTEXT: usize = 256 << 20;

const KEY_LENGTH: usize = 32;
const FILE_PREFIX: &str = "sealwright-sealing-key-1:";
/// A rotation that was cut off leaves one more behind.
const MOST_KEYS: usize = 8;
const FILE_LENGTH: usize = FILE_PREFIX.len() + 2 * KEY_LENGTH + 1;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_bytes(&[byte; KEY_LENGTH])
    }

    fn check_refused(key: &SealingKey, context: &str, sealed: &[u8], expected: &str) {
        let refusal = key.open(context, sealed).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{refusal}");
    }

    #[test]
    fn what_was_sealed_opens() {
        for plaintext in [b"".as_slice(), b"x", &[7; 100_000]] {
            let sealed = key(1).seal("document:1", plaintext).unwrap();
            assert_eq!(sealed.len(), plaintext.len() + 36);
            assert_eq!(key(1).open("document:1", &sealed).unwrap().as_slice(), plaintext);
        }
    }

    #[test]
    fn sealing_twice_gives_different_bytes() {
        assert_ne!(key(1).seal("a", b"same").unwrap(), key(1).seal("a", b"same").unwrap());
    }

    /// Bytes from an independent implementation, so that the form on disk cannot change unnoticed.
    #[test]
    fn openssl_opens_and_makes_the_same_form() {
        use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
        let sealed = key(9).seal("key:root", b"plain").unwrap();
        let (nonce, rest) = sealed[8..].split_at(12);
        let (ciphertext, tag) = rest.split_at(rest.len() - 16);
        let aad = b"SWSEAL\0\x01key:root";
        let cipher = Cipher::aes_256_gcm();
        let plain = decrypt_aead(cipher, &[9; 32], Some(nonce), aad, ciphertext, tag).unwrap();
        assert_eq!(plain, b"plain");

        let mut tag = [0; 16];
        let ciphertext = encrypt_aead(cipher, &[9; 32], Some(&[5; 12]), aad, b"older", &mut tag).unwrap();
        let sealed = [b"SWSEAL\0\x01".as_slice(), &[5; 12], &ciphertext, &tag].concat();
        assert_eq!(key(9).open("key:root", &sealed).unwrap().as_slice(), b"older");
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sealed = key(1).seal("a", b"plaintext").unwrap();
        for index in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[index / 8] ^= 1 << (index % 8);
            assert!(key(1).open("a", &changed).is_err(), "bit {index}");
        }
    }

    #[test]
    fn every_cut_and_every_addition_is_noticed() {
        let sealed = key(1).seal("a", b"plaintext").unwrap();
        for length in 0..sealed.len() {
            assert!(key(1).open("a", &sealed[..length]).is_err(), "{length}");
        }
        check_refused(&key(1), "a", &sealed[..35], "cut off");
        check_refused(&key(1), "a", &[&sealed[..], b"x"].concat(), "does not open");
    }

    #[test]
    fn another_key_or_name_or_version_does_not_open() {
        let sealed = key(1).seal("key:a", b"plaintext").unwrap();
        check_refused(&key(2), "key:a", &sealed, "sealed with another sealing key");
        check_refused(&key(1), "key:b", &sealed, "`key:b` does not open");
        check_refused(&key(1), "", &sealed, "does not open");
        let mut newer = sealed.clone();
        newer[7] = 2;
        check_refused(&key(1), "key:a", &newer, "version");
        check_refused(&key(1), "key:a", &[b'-'; 60], "begin like sealed data");
    }

    #[test]
    fn too_much_is_refused_before_work_is_done() {
        let long = vec![0; LONGEST_PLAINTEXT + 1];
        let refusal = key(1).seal("a", &long).unwrap_err();
        assert!(matches!(refusal, KeyError::TooLongToSeal { .. }), "{refusal}");
    }

    #[test]
    fn a_key_file_opens_again_and_seals_for_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealing.key");
        let sealed = SealingKey::generate_file(&path).unwrap().seal("a", b"x").unwrap();
        let opened = SealingKey::open_file(&path).unwrap();
        assert_eq!(opened.open("a", &sealed).unwrap().as_slice(), b"x");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(&path).unwrap().len(), FILE_LENGTH as u64);
    }

    #[test]
    fn two_key_files_are_different_keys() {
        let folder = tempfile::tempdir().unwrap();
        let one = SealingKey::generate_file(&folder.path().join("one")).unwrap();
        let two = SealingKey::generate_file(&folder.path().join("two")).unwrap();
        assert!(two.open("a", &one.seal("a", b"x").unwrap()).is_err());
    }

    #[test]
    fn a_key_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealing.key");
        SealingKey::generate_file(&path).unwrap();
        let before = fs::read(&path).unwrap();
        let refusal = SealingKey::generate_file(&path).unwrap_err();
        assert!(matches!(refusal, KeyError::FileExists { .. }), "{refusal}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealing.key");
        SealingKey::generate_file(&path).unwrap();
        for mode in [0o640, 0o604, 0o644, 0o660, 0o777] {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let expected = format!(
                "{0} is open to other users (mode {mode:04o}); run `chmod 600 {0}`",
                path.display()
            );
            let refusal = SealingKey::open_file(&path).unwrap_err();
            assert_eq!(refusal.to_string(), expected);
        }
        fs::set_permissions(&path, PermissionsExt::from_mode(0o400)).unwrap();
        SealingKey::open_file(&path).unwrap();
    }

    #[test]
    fn a_file_that_is_not_a_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealing.key");
        let check = |content: &str, expected: &str| {
            let _ = fs::remove_file(&path);
            private_file::write(&path, content.as_bytes(), 0o600, Existing::Refuse).unwrap();
            let refusal = SealingKey::open_file(&path).unwrap_err().to_string();
            assert!(refusal.contains(expected), "{refusal}");
            assert!(!refusal.contains("abab"), "{refusal}");
        };
        let digits = "ab".repeat(32);
        check("", "does not begin with");
        check(&digits, "does not begin with");
        check("sealwright-sealing-key-2:", "does not begin with");
        check(FILE_PREFIX, "64 digits");
        check(&format!("{FILE_PREFIX}{}", &digits[2..]), "64 digits");
        check(&format!("{FILE_PREFIX}{digits}ab"), "64 digits");
        check(&format!("{FILE_PREFIX}{}", digits.to_uppercase()), "0-9 and a-f");
        check(&"x".repeat(5000), "larger than the 1024 bytes");
        fs::remove_file(&path).unwrap();
        let refusal = SealingKey::open_file(&path).unwrap_err().to_string();
        assert!(refusal.starts_with("there is no sealing key at "), "{refusal}");
    }

    #[test]
    fn invariant_12_debug_shows_no_sealing_key() {
        let shown = format!("{:?} {:#?}", key(0xab), key(0xab));
        assert_eq!(shown, "SealingKey(…) SealingKey(…)");
    }
}
