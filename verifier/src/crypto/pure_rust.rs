//! The backend in Rust alone.

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;

use super::rsa_pkcs1;
use super::{Crypto, DigestAlgorithm, InvalidSignature, PublicKey, SignatureAlgorithm};

#[derive(Debug, Clone, Copy)]
pub(crate) struct PureRust;

impl Crypto for PureRust {
    fn digest(&self, algorithm: DigestAlgorithm, message: &[&[u8]]) -> Vec<u8> {
        fn of<D: sha2::Digest>(message: &[&[u8]]) -> Vec<u8> {
            let mut digest = D::new();
            for part in message {
                digest.update(part);
            }
            digest.finalize().to_vec()
        }
        match algorithm {
            DigestAlgorithm::Sha256 => of::<sha2::Sha256>(message),
            DigestAlgorithm::Sha384 => of::<sha2::Sha384>(message),
            DigestAlgorithm::Sha512 => of::<sha2::Sha512>(message),
        }
    }

    fn verify(
        &self,
        key: &PublicKey,
        algorithm: SignatureAlgorithm,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let fits = match (key, algorithm) {
            (PublicKey::Rsa(key), SignatureAlgorithm::RsaPkcs1(digest)) => {
                rsa_pkcs1::fits(key, digest, &self.digest(digest, message), signature)
            }
            // RFC 8017 section 8.1.2, step 1: exactly as long as the modulus.
            (PublicKey::Rsa(key), SignatureAlgorithm::RsaPss(digest)) if signature.len() == key.modulus().len() => {
                let key = key.to_rust()?;
                let hashed = self.digest(digest, message);
                let salt_length = usize::from(digest.length());
                match digest {
                    DigestAlgorithm::Sha256 => {
                        key.verify(rsa::Pss::<sha2::Sha256>::new_with_salt(salt_length), &hashed, signature)
                    }
                    DigestAlgorithm::Sha384 => {
                        key.verify(rsa::Pss::<sha2::Sha384>::new_with_salt(salt_length), &hashed, signature)
                    }
                    DigestAlgorithm::Sha512 => {
                        key.verify(rsa::Pss::<sha2::Sha512>::new_with_salt(salt_length), &hashed, signature)
                    }
                }
                .is_ok()
            }
            (PublicKey::P256(key), SignatureAlgorithm::Ecdsa(digest)) => {
                p256::ecdsa::DerSignature::from_bytes(signature)
                    .is_ok_and(|signature| key.verify_prehash(&self.digest(digest, message), &signature).is_ok())
            }
            (PublicKey::P384(key), SignatureAlgorithm::Ecdsa(digest)) => {
                p384::ecdsa::DerSignature::from_bytes(signature)
                    .is_ok_and(|signature| key.verify_prehash(&self.digest(digest, message), &signature).is_ok())
            }
            (PublicKey::P521(key), SignatureAlgorithm::Ecdsa(digest)) => {
                p521::ecdsa::DerSignature::from_bytes(signature)
                    .is_ok_and(|signature| key.verify_prehash(&self.digest(digest, message), &signature).is_ok())
            }
            // Strict: the cofactorless equation, canonical encodings, no points of small order, so that every
            // implementation says the same.
            (PublicKey::Ed25519(key), SignatureAlgorithm::Ed25519) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(&message.concat(), &signature).is_ok()),
            #[cfg(feature = "ml-dsa")]
            (PublicKey::MlDsa(own, key), SignatureAlgorithm::MlDsa(set)) if *own == set => {
                use super::public_key::MlDsaSet;
                let message = message.concat();
                match set {
                    MlDsaSet::MlDsa44 => ml_dsa_verify::<ml_dsa::MlDsa44>(key, &message, signature),
                    MlDsaSet::MlDsa65 => ml_dsa_verify::<ml_dsa::MlDsa65>(key, &message, signature),
                    MlDsaSet::MlDsa87 => ml_dsa_verify::<ml_dsa::MlDsa87>(key, &message, signature),
                }
                .is_some_and(|fits| fits)
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(InvalidSignature) }
    }
}

/// FIPS 204 algorithm 3 with an empty context (RFC 9882 section 3.1); `None` if key or signature have another length.
#[cfg(feature = "ml-dsa")]
fn ml_dsa_verify<P: ml_dsa::MlDsaParams>(key: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
    let key = ml_dsa::VerifyingKey::<P>::decode(key.try_into().ok()?);
    let signature = ml_dsa::Signature::<P>::decode(signature.try_into().ok()?)?;
    Some(key.verify_with_context(message, &[], &signature))
}
