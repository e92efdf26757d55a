//! Keys in files of this machine, sealed, and used in memory by AWS-LC.
//!
//! AWS-LC signs in constant time, and overwrites the memory of keys when they are dropped.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use der::Decode;
use spki::SubjectPublicKeyInfoOwned;
use zeroize::Zeroizing;

use crate::decryption::{DecryptionKey, DecryptionKeys, SoftwareDecryptionKey};
use crate::private_file::{self, Existing, Readers};
use crate::sealing::SealingKey;
use crate::{KeyAlgorithm, KeyError, KeyId, KeyStore, Signature, SignatureAlgorithm, SigningKey};

/// A folder with one sealed file per key.
///
/// The folder has mode 0700 and holds `<id>.key` for each key (0600): the PKCS#8 form (RFC 5958), sealed as `key:<id>`,
/// so that a file does not open under another name. `store.sealed` tells whether a sealing key is the right one before
/// any key is needed. Any number of processes may use one folder.
pub struct SoftwareKeyStore {
    folder: PathBuf,
    sealing_key: Arc<SealingKey>,
}

impl SoftwareKeyStore {
    /// Makes a new folder for keys. Its parent has to exist, itself it must not.
    pub fn create(folder: &Path, sealing_key: impl Into<Arc<SealingKey>>) -> Result<Self, KeyError> {
        let sealing_key = sealing_key.into();
        private_file::create_folder(folder)?;
        let marked = sealing_key
            .seal(MARKER_CONTEXT, &[])
            .and_then(|marker| private_file::write(&folder.join(MARKER), &marker, 0o600, Existing::Refuse));
        if let Err(error) = marked {
            // An empty folder would refuse the next attempt; that it stays is not worth hiding the cause.
            let _ = fs::remove_dir(folder);
            return Err(error);
        }
        Ok(Self {
            folder: folder.into(),
            sealing_key,
        })
    }

    /// Opens a folder that [`create`](Self::create) has made, and makes sure that the sealing key is the right one.
    pub fn open(folder: &Path, sealing_key: impl Into<Arc<SealingKey>>) -> Result<Self, KeyError> {
        let sealing_key = sealing_key.into();
        private_file::check_folder(folder, "key store")?;
        let path = folder.join(MARKER);
        let marker = private_file::read(&path, "key store", LONGEST_FILE, Readers::OwnerOnly)?;
        sealing_key.open_at(MARKER_CONTEXT, &marker, || path.display().to_string())?;
        Ok(Self {
            folder: folder.into(),
            sealing_key,
        })
    }

    /// Replaces the sealing key, and seals everything anew, while other processes use the folder: they find the new key by
    /// themselves. `identity` is the folder of a self-made TLS identity that is sealed by the same key. Gives how many files
    /// were sealed anew.
    ///
    /// Where the sealing key comes by a descriptor, the new one has to stand before the old one already.
    pub fn rotate_sealing_key(&self, identity: &Path) -> Result<usize, KeyError> {
        let lock = self.open_to_lock()?;
        lock.lock().map_err(KeyError::file("lock", &self.folder))?;
        // 1. From here on all that others seal is sealed by the new key, since they wait for the lock and look.
        self.sealing_key.begin_rotation()?;
        // 2. A crash in between leaves files that either key opens, and both keys; the next rotation ends it.
        let mut count = 0;
        for name in self.file_names()? {
            let context = match name.strip_suffix(SUFFIX).and_then(|id| id.parse().ok()) {
                Some(id) => context(&id),
                None if name == MARKER => MARKER_CONTEXT.to_owned(),
                None => continue,
            };
            self.seal_anew(&self.folder.join(&name), &context)?;
            count += 1;
        }
        let identity = identity.join(crate::tls::SEALED_FILE);
        if identity.exists() {
            self.seal_anew(&identity, crate::tls::CONTEXT)?;
            count += 1;
        }
        // 3. Nothing needs the old key any more.
        self.sealing_key.end_rotation()?;
        Ok(count)
    }

    fn seal_anew(&self, path: &Path, context: &str) -> Result<(), KeyError> {
        let sealed = private_file::read(path, "sealed file", LONGEST_FILE, Readers::OwnerOnly)?;
        let plain = self
            .sealing_key
            .open_at(context, &sealed, || path.display().to_string())?;
        let sealed = self.sealing_key.seal(context, &plain)?;
        private_file::write(path, &sealed, 0o600, Existing::Replace)
    }

    /// The folder, whose lock keeps those who seal and those who replace the sealing key apart.
    fn open_to_lock(&self) -> Result<fs::File, KeyError> {
        fs::File::open(&self.folder).map_err(KeyError::file("open", &self.folder))
    }

    fn path(&self, id: &KeyId) -> PathBuf {
        self.folder.join(file_name(id))
    }

