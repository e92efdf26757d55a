//! Where mail for an address goes, and what is asked of the connection: a fixed mail server, or those of the recipient's
//! domain.
//!
//! * The most specific `[[route]]` of the domain counts, else `[next_hop]`.
//! * Fixed servers are connected to by name. The servers of a domain are found by MX records ([`exchangers`]).
//! * TLS is asked for by the operator, by the domain's TLSA records ([`dane`]), or by its policy ([`mta_sts`]), in this
//!   order: what DNSSEC says overrides the policy (RFC 8461 section 2), and neither takes anything away from what the
//!   operator asks for.
//! * Who cannot be trusted now is not sent to: mail waits rather than go in plain text where TLS was promised.

mod connect;
mod dane;
mod demand;
mod exchangers;
mod explain;
mod metrics;
mod mta_sts;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use dns::{Name, Resolver, Security};
use keys::tls::Trust;
use migrations::Pool;
use policies::time::Clock;
use rand_core::CryptoRng;
use rustls::ClientConfig;
use tokio::sync::Semaphore;

pub(crate) use self::connect::ConnectError;
use self::dane::Associations;
use self::demand::{Because, Beginning, Demand};
use self::exchangers::{Exchanger, Unreachable};
pub(crate) use self::explain::explain;
pub(crate) use self::metrics::TlsCounts;
use self::mta_sts::{InForce, Mode, Policies};
use crate::config::{Config, NextHop, NextHopTls, Way};
use crate::error::Error;
use crate::next_hop::NextHopPool;

/// All ways out of this gateway.
pub(crate) struct Routes {
    /// The first one is for everybody whom no other is for.
    routes: Vec<Arc<Route>>,
    resolver: Option<Resolver>,
    policies: Option<Policies>,
    hostname: String,
    own_names: Vec<Name>,
    rng: Arc<Mutex<Box<dyn CryptoRng + Send>>>,
    pools: Mutex<HashMap<Destination, Arc<NextHopPool>>>,
    /// For the idle connections to the servers of all domains.
    idle_room: Arc<Semaphore>,
    pub(crate) counts: TlsCounts,
}

/// One of the tables `[next_hop]` and `[[route]]`.
#[derive(Debug)]
struct Route {
    settings: NextHop,
    /// With the authorities that vouch for servers.
    tls: Arc<ClientConfig>,
}

/// Where mail for a recipient goes; recipients with the same one share connections and transactions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Destination {
    /// Its place among the routes.
    route: usize,
    /// Whose MX records are asked for; `None` for fixed servers.
    domain: Option<Name>,
}

/// A server that may be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    /// What its certificate is for.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) preference: Option<u16>,
    /// Empty if the system is to resolve the host.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) beginning: Beginning,
    pub(crate) demand: Demand,
}

/// The servers of a destination, and what was found on the way.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) hops: Vec<Hop>,
    /// Those that must not be used now, and why.
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) mx_security: Option<Security>,
    pub(crate) policy: Option<InForce>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) host: String,
    pub(crate) reason: String,
}

/// Why mail has no way out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum NoRoute {
    #[error("the domain {domain} takes no mail (null MX)")]
    NullMx { domain: String },
    #[error("the domain {domain} does not exist")]
    NoSuchDomain { domain: String },
    #[error("the domain {domain} has no mail server with an address")]
    NoServer { domain: String },
    #[error("this mail server is itself the best mail server of {domain}, and has no route for it")]
    Circle { domain: String },
    #[error("{address:?} names no domain that mail could be sent to")]
    NoDomain { address: String },
    #[error("the mail servers of {domain} could not be found out: {reason}")]
    Dns { domain: String, reason: String },
    #[error("no mail server of {domain} may be used now: {reason}")]
    NoneUsable { domain: String, reason: String },
    #[error("the database with the policies of other domains is not available")]
    Database,
}

impl NoRoute {
    fn dns(domain: &Name, problem: impl fmt::Display) -> Self {
        Self::Dns {
            domain: domain.to_string(),
            reason: problem.to_string(),
        }
    }

    /// Code and enhanced status (RFC 3463, RFC 7505 section 4.1, RFC 7504).
    pub(crate) const fn status(&self) -> (u16, [u16; 3]) {
        match self {
            Self::NullMx { .. } => (556, [5, 1, 10]),
            Self::NoSuchDomain { .. } | Self::NoDomain { .. } => (550, [5, 1, 2]),
            Self::NoServer { .. } => (550, [5, 4, 4]),
            Self::Circle { .. } => (554, [5, 4, 6]),
            Self::Dns { .. } => (451, [4, 4, 3]),
            Self::NoneUsable { .. } => (451, [4, 7, 5]),
            Self::Database => (451, [4, 3, 0]),
        }
    }

