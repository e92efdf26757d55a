//! Builds the wheel, installs it into an environment of its own, and runs its tests there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "../../fixtures/support.rs"]
mod support;

use support::{examples, fixtures, is_installed, skip, succeed, write_expectations};

/// What the environment has from PyPI: the build tool, and mypy, which holds the type stubs against the module.
const TOOLS: [&str; 2] = ["maturin==1.16.0", "mypy<3"];

/// A Python with [`TOOLS`], or why there is none. It is kept between runs.
fn environment() -> Result<PathBuf, String> {
    if !is_installed("python3") {
        return Err("python3 is not installed".to_owned());
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = folder.join("bin/python");
    let attempt = |command: &mut Command| {
        let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Ok(())
        } else {
            Err(format!("{command:?}: {said}"))
        }
    };
    if !folder.join("bin/pip").is_file() {
        attempt(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    let mut install = Command::new(&python);
    attempt(
        install
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(TOOLS),
    )?;
    Ok(python)
}

#[test]
fn the_wheel_is_built_installed_and_tested() {
    let python = match environment() {
        Ok(python) => python,
        Err(reason) => {
            skip("the wheel", &reason);
            return;
        }
    };
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let expectations = folder.path().join("expectations");
    fs::create_dir(&expectations).expect("a folder can be made");
    write_expectations(&expectations);

    // 1. Build.
    let wheels = folder.path().join("wheels");
    let mut build = Command::new(&python);
    build.args(["-m", "maturin", "build", "--quiet", "--locked", "--manifest-path"]);
    build
        .arg(crate_folder.join("Cargo.toml"))
        .arg("--out")
        .arg(&wheels)
        .arg("--interpreter")
        .arg(&python);
    succeed(&mut build);
    let built: Vec<PathBuf> = fs::read_dir(&wheels)
        .expect("there are wheels")
        .map(|entry| entry.expect("a folder can be listed").path())
        .collect();
    let [wheel] = built.as_slice() else {
        panic!("one wheel, not {built:?}")
    };
    let name = wheel
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a file has a name");
    // One wheel serves every Python from 3.9 on.
    let expected = concat!("sealwright-", env!("CARGO_PKG_VERSION"), "-cp39-abi3-");
    assert!(name.starts_with(expected), "{name}");
    let inside = succeed(Command::new(&python).args(["-m", "zipfile", "--list"]).arg(wheel));
    for file in ["sealwright/py.typed", "sealwright/__init__.pyi"] {
        assert!(inside.contains(file), "{file} is in the wheel: {inside}");
    }

    // 2. Install.
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(["--no-index", "--no-deps", "--force-reinstall"]);
    succeed(install.arg(wheel));

    // 3. Test, away from the source, so that nothing but the wheel can be imported.
    let tests = crate_folder.join("tests/test_sealwright.py");
    let mut run = Command::new(&python);
    run.current_dir(folder.path());
    run.env("SEALWRIGHT_FIXTURES", fixtures())
        .env("SEALWRIGHT_EXPECTATIONS", &expectations);
    succeed(run.arg(&tests));

    // 4. The stubs say what the module has, and the tests are well typed by them.
    let mut stubs = Command::new(&python);
    succeed(
        stubs
            .current_dir(folder.path())
            .args(["-m", "mypy.stubtest", "sealwright", "--allowlist"])
            .arg(crate_folder.join("tests/stubtest_allowlist.txt")),
    );
    let mut types = Command::new(&python);
    succeed(
        types
            .current_dir(folder.path())
            .args(["-m", "mypy", "--strict"])
            .arg(&tests),
    );

    // 5. The documentation.
    for example in examples("python") {
        let mut run = Command::new(&python);
        let said = succeed(run.current_dir(fixtures()).arg("-c").arg(example));
        assert!(
            said.starts_with("V3 Example Bank, Identity Validated and Trusted\n"),
            "{said}"
        );
    }
}
