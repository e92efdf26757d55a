//! `sealwright gateway …`

mod certificate;
mod dkim;
mod keys;
mod message;
mod queue;
mod route;
mod token;
mod user;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgGroup, Args, Subcommand};
use policies::mailbox::Mailbox;
use policies::time::Clock;
use serde_json::json;

use crate::config::Config;
use crate::enrol::EnrolError;
use crate::error::Error;
use crate::gateway::{Gateway, GatewayParts};
use crate::init;
use crate::server::Server;

/// Sign the mail that leaves an organization.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the data folder of a new gateway.
    #[command(after_help = INIT_EXAMPLES)]
    Init(Box<Init>),
    /// Take in mail, sign it and pass it on, until stopped.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Data),
    /// The mailboxes that the gateway signs for, with their certificates.
    #[command(subcommand, after_help = IDENTITIES_EXAMPLES)]
    Identities(Identities),
    /// The mail that the gateway has taken charge of (queue mode).
    #[command(subcommand, after_help = queue::EXAMPLES)]
    Queue(queue::Queue),
    /// Say where mail for an address would go, and with which TLS; nothing is sent.
    #[command(after_help = ROUTE_EXAMPLES)]
    Route(route::Route),
    /// Who may log in to send mail (SMTP AUTH).
    #[command(subcommand, after_help = USER_EXAMPLES)]
    User(user::User),
    /// The keys with which domains sign their mail (DKIM).
    #[command(subcommand, after_help = DKIM_EXAMPLES)]
    Dkim(dkim::Dkim),
    /// The key that seals the keys of mailboxes and domains.
    #[command(subcommand, after_help = KEYS_EXAMPLES)]
    Keys(keys::Keys),
    /// Who may use the HTTP API.
    #[command(subcommand, after_help = TOKEN_EXAMPLES)]
    Token(token::Token),
    /// Whose certificates mail is encrypted to.
    #[command(subcommand, after_help = CERTIFICATES_EXAMPLES)]
    Certificates(certificate::Certificates),
    /// Sign the message on standard input to standard output, as the relay would.
    #[command(after_help = SIGN_EXAMPLES)]
    Sign(message::Sign),
    /// Say what would be done with a message, recipient by recipient, and why; nothing is sent or ordered.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(message::Explain),
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group(ArgGroup::new("scope").multiple(true)))]
pub struct Init {
    #[command(flatten)]
    data: Data,
    /// The full name of this machine, as other mail servers know it.
    #[arg(long, value_name = "NAME")]
    hostname: String,
    /// The mail server that gets the signed mail; `mx` for those of each recipient's domain.
    #[arg(long, value_name = "HOST:PORT")]
    next_hop: String,
    /// Whether the connection to it is encrypted: never, opportunistic, required or implicit.
    #[arg(long, value_name = "POLICY", default_value = "opportunistic")]
    next_hop_tls: String,
    /// The API of the certificate authority.
    #[arg(long, value_name = "URL")]
    ca: String,
    /// PEM of the root of its TLS certificate, if the system does not trust it.
    #[arg(long, value_name = "FILE")]
    ca_trust: Option<PathBuf>,
    /// A file with the token of the gateway's account at the CA, readable by nobody else.
    #[arg(long, value_name = "FILE", requires = "scope")]
    token_file: Option<PathBuf>,
    /// A domain whose mail is signed; may be given several times.
    #[arg(long, value_name = "DOMAIN", group = "scope")]
    domain: Vec<String>,
    /// A mailbox whose mail is signed; may be given several times.
    #[arg(long, value_name = "ADDRESS", group = "scope")]
    mailbox: Vec<String>,
    /// A network that may send mail; may be given several times.
    #[arg(long, value_name = "NETWORK", default_values = ["127.0.0.0/8", "::1/128"])]
    network: Vec<String>,
    /// Where mail is taken in.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:2525")]
    listen: String,
    /// What the keys of mailboxes are: rsa2048, which every reader can verify, rsa3072, rsa4096, p256 or p384.
    #[arg(long, value_name = "ALGORITHM", default_value = "rsa2048")]
    key_algorithm: String,
}

#[derive(Debug, Subcommand)]
pub enum Identities {
    /// List every identity there is or was.
    List(Data),
    /// Get a certificate for a mailbox now, before its first mail.
    Enrol {
        #[command(flatten)]
        data: Data,
        /// The mailbox.
        #[arg(value_name = "ADDRESS")]
        mailbox: String,
    },
}