    pub(crate) const fn is_temporary(&self) -> bool {
        self.status().0 < 500
    }
}

impl Routes {
    /// Reads what the configuration names.
    pub(crate) fn open(
        config: &Config,
        db: &Pool,
        clock: &Arc<dyn Clock>,
        rng: &Arc<Mutex<Box<dyn CryptoRng + Send>>>,
        policy_port: u16,
    ) -> Result<Self, Error> {
        let of = |settings: &NextHop| -> Result<Arc<Route>, Error> {
            Ok(Arc::new(Route {
                tls: trust(settings)?,
                settings: settings.clone(),
            }))
        };
        let mut routes = vec![of(&config.next_hop)?];
        for (_, settings) in &config.routes {
            routes.push(of(settings)?);
        }
        let every = || routes.iter().map(|route| &route.settings);
        let resolver = every()
            .any(|settings| settings.dane || matches!(settings.way, Way::Mx { .. }))
            .then(|| crate::resolver::open(&config.dns.servers, config.dns.trust_anchor.as_deref()))
            .transpose()?;
        let policies = match &resolver {
            Some(resolver) if every().any(|settings| settings.mta_sts) => {
                let extra = config
                    .dns
                    .policy_trust_file
                    .as_deref()
                    .map(crate::gateway::read)
                    .transpose()?;
                let trust = extra
                    .as_deref()
                    .map_or(Trust::System, |pem| Trust::SystemAnd(pem.as_bytes()));
                let tls = keys::tls::client_config(trust).map_err(Error::Tls)?;
                let (resolver, db, clock) = (resolver.clone(), db.clone(), clock.clone());
                Some(Policies::new(resolver, db, clock, tls, policy_port))
            }
            _ => None,
        };
        let mut own_names: Vec<Name> = config.dns.own_names.clone();
        own_names.extend(Name::parse(&config.hostname).ok());
        Ok(Self {
            routes,
            resolver,
            policies,
            hostname: config.hostname.clone(),
            own_names,
            rng: rng.clone(),
            pools: Mutex::default(),
            idle_room: Arc::new(Semaphore::new(MOST_IDLE)),
            counts: TlsCounts::default(),
        })
    }

    /// Where mail for an address goes.
    pub(crate) fn destination(&self, config: &Config, address: &str) -> Result<Destination, NoRoute> {
        let domain = address.rsplit_once('@').map(|(_, domain)| Name::parse(domain));
        let route = match &domain {
            Some(Ok(domain)) => config.route_of(domain),
            _ => 0,
        };
        let settings = &self.route(route).settings;
        let domain = match (&settings.way, domain) {
            (Way::Host { .. }, _) => None,
            (Way::Mx { .. }, Some(Ok(domain))) => Some(domain),
            // NOTE: RFC 5321 section 4.1.3 knows [192.0.2.1] as well. Nobody but testers writes it, and it would let senders
            // reach into the operator's network.
            (Way::Mx { .. }, _) => {
                let address = address.chars().take(100).collect();
                return Err(NoRoute::NoDomain { address });
            }
        };
        Ok(Destination { route, domain })
    }

    /// Whether everybody's mail goes to one and the same server.
    pub(crate) fn is_single(&self) -> bool {
        matches!(self.routes.as_slice(), [only] if matches!(only.settings.way, Way::Host { .. }))
    }

