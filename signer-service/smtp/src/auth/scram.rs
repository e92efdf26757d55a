//! SCRAM-SHA-256: both sides of the exchange, as text in and text out. See RFC 5802 and RFC 7677.
//!
//! The password never crosses the wire. What a server stores cannot be used to log in elsewhere, and what it proves
//! at the end only a server that stores it can prove.

use std::fmt;

use base64ct::{Base64, Encoding as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::Mechanism;
use super::password::{Password, prepare_user};

/// What a server keeps of a password, for SCRAM-SHA-256. See RFC 5802 section 3, "StoredKey" and "ServerKey".
///
/// Whoever has it cannot log in with it, but can try out passwords and can pose as the server: keep it sealed.
pub struct ScramCredentials {
    salt: Vec<u8>,
    iterations: u32,
    stored_key: Zeroizing<[u8; 32]>,
    server_key: Zeroizing<[u8; 32]>,
}

/// Why something cannot be used as [`ScramCredentials`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidScramCredentials {
    #[error("the salt has {octets} octets instead of {MIN_SALT_OCTETS} to {MAX_SALT_OCTETS}")]
    Salt { octets: usize },
    #[error("{iterations} iterations are not between {MIN_ITERATIONS} and {MAX_ITERATIONS}")]
    Iterations { iterations: u32 },
}

impl ScramCredentials {
    /// Makes them from a password and a fresh random salt, for which 16 octets are right: users who do not exist
    /// seem to have that many. This takes as long as `iterations` times two hashes.
    ///
    /// # Errors
    /// The salt or the number of iterations is out of range.
    pub fn derive(password: &Password, salt: &[u8], iterations: u32) -> Result<Self, InvalidScramCredentials> {
        check_parameters(salt, iterations)?;
        let salted = salted_password(password, salt, iterations);
        let client_key = hmac(&salted, &[b"Client Key"]);
        Ok(Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: Zeroizing::new(Sha256::digest(*client_key).into()),
            server_key: hmac(&salted, &[b"Server Key"]),
        })
    }

    /// Puts them together again from where they were stored.
    ///
    /// # Errors
    /// The salt or the number of iterations is out of range.
    pub fn from_parts(
        salt: Vec<u8>,
        iterations: u32,
        stored_key: [u8; 32],
        server_key: [u8; 32],
    ) -> Result<Self, InvalidScramCredentials> {
        check_parameters(&salt, iterations)?;
        Ok(Self {
            salt,
            iterations,
            stored_key: Zeroizing::new(stored_key),
            server_key: Zeroizing::new(server_key),
        })
    }

    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    pub fn stored_key(&self) -> &[u8; 32] {
        &self.stored_key
    }

    pub fn server_key(&self) -> &[u8; 32] {
        &self.server_key
    }

    /// Whether this is the password they were made from, so that PLAIN and LOGIN need nothing else stored. It takes
    /// as long as [`Self::derive`], so it belongs on a thread that may block.
    pub fn matches(&self, password: &Password) -> bool {
        let salted = salted_password(password, &self.salt, self.iterations);
        let client_key = hmac(&salted, &[b"Client Key"]);
        let stored_key = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(*client_key)));
        bool::from(stored_key.ct_eq(&*self.stored_key))
    }

    /// What a user who does not exist is shown: always the same for the same name, and never any different in kind
    /// from that of one who does. No password belongs to it. See RFC 5802 section 9 on why this matters.
    pub(crate) fn made_up(secret: &[u8; 32], user: &str, iterations: u32) -> Self {
        let derive = |purpose: &[u8]| hmac(secret, &[purpose, b"\0", user.as_bytes()]);
        Self {
            salt: derive(b"salt")[..MADE_UP_SALT_OCTETS].to_vec(),
            iterations,
            stored_key: derive(b"stored key"),
            server_key: derive(b"server key"),
        }
    }
}

impl fmt::Debug for ScramCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramCredentials")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// Why a message of the other side ends the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScramFault {
    /// It does not follow the grammar, or not this exchange: 501.
    Malformed,
    /// It is what somebody says who does not know the password, or sits in between: 535.
    Refused,
}

/// What the client says about channel binding. See RFC 5802 section 6, "gs2-cbind-flag".
#[derive(Clone, Debug, PartialEq, Eq)]
enum BindingFlag {
    /// `n`: it cannot.
    Cannot,
    /// `y`: it could, and believes that the server cannot.
    NotOffered,
    /// `p=`, with the name of the type.
    Type(String),
}

