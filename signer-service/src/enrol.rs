//! Enrolment on the spot: a mailbox without a certificate gets one when its first mail comes by.
//!
//! The key is made here and stays in the key store. An order is written down before it is placed and is placed under
//! its own id (the Idempotency-Key), so that whatever is interrupted is taken up again by the next message with the
//! same key: nothing is ordered twice, nothing is lost. Per mailbox at most one enrolment is under way.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ca_api::{CertificateFilter, CertificateState, Client, ClientError, NewOrder, Order, OrderState, TierWish};
use keys::{KeyAlgorithm, KeyError, KeyId, KeyStore};
use migrations::Pool;
use migrations::text::AsText;
use policies::key_use::KeyUse;
use policies::mailbox::Mailbox;
use policies::signing::MaySign;
use policies::tier::Generation;
use policies::time::{Clock, Span, Timestamp};
use rand_core::CryptoRng;
use tokio::sync::OnceCell;

use crate::error::Error;
use crate::identity::{Chain, Identities, Identity, blocking};
use crate::store::identities::{self as store, IdentityRow, Insertion, Issued, State};

/// Why a mailbox has no identity. Cheap to clone: all who wait for one enrolment get the same answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolError {
    #[error(
        "no account of this gateway covers {mailbox}; add the mailbox or its domain to an [[account]] in gateway.toml"
    )]
    NoAccount { mailbox: String },
    #[error(
        "{mailbox} has no certificate and cannot get one, because nobody has validated it; confirm the mailbox or have its domain or organization validated at the certificate authority, then send the message again"
    )]
    NotValidated { mailbox: String },
    #[error("the certificate authority refused a certificate for {mailbox}: {reason}")]
    Refused { mailbox: String, reason: String },
    #[error("the certificate for {mailbox} is being issued; try again in a few minutes")]
    Pending { mailbox: String },
    #[error("the certificate authority cannot be reached to get a certificate for {mailbox}; try again later")]
    Unreachable {
        mailbox: String,
        #[source]
        source: Arc<ClientError>,
    },
    #[error(
        "the certificate authority did not accept this gateway when asked for a certificate for {mailbox}; check its token and address"
    )]
    Misconfigured {
        mailbox: String,
        #[source]
        source: Arc<ClientError>,
    },
    #[error("the certificate authority answered with an unusable certificate for {mailbox}: {reason}")]
    UnusableCertificate { mailbox: String, reason: String },
    #[error("the keys or the database of this gateway are not available")]
    Internal(#[source] Arc<Error>),
}

impl EnrolError {
    /// Whether asking again would not help until somebody has done something.
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::NoAccount { .. } | Self::NotValidated { .. } | Self::Refused { .. }
        )
    }
}

impl From<Error> for EnrolError {
    fn from(error: Error) -> Self {
        Self::Internal(Arc::new(error))
    }
}

/// Gets certificates from the CA. Clones share what is under way.
#[derive(Clone)]
pub struct Enroller(Arc<Shared>);

struct Shared {
    db: Pool,
    keys: Arc<dyn KeyStore>,
    identities: Arc<Identities>,
    clock: Arc<dyn Clock>,
    rng: Arc<Mutex<Box<dyn CryptoRng + Send>>>,
    algorithm: KeyAlgorithm,
    generation: Generation,
    accounts: Vec<(Vec<MaySign>, Client)>,
    under_way: Mutex<HashMap<Mailbox, Arc<OnceCell<Outcome>>>>,
    /// When renewal was last tried, so that a refused one is not tried with every message.
    renewals: Mutex<HashMap<Mailbox, Timestamp>>,
}

type Outcome = Result<Arc<Identity>, EnrolError>;

/// What an [`Enroller`] works with.
pub(crate) struct EnrollerParts {
    pub(crate) db: Pool,
    pub(crate) keys: Arc<dyn KeyStore>,
    pub(crate) identities: Arc<Identities>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<Mutex<Box<dyn CryptoRng + Send>>>,
    pub(crate) algorithm: KeyAlgorithm,
    pub(crate) generation: Generation,
    /// Who enrols whom.
    pub(crate) accounts: Vec<(Vec<MaySign>, Client)>,
}

