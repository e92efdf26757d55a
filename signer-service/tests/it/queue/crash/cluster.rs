//! A PostgreSQL of its own, which can be killed and started again.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::postfix::instance::free_ports;

/// A cluster in a temporary folder, on a port of loopback.
pub(super) struct Cluster {
    folder: tempfile::TempDir,
    programs: PathBuf,
    /// The server refuses to be root.
    user: Option<(u32, u32)>,
    port: u16,
    server: Option<Child>,
}

impl Cluster {
    /// `None` where PostgreSQL is missing, which is said and on CI is a failure.
    pub(super) fn start() -> Option<Self> {
        let found = fs::read_dir("/usr/lib/postgresql").ok().and_then(|versions| {
            let folders = versions.flatten().map(|version| version.path().join("bin"));
            folders.filter(|folder| folder.join("initdb").exists()).max()
        });
        let Some(programs) = found else {
            assert!(
                std::env::var_os("CI").is_none(),
                "the peer PostgreSQL is missing, and on CI it may not be"
            );
            eprintln!("SKIPPED: PostgreSQL is not installed; scripts/setup test does that");
            return None;
        };
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let user = is_root.then(postgres);
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let [port] = free_ports();
        let mut cluster = Self {
            folder,
            programs,
            user,
            port,
            server: None,
        };
        let data = cluster.folder.path().join("data");
        let made = cluster
            .command("initdb")
            .args(["-A", "trust", "-U", "gateway", "-E", "UTF8", "--locale", "C", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        cluster.revive();
        Some(cluster)
    }

    pub(super) fn url(&self) -> String {
        format!("postgres://gateway@127.0.0.1:{}/postgres", self.port)
    }

    /// As a crash of the machine would, but for what is in the caches of the kernel.
    pub(super) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Starts it, and waits until it has recovered.
    pub(super) fn revive(&mut self) {
        let began = Instant::now();
        while self.server.is_none() {
            let log = fs::File::create(self.folder.path().join("log")).unwrap();
            let mut server = self
                .command("postgres")
                .arg("-D")
                .arg(self.folder.path().join("data"))
                .arg("-k")
                .arg(self.folder.path())
                .args(["-p", &self.port.to_string(), "-h", "127.0.0.1"])
                .args(["-c", "max_connections=60"])
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .unwrap();
            loop {
                // Children of the one that was killed may still hold its memory.
                if server.try_wait().unwrap().is_some() {
                    break;
                }
                if self.answers() {
                    self.server = Some(server);
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "PostgreSQL does not start: {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        let asked = self
            .command("pg_isready")
            .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .status();
        asked.is_ok_and(|status| status.success())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The user that Debian's package has made for it.
fn postgres() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .expect("the package makes the user");
    let mut numbers = line.split(':').skip(2).map_while(|field| field.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}
