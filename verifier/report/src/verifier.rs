//! What an embedder sets up once and asks about every message.

use std::num::NonZeroUsize;
use std::sync::Arc;

use policies::time::Timestamp;
use thiserror::Error;
use verifier::{
    AnchorProblem, Material, Policy, Problem, TrustStore, UnsettledRevocation, Verdict, Verification, VerifiedLinks,
    Vouches, check_crl, check_ocsp_response,
};

use crate::input::{Kind, NotDer, structures};

/// Whom to trust, what else is at hand, and the embedder's policy; nothing in it changes by asking.
#[derive(Debug, Clone, Default)]
pub struct Verifier {
    trust: TrustStore,
    material: Material,
    ocsp_responses: Vec<Vec<u8>>,
    policy: Policy,
}

/// Why an input was not taken. The verifier is as it was before.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InputProblem {
    /// There is no certificate in it.
    #[error("no certificate was found: {0}; give one in PEM or DER")]
    NoCertificate(#[source] NotDer),
    /// There is no revocation list in it.
    #[error("no certificate revocation list was found: {0}; give one in PEM or DER")]
    NoRevocationList(#[source] NotDer),
    /// A certificate that nobody can be trusted by.
    #[error("{0}")]
    Anchor(#[source] AnchorProblem),
    /// Something else than a revocation list.
    #[error("{}", .0.detail())]
    RevocationList(Problem),
    /// Something else than an OCSP response.
    #[error("{}", .0.detail())]
    OcspResponse(Problem),
}

/// A word that is none of those with a meaning.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{given:?} means nothing here; write {expected}")]
pub struct UnknownWord {
    given: String,
    expected: &'static str,
}

impl Verifier {
    /// Trusts nobody, and has the default policy of the crate `verifier`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts every certificate in `anchors` (DER, or PEM with one or more).
    ///
    /// # Errors
    ///
    /// [`InputProblem`] if there is none, or one of them cannot anchor a path; then none is trusted.
    pub fn trust(&mut self, anchors: &[u8], vouches: Vouches) -> Result<(), InputProblem> {
        let mut trust = self.trust.clone();
        for anchor in structures(anchors, Kind::Certificate).map_err(InputProblem::NoCertificate)? {
            trust = trust.add(&anchor, vouches).map_err(InputProblem::Anchor)?;
        }
        self.trust = trust;
        Ok(())
    }

    /// Remembers which certificates signed which, at most twice as many as `links`: for whoever examines much mail in one
    /// go. The verdicts are the same. To be called after [`Verifier::trust`] or before, once.
    pub fn remember(&mut self, links: NonZeroUsize) {
        let trust = std::mem::take(&mut self.trust);
        self.trust = trust.remembering(Arc::new(VerifiedLinks::new(links)));
    }

    /// Keeps the certificates of authorities in `certificates` (DER, or PEM with one or more) for senders who left them
    /// out. They are not trusted by that.
    ///
    /// # Errors
    ///
    /// [`InputProblem::NoCertificate`]. One that turns out to be something else is passed over when it is used.
    pub fn add_intermediates(&mut self, certificates: &[u8]) -> Result<(), InputProblem> {
        let found = structures(certificates, Kind::Certificate).map_err(InputProblem::NoCertificate)?;
        self.material.intermediates.extend(found);
        Ok(())
    }

    /// Keeps the revocation lists in `lists` (DER, or PEM with one or more).
    ///
    /// # Errors
    ///
    /// [`InputProblem`] if there is none, or one of them is something else; then none is kept.
    pub fn add_crls(&mut self, lists: &[u8]) -> Result<(), InputProblem> {
        let found = structures(lists, Kind::RevocationList).map_err(InputProblem::NoRevocationList)?;
        found
            .iter()
            .try_for_each(|list| check_crl(list))
            .map_err(InputProblem::RevocationList)?;
        self.material.crls.extend(found);
        Ok(())
    }

    /// Keeps an OCSP response in DER, stapled or fetched by somebody else.
    ///
    /// # Errors
    ///
    /// [`InputProblem::OcspResponse`] for something else.
    pub fn add_ocsp_response(&mut self, response: &[u8]) -> Result<(), InputProblem> {
        check_ocsp_response(response).map_err(InputProblem::OcspResponse)?;
        self.ocsp_responses.push(response.to_vec());
        Ok(())
    }

    /// What the embedder decides, to read.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What the embedder decides, to change.
    pub fn policy_mut(&mut self) -> &mut Policy {
        &mut self.policy
    }

    /// Examines a message as it arrived: all header fields and the body. Always answers.
    #[must_use]
    pub fn verify(&self, message: &[u8], at: Timestamp) -> Verdict {
        Verification::new(&self.trust, at)
            .material(&self.material)
            .ocsp_responses(&self.ocsp_responses)
            .policy(&self.policy)
            .verify(message)
    }
}

/// What an anchor may vouch for, from its word: `tiers` or `signatures_only`.
///
/// # Errors
///
/// [`UnknownWord`] for any other.
pub fn vouches(word: &str) -> Result<Vouches, UnknownWord> {
    match word {
        "tiers" => Ok(Vouches::Tiers),
        "signatures_only" => Ok(Vouches::SignaturesOnly),
        _ => Err(UnknownWord {
            given: word.to_owned(),
            expected: "tiers or signatures_only",
        }),
    }
}

/// Whether a tier outlives unsettled revocation, from its word: `keep_tier` or `withhold_tier`.
///
/// # Errors
///
/// [`UnknownWord`] for any other.
pub fn unsettled_revocation(word: &str) -> Result<UnsettledRevocation, UnknownWord> {
    match word {
        "keep_tier" => Ok(UnsettledRevocation::KeepTier),
        "withhold_tier" => Ok(UnsettledRevocation::WithholdTier),
        _ => Err(UnknownWord {
            given: word.to_owned(),
            expected: "keep_tier or withhold_tier",
        }),
    }
}
