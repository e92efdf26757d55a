//! The escrow of encryption keys: whoever runs the authority can store a key, and M of N officers open it again.
//!
//! Keys are encrypted to an [`EscrowPublicKey`] with HPKE (RFC 9180, base mode, DHKEM X25519 with HKDF-SHA256 and
//! AES-256-GCM). Its private half exists when it is made and when it is combined, and in between only as shares
//! ([`Share`]), of which a number below the threshold say nothing at all. So a stolen database with all the keys of the
//! authority opens no escrowed key.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as HPKE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

use crate::shamir::{self, Values};
use crate::{ExportableKey, KeyError};

/// Makes an escrow key, of which any `threshold` of the returned `shares` open what is sealed to it.
///
/// # Errors
/// [`KeyError::EscrowThreshold`] unless `2 <= threshold <= shares`.
pub fn generate(threshold: u8, shares: u8) -> Result<(EscrowPublicKey, Vec<Share>), KeyError> {
    if threshold < 2 || threshold > shares {
        return Err(KeyError::EscrowThreshold { threshold, shares });
    }
    let (public, private) = HPKE.generate_key_pair().map_err(backend)?;
    let secret: Zeroizing<[u8; shamir::LENGTH]> = match private.secret_bytes().try_into() {
        Ok(bytes) => Zeroizing::new(bytes),
        // RFC 9180 section 7.1: Nsk is 32 for X25519.
        Err(_) => return Err(backend("the private key has not 32 octets")),
    };
    let key = EscrowPublicKey::from_bytes(&public.0)?;
    let shares = shamir::split(&secret, threshold, shares)?
        .into_iter()
        .zip(1..)
        .map(|(values, point)| Share {
            key: key.fingerprint(),
            threshold,
            point,
            values,
        })
        .collect();
    Ok((key, shares))
}

/// The public half of an escrow key; its text is `sealwright-escrow-1:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EscrowPublicKey([u8; shamir::LENGTH]);

impl EscrowPublicKey {
    fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        bytes.try_into().map(Self).map_err(|_| KeyError::EscrowText {
            what: "escrow key",
            problem: "it does not have 32 octets",
        })
    }

    /// The first eight octets of the SHA-256 of the key: what its shares name it by.
    pub fn fingerprint(&self) -> [u8; FINGERPRINT] {
        let mut fingerprint = [0; FINGERPRINT];
        fingerprint.copy_from_slice(&digest(&SHA256, &self.0).as_ref()[..FINGERPRINT]);
        fingerprint
    }

    /// Encrypts a key to the escrow, under the name `context`. The same key gives other bytes each time.
    pub fn seal(&self, context: &str, key: &ExportableKey) -> Result<Vec<u8>, KeyError> {
        let public = HpkePublicKey(self.0.to_vec());
        let (encapsulated, ciphertext) = HPKE
            .seal(INFO, context.as_bytes(), key.pkcs8(), &public)
            .map_err(backend)?;
        Ok([HEADER.as_slice(), &self.fingerprint(), &encapsulated.0, &ciphertext].concat())
    }
}

impl fmt::Display for EscrowPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PUBLIC_PREFIX)?;
        write_hexadecimal(f, &self.0)
    }
}

impl FromStr for EscrowPublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let invalid = |problem| KeyError::EscrowText {
            what: "escrow key",
            problem,
        };
        let digits = text
            .trim()
            .strip_prefix(PUBLIC_PREFIX)
            .ok_or_else(|| invalid("it does not begin with `sealwright-escrow-1:`"))?;
        Self::from_bytes(&read_hexadecimal(digits).ok_or_else(|| invalid("it has other characters than 0-9 and a-f"))?)
    }
}

/// What one officer keeps. Its text is for one sheet of paper; the last digits find mistyped ones.
pub struct Share {
    key: [u8; FINGERPRINT],
    threshold: u8,
    point: u8,
    values: Values,
}

