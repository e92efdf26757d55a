//! BIND, an authoritative server for a small Internet of its own with a signed root.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use time::OffsetDateTime;

use dns::{Limits, Resolver, ResolverConfig, TrustAnchor};

/// How a zone is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signing {
    None,
    Nsec,
    Nsec3,
    /// With NSEC3 whose unsigned delegations are left out ([RFC 5155 section 6]).
    OptOut,
    /// With signatures that ended yesterday.
    Expired,
    /// With signatures that begin tomorrow.
    NotYet,
    /// With as many iterations of NSEC3 as nobody should compute.
    ManyIterations,
}

/// A running `named` and the folder of its zones.
pub(crate) struct Bind {
    process: Child,
    address: SocketAddr,
    anchor: String,
    _folder: tempfile::TempDir,
}

/// Zones to be, the root first; each is signed after those below it.
pub(crate) struct Internet {
    folder: tempfile::TempDir,
    zones: Vec<String>,
    anchor: String,
}

/// Whether BIND is installed. When it is not: a failure on CI, else a line that names what is skipped.
pub(crate) fn is_installed() -> bool {
    let installed = ["named", "dnssec-keygen", "dnssec-signzone"].iter().all(|program| {
        Command::new(program)
            .arg("-V")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    });
    if !installed {
        let on_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(
            !on_ci,
            "BIND (Debian: bind9) is not installed; on CI nothing may be skipped"
        );
        eprintln!("skipped: BIND (Debian: bind9) is not installed");
    }
    installed
}

impl Internet {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            zones: Vec::new(),
            anchor: String::new(),
        }
    }

    /// Signs and adds a zone; returns the DS records that the zone above may publish. `tamper` changes the signed text.
    pub(crate) fn add(
        &mut self,
        zone: &str,
        signing: Signing,
        records: &str,
        tamper: impl Fn(String) -> String,
    ) -> String {
        let folder = self.folder.path();
        let file_name = if zone == "." {
            "root".to_owned()
        } else {
            zone.to_owned()
        };
        let source = folder.join(format!("{file_name}.zone"));
        let text = format!("$TTL 300\n@ IN SOA ns.test. host.test. 1 3600 600 86400 60\n@ IN NS ns.test.\n{records}\n");
        std::fs::write(&source, &text).unwrap();
        let signed = folder.join(format!("{file_name}.signed"));
        self.zones.push(zone.to_owned());
        if signing == Signing::None {
            std::fs::write(&signed, tamper(text)).unwrap();
            return String::new();
        }
        let keys = folder.join(format!("{file_name}.keys"));
        std::fs::create_dir(&keys).unwrap();
        run(
            &keys,
            "dnssec-keygen",
            &["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "-K", ".", zone],
        );
        let mut arguments: Vec<String> = ["-q", "-S", "-z", "-K", ".", "-d", ".", "-o", zone, "-f"]
            .map(str::to_owned)
            .to_vec();
        arguments.push(signed.to_str().unwrap().to_owned());
        let mut option = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
        match signing {
            Signing::None | Signing::Nsec => {}
            Signing::Nsec3 => option(&["-3", "abcd", "-H", "0"]),
            Signing::OptOut => option(&["-3", "-", "-H", "0", "-A"]),
            Signing::ManyIterations => option(&["-3", "abcd", "-H", "130"]),
            Signing::Expired => option(&["-P", "-s", &days(-7), "-e", &days(-1)]),
            Signing::NotYet => option(&["-P", "-s", &days(1), "-e", &days(7)]),
        }
        arguments.push(source.to_str().unwrap().to_owned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(&keys, "dnssec-signzone", &arguments);
        let text = std::fs::read_to_string(&signed).unwrap();
        std::fs::write(&signed, tamper(text)).unwrap();
        if zone == "." {
            self.anchor = std::fs::read_dir(&keys)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .find(|path| path.extension().is_some_and(|extension| extension == "key"))
                .map(|path| std::fs::read_to_string(path).unwrap())
                .unwrap();
        }
        let dsset = if zone == "." {
            "dsset-.".to_owned()
        } else {
            format!("dsset-{zone}.")
        };
        std::fs::read_to_string(keys.join(dsset)).unwrap()
    }

    pub(crate) fn serve(self) -> Bind {
        let mut attempts = 0;
        loop {
            match self.start() {
                Ok((process, address)) => {
                    return Bind {
                        process,
                        address,
                        anchor: self.anchor,
                        _folder: self.folder,
                    };
                }
                // Somebody else took the port in between.
                Err(log) => {
                    attempts += 1;
                    assert!(attempts < 5, "named does not start:\n{log}");
                }
            }
        }
    }

    fn start(&self) -> Result<(Child, SocketAddr), String> {
        let address = free_address();
        let folder = self.folder.path();
        let mut config = format!(
            "options {{ directory \"{0}\"; listen-on port {1} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no;\n\
             pid-file none; session-keyfile none; minimal-responses no; }};\ncontrols {{ }};\n",
            folder.display(),
            address.port()
        );
        for zone in &self.zones {
            let file_name = if zone == "." { "root" } else { zone };
            config += &format!("zone \"{zone}\" {{ type primary; file \"{file_name}.signed\"; }};\n");
        }
        let path = folder.join("named.conf");
        std::fs::write(&path, config).unwrap();
        let mut process = Command::new("sh")
            .args(["-c", UNTIL_STANDARD_INPUT_ENDS, "sh", "-g", "-n", "1", "-c"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut log = String::new();
        for line in lines.by_ref() {
            let line = line.unwrap();
            log += &format!("{line}\n");
            if line.ends_with(" running") {
                if log.contains("not loaded due to errors") {
                    break;
                }
                // Read on, or it blocks when the pipe is full.
                std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
                return Ok((process, address));
            }
        }
        // Waiting closes its standard input first.
        let _ = process.wait();
        Err(log)
    }
}

impl Bind {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn config(&self) -> ResolverConfig {
        ResolverConfig {
            servers: vec![self.address],
            trust_anchor: TrustAnchor::Records(self.anchor.clone()),
            limits: Limits::default(),
        }
    }

    pub(crate) fn resolver(&self) -> Resolver {
        Resolver::new(&self.config()).unwrap()
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        // Waiting closes its standard input first.
        let _ = self.process.wait();
    }
}

fn free_address() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = tcp.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The moment so many days from now, as `dnssec-signzone` reads it.
fn days(days: i64) -> String {
    let moment = OffsetDateTime::now_utc() + time::Duration::days(days);
    let (date, time) = (moment.date(), moment.time());
    format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// The server that several tests share lives in a static, which is never dropped: it ends when this process does, however that ends.
const UNTIL_STANDARD_INPUT_ENDS: &str = "exec 3<&0; named \"$@\" 3<&- & server=$!
{ cat <&3 >/dev/null; kill $server; } 2>/dev/null & wait $server";
