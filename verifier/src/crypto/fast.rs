//! The C backend: AWS-LC instead of Rust for what takes the time.
//!
//! Keys are read and judged by the same code as ever, so the backends cannot disagree about which are acceptable. What
//! is not handed to AWS-LC here goes to [`PureRust`]: Ed25519, where Rust is faster and stricter (AWS-LC takes points
//! of small order), and whatever is added to the list later.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA384_ASN1, ECDSA_P521_SHA512_ASN1,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};

use super::DigestAlgorithm::{Sha256, Sha384, Sha512};
use super::{Crypto, DigestAlgorithm, InvalidSignature, PublicKey, PureRust, SignatureAlgorithm};

/// The backend by AWS-LC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AwsLc;

impl Crypto for AwsLc {
    fn digest(&self, algorithm: DigestAlgorithm, message: &[&[u8]]) -> Vec<u8> {
        hash(algorithm, message).as_ref().to_vec()
    }

    fn verify(
        &self,
        key: &PublicKey,
        algorithm: SignatureAlgorithm,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let by_digest = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8], digest| {
            UnparsedPublicKey::new(algorithm, key)
                .verify_digest(&hash(digest, message), signature)
                .map_err(|_| InvalidSignature)
        };
        match (key, algorithm) {
            (PublicKey::Rsa(key), SignatureAlgorithm::RsaPkcs1(digest)) => {
                let algorithm = match digest {
                    Sha256 => &RSA_PKCS1_2048_8192_SHA256,
                    Sha384 => &RSA_PKCS1_2048_8192_SHA384,
                    Sha512 => &RSA_PKCS1_2048_8192_SHA512,
                };
                by_digest(algorithm, key.der(), digest)
            }
            (PublicKey::Rsa(key), SignatureAlgorithm::RsaPss(digest)) => {
                // These take a salt as long as the digest and no other, as PureRust does.
                let algorithm = match digest {
                    Sha256 => &RSA_PSS_2048_8192_SHA256,
                    Sha384 => &RSA_PSS_2048_8192_SHA384,
                    Sha512 => &RSA_PSS_2048_8192_SHA512,
                };
                by_digest(algorithm, key.der(), digest)
            }
            (PublicKey::P256(key), SignatureAlgorithm::Ecdsa(digest)) => {
                let algorithm = match digest {
                    Sha256 => &ECDSA_P256_SHA256_ASN1,
                    Sha384 => &ECDSA_P256_SHA384_ASN1,
                    Sha512 => &ECDSA_P256_SHA512_ASN1,
                };
                by_digest(algorithm, key.to_sec1_point(false).as_bytes(), digest)
            }
            (PublicKey::P384(key), SignatureAlgorithm::Ecdsa(digest)) => {
                let algorithm = match digest {
                    Sha256 => &ECDSA_P384_SHA256_ASN1,
                    Sha384 => &ECDSA_P384_SHA384_ASN1,
                    Sha512 => &ECDSA_P384_SHA512_ASN1,
                };
                by_digest(algorithm, key.to_sec1_point(false).as_bytes(), digest)
            }
            (PublicKey::P521(key), SignatureAlgorithm::Ecdsa(digest @ (Sha384 | Sha512))) => {
                let algorithm = match digest {
                    Sha384 => &ECDSA_P521_SHA384_ASN1,
                    _ => &ECDSA_P521_SHA512_ASN1,
                };
                by_digest(algorithm, key.to_sec1_point(false).as_bytes(), digest)
            }
            #[cfg(feature = "ml-dsa")]
            (PublicKey::MlDsa(own, key), SignatureAlgorithm::MlDsa(set)) if *own == set => {
                use super::public_key::MlDsaSet;
                use aws_lc_rs::signature::{ML_DSA_44, ML_DSA_65, ML_DSA_87};
                let algorithm = match set {
                    MlDsaSet::MlDsa44 => &ML_DSA_44,
                    MlDsaSet::MlDsa65 => &ML_DSA_65,
                    MlDsaSet::MlDsa87 => &ML_DSA_87,
                };
                UnparsedPublicKey::new(algorithm, key)
                    .verify(&message.concat(), signature)
                    .map_err(|_| InvalidSignature)
            }
            _ => PureRust.verify(key, algorithm, message, signature),
        }
    }
}

fn hash(algorithm: DigestAlgorithm, message: &[&[u8]]) -> digest::Digest {
    let mut context = digest::Context::new(match algorithm {
        Sha256 => &digest::SHA256,
        Sha384 => &digest::SHA384,
        Sha512 => &digest::SHA512,
    });
    for part in message {
        context.update(part);
    }
    context.finish()
}
