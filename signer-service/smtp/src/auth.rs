//! Logging in: who asks, who decides, and what is stored of a password. See RFC 4954.
//!
//! The server asks an [`Authenticator`] and gives the session an [`Authenticated`] as proof. Passwords are wiped
//! after use and do not print; an unknown user is answered like a wrong password, with the same steps and the same
//! delay.

mod mechanism;
mod password;
pub(crate) mod plain;
pub(crate) mod scram;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

pub use self::mechanism::Mechanism;
pub use self::password::{InvalidPassword, Password};
pub use self::scram::{InvalidScramCredentials, ScramCredentials, UntrustworthyServer};
use crate::server::Peer;

/// Knows the users of a server.
///
/// Both methods are asked for names that do not exist as well, and must take as long for those: hash the password
/// against credentials of nobody, rather than return early. Who answers slowly is not waited for in vain: the client
/// may hang up, and the future is dropped then.
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Whether this is the user's password, for PLAIN and LOGIN. Name and password are prepared with SASLprep.
    fn verify<'a>(
        &'a self,
        user: &'a str,
        password: &'a Password,
        peer: &'a Peer,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, Unavailable>> + Send + 'a>>;

    /// What is stored of the user's password, for SCRAM-SHA-256; `None` if there is no such user or nothing is
    /// stored of this kind, which the client is not told. The name is prepared with SASLprep.
    fn scram<'a>(
        &'a self,
        user: &'a str,
        peer: &'a Peer,
    ) -> Pin<Box<dyn Future<Output = Result<Option<ScramCredentials>, Unavailable>> + Send + 'a>>;
}

/// What an [`Authenticator`] says of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    /// Wrong password, no such user, or not from there: the client is not told which.
    Deny,
}

/// An [`Authenticator`] cannot say anything now; the client is asked to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("users cannot be looked up at the moment")]
pub struct Unavailable;

/// The proof that a client has logged in: only the server makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    user: String,
    by: AuthenticatedBy,
}

/// How the server came to know who the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticatedBy {
    Mechanism(Mechanism),
    /// A host that may speak for its clients said so with XCLIENT.
    TrustedHost,
}

impl Authenticated {
    pub(crate) fn new(user: String, by: AuthenticatedBy) -> Self {
        Self { user, by }
    }

    /// The name as prepared by SASLprep, which the [`Authenticator`] has known.
    pub fn user(&self) -> &str {
        &self.user
    }

    pub fn by(&self) -> AuthenticatedBy {
        self.by
    }
}

/// Whether passwords and proofs may cross a connection without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutTls {
    /// AUTH is not offered before TLS, and answered 538.
    Refuse,
    /// Except for a client on the same machine.
    AllowOnLoopback,
}

/// Waits between a failed login and the answer to it.
pub trait Timer: fmt::Debug + Send + Sync + 'static {
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The timer of the runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct RuntimeTimer;

impl Timer for RuntimeTimer {
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// What unknown users' salts are made from: kept over restarts, or the salts would change with them and those of
/// real users would not.
pub struct ServerSecret(Zeroizing<[u8; 32]>);

impl ServerSecret {
    /// `octets` are random, and known to this server alone.
    pub fn new(octets: [u8; 32]) -> Self {
        Self(Zeroizing::new(octets))
    }
}

impl fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerSecret(..)")
    }
}

/// How a server lets its users log in; [`Authentication::new`] has working values for what is public.
#[derive(Clone)]
pub struct Authentication {
    authenticator: Arc<dyn Authenticator>,
    secret: Arc<ServerSecret>,
    random: Arc<Mutex<dyn CryptoRng + Send>>,
    /// Which are offered, in this order. SCRAM-SHA-256-PLUS is only offered in TLS 1.3, where it can be done.
    pub mechanisms: Vec<Mechanism>,
    pub without_tls: WithoutTls,
    /// How many iterations unknown users seem to have: as many as new passwords get.
    pub iterations: u32,
    /// Failed logins on one connection before it is closed.
    pub max_failures: u32,
    /// How long the first failed login is kept waiting for its answer; each further one waits twice as long, up to
    /// half a minute.
    pub failure_delay: Duration,
    pub timer: Arc<dyn Timer>,
}