/// The first message of the client. See RFC 5802 section 7, "client-first-message".
#[derive(Debug)]
pub(crate) struct ClientFirst {
    /// Up to and with the second comma.
    header: String,
    flag: BindingFlag,
    user: String,
    nonce: String,
    bare: String,
}

impl ClientFirst {
    pub(crate) fn parse(message: &[u8]) -> Result<Self, ScramFault> {
        let text = std::str::from_utf8(message).map_err(|_| ScramFault::Malformed)?;
        let mut parts = text.splitn(3, ',');
        let (Some(flag), Some(authorization), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ScramFault::Malformed);
        };
        let header = format!("{flag},{authorization},");
        let flag = match flag {
            "n" => BindingFlag::Cannot,
            "y" => BindingFlag::NotOffered,
            _ => match flag.strip_prefix("p=") {
                Some(name) if !name.is_empty() => BindingFlag::Type(name.to_owned()),
                _ => return Err(ScramFault::Malformed),
            },
        };
        // An extension that is mandatory would stand first as "m=", and none is known.
        let mut attributes = bare.split(',');
        let user = attributes.next().and_then(|attribute| attribute.strip_prefix("n="));
        let nonce = attributes.next().and_then(|attribute| attribute.strip_prefix("r="));
        let (Some(user), Some(nonce)) = (user, nonce) else {
            return Err(ScramFault::Malformed);
        };
        if !is_nonce(nonce) || !attributes.all(is_extension) {
            return Err(ScramFault::Malformed);
        }
        let user = unescape(user).ok_or(ScramFault::Malformed)?;
        // Section 7: to act as somebody else is not supported; to say that one acts as oneself is allowed.
        let asks_for = match authorization {
            "" => None,
            _ => Some(
                authorization
                    .strip_prefix("a=")
                    .and_then(unescape)
                    .ok_or(ScramFault::Malformed)?,
            ),
        };
        if asks_for.is_some_and(|asks_for| asks_for != user) {
            return Err(ScramFault::Refused);
        }
        Ok(Self {
            header,
            flag,
            // A name that cannot be prepared belongs to nobody.
            user: prepare_user(&user).ok_or(ScramFault::Refused)?,
            nonce: nonce.to_owned(),
            bare: bare.to_owned(),
        })
    }

    /// As prepared by SASLprep.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Whether what the client says about channel binding fits the mechanism it chose and what it was offered. See
    /// RFC 5802 section 6.
    pub(crate) fn check_binding(&self, chosen: Mechanism, plus_was_offered: bool) -> Result<(), ScramFault> {
        match (&self.flag, chosen) {
            (BindingFlag::Type(name), Mechanism::ScramSha256Plus) if name == BINDING_TYPE => Ok(()),
            // Of a type we do not have, or with a mechanism that has none.
            (BindingFlag::Type(_), _) => Err(ScramFault::Refused),
            (_, Mechanism::ScramSha256Plus) => Err(ScramFault::Malformed),
            // Somebody in between has taken the offer away.
            (BindingFlag::NotOffered, _) if plus_was_offered => Err(ScramFault::Refused),
            (BindingFlag::NotOffered | BindingFlag::Cannot, _) => Ok(()),
        }
    }
}

/// The server's side, after the first message of the client.
#[derive(Debug)]
pub(crate) struct ServerExchange {
    first: ClientFirst,
    credentials: ScramCredentials,
    nonce: String,
    challenge: String,
}

impl ServerExchange {
    pub(crate) fn new(first: ClientFirst, server_nonce: &str, credentials: ScramCredentials) -> Self {
        let nonce = format!("{}{server_nonce}", first.nonce);
        let salt = Base64::encode_string(&credentials.salt);
        let challenge = format!("r={nonce},s={salt},i={}", credentials.iterations);
        Self {
            first,
            credentials,
            nonce,
            challenge,
        }
    }

    /// The "server-first-message".
    pub(crate) fn challenge(&self) -> &str {
        &self.challenge
    }

