//! What an applicant sends: a PKCS#10 request (RFC 2986), of which we take the public key.
//!
//! Names and extensions in it are ignored, but for what ACME has no other place for: a certificate says what evidence proves, not what was asked for
//! (BR 3.2.5).

use const_oid::db::{rfc3280, rfc5912};
use der::{Decode, Encode};
use policies::key_use::KeyUse;
use policies::mailbox::{Mailbox, MailboxName};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{KeyUsage, SubjectAltName};
use x509_cert::request::{CertReq, ExtensionReq};

use crate::error::Error;
use crate::signature::{self, PublicKey};

/// A key whose owner has signed the request.
#[derive(Clone, Debug)]
pub(crate) struct CertificateRequest {
    public_key: SubjectPublicKeyInfoOwned,
    /// The addresses in the subject and its alternative names; what is no address is kept as an error.
    names: Result<Vec<Mailbox>, &'static str>,
    /// What its keyUsage asks for, if it has one.
    key_use: Result<Option<KeyUse>, &'static str>,
}

impl CertificateRequest {
    /// Reads DER, checks that the key may stand in a certificate, and that the request was signed with it
    /// (RFC 2986 section 3, note 2).
    pub(crate) fn parse(der: &[u8]) -> Result<Self, Error> {
        let unusable = |reason: &str| Error::CertificateRequest {
            reason: reason.to_owned(),
        };
        if der.len() > MOST_OCTETS {
            return Err(unusable("it is larger than 16 KiB"));
        }
        let request = CertReq::from_der(der).map_err(|_| unusable("it is not DER of a CertificationRequest"))?;
        let names = names(&request);
        let key_use = key_use(&request);
        let public_key = request.info.public_key;
        let key = PublicKey::parse(&public_key).map_err(|unacceptable| Error::KeyNotAllowed {
            section: unacceptable.section,
            reason: unacceptable.reason,
        })?;
        let signed = signature::signed_part(der).map_err(|_| unusable("it is not DER of a CertificationRequest"))?;
        // A signature is a whole number of octets: with unused bits there would be two encodings of one request.
        let signature = request
            .signature
            .as_bytes()
            .ok_or_else(|| unusable("its signature is not octets"))?;
        key.verify(&request.algorithm, signed, signature).map_err(|_| {
            unusable("it is not signed with the key it carries, or not with SHA-256, SHA-384 or SHA-512")
        })?;
        Ok(Self {
            public_key,
            names,
            key_use,
        })
    }

    /// RFC 8555 section 7.4: a request that comes through ACME names exactly the identifiers of its order. They are
    /// compared and then forgotten, like all names in requests.
    pub(crate) fn must_name_only(&self, mailbox: &Mailbox) -> Result<(), Error> {
        let unusable = |reason: &str| Error::CertificateRequest {
            reason: reason.to_owned(),
        };
        match &self.names {
            Err(reason) => Err(unusable(reason)),
            Ok(names) if names.is_empty() => Err(unusable(
                "it names no address: put that of the order into its subject alternative name",
            )),
            Ok(names) if names.iter().all(|name| name == mailbox) => Ok(()),
            Ok(_) => Err(unusable("it names another address than the order")),
        }
    }

    /// The use that the request itself asks for, where a protocol has no other place for it; `None` if it does not say.
    pub(crate) fn key_use(&self) -> Result<Option<KeyUse>, Error> {
        self.key_use.map_err(|reason| Error::CertificateRequest {
            reason: reason.to_owned(),
        })
    }

    pub(crate) fn public_key(&self) -> &SubjectPublicKeyInfoOwned {
        &self.public_key
    }
}

/// RFC 8823 section 3: only signing bits, only encryption bits, or both kinds of them.
fn key_use(request: &CertReq) -> Result<Option<KeyUse>, &'static str> {
    for extension in requested_extensions(request)? {
        if extension.extn_id == rfc5912::ID_CE_KEY_USAGE {
            let KeyUsage(usages) =
                KeyUsage::from_der(extension.extn_value.as_bytes()).map_err(|_| "its keyUsage cannot be read")?;
            return match KeyUse::of(usages) {
                Some(key_use) => Ok(Some(key_use)),
                None => Err("its keyUsage asks for something else than signing and encryption"),
            };
        }
    }
    Ok(None)
}

