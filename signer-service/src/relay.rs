//! The pass-through relay: what the next hop says is what the sender hears, and nothing is stored.
//!
//! MAIL and RCPT go on to the next hop as they come. The message is treated after DATA and handed on in the same
//! transaction, so 250 is said only when the next hop has said it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use policies::signing::{MaySign, SigningIdentity};
use policies::time::Timestamp;
use smtp::Reply;
use smtp::client::{ClientError, Connection, Target, Timeouts, TlsPolicy};
use smtp::envelope::{Body, MailFrom, RcptTo};
use smtp::server::{Peer, Service, Session};
use verifier::header::HeaderBlock;

use crate::cms::CmsError;
use crate::config::NextHopTls;
use crate::enrol::EnrolError;
use crate::gateway::Gateway;
use crate::identity::Identity;
use crate::mime::Limits;
use crate::mime::signed::{Smtputf8, prepare, without_bcc};
use crate::treatment::{Refusal, ReversePath, Treatment, WithoutIdentity, decide};

/// Takes in mail from those networks that the configuration names.
#[derive(Debug, Clone)]
pub struct Relay(Arc<Gateway>);

impl Relay {
    pub const fn new(gateway: Arc<Gateway>) -> Self {
        Self(gateway)
    }
}

impl Service for Relay {
    type Session = RelaySession;

    fn connect(&self, peer: SocketAddr) -> Result<RelaySession, Reply> {
        let Some(may_sign_for) = self.0.config.authorized_from(peer.ip()) else {
            return Err(Reply::new(
                554,
                Some([5, 7, 1]),
                format!(
                    "{} may not send mail here; ask the operator of this gateway to list your network",
                    peer.ip().to_canonical()
                ),
            ));
        };
        Ok(RelaySession {
            gateway: self.0.clone(),
            may_sign_for,
            peer: None,
            address: peer,
            next_hop: None,
            transaction: None,
        })
    }
}

/// One connection from a sender, with its connection to the next hop.
#[derive(Debug)]
pub struct RelaySession {
    gateway: Arc<Gateway>,
    /// From the network that the sender is in, and from nothing else.
    may_sign_for: Vec<MaySign>,
    peer: Option<Peer>,
    address: SocketAddr,
    next_hop: Option<Connection>,
    transaction: Option<Transaction>,
}

#[derive(Debug)]
struct Transaction {
    reverse_path: ReversePath,
    smtputf8: Smtputf8,
    recipients: Vec<String>,
}

impl Session for RelaySession {
    fn greeted(&mut self, peer: &Peer) {
        self.peer = Some(peer.clone());
    }

    async fn mail(&mut self, from: MailFrom) -> Reply {
        let transaction = Transaction {
            reverse_path: if from.address.is_empty() {
                ReversePath::Null
            } else {
                ReversePath::Address
            },
            smtputf8: if from.smtputf8 {
                Smtputf8::Requested
            } else {
                Smtputf8::NotRequested
            },
            recipients: Vec::new(),
        };
        let reply = match self.forward_mail(&from).await {
            Ok(reply) => reply,
            Err(error) => {
                // An error before anything was said leaves the connection in order, but it is simpler to take a new one.
                self.next_hop = None;
                next_hop_failure(&error)
            }
        };
        if reply.is_positive() {
            self.transaction = Some(transaction);
        }
        self.not_closing(reply)
    }

    async fn rcpt(&mut self, to: RcptTo) -> Reply {
        let (Some(next_hop), Some(transaction)) = (&mut self.next_hop, &mut self.transaction) else {
            return lost_connection();
        };
        match next_hop.rcpt(&to).await {
            Ok(reply) => {
                if reply.is_positive() {
                    transaction.recipients.push(to.address);
                }
                self.not_closing(reply)
            }
            Err(error) => {
                let usable = next_hop.is_usable();
                if !usable {
                    self.next_hop = None;
                }
                next_hop_failure(&error)
            }
        }
    }