    fn not_found(&self, id: &KeyId) -> KeyError {
        KeyError::NotFound {
            id: id.clone(),
            place: self.folder.display().to_string(),
        }
    }

    fn already_exists(&self, id: &KeyId) -> KeyError {
        KeyError::AlreadyExists {
            id: id.clone(),
            place: self.folder.display().to_string(),
        }
    }

    /// The PKCS#8 form of a key.
    fn unsealed(&self, id: &KeyId) -> Result<(PathBuf, Zeroizing<Vec<u8>>), KeyError> {
        match self.unsealed_once(id) {
            // It may have been sealed anew between reading it and looking for the key.
            Err(KeyError::DoesNotOpen { .. }) => self.unsealed_once(id),
            other => other,
        }
    }

    fn unsealed_once(&self, id: &KeyId) -> Result<(PathBuf, Zeroizing<Vec<u8>>), KeyError> {
        let path = self.path(id);
        let sealed =
            private_file::read(&path, "key", LONGEST_FILE, Readers::OwnerOnly).map_err(|error| match error {
                KeyError::FileMissing { .. } => self.not_found(id),
                other => other,
            })?;
        let pkcs8 = self
            .sealing_key
            .open_at(&context(id), &sealed, || path.display().to_string())?;
        Ok((path, pkcs8))
    }

    /// The names in the folder.
    fn file_names(&self) -> Result<Vec<String>, KeyError> {
        let mut names = Vec::new();
        let entries = fs::read_dir(&self.folder).map_err(KeyError::file("list the folder", &self.folder))?;
        for entry in entries {
            let entry = entry.map_err(KeyError::file("list the folder", &self.folder))?;
            // No name that we give has other characters, so the rest is not ours.
            if let Ok(name) = entry.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }
}

impl KeyStore for SoftwareKeyStore {
    fn generate(&self, id: &KeyId, algorithm: KeyAlgorithm) -> Result<Arc<dyn SigningKey>, KeyError> {
        let path = self.path(id);
        // Spares the work; what counts is that writing refuses below.
        if path.exists() {
            return Err(self.already_exists(id));
        }
        let (key, pkcs8) = SoftwareKey::generate(algorithm)?;
        let lock = self.open_to_lock()?;
        lock.lock_shared().map_err(KeyError::file("lock", &self.folder))?;
        self.sealing_key.refresh()?;
        let sealed = self.sealing_key.seal(&context(id), &pkcs8)?;
        private_file::write(&path, &sealed, 0o600, Existing::Refuse).map_err(|error| match error {
            KeyError::FileExists { .. } => self.already_exists(id),
            other => other,
        })?;
        Ok(Arc::new(key))
    }

    fn open(&self, id: &KeyId) -> Result<Arc<dyn SigningKey>, KeyError> {
        let (path, pkcs8) = self.unsealed(id)?;
        let key = SoftwareKey::from_pkcs8(&pkcs8).ok_or(KeyError::KeyRejected { path })?;
        Ok(Arc::new(key))
    }

    fn remove(&self, id: &KeyId) -> Result<(), KeyError> {
        private_file::erase(&self.path(id)).map_err(|error| match error {
            KeyError::File { source, .. } if source.kind() == ErrorKind::NotFound => self.not_found(id),
            other => other,
        })?;
        // A crash while the key was written may have left a copy under a name that nobody else would clean up.
        let unfinished = private_file::unfinished_prefix(&file_name(id));
        for name in self.file_names()? {
            if name.starts_with(&unfinished) {
                private_file::erase(&self.folder.join(name))?;
            }
        }
        Ok(())
    }

