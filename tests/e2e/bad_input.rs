//! Bad input: one clear sentence that says what, where and what to do; the right exit status; nothing half-made.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::support::{sealwright, text, words};

/// A folder with a certificate authority in `ca` and a gateway in `gateway`, both ready to serve.
struct Prepared {
    folder: tempfile::TempDir,
}

impl Prepared {
    fn new() -> Self {
        let prepared = Self {
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
        };
        succeed(&["ca", "init", "--data", text(&prepared.ca())]);
        succeed(&[
            "gateway",
            "init",
            "--data",
            text(&prepared.gateway()),
            "--hostname",
            "gateway.example.com",
            "--next-hop",
            "127.0.0.1:25",
            "--ca",
            "https://127.0.0.1:8440",
        ]);
        prepared
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca")
    }

    fn gateway(&self) -> PathBuf {
        self.folder.path().join("gateway")
    }
}

fn succeed(arguments: &[&str]) {
    let output = sealwright(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", words(&output));
}

/// The command fails with this status, says all of these, in one line, and prints nothing on standard output.
fn refused(arguments: &[&str], status: i32, says: &[&str]) {
    let output = sealwright(arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", words(&output));
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", words(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    for expected in says {
        assert!(stderr.contains(expected), "{arguments:?} says {expected:?}: {stderr}");
    }
    assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
}

fn edit(path: &Path, from: &str, to: &str) {
    let content = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(content.contains(from), "{from:?} is in {content}");
    fs::write(path, content.replace(from, to)).expect("the file is written");
}

/// Every file below a folder with its content, to see that nothing changed.
fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            files.extend(snapshot(&path));
        } else {
            let content = fs::read(&path).expect("a file can be read");
            files.push((path, content));
        }
    }
    files.sort();
    files
}

#[test]
fn a_second_init_changes_nothing() {
    let prepared = Prepared::new();
    let before = snapshot(prepared.folder.path());
    refused(
        &["ca", "init", "--data", text(&prepared.ca())],
        1,
        &["holds a certificate authority already", "another folder"],
    );
    let hop = [
        "--hostname",
        "gateway.example.com",
        "--next-hop",
        "127.0.0.1:25",
        "--ca",
        "https://127.0.0.1:8440",
    ];
    let gateway = prepared.gateway();
    let again = [&["gateway", "init", "--data", text(&gateway)][..], &hop].concat();
    refused(&again, 1, &["already"]);
    refused(
        &["quickstart", "--data", text(prepared.folder.path())],
        2,
        &["exists and is not empty", "--data"],
    );
    assert_eq!(snapshot(prepared.folder.path()), before);
}

#[test]
fn unknown_configuration_keys_are_named() {
    let prepared = Prepared::new();
    for (folder, file, command) in [
        (prepared.ca(), "ca.toml", "ca"),
        (prepared.gateway(), "gateway.toml", "gateway"),
    ] {
        let path = folder.join(file);
        let good = fs::read_to_string(&path).expect("the configuration can be read");
        fs::write(&path, format!("colour = \"red\"\n{good}")).expect("the configuration is written");
        refused(&[command, "serve", "--data", text(&folder)], 2, &[file, "colour"]);
    }
}

#[test]
fn a_wrong_url_is_explained() {
    let prepared = Prepared::new();
    edit(
        &prepared.ca().join("ca.toml"),
        "sqlite:ca.sqlite",
        "mysql://localhost/ca",
    );
    refused(
        &["ca", "list", "--data", text(&prepared.ca())],
        1,
        &["mysql", "sqlite", "postgres"],
    );
    let folder = prepared.folder.path().join("other");
    refused(
        &[
            "ca",
            "init",
            "--data",
            text(&folder),
            "--public-url",
            "https://pki.example.com",
        ],
        2,
        &["https://pki.example.com", "http://"],
    );
    assert!(!folder.exists(), "nothing was half-made");
    edit(
        &prepared.gateway().join("gateway.toml"),
        "https://127.0.0.1:8440",
        "ftp://127.0.0.1",
    );
    refused(
        &["gateway", "serve", "--data", text(&prepared.gateway())],
        2,
        &["ftp://127.0.0.1", "https://"],
    );
}

#[test]
fn a_folder_without_a_certificate_authority_is_explained() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = ["--data", text(folder.path())];
    for command in [
        &["ca", "serve"][..],
        &["ca", "list"],
        &["ca", "show", "00"],
        &["gateway", "serve"],
    ] {
        refused(&[command, &data].concat(), 2, &["init"]);
    }
    assert!(snapshot(folder.path()).is_empty(), "nothing was made");
}

