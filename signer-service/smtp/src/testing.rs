//! What the tests of both directions share: TLS identities and a service that writes down what it was asked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::auth::{Authentication, Authenticator, Password, ScramCredentials, ServerSecret, Unavailable, Verdict};
use crate::envelope::{MailFrom, RcptTo};
use crate::reply::Reply;
use crate::server::{Authenticated, Origin, Peer, Service, Session, Trust};

/// A server with a certificate for `name`, and a client that trusts it.
pub(crate) fn tls(name: &str) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    tls_with(name, rustls::DEFAULT_VERSIONS)
}

/// The same, with a server that has only these versions.
pub(crate) fn tls_with(
    name: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let identity = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a name makes a certificate");
    let key = identity
        .signing_key
        .serialize_der()
        .try_into()
        .expect("rcgen writes PKCS#8");
    let server = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_protocol_versions(versions)
        .expect("the provider has these versions")
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], key)
        .expect("key and certificate belong together");
    let mut roots = RootCertStore::empty();
    roots
        .add(identity.cert.der().clone())
        .expect("rcgen makes a sound certificate");
    (Arc::new(server), client_tls(roots))
}

/// A client that trusts nobody.
pub(crate) fn distrustful_tls() -> Arc<ClientConfig> {
    client_tls(RootCertStore::empty())
}

fn client_tls(roots: RootCertStore) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("the provider has both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// From here nobody may connect to a [`Recorder`].
pub(crate) const REFUSED_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66));

/// Writes down every call. Addresses decide the answers: local part `never` is refused with 550, `later` with 450,
/// `bye` with 421; a message that holds one of these words is answered alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) calls: Arc<Mutex<Vec<String>>>,
    pub(crate) refuse_connections: bool,
    pub(crate) trust: Trust,
}

impl Recorder {
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().expect("no test panics with the lock").clone()
    }

    fn record(&self, call: String) {
        self.calls.lock().expect("no test panics with the lock").push(call);
    }

    fn answer(text: &str, otherwise: Reply) -> Reply {
        match text {
            _ if text.contains("never") => Reply::refused([5, 7, 1], "Never"),
            _ if text.contains("later") => Reply::new(450, Some([4, 7, 1]), "Later"),
            _ if text.contains("bye") => Reply::closing([4, 3, 2], "Bye"),
            _ => otherwise,
        }
    }
}

impl Service for Recorder {
    type Session = Self;

    fn connect(&self, peer: SocketAddr) -> Result<Self, Reply> {
        match self.refuse_connections || peer.ip() == REFUSED_ADDRESS {
            true => Err(Reply::new(554, Some([5, 7, 1]), "Not you")),
            false => Ok(self.clone()),
        }
    }

    fn trust(&self, _peer: SocketAddr) -> Trust {
        self.trust
    }
}

impl Session for Recorder {
    fn greeted(&mut self, peer: &Peer) {
        self.record(format!("greeted by {} with {}", peer.helo, peer.protocol(false)));
    }

    fn authenticated(&mut self, user: &Authenticated, peer: &Peer) {
        assert_eq!(peer.user.as_ref(), Some(user));
        self.record(format!("authenticated {} by {:?}", user.user(), user.by()));
    }

    fn forwarded(&mut self, origin: &Origin) {
        let ident = origin.ident.as_deref().unwrap_or_default();
        let address = origin.address.map(|address| address.to_string()).unwrap_or_default();
        self.record(format!("forwarded {ident} from {address}"));
    }

    async fn mail(&mut self, from: MailFrom) -> Reply {
        self.record(format!("mail {}", from.address));
        Self::answer(&from.address, Reply::ok([2, 1, 0], "Sender"))
    }

    async fn rcpt(&mut self, to: RcptTo) -> Reply {
        self.record(format!("rcpt {}", to.address));
        Self::answer(&to.address, Reply::ok([2, 1, 5], "Recipient"))
    }

    async fn data(&mut self, message: Vec<u8>) -> Reply {
        let message = message.escape_ascii().to_string();
        self.record(format!("data {message}"));
        Self::answer(&message, Reply::ok([2, 6, 0], "Message"))
    }

    async fn reset(&mut self) {
        self.record("reset".to_owned());
    }

    fn tls_started(&mut self) {
        self.record("tls started".to_owned());
    }
}

/// Knows one user, `user` with the password `pencil`; the user `broken` makes it fail. Writes down who was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Users {
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Users {
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panics with the lock").clone()
    }

    fn record(&self, question: String) {
        self.asked.lock().expect("no test panics with the lock").push(question);
    }
}

impl Authenticator for Users {
    fn verify<'a>(
        &'a self,
        user: &'a str,
        password: &'a Password,
        _peer: &'a Peer,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, Unavailable>> + Send + 'a>> {
        self.record(format!("verify {user}"));
        Box::pin(async move {
            match (user, password.expose()) {
                ("broken", _) => Err(Unavailable),
                ("user", "pencil") => Ok(Verdict::Accept),
                _ => Ok(Verdict::Deny),
            }
        })
    }

    fn scram<'a>(
        &'a self,
        user: &'a str,
        _peer: &'a Peer,
    ) -> Pin<Box<dyn Future<Output = Result<Option<ScramCredentials>, Unavailable>> + Send + 'a>> {
        self.record(format!("scram {user}"));
        Box::pin(async move {
            match user {
                "broken" => Err(Unavailable),
                "user" => {
                    let password = Password::prepare("pencil").expect("a password");
                    Ok(Some(
                        ScramCredentials::derive(&password, b"sixteen octets..", 4096).expect("sound parameters"),
                    ))
                }
                _ => Ok(None),
            }
        })
    }
}

/// Randomness that is the same in every run.
pub(crate) fn random() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([3; 32])
}

pub(crate) fn authentication(users: Users) -> Authentication {
    Authentication::new(Arc::new(users), ServerSecret::new([9; 32]), random())
}
