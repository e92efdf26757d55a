//! The one place that touches private keys and sealing keys.
//!
//! Whoever wants something signed holds an `Arc<dyn SigningKey>`, handed out by a [`KeyStore`] for a [`KeyId`]. No key
//! of a store can be exported: what leaves this crate is public keys, signatures, opened messages and sealed bytes. Who
//! encrypts holds a [`RecipientKey`], who opens an `Arc<dyn DecryptionKey>`. The keys that are made for subscribers
//! ([`ExportableKey`]) are in no store and leave encrypted, as [`pkcs12`] or to the [`escrow`]. [`sealing`] is what keeps
//! secrets on disk closed, [`adapter`] lets the certificate and CMS builders sign with any [`SigningKey`], and [`tls`]
//! makes the configurations of rustls. Where keys are is decided by [`StoreSettings`]: in sealed files, or in a security
//! module ([`pkcs11`]).
//!
//! Everything here blocks: generating RSA keys takes up to seconds, signing takes milliseconds. Asynchronous callers go
//! through `spawn_blocking`.

mod algorithm;
mod content_key;
mod decryption;
mod error;
mod export;
mod key_id;
#[cfg(test)]
mod oracle;
mod private_file;
mod recipient_key;
mod request;
mod settings;
mod shamir;
mod signing;
mod software;
mod store;

pub mod adapter;
pub mod escrow;
pub mod pkcs11;
pub mod pkcs12;
pub mod sealing;
pub mod testing;
pub mod tls;

pub use algorithm::{DigestAlgorithm, KeyAlgorithm, SignatureAlgorithm};
pub use content_key::{Ciphertext, ContentCipher, ContentKey};
pub use decryption::{Agreement, DecryptionKey, DecryptionKeys, OaepHash, ProtectedKey};
pub use error::KeyError;
pub use export::{ExportableKey, Passphrase};
pub use key_id::KeyId;
pub use pkcs11::{Pkcs11KeyStore, Pkcs11Settings};
pub use recipient_key::{
    AgreedKey, Curve, KeyDerivation, KeyTransport, RecipientKey, RecipientKeyKind, UnusableRecipientKey, shared_info,
};
pub use request::{certificate_request, mailbox_request};
pub use settings::{StoreKind, StoreSettings};
pub use signing::{Signature, SigningKey};
pub use software::SoftwareKeyStore;
pub use store::KeyStore;
