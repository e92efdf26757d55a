//! The door for incoming mail: SMTP in, labelled mail out, and the answer of the mailbox server is the answer.

use std::net::SocketAddr;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use smtp::Reply;
use smtp::client::{ClientError, Connection};
use smtp::envelope::{MailFrom, RcptTo};
use smtp::server::{Peer, Service, Session};
use verifier::header::HeaderBlock;

use super::{Opening, deliver, labelled};
use crate::config::Inbound as Settings;
use crate::delivered;
use crate::engine::{refusal_reply, reply};
use crate::gateway::Gateway;
use crate::trace::{MOST_HOPS, SOFTWARE, date};
use crate::treatment::Refusal;

/// Takes incoming mail from those networks that the configuration names.
#[derive(Debug, Clone)]
pub(crate) struct Inbound(Arc<Gateway>);

impl Inbound {
    pub(crate) const fn new(gateway: Arc<Gateway>) -> Self {
        Self(gateway)
    }
}

impl Service for Inbound {
    type Session = InboundSession;

    fn connect(&self, peer: SocketAddr) -> Result<InboundSession, Reply> {
        let settings = self.0.config.inbound.clone().filter(|settings| {
            settings
                .networks
                .iter()
                .any(|network| network.contains(peer.ip().to_canonical()))
        });
        let Some(settings) = settings else {
            return Err(Reply::new(
                554,
                Some([5, 7, 1]),
                format!(
                    "{} may not bring mail here; ask the operator to list your network under [inbound]",
                    peer.ip().to_canonical()
                ),
            ));
        };
        Ok(InboundSession {
            gateway: self.0.clone(),
            settings,
            address: peer,
            peer: None,
            behind: None,
            transaction: None,
        })
    }
}

/// One connection, with its connection to the mailbox server.
#[derive(Debug)]
pub(crate) struct InboundSession {
    gateway: Arc<Gateway>,
    settings: Settings,
    address: SocketAddr,
    peer: Option<Peer>,
    behind: Option<Connection>,
    transaction: Option<(MailFrom, Vec<RcptTo>)>,
}

impl Session for InboundSession {
    fn greeted(&mut self, peer: &Peer) {
        self.peer = Some(peer.clone());
    }

    async fn mail(&mut self, from: MailFrom) -> Reply {
        self.transaction = None;
        match self.begin(&from).await {
            Ok(reply) => {
                if reply.is_positive() {
                    self.transaction = Some((from, Vec::new()));
                }
                not_closing(reply)
            }
            Err(error) => self.failed(&error),
        }
    }

    async fn rcpt(&mut self, to: RcptTo) -> Reply {
        let (Some(behind), Some((_, recipients))) = (&mut self.behind, &mut self.transaction) else {
            return lost();
        };
        match behind.rcpt(&to).await {
            Ok(reply) => {
                if reply.is_positive() {
                    recipients.push(to);
                }
                not_closing(reply)
            }
            Err(error) => self.failed(&error),
        }
    }

    async fn data(&mut self, message: Vec<u8>) -> Reply {
        let Some((from, recipients)) = self.transaction.take() else {
            return lost();
        };
        if let Err(refusal) = check_loop(&message) {
            self.reset().await;
            return refusal;
        }
        let addresses: Vec<String> = recipients.iter().map(|to| to.address.clone()).collect();
        let copies = labelled(&self.gateway, &message, &addresses, Opening::WhereAKeyIsHere).await;
        let copies = match copies {
            Ok(copies) => copies,
            Err(error) => {
                self.reset().await;
                return reply(&error);
            }
        };
        let now = self.gateway.clock.now();
        let key = |recipient: &str| delivered::key(&message, &from.address, recipient);
        let mut done: Vec<String> = Vec::new();
        let (mut later, mut never) = (None, None);
        for copy in copies {
            let waiting: Vec<RcptTo> = recipients
                .iter()
                .filter(|to| copy.recipients.contains(&to.address))
                .filter(|to| !self.gateway.delivered.knows(&key(&to.address), now))
                .cloned()
                .collect();
            if waiting.is_empty() {
                continue;
            }
            let content = [self.received(&waiting).as_bytes(), &copy.message].concat();
            self.reset().await;
            let delivery = match self.connected().await {
                Ok(behind) => behind.send(&from, &waiting, &content).await,
                Err(error) => Err(error),
            };
            match delivery {
                Ok(delivery) => {
                    for (position, to) in waiting.iter().enumerate() {
                        let outcome = delivery.outcome(position);
                        if outcome.is_positive() {
                            done.push(to.address.clone());
                        } else if outcome.is_transient() {
                            later = Some(outcome.clone());
                        } else {
                            never = Some(outcome.clone());
                        }
                    }
                }
                Err(error) => later = Some(self.failed(&error)),
            }
        }
        match (later, never) {
            // Whoever sent it comes back with the whole message, and those who have it are left out then.
            (Some(later), _) => {
                for recipient in &done {
                    self.gateway.delivered.remember(key(recipient), now);
                }
                not_closing(later)
            }
            (None, Some(never)) if done.is_empty() => never,
            (None, Some(never)) => Reply::new(
                never.code(),
                never.enhanced(),
                format!(
                    "{} (but the message was delivered to {})",
                    never.text(),
                    done.join(", ")
                ),
            ),
            (None, None) => Reply::ok([2, 0, 0], "The message was verified, labelled and delivered"),
        }
    }