    fn list(&self) -> Result<Vec<KeyId>, KeyError> {
        let mut ids: Vec<KeyId> = self
            .file_names()?
            .iter()
            .filter_map(|name| name.strip_suffix(SUFFIX)?.parse().ok())
            .collect();
        ids.sort();
        Ok(ids)
    }
}

impl DecryptionKeys for SoftwareKeyStore {
    fn open_for_decryption(&self, id: &KeyId) -> Result<Arc<dyn DecryptionKey>, KeyError> {
        let (path, pkcs8) = self.unsealed(id)?;
        let rejected = || KeyError::KeyRejected { path };
        let Some(public) = SoftwareKey::from_pkcs8(&pkcs8) else {
            return Err(rejected());
        };
        let key = SoftwareDecryptionKey::from_pkcs8(&pkcs8, public.public_key).ok_or_else(rejected)?;
        Ok(Arc::new(key))
    }
}

impl fmt::Debug for SoftwareKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareKeyStore")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// A private key in the memory of this process.
pub(crate) struct SoftwareKey {
    pair: Pair,
    public_key: SubjectPublicKeyInfoOwned,
}

enum Pair {
    Ecdsa(EcdsaKeyPair, SignatureAlgorithm),
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SoftwareKey {
    /// A new key, and its PKCS#8 form for whoever seals it.
    pub(crate) fn generate(algorithm: KeyAlgorithm) -> Result<(Self, Zeroizing<Vec<u8>>), KeyError> {
        let failed = || KeyError::GenerationFailed { algorithm };
        let ecdsa = |parameters| {
            let pair = EcdsaKeyPair::generate(parameters).map_err(|_| failed())?;
            let pkcs8 = pair.to_pkcs8v1().map_err(|_| failed())?;
            let pkcs8 = Zeroizing::new(pkcs8.as_ref().to_vec());
            Ok((Pair::Ecdsa(pair, algorithm.signature_algorithm()), pkcs8))
        };
        let rsa = |size| {
            let pair = RsaKeyPair::generate(size).map_err(|_| failed())?;
            let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| failed())?;
            let pkcs8 = Zeroizing::new(pkcs8.as_ref().to_vec());
            Ok((Pair::Rsa(pair), pkcs8))
        };
        let ed25519 = || {
            let pair = Ed25519KeyPair::generate().map_err(|_| failed())?;
            let pkcs8 = pair.to_pkcs8v1().map_err(|_| failed())?;
            let pkcs8 = Zeroizing::new(pkcs8.as_ref().to_vec());
            Ok((Pair::Ed25519(pair), pkcs8))
        };
        let (pair, pkcs8) = match algorithm {
            KeyAlgorithm::P256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyAlgorithm::P384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyAlgorithm::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyAlgorithm::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyAlgorithm::Rsa4096 => rsa(KeySize::Rsa4096),
            KeyAlgorithm::Ed25519 => ed25519(),
        }?;
        let key = Self::new(pair).ok_or_else(failed)?;
        Ok((key, pkcs8))
    }

    /// Reads an unencrypted PKCS#8 form (RFC 5958). `None` when that is not a key of [`KeyAlgorithm`].
    pub(crate) fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        // What kind of key it is stands inside, so at most one of these succeeds.
        let ecdsa = [
            (&ECDSA_P256_SHA256_ASN1_SIGNING, SignatureAlgorithm::EcdsaP256Sha256),
            (&ECDSA_P384_SHA384_ASN1_SIGNING, SignatureAlgorithm::EcdsaP384Sha384),
        ];
        for (parameters, algorithm) in ecdsa {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(parameters, pkcs8) {
                return Self::new(Pair::Ecdsa(pair, algorithm));
            }
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8) {
            return Self::new(Pair::Ed25519(pair));
        }
        let pair = RsaKeyPair::from_pkcs8(pkcs8).ok()?;
        if ![2048, 3072, 4096].contains(&(pair.public_modulus_len() * 8)) {
            return None;
        }
        Self::new(Pair::Rsa(pair))
    }

    fn new(pair: Pair) -> Option<Self> {
        let public_key: PublicKeyX509Der<'_> = match &pair {
            Pair::Ecdsa(pair, _) => pair.public_key().as_der().ok()?,
            Pair::Rsa(pair) => pair.public_key().as_der().ok()?,
            Pair::Ed25519(pair) => pair.public_key().as_der().ok()?,
        };
        let public_key = SubjectPublicKeyInfoOwned::from_der(public_key.as_ref()).ok()?;
        Some(Self { pair, public_key })
    }
}

impl SigningKey for SoftwareKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        match self.pair {
            Pair::Ecdsa(_, algorithm) => algorithm,
            Pair::Rsa(_) => SignatureAlgorithm::RsaPkcs1Sha256,
            Pair::Ed25519(_) => SignatureAlgorithm::Ed25519,
        }
    }

    fn public_key(&self) -> &SubjectPublicKeyInfoOwned {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, KeyError> {
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Ecdsa(pair, _) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map(|()| signature)
            }
            Pair::Ed25519(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
        };
        // The backend does not say why.
        signature
            .map(Signature::new)
            .map_err(|_| KeyError::SigningFailed { source: None })
    }

    fn is_quick(&self) -> bool {
        // RSA takes ten times as long and more.
        matches!(self.pair, Pair::Ecdsa(..) | Pair::Ed25519(_))
    }
}

impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareKey")
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

fn file_name(id: &KeyId) -> String {
    format!("{id}{SUFFIX}")
}

/// What a key is sealed as.
fn context(id: &KeyId) -> String {
    format!("key:{id}")
}

const SUFFIX: &str = ".key";
const MARKER: &str = "store.sealed";
const MARKER_CONTEXT: &str = "key-store";

/// The PKCS#8 form of an RSA-4096 key has some 2400 bytes.
const LONGEST_FILE: u64 = 16 * 1024;

#[cfg(test)]
mod tests;