impl Share {
    /// Which escrow key it belongs to.
    pub fn fingerprint(&self) -> [u8; FINGERPRINT] {
        self.key
    }

    /// How many are needed.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Which of the shares it is, from 1.
    pub fn number(&self) -> u8 {
        self.point
    }

    /// `sealwright-share-1:` and hexadecimal digits: key, threshold, number, values, and four octets of SHA-256 over
    /// all before.
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut octets = Zeroizing::new(Vec::with_capacity(SHARE_LENGTH));
        octets.extend_from_slice(&self.key);
        octets.extend_from_slice(&[self.threshold, self.point]);
        octets.extend_from_slice(self.values.as_slice());
        let checksum = digest(&SHA256, &octets);
        octets.extend_from_slice(&checksum.as_ref()[..CHECKSUM]);
        let mut text = Zeroizing::new(String::with_capacity(SHARE_PREFIX.len() + 2 * SHARE_LENGTH));
        text.push_str(SHARE_PREFIX);
        // Writing to a string cannot fail.
        let _ = write_hexadecimal(&mut *text, &octets);
        text
    }

    /// Reads what [`reveal`](Self::reveal) wrote.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let invalid = |problem| KeyError::EscrowText {
            what: "escrow share",
            problem,
        };
        let digits = text
            .trim()
            .strip_prefix(SHARE_PREFIX)
            .ok_or_else(|| invalid("it does not begin with `sealwright-share-1:`"))?;
        let octets = read_hexadecimal(digits).ok_or_else(|| invalid("it has other characters than 0-9 and a-f"))?;
        if octets.len() != SHARE_LENGTH {
            return Err(invalid("it does not have the right length"));
        }
        let (content, checksum) = octets.split_at(SHARE_LENGTH - CHECKSUM);
        if &digest(&SHA256, content).as_ref()[..CHECKSUM] != checksum {
            return Err(invalid("it is mistyped: its last eight digits do not fit the rest"));
        }
        let mut key = [0; FINGERPRINT];
        key.copy_from_slice(&content[..FINGERPRINT]);
        let (threshold, point) = (content[FINGERPRINT], content[FINGERPRINT + 1]);
        if threshold < 2 || point == 0 {
            return Err(invalid("its threshold or its number is out of range"));
        }
        let mut values = Zeroizing::new([0; shamir::LENGTH]);
        values.copy_from_slice(&content[FINGERPRINT + 2..]);
        Ok(Self {
            key,
            threshold,
            point,
            values,
        })
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share")
            .field("number", &self.point)
            .finish_non_exhaustive()
    }
}

/// The private half of an escrow key, for as long as a recovery needs it.
pub struct EscrowSecret {
    key: EscrowPublicKey,
    secret: Values,
}

impl EscrowSecret {
    /// Combines shares. Exactly the private half of `key` comes out, or an error.
    ///
    /// # Errors
    /// [`KeyError::EscrowShares`]: there are too few, two are the same, one is of another key, or one is forged.
    pub fn combine(key: &EscrowPublicKey, shares: &[Share]) -> Result<Self, KeyError> {
        let refused = |problem| KeyError::EscrowShares { problem };
        if shares.iter().any(|share| share.key != key.fingerprint()) {
            return Err(refused("one of them belongs to another escrow key"));
        }
        let threshold = shares.first().map_or(u8::MAX, |share| share.threshold);
        if shares.iter().any(|share| share.threshold != threshold) {
            return Err(refused("they do not agree how many are needed"));
        }
        for (index, share) in shares.iter().enumerate() {
            if shares[..index].iter().any(|earlier| earlier.point == share.point) {
                return Err(refused("two of them are the same"));
            }
        }
        if shares.len() < usize::from(threshold) {
            return Err(refused("there are fewer than the threshold"));
        }
        let points: Vec<_> = shares.iter().map(|share| (share.point, &*share.values)).collect();
        let secret = shamir::combine(&points);
        let private = PrivateKey::from_private_key(&X25519, secret.as_slice()).map_err(backend)?;
        let derived = private.compute_public_key().map_err(backend)?;
        if derived.as_ref() != key.0 {
            return Err(refused(
                "together they do not make the escrow key: at least one is wrong",
            ));
        }
        Ok(Self {
            key: key.clone(),
            secret,
        })
    }

