//! Who may log in (SMTP AUTH) and sign for whom: `users.toml` in the data folder, written by `sealwright gateway user`.
//!
//! What is stored of a password is its SCRAM-SHA-256 verifier (RFC 5803), which PLAIN and LOGIN are checked against
//! too. The file is read again at every login, so that a user who was removed is gone at once.

use std::fmt;
use std::future::Future;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64;
use policies::signing::MaySign;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use smtp::auth::{Authenticator, Password, ScramCredentials, ServerSecret, Unavailable, Verdict};
use smtp::server::Peer;

use crate::config::Config;
use crate::error::Error;
use crate::identity::blocking;
use crate::wishes::TrustFields;

/// The file as written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    /// 32 random octets in base64: what unknown users' salts are made from.
    secret: String,
    #[serde(default)]
    user: Vec<UserEntry>,
}

/// One user as written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserEntry {
    name: String,
    /// `SCRAM-SHA-256$iterations:salt$stored key:server key`, see RFC 5803 section 2.
    verifier: String,
    may_sign_for: Vec<String>,
    #[serde(default)]
    trust_fields: bool,
}

/// What a user may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) may_sign_for: Vec<MaySign>,
    pub(crate) fields: TrustFields,
}

impl Rights {
    /// What everybody in the network of this address may do; `None` if nothing.
    pub(crate) fn of_network(config: &Config, peer: IpAddr) -> Option<Self> {
        Some(Self {
            may_sign_for: config.authorized_from(peer)?,
            fields: config.fields_from(peer),
        })
    }
}

/// All users, as they were read last.
pub(crate) struct Users {
    path: PathBuf,
    secret: [u8; 32],
    known: Mutex<Arc<Vec<User>>>,
}

struct User {
    name: String,
    /// As written; it was parsed once, when it was read.
    verifier: String,
    rights: Rights,
}

impl Users {
    /// The users of a data folder; `None` if none was ever added.
    pub(crate) fn open(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(FILE_NAME);
        let Some(file) = UsersFile::read(&path)? else {
            return Ok(None);
        };
        let secret = file.secret_octets(&path)?;
        let known = Mutex::new(Arc::new(file.users(&path)?));
        Ok(Some(Self { path, secret, known }))
    }

    pub(crate) fn secret(&self) -> ServerSecret {
        ServerSecret::new(self.secret)
    }

    /// What a user who has logged in may do.
    pub(crate) fn rights(&self, name: &str) -> Option<Rights> {
        let known = self.known();
        known
            .iter()
            .find(|user| user.name == name)
            .map(|user| user.rights.clone())
    }

    fn known(&self) -> Arc<Vec<User>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn read_again(&self) -> Result<Arc<Vec<User>>, Unavailable> {
        let path = self.path.clone();
        let read = blocking(move || match UsersFile::read(&path)? {
            Some(file) => file.users(&path),
            None => Ok(Vec::new()),
        });
        let users = read.await.map_err(|error| {
            tracing::error!(%error, "the users cannot be read");
            Unavailable
        })?;
        let users = Arc::new(users);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = users.clone();
        Ok(users)
    }

    async fn find(&self, name: &str) -> Result<Option<ScramCredentials>, Unavailable> {
        let users = self.read_again().await?;
        let found = users.iter().find(|user| user.name == name);
        Ok(found.and_then(|user| parse_verifier(&user.verifier)))
    }
}

impl Authenticator for Users {
    fn verify<'a>(
        &'a self,
        user: &'a str,
        password: &'a Password,
        _peer: &'a Peer,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, Unavailable>> + Send + 'a>> {
        Box::pin(async move {
            let found = self.find(user).await?;
            let exists = found.is_some();
            // For nobody as much work is done as for somebody.
            let verifier = match found {
                Some(verifier) => verifier,
                None => {
                    ScramCredentials::from_parts(vec![0; 16], ITERATIONS, [0; 32], [0; 32]).map_err(|_| Unavailable)?
                }
            };
            let password = Password::prepare(password.expose()).map_err(|_| Unavailable)?;
            let matches = tokio::task::spawn_blocking(move || verifier.matches(&password));
            match matches.await {
                Ok(true) if exists => Ok(Verdict::Accept),
                Ok(_) => Ok(Verdict::Deny),
                Err(_) => Err(Unavailable),
            }
        })
    }

