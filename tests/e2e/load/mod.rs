//! The gateway under load, over real sockets on loopback: Postfix' `smtp-source` in front, its `smtp-sink` behind.
//!
//! `scripts/bench-gateway` runs it from `benches/load.rs`.

mod building;
mod clients;
#[expect(dead_code, reason = "the tests of the gateway need more of it")]
#[path = "../../../signer-service/tests/it/postfix/instance.rs"]
mod postfix;
mod programs;
pub(crate) mod report;
mod services;

use std::time::{Duration, Instant};

use self::postfix::{Layout, free_ports};
use self::programs::{Cpu, Sink, Source};
use self::report::{Building, Latency, Memory, Report, Route};
use self::services::{Authority, Gateway};

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Through every route, in each round.
    pub(crate) messages: usize,
    /// All routes take turns this often.
    pub(crate) rounds: usize,
    /// Of `smtp-source`, kept.
    pub(crate) connections: usize,
    /// Signatures of each kind.
    pub(crate) signatures: usize,
    /// Messages whose latency is measured.
    pub(crate) timed: usize,
    /// Messages over which the memory has to stay flat, in each mode.
    pub(crate) steady: usize,
    /// Mailboxes that are enrolled by their first message.
    pub(crate) enrolments: usize,
    /// Octets of the large message.
    pub(crate) large: usize,
}

impl Scale {
    pub(crate) const FULL: Self = Self {
        messages: 6000,
        rounds: 5,
        connections: 40,
        signatures: 20_000,
        timed: 20_000,
        steady: 100_000,
        enrolments: 500,
        large: 50_000_000,
    };
    pub(crate) const SHORT: Self = Self {
        messages: 60,
        rounds: 1,
        connections: 4,
        signatures: 20,
        timed: 60,
        steady: 60,
        enrolments: 3,
        large: 1_000_000,
    };
}

/// The kinds of key that are compared, as the configuration names them.
pub(crate) const KEYS: [&str; 2] = ["rsa2048", "p256"];

