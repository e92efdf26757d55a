//! From a certificate to a trust anchor: building paths on a budget and validating them (RFC 5280 section 6.1).

mod name_constraints;
mod policy_graph;

use std::collections::BTreeSet;
use std::sync::Arc;

use const_oid::ObjectIdentifier;
use policies::time::Timestamp;

use self::name_constraints::NameState;
use self::policy_graph::PolicyState;
use crate::certificate::Certificate;
use crate::extensions::{ANY_EXTENDED_KEY_USAGE, EMAIL_PROTECTION, KEY_CERT_SIGN};
use crate::finding::{Code, Problem};
use crate::links::Link;
use crate::revocation::{self, RevocationStatus, Sources};
use crate::trust::{Anchor, TrustStore, Vouches};

/// The inputs (c) to (g) of RFC 5280 section 6.1.1. The default asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathParameters {
    /// user-initial-policy-set; `None` is any-policy.
    pub initial_policies: Option<BTreeSet<ObjectIdentifier>>,
    /// initial-explicit-policy: the path must be valid for one of the initial policies.
    pub require_explicit_policy: bool,
    /// initial-policy-mapping-inhibit.
    pub inhibit_policy_mapping: bool,
    /// initial-any-policy-inhibit.
    pub inhibit_any_policy: bool,
    /// What the certificates must be for.
    pub purpose: Purpose,
}

/// What extended key usages must allow, along the whole path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// RFC 8550 section 4.4.4: emailProtection or anyExtendedKeyUsage, or no extended key usage at all.
    #[default]
    EmailProtection,
    /// Whatever they say. For certificates that sign something else, such as test vectors and OCSP answers.
    Any,
}

/// A path that was valid for e-mail at one point in time. There is no other way to get one than [`verify_path`].
///
/// Revocation is not part of it.
#[derive(Debug, Clone)]
pub struct VerifiedPath<'a> {
    /// End entity first, without the anchor.
    certificates: Vec<Certificate<'a>>,
    anchor: Certificate<'a>,
    vouches: Vouches,
    policies: BTreeSet<ObjectIdentifier>,
    trust: &'a TrustStore,
    /// What else was at hand.
    pool: Arc<[Certificate<'a>]>,
}

impl<'a> VerifiedPath<'a> {
    /// The DER certificates, the end entity first, the trust anchor not among them.
    pub fn certificates(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + '_ {
        self.certificates.iter().map(|certificate| certificate.raw)
    }

    /// The DER certificate of the trust anchor.
    pub fn anchor(&self) -> &'a [u8] {
        self.anchor.raw
    }

    /// What the embedder lets the anchor vouch for.
    pub fn vouches(&self) -> Vouches {
        self.vouches
    }

    /// The policies of the anchor's domain that hold for the whole path: the user-constrained-policy-set of
    /// RFC 9618 section 5.4, with anyPolicy where an end entity asserts it.
    pub fn policies(&self) -> &BTreeSet<ObjectIdentifier> {
        &self.policies
    }

    /// What CRLs (DER) by the issuers of this path say about it at `at`.
    pub fn revocation(&self, crls: &[Vec<u8>], at: Timestamp) -> RevocationStatus {
        let sources = Sources {
            crls,
            ocsp_responses: &[],
        };
        revocation::check(self, sources, at, self.trust.crypto()).status
    }

    pub(crate) fn parsed(&self) -> &[Certificate<'a>] {
        &self.certificates
    }

    /// The certificates that were at hand beside those of the path, for signers of revocation lists.
    pub(crate) fn pool(&self) -> &[Certificate<'a>] {
        &self.pool
    }

    /// A path from another certificate at hand to the same anchor (RFC 5280 section 6.3.3 (f)).
    pub(crate) fn to_same_anchor(
        &self,
        end_entity: &Certificate<'a>,
        at: Timestamp,
        parameters: &PathParameters,
        budget: &mut Budget,
    ) -> Result<Self, Problem> {
        let search = Search {
            pool: &self.pool,
            trust: self.trust,
            only_anchor: Some(self.anchor.raw),
            at,
            parameters,
        };
        let path = search.extend(&mut vec![end_entity], budget)?;
        Ok(Self {
            pool: self.pool.clone(),
            ..path
        })
    }

    pub(crate) fn parsed_anchor(&self) -> &Certificate<'a> {
        &self.anchor
    }
}

