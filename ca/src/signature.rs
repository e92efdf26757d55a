//! Checks signatures with another implementation than the one that makes them.
//!
//! Keys are used through `keys`, which signs with AWS-LC. What comes out, and what applicants send, is checked here in
//! pure Rust: a fault of one library, of the processor or of the memory does not leave the house unnoticed.

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5912, rfc8410};
use der::{Decode, Encode};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::pkcs8::DecodePublicKey;
use policies::weak_key::{has_close_primes, is_roca};
use rsa::traits::PublicKeyParts;
use sha2::{Digest, Sha256, Sha384, Sha512};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

/// A public key of a kind that may stand in our certificates (BR 6.1.5).
#[derive(Clone, Debug)]
pub(crate) enum PublicKey {
    P256(Box<p256::ecdsa::VerifyingKey>),
    P384(Box<p384::ecdsa::VerifyingKey>),
    Rsa(Box<rsa::RsaPublicKey>),
}

impl PublicKey {
    /// Decodes a SubjectPublicKeyInfo and checks that points are on their curve and RSA numbers in bounds.
    ///
    /// # Errors
    /// What is wrong, for the applicant, and the section that forbids it.
    pub(crate) fn parse(info: &SubjectPublicKeyInfoOwned) -> Result<Self, UnacceptableKey> {
        let kind = |reason: &str| UnacceptableKey::of_kind(reason);
        let der = info.to_der().map_err(|error| kind(&error.to_string()))?;
        match info.algorithm.oid {
            rfc5912::ID_EC_PUBLIC_KEY => {
                let curve = info.algorithm.parameters.as_ref();
                match curve.and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok()) {
                    Some(rfc5912::SECP_256_R_1) => p256::ecdsa::VerifyingKey::from_public_key_der(&der)
                        .map(|key| Self::P256(Box::new(key)))
                        .map_err(|_| UnacceptableKey::parameters("it is not a point on the curve P-256")),
                    Some(rfc5912::SECP_384_R_1) => p384::ecdsa::VerifyingKey::from_public_key_der(&der)
                        .map(|key| Self::P384(Box::new(key)))
                        .map_err(|_| UnacceptableKey::parameters("it is not a point on the curve P-384")),
                    Some(other) => Err(kind(&format!("the curve {other} is not one of P-256 and P-384"))),
                    None => Err(kind("its curve is not named")),
                }
            }
            rfc5912::RSA_ENCRYPTION => {
                let key = rsa::RsaPublicKey::from_public_key_der(&der)
                    .map_err(|_| kind("it is not an RSA key with a modulus and an exponent in their bounds"))?;
                check_rsa(&key)?;
                Ok(Self::Rsa(Box::new(key)))
            }
            rfc8410::ID_ED_25519 => Err(kind("Ed25519 is not read by mail programs yet")),
            other => Err(kind(&format!(
                "the algorithm {other} is not one of RSA and elliptic curves"
            ))),
        }
    }

    /// Whether the owner of this key signed the message.
    pub(crate) fn verify(
        &self,
        algorithm: &AlgorithmIdentifierOwned,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let digest = match algorithm.oid {
            rfc5912::ECDSA_WITH_SHA_256 | rfc5912::SHA_256_WITH_RSA_ENCRYPTION => Sha256::digest(message).to_vec(),
            rfc5912::ECDSA_WITH_SHA_384 | rfc5912::SHA_384_WITH_RSA_ENCRYPTION => Sha384::digest(message).to_vec(),
            rfc5912::ECDSA_WITH_SHA_512 | rfc5912::SHA_512_WITH_RSA_ENCRYPTION => Sha512::digest(message).to_vec(),
            _ => return Err(InvalidSignature),
        };
        let is_rsa = matches!(
            algorithm.oid,
            rfc5912::SHA_256_WITH_RSA_ENCRYPTION
                | rfc5912::SHA_384_WITH_RSA_ENCRYPTION
                | rfc5912::SHA_512_WITH_RSA_ENCRYPTION
        );
        match (self, is_rsa) {
            (Self::P256(key), false) => p256::ecdsa::DerSignature::try_from(signature)
                .and_then(|signature| key.verify_prehash(&digest, &signature))
                .map_err(|_| InvalidSignature),
            (Self::P384(key), false) => p384::ecdsa::DerSignature::try_from(signature)
                .and_then(|signature| key.verify_prehash(&digest, &signature))
                .map_err(|_| InvalidSignature),
            (Self::Rsa(key), true) => {
                let padding = match digest.len() {
                    32 => rsa::Pkcs1v15Sign::new::<Sha256>(),
                    48 => rsa::Pkcs1v15Sign::new::<Sha384>(),
                    _ => rsa::Pkcs1v15Sign::new::<Sha512>(),
                };
                key.verify(padding, &digest, signature).map_err(|_| InvalidSignature)
            }
            _ => Err(InvalidSignature),
        }
    }
}

