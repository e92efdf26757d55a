//! Who the gateway signs as: certificates by mailbox, with their keys open and parsed.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use keys::{KeyId, KeyStore};
use migrations::Pool;
use policies::mailbox::{Mailbox, MailboxName};
use policies::tier::Tier;
use policies::time::{Span, Timestamp};
use x509_cert::Certificate;
use x509_cert::der::asn1::Utf8StringRef;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::cms::{CmsError, PreparedSigner};
use crate::error::Error;
use crate::store::identities::{self as store, IdentityRow};

/// A mailbox with a certificate and the key for it.
#[derive(Debug)]
pub struct Identity {
    id: String,
    mailbox: Mailbox,
    tier: Tier,
    serial: String,
    signer: PreparedSigner,
    certificate: Certificate,
    certified: Vec<Mailbox>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Identity {
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Everybody whom the certificate names.
    pub fn certified(&self) -> &[Mailbox] {
        &self.certified
    }

    pub const fn tier(&self) -> Tier {
        self.tier
    }

    pub(crate) const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Of the certificate, in lower-case hexadecimal.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    pub fn digest(&self) -> keys::DigestAlgorithm {
        self.signer.key().algorithm().digest()
    }

    /// See [`keys::SigningKey::is_quick`].
    pub(crate) fn is_quick(&self) -> bool {
        self.signer.key().is_quick()
    }

    /// See [`crate::cms::sign_detached`]. Blocks for some milliseconds.
    pub fn sign(&self, content: &[u8], signing_time: Timestamp) -> Result<Vec<u8>, CmsError> {
        self.signer.sign_detached(content, signing_time)
    }

    /// See [`crate::cms::sign_opaque`]. Blocks for some milliseconds.
    pub fn sign_opaque(&self, content: &[u8], signing_time: Timestamp) -> Result<Vec<u8>, CmsError> {
        self.signer.sign_opaque(content, signing_time)
    }

    /// Whether the certificate counts at `now` (RFC 5280 section 4.1.2.5: both ends included).
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    fn from_row(row: IdentityRow, keys: &dyn KeyStore) -> Result<Self, Error> {
        let id = row.id;
        let broken = |reason: &str| Error::StoredIdentity {
            id: id.clone(),
            reason: reason.to_owned(),
        };
        let (Some(tier), Some(serial), Some(chain_pem)) = (row.tier, row.serial, row.chain_pem) else {
            return Err(broken("it has no certificate"));
        };
        let mailbox = Mailbox::parse(&row.mailbox).map_err(|error| broken(&error.to_string()))?;
        let chain = Chain::parse(&chain_pem, &mailbox).map_err(|reason| broken(&reason.to_string()))?;
        let key_id: KeyId = row.key_id.parse().map_err(|source| Error::Key {
            key: row.key_id.clone(),
            source,
        })?;
        let key = keys.open(&key_id).map_err(|source| Error::Key {
            key: row.key_id.clone(),
            source,
        })?;
        let signer =
            PreparedSigner::new(key, &chain.certificate, &chain.intermediates).map_err(|error| match error {
                CmsError::ForeignCertificate => broken("its certificate is for another key"),
                error => broken(&error.to_string()),
            })?;
        Ok(Self {
            mailbox,
            tier: tier.0,
            serial,
            signer,
            not_before: chain.not_before,
            not_after: chain.not_after,
            certified: mailboxes(&chain.certificate),
            certificate: chain.certificate,
            id,
        })
    }
}

/// The best one at `now`: the highest tier, among equals the newest (and then the longest). `None` if all are
/// expired or not yet valid.
pub fn choose(identities: &[Arc<Identity>], now: Timestamp) -> Option<Arc<Identity>> {
    let valid = identities.iter().filter(|identity| identity.is_valid_at(now));
    valid
        .max_by(|one, other| {
            (one.tier, one.not_before, one.not_after, &one.id).cmp(&(
                other.tier,
                other.not_before,
                other.not_after,
                &other.id,
            ))
        })
        .cloned()
}

/// A certificate for a mailbox and what stands between it and the root.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) certificate: Certificate,
    pub(crate) intermediates: Vec<Certificate>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// Why a chain is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnusableChain {
    #[error("the chain is not PEM with certificates")]
    Pem,
    #[error("the chain is empty")]
    Empty,
    #[error("the certificate does not name {mailbox}")]
    OtherMailbox { mailbox: String },
    #[error("certificate {position} of the chain was not issued by the one after it")]
    Unordered { position: usize },
}

