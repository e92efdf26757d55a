//! Who may speak about the revocation of a certificate: the authorities of its path, and those they certified for it.

use std::cell::RefCell;

use policies::time::Timestamp;

use super::crl::RevocationList;
use super::{Answer, Revocation, RevocationStatus, Sources, Unusable, crl, ocsp};
use crate::certificate::{self, Certificate};
use crate::crypto::Crypto;
use crate::extensions::CRL_SIGN;
use crate::path::{Budget, PathParameters, Purpose, VerifiedPath};

/// A path with what is known about the revocation of its certificates, and of those who sign that knowledge.
pub(super) struct Authorities<'p, 'a> {
    path: &'p VerifiedPath<'a>,
    sources: Sources<'p>,
    lists: Vec<RevocationList<'p>>,
    at: Timestamp,
    crypto: &'p dyn Crypto,
    /// For all signers that are not of the path, and so may come from whoever wrote the message. Those of the path do
    /// not draw on it: nobody can make a revocation go unread by spending it.
    budget: RefCell<Budget>,
    /// The certificates whose status is being asked for: none of them can vouch for its own.
    asking: Vec<Vec<u8>>,
}

impl<'p, 'a> Authorities<'p, 'a> {
    pub(super) fn new(path: &'p VerifiedPath<'a>, sources: Sources<'p>, at: Timestamp, crypto: &'p dyn Crypto) -> Self {
        Self {
            path,
            sources,
            // What is no list says nothing; whoever hands it in can ask `check_crl`.
            lists: sources
                .crls
                .iter()
                .filter_map(|raw| RevocationList::read(raw).ok())
                .collect(),
            at,
            crypto,
            budget: RefCell::new(Budget::default()),
            asking: Vec::new(),
        }
    }

    /// The status of one certificate of the path, counted from the end entity.
    pub(super) fn status_in_path(&self, index: usize) -> Revocation {
        let Some(certificate) = self.path.parsed().get(index) else {
            return Revocation::good();
        };
        let above = self.above(index);
        self.answer(certificate, &above).about(certificate)
    }

    /// The certificates that stand above one of the path. An authority that renews its key has several with one name
    /// (RFC 5280 section 6.1), and none vouches for itself.
    fn above(&self, index: usize) -> Vec<&Certificate<'a>> {
        let certificates = self.path.parsed().iter().skip(index + 1);
        certificates.chain([self.path.parsed_anchor()]).collect()
    }

    /// OCSP is asked first, since an answer is about this certificate alone.
    fn answer(&self, certificate: &Certificate<'_>, above: &[&Certificate<'_>]) -> Answer {
        ocsp::ask(self, certificate, above).or(|| crl::ask(self, certificate, above))
    }

    pub(super) fn lists(&self) -> &[RevocationList<'p>] {
        &self.lists
    }

    pub(super) fn ocsp_responses(&self) -> &'p [Vec<u8>] {
        self.sources.ocsp_responses
    }

    pub(super) fn at(&self) -> Timestamp {
        self.at
    }

    pub(super) fn crypto(&self) -> &'p dyn Crypto {
        self.crypto
    }

    /// RFC 5280 section 6.3.3 (f) and (g): the list is signed by an authority above the certificate, or by one that the
    /// same trust anchor certified and that was not revoked itself.
    pub(super) fn check_list_signer(
        &self,
        list: &RevocationList<'_>,
        certificate: &Certificate<'_>,
        above: &[&Certificate<'_>],
    ) -> Result<(), Unusable> {
        let mut result = Err(Unusable::Signature);
        for issuer in above.iter().filter(|issuer| issuer.subject == list.issuer) {
            match self.signed_by(list, issuer) {
                Ok(()) => return Ok(()),
                Err(problem) => result = Err(problem),
            }
        }
        for signer in self.path.pool().iter().filter(|signer| signer.subject == list.issuer) {
            if signer.raw == certificate.raw || self.asking.iter().any(|asked| asked == signer.raw) {
                continue;
            }
            self.budget
                .borrow_mut()
                .spend_signature()
                .map_err(|_| Unusable::TooExpensive)?;
            match self.signed_by(list, signer) {
                Ok(()) => return self.check_signer_path(signer, certificate),
                Err(Unusable::Signature) => {}
                Err(problem) => result = Err(problem),
            }
        }
        result
    }

    fn signed_by(&self, list: &RevocationList<'_>, issuer: &Certificate<'_>) -> Result<(), Unusable> {
        if !issuer.extensions.allows(CRL_SIGN) {
            return Err(Unusable::KeyUsage);
        }
        let key = issuer.public_key().map_err(|_| Unusable::Signature)?;
        let signed = &list.signed;
        certificate::verify(
            signed.to_be_signed.raw,
            &signed.algorithm,
            signed.signature,
            &key,
            self.crypto,
        )
        .map_err(|_| Unusable::Signature)
    }

    fn check_signer_path(&self, signer: &Certificate<'a>, certificate: &Certificate<'_>) -> Result<(), Unusable> {
        if self.asking.len() == MAXIMUM_DEPTH {
            return Err(Unusable::TooExpensive);
        }
        let parameters = PathParameters {
            purpose: Purpose::Any,
            ..PathParameters::default()
        };
        let path = self
            .path
            .to_same_anchor(signer, self.at, &parameters, &mut self.budget.borrow_mut())
            .map_err(|_| Unusable::Signature)?;
        let mut asking = self.asking.clone();
        asking.push(certificate.raw.to_vec());
        let authorities = Authorities {
            path: &path,
            sources: self.sources,
            lists: self.lists.clone(),
            at: self.at,
            crypto: self.crypto,
            budget: RefCell::new(self.budget.take()),
            asking,
        };
        let all_good =
            (0..path.parsed().len()).all(|index| authorities.status_in_path(index).status == RevocationStatus::Good);
        self.budget.replace(authorities.budget.take());
        if all_good {
            Ok(())
        } else {
            Err(Unusable::SignerUnsettled)
        }
    }

    /// Whether CRLs clear a responder that its authority certified.
    pub(super) fn lists_clear(&self, responder: &Certificate<'_>, above: &[&Certificate<'_>]) -> bool {
        crl::ask(self, responder, above) == Answer::Good
    }
}

/// Signers of lists whose own status is asked. Source: own choice; RFC 5280 section 6.3.3 (f) sets none. A
/// list signed by a certificate whose list is signed by another one is the most that NIST PKITS has.
const MAXIMUM_DEPTH: usize = 3;
