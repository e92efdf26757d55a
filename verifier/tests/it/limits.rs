//! Every limit says what it is for and where it is from, and docs/verification.md lists them all.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A constant that limits what is read, with its comment.
struct Limit {
    name: String,
    value: String,
    what: String,
    source: String,
}

#[test]
fn every_limit_cites_its_source_and_is_documented() {
    let mut limits = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    collect(&root.join("src"), &mut limits);
    assert!(limits.len() > 30, "only {} limits were found", limits.len());
    limits.sort_by(|left, right| left.what.cmp(&right.what));
    let mut table = String::from("| limit | value | source |\n| --- | ---: | --- |\n");
    for Limit {
        value, what, source, ..
    } in &limits
    {
        writeln!(table, "| {what} | {value} | {source} |").unwrap();
    }
    let page = fs::read_to_string(root.join("../docs/verification.md")).unwrap();
    assert!(
        page.contains(&table),
        "docs/verification.md has another table of limits than this:\n{table}"
    );
    // No limit hides in an expression.
    let mut hidden = Vec::new();
    for_each_source(&root.join("src"), &mut |path, text| {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let numbers = [".take(", ".all(", "len() > ", "len() >= ", "count() > "];
            let limits = |call: &&str| {
                line.split_once(*call)
                    .is_some_and(|(_, after)| after.bytes().take(2).filter(u8::is_ascii_digit).count() == 2)
            };
            if numbers.iter().any(limits) {
                hidden.push(format!("{}: {}", path.display(), line.trim()));
            }
        }
    });
    assert!(hidden.is_empty(), "limits without a name and a source: {hidden:#?}");
}

fn collect(folder: &Path, limits: &mut Vec<Limit>) {
    for_each_source(folder, &mut |path, text| {
        let mut comment = String::new();
        for line in text.lines() {
            let line = line.trim();
            if let Some(words) = line.strip_prefix("///") {
                comment.push_str(words);
                continue;
            }
            let comment = std::mem::take(&mut comment);
            let Some((name, value)) = constant(line) else { continue };
            let (what, source) = comment
                .split_once("Source: ")
                .unwrap_or_else(|| panic!("{}: {name} does not cite its source", path.display()));
            let is_cited = ["own choice", "RFC ", "S/MIME BR ", "what "]
                .iter()
                .any(|kind| source.starts_with(kind));
            assert!(
                is_cited && source.ends_with('.'),
                "{}: {name}: {source}",
                path.display()
            );
            limits.push(Limit {
                name,
                value,
                what: what.trim().trim_end_matches('.').to_owned(),
                source: source.trim_end_matches('.').to_owned(),
            });
        }
    });
    let mut names: Vec<&str> = limits.iter().map(|limit| limit.what.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "two limits are described in the same words");
    }
    assert!(
        limits.iter().all(|limit| !limit.what.is_empty()),
        "{:?}",
        limits
            .iter()
            .find(|limit| limit.what.is_empty())
            .map(|limit| &limit.name)
    );
}

/// Name and value of a constant that is a limit by its name.
fn constant(line: &str) -> Option<(String, String)> {
    let (_, declaration) = line.split_once("const ")?;
    let (name, rest) = declaration.split_once(": ")?;
    let is_limit = name.starts_with("MAXIMUM")
        || name.starts_with("MINIMUM")
        || name.ends_with("_TOLERANCE")
        || name.ends_with("_ENDS");
    let (_, value) = rest.split_once(" = ")?;
    let is_plain = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    (is_limit && is_plain).then(|| (name.to_owned(), readable(value.trim_end_matches(';'))))
}

/// `64 * 1024` as 64 KiB, `Span::minutes(5)` as 5 minutes.
fn readable(value: &str) -> String {
    let value = value.replace("64 * 1024 * 1024", "64 MiB").replace(" * 1024", " KiB");
    match value
        .strip_prefix("Span::")
        .and_then(|span| span.strip_suffix(')')?.split_once('('))
    {
        Some((unit, "1")) => format!("1 {}", unit.trim_end_matches('s')),
        Some((unit, count)) => format!("{count} {unit}"),
        None if value.starts_with("Timestamp") => "2025-07-15".to_owned(),
        None if value == "(1 << 33) - 1" => "2^33 - 1".to_owned(),
        None => value,
    }
}

fn for_each_source(folder: &Path, visit: &mut dyn FnMut(&Path, &str)) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            for_each_source(&path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let is_test = ["fuzzing.rs", "pathological.rs", "work.rs"]
                .iter()
                .any(|name| path.ends_with(name));
            let text = fs::read_to_string(&path).unwrap();
            let (code, _) = text.split_once("\n#[cfg(test)]\nmod tests").unwrap_or((&text, ""));
            if !is_test {
                visit(&path, code);
            }
        }
    }
}
