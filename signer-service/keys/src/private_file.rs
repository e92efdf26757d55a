//! Files that hold secrets: written whole or not at all, readable by their owner alone, overwritten before they go.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::KeyError;

/// What to do with a file that stands where a new one should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    Refuse,
    Replace,
}

/// Who else may be able to read a file, apart from its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    OwnerOnly,
    OwnerAndGroup,
    Anybody,
}

/// Writes a file that is either complete and durable afterwards, or not there.
///
/// A file beside it is written and fsynced, gets the name, and then the folder is fsynced. `rename` replaces silently,
/// so a file that must not replace another gets its name as a hard link, which fails when the name is taken.
pub(crate) fn write(path: &Path, content: &[u8], mode: u32, existing: Existing) -> Result<(), KeyError> {
    let unfinished = unfinished_name(path)?;
    let result = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&unfinished)
            .map_err(KeyError::file("create", &unfinished))?;
        file.write_all(content)
            .and_then(|()| file.sync_all())
            .map_err(KeyError::file("write", &unfinished))?;
        match existing {
            Existing::Replace => {
                fs::rename(&unfinished, path).map_err(KeyError::file("write", path))?;
            }
            Existing::Refuse => fs::hard_link(&unfinished, path).map_err(|error| {
                if error.kind() == ErrorKind::AlreadyExists {
                    KeyError::FileExists { path: path.into() }
                } else {
                    KeyError::file("write", path)(error)
                }
            })?,
        }
        Ok(())
    })();
    if result.is_err() || existing == Existing::Refuse {
        // After an error the file may not even exist; that error is the one to report.
        let _ = fs::remove_file(&unfinished);
    }
    result?;
    sync_folder(path)
}

/// Reads a file of at most `limit` bytes. `what` names it in the error when it is missing.
pub(crate) fn read(
    path: &Path,
    what: &'static str,
    limit: u64,
    readers: Readers,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let file = File::open(path).map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            let path = path.into();
            KeyError::FileMissing { what, path }
        } else {
            KeyError::file("read", path)(error)
        }
    })?;
    // The metadata of the open file, since the name may point elsewhere by now.
    let metadata = file.metadata().map_err(KeyError::file("read", path))?;
    check_mode(path, metadata.permissions().mode(), readers, "600")?;
    // Room for everything at once, since a vector that grows leaves copies behind.
    let room = usize::try_from(metadata.len().min(limit)).unwrap_or(0) + 64;
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    file.take(limit + 1)
        .read_to_end(&mut content)
        .map_err(KeyError::file("read", path))?;
    if content.len() as u64 > limit {
        let path = path.into();
        return Err(KeyError::FileTooLarge { path, limit });
    }
    Ok(content)
}

/// Overwrites a file with zeros and removes its name.
///
/// Journals, snapshots and flash translation layers may still hold older copies; those are sealed like the file was.
pub(crate) fn erase(path: &Path) -> Result<(), KeyError> {
    let mut file = OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(KeyError::file("overwrite", path))?;
    let length = file.metadata().map_err(KeyError::file("overwrite", path))?.len();
    std::io::copy(&mut std::io::repeat(0).take(length), &mut file)
        .and_then(|_| file.flush())
        .and_then(|()| file.sync_all())
        .map_err(KeyError::file("overwrite", path))?;
    fs::remove_file(path).map_err(KeyError::file("remove", path))?;
    sync_folder(path)
}

/// Makes a folder that only its owner may enter. Its parent has to exist.
pub(crate) fn create_folder(path: &Path) -> Result<(), KeyError> {
    fs::DirBuilder::new().mode(0o700).create(path).map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            KeyError::FileExists { path: path.into() }
        } else {
            KeyError::file("create the folder", path)(error)
        }
    })?;
    sync_folder(path)
}

/// Refuses a folder that others may enter.
pub(crate) fn check_folder(path: &Path, what: &'static str) -> Result<(), KeyError> {
    let metadata = fs::metadata(path).map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            let path = path.into();
            KeyError::FileMissing { what, path }
        } else {
            KeyError::file("read", path)(error)
        }
    })?;
    if !metadata.is_dir() {
        let error = ErrorKind::NotADirectory.into();
        return Err(KeyError::file("open the folder", path)(error));
    }
    check_mode(path, metadata.permissions().mode(), Readers::OwnerOnly, "700")
}

