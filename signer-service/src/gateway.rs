//! Everything the gateway holds while it runs, built once per process.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ca_api::Client;
use keys::sealing::SealingKey;
use keys::tls::{TlsIdentity, Trust};
use keys::{DecryptionKeys, KeyStore, SoftwareKeyStore};
use migrations::Pool;
use policies::mailbox::Domain;
use policies::signing::MaySign;
use policies::time::{Clock, Timestamp};
use rand_core::{CryptoRng, UnwrapErr};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use verifier::{TrustStore, Vouches};

use crate::config::Config;
use crate::delivered::Delivered;
use crate::dkim::DomainKey;
use crate::enrol::{Enroller, EnrollerParts, remove_orphaned_keys};
use crate::error::Error;
use crate::identity::{Identities, blocking};
use crate::queue::metrics::Metrics;
use crate::recipients::Recipients;
use crate::routing::Routes;
use crate::store::identities::{self as store, State};
use crate::store::queue;
use crate::store::recipient_certificates::{Approval, CertificateRow};
use crate::users::Users;

/// The running gateway.
pub struct Gateway {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<Mutex<Box<dyn CryptoRng + Send>>>,
    pub(crate) identities: Arc<Identities>,
    pub(crate) enroller: Enroller,
    /// Whom mail can be encrypted to.
    pub(crate) recipients: Recipients,
    pub(crate) routes: Arc<Routes>,
    pub(crate) delivered: Delivered,
    pub(crate) metrics: Metrics,
    /// Who may log in; nobody if there are none.
    pub(crate) users: Option<Arc<Users>>,
    pub(crate) server_tls: Arc<ServerConfig>,
    /// For the connection to the mailbox server: encrypted where it is offered.
    pub(crate) delivery_tls: Arc<ClientConfig>,
    dkim: Vec<DomainKey>,
    keys: Arc<dyn KeyStore>,
    decryption_keys: Arc<dyn DecryptionKeys>,
    inbound_trust: TrustStore,
    /// Marks our own Received fields; shared by the nodes that share a database.
    pub(crate) trace_key: Vec<u8>,
    pub(crate) db: Pool,
}

/// What differs between production and a test.
pub struct GatewayParts {
    pub clock: Arc<dyn Clock>,
    pub rng: Box<dyn CryptoRng + Send>,
    /// Where web servers show the policies of domains (RFC 8461); 443 on the Internet.
    pub policy_port: u16,
}

impl GatewayParts {
    /// The system's randomness, and a clock that the executable hands in.
    pub fn production(clock: Arc<dyn Clock>) -> Self {
        // A gateway without randomness must stop, so the panic of `UnwrapErr` is wanted.
        Self {
            clock,
            rng: Box::new(UnwrapErr(rand::rngs::SysRng)),
            policy_port: 443,
        }
    }
}