    fn scram<'a>(
        &'a self,
        user: &'a str,
        _peer: &'a Peer,
    ) -> Pin<Box<dyn Future<Output = Result<Option<ScramCredentials>, Unavailable>> + Send + 'a>> {
        Box::pin(self.find(user))
    }
}

impl UsersFile {
    fn read(path: &Path) -> Result<Option<Self>, Error> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(Error::File {
                    action: "read",
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let file = toml::from_str(&text).map_err(|error: toml::de::Error| malformed(path, error.message()))?;
        Ok(Some(file))
    }

    fn secret_octets(&self, path: &Path) -> Result<[u8; 32], Error> {
        let octets = BASE64.decode(self.secret.as_bytes()).ok();
        octets
            .and_then(|octets| octets.try_into().ok())
            .ok_or_else(|| malformed(path, "secret is not 32 octets in base64"))
    }

    fn users(&self, path: &Path) -> Result<Vec<User>, Error> {
        let user = |entry: &UserEntry| {
            let wrong = |what: &str| malformed(path, &format!("user {:?}: {what}", entry.name));
            parse_verifier(&entry.verifier).ok_or_else(|| wrong("the verifier is malformed"))?;
            let may_sign_for = entry
                .may_sign_for
                .iter()
                .map(|text| text.parse().map_err(|error| wrong(&format!("{text:?}: {error}"))))
                .collect::<Result<_, _>>()?;
            let fields = if entry.trust_fields {
                TrustFields::Obey
            } else {
                TrustFields::Ignore
            };
            Ok(User {
                name: entry.name.clone(),
                verifier: entry.verifier.clone(),
                rights: Rights { may_sign_for, fields },
            })
        };
        self.user.iter().map(user).collect()
    }

    /// Replaces the file in one step; only this user may read it.
    fn write(&self, path: &Path) -> Result<(), Error> {
        let text = toml::to_string(self).map_err(|error| malformed(path, &error.to_string()))?;
        let unfinished = path.with_extension(format!("toml.{}", std::process::id()));
        let written = (|| {
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            {
                use std::os::unix::fs::OpenOptionsExt as _;
                options.mode(0o600);
            }
            let mut file = options.open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&unfinished, path)
        })();
        written.map_err(|source| Error::File {
            action: "write",
            path: path.to_owned(),
            source,
        })
    }
}

/// Adds a user, or gives one who is there a new password and new rights. Blocks for the time of the hashing.
pub(crate) fn add(
    folder: &Path,
    name: &str,
    password: &Password,
    may_sign_for: &[MaySign],
    fields: TrustFields,
    rng: &mut dyn CryptoRng,
) -> Result<(), Error> {
    let path = folder.join(FILE_NAME);
    let mut file = match UsersFile::read(&path)? {
        Some(file) => file,
        None => {
            let mut secret = [0; 32];
            rng.fill_bytes(&mut secret);
            UsersFile {
                secret: BASE64.encode(&secret),
                user: Vec::new(),
            }
        }
    };
    let mut salt = [0; 16];
    rng.fill_bytes(&mut salt);
    let verifier =
        ScramCredentials::derive(password, &salt, ITERATIONS).map_err(|error| malformed(&path, &error.to_string()))?;
    file.user.retain(|user| user.name != name);
    file.user.push(UserEntry {
        name: name.to_owned(),
        verifier: write_verifier(&verifier),
        may_sign_for: may_sign_for.iter().map(ToString::to_string).collect(),
        trust_fields: fields == TrustFields::Obey,
    });
    file.write(&path)
}

