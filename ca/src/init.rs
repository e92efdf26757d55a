//! Makes a new certificate authority: keys, root and issuing certificate, database, configuration, operator.
//!
//! All of it or nothing: everything is made in a folder beside the one that was asked for, which takes its name when
//! it is complete.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keys::sealing::SealingKey;
use keys::{KeyAlgorithm, KeyId, KeyStore, Pkcs11Settings, SigningKey, SoftwareKeyStore, StoreSettings};
use migrations::Pool;
use policies::authority::{AuthorityName, issuing_template, root_template};
use policies::issuance::{CertificateTemplate, Issuer};
use policies::lint::{self, Expected, LintContext};
use policies::organization::Country;
use policies::profile::ValidityPeriod;
use policies::tier::{Generation, Tier};
use policies::time::Timestamp;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};

use crate::accounts::{self, NewPrincipal, PlainToken, Role};
use crate::app::{App, AppParts};
use crate::audit::{self, Action, AuditKey};
use crate::config::{self, Config, Ports, PublicUrl};
use crate::error::Error;
use crate::issuance::prepare::random_serial;
use crate::issuers::{self, IssuerKind, key};
use crate::store;
use crate::store::issuers::IssuerRow;
use crate::{crl, signature};

/// What the operator decides once and for all.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data folder; it must not exist, or be empty.
    pub folder: PathBuf,
    /// Stands in both certificates (BR 7.1.4.3).
    pub organization: String,
    pub country: Country,
    pub root_key: KeyAlgorithm,
    pub issuing_key: KeyAlgorithm,
    /// The token that the keys are made in; without one they are sealed files in the data folder. Relative paths start
    /// at the working directory.
    pub token: Option<Pkcs11Settings>,
    /// As in `ca.toml`.
    pub database: String,
    pub public_url: String,
    pub listen: String,
    pub public_listen: String,
    pub smtp: Option<String>,
    pub mail_from: String,
    /// Other DNS servers and another root than the system's. Relative paths start at the data folder.
    pub dns: Option<config::Dns>,
}

impl Options {
    /// Elliptic curve keys, SQLite, and local addresses.
    pub fn new(folder: &Path, organization: &str, country: Country) -> Self {
        Self {
            folder: folder.to_owned(),
            organization: organization.to_owned(),
            country,
            root_key: KeyAlgorithm::P384,
            issuing_key: KeyAlgorithm::P256,
            token: None,
            database: config::DEFAULT_DATABASE.to_owned(),
            public_url: "http://127.0.0.1:8080".to_owned(),
            listen: "127.0.0.1:8440".to_owned(),
            public_listen: "127.0.0.1:8080".to_owned(),
            smtp: None,
            mail_from: config::DEFAULT_MAIL_FROM.to_owned(),
            dns: None,
        }
    }
}

/// What was made; `Display` tells the operator.
#[derive(Debug)]
pub struct Made {
    pub folder: PathBuf,
    pub root_subject: String,
    pub root_sha256: [u8; 32],
    pub root_not_after: Timestamp,
    pub issuing_subject: String,
    pub issuing_not_after: Timestamp,
    /// Where the private keys are, if not in the data folder.
    pub token: Option<String>,
    /// Shown once; the database has its hash.
    pub operator_token: PlainToken,
}

impl fmt::Display for Made {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.display();
        let fingerprint = data_encoding::HEXLOWER.encode(&self.root_sha256);
        writeln!(formatter, "Made a certificate authority in {folder}:")?;
        writeln!(formatter, "  {folder}/ca.toml      the configuration")?;
        writeln!(
            formatter,
            "  {folder}/root.pem     the root certificate, to be trusted by readers"
        )?;
        match &self.token {
            None => {
                writeln!(formatter, "  {folder}/keys         the private keys, sealed")?;
                writeln!(
                    formatter,
                    "  {folder}/sealing.key  opens them: keep a copy in another place than the keys"
                )?;
            }
            Some(token) => {
                writeln!(
                    formatter,
                    "  {folder}/sealing.key  opens documents: keep a copy in another place"
                )?;
                writeln!(formatter, "The private keys are in the {token} and nowhere else.")?;
            }
        }
        writeln!(
            formatter,
            "Root:    {} until {}",
            self.root_subject, self.root_not_after
        )?;
        writeln!(formatter, "         SHA-256 {fingerprint}")?;
        writeln!(
            formatter,
            "Issuing: {} until {}",
            self.issuing_subject, self.issuing_not_after
        )?;
        writeln!(
            formatter,
            "Operator token, shown this once: {}",
            self.operator_token.reveal()
        )
    }
}

