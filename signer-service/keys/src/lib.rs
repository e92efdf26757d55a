//! The one place that touches private keys and sealing keys.
//!
//! Whoever wants something signed holds an `Arc<dyn SigningKey>`, handed out by a [`KeyStore`] for a [`KeyId`]. No key
//! can be exported: what leaves this crate is public keys, signatures and sealed bytes. [`sealing`] is what keeps
//! secrets on disk closed, [`adapter`] lets the certificate and CMS builders sign with any [`SigningKey`], and [`tls`]
//! makes the configurations of rustls. Where keys are is decided by [`StoreSettings`]: in sealed files, or in a security
//! module ([`pkcs11`]).
//!
//! Everything here blocks: generating RSA keys takes up to seconds, signing takes milliseconds. Asynchronous callers go
//! through `spawn_blocking`.

mod algorithm;
mod error;
mod key_id;
#[cfg(test)]
mod oracle;
mod private_file;
mod request;
mod settings;
mod signing;
mod software;
mod store;

pub mod adapter;
pub mod pkcs11;
pub mod sealing;
pub mod testing;
pub mod tls;

pub use algorithm::{DigestAlgorithm, KeyAlgorithm, SignatureAlgorithm};
pub use error::KeyError;
pub use key_id::KeyId;
pub use pkcs11::{Pkcs11KeyStore, Pkcs11Settings};
pub use request::certificate_request;
pub use settings::{StoreKind, StoreSettings};
pub use signing::{Signature, SigningKey};
pub use software::SoftwareKeyStore;
pub use store::KeyStore;