/// A key that no certificate here may carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (BR {section})")]
pub(crate) struct UnacceptableKey {
    /// Of the S/MIME BR.
    pub(crate) section: &'static str,
    pub(crate) reason: String,
}

impl UnacceptableKey {
    /// Section 6.1.5: algorithms and sizes.
    fn of_kind(reason: impl Into<String>) -> Self {
        Self {
            section: "6.1.5",
            reason: reason.into(),
        }
    }

    /// Section 6.1.6: the numbers that a key consists of.
    fn parameters(reason: impl Into<String>) -> Self {
        Self {
            section: "6.1.6",
            reason: reason.into(),
        }
    }

    /// Section 6.1.1.3: a known method computes the private key, or the way the key was generated was flawed.
    fn computable(reason: impl Into<String>) -> Self {
        Self {
            section: "6.1.1.3",
            reason: reason.into(),
        }
    }
}

/// The message was not signed by the owner of the key, or not with an algorithm that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not fit the message and the public key")]
pub(crate) struct InvalidSignature;

/// Whether the owner of `info` signed the message. A key that cannot be read has signed nothing.
pub(crate) fn is_valid(
    info: &SubjectPublicKeyInfoOwned,
    algorithm: &AlgorithmIdentifierOwned,
    message: &[u8],
    signature: &[u8],
) -> bool {
    PublicKey::parse(info).is_ok_and(|key| key.verify(algorithm, message, signature).is_ok())
}

/// Size, exponent and small factors; and what anybody can compute the private key of. The lints refuse all of it as well;
/// this is the earlier answer.
fn check_rsa(key: &rsa::RsaPublicKey) -> Result<(), UnacceptableKey> {
    let bits = key.n().bits();
    if !ALLOWED_RSA_BITS.contains(&bits) {
        return Err(UnacceptableKey::of_kind(format!("its RSA modulus has {bits} bits")));
    }
    if is_roca(&key.n().to_be_bytes()) {
        return Err(UnacceptableKey::computable(
            "it has the fingerprint of a faulty generator (ROCA, CVE-2017-15361)",
        ));
    }
    if has_close_primes(&key.n().to_be_bytes()) {
        return Err(UnacceptableKey::computable(
            "the two primes of its modulus are close to each other",
        ));
    }
    // BR 6.1.6 asks for an odd exponent of at least 3; every generator in use chooses this one.
    if key.e().to_be_bytes_trimmed_vartime().as_ref() != RSA_EXPONENT {
        return Err(UnacceptableKey::parameters("its RSA exponent is not 65537"));
    }
    let modulus = key.n().to_be_bytes();
    if let Some(factor) = SMALL_PRIMES.into_iter().find(|prime| remainder(&modulus, *prime) == 0) {
        return Err(UnacceptableKey::parameters(format!(
            "its RSA modulus can be divided by {factor}"
        )));
    }
    Ok(())
}

/// The remainder of a big-endian number.
fn remainder(number: &[u8], divisor: u32) -> u32 {
    // Below divisor * 256 + 255, and no divisor here has more than ten bits.
    number
        .iter()
        .fold(0, |remainder, octet| (remainder * 256 + u32::from(*octet)) % divisor)
}

/// What mail programs and the large receivers accept.
const ALLOWED_RSA_BITS: [u32; 3] = [2048, 3072, 4096];
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];
/// BR 6.1.6: "the modulus SHOULD have no factors smaller than 752".
const SMALL_PRIMES: [u32; 133] = small_primes();

