//! The key of an issuer: signs what was recorded, and nothing else (DESIGN invariants 1 and 3).
//!
//! The functions of [`IssuingKey`] are all the ways to a signature. They consume a [`Recorded`] certificate, a
//! [`RecordedResponder`] or a [`ReservedCrl`], none of which can be made without a committed transaction; the former two
//! cannot be made without a lint. Before anything leaves, the signature is checked and what was put together is compared with what was
//! recorded.

use std::fmt;
use std::sync::{Arc, OnceLock};

use der::asn1::BitString;
use der::{Decode, Encode};
use keys::{KeyId, KeyStore, SignatureAlgorithm, SigningKey};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::Certificate;

use crate::crl::{ReservedCrl, SignedCrl};
use crate::error::Error;
use crate::issuance::record::Recorded;
use crate::ocsp::RecordedResponder;
use crate::signature;

/// Signs certificates and CRLs of one issuer.
pub(crate) struct IssuingKey {
    issuer_id: String,
    key_id: KeyId,
    public_key: SubjectPublicKeyInfoOwned,
    store: Arc<dyn KeyStore>,
    opened: OnceLock<Arc<dyn SigningKey>>,
}

impl IssuingKey {
    pub(super) fn new(
        issuer_id: String,
        key_id: KeyId,
        public_key: SubjectPublicKeyInfoOwned,
        store: Arc<dyn KeyStore>,
    ) -> Self {
        Self {
            issuer_id,
            key_id,
            public_key,
            store,
            opened: OnceLock::new(),
        }
    }

    /// The key in the issuer's certificate.
    pub(crate) fn public_key(&self) -> &SubjectPublicKeyInfoOwned {
        &self.public_key
    }

    /// How this key signs; opens it.
    pub(crate) fn algorithm(&self) -> Result<SignatureAlgorithm, Error> {
        Ok(self.open()?.algorithm())
    }

    /// Signs a recorded certificate. Whatever comes of it, the record is spent: another attempt needs another serial.
    pub(crate) fn sign_certificate(&self, recorded: Recorded) -> Result<Signed, Error> {
        let discard = |reason: String| Error::OwnSignature {
            serial: recorded.serial().to_owned(),
            reason,
        };
        if recorded.issuer_id() != self.issuer_id {
            return Err(discard(format!(
                "it was prepared for the issuer {}",
                recorded.issuer_id()
            )));
        }
        let der = self.sign(recorded.tbs())?;
        Ok(Signed { recorded, der })
    }

    /// Signs a CRL whose number was taken, and checks the signature.
    pub(crate) fn sign_crl(&self, reserved: ReservedCrl) -> Result<SignedCrl, Error> {
        let fault = |reason: &str| Error::OwnSignature {
            serial: format!("of a CRL of {}", self.issuer_id),
            reason: reason.to_owned(),
        };
        if reserved.issuer_id() != self.issuer_id {
            return Err(fault("it was prepared for another issuer"));
        }
        let der = self.sign(reserved.tbs())?;
        let parts = signature::signed_parts(&der).map_err(|_| fault("it cannot be read back"))?;
        if parts.signed != reserved.tbs() {
            return Err(fault("it does not hold the bytes that were decided"));
        }
        if !signature::is_valid(&self.public_key, &parts.algorithm, reserved.tbs(), parts.signature) {
            return Err(fault("its signature is not valid"));
        }
        Ok(reserved.into_signed(der))
    }

    /// Signs the recorded certificate of an OCSP responder, and checks it.
    pub(crate) fn sign_responder(&self, recorded: RecordedResponder) -> Result<Vec<u8>, Error> {
        let discard = |reason: &str| Error::OwnSignature {
            serial: recorded.serial().to_owned(),
            reason: reason.to_owned(),
        };
        if recorded.issuer_id() != self.issuer_id {
            return Err(discard("it was prepared for another issuer"));
        }
        let der = self.sign(recorded.tbs())?;
        let certificate = Certificate::from_der(&der).map_err(|_| discard("it cannot be read back"))?;
        if !signature::signed_part(&der).is_ok_and(|tbs| tbs == recorded.tbs()) {
            return Err(discard("it does not hold the bytes that were recorded"));
        }
        let signature = certificate.signature().as_bytes().unwrap_or_default();
        let algorithm = certificate.signature_algorithm();
        if !signature::is_valid(&self.public_key, algorithm, recorded.tbs(), signature) {
            return Err(discard("its signature is not valid"));
        }
        Ok(der)
    }