impl Enroller {
    pub(crate) fn new(parts: EnrollerParts) -> Self {
        let EnrollerParts {
            db,
            keys,
            identities,
            clock,
            rng,
            algorithm,
            generation,
            accounts,
        } = parts;
        let (under_way, renewals) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Shared {
            db,
            keys,
            identities,
            clock,
            rng,
            algorithm,
            generation,
            accounts,
            under_way,
            renewals,
        }))
    }

    /// The identity for a mailbox, enrolled now if there is none. One that ends soon is renewed in the background
    /// and used meanwhile.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn identity(&self, mailbox: &Mailbox) -> Outcome {
        let now = self.0.clock.now();
        let Some(identity) = self.0.identities.best(mailbox, now).await? else {
            return self.enrol(mailbox).await;
        };
        if identity.not_after() < now.plus(RENEW_BEFORE) && self.may_renew(mailbox, now) {
            let (enroller, mailbox) = (self.clone(), mailbox.clone());
            tokio::spawn(async move {
                if let Err(error) = enroller.enrol(&mailbox).await {
                    tracing::warn!(%error, "an identity that ends soon could not be renewed");
                }
            });
        }
        Ok(identity)
    }

    /// Enrols a mailbox, or joins the enrolment of it that is under way.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn enrol(&self, mailbox: &Mailbox) -> Outcome {
        let cell = lock(&self.0.under_way).entry(mailbox.clone()).or_default().clone();
        let outcome = cell
            .get_or_init(|| async {
                let (shared, mailbox) = (self.0.clone(), mailbox.clone());
                // A task of its own, so that a session that goes away does not leave it half done.
                match tokio::spawn(async move { shared.enrol(&mailbox).await }).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(Error::Interrupted.into()),
                }
            })
            .await
            .clone();
        let mut under_way = lock(&self.0.under_way);
        if under_way.get(mailbox).is_some_and(|known| Arc::ptr_eq(known, &cell)) {
            under_way.remove(mailbox);
        }
        outcome
    }

    /// Asks the CA which certificates it has revoked and stops using those. Gives their number.
    ///
    /// One question for each account, and one more for every page of the answer, so that it can be asked often.
    ///
    /// # Errors
    /// The database is not available. A CA that cannot be reached is logged: what it said last stays true for us.
    pub async fn retire_revoked(&self) -> Result<usize, Error> {
        let shared = &self.0;
        let now = shared.clock.now();
        let rows = shared
            .db
            .read(move |conn| store::unexpired(conn, now).map_err(Error::from))
            .await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let mut revoked: HashMap<String, String> = HashMap::new();
        for (_, client) in &shared.accounts {
            if let Err(error) = add_revoked(client, &mut revoked).await {
                tracing::warn!(%error, "could not ask the certificate authority for revocations");
            }
        }
        let mut retired = 0;
        for row in rows {
            let (Some(serial), Ok(mailbox)) = (&row.serial, Mailbox::parse(&row.mailbox)) else {
                continue;
            };
            let Some(reason) = revoked.get(serial) else { continue };
            if shared.end(&row, (State::Valid, State::Revoked), reason).await? {
                tracing::warn!(serial, reason, "a certificate was revoked and is not used any more");
                retired += 1;
            }
            shared.identities.forget(&mailbox);
        }
        Ok(retired)
    }

    fn may_renew(&self, mailbox: &Mailbox, now: Timestamp) -> bool {
        let mut renewals = lock(&self.0.renewals);
        if renewals.get(mailbox).is_some_and(|last| last.plus(RENEWAL_PAUSE) > now) {
            return false;
        }
        renewals.retain(|_, last| last.plus(RENEWAL_PAUSE) > now);
        renewals.insert(mailbox.clone(), now);
        true
    }
}

/// Serial numbers and reasons of what an account's certificates were revoked for.
async fn add_revoked(client: &Client, revoked: &mut HashMap<String, String>) -> Result<(), ClientError> {
    let mut filter = CertificateFilter {
        state: Some(CertificateState::Revoked),
        ..CertificateFilter::default()
    };
    for _ in 0..MOST_PAGES {
        let page = client.certificates(&filter).await?;
        for certificate in page.certificates {
            let reason = certificate.revocation_reason.unwrap_or_else(|| "revoked".to_owned());
            revoked.insert(certificate.serial, reason);
        }
        match page.next_cursor {
            Some(cursor) => filter.cursor = Some(cursor),
            None => break,
        }
    }
    Ok(())
}

