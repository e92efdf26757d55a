//! Certificate requests (PKCS#10, RFC 2986).

use rcgen::{CertificateParams, DistinguishedName, DnType};

use crate::adapter::Using;
use crate::{KeyError, SigningKey};

/// A certificate request in DER that proves possession of `key`.
///
/// The common name is at most 64 characters (RFC 5280, appendix A, `ub-common-name`) without control characters; when it
/// is empty, so is the subject. The request asks for no extensions: what a certificate says is decided by the authority.
pub fn certificate_request(key: &dyn SigningKey, common_name: &str) -> Result<Vec<u8>, KeyError> {
    if common_name.chars().count() > 64 || common_name.chars().any(char::is_control) {
        let text = common_name.into();
        return Err(KeyError::InvalidCommonName { text });
    }
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    if !common_name.is_empty() {
        parameters.distinguished_name.push(DnType::CommonName, common_name);
    }
    // rcgen would drop the reason why a key did not sign, so the key is asked through something that keeps it.
    let failure = std::cell::RefCell::new(None);
    let request = parameters.serialize_request(&Remembering {
        key: Using(key),
        failure: &failure,
    });
    match request {
        Ok(request) => Ok(request.der().to_vec()),
        Err(error) => Err(failure.take().unwrap_or(KeyError::Encoding {
            what: "certificate request",
            source: error.into(),
        })),
    }
}

/// Signs and keeps the reason when that fails.
struct Remembering<'k> {
    key: Using<'k>,
    failure: &'k std::cell::RefCell<Option<KeyError>>,
}

impl rcgen::PublicKeyData for Remembering<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.key.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.key.algorithm()
    }
}

impl rcgen::SigningKey for Remembering<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key.0.sign(message).map_or_else(
            |error| {
                self.failure.replace(Some(error));
                Err(rcgen::Error::RemoteKeyError)
            },
            |signature| Ok(signature.into_bytes()),
        )
    }
}
