//! The certificate authority, the gateway and the mail sink of a quickstart, on free loopback ports.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dns::LocalAnswerer;
use keys::tls::Trust;
use policies::organization::Country;
use policies::time::Clock;
use smtp::Reply;
use smtp::client::{Connection, MailFrom, RcptTo, Target, Timeouts, TlsPolicy};
use smtp::server::{Server, Settings};
use smtp::sink::Sink;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Problem;
use super::onboarding::Onboarded;

/// What everything else needs: the folder, the sink, the clock.
#[derive(Debug)]
pub(crate) struct Services {
    data: PathBuf,
    database: Option<String>,
    key: String,
    clock: Arc<dyn Clock>,
    sink: Sink,
    sink_address: SocketAddr,
    sink_task: Task,
    /// Without the Internet domains can be asked all the same: none of them has records, and that is proved.
    dns: LocalAnswerer,
}

impl Services {
    /// Starts the mail sink, which receives the challenges and later the signed mail.
    pub(crate) async fn begin(
        data: &Path,
        database: Option<&str>,
        key: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Problem> {
        let sink = Sink::new();
        let server = Server::bind("127.0.0.1:0", Settings::new("sink.localhost"), sink.clone()).await?;
        let sink_address = server.local_addr();
        let sink_task = Task::run(|stop| server.run(stop));
        let database = database.map(str::to_owned);
        let dns = LocalAnswerer::start().map_err(|source| Problem::NameServer { source })?;
        Ok(Self {
            data: data.to_owned(),
            database,
            key: key.to_owned(),
            clock,
            sink,
            sink_address,
            sink_task,
            dns,
        })
    }

    pub(crate) fn sink(&self) -> &Sink {
        &self.sink
    }

    pub(crate) fn sink_address(&self) -> SocketAddr {
        self.sink_address
    }

    /// The last message that was delivered to `recipient`.
    pub(crate) fn newest_mail_to(&self, recipient: &str) -> Option<Vec<u8>> {
        let messages = self.sink.messages();
        let newest = messages
            .iter()
            .rev()
            .find(|message| message.recipients.iter().any(|to| to.address == recipient))?;
        Some(newest.content.clone())
    }

    /// Makes the certificate authority and starts it.
    pub(crate) async fn start_authority(&self) -> Result<Authority, Problem> {
        let folder = self.data.join("ca");
        let country = Country::parse("SE").expect("SE is the code of a country");
        let mut options = ca::init::Options::new(&folder, "Quickstart Trust", country);
        options.listen = "127.0.0.1:0".to_owned();
        options.public_listen = "127.0.0.1:0".to_owned();
        // Certificates name the public address of an authority, never an internal one; here nobody follows it.
        options.public_url = "http://pki.example.com".to_owned();
        options.smtp = Some(self.sink_address.to_string());
        if let Some(database) = &self.database {
            options.database.clone_from(database);
        }
        let trust_anchor = self.data.join("dns-root.key");
        fs::write(&trust_anchor, self.dns.trust_anchor()).map_err(|source| Problem::Write {
            path: trust_anchor.clone(),
            source,
        })?;
        options.dns = Some(ca::config::Dns {
            servers: vec![self.dns.address()],
            trust_anchor: Some(trust_anchor),
        });
        let made = ca::init::init(&options, self.authority_parts()).await?;
        let operator_token_file = folder.join("operator.token");
        write_secret(&operator_token_file, made.operator_token.reveal())?;

        let app = ca::App::open(&folder, self.authority_parts()).await?;
        let root_der = app.issuers().root().certificate_der().to_vec();
        let issuers = app.issuers().all().map(|issuer| issuer.id().to_owned()).to_vec();
        let running = ca::server::Server::start(app).await?;
        let root_pem = folder.join("root.pem");
        let copy = self.data.join("root.pem");
        fs::copy(&root_pem, &copy).map_err(|source| Problem::Write { path: copy, source })?;
        Ok(Authority {
            api_url: running.api_url().to_owned(),
            public_url: running.public_url().to_owned(),
            tls_root_pem: running.tls_root_pem().to_owned(),
            operator_token: made.operator_token.reveal().to_owned(),
            operator_token_file,
            root_der,
            issuers,
            running,
        })
    }

    fn authority_parts(&self) -> ca::AppParts {
        ca::AppParts::production(Arc::clone(&self.clock))
    }

    /// Writes the configuration of a gateway for the accounts that were onboarded, and starts it.
    pub(crate) async fn start_gateway(
        &self,
        authority: &Authority,
        accounts: &[Onboarded],
    ) -> Result<Gateway, Problem> {
        let folder = self.data.join("gateway");
        let mut config = toml::Table::new();
        if let Some(database) = &self.database {
            config.insert("database".to_owned(), database.clone().into());
        }
        config.insert("listen".to_owned(), "127.0.0.1:0".into());
        config.insert("hostname".to_owned(), "gateway.localhost".into());
        config.insert(
            "next_hop".to_owned(),
            table([
                ("address", self.sink_address.to_string().into()),
                ("tls", "never".into()),
            ]),
        );
        config.insert(
            "ca".to_owned(),
            table([
                ("url", authority.api_url.clone().into()),
                ("trust_file", "ca-root.pem".into()),
            ]),
        );
        config.insert("keys".to_owned(), table([("algorithm", self.key.clone().into())]));
        let mut account_entries = Vec::new();
        let mut may_sign_for = Vec::new();
        for account in accounts {
            let token_file = format!("{}.token", account.name);
            account_entries.push(table([
                ("token_file", token_file.into()),
                ("domains", strings(&account.domains)),
                ("mailboxes", strings(&account.mailboxes)),
            ]));
            may_sign_for.extend(account.domains.iter().chain(&account.mailboxes).copied());
        }
        config.insert("account".to_owned(), account_entries.into());
        let sender = table([
            ("networks", strings(&["127.0.0.0/8"])),
            ("may_sign_for", strings(&may_sign_for)),
        ]);
        config.insert("sender".to_owned(), vec![sender].into());
        signer_service::init::create(&folder, &config.to_string())?;
        let trust_file = folder.join("ca-root.pem");
        fs::write(&trust_file, &authority.tls_root_pem).map_err(|source| Problem::Write {
            path: trust_file,
            source,
        })?;
        for account in accounts {
            write_secret(&folder.join(format!("{}.token", account.name)), &account.gateway_token)?;
        }

        let running = signer_service::server::Server::start(&folder, Arc::clone(&self.clock)).await?;
        let address = running.smtp_addr();
        let target = Target {
            host: address.ip().to_string(),
            port: address.port(),
            tls: TlsPolicy::Never,
        };
        let tls = keys::tls::client_config(Trust::Only(authority.tls_root_pem.as_bytes()))?;
        let connection = Connection::connect(&target, "quickstart.localhost", &tls, Timeouts::default()).await?;
        Ok(Gateway {
            address,
            connection,
            running,
        })
    }

    /// Stops the sink.
    pub(crate) async fn stop(self) {
        self.sink_task.stop().await;
    }
}

/// A running certificate authority and what its callers need to know of it.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) api_url: String,
    pub(crate) public_url: String,
    pub(crate) tls_root_pem: String,
    pub(crate) operator_token: String,
    pub(crate) operator_token_file: PathBuf,
    pub(crate) root_der: Vec<u8>,
    issuers: Vec<String>,
    running: ca::server::Running,
}