/// Finds and validates a path from `end_entity` to a trust anchor for e-mail protection at `at`.
///
/// All inputs are single DER certificates. Intermediates that cannot be read are left aside.
///
/// # Errors
///
/// The most telling [`Problem`] of all the paths that were tried.
pub fn verify_path<'a>(
    end_entity: &'a [u8],
    intermediates: impl IntoIterator<Item = &'a [u8]>,
    trust: &'a TrustStore,
    at: Timestamp,
    parameters: &PathParameters,
) -> Result<VerifiedPath<'a>, Problem> {
    let end_entity = Certificate::read(end_entity)?;
    find(end_entity, intermediates, trust, at, parameters)
}

pub(crate) fn find<'a>(
    end_entity: Certificate<'a>,
    intermediates: impl IntoIterator<Item = &'a [u8]>,
    trust: &'a TrustStore,
    at: Timestamp,
    parameters: &PathParameters,
) -> Result<VerifiedPath<'a>, Problem> {
    let mut pool: Vec<Certificate<'a>> = Vec::new();
    for raw in intermediates.into_iter().take(MAXIMUM_POOL) {
        let known = raw == end_entity.raw || trust.contains(raw) || pool.iter().any(|other| other.raw == raw);
        if !known && let Ok(certificate) = Certificate::read(raw) {
            pool.push(certificate);
        }
    }
    let search = Search {
        pool: &pool,
        trust,
        only_anchor: None,
        at,
        parameters,
    };
    let path = search.extend(&mut vec![&end_entity], &mut Budget::default())?;
    if let Some(links) = trust.links() {
        let above = path.certificates().skip(1).chain([path.anchor()]);
        for (certificate, issuer) in path.certificates().zip(above) {
            links.remember(Link::new(issuer, certificate));
        }
    }
    Ok(VerifiedPath {
        pool: pool.into(),
        ..path
    })
}

/// Work that whoever wrote the message can multiply.
#[derive(Debug)]
pub(crate) struct Budget {
    signatures: u32,
    paths: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            signatures: MAXIMUM_SIGNATURES,
            paths: MAXIMUM_PATHS,
        }
    }
}

impl Budget {
    pub(crate) fn spend_signature(&mut self) -> Result<(), Problem> {
        Self::spend(&mut self.signatures)
    }

    fn spend(account: &mut u32) -> Result<(), Problem> {
        *account = account
            .checked_sub(1)
            .ok_or_else(|| Code::PathTooExpensive.because("too many certification paths would have to be tried"))?;
        Ok(())
    }
}

struct Search<'s, 'a> {
    pool: &'s [Certificate<'a>],
    trust: &'a TrustStore,
    /// The one anchor that counts, if not all do.
    only_anchor: Option<&'s [u8]>,
    at: Timestamp,
    parameters: &'s PathParameters,
}

impl<'s, 'a> Search<'s, 'a> {
    /// Depth first from the end entity upwards; anchors before other authorities.
    fn extend(&self, chain: &mut Vec<&'s Certificate<'a>>, budget: &mut Budget) -> Result<VerifiedPath<'a>, Problem>
    where
        'a: 's,
    {
        let last = *chain
            .last()
            .ok_or_else(|| Code::UntrustedIssuer.because("there is no certificate"))?;
        let mut problem =
            Code::UntrustedIssuer.because(format!("no trusted authority stands behind {}", last.describe()));
        for anchor in self.trust.named(&last.issuer) {
            if self.only_anchor.is_some_and(|only| only != anchor.raw()) {
                continue;
            }
            let certificate = Certificate::read(anchor.raw())?;
            match self.check_link(last, &certificate, budget).and_then(|()| {
                Budget::spend(&mut budget.paths)?;
                self.validate(chain, &certificate, anchor)
            }) {
                Ok(path) => return Ok(path),
                Err(found) if found.code == Code::PathTooExpensive => return Err(found),
                Err(found) => problem = problem.more_telling(found),
            }
        }
        if chain.len() == MAXIMUM_PATH {
            return Err(problem);
        }
        for issuer in self.pool.iter().filter(|candidate| candidate.subject == last.issuer) {
            // RFC 4158 section 2.4.2: no name and key twice, which also ends loops.
            let repeated = chain.iter().any(|certificate| {
                certificate.subject == issuer.subject
                    && certificate.subject_public_key_info == issuer.subject_public_key_info
                    && certificate.issuer == issuer.issuer
            });
            if repeated {
                continue;
            }
            let result = self.check_link(last, issuer, budget).and_then(|()| {
                chain.push(issuer);
                let result = self.extend(chain, budget);
                chain.pop();
                result
            });
            match result {
                Ok(path) => return Ok(path),
                Err(found) if found.code == Code::PathTooExpensive => return Err(found),
                Err(found) => problem = problem.more_telling(found),
            }
        }
        Err(problem)
    }

