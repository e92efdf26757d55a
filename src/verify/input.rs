//! Which files are examined, and the messages in them.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::mbox::{Mbox, SEPARATOR, Stored};
use super::{MESSAGE_LIMIT, Unusable, read};

/// A file, or standard input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// One message.
    Message(PathBuf),
    /// Many of them.
    Mbox(PathBuf),
}

/// What was given, with folders taken apart, in a fixed order.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) files: Vec<Source>,
    /// Folders below the given ones that cannot be listed, and files that cannot be opened.
    pub(super) unreadable: Vec<Unusable>,
    /// Files in folders that are no mail by their names.
    pub(super) left_aside: u64,
    is_one_file: bool,
}

impl Sources {
    /// Finds all that is meant by `paths`.
    ///
    /// # Errors
    ///
    /// One of them cannot be read, or has no message in it.
    pub(super) fn of(paths: &[PathBuf]) -> Result<Self, Unusable> {
        let mut sources = Self::default();
        for path in paths {
            let before = sources.files.len() + sources.unreadable.len();
            if path == Path::new("-") {
                sources.files.push(Source::Message(path.clone()));
            } else if fs::metadata(path).map_err(|error| unreadable(path, error))?.is_dir() {
                sources.add_folder(path, 0)?;
            } else {
                sources.files.push(kind(path)?);
            }
            if sources.files.len() + sources.unreadable.len() == before {
                return Err(Unusable::NoMessage { path: path.clone() });
            }
        }
        sources.is_one_file = matches!(paths, [path] if !path.is_dir());
        Ok(sources)
    }

    /// The source, if a single file was given.
    pub(super) fn only(&self) -> Option<&Source> {
        self.files.first().filter(|_| self.is_one_file)
    }

    fn add_folder(&mut self, folder: &Path, depth: usize) -> Result<(), Unusable> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
            entries.push(entry.map_err(|error| unreadable(folder, error))?);
        }
        entries.sort_by_key(fs::DirEntry::file_name);
        // What a delivery agent is writing (tmp) is no message yet; folders inside a Maildir begin with a dot.
        let is_maildir = ["cur", "new"].iter().all(|name| folder.join(name).is_dir());
        let is_in_maildir = folder.file_name().is_some_and(|name| name == "cur" || name == "new")
            && folder
                .parent()
                .is_some_and(|parent| parent.join("cur").is_dir() && parent.join("new").is_dir());
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name());
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            // Links to folders are not followed, so that there are no loops; those to files are.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let is_part = if is_maildir { name != "tmp" } else { !is_hidden };
                if is_part && depth < MAXIMUM_DEPTH {
                    let found = self.add_folder(&path, depth + 1);
                    self.unreadable.extend(found.err());
                }
                continue;
            }
            if is_in_maildir && !is_hidden {
                self.files.push(Source::Message(path));
                continue;
            }
            let is_mail = path
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("eml"));
            match kind(&path) {
                Ok(source @ Source::Mbox(_)) => self.files.push(source),
                Ok(source) if is_mail => self.files.push(source),
                Ok(_) => self.left_aside += 1,
                Err(problem) if is_mail => self.unreadable.push(problem),
                Err(_) => self.left_aside += 1,
            }
        }
        Ok(())
    }
}

impl Source {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Message(path) | Self::Mbox(path) => path,
        }
    }

    /// Hands over every message, with its number if the file holds many; stops when `take` fails.
    pub(super) fn messages<E>(
        &self,
        mut take: impl FnMut(Option<u64>, Result<Stored, Unusable>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Message(path) => take(
                None,
                read(path, MESSAGE_LIMIT).map(|as_it_stands| Stored::Message {
                    as_it_stands,
                    unquoted: None,
                }),
            ),
            Self::Mbox(path) => {
                let file = match File::open(path) {
                    Ok(file) => file,
                    Err(error) => return take(None, Err(unreadable(path, error))),
                };
                let limit = usize::try_from(MESSAGE_LIMIT).unwrap_or(usize::MAX);
                for (number, stored) in (1..).zip(Mbox::new(BufReader::new(file), limit)) {
                    take(Some(number), stored.map_err(|error| unreadable(path, error)))?;
                }
                Ok(())
            }
        }
    }
}

/// By its first line, whatever it is called.
fn kind(path: &Path) -> Result<Source, Unusable> {
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(5).read_to_end(&mut start))
        .map_err(|error| unreadable(path, error))?;
    Ok(if start == SEPARATOR {
        Source::Mbox(path.to_owned())
    } else {
        Source::Message(path.to_owned())
    })
}

fn unreadable(path: &Path, source: io::Error) -> Unusable {
    Unusable::Unreadable {
        path: path.to_owned(),
        source,
    }
}

/// Folders in folders; nobody keeps mail deeper.
const MAXIMUM_DEPTH: usize = 64;