impl Gateway {
    /// Opens an initialized data folder: configuration, database with pending migrations, keys, accounts.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(folder: &Path, parts: GatewayParts) -> Result<Arc<Self>, Error> {
        Self::with_config(Config::load(folder)?, parts).await
    }

    /// As [`Gateway::open`], with a configuration that was read already.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn with_config(config: Config, parts: GatewayParts) -> Result<Arc<Self>, Error> {
        let (config, db, keys, sealing_key) = blocking(move || {
            let sealing_key = sealing_key(&config)?;
            let keys = SoftwareKeyStore::open(&config.keys.folder, sealing_key.clone());
            let keys = keys.map_err(|source| Error::Key {
                key: config.keys.folder.display().to_string(),
                source,
            })?;
            let db = Pool::open(&config.database)?;
            Ok((config, db, keys, sealing_key))
        })
        .await?;
        let keys = Arc::new(keys);
        let decryption_keys: Arc<dyn DecryptionKeys> = keys.clone();
        let keys: Arc<dyn KeyStore> = keys;
        let inbound_trust = inbound_trust(&config)?;
        let dkim = dkim_keys(&config, &*keys)?;
        let identities = Arc::new(Identities::new(db.clone(), keys.clone()));
        let rng = Arc::new(Mutex::new(parts.rng));
        let accounts = accounts(&config)?;
        let (encryption, folder, at_hand, clients) = (
            config.encryption.clone(),
            config.folder.clone(),
            db.clone(),
            accounts.clone(),
        );
        let recipients = blocking(move || Recipients::open(encryption, &folder, at_hand, clients)).await?;
        let mut fresh = [0; 32];
        rng.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(&mut fresh);
        let trace_key = db
            .write(move |conn| queue::secret(conn, "trace", &fresh).map_err(Error::from))
            .await?;
        let enroller = Enroller::new(EnrollerParts {
            db: db.clone(),
            keys: keys.clone(),
            identities: identities.clone(),
            clock: parts.clock.clone(),
            rng: rng.clone(),
            algorithm: config.keys.algorithm,
            generation: config.certificate_authority.generation,
            accounts,
        });
        let routes = Arc::new(Routes::open(&config, &db, &parts.clock, &rng, parts.policy_port)?);
        let server_tls = tls_identity(&config, &sealing_key, parts.clock.now())?.server_config();
        let users = Users::open(&config.folder)?.map(Arc::new);
        Ok(Arc::new(Self {
            config,
            clock: parts.clock,
            rng,
            identities,
            enroller,
            recipients,
            routes,
            delivered: Delivered::default(),
            metrics: Metrics::default(),
            users,
            server_tls,
            delivery_tls: unauthenticated_tls(),
            trace_key,
            keys,
            decryption_keys,
            inbound_trust,
            dkim,
            db,
        }))
    }

    /// For the one process that serves, before it does: see [`remove_orphaned_keys`].
    pub(crate) async fn remove_orphaned_keys(&self) -> Result<(), Error> {
        remove_orphaned_keys(&self.db, &self.keys).await
    }

    /// The keys with which the mail of a domain is signed last, in the order of the configuration.
    pub(crate) fn dkim_keys(&self, domain: &Domain) -> Vec<DomainKey> {
        let of_domain = self.dkim.iter().filter(|known| known.selector.domain == *domain);
        of_domain.cloned().collect()
    }

    pub(crate) const fn decryption_keys(&self) -> &Arc<dyn DecryptionKeys> {
        &self.decryption_keys
    }

    /// Whose signatures on incoming mail are believed, and whose say who somebody is.
    pub(crate) const fn inbound_trust(&self) -> &TrustStore {
        &self.inbound_trust
    }

    pub(crate) const fn db(&self) -> &Pool {
        &self.db
    }

    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Orders and holds the certificates of this gateway.
    pub const fn enroller(&self) -> &Enroller {
        &self.enroller
    }

    /// Every identity there is or was, by mailbox, the newest first.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn list_identities(&self) -> Result<Vec<ListedIdentity>, Error> {
        let rows = self.db.read(|conn| store::all(conn).map_err(Error::from)).await?;
        let now = self.clock.now();
        Ok(rows
            .into_iter()
            .map(|row| ListedIdentity {
                usable: row.state.0 == State::Valid
                    && row.not_before.is_some_and(|start| start <= now.unix())
                    && row.not_after.is_some_and(|end| now.unix() <= end),
                mailbox: row.mailbox,
                state: row.state.0.to_string(),
                tier: row.tier.map(|tier| tier.0.to_string()),
                serial: row.serial,
                not_before: row.not_before.map(|seconds| Timestamp::from_unix(seconds).to_string()),
                not_after: row.not_after.map(|seconds| Timestamp::from_unix(seconds).to_string()),
                problem: row.problem,
            })
            .collect())
    }

    /// Makes a token for the HTTP API; it is not kept and cannot be shown again.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn new_token(&self, name: &str, may_sign_for: &[&str]) -> Result<String, Error> {
        let may_sign_for: Vec<MaySign> = may_sign_for.iter().filter_map(|text| text.parse().ok()).collect();
        let token = crate::tokens::add(self, name, &may_sign_for).await?;
        Ok(token.expose().to_owned())
    }

    /// Ends a token; false if there is none of that id that still counts.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn revoke_token(&self, id: &str) -> Result<bool, Error> {
        crate::tokens::revoke(self, id).await
    }

    /// The certificates that signed mail has brought: mailbox, state and fingerprint of each.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn harvested(&self) -> Result<Vec<(String, String, String)>, Error> {
        let rows = crate::harvest::list(self, None).await?;
        let named = |row: CertificateRow| (row.mailbox, row.state.0.to_string(), row.fingerprint);
        Ok(rows.into_iter().map(named).collect())
    }

    /// Lets mail be encrypted to a certificate from then on; gives how many there were of that name.
    ///
    /// # Errors
    /// The database is not available, or the mailbox is none.
    pub async fn approve(&self, mailbox: &str, fingerprint: &str) -> Result<usize, Error> {
        let Ok(mailbox) = policies::mailbox::Mailbox::parse(mailbox) else {
            return Ok(0);
        };
        crate::harvest::decide(self, &mailbox, fingerprint, Approval::Approved).await
    }

    /// Where mail for an address would go and why, as `sealwright gateway route --json` prints it.
    pub async fn explain_route(&self, address: &str) -> serde_json::Value {
        let explanation = crate::routing::explain(&self.routes, &self.config, address).await;
        // Its maps have texts for keys, which is all that could fail.
        serde_json::to_value(explanation).unwrap_or_default()
    }

    /// Lends the random generator.
    pub(crate) fn with_rng<T>(&self, draw: impl FnOnce(&mut dyn CryptoRng) -> T) -> T {
        // Whoever panicked while drawing left the generator in a state that is as random as any other.
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        draw(&mut **rng)
    }
}

