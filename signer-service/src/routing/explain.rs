//! What `sealwright gateway route` says: where mail for an address would go, with which TLS, and why.

use std::fmt;

use dns::Security;
use serde::Serialize;

use super::demand::{Beginning, Demand};
use super::mta_sts::{InForce, Mode};
use super::{Found, Hop, NoRoute, Routes};
use crate::config::{Config, Way};

/// What is printed, or written as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    address: String,
    /// The names that the route is for; none for `[next_hop]`.
    route: Vec<String>,
    /// `host` or `mx`.
    way: &'static str,
    /// `secure` or `insecure`, where MX records were asked for.
    mx_security: Option<String>,
    policy: Option<ExplainedPolicy>,
    servers: Vec<ExplainedServer>,
    skipped: Vec<ExplainedSkip>,
    problem: Option<ExplainedProblem>,
}

#[derive(Debug, Serialize)]
struct ExplainedPolicy {
    id: String,
    mode: Mode,
    mx: Vec<String>,
    fetched_at: String,
    expires_at: String,
    /// Why nothing newer could be had.
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct ExplainedServer {
    host: String,
    port: u16,
    preference: Option<u16>,
    addresses: Vec<String>,
    /// `starttls` or `implicit`.
    beginning: &'static str,
    /// `plain`, `opportunistic`, `mta-sts-testing`, `encrypted`, `certificate`, `mta-sts`, `pinned` or `dane`.
    demand: &'static str,
    /// The same in words.
    explained: String,
    /// As in a zone file: usage, selector, matching type, data in hexadecimal.
    tlsa: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ExplainedSkip {
    host: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct ExplainedProblem {
    /// Whether mail waits for it to pass, rather than come back.
    temporary: bool,
    status: String,
    reason: String,
}

/// Finds out what a delivery would find out, and connects to nobody but the DNS and policy hosts.
pub(crate) async fn explain(routes: &Routes, config: &Config, address: &str) -> Explanation {
    let destination = match routes.destination(config, address) {
        Ok(destination) => destination,
        Err(error) => return Explanation::new(address, config, 0, Err(error)),
    };
    let found = routes.find(&destination).await;
    Explanation::new(address, config, destination.route, found)
}

impl Explanation {
    fn new(address: &str, config: &Config, route: usize, found: Result<Found, NoRoute>) -> Self {
        let of_domains = route.checked_sub(1).and_then(|index| config.routes.get(index));
        let settings = of_domains.map_or(&config.next_hop, |(_, settings)| settings);
        let mut explanation = Self {
            address: address.to_owned(),
            route: of_domains.map_or_else(Vec::new, |(domains, _)| {
                domains.iter().map(ToString::to_string).collect()
            }),
            way: match settings.way {
                Way::Host { .. } => "host",
                Way::Mx { .. } => "mx",
            },
            mx_security: None,
            policy: None,
            servers: Vec::new(),
            skipped: Vec::new(),
            problem: None,
        };
        match found {
            Ok(found) => {
                explanation.mx_security = found.mx_security.map(|security: Security| security.to_string());
                explanation.policy = found.policy.as_ref().map(ExplainedPolicy::of);
                explanation.servers = found.hops.iter().map(ExplainedServer::of).collect();
                explanation.skipped = found
                    .skipped
                    .into_iter()
                    .map(|skipped| ExplainedSkip {
                        host: skipped.host,
                        reason: skipped.reason,
                    })
                    .collect();
            }
            Err(error) => {
                let [class, subject, detail] = error.status().1;
                explanation.problem = Some(ExplainedProblem {
                    temporary: error.is_temporary(),
                    status: format!("{class}.{subject}.{detail}"),
                    reason: error.to_string(),
                });
            }
        }
        explanation
    }

    /// Whether there is a way.
    pub(crate) const fn has_way(&self) -> bool {
        self.problem.is_none()
    }
}

impl ExplainedPolicy {
    fn of(in_force: &InForce) -> Self {
        Self {
            id: in_force.policy.id.clone(),
            mode: in_force.policy.mode,
            mx: in_force.policy.hosts.iter().map(ToString::to_string).collect(),
            fetched_at: in_force.fetched_at.to_string(),
            expires_at: in_force.expires_at.to_string(),
            problem: in_force.problem.clone(),
        }
    }
}

impl ExplainedServer {
    fn of(hop: &Hop) -> Self {
        let tlsa = match &hop.demand {
            Demand::Dane { records, .. } => records
                .iter()
                .map(|record| {
                    let data = data_encoding::HEXLOWER.encode(&record.data);
                    format!("{} {} {} {data}", record.usage, record.selector, record.matching_type)
                })
                .collect(),
            _ => Vec::new(),
        };
        Self {
            host: hop.host.clone(),
            port: hop.port,
            preference: hop.preference,
            addresses: hop.addresses.iter().map(|address| address.ip().to_string()).collect(),
            beginning: match hop.beginning {
                Beginning::StartTls => "starttls",
                Beginning::Implicit => "implicit",
            },
            demand: hop.demand.name(),
            explained: hop.demand.to_string(),
            tlsa,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.route.as_slice() {
            [] => "[next_hop]".to_owned(),
            names => format!("[[route]] for {}", names.join(", ")),
        };
        match self.way {
            "mx" => writeln!(f, "{}: to the mail servers of its domain, by {by}", self.address)?,
            _ => writeln!(f, "{}: to a fixed mail server, by {by}", self.address)?,
        }
        if let Some(security) = &self.mx_security {
            writeln!(f, "MX records: {security}")?;
        }
        if let Some(policy) = &self.policy {
            writeln!(
                f,
                "MTA-STS policy {}: {}, for {}; fetched {}, holds until {}",
                policy.id,
                policy.mode,
                policy.mx.join(", "),
                policy.fetched_at,
                policy.expires_at
            )?;
            if let Some(problem) = &policy.problem {
                writeln!(f, "  kept, since no newer one could be had: {problem}")?;
            }
        }
        for server in &self.servers {
            let preference = server
                .preference
                .map_or_else(String::new, |number| format!("{number} "));
            let addresses = match server.addresses.as_slice() {
                [] => String::new(),
                addresses => format!(" ({})", addresses.join(", ")),
            };
            writeln!(
                f,
                "{preference}{}:{}{addresses}: {}",
                server.host, server.port, server.explained
            )?;
            if server.beginning == "implicit" {
                writeln!(f, "  TLS from the first octet")?;
            }
            for record in &server.tlsa {
                writeln!(f, "  TLSA {record}")?;
            }
        }
        for skipped in &self.skipped {
            writeln!(f, "not {}: {}", skipped.host, skipped.reason)?;
        }
        if let Some(problem) = &self.problem {
            let follows = if problem.temporary {
                "mail waits"
            } else {
                "mail comes back"
            };
            writeln!(f, "no way ({}): {}; {follows}", problem.status, problem.reason)?;
        }
        Ok(())
    }
}
