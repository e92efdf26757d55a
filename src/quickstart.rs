//! `sealwright quickstart`: everything once, for real, on loopback.

mod mails;
mod onboarding;
mod progress;
mod report;
mod services;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use policies::time::Clock;
use verifier::{Material, Policy, Status, TrustStore, Vouches};

use mails::Mail;
use onboarding::{Onboarding, SENDERS};
use progress::Progress;
use report::{Delivered, Report};
use services::{Authority, Gateway, Services};

/// Arguments of `sealwright quickstart`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sealwright quickstart
  sealwright quickstart --data /tmp/try --mail letter.eml --mail invoice.eml
  sealwright quickstart --keep-running

Everything listens on loopback only, on ports that are free. The data folder keeps the certificate authority, the
gateway, the delivered mails (delivered/*.eml), the root certificate (root.pem) and the CRLs (crl/*.crl).
Exit status: 0 all mails were delivered and labelled with a tier, 1 something was refused or failed, 2 wrong usage.")]
pub(crate) struct Arguments {
    /// The folder to make; by default quickstart-data here, or quickstart-data-2 and so on when that exists
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A mail to send instead of the built-in set, from each of the four senders; may be repeated
    #[arg(long, value_name = "FILE")]
    mail: Vec<PathBuf>,
    /// The database of both services, such as postgres://user@host/name; by default SQLite files in the data folder
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// The algorithm of the senders' keys
    #[arg(long, value_name = "ALGORITHM", default_value = "p256", value_parser = ["p256", "p384", "rsa2048", "rsa3072", "rsa4096"])]
    key: String,
    /// Leave the services running afterwards, until Ctrl-C
    #[arg(long)]
    keep_running: bool,
}

/// Runs the story and prints what came of it.
pub(crate) fn run(arguments: Arguments, clock: Arc<dyn Clock>) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sealwright quickstart: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(story(&arguments, clock)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("sealwright quickstart: {problem}");
            let mut cause = std::error::Error::source(&problem);
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            if problem.is_usage() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// The whole walk; `true` when every mail arrived with a tier.
async fn story(arguments: &Arguments, clock: Arc<dyn Clock>) -> Result<bool, Problem> {
    let started = Instant::now();
    let templates = read_mails(&arguments.mail)?;
    let data = make_data_folder(arguments.data.as_deref())?;
    println!("Sealwright quickstart in {}", data.display());

    let progress = Progress::start();
    let services = Services::begin(&data, arguments.database.as_deref(), &arguments.key, Arc::clone(&clock)).await?;
    progress.step("Making a root CA (P-384) and an issuing CA (P-256), keys encrypted at rest");
    let authority = services.start_authority().await?;

    let onboarded = Onboarding::new(
        &authority.api_url,
        &authority.tls_root_pem,
        &authority.operator_token,
        services.sink(),
    )?
    .run(&progress)
    .await?;

    progress.step("Starting the gateway's relay");
    let mut gateway = services.start_gateway(&authority, &onboarded).await?;

    let now = clock.now();
    let submissions: Vec<(usize, Mail)> = SENDERS
        .iter()
        .enumerate()
        .flat_map(|(sender, who)| match &templates {
            None => mails::built_in(who.author, READER, now)
                .into_iter()
                .map(|mail| (sender, mail))
                .collect::<Vec<_>>(),
            Some(templates) => templates
                .iter()
                .map(|mail| {
                    (
                        sender,
                        Mail {
                            kind: mail.kind.clone(),
                            bytes: mails::written_by(&mail.bytes, who.author),
                        },
                    )
                })
                .collect(),
        })
        .collect();
    progress.many(
        "Sending mail of every kind from each sender, signing, delivering",
        submissions.len(),
    );
    let delivered = submit(&services, &mut gateway, submissions, &data, &progress).await?;

    progress.step("Verifying what arrived");
    let crls = authority.fetch_crls(&data).await?;
    let report = label(&authority, delivered, &crls, &*clock)?;
    progress.finish();

    report.print(&data, &crls, started.elapsed());
    if arguments.keep_running {
        print_addresses(&services, &authority, &gateway);
        tokio::signal::ctrl_c()
            .await
            .map_err(|source| Problem::Signal { source })?;
        println!("Stopping.");
    }
    gateway.stop().await;
    authority.stop().await;
    services.stop().await;
    Ok(report.is_good())
}

/// Submits each mail as a mail client would and keeps what the sink got.
async fn submit(
    services: &Services,
    gateway: &mut Gateway,
    submissions: Vec<(usize, Mail)>,
    data: &Path,
    progress: &Progress,
) -> Result<Vec<Delivered>, Problem> {
    let folder = data.join("delivered");
    fs::create_dir(&folder).map_err(|source| Problem::Write {
        path: folder.clone(),
        source,
    })?;
    let mut delivered = Vec::with_capacity(submissions.len());
    for (number, (sender, mail)) in submissions.into_iter().enumerate() {
        let who = &SENDERS[sender];
        let started = Instant::now();
        let outcome = gateway.submit(who.author.address, READER, &mail.bytes).await?;
        let took = started.elapsed();
        let file = match &outcome {
            Ok(()) => {
                let bytes = services
                    .newest_mail_to(READER)
                    .ok_or(Problem::Lost { number: number + 1 })?;
                let path = folder.join(format!("{:04}.eml", number + 1));
                fs::write(&path, bytes).map_err(|source| Problem::Write {
                    path: path.clone(),
                    source,
                })?;
                Ok(path)
            }
            Err(reply) => Err(reply.to_string()),
        };
        delivered.push(Delivered {
            sender: who,
            kind: mail.kind,
            file,
            took,
        });
        progress.advance();
    }
    Ok(delivered)
}

/// Verifies each delivered file against the root and the CRLs.
fn label(
    authority: &Authority,
    delivered: Vec<Delivered>,
    crls: &[PathBuf],
    clock: &dyn Clock,
) -> Result<Report, Problem> {
    let trust = TrustStore::new().add(&authority.root_der, Vouches::Tiers)?;
    let crls = crls
        .iter()
        .map(|path| {
            fs::read(path).map_err(|source| Problem::Read {
                path: path.clone(),
                source,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let material = Material {
        intermediates: Vec::new(),
        crls,
    };
    let mut report = Report::default();
    for mail in delivered {
        let Ok(path) = &mail.file else {
            report.refused(mail);
            continue;
        };
        let message = fs::read(path).map_err(|source| Problem::Read {
            path: path.clone(),
            source,
        })?;
        let started = Instant::now();
        let verdict = verifier::verify(&message, &trust, &material, clock.now(), &Policy::default());
        let verified_in = started.elapsed();
        debug_assert_eq!(verdict.status() == Status::Tier, verdict.tier().is_some());
        report.judged(mail, &verdict, verified_in);
    }
    Ok(report)
}

fn print_addresses(services: &Services, authority: &Authority, gateway: &Gateway) {
    println!();
    println!("The services are up; Ctrl-C stops them.");
    println!("  certificate authority, API       {}", authority.api_url);
    println!("  CRLs and certificates            {}", authority.public_url);
    println!("  gateway, SMTP                    {}", gateway.address);
    println!("  mail sink, SMTP                  {}", services.sink_address());
    println!(
        "  operator token                   {}",
        authority.operator_token_file.display()
    );
}

/// The `--mail` files; `None` when there are none and the built-in set is to be used.
fn read_mails(files: &[PathBuf]) -> Result<Option<Vec<Mail>>, Problem> {
    if files.is_empty() {
        return Ok(None);
    }
    let read = |path: &PathBuf| {
        let bytes = fs::read(path).map_err(|source| Problem::Read {
            path: path.clone(),
            source,
        })?;
        if bytes.len() > LARGEST_MAIL {
            return Err(Problem::MailTooLarge { path: path.clone() });
        }
        let kind = path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        );
        Ok(Mail { kind, bytes })
    };
    files.iter().map(read).collect::<Result<_, _>>().map(Some)
}

/// Makes the data folder; one that is there already is never written into.
fn make_data_folder(wanted: Option<&Path>) -> Result<PathBuf, Problem> {
    let make = |path: &Path| {
        fs::create_dir(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => Problem::DataExists { path: path.to_owned() },
            _ => Problem::Write {
                path: path.to_owned(),
                source,
            },
        })
    };
    let path = match wanted {
        // An empty folder is as good as a new one.
        Some(path) if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()) => path.to_owned(),
        Some(path) => {
            make(path)?;
            path.to_owned()
        }
        None => {
            let mut number = 1;
            loop {
                let path = PathBuf::from(if number == 1 {
                    "quickstart-data".to_owned()
                } else {
                    format!("quickstart-data-{number}")
                });
                match make(&path) {
                    Ok(()) => break path,
                    Err(Problem::DataExists { .. }) if number < MOST_DATA_FOLDERS => number += 1,
                    Err(problem) => return Err(problem),
                }
            }
        }
    };
    fs::canonicalize(&path).map_err(|source| Problem::Read { path, source })
}

/// What can go wrong, in one sentence each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum Problem {
    #[error("the folder {} exists and is not empty; give a new one with --data", path.display())]
    DataExists { path: PathBuf },
    #[error("cannot read {}; give the path of a readable file", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is larger than {LARGEST_MAIL} bytes, the most the gateway takes; send a smaller mail", path.display())]
    MailTooLarge { path: PathBuf },
    #[error("cannot write {}; choose another folder with --data", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("no challenge mail arrived for {address}; look at the log above")]
    NoMail {
        address: String,
        source: smtp::sink::NotArrived,
    },
    #[error("mail number {number} was accepted by the gateway and is not in the sink; this is a bug, please report it")]
    Lost { number: usize },
    #[error(
        "the challenge mail for {address} has no link and number that could be read; this is a bug, please report it"
    )]
    NoLink { address: String },
    #[error("looking at the page of the challenge for {address} confirmed it; this is a bug, please report it")]
    ConfirmedByLooking { address: String },
    #[error("the challenge for {address} is {state} after it was answered; look at the log above")]
    NotConfirmed { address: String, state: String },
    #[error("case {case} is {state} after every officer approved; look at its decisions with the API")]
    NotApproved { case: String, state: String },
    #[error("the certificate authority did not do what it was asked")]
    Authority(#[from] ca::Error),
    #[error("a call to the certificate authority failed")]
    Client(#[from] ca_api::ClientError),
    #[error("the gateway did not do what it was asked")]
    Gateway(#[from] signer_service::Error),
    #[error("a key or a TLS certificate could not be used")]
    Key(#[from] keys::KeyError),
    #[error("a page of the certificate authority could not be fetched")]
    Http(#[from] reqwest::Error),
    #[error("the local DNS server could not be started")]
    NameServer { source: io::Error },
    #[error("the mail sink could not be started")]
    Sink(#[from] smtp::server::ServerError),
    #[error("a mail could not be handed to the gateway")]
    Submission(#[from] smtp::client::ClientError),
    #[error("the root certificate cannot be used as a trust anchor")]
    Root(#[from] verifier::AnchorProblem),
    #[error("cannot wait for Ctrl-C")]
    Signal { source: io::Error },
}

impl Problem {
    /// Whether the command line is to blame.
    fn is_usage(&self) -> bool {
        matches!(self, Self::DataExists { .. } | Self::MailTooLarge { .. })
            || matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Who gets all the mail.
const READER: &str = "reader@recipient.example";
/// What the gateway takes by default.
const LARGEST_MAIL: usize = 50 << 20;
/// Enough tries for anybody; then a name is asked for.
const MOST_DATA_FOLDERS: u32 = 1000;
