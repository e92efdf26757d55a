//! What is asked of the connection to a mail server, and how rustls is told.

use std::fmt;
use std::sync::Arc;

use dns::CertificateAssociation;
use rustls::ClientConfig;
use smtp::client::{TlsPolicy, danger_without_authentication};

use super::dane::ByAssociations;
use crate::config::Pin;

/// What is asked of the connection to a mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Plain text, because the operator says so.
    Plain,
    /// TLS if it is offered, whoever's certificate it is.
    Opportunistic,
    /// As [`Demand::Certificate`], but a server that fails is noticed and gets the mail (RFC 8461 section 5, testing).
    Tested,
    /// TLS, whoever's certificate it is: the domain has TLSA records that say no more (RFC 7672 section 2.2).
    Encrypted,
    /// TLS with a certificate for the host from a trusted authority.
    Certificate(Because),
    /// TLS with one of these public keys.
    Pinned(Vec<Pin>),
    /// TLS with a certificate that the TLSA records are about; the names count where they vouch for an authority.
    Dane {
        records: Vec<CertificateAssociation>,
        names: Vec<String>,
    },
}

/// Who asks for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Because {
    /// The configuration.
    Configured,
    /// The recipient's domain, by MTA-STS.
    MtaSts,
}

/// Where in a conversation TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    StartTls,
    /// With the first octet (RFC 8314 section 3.3).
    Implicit,
}

impl Demand {
    /// For logs, figures and `sealwright gateway route`.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Opportunistic => "opportunistic",
            Self::Tested => "mta-sts-testing",
            Self::Encrypted => "encrypted",
            Self::Certificate(Because::Configured) => "certificate",
            Self::Certificate(Because::MtaSts) => "mta-sts",
            Self::Pinned(_) => "pinned",
            Self::Dane { .. } => "dane",
        }
    }

    /// How the connection is made; `roots` has the trusted authorities.
    pub(super) fn tls(
        &self,
        beginning: Beginning,
        roots: &Arc<ClientConfig>,
    ) -> Result<(TlsPolicy, Arc<ClientConfig>), rustls::Error> {
        let provider = roots.crypto_provider().clone();
        let config = match self {
            Self::Plain => return Ok((TlsPolicy::Never, roots.clone())),
            Self::Opportunistic if beginning == Beginning::StartTls => {
                return Ok((TlsPolicy::Opportunistic, roots.clone()));
            }
            Self::Opportunistic | Self::Encrypted => Arc::new(danger_without_authentication(roots)?),
            Self::Tested | Self::Certificate(_) => roots.clone(),
            Self::Pinned(pins) => {
                let records = pins.iter().map(Pin::association).collect();
                by_associations(ByAssociations::new(records, &[], provider))?
            }
            Self::Dane { records, names } => by_associations(ByAssociations::new(records.clone(), names, provider))?,
        };
        let policy = match beginning {
            Beginning::StartTls => TlsPolicy::Required,
            Beginning::Implicit => TlsPolicy::Implicit,
        };
        Ok((policy, config))
    }
}

fn by_associations(verifier: ByAssociations) -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(verifier.provider()).with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(Arc::new(builder.with_no_client_auth()))
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain text, as configured",
            Self::Opportunistic => "TLS if it is offered, with any certificate",
            Self::Tested => {
                "TLS if it is offered; a certificate that is not valid for the host is noticed (MTA-STS, testing)"
            }
            Self::Encrypted => "TLS with any certificate, never plain text (TLSA records that cannot be used)",
            Self::Certificate(Because::Configured) => {
                "TLS with a certificate that is valid for the host, as configured"
            }
            Self::Certificate(Because::MtaSts) => {
                "TLS with a certificate that is valid for the host (MTA-STS, enforced)"
            }
            Self::Pinned(_) => "TLS with one of the pinned public keys",
            Self::Dane { .. } => "TLS with a certificate that the TLSA records name (DANE)",
        })
    }
}
