//! Whom the host trusts: a file that `install` writes and people may edit.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use verifier::Vouches;
use verifier_report::{InputProblem, UnknownWord, Verifier, unsettled_revocation};

/// `settings.toml`; `docs/thunderbird.md` explains it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Files of root certificates that may vouch for every tier.
    #[serde(default)]
    pub(super) tiers: Vec<PathBuf>,
    /// Files of root certificates that are believed about addresses alone.
    #[serde(default)]
    pub(super) signatures_only: Vec<PathBuf>,
    /// A folder of revocation lists.
    pub(super) crl_folder: Option<PathBuf>,
    /// `keep_tier` or `withhold_tier`: without any revocation list for a certificate.
    pub(super) unchecked: Option<String>,
}

/// Why nothing can be verified.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("cannot read {}: {source}; run: sealwright thunderbird install --trust root.pem", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is larger than {limit} bytes, the most that is read", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{} is not as settings are: {source}", path.display())]
    Malformed { path: PathBuf, source: toml::de::Error },
    #[error("{}: {source}", path.display())]
    Trust { path: PathBuf, source: InputProblem },
    #[error("unchecked: {0}")]
    Unchecked(#[from] UnknownWord),
}

impl Settings {
    pub(super) fn read(path: &Path) -> Result<Self, Problem> {
        let text = bounded(path, SETTINGS_LIMIT)?;
        toml::from_slice(&text).map_err(|source| Problem::Malformed {
            path: path.to_owned(),
            source,
        })
    }

    /// A verifier, and what of the folder of revocation lists could not be used. A root certificate that cannot be used
    /// is an error, since everything below it would look untrusted.
    pub(super) fn verifier(&self) -> Result<(Verifier, Vec<String>), Problem> {
        let mut verifier = Verifier::new();
        for (paths, vouches) in [
            (&self.tiers, Vouches::Tiers),
            (&self.signatures_only, Vouches::SignaturesOnly),
        ] {
            for path in paths {
                let certificates = bounded(path, CERTIFICATE_FILE_LIMIT)?;
                verifier
                    .trust(&certificates, vouches)
                    .map_err(|source| Problem::Trust {
                        path: path.clone(),
                        source,
                    })?;
            }
        }
        if let Some(word) = &self.unchecked {
            verifier.policy_mut().not_checked = unsettled_revocation(word)?;
        }
        let mut problems = Vec::new();
        if self.tiers.is_empty() && self.signatures_only.is_empty() {
            problems
                .push("no root certificate is trusted; run: sealwright thunderbird install --trust root.pem".into());
        }
        let mut budget = CRL_FOLDER_LIMIT;
        match self.crl_files() {
            Ok(files) => {
                for path in files {
                    let list = match bounded(&path, budget) {
                        Ok(list) => list,
                        Err(problem) => {
                            problems.push(problem.to_string());
                            continue;
                        }
                    };
                    budget -= u64::try_from(list.len()).unwrap_or(budget).min(budget);
                    if let Err(problem) = verifier.add_crls(&list) {
                        problems.push(format!("{}: {problem}", path.display()));
                    }
                }
            }
            Err(problem) => problems.push(problem.to_string()),
        }
        Ok((verifier, problems))
    }

    /// The files of revocation lists, sorted.
    fn crl_files(&self) -> Result<Vec<PathBuf>, Problem> {
        let Some(folder) = &self.crl_folder else {
            return Ok(Vec::new());
        };
        let unreadable = |source| Problem::Unreadable {
            path: folder.clone(),
            source,
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)?.take(MOST_CRL_FILES) {
            let path = entry.map_err(unreadable)?.path();
            let is_list = path.extension().is_some_and(|extension| {
                ["crl", "pem", "der"]
                    .iter()
                    .any(|known| extension.eq_ignore_ascii_case(known))
            });
            if is_list && path.is_file() {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

/// What tells that something changed: the files that count, with their lengths and times.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<(PathBuf, Option<(u64, SystemTime)>)>);

impl Stamp {
    pub(super) fn of(path: &Path, settings: Option<&Settings>) -> Self {
        let mut files = vec![path.to_owned()];
        if let Some(settings) = settings {
            files.extend(settings.tiers.iter().chain(&settings.signatures_only).cloned());
            files.extend(settings.crl_files().unwrap_or_default());
        }
        let stamped = files.into_iter().map(|path| {
            let about = fs::metadata(&path)
                .and_then(|about| Ok((about.len(), about.modified()?)))
                .ok();
            (path, about)
        });
        Self(stamped.collect())
    }
}

/// The content of a file that is not larger than `limit` bytes.
pub(super) fn bounded(path: &Path, limit: u64) -> Result<Vec<u8>, Problem> {
    let mut content = Vec::new();
    // One byte more than allowed tells a file at the limit from one beyond it.
    let read = File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut content))
        .map_err(|source| Problem::Unreadable {
            path: path.to_owned(),
            source,
        })?;
    if u64::try_from(read).is_ok_and(|read| read > limit) {
        return Err(Problem::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(content)
}

const SETTINGS_LIMIT: u64 = 64 << 10;
/// A bundle of every public mail root is some 300 kB.
pub(super) const CERTIFICATE_FILE_LIMIT: u64 = 4 << 20;
/// Of all lists together; a million revoked certificates make a CRL of some 40 MB.
const CRL_FOLDER_LIMIT: u64 = 128 << 20;
const MOST_CRL_FILES: usize = 1000;
