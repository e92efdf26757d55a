//! TLS: who a server is, and whom a client trusts.
//!
//! One crypto provider is named everywhere, so nothing here depends on [`install_default_provider`]; that is for
//! libraries that take the default of the process.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use der::asn1::OctetStringRef;
use der::{Decode, Encode, Sequence};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::adapter::Using;
use crate::private_file::{self, Existing, Readers};
use crate::sealing::SealingKey;
use crate::software::SoftwareKey;
use crate::{KeyAlgorithm, KeyError};

/// A certificate chain and its private key, with which a server shows who it is.
pub struct TlsIdentity(Arc<CertifiedKey>);

impl TlsIdentity {
    /// Reads a chain (its own certificate first) and the unencrypted private key for it from PEM files.
    ///
    /// The key may be PKCS#8, PKCS#1 or SEC 1, and its file must not be readable for everybody; a group may read it, as
    /// is usual where one certificate serves several services.
    pub fn from_pem_files(certificate: &Path, private_key: &Path) -> Result<Self, KeyError> {
        let text = private_file::read(certificate, "TLS certificate", LONGEST_PEM, Readers::Anybody)?;
        let chain = certificates(&text, || certificate.display().to_string())?;

        let text = private_file::read(private_key, "private key for TLS", LONGEST_PEM, Readers::OwnerAndGroup)?;
        let place = private_key.display().to_string();
        let key = match PrivateKeyDer::from_pem_slice(&text) {
            Ok(key) => Zeroizing::new(key),
            Err(_) if ENCRYPTED.iter().any(|mark| contains(&text, mark)) => {
                let path = private_key.into();
                return Err(KeyError::EncryptedPrivateKey { path });
            }
            Err(pem::Error::NoItemsFound) => {
                return Err(KeyError::PemWithout {
                    place,
                    what: "private key",
                    label: "PRIVATE KEY",
                });
            }
            Err(source) => return Err(KeyError::InvalidPem { place, source }),
        };
        match certified(chain, &key) {
            Ok(certified) => Ok(Self(certified)),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(KeyError::KeyOfAnotherCertificate {
                    certificate: certificate.into(),
                    key: private_key.into(),
                })
            }
            Err(source) => Err(KeyError::UnusableForTls { place, source }),
        }
    }

    /// Makes a new P-256 key and a certificate for it, signed by itself.
    ///
    /// `names` are host names and IP addresses, at least one; the times are seconds since 1970.
    pub fn self_made(names: &[String], not_before: i64, not_after: i64) -> Result<Self, KeyError> {
        SelfMade::make(names, not_before, not_after)?.into_identity("memory")
    }

    /// The self-made identity that is kept in `folder`; a new one, kept there for the next time, when there is none for
    /// exactly these names that is valid at `now` (seconds since 1970) and for another 30 days.
    ///
    /// The files are `tls.sealed`, which holds certificate and key, and `tls.pem`, a copy of the certificate for
    /// clients to trust. A new identity is valid for ten years, since clients that trust it have to be told when it
    /// changes. One process at a time may use a folder like this.
    pub fn self_made_in(folder: &Path, sealing_key: &SealingKey, names: &[String], now: i64) -> Result<Self, KeyError> {
        let path = folder.join(SEALED_FILE);
        let place = path.display().to_string();
        let kept = match private_file::read(&path, "TLS identity", LONGEST_PEM, Readers::OwnerOnly) {
            Ok(sealed) => Some(SelfMade::open(sealing_key, &sealed, &place)?),
            Err(KeyError::FileMissing { .. }) => None,
            Err(error) => return Err(error),
        };
        let self_made = match kept {
            Some(kept) if kept.serves(names, now) => kept,
            _ => {
                // A day back, for clients whose clock is behind.
                let not_before = now.saturating_sub(DAY).max(0);
                let made = SelfMade::make(names, not_before, now.saturating_add(3653 * DAY))?;
                let sealed = made.seal(sealing_key)?;
                private_file::write(&path, &sealed, 0o600, Existing::Replace)?;
                made
            }
        };
        let identity = self_made.into_identity(&place)?;
        // The copy is made from the sealed file each time, so that the two never disagree after a crash.
        let copy = folder.join(CERTIFICATE_FILE);
        let certificate = identity.certificate_pem();
        let up_to_date = private_file::read(&copy, "TLS certificate", LONGEST_PEM, Readers::Anybody)
            .is_ok_and(|found| found.as_slice() == certificate.as_bytes());
        if !up_to_date {
            private_file::write(&copy, certificate.as_bytes(), 0o644, Existing::Replace)?;
        }
        Ok(identity)
    }

    /// The certificate chain in PEM, its own certificate first.
    pub fn certificate_pem(&self) -> String {
        self.0
            .cert
            .iter()
            .map(|certificate| {
                // The label is valid, and PEM can hold any bytes of less than some gigabytes.
                der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, certificate)
                    .expect("a certificate fits into PEM")
            })
            .collect()
    }

    /// For a server that shows this identity and asks clients for none: TLS 1.2 and 1.3, no ALPN.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            // Fails only for providers without cipher suites for these versions; ours has them.
            .expect("AWS-LC knows TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(self.0.clone())));
        Arc::new(config)
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity")
            .field("certificates", &self.0.cert.len())
            .finish_non_exhaustive()
    }
}

