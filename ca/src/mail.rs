//! Mail that the authority itself sends: challenges and notices.
//!
//! A mail is made from checked values only: recipients are [`Mailbox`]es, subjects and bodies come from templates that
//! are part of the program. Text that came from outside is filled into bodies, never into headers.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::{Mailbox as Header, MultiPart};
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use policies::mailbox::Mailbox;

use crate::config;
use crate::error::Error;

/// How mail leaves.
#[derive(Clone)]
pub struct Mailer {
    from: Header,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Smtp {
        transport: AsyncSmtpTransport<Tokio1Executor>,
        server: String,
    },
    File {
        folder: PathBuf,
    },
    Memory(MemoryOutbox),
    Nowhere,
}

/// What one mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) to: Mailbox,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl Mailer {
    /// The way that `ca.toml` names. Without `mail.smtp` the authority runs, but every mail is refused.
    pub fn from_config(config: &config::Mail) -> Result<Self, Error> {
        let from = sender(&config.from)?;
        let way = match &config.smtp {
            None => Way::Nowhere,
            Some(server) => Way::Smtp {
                transport: transport(server)?,
                server: server.clone(),
            },
        };
        Ok(Self { from, way })
    }

    /// Writes each mail as a file `NNNN.eml` into a folder, for trying out.
    pub fn to_folder(from: &str, folder: PathBuf) -> Result<Self, Error> {
        Ok(Self {
            from: sender(from)?,
            way: Way::File { folder },
        })
    }

    /// Keeps mails in memory, for tests and the quickstart.
    pub fn in_memory(from: &str) -> Result<(Self, MemoryOutbox), Error> {
        let outbox = MemoryOutbox::default();
        Ok((
            Self {
                from: sender(from)?,
                way: Way::Memory(outbox.clone()),
            },
            outbox,
        ))
    }

    /// Whether every mail is refused, since no server is configured.
    pub(crate) fn goes_nowhere(&self) -> bool {
        matches!(self.way, Way::Nowhere)
    }

    /// Hands the mail to the next server, which has then taken responsibility for it.
    pub(crate) async fn send(&self, notice: Notice) -> Result<(), Error> {
        let message = self.compose(&notice)?;
        match &self.way {
            Way::Nowhere => Err(Error::NoMailServer),
            Way::Smtp { transport, server } => match transport.send(message).await {
                Ok(_) => Ok(()),
                Err(source) => Err(Error::MailNotSent {
                    server: server.clone(),
                    source: Box::new(source),
                }),
            },
            Way::File { folder } => {
                let bytes = message.formatted();
                let folder = folder.clone();
                let written = tokio::task::spawn_blocking(move || write_next_file(&folder, &bytes)).await;
                match written {
                    Ok(result) => result,
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                }
            }
            Way::Memory(outbox) => {
                outbox.push(SentMail {
                    to: notice.to.to_string(),
                    subject: notice.subject,
                    text: notice.text,
                    html: notice.html,
                    bytes: message.formatted(),
                });
                Ok(())
            }
        }
    }

    /// Hands over a message that was put together and signed elsewhere, byte for byte.
    pub(crate) async fn send_message(
        &self,
        from: &str,
        to: &Mailbox,
        subject: &str,
        text: &str,
        message: Vec<u8>,
    ) -> Result<(), Error> {
        let unusable = |reason: String| Error::MailAddress {
            address: to.to_string(),
            reason,
        };
        match &self.way {
            Way::Nowhere => Err(Error::NoMailServer),
            Way::Smtp { transport, server } => {
                let sender: Address = from
                    .parse()
                    .map_err(|error: lettre::address::AddressError| unusable(error.to_string()))?;
                let domain: &str = to.domain().as_ref();
                let recipient = Address::new(to.local_part(), domain).map_err(|error| unusable(error.to_string()))?;
                let envelope =
                    Envelope::new(Some(sender), vec![recipient]).map_err(|error| unusable(error.to_string()))?;
                match transport.send_raw(&envelope, &message).await {
                    Ok(_) => Ok(()),
                    Err(source) => Err(Error::MailNotSent {
                        server: server.clone(),
                        source: Box::new(source),
                    }),
                }
            }
            Way::File { folder } => {
                let folder = folder.clone();
                let written = tokio::task::spawn_blocking(move || write_next_file(&folder, &message)).await;
                match written {
                    Ok(result) => result,
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                }
            }
            Way::Memory(outbox) => {
                outbox.push(SentMail {
                    to: to.to_string(),
                    subject: subject.to_owned(),
                    text: text.to_owned(),
                    html: String::new(),
                    bytes: message,
                });
                Ok(())
            }
        }
    }

    fn compose(&self, notice: &Notice) -> Result<Message, Error> {
        let unusable = |reason: String| Error::MailAddress {
            address: notice.to.to_string(),
            reason,
        };
        let domain: &str = notice.to.domain().as_ref();
        let address = Address::new(notice.to.local_part(), domain).map_err(|error| unusable(error.to_string()))?;
        Message::builder()
            .from(self.from.clone())
            .to(Header::new(None, address))
            .subject(&notice.subject)
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(
                notice.text.clone(),
                notice.html.clone(),
            ))
            .map_err(|error| unusable(error.to_string()))
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::Smtp { server, .. } => write!(f, "Mailer(smtp {server})"),
            Way::File { folder } => write!(f, "Mailer(folder {})", folder.display()),
            Way::Memory(_) => f.write_str("Mailer(memory)"),
            Way::Nowhere => f.write_str("Mailer(nowhere)"),
        }
    }
}

