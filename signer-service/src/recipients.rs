//! The certificates that mail is encrypted to: where they are looked for, and what they must be at that moment.
//!
//! A certificate is believed for what it is, never for where it was found: each must name the recipient, allow
//! encryption, lead to a trusted root and be neither expired nor revoked, at the time of sending.

mod check;
pub(crate) mod files;
mod smimea;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ca_api::{CertificateFilter, CertificateState, Client, ClientError};
use keys::KeyTransport;
use migrations::Pool;
use policies::mailbox::Mailbox;
use policies::signing::MaySign;
use policies::time::{Span, Timestamp};
use thiserror::Error;
use x509_cert::Certificate;

use crate::config;
use crate::enveloped::MessageCipher;
use crate::error::Error;
use crate::identity::blocking;
use crate::policy::{CipherChoice, TransportChoice};
use crate::store::recipient_certificates as store;

pub(crate) use check::Checker;
pub use check::Unusable;

/// Somebody's certificate, good for encrypting to at the time it was looked up.
#[derive(Debug)]
pub struct Usable {
    pub(crate) certificate: Certificate,
    pub(crate) source: Source,
    pub(crate) capabilities: Capabilities,
    pub(crate) serial: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

impl Usable {
    /// The sender's own certificate, for its own copy.
    pub(crate) fn of_sender(certificate: &Certificate, now: Timestamp) -> Result<Self, Unusable> {
        let candidate = check::Candidate {
            certificate: certificate.clone(),
            intermediates: Vec::new(),
            source: Source::Sender,
            capabilities: Capabilities::default(),
        };
        check::pinned(&candidate, now)
    }
}

/// Where a certificate was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// In a file that the operator has put there.
    File(PathBuf),
    /// In the CA's directory.
    Directory,
    /// In signed mail.
    Harvested,
    /// In the DNS, with DNSSEC (RFC 8162).
    Dns,
    /// The gateway of a whole domain.
    Domain(PathBuf),
    /// Ours, for the sender's own copy.
    Sender,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Directory => f.write_str("the directory of the certificate authority"),
            Self::Harvested => f.write_str("signed mail"),
            Self::Dns => f.write_str("the DNS"),
            Self::Domain(path) => write!(f, "the file {}, of the recipient's gateway", path.display()),
            Self::Sender => f.write_str("this gateway, for the sender's own copy"),
        }
    }
}

/// What a reader has said it can open (RFC 8551 section 2.5.2). Nothing, if it has said nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    pub aes_256_gcm: bool,
    pub rsa_oaep: bool,
}

impl Capabilities {
    /// As the database has them: words with blanks between.
    pub(crate) fn from_words(words: &str) -> Self {
        let has = |wanted| words.split(' ').any(|word| word == wanted);
        Self {
            aes_256_gcm: has("aes-256-gcm"),
            rsa_oaep: has("rsa-oaep"),
        }
    }

    pub(crate) fn to_words(self) -> String {
        let words = [(self.aes_256_gcm, "aes-256-gcm"), (self.rsa_oaep, "rsa-oaep")];
        let words: Vec<&str> = words
            .into_iter()
            .filter_map(|(has, word)| has.then_some(word))
            .collect();
        words.join(" ")
    }

    pub(crate) const fn cipher(self, choice: CipherChoice) -> MessageCipher {
        match (choice, self.aes_256_gcm) {
            (CipherChoice::Aes256Gcm, _) | (CipherChoice::ByCapability, true) => MessageCipher::Aes256Gcm,
            (CipherChoice::Aes256Cbc, _) | (CipherChoice::ByCapability, false) => MessageCipher::Aes256Cbc,
        }
    }

    pub(crate) const fn transport(self, choice: TransportChoice) -> KeyTransport {
        match (choice, self.rsa_oaep) {
            (TransportChoice::Oaep, _) | (TransportChoice::ByCapability, true) => KeyTransport::OaepSha256,
            (TransportChoice::Pkcs1, _) | (TransportChoice::ByCapability, false) => KeyTransport::Pkcs1,
        }
    }
}

