//! A mailbox server that takes everything and keeps it: for trying Sealwright out, and for tests.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use smtp::server::{Server, Settings};
//! use smtp::sink::Sink;
//!
//! let sink = Sink::new();
//! let server = Server::bind("127.0.0.1:0", Settings::new("sink.example"), sink.clone()).await?;
//! println!("send mail to {}", server.local_addr());
//! tokio::spawn(server.run(std::future::pending()));
//! let message = sink.wait_for(|message| message.from.address == "a@example.com", Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;
use tracing::error;

use crate::envelope::{MailFrom, RcptTo};
use crate::reply::Reply;
use crate::server::{Peer, Service, Session};

/// The service; clones share the messages.
#[derive(Clone)]
pub struct Sink {
    shared: Arc<Shared>,
}

struct Shared {
    folder: Option<PathBuf>,
    kept: Mutex<Kept>,
    arrived: Notify,
}

#[derive(Default)]
struct Kept {
    messages: Vec<Arc<Message>>,
    octets: usize,
    refusals: Vec<(String, Reply)>,
    last_number: u32,
}

/// A message as it was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub peer: Option<Peer>,
    pub from: MailFrom,
    /// The recipients that were accepted, in the order of their RCPT commands.
    pub recipients: Vec<RcptTo>,
    /// Exactly as received, dots unstuffed, nothing added.
    pub content: Vec<u8>,
    /// Where it was written, if the sink has a folder.
    pub file: Option<PathBuf>,
}

/// Why a sink cannot use its folder.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep mail in the folder {}", folder.display())]
pub struct SinkError {
    folder: PathBuf,
    source: io::Error,
}

/// [`Sink::wait_for`] has waited in vain.
#[derive(Debug, thiserror::Error)]
#[error("the expected message did not arrive within {} ms; {others} others did", waited.as_millis())]
pub struct NotArrived {
    pub waited: Duration,
    pub others: usize,
}

impl Sink {
    /// Keeps messages in memory only.
    pub fn new() -> Self {
        Self::over(None, 0)
    }

    /// Also writes each message as `NNNN.eml`, readable by the owner alone, counting on from the highest number in
    /// the folder. The folder is made if it is missing.
    pub fn in_folder(folder: impl AsRef<Path>) -> Result<Self, SinkError> {
        let folder = folder.as_ref();
        let highest_number = || {
            std::fs::create_dir_all(folder)?;
            let mut highest = 0;
            for entry in std::fs::read_dir(folder)? {
                let name = entry?.file_name();
                let number = name
                    .to_str()
                    .and_then(|name| name.strip_suffix(".eml"))
                    .and_then(|n| n.parse().ok());
                highest = highest.max(number.unwrap_or(0));
            }
            Ok(highest)
        };
        let highest = highest_number().map_err(|source| SinkError {
            folder: folder.to_owned(),
            source,
        })?;
        Ok(Self::over(Some(folder.to_owned()), highest))
    }

    fn over(folder: Option<PathBuf>, last_number: u32) -> Self {
        let kept = Mutex::new(Kept {
            last_number,
            ..Kept::default()
        });
        Self {
            shared: Arc::new(Shared {
                folder,
                kept,
                arrived: Notify::new(),
            }),
        }
    }

    /// From now on answers RCPT for this address, compared without regard to ASCII case, with `reply`.
    pub fn refuse(&self, address: impl Into<String>, reply: Reply) {
        self.kept().refusals.push((address.into(), reply));
    }

    /// Takes back all that [`Self::refuse`] said of this address.
    pub fn accept(&self, address: &str) {
        self.kept()
            .refusals
            .retain(|(refused, _)| !refused.eq_ignore_ascii_case(address));
    }

