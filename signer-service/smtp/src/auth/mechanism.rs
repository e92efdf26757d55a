//! The SASL mechanisms that are spoken here.

use std::fmt;

/// A way to log in. See RFC 4422.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM-SHA-256 bound to the TLS session by `tls-exporter`, so that nobody can sit between. See RFC 7677 and
    /// RFC 9266.
    ScramSha256Plus,
    /// The password never crosses the wire, and the server proves that it knows it too. See RFC 7677.
    ScramSha256,
    /// See RFC 4616.
    Plain,
    /// The obsolete relative of PLAIN which old clients still prefer. See draft-murchison-sasl-login-00.
    Login,
}

impl Mechanism {
    /// The strongest first.
    pub const ALL: [Self; 4] = [Self::ScramSha256Plus, Self::ScramSha256, Self::Plain, Self::Login];

    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// Names are compared without regard to case, as mail software has always done.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
