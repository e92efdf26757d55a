//! `sealwright ca …`: everything that is done on the machine of the data folder.
//!
//! Results go to standard output, as aligned text or with `--json` as JSON; everything else goes to standard error.
//! Exit status: 0 done, 1 refused or failed, 2 usage or an unreadable input.

mod lint;
mod output;
mod plan;
mod roster;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use ca_api::{AccountKind, CertificateFilter, CertificateState, Role};
use clap::{Args, Subcommand};
use keys::pkcs11::Token;
use keys::{KeyAlgorithm, Pkcs11Settings};
use policies::mailbox::Mailbox;
use policies::organization::Country;
use policies::tier::Tier;
use policies::time::{Clock, Span};

use crate::accounts::{self, AccountId, Caller, NewPrincipal};
use crate::app::{App, AppParts};
use crate::doctor::Health;
use crate::error::{self, Error};
use crate::http::certificates_for_command_line as on_the_wire;
use crate::revocation::{self, Reason};
use crate::server::Server;
use crate::{audit, certificates, crl, doctor, init};

use output::{Format, Table};

/// The commands of the certificate authority.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new certificate authority: keys, root and issuing certificate, configuration
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitArguments),
    /// Serve the API, the confirmation pages, CRLs and certificates
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Data),
    /// List certificates
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArguments),
    /// Show one certificate, with its chain in PEM
    Show {
        /// The serial number in hexadecimal, as `list` prints it
        serial: String,
        #[command(flatten)]
        data: Data,
    },
    /// Revoke a certificate and publish a new CRL
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke {
        /// The serial number in hexadecimal, as `list` prints it
        serial: String,
        /// Why: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn
        #[arg(long)]
        reason: Reason,
        #[command(flatten)]
        data: Data,
    },
    /// Accounts: whom certificates are issued to
    #[command(subcommand)]
    Account(AccountCommand),
    /// Plans: what an account may have
    #[command(subcommand)]
    Plan(plan::Command),
    /// Rosters: the employees of an organization, from a CSV file
    #[command(subcommand)]
    Roster(roster::Command),
    /// Tokens: who may call the API
    #[command(subcommand)]
    Token(TokenCommand),
    /// The audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Publish a new CRL of each issuer now
    Crl(Data),
    /// Look at everything that has to work, and say what needs attention
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(Data),
    /// Check anybody's certificates against the S/MIME Baseline Requirements; needs no data folder
    #[command(after_help = LINT_EXAMPLES)]
    Lint(lint::LintArguments),
}

/// Which certificate authority, and how to answer.
#[derive(Debug, Clone, Args)]
pub struct Data {
    /// The folder that `sealwright ca init` has made
    #[arg(long, value_name = "DIR", env = "SEALWRIGHT_CA_DATA")]
    data: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct InitArguments {
    #[command(flatten)]
    data: Data,
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
}

#[derive(Debug, Args)]
pub struct ListArguments {
    #[command(flatten)]
    data: Data,
    /// Only those for this address
    #[arg(long)]
    mailbox: Option<Mailbox>,
    /// Only those in this state: recorded, valid, expired, revoked or abandoned
    #[arg(long)]
    state: Option<CertificateState>,
    /// Only those of this tier: V1, V2, V3 or V4
    #[arg(long)]
    tier: Option<Tier>,
    /// Only those of this account
    #[arg(long)]
    account: Option<String>,
    /// Answer in CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Create an account
    #[command(after_help = ACCOUNT_EXAMPLES)]
    Create {
        /// What people call it
        #[arg(long)]
        name: String,
        /// individual or organization
        #[arg(long, default_value = "organization")]
        kind: AccountKind,
        #[command(flatten)]
        data: Data,
    },
    /// List the accounts
    List(Data),
    /// Revoke every certificate that an account has, and publish one CRL
    #[command(after_help = REVOKE_ALL_EXAMPLES)]
    RevokeAll {
        /// The identifier of the account
        account: String,
        /// Why: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn
        #[arg(long)]
        reason: Reason,
        /// Only list what would be revoked
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Create a principal with a token, which is printed this once
    #[command(after_help = TOKEN_EXAMPLES)]
    Create {
        /// operator, officer, subscriber or gateway
        #[arg(long)]
        role: Role,
        /// Who it is, as the audit log will say it
        #[arg(long)]
        name: String,
        /// The identifier of its account; subscribers and gateways need one
        #[arg(long)]
        account: Option<String>,
        /// After how many days the token ends; without it, never
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3650))]
        expires_in_days: Option<u16>,
        #[command(flatten)]
        data: Data,
    },
    /// Revoke every token of a principal
    Revoke {
        /// The identifier of the principal
        principal: String,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check every row and every signed checkpoint of the log
    Verify(Data),
}

