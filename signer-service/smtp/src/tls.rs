//! What both directions need to know of TLS.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, CommonState, ConnectionCommon, DigitallySignedStruct, ProtocolVersion, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// The TLS session of a connection, for a Received header or a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// As rustls spells it, such as `TLSv1_3`.
    pub version: String,
    /// As rustls spells it, such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher_suite: String,
}

impl TlsInfo {
    pub(crate) fn of(state: &CommonState) -> Self {
        Self {
            version: state
                .protocol_version()
                .map(|version| format!("{version:?}"))
                .unwrap_or_default(),
            cipher_suite: state
                .negotiated_cipher_suite()
                .map(|suite| format!("{:?}", suite.suite()))
                .unwrap_or_default(),
        }
    }
}

/// The `tls-exporter` channel binding of RFC 9266: octets that both ends of this TLS session know, and nobody else.
/// Only with TLS 1.3, where every session has its own (section 4.2 says what is needed otherwise).
pub(crate) fn exporter<Data>(connection: &ConnectionCommon<Data>) -> Option<[u8; 32]> {
    if connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return None;
    }
    connection
        .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))
        .ok()
}

/// A configuration like `config`, which takes any certificate: opportunistic encryption (RFC 7435), where the
/// alternative would be plain text. Whoever can change the traffic can take STARTTLS away altogether.
pub fn danger_without_authentication(config: &ClientConfig) -> Result<ClientConfig, rustls::Error> {
    let provider = config.crypto_provider().clone();
    Ok(ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(DangerAcceptAnyCertificate { provider }))
        .with_no_client_auth())
}

#[derive(Debug)]
struct DangerAcceptAnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for DangerAcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
