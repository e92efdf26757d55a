//! The library as C and Python's ctypes see it: compiled with the machine's C compiler, linked both ways, watched by
//! valgrind.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sealwright_verifier as _;
use tempfile::TempDir;

#[path = "../../fixtures/support.rs"]
mod support;

use support::{examples, fixtures, is_installed, skip, succeed, write_expectations};

const WARNINGS: [&str; 5] = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// Where cargo puts the library when it builds this test.
fn library(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a test knows where it lies");
    let folder = test.parent().expect("a file lies in a folder");
    let places = [folder.join(name), folder.join("..").join(name)];
    let found = places.iter().find(|place| place.is_file());
    found.unwrap_or_else(|| panic!("none of {places:?} is there")).clone()
}

fn compile(source: &Path, program: &Path, compiler: &str, linked: &[&str]) {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let mut command = Command::new(compiler);
    command.args(WARNINGS.iter().filter(|flag| compiler == "cc" || **flag != "-std=c11"));
    command
        .arg("-g")
        .arg("-I")
        .arg(include)
        .arg(source)
        .arg("-o")
        .arg(program)
        .args(linked);
    succeed(&mut command);
}

struct Workshop {
    folder: TempDir,
    expectations: PathBuf,
    messages: usize,
}

impl Workshop {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let expectations = folder.path().join("expectations");
        fs::create_dir(&expectations).expect("a folder can be made");
        let messages = write_expectations(&expectations);
        Self {
            folder,
            expectations,
            messages,
        }
    }

    fn program(&self, linked: &[&str]) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/embedders/embedder.c");
        let program = self.folder.path().join("embedder");
        compile(&source, &program, "cc", linked);
        program
    }

    fn check(&self, mut command: Command) {
        let said = succeed(command.arg(fixtures()).arg(&self.expectations));
        assert!(said.ends_with("every expectation was met\n"), "{said}");
        // Each message, and the one that is examined again twice.
        assert_eq!(said.lines().count(), self.messages + 3, "{said}");
    }
}

const STATIC: [&str; 3] = ["-lpthread", "-ldl", "-lm"];

#[test]
fn c_gets_the_same_report_from_the_static_library() {
    let workshop = Workshop::new();
    let archive = library("libsealwright_verifier.a");
    let linked = [&[archive.to_str().expect("the path is text")], &STATIC[..]].concat();
    workshop.check(Command::new(workshop.program(&linked)));
}

#[test]
fn c_gets_the_same_report_from_the_shared_library() {
    let workshop = Workshop::new();
    let shared = library("libsealwright_verifier.so");
    let folder = shared.parent().expect("a file lies in a folder");
    let mut command = Command::new(workshop.program(&[shared.to_str().expect("the path is text")]));
    command.env("LD_LIBRARY_PATH", folder);
    workshop.check(command);
}

#[test]
fn valgrind_finds_no_fault_and_no_leak() {
    if !is_installed("valgrind") {
        skip("valgrind", "it is not installed (Debian package valgrind)");
        return;
    }
    let workshop = Workshop::new();
    let archive = library("libsealwright_verifier.a");
    let linked = [&[archive.to_str().expect("the path is text")], &STATIC[..]].concat();
    let mut command = Command::new("valgrind");
    command.args([
        "--quiet",
        "--error-exitcode=99",
        "--leak-check=full",
        "--show-leak-kinds=all",
    ]);
    command.args(["--errors-for-leak-kinds=definite,indirect,possible"]);
    command.arg(workshop.program(&linked));
    workshop.check(command);
}

#[test]
fn the_shared_library_exports_only_its_own_functions() {
    let symbols = succeed(
        Command::new("nm")
            .args(["-D", "--defined-only", "--format=posix"])
            .arg(library("libsealwright_verifier.so")),
    );
    let names: Vec<&str> = symbols.lines().filter_map(|line| line.split(' ').next()).collect();
    let header = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/sealwright_verifier.h"))
        .expect("the header can be read");
    assert!(names.contains(&"sealwright_verify"), "{names:?}");
    for name in names {
        assert!(
            name.starts_with("sealwright_") && header.contains(&format!("{name}(")),
            "{name} is exported"
        );
    }
}

#[test]
fn the_header_is_good_for_cplusplus() {
    if !is_installed("c++") {
        skip("C++", "no compiler is installed (Debian package g++)");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let source = folder.path().join("minimal.cpp");
    let code = "#include \"sealwright_verifier.h\"\nint main() { sealwright_free(sealwright_new()); return 0; }\n";
    fs::write(&source, code).expect("a source can be written");
    let archive = library("libsealwright_verifier.a");
    let linked = [&[archive.to_str().expect("the path is text")], &STATIC[..]].concat();
    let program = folder.path().join("minimal");
    compile(&source, &program, "c++", &linked);
    succeed(&mut Command::new(program));
}

#[test]
fn python_gets_the_same_report_through_ctypes() {
    if !is_installed("python3") {
        skip("ctypes", "python3 is not installed");
        return;
    }
    let workshop = Workshop::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/embedders/embedder.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(library("libsealwright_verifier.so"));
    let said = succeed(command.arg(fixtures()).arg(&workshop.expectations));
    assert_eq!(said, "every expectation was met\n");
}

#[test]
fn the_examples_of_the_documentation_run() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let archive = library("libsealwright_verifier.a");
    let linked = [&[archive.to_str().expect("the path is text")], &STATIC[..]].concat();
    for (number, example) in examples("c").iter().enumerate() {
        let source = folder.path().join(format!("example-{number}.c"));
        fs::write(&source, example).expect("a source can be written");
        let program = source.with_extension("");
        compile(&source, &program, "cc", &linked);
        let said = succeed(Command::new(program).current_dir(fixtures()));
        assert!(
            said.starts_with("V3 Example Bank, Identity Validated and Trusted\n"),
            "{said}"
        );
    }
}
