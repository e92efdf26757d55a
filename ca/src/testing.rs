//! A certificate authority of its own for each test: fake clock, seeded randomness, mail in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use ca_api::{Plan, PlanChange};
use dns::LocalAnswerer;
use keys::{KeyAlgorithm, KeyError, KeyId, KeyStore, Signature, SignatureAlgorithm, SigningKey};
use migrations::testing::PostgresSchema;
use policies::evidence::{Evidence, EvidenceId, EvidenceParts, Fact, FactKind, Method};
use policies::key_use::KeyUse;
use policies::mailbox::Mailbox;
use policies::organization::Country;
use policies::tier::Generation;
use policies::time::{FixedClock, Span, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use spki::SubjectPublicKeyInfoOwned;

use crate::accounts::{self, AccountId, AccountKind, Caller, NewPrincipal, Role};
use crate::app::{App, AppParts};
use crate::error::Error;
use crate::init::{Options, init};
use crate::issuance::{IssuanceObserver, TracingObserver};
use crate::mail::{Mailer, MemoryOutbox};
use crate::orders::{NewOrder, TierChoice};
use crate::{certificates, plans, store};

/// Which database a test runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Database {
    Sqlite,
    /// The server of `TEST_DATABASE_URL`.
    Postgres,
}

/// One authority in a temporary folder.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) app: Arc<App>,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) outbox: MemoryOutbox,
    pub(crate) keys: Arc<WatchedKeys>,
    pub(crate) folder: PathBuf,
    _temporary: tempfile::TempDir,
    _schema: Option<PostgresSchema>,
}

/// A moment in the middle of 2026, at which no rule is about to change.
pub(crate) const START: Timestamp = Timestamp::from_unix(1_782_000_000);

impl World {
    /// `None` when the test is for PostgreSQL and there is no server.
    pub(crate) async fn new(database: Database) -> Option<Self> {
        Self::with(database, |_| ()).await
    }

    /// As [`World::new`], with other options of `init`.
    pub(crate) async fn with(database: Database, change: impl FnOnce(&mut Options)) -> Option<Self> {
        Self::build(database, local_dns().resolver_config(), "", change).await
    }

    /// As [`World::new`], asking another DNS. Silent servers are given up soon.
    pub(crate) async fn with_dns(database: Database, mut dns: dns::ResolverConfig) -> Option<Self> {
        dns.limits.time_of_a_try = std::time::Duration::from_millis(100);
        Self::build(database, dns, "", |_| ()).await
    }

    /// As [`World::new`], with more at the end of its ca.toml.
    pub(crate) async fn with_configuration(database: Database, more: &str) -> Option<Self> {
        Self::build(database, local_dns().resolver_config(), more, |_| ()).await
    }