impl Shared {
    async fn enrol(&self, mailbox: &Mailbox) -> Outcome {
        let client = self.client_for(mailbox).ok_or_else(|| EnrolError::NoAccount {
            mailbox: mailbox.to_string(),
        })?;
        let wanted = mailbox.clone();
        let under_way = self
            .db
            .read(move |conn| store::ordered(conn, &wanted).map_err(Error::from))
            .await?;
        let row = match under_way {
            // An interrupted order: the same key, the same id.
            Some(row) if self.key_exists(&row).await? => row,
            Some(row) => {
                // The key is in the store of another machine, or was lost with this one's.
                self.end(
                    &row,
                    (State::Ordered, State::Refused),
                    "the key is not in the key store",
                )
                .await?;
                self.begin(mailbox, client).await?
            }
            None => self.begin(mailbox, client).await?,
        };
        let order = NewOrder {
            mailbox: mailbox.clone(),
            tier: TierWish::Best,
            generation: self.generation,
            // The gateway keeps the one key, signs with it, and opens what is encrypted to it.
            key_use: KeyUse::Both,
            certificate_request: row.certificate_request.clone(),
        };
        match client.place_order(&order, Some(&row.id)).await {
            Ok(order) => match order.state {
                OrderState::Valid => self.finish(mailbox, &row, order).await,
                OrderState::Pending => Err(EnrolError::Pending {
                    mailbox: mailbox.to_string(),
                }),
                OrderState::Invalid => {
                    let reason = order
                        .problem
                        .map_or_else(|| "it gave no reason".to_owned(), |problem| problem.to_string());
                    self.give_up(&row, &reason).await?;
                    Err(EnrolError::Refused {
                        mailbox: mailbox.to_string(),
                        reason,
                    })
                }
            },
            Err(error) => {
                let failure = failure(mailbox, error);
                if let EnrolError::Refused { reason, .. } = &failure {
                    self.give_up(&row, reason).await?;
                }
                Err(failure)
            }
        }
    }

    /// Asks whether there is any hope, makes a key and writes the order down.
    async fn begin(&self, mailbox: &Mailbox, client: &Client) -> Result<IdentityRow, EnrolError> {
        let standing = client.mailbox(mailbox).await.map_err(|error| failure(mailbox, error))?;
        if standing.best_tier.is_none() {
            return Err(EnrolError::NotValidated {
                mailbox: mailbox.to_string(),
            });
        }
        let mut random = [0; 16];
        lock(&self.rng).fill_bytes(&mut random);
        let id = data_encoding::HEXLOWER.encode(&random);
        let key_name = format!("{KEY_PREFIX}{id}");
        let key_id: KeyId = key_name.parse().map_err(|source| Error::Key {
            key: key_name.clone(),
            source,
        })?;
        let (keys, algorithm, common_name, new_key) =
            (self.keys.clone(), self.algorithm, mailbox.to_string(), key_id.clone());
        let certificate_request = blocking(move || {
            let failed = |source: KeyError| Error::Key {
                key: new_key.to_string(),
                source,
            };
            let key = keys.generate(&new_key, algorithm).map_err(failed)?;
            keys::certificate_request(&*key, &common_name).map_err(failed)
        })
        .await?;
        let now = self.clock.now().unix();
        let row = IdentityRow {
            id,
            mailbox: mailbox.as_ref().to_owned(),
            key_id: key_id.to_string(),
            state: AsText(State::Ordered),
            certificate_request,
            problem: None,
            tier: None,
            serial: None,
            chain_pem: None,
            not_before: None,
            not_after: None,
            created_at: now,
            updated_at: now,
        };
        let (inserted, wanted) = (row.clone(), mailbox.clone());
        let insertion = self
            .db
            .write(move |conn| store::insert_order(conn, &inserted, &wanted).map_err(Error::from))
            .await;
        match insertion {
            Ok(Insertion::Done) => Ok(row),
            Ok(Insertion::AnotherIsOrdered) => {
                self.remove_key(&row).await;
                Err(EnrolError::Pending {
                    mailbox: mailbox.to_string(),
                })
            }
            Err(error) => {
                self.remove_key(&row).await;
                Err(error.into())
            }
        }
    }

    async fn finish(&self, mailbox: &Mailbox, row: &IdentityRow, order: Order) -> Outcome {
        let unusable = |reason: String| EnrolError::UnusableCertificate {
            mailbox: mailbox.to_string(),
            reason,
        };
        let (Some(serial), Some(chain_pem), TierWish::Exactly(tier)) =
            (order.certificate_serial, order.chain_pem, order.tier)
        else {
            return Err(unusable(
                "the order is said to be valid and has no certificate".to_owned(),
            ));
        };
        let chain = Chain::parse(&chain_pem, mailbox).map_err(|reason| unusable(reason.to_string()))?;
        let (keys, key_name) = (self.keys.clone(), row.key_id.clone());
        let public_key = blocking(move || {
            let failed = |source: KeyError| Error::Key {
                key: key_name.clone(),
                source,
            };
            let key = keys.open(&key_name.parse().map_err(failed)?).map_err(failed)?;
            Ok(key.public_key().clone())
        })
        .await?;
        if &public_key != chain.certificate.tbs_certificate().subject_public_key_info() {
            return Err(unusable("it is for another key".to_owned()));
        }
        let issued = Issued {
            tier,
            serial,
            chain_pem,
            not_before: chain.not_before,
            not_after: chain.not_after,
        };
        let (id, now) = (row.id.clone(), self.clock.now());
        self.db
            .write(move |conn| store::fulfil(conn, &id, &issued, now).map_err(Error::from))
            .await?;
        self.identities.forget(mailbox);
        tracing::info!(tier = %tier, "a mailbox was enrolled");
        let identity = self.identities.best(mailbox, now).await?;
        identity.ok_or_else(|| unusable("it is not valid now; compare the clocks of gateway and CA".to_owned()))
    }