/// Runs a command to its end and says how it went.
pub fn run(command: Command, clock: Arc<dyn Clock>) -> ExitCode {
    let command = match command {
        Command::Lint(arguments) => return run_lint(&arguments, &*clock),
        command => command,
    };
    let json = command.data().is_some_and(|data| data.json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the program cannot start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(execute(command, clock)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure.to_string(), json);
            failure.exit_code()
        }
    }
}

enum Failure {
    Authority(Error),
    Output(io::Error),
    /// The doctor found so much broken.
    Broken(usize),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Authority(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Authority(error) => f.write_str(&error::chain(error)),
            Self::Broken(broken) => write!(f, "broken: {broken}; see above"),
            Self::Output(error) => write!(f, "the output could not be written: {error}"),
        }
    }
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Authority(
                Error::InvalidInput { .. } | Error::Configuration { .. } | Error::NotInitialized { .. },
            ) => ExitCode::from(2),
            Self::Authority(_) | Self::Output(_) | Self::Broken(_) => ExitCode::FAILURE,
        }
    }
}

impl Command {
    /// `None` for a command that needs no data folder.
    fn data(&self) -> Option<&Data> {
        Some(match self {
            Self::Lint(_) => return None,
            Self::Init(arguments) => &arguments.data,
            Self::List(arguments) => &arguments.data,
            Self::Plan(command) => command.data(),
            Self::Roster(command) => command.data(),
            Self::Serve(data)
            | Self::Crl(data)
            | Self::Doctor(data)
            | Self::Show { data, .. }
            | Self::Revoke { data, .. }
            | Self::Account(
                AccountCommand::Create { data, .. }
                | AccountCommand::List(data)
                | AccountCommand::RevokeAll { data, .. },
            )
            | Self::Token(TokenCommand::Create { data, .. } | TokenCommand::Revoke { data, .. })
            | Self::Audit(AuditCommand::Verify(data)) => data,
        })
    }
}

