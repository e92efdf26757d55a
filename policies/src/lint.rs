//! Lints: is this certificate, byte for byte, what the rules allow?
//!
//! Each rule has its own file with its identifier, its source, the date from which it counts, what it applies to, and
//! its check. [`check`] runs all of them over a TBSCertificate before it is signed, and is the only way to a
//! [`Linted`]; so nothing unlinted reaches a key. [`findings_of_certificate`] runs them over stored certificates.

use std::fmt;

use der::asn1::{AnyRef, BitString};
use der::{Decode, Encode, Sequence};
use sha2::{Digest, Sha256};
use spki::AlgorithmIdentifierOwned;
use thiserror::Error;

use crate::key_use::KeyUse;
use crate::template::Issuer;
use crate::tier::{Generation, Tier};
use crate::time::Timestamp;

pub use view::View;

mod alternative_name_mailbox;
mod alternative_name_required;
mod alternative_name_rfc822_name;
mod alternative_name_types;
mod authority_basic_constraints;
mod authority_extended_key_usage;
mod authority_information_access;
mod authority_key_identifier;
mod authority_key_usage;
mod authority_policies;
mod authority_rsa_size;
mod authority_subject;
mod der_encoding;
mod elliptic_curve_point;
mod extended_key_usage;
mod extended_key_usage_limited;
mod extension_criticality;
mod extension_duplicate;
mod extension_prohibited;
mod extension_syntax;
mod extension_unknown;
mod issuer_name;
mod issuer_rsa_size;
mod key_usage;
mod key_usage_ordered;
mod name_length;
mod name_repeated_attribute;
mod name_string_type;
mod organization_identifier;
mod policy_legacy;
mod policy_qualifier;
mod policy_reserved;
mod policy_tier;
mod public_key_algorithm;
mod responder_extensions;
mod revocation_list_location;
mod root_self_issued;
mod rsa_close_primes;
mod rsa_exponent;
mod rsa_roca;
mod rsa_size;
mod rsa_small_factor;
mod serial_number;
mod signature_algorithm;
mod signature_algorithm_match;
mod signature_algorithm_of_issuer;
mod subject_attribute_unknown;
mod subject_common_name;
mod subject_country;
mod subject_key_identifier;
mod subject_mailbox_repeated;
mod subject_metadata_only;
mod subject_organization_prohibited;
mod subject_organization_required;
mod subject_person_prohibited;
mod subject_person_required;
mod subject_place;
mod subject_place_prohibited;
mod subject_pseudonym;
mod subscriber_basic_constraints;
#[cfg(test)]
mod testing;
mod unique_identifiers;
mod validity_at_maximum;
mod validity_encoding;
mod validity_length;
mod version;
mod view;

/// Runs every rule over a TBSCertificate that is about to be signed.
///
/// # Errors
///
/// All findings, of which at least one is an error.
pub fn check(tbs_der: Vec<u8>, context: &LintContext<'_>) -> Result<Linted, Vec<Finding>> {
    let findings = match View::before_signing(&tbs_der, context) {
        // No clock set wrong switches off the rules that count from the beginning.
        Ok(view) => run(&view, context.now.max(FIRST), context.now),
        Err(problem) => vec![problem.into_finding()],
    };
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(findings);
    }
    let sha256 = Sha256::digest(&tbs_der).into();
    Ok(Linted {
        tbs: tbs_der,
        sha256,
        findings,
    })
}

/// Runs every rule over a certificate that was signed in the past.
///
/// A rule that did not count yet when the certificate began to be valid, but counts `now`, is reported as a
/// [`Severity::Notice`]: the certificate is no mistake, but could not be issued again.
///
/// # Errors
///
/// [`UnreadableCertificate`] if the bytes are not a certificate at all.
pub fn findings_of_certificate(der: &[u8], now: Timestamp) -> Result<Vec<Finding>, UnreadableCertificate> {
    let certificate = SignedCertificate::from_der(der)?;
    let tbs = certificate.tbs_certificate.to_der()?;
    match View::after_signing(&tbs, &certificate.signature_algorithm) {
        Ok(view) => Ok(run(&view, view.issued_at, now)),
        Err(problem) => Ok(vec![problem.into_finding()]),
    }
}

/// Every rule, by file name.
#[must_use]
pub fn all() -> &'static [Lint] {
    ALL
}

/// One rule.
#[derive(Debug)]
pub struct Lint {
    /// Its name, in snake_case; the name of its file.
    pub id: &'static str,
    /// Where it is written, such as `BR 7.1.2.3 e`.
    pub citation: &'static str,
    /// From when on it counts.
    pub effective: Timestamp,
    /// Which certificates it is about.
    pub applies: fn(&View<'_>) -> bool,
    /// What is wrong with such a certificate.
    pub check: fn(&View<'_>, &mut Problems),
}

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub lint: &'static str,
    /// Where it is written.
    pub section: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} ({}, {})",
            self.severity, self.detail, self.lint, self.section
        )
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    Notice,
    /// Against a SHOULD, or against a rule to come.
    Warning,
    /// Against a SHALL: the certificate must not be signed.
    Error,
}

impl AsRef<str> for Severity {
    fn as_ref(&self) -> &str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

/// What a TBSCertificate is meant to be.
#[derive(Clone, Copy, Debug)]
pub struct LintContext<'a> {
    /// What kind of certificate.
    pub expected: Expected,
    /// Who will sign it; the root itself for a root.
    pub issuer: &'a Issuer,
    /// When.
    pub now: Timestamp,
}

