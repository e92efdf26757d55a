//! DNS look-ups that say how far an answer is proved.
//!
//! [`Resolver`] asks the servers that it is given (a recursive resolver, as a rule), and validates every answer itself
//! with DNSSEC from a trust anchor down; it never believes the AD bit of anybody else. What comes back is an [`Answer`],
//! whose variants keep apart what callers must not confuse: a name that does not exist, one without such records, an
//! answer whose signatures are wrong, and no answer at all. There is no cache: two processes never share a wrong answer,
//! and what is expensive to ask twice is remembered by whoever asks, with its time.
//!
//! [`LocalAnswerer`] is a small authoritative server with a signed root zone of its own, for trying out and for tests
//! without the Internet: what uses it goes through the same look-ups and the same validation as everything else.

mod answer;
mod chain;
mod config;
mod exchange;
mod local;
mod name;
mod record;
mod resolver;
mod wildcard;

pub use answer::{Absent, Answer, Bogus, Failure, Found, Security};
pub use chain::ZoneSecurity;
pub use config::{InvalidConfig, Limits, ResolverConfig, TrustAnchor, system_servers};
pub use local::{LocalAnswerer, LocalData, ZoneHandle};
pub use name::{InvalidName, Name};
pub use record::{CertificateAssociation, CertificationAuthorityAuthorization, MailExchanger, Text};
pub use resolver::Resolver;
