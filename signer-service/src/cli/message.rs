//! `sealwright gateway sign` and `sealwright gateway explain`: one message without SMTP.

use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use policies::mailbox::Mailbox;
use policies::signing::MaySign;
use policies::time::Clock;
use serde::Serialize;

use super::{Data, Failure};
use crate::encryption::{self, Seal, Settled, header_recipients};
use crate::engine::{self, NotSent};
use crate::enveloped::MessageCipher;
use crate::error::Error;
use crate::gateway::{Gateway, GatewayParts};
use crate::mime::canonical::canonicalize;
use crate::mime::signed::{HeaderProtection, Smtputf8};
use crate::plan::{Action, Envelope, plan};
use crate::policy::Format;
use crate::treatment::{Refusal, ReversePath, WithoutIdentity};

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
    /// `encrypt`, `sign` or `pass`.
    action: &'static str,
    /// `aes-256-gcm` or `aes-256-cbc`.
    cipher: Option<MessageCipher>,
    /// Whose certificates it is encrypted to.
    encrypted_to: Vec<ExplainedKey>,
    /// `clear` or `opaque`.
    format: Option<Format>,
    header_protection: Option<bool>,
    /// What it is signed with.
    certificate: Option<ExplainedCertificate>,
    /// What happens without a certificate.
    without_certificate: Option<String>,
}

#[derive(Debug, Serialize)]
struct ExplainedRecipient {
    address: Option<String>,
    reason: String,
}

#[derive(Debug, Serialize)]
struct ExplainedKey {
    subject: String,
    serial: String,
    not_after: String,
    /// Where the certificate was found.
    source: String,
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
    let from = plan.from.as_ref().map(ToString::to_string);
    let settled = encryption::settle(gateway, plan)
        .await
        .and_then(|settlement| match settlement.unreachable {
            Some(unreachable) => Err(Refusal::from(unreachable).into()),
            None => Ok(settlement.copies),
        });
    let settled = match settled {
        Ok(settled) => settled,
        Err(NotSent::Refused(refusal)) => {
            return Ok(Explanation {
                from,
                refused: Some(refusal.to_string()),
                copies: Vec::new(),
            });
        }
        Err(error) => return Err(error.into()),
    };
    let mut copies = Vec::new();
    for one in settled {
        let (copy, seal) = match one {
            Settled::Plain(copy) => (copy, None),
            Settled::Sealed(copy, seal) => (copy, Some(seal)),
        };
        let addresses = copy.recipients.into_iter().map(Some).chain(std::iter::repeat(None));
        let recipients = copy
            .reasons
            .into_iter()
            .zip(addresses)
            .map(|(reason, address)| ExplainedRecipient { address, reason })
            .collect();
        let mut explained = ExplainedCopy {
            recipients,
            action: "pass",
            cipher: None,
            encrypted_to: Vec::new(),
            format: None,
            header_protection: None,
            certificate: None,
            without_certificate: None,
        };
        let signing = match (copy.action, seal) {
            (_, Some(seal)) => {
                explained.action = "encrypt";
                explained.cipher = Some(seal.cipher);
                explained.header_protection = Some(seal.protection != HeaderProtection::Off);
                explained.encrypted_to = keys(&seal);
                seal.signing
                    .map(|signing| (signing.from, signing.without_identity, signing.format))
            }
            (
                Action::Sign {
                    from,
                    without_identity,
                    format,
                    protection,
                },
                None,
            ) => {
                explained.action = "sign";
                explained.header_protection = Some(protection != HeaderProtection::Off);
                Some((from, without_identity, format))
            }
            (Action::Pass | Action::Encrypt(_), None) => None,
        };
        if let Some((from, without_identity, format)) = signing {
            let best = gateway.identities.best(from.mailbox(), given.now).await?;
            let goes_on = if explained.action == "encrypt" {
                "the message is encrypted without a signature"
            } else {
                "the message is passed on unsigned"
            };
            explained.format = Some(format);
            explained.without_certificate = best.is_none().then(|| match without_identity {
                WithoutIdentity::Enrol => "one is ordered now, or the message is refused".to_owned(),
                WithoutIdentity::EnrolOrPass => format!("one is ordered now, or {goes_on}"),
                WithoutIdentity::PassUntouched => goes_on.to_owned(),
            });
            explained.certificate = best.map(|identity| ExplainedCertificate {
                mailbox: identity.mailbox().to_string(),
                tier: identity.tier().to_string(),
                serial: identity.serial().to_owned(),
                not_after: identity.not_after().to_string(),
            });
        }
        copies.push(explained);
    }
    Ok(Explanation {
        from,
        refused: None,
        copies,
    })
}

fn keys(seal: &Seal) -> Vec<ExplainedKey> {
    seal.certificates
        .iter()
        .map(|usable| ExplainedKey {
            subject: usable.certificate.tbs_certificate().subject().to_string(),
            serial: usable.serial.clone(),
            not_after: usable.not_after.to_string(),
            source: usable.source.to_string(),
        })
        .collect()
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
        for key in &copy.encrypted_to {
            lines.push(format!(
                "  encrypted to the certificate {} of {}, until {}, from {}",
                key.serial, key.subject, key.not_after, key.source
            ));
        }
        if let Some(certificate) = &copy.certificate {
            lines.push(format!(
                "  signed with the {} certificate {} of {}, until {}",
                certificate.tier, certificate.serial, certificate.mailbox, certificate.not_after
            ));
        }
        if let Some(without) = &copy.without_certificate {
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