/// Whose certificates a client accepts. Certificates to trust are given in PEM, one or more; the text around them may be
/// in any encoding.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// What this system trusts (or the file in the environment variable `SSL_CERT_FILE`).
    System,
    /// These certificates and nothing else.
    Only(&'a [u8]),
    /// What this system trusts, and these certificates.
    SystemAnd(&'a [u8]),
}

/// For a client that shows no certificate of its own: TLS 1.2 and 1.3, no ALPN.
pub fn client_config(trust: Trust<'_>) -> Result<Arc<ClientConfig>, KeyError> {
    let mut roots = RootCertStore::empty();
    if let Trust::System | Trust::SystemAnd(_) = trust {
        let found = rustls_native_certs::load_native_certs();
        // Some systems carry certificates that nothing can parse; what matters is that others are left.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let source = found.errors.into_iter().next();
            return Err(KeyError::NoSystemTrust { source });
        }
    }
    if let Trust::Only(text) | Trust::SystemAnd(text) = trust {
        let place = || "the text with certificates to trust".into();
        for (index, certificate) in certificates(text, place)?.into_iter().enumerate() {
            roots.add(certificate).map_err(|source| KeyError::UnusableTrustAnchor {
                position: index + 1,
                source,
            })?;
        }
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        // Fails only for providers without cipher suites for these versions; ours has them.
        .expect("AWS-LC knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Makes AWS-LC the provider for libraries that take the default of the process. To be called first thing in `main` and
/// in tests; calling it again does nothing.
pub fn install_default_provider() {
    // An error means that there is a default already, and only the first can be.
    let _ = aws_lc_rs::default_provider().install_default();
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A self-made identity whose private key is still at hand.
struct SelfMade {
    certificate: Vec<u8>,
    pkcs8: Zeroizing<Vec<u8>>,
    names: Vec<String>,
    not_before: i64,
    not_after: i64,
}

/// What of it is sealed, in DER.
#[derive(Sequence)]
struct SealedForm<'a> {
    certificate: &'a OctetStringRef,
    pkcs8: &'a OctetStringRef,
    names: Vec<String>,
    not_before: i64,
    not_after: i64,
}

impl SelfMade {
    fn make(names: &[String], not_before: i64, not_after: i64) -> Result<Self, KeyError> {
        if names.is_empty() {
            let text = String::new();
            return Err(KeyError::InvalidServerName { text });
        }
        for name in names {
            if ServerName::try_from(name.as_str()).is_err() {
                let text = name.clone();
                return Err(KeyError::InvalidServerName { text });
            }
        }
        let instant = |seconds| {
            OffsetDateTime::from_unix_timestamp(seconds)
                .ok()
                .filter(|_| seconds >= 0)
        };
        let (Some(start), Some(end), true) = (instant(not_before), instant(not_after), not_before < not_after) else {
            return Err(KeyError::InvalidValidity { not_before, not_after });
        };

        let encoding = |source: rcgen::Error| KeyError::Encoding {
            what: "TLS certificate",
            source: source.into(),
        };
        let mut parameters = CertificateParams::new(names).map_err(encoding)?;
        parameters.not_before = start;
        parameters.not_after = end;
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.distinguished_name = DistinguishedName::new();
        // At most 64 characters (RFC 5280, appendix A, `ub-common-name`); clients look at the alternative names only.
        let common_name = names.iter().find(|name| name.len() <= 64);
        parameters.distinguished_name.push(
            DnType::CommonName,
            common_name.map_or("sealwright", |name| name.as_str()),
        );

        let (key, pkcs8) = SoftwareKey::generate(KeyAlgorithm::P256)?;
        let certificate = parameters.self_signed(&Using(&key)).map_err(encoding)?;
        Ok(Self {
            certificate: certificate.der().to_vec(),
            pkcs8,
            names: names.to_vec(),
            not_before,
            not_after,
        })
    }

    fn serves(&self, names: &[String], now: i64) -> bool {
        self.names == names && self.not_before <= now && now.saturating_add(30 * DAY) <= self.not_after
    }

    fn seal(&self, sealing_key: &SealingKey) -> Result<Vec<u8>, KeyError> {
        let plaintext = || {
            SealedForm {
                certificate: OctetStringRef::new(&self.certificate)?,
                pkcs8: OctetStringRef::new(&self.pkcs8)?,
                names: self.names.clone(),
                not_before: self.not_before,
                not_after: self.not_after,
            }
            .to_der()
        };
        let plaintext = plaintext().map_err(|source| KeyError::Encoding {
            what: "TLS identity",
            source: source.into(),
        })?;
        sealing_key.seal(CONTEXT, &Zeroizing::new(plaintext))
    }

    fn open(sealing_key: &SealingKey, sealed: &[u8], place: &str) -> Result<Self, KeyError> {
        let plaintext = sealing_key.open_at(CONTEXT, sealed, || place.into())?;
        let form = SealedForm::from_der(&plaintext).map_err(|_| KeyError::Damaged {
            place: place.into(),
            problem: "it holds something else than a TLS identity",
        })?;
        Ok(Self {
            certificate: form.certificate.as_bytes().to_vec(),
            pkcs8: Zeroizing::new(form.pkcs8.as_bytes().to_vec()),
            names: form.names,
            not_before: form.not_before,
            not_after: form.not_after,
        })
    }

    fn into_identity(self, place: &str) -> Result<TlsIdentity, KeyError> {
        let chain = vec![CertificateDer::from(self.certificate)];
        let key = PrivateKeyDer::Pkcs8(self.pkcs8.as_slice().into());
        let certified = certified(chain, &key).map_err(|source| KeyError::UnusableForTls {
            place: place.into(),
            source,
        })?;
        Ok(TlsIdentity(certified))
    }
}

/// Puts a chain and the key for it together, and makes sure that the key belongs to the first certificate.
fn certified(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>) -> Result<Arc<CertifiedKey>, rustls::Error> {
    // Not `CertifiedKey::from_der`, which takes the key by value and leaves its bytes in freed memory.
    let certified = CertifiedKey::new(chain, aws_lc_rs::sign::any_supported_type(key)?);
    certified.keys_match()?;
    Ok(Arc::new(certified))
}

/// The certificates of a PEM text, at least one.
fn certificates(text: &[u8], place: impl Fn() -> String) -> Result<Vec<CertificateDer<'static>>, KeyError> {
    let certificates = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| KeyError::InvalidPem { place: place(), source })?;
    if certificates.is_empty() {
        return Err(KeyError::PemWithout {
            place: place(),
            what: "certificate",
            label: "CERTIFICATE",
        });
    }
    Ok(certificates)
}

fn contains(text: &[u8], mark: &str) -> bool {
    text.windows(mark.len()).any(|window| window == mark.as_bytes())
}

/// How a PEM file says that its key is encrypted: PKCS#8 (RFC 7468 section 11), and the older way of OpenSSL.
const ENCRYPTED: [&str; 2] = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"];

/// A chain of certificates with RSA-4096 keys has some 10 kB.
const LONGEST_PEM: u64 = 1 << 20;

pub(crate) const SEALED_FILE: &str = "tls.sealed";
const CERTIFICATE_FILE: &str = "tls.pem";
pub(crate) const CONTEXT: &str = "tls:self-made";

/// In seconds.
const DAY: i64 = 86_400;

#[cfg(test)]
mod tests;