impl Authentication {
    /// All mechanisms, over TLS only, three failures.
    pub fn new(
        authenticator: Arc<dyn Authenticator>,
        secret: ServerSecret,
        random: impl CryptoRng + Send + 'static,
    ) -> Self {
        Self {
            authenticator,
            secret: Arc::new(secret),
            random: Arc::new(Mutex::new(random)),
            mechanisms: Mechanism::ALL.to_vec(),
            without_tls: WithoutTls::Refuse,
            iterations: scram::MIN_ITERATIONS,
            max_failures: 3,
            failure_delay: Duration::from_secs(1),
            timer: Arc::new(RuntimeTimer),
        }
    }

    pub(crate) async fn verify(&self, user: &str, password: &Password, peer: &Peer) -> Result<Verdict, Unavailable> {
        self.authenticator.verify(user, password, peer).await
    }

    /// What the exchange with this user goes by, whether there is one or not.
    pub(crate) async fn scram(&self, user: &str, peer: &Peer) -> Result<ScramCredentials, Unavailable> {
        let found = self.authenticator.scram(user, peer).await?;
        // Made in any case, so that it is not the time it takes that tells.
        let made_up = ScramCredentials::made_up(&self.secret.0, user, self.iterations);
        Ok(found.unwrap_or(made_up))
    }

    pub(crate) fn nonce(&self) -> String {
        // A generator that panicked elsewhere has still not given the same octets twice.
        nonce(&mut *self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long the answer to this failure waits; the first is number 1.
    pub(crate) fn delay(&self, failure: u32) -> Duration {
        let factor = 1_u32.checked_shl(failure.saturating_sub(1)).unwrap_or(u32::MAX);
        self.failure_delay.saturating_mul(factor).min(MAX_DELAY)
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication")
            .field("authenticator", &self.authenticator)
            .field("mechanisms", &self.mechanisms)
            .field("without_tls", &self.without_tls)
            .field("max_failures", &self.max_failures)
            .finish_non_exhaustive()
    }
}

/// What a client logs in with.
#[derive(Debug)]
pub struct Credentials {
    user: String,
    password: Password,
}

impl Credentials {
    /// # Errors
    /// The name is empty, too long, or has characters that SASLprep forbids.
    pub fn new(user: &str, password: Password) -> Result<Self, InvalidUser> {
        let user = password::prepare_user(user).ok_or_else(|| InvalidUser { user: user.to_owned() })?;
        Ok(Self { user, password })
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    pub(crate) fn password(&self) -> &Password {
        &self.password
    }
}

/// Nobody can have this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{user:?} is not a name to log in with; it is empty, too long, or has a character that RFC 4013 forbids")]
pub struct InvalidUser {
    pub user: String,
}

/// A fresh nonce of 18 random octets.
pub(crate) fn nonce(random: &mut dyn CryptoRng) -> String {
    let mut octets = [0; 18];
    random.fill_bytes(&mut octets);
    Base64::encode_string(&octets)
}

/// Longer, and clients give up before they hear that they were wrong.
const MAX_DELAY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Users};

    #[test]
    fn delays_double_up_to_a_limit() {
        let authentication = testing::authentication(Users::default());
        let delays: Vec<u64> = (1..=7).map(|failure| authentication.delay(failure).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(authentication.delay(0).as_secs(), 1);
        assert_eq!(authentication.delay(u32::MAX).as_secs(), 30);
    }

    #[test]
    fn secrets_do_not_print() {
        let authentication = testing::authentication(Users::default());
        let credentials = Credentials::new("user", Password::prepare("hunter2").expect("a password")).expect("a name");
        let secret = ServerSecret::new([0xab; 32]);
        let printed = format!("{authentication:?} {credentials:?} {secret:?}");
        for part in ["hunter2", "171", "ab, ab", "random"] {
            assert!(!printed.contains(part), "{printed}");
        }
    }

    #[test]
    fn names_that_nobody_has_are_refused() {
        for user in ["", "a\0b", "a\r\n"] {
            let password = Password::prepare("x").expect("a password");
            let error = Credentials::new(user, password).expect_err("nobody has this name");
            assert!(error.to_string().contains(&format!("{user:?}")));
        }
    }
}
