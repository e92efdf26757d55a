//! `sealwright gateway sign` and `sealwright gateway explain`: one message without SMTP.

use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use mail_parser::MessageParser;
use policies::mailbox::Mailbox;
use policies::signing::MaySign;
use policies::time::Clock;
use serde::Serialize;

use super::{Data, Failure};
use crate::engine;
use crate::error::Error;
use crate::gateway::{Gateway, GatewayParts};
use crate::mime::canonical::canonicalize;
use crate::mime::signed::{HeaderProtection, Smtputf8};
use crate::plan::{Action, Envelope, plan};
use crate::policy::Format;
use crate::treatment::{ReversePath, WithoutIdentity};

#[derive(Debug, Args)]
pub struct Sign {
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    session: Session,
}

#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    session: Session,
    /// The message; - is standard input.
    #[arg(value_name = "FILE")]
    message: PathBuf,
}

/// What an SMTP session would have said of the message.
#[derive(Debug, Args)]
struct Session {
    /// As if the message came from this IP address; without it, from whom any [[sender]] may sign for.
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// A recipient; may be given several times. Without it, those in To and Cc.
    #[arg(long = "to", value_name = "ADDRESS")]
    recipients: Vec<String>,
    /// As a notification from the null sender.
    #[arg(long)]
    null_sender: bool,
}

/// Signs standard input to standard output.
pub(super) async fn sign(options: &Sign, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let gateway = Gateway::open(&options.data.folder, GatewayParts::production(clock)).await?;
    let message = read(Path::new("-"), gateway.config().max_message_size)?;
    let given = Given::of(&gateway, &message, &options.session)?;
    // What is written to a pipe has no envelope: raw UTF-8 in the header asks for SMTPUTF8 by being there.
    let mut header = message
        .split(|byte| *byte == b'\n')
        .take_while(|line| !line.trim_ascii().is_empty());
    let smtputf8 = if header.any(|line| !line.is_ascii()) {
        Smtputf8::Requested
    } else {
        Smtputf8::NotRequested
    };
    let copies = engine::copies(&gateway, &message, &given.envelope(), smtputf8).await?;
    let [only] = copies.as_slice() else {
        return Err(
            "the recipients get different copies of this message; name those of one copy with --to, as `sealwright gateway explain` lists them".into(),
        );
    };
    let mut out = std::io::stdout().lock();
    out.write_all(&only.message)?;
    out.flush()?;
    Ok(())
}

/// Says what would be done with a message, and why.
pub(super) async fn explain(options: &Explain, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let gateway = Gateway::open(&options.data.folder, GatewayParts::production(clock)).await?;
    let message = read(&options.message, gateway.config().max_message_size)?;
    let given = Given::of(&gateway, &message, &options.session)?;
    let explanation = explanation(&gateway, &message, &given).await?;
    if options.data.json {
        println!("{}", serde_json::to_string_pretty(&explanation)?);
    } else {
        print!("{}", text(&explanation));
    }
    Ok(())
}

/// What `explain --json` prints.
#[derive(Debug, Serialize)]
struct Explanation {
    from: Option<String>,
    /// Set if the message is refused as a whole.
    refused: Option<String>,
    copies: Vec<ExplainedCopy>,
}