#[derive(Debug, Args)]
pub struct Data {
    /// The folder with everything the gateway keeps.
    #[arg(long = "data", value_name = "DIR", env = "SEALWRIGHT_GATEWAY_DATA")]
    folder: PathBuf,
    /// Write JSON for programs instead of text for people.
    #[arg(long)]
    json: bool,
}

/// Runs a command and says on standard error why it failed.
pub fn run(command: Command, clock: Arc<dyn Clock>) -> ExitCode {
    ::keys::tls::install_default_provider();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let done = runtime.block_on(async {
        match command {
            Command::Init(options) => initialize(&options),
            Command::Serve(data) => serve(&data, clock).await,
            Command::Queue(command) => queue::run(&command, clock).await,
            Command::User(command) => user::run(&command),
            Command::Route(command) => route::run(&command, clock).await,
            Command::Keys(command) => keys::run(&command),
            Command::Dkim(command) => dkim::run(&command),
            Command::Token(command) => token::run(&command, clock).await,
            Command::Certificates(command) => certificate::run(&command, clock).await,
            Command::Sign(options) => message::sign(&options, clock).await,
            Command::Explain(options) => message::explain(&options, clock).await,
            Command::Identities(Identities::List(data)) => list(&data, clock).await,
            Command::Identities(Identities::Enrol { data, mailbox }) => enrol(&data, &mailbox, clock).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn fail(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    match error.downcast_ref() {
        // What was typed or written is to blame, not what was done with it.
        Some(Error::Configuration { .. } | Error::NotInitialized { .. }) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

fn initialize(options: &Init) -> Result<(), Failure> {
    let config = init::create(&options.data.folder, &configuration(options)?)?;
    let file = config.folder.join(Config::FILE_NAME);
    if options.data.json {
        println!("{}", json!({ "data": config.folder, "configuration": file }));
    } else {
        println!("The gateway is ready in {}.", config.folder.display());
        println!("Look through {}, then start it:", file.display());
        println!("  sealwright gateway serve --data {}", config.folder.display());
    }
    Ok(())
}

async fn serve(data: &Data, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let gateway = Gateway::open(&data.folder, GatewayParts::production(clock)).await?;
    let next_hop = gateway.config().next_hop.clone();
    let running = Server::serve(gateway).await?;
    if data.json {
        let milter = running.milter().map(ToString::to_string);
        let doors: Vec<String> = running.doors().iter().map(ToString::to_string).collect();
        let metrics = running.metrics().map(|address| address.to_string());
        println!(
            "{}",
            json!({ "smtp": running.smtp_addr().to_string(), "doors": doors, "milter": milter, "metrics": metrics })
        );
    } else {
        println!(
            "Taking in mail on {}, passing it on to {}. Stop with Ctrl-C.",
            running.smtp_addr(),
            next_hop.way
        );
        for door in running.doors().iter().skip(1) {
            println!("Taking in mail on {door} too.");
        }
        if let Some(metrics) = running.metrics() {
            println!("Figures for Prometheus: http://{metrics}/metrics");
        }
        if let Some(milter) = running.milter() {
            println!("Signing for a mail server as the milter {milter}.");
        }
    }
    stop_requested().await?;
    running.shutdown().await;
    Ok(())
}

async fn list(data: &Data, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let gateway = Gateway::open(&data.folder, GatewayParts::production(clock)).await?;
    let identities = gateway.list_identities().await?;
    if data.json {
        println!("{}", serde_json::to_string_pretty(&identities)?);
        return Ok(());
    }
    if identities.is_empty() {
        println!("There is no identity yet. A mailbox gets one with its first mail, or now:");
        println!(
            "  sealwright gateway identities enrol --data {} ADDRESS",
            data.folder.display()
        );
        return Ok(());
    }
    let width = identities
        .iter()
        .map(|identity| identity.mailbox.chars().count())
        .max()
        .unwrap_or(0)
        .max("MAILBOX".len());
    println!(
        "{:width$}  {:8}  {:4}  {:20}  SERIAL OR REASON",
        "MAILBOX", "STATE", "TIER", "ENDS"
    );
    for identity in identities {
        let state = if identity.state == "valid" && !identity.usable {
            "expired"
        } else {
            &identity.state
        };
        let remark = identity.problem.or(identity.serial).unwrap_or_default();
        println!(
            "{:width$}  {state:8}  {:4}  {:20}  {remark}",
            identity.mailbox,
            identity.tier.unwrap_or_default(),
            identity.not_after.unwrap_or_default()
        );
    }
    Ok(())
}

async fn enrol(data: &Data, mailbox: &str, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let mailbox = Mailbox::parse(mailbox)?;
    let gateway = Gateway::open(&data.folder, GatewayParts::production(clock)).await?;
    let identity = gateway
        .enroller()
        .identity(&mailbox)
        .await
        .map_err(|error: EnrolError| Box::new(error) as Failure)?;
    let (tier, serial, ends) = (
        identity.tier().to_string(),
        identity.serial(),
        identity.not_after().to_string(),
    );
    if data.json {
        println!(
            "{}",
            json!({ "mailbox": mailbox.to_string(), "tier": tier, "serial": serial, "not_after": ends })
        );
    } else {
        println!("{mailbox} is signed for as {tier} until {ends} (serial {serial}).");
    }
    Ok(())
}

/// Ctrl-C, or SIGTERM from a service manager.
async fn stop_requested() -> Result<(), Failure> {
    #[cfg(unix)]
    {
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            stopped = tokio::signal::ctrl_c() => stopped?,
            _ = terminated.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// The text of `gateway.toml` for these options, with a comment on every key.
fn configuration(options: &Init) -> Result<String, Error> {
    let mut text = String::from("# The signing gateway. Relative paths start at the folder of this file.\n\n");
    let mut say = |comment: &str, line: String| {
        if !comment.is_empty() {
            // Writing into a String does not fail.
            let _ = writeln!(text, "# {comment}");
        }
        let _ = writeln!(text, "{line}");
    };
    let string = |value: &str| toml::Value::String(value.to_owned()).to_string();
    let list = |values: &[String]| toml::Value::from(values.to_vec()).to_string();
    say(
        "The full name of this machine, as other mail servers know it.",
        format!("hostname = {}", string(&options.hostname)),
    );
    say(
        "Where mail is taken in.",
        format!("listen = {}", string(&options.listen)),
    );
    say(
        "sqlite:PATH or postgres://USER@HOST/NAME",
        "database = \"sqlite:gateway.sqlite\"\n".to_owned(),
    );
    say(
        "Who gets the signed mail; tls is never, opportunistic, required or implicit.",
        "[next_hop]".to_owned(),
    );
    say(
        "",
        format!(
            "{}\ntls = {}\n",
            match options.next_hop.as_str() {
                "mx" => "mx = true".to_owned(),
                address => format!("address = {}", string(address)),
            },
            string(&options.next_hop_tls)
        ),
    );
    say("Who issues the certificates.", "[ca]".to_owned());
    say("", format!("url = {}", string(&options.ca)));
    if let Some(trust) = &options.ca_trust {
        say(
            "Vouches for its TLS certificate.",
            format!("trust_file = {}", string(&absolute(trust)?)),
        );
    }
    say("", String::new());
    let mut may_sign_for = options.domain.clone();
    may_sign_for.extend_from_slice(&options.mailbox);
    if let Some(token_file) = &options.token_file {
        say("Which token gets certificates for whom.", "[[account]]".to_owned());
        say(
            "",
            format!(
                "token_file = {}\ndomains = {}\nmailboxes = {}\n",
                string(&absolute(token_file)?),
                list(&options.domain),
                list(&options.mailbox)
            ),
        );
    }
    say(
        "Whose mail may be signed when it comes from these networks.",
        "[[sender]]".to_owned(),
    );
    say(
        "",
        format!(
            "networks = {}\nmay_sign_for = {}\n",
            list(&options.network),
            list(&may_sign_for)
        ),
    );
    say("What the keys of mailboxes are.", "[keys]".to_owned());
    say("", format!("algorithm = {}", string(&options.key_algorithm)));
    Ok(text)
}

fn absolute(path: &Path) -> Result<String, Error> {
    let absolute = std::path::absolute(path).map_err(|source| Error::File {
        action: "find",
        path: path.to_owned(),
        source,
    })?;
    Ok(absolute.display().to_string())
}

const INIT_EXAMPLES: &str = "\
Examples:
  sealwright gateway init --data gateway --hostname gateway.example.com \\
    --next-hop mail.example.com:25 --ca https://ca.example.com:8440 --ca-trust ca/tls.pem \\
    --token-file gateway.token --domain example.com --network 192.0.2.0/24";

const SERVE_EXAMPLES: &str = "\
Examples:
  sealwright gateway serve --data gateway
  SEALWRIGHT_GATEWAY_DATA=/var/lib/sealwright/gateway sealwright gateway serve --json";

const IDENTITIES_EXAMPLES: &str = "\
Examples:
  sealwright gateway identities list --data gateway
  sealwright gateway identities list --data gateway --json
  sealwright gateway identities enrol --data gateway alice@example.com";

const ROUTE_EXAMPLES: &str = "\
Examples:
  sealwright gateway route --data gateway bob@example.net
  sealwright gateway route --data gateway bob@example.net --json

The exit status is 1 when there is no way now.";

const USER_EXAMPLES: &str = "\
Examples:
  sealwright gateway user add --data gateway --may-sign-for alice@example.com alice < password.txt
  sealwright gateway user list --data gateway
  sealwright gateway user remove --data gateway alice";

const DKIM_EXAMPLES: &str = "\
Examples:
  sealwright gateway dkim add --data gateway example.com
  sealwright gateway dkim add --data gateway --selector s2027 example.com
  sealwright gateway dkim add --data gateway --selector s2027-ed --algorithm ed25519 example.com
  sealwright gateway dkim show --data gateway example.com --json";

const KEYS_EXAMPLES: &str = "\
Examples:
  sealwright gateway keys rotate --data gateway
  sealwright gateway keys rotate --data gateway --json";

const TOKEN_EXAMPLES: &str = "\
Examples:
  sealwright gateway token add --data gateway --may-sign-for statements@example.com \"core banking\"
  sealwright gateway token list --data gateway
  sealwright gateway token revoke --data gateway 0123456789abcdef";

const CERTIFICATES_EXAMPLES: &str = "\
Examples:
  sealwright gateway certificates find --data gateway bob@example.net
  sealwright gateway certificates list --data gateway --state offered
  sealwright gateway certificates add --data gateway bob.pem
  sealwright gateway certificates approve --data gateway bob@example.net 3b5d…";

const SIGN_EXAMPLES: &str = "\
Examples:
  sealwright gateway sign --data gateway < letter.eml > signed.eml
  sealwright gateway sign --data gateway --client 192.0.2.9 --to bob@example.net < letter.eml";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  sealwright gateway explain --data gateway letter.eml
  sealwright gateway explain --data gateway --json --to bob@example.net --to eve@example.org letter.eml";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn the_written_configuration_is_read_back() {
        let arguments = [
            "gateway",
            "init",
            "--data",
            "d",
            "--hostname",
            "gw.example.com",
            "--next-hop",
            "[::1]:25",
            "--ca",
            "https://ca.example.com",
            "--ca-trust",
            "a \"b\".pem",
            "--token-file",
            "/t",
            "--domain",
            "example.com",
            "--mailbox",
            "bob@example.org",
            "--network",
            "192.0.2.0/24",
            "--key-algorithm",
            "p256",
        ];
        let Command::Init(options) = Cli::try_parse_from(arguments).unwrap().command else {
            panic!("init was asked for")
        };
        let config = Config::parse(Path::new("/data"), &configuration(&options).unwrap()).unwrap();
        assert_eq!(config.next_hop.way.to_string(), "[::1]:25");
        assert!(
            config
                .certificate_authority
                .trust_file
                .as_ref()
                .unwrap()
                .ends_with("a \"b\".pem")
        );
        assert_eq!(config.accounts[0].covers.len(), 2);
        let may_sign_for = config.authorized_from("192.0.2.9".parse().unwrap()).unwrap();
        assert_eq!(
            may_sign_for,
            ["example.com", "bob@example.org"].map(|text| text.parse().unwrap())
        );
        assert_eq!(config.keys.algorithm, ::keys::KeyAlgorithm::P256);
    }

    #[test]
    fn mistakes_are_told_before_anything_is_made() {
        for arguments in [
            vec!["gateway", "init", "--data", "d"],
            vec![
                "gateway",
                "init",
                "--data",
                "d",
                "--hostname",
                "h",
                "--next-hop",
                "h:25",
                "--ca",
                "https://c",
                "--token-file",
                "t",
            ],
            vec!["gateway", "identities"],
            vec!["gateway", "sign", "--client", "somewhere"],
            vec!["gateway", "explain"],
        ] {
            assert!(Cli::try_parse_from(&arguments).is_err(), "{arguments:?}");
        }
        let parsed = Cli::try_parse_from([
            "gateway",
            "init",
            "--data",
            "d",
            "--hostname",
            "h",
            "--next-hop",
            "h:25",
            "--ca",
            "https://c",
            "--network",
            "nowhere",
        ])
        .unwrap();
        let Command::Init(options) = parsed.command else {
            panic!("init was asked for")
        };
        let folder = tempfile::tempdir().unwrap();
        let error = init::create(&folder.path().join("d"), &configuration(&options).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Configuration { .. }));
    }
}
