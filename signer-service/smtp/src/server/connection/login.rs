//! AUTH: the conversation in which a client logs in. See RFC 4954.

use base64ct::{Base64, Encoding as _};
use tokio::select;
use tracing::debug;
use zeroize::Zeroizing;

use super::{Connection, Next, Talk, end, flush, stopped};
use crate::auth::plain::{self, PlainFault};
use crate::auth::scram::{ClientFirst, ScramFault, ServerExchange};
use crate::auth::{
    Authenticated, AuthenticatedBy, Authentication, Mechanism, Password, Unavailable, Verdict, WithoutTls,
};
use crate::reply::Reply;
use crate::server::request::InitialResponse;
use crate::server::{Hello, Peer, Service, Session as _};
use crate::wire::Wire;

/// Why nobody has logged in.
enum Failure {
    /// The client is wrong about who it is, or says what only an attacker would: it is told late, and not why.
    Denied,
    /// The exchange itself went wrong.
    Faulty(Reply),
    Cancelled,
    Unavailable,
    Ended(Talk),
}

impl<V: Service> Connection<'_, V> {
    /// What is offered now, the strongest first if so set.
    pub(super) fn mechanisms(&self) -> Vec<Mechanism> {
        let Some(authentication) = &self.settings.authentication else {
            return Vec::new();
        };
        if !self.may_log_in(authentication) {
            return Vec::new();
        }
        let can_be_done = |mechanism: &Mechanism| *mechanism != Mechanism::ScramSha256Plus || self.exporter.is_some();
        authentication.mechanisms.iter().copied().filter(can_be_done).collect()
    }

    fn may_log_in(&self, authentication: &Authentication) -> bool {
        // Also the client behind a host that is trusted has to be on this machine.
        let is_local = [self.true_address, self.peer.address]
            .iter()
            .all(|address| address.ip().to_canonical().is_loopback());
        self.peer.tls.is_some() || (is_local && authentication.without_tls == WithoutTls::AllowOnLoopback)
    }

    pub(super) async fn login(
        &mut self,
        wire: &mut Wire,
        mechanism: &str,
        initial: Option<InitialResponse>,
    ) -> Result<(Reply, Next), Talk> {
        let settings = self.settings;
        let Some(authentication) = &settings.authentication else {
            return Ok(self.refuse_login(502, [5, 5, 1], "AUTH is not available"));
        };
        if !self.greeted || self.peer.hello != Hello::Ehlo {
            return Ok(self.refuse_login(503, [5, 5, 1], "Say EHLO first"));
        }
        if self.peer.user.is_some() {
            return Ok(self.refuse_login(503, [5, 5, 1], "You have logged in already"));
        }
        if self.transaction.is_some() {
            return Ok(self.refuse_login(503, [5, 5, 1], "A transaction is open; RSET ends it"));
        }
        let known = Mechanism::named(mechanism).filter(|mechanism| authentication.mechanisms.contains(mechanism));
        let Some(mechanism) = known else {
            return Ok(self.refuse_login(504, [5, 5, 4], "That mechanism is not available"));
        };
        if !self.may_log_in(authentication) {
            let text = "Encryption is required for that mechanism";
            return Ok(self.refuse_login(538, [5, 7, 11], text));
        }
        if !self.mechanisms().contains(&mechanism) {
            return Ok(self.refuse_login(504, [5, 5, 4], "That mechanism needs TLS 1.3"));
        }
        let failure = match self.exchange(wire, authentication, mechanism, initial).await {
            Ok(user) => {
                let user = Authenticated::new(user, AuthenticatedBy::Mechanism(mechanism));
                self.peer.user = Some(user.clone());
                self.failed_logins = 0;
                self.session.authenticated(&user, &self.peer);
                return Ok((Reply::new(235, Some([2, 7, 0]), "Welcome"), Next::Command));
            }
            Err(failure) => failure,
        };
        match failure {
            Failure::Ended(talk) => Err(talk),
            Failure::Cancelled => {
                let reply = Reply::new(501, Some([5, 7, 0]), "Login cancelled");
                Ok((self.idle(reply), Next::Command))
            }
            Failure::Unavailable => {
                let reply = Reply::new(454, Some([4, 7, 0]), "Nobody can log in at the moment, try again later");
                Ok((self.idle(reply), Next::Command))
            }
            Failure::Faulty(reply) => Ok((self.error(reply), Next::Command)),
            Failure::Denied => {
                self.failed_logins += 1;
                debug!(address = %self.peer.address, %mechanism, failed = self.failed_logins, "a login failed");
                select! {
                    () = authentication.timer.wait(authentication.delay(self.failed_logins)) => {}
                    () = stopped(&mut self.stopping) => {}
                }
                if self.failed_logins >= authentication.max_failures {
                    return Err(end(wire, Reply::closing([4, 7, 0], "Too many failed logins")));
                }
                let reply = Reply::new(535, Some([5, 7, 8]), "Authentication credentials invalid");
                Ok((reply, Next::Command))
            }
        }
    }

    fn refuse_login(&mut self, code: u16, enhanced: [u16; 3], text: &str) -> (Reply, Next) {
        (self.error(Reply::new(code, Some(enhanced), text)), Next::Command)
    }

    /// Talks as the mechanism wants, and gives the name of who has logged in.
    async fn exchange(
        &mut self,
        wire: &mut Wire,
        authentication: &Authentication,
        mechanism: Mechanism,
        initial: Option<InitialResponse>,
    ) -> Result<String, Failure> {
        let first = match (initial, mechanism) {
            (Some(initial), _) => decode_initial(&initial)?,
            (None, Mechanism::Login) => self.ask(wire, b"Username:").await?,
            (None, _) => self.ask(wire, b"").await?,
        };
        match mechanism {
            Mechanism::Plain => {
                let (user, password) = plain::parse(&first)?;
                check_password(authentication, user, &password, &self.peer).await
            }
            Mechanism::Login => {
                let password = self.ask(wire, b"Password:").await?;
                let text = |octets| std::str::from_utf8(octets).map_err(|_| PlainFault::Malformed);
                let (user, password) = plain::prepare(text(&first)?, text(&password)?)?;
                check_password(authentication, user, &password, &self.peer).await
            }
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
                let first = ClientFirst::parse(&first)?;
                let plus_was_offered = self.mechanisms().contains(&Mechanism::ScramSha256Plus);
                first.check_binding(mechanism, plus_was_offered)?;
                let user = first.user().to_owned();
                let credentials = authentication.scram(&user, &self.peer).await?;
                let exchange = ServerExchange::new(first, &authentication.nonce(), credentials);
                let answer = self.ask(wire, exchange.challenge().as_bytes()).await?;
                let proof = exchange.finish(&answer, self.exporter.as_ref())?;
                // RFC 4954 section 4: what goes with success is one more challenge, with an empty response.
                match self.ask(wire, proof.as_bytes()).await?.is_empty() {
                    true => Ok(user),
                    false => Err(ScramFault::Malformed.into()),
                }
            }
        }
    }

    /// Sends a challenge and reads the response to it.
    async fn ask(&mut self, wire: &mut Wire, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        // Not a reply of several lines, however long it is.
        wire.output.extend_from_slice(b"334 ");
        wire.output
            .extend_from_slice(Base64::encode_string(challenge).as_bytes());
        wire.output.extend_from_slice(b"\r\n");
        if !flush(wire, self.settings).await {
            return Err(Failure::Ended(Talk::Lost));
        }
        match self.line(wire).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                return Err(Failure::Faulty(Reply::new(
                    500,
                    Some([5, 5, 6]),
                    "That response is too long",
                )));
            }
            Err(talk) => return Err(Failure::Ended(talk)),
        }
        match wire.line() {
            b"*" => Err(Failure::Cancelled),
            line => decode(line),
        }
    }
}