/// The kinds of certificates we issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Section 7.1.2.1.
    Root,
    /// Section 7.1.2.2.
    IssuingAuthority,
    /// A delegated OCSP responder. See section 4.9.9.
    OcspResponder,
    /// Section 7.1.2.3.
    Subscriber(Tier, Generation, KeyUse),
}

/// A TBSCertificate that passed every rule. Not even its maker can change it.
#[derive(Debug)]
pub struct Linted {
    tbs: Vec<u8>,
    sha256: [u8; 32],
    findings: Vec<Finding>,
}

impl Linted {
    /// The DER to sign, unchanged.
    #[must_use]
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// SHA-256 of the DER, to record before signing.
    #[must_use]
    pub const fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// Warnings and notices; no errors.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

/// The bytes are not a certificate.
#[derive(Clone, Copy, Debug, Error)]
#[error("this is not a certificate in DER (RFC 5280 section 4.1)")]
pub struct UnreadableCertificate(#[from] der::Error);

/// What one rule collects.
#[derive(Debug, Default)]
pub struct Problems(Vec<(Severity, String)>);

impl Problems {
    /// Something that a SHALL forbids.
    pub fn error(&mut self, detail: impl Into<String>) {
        self.0.push((Severity::Error, detail.into()));
    }

    /// Something that a SHOULD advises against.
    pub fn warning(&mut self, detail: impl Into<String>) {
        self.0.push((Severity::Warning, detail.into()));
    }
}

/// RFC 5280 section 4.1.
#[derive(Sequence)]
struct SignedCertificate<'a> {
    tbs_certificate: AnyRef<'a>,
    signature_algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

fn run(view: &View<'_>, issued_at: Timestamp, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    for lint in ALL
        .iter()
        .filter(|lint| lint.effective <= issued_at.max(now) && (lint.applies)(view))
    {
        let mut problems = Problems::default();
        (lint.check)(view, &mut problems);
        for (severity, detail) in problems.0 {
            let severity = if lint.effective <= issued_at {
                severity
            } else {
                Severity::Notice
            };
            findings.push(Finding {
                lint: lint.id,
                section: lint.citation,
                severity,
                detail,
            });
        }
    }
    findings
}

/// 1 September 2023: the S/MIME Baseline Requirements 1.0.0 take effect.
const FIRST: Timestamp = Timestamp::from_unix(1_693_526_400);
/// 15 July 2025: Legacy generation profiles end (section 7.1.6.1).
const LEGACY_END: Timestamp = Timestamp::from_unix(1_752_537_600);
/// 15 September 2026: keys of authorities have at least 4096 bits of RSA (ballot SMC017).
const AUTHORITY_RSA_4096: Timestamp = Timestamp::from_unix(1_789_430_400);
/// 1 July 2027: only emailProtection and clientAuth are left (ballot SMC018).
const KEY_PURPOSES_LIMITED: Timestamp = Timestamp::from_unix(1_814_400_000);
/// 15 September 2027: issuers' RSA keys have at least 3072 bits (ballot SMC017).
const ISSUER_RSA_3072: Timestamp = Timestamp::from_unix(1_820_966_400);

static ALL: &[Lint] = &[
    alternative_name_mailbox::LINT,
    alternative_name_required::LINT,
    alternative_name_rfc822_name::LINT,
    alternative_name_types::LINT,
    authority_basic_constraints::LINT,
    authority_extended_key_usage::LINT,
    authority_information_access::LINT,
    authority_key_identifier::LINT,
    authority_key_usage::LINT,
    authority_policies::LINT,
    authority_rsa_size::LINT,
    authority_subject::LINT,
    der_encoding::LINT,
    elliptic_curve_point::LINT,
    extended_key_usage::LINT,
    extended_key_usage_limited::LINT,
    extension_criticality::LINT,
    extension_duplicate::LINT,
    extension_prohibited::LINT,
    extension_syntax::LINT,
    extension_unknown::LINT,
    issuer_name::LINT,
    issuer_rsa_size::LINT,
    key_usage::LINT,
    key_usage_ordered::LINT,
    name_length::LINT,
    name_repeated_attribute::LINT,
    name_string_type::LINT,
    organization_identifier::LINT,
    policy_legacy::LINT,
    policy_qualifier::LINT,
    policy_reserved::LINT,
    policy_tier::LINT,
    public_key_algorithm::LINT,
    responder_extensions::LINT,
    revocation_list_location::LINT,
    root_self_issued::LINT,
    rsa_close_primes::LINT,
    rsa_exponent::LINT,
    rsa_roca::LINT,
    rsa_size::LINT,
    rsa_small_factor::LINT,
    serial_number::LINT,
    signature_algorithm::LINT,
    signature_algorithm_match::LINT,
    signature_algorithm_of_issuer::LINT,
    subject_attribute_unknown::LINT,
    subject_common_name::LINT,
    subject_country::LINT,
    subject_key_identifier::LINT,
    subject_mailbox_repeated::LINT,
    subject_metadata_only::LINT,
    subject_organization_prohibited::LINT,
    subject_organization_required::LINT,
    subject_person_prohibited::LINT,
    subject_person_required::LINT,
    subject_place::LINT,
    subject_place_prohibited::LINT,
    subject_pseudonym::LINT,
    subscriber_basic_constraints::LINT,
    unique_identifiers::LINT,
    validity_at_maximum::LINT,
    validity_encoding::LINT,
    validity_length::LINT,
    version::LINT,
];

#[cfg(test)]
mod tests;