    async fn build(
        database: Database,
        dns: dns::ResolverConfig,
        configuration: &str,
        change: impl FnOnce(&mut Options),
    ) -> Option<Self> {
        let schema = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(PostgresSchema::from_environment()?),
        };
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("ca");
        let clock = Arc::new(FixedClock::new(START));
        let mut options = options(&folder);
        if let Some(schema) = &schema {
            options.database = schema.url();
        }
        change(&mut options);
        let keys = Arc::new(WatchedKeys::new(FixtureKeys::default()));
        let (parts, _) = parts(1, &clock, &keys, Arc::new(TracingObserver));
        init(&options, parts).await.unwrap();
        let file = folder.join("ca.toml");
        let written = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, written + configuration).unwrap();
        let (mut parts, outbox) = parts_for_app(2, &clock, &keys);
        parts.dns = Some(dns);
        let app = App::open(&folder, parts).await.unwrap();
        Some(Self {
            app,
            clock,
            outbox,
            keys,
            folder,
            _temporary: temporary,
            _schema: schema,
        })
    }

    /// A world around an authority that a test has made in its own way; on SQLite without a schema.
    pub(crate) fn around(
        app: Arc<App>,
        clock: Arc<FixedClock>,
        outbox: MemoryOutbox,
        keys: Arc<WatchedKeys>,
        folder: PathBuf,
        temporary: tempfile::TempDir,
        schema: Option<PostgresSchema>,
    ) -> Self {
        Self {
            app,
            clock,
            outbox,
            keys,
            folder,
            _temporary: temporary,
            _schema: schema,
        }
    }

    /// A subscriber with an account of its own.
    pub(crate) async fn subscriber(&self, name: &str) -> Caller {
        self.principal(name, Role::Subscriber).await
    }

    pub(crate) async fn principal(&self, name: &str, role: Role) -> Caller {
        let (caller, _) = self.principal_with_token(name, role).await;
        caller
    }

    /// The caller and its token in clear.
    pub(crate) async fn principal_with_token(&self, name: &str, role: Role) -> (Caller, String) {
        let local = accounts::local_operator();
        let operator = local.as_operator("prepare a test").unwrap();
        let account = match role {
            Role::Operator | Role::Officer => None,
            Role::Subscriber | Role::Gateway => {
                let kind = AccountKind::Organization;
                let account = accounts::create_account(&self.app, operator, name, kind).await.unwrap();
                let plan = PlanChange::to(Plan::ProOrganization);
                plans::change(&self.app, operator, account.id.as_ref(), &plan)
                    .await
                    .unwrap();
                Some(account.id.to_string())
            }
        };
        let new = NewPrincipal {
            name: name.to_owned(),
            role,
            account,
            expires_at: None,
        };
        let (_, token) = accounts::create_principal(&self.app, operator, new).await.unwrap();
        let caller = accounts::authenticate(&self.app, token.reveal()).await.unwrap();
        (caller, token.reveal().to_owned())
    }

    /// Stores a proof that was collected `age` ago.
    pub(crate) async fn prove(&self, caller: &Caller, proof: Proof, age: Span) -> EvidenceId {
        let now = self.app.now();
        let id = EvidenceId::new(self.app.new_id("evd"));
        let evidence = Evidence::new(EvidenceParts {
            id: id.clone(),
            fact: proof.fact,
            method: proof.method,
            br_version: "1.0.16".to_owned(),
            collected_at: now.minus(age),
            recorded_by: "recorder".to_owned(),
            approved_by: proof.approved_by,
            documents: vec![[7; 32]],
        })
        .unwrap();
        let account: AccountId = caller.account.clone().unwrap();
        self.app
            .db
            .write(move |conn| store::evidence::insert(conn, &account, &evidence, None, now))
            .await
            .unwrap();
        id
    }

    /// The row of a certificate.
    pub(crate) async fn row(&self, serial: &str) -> store::certificates::CertificateRow {
        let serial = serial.to_owned();
        self.app
            .db
            .read(move |conn| {
                let row = store::certificates::find_by_serial(conn, "issuing", &serial)?;
                Ok::<_, Error>(row)
            })
            .await
            .unwrap()
            .unwrap()
    }

    /// All certificates.
    pub(crate) async fn certificates(&self) -> Vec<certificates::Certificate> {
        let operator = accounts::local_operator();
        certificates::list(&self.app, &operator, certificates::Query::default())
            .await
            .unwrap()
    }

    /// Runs SQL that the program itself never would.
    pub(crate) async fn tamper(&self, sql: &str) {
        let sql = sql.to_owned();
        self.app
            .db
            .write(move |conn| {
                use diesel::connection::SimpleConnection;
                conn.batch_execute(&sql)?;
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

/// The options that every test starts from.
pub(crate) fn options(folder: &Path) -> Options {
    let country = Country::parse("DE").unwrap();
    let mut options = Options::new(folder, "Example Trust GmbH", country);
    options.public_url = "http://pki.example.com".to_owned();
    options
}

/// What differs from production, with everything that is random known beforehand.
pub(crate) fn parts(
    seed: u8,
    clock: &Arc<FixedClock>,
    keys: &Arc<WatchedKeys>,
    observer: Arc<dyn IssuanceObserver>,
) -> (AppParts, MemoryOutbox) {
    let (mail, outbox) = Mailer::in_memory("ca@example.com").unwrap();
    let parts = AppParts {
        clock: Arc::clone(clock) as _,
        rng: Box::new(ChaCha20Rng::from_seed([seed; 32])),
        observer,
        mail: Some(mail),
        keys: Some(Arc::clone(keys) as _),
        dns: Some(local_dns().resolver_config()),
        text_records: None,
    };
    (parts, outbox)
}

/// The DNS of every test that needs no answers of its own: no domain has any records, and that is proved.
pub(crate) fn local_dns() -> &'static LocalAnswerer {
    static LOCAL: OnceLock<LocalAnswerer> = OnceLock::new();
    LOCAL.get_or_init(|| LocalAnswerer::start().unwrap())
}

fn parts_for_app(seed: u8, clock: &Arc<FixedClock>, keys: &Arc<WatchedKeys>) -> (AppParts, MemoryOutbox) {
    parts(seed, clock, keys, Arc::new(TracingObserver))
}

/// A fact, how it was proved, and who approved it.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) fact: Fact,
    pub(crate) method: Method,
    pub(crate) approved_by: Vec<String>,
}

impl Proof {
    pub(crate) fn mailbox(address: &str) -> Self {
        Self::of(
            FactKind::MailboxControl,
            &[("mailbox", address)],
            Method::MailboxByEmail,
            &[],
        )
    }

    pub(crate) fn domain(domain: &str) -> Self {
        Self::of(
            FactKind::DomainControl,
            &[("domain", domain)],
            Method::DomainConstructedEmail,
            &[],
        )
    }

    pub(crate) fn individual(address: &str) -> Self {
        let fields = [("mailbox", address), ("given_name", "Ada"), ("surname", "Lovelace")];
        Self::of(
            FactKind::IndividualIdentity,
            &fields,
            Method::IdentityDocument,
            &["officer-1"],
        )
    }

    pub(crate) fn organization() -> Self {
        let fields = [
            ("legal_name", "Beispiel AG"),
            ("country", "DE"),
            ("organization_identifier", ORGANIZATION),
        ];
        let officers = ["officer-1", "officer-2"];
        Self::of(
            FactKind::OrganizationIdentity,
            &fields,
            Method::RegisterExtract,
            &officers,
        )
    }

    pub(crate) fn authority() -> Self {
        let fields = [
            ("organization_identifier", ORGANIZATION),
            ("representative", "Grace Hopper"),
        ];
        Self::of(
            FactKind::Authority,
            &fields,
            Method::ReliableMethodOfCommunication,
            &["officer-1"],
        )
    }

    pub(crate) fn employment(address: &str) -> Self {
        let fields = [
            ("organization_identifier", ORGANIZATION),
            ("given_name", "Ada"),
            ("surname", "Lovelace"),
            ("title", "Engineer"),
            ("mailbox", address),
        ];
        Self::of(
            FactKind::Employment,
            &fields,
            Method::EmployerAttestation,
            &["officer-1"],
        )
    }

    /// The same proof, approved by others.
    pub(crate) fn approved_by(mut self, officers: &[&str]) -> Self {
        self.approved_by = officers.iter().map(|officer| (*officer).to_owned()).collect();
        self
    }

    /// Everything that a V4 certificate for this mailbox rests on.
    pub(crate) fn everything(address: &str) -> [Self; 5] {
        [
            Self::mailbox(address),
            Self::individual(address),
            Self::organization(),
            Self::authority(),
            Self::employment(address),
        ]
    }

    fn of(kind: FactKind, fields: &[(&str, &str)], method: Method, approved_by: &[&str]) -> Self {
        let fields: BTreeMap<String, String> = fields
            .iter()
            .map(|(field, value)| ((*field).to_owned(), (*value).to_owned()))
            .collect();
        let proof = Self {
            fact: Fact::from_fields(kind, &fields).unwrap(),
            method,
            approved_by: Vec::new(),
        };
        proof.approved_by(approved_by)
    }
}

const ORGANIZATION: &str = "NTRDE-DEK1101R.HRB12345";

/// An order of a P-256 certificate, for a new key: no two subscribers have the same.
pub(crate) fn order(address: &str, tier: TierChoice) -> NewOrder {
    let key = keys::ExportableKey::generate(KeyAlgorithm::P256).unwrap();
    order_with_key(address, tier, &*key.signing_key())
}

pub(crate) fn order_with_key(address: &str, tier: TierChoice, key: &dyn SigningKey) -> NewOrder {
    NewOrder {
        mailbox: Mailbox::parse(address).unwrap(),
        tier,
        generation: Generation::Strict,
        key_use: KeyUse::Both,
        certificate_request: keys::certificate_request(key, "ignored").unwrap(),
        idempotency_key: None,
    }
}

/// What a watched key does besides signing.
pub(crate) enum Act {
    Sign,
    /// Looks at what is to be signed first.
    Look(Look),
    Fail,
    /// Signs something else, as a faulty device might.
    SignOther,
}

/// Is shown what is to be signed.
type Look = Box<dyn Fn(&[u8]) + Send>;

/// A key store whose keys count what they sign and misbehave on request.
pub(crate) struct WatchedKeys {
    inner: FixtureKeys,
    watch: Arc<Watch>,
}

struct Watch {
    signatures: AtomicUsize,
    act: Mutex<Act>,
}

impl WatchedKeys {
    pub(crate) fn new(inner: FixtureKeys) -> Self {
        let watch = Watch {
            signatures: AtomicUsize::new(0),
            act: Mutex::new(Act::Sign),
        };
        Self {
            inner,
            watch: Arc::new(watch),
        }
    }

    /// How often any key was asked to sign.
    pub(crate) fn signatures(&self) -> usize {
        self.watch.signatures.load(Ordering::SeqCst)
    }

    pub(crate) fn act(&self, act: Act) {
        *self.watch.act.lock().unwrap() = act;
    }

    fn watched(&self, key: Arc<dyn SigningKey>) -> Arc<dyn SigningKey> {
        Arc::new(WatchedKey {
            key,
            watch: Arc::clone(&self.watch),
        })
    }
}

impl std::fmt::Debug for WatchedKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("WatchedKeys")
    }
}