    async fn data(&mut self, message: Vec<u8>) -> Reply {
        let (Some(transaction), true) = (self.transaction.take(), self.next_hop.is_some()) else {
            return lost_connection();
        };
        let outgoing = match self.treat(message, &transaction).await {
            Ok(outgoing) => outgoing,
            Err(reply) => {
                self.reset_next_hop().await;
                return reply;
            }
        };
        let Some(next_hop) = &mut self.next_hop else {
            return lost_connection();
        };
        let reply = match next_hop.data(&outgoing).await {
            Ok(reply) => reply,
            Err(error) => next_hop_failure(&error),
        };
        if !reply.is_positive() {
            // Where DATA itself was refused the transaction is still open over there.
            self.reset_next_hop().await;
        }
        self.not_closing(reply)
    }

    async fn reset(&mut self) {
        self.transaction = None;
        self.reset_next_hop().await;
    }

    fn tls_started(&mut self) {
        self.peer = None;
        self.transaction = None;
        self.next_hop = None;
    }
}

impl RelaySession {
    /// Opens a transaction at the next hop, over the connection of the last one if it still works.
    async fn forward_mail(&mut self, from: &MailFrom) -> Result<Reply, ClientError> {
        if let Some(next_hop) = self.next_hop.as_mut().filter(|next_hop| next_hop.is_usable()) {
            match next_hop.mail(&for_next_hop(from, next_hop)).await {
                // It has grown tired of waiting: that says nothing about a new connection.
                Ok(reply) if reply.code() == 421 => {}
                Err(error) if error.is_temporary() => {}
                other => return other,
            }
        }
        let settings = &self.gateway.config.next_hop;
        let target = Target {
            host: settings.host.clone(),
            port: settings.port,
            tls: match settings.tls {
                NextHopTls::Never => TlsPolicy::Never,
                NextHopTls::Opportunistic => TlsPolicy::Opportunistic,
                NextHopTls::Required => TlsPolicy::Required,
            },
        };
        self.next_hop = None;
        let mut next_hop = Connection::connect(
            &target,
            &self.gateway.config.hostname,
            &self.gateway.next_hop_tls,
            Timeouts::default(),
        )
        .await?;
        let reply = next_hop.mail(&for_next_hop(from, &next_hop)).await;
        self.next_hop = Some(next_hop);
        reply
    }

    async fn reset_next_hop(&mut self) {
        if let Some(next_hop) = &mut self.next_hop
            && !(next_hop.is_usable() && next_hop.reset().await.is_ok())
        {
            self.next_hop = None;
        }
    }

    /// A next hop that closes its connection (421) does not make us close ours.
    fn not_closing(&mut self, reply: Reply) -> Reply {
        if reply.code() != 421 {
            return reply;
        }
        self.next_hop = None;
        Reply::try_later(
            [4, 4, 2],
            format!("The next mail server is closing its connection: {}", reply.text()),
        )
    }

    /// The message as it goes out, or why it does not.
    async fn treat(&mut self, message: Vec<u8>, transaction: &Transaction) -> Result<Vec<u8>, Reply> {
        self.check_loop(&message)?;
        let treatment = decide(&message, transaction.reverse_path, &self.may_sign_for);
        let mut outgoing = self.received(transaction).into_bytes();
        let identity = match treatment {
            Treatment::Refuse(refusal) => return Err(refusal_reply(&refusal)),
            Treatment::PassUntouched(reason) => {
                tracing::info!(?reason, octets = message.len(), "a message is passed on as it is");
                None
            }
            Treatment::Sign { from, without_identity } => self.identity(&from, without_identity).await?,
        };
        match identity {
            None => outgoing.extend(without_bcc(&message).map_err(|problem| refusal_reply(&Refusal::Mime(problem)))?),
            Some(identity) => {
                let tier = identity.tier();
                outgoing.extend(self.sign(message, transaction.smtputf8, identity).await?);
                tracing::info!(%tier, octets = outgoing.len(), "a message was signed");
            }
        }
        Ok(outgoing)
    }

