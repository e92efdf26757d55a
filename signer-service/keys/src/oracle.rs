//! What OpenSSL thinks of our keys and signatures, for the tests.

use der::Encode;
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::sign::Verifier;

use crate::{KeyError, Signature, SignatureAlgorithm, SigningKey};

pub(crate) fn public_key(key: &dyn SigningKey) -> PKey<Public> {
    PKey::public_key_from_der(&key.public_key().to_der().unwrap()).unwrap()
}

pub(crate) fn verifies(key: &dyn SigningKey, message: &[u8], signature: &Signature) -> bool {
    let digest = match key.algorithm() {
        SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::RsaPkcs1Sha256 => Some(MessageDigest::sha256()),
        SignatureAlgorithm::EcdsaP384Sha384 => Some(MessageDigest::sha384()),
        SignatureAlgorithm::Ed25519 => None,
    };
    let public_key = public_key(key);
    let mut verifier = match digest {
        Some(digest) => Verifier::new(digest, &public_key).unwrap(),
        None => Verifier::new_without_digest(&public_key).unwrap(),
    };
    // A signature in the wrong form is an error, which is a refusal as well.
    verifier.verify_oneshot(signature.as_bytes(), message).unwrap_or(false)
}

/// The numbers of a PKCS#8 key that nobody may see, and pieces of its form that betray it.
pub(crate) fn secrets_of(pkcs8: &[u8]) -> Vec<Vec<u8>> {
    let key: PKey<Private> = PKey::private_key_from_der(pkcs8).unwrap();
    let mut secrets = match key.id() {
        Id::RSA => {
            let rsa = key.rsa().unwrap();
            vec![rsa.d().to_vec(), rsa.p().unwrap().to_vec(), rsa.q().unwrap().to_vec()]
        }
        _ => vec![key.ec_key().unwrap().private_key().to_vec()],
    };
    // The beginning of the file: version and algorithm, behind the outer length.
    secrets.push(pkcs8[4..20].to_vec());
    secrets
}

/// A key that cannot sign, though it may later.
#[derive(Debug)]
pub(crate) struct Unwilling;

impl SigningKey for Unwilling {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::EcdsaP256Sha256
    }

    fn public_key(&self) -> &spki::SubjectPublicKeyInfoOwned {
        static KEY: std::sync::LazyLock<std::sync::Arc<dyn SigningKey>> =
            std::sync::LazyLock::new(crate::testing::p256);
        KEY.public_key()
    }

    fn sign(&self, _message: &[u8]) -> Result<Signature, KeyError> {
        Err(KeyError::Unavailable {
            what: "the security module".into(),
            source: None,
        })
    }
}
