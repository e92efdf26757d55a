//! Who is at the other end of a connection.

use std::net::SocketAddr;

use crate::auth::Authenticated;
use crate::tls::TlsInfo;

/// Who is at the other end, for policy and for a Received header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub address: SocketAddr,
    /// What the client calls itself in EHLO or HELO: a claim, of letters, digits and `-._:[]` only.
    pub helo: String,
    pub hello: Hello,
    pub tls: Option<TlsInfo>,
    /// Who has logged in.
    pub user: Option<Authenticated>,
    /// The host name of the client, if a trusted host has told it with XCLIENT.
    pub name: Option<String>,
    /// The trusted host that speaks for this client; `address`, `name` and `helo` are what it says.
    pub via: Option<SocketAddr>,
}

/// Which of the two greetings the client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello {
    Helo,
    Ehlo,
}

impl Peer {
    /// The word after `with` in a Received header. See RFC 3848 and RFC 6531 section 4.3.
    pub fn protocol(&self, smtputf8: bool) -> &'static str {
        match (self.hello, smtputf8, self.tls.is_some(), self.user.is_some()) {
            (Hello::Helo, ..) => "SMTP",
            (Hello::Ehlo, false, false, false) => "ESMTP",
            (Hello::Ehlo, false, false, true) => "ESMTPA",
            (Hello::Ehlo, false, true, false) => "ESMTPS",
            (Hello::Ehlo, false, true, true) => "ESMTPSA",
            (Hello::Ehlo, true, false, false) => "UTF8SMTP",
            (Hello::Ehlo, true, false, true) => "UTF8SMTPA",
            (Hello::Ehlo, true, true, false) => "UTF8SMTPS",
            (Hello::Ehlo, true, true, true) => "UTF8SMTPSA",
        }
    }
}
