//! Where the octets of queued mail lie: a local folder, written through to the disk, or a bucket of S3.
//!
//! The messages that are taken in together are one object, so that a hundred of them cost one write and one wait for
//! the disk. An object is never changed; it goes when nobody needs a message in it any more.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig};

/// Where bodies are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    Folder(PathBuf),
    S3(S3),
}

/// A bucket of a server that speaks S3. The keys come from the environment (`AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`) or from the machine's role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3 {
    pub bucket: String,
    pub region: String,
    /// Another server than Amazon's, `https://host:port`.
    pub endpoint: Option<String>,
    /// Before the name of every object.
    pub prefix: String,
    /// Whether the endpoint may be `http://`: for a server on this machine.
    pub plain_http: bool,
}

/// The storage did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} {object} in the storage of message bodies")]
pub struct BodyError {
    pub action: &'static str,
    pub object: String,
    #[source]
    pub source: object_store::Error,
}

impl BodyError {
    /// Whether there is no such object, and so all is well otherwise.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.source, object_store::Error::NotFound { .. })
    }
}

/// The opened storage.
#[derive(Clone)]
pub(crate) struct Bodies {
    store: Arc<dyn ObjectStore>,
    prefix: String,
}

impl Bodies {
    /// Opens it; a folder is made if it is not there. The network is not used yet.
    pub(crate) fn open(storage: &Storage) -> Result<Self, BodyError> {
        let failed = |object: &str| {
            let object = object.to_owned();
            move |source| BodyError {
                action: "open",
                object,
                source,
            }
        };
        match storage {
            Storage::Folder(folder) => {
                let name = folder.display().to_string();
                make_private_folder(folder).map_err(|source| {
                    failed(&name)(object_store::Error::Generic {
                        store: "folder",
                        source: Box::new(source),
                    })
                })?;
                let store = LocalFileSystem::new_with_prefix(folder).map_err(failed(&name))?;
                Ok(Self {
                    store: Arc::new(store.with_fsync(true)),
                    prefix: String::new(),
                })
            }
            Storage::S3(s3) => {
                let mut builder = AmazonS3Builder::from_env()
                    .with_bucket_name(&s3.bucket)
                    .with_region(&s3.region)
                    .with_allow_http(s3.plain_http)
                    .with_retry(RetryConfig {
                        max_retries: 3,
                        retry_timeout: PATIENCE,
                        ..RetryConfig::default()
                    });
                if let Some(endpoint) = &s3.endpoint {
                    builder = builder.with_endpoint(endpoint);
                }
                Ok(Self {
                    store: Arc::new(builder.build().map_err(failed(&s3.bucket))?),
                    prefix: s3.prefix.clone(),
                })
            }
        }
    }

    /// Stores an object; when this returns it survives a power cut.
    pub(crate) async fn put(&self, name: &str, octets: PutPayload) -> Result<(), BodyError> {
        let put = self.store.put(&self.path(name), octets).await;
        put.map(|_| ()).map_err(|source| self.failed("store", name, source))
    }

    pub(crate) async fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes, BodyError> {
        let got = self.store.get_range(&self.path(name), range).await;
        got.map_err(|source| self.failed("read", name, source))
    }

    /// Removes an object; one that is gone already is no error.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), BodyError> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.failed("delete", name, source)),
        }
    }

    /// The names of all objects that were written before `before` (seconds since 1970).
    pub(crate) async fn older_than(&self, before: i64) -> Result<Vec<String>, BodyError> {
        let prefix = (!self.prefix.is_empty()).then(|| Path::from(self.prefix.as_str()));
        let found: Vec<object_store::ObjectMeta> = self
            .store
            .list(prefix.as_ref())
            .try_collect()
            .await
            .map_err(|source| self.failed("list", "objects", source))?;
        Ok(found
            .into_iter()
            .filter(|object| object.last_modified.timestamp() < before)
            .filter_map(|object| object.location.filename().map(str::to_owned))
            .collect())
    }

    fn path(&self, name: &str) -> Path {
        match self.prefix.is_empty() {
            true => Path::from(name),
            false => Path::from(format!("{}/{name}", self.prefix)),
        }
    }

    fn failed(&self, action: &'static str, name: &str, source: object_store::Error) -> BodyError {
        BodyError {
            action,
            object: self.path(name).to_string(),
            source,
        }
    }
}

impl fmt::Debug for Bodies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bodies({})", self.store)
    }
}

/// Mail is nobody else's business on this machine.
fn make_private_folder(folder: &std::path::Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// A sender waits for its answer meanwhile, and can try again by itself.
const PATIENCE: Duration = Duration::from_secs(10);
