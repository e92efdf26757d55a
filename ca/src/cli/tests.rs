//! The command line: what it takes, prints and refuses.

use std::path::Path;

use clap::{CommandFactory, Parser};
use policies::time::FixedClock;

use super::*;
use crate::testing::{Database, World};

#[derive(Debug, Parser)]
#[command(name = "sealwright-ca")]
struct Program {
    #[command(subcommand)]
    command: Command,
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(FixedClock::new(crate::testing::START))
}

/// Runs a command line and returns its exit status.
fn status(folder: &Path, words: &[&str]) -> ExitCode {
    let folder = folder.to_str().unwrap();
    let line = ["sealwright-ca"]
        .into_iter()
        .chain(words.iter().copied())
        .chain(["--data", folder]);
    run(Program::try_parse_from(line).unwrap().command, clock())
}

fn same(left: ExitCode, right: ExitCode) -> bool {
    format!("{left:?}") == format!("{right:?}")
}

#[test]
fn a_folder_becomes_an_authority_once() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("ca");
    let local = crate::testing::local_dns();
    let trust_anchor = temporary.path().join("root.key");
    std::fs::write(&trust_anchor, local.trust_anchor()).unwrap();
    let server = local.address().to_string();
    let dns = [
        "init",
        "--dns-server",
        &server,
        "--dns-trust-anchor",
        trust_anchor.to_str().unwrap(),
    ];
    assert!(same(status(&folder, &dns), ExitCode::SUCCESS));
    assert!(same(status(&folder, &["init"]), ExitCode::FAILURE));
    for words in [
        &["list"] as &[&str],
        &["list", "--json", "--state", "valid"],
        &["list", "--csv", "--tier", "V4", "--account", "acc-nobody"],
        &["account", "create", "--name", "Example"],
        &["account", "list", "--json"],
        &[
            "token",
            "create",
            "--role",
            "officer",
            "--name",
            "Olga",
            "--expires-in-days",
            "30",
        ],
        &["roster", "list"],
        &["audit", "verify"],
        &["audit", "checkpoint"],
        &["audit", "proof", "1", "--json"],
        &["audit", "key"],
        &["crl"],
        &["doctor"],
        &["doctor", "--json"],
    ] {
        assert!(same(status(&folder, words), ExitCode::SUCCESS), "{words:?}");
    }
    for (words, code) in [
        (&["show", "4f1c"] as &[&str], ExitCode::FAILURE),
        (&["revoke", "4f1c", "--reason", "superseded"], ExitCode::FAILURE),
        (&["evidence", "4f1c"], ExitCode::FAILURE),
        (&["audit", "proof", "4711"], ExitCode::FAILURE),
        (
            &["audit", "verify", "--against", "missing.checkpoint"],
            ExitCode::FAILURE,
        ),
        (&["token", "revoke", "pri-nobody"], ExitCode::FAILURE),
        (
            &["token", "create", "--role", "gateway", "--name", "relay"],
            ExitCode::from(2),
        ),
        (
            &[
                "token",
                "create",
                "--role",
                "gateway",
                "--name",
                "relay",
                "--account",
                "acc-nobody",
            ],
            ExitCode::FAILURE,
        ),
        (&["account", "create", "--name", " "], ExitCode::from(2)),
        (&["plan", "show", "acc-nobody"], ExitCode::FAILURE),
        (
            &[
                "account",
                "revoke-all",
                "acc-nobody",
                "--reason",
                "superseded",
                "--dry-run",
            ],
            ExitCode::FAILURE,
        ),
        (
            &["roster", "import", "--account", "acc-nobody", "missing.csv"],
            ExitCode::FAILURE,
        ),
        (&["roster", "show", "ros-nobody"], ExitCode::FAILURE),
        (&["plan", "set", "acc-nobody", "free"], ExitCode::FAILURE),
        (&["plan", "seats", "acc-nobody", "1000001"], ExitCode::from(2)),
    ] {
        assert!(same(status(&folder, words), code), "{words:?}");
    }
}