#[derive(Debug, Serialize)]
struct ExplainedCopy {
    recipients: Vec<ExplainedRecipient>,
    /// `sign` or `pass`.
    action: &'static str,
    /// `clear` or `opaque`.
    format: Option<Format>,
    header_protection: Option<bool>,
    /// What it is signed with.
    certificate: Option<ExplainedCertificate>,
    /// What happens without a certificate.
    without_certificate: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct ExplainedRecipient {
    address: Option<String>,
    reason: String,
}

#[derive(Debug, Serialize)]
struct ExplainedCertificate {
    mailbox: String,
    tier: String,
    serial: String,
    not_after: String,
}

/// Enrols nobody: what is not there yet is said to be so.
async fn explanation(gateway: &Gateway, message: &[u8], given: &Given) -> Result<Explanation, Failure> {
    let plan = match plan(message, &given.envelope(), &gateway.config().policy) {
        Ok(plan) => plan,
        Err(refusal) => {
            return Ok(Explanation {
                from: None,
                refused: Some(refusal.to_string()),
                copies: Vec::new(),
            });
        }
    };
    let mut copies = Vec::new();
    for copy in plan.copies {
        let addresses = copy.recipients.into_iter().map(Some).chain(std::iter::repeat(None));
        let recipients = copy
            .reasons
            .into_iter()
            .zip(addresses)
            .map(|(reason, address)| ExplainedRecipient { address, reason })
            .collect();
        copies.push(match copy.action {
            Action::Pass => ExplainedCopy {
                recipients,
                action: "pass",
                format: None,
                header_protection: None,
                certificate: None,
                without_certificate: None,
            },
            Action::Sign {
                from,
                without_identity,
                format,
                protection,
            } => {
                let best = gateway.identities.best(from.mailbox(), given.now).await?;
                ExplainedCopy {
                    recipients,
                    action: "sign",
                    format: Some(format),
                    header_protection: Some(protection == HeaderProtection::Clear),
                    without_certificate: best.is_none().then_some(match without_identity {
                        WithoutIdentity::Enrol => "one is ordered now, or the message is refused",
                        WithoutIdentity::EnrolOrPass => "one is ordered now, or the message is passed on unsigned",
                        WithoutIdentity::PassUntouched => "the message is passed on unsigned",
                    }),
                    certificate: best.map(|identity| ExplainedCertificate {
                        mailbox: identity.mailbox().to_string(),
                        tier: identity.tier().to_string(),
                        serial: identity.serial().to_owned(),
                        not_after: identity.not_after().to_string(),
                    }),
                }
            }
        });
    }
    Ok(Explanation {
        from: plan.from.map(|from| from.to_string()),
        refused: None,
        copies,
    })
}

fn text(explanation: &Explanation) -> String {
    let mut lines = Vec::new();
    if let Some(refused) = &explanation.refused {
        lines.push(format!("Refused: {refused}"));
    }
    if let Some(from) = &explanation.from {
        lines.push(format!("From {from}"));
    }
    for copy in &explanation.copies {
        for recipient in &copy.recipients {
            let to = recipient.address.as_deref().unwrap_or("any recipient");
            lines.push(format!("To {to}: {}", recipient.reason));
        }
        if let Some(certificate) = &copy.certificate {
            lines.push(format!(
                "  with the {} certificate {} of {}, until {}",
                certificate.tier, certificate.serial, certificate.mailbox, certificate.not_after
            ));
        }
        if let Some(without) = copy.without_certificate {
            lines.push(format!("  there is no certificate yet: {without}"));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The envelope of a message that came without one.
struct Given {
    recipients: Vec<String>,
    may_sign_for: Vec<MaySign>,
    fields: crate::wishes::TrustFields,
    reverse_path: ReversePath,
    now: policies::time::Timestamp,
}

impl Given {
    fn of(gateway: &Gateway, message: &[u8], session: &Session) -> Result<Self, Failure> {
        let config = gateway.config();
        let (may_sign_for, fields) = match session.client {
            Some(client) => {
                let may_sign_for = config.authorized_from(client).ok_or_else(|| {
                    format!("{client} may not send mail here; no [[sender]] in gateway.toml names it")
                })?;
                (may_sign_for, config.fields_from(client))
            }
            // Whoever may read the data folder holds its keys anyway.
            None => (
                config
                    .senders
                    .iter()
                    .flat_map(|sender| sender.may_sign_for.clone())
                    .collect(),
                crate::wishes::TrustFields::Obey,
            ),
        };
        for recipient in &session.recipients {
            Mailbox::parse(recipient).map_err(|error| format!("--to {recipient}: {error}"))?;
        }
        let recipients = if session.recipients.is_empty() {
            header_recipients(message)
        } else {
            session.recipients.clone()
        };
        Ok(Self {
            recipients,
            may_sign_for,
            fields,
            reverse_path: if session.null_sender {
                ReversePath::Null
            } else {
                ReversePath::Address
            },
            now: gateway.clock.now(),
        })
    }

    fn envelope(&self) -> Envelope<'_> {
        Envelope {
            reverse_path: self.reverse_path,
            recipients: &self.recipients,
            may_sign_for: &self.may_sign_for,
            fields: self.fields,
            now: self.now,
        }
    }
}

/// The addresses in To and Cc, each once; what does not parse as an address is left out.
fn header_recipients(message: &[u8]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let parsed = MessageParser::new()
        .header_address(mail_parser::HeaderName::To)
        .header_address(mail_parser::HeaderName::Cc)
        .parse_headers(message);
    let Some(parsed) = parsed else { return found };
    for list in [parsed.to(), parsed.cc()].into_iter().flatten() {
        for address in list.iter().filter_map(|address| address.address()) {
            if Mailbox::parse(address).is_ok() && !found.iter().any(|known| known == address) {
                found.push(address.to_owned());
            }
        }
    }
    found
}

/// A message from a file or standard input, in the canonical form that SMTP would have brought it in.
fn read(path: &Path, most: usize) -> Result<Vec<u8>, Failure> {
    let failed = |source| Error::File {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    }
    .map_err(failed)?;
    if bytes.len() > most {
        return Err(format!("the message is larger than {most} octets, the max_message_size of this gateway").into());
    }
    Ok(canonicalize(&bytes).into_owned())
}