async fn check_password(
    authentication: &Authentication,
    user: String,
    password: &Password,
    peer: &Peer,
) -> Result<String, Failure> {
    match authentication.verify(&user, password, peer).await? {
        Verdict::Accept => Ok(user),
        Verdict::Deny => Err(Failure::Denied),
    }
}

fn decode_initial(initial: &InitialResponse) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match initial.0.as_str() {
        // RFC 4954 section 4: how to write that it is empty.
        "=" => Ok(Zeroizing::new(Vec::new())),
        text => decode(text.as_bytes()),
    }
}

fn decode(line: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut decoded = Zeroizing::new(vec![0; line.len()]);
    let length = Base64::decode(line, &mut decoded).map(<[u8]>::len);
    match length {
        Ok(length) => {
            decoded.truncate(length);
            Ok(decoded)
        }
        Err(_) => Err(Failure::Faulty(Reply::new(501, Some([5, 5, 2]), "That is not Base64"))),
    }
}

impl From<PlainFault> for Failure {
    fn from(fault: PlainFault) -> Self {
        match fault {
            PlainFault::Malformed => malformed(),
            PlainFault::Refused => Self::Denied,
        }
    }
}

impl From<ScramFault> for Failure {
    fn from(fault: ScramFault) -> Self {
        match fault {
            ScramFault::Malformed => malformed(),
            ScramFault::Refused => Self::Denied,
        }
    }
}

impl From<Unavailable> for Failure {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

fn malformed() -> Failure {
    Failure::Faulty(Reply::new(
        501,
        Some([5, 5, 2]),
        "The response does not follow the mechanism",
    ))
}
