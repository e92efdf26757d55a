//! Keys in a security module: made there, used there, and never anywhere else.
//!
//! The module is whatever has a PKCS #11 library (OASIS, v2.40 or newer) and RSA or elliptic curves: network HSMs, smart
//! cards, USB tokens, or SoftHSM, which is a folder of encrypted files with the same interface.
//!
//! # Making a token
//!
//! With SoftHSM, as the user that the service runs as; other devices come with a tool of their own for the same steps:
//!
//! ```text
//! $ apt-get install softhsm2
//! $ install -m 600 /dev/null token.pin
//! $ head -c 15 /dev/urandom | base64 > token.pin
//! $ softhsm2-util --init-token --free --label sealwright
//! ```
//!
//! The last command asks for two PINs: one for the security officer, to be kept elsewhere, and the one in the file for the
//! user. Then the configuration says:
//!
//! ```toml
//! [keys]
//! store = "pkcs11"
//!
//! [keys.pkcs11]
//! module = "/usr/lib/softhsm/libsofthsm2.so"
//! token = "sealwright"
//! pin_file = "token.pin"
//! ```
//!
//! # What is in the token
//!
//! A key pair: a private and a public key object, both with the [`KeyId`] as CKA_ID and as CKA_LABEL. CKA_ID is what
//! counts. The private key is CKA_SENSITIVE and not CKA_EXTRACTABLE; one that is otherwise is refused, however it came
//! there. Other objects are left alone, so that a token may be shared.
//!
//! # When the token goes away
//!
//! A module that lost its device has to be initialized anew, which ends all sessions that the process has with any of
//! the module's tokens. This is done once for an operation that failed; if it fails again, the error
//! [is temporary](KeyError::is_temporary), and the next operation begins the same way. A PIN that was refused is not
//! sent again until its file holds another one, and the last try before a token locks itself is left to people.
//!
//! Nothing else in the process may use the same module.
//!
//! # SoftHSM
//!
//! It is made for trying out, and it is no stronger than files: the PIN is all that guards them. It writes the file of a
//! token anew at each login, so that another process may find no token for a moment and get a temporary error.

mod failure;
mod module;
mod objects;
mod pin;
mod pool;
mod settings;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::error::RvError;
use cryptoki::object::ObjectHandle;
use spki::SubjectPublicKeyInfoOwned;

use self::failure::{Failure, is};
use self::module::Module;
use self::objects::Named;
use self::pool::{Access, Lease, Pool};
pub use self::settings::{Pkcs11Settings, Token};
use crate::{KeyAlgorithm, KeyError, KeyId, KeyStore, Signature, SignatureAlgorithm, SigningKey};

/// One token, with any number of keys.
///
/// Any number of processes may use one token. See the [module](self) for what is in it.
pub struct Pkcs11KeyStore(Arc<Pool>);

impl Pkcs11KeyStore {
    /// Loads the module, finds the token and logs in, so that whatever is wrong with the settings is known now.
    pub fn open(settings: &Pkcs11Settings) -> Result<Self, KeyError> {
        let module = Module::load(&settings.module)?;
        let pool = Arc::new(Pool::new(module, settings));
        pool.with_session(Access::Use, "open a session", |_| Ok(()))?;
        Ok(Self(pool))
    }

    fn key(&self, id: &KeyId, generation: u64, found: objects::Found) -> Arc<dyn SigningKey> {
        Arc::new(Pkcs11Key {
            pool: self.0.clone(),
            id: id.clone(),
            algorithm: found.algorithm,
            public_key: found.public_key,
            handle: Mutex::new(Some((generation, found.handle))),
        })
    }
}

impl KeyStore for Pkcs11KeyStore {
    /// As the trait says. When the connection is lost just then, the key may exist, and may be removed.
    fn generate(&self, id: &KeyId, algorithm: KeyAlgorithm) -> Result<Arc<dyn SigningKey>, KeyError> {
        let place = self.0.place();
        let already_exists = || {
            Failure::Final(KeyError::AlreadyExists {
                id: id.clone(),
                place: place.clone(),
            })
        };
        // 1. One at a time in this process. PKCS #11 has no names that exclude each other.
        let _making = self.0.module().making();
        self.0.with_session(Access::Change, "make a key", |lease| {
            let session = lease.session();
            if Named::search(lease, id)?.count() > 0 {
                return Err(already_exists());
            }
            // 2. From here on, nothing is done twice.
            let made = objects::generate(session, id, algorithm).map_err(|error| {
                if not_offered(&error) {
                    return Failure::Final(KeyError::AlgorithmNotOffered {
                        algorithm,
                        token: place.clone(),
                        source: error.into(),
                    });
                }
                Failure::Halfway(error)
            })?;
            // 3. Another process may have made one of the same name meanwhile. Whoever comes second sees both, and gives
            //    way; when both see both, both do.
            let checked = match Named::search(lease, id) {
                Ok(named) if named.count() > 1 => Err(already_exists()),
                Ok(_) => objects::find(lease, id, &place),
                Err(error) => Err(error.into()),
            };
            // 4. What the token made is looked at like any other key: some ignore what they are asked for.
            match checked {
                Ok(found) => Ok(self.key(id, lease.generation(), found)),
                Err(failure) => {
                    // That it stays, if it does, is not worth hiding the cause.
                    let _ = objects::discard(session, made);
                    Err(match failure {
                        Failure::Module(error) => Failure::Halfway(error),
                        other => other,
                    })
                }
            }
        })
    }

