//! The resolver that the configuration describes.

use std::net::SocketAddr;
use std::path::Path;

use dns::{Resolver, ResolverConfig, TrustAnchor, system_servers};

use crate::error::Error;
use crate::gateway::read;

/// Asks these servers, or those of the system if there are none, and validates from these keys of the root zone, or from
/// those of the Internet.
pub(crate) fn open(servers: &[SocketAddr], trust_anchor: Option<&Path>) -> Result<Resolver, Error> {
    let servers = if servers.is_empty() {
        system_servers(&read(Path::new("/etc/resolv.conf"))?)
    } else {
        servers.to_vec()
    };
    let mut config = ResolverConfig::new(servers);
    if let Some(path) = trust_anchor {
        config.trust_anchor = TrustAnchor::Records(read(path)?);
    }
    Resolver::new(&config).map_err(Error::Dns)
}
