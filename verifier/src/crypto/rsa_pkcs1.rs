//! RSASSA-PKCS1-v1_5 in Rust: encode again and compare (RFC 8017 section 8.2.2).
//!
//! The numbers are those of `crypto-bigint`. The power is taken here, since `rsa` prepares a table for exponents of any
//! length, which costs more than the whole power when the exponent is 65537. Nothing is secret, so nothing has to take
//! the same time.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};

use super::DigestAlgorithm;
use super::rsa_key::RsaKey;

/// Whether the signature is by this key over this digest.
pub(super) fn fits(key: &RsaKey, algorithm: DigestAlgorithm, digest: &[u8], signature: &[u8]) -> bool {
    // 1. Length checking.
    if signature.len() != key.modulus().len() {
        return false;
    }
    // 2. RSA verification.
    let Some(encoded) = power(key, signature) else {
        return false;
    };
    // 3. and 4. Encoding and comparing.
    encoding(key.modulus().len(), algorithm, digest).is_some_and(|expected| expected == encoded)
}

/// RSAVP1 (section 5.2.2): as long as the modulus; `None` for a signature that is not below it.
fn power(key: &RsaKey, signature: &[u8]) -> Option<Vec<u8>> {
    // Both are equally long, so that octets compare as numbers do.
    if signature >= key.modulus() {
        return None;
    }
    let modulus = Odd::new(BoxedUint::from_be_slice_vartime(key.modulus())).into_option()?;
    let parameters = BoxedMontyParams::new_vartime(modulus);
    let base = BoxedMontyForm::new(BoxedUint::from_be_slice_vartime(signature), &parameters);
    // From the second highest bit of the exponent down: square, and multiply where it is set.
    let exponent = key.exponent();
    let mut result = base.clone();
    for bit in (0..exponent.checked_ilog2()?).rev() {
        result = result.square();
        if exponent >> bit & 1 == 1 {
            result = result.mul(&base);
        }
    }
    // Whole limbs: what stands before the length of the modulus is zero.
    let octets = result.retrieve().to_be_bytes();
    let (front, encoded) = octets.split_at_checked(octets.len().checked_sub(signature.len())?)?;
    front.iter().all(|octet| *octet == 0).then(|| encoded.to_vec())
}

/// EMSA-PKCS1-v1_5 (section 9.2) of a digest.
fn encoding(length: usize, algorithm: DigestAlgorithm, digest: &[u8]) -> Option<Vec<u8>> {
    let prefix = match algorithm {
        DigestAlgorithm::Sha256 => DIGEST_INFO_SHA_256,
        DigestAlgorithm::Sha384 => DIGEST_INFO_SHA_384,
        DigestAlgorithm::Sha512 => DIGEST_INFO_SHA_512,
    };
    let padding = length.checked_sub(3 + prefix.len() + digest.len())?;
    if padding < 8 || digest.len() != usize::from(algorithm.length()) {
        return None;
    }
    Some([&[0, 1], vec![0xff; padding].as_slice(), &[0], &prefix, digest].concat())
}

// Section 9.2, note 1: DigestInfo up to the digest, with NULL after the algorithm.
const DIGEST_INFO_SHA_256: [u8; 19] = digest_info(1, 32);
const DIGEST_INFO_SHA_384: [u8; 19] = digest_info(2, 48);
const DIGEST_INFO_SHA_512: [u8; 19] = digest_info(3, 64);

const fn digest_info(last_arc: u8, length: u8) -> [u8; 19] {
    [
        0x30,
        0x11 + length,
        0x30,
        0x0d,
        0x06,
        0x09,
        0x60,
        0x86,
        0x48,
        0x01,
        0x65,
        0x03,
        0x04,
        0x02,
        last_arc,
        0x05,
        0x00,
        0x04,
        length,
    ]
}

#[cfg(test)]
mod tests {
    use openssl::bn::BigNum;
    use openssl::hash::MessageDigest;
    use openssl::pkey::{PKey, Private};
    use openssl::rsa::{Padding, Rsa};
    use openssl::sign::Signer;

    use super::*;
    use crate::crypto::{Crypto as _, InvalidSignature, PublicKey, PureRust, SignatureAlgorithm};

    const MESSAGE: &[u8] = b"what is signed";

    fn check(key: &Rsa<Private>, signature: &[u8], expected: bool) {
        let public = RsaKey::read(&key.public_key_to_der_pkcs1().unwrap()).unwrap();
        let digest = PureRust.digest(DigestAlgorithm::Sha256, &[MESSAGE]);
        assert_eq!(fits(&public, DigestAlgorithm::Sha256, &digest, signature), expected);
        // What the implementation says that this one stands in for.
        let other = public.to_rust().unwrap();
        let padding = rsa::Pkcs1v15Sign::new::<sha2::Sha256>();
        assert_eq!(other.verify(padding, &digest, signature).is_ok(), expected);
    }

    /// The block as it stands, without padding by anybody.
    fn raw(key: &Rsa<Private>, block: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; block.len()];
        key.private_encrypt(block, &mut signature, Padding::NONE).unwrap();
        signature
    }

    #[test]
    fn every_size_and_exponent_verifies_what_openssl_signs() {
        // 2056 bits do not fill whole words.
        for (bits, exponent) in [(2048, 65537), (2056, 65537), (3072, 65539), (2048, 0x8000_0001_u32)] {
            let key = Rsa::generate_with_e(bits, &BigNum::from_u32(exponent).unwrap()).unwrap();
            let private = PKey::from_rsa(key.clone()).unwrap();
            let mut signer = Signer::new(MessageDigest::sha256(), &private).unwrap();
            let signature = signer.sign_oneshot_to_vec(MESSAGE).unwrap();
            check(&key, &signature, true);
            for place in [0, 1, 100, signature.len() - 1] {
                let mut changed = signature.clone();
                changed[place] ^= 1;
                check(&key, &changed, false);
            }
        }
    }

    #[test]
    fn every_octet_of_the_encoding_counts() {
        let key = Rsa::generate(2048).unwrap();
        let digest = PureRust.digest(DigestAlgorithm::Sha256, &[MESSAGE]);
        let good = encoding(256, DigestAlgorithm::Sha256, &digest).unwrap();
        check(&key, &raw(&key, &good), true);
        for place in 0..good.len() {
            let mut block = good.clone();
            block[place] ^= 1;
            check(&key, &raw(&key, &block), false);
        }
    }

    #[test]
    fn numbers_beyond_the_modulus_and_other_lengths_are_refused() {
        let key = Rsa::generate(2048).unwrap();
        let digest = PureRust.digest(DigestAlgorithm::Sha256, &[MESSAGE]);
        let good = raw(&key, &encoding(256, DigestAlgorithm::Sha256, &digest).unwrap());
        let mut sum = BigNum::new().unwrap();
        sum.checked_add(&BigNum::from_slice(&good).unwrap(), key.n()).unwrap();
        for signature in [
            sum.to_vec(),
            key.n().to_vec(),
            vec![0; 256],
            vec![0xff; 256],
            [&[0], good.as_slice()].concat(),
            good[..255].to_vec(),
            Vec::new(),
        ] {
            check(&key, &signature, false);
        }
        // A digest of another length than its algorithm has.
        let public = RsaKey::read(&key.public_key_to_der_pkcs1().unwrap()).unwrap();
        assert!(!fits(&public, DigestAlgorithm::Sha384, &digest, &good));
        let key = PublicKey::Rsa(public);
        let other = SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha512);
        assert_eq!(PureRust.verify(&key, other, &[MESSAGE], &good), Err(InvalidSignature));
    }
}