    /// Whom to sign as, checked against the certificate; `None` to pass the message on unsigned.
    async fn identity(
        &mut self,
        from: &SigningIdentity,
        without_identity: WithoutIdentity,
    ) -> Result<Option<Arc<Identity>>, Reply> {
        let found = match without_identity {
            WithoutIdentity::Enrol => self.gateway.enroller.identity(from.mailbox()).await.map(Some),
            WithoutIdentity::PassUntouched => {
                let now = self.gateway.clock.now();
                self.gateway
                    .identities
                    .best(from.mailbox(), now)
                    .await
                    .map_err(EnrolError::from)
            }
        };
        let identity = found.map_err(|error| enrolment_reply(&error))?;
        if let Some(identity) = &identity
            && let Err(refusal) = from.check_certificate(identity.certified())
        {
            tracing::error!(serial = identity.serial(), %refusal, "a stored identity names somebody else");
            return Err(Reply::try_later(
                [4, 3, 0],
                "The certificate of the sender is not usable; try again later",
            ));
        }
        Ok(identity)
    }

    async fn sign(&mut self, message: Vec<u8>, smtputf8: Smtputf8, identity: Arc<Identity>) -> Result<Vec<u8>, Reply> {
        let gateway = self.gateway.clone();
        let work = move || {
            let limits = Limits::for_messages_up_to(gateway.config.max_message_size);
            let prepared =
                prepare(&message, smtputf8, limits).map_err(|problem| refusal_reply(&Refusal::Mime(problem)))?;
            let signature = identity
                .sign(prepared.entity(), gateway.clock.now())
                .map_err(|error| signing_reply(&error))?;
            Ok(gateway.with_rng(|rng| prepared.into_signed(identity.digest(), &signature, rng)))
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
            Err(Reply::try_later(
                [4, 3, 0],
                "The message could not be signed; try again later",
            ))
        })
    }

    /// RFC 5321 section 6.3: a message that has come by too often goes in circles.
    fn check_loop(&self, message: &[u8]) -> Result<(), Reply> {
        let (header, _) = HeaderBlock::parse(message).map_err(|problem| refusal_reply(&Refusal::Header(problem)))?;
        let mark = format!("by {} ({SOFTWARE})", self.gateway.config.hostname).to_ascii_lowercase();
        let (mut hops, mut own) = (0, 0);
        for field in header.named("Received") {
            hops += 1;
            let value = String::from_utf8_lossy(&field.unfolded()).to_ascii_lowercase();
            own += usize::from(value.contains(&mark));
        }
        if hops >= MOST_HOPS || own >= MOST_OWN_HOPS {
            return Err(Reply::new(
                554,
                Some([5, 4, 6]),
                format!("The message has passed {hops} mail servers, {own} times this one: it goes in circles"),
            ));
        }
        Ok(())
    }

    /// RFC 5321 section 4.4, folded with a single space.
    fn received(&self, transaction: &Transaction) -> String {
        let address = match self.address.ip().to_canonical() {
            IpAddr::V4(address) => format!("[{address}]"),
            IpAddr::V6(address) => format!("[IPv6:{address}]"),
        };
        let smtputf8 = transaction.smtputf8 == Smtputf8::Requested;
        let (helo, protocol) = self.peer.as_ref().map_or(("unknown", "SMTP"), |peer| {
            (peer.helo.as_str(), peer.protocol(smtputf8))
        });
        let mut random = [0; 8];
        self.gateway.with_rng(|rng| rng.fill_bytes(&mut random));
        // With several recipients the field would tell each of the others, hidden ones too.
        let only = match transaction.recipients.as_slice() {
            [only] if only.is_ascii() => format!("\r\n for <{only}>"),
            _ => String::new(),
        };
        format!(
            "Received: from {helo} ({address})\r\n by {} ({SOFTWARE})\r\n with {protocol} id {}{only};\r\n {}\r\n",
            self.gateway.config.hostname,
            HEXLOWER.encode(&random),
            date(self.gateway.clock.now())
        )
    }
}

/// What goes on of MAIL: all that the next hop understands.
///
/// The announced size is the least that the message will have, so that a next hop that is too small says so early;
/// the real size is checked before DATA. What is signed is 7bit, so 8BITMIME is asked for only where it is offered.
fn for_next_hop(from: &MailFrom, next_hop: &Connection) -> MailFrom {
    let body = match from.body {
        Body::EightBitMime if next_hop.capabilities().offers("8BITMIME") => Body::EightBitMime,
        _ => Body::SevenBit,
    };
    MailFrom {
        body,
        parameters: Vec::new(),
        ..from.clone()
    }
}

