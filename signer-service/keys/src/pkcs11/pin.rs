//! The PIN: read from its file each time it is needed, and never sent again once a token has refused it.

use std::fmt;
use std::path::{Path, PathBuf};

use cryptoki::types::RawAuthPin;
use zeroize::Zeroizing;

use crate::KeyError;
use crate::private_file::{self, Readers};

/// Where the PIN is, and which one was refused.
///
/// Wrong tries are counted by the token, which locks itself after a few, whoever made them. So a PIN that was refused
/// is remembered and not sent again until the file holds another one.
pub(super) struct PinFile {
    path: PathBuf,
    refused: Option<Zeroizing<Vec<u8>>>,
}

/// A PIN that may be sent.
pub(super) struct Pin(Zeroizing<Vec<u8>>);

impl PinFile {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            refused: None,
        }
    }

    /// What is in the file now. `token` is for the error.
    pub(super) fn read(&self, token: &str) -> Result<Pin, KeyError> {
        let mut pin = private_file::read(&self.path, "file with the PIN", LONGEST_FILE, Readers::OwnerOnly)?;
        if pin.ends_with(b"\n") {
            pin.pop();
        }
        if pin.ends_with(b"\r") {
            pin.pop();
        }
        if pin.is_empty() {
            return Err(self.invalid("it is empty"));
        }
        if pin.iter().any(u8::is_ascii_control) {
            return Err(self.invalid("it has several lines or other control characters"));
        }
        if self.refused.as_ref().is_some_and(|refused| *refused == pin) {
            return Err(self.refusal(token));
        }
        Ok(Pin(pin))
    }

    /// Notes that the token has refused this PIN, and gives the error that says so.
    pub(super) fn refuse(&mut self, pin: Pin, token: &str) -> KeyError {
        self.refused = Some(pin.0);
        self.refusal(token)
    }

    fn refusal(&self, token: &str) -> KeyError {
        KeyError::PinRefused {
            token: token.into(),
            path: self.path.clone(),
        }
    }

    fn invalid(&self, problem: &'static str) -> KeyError {
        KeyError::InvalidPinFile {
            path: self.path.clone(),
            problem,
        }
    }
}

impl Pin {
    /// A copy in the form that cryptoki wants, which overwrites itself as well.
    pub(super) fn for_login(&self) -> RawAuthPin {
        RawAuthPin::new(Box::new(self.0.to_vec()))
    }
}

impl fmt::Debug for PinFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// In bytes. The longest that a token of today takes are 255.
const LONGEST_FILE: u64 = 1024;

#[cfg(test)]
mod tests {
    use crate::private_file::Existing;

    use super::*;

    fn write(path: &Path, content: &[u8]) {
        private_file::write(path, content, 0o600, Existing::Replace).unwrap();
    }

    #[test]
    fn a_line_end_does_not_belong_to_the_pin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        for (content, pin) in [
            ("1234", "1234"),
            ("1234\n", "1234"),
            (" p w\r\n", " p w"),
            ("0 \n", "0 "),
        ] {
            write(&path, content.as_bytes());
            assert_eq!(PinFile::new(&path).read("token").unwrap().0.as_slice(), pin.as_bytes());
        }
    }

    #[test]
    fn a_file_that_cannot_be_a_pin_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        for (content, expected) in [
            ("", "holds no PIN (it is empty)"),
            ("\r\n", "holds no PIN (it is empty)"),
            ("\n\n", "several lines"),
            ("7391\n7391", "several lines"),
            ("7391\u{0}", "control characters"),
            (&"7391".repeat(257), "larger than the 1024 bytes"),
        ] {
            write(&path, content.as_bytes());
            let refusal = PinFile::new(&path).read("token").err().unwrap().to_string();
            assert!(refusal.contains(expected), "{refusal}");
            assert!(!refusal.contains("7391"), "{refusal}");
        }
    }

    #[test]
    fn a_pin_that_was_refused_is_read_again_only_after_the_file_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        write(&path, b"1234");
        let mut file = PinFile::new(&path);
        let pin = file.read("token").unwrap();
        assert!(matches!(file.refuse(pin, "token"), KeyError::PinRefused { .. }));
        assert!(matches!(file.read("token"), Err(KeyError::PinRefused { .. })));
        write(&path, b"1234\n");
        assert!(matches!(file.read("token"), Err(KeyError::PinRefused { .. })));
        write(&path, b"4321");
        assert_eq!(file.read("token").unwrap().0.as_slice(), b"4321");
    }

    #[test]
    fn invariant_12_debug_shows_no_pin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"739154");
        let mut file = PinFile::new(&path);
        let pin = file.read("token").unwrap();
        assert!(!format!("{:?}", pin.for_login()).contains("739154"));
        let refusal = file.refuse(pin, "token");
        let shown = format!("{file:?} {refusal} {refusal:?}");
        assert!(!shown.contains("739154"), "{shown}");
        // Nor as a list of numbers.
        assert!(!shown.contains("55, 51"), "{shown}");
    }
}