/// RFC 3834 section 5: keeps vacation responders silent.
#[derive(Debug, Clone, Copy)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

fn sender(from: &str) -> Result<Header, Error> {
    from.parse()
        .map_err(|error: lettre::address::AddressError| Error::InvalidInput {
            field: "mail.from",
            reason: format!("{from:?} is not a sender like \"Example CA <ca@example.com>\": {error}"),
        })
}

/// Plain to this machine; to any other one with STARTTLS where it is offered.
fn transport(server: &str) -> Result<AsyncSmtpTransport<Tokio1Executor>, Error> {
    let refuse = |reason: &str| Error::InvalidInput {
        field: "mail.smtp",
        reason: format!("{server:?} {reason}; write it like \"mail.example.com:25\""),
    };
    let (host, port) = server.rsplit_once(':').ok_or_else(|| refuse("has no port"))?;
    let port: u16 = port.parse().map_err(|_| refuse("has no usable port"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || port == 0 {
        return Err(refuse("is not complete"));
    }
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let tls = if is_loopback {
        Tls::None
    } else {
        Tls::Opportunistic(TlsParameters::new(host.to_owned()).map_err(|error| refuse(&error.to_string()))?)
    };
    Ok(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(port)
        .tls(tls)
        .timeout(Some(SMTP_TIMEOUT))
        .build())
}

fn write_next_file(folder: &std::path::Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |action, path: PathBuf| move |source| Error::File { action, path, source };
    std::fs::create_dir_all(folder).map_err(failed("make the folder", folder.to_owned()))?;
    for number in 1..=MOST_FILES {
        let path = folder.join(format!("{number:04}.eml"));
        match std::fs::File::create_new(&path) {
            Ok(mut file) => {
                return std::io::Write::write_all(&mut file, bytes).map_err(failed("write", path));
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(source) => {
                return Err(Error::File {
                    action: "write",
                    path,
                    source,
                });
            }
        }
    }
    Err(Error::InvalidInput {
        field: "mail folder",
        reason: format!("it holds {MOST_FILES} mails: empty it"),
    })
}

/// A mail that went to memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMail {
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// The whole message as it would have gone over the wire.
    pub bytes: Vec<u8>,
}

/// Where mails in memory are found. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryOutbox(Arc<Mutex<Vec<SentMail>>>);

impl MemoryOutbox {
    /// Every mail so far, oldest first.
    pub fn mails(&self) -> Vec<SentMail> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest mail to an address.
    pub fn newest_to(&self, address: &str) -> Option<SentMail> {
        self.mails().into_iter().rev().find(|mail| mail.to == address)
    }

    fn push(&self, mail: SentMail) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
    }
}

/// Fills `{name}` places of a template. Text from outside cannot open a place of its own: a value is never read again.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len() + 200);
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let (before, after) = rest.split_at(start);
        filled.push_str(before);
        let place = after[1..].split_once('}').and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((value, after))
        });
        match place {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = &after[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// Text as it may stand in HTML, in elements and in quoted attributes.
pub(crate) fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

const SMTP_TIMEOUT: Duration = Duration::from_secs(20);
const MOST_FILES: u32 = 9999;

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(to: &str) -> Notice {
        Notice {
            to: Mailbox::parse(to).unwrap(),
            subject: "Confirm".to_owned(),
            text: "Dear reader".to_owned(),
            html: "<p>Dear reader</p>".to_owned(),
        }
    }

    #[tokio::test]
    async fn mail_in_memory_is_a_whole_message() {
        let (mailer, outbox) = Mailer::in_memory("Example CA <ca@example.com>").unwrap();
        mailer.send(notice("alice@example.org")).await.unwrap();
        let mail = outbox.newest_to("alice@example.org").unwrap();
        let bytes = String::from_utf8(mail.bytes).unwrap();
        assert!(bytes.contains("From: \"Example CA\" <ca@example.com>\r\n"), "{bytes}");
        assert!(bytes.contains("To: alice@example.org\r\n"), "{bytes}");
        assert!(bytes.contains("Subject: Confirm\r\n"), "{bytes}");
        assert!(bytes.contains("Auto-Submitted: auto-generated\r\n"), "{bytes}");
        assert!(outbox.newest_to("bob@example.org").is_none());
    }

    #[tokio::test]
    async fn a_subject_cannot_bring_headers_of_its_own() {
        let (mailer, outbox) = Mailer::in_memory("ca@example.com").unwrap();
        let mut notice = notice("alice@example.org");
        notice.subject = "Confirm\r\nBcc: eve@example.net\r\n\r\nbody".to_owned();
        mailer.send(notice).await.unwrap();
        let bytes = String::from_utf8(outbox.mails().remove(0).bytes).unwrap();
        let header = bytes.split_once("\r\n\r\n").unwrap().0;
        assert!(
            !header.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")),
            "{header}"
        );
    }

    #[tokio::test]
    async fn without_a_server_mail_is_refused() {
        let config = config::Mail {
            smtp: None,
            from: "ca@example.com".to_owned(),
        };
        let error = Mailer::from_config(&config)
            .unwrap()
            .send(notice("a@example.org"))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NoMailServer), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_temporary() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let smtp = Some(listener.local_addr().unwrap().to_string());
        drop(listener);
        let config = config::Mail {
            smtp,
            from: "ca@example.com".to_owned(),
        };
        let error = Mailer::from_config(&config)
            .unwrap()
            .send(notice("a@example.org"))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::MailNotSent { .. }), "{error}");
        assert!(error.is_temporary());
    }

    #[tokio::test]
    async fn mails_in_a_folder_do_not_overwrite_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let mailer = Mailer::to_folder("ca@example.com", folder.path().join("mail")).unwrap();
        mailer.send(notice("a@example.org")).await.unwrap();
        mailer.send(notice("b@example.org")).await.unwrap();
        let second = std::fs::read_to_string(folder.path().join("mail/0002.eml")).unwrap();
        assert!(second.contains("To: b@example.org"));
    }

    #[test]
    fn servers_and_senders_that_cannot_work_are_refused() {
        for smtp in [
            "mail.example.com",
            "mail.example.com:",
            "mail.example.com:99999",
            ":25",
            "host:0",
        ] {
            let config = config::Mail {
                smtp: Some(smtp.to_owned()),
                from: "ca@example.com".to_owned(),
            };
            assert!(
                matches!(
                    Mailer::from_config(&config),
                    Err(Error::InvalidInput { field: "mail.smtp", .. })
                ),
                "{smtp}"
            );
        }
        for from in ["", "Example CA", "a@b@c", "ca@example.com\r\nBcc: eve@example.net"] {
            let config = config::Mail {
                smtp: None,
                from: from.to_owned(),
            };
            assert!(
                matches!(
                    Mailer::from_config(&config),
                    Err(Error::InvalidInput { field: "mail.from", .. })
                ),
                "{from}"
            );
        }
    }

    #[test]
    fn a_value_is_not_read_as_a_template() {
        assert_eq!(fill("{a} and {b}, {c}", &[("a", "{b}"), ("b", "1")]), "{b} and 1, {c}");
        assert_eq!(fill("{", &[]), "{");
        assert_eq!(fill("style{color:red}", &[]), "style{color:red}");
    }

    #[test]
    fn html_is_escaped() {
        assert_eq!(
            escape_html("<a href=\"x\">'&"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;"
        );
    }
}
