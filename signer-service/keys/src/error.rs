//! What can go wrong with keys, as facts that a caller can act on.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use crate::{KeyAlgorithm, KeyId};

/// Why a key operation failed. Each message says what failed, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    // What somebody typed.
    /// The text is not a [`KeyId`].
    #[error("`{}` is not a key id; use 1 to 64 of the characters a-z, 0-9 and -", shown(.text))]
    InvalidKeyId { text: String },

    /// The text is not a [`KeyAlgorithm`].
    #[error("`{}` is not a key algorithm; use one of p256, p384, rsa2048, rsa3072, rsa4096", shown(.text))]
    UnknownAlgorithm { text: String },

    /// The text cannot be the common name of a certificate request.
    #[error("`{}` cannot be a common name; use at most 64 characters without control characters, or leave it empty", shown(.text))]
    InvalidCommonName { text: String },

    // Keys in a store.
    /// The store has no key of that name.
    #[error("there is no key `{id}` in {place}; check the id, or restore the key from a backup")]
    NotFound { id: KeyId, place: String },

    /// The store has a key of that name, and keys are never overwritten.
    #[error("there is a key `{id}` in {place} already; keys are never overwritten, choose another id")]
    AlreadyExists { id: KeyId, place: String },

    /// The file opened, but what was sealed in it is not a key that we use.
    #[error("{} holds a key that is neither P-256, P-384 nor RSA of 2048, 3072 or 4096 bits; restore it from a backup", .path.display())]
    KeyRejected { path: PathBuf },

    /// The backend could not make a key. Trying again does not help.
    #[error("could not generate a {algorithm} key; check that this program runs on a supported processor and system")]
    GenerationFailed { algorithm: KeyAlgorithm },

    /// The key could not sign. Trying again does not help.
    #[error("could not sign; the key is unusable, replace it")]
    SigningFailed {
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },

    /// A device, service or system resource that is needed is not there at the moment. Trying again may help.
    #[error("{what} is not available at the moment; try again")]
    Unavailable {
        what: String,
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },

    // Security modules.
    /// The settings name no key store, or two.
    #[error("the settings of the key store do not fit together: {problem}")]
    StoreSettings { problem: &'static str },

    /// The file is not a PKCS#11 module that works here.
    #[error("cannot use {} as a PKCS#11 module; check that it is the module of the device, made for this processor, and that its own configuration is right", .path.display())]
    ModuleUnusable {
        path: PathBuf,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },

    /// No slot of the module holds the token.
    #[error("there is no {token} behind {}, which knows {}; check the settings, and that the device is connected", .module.display(), listed(.found))]
    TokenNotFound {
        token: String,
        module: PathBuf,
        /// The labels of the tokens that are there.
        found: Vec<String>,
    },

    /// The label does not tell which token is meant.
    #[error("more than one token is labelled `{}` (in slots {}); name the slot instead of the label, or label them differently", shown(.label), slots.iter().map(u64::to_string).collect::<Vec<_>>().join(" and "))]
    TokenAmbiguous { label: String, slots: Vec<u64> },

    /// The file cannot be a PIN.
    #[error("{} holds no PIN ({problem}); write the PIN of the token's user into it, and nothing else", .path.display())]
    InvalidPinFile { path: PathBuf, problem: &'static str },

    /// The token did not accept the PIN. It is not sent a second time, since tokens lock themselves after a few wrong ones.
    #[error("{token} refuses the PIN in {}, and it will not be tried again, since tokens lock themselves after a few wrong PINs; correct the file", .path.display())]
    PinRefused { token: String, path: PathBuf },

    /// One more wrong PIN would lock the token, so that none is sent.
    #[error(
        "{token} leaves one last try for its PIN, and this program does not take it; log in once with the right PIN in the device's own tool, then start again"
    )]
    PinLastTry { token: String },

    /// The token accepts no PIN any more.
    #[error("{token} has locked itself after too many wrong PINs; its security officer has to unlock it")]
    PinLocked { token: String },

    /// The token keeps no new keys and gives none away.
    #[error("{token} is write-protected; lift the protection to make or remove keys")]
    TokenReadOnly { token: String },

    /// The token cannot make keys of that kind.
    #[error("{token} cannot make {algorithm} keys; choose another algorithm or another device")]
    AlgorithmNotOffered {
        algorithm: KeyAlgorithm,
        token: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },

    /// The token has such a key, but it is not one that we use.
    #[error("the key `{id}` in {token} cannot be used: {problem}")]
    KeyUnusable {
        id: KeyId,
        token: String,
        problem: &'static str,
    },

    /// The token has more than one key of that name.
    #[error(
        "there is more than one key `{id}` in {token}; find out with the device's own tool which one is meant, and remove or rename the others"
    )]
    KeyAmbiguous { id: KeyId, token: String },

    /// The name belongs to another key than when it was opened.
    #[error(
        "the key `{id}` in {token} is another one than before; restore the right token, or start again with the new key"
    )]
    KeyReplaced { id: KeyId, token: String },

    /// The token refused, and will refuse again.
    #[error("{token} did not {action}; the cause says why, the manual of the device has more")]
    TokenRefused {
        action: &'static str,
        token: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },

    // What is sealed.
    /// The bytes are not in the form in which things are sealed.
    #[error("{place} is damaged ({problem}); restore it from a backup")]
    Damaged { place: String, problem: &'static str },

    /// The bytes have the form, but do not open.
    #[error(
        "{place} does not open: it was changed, moved from another name, or sealed with another sealing key; restore \
         it from a backup, or use the sealing key it was sealed with"
    )]
    DoesNotOpen { place: String },

    /// The plaintext is longer than one seal may hold.
    #[error("cannot seal {length} bytes as `{context}`: at most {limit} bytes fit; store it in parts")]
    TooLongToSeal {
        context: String,
        length: usize,
        limit: usize,
    },

    /// The file is not a sealing key.
    #[error("{} is not a sealing key ({problem}); restore it from a backup", .path.display())]
    NotASealingKey { path: PathBuf, problem: &'static str },

    // Files.
    /// The file is not there.
    #[error("there is no {what} at {}; check the path", .path.display())]
    FileMissing { what: &'static str, path: PathBuf },

    /// The file is there already and is not overwritten.
    #[error("{} exists already and is not overwritten; choose another place, or move it away", .path.display())]
    FileExists { path: PathBuf },

    /// The file is secret, but others can read it.
    #[error("{} is open to other users (mode {mode:04o}); run `chmod {advice} {}`", .path.display(), .path.display())]
    OpenToOthers {
        path: PathBuf,
        mode: u32,
        advice: &'static str,
    },

    /// The file is larger than such a file can be.
    #[error("{} is larger than the {limit} bytes that such a file may have; check that it is the right file", .path.display())]
    FileTooLarge { path: PathBuf, limit: u64 },

    /// The system refused to read or write.
    #[error("cannot {action} {}; check that this user may do that, and that the disk is healthy and not full", .path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    // TLS.
    /// A PEM file or text without the block that is needed.
    #[error("{place} contains no {what}; it needs a PEM block that begins with `-----BEGIN {label}-----`")]
    PemWithout {
        place: String,
        what: &'static str,
        label: &'static str,
    },

    /// A PEM file or text that cannot be read.
    #[error("{place} is not valid PEM; write the file anew, with its BEGIN and END lines")]
    InvalidPem {
        place: String,
        #[source]
        source: rustls_pki_types::pem::Error,
    },

    /// The key file is protected by a password, which a service cannot type.
    #[error("the private key in {} is protected by a password; write it without one (`openssl pkey -in … -out …`) and guard the file", .path.display())]
    EncryptedPrivateKey { path: PathBuf },

    /// The key or certificate is of a kind or in a form that TLS here cannot use.
    #[error("the private key in {} or the certificate for it cannot be used for TLS; use an ECDSA, Ed25519 or RSA key (2048 bits or more) and an X.509 certificate", .place)]
    UnusableForTls {
        place: String,
        #[source]
        source: rustls::Error,
    },

    /// The key belongs to another certificate.
    #[error("the private key in {} does not belong to the first certificate in {}; give the pair that belongs together", .key.display(), .certificate.display())]
    KeyOfAnotherCertificate { certificate: PathBuf, key: PathBuf },

    /// A name under which a server cannot be reached.
    #[error("`{}` is neither a host name nor an IP address; a TLS certificate needs at least one of those", shown(.text))]
    InvalidServerName { text: String },

    /// A certificate cannot last from then to then.
    #[error(
        "a TLS certificate cannot be valid from {not_before} to {not_after} (seconds since 1970); give an end after the start, both before the year 10000"
    )]
    InvalidValidity { not_before: i64, not_after: i64 },

    /// A certificate to trust that is not one.
    #[error("certificate number {position} to trust in TLS cannot be used; give X.509 certificates in PEM")]
    UnusableTrustAnchor {
        position: usize,
        #[source]
        source: rustls::Error,
    },

    /// The system has no certificates to trust.
    #[error("this system has no trusted certificates; install its package of CA certificates, or set SSL_CERT_FILE")]
    NoSystemTrust {
        #[source]
        source: Option<rustls_native_certs::Error>,
    },

    /// The certificates and keys make no PKCS#12 file.
    #[error("the PKCS#12 file cannot be written: {problem}")]
    Pkcs12 { problem: &'static str },

    // Escrow.
    /// An escrow that anybody opens alone, or nobody at all.
    #[error(
        "{threshold} of {shares} shares cannot guard an escrow: ask for at least 2, and for no more than there are"
    )]
    EscrowThreshold { threshold: u8, shares: u8 },

    /// The text of an escrow key or of a share.
    #[error("this is not the text of an {what}: {problem}; copy it again, all of it")]
    EscrowText { what: &'static str, problem: &'static str },

    /// The shares do not open the escrow.
    #[error("the shares do not open the escrow: {problem}")]
    EscrowShares { problem: &'static str },

    /// A certificate or a request could not be written.
    #[error("could not write the {what}")]
    Encoding {
        what: &'static str,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl KeyError {
    /// Whether the same call may succeed later without anybody repairing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::File { source, .. } => {
                matches!(
                    source.kind(),
                    io::ErrorKind::Interrupted
                        | io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::OutOfMemory
                        | io::ErrorKind::StorageFull
                        | io::ErrorKind::QuotaExceeded
                        | io::ErrorKind::ResourceBusy
                ) || matches!(
                    source.raw_os_error(),
                    Some(TOO_MANY_FILES_OF_PROCESS | TOO_MANY_FILES_OF_SYSTEM)
                )
            }
            _ => false,
        }
    }

    /// For `map_err` on file operations.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