    /// The connections to a destination.
    pub(crate) fn pool(self: &Arc<Self>, destination: &Destination) -> Arc<NextHopPool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(destination) {
            return pool.clone();
        }
        let settings = &self.route(destination.route).settings;
        let idle_room = destination.domain.is_some().then(|| self.idle_room.clone());
        let pool = Arc::new(NextHopPool::new(
            Arc::downgrade(self),
            destination.clone(),
            settings.max_connections,
            settings.idle,
            idle_room,
        ));
        pools.insert(destination.clone(), pool.clone());
        pool
    }

    /// Closes connections that nobody needs any more, and forgets destinations without any.
    pub(crate) fn sweep(&self) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|_, pool| pool.sweep() > 0 || Arc::strong_count(pool) > 1);
    }

    /// The servers of a destination, in the order in which they are tried; at least one.
    async fn find(&self, destination: &Destination) -> Result<Found, NoRoute> {
        let route = self.route(destination.route);
        match (&route.settings.way, &destination.domain, &self.resolver) {
            (Way::Mx { port }, Some(domain), Some(resolver)) => self.exchangers(route, resolver, domain, *port).await,
            (Way::Host { host, port }, ..) => self.fixed(route, host, *port).await,
            (Way::Mx { .. }, ..) => Err(NoRoute::NoDomain { address: String::new() }),
        }
    }

    async fn fixed(&self, route: &Route, host: &str, port: u16) -> Result<Found, NoRoute> {
        let mut hop = Hop {
            host: host.to_owned(),
            port,
            preference: None,
            addresses: Vec::new(),
            beginning: route.beginning(),
            demand: route.least(),
        };
        if let (true, Some(resolver), Ok(name)) = (route.settings.dane, &self.resolver, Name::parse(host)) {
            let unusable = |reason| NoRoute::NoneUsable {
                domain: host.to_owned(),
                reason,
            };
            match examine(resolver, &name, port).await {
                Ok(server) => {
                    if let Some((demand, base)) = server.dane(&[&name]) {
                        hop.take(demand, base);
                    }
                    hop.addresses = server.addresses;
                }
                Err(Unreachable::NoAddress) => {
                    return Err(unusable(format!("{host} has no address")));
                }
                Err(Unreachable::Later(reason)) => return Err(unusable(reason)),
            }
        }
        Ok(Found {
            hops: vec![hop],
            skipped: Vec::new(),
            mx_security: None,
            policy: None,
        })
    }

    async fn exchangers(&self, route: &Route, resolver: &Resolver, domain: &Name, port: u16) -> Result<Found, NoRoute> {
        // 1. The hosts, and meanwhile the policy.
        let policy = async {
            match &self.policies {
                Some(policies) if route.settings.mta_sts => policies.of(domain).await.map_err(|_| NoRoute::Database),
                _ => Ok(None),
            }
        };
        let (found, policy) = tokio::join!(exchangers::find(resolver, domain, &self.own_names), policy);
        let (mut found, policy) = (found?, policy?);
        found.shuffle(&mut **self.rng.lock().unwrap_or_else(PoisonError::into_inner));
        // 2. What each asks for.
        let (mut hops, mut skipped) = (Vec::new(), Vec::new());
        let mut has_address = false;
        for host in &found.hosts {
            match self
                .hop(route, resolver, domain, host, found.security, policy.as_ref(), port)
                .await
            {
                Ok(hop) => hops.push(hop),
                Err(Unreachable::NoAddress) => skipped.push(Skipped {
                    host: host.name.to_string(),
                    reason: "it has no address".to_owned(),
                }),
                Err(Unreachable::Later(reason)) => {
                    has_address = true;
                    skipped.push(Skipped {
                        host: host.name.to_string(),
                        reason,
                    });
                }
            }
        }
        // 3. Whether there is anybody left.
        if hops.is_empty() {
            let domain = domain.to_string();
            if !has_address {
                return Err(NoRoute::NoServer { domain });
            }
            let reasons: Vec<String> = skipped
                .iter()
                .map(|one| format!("{}: {}", one.host, one.reason))
                .collect();
            let reason = reasons.join("; ");
            return Err(NoRoute::NoneUsable { domain, reason });
        }
        Ok(Found {
            hops,
            skipped,
            mx_security: Some(found.security),
            policy,
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different thing that is known of the host"
    )]
    async fn hop(
        &self,
        route: &Route,
        resolver: &Resolver,
        domain: &Name,
        host: &Exchanger,
        mx_security: Security,
        policy: Option<&InForce>,
        port: u16,
    ) -> Result<Hop, Unreachable> {
        let name = &host.name;
        // RFC 7672 section 2.2.1: what insecure MX records name may be anybody, so its TLSA records prove nothing.
        let asks_for_tlsa = route.settings.dane && mx_security == Security::Secure;
        let server = if asks_for_tlsa {
            examine(resolver, name, port).await?
        } else {
            Server::without_tlsa(exchangers::addresses(resolver, name).await?, port)
        };
        let mut hop = Hop {
            host: name.to_string(),
            port,
            preference: host.preference,
            addresses: Vec::new(),
            beginning: route.beginning(),
            demand: route.least(),
        };
        let names: &[&Name] = if host.preference.is_some() {
            &[domain, name]
        } else {
            &[name]
        };
        if let Some((demand, base)) = server.dane(names) {
            hop.take(demand, base);
        } else if let Some(InForce { policy, .. }) = policy {
            match policy.mode {
                Mode::Enforce if !policy.allows(name) => {
                    return Err(Unreachable::Later(
                        "the domain's MTA-STS policy does not name it as a mail server".to_owned(),
                    ));
                }
                Mode::Enforce if hop.demand == Demand::Opportunistic => {
                    hop.demand = Demand::Certificate(Because::MtaSts);
                }
                Mode::Testing if hop.demand == Demand::Opportunistic => {
                    if !policy.allows(name) {
                        tracing::warn!(%domain, host = %name, "an MTA-STS policy in testing does not name a mail server of its domain");
                        self.counts.policy_failed();
                    } else {
                        hop.demand = Demand::Tested;
                    }
                }
                _ => {}
            }
        }
        hop.addresses = server.addresses;
        Ok(hop)
    }

    fn route(&self, index: usize) -> &Route {
        // Destinations are made by these routes, and the first is always there.
        self.routes.get(index).unwrap_or(&self.routes[0])
    }
}

