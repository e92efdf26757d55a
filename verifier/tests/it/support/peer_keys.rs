//! Keys of the kinds that the product does not sign with, made by OpenSSL.

use std::sync::Arc;

use keys::{KeyError, Signature, SignatureAlgorithm, SigningKey};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer};
use spki::SubjectPublicKeyInfoOwned;
use spki::der::Decode;

use super::{algorithm, oid, sequence, tlv};

/// A key with the algorithm identifier it is to be announced with.
pub(crate) struct PeerKey {
    key: PKey<Private>,
    public_key: SubjectPublicKeyInfoOwned,
    how: How,
}

#[derive(Clone, Copy)]
enum How {
    Ecdsa(fn() -> MessageDigest),
    /// The digest, and the length of the salt.
    Pss(fn() -> MessageDigest, i32),
    WithoutDigest,
}

impl std::fmt::Debug for PeerKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PeerKey").finish_non_exhaustive()
    }
}

impl PeerKey {
    fn of(key: PKey<Private>, how: How) -> Arc<dyn SigningKey> {
        let public_key = SubjectPublicKeyInfoOwned::from_der(&key.public_key_to_der().unwrap()).unwrap();
        Arc::new(Self { key, public_key, how })
    }

    pub(crate) fn p521(digest: fn() -> MessageDigest) -> Arc<dyn SigningKey> {
        let group = EcGroup::from_curve_name(Nid::SECP521R1).unwrap();
        Self::of(
            PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap(),
            How::Ecdsa(digest),
        )
    }

    pub(crate) fn ed25519() -> Arc<dyn SigningKey> {
        Self::of(PKey::generate_ed25519().unwrap(), How::WithoutDigest)
    }

    pub(crate) fn pss(digest: fn() -> MessageDigest, salt_length: i32) -> Arc<dyn SigningKey> {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        Self::of(key, How::Pss(digest, salt_length))
    }
}

impl SigningKey for PeerKey {
    /// None of these; tests write the identifier themselves.
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RsaPkcs1Sha256
    }

    fn public_key(&self) -> &SubjectPublicKeyInfoOwned {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, KeyError> {
        let signature = match self.how {
            How::WithoutDigest => Signer::new_without_digest(&self.key)
                .unwrap()
                .sign_oneshot_to_vec(message)
                .unwrap(),
            How::Ecdsa(digest) => Signer::new(digest(), &self.key)
                .unwrap()
                .sign_oneshot_to_vec(message)
                .unwrap(),
            How::Pss(digest, salt_length) => {
                let mut signer = Signer::new(digest(), &self.key).unwrap();
                signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
                signer.set_rsa_mgf1_md(digest()).unwrap();
                signer.set_rsa_pss_saltlen(RsaPssSaltlen::custom(salt_length)).unwrap();
                signer.sign_oneshot_to_vec(message).unwrap()
            }
        };
        Ok(Signature::new(signature))
    }
}

/// id-RSASSA-PSS with these parameters (RFC 4055 section 3.1).
pub(crate) fn pss_identifier(digest: &str, mask_digest: &str, salt_length: u8) -> Vec<u8> {
    let null = [5, 0];
    let digest = sequence(&[&oid(digest), &null]);
    let mask = sequence(&[&oid("1.2.840.113549.1.1.8"), &sequence(&[&oid(mask_digest), &null])]);
    let parameters = sequence(&[
        &tlv(0xa0, &digest),
        &tlv(0xa1, &mask),
        &tlv(0xa2, &tlv(2, &[salt_length])),
    ]);
    sequence(&[&oid("1.2.840.113549.1.1.10"), &parameters])
}

pub(crate) fn ed25519_identifier() -> Vec<u8> {
    algorithm("1.3.101.112")
}
