//! `sealwright gateway dkim …`: the keys with which a domain signs its mail.

use clap::{Args, Subcommand};
use keys::sealing::SealingKey;
use keys::{KeyAlgorithm, KeyStore as _, SoftwareKeyStore};
use policies::mailbox::Domain;
use serde_json::json;

use super::{Data, Failure};
use crate::config::{Config, is_selector};
use crate::dkim::{Selector, record};

#[derive(Debug, Subcommand)]
pub enum Dkim {
    /// Make a key for a domain, and print the DNS record that it needs.
    Add(Named),
    /// Print the DNS record of a key again.
    Show(Named),
}

#[derive(Debug, Args)]
pub struct Named {
    #[command(flatten)]
    data: Data,
    #[arg(value_name = "DOMAIN")]
    domain: String,
    /// What tells this key from others of the domain; take a new one when you change keys.
    #[arg(long, value_name = "NAME", default_value = "sealwright")]
    selector: String,
}

pub(super) fn run(command: &Dkim) -> Result<(), Failure> {
    let (named, is_new) = match command {
        Dkim::Add(named) => (named, true),
        Dkim::Show(named) => (named, false),
    };
    let domain: Domain = named
        .domain
        .parse()
        .map_err(|error| format!("{}: {error}", named.domain))?;
    if !is_selector(&named.selector) {
        return Err(format!(
            "--selector {:?} is not a name of letters, digits and hyphens",
            named.selector
        )
        .into());
    }
    let selector = Selector {
        domain,
        selector: named.selector.clone(),
    };
    let config = Config::load(&named.data.folder)?;
    let sealing_key = SealingKey::open_file(&config.keys.sealing_key)?;
    let store = SoftwareKeyStore::open(&config.keys.folder, sealing_key)?;
    let id = selector.key_name().parse()?;
    let key = if is_new {
        store.generate(&id, KeyAlgorithm::Rsa2048)?
    } else {
        store.open(&id)?
    };
    let (name, record) = (selector.record_name(), record(&*key)?);
    if named.data.json {
        println!("{}", json!({ "name": name, "type": "TXT", "value": record }));
        return Ok(());
    }
    // RFC 1035 section 3.3: a string has at most 255 octets.
    let strings: Vec<String> = record
        .as_bytes()
        .chunks(255)
        .map(|chunk| format!("\"{}\"", String::from_utf8_lossy(chunk)))
        .collect();
    println!("{name}. IN TXT ( {} )", strings.join(" "));
    if is_new {
        eprintln!(
            "When this record is in the DNS, write into {} and start the gateway anew:\n  [[dkim]]\n  domain = \"{}\"\n  selector = \"{}\"",
            config.folder.join(Config::FILE_NAME).display(),
            selector.domain,
            selector.selector
        );
    }
    Ok(())
}
