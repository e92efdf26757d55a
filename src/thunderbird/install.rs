//! Setting up for one user: settings, the start of the host, its manifest where Thunderbird looks, and the add-on.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use policies::label::printable;
use serde::Serialize;
use serde_json::{Value, json};
use verifier::Vouches;
use verifier_report::{InputProblem, UnknownWord, Verifier, unsettled_revocation};

use super::settings::{self, CERTIFICATE_FILE_LIMIT, Settings};
use super::{ADDON_ID, HOST_NAME, addon, framing, protocol};

/// Where everything lies.
#[derive(Debug)]
pub(super) struct Places {
    home: PathBuf,
    data: PathBuf,
    profile: Option<PathBuf>,
}

/// What the user asked for.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) tiers: Vec<PathBuf>,
    pub(super) signatures: Vec<PathBuf>,
    pub(super) crl_folder: Option<PathBuf>,
    pub(super) unchecked: Option<String>,
}

/// Why it cannot be set up. Nothing has been changed where the input is at fault.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("this user has no home folder, where Thunderbird looks for hosts; set HOME")]
    NoHome,
    #[error("cannot tell where this program lies: {0}; start it by its full path")]
    Executable(#[source] io::Error),
    #[error("{} is not UTF-8, which the manifest of a host has to be; choose another place", path.display())]
    NotText { path: PathBuf },
    #[error("{} is no Thunderbird profile: it has no file prefs.js; start Thunderbird once, or see Help, Troubleshooting Information", path.display())]
    NoProfile { path: PathBuf },
    #[error("{} is no folder; give one with revocation lists", path.display())]
    NoFolder { path: PathBuf },
    #[error("nobody would be trusted; give the root certificate with --trust root.pem")]
    NobodyTrusted,
    #[error("{} holds no certificate that can be trusted: {source}", path.display())]
    Trust { path: PathBuf, source: InputProblem },
    #[error("--unchecked: {0}")]
    Unchecked(#[from] UnknownWord),
    #[error(transparent)]
    Settings(#[from] settings::Problem),
    #[error("cannot write or remove {}: {source}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
}

impl Places {
    /// `home` and `xdg_data` as the environment has them, `data` and `profile` as asked for.
    pub(super) fn new(
        home: Option<PathBuf>,
        xdg_data: Option<PathBuf>,
        data: Option<PathBuf>,
        profile: Option<PathBuf>,
    ) -> Result<Self, Problem> {
        let home = home.filter(|home| home.is_absolute()).ok_or(Problem::NoHome)?;
        // Relative paths in XDG_DATA_HOME are to be ignored (XDG Base Directory Specification).
        let base = xdg_data
            .filter(|path| path.is_absolute())
            .unwrap_or_else(|| home.join(".local/share"));
        let data = absolute(&data.unwrap_or_else(|| base.join("sealwright/thunderbird")))?;
        Ok(Self { home, data, profile })
    }

    pub(super) fn settings(&self) -> PathBuf {
        self.data.join("settings.toml")
    }

    /// What Thunderbird starts: a manifest names a program, but no arguments.
    fn host(&self) -> PathBuf {
        self.data.join("host")
    }

    pub(super) fn addon(&self) -> PathBuf {
        self.data.join("sealwright.xpi")
    }

    fn anchors(&self) -> PathBuf {
        self.data.join("anchors")
    }

    /// Thunderbird on Linux looks into the same folder of the user as Firefox.
    pub(super) fn host_manifest(&self) -> PathBuf {
        let folder = self.home.join(".mozilla/native-messaging-hosts");
        folder.join(format!("{HOST_NAME}.json"))
    }

    pub(super) fn addon_in_profile(&self) -> Option<PathBuf> {
        let profile = self.profile.as_ref()?;
        Some(profile.join("extensions").join(format!("{ADDON_ID}.xpi")))
    }
}

/// Writes everything. What is not wished for anew stays as it was set up before.
pub(super) fn install(places: &Places, wishes: &Wishes, executable: &Path) -> Result<(), Problem> {
    // 1. Look at everything before anything is changed.
    if let Some(profile) = places
        .profile
        .as_ref()
        .filter(|profile| !profile.join("prefs.js").is_file())
    {
        return Err(Problem::NoProfile { path: profile.clone() });
    }
    let executable = text(executable)?;
    let (host, settings_path) = (places.host(), places.settings());
    let (host_text, settings_text) = (text(&host)?, text(&settings_path)?);
    let mut settings = if settings_path.exists() {
        Settings::read(&settings_path)?
    } else {
        Settings::default()
    };
    if let Some(folder) = &wishes.crl_folder {
        if !folder.is_dir() {
            return Err(Problem::NoFolder { path: folder.clone() });
        }
        settings.crl_folder = Some(absolute(folder)?);
    }
    if let Some(word) = &wishes.unchecked {
        unsettled_revocation(word)?;
        settings.unchecked = Some(word.clone());
    }
    let changes_trust = !wishes.tiers.is_empty() || !wishes.signatures.is_empty();
    if !changes_trust && settings.tiers.is_empty() && settings.signatures_only.is_empty() {
        return Err(Problem::NobodyTrusted);
    }
    let tiers = anchors(&wishes.tiers, Vouches::Tiers)?;
    let signatures = anchors(&wishes.signatures, Vouches::SignaturesOnly)?;

    // 2. Certificates are copied: what is trusted is what was given now, not what may stand there later.
    folder(&places.data)?;
    if changes_trust {
        if places.anchors().exists() {
            remove_anchors(places)?;
        }
        folder(&places.anchors())?;
        let keep = |kind: &str, all: &[Vec<u8>]| -> Result<Vec<PathBuf>, Problem> {
            let numbered = all.iter().zip(1..);
            numbered
                .map(|(content, number)| {
                    let path = places.anchors().join(format!("{kind}-{number}"));
                    write(&path, content, PRIVATE)?;
                    Ok(path)
                })
                .collect()
        };
        settings.tiers = keep("tiers", &tiers)?;
        settings.signatures_only = keep("signatures", &signatures)?;
    }
    let written = toml::to_string(&settings).expect("settings of texts and lists can be written");
    write(&settings_path, [SETTINGS_HEAD, &written].concat().as_bytes(), PRIVATE)?;

    // 3. The host and the add-on, and last the manifest, with which it counts.
    let script = format!(
        "#!/bin/sh\n# Written by `sealwright thunderbird install`; Thunderbird starts it.\nexec {} thunderbird-host --settings {} \"$@\"\n",
        quoted(executable),
        quoted(settings_text),
    );
    write(&host, script.as_bytes(), PROGRAM)?;
    let xpi = addon::xpi();
    write(&places.addon(), &xpi, PRIVATE)?;
    if let Some(addon) = places.addon_in_profile() {
        fs::create_dir_all(addon.parent().unwrap_or(&addon)).map_err(unwritable(&addon))?;
        write(&addon, &xpi, PRIVATE)?;
    }
    let manifest = json!({
        "name": HOST_NAME,
        "description": "Verifies signed mail for the add-on Sealwright",
        "path": host_text,
        "type": "stdio",
        "allowed_extensions": [ADDON_ID],
    });
    let path = places.host_manifest();
    fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(unwritable(&path))?;
    write(&path, format!("{manifest:#}\n").as_bytes(), PRIVATE)
}

/// Removes what [`install`] wrote and nothing else; returns what was there.
pub(super) fn uninstall(places: &Places) -> Result<Vec<PathBuf>, Problem> {
    let mut removed = Vec::new();
    // The manifest first: without it nothing is started any more.
    let files = [places.host_manifest(), places.host(), places.addon(), places.settings()];
    for path in files.into_iter().chain(places.addon_in_profile()) {
        match fs::remove_file(&path) {
            Ok(()) => removed.push(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Problem::Unwritable { path, source }),
        }
    }
    if places.anchors().exists() {
        remove_anchors(places)?;
        removed.push(places.anchors());
    }
    // Whatever else somebody put there keeps the folder.
    let _ = fs::remove_dir(&places.data);
    Ok(removed)
}

/// What is set up, and whether it works.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    /// Whether the host answers a question as Thunderbird would ask it.
    pub(super) is_working: bool,
    manifest: PathBuf,
    has_manifest: bool,
    settings: PathBuf,
    tiers: Vec<PathBuf>,
    signatures_only: Vec<PathBuf>,
    crl_folder: Option<PathBuf>,
    problems: Vec<String>,
}

pub(super) fn status(places: &Places) -> Status {
    let mut problems = Vec::new();
    let manifest = places.host_manifest();
    let has_manifest = manifest.is_file();
    let settings = Settings::read(&places.settings());
    let settings = settings.unwrap_or_else(|problem| {
        problems.push(problem.to_string());
        Settings::default()
    });
    let is_working = match ask(&manifest) {
        Ok(verdict) => {
            for problem in verdict["problems"].as_array().into_iter().flatten() {
                problems.extend(problem.as_str().map(str::to_owned));
            }
            true
        }
        Err(problem) => {
            problems.push(problem);
            false
        }
    };
    Status {
        is_working,
        manifest,
        has_manifest,
        settings: places.settings(),
        tiers: settings.tiers,
        signatures_only: settings.signatures_only,
        crl_folder: settings.crl_folder,
        problems,
    }
}

/// Starts the host that the manifest names, as Thunderbird does, and asks about an unsigned message.
fn ask(manifest: &Path) -> Result<Value, String> {
    let content = settings::bounded(manifest, MANIFEST_LIMIT).map_err(|problem| problem.to_string())?;
    let read: Value = serde_json::from_slice(&content).map_err(|error| format!("{}: {error}", manifest.display()))?;
    let is_ours = read["name"] == HOST_NAME && read["allowed_extensions"] == json!([ADDON_ID]);
    let path = read["path"].as_str().filter(|_| is_ours);
    let path = path.ok_or_else(|| format!("{} is not as install writes it; run install again", manifest.display()))?;
    let failed = |error: &dyn fmt::Display| format!("the host {path} does not answer: {error}; run install again");
    let mut child = Command::new(path)
        .arg(manifest)
        .arg(ADDON_ID)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    let question = json!({
        "version": protocol::VERSION, "id": 1, "kind": "verify", "language": "en",
        "message": data_encoding::BASE64.encode(b"From: a@example.org\r\n\r\nHi"),
    });
    if let Some(mut input) = child.stdin.take() {
        let question = question.to_string();
        let length = u32::try_from(question.len()).unwrap_or_default();
        // A host that has ended is told by what it said; dropping the input ends the conversation.
        let _ = input.write_all(&[&length.to_ne_bytes(), question.as_bytes()].concat());
    }
    let output = child.wait_with_output().map_err(|error| failed(&error))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let answer = framing::read(&mut output.stdout.as_slice()).ok().flatten();
    let answer = answer.ok_or_else(|| failed(&said))?;
    let answer: Value = serde_json::from_slice(&answer).map_err(|error| failed(&error))?;
    match answer.get("verdict") {
        Some(verdict) if verdict["status"] == "not_signed" => Ok(verdict.clone()),
        _ => Err(failed(if said.is_empty() {
            &answer as &dyn fmt::Display
        } else {
            &said
        })),
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let works = if self.is_working { "works" } else { "does not work" };
        let there = if self.has_manifest { "" } else { " (missing)" };
        writeln!(f, "The host {works}")?;
        writeln!(f, "  Manifest        {}{there}", self.manifest.display())?;
        writeln!(f, "  Settings        {}", self.settings.display())?;
        for path in &self.tiers {
            writeln!(f, "  Trusted         {}", path.display())?;
        }
        for path in &self.signatures_only {
            writeln!(f, "  For addresses   {}", path.display())?;
        }
        if let Some(folder) = &self.crl_folder {
            writeln!(f, "  Revocation      {}", folder.display())?;
        }
        for problem in &self.problems {
            writeln!(f, "  Problem         {}", printable(problem))?;
        }
        Ok(())
    }
}

/// The content of files of certificates, each tried.
fn anchors(paths: &[PathBuf], vouches: Vouches) -> Result<Vec<Vec<u8>>, Problem> {
    paths
        .iter()
        .map(|path| {
            let content = settings::bounded(path, CERTIFICATE_FILE_LIMIT)?;
            Verifier::new()
                .trust(&content, vouches)
                .map_err(|source| Problem::Trust {
                    path: path.clone(),
                    source,
                })?;
            Ok(content)
        })
        .collect()
}

fn remove_anchors(places: &Places) -> Result<(), Problem> {
    let path = places.anchors();
    fs::remove_dir_all(&path).map_err(unwritable(&path))
}

fn folder(path: &Path) -> Result<(), Problem> {
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(PROGRAM)))
        .map_err(unwritable(path))
}

/// Replaces the file at once, so that nobody ever reads half of it.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), Problem> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    fs::write(&new, content)
        .and_then(|()| fs::set_permissions(&new, fs::Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&new, path))
        .map_err(unwritable(path))
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> Problem + '_ {
    |source| Problem::Unwritable {
        path: path.to_owned(),
        source,
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Problem> {
    std::path::absolute(path).map_err(unwritable(path))
}

fn text(path: &Path) -> Result<&str, Problem> {
    path.to_str().ok_or_else(|| Problem::NotText { path: path.to_owned() })
}

/// One word of the shell, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

const SETTINGS_HEAD: &str = "\
# Written by `sealwright thunderbird install`; changes count from the next message on.
# tiers: root certificates that may vouch for every tier; signatures_only: for addresses alone.
# crl_folder: revocation lists (*.crl, *.pem, *.der); unchecked: keep_tier or withhold_tier without one.
";
/// Settings decide whom a user trusts: nobody else's business, and nobody else's to change.
const PRIVATE: u32 = 0o600;
const PROGRAM: u32 = 0o700;
const MANIFEST_LIMIT: u64 = 64 << 10;

#[cfg(test)]
mod tests;