    /// Opens what [`EscrowPublicKey::seal`] has sealed under the same name.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<ExportableKey, KeyError> {
        let place = || format!("the escrowed key `{context}`");
        let damaged = |problem| KeyError::Damaged {
            place: place(),
            problem,
        };
        let rest = sealed
            .strip_prefix(HEADER.as_slice())
            .ok_or_else(|| damaged("it does not begin like an escrowed key"))?;
        let (fingerprint, rest) = rest
            .split_at_checked(FINGERPRINT)
            .ok_or_else(|| damaged("it is cut off"))?;
        if fingerprint != self.key.fingerprint() {
            return Err(damaged("it is sealed to another escrow key"));
        }
        let (encapsulated, ciphertext) = rest
            .split_at_checked(ENCAPSULATED)
            .ok_or_else(|| damaged("it is cut off"))?;
        let private = HpkePrivateKey::from(self.secret.to_vec());
        let pkcs8 = HPKE
            .open(
                &EncapsulatedSecret(encapsulated.to_vec()),
                INFO,
                context.as_bytes(),
                ciphertext,
                &private,
            )
            .map_err(|_| KeyError::DoesNotOpen { place: place() })?;
        ExportableKey::from_pkcs8(Zeroizing::new(pkcs8), place)
    }
}

impl fmt::Debug for EscrowSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EscrowSecret")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn write_hexadecimal(text: &mut impl fmt::Write, octets: &[u8]) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(text, "{octet:02x}"))
}

fn read_hexadecimal(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let mut octets = Zeroizing::new(Vec::with_capacity(bytes.len() / 2));
    for pair in bytes.chunks_exact(2) {
        octets.push(digit(pair[0])? << 4 | digit(pair[1])?);
    }
    Some(octets)
}