async fn execute(command: Command, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let Some(data) = command.data() else {
        // Those without a data folder were run before there was a runtime.
        return Ok(());
    };
    let format = Format::new(data.json);
    let parts = AppParts::production(clock);
    if let Command::Init(arguments) = command {
        return initialize(arguments, parts, format).await;
    }
    let app = App::open(&data.data, parts).await?;
    let local = accounts::local_operator();
    let operator = local.as_operator("run commands")?;
    match command {
        // Handled above, where there is no authority yet.
        Command::Init(_) | Command::Lint(_) => Ok(()),
        Command::Serve(_) => serve(app, format).await,
        Command::List(arguments) => list(&app, arguments, format).await,
        Command::Show { serial, .. } => {
            let certificate = certificates::find(&app, &local, &serial).await?;
            output::certificate(format, &on_the_wire::with_chain(&app, certificate)?)?;
            Ok(())
        }
        Command::Revoke { serial, reason, .. } => {
            let certificate = revocation::revoke(&app, &local, &serial, reason).await?;
            let certificate = on_the_wire::with_chain(&app, certificate)?;
            match format {
                Format::Json => output::json(&certificate)?,
                Format::Text => writeln!(
                    io::stdout(),
                    "Revoked {serial} ({}) for the reason {}.",
                    certificate.mailbox,
                    certificate.revocation_reason.as_deref().unwrap_or("unspecified"),
                )?,
            }
            Ok(())
        }
        Command::Account(AccountCommand::Create { name, kind, .. }) => {
            let account = accounts::create_account(&app, operator, &name, kind).await?;
            output::accounts(format, &[account])?;
            Ok(())
        }
        Command::Account(AccountCommand::List(_)) => {
            output::accounts(format, &accounts::list_accounts(&app, operator).await?)?;
            Ok(())
        }
        Command::Account(AccountCommand::RevokeAll {
            account,
            reason,
            dry_run,
            ..
        }) => {
            let account = accounts::find_account(&app, &account).await?;
            revoke_all(&app, &local, &account.id, reason, dry_run, format).await
        }
        Command::Token(TokenCommand::Create {
            role,
            name,
            account,
            expires_in_days,
            ..
        }) => {
            let expires_at = expires_in_days.map(|days| app.now().plus(Span::days(i64::from(days))));
            let new = NewPrincipal {
                name,
                role,
                account,
                expires_at,
            };
            let (principal, token) = accounts::create_principal(&app, operator, new).await?;
            match format {
                Format::Json => output::json(&serde_json::json!({
                    "principal": principal.id.as_ref(),
                    "role": principal.role,
                    "account": principal.account.as_ref().map(AsRef::as_ref),
                    "token": token.reveal(),
                }))?,
                Format::Text => {
                    // The token alone goes to standard output, so that it can be redirected into a file.
                    eprintln!(
                        "Created {} {} ({}). Its token, shown this once:",
                        principal.role, principal.id, principal.name
                    );
                    writeln!(io::stdout(), "{}", token.reveal())?;
                }
            }
            Ok(())
        }
        Command::Token(TokenCommand::Revoke { principal, .. }) => {
            let revoked = accounts::revoke_tokens(&app, operator, &principal).await?;
            match format {
                Format::Json => output::json(&serde_json::json!({ "principal": principal, "revoked": revoked }))?,
                Format::Text => writeln!(
                    io::stdout(),
                    "Revoked {} of {principal}.",
                    counted(u64::try_from(revoked).unwrap_or(u64::MAX), "token")
                )?,
            }
            Ok(())
        }
        Command::Plan(command) => plan::run(&app, &local, command, format).await,
        Command::Roster(command) => roster::run(&app, &local, command, format).await,
        Command::Audit(AuditCommand::Verify(_)) => {
            progress("Checking the audit log …");
            let verified = audit::verify(&app).await?;
            match format {
                Format::Json => output::json(&serde_json::json!({
                    "rows": verified.rows,
                    "checkpoints": verified.checkpoints,
                    "signed_up_to": verified.signed_up_to,
                }))?,
                Format::Text => writeln!(
                    io::stdout(),
                    "The audit log is whole: {} rows, signed up to row {} ({}).",
                    verified.rows,
                    verified.signed_up_to,
                    counted(verified.checkpoints, "checkpoint"),
                )?,
            }
            Ok(())
        }
        Command::Doctor(_) => {
            let checks = doctor::examine(&app).await;
            output::checks(format, &checks)?;
            match checks.iter().filter(|check| check.health == Health::Broken).count() {
                0 => Ok(()),
                broken => Err(Failure::Broken(broken)),
            }
        }
        Command::Crl(_) => publish_crls(&app, format).await,
    }
}

fn run_lint(arguments: &lint::LintArguments, clock: &dyn Clock) -> ExitCode {
    match lint::run(arguments, Format::new(arguments.json), clock.now()) {
        Ok(lint::Outcome::Clean) => ExitCode::SUCCESS,
        Ok(lint::Outcome::Errors) => ExitCode::FAILURE,
        Err(lint::LintError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            report(&error.to_string(), arguments.json);
            ExitCode::from(2)
        }
    }
}

