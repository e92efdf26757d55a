//! Logging in at the next hop. See RFC 4954.

use std::io;

use base64ct::{Base64, Encoding as _};
use rand_core::CryptoRng;
use tokio::task::spawn_blocking;
use zeroize::{Zeroize as _, Zeroizing};

use super::{ClientError, Connection, Phase, TlsPolicy};
use crate::auth::scram::{ClientBinding, ClientExchange, salted_password};
use crate::auth::{self, Credentials, Mechanism, UntrustworthyServer, plain};
use crate::reply::Reply;

impl Connection {
    /// Logs in with the strongest mechanism that both sides have: SCRAM-SHA-256-PLUS, SCRAM-SHA-256, PLAIN.
    ///
    /// The password itself (PLAIN) goes only to a server whose certificate was checked, and a proof of it (SCRAM) only
    /// through TLS; with [`TlsPolicy::Never`], which is for a next hop on the same machine, anything goes.
    pub async fn authenticate(
        &mut self,
        credentials: &Credentials,
        random: &mut (dyn CryptoRng + Send),
    ) -> Result<(), ClientError> {
        let nonce = auth::nonce(random);
        match self.best_mechanism()? {
            mechanism @ (Mechanism::ScramSha256Plus | Mechanism::ScramSha256) => {
                self.scram(mechanism, credentials, nonce).await
            }
            Mechanism::Plain | Mechanism::Login => self.plain(credentials).await,
        }
    }

    fn best_mechanism(&self) -> Result<Mechanism, ClientError> {
        let is_offered = |mechanism: Mechanism| self.offers_mechanism(mechanism);
        let may_send_password = match (self.policy, &self.tls) {
            (TlsPolicy::Never, _) | (TlsPolicy::Required | TlsPolicy::Implicit, Some(_)) => true,
            (TlsPolicy::Opportunistic, Some(_)) => false,
            (_, None) => return Err(ClientError::AuthenticationNeedsTls),
        };
        if self.exporter.is_some() && is_offered(Mechanism::ScramSha256Plus) {
            return Ok(Mechanism::ScramSha256Plus);
        }
        if is_offered(Mechanism::ScramSha256) {
            return Ok(Mechanism::ScramSha256);
        }
        match is_offered(Mechanism::Plain) {
            true if may_send_password => Ok(Mechanism::Plain),
            true => Err(ClientError::AuthenticationNeedsTls),
            false => Err(ClientError::AuthenticationNotOffered {
                offered: self.capabilities.parameters("AUTH").unwrap_or_default().to_owned(),
            }),
        }
    }

    fn offers_mechanism(&self, mechanism: Mechanism) -> bool {
        let offered = self.capabilities.parameters("AUTH").unwrap_or_default();
        offered.split(' ').any(|name| Mechanism::named(name) == Some(mechanism))
    }

    async fn plain(&mut self, credentials: &Credentials) -> Result<(), ClientError> {
        let message = plain::message(credentials.user(), credentials.password());
        let reply = self.respond(Some(Mechanism::Plain), message.as_bytes()).await?;
        self.finished(Mechanism::Plain, credentials, reply)
    }

    async fn scram(
        &mut self,
        mechanism: Mechanism,
        credentials: &Credentials,
        nonce: String,
    ) -> Result<(), ClientError> {
        let binding = match (mechanism, self.exporter) {
            (Mechanism::ScramSha256Plus, Some(exporter)) => ClientBinding::Exporter(exporter),
            (_, Some(_)) => ClientBinding::NotOffered,
            (_, None) => ClientBinding::Cannot,
        };
        let untrustworthy = |source| ClientError::Untrustworthy {
            user: credentials.user().to_owned(),
            mechanism,
            source,
        };
        let exchange = ClientExchange::new(credentials.user(), nonce, binding);
        let reply = self.respond(Some(mechanism), exchange.first().as_bytes()).await?;
        let challenge = self.challenge(mechanism, credentials, &reply)?;
        // Whatever is wrong from here on, the server still waits for a response, which it will not get.
        self.usable = false;
        let challenge = exchange.read_challenge(&challenge).map_err(untrustworthy)?;
        // It may take a second, in which other connections want to be served.
        let (password, salt, iterations) = (
            credentials.password().duplicate(),
            challenge.salt.clone(),
            challenge.iterations,
        );
        let salted = spawn_blocking(move || salted_password(&password, &salt, iterations))
            .await
            .map_err(|error| ClientError::Io {
                phase: Phase::Authentication,
                source: io::Error::other(error),
            })?;
        let (message, expected) = exchange.finish(&challenge, &salted);
        self.usable = true;
        let reply = self.respond(None, message.as_bytes()).await?;
        let proof = self.challenge(mechanism, credentials, &reply)?;
        self.usable = false;
        expected.check(&proof).map_err(untrustworthy)?;
        self.usable = true;
        let reply = self.respond(None, b"").await?;
        self.finished(mechanism, credentials, reply)
    }

    /// Sends a message of the client: behind AUTH when it is the first.
    async fn respond(&mut self, mechanism: Option<Mechanism>, message: &[u8]) -> Result<Reply, ClientError> {
        let encoded = Zeroizing::new(Base64::encode_string(message));
        let mut line = Zeroizing::new(String::with_capacity(encoded.len() + 32));
        if let Some(mechanism) = mechanism {
            for part in ["AUTH ", mechanism.name(), " "] {
                line.push_str(part);
            }
        }
        line.push_str(&encoded);
        // Room for all of it at once, so that no copy stays behind where it was before.
        self.wire.output.reserve(line.len() + 2);
        let result = self.command(&line, Phase::Authentication, self.timeouts.command).await;
        self.wire.output.zeroize();
        result
    }

    /// What is behind 334.
    fn challenge(
        &mut self,
        mechanism: Mechanism,
        credentials: &Credentials,
        reply: &Reply,
    ) -> Result<Vec<u8>, ClientError> {
        // Success without proof is what an impostor would say.
        if reply.is_positive() {
            self.usable = false;
            return Err(ClientError::Untrustworthy {
                user: credentials.user().to_owned(),
                mechanism,
                source: UntrustworthyServer::NoProof,
            });
        }
        if !reply.is_intermediate() {
            return Err(ClientError::AuthenticationRefused {
                user: credentials.user().to_owned(),
                mechanism,
                reply: reply.clone(),
            });
        }
        Base64::decode_vec(reply.text()).map_err(|_| {
            self.usable = false;
            ClientError::Untrustworthy {
                user: credentials.user().to_owned(),
                mechanism,
                source: UntrustworthyServer::Malformed,
            }
        })
    }

    fn finished(&mut self, mechanism: Mechanism, credentials: &Credentials, reply: Reply) -> Result<(), ClientError> {
        let reply = self.expect_final(Phase::Authentication, reply)?;
        match reply.is_positive() {
            true => Ok(()),
            false => Err(ClientError::AuthenticationRefused {
                user: credentials.user().to_owned(),
                mechanism,
                reply,
            }),
        }
    }
}