    /// RFC 5280 section 6.1.3 (a)(1) and (4).
    fn check_link(
        &self,
        certificate: &Certificate<'_>,
        issuer: &Certificate<'_>,
        budget: &mut Budget,
    ) -> Result<(), Problem> {
        Budget::spend(&mut budget.signatures)?;
        if let Some(links) = self.trust.links()
            && links.knows(Link::new(issuer.raw, certificate.raw))
        {
            return Ok(());
        }
        let key = issuer.public_key().map_err(|problem| {
            Code::CertificateAlgorithm.because(format!("the key of {} is not accepted: {problem}", issuer.describe()))
        })?;
        certificate.verify_signature(&key, self.trust.crypto())
    }

    /// RFC 5280 sections 6.1.2 to 6.1.5 without signatures, which are checked while building, and revocation.
    fn validate(
        &self,
        chain: &[&Certificate<'a>],
        anchor: &Certificate<'a>,
        entry: &Anchor,
    ) -> Result<VerifiedPath<'a>, Problem> {
        let mut names = NameState::default();
        let mut policies = PolicyState::new(self.parameters, chain.len());
        // NOTE: RFC 5280 takes only name and key from an anchor. Its dates and constraints are honoured here as well
        // (RFC 5937): an expired or constrained root is not more trustworthy for being a root.
        check_dates(anchor, self.at)?;
        check_extensions(anchor)?;
        check_authority(anchor, self.parameters.purpose)?;
        names.constrain(anchor)?;
        let mut path_length = anchor
            .extensions
            .basic_constraints
            .and_then(|constraints| constraints.path_length);
        for (index, certificate) in chain.iter().enumerate().rev() {
            let is_end_entity = index == 0;
            // 6.1.3 (a)(2)
            check_dates(certificate, self.at)?;
            check_extensions(certificate)?;
            if certificate.issuer.is_empty() {
                return Err(Code::CertificateMalformed.because("a certificate does not name its issuer"));
            }
            // (b), (c)
            if is_end_entity || !certificate.is_self_issued() {
                names.check(certificate)?;
            }
            // (d), (e), (f)
            policies.process(certificate, is_end_entity)?;
            if is_end_entity {
                break;
            }
            // 6.1.4 (a), (b)
            policies.map(certificate)?;
            // (g)
            names.constrain(certificate)?;
            // (h), (i), (j)
            policies.prepare_for_next(certificate);
            // (k), (n), and the extended key usage chaining of RFC 8550 section 4.4.4 and the S/MIME BR.
            check_authority(certificate, self.parameters.purpose)?;
            // (l)
            if !certificate.is_self_issued() {
                path_length = match path_length {
                    Some(0) => {
                        return Err(Code::PathLength.because(format!(
                            "{} stands further from the anchor than a path length constraint allows",
                            certificate.describe()
                        )));
                    }
                    length => length.map(|length| length - 1),
                };
            }
            // (m)
            if let Some(limit) = certificate
                .extensions
                .basic_constraints
                .and_then(|constraints| constraints.path_length)
            {
                path_length = Some(path_length.map_or(limit, |length| length.min(limit)));
            }
        }
        // 6.1.5
        let end_entity = *chain
            .first()
            .ok_or_else(|| Code::UntrustedIssuer.because("there is no certificate"))?;
        let policies = policies.finish(end_entity, self.parameters)?;
        check_end_entity(end_entity)?;
        check_purpose(end_entity, self.parameters.purpose)?;
        Ok(VerifiedPath {
            certificates: chain.iter().map(|certificate| (*certificate).clone()).collect(),
            anchor: anchor.clone(),
            vouches: entry.vouches(),
            policies,
            trust: self.trust,
            pool: Arc::default(),
        })
    }
}

