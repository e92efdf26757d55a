//! What a certificate must be to be encrypted to.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::HEXLOWER;
use der::Encode;
use keys::{RecipientKey, RecipientKeyKind, UnusableRecipientKey};
use policies::mailbox::Mailbox;
use policies::time::{Span, Timestamp};
use thiserror::Error;
use verifier::path::{PathParameters, verify_path};
use verifier::{RevocationStatus, TrustStore, VerifiedLinks, Vouches};
use x509_cert::Certificate;
use x509_cert::ext::pkix::KeyUsage;

use super::{Capabilities, Source, Usable};
use crate::config;
use crate::error::Error;
use crate::identity::mailboxes;
use crate::store::recipient_certificates::CertificateRow;

/// A certificate that was found and not looked at yet.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) certificate: Certificate,
    /// DER.
    pub(crate) intermediates: Vec<Vec<u8>>,
    pub(crate) source: Source,
    pub(crate) capabilities: Capabilities,
}

impl Candidate {
    /// A chain, the end-entity certificate first.
    pub(super) fn from_pem(pem: &str, source: Source) -> Option<Self> {
        let mut chain = Certificate::load_pem_chain(pem.as_bytes()).ok()?.into_iter();
        Some(Self {
            certificate: chain.next()?,
            intermediates: chain.filter_map(|one| one.to_der().ok()).collect(),
            source,
            capabilities: Capabilities::default(),
        })
    }

    pub(super) fn from_row(row: &CertificateRow) -> Option<Self> {
        let mut candidate = Self::from_pem(&row.chain_pem, Source::Harvested)?;
        candidate.capabilities = Capabilities::from_words(&row.capabilities);
        Some(candidate)
    }
}

/// Why a certificate is not encrypted to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unusable {
    #[error("the certificate is for other addresses")]
    OtherMailbox,
    #[error("the certificate is not for encryption")]
    NotForEncryption,
    #[error("the certificate has a key that cannot be encrypted to")]
    Key(#[source] UnusableRecipientKey),
    #[error("the certificate is valid from {not_before} to {not_after} only")]
    NotValid {
        not_before: Timestamp,
        not_after: Timestamp,
    },
    #[error("no root is trusted to say whose certificates are good; name them in encryption.trust_files")]
    NoTrust,
    #[error("the certificate does not lead to a trusted root: {0}")]
    Path(String),
    #[error("the certificate was revoked")]
    Revoked,
    #[error("it is not known whether the certificate was revoked")]
    RevocationUnknown,
    #[error("the certificate cannot be read")]
    Unreadable,
}

/// Checks certificates against the configured trust. Clones share what was verified.
#[derive(Debug, Clone)]
pub(crate) struct Checker {
    trust: Arc<TrustStore>,
    crl_folder: PathBuf,
    crls: Arc<Mutex<Option<ReadCrls>>>,
    require_revocation: bool,
}

/// What was in the folder when it was read.
#[derive(Debug)]
struct ReadCrls {
    at: Timestamp,
    crls: Arc<Vec<Vec<u8>>>,
}

impl Checker {
    pub(super) fn open(config: &config::Encryption) -> Result<Self, Error> {
        let mut trust = TrustStore::new().remembering(Arc::new(VerifiedLinks::new(LINKS)));
        for path in &config.trust_files {
            let bytes = std::fs::read(path).map_err(|source| Error::File {
                action: "read",
                path: path.clone(),
                source,
            })?;
            trust = trust
                .add(&bytes, Vouches::SignaturesOnly)
                .map_err(|source| Error::TrustAnchor {
                    path: path.clone(),
                    source,
                })?;
        }
        Ok(Self {
            trust: Arc::new(trust),
            crl_folder: config.crls.clone(),
            crls: Arc::default(),
            require_revocation: config.require_revocation,
        })
    }