#[test]
fn without_an_authority_every_command_says_so() {
    let temporary = tempfile::tempdir().unwrap();
    for words in [
        &["list"] as &[&str],
        &["serve"],
        &["audit", "verify"],
        &["crl", "--json"],
        &["doctor"],
    ] {
        assert!(same(status(temporary.path(), words), ExitCode::from(2)), "{words:?}");
    }
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn a_configuration_that_cannot_be_read_is_status_2() {
    let temporary = tempfile::tempdir().unwrap();
    std::fs::write(temporary.path().join("ca.toml"), "listten = \"127.0.0.1:1\"").unwrap();
    assert!(same(status(temporary.path(), &["list"]), ExitCode::from(2)));
}

#[tokio::test]
async fn anybodys_certificates_are_linted_without_a_data_folder() {
    let world = World::new(Database::Sqlite).await.unwrap();
    let file = world.folder.join("root.pem");
    let lint = |words: &[&str]| {
        let line = ["sealwright-ca", "lint"].iter().chain(words);
        run(Program::try_parse_from(line).unwrap().command, clock())
    };
    let root = file.to_str().unwrap();
    assert!(same(lint(&[root, "--json"]), ExitCode::SUCCESS));
    // A certificate for servers breaks many rules of certificates for mail.
    let temporary = tempfile::tempdir().unwrap();
    let names = ["localhost".to_owned()];
    let now = crate::testing::START.unix();
    let server = keys::tls::TlsIdentity::self_made_in(temporary.path(), &world.app.sealing, &names, now).unwrap();
    let path = temporary.path().join("server.pem");
    std::fs::write(&path, server.certificate_pem()).unwrap();
    let server = path.to_str().unwrap();
    assert!(same(lint(&[root, server]), ExitCode::FAILURE));
    assert!(same(lint(&[root, "/nowhere/file"]), ExitCode::from(2)));
    assert!(same(
        lint(&["--json", temporary.path().to_str().unwrap()]),
        ExitCode::from(2)
    ));
    let key = world.folder.join("ca.toml");
    assert!(same(lint(&[key.to_str().unwrap()]), ExitCode::from(2)));
}

#[test]
fn a_file_that_is_no_evidence_pack_is_status_2() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("mail.eml");
    std::fs::write(&file, "Subject: not an archive\r\n").unwrap();
    let run_on = |words: &[&str]| {
        let line = ["sealwright-ca", "check-evidence"].iter().chain(words);
        run(Program::try_parse_from(line).unwrap().command, clock())
    };
    let name = file.to_str().unwrap();
    assert!(same(run_on(&[name]), ExitCode::from(2)));
    assert!(same(run_on(&[name, "--json", "--audit-key", name]), ExitCode::from(2)));
    let missing = temporary.path().join("missing.zip");
    assert!(same(run_on(&[missing.to_str().unwrap()]), ExitCode::FAILURE));
}

#[test]
fn usage_that_makes_no_sense_is_refused_before_anything_happens() {
    for line in [
        &["init"] as &[&str],
        &["init", "--data", "x", "--country", "Sweden"],
        &["init", "--data", "x", "--issuing-key", "md5"],
        &["revoke", "4f1c", "--data", "x"],
        &["revoke", "4f1c", "--data", "x", "--reason", "certificateHold"],
        &["list", "--data", "x", "--mailbox", "nobody"],
        &["list", "--data", "x", "--state", "gone"],
        &["lint"],
        &["init", "--data", "x", "--pkcs11-module", "m.so"],
        &["init", "--data", "x", "--pkcs11-token", "t"],
        &["init", "--data", "x", "--pkcs11-pin-file", "p"],
        &["token", "create", "--data", "x", "--role", "root", "--name", "n"],
        &["plan", "set", "--data", "x", "acc-1", "gold"],
        &["account", "revoke-all", "--data", "x", "acc-1"],
        &[
            "account",
            "revoke-all",
            "--data",
            "x",
            "acc-1",
            "--reason",
            "certificateHold",
        ],
        &["list", "--data", "x", "--tier", "V5"],
        &["list", "--data", "x", "--csv", "--json"],
        &["plan", "seats", "--data", "x", "acc-1", "--", "-1"],
        &[
            "token",
            "create",
            "--data",
            "x",
            "--role",
            "officer",
            "--name",
            "n",
            "--expires-in-days",
            "0",
        ],
    ] {
        let line = ["sealwright-ca"].iter().chain(line);
        assert!(
            Program::try_parse_from(line.clone()).is_err(),
            "{:?}",
            line.collect::<Vec<_>>()
        );
    }
}