/// Makes a certificate authority.
///
/// # Errors
/// [`Error::AlreadyInitialized`] when the folder is in use. Whatever fails, no folder is left behind; a PostgreSQL
/// database may then hold rows of the attempt, and has to be emptied before the next one.
pub async fn init(options: &Options, mut parts: AppParts) -> Result<Made, Error> {
    // 1. Check what was asked for, before anything is made.
    let public_url = PublicUrl::parse(&options.public_url).map_err(|reason| Error::InvalidInput {
        field: "public URL",
        reason,
    })?;
    for (field, algorithm) in [("root key", options.root_key), ("issuing key", options.issuing_key)] {
        check_key_algorithm(field, algorithm)?;
    }
    let root_name = authority_name(options, "S/MIME Root CA")?;
    let issuing_name = authority_name(options, "S/MIME Issuing CA")?;
    let folder = std::path::absolute(&options.folder).map_err(file("find", &options.folder))?;
    refuse_folder_in_use(&folder)?;

    // 2. The folder beside the one that was asked for. Dropping it removes it.
    let unfinished = Unfinished::make(&folder, &mut *parts.rng)?;
    let building = unfinished.path.clone();
    let ports = Ports {
        listen: &options.listen,
        public_listen: &options.public_listen,
        smtp: options.smtp.as_deref(),
        mail_from: &options.mail_from,
    };
    let display_name = format!("{} certificate authority", options.organization);
    let token = options.token.clone().map(absolute).transpose()?;
    let text = config::template(
        &display_name,
        &options.database,
        &public_url,
        ports,
        token.as_ref(),
        options.dns.as_ref(),
    );
    let config_path = building.join(Config::FILE_NAME);
    let config = Config::parse(&building, &text).map_err(|reason| Error::Configuration {
        path: config_path.clone(),
        reason,
    })?;
    write_file(&config_path, text.as_bytes())?;

    // 3. Keys, sealed from the first moment on or made in the token. Dropping them unfinished removes them again: those
    //    in a token would outlive the folder.
    let sealing = SealingKey::generate_file(&config.keys.sealing_key).map_err(Error::Sealing)?;
    let key_store: Arc<dyn KeyStore> = match (&parts.keys, &config.keys.store) {
        (Some(key_store), _) => Arc::clone(key_store),
        (None, StoreSettings::Software { folder, .. }) => {
            Arc::new(SoftwareKeyStore::create(folder, sealing).map_err(key_error("folder"))?)
        }
        (None, token) => token.create().map_err(Error::KeyStore)?,
    };
    // One process opens a token once.
    parts.keys = Some(Arc::clone(&key_store));
    let mut new_keys = NewKeys::in_store(key_store);
    let root_key = new_keys.generate(ROOT, options.root_key)?;
    let issuing_key = new_keys.generate(ISSUING, options.issuing_key)?;
    new_keys.generate(AuditKey::id().as_ref(), KeyAlgorithm::P256)?;

    // 4. The root and the issuing certificate, linted like all others.
    let now = parts.clock.now();
    let rng = &mut *parts.rng;
    let root_issuer = Issuer {
        name: root_name.to_name()?,
        public_key: root_key.public_key().clone(),
        signature_algorithm: root_key.algorithm().identifier(),
    };
    let root_period = ValidityPeriod::of_days(now, ROOT_DAYS);
    let root_template = root_template(&root_name, root_key.public_key())?;
    let context = LintContext {
        expected: Expected::Root,
        issuer: &root_issuer,
        now,
    };
    let root = certify(&root_template, root_period, context, &*root_key, rng)?;
    let locations = public_url.locations(ROOT).map_err(|error| Error::InvalidInput {
        field: "public URL",
        reason: error.to_string(),
    })?;
    let issuing_template = issuing_template(
        &issuing_name,
        issuing_key.public_key(),
        &root_issuer,
        &locations,
        &Tier::ALL,
        &Generation::ALL,
    )?;
    let issuing_period = ValidityPeriod::of_days(now, ISSUING_DAYS);
    let context = LintContext {
        expected: Expected::IssuingAuthority,
        ..context
    };
    let issuing = certify(&issuing_template, issuing_period, context, &*root_key, rng)?;

    // 5. The database.
    let rows = [
        issuer_row(IssuerKind::Root, &root_template, &root, now),
        issuer_row(IssuerKind::Issuing, &issuing_template, &issuing, now),
    ];
    insert_issuers(&config, rows, now).await?;

    // 6. The first operator and the first CRLs, made by the authority itself: so it works.
    let root_pem = issuers::pem("CERTIFICATE", &root);
    write_file(&building.join("root.pem"), root_pem.as_bytes())?;
    let app = App::with_config(config, parts).await?;
    let operator_token = first_operator(&app).await?;
    for issuer in app.issuers.all() {
        crl::publish(&app, issuer, crl::Scope::Complete).await?;
    }
    audit::checkpoint(&app).await?;
    drop(app);

    // 7. Done: the folder takes its name.
    unfinished.finish(&folder)?;
    new_keys.keep();
    Ok(Made {
        folder,
        root_subject: root_template.subject().to_string(),
        root_sha256: Sha256::digest(&root).into(),
        root_not_after: root_period.not_after,
        issuing_subject: issuing_template.subject().to_string(),
        issuing_not_after: issuing_period.not_after,
        token: token.map(|settings| settings.token.to_string()),
        operator_token,
    })
}