/// Says on standard error why a command failed.
fn report(text: &str, json: bool) {
    if json {
        eprintln!("{}", serde_json::json!({ "error": text }));
    } else {
        eprintln!("error: {text}");
    }
}

async fn initialize(arguments: InitArguments, parts: AppParts, format: Format) -> Result<(), Failure> {
    let mut options = init::Options::new(&arguments.data.data, &arguments.organization, arguments.country);
    options.root_key = arguments.root_key;
    options.issuing_key = arguments.issuing_key;
    options.smtp = arguments.smtp;
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

async fn serve(app: Arc<App>, format: Format) -> Result<(), Failure> {
    let folder = app.config().folder.clone();
    let has_mail = app.config().mail.smtp.is_some();
    let self_made_tls = app.config().tls.is_none();
    let running = Server::start(app).await?;
    let trust = folder.join("tls.pem");
    match format {
        Format::Json => output::json(&serde_json::json!({
            "api": running.api_url(),
            "public": running.public_url(),
            "tls_root": self_made_tls.then_some(&trust),
        }))?,
        Format::Text => {
            let mut table = Table::new(&[]);
            table.row(["API".to_owned(), running.api_url().to_owned()]);
            if self_made_tls {
                table.row(["  trust".to_owned(), trust.display().to_string()]);
            }
            table.row(["CRLs and certificates".to_owned(), running.public_url().to_owned()]);
            table.print()?;
            if !has_mail {
                eprintln!(
                    "note: without [mail] smtp in {}/ca.toml no challenge can be sent",
                    folder.display()
                );
            }
            eprintln!("Stop with Ctrl-C.");
        }
    }
    stop_signal().await?;
    eprintln!("Stopping: letting requests finish …");
    running.shutdown().await;
    Ok(())
}

/// Ctrl-C, or what a service manager sends.
async fn stop_signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

async fn list(app: &App, arguments: ListArguments, format: Format) -> Result<(), Failure> {
    let local = accounts::local_operator();
    let mut filter = CertificateFilter {
        mailbox: arguments.mailbox,
        state: arguments.state,
        tier: arguments.tier,
        account: arguments.account,
        cursor: None,
    };
    let mut found = Vec::new();
    loop {
        let page = on_the_wire::page(app, &local, filter.clone()).await?;
        found.extend(page.certificates);
        match page.next_cursor {
            Some(cursor) => filter.cursor = Some(cursor),
            None => break,
        }
    }
    match arguments.csv {
        true => output::certificates_as_csv(&found)?,
        false => output::certificates(format, &found)?,
    }
    Ok(())
}

async fn revoke_all(
    app: &Arc<App>,
    local: &Caller,
    account: &AccountId,
    reason: Reason,
    dry_run: bool,
    format: Format,
) -> Result<(), Failure> {
    let serials = match dry_run {
        true => revocation::revocable(app, local, account).await?,
        false => {
            let report = |done: usize, all: usize| {
                if done.is_multiple_of(PROGRESS_STEP) {
                    progress(&format!("Revoked {done} of {all} …"));
                }
            };
            revocation::revoke_all(app, local, account, reason, report).await?
        }
    };
    let count = u64::try_from(serials.len()).unwrap_or(u64::MAX);
    match format {
        Format::Json => output::json(&serde_json::json!({
            "account": account.as_ref(),
            "reason": reason.as_ref(),
            "dry_run": dry_run,
            "serials": serials,
        }))?,
        Format::Text => {
            let mut stdout = io::stdout().lock();
            for serial in &serials {
                writeln!(stdout, "{serial}")?;
            }
            let did = if dry_run { "Would revoke" } else { "Revoked" };
            writeln!(stdout, "{did} {} of {account}.", counted(count, "certificate"))?;
        }
    }
    Ok(())
}

async fn publish_crls(app: &App, format: Format) -> Result<(), Failure> {
    let mut published = Vec::new();
    for issuer in app.issuers().all() {
        let crl = crl::publish(app, issuer).await?;
        published.push((issuer.id().to_owned(), crl));
    }
    match format {
        Format::Json => {
            let crls: Vec<_> = published
                .iter()
                .map(|(issuer, crl)| {
                    serde_json::json!({
                        "issuer": issuer,
                        "number": crl.number,
                        "this_update": crl.this_update.to_string(),
                        "next_update": crl.next_update.to_string(),
                    })
                })
                .collect();
            output::json(&crls)?;
        }
        Format::Text => {
            let mut table = Table::new(&["ISSUER", "NUMBER", "THIS UPDATE", "NEXT UPDATE"]);
            for (issuer, crl) in published {
                table.row([
                    issuer,
                    crl.number.to_string(),
                    crl.this_update.to_string(),
                    crl.next_update.to_string(),
                ]);
            }
            table.print()?;
        }
    }
    Ok(())
}

/// "1 token", "2 tokens".
fn counted(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        several => format!("{several} {what}s"),
    }
}