    async fn reset(&mut self) {
        self.transaction = None;
        if let Some(behind) = &mut self.behind
            && !(behind.is_usable() && behind.reset().await.is_ok())
        {
            self.behind = None;
        }
    }

    fn tls_started(&mut self) {
        self.peer = None;
        self.transaction = None;
    }
}

impl InboundSession {
    /// Opens a transaction; over a new connection if the one that was there has been closed meanwhile.
    async fn begin(&mut self, from: &MailFrom) -> Result<Reply, ClientError> {
        if let Some(behind) = &mut self.behind {
            match behind.mail(from).await {
                Ok(reply) if reply.code() != 421 => return Ok(reply),
                _ => self.behind = None,
            }
        }
        self.connected().await?.mail(from).await
    }

    async fn connected(&mut self) -> Result<&mut Connection, ClientError> {
        let behind = match self.behind.take() {
            Some(behind) if behind.is_usable() => behind,
            _ => deliver::connect(&self.gateway, self.settings.protocol, &self.settings.deliver).await?,
        };
        Ok(self.behind.insert(behind))
    }

    fn failed(&mut self, error: &ClientError) -> Reply {
        tracing::warn!(%error, cause = std::error::Error::source(error).map(ToString::to_string), "the mailbox server did not take a message");
        if self.behind.as_ref().is_some_and(|behind| !behind.is_usable()) {
            self.behind = None;
        }
        if error.is_temporary() {
            Reply::try_later([4, 4, 1], "The mailbox server cannot be reached; try again later")
        } else {
            Reply::new(
                554,
                Some([5, 6, 3]),
                format!("The mailbox server does not take this message: {error}"),
            )
        }
    }

    /// RFC 5321 section 4.4.
    fn received(&self, recipients: &[RcptTo]) -> String {
        let (helo, protocol) = self
            .peer
            .as_ref()
            .map_or(("unknown", "SMTP"), |peer| (peer.helo.as_str(), peer.protocol(false)));
        let mut random = [0; 8];
        self.gateway.with_rng(|rng| rng.fill_bytes(&mut random));
        let only = match recipients {
            [only] if only.address.is_ascii() => format!("\r\n for <{}>", only.address),
            _ => String::new(),
        };
        let address = match self.address.ip().to_canonical() {
            std::net::IpAddr::V4(address) => format!("[{address}]"),
            std::net::IpAddr::V6(address) => format!("[IPv6:{address}]"),
        };
        format!(
            "Received: from {helo} ({address})\r\n by {} ({SOFTWARE})\r\n with {protocol} id {}{only};\r\n {}\r\n",
            self.gateway.config.hostname,
            HEXLOWER.encode(&random),
            date(self.gateway.clock.now())
        )
    }
}

/// RFC 5321 section 6.3.
fn check_loop(message: &[u8]) -> Result<(), Reply> {
    let (header, _) = HeaderBlock::parse(message).map_err(|problem| refusal_reply(&Refusal::Header(problem)))?;
    let hops = header.named("Received").count();
    if hops < MOST_HOPS {
        return Ok(());
    }
    Err(Reply::new(
        554,
        Some([5, 4, 6]),
        format!("The message has passed {hops} mail servers: it goes in circles"),
    ))
}

/// A mailbox server that closes its connection does not make us close ours.
fn not_closing(reply: Reply) -> Reply {
    if reply.code() != 421 {
        return reply;
    }
    Reply::try_later(
        [4, 4, 2],
        format!("The mailbox server is closing its connection: {}", reply.text()),
    )
}

fn lost() -> Reply {
    Reply::try_later(
        [4, 4, 2],
        "The connection to the mailbox server was lost; try again later",
    )
}
