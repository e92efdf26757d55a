//! What is counted of connections to mail servers: with which TLS, and why not.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use smtp::client::ClientError;

use super::connect::is_about_tls;
use super::demand::Demand;

/// Since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct TlsCounts {
    connections: [AtomicU64; KINDS.len()],
    failures: [AtomicU64; KINDS.len()],
    policy_failures: AtomicU64,
}

/// What was reached: the demand that was met, or that TLS was to be had without one.
const KINDS: [&str; 8] = [
    "plain",
    "opportunistic",
    "mta-sts-testing",
    "encrypted",
    "certificate",
    "mta-sts",
    "pinned",
    "dane",
];

impl TlsCounts {
    /// A connection was made; without TLS it counts as plain, whatever was hoped for.
    pub(super) fn connected(&self, demand: &Demand, has_tls: bool) {
        let kind = if has_tls { demand.name() } else { "plain" };
        add(&self.connections, kind);
    }

    /// A server did not do what was asked of it.
    pub(super) fn failed(&self, demand: &Demand, error: &ClientError) {
        if is_about_tls(error) {
            add(&self.failures, demand.name());
        }
    }

    /// A server did not keep a policy that is only tested.
    pub(super) fn policy_failed(&self) {
        self.policy_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// In the text format of Prometheus.
    pub(crate) fn render(&self, text: &mut String) {
        for (name, help, counters) in [
            (
                "connections",
                "Connections to mail servers, by the TLS that was asked for and reached.",
                &self.connections,
            ),
            (
                "tls_failures",
                "Mail servers that could not be used for their TLS, by what was asked for.",
                &self.failures,
            ),
        ] {
            let name = format!("sealwright_gateway_{name}_total");
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n");
            for (kind, counter) in KINDS.iter().zip(counters) {
                let _ = writeln!(text, "{name}{{tls=\"{kind}\"}} {}", counter.load(Ordering::Relaxed));
            }
        }
        let name = "sealwright_gateway_mta_sts_testing_failures_total";
        let count = self.policy_failures.load(Ordering::Relaxed);
        let _ = write!(
            text,
            "# HELP {name} Servers that did not keep an MTA-STS policy of mode testing.\n# TYPE {name} counter\n{name} {count}\n"
        );
    }
}

fn add(counters: &[AtomicU64], kind: &str) {
    if let Some((_, counter)) = KINDS.iter().zip(counters).find(|(known, _)| **known == kind) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