/// Why there is no certificate.
#[derive(Debug, Clone, Error)]
pub(crate) enum NotFound {
    /// There is none, or none that can be used.
    #[error("{0}")]
    Final(String),
    /// Somebody who may know one could not be asked.
    #[error("the certificate authority's directory cannot be reached")]
    Later(#[source] Arc<ClientError>),
    #[error("the DNS says nothing about it that can be believed: {0}")]
    Dns(String),
    #[error("the database or a file of this gateway is not available")]
    Internal(#[source] Arc<Error>),
}

impl From<Error> for NotFound {
    fn from(error: Error) -> Self {
        Self::Internal(Arc::new(error))
    }
}

/// Looks certificates up.
pub(crate) struct Recipients {
    config: config::Encryption,
    folder: PathBuf,
    db: Pool,
    /// Whose directory knows whom; the first that is told of a mailbox is asked, else all.
    accounts: Vec<(Vec<MaySign>, Client)>,
    files: files::Files,
    checker: Checker,
    resolver: Option<dns::Resolver>,
    answers: Mutex<HashMap<Mailbox, Answer>>,
}

/// What the directory has said of a mailbox.
struct Answer {
    at: Timestamp,
    chains: Arc<Vec<String>>,
}

impl Recipients {
    pub(crate) fn open(
        config: config::Encryption,
        folder: &Path,
        db: Pool,
        accounts: Vec<(Vec<MaySign>, Client)>,
    ) -> Result<Self, Error> {
        let checker = Checker::open(&config)?;
        Ok(Self {
            files: files::Files::new(config.certificates.clone()),
            checker,
            resolver: config
                .smimea
                .as_ref()
                .map(|smimea| crate::resolver::open(&smimea.servers, smimea.trust_anchor.as_deref()))
                .transpose()?,
            folder: folder.to_owned(),
            db,
            accounts,
            config,
            answers: Mutex::default(),
        })
    }

    pub(crate) const fn checker(&self) -> &Checker {
        &self.checker
    }

    pub(crate) const fn config(&self) -> &config::Encryption {
        &self.config
    }

    /// The best certificate to encrypt to for a recipient: one from a file, else one from the directory, else one from
    /// signed mail, else one from the DNS; of several the newest.
    pub(crate) async fn find(&self, recipient: &Mailbox, now: Timestamp) -> Result<Arc<Usable>, NotFound> {
        let mut why_not = None;
        // 1. What the operator has put there.
        let found = self.files.of(recipient, now).await?;
        if let Some(usable) = self.best(found, recipient, now, &mut why_not).await? {
            return Ok(usable);
        }
        // 2. What the CA has issued.
        let mut later = None;
        if self.config.directory {
            match self.ask_directory(recipient, now).await {
                Ok(chains) => {
                    let candidates = chains
                        .iter()
                        .filter_map(|pem| check::Candidate::from_pem(pem, Source::Directory));
                    let candidates = candidates.collect();
                    if let Some(usable) = self.best(candidates, recipient, now, &mut why_not).await? {
                        return Ok(usable);
                    }
                }
                Err(error) => later = Some(error),
            }
        }
        // 3. What signed mail has brought.
        let wanted = recipient.clone();
        let rows = self
            .db
            .read(move |conn| store::approved(conn, &wanted).map_err(Error::from))
            .await?;
        let candidates = rows.iter().filter_map(check::Candidate::from_row).collect();
        if let Some(usable) = self.best(candidates, recipient, now, &mut why_not).await? {
            return Ok(usable);
        }
        // 4. What the recipient's domain says in the DNS.
        if let Some(resolver) = &self.resolver {
            match smimea::ask(resolver, recipient).await {
                Ok(found) => {
                    let (pinned, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.is_pinned);
                    let others = others.into_iter().map(|one| one.candidate).collect();
                    if let Some(usable) = self.best(others, recipient, now, &mut why_not).await? {
                        return Ok(usable);
                    }
                    for one in pinned {
                        match check::pinned_for(&one.candidate, recipient, now) {
                            Ok(usable) => return Ok(Arc::new(usable)),
                            Err(problem) => why_not = Some(problem),
                        }
                    }
                }
                Err(problem) if later.is_none() => return Err(NotFound::Dns(problem)),
                Err(_) => {}
            }
        }
        match (later, why_not) {
            (Some(error), _) => Err(NotFound::Later(Arc::new(error))),
            (None, Some(why_not)) => Err(NotFound::Final(why_not.to_string())),
            (None, None) => Err(NotFound::Final("no certificate of theirs is known".to_owned())),
        }
    }

    /// The certificate of the gateway that opens a whole domain's mail. The operator has chosen it, so it needs no path;
    /// it has to be valid and for encryption.
    pub(crate) async fn of_domain(&self, file: &Path, now: Timestamp) -> Result<Arc<Usable>, NotFound> {
        let path = self.folder.join(file);
        let usable = blocking(move || {
            let candidates = files::read(&path)?;
            let source = Source::Domain(path.clone());
            let mut why_not = None;
            for mut candidate in candidates {
                candidate.source = source.clone();
                match check::pinned(&candidate, now) {
                    Ok(usable) => return Ok(Ok(usable)),
                    Err(problem) => why_not = Some(problem),
                }
            }
            Ok(Err(why_not.map_or_else(
                || format!("{} holds no certificate", path.display()),
                |why_not| why_not.to_string(),
            )))
        })
        .await?;
        usable.map(Arc::new).map_err(NotFound::Final)
    }

    async fn best(
        &self,
        candidates: Vec<check::Candidate>,
        recipient: &Mailbox,
        now: Timestamp,
        why_not: &mut Option<Unusable>,
    ) -> Result<Option<Arc<Usable>>, NotFound> {
        if candidates.is_empty() {
            return Ok(None);
        }
        let (checker, recipient) = (self.checker.clone(), recipient.clone());
        let (usable, problem) = blocking(move || {
            let mut problem = None;
            let mut usable: Vec<Usable> = Vec::new();
            for candidate in candidates {
                match checker.check(&candidate, &recipient, now) {
                    Ok(one) => usable.push(one),
                    Err(error) => problem = Some(error),
                }
            }
            usable.sort_by_key(|usable| (usable.not_before, usable.not_after));
            Ok((usable.pop(), problem))
        })
        .await?;
        if problem.is_some() {
            *why_not = problem;
        }
        Ok(usable.map(Arc::new))
    }

    /// Chains in PEM of every certificate that the CA says is valid for the mailbox. An answer counts for ten minutes,
    /// and when the CA cannot be reached for a day: the certificates are checked each time.
    async fn ask_directory(&self, recipient: &Mailbox, now: Timestamp) -> Result<Arc<Vec<String>>, ClientError> {
        let known = |within: Span| {
            let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            let answer = answers.get(recipient)?;
            (answer.at <= now && now < answer.at.plus(within)).then(|| answer.chains.clone())
        };
        if let Some(chains) = known(FRESH) {
            return Ok(chains);
        }
        let mut chains = Vec::new();
        for (_, client) in &self.accounts {
            match chains_of(client, recipient).await {
                Ok(found) => chains.extend(found),
                Err(error) => {
                    tracing::warn!(%error, "the directory of the certificate authority did not answer");
                    return known(STALE).ok_or(error);
                }
            }
        }
        let chains = Arc::new(chains);
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST_ANSWERS {
            answers.clear();
        }
        let answer = Answer {
            at: now,
            chains: chains.clone(),
        };
        answers.insert(recipient.clone(), answer);
        Ok(chains)
    }
}

async fn chains_of(client: &Client, recipient: &Mailbox) -> Result<Vec<String>, ClientError> {
    let filter = CertificateFilter {
        mailbox: Some(recipient.clone()),
        state: Some(CertificateState::Valid),
        ..CertificateFilter::default()
    };
    let page = client.certificates(&filter).await?;
    let mut chains = Vec::new();
    let for_encryption = page.certificates.into_iter().filter(|listed| listed.key_use.encrypts());
    for listed in for_encryption.take(MOST_CERTIFICATES) {
        // Lists come without the certificates themselves.
        let chain = match listed.chain_pem {
            Some(chain) => Some(chain),
            None => client.certificate(&listed.serial).await?.chain_pem,
        };
        chains.extend(chain);
    }
    Ok(chains)
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipients")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// How long an answer of the directory counts.
const FRESH: Span = Span::minutes(10);

/// How long it counts while the CA cannot be reached.
const STALE: Span = Span::minutes(24 * 60);

/// Of one mailbox. Whoever has more has them for other things.
const MOST_CERTIFICATES: usize = 10;

/// An answer takes some kilobytes.
const MOST_ANSWERS: usize = 10_000;
