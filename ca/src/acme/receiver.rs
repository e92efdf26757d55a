//! The mail server that replies to challenges come to. It takes nothing else, and says at once what it thinks of a reply,
//! so that nobody has to be sent a bounce.

use std::net::SocketAddr;
use std::sync::Arc;

use smtp::Reply;
use smtp::envelope::{MailFrom, RcptTo};
use smtp::server::{Service, Session, Settings};

use super::challenge::{self, Answer};
use crate::app::App;
use crate::error;

/// Makes a session for every connection.
#[derive(Clone, Debug)]
pub(crate) struct Receiver(pub(crate) Arc<App>);

/// What replies need, and no more.
pub(crate) fn settings(hostname: &str) -> Settings {
    let mut settings = Settings::new(hostname);
    settings.max_message_size = LARGEST_REPLY;
    settings.max_memory = MOST_MEMORY;
    settings.max_recipients = 100;
    settings.max_connections = 50;
    settings
}

impl Service for Receiver {
    type Session = Receiving;

    fn connect(&self, _: SocketAddr) -> Result<Receiving, Reply> {
        Ok(Receiving {
            app: Arc::clone(&self.0),
            tag: None,
        })
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Receiving {
    app: Arc<App>,
    tag: Option<String>,
}

impl Session for Receiving {
    async fn mail(&mut self, _: MailFrom) -> Reply {
        self.tag = None;
        Reply::ok([2, 1, 0], "Sender accepted")
    }

    async fn rcpt(&mut self, to: RcptTo) -> Reply {
        if self.tag.is_some() {
            // A reply answers one challenge; the client sends the others in another transaction.
            return Reply::new(452, Some([4, 5, 3]), "One challenge at a time");
        }
        let Ok(acme) = self.app.acme() else {
            return Reply::try_later([4, 3, 0], "Not now");
        };
        let unknown = || Reply::refused([5, 1, 1], "There is no such challenge");
        let Some(tag) = acme.tag_of(&to.address) else {
            return unknown();
        };
        match challenge::awaits_reply(&self.app, tag).await {
            Ok(true) => {
                self.tag = Some(tag.to_owned());
                Reply::ok([2, 1, 5], "Recipient accepted")
            }
            Ok(false) => unknown(),
            Err(error) => {
                let error = error::chain(&error);
                tracing::error!(error, "could not look up a challenge");
                Reply::try_later([4, 3, 0], "The challenge could not be looked up")
            }
        }
    }

    async fn data(&mut self, message: Vec<u8>) -> Reply {
        let Some(tag) = self.tag.take() else {
            return Reply::new(503, Some([5, 5, 1]), "Say RCPT first");
        };
        match challenge::answer(&self.app, &tag, &message).await {
            Answer::Accepted => Reply::ok([2, 6, 0], "The reply was accepted"),
            Answer::Wrong => Reply::refused([5, 7, 1], "The reply is wrong, and the challenge is over"),
            Answer::NotTaken(reason) => Reply::refused([5, 7, 1], format!("The reply was not accepted: {reason}")),
            Answer::TryLater(reason) => Reply::try_later([4, 7, 0], format!("Try again: {reason}")),
        }
    }

    async fn reset(&mut self) {
        self.tag = None;
    }
}

/// A reply is two kilobytes; one that quotes a long thread is still smaller than this.
const LARGEST_REPLY: usize = 256 * 1024;
const MOST_MEMORY: usize = 16 * 1024 * 1024;