impl KeyStore for WatchedKeys {
    fn generate(&self, id: &KeyId, algorithm: KeyAlgorithm) -> Result<Arc<dyn SigningKey>, KeyError> {
        self.inner.generate(id, algorithm).map(|key| self.watched(key))
    }

    fn open(&self, id: &KeyId) -> Result<Arc<dyn SigningKey>, KeyError> {
        self.inner.open(id).map(|key| self.watched(key))
    }

    fn remove(&self, id: &KeyId) -> Result<(), KeyError> {
        self.inner.remove(id)
    }

    fn list(&self) -> Result<Vec<KeyId>, KeyError> {
        self.inner.list()
    }
}

struct WatchedKey {
    key: Arc<dyn SigningKey>,
    watch: Arc<Watch>,
}

impl std::fmt::Debug for WatchedKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("WatchedKey")
    }
}

impl SigningKey for WatchedKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }

    fn public_key(&self) -> &SubjectPublicKeyInfoOwned {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, KeyError> {
        self.watch.signatures.fetch_add(1, Ordering::SeqCst);
        match &*self.watch.act.lock().unwrap() {
            Act::Sign => self.key.sign(message),
            Act::Look(look) => {
                look(message);
                self.key.sign(message)
            }
            Act::Fail => Err(KeyError::Unavailable {
                what: "the security module".to_owned(),
                source: None,
            }),
            Act::SignOther => self.key.sign(&[message, b" "].concat()),
        }
    }
}

