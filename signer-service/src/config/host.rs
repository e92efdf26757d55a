//! Names of hosts, and where on them.

use std::net::IpAddr;

pub(super) fn host_and_port(key: &str, address: &str) -> Result<(String, u16), String> {
    let malformed = || format!("{key} {address:?} is not host:port, such as \"mail.example.com:25\"");
    let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let port: u16 = port.parse().map_err(|_| malformed())?;
    let is_address = host.parse::<IpAddr>().is_ok();
    if port == 0 || !(is_address || is_host_name(host)) {
        return Err(malformed());
    }
    Ok((host.to_owned(), port))
}

pub(super) fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