/// What the unfinished files of [`write`] begin with, for those who clean up after a crash.
pub(crate) fn unfinished_prefix(file_name: &str) -> String {
    format!(".{file_name}.")
}

fn unfinished_name(path: &Path) -> Result<PathBuf, KeyError> {
    let mut random = [0; 8];
    rand::fill(&mut random).map_err(|_| no_randomness())?;
    let file_name = path.file_name().unwrap_or_default().to_string_lossy();
    let random = u64::from_be_bytes(random);
    Ok(path.with_file_name(format!("{}{random:016x}.unfinished", unfinished_prefix(&file_name))))
}

/// What to report when the random generator gives nothing.
pub(crate) fn no_randomness() -> KeyError {
    KeyError::Unavailable {
        what: "the random generator of the system".into(),
        source: None,
    }
}

fn check_mode(path: &Path, mode: u32, readers: Readers, advice: &'static str) -> Result<(), KeyError> {
    let forbidden = match readers {
        Readers::OwnerOnly => 0o077,
        Readers::OwnerAndGroup => 0o007,
        Readers::Anybody => 0,
    };
    if mode & forbidden == 0 {
        return Ok(());
    }
    Err(KeyError::OpenToOthers {
        path: path.into(),
        mode: mode & 0o7777,
        advice,
    })
}

/// A new or removed name is durable only when its folder is.
fn sync_folder(path: &Path) -> Result<(), KeyError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(KeyError::file("write to the folder", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_written_file_is_private_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write(&path, b"one", 0o600, Existing::Refuse).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(names(folder.path()), ["secret"]);
        write(&path, b"two", 0o600, Existing::Replace).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["secret"]);
    }

    #[test]
    fn an_existing_file_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, b"first").unwrap();
        let refusal = write(&path, b"second", 0o600, Existing::Refuse).unwrap_err();
        assert!(matches!(refusal, KeyError::FileExists { .. }), "{refusal}");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["secret"]);
    }

    #[test]
    fn of_many_writers_exactly_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let won = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|number: u8| {
                    let path = &path;
                    scope.spawn(move || write(path, &[number], 0o600, Existing::Refuse).is_ok())
                })
                .collect();
            writers
                .into_iter()
                .map(|writer| usize::from(writer.join().unwrap()))
                .sum::<usize>()
        });
        assert_eq!(won, 1);
        assert_eq!(names(folder.path()), ["secret"]);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_helps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, b"x").unwrap();
        for (mode, readers, refused) in [
            (0o600, Readers::OwnerOnly, false),
            (0o400, Readers::OwnerOnly, false),
            (0o640, Readers::OwnerOnly, true),
            (0o604, Readers::OwnerOnly, true),
            (0o620, Readers::OwnerOnly, true),
            (0o640, Readers::OwnerAndGroup, false),
            (0o644, Readers::OwnerAndGroup, true),
            (0o666, Readers::Anybody, false),
        ] {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let result = read(&path, "secret", 10, readers);
            assert_eq!(result.is_err(), refused, "{mode:o} {readers:?}");
            if let Err(refusal) = result {
                let expected = format!(
                    "{0} is open to other users (mode {mode:04o}); run `chmod 600 {0}`",
                    path.display()
                );
                assert_eq!(refusal.to_string(), expected);
            }
        }
    }

    #[test]
    fn a_large_or_missing_file_or_a_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let refusal = read(&path, "secret", 10, Readers::OwnerOnly).unwrap_err();
        assert!(matches!(refusal, KeyError::FileMissing { .. }), "{refusal}");
        fs::write(&path, [7; 11]).unwrap();
        let refusal = read(&path, "secret", 10, Readers::Anybody).unwrap_err();
        assert!(matches!(refusal, KeyError::FileTooLarge { limit: 10, .. }), "{refusal}");
        let refusal = read(folder.path(), "secret", 10, Readers::Anybody).unwrap_err();
        assert!(matches!(refusal, KeyError::File { .. }), "{refusal}");
    }

    #[test]
    fn erasing_overwrites_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write(&path, b"secret", 0o600, Existing::Refuse).unwrap();
        // A second name shows what became of the content.
        let witness = folder.path().join("witness");
        fs::hard_link(&path, &witness).unwrap();
        erase(&path).unwrap();
        assert_eq!(names(folder.path()), ["witness"]);
        assert_eq!(fs::read(&witness).unwrap(), [0; 6]);
    }
}