/// Runs everything; `None` where Postfix is missing, which it says. `tell` hears what is being done.
pub(crate) fn run(executable: &str, scale: Scale, tell: &dyn Fn(&str)) -> Option<Report> {
    let layout = Layout::make()?;
    let load_before = programs::load_average();
    tell("starting smtp-sink, Postfix, the certificate authority and two gateways");
    let sink = Sink::start();
    let [port] = free_ports();
    let relay = layout.start(
        &format!("relayhost = [127.0.0.1]:{}\n", sink.address().port()),
        &format!("127.0.0.1:{port} inet n - n - - smtpd\n"),
        &[port],
    );
    let postfix_address = ([127, 0, 0, 1], port).into();
    let authority = Authority::start(executable);
    let mut building = Vec::new();
    let mut gateways = Vec::new();
    for key in KEYS {
        let prepared = authority.prepare_gateway(key, sink.address());
        tell(&format!("signing on one core with {key}"));
        building.push(building::measure(&prepared, key, scale.signatures));
        gateways.push(Gateway::start(executable, prepared));
    }

    let mut routes = vec![
        Route::new("smtp-sink alone"),
        Route::new("plain Postfix"),
        Route::new("pass-through RSA-2048"),
        Route::new("pass-through P-256"),
        Route::new("queue RSA-2048"),
        Route::new("queue P-256"),
    ];
    let [rsa, p256] = <[Gateway; 2]>::try_from(gateways).expect("there is one for each kind of key");
    let targets = [
        (sink.address(), None),
        (postfix_address, Some(relay.id())),
        (rsa.pass_through, Some(rsa.id())),
        (p256.pass_through, Some(p256.id())),
        (rsa.queue, Some(rsa.id())),
        (p256.queue, Some(p256.id())),
    ];
    // Round zero warms everything up: identities, connections, statements, files.
    for round in 0..=scale.rounds {
        for turn in 0..routes.len() {
            let index = (round + turn) % routes.len();
            let (address, process) = targets[index];
            let messages = if round == 0 {
                scale.messages / 10 + 1
            } else {
                scale.messages
            };
            if round > 0 {
                tell(&format!("round {round} of {}: {}", scale.rounds, routes[index].name));
            }
            let before = (sink.received(), Cpu::of(sink.id()), process.map(Cpu::of));
            let began = Instant::now();
            let source = Source {
                connections: scale.connections,
                messages,
            };
            let sent = source.send(address);
            let accepted = began.elapsed();
            sink.wait_until(before.0 + messages);
            let delivered = began.elapsed();
            if round > 0 {
                routes[index].add(report::Round {
                    messages,
                    accepted,
                    delivered,
                    source: sent,
                    sink: Cpu::of(sink.id()) - before.1,
                    service: process.zip(before.2).map(|(id, before)| Cpu::of(id) - before),
                });
            }
        }
    }

    let mut latency = Vec::new();
    for (key, gateway, name) in [
        ("rsa2048", &rsa, "pass-through RSA-2048"),
        ("p256", &p256, "pass-through P-256"),
    ] {
        let full = routes
            .iter()
            .find(|route| route.name == name)
            .map_or(0.0, Route::per_second);
        let rate = (full / 2.0).max(20.0);
        tell(&format!("latency with {key} at {rate:.0} messages a second"));
        let direct = clients::latency(sink.address(), rate, scale.timed, scale.connections);
        let through = clients::latency(gateway.pass_through, rate, scale.timed, scale.connections);
        latency.push(Latency {
            key,
            rate,
            direct,
            through,
        });
    }

    tell("enrolling mailboxes by their first message");
    let enrolment = clients::enrol(p256.pass_through, scale.enrolments);

    let mut memory = Vec::new();
    for (mode, address) in [("pass-through", p256.pass_through), ("queue", p256.queue)] {
        tell(&format!("memory over {} messages, {mode}", scale.steady));
        memory.push(steady(&p256, mode, address, &sink, scale));
    }
    for (mode, address) in [("pass-through", p256.pass_through), ("queue", p256.queue)] {
        tell(&format!("memory for {} octets, {mode}", scale.large));
        memory.push(large(&p256, mode, address, &sink, scale));
    }
    Some(Report {
        scale,
        routes,
        building,
        latency,
        enrolment,
        memory,
        load: (load_before, programs::load_average()),
    })
}

/// Memory before and after many messages.
fn steady(gateway: &Gateway, mode: &'static str, address: std::net::SocketAddr, sink: &Sink, scale: Scale) -> Memory {
    let send = |messages: usize| {
        let before = sink.received();
        Source {
            connections: scale.connections,
            messages,
        }
        .send(address);
        sink.wait_until(before + messages);
    };
    send(scale.steady / 20 + 1);
    let before = programs::resident(gateway.id());
    programs::forget_peak(gateway.id());
    send(scale.steady);
    Memory {
        what: format!("{} messages, {mode}", scale.steady),
        octets: 10_000,
        before,
        after: programs::resident(gateway.id()),
        peak: programs::peak(gateway.id()),
    }
}

/// Memory for one large message.
fn large(gateway: &Gateway, mode: &'static str, address: std::net::SocketAddr, sink: &Sink, scale: Scale) -> Memory {
    let before = programs::resident(gateway.id());
    programs::forget_peak(gateway.id());
    let received = sink.received();
    clients::send_large(address, scale.large);
    sink.wait_until(received + 1);
    Memory {
        what: format!("one message of {} MB, {mode}", scale.large / 1_000_000),
        octets: scale.large,
        before,
        after: programs::resident(gateway.id()),
        peak: programs::peak(gateway.id()),
    }
}

/// How long anything here may take before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(600);
/// Whom the certificate authority has validated as an organization, and who writes all mail.
const SENDER: &str = "notices@example.com";