/// BR 7.1.4.3: the common name tells the authorities of an organization apart; 64 characters is its upper bound.
fn authority_name(options: &Options, role: &str) -> Result<AuthorityName, Error> {
    // The organization by itself first, so that a complaint is about what the operator wrote.
    AuthorityName::new(role, &options.organization, options.country)?;
    let room = 64 - 1 - role.len();
    let beginning: String = options.organization.chars().take(room).collect();
    let common_name = format!("{} {role}", beginning.trim_end());
    Ok(AuthorityName::new(
        &common_name,
        &options.organization,
        options.country,
    )?)
}

/// BR 6.1.5 since version 1.0.15: RSA keys of authorities have at least 4096 bits.
fn check_key_algorithm(field: &'static str, algorithm: KeyAlgorithm) -> Result<(), Error> {
    match algorithm {
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 => Err(Error::InvalidInput {
            field,
            reason: format!(
                "{algorithm} is too short for an authority since 15 September 2026 (BR 6.1.5); use p256, p384 or rsa4096"
            ),
        }),
        _ => Ok(()),
    }
}

fn refuse_folder_in_use(folder: &Path) -> Result<(), Error> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::AlreadyInitialized {
                folder: folder.to_owned(),
            }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::File {
            action: "read",
            path: folder.to_owned(),
            source,
        }),
    }
}

