//! What a domain's DNSSEC says of its servers' certificates, see [RFC 7672].
//!
//! [RFC 7672]: https://www.rfc-editor.org/rfc/rfc7672

use std::sync::Arc;

use der::{Decode as _, Encode as _};
use dns::{Answer, CertificateAssociation, Name, Resolver};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256, Sha512};
use x509_cert::Certificate;

/// What is known of the TLSA records of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Associations {
    /// There are none that DNSSEC proves, so nothing is asked of the server.
    Absent,
    /// There are records, none of which says anything that is understood: TLS without a known certificate, but never plain
    /// text (RFC 7672 section 2.2).
    Unusable,
    Usable(Vec<CertificateAssociation>),
}

/// Asks for the TLSA records of a server; `names` are its canonical name and its own, the former first (RFC 7672
/// section 2.2.3). Comes with the name that has them.
///
/// # Errors
/// One sentence: the server must not be used now, since whoever can suppress the records could pose as it.
pub(super) async fn look_up(resolver: &Resolver, names: &[&Name], port: u16) -> Result<(Associations, Name), String> {
    let mut base = None;
    for name in names {
        let Ok(asked) = name.below(&format!("_{port}._tcp")) else {
            continue;
        };
        match resolver.tlsa(&asked).await {
            Answer::Secure(found) => {
                let usable: Vec<CertificateAssociation> = found.records.into_iter().filter(is_usable).collect();
                let associations = match usable.as_slice() {
                    [] => Associations::Unusable,
                    _ => Associations::Usable(usable),
                };
                return Ok((associations, (*name).clone()));
            }
            Answer::Insecure(_) | Answer::NoData(_) | Answer::NxDomain(_) => {
                base.get_or_insert_with(|| (*name).clone());
            }
            Answer::Bogus(problem) => return Err(problem.to_string()),
            Answer::Failed(problem) => return Err(problem.to_string()),
        }
    }
    match base {
        Some(base) => Ok((Associations::Absent, base)),
        None => Err("its name is too long for TLSA records".to_owned()),
    }
}

/// DANE-TA(2) and DANE-EE(3) of RFC 7672 section 3.1; the usages of the Web PKI mean nothing to mail servers.
fn is_usable(record: &CertificateAssociation) -> bool {
    let length_fits = match record.matching_type {
        0 => !record.data.is_empty(),
        1 => record.data.len() == 32,
        2 => record.data.len() == 64,
        _ => false,
    };
    matches!(record.usage, 2 | 3) && matches!(record.selector, 0 | 1) && length_fits
}

/// Accepts a server's certificate if one of the records is about it.
#[derive(Debug)]
pub(super) struct ByAssociations {
    records: Vec<CertificateAssociation>,
    /// For DANE-TA: what the certificate may be for (RFC 7672 section 3.2.2).
    names: Vec<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ByAssociations {
    pub(super) fn new(records: Vec<CertificateAssociation>, names: &[String], provider: Arc<CryptoProvider>) -> Self {
        let names = names.iter().filter_map(|name| ServerName::try_from(name.clone()).ok());
        Self {
            records,
            names: names.collect(),
            provider,
        }
    }

    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        self.provider.clone()
    }

    fn of_usage(&self, usage: u8) -> impl Iterator<Item = &CertificateAssociation> {
        self.records.iter().filter(move |record| record.usage == usage)
    }