    /// All messages so far, the oldest first.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.kept().messages.clone()
    }

    /// The first message for which `wanted` holds, among those that are there and those that come in time.
    pub async fn wait_for(
        &self,
        wanted: impl Fn(&Message) -> bool,
        timeout: Duration,
    ) -> Result<Arc<Message>, NotArrived> {
        let search = async {
            let mut looked_at = 0;
            loop {
                // Made before looking: it is woken by every message from now on, also before it is awaited.
                let arrived = self.shared.arrived.notified();
                let messages = self.messages();
                if let Some(message) = messages.iter().skip(looked_at).find(|message| wanted(message)) {
                    return message.clone();
                }
                looked_at = messages.len();
                arrived.await;
            }
        };
        let found = tokio::time::timeout(timeout, search).await;
        found.map_err(|_| NotArrived {
            waited: timeout,
            others: self.kept().messages.len(),
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // What is in there is consistent after every single statement, so a panic elsewhere does not matter.
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep(&self, mut message: Message) -> Reply {
        if self.kept().octets.saturating_add(message.content.len()) > MAX_KEPT_OCTETS {
            return Reply::new(452, Some([4, 3, 1]), "This mailbox is full");
        }
        if let Some(folder) = &self.shared.folder {
            match self.write(folder, &message.content).await {
                Ok(file) => message.file = Some(file),
                Err(error) => {
                    error!(folder = %folder.display(), %error, "cannot write a message");
                    return Reply::try_later([4, 3, 0], "The message could not be stored");
                }
            }
        }
        {
            let mut kept = self.kept();
            kept.octets = kept.octets.saturating_add(message.content.len());
            kept.messages.push(Arc::new(message));
        }
        self.shared.arrived.notify_waiters();
        Reply::ok([2, 0, 0], "Kept")
    }

    async fn write(&self, folder: &Path, content: &[u8]) -> io::Result<PathBuf> {
        let number = {
            let mut kept = self.kept();
            kept.last_number = kept.last_number.saturating_add(1);
            kept.last_number
        };
        let path = folder.join(format!("{number:04}.eml"));
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        let mut file = options.open(&path).await?;
        file.write_all(content).await?;
        file.sync_all().await?;
        Ok(path)
    }
}

impl Default for Sink {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = self.kept().messages.len();
        f.debug_struct("Sink")
            .field("folder", &self.shared.folder)
            .field("messages", &messages)
            .finish_non_exhaustive()
    }
}

impl Service for Sink {
    type Session = SinkSession;

    fn connect(&self, _peer: SocketAddr) -> Result<SinkSession, Reply> {
        Ok(SinkSession {
            sink: self.clone(),
            peer: None,
            envelope: None,
        })
    }
}

/// One connection to a [`Sink`].
#[derive(Debug)]
pub struct SinkSession {
    sink: Sink,
    peer: Option<Peer>,
    envelope: Option<(MailFrom, Vec<RcptTo>)>,
}

impl Session for SinkSession {
    fn greeted(&mut self, peer: &Peer) {
        self.peer = Some(peer.clone());
    }

    async fn mail(&mut self, from: MailFrom) -> Reply {
        self.envelope = Some((from, Vec::new()));
        Reply::ok([2, 1, 0], "Sender accepted")
    }

    async fn rcpt(&mut self, to: RcptTo) -> Reply {
        let refused = |(address, _): &&(String, Reply)| address.eq_ignore_ascii_case(&to.address);
        if let Some((_, reply)) = self.sink.kept().refusals.iter().rev().find(refused) {
            return reply.clone();
        }
        match &mut self.envelope {
            Some((_, recipients)) => {
                recipients.push(to);
                Reply::ok([2, 1, 5], "Recipient accepted")
            }
            None => Reply::new(503, Some([5, 5, 1]), "Say MAIL first"),
        }
    }

    async fn data(&mut self, content: Vec<u8>) -> Reply {
        match self.envelope.take() {
            Some((from, recipients)) => {
                let message = Message {
                    peer: self.peer.clone(),
                    from,
                    recipients,
                    content,
                    file: None,
                };
                self.sink.keep(message).await
            }
            None => Reply::new(503, Some([5, 5, 1]), "Say MAIL first"),
        }
    }

    async fn reset(&mut self) {
        self.envelope = None;
    }
}

/// Beyond this the mailbox is full: whoever tries out Sealwright shall not lose their memory over it.
const MAX_KEPT_OCTETS: usize = 512 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(from: &str, content: &[u8]) -> Message {
        Message {
            peer: None,
            from: MailFrom::new(from),
            recipients: vec![RcptTo::new("to@example.test")],
            content: content.to_vec(),
            file: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_found_before_and_after_it_came() {
        let sink = Sink::new();
        let waiting = tokio::spawn({
            let sink = sink.clone();
            async move {
                sink.wait_for(|message| message.from.address == "b@b", Duration::from_secs(9))
                    .await
            }
        });
        // Let the other task look into the empty mailbox first.
        tokio::task::yield_now().await;
        assert!(sink.keep(message("a@a", b"1\r\n")).await.is_positive());
        assert!(sink.keep(message("b@b", b"2\r\n")).await.is_positive());
        let found = waiting
            .await
            .expect("the task does not panic")
            .expect("the message has come");
        assert_eq!(found.content, b"2\r\n");
        let first = sink
            .wait_for(|_| true, Duration::ZERO)
            .await
            .expect("there are two messages");
        assert_eq!(first.from.address, "a@a");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_in_vain_ends() {
        let sink = Sink::new();
        sink.keep(message("a@a", b"")).await;
        let error = sink
            .wait_for(|message| message.from.address == "b@b", Duration::from_secs(9))
            .await
            .unwrap_err();
        assert_eq!((error.waited, error.others), (Duration::from_secs(9), 1));
    }

    #[tokio::test]
    async fn files_hold_exactly_the_message_and_are_never_overwritten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sink = Sink::in_folder(folder.path()).expect("the folder is writable");
        let content = b"Subject: \xff\r\n\r\n.\r\n";
        sink.keep(message("a@a", content)).await;
        // A new sink, as after a restart, counts on.
        let sink = Sink::in_folder(folder.path()).expect("the folder is writable");
        sink.keep(message("a@a", b"second\r\n")).await;
        assert_eq!(
            std::fs::read(folder.path().join("0001.eml")).expect("the first file"),
            content
        );
        assert_eq!(
            sink.messages()[0].file.as_deref(),
            Some(folder.path().join("0002.eml").as_path())
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = folder
                .path()
                .join("0001.eml")
                .metadata()
                .expect("the first file")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_stored_is_not_accepted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sink = Sink::in_folder(folder.path()).expect("the folder is writable");
        drop(folder);
        let reply = sink.keep(message("a@a", b"1\r\n")).await;
        assert_eq!((reply.code(), sink.messages().len()), (451, 0));
    }

    #[tokio::test]
    async fn a_full_mailbox_refuses_for_now() {
        let sink = Sink::new();
        sink.kept().octets = MAX_KEPT_OCTETS;
        assert_eq!(sink.keep(message("a@a", b"1\r\n")).await.code(), 452);
        assert!(sink.messages().is_empty());
    }

    #[test]
    fn a_folder_that_is_a_file_is_an_error() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let error = Sink::in_folder(file.path()).expect_err("a file is no folder");
        assert!(error.to_string().contains(&file.path().display().to_string()));
    }
}