    /// Checks the "client-final-message", and gives the "server-final-message" that proves the server to the client.
    pub(crate) fn finish(&self, message: &[u8], binding: Option<&[u8; 32]>) -> Result<String, ScramFault> {
        let text = std::str::from_utf8(message).map_err(|_| ScramFault::Malformed)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramFault::Malformed)?;
        let proof: [u8; 32] = decode(proof)
            .and_then(|proof| proof.try_into().ok())
            .ok_or(ScramFault::Malformed)?;
        let mut attributes = without_proof.split(',');
        let bound = attributes.next().and_then(|attribute| attribute.strip_prefix("c="));
        let nonce = attributes.next().and_then(|attribute| attribute.strip_prefix("r="));
        let (Some(bound), Some(nonce), true) = (bound.and_then(decode), nonce, attributes.all(is_extension)) else {
            return Err(ScramFault::Malformed);
        };
        let mut expected = self.first.header.clone().into_bytes();
        if matches!(self.first.flag, BindingFlag::Type(_)) {
            expected.extend_from_slice(binding.ok_or(ScramFault::Refused)?);
        }

        let authenticated = [self.first.bare.as_str(), &self.challenge, without_proof].join(",");
        let signature = hmac(&self.credentials.stored_key, &[authenticated.as_bytes()]);
        let client_key = Zeroizing::new(std::array::from_fn::<u8, 32, _>(|index| {
            proof[index] ^ signature[index]
        }));
        let stored_key = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(*client_key)));
        let good = stored_key.ct_eq(&*self.credentials.stored_key)
            & bound.ct_eq(&expected)
            & nonce.as_bytes().ct_eq(self.nonce.as_bytes());
        if !bool::from(good) {
            return Err(ScramFault::Refused);
        }
        let signature = hmac(&self.credentials.server_key, &[authenticated.as_bytes()]);
        Ok(format!("v={}", Base64::encode_string(&*signature)))
    }
}

/// What the client can say of channel binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientBinding {
    /// There is no TLS, or one without `tls-exporter`.
    Cannot,
    /// There is, but the server has not offered the mechanism.
    NotOffered,
    Exporter([u8; 32]),
}

/// The client's side.
#[derive(Debug)]
pub(crate) struct ClientExchange {
    binding: ClientBinding,
    nonce: String,
    bare: String,
}

/// What the server asks the client to compute; see [`ClientExchange::read_challenge`].
#[derive(Debug)]
pub(crate) struct Challenge {
    text: String,
    nonce: String,
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: u32,
}

/// Why the client does not believe the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UntrustworthyServer {
    #[error("its answer does not follow RFC 5802")]
    Malformed,
    #[error("its nonce does not continue ours")]
    Nonce,
    #[error("its salt has {octets} octets")]
    Salt { octets: usize },
    #[error("it asks for {iterations} iterations, which is not between {MIN_ITERATIONS} and {MAX_ITERATIONS}")]
    Iterations { iterations: u32 },
    #[error("it does not know the password itself")]
    Signature,
    #[error("it claims success without any proof that it knows the password")]
    NoProof,
}

impl ClientExchange {
    /// `nonce` is fresh and random.
    pub(crate) fn new(user: &str, nonce: String, binding: ClientBinding) -> Self {
        let bare = format!("n={},r={nonce}", escape(user));
        Self { binding, nonce, bare }
    }

    fn header(&self) -> String {
        match self.binding {
            ClientBinding::Cannot => "n,,".to_owned(),
            ClientBinding::NotOffered => "y,,".to_owned(),
            ClientBinding::Exporter(_) => format!("p={BINDING_TYPE},,"),
        }
    }

    /// The "client-first-message".
    pub(crate) fn first(&self) -> String {
        format!("{}{}", self.header(), self.bare)
    }

    pub(crate) fn read_challenge(&self, message: &[u8]) -> Result<Challenge, UntrustworthyServer> {
        use UntrustworthyServer::{Iterations, Malformed, Nonce, Salt};
        let text = std::str::from_utf8(message).map_err(|_| Malformed)?;
        let mut attributes = text.split(',');
        let mut value = |name: &str| attributes.next().and_then(|attribute| attribute.strip_prefix(name));
        let (Some(nonce), Some(salt), Some(iterations)) = (value("r="), value("s="), value("i=")) else {
            return Err(Malformed);
        };
        let continues_ours = nonce.strip_prefix(&self.nonce).is_some_and(|theirs| !theirs.is_empty());
        if !continues_ours || !is_nonce(nonce) {
            return Err(Nonce);
        }
        let salt = decode(salt).ok_or(Malformed)?;
        let iterations = iterations.parse().map_err(|_| Malformed)?;
        check_parameters(&salt, iterations).map_err(|fault| match fault {
            InvalidScramCredentials::Salt { octets } => Salt { octets },
            InvalidScramCredentials::Iterations { iterations } => Iterations { iterations },
        })?;
        Ok(Challenge {
            text: text.to_owned(),
            nonce: nonce.to_owned(),
            salt,
            iterations,
        })
    }