#[test]
fn an_unreadable_key_is_named_and_nothing_starts() {
    let prepared = Prepared::new();
    let sealing_key = prepared.ca().join("sealing.key");
    fs::set_permissions(&sealing_key, fs::Permissions::from_mode(0o644)).expect("the mode can be set");
    refused(
        &["ca", "serve", "--data", text(&prepared.ca())],
        1,
        &["sealing.key", "chmod 600"],
    );
    fs::set_permissions(&sealing_key, fs::Permissions::from_mode(0o600)).expect("the mode can be set");

    // The sealing key of somebody else opens nothing.
    let other = Prepared::new();
    fs::copy(other.ca().join("sealing.key"), &sealing_key).expect("the file is copied");
    refused(&["ca", "serve", "--data", text(&prepared.ca())], 1, &["keys"]);

    fs::remove_file(&sealing_key).expect("the file is removed");
    refused(&["ca", "serve", "--data", text(&prepared.ca())], 1, &["sealing.key"]);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it has an address").to_string();
    let prepared = Prepared::new();
    let config = prepared.ca().join("ca.toml");
    edit(
        &config,
        "listen = \"127.0.0.1:8440\"",
        &format!("listen = \"{address}\""),
    );
    refused(
        &["ca", "serve", "--data", text(&prepared.ca())],
        1,
        &[&address, "in use", "listen"],
    );
    edit(&config, &format!("listen = \"{address}\""), "listen = \"127.0.0.1:0\"");
    edit(
        &config,
        "public_listen = \"127.0.0.1:8080\"",
        &format!("public_listen = \"{address}\""),
    );
    refused(
        &["ca", "serve", "--data", text(&prepared.ca())],
        1,
        &[&address, "in use", "public_listen"],
    );
    edit(&prepared.gateway().join("gateway.toml"), "127.0.0.1:2525", &address);
    refused(
        &["gateway", "serve", "--data", text(&prepared.gateway())],
        1,
        &[&address, "in use", "listen"],
    );
}

#[test]
fn a_mail_without_or_with_two_senders_is_refused_and_named() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("the mail is written");
        path
    };
    let none = write("none.eml", "Subject: nobody\n\nHello\n");
    let two = write(
        "two.eml",
        "From: alice@example.org\nFrom: bob@example.net\nSubject: two\n\nHello\n",
    );
    let list = write(
        "list.eml",
        "From: a@example.org, b@example.org\nSender: a@example.org\n\nHello\n",
    );
    let data = folder.path().join("data");
    let output = sealwright(&[
        "quickstart",
        "--data",
        text(&data),
        "--mail",
        text(&none),
        "--mail",
        text(&two),
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        stdout.matches("refused: 5").count(),
        8,
        "each is refused for good, for each sender: {stdout}"
    );
    assert!(stdout.contains("0 of 8 mails"), "{stdout}");
    assert!(
        fs::read_dir(data.join("delivered"))
            .expect("the folder is there")
            .next()
            .is_none(),
        "nothing was delivered"
    );
    // One From field that is replaced by the sender's own is a good mail again.
    let data = folder.path().join("again");
    let output = sealwright(&["quickstart", "--data", text(&data), "--mail", text(&list)]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
}

#[test]
fn an_unreadable_mail_file_stops_the_quickstart_before_anything_is_made() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().join("data");
    refused(
        &["quickstart", "--data", text(&data), "--mail", "/nonexistent.eml"],
        2,
        &["/nonexistent.eml", "readable file"],
    );
    assert!(!data.exists());
    refused(
        &["quickstart", "--data", "/nonexistent/data"],
        1,
        &["/nonexistent/data", "--data"],
    );
    refused(&["quickstart", "--key", "dsa"], 2, &["dsa", "p256"]);
}

#[test]
fn every_command_explains_itself() {
    for command in [
        &["--help"][..],
        &["quickstart", "--help"],
        &["verify", "--help"],
        &["ca", "--help"],
        &["ca", "init", "--help"],
        &["gateway", "init", "--help"],
    ] {
        let output = sealwright(command);
        assert!(output.status.success(), "{command:?}: {}", words(&output));
    }
    for command in [
        &["quickstart", "--help"][..],
        &["verify", "--help"],
        &["ca", "init", "--help"],
        &["gateway", "init", "--help"],
    ] {
        assert!(
            words(&sealwright(command)).contains("Examples:"),
            "{command:?} shows examples"
        );
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            words(&sealwright(&["completions", shell])).contains("quickstart"),
            "{shell}"
        );
    }
}