/// All 133 primes below 752.
const fn small_primes() -> [u32; 133] {
    let mut primes = [0; 133];
    let mut found = 0;
    let mut candidate = 2;
    while found < primes.len() {
        let mut divisor = 2;
        while divisor * divisor <= candidate && candidate % divisor != 0 {
            divisor += 1;
        }
        if divisor * divisor > candidate {
            primes[found] = candidate;
            found += 1;
        }
        candidate += 1;
    }
    primes
}

/// The content octets of the first element of a DER SEQUENCE together with its header: the bytes that are signed.
pub(crate) fn signed_part(der: &[u8]) -> Result<&[u8], der::Error> {
    let sequence = <&der::asn1::SequenceRef>::from_der(der)?;
    let content = sequence.as_bytes();
    let (first, _) = der::asn1::AnyRef::from_der_partial(content)?;
    let length = usize::try_from(first.encoded_len()?)?;
    // `from_der_partial` has just read that many octets of the content.
    content.get(..length).ok_or_else(|| der::ErrorKind::Overlength.into())
}

/// A certificate, CRL or anything else of the form `SEQUENCE { signed part, algorithm, BIT STRING }`.
pub(crate) struct SignedParts<'a> {
    /// With its own header.
    pub(crate) signed: &'a [u8],
    pub(crate) algorithm: AlgorithmIdentifierOwned,
    pub(crate) signature: &'a [u8],
}

