//! Whom the embedder trusts, and with what.

use std::sync::Arc;

use thiserror::Error;

use crate::backend::Backend;
use crate::certificate::Certificate;
use crate::crypto::{Crypto, UnacceptableAlgorithm};
use crate::distinguished_name::DistinguishedName;
use crate::extensions::KEY_CERT_SIGN;
use crate::finding::Problem;
use crate::links::VerifiedLinks;

/// What an anchor's certificates are believed about.
///
/// There is no default: a root in some trust store says that connections or signatures work, not that somebody there
/// has checked who people are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vouches {
    /// Identities: its certificates may carry a tier.
    Tiers,
    /// Only that an address owns a key: signatures verify, no tier is shown.
    SignaturesOnly,
}

/// The trust anchors, and how signatures below them are checked. Meant to be made once and used for every message.
#[derive(Debug, Clone, Default)]
pub struct TrustStore {
    anchors: Vec<Anchor>,
    backend: Backend,
    links: Option<Arc<VerifiedLinks>>,
}

/// Why a certificate cannot be a trust anchor.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnchorProblem {
    /// The PEM armour is damaged, or holds no certificate.
    #[error("the trust anchor is not a PEM certificate")]
    NotPem,
    /// It is not a certificate.
    #[error("the trust anchor cannot be read")]
    Unreadable(#[source] Problem),
    /// Not an authority that may sign certificates (RFC 5280 sections 4.2.1.3 and 4.2.1.9).
    #[error("the certificate of {subject} is not that of an authority; give the root, not the signer")]
    NotAnAuthority {
        /// Common name, organization or serial number.
        subject: String,
    },
    /// A key that is not on the list.
    #[error("the key of {subject} is not accepted: {reason}")]
    Key {
        /// Common name, organization or serial number.
        subject: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl TrustStore {
    /// Trusts nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one DER certificate, or all certificates of a PEM text. One that is there already stays; it vouches for tiers
    /// only if it was added for tiers each time.
    ///
    /// # Errors
    ///
    /// [`AnchorProblem`] if any of them cannot anchor a path.
    pub fn add(mut self, anchor: &[u8], vouches: Vouches) -> Result<Self, AnchorProblem> {
        match str::from_utf8(anchor) {
            Ok(text) if text.contains(PEM_BEGIN) => {
                for block in text.split(PEM_BEGIN).skip(1) {
                    let (_, raw) = der::pem::decode_vec(format!("{PEM_BEGIN}{}", upto_end(block)).as_bytes())
                        .map_err(|_| AnchorProblem::NotPem)?;
                    self.insert(Anchor::new(raw, vouches)?);
                }
            }
            _ => self.insert(Anchor::new(anchor.to_vec(), vouches)?),
        }
        Ok(self)
    }

    fn insert(&mut self, anchor: Anchor) {
        match self.anchors.iter_mut().find(|known| known.raw == anchor.raw) {
            Some(known) if anchor.vouches == Vouches::SignaturesOnly => known.vouches = anchor.vouches,
            Some(_) => {}
            None => self.anchors.push(anchor),
        }
    }

    /// Uses this backend instead of the fastest one.
    #[must_use]
    pub fn with_backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Remembers which certificates signed which, so that the authorities behind much mail are checked once.
    ///
    /// Without this every signature is checked for every message. The verdicts are the same.
    #[must_use]
    pub fn remembering(mut self, links: Arc<VerifiedLinks>) -> Self {
        self.links = Some(links);
        self
    }

    /// The anchors in DER.
    pub fn anchors(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.anchors.iter().map(|anchor| anchor.raw.as_slice())
    }

    /// How many anchors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    pub(crate) fn crypto(&self) -> &'static dyn Crypto {
        self.backend.crypto()
    }

    pub(crate) fn links(&self) -> Option<&VerifiedLinks> {
        self.links.as_deref()
    }

    pub(crate) fn named(&self, name: &DistinguishedName) -> impl Iterator<Item = &Anchor> {
        self.anchors.iter().filter(move |anchor| anchor.subject == *name)
    }

    pub(crate) fn contains(&self, raw: &[u8]) -> bool {
        self.anchors.iter().any(|anchor| anchor.raw == raw)
    }
}

/// One anchor; that it can be read and is an authority was checked when it was added.
#[derive(Debug, Clone)]
pub(crate) struct Anchor {
    raw: Vec<u8>,
    subject: DistinguishedName,
    vouches: Vouches,
}

impl Anchor {
    fn new(raw: Vec<u8>, vouches: Vouches) -> Result<Self, AnchorProblem> {
        let certificate = Certificate::read(&raw).map_err(AnchorProblem::Unreadable)?;
        let is_authority = certificate
            .extensions
            .basic_constraints
            .is_some_and(|constraints| constraints.is_authority);
        if !is_authority || !certificate.extensions.allows(KEY_CERT_SIGN) || certificate.subject.is_empty() {
            return Err(AnchorProblem::NotAnAuthority {
                subject: certificate.describe(),
            });
        }
        certificate
            .public_key()
            .map_err(|problem: UnacceptableAlgorithm| AnchorProblem::Key {
                subject: certificate.describe(),
                reason: problem.to_string(),
            })?;
        let subject = certificate.subject.clone();
        Ok(Self { raw, subject, vouches })
    }

    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub(crate) fn vouches(&self) -> Vouches {
        self.vouches
    }
}

fn upto_end(block: &str) -> &str {
    block
        .find(PEM_END)
        .and_then(|start| block.get(..start + PEM_END.len()))
        .unwrap_or(block)
}

const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_authority_cannot_anchor() {
        assert!(matches!(
            TrustStore::new().add(b"junk", Vouches::Tiers),
            Err(AnchorProblem::Unreadable(_))
        ));
        let torn = format!("{PEM_BEGIN}\nMIIB\n");
        assert_eq!(
            TrustStore::new().add(torn.as_bytes(), Vouches::Tiers).map(|_| ()),
            Err(AnchorProblem::NotPem)
        );
        assert!(TrustStore::new().is_empty());
    }

    #[test]
    fn the_more_careful_word_about_an_anchor_counts() {
        let root = include_bytes!("../fixtures/root.pem");
        for order in [
            [Vouches::Tiers, Vouches::SignaturesOnly],
            [Vouches::SignaturesOnly, Vouches::Tiers],
        ] {
            let trust = order
                .into_iter()
                .fold(TrustStore::new(), |trust, vouches| trust.add(root, vouches).unwrap());
            assert_eq!((trust.len(), trust.anchors().len()), (1, 1));
            assert_eq!(trust.anchors[0].vouches(), Vouches::SignaturesOnly);
        }
    }
}