/// The fixed keys of `keys::testing` under the names that `init` uses.
#[derive(Debug, Default)]
pub(crate) struct FixtureKeys {
    pub(crate) issuing_rsa: bool,
}

impl KeyStore for FixtureKeys {
    fn generate(&self, id: &KeyId, _: KeyAlgorithm) -> Result<Arc<dyn SigningKey>, KeyError> {
        self.open(id)
    }

    fn open(&self, id: &KeyId) -> Result<Arc<dyn SigningKey>, KeyError> {
        match (id.as_ref(), self.issuing_rsa) {
            ("root", _) => Ok(keys::testing::p384()),
            ("issuing", false) => Ok(keys::testing::other_p256()),
            ("issuing", true) => Ok(keys::testing::rsa3072()),
            ("vp-account", _) => Ok(keys::testing::p384()),
            ("audit", _) => Ok(keys::testing::p256()),
            ("acme-dkim", _) => Ok(keys::testing::rsa2048()),
            (id, _) if id.starts_with("ocsp-") => Ok(keys::testing::p256()),
            _ => Err(KeyError::NotFound {
                id: id.clone(),
                place: "fixtures".to_owned(),
            }),
        }
    }

    fn remove(&self, id: &KeyId) -> Result<(), KeyError> {
        self.open(id).map(drop)
    }

    fn list(&self) -> Result<Vec<KeyId>, KeyError> {
        Ok(["audit", "issuing", "root"].map(|id| id.parse().unwrap()).to_vec())
    }
}