/// A host, and what the DNS says of it.
struct Server {
    addresses: Vec<SocketAddr>,
    associations: Associations,
    base: Option<Name>,
}

impl Server {
    fn without_tlsa(found: exchangers::Addresses, port: u16) -> Self {
        Self {
            addresses: with_port(found.addresses, port),
            associations: Associations::Absent,
            base: None,
        }
    }

    /// What the TLSA records ask for, and the name to ask the server for.
    fn dane(&self, names: &[&Name]) -> Option<(Demand, String)> {
        let base = self.base.as_ref()?;
        let demand = match &self.associations {
            Associations::Absent => return None,
            Associations::Unusable => Demand::Encrypted,
            Associations::Usable(records) => Demand::Dane {
                records: records.clone(),
                names: [base]
                    .into_iter()
                    .chain(names.iter().copied())
                    .map(Name::to_string)
                    .collect(),
            },
        };
        Some((demand, base.to_string()))
    }
}

/// Addresses, and TLSA records where the addresses are proved (RFC 7672 section 2.2.2).
async fn examine(resolver: &Resolver, host: &Name, port: u16) -> Result<Server, Unreachable> {
    let found = exchangers::addresses(resolver, host).await?;
    if found.security == Security::Insecure {
        return Ok(Server::without_tlsa(found, port));
    }
    let mut names = vec![&found.canonical];
    if found.canonical != *host {
        names.push(host);
    }
    let (associations, base) = dane::look_up(resolver, &names, port)
        .await
        .map_err(Unreachable::Later)?;
    Ok(Server {
        addresses: with_port(found.addresses, port),
        associations,
        base: Some(base),
    })
}

fn with_port(addresses: Vec<std::net::IpAddr>, port: u16) -> Vec<SocketAddr> {
    addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect()
}

impl Route {
    /// What the operator asks for at least.
    fn least(&self) -> Demand {
        match (self.settings.tls, self.settings.pins.as_slice()) {
            (NextHopTls::Never, _) => Demand::Plain,
            (NextHopTls::Opportunistic, _) => Demand::Opportunistic,
            (NextHopTls::Required | NextHopTls::Implicit, []) => Demand::Certificate(Because::Configured),
            (NextHopTls::Required | NextHopTls::Implicit, pins) => Demand::Pinned(pins.to_vec()),
        }
    }

    fn beginning(&self) -> Beginning {
        match self.settings.tls {
            NextHopTls::Implicit => Beginning::Implicit,
            NextHopTls::Never | NextHopTls::Opportunistic | NextHopTls::Required => Beginning::StartTls,
        }
    }
}

impl Hop {
    /// Adds what the TLSA records ask for to what the operator does: who asks for a certificate gets one that they name.
    fn take(&mut self, demand: Demand, base: String) {
        match (&self.demand, &demand) {
            (Demand::Opportunistic, _) | (Demand::Certificate(_), Demand::Dane { .. }) => {
                (self.demand, self.host) = (demand, base);
            }
            _ => {}
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.domain {
            Some(domain) => domain.fmt(f),
            None => write!(f, "route {}", self.route),
        }
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

fn trust(settings: &NextHop) -> Result<Arc<ClientConfig>, Error> {
    let extra = settings.trust_file.as_deref().map(crate::gateway::read).transpose()?;
    let may_need_certificates = settings.mta_sts
        || (matches!(settings.tls, NextHopTls::Required | NextHopTls::Implicit) && settings.pins.is_empty());
    let trust = match &extra {
        Some(pem) => Trust::SystemAnd(pem.as_bytes()),
        None if may_need_certificates => Trust::System,
        None => return Ok(crate::gateway::unauthenticated_tls()),
    };
    keys::tls::client_config(trust).map_err(Error::Tls)
}

/// Half of the descriptors that a process gets when nobody says otherwise is 512; this leaves most of them.
const MOST_IDLE: usize = 200;