    /// The CA has said no: the row keeps the reason, the key goes.
    async fn give_up(&self, row: &IdentityRow, reason: &str) -> Result<(), Error> {
        if self.end(row, (State::Ordered, State::Refused), reason).await? {
            self.remove_key(row).await;
        }
        Ok(())
    }

    async fn end(&self, row: &IdentityRow, change: (State, State), reason: &str) -> Result<bool, Error> {
        let (id, reason, now) = (row.id.clone(), reason.to_owned(), self.clock.now());
        self.db
            .write(move |conn| store::end(conn, &id, change, &reason, now).map_err(Error::from))
            .await
    }

    async fn key_exists(&self, row: &IdentityRow) -> Result<bool, Error> {
        let (keys, key_name) = (self.keys.clone(), row.key_id.clone());
        blocking(move || match key_name.parse().and_then(|id| keys.open(&id)) {
            Ok(_) => Ok(true),
            Err(KeyError::NotFound { .. }) => Ok(false),
            Err(source) => Err(Error::Key { key: key_name, source }),
        })
        .await
    }

    /// A key that nothing refers to. If it cannot be removed now, the next start does it.
    async fn remove_key(&self, row: &IdentityRow) {
        let (keys, key_name) = (self.keys.clone(), row.key_id.clone());
        let removed = blocking(move || {
            key_name
                .parse()
                .and_then(|id| keys.remove(&id))
                .map_err(|source| Error::Key { key: key_name, source })
        })
        .await;
        if let Err(error) = removed {
            tracing::warn!(%error, "an unused key could not be removed");
        }
    }

    /// The client of the account that names the mailbox itself, or else of the first that covers it by a domain.
    fn client_for(&self, mailbox: &Mailbox) -> Option<&Client> {
        let named = MaySign::Mailbox(mailbox.clone());
        let by_name = self.accounts.iter().find(|(covers, _)| covers.contains(&named));
        let account = by_name.or_else(|| {
            self.accounts
                .iter()
                .find(|(covers, _)| covers.iter().any(|may_sign| may_sign.covers(mailbox)))
        });
        account.map(|(_, client)| client)
    }
}

/// What an unanswered call means for the sender.
fn failure(mailbox: &Mailbox, error: ClientError) -> EnrolError {
    let mailbox = mailbox.to_string();
    match &error {
        _ if error.is_temporary() => EnrolError::Unreachable {
            mailbox,
            source: Arc::new(error),
        },
        // RFC 9110 section 15.5.2: it does not know who we are, which is no answer to the question.
        ClientError::Refused(problem) if problem.status != 401 => EnrolError::Refused {
            mailbox,
            reason: problem.to_string(),
        },
        _ => EnrolError::Misconfigured {
            mailbox,
            source: Arc::new(error),
        },
    }
}

/// Removes keys of identities that were never written down: a process has stopped between key and row.
///
/// Not while another process enrols on the same key store, whose newest key has no row yet.
pub(crate) async fn remove_orphaned_keys(db: &Pool, keys: &Arc<dyn KeyStore>) -> Result<(), Error> {
    let known = db.read(|conn| store::key_ids(conn).map_err(Error::from)).await?;
    let keys = keys.clone();
    blocking(move || {
        let stored = keys.list().map_err(|source| Error::Key {
            key: "list".to_owned(),
            source,
        })?;
        let orphaned =
            |id: &&KeyId| id.as_ref().starts_with(KEY_PREFIX) && !known.iter().any(|known| known == id.as_ref());
        for id in stored.iter().filter(orphaned) {
            keys.remove(id).map_err(|source| Error::Key {
                key: id.to_string(),
                source,
            })?;
            tracing::info!(key = %id, "removed a key that was never used");
        }
        Ok(())
    })
    .await
}

impl fmt::Debug for Enroller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enroller")
            .field("identities", &self.0.identities)
            .finish_non_exhaustive()
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is in there is whole after every statement, so a panic elsewhere does not matter.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Far more revocations than an organization has.
const MOST_PAGES: usize = 1000;

/// Mail keeps flowing while somebody finds out why renewal fails.
const RENEW_BEFORE: Span = Span::days(14);
const RENEWAL_PAUSE: Span = Span::hours(1);
const KEY_PREFIX: &str = "identity-";
