//! The files of a pack, and the ZIP archive around them.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Seek, Write};

use serde::Serialize;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::names;

/// Files by their names, complete with a manifest of their hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pack {
    files: BTreeMap<String, Vec<u8>>,
}

impl Pack {
    pub(super) fn add(&mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.files.insert(name.into(), content.into());
    }

    /// Adds a value as indented JSON.
    pub(super) fn add_json(&mut self, name: impl Into<String>, value: &impl Serialize) {
        // Values of texts, numbers and lists are always JSON.
        let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
        text.push(b'\n');
        self.add(name, text);
    }

    /// The manifest: the SHA-256 of every other file.
    pub(super) fn seal(&mut self) {
        let hashes: BTreeMap<&str, String> = self.hashes().collect();
        let manifest = serde_json::json!({ "format": FORMAT, "sha256": hashes });
        self.add_json(names::MANIFEST, &manifest);
    }

    /// The SHA-256 in hexadecimal of every file but the manifest.
    pub(super) fn hashes(&self) -> impl Iterator<Item = (&str, String)> {
        self.files
            .iter()
            .filter(|(name, _)| *name != names::MANIFEST)
            .map(|(name, content)| (name.as_str(), data_encoding::HEXLOWER.encode(&Sha256::digest(content))))
    }

    /// The content of a file.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// The names of all files in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Writes the archive. The same files give the same bytes.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write(&self, to: impl Write + Seek) -> Result<(), PackError> {
        let mut archive = ZipWriter::new(to);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(0o600);
        for (name, content) in &self.files {
            archive.start_file(name.as_str(), options)?;
            archive.write_all(content)?;
        }
        archive.finish()?;
        Ok(())
    }

    /// Reads an archive of at most [`LARGEST`] octets in at most [`MOST_FILES`] files.
    ///
    /// # Errors
    /// [`PackError`] when it is not an archive, or one that is too large.
    pub fn read(archive: &[u8]) -> Result<Self, PackError> {
        let mut archive = ZipArchive::new(Cursor::new(archive))?;
        if archive.len() > MOST_FILES {
            return Err(PackError::TooLarge);
        }
        let mut pack = Self::default();
        let mut room = LARGEST;
        for number in 0..archive.len() {
            let mut file = archive.by_index(number)?;
            let name = file.name()?.into_owned();
            let mut content = Vec::new();
            // One octet more than there is room for tells too much from just enough, whatever the header says.
            file.by_ref().take(room + 1).read_to_end(&mut content)?;
            room = room.checked_sub(content.len() as u64).ok_or(PackError::TooLarge)?;
            if pack.files.insert(name.clone(), content).is_some() {
                return Err(PackError::Twice { name });
            }
        }
        Ok(pack)
    }
}

/// Why a file is not a pack that can be read, or could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    #[error(
        "the file is not an evidence pack, or it is cut off: take the one that `sealwright ca evidence` has written ({0})"
    )]
    Archive(#[from] zip::result::ZipError),
    #[error("the evidence pack cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    #[error("the evidence pack is larger than 1 GiB or has more than 100,000 files; no pack of ours is")]
    TooLarge,
    #[error("the evidence pack has {name:?} twice")]
    Twice { name: String },
}

/// In the manifest, so that a later layout can be told from this one.
pub(super) const FORMAT: &str = "sealwright evidence pack 1";
/// Case documents are the bulk: fifty of 10 MiB each would be half of it.
const LARGEST: u64 = 1 << 30;
const MOST_FILES: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn pack() -> Pack {
        let mut pack = Pack::default();
        pack.add("one", *b"1");
        pack.add_json("folder/two.json", &serde_json::json!({ "two": 2 }));
        pack.seal();
        pack
    }

    fn written(pack: &Pack) -> Vec<u8> {
        let mut archive = Cursor::new(Vec::new());
        pack.write(&mut archive).unwrap();
        archive.into_inner()
    }

    #[test]
    fn a_pack_is_read_back_as_written_and_always_the_same() {
        let archive = written(&pack());
        assert_eq!(Pack::read(&archive).unwrap(), pack());
        assert_eq!(written(&pack()), archive);
        let names: Vec<_> = pack().names().map(str::to_owned).collect();
        assert_eq!(names, ["folder/two.json", "manifest.json", "one"]);
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let archive = written(&pack());
        for bytes in [&b""[..], b"PK", &archive[..archive.len() / 2], &[0; 4096]] {
            assert!(
                matches!(Pack::read(bytes), Err(PackError::Archive(_))),
                "{} octets",
                bytes.len()
            );
        }
        // A changed octet of a file fails its CRC.
        let place = archive.windows(8).position(|window| window == b"\"two\": 2").unwrap();
        let mut changed = archive.clone();
        changed[place + 7] = b'3';
        Pack::read(&changed).unwrap_err();
    }
}
