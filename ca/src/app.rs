//! Everything the certificate authority holds while it runs, built once per process.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use keys::sealing::SealingKey;
use keys::{KeyStore, SoftwareKeyStore, StoreSettings};
use migrations::Pool;
use policies::time::{Clock, Timestamp};
use rand_core::{CryptoRng, UnwrapErr};
use zeroize::Zeroizing;

use crate::acme::Acme;
use crate::acme::dkim::{ResolvedTextRecords, TextRecords};
use crate::acme::nonce::NonceKey;
use crate::audit::AuditKey;
use crate::config::Config;
use crate::crl::{self, Published};
use crate::error::Error;
use crate::issuance::{IssuanceObserver, TracingObserver};
use crate::issuers::Issuers;
use crate::mail::Mailer;
use crate::metrics::Counts;
use crate::ocsp::Ocsp;
use crate::perspectives::Panel;
use crate::subject_keys::{self, WeakKeys};
use crate::validation::control::Fetch;
use crate::vp::Vp;

/// The running certificate authority.
pub struct App {
    pub(crate) db: Pool,
    /// Seals what is stored secret beside the keys, such as documents.
    pub(crate) sealing: Arc<SealingKey>,
    pub(crate) clock: Arc<dyn Clock>,
    rng: Mutex<Box<dyn CryptoRng + Send>>,
    pub(crate) mail: Mailer,
    pub(crate) config: Config,
    pub(crate) issuers: Issuers,
    pub(crate) weak_keys: WeakKeys,
    pub(crate) ocsp: Ocsp,
    pub(crate) crls: Published,
    pub(crate) counts: Counts,
    pub(crate) audit_key: AuditKey,
    pub(crate) observer: Arc<dyn IssuanceObserver>,
    pub(crate) dns: dns::Resolver,
    pub(crate) fetch: Fetch,
    pub(crate) perspectives: Panel,
    acme: Option<Acme>,
    vp: Option<Vp>,
    /// Where the API really listens, once it does.
    pub(crate) listening_at: OnceLock<SocketAddr>,
}

/// What differs between production and a test.
pub struct AppParts {
    pub clock: Arc<dyn Clock>,
    pub rng: Box<dyn CryptoRng + Send>,
    /// Called between the steps of every issuance.
    pub observer: Arc<dyn IssuanceObserver>,
    /// Replaces the mailer that the configuration asks for.
    pub mail: Option<Mailer>,
    /// Replaces the key store that the configuration names.
    pub keys: Option<Arc<dyn KeyStore>>,
    /// Replaces the DNS servers and the trust anchor that the configuration names.
    pub dns: Option<dns::ResolverConfig>,
    /// Replaces the resolver that finds the DKIM keys of those who reply to ACME challenges.
    pub text_records: Option<Arc<dyn TextRecords>>,
}

impl AppParts {
    /// The time of `clock`, the system's randomness, mail and keys as configured.
    pub fn production(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            // A certificate authority without randomness must stop, so the panic of `UnwrapErr` is wanted.
            rng: Box::new(UnwrapErr(rand::rngs::SysRng)),
            observer: Arc::new(TracingObserver),
            mail: None,
            keys: None,
            dns: None,
            text_records: None,
        }
    }
}

impl App {
    /// Opens an initialized data folder: configuration, database (with pending migrations), keys and issuers.
    ///
    /// What an earlier process left half done is finished by [`crate::jobs::run`], not here: commands open the same
    /// folder while a server is at work.
    pub async fn open(folder: &Path, parts: AppParts) -> Result<Arc<Self>, Error> {
        Self::with_config(Config::load(folder)?, parts).await
    }