fn backend(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> KeyError {
    KeyError::Unavailable {
        what: "the encryption backend".into(),
        source: Some(error.into()),
    }
}

const FINGERPRINT: usize = 8;
const CHECKSUM: usize = 4;
/// RFC 9180 section 7.1: Nenc of X25519.
const ENCAPSULATED: usize = 32;
const SHARE_LENGTH: usize = FINGERPRINT + 2 + shamir::LENGTH + CHECKSUM;
const PUBLIC_PREFIX: &str = "sealwright-escrow-1:";
const SHARE_PREFIX: &str = "sealwright-share-1:";
const HEADER: [u8; 6] = *b"SWESC\x01";
const INFO: &[u8] = b"sealwright escrow 1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyAlgorithm;

    fn key() -> ExportableKey {
        ExportableKey::generate(KeyAlgorithm::P256).unwrap()
    }

    fn combined(key: &EscrowPublicKey, shares: &[&Share]) -> Result<EscrowSecret, KeyError> {
        let shares: Vec<Share> = shares
            .iter()
            .map(|share| Share::parse(&share.reveal()).unwrap())
            .collect();
        EscrowSecret::combine(key, &shares)
    }

    #[track_caller]
    fn refused(outcome: Result<EscrowSecret, KeyError>, expected: &str) {
        let error = outcome.unwrap_err();
        assert!(matches!(error, KeyError::EscrowShares { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn enough_shares_open_what_was_sealed() {
        let (public, shares) = generate(3, 5).unwrap();
        let key = key();
        let sealed = public.seal("ord-1", &key).unwrap();
        for chosen in [[0, 1, 2], [4, 2, 0], [1, 3, 4]] {
            let secret = combined(&public, &chosen.map(|index| &shares[index])).unwrap();
            assert_eq!(secret.open("ord-1", &sealed).unwrap().public_key(), key.public_key());
        }
        let all: Vec<&Share> = shares.iter().collect();
        combined(&public, &all).unwrap().open("ord-1", &sealed).unwrap();
    }

    #[test]
    fn invariant_12_fewer_shares_than_the_threshold_open_nothing() {
        let (public, shares) = generate(3, 5).unwrap();
        refused(combined(&public, &[]), "fewer");
        refused(combined(&public, &[&shares[0]]), "fewer");
        refused(combined(&public, &[&shares[0], &shares[1]]), "fewer");
        // Nor when they lie about the threshold.
        let lying: Vec<Share> = shares[..2]
            .iter()
            .map(|share| Share {
                threshold: 2,
                values: share.values.clone(),
                ..*share
            })
            .collect();
        refused(EscrowSecret::combine(&public, &lying), "do not make the escrow key");
    }

    #[test]
    fn shares_that_are_the_same_forged_or_of_another_key_are_refused() {
        let (public, shares) = generate(2, 3).unwrap();
        refused(combined(&public, &[&shares[0], &shares[0]]), "the same");
        let (_, others) = generate(2, 3).unwrap();
        refused(combined(&public, &[&shares[0], &others[1]]), "another escrow key");
        let mut forged = Share::parse(&shares[1].reveal()).unwrap();
        forged.values[31] ^= 1;
        refused(combined(&public, &[&shares[0], &forged]), "do not make");
        let renumbered = Share {
            point: 3,
            values: shares[1].values.clone(),
            ..shares[1]
        };
        refused(combined(&public, &[&shares[0], &renumbered]), "do not make");
    }

    #[test]
    fn an_escrowed_key_opens_under_its_name_and_unchanged_only() {
        let (public, shares) = generate(2, 2).unwrap();
        let secret = combined(&public, &[&shares[0], &shares[1]]).unwrap();
        let sealed = public.seal("ord-1", &key()).unwrap();
        secret.open("ord-1", &sealed).unwrap();
        assert!(matches!(
            secret.open("ord-2", &sealed),
            Err(KeyError::DoesNotOpen { .. })
        ));
        for length in 0..sealed.len() {
            assert!(secret.open("ord-1", &sealed[..length]).is_err(), "{length} octets");
        }
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(secret.open("ord-1", &changed).is_err(), "octet {index}");
        }
        let (other, _) = generate(2, 2).unwrap();
        let error = secret.open("ord-1", &other.seal("ord-1", &key()).unwrap()).unwrap_err();
        assert!(error.to_string().contains("another escrow key"), "{error}");
    }

    #[test]
    fn thresholds_that_protect_nothing_or_lock_out_everybody_are_refused() {
        for (threshold, shares) in [(0, 3), (1, 1), (1, 5), (3, 2), (2, 0)] {
            let error = generate(threshold, shares).unwrap_err();
            assert!(
                matches!(error, KeyError::EscrowThreshold { .. }),
                "{threshold} of {shares}"
            );
        }
    }

    #[test]
    fn texts_are_read_back_and_every_mistyped_digit_is_found() {
        let (public, shares) = generate(2, 2).unwrap();
        assert_eq!(public.to_string().parse::<EscrowPublicKey>().unwrap(), public);
        let text = shares[0].reveal();
        for index in SHARE_PREFIX.len()..text.len() {
            let mut mistyped = text.to_string().into_bytes();
            mistyped[index] = if mistyped[index] == b'0' { b'1' } else { b'0' };
            assert!(
                Share::parse(&String::from_utf8(mistyped).unwrap()).is_err(),
                "digit {index}"
            );
        }
        for text in [
            "",
            "sealwright-share-1:",
            "sealwright-share-1:0",
            "sealwright-share-2:00",
            "ä",
            &text[1..],
        ] {
            assert!(Share::parse(text).is_err(), "{text}");
            assert!(text.parse::<EscrowPublicKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn invariant_12_debug_shows_no_share() {
        let (_, shares) = generate(2, 2).unwrap();
        assert_eq!(format!("{:?}", shares[0]), "Share { number: 1, .. }");
    }
}
