//! `sealwright ca init`: a new certificate authority.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use keys::pkcs11::Token;
use keys::{KeyAlgorithm, Pkcs11Settings};
use policies::organization::Country;

use super::output::{self, Format};
use super::{Data, Failure, progress};
use crate::app::AppParts;
use crate::config::Dns;
use crate::init;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub(super) data: Data,
    /// The organization that runs the authority, as it stands in its certificates
    #[arg(long, default_value = "Sealwright")]
    organization: String,
    /// Where that organization is: two letters of ISO 3166-1
    #[arg(long, default_value = "SE")]
    country: Country,
    /// The key of the root certificate: p384, p256 or rsa4096
    #[arg(long, default_value = "p384")]
    root_key: KeyAlgorithm,
    /// The key that signs the certificates of subscribers: p256, p384 or rsa4096
    #[arg(long, default_value = "p256")]
    issuing_key: KeyAlgorithm,
    /// Make the keys in a token behind this PKCS#11 library instead of in the data folder
    #[arg(long, value_name = "LIBRARY", requires_all = ["pkcs11_token", "pkcs11_pin_file"])]
    pkcs11_module: Option<PathBuf>,
    /// The label of that token
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    pkcs11_token: Option<String>,
    /// The file with the PIN of the token's user, readable by nobody else
    #[arg(long, value_name = "FILE", requires = "pkcs11_module")]
    pkcs11_pin_file: Option<PathBuf>,
    /// sqlite:FILE in the data folder, or postgres://user@host/database
    #[arg(long)]
    database: Option<String>,
    /// Where the whole world reaches --public-listen; it stands in every certificate
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Where the API listens (HTTPS)
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Where CRLs and certificates are published (HTTP)
    #[arg(long, value_name = "ADDRESS:PORT")]
    public_listen: Option<String>,
    /// The mail server that takes our mail
    #[arg(long, value_name = "HOST:PORT")]
    smtp: Option<String>,
    /// The sender of our mail
    #[arg(long, value_name = "ADDRESS")]
    mail_from: Option<String>,
    /// A recursive DNS resolver to ask instead of those of /etc/resolv.conf; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT")]
    dns_server: Vec<SocketAddr>,
    /// A file with DNSKEY records of another DNS root than the Internet's
    #[arg(long, value_name = "FILE")]
    dns_trust_anchor: Option<PathBuf>,
}

pub(super) async fn run(arguments: Arguments, parts: AppParts, format: Format) -> Result<(), Failure> {
    let mut options = init::Options::new(&arguments.data.data, &arguments.organization, arguments.country);
    options.root_key = arguments.root_key;
    options.issuing_key = arguments.issuing_key;
    options.smtp = arguments.smtp;
    if !arguments.dns_server.is_empty() || arguments.dns_trust_anchor.is_some() {
        options.dns = Some(Dns {
            servers: arguments.dns_server,
            trust_anchor: arguments.dns_trust_anchor.map(std::path::absolute).transpose()?,
        });
    }
    // clap asks for all three or none.
    if let (Some(module), Some(label), Some(pin_file)) = (
        arguments.pkcs11_module,
        arguments.pkcs11_token,
        arguments.pkcs11_pin_file,
    ) {
        options.token = Some(Pkcs11Settings {
            module,
            token: Token::Label(label),
            pin_file,
            max_sessions: Pkcs11Settings::DEFAULT_SESSIONS,
        });
    }
    for (option, given) in [
        (&mut options.database, arguments.database),
        (&mut options.public_url, arguments.public_url),
        (&mut options.listen, arguments.listen),
        (&mut options.public_listen, arguments.public_listen),
        (&mut options.mail_from, arguments.mail_from),
    ] {
        if let Some(given) = given {
            *option = given;
        }
    }
    progress("Making keys and certificates …");
    let made = init::init(&options, parts).await?;
    match format {
        Format::Json => output::json(&serde_json::json!({
            "folder": made.folder,
            "root": {
                "subject": made.root_subject,
                "sha256": data_encoding::HEXLOWER.encode(&made.root_sha256),
                "not_after": made.root_not_after.to_string(),
            },
            "issuing": { "subject": made.issuing_subject, "not_after": made.issuing_not_after.to_string() },
            "token": made.token,
            "operator_token": made.operator_token.reveal(),
        }))?,
        Format::Text => {
            write!(io::stdout(), "{made}")?;
            eprintln!("\nNext: sealwright ca serve --data {}", made.folder.display());
        }
    }
    Ok(())
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sealwright ca init --data ca
  sealwright ca init --data ca --organization \"Example Trust AB\" --country SE --public-url http://pki.example.com
  sealwright ca init --data ca --root-key rsa4096 --issuing-key rsa4096 --smtp mail.example.com:25
  sealwright ca init --data ca --pkcs11-module /usr/lib/softhsm/libsofthsm2.so --pkcs11-token sealwright \\
      --pkcs11-pin-file token.pin";
