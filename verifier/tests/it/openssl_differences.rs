//! `openssl cms -verify` over every message that the other tests build or read from the corpora. Where it says something
//! else than the verifier, `openssl_differences.txt` says why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::observed::{FOLDER, folder};

/// What the two say of one message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// OpenSSL accepts what the verifier does not; the first finding.
    Accepts(String),
    /// OpenSSL refuses what the verifier accepts; its reason.
    Refuses(String),
}

#[test]
fn every_difference_from_openssl_is_explained() {
    if folder().is_some() {
        // This is the run below, which writes the messages down.
        return;
    }
    if !Command::new("openssl")
        .arg("version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        assert!(
            std::env::var_os("CI").is_none(),
            "openssl is not installed; on CI nothing may be skipped"
        );
        println!("openssl cms -verify: SKIPPED, 0 messages: openssl is not installed");
        return;
    }
    let made = tempfile::tempdir().unwrap();
    let tests = Command::new(std::env::current_exe().unwrap())
        .env(FOLDER, made.path())
        .args([
            "--quiet",
            "--skip",
            "mutations",
            "--skip",
            "invariant_11",
            "--skip",
            "openssl_differences",
        ])
        .output()
        .unwrap();
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stdout));

    let mut messages: Vec<PathBuf> = fs::read_dir(made.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
        .collect();
    messages.sort();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(message) = messages.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let difference = compare(message);
                    found.lock().unwrap().push((message, difference));
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    let mut differences: BTreeMap<Difference, usize> = BTreeMap::new();
    for difference in found.iter().filter_map(|(_, difference)| difference.clone()) {
        *differences.entry(difference).or_default() += 1;
    }
    let alike = messages.len() - differences.values().sum::<usize>();
    println!(
        "openssl cms -verify: {} messages, {alike} alike, {} differences of {} kinds",
        messages.len(),
        messages.len() - alike,
        differences.len()
    );
    assert!(
        messages.len() > 300,
        "only {} messages were written down",
        messages.len()
    );

    let explained = table();
    let unexplained: Vec<_> = differences
        .iter()
        .filter(|(one, _)| !explained.contains_key(*one))
        .collect();
    assert!(
        unexplained.is_empty(),
        "not explained in openssl_differences.txt: {unexplained:#?}"
    );
    let corpora_are_there = super::corpora::corpus("pkits").is_some();
    let gone: BTreeSet<_> = explained
        .iter()
        .filter(|(one, only_corpora)| !differences.contains_key(*one) && (corpora_are_there || !**only_corpora))
        .map(|(one, _)| one)
        .collect();
    assert!(
        gone.is_empty(),
        "explained, and no longer so: remove from openssl_differences.txt {gone:#?}"
    );
}

/// Whether each explained difference comes from the corpora alone.
fn table() -> BTreeMap<Difference, bool> {
    let mut table = BTreeMap::new();
    for line in include_str!("openssl_differences.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let [kind, key, where_from, reason] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("four columns: {line}");
        };
        assert!(reason.len() > 20, "a reason: {line}");
        let difference = match kind {
            "accepts" => Difference::Accepts(key.to_owned()),
            "refuses" => Difference::Refuses(key.to_owned()),
            other => panic!("accepts or refuses, not {other}"),
        };
        let only_corpora = match where_from {
            "corpora" => true,
            "own" => false,
            other => panic!("corpora or own, not {other}"),
        };
        assert!(table.insert(difference, only_corpora).is_none(), "twice: {line}");
    }
    table
}

fn compare(message: &Path) -> Option<Difference> {
    let facts = fs::read_to_string(message.with_extension("verdict")).unwrap();
    let facts: Vec<&str> = facts.split(' ').collect();
    let [status, code, at, lists] = facts[..] else {
        panic!("{facts:?}");
    };
    let trust = message.with_extension("trust.pem");
    let others = message.with_extension("others.pem");
    let is_empty = |path: &Path| fs::metadata(path).unwrap().len() == 0;
    let mut openssl = Command::new("openssl");
    openssl.args([
        "cms",
        "-verify",
        "-no-CApath",
        "-no-CAstore",
        "-out",
        "/dev/null",
        "-attime",
        at,
        "-in",
    ]);
    openssl.arg(message);
    if is_empty(&trust) {
        openssl.arg("-no-CAfile");
    } else {
        openssl.arg("-CAfile").arg(&trust);
    }
    if !is_empty(&others) {
        openssl.arg("-certfile").arg(&others);
    }
    if lists != "0" {
        openssl.args(["-crl_check_all", "-extended_crl", "-use_deltas"]);
    }
    let output = openssl.output().unwrap();
    let accepted = matches!(status, "tier" | "signed");
    match (output.status.success(), accepted) {
        (true, false) => Some(Difference::Accepts(code.to_owned())),
        (false, true) => Some(Difference::Refuses(reason(&String::from_utf8_lossy(&output.stderr)))),
        _ => None,
    }
}

/// The last reason that OpenSSL gives, without what differs from run to run.
fn reason(said: &str) -> String {
    let of_line = |line: &str| {
        line.split_once("Verify error:")
            .or_else(|| line.split_once("Verify error: "))
            .map(|(_, reason)| reason.trim().to_owned())
            .or_else(|| line.split(':').nth(5).map(str::to_owned))
    };
    said.lines()
        .filter(|line| line.contains(":error:"))
        .filter_map(of_line)
        .next_back()
        .unwrap_or_else(|| said.lines().next().unwrap_or_default().to_owned())
}
