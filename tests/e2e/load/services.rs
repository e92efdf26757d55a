//! A certificate authority and gateways as processes of their own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::postfix::free_ports;

/// `sealwright quickstart --keep-running`: a certificate authority that has validated an organization, and its DNS.
#[derive(Debug)]
pub(super) struct Authority {
    _process: Killed,
    /// Open, since it goes on printing.
    _output: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

/// Ends with its owner.
#[derive(Debug)]
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Authority {
    pub(super) fn start(executable: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mail = folder.path().join("hello.eml");
        fs::write(&mail, "From: a@example.com\r\nSubject: Hello\r\n\r\nHello\r\n").expect("the mail is written");
        let mut command = Command::new(executable);
        command
            .args(["quickstart", "--keep-running", "--data"])
            .arg(folder.path().join("data"));
        command.arg("--mail").arg(&mail);
        let (process, output) = start_until(&mut command, |line| line.starts_with("The services are up"));
        Self {
            _process: process,
            _output: output,
            folder,
        }
    }

    /// A folder for a gateway with keys of this kind, with the accounts of the one that quickstart has made.
    pub(super) fn prepare_gateway(&self, key: &str, next_hop: SocketAddr) -> Prepared {
        let model = self.folder.path().join("data/gateway");
        let folder = self.folder.path().join(key);
        let text = fs::read_to_string(model.join("gateway.toml")).expect("quickstart has made a gateway");
        let mut config: toml::Table = text.parse().expect("its configuration is TOML");
        let [pass_through, queue] = free_ports().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        config.insert("listen".to_owned(), pass_through.to_string().into());
        config.insert(
            "next_hop".to_owned(),
            table(&[("address", &next_hop.to_string()), ("tls", "never")]),
        );
        config.insert("keys".to_owned(), table(&[("algorithm", key)]));
        let door = table(&[("listen", &queue.to_string()), ("mode", "queue")]);
        config.insert("door".to_owned(), vec![door].into());
        signer_service::init::create(&folder, &config.to_string()).expect("the folder is new");
        for entry in fs::read_dir(&model).expect("it can be listed").flatten() {
            let name = entry.file_name();
            let is_wanted = name
                .to_str()
                .is_some_and(|name| name.ends_with(".token") || name == "ca-root.pem");
            if is_wanted {
                fs::copy(entry.path(), folder.join(name)).expect("it can be copied");
            }
        }
        Prepared {
            folder,
            pass_through,
            queue,
        }
    }
}

/// The folder of a gateway that does not run yet.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) folder: PathBuf,
    pass_through: SocketAddr,
    queue: SocketAddr,
}

/// A gateway at work, with a door of each kind.
#[derive(Debug)]
pub(super) struct Gateway {
    process: Killed,
    _output: BufReader<ChildStdout>,
    pub(super) pass_through: SocketAddr,
    pub(super) queue: SocketAddr,
}

impl Gateway {
    pub(super) fn start(executable: &str, prepared: Prepared) -> Self {
        let mut command = Command::new(executable);
        command
            .args(["gateway", "serve", "--json", "--data"])
            .arg(&prepared.folder);
        let (process, output) = start_until(&mut command, |line| line.starts_with('{'));
        Self {
            process,
            _output: output,
            pass_through: prepared.pass_through,
            queue: prepared.queue,
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.process.0.id()
    }
}

/// Starts a process and reads what it prints up to the line that says that it is ready.
fn start_until(command: &mut Command, is_ready: impl Fn(&str) -> bool) -> (Killed, BufReader<ChildStdout>) {
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the executable starts");
    let mut lines = BufReader::new(process.stdout.take().expect("its standard output is a pipe"));
    let process = Killed(process);
    let mut line = String::new();
    loop {
        line.clear();
        let length = lines.read_line(&mut line).expect("it prints text");
        assert_ne!(length, 0, "{command:?} has ended before it was ready");
        if is_ready(&line) {
            return (process, lines);
        }
    }
}

fn table(entries: &[(&str, &str)]) -> toml::Value {
    let entry = |(key, value): &(&str, &str)| ((*key).to_owned(), toml::Value::from(*value));
    toml::Value::Table(entries.iter().map(entry).collect())
}
