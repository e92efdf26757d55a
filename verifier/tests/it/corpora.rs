//! Public vectors against their published expectations.
//!
//! They are not part of this repository: `SEALWRIGHT_CORPORA` names the folder, by default the one beside it. What is
//! not as published stands in a list with its reason, and an entry that no longer applies fails the test.

mod limbo;
mod pkits;
mod rfc;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A folder of the corpora; says so loudly if it is not there.
pub(crate) fn corpus(name: &str) -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora");
    let corpora = std::env::var_os("SEALWRIGHT_CORPORA").map_or_else(default, PathBuf::from);
    let folder = corpora.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("{name}: SKIPPED, 0 cases ran: there is no {}", folder.display());
    None
}

/// What is listed must go wrong, and what goes wrong must be listed.
fn compare(title: &str, deviations: &str, wrong: &BTreeMap<String, String>, ran: usize) {
    let listed: BTreeMap<&str, &str> = deviations
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(' ').expect("a case and a reason"))
        .collect();
    println!(
        "{title}: {ran} cases ran, {} as published, {} listed deviations",
        ran - wrong.len(),
        listed.len()
    );
    let unlisted: Vec<_> = wrong
        .iter()
        .filter(|(case, _)| !listed.contains_key(case.as_str()))
        .collect();
    assert!(unlisted.is_empty(), "{title}, not listed: {unlisted:#?}");
    for case in listed.keys() {
        assert!(
            wrong.contains_key(*case),
            "{case} is listed and went right: remove it from the list"
        );
    }
}