/// What takes a while says so, to people only.
fn progress(what: &str) {
    if io::stderr().is_terminal() {
        eprintln!("{what}");
    }
}

const INIT_EXAMPLES: &str = "\
Examples:
  sealwright ca init --data ca
  sealwright ca init --data ca --organization \"Example Trust AB\" --country SE --public-url http://pki.example.com
  sealwright ca init --data ca --root-key rsa4096 --issuing-key rsa4096 --smtp mail.example.com:25
  sealwright ca init --data ca --pkcs11-module /usr/lib/softhsm/libsofthsm2.so --pkcs11-token sealwright \\
      --pkcs11-pin-file token.pin";
const SERVE_EXAMPLES: &str = "\
Examples:
  sealwright ca serve --data ca
  curl --cacert ca/tls.pem -H \"Authorization: Bearer $TOKEN\" https://127.0.0.1:8440/v1/whoami";
const LIST_EXAMPLES: &str = "\
Examples:
  sealwright ca list --data ca
  sealwright ca list --data ca --mailbox alice@example.com --state valid --json
  sealwright ca list --data ca --account acc-… --tier V4 --csv > certificates.csv";
const REVOKE_EXAMPLES: &str = "\
Examples:
  sealwright ca revoke --data ca 4f1c… --reason keyCompromise";
const DOCTOR_EXAMPLES: &str = "\
Examples:
  sealwright ca doctor --data ca
  sealwright ca doctor --data ca --json | jq '.[] | select(.health != \"good\")'

Exit status: 0 nothing is broken, 1 something is";
const LINT_EXAMPLES: &str = "\
Examples:
  sealwright ca lint alice.pem
  sealwright ca lint --json chain.pem issuing.cer | jq '.[].findings'

Exit status: 0 no errors, 1 errors, 2 a file that holds no certificate";
const ACCOUNT_EXAMPLES: &str = "\
Examples:
  sealwright ca account create --data ca --name \"Example AB\"
  sealwright ca account create --data ca --name \"Alice Example\" --kind individual";
const REVOKE_ALL_EXAMPLES: &str = "\
Examples:
  sealwright ca account revoke-all --data ca acc-… --reason cessationOfOperation --dry-run
  sealwright ca account revoke-all --data ca acc-… --reason cessationOfOperation";
const PROGRESS_STEP: usize = 100;
const TOKEN_EXAMPLES: &str = "\
Examples:
  sealwright ca token create --data ca --role officer --name \"Olga Officer\"
  sealwright ca token create --data ca --role gateway --name relay-1 --account acc-… > relay-1.token";

#[cfg(test)]
mod tests;
