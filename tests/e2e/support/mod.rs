//! What every story needs.

pub(crate) mod peers;
pub(crate) mod quickstart;
pub(crate) mod service;
pub(crate) mod signed_mail;

use std::process::{Command, Output, Stdio};

/// The executable under test, with nothing on standard input.
pub(crate) fn sealwright(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealwright"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the executable starts")
}

/// Standard output and standard error of a run, as text.
pub(crate) fn words(output: &Output) -> String {
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A path as text; the temporary folders of these tests have plain names.
pub(crate) fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("the paths of these tests are UTF-8")
}
