//! The one place where a [`SigningKey`] meets the traits of other crates.
//!
//! The builders of x509-cert and cms, and rcgen, all sign with [`Using`], whatever holds the key:
//!
//! ```
//! use keys::adapter::Using;
//!
//! let key = keys::testing::p256();
//! let parameters = rcgen::CertificateParams::new(vec!["mail.example.com".to_owned()])?;
//! let request = parameters.serialize_request(&Using(&*key))?;
//! # Ok::<(), rcgen::Error>(())
//! ```

use der::asn1::BitString;
use der::{Document, Encode};
use signature::{Keypair, Signer};
use spki::{
    AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, EncodePublicKey, SignatureBitStringEncoding,
    SubjectPublicKeyInfoOwned,
};

use crate::{Signature, SignatureAlgorithm, SigningKey};

/// Lets the builders of other crates sign with a key.
#[derive(Clone, Copy, Debug)]
pub struct Using<'k>(pub &'k dyn SigningKey);

/// The public half as the `signature` traits want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey(SubjectPublicKeyInfoOwned);

impl EncodePublicKey for VerifyingKey {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        Ok(Document::try_from(self.0.to_der()?)?)
    }
}

impl Keypair for Using<'_> {
    type VerifyingKey = VerifyingKey;

    fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.public_key().clone())
    }
}

impl DynSignatureAlgorithmIdentifier for Using<'_> {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(self.0.algorithm().identifier())
    }
}

impl Signer<Signature> for Using<'_> {
    /// The [`KeyError`](crate::KeyError) is the source of the error.
    fn try_sign(&self, message: &[u8]) -> Result<Signature, signature::Error> {
        self.0.sign(message).map_err(signature::Error::from_source)
    }
}

impl SignatureBitStringEncoding for Signature {
    fn to_bitstring(&self) -> der::Result<BitString> {
        BitString::from_bytes(self.as_bytes())
    }
}

impl rcgen::PublicKeyData for Using<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().subject_public_key.raw_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.0.algorithm() {
            SignatureAlgorithm::EcdsaP256Sha256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            SignatureAlgorithm::EcdsaP384Sha384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            SignatureAlgorithm::RsaPkcs1Sha256 => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl rcgen::SigningKey for Using<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0
            .sign(message)
            .map(Signature::into_bytes)
            // rcgen has no room for the cause.
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