fn lost_connection() -> Reply {
    Reply::try_later(
        [4, 4, 2],
        "The connection to the next mail server was lost; try again later",
    )
}

/// What the sender hears when the next hop has not answered. Its own answers are passed on and never come here.
fn next_hop_failure(error: &ClientError) -> Reply {
    tracing::warn!(%error, cause = std::error::Error::source(error).map(ToString::to_string), "the next hop did not take a message");
    match error {
        ClientError::TooLarge { .. } => Reply::new(
            552,
            Some([5, 3, 4]),
            format!("The message is too large with its signature: {error}"),
        ),
        ClientError::EightBitNotOffered => Reply::new(
            554,
            Some([5, 6, 3]),
            "The next mail server takes only 7-bit messages, and this one may not be changed",
        ),
        ClientError::Utf8NotOffered { .. } | ClientError::Utf8NotRequested { .. } => {
            Reply::refused([5, 6, 7], error.to_string())
        }
        ClientError::Address { .. } => Reply::new(553, Some([5, 1, 3]), error.to_string()),
        ClientError::NotCanonical { .. } => Reply::new(554, Some([5, 6, 0]), error.to_string()),
        _ => Reply::try_later([4, 4, 1], "The next mail server cannot be reached; try again later"),
    }
}

fn refusal_reply(refusal: &Refusal) -> Reply {
    match refusal {
        Refusal::NotAuthorized(_) => Reply::refused([5, 7, 1], refusal.to_string()),
        Refusal::Header(_) | Refusal::From(_) | Refusal::Mime(_) => {
            Reply::new(554, Some([5, 6, 0]), refusal.to_string())
        }
    }
}

fn enrolment_reply(error: &EnrolError) -> Reply {
    match error {
        EnrolError::NoAccount { .. } | EnrolError::NotValidated { .. } | EnrolError::Refused { .. } => {
            tracing::info!("a message was refused because its sender has no identity");
            return Reply::refused([5, 7, 1], error.to_string());
        }
        _ => {
            tracing::warn!(%error, cause = std::error::Error::source(error).map(ToString::to_string), "a sender has no identity for now")
        }
    }
    match error {
        EnrolError::Pending { .. } => Reply::try_later([4, 7, 1], error.to_string()),
        EnrolError::Unreachable { .. } => Reply::try_later([4, 4, 1], error.to_string()),
        EnrolError::Misconfigured { .. } => Reply::try_later([4, 3, 5], error.to_string()),
        _ => Reply::try_later([4, 3, 0], error.to_string()),
    }
}

fn signing_reply(error: &CmsError) -> Reply {
    tracing::error!(%error, cause = std::error::Error::source(error).map(ToString::to_string), "a message could not be signed");
    Reply::try_later([4, 3, 0], "The signing key is not available; try again later")
}

/// RFC 5322 section 3.3, in UTC.
fn date(at: Timestamp) -> String {
    let days = at.unix().div_euclid(86_400);
    // 1970-01-01 was a Thursday.
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(days.rem_euclid(7)).unwrap_or(0)];
    // RFC 3339 in UTC: 2026-11-22T10:00:00Z.
    let text = at.to_string();
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = text[5..7]
        .parse::<usize>()
        .ok()
        .and_then(|month| months.get(month.wrapping_sub(1)))
        .copied()
        .unwrap_or("Jan");
    format!(
        "{weekday}, {} {month} {} {} +0000",
        &text[8..10],
        &text[..4],
        &text[11..19]
    )
}

const SOFTWARE: &str = "Sealwright";

/// Postfix has the same limit (hopcount_limit).
const MOST_HOPS: usize = 50;

/// Once on the way out, once more where a provider hands mail back; a third time is a circle.
const MOST_OWN_HOPS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_rfc_5322() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (1_795_341_600, "Sun, 22 Nov 2026 10:00:00 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
        ] {
            assert_eq!(date(Timestamp::from_unix(seconds)), expected);
        }
    }
}