impl Chain {
    /// Reads a chain in PEM, the end-entity certificate first, and checks that it names `mailbox` (RFC 8550 section 3).
    pub(crate) fn parse(pem: &str, mailbox: &Mailbox) -> Result<Self, UnusableChain> {
        let mut certificates = Certificate::load_pem_chain(pem.as_bytes())
            .map_err(|_| UnusableChain::Pem)?
            .into_iter();
        let certificate = certificates.next().ok_or(UnusableChain::Empty)?;
        let intermediates: Vec<Certificate> = certificates.collect();
        if !mailboxes(&certificate).contains(mailbox) {
            return Err(UnusableChain::OtherMailbox {
                mailbox: mailbox.to_string(),
            });
        }
        let links = std::iter::once(&certificate).chain(&intermediates).zip(&intermediates);
        for (position, (subject, issuer)) in links.enumerate() {
            if subject.tbs_certificate().issuer() != issuer.tbs_certificate().subject() {
                return Err(UnusableChain::Unordered { position: position + 1 });
            }
        }
        let validity = certificate.tbs_certificate().validity();
        let seconds =
            |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        let (not_before, not_after) = (
            Timestamp::from_unix(seconds(validity.not_before)),
            Timestamp::from_unix(seconds(validity.not_after)),
        );
        Ok(Self {
            certificate,
            intermediates,
            not_before,
            not_after,
        })
    }
}

/// The mailboxes that a certificate names, see RFC 9598.
pub(crate) fn mailboxes(certificate: &Certificate) -> Vec<Mailbox> {
    let Ok(Some((_, names))) = certificate.tbs_certificate().get_extension::<SubjectAltName>() else {
        return Vec::new();
    };
    let name = |name: &GeneralName| match name {
        GeneralName::Rfc822Name(address) => Some(MailboxName::Rfc822Name(address.as_str().to_owned())),
        GeneralName::OtherName(other) if other.type_id == ID_ON_SMTP_UTF8_MAILBOX => {
            let text = Utf8StringRef::from_der(&other.value.to_der().ok()?)
                .ok()?
                .as_str()
                .to_owned();
            Some(MailboxName::SmtpUtf8Mailbox(text))
        }
        _ => None,
    };
    names
        .0
        .iter()
        .filter_map(name)
        .filter_map(|name| Mailbox::from_subject_alternative_name(&name).ok())
        .collect()
}

/// All identities of this gateway, read from the database and kept for a minute.
pub struct Identities {
    db: Pool,
    keys: Arc<dyn KeyStore>,
    cache: Mutex<HashMap<Mailbox, Cached>>,
}

struct Cached {
    read_at: Timestamp,
    identities: Vec<Arc<Identity>>,
}

impl Identities {
    pub(crate) fn new(db: Pool, keys: Arc<dyn KeyStore>) -> Self {
        Self {
            db,
            keys,
            cache: Mutex::default(),
        }
    }

    /// The identity to sign with for `mailbox`, if there is one that is valid now.
    ///
    /// # Errors
    /// The database or the key store is not available. A single unreadable row is logged and skipped.
    pub async fn best(&self, mailbox: &Mailbox, now: Timestamp) -> Result<Option<Arc<Identity>>, Error> {
        if let Some(cached) = self.lock().get(mailbox)
            && cached.read_at.plus(REREAD_AFTER) > now
            && now >= cached.read_at
        {
            return Ok(choose(&cached.identities, now));
        }
        let wanted = mailbox.clone();
        let rows = self
            .db
            .read(move |conn| store::valid(conn, &wanted).map_err(Error::from))
            .await?;
        if rows.is_empty() {
            self.forget(mailbox);
            return Ok(None);
        }
        let keys = self.keys.clone();
        let identities = blocking(move || {
            let mut identities = Vec::new();
            for row in rows {
                match Identity::from_row(row, &*keys) {
                    Ok(identity) => identities.push(Arc::new(identity)),
                    Err(Error::Key { key, source }) if source.is_temporary() => return Err(Error::Key { key, source }),
                    Err(error) => tracing::error!(%error, cause = ?std::error::Error::source(&error).map(ToString::to_string), "a stored identity is not usable"),
                }
            }
            Ok(identities)
        })
        .await?;
        let chosen = choose(&identities, now);
        let mut cache = self.lock();
        if cache.len() >= MOST_CACHED {
            cache.clear();
        }
        cache.insert(
            mailbox.clone(),
            Cached {
                read_at: now,
                identities,
            },
        );
        Ok(chosen)
    }

    pub(crate) fn forget(&self, mailbox: &Mailbox) {
        self.lock().remove(mailbox);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Mailbox, Cached>> {
        // Every statement leaves the map whole, so a panic elsewhere does not matter.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities")
            .field("cached", &self.lock().len())
            .finish_non_exhaustive()
    }
}

/// Runs work that blocks (keys, signatures) on a thread for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Error::Interrupted))
}

/// How long another process may wait until this one notices a new or revoked identity: less than a minute, together
/// with the half minute after which one of them asks the CA.
const REREAD_AFTER: Span = Span::seconds(20);

/// An identity takes some ten kilobytes.
const MOST_CACHED: usize = 10_000;

const ID_ON_SMTP_UTF8_MAILBOX: const_oid::ObjectIdentifier =
    const_oid::ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.8.9");
