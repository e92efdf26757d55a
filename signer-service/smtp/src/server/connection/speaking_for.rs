//! A trusted host tells of the client behind it: XCLIENT and XFORWARD.

use std::net::SocketAddr;

use super::{Claims, Connection, Next, greeting};
use crate::auth::{Authenticated, AuthenticatedBy};
use crate::reply::Reply;
use crate::server::{Service, Session as _};

impl<V: Service> Connection<'_, V> {
    /// XCLIENT: from here on this is the connection of the client that is named, with a session of its own, and
    /// begins anew.
    pub(super) async fn speak_for(&mut self, words: &str) -> (Reply, Next) {
        if !self.trust.xclient {
            return (self.error(not_trusted()), Next::Command);
        }
        if self.transaction.is_some() {
            return (self.error(in_transaction()), Next::Command);
        }
        let claims = match Claims::parse(words) {
            Ok(claims) => claims,
            Err(reply) => return (self.error(reply), Next::Command),
        };
        let address = SocketAddr::new(
            claims.address.unwrap_or(self.peer.address.ip()),
            claims.port.unwrap_or(self.peer.address.port()),
        );
        self.session = match self.service.connect(address) {
            Ok(session) => session,
            Err(reply) => return (reply, Next::Close),
        };
        self.idle_commands += 1;
        self.greeted = false;
        self.origin = None;
        self.chunk_refused = false;
        self.peer.address = address;
        self.peer.via = Some(self.true_address);
        if let Some(name) = &claims.name {
            self.peer.name = name.clone();
        }
        // Who logged in before was the host, not the client.
        let login = claims.login.clone().flatten();
        self.peer.user = login.map(|user| Authenticated::new(user, AuthenticatedBy::TrustedHost));
        self.claims.helo = claims.helo.or(self.claims.helo.take());
        self.claims.hello = claims.hello.or(self.claims.hello.take());
        if self.peer.tls.is_some() {
            self.session.tls_started();
        }
        if let Some(user) = &self.peer.user {
            self.session.authenticated(user, &self.peer);
        }
        let reply = greeting(self.settings);
        (self.idle(reply), Next::Command)
    }

    /// XFORWARD: for the record of the next transaction.
    pub(super) fn record_origin(&mut self, words: &str) -> Reply {
        if !self.trust.xforward {
            return self.error(not_trusted());
        }
        if self.transaction.is_some() {
            return self.error(in_transaction());
        }
        match self.origin.get_or_insert_default().add(words) {
            Ok(()) => self.idle(Reply::ok([2, 0, 0], "Noted")),
            Err(reply) => self.error(reply),
        }
    }
}

fn not_trusted() -> Reply {
    Reply::new(550, Some([5, 7, 0]), "You are not trusted to speak for others")
}

fn in_transaction() -> Reply {
    Reply::new(503, Some([5, 5, 1]), "A transaction is open; RSET ends it")
}