impl Authority {
    /// Fetches the CRL of every issuer as readers do, and keeps them in `data/crl`.
    pub(crate) async fn fetch_crls(&self, data: &Path) -> Result<Vec<PathBuf>, Problem> {
        let folder = data.join("crl");
        fs::create_dir(&folder).map_err(|source| Problem::Write {
            path: folder.clone(),
            source,
        })?;
        let browser = reqwest::Client::builder().no_proxy().build()?;
        let mut files = Vec::new();
        for issuer in &self.issuers {
            let url = format!("{}/crl/{issuer}.crl", self.public_url);
            let crl = browser.get(url).send().await?.error_for_status()?.bytes().await?;
            let path = folder.join(format!("{issuer}.crl"));
            fs::write(&path, crl).map_err(|source| Problem::Write {
                path: path.clone(),
                source,
            })?;
            files.push(path);
        }
        Ok(files)
    }

    pub(crate) async fn stop(self) {
        self.running.shutdown().await;
    }
}

/// A running gateway and one connection to it, kept for all mails as a mail server would.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    connection: Connection,
    running: signer_service::server::Running,
}

impl Gateway {
    /// Submits one mail; the inner error is the gateway's refusal.
    pub(crate) async fn submit(&mut self, from: &str, to: &str, mail: &[u8]) -> Result<Result<(), Reply>, Problem> {
        let delivery = self
            .connection
            .send(&MailFrom::new(from), &[RcptTo::new(to)], mail)
            .await?;
        let outcome = delivery.outcome(0);
        Ok(if outcome.is_positive() {
            Ok(())
        } else {
            Err(outcome.clone())
        })
    }

    pub(crate) async fn stop(self) {
        // A server that is gone needs no farewell.
        let _ = self.connection.quit().await;
        self.running.shutdown().await;
    }
}

/// A server in the background that can be asked to stop.
#[derive(Debug)]
struct Task {
    stop: oneshot::Sender<()>,
    handle: JoinHandle<()>,
}

impl Task {
    fn run<F: Future<Output = ()> + Send + 'static>(start: impl FnOnce(Stop) -> F) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self {
            stop,
            handle: tokio::spawn(start(Box::pin(async { drop(stopped.await) }))),
        }
    }

    async fn stop(self) {
        // The server may have ended by itself; then nobody listens, and the handle is ready at once.
        let _ = self.stop.send(());
        let _ = self.handle.await;
    }
}

type Stop = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn table<const N: usize>(entries: [(&str, toml::Value); N]) -> toml::Value {
    toml::Value::Table(
        entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

fn strings(values: &[&str]) -> toml::Value {
    values
        .iter()
        .map(|value| toml::Value::from(*value))
        .collect::<Vec<_>>()
        .into()
}

/// A file that only this user can read.
fn write_secret(path: &Path, secret: &str) -> Result<(), Problem> {
    let problem = |source| Problem::Write {
        path: path.to_owned(),
        source,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(problem)?;
    file.write_all(secret.as_bytes()).map_err(problem)
}
