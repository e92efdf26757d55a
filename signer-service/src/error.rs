//! What can go wrong in the gateway outside a single message.

use std::path::PathBuf;

use thiserror::Error;

/// A failure of the gateway itself. What is wrong with one message is said in its SMTP reply.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{folder} holds no gateway; run `sealwright gateway init --data {folder}` first", folder = .folder.display())]
    NotInitialized { folder: PathBuf },
    #[error("{} already holds a gateway; choose another folder", .folder.display())]
    AlreadyInitialized { folder: PathBuf },
    #[error("{} is not empty; choose a new folder for the gateway", .folder.display())]
    NotEmpty { folder: PathBuf },
    #[error("could not {action} {}", .path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is not a valid configuration: {reason}", .path.display())]
    Configuration { path: PathBuf, reason: String },
    #[error("the database refused a query")]
    Query(#[from] diesel::result::Error),
    #[error("the database is not available")]
    Database(#[from] migrations::Error),
    #[error("the key {key} could not be used")]
    Key {
        key: String,
        #[source]
        source: keys::KeyError,
    },
    #[error("could not prepare TLS")]
    Tls(#[source] keys::KeyError),
    #[error("could not listen on {address}")]
    Listen {
        address: std::net::SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("the stored identity {id} cannot be read: {reason}")]
    StoredIdentity { id: String, reason: String },
    #[error("the work was interrupted because the gateway is stopping")]
    Interrupted,
    #[error("the token file {} {reason}", .path.display())]
    Token { path: PathBuf, reason: &'static str },
    #[error("the certificate authority at {url} cannot be asked")]
    CertificateAuthority {
        url: String,
        #[source]
        source: ca_api::ClientError,
    },
    #[error("{} holds no certificate, neither in PEM nor in DER", .path.display())]
    NoCertificate { path: PathBuf },
    #[error("the certificate in {} names no mailbox; only for a whole domain (domain_certificate) it need not", .path.display())]
    CertificateWithoutMailbox { path: PathBuf },
    #[error("the DNS cannot be asked")]
    Dns(#[source] dns::InvalidConfig),
    #[error("{} cannot be trusted", .path.display())]
    TrustAnchor {
        path: PathBuf,
        #[source]
        source: verifier::AnchorProblem,
    },
    #[error("could not start to take in mail")]
    Smtp(#[from] smtp::server::ServerError),
    #[error("the storage of queued mail is not available")]
    Storage(#[from] crate::queue::BodyError),
    #[error("could not start the milter")]
    Milter(#[from] milter::server::ServerError),
}
