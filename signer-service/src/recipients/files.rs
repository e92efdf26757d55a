//! Certificates in a folder: PEM or DER, any number in a file, whatever the files are called.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use der::{Decode, Encode};
use policies::mailbox::Mailbox;
use policies::time::{Span, Timestamp};
use x509_cert::Certificate;

use super::Source;
use super::check::Candidate;
use crate::error::Error;
use crate::identity::{blocking, mailboxes};

/// A folder that is read anew every minute.
pub(super) struct Files {
    folder: PathBuf,
    read: Mutex<Option<Read>>,
}

struct Read {
    at: Timestamp,
    by_mailbox: Arc<HashMap<Mailbox, Vec<Candidate>>>,
}

impl Files {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            read: Mutex::default(),
        }
    }

    /// The certificates that name a mailbox.
    pub(super) async fn of(&self, mailbox: &Mailbox, now: Timestamp) -> Result<Vec<Candidate>, Error> {
        let known = self
            .lock()
            .as_ref()
            .filter(|read| read.at <= now && now < read.at.plus(READ_AGAIN))
            .map(|read| read.by_mailbox.clone());
        let by_mailbox = match known {
            Some(by_mailbox) => by_mailbox,
            None => {
                let folder = self.folder.clone();
                let by_mailbox = Arc::new(blocking(move || read_folder(&folder)).await?);
                *self.lock() = Some(Read {
                    at: now,
                    by_mailbox: by_mailbox.clone(),
                });
                by_mailbox
            }
        };
        Ok(by_mailbox.get(mailbox).cloned().unwrap_or_default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Read>> {
        // One assignment cannot leave it half done.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A folder that is not there is an empty one. A file that cannot be understood is logged and left aside.
fn read_folder(folder: &Path) -> Result<HashMap<Mailbox, Vec<Candidate>>, Error> {
    let mut by_mailbox: HashMap<Mailbox, Vec<Candidate>> = HashMap::new();
    let failed = |source| Error::File {
        action: "list",
        path: folder.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(by_mailbox),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if !path.is_file() {
            continue;
        }
        match read(&path) {
            Ok(candidates) => {
                for candidate in candidates {
                    for mailbox in mailboxes(&candidate.certificate) {
                        by_mailbox.entry(mailbox).or_default().push(candidate.clone());
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, cause = ?std::error::Error::source(&error).map(ToString::to_string), "a file with certificates is left aside");
            }
        }
    }
    Ok(by_mailbox)
}

/// The certificates of a file, each with all others of it at hand.
pub(crate) fn read(path: &Path) -> Result<Vec<Candidate>, Error> {
    let failed = |source| Error::File {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LARGEST_FILE).read_to_end(&mut bytes).map_err(failed)?;
    let certificates = parse(&bytes).ok_or_else(|| Error::NoCertificate { path: path.to_owned() })?;
    let ders: Vec<Vec<u8>> = certificates.iter().filter_map(|one| one.to_der().ok()).collect();
    Ok(certificates
        .into_iter()
        .map(|certificate| Candidate {
            certificate,
            intermediates: ders.clone(),
            source: Source::File(path.to_owned()),
            capabilities: super::Capabilities::default(),
        })
        .collect())
}

/// PEM if it looks like it, else one DER certificate.
fn parse(bytes: &[u8]) -> Option<Vec<Certificate>> {
    if bytes.windows(11).any(|window| window == b"-----BEGIN ") {
        return Certificate::load_pem_chain(bytes).ok().filter(|all| !all.is_empty());
    }
    Certificate::from_der(bytes).ok().map(|one| vec![one])
}

const READ_AGAIN: Span = Span::minutes(1);

/// A thousand certificates.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;