    /// The authorities that the records vouch for, among those that the server has shown and those in full in the DNS.
    fn authorities(&self, shown: &[CertificateDer<'_>]) -> RootCertStore {
        let mut authorities = RootCertStore::empty();
        for record in self.of_usage(2) {
            for certificate in shown.iter().filter(|certificate| is_about(record, certificate)) {
                // What cannot be read is no authority.
                let _ = authorities.add(certificate.clone().into_owned());
            }
            if (record.selector, record.matching_type) == (0, 0) {
                let _ = authorities.add(CertificateDer::from(record.data.clone()));
            }
        }
        authorities
    }
}

impl ServerCertVerifier for ByAssociations {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // RFC 7672 section 3.1.1: neither names nor dates of the certificate count, the records say it all.
        if self.of_usage(3).any(|record| is_about(record, end_entity)) {
            return Ok(ServerCertVerified::assertion());
        }
        let mut refusal = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authorities = self.authorities(intermediates);
        if authorities.is_empty() {
            return Err(refusal);
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(authorities), self.provider.clone()).build();
        let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
        for name in &self.names {
            match verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now) {
                Ok(verified) => return Ok(verified),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// RFC 6698 sections 2.1.2 and 2.1.3: the certificate or its public key, as it is or hashed.
fn is_about(record: &CertificateAssociation, certificate: &CertificateDer<'_>) -> bool {
    let selected = match record.selector {
        0 => certificate.to_vec(),
        1 => {
            let public_key = Certificate::from_der(certificate)
                .and_then(|certificate| certificate.tbs_certificate().subject_public_key_info().to_der());
            match public_key {
                Ok(public_key) => public_key,
                Err(_) => return false,
            }
        }
        _ => return false,
    };
    match record.matching_type {
        0 => selected == record.data,
        1 => Sha256::digest(&selected)[..] == record.data[..],
        2 => Sha512::digest(&selected)[..] == record.data[..],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use keys::adapter::Using;

    use super::*;

    /// A chain of an authority and a server for `mail.example.com`, in DER.
    fn chain(not_after: i64) -> [CertificateDer<'static>; 2] {
        let (authority_key, key) = (keys::testing::p256(), keys::testing::other_p256());
        let mut parameters = rcgen_authority();
        let at = |seconds| time_of(seconds);
        parameters.not_before = at(1_000_000_000);
        parameters.not_after = at(2_000_000_000);
        let authority = parameters.self_signed(&Using(&*authority_key)).unwrap();
        let issuer = rcgen::Issuer::from_params(&parameters, Using(&*authority_key));
        let mut server = rcgen::CertificateParams::new(vec!["mail.example.com".to_owned()]).unwrap();
        server.not_before = at(1_000_000_000);
        server.not_after = at(not_after);
        let server = server.signed_by(&Using(&*key), &issuer).unwrap();
        [server.der().clone(), authority.der().clone()]
    }

    fn rcgen_authority() -> rcgen::CertificateParams {
        let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Mail Authority");
        parameters
    }

    fn time_of(seconds: i64) -> time::OffsetDateTime {
        time::OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    fn record(usage: u8, selector: u8, matching_type: u8, certificate: &CertificateDer<'_>) -> CertificateAssociation {
        let selected = match selector {
            0 => certificate.to_vec(),
            _ => {
                let certificate = Certificate::from_der(certificate).unwrap();
                certificate
                    .tbs_certificate()
                    .subject_public_key_info()
                    .to_der()
                    .unwrap()
            }
        };
        let data = match matching_type {
            0 => selected,
            1 => Sha256::digest(&selected).to_vec(),
            _ => Sha512::digest(&selected).to_vec(),
        };
        CertificateAssociation {
            usage,
            selector,
            matching_type,
            data,
        }
    }

    fn accepts(records: Vec<CertificateAssociation>, names: &[&str], shown: &[CertificateDer<'static>]) -> bool {
        assert!(records.iter().all(is_usable));
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = ByAssociations::new(records, &names, provider);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_500_000_000));
        let anybody = ServerName::try_from("anybody.example").unwrap();
        verifier
            .verify_server_cert(&shown[0], &shown[1..], &anybody, &[], now)
            .is_ok()
    }

    const NAMES: [&str; 2] = ["example.com", "mail.example.com"];

    #[test]
    fn records_of_every_form_are_about_the_server_and_no_other() {
        let shown = chain(2_000_000_000);
        let other = chain(1_900_000_000);
        for (selector, matching_type) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
            assert!(accepts(
                vec![record(3, selector, matching_type, &shown[0])],
                &[],
                &shown
            ));
            // The authority has another key, so it is about neither selector.
            assert!(!accepts(
                vec![record(3, selector, matching_type, &shown[1])],
                &NAMES,
                &shown
            ));
        }
        assert!(!accepts(vec![record(3, 0, 1, &other[0])], &NAMES, &shown));
        let mut changed = record(3, 1, 1, &shown[0]);
        changed.data[7] ^= 1;
        assert!(!accepts(vec![changed.clone()], &NAMES, &shown));
        assert!(
            accepts(vec![changed, record(3, 1, 1, &shown[0])], &[], &shown),
            "one is enough"
        );
    }

    #[test]
    fn dates_and_names_count_for_authorities_only() {
        let expired = chain(1_400_000_000);
        assert!(accepts(vec![record(3, 1, 1, &expired[0])], &[], &expired));
        assert!(!accepts(vec![record(2, 1, 1, &expired[1])], &NAMES, &expired));
        let shown = chain(2_000_000_000);
        for (selector, matching_type) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
            let records = vec![record(2, selector, matching_type, &shown[1])];
            assert!(accepts(records.clone(), &NAMES, &shown));
            assert!(!accepts(records.clone(), &["example.com"], &shown), "for another name");
            assert!(!accepts(records, &[], &shown));
        }
    }

    #[test]
    fn an_authority_is_shown_or_in_the_dns_in_full() {
        let shown = chain(2_000_000_000);
        assert!(accepts(vec![record(2, 0, 0, &shown[1])], &NAMES, &shown[..1]));
        assert!(!accepts(vec![record(2, 0, 1, &shown[1])], &NAMES, &shown[..1]));
        assert!(!accepts(vec![record(2, 1, 0, &shown[1])], &NAMES, &shown[..1]));
        // A server's own certificate is no authority over itself.
        assert!(!accepts(vec![record(2, 0, 1, &shown[0])], &NAMES, &shown));
    }

    #[test]
    fn what_is_not_understood_is_not_usable() {
        let good = CertificateAssociation {
            usage: 3,
            selector: 1,
            matching_type: 1,
            data: vec![0; 32],
        };
        assert!(is_usable(&good));
        for (usage, selector, matching_type, length) in [
            (0, 1, 1, 32),
            (1, 1, 1, 32),
            (4, 1, 1, 32),
            (3, 2, 1, 32),
            (3, 1, 3, 32),
            (3, 1, 1, 31),
            (3, 1, 2, 32),
            (3, 0, 0, 0),
        ] {
            let record = CertificateAssociation {
                usage,
                selector,
                matching_type,
                data: vec![0; length],
            };
            assert!(!is_usable(&record), "{record:?}");
        }
    }
}