/// One line of `sealwright gateway identities list`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ListedIdentity {
    pub mailbox: String,
    pub state: String,
    /// Whether mail is signed with it now, unless there is a better one.
    pub usable: bool,
    pub tier: Option<String>,
    pub serial: Option<String>,
    pub not_before: Option<String>,
    pub not_after: Option<String>,
    /// Why it was refused or revoked.
    pub problem: Option<String>,
}

/// A client per account, the token read from its file.
fn accounts(config: &Config) -> Result<Vec<(Vec<MaySign>, Client)>, Error> {
    let url = &config.certificate_authority.url;
    let trust = config
        .certificate_authority
        .trust_file
        .as_deref()
        .map(read)
        .transpose()?;
    let mut accounts = Vec::new();
    for account in &config.accounts {
        let token = read_token(&account.token_file)?;
        let client = match &trust {
            Some(pem) => Client::new(url, pem.as_bytes(), &token),
            None => {
                let tls = keys::tls::client_config(Trust::System).map_err(Error::Tls)?;
                Client::with_tls(url, (*tls).clone(), &token)
            }
        };
        let client = client.map_err(|source| Error::CertificateAuthority {
            url: url.clone(),
            source,
        })?;
        accounts.push((account.covers.clone(), client));
    }
    Ok(accounts)
}

/// The key that seals keys in files, and the self-made TLS identity. To be opened once, since a pipe is empty then.
pub(crate) fn sealing_key(config: &Config) -> Result<Arc<SealingKey>, Error> {
    let source = &config.keys.sealing_key;
    let key = SealingKey::open_source(source.clone()).map_err(|cause| Error::Key {
        key: source.to_string(),
        source: cause,
    })?;
    Ok(Arc::new(key))
}

/// The configured identity for STARTTLS, or one made by ourselves and kept in the data folder: senders in the own network
/// then have encryption without anybody setting anything up.
fn tls_identity(config: &Config, sealing_key: &SealingKey, now: Timestamp) -> Result<TlsIdentity, Error> {
    if let Some(files) = &config.tls {
        return TlsIdentity::from_pem_files(&files.certificate, &files.key).map_err(Error::Tls);
    }
    let mut names = vec![config.hostname.clone()];
    let local = ["localhost", "127.0.0.1", "::1"].into_iter();
    names.extend(local.filter(|name| *name != config.hostname).map(str::to_owned));
    TlsIdentity::self_made_in(&config.folder, sealing_key, &names, now.unix()).map_err(Error::Tls)
}

/// No certificate is looked at, so it does not matter whom the system trusts, if anybody.
pub(crate) fn unauthenticated_tls() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    // Fails only for providers without cipher suites for these versions; AWS-LC has them.
    let builder = builder.expect("AWS-LC knows TLS 1.2 and 1.3");
    Arc::new(
        builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
    )
}

fn dkim_keys(config: &Config, keys: &dyn KeyStore) -> Result<Vec<DomainKey>, Error> {
    let mut opened = Vec::new();
    for selector in &config.dkim {
        let key = selector.key_name().parse().and_then(|id| keys.open(&id));
        let key = key.map_err(|source| Error::Key {
            key: format!(
                "of {} (made by `sealwright gateway dkim add --selector {} {}`)",
                selector.record_name(),
                selector.selector,
                selector.domain
            ),
            source,
        })?;
        opened.push(DomainKey {
            selector: selector.clone(),
            key,
        });
    }
    Ok(opened)
}

/// The roots under `[inbound]` say who people are; those under `[encryption]` only whose key is whose.
fn inbound_trust(config: &Config) -> Result<TrustStore, Error> {
    let mut trust = TrustStore::new();
    let Some(inbound) = &config.inbound else {
        return Ok(trust);
    };
    let tiers = inbound.trust_files.iter().map(|path| (path, Vouches::Tiers));
    let others = config
        .encryption
        .trust_files
        .iter()
        .map(|path| (path, Vouches::SignaturesOnly));
    for (path, vouches) in tiers.chain(others) {
        trust = trust
            .add(read(path)?.as_bytes(), vouches)
            .map_err(|source| Error::TrustAnchor {
                path: path.clone(),
                source,
            })?;
    }
    Ok(trust)
}

pub(crate) fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::File {
        action: "read",
        path: path.to_owned(),
        source,
    })
}

/// A token is as good as a password, so its file may be read by nobody else.
fn read_token(path: &Path) -> Result<String, Error> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = std::fs::metadata(path).map_err(|source| Error::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(Error::Token {
                path: path.to_owned(),
                reason: "can be read by others; run chmod 600 on it",
            });
        }
    }
    let token = read(path)?.trim().to_owned();
    if token.is_empty() {
        return Err(Error::Token {
            path: path.to_owned(),
            reason: "is empty; write the token into it",
        });
    }
    Ok(token)
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("config", &self.config)
            .field("identities", &self.identities)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for GatewayParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayParts")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
