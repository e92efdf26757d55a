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
            SignatureAlgorithm::Ed25519 => &rcgen::PKCS_ED25519,
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

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::str::FromStr;
    use std::time::Duration;

    use der::asn1::UtcTime;
    use openssl::x509::X509;
    use x509_cert::builder::{Builder, CertificateBuilder, profile};
    use x509_cert::certificate::Certificate;
    use x509_cert::name::Name;
    use x509_cert::serial_number::SerialNumber;
    use x509_cert::time::{Time, Validity};

    use super::*;
    use crate::{KeyError, oracle, testing};

    fn builder(key: &dyn SigningKey) -> CertificateBuilder<profile::cabf::Root> {
        let time = |seconds| {
            let time = UtcTime::from_unix_duration(Duration::from_secs(seconds)).unwrap();
            Time::UtcTime(time)
        };
        let name = Name::from_str("CN=Test Root,O=Example,C=DE").unwrap();
        CertificateBuilder::new(
            profile::cabf::Root::new(false, name).unwrap(),
            SerialNumber::from(42_u32),
            Validity::new(time(1_700_000_000), time(1_900_000_000)),
            key.public_key().clone(),
        )
        .unwrap()
    }

    fn check(certificate: &Certificate, key: &dyn SigningKey) {
        let der = certificate.to_der().unwrap();
        let theirs = X509::from_der(&der).unwrap();
        let own_key = theirs.public_key().unwrap();
        assert!(own_key.public_eq(&oracle::public_key(key)));
        assert!(theirs.verify(&own_key).unwrap());
        assert_eq!(*certificate.signature_algorithm(), key.algorithm().identifier());
    }

    /// The way of the authority: the bytes to be signed are looked at before they are signed.
    #[test]
    fn certificates_signed_in_steps_verify_in_openssl() {
        for key in testing::all() {
            let mut builder = builder(&*key);
            let tbs = builder.finalize(&Using(&*key)).unwrap();
            let signature = key.sign(&tbs).unwrap();
            let bits = signature.to_bitstring().unwrap();
            let certificate = builder.assemble(bits, &Using(&*key)).unwrap();
            assert_eq!(certificate.tbs_certificate().to_der().unwrap(), tbs);
            check(&certificate, &*key);
        }
    }

    #[test]
    fn certificates_signed_at_once_verify_in_openssl() {
        for key in testing::all() {
            let certificate = builder(&*key).build::<_, Signature>(&Using(&*key)).unwrap();
            check(&certificate, &*key);
        }
    }

    #[test]
    fn a_certificate_signed_by_another_key_does_not_verify() {
        let (key, other) = (testing::p256(), testing::other_p256());
        let mut builder = builder(&*key);
        let tbs = builder.finalize(&Using(&*key)).unwrap();
        let bits = other.sign(&tbs).unwrap().to_bitstring().unwrap();
        let certificate = builder.assemble(bits, &Using(&*key)).unwrap();
        let theirs = X509::from_der(&certificate.to_der().unwrap()).unwrap();
        assert!(!theirs.verify(&oracle::public_key(&*key)).unwrap());
        assert!(theirs.verify(&oracle::public_key(&*other)).unwrap());
    }

    #[test]
    fn certificates_of_rcgen_verify_in_openssl() {
        for key in testing::all() {
            let parameters = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            let certificate = parameters.self_signed(&Using(&*key)).unwrap();
            let theirs = X509::from_der(certificate.der()).unwrap();
            assert!(theirs.verify(&oracle::public_key(&*key)).unwrap());
            // rcgen writes the public key itself, from its own idea of the algorithm.
            let written = rcgen::PublicKeyData::subject_public_key_info(&Using(&*key));
            assert_eq!(written, key.public_key().to_der().unwrap());
        }
    }

    #[test]
    fn the_public_key_is_passed_on_unchanged() {
        for key in testing::all() {
            let der = Using(&*key).verifying_key().to_public_key_der().unwrap();
            assert_eq!(der.as_bytes(), key.public_key().to_der().unwrap());
        }
    }

    #[test]
    fn why_a_key_did_not_sign_is_the_source_of_the_error() {
        let refusal = Using(&oracle::Unwilling).try_sign(b"message").unwrap_err();
        let cause = refusal.source().unwrap().downcast_ref::<KeyError>();
        assert!(cause.unwrap().is_temporary());
        let refusal = rcgen::SigningKey::sign(&Using(&oracle::Unwilling), b"message");
        assert!(matches!(refusal, Err(rcgen::Error::RemoteKeyError)));
    }
}