/// Takes the three parts apart without reading the first one, which may be large.
pub(crate) fn signed_parts(der: &[u8]) -> Result<SignedParts<'_>, der::Error> {
    let signed = signed_part(der)?;
    let content = <&der::asn1::SequenceRef>::from_der(der)?.as_bytes();
    // `signed_part` has found that many octets at the beginning of the content.
    let rest = content.get(signed.len()..).ok_or(der::ErrorKind::Overlength)?;
    let (algorithm, rest) = AlgorithmIdentifierOwned::from_der_partial(rest)?;
    let signature = der::asn1::BitStringRef::from_der(rest)?;
    Ok(SignedParts {
        signed,
        algorithm,
        // A signature is a whole number of octets.
        signature: signature.as_bytes().ok_or(der::ErrorKind::Length {
            tag: der::Tag::BitString,
        })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(key: &dyn keys::SigningKey) -> SubjectPublicKeyInfoOwned {
        key.public_key().clone()
    }

    #[test]
    fn signatures_of_our_keys_are_valid() {
        for key in keys::testing::all() {
            let signature = key.sign(b"message").unwrap();
            let algorithm = key.algorithm().identifier();
            assert!(is_valid(key.public_key(), &algorithm, b"message", signature.as_bytes()));
        }
    }

    #[test]
    fn other_messages_keys_algorithms_and_signatures_are_not() {
        let keys = keys::testing::all();
        for (number, key) in keys.iter().enumerate() {
            let signature = key.sign(b"message").unwrap();
            let algorithm = key.algorithm().identifier();
            assert!(!is_valid(
                key.public_key(),
                &algorithm,
                b"messagf",
                signature.as_bytes()
            ));
            assert!(!is_valid(key.public_key(), &algorithm, b"message", &[]));
            let mut changed = signature.as_bytes().to_vec();
            *changed.last_mut().unwrap() ^= 1;
            assert!(!is_valid(key.public_key(), &algorithm, b"message", &changed));
            let sha1 = AlgorithmIdentifierOwned {
                oid: rfc5912::SHA_1_WITH_RSA_ENCRYPTION,
                parameters: None,
            };
            assert!(!is_valid(key.public_key(), &sha1, b"message", signature.as_bytes()));
            for (other_number, other) in keys.iter().enumerate() {
                let same = number == other_number;
                let algorithm = other.algorithm().identifier();
                let valid = is_valid(other.public_key(), &algorithm, b"message", signature.as_bytes());
                assert_eq!(valid, same, "key {number} under {other_number}");
            }
        }
    }

    #[test]
    fn keys_that_no_certificate_may_carry_are_refused() {
        let check = |key: openssl::pkey::PKey<openssl::pkey::Private>, section: &str, part: &str| {
            let der = key.public_key_to_der().unwrap();
            let info = SubjectPublicKeyInfoOwned::from_der(&der).unwrap();
            let refusal = PublicKey::parse(&info).unwrap_err();
            assert!(refusal.reason.contains(part), "{refusal} lacks {part:?}");
            assert_eq!(refusal.section, section, "{refusal}");
        };
        let rsa = |bits, exponent| {
            let exponent = openssl::bn::BigNum::from_u32(exponent).unwrap();
            let key = openssl::rsa::Rsa::generate_with_e(bits, &exponent).unwrap();
            openssl::pkey::PKey::from_rsa(key).unwrap()
        };
        check(rsa(1024, 65537), "6.1.5", "1024 bits");
        check(rsa(2056, 65537), "6.1.5", "2056 bits");
        check(rsa(2048, 3), "6.1.6", "exponent");
        check(openssl::pkey::PKey::generate_ed25519().unwrap(), "6.1.5", "Ed25519");
        let curve = |name| {
            let group = openssl::ec::EcGroup::from_curve_name(name).unwrap();
            openssl::pkey::PKey::from_ec_key(openssl::ec::EcKey::generate(&group).unwrap()).unwrap()
        };
        check(curve(openssl::nid::Nid::SECP521R1), "6.1.5", "P-256 and P-384");
        check(curve(openssl::nid::Nid::SECP256K1), "6.1.5", "P-256 and P-384");
    }

    #[test]
    fn points_beside_the_curve_and_moduli_with_small_factors_are_refused() {
        let mut beside = info(&*keys::testing::p256());
        let mut point = beside.subject_public_key.raw_bytes().to_vec();
        *point.last_mut().unwrap() ^= 1;
        beside.subject_public_key = der::asn1::BitString::from_bytes(&point).unwrap();
        assert!(PublicKey::parse(&beside).is_err());

        assert_eq!(SMALL_PRIMES[132], 751);
        let modulus = openssl::bn::BigNum::from_dec_str(&format!("1{}", "0".repeat(616))).unwrap();
        assert_eq!(modulus.num_bits(), 2047);
        let mut modulus = &modulus * &openssl::bn::BigNum::from_u32(2).unwrap();
        modulus.add_word(1).unwrap();
        // 2 * 10^616 + 1 is divisible by 3, since its digits are a two, a one and zeros.
        let exponent = openssl::bn::BigNum::from_u32(65537).unwrap();
        let key = openssl::rsa::Rsa::from_public_components(modulus, exponent).unwrap();
        let der = openssl::pkey::PKey::from_rsa(key).unwrap().public_key_to_der().unwrap();
        let divisible = SubjectPublicKeyInfoOwned::from_der(&der).unwrap();
        let refusal = PublicKey::parse(&divisible).unwrap_err();
        assert_eq!(refusal.section, "6.1.6");
        assert!(refusal.reason.contains("divided by 3"), "{refusal}");
    }

    /// What is wrong with such a key is neither its kind nor its size, and the section says so.
    #[test]
    fn keys_that_can_be_computed_name_the_section_about_them() {
        // The product of two primes that follow each other.
        let mut context = openssl::bn::BigNumContext::new().unwrap();
        let mut next_prime = |from: &openssl::bn::BigNumRef| {
            let mut prime = from.to_owned().unwrap();
            loop {
                prime.add_word(2).unwrap();
                if prime.is_prime(20, &mut context).unwrap() {
                    break prime;
                }
            }
        };
        let mut start = openssl::bn::BigNum::from_u32(3).unwrap();
        start = &start << 1022;
        start.add_word(1).unwrap();
        let p = next_prime(&start);
        let q = next_prime(&p);
        let mut context = openssl::bn::BigNumContext::new().unwrap();
        let mut modulus = openssl::bn::BigNum::new().unwrap();
        modulus.checked_mul(&p, &q, &mut context).unwrap();
        let exponent = openssl::bn::BigNum::from_u32(65537).unwrap();
        let key = openssl::rsa::Rsa::from_public_components(modulus, exponent).unwrap();
        let der = openssl::pkey::PKey::from_rsa(key).unwrap().public_key_to_der().unwrap();
        let refusal = PublicKey::parse(&SubjectPublicKeyInfoOwned::from_der(&der).unwrap()).unwrap_err();
        assert_eq!(refusal.section, "6.1.1.3");
        assert!(refusal.reason.contains("close to each other"), "{refusal}");
    }
}
