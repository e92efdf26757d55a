//! `sealwright ca serve`: the services, until somebody stops them.

use std::io;
use std::sync::Arc;

use super::Failure;
use super::output::{self, Format, Table};
use crate::app::App;
use crate::server::Server;

pub(super) async fn run(app: Arc<App>, format: Format) -> Result<(), Failure> {
    let folder = app.config().folder.clone();
    let has_mail = app.config().mail.smtp.is_some();
    let self_made_tls = app.config().tls.is_none();
    let running = Server::start(app).await?;
    let trust = folder.join("tls.pem");
    match format {
        Format::Json => output::json(&serde_json::json!({
            "api": running.api_url(),
            "public": running.public_url(),
            "acme": running.acme_directory(),
            "acme_replies": running.replies_address().map(|address| address.to_string()),
            "tls_root": self_made_tls.then_some(&trust),
        }))?,
        Format::Text => {
            let mut table = Table::new(&[]);
            table.row(["API".to_owned(), running.api_url().to_owned()]);
            if self_made_tls {
                table.row(["  trust".to_owned(), trust.display().to_string()]);
            }
            table.row(["CRLs and certificates".to_owned(), running.public_url().to_owned()]);
            if let (Some(directory), Some(replies)) = (running.acme_directory(), running.replies_address()) {
                table.row(["ACME directory".to_owned(), directory.to_owned()]);
                table.row(["  replies (SMTP)".to_owned(), replies.to_string()]);
            }
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
pub(super) async fn stop_signal() -> io::Result<()> {
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

pub(super) const EXAMPLES: &str = "\
Examples:
  sealwright ca serve --data ca
  curl --cacert ca/tls.pem -H \"Authorization: Bearer $TOKEN\" https://127.0.0.1:8440/v1/whoami";