/// A text from outside, fit for a terminal and a log line: escaped, and cut after 80 characters.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        shown.push('…');
    }
    shown
}

/// Labels for people: quoted and escaped, or that there are none.
fn listed(labels: &[String]) -> String {
    match labels {
        [] => "no token".into(),
        labels => labels
            .iter()
            .map(|label| format!("`{}`", shown(label)))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// EMFILE and ENFILE, which `io::ErrorKind` has no stable name for. The numbers are the same on Linux, the BSDs and macOS.
const TOO_MANY_FILES_OF_PROCESS: i32 = 24;
const TOO_MANY_FILES_OF_SYSTEM: i32 = 23;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(source: io::Error) -> KeyError {
        KeyError::file("read", Path::new("/keys/a.key"))(source)
    }

    #[test]
    fn what_may_pass_by_itself_is_temporary() {
        assert!(file(io::ErrorKind::StorageFull.into()).is_temporary());
        assert!(file(io::Error::from_raw_os_error(24)).is_temporary());
        let what = "the security module".into();
        assert!(KeyError::Unavailable { what, source: None }.is_temporary());
    }

    #[test]
    fn what_somebody_has_to_repair_is_not() {
        assert!(!file(io::ErrorKind::PermissionDenied.into()).is_temporary());
        assert!(!file(io::ErrorKind::NotFound.into()).is_temporary());
        assert!(!KeyError::SigningFailed { source: None }.is_temporary());
        let place = "/keys/a.key".into();
        assert!(!KeyError::DoesNotOpen { place }.is_temporary());
    }

    #[test]
    fn the_cause_is_the_source_and_not_in_the_message() {
        let error = file(io::ErrorKind::PermissionDenied.into());
        assert!(error.to_string().starts_with("cannot read /keys/a.key; check "));
        assert_eq!(error.source().unwrap().to_string(), "permission denied");
    }

    #[test]
    fn text_from_outside_cannot_disturb_the_terminal() {
        assert_eq!(shown("a\u{1b}[2J\u{202e}b\n"), "a\\u{1b}[2J\\u{202e}b\\n");
        assert_eq!(shown(&"x".repeat(5000)).chars().count(), 81);
    }
}
