//! A finished quickstart, to look at from all sides.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::{sealwright, text, words};

/// What `sealwright quickstart` left behind.
#[derive(Debug)]
pub(crate) struct Quickstart {
    data: PathBuf,
    /// Removes the data folder when the value goes; a shared quickstart stays until the next run of the tests.
    _folder: Option<tempfile::TempDir>,
    /// All that was printed on standard output.
    pub(crate) printed: String,
}

impl Quickstart {
    /// Runs it with further arguments; it must succeed.
    pub(crate) fn run(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let data = folder.path().join("data");
        let printed = run(&data, arguments);
        Self {
            data,
            _folder: Some(folder),
            printed,
        }
    }

    /// As [`Quickstart::run`], in a folder of the build that the next run of the tests replaces.
    fn shared(name: &str, arguments: &[&str]) -> Self {
        let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if data.exists() {
            fs::remove_dir_all(&data).expect("the folder of an earlier run can be removed");
        }
        let printed = run(&data, arguments);
        Self {
            data,
            _folder: None,
            printed,
        }
    }

    /// The data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The root certificate.
    pub(crate) fn root(&self) -> PathBuf {
        self.data().join("root.pem")
    }

    /// The CRLs of all issuers.
    pub(crate) fn crls(&self) -> Vec<PathBuf> {
        files(&self.data().join("crl"))
    }

    /// The delivered messages, in the order in which they were sent.
    pub(crate) fn delivered(&self) -> Vec<PathBuf> {
        files(&self.data().join("delivered"))
    }
}

/// One quickstart with P-256 keys on SQLite that several tests look at; nobody may change it.
pub(crate) static P256: LazyLock<Quickstart> = LazyLock::new(|| Quickstart::shared("quickstart-p256", &[]));

/// The same with RSA-2048 keys.
pub(crate) static RSA: LazyLock<Quickstart> =
    LazyLock::new(|| Quickstart::shared("quickstart-rsa2048", &["--key", "rsa2048"]));

fn run(data: &Path, arguments: &[&str]) -> String {
    let output = sealwright(&[&["quickstart", "--data", text(data)], arguments].concat());
    assert!(
        output.status.success(),
        "quickstart {arguments:?} succeeds: {}",
        words(&output)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder can be listed").path())
        .collect();
    files.sort();
    files
}
