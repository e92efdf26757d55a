//! What an embedder hands in, and the one question it asks.

use std::fmt;

use policies::time::Timestamp;

use crate::examine;
use crate::revocation::Sources;
use crate::trust::TrustStore;
use crate::verdict::Verdict;

/// What else the embedder has at hand. Nothing of it is trusted by itself.
#[derive(Debug, Clone, Default)]
pub struct Material {
    /// DER certificates of authorities that senders may have left out.
    pub intermediates: Vec<Vec<u8>>,
    /// DER CRLs.
    pub crls: Vec<Vec<u8>>,
}

/// Whether a tier may be shown although revocation could not be settled. Revoked certificates never keep one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnsettledRevocation {
    /// The tier stays, with a warning among the findings.
    KeepTier,
    /// The status is [`Status::Signed`] at best.
    WithholdTier,
}

/// What the embedder decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// No CRL was handed in for a certificate of the path.
    pub not_checked: UnsettledRevocation,
    /// CRLs were handed in, and none of them could be used: out of date, badly signed, of an unknown form.
    pub unknown: UnsettledRevocation,
    /// Larger messages are not looked at. In octets.
    pub maximum_message_size: usize,
}

impl Default for Policy {
    /// Keeps tiers that could not be checked, withholds those whose CRLs are of no use, reads up to 64 MiB.
    fn default() -> Self {
        Self {
            not_checked: UnsettledRevocation::KeepTier,
            unknown: UnsettledRevocation::WithholdTier,
            maximum_message_size: MAXIMUM_MESSAGE_BYTES,
        }
    }
}

/// Examines a message as it arrived: all header fields and the body, lines ending in CRLF.
///
/// Always answers; whatever is wrong with the message is in the verdict. Certificates are judged at `at`, never at
/// the time the signer claims. [`Verification`] takes more than this.
#[must_use]
pub fn verify(message: &[u8], trust: &TrustStore, material: &Material, at: Timestamp, policy: &Policy) -> Verdict {
    Verification::new(trust, at)
        .material(material)
        .policy(policy)
        .verify(message)
}

/// All that a message can be examined with. It can be used for any number of messages.
///
/// ```
/// use policies::time::Timestamp;
/// use verifier::{Material, RevocationStatus, TrustStore, Verification};
///
/// let (trust, material, answers) = (TrustStore::new(), Material::default(), Vec::new());
/// let verification = Verification::new(&trust, Timestamp::from_unix(1_795_305_600))
///     .material(&material)
///     .ocsp_responses(&answers);
/// let verdict = verification.verify(b"From: alice@example.org\r\n\r\nHi");
/// assert_eq!(verdict.revocation(), RevocationStatus::NotChecked);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Verification<'a> {
    pub(crate) trust: &'a TrustStore,
    pub(crate) at: Timestamp,
    pub(crate) intermediates: &'a [Vec<u8>],
    pub(crate) sources: Sources<'a>,
    pub(crate) policy: Policy,
    pub(crate) decryption: Option<&'a dyn Decryption>,
}

/// Whoever holds keys that messages may be encrypted for.
///
/// This crate never sees a key. What comes back is examined like a message that arrived in the clear; that it was
/// encrypted raises nothing.
pub trait Decryption: fmt::Debug + Sync {
    /// The MIME entity inside a CMS EnvelopedData or AuthEnvelopedData (a ContentInfo in DER or BER, RFC 5652 section 6,
    /// RFC 5083), or `None` if it cannot be opened.
    ///
    /// Implementations must not tell the sender why, nor how far they came (RFC 3218).
    fn decrypt(&self, cms: &[u8]) -> Option<Vec<u8>>;
}

impl<'a> Verification<'a> {
    /// With trust anchors at a point in time, and nothing else.
    #[must_use]
    pub fn new(trust: &'a TrustStore, at: Timestamp) -> Self {
        Self {
            trust,
            at,
            intermediates: &[],
            sources: Sources {
                crls: &[],
                ocsp_responses: &[],
            },
            policy: Policy::default(),
            decryption: None,
        }
    }

    /// Intermediate certificates and CRLs.
    #[must_use]
    pub fn material(mut self, material: &'a Material) -> Self {
        self.intermediates = &material.intermediates;
        self.sources.crls = &material.crls;
        self
    }

    /// DER OCSP responses (RFC 6960), stapled or fetched by somebody else. Each must be signed by the issuer of the
    /// certificate it is about or by a responder that it certified, and be current at the point in time; nonces are not
    /// looked at.
    #[must_use]
    pub fn ocsp_responses(mut self, ocsp_responses: &'a [Vec<u8>]) -> Self {
        self.sources.ocsp_responses = ocsp_responses;
        self
    }

    /// Opens encrypted layers, so that signatures inside them can be examined.
    #[must_use]
    pub fn decryption(mut self, decryption: &'a dyn Decryption) -> Self {
        self.decryption = Some(decryption);
        self
    }

    /// What the embedder decides.
    #[must_use]
    pub fn policy(mut self, policy: &Policy) -> Self {
        self.policy = *policy;
        self
    }

    /// Examines a message as it arrived. Always answers.
    #[must_use]
    pub fn verify(&self, message: &[u8]) -> Verdict {
        examine::message(message, self)
    }
}

/// Octets of a message, unless the embedder decides otherwise. Source: own choice; more than the 50 MB that mail systems
/// commonly take at most (Postfix `message_size_limit` is 10,240,000), and below what a small computer can hold twice.
const MAXIMUM_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
