//! Fetching one small file of a website that somebody else names, without being sent where we should not go.
//!
//! Only `http` and `https` on their own ports; names are resolved by our validating resolver, and only public addresses are
//! connected to; redirects are followed here, each checked like the first; time and size have an end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use dns::{Answer, Name, Resolver};
use keys::tls::Trust;
use policies::mailbox::Domain;
use reqwest::{StatusCode, Url, header};

use crate::config::Website;

/// Fetches files. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    settings: Website,
}

/// What was fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) body: Vec<u8>,
    /// Where it came from, after all redirects.
    pub(crate) address: SocketAddr,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    #[error("{host} has no address: {reason}")]
    NoAddress { host: String, reason: String },
    #[error("{host} has no public address: {address} is not one that a certificate authority connects to")]
    NotPublic { host: String, address: IpAddr },
    #[error("{url} is no place to be redirected to: {reason}")]
    Redirect { url: String, reason: &'static str },
    #[error("it redirects more than {limit} times")]
    TooManyRedirects { limit: usize },
    #[error("the server answers {status} instead of 200")]
    Status { status: u16 },
    #[error("the file is larger than {limit} octets")]
    TooLarge { limit: usize },
    #[error("it took longer than {} seconds", .limit.as_secs())]
    TooSlow { limit: Duration },
    #[error("the server could not be talked to: {reason}")]
    Connection { reason: String },
}

impl Fetch {
    pub(crate) fn new(settings: Website) -> Self {
        Self { settings }
    }

    /// The file at a path of a domain, by plain HTTP at first.
    pub(crate) async fn get(&self, resolver: &Resolver, domain: &Domain, path: &str) -> Result<Fetched, FetchError> {
        let work = self.follow(resolver, format!("http://{domain}{path}"));
        tokio::time::timeout(LONGEST, work)
            .await
            .unwrap_or(Err(FetchError::TooSlow { limit: LONGEST }))
    }

    async fn follow(&self, resolver: &Resolver, start: String) -> Result<Fetched, FetchError> {
        let mut url = Url::parse(&start).map_err(|_| FetchError::Redirect {
            url: start,
            reason: "it is not a URL",
        })?;
        for _ in 0..=MOST_REDIRECTS {
            let place = self.place(&url)?;
            let address = self.address(resolver, &place).await?;
            let mut response = client(&place.host, address)?
                .get(url.clone())
                .send()
                .await
                .map_err(|error| connection(&error))?;
            match response.status() {
                StatusCode::OK => {
                    let mut body = Vec::new();
                    while let Some(chunk) = response.chunk().await.map_err(|error| connection(&error))? {
                        if body.len() + chunk.len() > LARGEST {
                            return Err(FetchError::TooLarge { limit: LARGEST });
                        }
                        body.extend_from_slice(&chunk);
                    }
                    return Ok(Fetched { body, address });
                }
                // TLS BR 3.2.2.4.18 allows these and no others.
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => url = target(&url, &response)?,
                other => return Err(FetchError::Status { status: other.as_u16() }),
            }
        }
        Err(FetchError::TooManyRedirects { limit: MOST_REDIRECTS })
    }

    /// Host and port of a URL that may be connected to.
    fn place(&self, url: &Url) -> Result<Place, FetchError> {
        let refuse = |reason| FetchError::Redirect {
            url: url.as_str().chars().take(200).collect(),
            reason,
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it has a user name"));
        }
        // TLS BR 1.6.1: Authorized Ports; of those, the ones of these schemes.
        let port = match (url.scheme(), url.port()) {
            ("http", None) => self.settings.http_port,
            ("https", None) => 443,
            ("http" | "https", Some(_)) => return Err(refuse("only the ports 80 and 443 are authorized")),
            _ => return Err(refuse("only http and https are followed")),
        };
        match url.domain() {
            Some(host) => Ok(Place {
                host: host.to_owned(),
                port,
            }),
            None => Err(refuse("it names an address instead of a domain")),
        }
    }

