//! A Postfix of its own: from a temporary folder, on ports of its own, ended with the test. Takes root.
//!
//! Included by the load bench as well, so it needs nothing but the standard library and tempfile.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The folder of an instance that does not run yet.
#[derive(Debug)]
pub(crate) struct Layout {
    folder: tempfile::TempDir,
    group: u32,
}

/// A running instance.
#[derive(Debug)]
pub(crate) struct Instance {
    folder: tempfile::TempDir,
    master: Master,
}

/// Ends with the test.
#[derive(Debug)]
struct Master(Child);

impl Drop for Master {
    fn drop(&mut self) {
        // SIGTERM, so that it takes its children along.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

impl Layout {
    /// `None` where Postfix cannot run, which is said and on CI is a failure.
    pub(crate) fn make() -> Option<Self> {
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        if !is_root || !Path::new(MASTER).exists() {
            assert!(
                std::env::var_os("CI").is_none(),
                "the peer Postfix is missing, or this is not root; on CI neither may be"
            );
            eprintln!("SKIPPED: Postfix is not installed (scripts/setup test does that), or this is not root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        let (user, group) = ids("/etc/passwd", "postfix");
        let (_, postdrop) = ids("/etc/group", "postdrop");
        make(&root.join("data"), 0o700, (user, group));
        make(&root.join("spool"), 0o755, (0, 0));
        for (name, mode, owner) in [
            ("pid", 0o755, (0, 0)),
            ("public", 0o2710, (user, postdrop)),
            ("maildrop", 0o1730, (user, postdrop)),
        ] {
            make(&root.join("spool").join(name), mode, owner);
        }
        for name in [
            "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved",
            "trace",
        ] {
            make(&root.join("spool").join(name), 0o700, (user, group));
        }
        Some(Self { folder, group })
    }

    /// A folder for a socket: the socket takes the group of its folder, and so lets Postfix in.
    pub(crate) fn socket_folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        make(&path, 0o2750, (0, self.group));
        path
    }

    /// Starts it with these lines added to main.cf and to master.cf, and waits until it answers on the ports.
    pub(crate) fn start(self, main: &str, master: &str, ports: &[u16]) -> Instance {
        let root = self.folder.path();
        let path = root.display();
        fs::write(
            root.join("main.cf"),
            format!(
                "compatibility_level = 3.6\nqueue_directory = {path}/spool\ndata_directory = {path}/data\nmaillog_file = {path}/spool/log\nmaillog_file_prefixes = {path}\nmyhostname = postfix.test\nmydestination =\nalias_maps =\nalias_database =\nlocal_recipient_maps =\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8 198.51.100.0/24\nsmtpd_relay_restrictions = permit_mynetworks, reject\nsmtpd_sasl_auth_enable = no\ndisable_dns_lookups = yes\n{main}"
            ),
        )
        .unwrap();
        fs::write(root.join("master.cf"), format!("{master}{SERVICES}")).unwrap();
        let log = fs::File::create(root.join("master.log")).unwrap();
        let process = Command::new(MASTER)
            .args(["-d", "-c"])
            .arg(root)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let instance = Instance {
            folder: self.folder,
            master: Master(process),
        };
        let began = Instant::now();
        while !ports
            .iter()
            .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
        {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "Postfix does not listen; it says:\n{}",
                instance.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        instance
    }
}

impl Instance {
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Of its master process.
    pub(crate) fn id(&self) -> u32 {
        self.master.0.id()
    }

    pub(crate) fn log(&self) -> String {
        ["spool/log", "master.log"]
            .map(|name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default())
            .concat()
    }
}

/// Held all at once, so that they differ.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let held: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    held.each_ref().map(|listener| listener.local_addr().unwrap().port())
}

fn make(folder: &Path, mode: u32, (user, group): (u32, u32)) {
    fs::DirBuilder::new().mode(0o700).create(folder).unwrap();
    chown(folder, Some(user), Some(group)).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

/// The two numbers behind the password of an entry: user and group in /etc/passwd, the group twice in /etc/group.
fn ids(file: &str, name: &str) -> (u32, u32) {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.split(':').next() == Some(name)).unwrap();
    let numbers: Vec<u32> = line.split(':').skip(2).map_while(|field| field.parse().ok()).collect();
    (numbers[0], *numbers.last().unwrap())
}

const MASTER: &str = "/usr/lib/postfix/sbin/master";

const SERVICES: &str = "cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";