    /// The outer structure of certificates and CRLs is the same: the signed part, the algorithm, the signature.
    fn sign(&self, tbs: &[u8]) -> Result<Vec<u8>, Error> {
        let key = self.open()?;
        let signature = key.sign(tbs).map_err(|source| Error::Key {
            key: self.key_id.to_string(),
            source,
        })?;
        assemble(tbs, &key.algorithm().identifier(), signature.as_bytes())
    }

    /// Opens the key, once, and makes sure that it is the one in the issuer's certificate.
    pub(super) fn open(&self) -> Result<&dyn SigningKey, Error> {
        if let Some(key) = self.opened.get() {
            return Ok(&**key);
        }
        let key = self.store.open(&self.key_id).map_err(|source| Error::Key {
            key: self.key_id.to_string(),
            source,
        })?;
        if *key.public_key() != self.public_key {
            return Err(Error::Row {
                kind: "issuer",
                id: self.issuer_id.clone(),
                reason: format!("its certificate does not belong to the key {}", self.key_id),
            });
        }
        // Another thread may have been faster; it opened the same key.
        Ok(&**self.opened.get_or_init(|| key))
    }
}

impl fmt::Debug for IssuingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IssuingKey({})", self.key_id)
    }
}

/// A certificate with a signature that nobody has looked at yet.
#[derive(Debug)]
pub(crate) struct Signed {
    recorded: Recorded,
    der: Vec<u8>,
}

impl Signed {
    /// Reads the certificate back and compares it with the record.
    ///
    /// # Errors
    /// [`Error::OwnSignature`] when it is not the recorded one, or not validly signed by `issuer`.
    pub(crate) fn check(self, issuer: &IssuingKey) -> Result<Checked, Error> {
        let discard = |reason: &str| Error::OwnSignature {
            serial: self.recorded.serial().to_owned(),
            reason: reason.to_owned(),
        };
        let certificate = Certificate::from_der(&self.der).map_err(|_| discard("it cannot be read back"))?;
        let tbs = signature::signed_part(&self.der).map_err(|_| discard("it cannot be read back"))?;
        if tbs != self.recorded.tbs() {
            return Err(discard("it does not hold the bytes that were recorded"));
        }
        if certificate.signature_algorithm() != certificate.tbs_certificate().signature() {
            return Err(discard("it names two signature algorithms"));
        }
        let signature = certificate.signature().as_bytes().unwrap_or_default();
        if !signature::is_valid(issuer.public_key(), certificate.signature_algorithm(), tbs, signature) {
            return Err(discard("its signature is not valid"));
        }
        Ok(Checked {
            recorded: self.recorded,
            der: self.der,
        })
    }
}

/// A certificate that is what was recorded, with a valid signature. Only this is stored and handed out.
#[derive(Debug)]
pub(crate) struct Checked {
    recorded: Recorded,
    der: Vec<u8>,
}

impl Checked {
    pub(crate) fn recorded(&self) -> &Recorded {
        &self.recorded
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }
}

/// `SEQUENCE { tbs, algorithm, BIT STRING }` around exactly these bytes.
pub(crate) fn assemble(tbs: &[u8], algorithm: &AlgorithmIdentifierOwned, signature: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = || Error::encoding("the signed structure");
    let mut content = tbs.to_vec();
    content.extend(algorithm.to_der().map_err(failed())?);
    let signature = BitString::from_bytes(signature).map_err(failed())?;
    content.extend(signature.to_der().map_err(failed())?);
    der::asn1::AnyRef::new(der::Tag::Sequence, &content)
        .and_then(|sequence| sequence.to_der())
        .map_err(failed())
}