    /// As [`App::open`], with a configuration that was read already.
    pub async fn with_config(config: Config, parts: AppParts) -> Result<Arc<Self>, Error> {
        let sealing = SealingKey::open_file(&config.keys.sealing_key).map_err(Error::Sealing)?;
        let sealing = Arc::new(sealing);
        // The store goes on to whoever may use some of its keys, and is not kept here.
        let keys: Arc<dyn KeyStore> = match parts.keys {
            Some(keys) => keys,
            None => match &config.keys.store {
                StoreSettings::Software { folder, .. } => match SoftwareKeyStore::open(folder, Arc::clone(&sealing)) {
                    Ok(keys) => Arc::new(keys),
                    Err(source) => {
                        return Err(Error::Key {
                            key: folder.display().to_string(),
                            source,
                        });
                    }
                },
                token => token.open().map_err(Error::KeyStore)?,
            },
        };
        let db = Pool::open(&config.database)?;
        let weak_keys = WeakKeys::read(&config.issuance.weak_key_lists)?;
        subject_keys::backfill(&db).await?;
        let mail = match parts.mail {
            Some(mail) => mail,
            None => Mailer::from_config(&config.mail)?,
        };
        let dns = match parts.dns {
            Some(dns) => dns,
            None => config.dns.resolver()?,
        };
        let dns = dns::Resolver::new(&dns)?;
        let fetch = Fetch::new(config.website);
        let perspectives = Panel::open(&config.perspectives)?;
        let audit_key = AuditKey::open(&*keys)?;
        let mut rng = parts.rng;
        let acme = match &config.acme {
            None => None,
            Some(settings) => {
                let mut fresh = Zeroizing::new([0; 32]);
                rng.fill_bytes(&mut *fresh);
                let nonces = NonceKey::open(&db, &sealing, fresh, parts.clock.now()).await?;
                let text_records: Arc<dyn TextRecords> = match parts.text_records.clone() {
                    Some(text_records) => text_records,
                    None => Arc::new(ResolvedTextRecords(dns.clone())),
                };
                Some(Acme::open(settings.clone(), &*keys, nonces, text_records)?)
            }
        };
        let vp = match &config.vp {
            None => None,
            Some(settings) => {
                let text_records: Arc<dyn TextRecords> = match parts.text_records {
                    Some(text_records) => text_records,
                    None => Arc::new(ResolvedTextRecords(dns.clone())),
                };
                Some(Vp::open(settings.clone(), &*keys, text_records)?)
            }
        };
        let ocsp = Ocsp::new(Arc::clone(&keys));
        let issuers = Issuers::open(&db, keys).await?;
        crl::register(&db, &config, &issuers.issuing.id).await?;
        Ok(Arc::new(Self {
            db,
            audit_key,
            sealing,
            clock: parts.clock,
            rng: Mutex::new(rng),
            mail,
            config,
            issuers,
            weak_keys,
            ocsp,
            crls: Published::default(),
            counts: Counts::default(),
            observer: parts.observer,
            dns,
            fetch,
            perspectives,
            acme,
            vp,
            listening_at: OnceLock::new(),
        }))
    }

    /// The present second. Read it once per request and pass it on.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What the operator configured.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The ACME server, if ca.toml asks for one.
    pub(crate) fn acme(&self) -> Result<&Acme, Error> {
        self.acme.as_ref().ok_or_else(|| Error::NotFound {
            kind: "section of ca.toml",
            id: "[acme]".to_owned(),
        })
    }

    /// The other authority for Vp certificates, if ca.toml names one.
    pub(crate) fn vp(&self) -> Result<&Vp, Error> {
        self.vp.as_ref().ok_or_else(|| Error::NotFound {
            kind: "section of ca.toml",
            id: "[vp]".to_owned(),
        })
    }

    /// What links to the API begin with, without a slash at the end.
    pub fn api_url(&self) -> String {
        match (&self.config.api_url, self.listening_at.get()) {
            (Some(url), _) => url.as_ref().to_owned(),
            (None, Some(address)) => format!("https://{address}"),
            (None, None) => format!("https://{}", self.config.listen),
        }
    }

    /// The issuers whose certificates and CRLs are published.
    pub fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    /// Lends the random generator.
    pub(crate) fn with_rng<T>(&self, draw: impl FnOnce(&mut dyn CryptoRng) -> T) -> T {
        // Whoever panicked while drawing left the generator in a state that is as random as any other.
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        draw(&mut **rng)
    }

    /// Bytes from the random generator.
    pub(crate) fn random<const LENGTH: usize>(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        self.with_rng(|rng| rng.fill_bytes(&mut bytes));
        bytes
    }

    /// An identifier nobody can guess: the prefix, a hyphen and 128 random bits in lower-case hexadecimal.
    pub(crate) fn new_id(&self, prefix: &str) -> String {
        let random = data_encoding::HEXLOWER.encode(&self.random::<16>());
        format!("{prefix}-{random}")
    }
}

/// Runs what blocks (keys, several queries in a row) on a thread of its own.
///
/// It runs to its end even when the caller is dropped: a client that hangs up does not stop a signature half way.
pub(crate) async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(migrations::Error::Stopping.into()),
        },
    }
}

impl fmt::Debug for App {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("App")
            .field("config", &self.config)
            .field("issuers", &self.issuers)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AppParts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AppParts")
            .field("clock", &self.clock)
            .field("observer", &self.observer)
            .finish_non_exhaustive()
    }
}
