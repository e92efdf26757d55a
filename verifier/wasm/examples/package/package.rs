//! The crate as an npm package: WebAssembly, JavaScript for Node and for browsers, TypeScript declarations.
//!
//! wasm-bindgen's own library writes the JavaScript, so no other tool is needed and its version is always the crate's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use thiserror::Error;
use wasm_bindgen_cli_support::Bindgen;

/// Why there is no package.
#[derive(Debug, Error)]
pub(crate) enum NotMade {
    #[error(
        "the standard library for {TARGET} is not installed, so the WebAssembly package cannot be built; install it \
         with: rustup target add {TARGET}"
    )]
    TargetMissing,
    #[error("cannot run {program}: {source}")]
    NotRun { program: String, source: io::Error },
    #[error("cargo could not build the crate for {TARGET}; its messages are above")]
    NotBuilt,
    #[error("wasm-bindgen: {0:#}")]
    Bindings(String),
    #[error("cannot write {}: {source}", path.display())]
    NotWritten { path: PathBuf, source: io::Error },
}

/// Makes the package in `folder`; says how many bytes the WebAssembly has.
pub(crate) fn make(folder: &Path) -> Result<u64, NotMade> {
    if !is_target_installed()? {
        return Err(NotMade::TargetMissing);
    }
    let wasm = build()?;
    for (name, nodejs) in [("node", true), ("web", false)] {
        let mut bindgen = Bindgen::new();
        let bindings = |error: &dyn std::fmt::Display| NotMade::Bindings(format!("{error:#}"));
        bindgen
            .input_path(&wasm)
            .out_name("sealwright_verifier")
            .typescript(true);
        if nodejs {
            bindgen.nodejs(true).map_err(|error| bindings(&error))?;
        } else {
            bindgen.web(true).map_err(|error| bindings(&error))?;
            bindgen.omit_default_module_path(false);
        }
        bindgen.generate(folder.join(name)).map_err(|error| bindings(&error))?;
    }
    write(&folder.join("package.json"), MANIFEST)?;
    // The two flavours are different kinds of module.
    write(&folder.join("node/package.json"), "{ \"type\": \"commonjs\" }\n")?;
    write(&folder.join("web/package.json"), "{ \"type\": \"module\" }\n")?;
    let made = folder.join("web/sealwright_verifier_bg.wasm");
    match fs::metadata(&made) {
        Ok(metadata) => Ok(metadata.len()),
        Err(source) => Err(NotMade::NotWritten { path: made, source }),
    }
}

/// Whether this compiler has a standard library for [`TARGET`].
fn is_target_installed() -> Result<bool, NotMade> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(&rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|source| NotMade::NotRun { program: rustc, source })?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let is_core = |name: &str| name.starts_with("libcore-");
    Ok(fs::read_dir(folder).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_str().is_some_and(is_core))
    }))
}

/// Builds the crate and says where the WebAssembly is.
fn build() -> Result<PathBuf, NotMade> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(&cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "build",
            "--locked",
            "--release",
            "--lib",
            "-p",
            env!("CARGO_PKG_NAME"),
            "--target",
            TARGET,
        ])
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| NotMade::NotRun { program: cargo, source })?;
    let messages = String::from_utf8_lossy(&output.stdout);
    let files = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let wasm = files
        .filter_map(|message| message["filenames"].as_array().cloned())
        .flatten()
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.extension().is_some_and(|extension| extension == "wasm"));
    wasm.filter(|_| output.status.success()).ok_or(NotMade::NotBuilt)
}

fn write(path: &Path, content: &str) -> Result<(), NotMade> {
    fs::write(path, content).map_err(|source| NotMade::NotWritten {
        path: path.to_owned(),
        source,
    })
}

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// In `exports` the first condition that holds counts, so `node` comes before `default`.
const MANIFEST: &str = concat!(
    r#"{
  "name": "sealwright-verifier",
  "version": ""#,
    env!("CARGO_PKG_VERSION"),
    r#"",
  "description": "Says who signed an S/MIME message, and whose validated identity that is",
  "license": "Apache-2.0 OR MIT",
  "exports": {
    ".": {
      "node": { "types": "./node/sealwright_verifier.d.ts", "default": "./node/sealwright_verifier.js" },
      "default": { "types": "./web/sealwright_verifier.d.ts", "default": "./web/sealwright_verifier.js" }
    },
    "./web/*": "./web/*"
  },
  "types": "./node/sealwright_verifier.d.ts",
  "sideEffects": false
}
"#
);