#[test]
fn the_commands_are_well_formed_and_show_examples() {
    Program::command().debug_assert();
    for name in ["init", "serve", "list", "revoke"] {
        let mut program = Program::command();
        let help = program
            .find_subcommand_mut(name)
            .unwrap()
            .render_long_help()
            .to_string();
        assert!(help.contains(&format!("sealwright ca {name} --data ca")), "{help}");
    }
}

#[test]
fn a_folder_becomes_a_perspective_once() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("perspective");
    let words = [
        "perspective",
        "init",
        "--name",
        "iad",
        "--registry",
        "arin",
        "--host",
        "iad.example.com",
        "--json",
    ];
    assert!(same(status(&folder, &words), ExitCode::SUCCESS));
    for file in ["perspective.toml", "token", "tls.pem", "tls.sealed", "sealing.key"] {
        assert!(folder.join(file).exists(), "{file}");
    }
    let token = std::fs::read_to_string(folder.join("token")).unwrap();
    assert!(same(status(&folder, &words), ExitCode::FAILURE));
    assert_eq!(
        std::fs::read_to_string(folder.join("token")).unwrap(),
        token,
        "nothing was changed"
    );
    let nowhere = temporary.path().join("nowhere");
    assert!(same(status(&nowhere, &["perspective", "serve"]), ExitCode::from(2)));
    let words = [
        "perspective",
        "init",
        "--name",
        "I A D",
        "--registry",
        "arin",
        "--host",
        "x",
    ];
    assert!(same(status(&nowhere, &words), ExitCode::from(2)));
    assert!(!nowhere.exists());
}

#[test]
fn perspectives_can_be_asked_without_recording_anything() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("ca");
    let local = crate::testing::local_dns();
    let trust_anchor = temporary.path().join("root.key");
    std::fs::write(&trust_anchor, local.trust_anchor()).unwrap();
    let server = local.address().to_string();
    let anchor = trust_anchor.to_str().unwrap();
    let init = ["init", "--dns-server", &server, "--dns-trust-anchor", anchor];
    assert!(same(status(&folder, &init), ExitCode::SUCCESS));
    for words in [
        &["perspective", "ask", "example.com"] as &[&str],
        &["perspective", "ask", "example.com", "--json"],
    ] {
        assert!(same(status(&folder, words), ExitCode::SUCCESS), "{words:?}");
    }
    // Nobody answers at this address.
    let words = [
        "perspective",
        "init",
        "--name",
        "iad",
        "--registry",
        "arin",
        "--host",
        "127.0.0.1",
    ];
    let perspective = folder.join("iad");
    assert!(same(status(&perspective, &words), ExitCode::SUCCESS));
    let section = "\n[primary_perspective]\nlocation = \"50.11, 8.68\"\npatience_seconds = 1\n[[perspective]]\n\
                   name = \"iad\"\nurl = \"https://127.0.0.1:1\"\nregistry = \"arin\"\nlocation = \"39.04, -77.49\"\n\
                   token_file = \"iad/token\"\ntrust_file = \"iad/tls.pem\"\n";
    let configuration = folder.join("ca.toml");
    let text = std::fs::read_to_string(&configuration).unwrap();
    std::fs::write(&configuration, text + section).unwrap();
    assert!(same(
        status(&folder, &["perspective", "ask", "example.com"]),
        ExitCode::FAILURE
    ));
}