    /// The first public address of a host.
    async fn address(&self, resolver: &Resolver, place: &Place) -> Result<SocketAddr, FetchError> {
        let host = place.host.clone();
        let name = Name::parse(&host).map_err(|error| FetchError::NoAddress {
            host: host.clone(),
            reason: error.to_string(),
        })?;
        let mut refused = None;
        let mut reason = "it has neither A nor AAAA records".to_owned();
        for answer in [resolver.a(&name).await, resolver.aaaa(&name).await] {
            match answer {
                Answer::Secure(found) | Answer::Insecure(found) => {
                    for address in found.records {
                        if is_public(address) || self.settings.private_addresses {
                            return Ok(SocketAddr::new(address, place.port));
                        }
                        refused = Some(address);
                    }
                }
                Answer::NoData(_) | Answer::NxDomain(_) => {}
                Answer::Bogus(bogus) => reason = bogus.to_string(),
                Answer::Failed(failure) => reason = failure.to_string(),
            }
        }
        Err(match refused {
            Some(address) => FetchError::NotPublic { host, address },
            None => FetchError::NoAddress { host, reason },
        })
    }
}

struct Place {
    host: String,
    port: u16,
}

/// A client that connects to this address and nowhere else, whatever the name resolves to a moment later.
fn client(host: &str, address: SocketAddr) -> Result<reqwest::Client, FetchError> {
    let tls = keys::tls::client_config(Trust::System).map_err(|error| FetchError::Connection {
        reason: error.to_string(),
    })?;
    reqwest::Client::builder()
        .tls_backend_preconfigured((*tls).clone())
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .resolve(host, address)
        .connect_timeout(Duration::from_secs(5))
        .user_agent(concat!(
            "sealwright/",
            env!("CARGO_PKG_VERSION"),
            " (domain validation)"
        ))
        .build()
        .map_err(|error| connection(&error))
}

fn target(from: &Url, response: &reqwest::Response) -> Result<Url, FetchError> {
    let text = response
        .headers()
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let refuse = |reason| FetchError::Redirect {
        url: text.chars().take(200).collect(),
        reason,
    };
    match text {
        "" => Err(refuse("there is no Location")),
        text => from.join(text).map_err(|_| refuse("it is not a URL")),
    }
}

fn connection(error: &reqwest::Error) -> FetchError {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reason = error.to_string();
        cause = error.source();
    }
    FetchError::Connection { reason }
}

/// Whether an address is one that anybody on the Internet could have been given (RFC 6890 and its registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || first == 0
        // Shared address space, RFC 6598.
        || (first == 100 && second & 0xc0 == 64)
        // Protocol assignments, RFC 6890; 6to4 relays, RFC 7526.
        || (first == 192 && second == 0 && third == 0)
        || (first == 192 && second == 88 && third == 99)
        // Benchmarks, RFC 2544.
        || (first == 198 && second & 0xfe == 18)
        // Multicast, reserved, broadcast.
        || first >= 224)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Only 2000::/3 is given out, and of that not what carries or documents other addresses: 2001::/23 with Teredo,
    // 2001:db8::/32, 2002::/16 (6to4), 3fff::/20.
    first & 0xe000 == 0x2000
        && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
        && first != 0x2002
        && !(first == 0x3fff && second < 0x1000)
}

/// A random value is some dozens of octets.
const LARGEST: usize = 16 * 1024;
const LONGEST: Duration = Duration::from_secs(20);
const MOST_REDIRECTS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for address in [
            "1.1.1.1",
            "192.0.1.1",
            "198.20.0.1",
            "100.128.0.1",
            "2606:4700::1",
            "2001:4860::8",
            "2a00::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:1.1.1.1",
            "64:ff9b::7f00:1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn only_names_and_authorized_ports_are_followed() {
        let fetch = Fetch::new(Website::default());
        let place = |url: &str| {
            fetch
                .place(&Url::parse(url).unwrap())
                .map(|place| (place.host, place.port))
        };
        assert_eq!(place("http://a.example/x").unwrap(), ("a.example".to_owned(), 80));
        assert_eq!(place("https://a.example/").unwrap().1, 443);
        assert_eq!(place("http://a.example:80/").unwrap().1, 80);
        for url in [
            "http://a.example:8080/",
            "https://a.example:80/",
            "http://a.example:22/",
            "ftp://a.example/",
            "file:///etc/passwd",
            "gopher://a.example/",
            "http://user@a.example/",
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://[::1]/",
            "http://0x7f.1/",
        ] {
            assert!(place(url).is_err(), "{url}");
        }
    }
}