/// Removes a user and tells whether there was one.
pub(crate) fn remove(folder: &Path, name: &str) -> Result<bool, Error> {
    let path = folder.join(FILE_NAME);
    let Some(mut file) = UsersFile::read(&path)? else {
        return Ok(false);
    };
    let count = file.user.len();
    file.user.retain(|user| user.name != name);
    let removed = file.user.len() < count;
    if removed {
        file.write(&path)?;
    }
    Ok(removed)
}

/// Names and what they may sign for.
pub(crate) fn list(folder: &Path) -> Result<Vec<(String, Vec<String>)>, Error> {
    let file = UsersFile::read(&folder.join(FILE_NAME))?;
    let users = file.map(|file| file.user).unwrap_or_default();
    Ok(users.into_iter().map(|user| (user.name, user.may_sign_for)).collect())
}

fn write_verifier(verifier: &ScramCredentials) -> String {
    format!(
        "{SCHEME}{}:{}${}:{}",
        verifier.iterations(),
        BASE64.encode(verifier.salt()),
        BASE64.encode(verifier.stored_key()),
        BASE64.encode(verifier.server_key())
    )
}

fn parse_verifier(text: &str) -> Option<ScramCredentials> {
    let (parameters, keys) = text.strip_prefix(SCHEME)?.split_once('$')?;
    let (iterations, salt) = parameters.split_once(':')?;
    let (stored_key, server_key) = keys.split_once(':')?;
    let key = |text: &str| BASE64.decode(text.as_bytes()).ok()?.try_into().ok();
    ScramCredentials::from_parts(
        BASE64.decode(salt.as_bytes()).ok()?,
        iterations.parse().ok()?,
        key(stored_key)?,
        key(server_key)?,
    )
    .ok()
}

fn malformed(path: &Path, reason: &str) -> Error {
    Error::Configuration {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users")
            .field("path", &self.path)
            .field("known", &self.known().len())
            .finish_non_exhaustive()
    }
}

const FILE_NAME: &str = "users.toml";

const SCHEME: &str = "SCRAM-SHA-256$";

/// Some ten milliseconds; RFC 7677 section 4 asks for at least 4096.
pub(crate) const ITERATIONS: u32 = 15_000;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn add_alice(folder: &Path, password: &str) {
        let password = Password::prepare(password).unwrap();
        let may_sign_for = ["alice@example.com".parse().unwrap()];
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        add(folder, "alice", &password, &may_sign_for, TrustFields::Ignore, &mut rng).unwrap();
    }

    #[test]
    fn users_are_written_read_replaced_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Users::open(folder.path()).unwrap().is_none());
        add_alice(folder.path(), "correct horse");
        add_alice(folder.path(), "battery staple");
        let users = Users::open(folder.path()).unwrap().unwrap();
        assert_eq!(users.known().len(), 1);
        let verifier = parse_verifier(&users.known()[0].verifier).unwrap();
        assert!(verifier.matches(&Password::prepare("battery staple").unwrap()));
        assert!(!verifier.matches(&Password::prepare("correct horse").unwrap()));
        assert_eq!(
            users.rights("alice").unwrap().may_sign_for,
            ["alice@example.com".parse().unwrap()]
        );
        assert_eq!(users.rights("bob"), None);
        let text = std::fs::read_to_string(folder.path().join(FILE_NAME)).unwrap();
        assert!(!text.contains("horse") && !text.contains("staple"), "{text}");
        assert!(!format!("{users:?}").contains("SCRAM"));
        assert!(!remove(folder.path(), "bob").unwrap());
        assert!(remove(folder.path(), "alice").unwrap());
        assert!(list(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn malformed_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        add_alice(folder.path(), "x");
        let path = folder.path().join(FILE_NAME);
        let sound = std::fs::read_to_string(&path).unwrap();
        for (from, to) in [
            ("SCRAM-SHA-256", "MD5"),
            ("15000", "1"),
            ("15000", "many"),
            ("alice@example.com", "*"),
            ("may_sign_for", "may_sing_for"),
            ("secret = \"", "secret = \"?"),
        ] {
            std::fs::write(&path, sound.replace(from, to)).unwrap();
            assert!(Users::open(folder.path()).is_err(), "{from} {to}");
        }
    }
}
