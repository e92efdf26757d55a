//! `sealwright gateway dkim …`: the keys with which a domain signs its mail.

use clap::{Args, Subcommand, ValueEnum};
use keys::{KeyAlgorithm, KeyStore as _, SoftwareKeyStore};
use policies::mailbox::Domain;
use serde_json::json;

use super::{Data, Failure};
use crate::config::{Config, is_selector};
use crate::dkim::{Selector, record};
use crate::gateway::sealing_key;

#[derive(Debug, Subcommand)]
pub enum Dkim {
    /// Make a key for a domain, and print the DNS record that it needs.
    Add(Add),
    /// Print the DNS record of a key again.
    Show(Named),
}

#[derive(Debug, Args)]
pub struct Add {
    #[command(flatten)]
    named: Named,
    /// RSA is verified by everybody; a second key with ed25519, under a selector of its own, is smaller and stronger.
    #[arg(long, value_enum, default_value = "rsa2048")]
    algorithm: Algorithm,
}

/// The kinds of keys that receivers verify (RFC 8301 section 3.2, RFC 8463).
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Algorithm {
    Rsa2048,
    Rsa3072,
    Rsa4096,
    Ed25519,
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
    let (named, new) = match command {
        Dkim::Add(add) => (&add.named, Some(add.algorithm)),
        Dkim::Show(named) => (named, None),
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
    let store = SoftwareKeyStore::open(&config.keys.folder, sealing_key(&config)?)?;
    let id = selector.key_name().parse()?;
    let key = match new {
        Some(algorithm) => store.generate(&id, algorithm.into())?,
        None => store.open(&id)?,
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
    if new.is_some() {
        eprintln!(
            "When this record is in the DNS, write into {} and start the gateway anew:\n  [[dkim]]\n  domain = \"{}\"\n  selector = \"{}\"",
            config.folder.join(Config::FILE_NAME).display(),
            selector.domain,
            selector.selector
        );
    }
    Ok(())
}

impl From<Algorithm> for KeyAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rsa2048 => Self::Rsa2048,
            Algorithm::Rsa3072 => Self::Rsa3072,
            Algorithm::Rsa4096 => Self::Rsa4096,
            Algorithm::Ed25519 => Self::Ed25519,
        }
    }
}
