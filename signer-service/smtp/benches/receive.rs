//! Messages per second over loopback, in one run: our server beside Postfix' smtp-sink, fed by Postfix' smtp-source
//! and by our client; and our client with BDAT beside itself with DATA.
//!
//! Postfix' two test programs are taken from an unpacked package (`POSTFIX`, a folder with `usr/sbin/smtp-sink`) or
//! from the `PATH`; without them only what needs neither is measured.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use smtp::Reply;
use smtp::client::{self, Connection, Target, TlsPolicy};
use smtp::envelope::{MailFrom, RcptTo};
use smtp::server::{Server, Service, Session, Settings};
use tokio::runtime::Runtime;

/// As many as a busy relay keeps to its next hop.
const CONNECTIONS: u64 = 10;
const OCTETS: usize = 10_000;
const ROUNDS: usize = 21;

/// Takes every message and forgets it, as smtp-sink does.
#[derive(Debug)]
struct Forgetful;

impl Service for Forgetful {
    type Session = Self;

    fn connect(&self, _peer: SocketAddr) -> Result<Self, Reply> {
        Ok(Self)
    }
}

impl Session for Forgetful {
    async fn mail(&mut self, _from: MailFrom) -> Reply {
        Reply::ok([2, 1, 0], "Ok")
    }

    async fn rcpt(&mut self, _to: RcptTo) -> Reply {
        Reply::ok([2, 1, 5], "Ok")
    }

    async fn data(&mut self, _message: Vec<u8>) -> Reply {
        Reply::ok([2, 0, 0], "Ok")
    }

    async fn reset(&mut self) {}
}

/// A way for messages to go, and how fast it was in each round.
struct Route<'r> {
    name: String,
    messages: u64,
    run: Box<dyn Fn(u64) -> Duration + 'r>,
    per_second: Vec<f64>,
}

impl<'r> Route<'r> {
    fn new(name: impl Into<String>, messages: u64, run: impl Fn(u64) -> Duration + 'r) -> Self {
        Self {
            name: name.into(),
            messages,
            run: Box::new(run),
            per_second: Vec::new(),
        }
    }
}

fn main() {
    // One thread for each side, since smtp-source and smtp-sink have no more.
    let [server_runtime, client_runtime] = [(), ()].map(|()| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime")
    });
    let ours = serve(&server_runtime);
    let postfix = Postfix::find();
    let sink = postfix.as_ref().map(Postfix::sink);
    let send = |address, octets, way| {
        let client_runtime = &client_runtime;
        // On the worker and not on this thread, which would be a second one.
        move |messages| {
            let sending = client_runtime.spawn(send(address, messages, octets, way));
            client_runtime.block_on(sending).expect("no task panics")
        }
    };

    let mut receiving = Vec::new();
    if let (Some(postfix), Some(sink)) = (&postfix, &sink) {
        let theirs = sink.address;
        receiving.push(Route::new("smtp-source to smtp-sink", 3000, move |n| {
            postfix.send(theirs, n)
        }));
        receiving.push(Route::new("smtp-source to sealwright", 3000, move |n| {
            postfix.send(ours, n)
        }));
        receiving.push(Route::new(
            "sealwright to smtp-sink",
            3000,
            send(theirs, OCTETS, Way::AsOffered),
        ));
    }
    receiving.push(Route::new(
        "sealwright to sealwright",
        3000,
        send(ours, OCTETS, Way::AsOffered),
    ));
    compare("messages of 10 kB", receiving);

    for (size, octets, messages) in [("1 kB", 1_000, 6000), ("10 kB", OCTETS, 3000), ("1 MB", 1_000_000, 60)] {
        let data = Route::new(format!("{size} with DATA"), messages, send(ours, octets, Way::Data));
        let bdat = Route::new(
            format!("{size} with BDAT"),
            messages,
            send(ours, octets, Way::AsOffered),
        );
        compare("sealwright to sealwright", vec![data, bdat]);
    }
}

/// Runs all routes in turn, round after round, and compares them with the first one round by round: what else the
/// machine does meanwhile then slows down both sides of a ratio.
fn compare(title: &str, mut routes: Vec<Route<'_>>) {
    for route in &routes {
        (route.run)(route.messages);
    }
    for round in 0..ROUNDS {
        let count = routes.len();
        for turn in 0..count {
            let route = &mut routes[(round + turn) % count];
            let seconds = (route.run)(route.messages).as_secs_f64();
            // Sums of a few thousand are exact in an f64.
            route
                .per_second
                .push(u32::try_from(route.messages).map_or(0.0, f64::from) / seconds);
        }
    }
    println!("\n| {title} | times the first (quartiles) | per second (quartiles) |\n| --- | ---: | ---: |");
    for route in &routes {
        let ratios = route.per_second.iter().zip(&routes[0].per_second);
        let [low, median, high] = quartiles(ratios.map(|(own, first)| own / first).collect());
        let [slow, usual, fast] = quartiles(route.per_second.clone());
        println!(
            "| {} | **{median:.2}** ({low:.2} to {high:.2}) | {usual:.0} ({slow:.0} to {fast:.0}) |",
            route.name
        );
    }
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}

