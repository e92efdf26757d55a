//! A `sealwright … serve` in a process of its own, as an operator runs it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// A running service. Dropping it kills it, as a crash would; [`Service::stop`] asks it to end.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    log: tempfile::NamedTempFile,
    /// What it said of itself when it was ready.
    pub(crate) ready: serde_json::Value,
}

impl Service {
    /// Starts a command that prints one JSON object when it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let log = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let stderr = log.reopen().expect("it can be opened twice");
        let mut child = Command::new(env!("CARGO_BIN_EXE_sealwright"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the executable starts");
        let stdout = child.stdout.take().expect("its standard output is a pipe");
        let mut said = String::new();
        let mut lines = BufReader::new(stdout);
        // The object may be printed over several lines: it ends where it parses.
        let ready = loop {
            let length = lines.read_line(&mut said).expect("its output is text");
            if let Ok(ready) = serde_json::from_str(&said) {
                break ready;
            }
            let errors = || fs::read_to_string(log.path()).unwrap_or_default();
            assert_ne!(
                length,
                0,
                "{arguments:?} ended before it was ready: {said}\n{}",
                errors()
            );
        };
        Self { child, log, ready }
    }

    /// A text of what it said when it was ready.
    pub(crate) fn said(&self, key: &str) -> &str {
        self.ready[key]
            .as_str()
            .unwrap_or_else(|| panic!("{key} is in {}", self.ready))
    }

    /// All that it wrote to standard error so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log.path()).expect("its log is text")
    }

    /// Ends it as a service manager does, and returns whether it ended well.
    pub(crate) fn stop(mut self) -> bool {
        let asked = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(asked.is_ok_and(|status| status.success()), "the signal was sent");
        self.child.wait().is_ok_and(|status| status.success())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
