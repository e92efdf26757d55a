//! Guards of the house: who may depend on whom, and what must not be in the tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every crate, its folder, and the crates of ours that it may depend on. README.md draws the same arrows; a new one is an
/// architecture change.
const ARROWS: [(&str, &str, &[&str]); 14] = [
    ("policies", "policies", &[]),
    ("dns", "signer-service/dns", &[]),
    ("keys", "signer-service/keys", &[]),
    ("milter", "signer-service/milter", &[]),
    ("smtp", "signer-service/smtp", &[]),
    ("migrations", "migrations", &[]),
    ("verifier", "verifier", &["policies"]),
    ("verifier-report", "verifier/report", &["policies", "verifier"]),
    ("verifier-c", "verifier/c", &["policies", "verifier", "verifier-report"]),
    (
        "verifier-python",
        "verifier/python",
        &["policies", "verifier", "verifier-report"],
    ),
    (
        "verifier-wasm",
        "verifier/wasm",
        &["policies", "verifier", "verifier-report"],
    ),
    ("ca-api", "ca/api", &["policies"]),
    (
        "ca",
        "ca",
        &["ca-api", "dns", "keys", "migrations", "policies", "smtp", "verifier"],
    ),
    (
        "signer-service",
        "signer-service",
        &[
            "ca-api",
            "dns",
            "keys",
            "migrations",
            "milter",
            "policies",
            "smtp",
            "verifier",
        ],
    ),
];

#[test]
fn crates_depend_only_along_the_arrows() {
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, ..)| *name).collect();
    for (name, folder, allowed) in ARROWS {
        let manifest: toml::Table = read(&root().join(folder).join("Cargo.toml"))
            .parse()
            .unwrap_or_else(|error| panic!("{folder}/Cargo.toml: {error}"));
        assert_eq!(manifest["package"]["name"].as_str(), Some(name), "{folder}/Cargo.toml");
        for table in ["dependencies", "build-dependencies"] {
            for dependency in manifest
                .get(table)
                .and_then(toml::Value::as_table)
                .into_iter()
                .flat_map(toml::Table::keys)
            {
                assert!(
                    !ours.contains(dependency.as_str()) || allowed.contains(&dependency.as_str()),
                    "{folder}/Cargo.toml: `{name}` must not depend on `{dependency}`; the arrows are in README.md"
                );
            }
        }
    }
}

#[test]
fn every_member_of_the_workspace_is_in_the_drawing() {
    let manifest: toml::Table = read(&root().join("Cargo.toml")).parse().expect("Cargo.toml is TOML");
    let members: BTreeSet<&str> = manifest["workspace"]["members"]
        .as_array()
        .expect("members is an array")
        .iter()
        .map(|member| member.as_str().expect("a member is text"))
        .collect();
    assert_eq!(members, ARROWS.iter().map(|(_, folder, _)| *folder).collect());
}

#[test]
fn the_verifier_needs_nothing_that_could_reach_out() {
    let manifest = read(&root().join("verifier/Cargo.toml"));
    let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
    for refused in ["tokio", "reqwest", "openssl", "rustls", "rand"] {
        assert!(
            !dependencies.contains(refused),
            "verifier/Cargo.toml: `{refused}` has no place in the verifier"
        );
    }
    // The C backend is for whoever asks for it: optional, and not among the default features.
    let manifest: toml::Table = manifest.parse().expect("verifier/Cargo.toml is TOML");
    if let Some(backend) = manifest["dependencies"].get("aws-lc-rs") {
        assert_eq!(
            backend.get("optional").and_then(toml::Value::as_bool),
            Some(true),
            "aws-lc-rs is optional"
        );
    }
    let defaults = manifest.get("features").and_then(|features| features.get("default"));
    assert!(
        defaults.is_none_or(|features| features.as_array().is_some_and(Vec::is_empty)),
        "no feature is on by default"
    );
}

#[test]
fn only_the_crate_keys_knows_a_private_key_backend() {
    for (name, folder, _) in ARROWS.iter().filter(|(name, ..)| *name != "keys") {
        let manifest: toml::Table = read(&root().join(folder).join("Cargo.toml"))
            .parse()
            .expect("a manifest is TOML");
        let dependencies = manifest
            .get("dependencies")
            .and_then(toml::Value::as_table)
            .expect("a crate has dependencies");
        for backend in ["aws-lc-rs", "openssl", "cryptoki", "rcgen"] {
            // The verifier may check signatures with it, with public keys; the test above keeps that optional.
            let only_public = *name == "verifier" && backend == "aws-lc-rs";
            assert!(
                only_public || !dependencies.contains_key(backend),
                "{name}: private keys belong to the crate `keys`, not `{backend}` here"
            );
        }
    }
}

#[test]
fn no_test_is_switched_off_and_nothing_is_left_undone() {
    // Put together here so that this file does not find itself.
    let marks = [
        ["#[ig", "nore"].concat(),
        ["#[should_", "panic"].concat(),
        ["todo", "!("].concat(),
        ["unimpl", "emented!("].concat(),
    ];
    for file in rust_files() {
        let text = read(&file);
        for mark in &marks {
            assert!(
                !text.contains(mark.as_str()),
                "{}: {mark} has no place in the tree",
                file.display()
            );
        }
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for file in rust_files() {
        assert!(
            // An included file cannot have inner documentation; a plain comment says it there.
            ["//!", "// "].iter().any(|opening| read(&file).starts_with(opening)),
            "{}: a file opens with a //! sentence",
            file.display()
        );
    }
}

#[test]
fn each_invariant_of_the_design_has_a_test_with_its_number() {
    // 10 (queued mail) belongs to the queue of the gateway, which passes mail through and accepts nothing on its own yet.
    let tests: String = rust_files().iter().map(|file| read(file)).collect();
    for number in (1..=13).filter(|number| *number != 10) {
        assert!(
            tests.contains(&format!("fn invariant_{number:02}_")),
            "no test is named invariant_{number:02}_…"
        );
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = [
        "src",
        "tests",
        "policies",
        "verifier",
        "ca",
        "signer-service",
        "migrations",
    ]
    .map(|folder| root().join(folder))
    .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}
