//! Postfix' load generators, and what the kernel says of processes.

use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::postfix::free_ports;
use super::{PATIENCE, SENDER};

/// `smtp-source`: sends messages of 10 kB over connections that it keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) connections: usize,
    pub(super) messages: usize,
}

impl Source {
    /// Returns when the last message was answered; tells the processor time that took at the sender.
    pub(super) fn send(self, address: SocketAddr) -> Cpu {
        let before = Cpu::of_ended_children();
        let status = Command::new(SMTP_SOURCE)
            .args(["-d", "-s", &self.connections.to_string()])
            .args(["-m", &self.messages.to_string(), "-l", "10000"])
            .args(["-f", SENDER, "-t", "reader@recipient.example"])
            .arg(address.to_string())
            .stdin(Stdio::null())
            .status()
            .expect("smtp-source is part of Postfix");
        assert!(status.success(), "smtp-source has failed: {status}");
        Cpu::of_ended_children() - before
    }
}

/// `smtp-sink`: takes every message, counts it and forgets it.
#[derive(Debug)]
pub(super) struct Sink {
    child: Child,
    address: SocketAddr,
    received: Arc<AtomicUsize>,
}

impl Sink {
    pub(super) fn start() -> Self {
        // It cannot tell which port it has got, so it is given one that was free a moment ago.
        let [port] = free_ports();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut child = Command::new(SMTP_SINK)
            // It does not want to be root, and ignores the option otherwise.
            .args(["-c", "-u", "nobody", &address.to_string(), "100"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("smtp-sink is part of Postfix");
        let mut counters = child.stdout.take().expect("its standard output is a pipe");
        let received = Arc::new(AtomicUsize::new(0));
        let count = received.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 64 * 1024];
            let mut text = String::new();
            while let Ok(length) = counters.read(&mut buffer) {
                if length == 0 {
                    return;
                }
                text.push_str(&String::from_utf8_lossy(&buffer[..length]));
                // `sess=1 quit=0 mesg=5` and a carriage return, again and again.
                if let Some((whole, rest)) = text.rsplit_once('\r') {
                    let number = whole
                        .rsplit_once("mesg=")
                        .and_then(|(_, number)| number.trim().parse().ok());
                    if let Some(number) = number {
                        count.store(number, Ordering::SeqCst);
                    }
                    text = rest.to_owned();
                }
            }
        });
        let sink = Self {
            child,
            address,
            received,
        };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "smtp-sink does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        sink
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn received(&self) -> usize {
        self.received.load(Ordering::SeqCst)
    }

    pub(super) fn wait_until(&self, received: usize) {
        let began = Instant::now();
        while self.received() < received {
            assert!(
                began.elapsed() < PATIENCE,
                "{} of {received} messages have arrived",
                self.received()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of a process and the children it has; in hundredths of a second, as Linux counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpu(u64);

impl Cpu {
    pub(super) fn of(process: u32) -> Self {
        let mut all = Vec::new();
        for entry in fs::read_dir("/proc").expect("Linux has /proc").flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // A process that has ended meanwhile counts with its parent.
            if let Some(stat) = Stat::of(id) {
                all.push((id, stat));
            }
        }
        let of_it = all.iter().filter(|(id, stat)| *id == process || stat.parent == process);
        Self(
            of_it
                .map(|(id, stat)| stat.own + if *id == process { stat.ended_children } else { 0 })
                .sum(),
        )
    }

    fn of_ended_children() -> Self {
        Self(Stat::of(std::process::id()).map_or(0, |stat| stat.ended_children))
    }

    pub(crate) fn seconds(self) -> f64 {
        u32::try_from(self.0).map_or(0.0, f64::from) / 100.0
    }
}

impl std::ops::Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

/// What /proc/ID/stat says, see proc(5).
struct Stat {
    parent: u32,
    own: u64,
    ended_children: u64,
}

impl Stat {
    fn of(process: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name in parentheses may contain anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: number(14)? + number(15)?,
            ended_children: number(16)? + number(17)?,
        })
    }
}

/// Octets of memory that a process holds now.
pub(super) fn resident(process: u32) -> usize {
    status(process, "VmRSS:")
}

/// The most it held since [`forget_peak`].
pub(super) fn peak(process: u32) -> usize {
    status(process, "VmHWM:")
}

pub(super) fn forget_peak(process: u32) {
    fs::write(format!("/proc/{process}/clear_refs"), "5").expect("the peak of an own process can be reset");
}

fn status(process: u32, key: &str) -> usize {
    let text = fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("0 kB");
    let kilobytes: usize = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kilobytes * 1024
}

/// Over the last minute.
pub(super) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0.0)
}

const SMTP_SOURCE: &str = "/usr/sbin/smtp-source";
const SMTP_SINK: &str = "/usr/sbin/smtp-sink";
