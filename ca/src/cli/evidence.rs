//! `sealwright ca evidence` and `check-evidence`: why a certificate was issued.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{self, Format};
use super::{Data, Failure, progress};
use crate::accounts::Caller;
use crate::app::App;
use crate::audit::AuditPublicKey;
use crate::error::Error;
use crate::evidence_pack::{self, Documents, Pack};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The serial number in hexadecimal, as `list` prints it
    serial: String,
    #[command(flatten)]
    pub(super) data: Data,
    /// Where to write the archive; the default is SERIAL.evidence.zip in the present folder
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Include the documents of the cases, such as copies of identity papers
    #[arg(long)]
    with_documents: bool,
}

#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The archive
    file: PathBuf,
    /// The public key of the audit log in PEM, as the authority publishes it: without it the key in the archive is used
    #[arg(long, value_name = "FILE")]
    audit_key: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(app: &App, local: &Caller, arguments: Arguments, format: Format) -> Result<(), Failure> {
    let documents = match arguments.with_documents {
        true => Documents::Include,
        false => Documents::NameOnly,
    };
    let path = arguments
        .out
        .unwrap_or_else(|| PathBuf::from(format!("{}.evidence.zip", arguments.serial)));
    let operator = local.as_operator("read all evidence")?;
    progress("Reading the audit log …");
    let pack = evidence_pack::collect(app, operator, &arguments.serial, documents).await?;
    // Made only now: a serial that does not exist leaves no file behind.
    let file = create(&path)?;
    pack.write(BufWriter::new(file))?;
    let files = pack.names().count();
    match format {
        Format::Json => output::json(&serde_json::json!({ "file": path, "files": files }))?,
        Format::Text => writeln!(
            io::stdout(),
            "Wrote {} with {files} files. Check it with: sealwright ca check-evidence {}",
            path.display(),
            path.display(),
        )?,
    }
    Ok(())
}

/// A new file that only its owner reads: an archive may have identity papers.
fn create(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::InvalidInput {
            field: "--out",
            reason: format!("{} is there already; name another file, or remove it", path.display()),
        },
        _ => Error::File {
            action: "create",
            path: path.to_owned(),
            source,
        },
    })
}

pub(super) fn check(arguments: &CheckArguments) -> Result<(), Failure> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| Error::File {
            action: "read",
            path: path.to_owned(),
            source,
        })
    };
    let audit_key = match &arguments.audit_key {
        None => None,
        Some(path) => {
            let pem = String::from_utf8_lossy(&read(path)?).into_owned();
            let key = AuditPublicKey::from_pem(&pem).ok_or_else(|| Error::InvalidInput {
                field: "--audit-key",
                reason: format!("{} is not a public key in PEM", path.display()),
            })?;
            Some(key)
        }
    };
    let pack = Pack::read(&read(&arguments.file)?)?;
    let outcomes = evidence_pack::check(&pack, audit_key.as_ref());
    output::outcomes(Format::new(arguments.json), &outcomes)?;
    match outcomes.iter().filter(|outcome| outcome.result.is_err()).count() {
        0 => Ok(()),
        failed => Err(Failure::Unproven(failed)),
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sealwright ca evidence 4f1c… --data ca
  sealwright ca evidence 4f1c… --data ca --with-documents --out audit/4f1c.zip";
pub(super) const CHECK_EXAMPLES: &str = "\
Examples:
  sealwright ca check-evidence 4f1c….evidence.zip
  sealwright ca check-evidence 4f1c….evidence.zip --audit-key audit-key.pem --json";