fn requested_extensions(request: &CertReq) -> Result<Vec<Extension>, &'static str> {
    let mut requested = Vec::new();
    for attribute in request.info.attributes.iter() {
        if attribute.oid != rfc5912::ID_EXTENSION_REQ {
            continue;
        }
        for value in attribute.values.iter() {
            let extensions = value
                .to_der()
                .and_then(|der| ExtensionReq::from_der(&der))
                .map_err(|_| "its extension request cannot be read")?;
            requested.extend(extensions.0);
        }
    }
    Ok(requested)
}

/// Every address that the request asks for: in the subject alternative name, and in the subject as emailAddress, or as
/// a common name that looks like one.
fn names(request: &CertReq) -> Result<Vec<Mailbox>, &'static str> {
    let mut names = Vec::new();
    for extension in requested_extensions(request)? {
        if extension.extn_id != rfc5912::ID_CE_SUBJECT_ALT_NAME {
            continue;
        }
        let alternative = SubjectAltName::from_der(extension.extn_value.as_bytes())
            .map_err(|_| "its subject alternative name cannot be read")?;
        for name in &alternative.0 {
            match MailboxName::from_general_name(name) {
                Ok(Some(name)) => names.push(
                    Mailbox::from_subject_alternative_name(&name)
                        .map_err(|_| "its subject alternative name holds what is no address")?,
                ),
                _ => return Err("its subject alternative name holds something else than addresses"),
            }
        }
    }
    for attribute in request.info.subject.iter() {
        let text = || str::from_utf8(attribute.value.value()).unwrap_or_default();
        match attribute.oid {
            rfc3280::EMAIL_ADDRESS => {
                names.push(Mailbox::parse(text()).map_err(|_| "its emailAddress is no address")?);
            }
            const_oid::db::rfc4519::CN if text().contains('@') => {
                names.push(Mailbox::parse(text()).map_err(|_| "its common name is nearly an address")?);
            }
            _ => {}
        }
    }
    Ok(names)
}

/// A request with a 4096-bit key and some attributes has about two thousand.
const MOST_OCTETS: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: &dyn keys::SigningKey) -> Vec<u8> {
        keys::certificate_request(key, "ignored").unwrap()
    }

    fn check(der: &[u8], expected: &str) {
        let error = CertificateRequest::parse(der).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    }

    #[test]
    fn the_key_of_a_request_that_it_signed_is_taken() {
        for key in keys::testing::all() {
            let parsed = CertificateRequest::parse(&request(&*key)).unwrap();
            assert_eq!(parsed.public_key(), key.public_key());
        }
    }

    #[test]
    fn a_request_for_the_key_of_somebody_else_is_refused() {
        let mut forged = request(&*keys::testing::p256());
        let theirs = keys::testing::other_p256();
        let theirs = theirs.public_key().subject_public_key.raw_bytes().to_vec();
        let ours = keys::testing::p256();
        let ours = ours.public_key().subject_public_key.raw_bytes().to_vec();
        let at = forged.windows(ours.len()).position(|window| window == ours).unwrap();
        forged[at..at + theirs.len()].copy_from_slice(&theirs);
        check(&forged, "not signed with the key");
    }

    #[test]
    fn damaged_and_oversized_requests_are_refused() {
        check(b"", "not DER");
        check(b"-----BEGIN CERTIFICATE REQUEST-----", "not DER");
        check(&vec![0x30; MOST_OCTETS + 1], "larger than 16 KiB");
        let mut trailing = request(&*keys::testing::p256());
        trailing.push(0);
        check(&trailing, "not DER");
    }

    /// RFC 2986 has no field that we could lose: any changed bit makes the request unusable.
    #[test]
    fn no_bit_of_a_request_can_be_changed() {
        let good = request(&*keys::testing::p256());
        for index in 0..good.len() {
            for bit in 0..8 {
                let mut changed = good.clone();
                changed[index] ^= 1 << bit;
                assert!(
                    CertificateRequest::parse(&changed).is_err(),
                    "bit {bit} of octet {index}"
                );
            }
        }
    }

    #[test]
    fn keys_that_are_too_weak_are_refused_although_they_sign() {
        let key = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(1024).unwrap()).unwrap();
        let mut builder = openssl::x509::X509ReqBuilder::new().unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.sign(&key, openssl::hash::MessageDigest::sha256()).unwrap();
        check(&builder.build().to_der().unwrap(), "1024 bits");
    }

    #[test]
    fn requests_signed_with_sha1_are_refused() {
        let key = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
        let mut builder = openssl::x509::X509ReqBuilder::new().unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.sign(&key, openssl::hash::MessageDigest::sha1()).unwrap();
        check(&builder.build().to_der().unwrap(), "SHA-256");
    }
}
