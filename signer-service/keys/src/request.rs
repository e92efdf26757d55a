//! Certificate requests (PKCS#10, RFC 2986).

use rcgen::{CertificateParams, DistinguishedName, DnType, SanType};

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
    sign(key, &parameters)
}

/// A certificate request in DER for a mailbox, as ACME wants it (RFC 8555 section 7.4): an empty subject, and the address
/// as an rfc822Name in the subject alternative name.
pub fn mailbox_request(key: &dyn SigningKey, address: &str) -> Result<Vec<u8>, KeyError> {
    let name = address.to_owned().try_into().map_err(|source| KeyError::Encoding {
        what: "certificate request",
        source: Box::new(source),
    })?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.subject_alt_names = vec![SanType::Rfc822Name(name)];
    sign(key, &parameters)
}

fn sign(key: &dyn SigningKey, parameters: &CertificateParams) -> Result<Vec<u8>, KeyError> {
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

#[cfg(test)]
mod tests {
    use der::Decode;
    use openssl::nid::Nid;
    use openssl::x509::X509Req;

    use super::*;
    use crate::{oracle, testing};

    fn check_refused(common_name: &str) {
        let refusal = certificate_request(&*testing::p256(), common_name).unwrap_err();
        assert!(matches!(refusal, KeyError::InvalidCommonName { .. }), "{refusal}");
    }

    #[test]
    fn requests_of_every_kind_of_key_verify_in_openssl() {
        for key in testing::all() {
            let der = certificate_request(&*key, "alice@example.com").unwrap();
            let request = X509Req::from_der(&der).unwrap();
            let public_key = request.public_key().unwrap();
            assert!(request.verify(&public_key).unwrap());
            assert!(public_key.public_eq(&oracle::public_key(&*key)));
            assert_eq!(request.version(), 0);
            // Nothing behind the DER, nothing lost in it.
            assert_eq!(request.to_der().unwrap(), der);
        }
    }

    #[test]
    fn the_common_name_is_the_whole_subject() {
        let der = certificate_request(&*testing::p256(), "Zoë Ångström").unwrap();
        let request = X509Req::from_der(&der).unwrap();
        let entries: Vec<_> = request.subject_name().entries().collect();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].object().nid(), Nid::COMMONNAME);
        assert_eq!(entries[0].data().as_slice(), "Zoë Ångström".as_bytes());
        // Asks for nothing else: no attributes.
        let parsed = x509_cert::request::CertReq::from_der(&der).unwrap();
        assert!(parsed.info.attributes.is_empty());
    }

    #[test]
    fn a_request_for_a_mailbox_names_it_in_the_alternative_name_alone() {
        let der = mailbox_request(&*testing::p384(), "alice@example.com").unwrap();
        let request = X509Req::from_der(&der).unwrap();
        assert!(request.verify(&oracle::public_key(&*testing::p384())).unwrap());
        assert_eq!(request.subject_name().entries().count(), 0);
        assert_eq!(request.extensions().unwrap().len(), 1);
        assert!(der.windows(17).any(|window| window == b"alice@example.com"));
        assert!(mailbox_request(&*testing::p256(), "älice@example.com").is_err());
    }

    #[test]
    fn without_a_common_name_the_subject_is_empty() {
        let der = certificate_request(&*testing::p256(), "").unwrap();
        let request = X509Req::from_der(&der).unwrap();
        assert_eq!(request.subject_name().entries().count(), 0);
        let longest = "ü".repeat(64);
        assert!(certificate_request(&*testing::p256(), &longest).is_ok());
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        check_refused(&"a".repeat(65));
        check_refused(&"a".repeat(1_000_000));
        check_refused("a\0b");
        check_refused("a\r\nb");
        check_refused("\u{7f}");
        check_refused("\u{85}");
    }

    #[test]
    fn a_changed_request_no_longer_proves_possession() {
        let key = testing::p256();
        let mut der = certificate_request(&*key, "alice").unwrap();
        let place = der.windows(5).position(|w| w == b"alice").unwrap();
        der[place] = b'A';
        let request = X509Req::from_der(&der).unwrap();
        assert!(!request.verify(&oracle::public_key(&*key)).unwrap());
    }

    #[test]
    fn why_the_key_did_not_sign_is_told() {
        let refusal = certificate_request(&oracle::Unwilling, "alice").unwrap_err();
        assert!(refusal.is_temporary(), "{refusal}");
    }
}