/// Builds, lints, signs and checks a certificate of the authority itself.
///
/// The root key signs here, by the direct command of whoever runs `init` (BR 4.3.1.1), and afterwards only CRLs.
fn certify(
    template: &CertificateTemplate,
    period: ValidityPeriod,
    context: LintContext<'_>,
    issuer_key: &dyn SigningKey,
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, Error> {
    let serial = random_serial(rng)?;
    let tbs = template.to_be_signed(&serial, period, context.issuer)?;
    let linted = lint::check(tbs, &context).map_err(|findings| Error::LintRefused { findings })?;
    let signed = issuer_key.sign(linted.tbs()).map_err(key_error(ROOT))?;
    let algorithm = issuer_key.algorithm().identifier();
    if !signature::is_valid(issuer_key.public_key(), &algorithm, linted.tbs(), signed.as_bytes()) {
        return Err(Error::OwnSignature {
            serial: data_encoding::HEXLOWER.encode(serial.as_bytes()),
            reason: "its signature is not valid".to_owned(),
        });
    }
    key::assemble(linted.tbs(), &algorithm, signed.as_bytes())
}

/// The settings as they hold from any folder: what was typed is relative to where it was typed.
fn absolute(settings: Pkcs11Settings) -> Result<Pkcs11Settings, Error> {
    let here = std::path::absolute(".").map_err(file("find", Path::new(".")))?;
    Ok(settings.relative_to(&here))
}

/// The keys that were made so far; removed when this is dropped before [`NewKeys::keep`].
#[derive(Debug)]
struct NewKeys {
    store: Arc<dyn KeyStore>,
    made: Vec<KeyId>,
}

impl NewKeys {
    const fn in_store(store: Arc<dyn KeyStore>) -> Self {
        Self {
            store,
            made: Vec::new(),
        }
    }

    /// Makes a key. One that is there already is not ours: the error says so, and it stays.
    fn generate(&mut self, id: &str, algorithm: KeyAlgorithm) -> Result<Arc<dyn SigningKey>, Error> {
        let key_id: KeyId = id.parse().map_err(key_error(id))?;
        let key = self.store.generate(&key_id, algorithm).map_err(key_error(id))?;
        self.made.push(key_id);
        Ok(key)
    }

    fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for NewKeys {
    fn drop(&mut self) {
        for id in &self.made {
            if let Err(error) = self.store.remove(id) {
                let error = crate::error::chain(&error);
                tracing::error!(key = %id, error, "could not remove a key that was made for nothing");
            }
        }
    }
}

fn issuer_row(kind: IssuerKind, template: &CertificateTemplate, der: &[u8], now: Timestamp) -> IssuerRow {
    let (id, parent_id) = match kind {
        IssuerKind::Root => (ROOT, None),
        IssuerKind::Issuing => (ISSUING, Some(ROOT.to_owned())),
    };
    IssuerRow {
        id: id.to_owned(),
        kind: kind.to_string(),
        name: template.subject().to_string(),
        key_id: id.to_owned(),
        certificate: der.to_vec(),
        parent_id,
        created_at: now.unix(),
        crl_number: 0,
    }
}

async fn insert_issuers(config: &Config, rows: [IssuerRow; 2], now: Timestamp) -> Result<(), Error> {
    let folder = config.folder.clone();
    let db = Pool::open(&config.database)?;
    db.write(move |conn| {
        if !store::issuers::all(conn)?.is_empty() {
            return Err(Error::AlreadyInitialized { folder: folder.clone() });
        }
        for row in &rows {
            store::issuers::insert(conn, row)?;
            let details = serde_json::json!({
                "issuer": row.id,
                "subject": row.name,
                "certificate_sha256": data_encoding::HEXLOWER.encode(&Sha256::digest(&row.certificate)),
            });
            let actor = accounts::local_operator().principal_id;
            audit::append(conn, now, actor.as_ref(), Action::AuthorityInitialized, &details)?;
        }
        Ok(())
    })
    .await
}

async fn first_operator(app: &App) -> Result<PlainToken, Error> {
    let caller = accounts::local_operator();
    let operator = caller.as_operator("make the first operator")?;
    let new = NewPrincipal {
        name: "first operator".to_owned(),
        role: Role::Operator,
        account: None,
        expires_at: None,
    };
    let (_, token) = accounts::create_principal(app, operator, new).await?;
    Ok(token)
}

/// The folder while it is being made; removed when it is dropped unfinished.
#[derive(Debug)]
struct Unfinished {
    path: PathBuf,
    finished: bool,
}

impl Unfinished {
    /// A new folder beside `folder`, so that renaming stays within one file system; only its owner may enter.
    fn make(folder: &Path, rng: &mut dyn CryptoRng) -> Result<Self, Error> {
        let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else {
            return Err(Error::InvalidInput {
                field: "folder",
                reason: format!("{} cannot be made", folder.display()),
            });
        };
        std::fs::create_dir_all(parent).map_err(file("make", parent))?;
        let mut random = [0; 8];
        rng.fill_bytes(&mut random);
        let mut unfinished_name = std::ffi::OsString::from(".");
        unfinished_name.push(name);
        unfinished_name.push(format!(".unfinished-{}", data_encoding::HEXLOWER.encode(&random)));
        let path = parent.join(unfinished_name);
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(file("make", &path))?;
        Ok(Self { path, finished: false })
    }

    /// Gives the folder its name. Renaming replaces an empty folder and nothing else.
    fn finish(mut self, folder: &Path) -> Result<(), Error> {
        sync_folder(&self.path)?;
        std::fs::rename(&self.path, folder).map_err(file("make", folder))?;
        self.finished = true;
        match folder.parent() {
            Some(parent) => sync_folder(parent),
            None => Ok(()),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            let folder = self.path.display().to_string();
            tracing::error!(folder, %error, "could not remove an unfinished data folder");
        }
    }
}

fn write_file(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut written = std::fs::File::create_new(path).map_err(file("write", path))?;
    written.write_all(content).map_err(file("write", path))?;
    written.sync_all().map_err(file("write", path))
}

fn sync_folder(folder: &Path) -> Result<(), Error> {
    let opened = std::fs::File::open(folder).map_err(file("open", folder))?;
    opened.sync_all().map_err(file("write", folder))
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { action, path, source }
}

fn key_error(key: &str) -> impl FnOnce(keys::KeyError) -> Error {
    let key = key.to_owned();
    move |source| Error::Key { key, source }
}

/// Names of issuers, in URLs, and of their keys.
const ROOT: &str = "root";
const ISSUING: &str = "issuing";
/// Fifteen years: the Mozilla programme stops to trust a root 18 years after its key was made.
const ROOT_DAYS: u16 = 15 * 365;
/// Eight years, so that three issuing certificates fit into the life of a root with room for the last subscribers.
const ISSUING_DAYS: u16 = 8 * 365;