fn serve(runtime: &Runtime) -> SocketAddr {
    let settings = Settings::new("mx.example");
    let server = runtime
        .block_on(Server::bind("127.0.0.1:0", settings, Forgetful))
        .expect("a free port");
    let address = server.local_addr();
    runtime.spawn(server.run(std::future::pending()));
    address
}

#[derive(Clone, Copy)]
enum Way {
    /// With BDAT, if that is offered.
    AsOffered,
    Data,
}

/// Sends so many messages over ten connections; the time from the first connection to the last answer.
async fn send(address: SocketAddr, messages: u64, octets: usize, way: Way) -> Duration {
    let line = [&[b'x'; 78][..], b"\r\n"].concat();
    let message = line.repeat(octets / line.len() + 1);
    let start = Instant::now();
    let connections: Vec<_> = (0..CONNECTIONS.min(messages))
        .map(|index| {
            let share = messages / CONNECTIONS + u64::from(index < messages % CONNECTIONS);
            tokio::spawn(send_over_one(address, share, message.clone(), way))
        })
        .collect();
    for connection in connections {
        connection.await.expect("no connection panics");
    }
    start.elapsed()
}

async fn send_over_one(address: SocketAddr, messages: u64, message: Vec<u8>, way: Way) {
    let target = Target {
        host: address.ip().to_string(),
        port: address.port(),
        tls: TlsPolicy::Never,
    };
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("the provider has both versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
        .into();
    let mut connection = Connection::connect(&target, "bench.example", &tls, client::Timeouts::default())
        .await
        .expect("the server listens");
    if matches!(way, Way::Data) {
        connection.avoid_chunking();
    }
    let (from, to) = (MailFrom::new("from@bench.example"), [RcptTo::new("to@bench.example")]);
    for _ in 0..messages {
        let delivery = connection.send(&from, &to, &message).await.expect("the server answers");
        assert!(delivery.outcome(0).is_positive(), "{delivery:?}");
    }
    connection.quit().await.expect("the server says goodbye");
}

/// The test programs of Postfix.
struct Postfix {
    /// Of an unpacked package.
    root: Option<PathBuf>,
}

impl Postfix {
    fn find() -> Option<Self> {
        let postfix = Self {
            root: std::env::var_os("POSTFIX").map(PathBuf::from),
        };
        // Without arguments it explains itself and fails.
        let found = postfix.command("smtp-source").stderr(Stdio::null()).status().is_ok();
        if !found {
            eprintln!("smtp-source is not here; set POSTFIX to where its package is unpacked");
        }
        found.then_some(postfix)
    }

    fn command(&self, program: &str) -> Command {
        match &self.root {
            Some(root) => {
                let mut command = Command::new(root.join("usr/sbin").join(program));
                command.env("LD_LIBRARY_PATH", root.join("usr/lib/postfix"));
                command
            }
            None => Command::new(program),
        }
    }

    fn sink(&self) -> Sink {
        // It cannot tell which port it has got, so it is given one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port");
        // It does not want to be root, and ignores the option otherwise.
        let child = self
            .command("smtp-sink")
            .args(["-u", "nobody", &address.to_string(), "100"])
            .spawn()
            .expect("it is where smtp-source is");
        let sink = Sink { child, address };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "smtp-sink does not listen");
            std::thread::yield_now();
        }
        sink
    }

    fn send(&self, address: SocketAddr, messages: u64) -> Duration {
        let start = Instant::now();
        let status = self
            .command("smtp-source")
            .args(["-d", "-s", &CONNECTIONS.to_string(), "-m", &messages.to_string()])
            .args([
                "-l",
                &OCTETS.to_string(),
                "-f",
                "from@bench.example",
                "-t",
                "to@bench.example",
            ])
            .arg(address.to_string())
            .status()
            .expect("it was there before");
        assert!(status.success(), "smtp-source has failed");
        start.elapsed()
    }
}

struct Sink {
    child: Child,
    address: SocketAddr,
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