    fn open(&self, id: &KeyId) -> Result<Arc<dyn SigningKey>, KeyError> {
        let place = self.0.place();
        self.0.with_session(Access::Use, "find the key", |lease| {
            let found = objects::find(lease, id, &place)?;
            Ok(self.key(id, lease.generation(), found))
        })
    }

    /// As the trait says. A key that was opened before does not sign any more.
    fn remove(&self, id: &KeyId) -> Result<(), KeyError> {
        let place = self.0.place();
        let _making = self.0.module().making();
        self.0.with_session(Access::Change, "remove the key", |lease| {
            let session = lease.session();
            let named = Named::search(lease, id)?;
            match named.private.as_slice() {
                [] if named.public.is_empty() => {
                    return Err(Failure::Final(KeyError::NotFound {
                        id: id.clone(),
                        place: place.clone(),
                    }));
                }
                // Which one is meant, only people can know.
                [_, _, ..] => {
                    return Err(Failure::Final(KeyError::KeyAmbiguous {
                        id: id.clone(),
                        token: place.clone(),
                    }));
                }
                _ => {}
            }
            // The private key last: what is cut off in between can be finished by the same call.
            for object in named.public.into_iter().chain(named.private) {
                session.destroy_object(object)?;
            }
            Ok(())
        })
    }

    fn list(&self) -> Result<Vec<KeyId>, KeyError> {
        self.0
            .with_session(Access::Use, "list its keys", |lease| Ok(objects::names(lease)?))
    }
}

impl fmt::Debug for Pkcs11KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11KeyStore")
            .field("token", &self.0.place())
            .finish_non_exhaustive()
    }
}

/// A private key in a token.
struct Pkcs11Key {
    pool: Arc<Pool>,
    id: KeyId,
    algorithm: SignatureAlgorithm,
    public_key: SubjectPublicKeyInfoOwned,
    /// How the module calls the key, and in which of its initializations.
    handle: Mutex<Option<(u64, ObjectHandle)>>,
}

impl Pkcs11Key {
    fn sign_in(&self, lease: &Lease<'_>, message: &[u8]) -> Result<Signature, Failure> {
        let known = *self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((generation, handle)) = known
            && generation == lease.generation()
        {
            match objects::sign(lease.session(), handle, self.algorithm, message) {
                // The key may have been removed, or only the handle be out of date.
                Err(Failure::Module(error))
                    if is(&error, RvError::KeyHandleInvalid) || is(&error, RvError::ObjectHandleInvalid) => {}
                outcome => return outcome,
            }
        }
        let found = objects::find(lease, &self.id, &self.pool.place())?;
        // A signature that does not fit the certificate would be noticed only by those who receive it.
        if found.public_key != self.public_key {
            return Err(Failure::Final(KeyError::KeyReplaced {
                id: self.id.clone(),
                token: self.pool.place(),
            }));
        }
        let signature = objects::sign(lease.session(), found.handle, self.algorithm, message)?;
        *self.handle.lock().unwrap_or_else(PoisonError::into_inner) = Some((lease.generation(), found.handle));
        Ok(signature)
    }
}

impl SigningKey for Pkcs11Key {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn public_key(&self) -> &SubjectPublicKeyInfoOwned {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, KeyError> {
        self.pool
            .with_session(Access::Use, "sign", |lease| self.sign_in(lease, message))
            .map_err(|error| match error {
                KeyError::TokenRefused { .. } => KeyError::SigningFailed {
                    source: Some(error.into()),
                },
                other => other,
            })
    }
}

impl fmt::Debug for Pkcs11Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Key")
            .field("id", &self.id)
            .field("token", &self.pool.place())
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Whether a token says that it does not make keys of a kind.
fn not_offered(error: &cryptoki::error::Error) -> bool {
    [
        RvError::MechanismInvalid,
        RvError::MechanismParamInvalid,
        RvError::CurveNotSupported,
        RvError::DomainParamsInvalid,
        RvError::KeySizeRange,
    ]
    .into_iter()
    .any(|value| is(error, value))
}