    /// Blocks for up to some milliseconds.
    pub(super) fn check(&self, candidate: &Candidate, recipient: &Mailbox, now: Timestamp) -> Result<Usable, Unusable> {
        if !mailboxes(&candidate.certificate).contains(recipient) {
            return Err(Unusable::OtherMailbox);
        }
        if self.trust.is_empty() {
            return Err(Unusable::NoTrust);
        }
        let der = candidate.certificate.to_der().map_err(|_| Unusable::Unreadable)?;
        let intermediates = candidate.intermediates.iter().map(Vec::as_slice);
        let path = verify_path(&der, intermediates, &self.trust, now, &PathParameters::default())
            .map_err(|problem| Unusable::Path(problem.to_string()));
        // The more telling answer first: an expired certificate has no valid path either.
        let usable = pinned(candidate, now)?;
        let revocation = path?.revocation(&self.crls(now), now);
        match (revocation, &candidate.source, self.require_revocation) {
            (RevocationStatus::Revoked, ..) => Err(Unusable::Revoked),
            (RevocationStatus::Good, ..) => Ok(usable),
            // The CA itself has just said that it is valid.
            (_, Source::Directory, _) | (RevocationStatus::NotChecked, _, false) => Ok(usable),
            (RevocationStatus::NotChecked | RevocationStatus::Unknown, ..) => Err(Unusable::RevocationUnknown),
        }
    }

    /// The CRLs in the folder, DER or PEM, read anew every minute.
    pub(crate) fn crls(&self, now: Timestamp) -> Arc<Vec<Vec<u8>>> {
        let mut known = self.crls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = &*known
            && read.at <= now
            && now < read.at.plus(Span::minutes(1))
        {
            return read.crls.clone();
        }
        let mut crls = Vec::new();
        for entry in std::fs::read_dir(&self.crl_folder).into_iter().flatten().flatten() {
            match std::fs::read(entry.path()) {
                Ok(bytes) if bytes.starts_with(b"-----BEGIN ") => {
                    crls.extend(der::pem::decode_vec(&bytes).ok().map(|(_, crl)| crl));
                }
                Ok(bytes) => crls.push(bytes),
                Err(error) => tracing::warn!(%error, path = %entry.path().display(), "a CRL cannot be read"),
            }
        }
        let crls = Arc::new(crls);
        *known = Some(ReadCrls {
            at: now,
            crls: crls.clone(),
        });
        crls
    }
}

/// As [`pinned`], for a certificate that has to name the recipient.
pub(super) fn pinned_for(candidate: &Candidate, recipient: &Mailbox, now: Timestamp) -> Result<Usable, Unusable> {
    if !mailboxes(&candidate.certificate).contains(recipient) {
        return Err(Unusable::OtherMailbox);
    }
    pinned(candidate, now)
}

/// The checks that need nobody's trust: for encryption, and now.
pub(super) fn pinned(candidate: &Candidate, now: Timestamp) -> Result<Usable, Unusable> {
    let tbs = candidate.certificate.tbs_certificate();
    let key = RecipientKey::new(tbs.subject_public_key_info()).map_err(Unusable::Key)?;
    let usage = tbs.get_extension::<KeyUsage>().map_err(|_| Unusable::Unreadable)?;
    // RFC 5280 section 4.2.1.3: without the extension a key may be used for everything.
    let is_for_encryption = usage.is_none_or(|(_, usage)| match key.kind() {
        RecipientKeyKind::Rsa => usage.key_encipherment(),
        RecipientKeyKind::EllipticCurve(_) => usage.key_agreement(),
    });
    if !is_for_encryption {
        return Err(Unusable::NotForEncryption);
    }
    let seconds = |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    let validity = tbs.validity();
    let (not_before, not_after) = (
        Timestamp::from_unix(seconds(validity.not_before)),
        Timestamp::from_unix(seconds(validity.not_after)),
    );
    if now < not_before || not_after < now {
        return Err(Unusable::NotValid { not_before, not_after });
    }
    let serial = HEXLOWER.encode(tbs.serial_number().as_bytes());
    Ok(Usable {
        source: candidate.source.clone(),
        capabilities: candidate.capabilities,
        serial,
        not_before,
        not_after,
        certificate: candidate.certificate.clone(),
    })
}

/// Whom authorities have certified is remembered, not each certificate: a few hundred would do.
const LINKS: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not 0");
