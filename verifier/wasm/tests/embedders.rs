//! The npm package in Node and in headless Chromium: made, loaded, and held against the one report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

#[path = "../examples/package/package.rs"]
mod package;
#[path = "../../fixtures/support.rs"]
mod support;

#[path = "embedders/browser.rs"]
mod browser;

use support::{examples, fixtures, is_installed, say_skipped, skip, succeed, write_expectations};

/// The package, made once for all tests of this file; the reason if it cannot be made here.
static PACKAGE: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sealwright-verifier");
    match package::make(&folder) {
        Ok(octets) => {
            println!("the WebAssembly has {octets} bytes");
            Ok(folder)
        }
        // Everything else is a failure of the build, not of the machine.
        Err(missing @ package::NotMade::TargetMissing) => Err(missing.to_string()),
        Err(error) => panic!("{error}"),
    }
});

/// One test at a time waits for the package, so a failure to make it is told by each.
static MAKING: Mutex<()> = Mutex::new(());

/// The package; `None` after saying that the test was skipped.
fn package_for(test: &str) -> Option<PathBuf> {
    let _turn = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match &*PACKAGE {
        Ok(folder) => Some(folder.clone()),
        Err(reason) => {
            say_skipped(test, reason);
            None
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let path = entry.expect("a folder can be listed").path();
        let target = to.join(path.file_name().expect("a file has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}

fn embedders() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/embedders")
}

#[test]
fn node_gets_the_same_report() {
    let Some(package) = package_for("Node") else { return };
    if !is_installed("node") {
        skip("Node", "it is not installed (Debian package nodejs)");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    copy(&embedders(), folder.path());
    copy(&package, &folder.path().join("node_modules/sealwright-verifier"));
    let expectations = folder.path().join("expectations");
    fs::create_dir(&expectations).expect("a folder can be made");
    let messages = write_expectations(&expectations);
    let mut command = Command::new("node");
    let said = succeed(
        command
            .arg(folder.path().join("node.mjs"))
            .arg(fixtures())
            .arg(&expectations),
    );
    assert_eq!(said, format!("{messages} messages: every expectation was met\n"));

    for (number, example) in examples("js").iter().enumerate() {
        let source = folder.path().join(format!("example-{number}.mjs"));
        fs::write(&source, example).expect("an example can be written");
        let said = succeed(Command::new("node").arg(source).current_dir(fixtures()));
        assert!(
            said.starts_with("V3 Example Bank, Identity Validated and Trusted\n"),
            "{said}"
        );
    }
}

#[test]
fn a_browser_gets_the_same_report() {
    let Some(package) = package_for("Chromium") else { return };
    let Some(chromium) = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| is_installed(name))
    else {
        skip("Chromium", "it is not installed (Debian package chromium)");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    copy(&fixtures(), folder.path());
    copy(&embedders(), folder.path());
    copy(&package, &folder.path().join("package"));
    let expectations = folder.path().join("expectations");
    fs::create_dir(&expectations).expect("a folder can be made");
    let messages = write_expectations(&expectations);
    let said = browser::said_by(chromium, folder.path(), "browser.html");
    assert_eq!(said, format!("{messages} messages: every expectation was met"));

    for example in examples("html") {
        // The page as it is in the documentation, and a line that tells the test what it shows in the end.
        let telling = "fetch(\"/said\", { method: \"POST\", body: document.title + \" \" + \
                       document.getElementById(\"label\").textContent });\n</script>";
        assert_eq!(example.matches("</script>").count(), 1, "{example}");
        fs::write(
            folder.path().join("example.html"),
            example.replace("</script>", telling),
        )
        .expect("a page can be written");
        let said = browser::said_by(chromium, folder.path(), "example.html");
        assert_eq!(said, "tier V3 Example Bank, Identity Validated and Trusted");
    }
}

#[test]
fn the_declarations_name_everything() {
    let Some(package) = package_for("TypeScript declarations") else {
        return;
    };
    let declarations =
        fs::read_to_string(package.join("node/sealwright_verifier.d.ts")).expect("there are declarations");
    for wanted in [
        "export class Verifier",
        "trust(certificates: Uint8Array, vouches: \"tiers\" | \"signatures_only\"): void",
        "verify(message: Uint8Array, at: Date): Verdict",
        "readonly report: Report",
        "readonly tier: Tier | undefined",
        "readonly verifiedBytes: Uint8Array | undefined",
        "export interface Report",
    ] {
        assert!(declarations.contains(wanted), "{wanted} in {declarations}");
    }
}