    /// The "client-final-message", and the signature with which the server has to answer it. The salted password is
    /// for the salt and the iterations of the challenge.
    pub(crate) fn finish(&self, challenge: &Challenge, salted_password: &[u8; 32]) -> (String, ServerSignature) {
        let mut bound = self.header().into_bytes();
        if let ClientBinding::Exporter(exporter) = &self.binding {
            bound.extend_from_slice(exporter);
        }
        let without_proof = format!("c={},r={}", Base64::encode_string(&bound), challenge.nonce);
        let authenticated = [self.bare.as_str(), &challenge.text, &without_proof].join(",");
        let client_key = hmac(salted_password, &[b"Client Key"]);
        let stored_key = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(*client_key)));
        let signature = hmac(&stored_key, &[authenticated.as_bytes()]);
        let proof = std::array::from_fn::<u8, 32, _>(|index| client_key[index] ^ signature[index]);
        let server_key = hmac(salted_password, &[b"Server Key"]);
        let expected = ServerSignature(*hmac(&server_key, &[authenticated.as_bytes()]));
        (format!("{without_proof},p={}", Base64::encode_string(&proof)), expected)
    }
}

/// What the server has to say at the end.
#[derive(Debug)]
pub(crate) struct ServerSignature([u8; 32]);

impl ServerSignature {
    /// Checks the "server-final-message".
    pub(crate) fn check(&self, message: &[u8]) -> Result<(), UntrustworthyServer> {
        let text = std::str::from_utf8(message).map_err(|_| UntrustworthyServer::Malformed)?;
        let value = text
            .split(',')
            .next()
            .and_then(|attribute| attribute.strip_prefix("v="));
        let signature = value.and_then(decode).ok_or(UntrustworthyServer::Malformed)?;
        match bool::from(signature.ct_eq(&self.0)) {
            true => Ok(()),
            false => Err(UntrustworthyServer::Signature),
        }
    }
}

/// "SaltedPassword" of RFC 5802 section 3.
pub(crate) fn salted_password(password: &Password, salt: &[u8], iterations: u32) -> Zeroizing<[u8; 32]> {
    let mut salted = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password.expose().as_bytes(), salt, iterations, &mut *salted);
    salted
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn check_parameters(salt: &[u8], iterations: u32) -> Result<(), InvalidScramCredentials> {
    if !(MIN_SALT_OCTETS..=MAX_SALT_OCTETS).contains(&salt.len()) {
        return Err(InvalidScramCredentials::Salt { octets: salt.len() });
    }
    if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
        return Err(InvalidScramCredentials::Iterations { iterations });
    }
    Ok(())
}

fn decode(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}

/// RFC 5802 section 7, "printable": visible ASCII without the comma.
fn is_nonce(text: &str) -> bool {
    (1..=MAX_NONCE_OCTETS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// RFC 5802 section 7, "attr-val". Extensions that are not mandatory are there to be ignored.
fn is_extension(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|name| name.is_ascii_alphabetic() && name != 'm')
        && characters.next() == Some('=')
        && characters.next().is_some()
}

/// RFC 5802 section 5.1: a comma and an equals sign cannot stand in a "saslname".
fn escape(user: &str) -> String {
    user.replace('=', "=3D").replace(',', "=2C")
}

fn unescape(name: &str) -> Option<String> {
    if name.is_empty() || name.contains('\0') {
        return None;
    }
    let mut pieces = name.split('=');
    let mut user = pieces.next()?.to_owned();
    for piece in pieces {
        if let Some(rest) = piece.strip_prefix("2C") {
            user.push(',');
            user.push_str(rest);
        } else {
            user.push('=');
            user.push_str(piece.strip_prefix("3D")?);
        }
    }
    Some(user)
}

/// See RFC 9266 section 2.
pub(crate) const BINDING_TYPE: &str = "tls-exporter";
/// RFC 7677 section 4.
pub(crate) const MIN_ITERATIONS: u32 = 4096;
/// OWASP asks for 600,000; a server that asks its clients for much more wants to keep them busy.
const MAX_ITERATIONS: u32 = 2_000_000;
const MIN_SALT_OCTETS: usize = 8;
const MAX_SALT_OCTETS: usize = 64;
const MADE_UP_SALT_OCTETS: usize = 16;
/// Ours have 24; what the client chose comes back from the server with the server's own behind it.
const MAX_NONCE_OCTETS: usize = 512;

#[cfg(test)]
mod tests;