fn check_dates(certificate: &Certificate<'_>, at: Timestamp) -> Result<(), Problem> {
    if at < certificate.not_before {
        return Err(Code::NotYetValid.because(format!(
            "the certificate of {} is valid from {} on, and it is {at}",
            certificate.describe(),
            certificate.not_before
        )));
    }
    if at > certificate.not_after {
        return Err(Code::Expired.because(format!(
            "the certificate of {} expired at {}, and it is {at}",
            certificate.describe(),
            certificate.not_after
        )));
    }
    Ok(())
}

/// 6.1.4 (o), 6.1.5 (f): every critical extension must have been processed.
fn check_extensions(certificate: &Certificate<'_>) -> Result<(), Problem> {
    match certificate.extensions.unknown_critical.first() {
        None => Ok(()),
        Some(kind) => Err(Code::CriticalExtension.because(format!(
            "the certificate of {} has the critical extension {kind}, which is not known here",
            certificate.describe()
        ))),
    }
}

/// What belongs to authorities alone (RFC 5280 sections 4.2.1.3 and 4.2.1.10).
fn check_end_entity(certificate: &Certificate<'_>) -> Result<(), Problem> {
    let extensions = &certificate.extensions;
    if extensions
        .basic_constraints
        .is_some_and(|constraints| constraints.is_authority)
    {
        return Ok(());
    }
    if extensions.key_usage.is_some_and(|bits| bits & KEY_CERT_SIGN != 0) {
        return Err(Code::KeyUsage.because(format!(
            "the key of {} may sign certificates, although it is no authority's",
            certificate.describe()
        )));
    }
    if extensions.name_constraints.is_some() {
        return Err(Code::ExtensionMalformed.because(format!(
            "the certificate of {} constrains names, although it is no authority's",
            certificate.describe()
        )));
    }
    Ok(())
}

/// 6.1.4 (k) and (n), and whether the authority may issue for e-mail.
fn check_authority(certificate: &Certificate<'_>, purpose: Purpose) -> Result<(), Problem> {
    let is_authority = certificate
        .extensions
        .basic_constraints
        .is_some_and(|constraints| constraints.is_authority);
    if !is_authority {
        return Err(Code::NotAnAuthority.because(format!(
            "{} issued a certificate without being an authority",
            certificate.describe()
        )));
    }
    if !certificate.extensions.allows(KEY_CERT_SIGN) {
        return Err(Code::KeyUsage.because(format!(
            "the key of {} may not sign certificates",
            certificate.describe()
        )));
    }
    check_purpose(certificate, purpose)
}

/// RFC 8550 section 4.4.4: an extended key usage must include emailProtection or anyExtendedKeyUsage.
fn check_purpose(certificate: &Certificate<'_>, purpose: Purpose) -> Result<(), Problem> {
    match &certificate.extensions.extended_key_usage {
        _ if purpose == Purpose::Any => Ok(()),
        Some(purposes) if !purposes.contains(&EMAIL_PROTECTION) && !purposes.contains(&ANY_EXTENDED_KEY_USAGE) => {
            Err(Code::ExtendedKeyUsage.because(format!(
                "the certificate of {} is not meant for e-mail",
                certificate.describe()
            )))
        }
        _ => Ok(()),
    }
}

/// Certificates of a path, the end entity among them and the anchor not. Source: own choice; RFC 5280 sets none, public
/// hierarchies have two or three, and every valid path of NIST PKITS fits.
const MAXIMUM_PATH: usize = 12;
/// Certificates that a path is built from, those of the message and of the embedder together. Source: own choice; the
/// message brings 32 at most.
const MAXIMUM_POOL: usize = 256;
/// Signatures that building a path may check. Source: own choice; each costs up to a millisecond (RSA-8192 in Rust), a
/// message needs three, and a hundred are the same as webpki's limit.
const MAXIMUM_SIGNATURES: u32 = 100;
/// Paths that may be validated as a whole. Source: own choice; a message needs one, cross-certified authorities some ten.
const MAXIMUM_PATHS: u32 = 50;
