//! The client side of ACME: requests signed with our account's key, and what the other authority answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use keys::SigningKey;
use keys::tls::Trust;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::acme::jwk::{Algorithm, Jwk};

/// One account at one authority.
pub(crate) struct Client {
    http: reqwest::Client,
    directory: Directory,
    key: Arc<dyn SigningKey>,
    jwk: Jwk,
    /// The URL of the account.
    account: String,
    /// The newest nonce that was not used yet.
    nonce: Mutex<Option<String>>,
}

/// Why the other authority was of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    #[error("{url} could not be reached: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("{url} answers {status}: {detail} ({kind})")]
    Refused {
        url: String,
        status: u16,
        /// The error type of RFC 8555 section 6.7, without its prefix.
        kind: String,
        detail: String,
    },
    #[error("{url} answers what cannot be read: {reason}")]
    Unreadable { url: String, reason: String },
    #[error("{url} is no https URL, and nothing is sent there")]
    NotHttps { url: String },
    #[error("no client can be made")]
    Tls(#[source] keys::KeyError),
    #[error("the key of our account cannot be used")]
    Key(#[source] keys::KeyError),
}

impl ClientError {
    /// Whether the same request may succeed later.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Directory {
    new_nonce: String,
    new_account: String,
    new_order: String,
    revoke_cert: String,
    renewal_info: Option<String>,
}

/// What binds a new account (RFC 8555 section 7.3.4).
pub(crate) struct Binding<'a> {
    pub(crate) key_id: &'a str,
    pub(crate) secret: &'a [u8],
}

/// RFC 8555 section 7.1.3.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Order {
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) authorizations: Vec<String>,
    pub(crate) finalize: String,
    pub(crate) certificate: Option<String>,
    pub(crate) error: Option<Value>,
}

/// RFC 8555 section 7.1.4.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Authorization {
    pub(crate) status: String,
    pub(crate) challenges: Vec<Challenge>,
}

/// RFC 8823 section 3.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Challenge {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) url: String,
    /// token-part2.
    pub(crate) token: Option<String>,
    /// Where the challenge mail comes from.
    pub(crate) from: Option<String>,
    pub(crate) error: Option<Value>,
}

struct Answer {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Client {
    /// Reads the directory, and finds our account or makes it.
    pub(crate) async fn connect(
        directory: &str,
        trust: Option<&[u8]>,
        key: Arc<dyn SigningKey>,
        binding: Option<Binding<'_>>,
        contact: Option<&str>,
    ) -> Result<Self, ClientError> {
        let trust = trust.map_or(Trust::System, Trust::Only);
        let tls = keys::tls::client_config(trust).map_err(ClientError::Tls)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .timeout(TIME)
            .user_agent(concat!("sealwright/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| unreachable(directory, &error))?;
        let unreadable = |reason: &str| ClientError::Unreadable {
            url: directory.to_owned(),
            reason: reason.to_owned(),
        };
        let jwk = Jwk::from_public_key(key.public_key()).ok_or_else(|| unreadable("our own key is of another kind"))?;
        let response = http
            .get(directory)
            .send()
            .await
            .map_err(|error| unreachable(directory, &error))?;
        let answer = read(directory, response).await?;
        let mut client = Self {
            directory: parse(directory, &answer.body)?,
            http,
            key,
            jwk,
            account: String::new(),
            nonce: Mutex::new(None),
        };
        client.account = client.register(binding, contact).await?;
        Ok(client)
    }

    /// RFC 8555 section 7.3: an account that this key has already is found so, too.
    async fn register(&self, binding: Option<Binding<'_>>, contact: Option<&str>) -> Result<String, ClientError> {
        let url = &self.directory.new_account;
        let mut payload = json!({ "termsOfServiceAgreed": true });
        if let Some(contact) = contact {
            payload["contact"] = json!([format!("mailto:{contact}")]);
        }
        if let Some(binding) = binding {
            let header = json!({"alg": "HS256", "kid": binding.key_id, "url": url});
            let (protected, key) = (encode(header.to_string()), encode(self.jwk.canonical()));
            // HMAC takes keys of any length (RFC 2104 section 2).
            let mut mac = Hmac::<Sha256>::new_from_slice(binding.secret).expect("HMAC takes keys of any length");
            mac.update(format!("{protected}.{key}").as_bytes());
            let signature = encode(mac.finalize().into_bytes());
            payload["externalAccountBinding"] = json!({"protected": protected, "payload": key, "signature": signature});
        }
        let answer = self.send(url, Some(&payload)).await?;
        location(url, &answer)
    }

    /// Orders for a mailbox; `replaces` names the certificate that is renewed (RFC 9773 section 5).
    pub(crate) async fn new_order(
        &self,
        mailbox: &str,
        profile: Option<&str>,
        replaces: Option<&str>,
    ) -> Result<(String, Order), ClientError> {
        let url = &self.directory.new_order;
        let mut payload = json!({ "identifiers": [{"type": "email", "value": mailbox}] });
        for (name, value) in [("profile", profile), ("replaces", replaces)] {
            if let Some(value) = value {
                payload[name] = json!(value);
            }
        }
        let answer = self.send(url, Some(&payload)).await?;
        Ok((location(url, &answer)?, parse(url, &answer.body)?))
    }

    pub(crate) async fn order(&self, url: &str) -> Result<Order, ClientError> {
        parse(url, &self.send(url, None).await?.body)
    }

    pub(crate) async fn authorization(&self, url: &str) -> Result<Authorization, ClientError> {
        parse(url, &self.send(url, None).await?.body)
    }

    /// Says that the answer to a challenge is on its way (RFC 8555 section 7.5.1).
    pub(crate) async fn ready(&self, challenge: &str) -> Result<(), ClientError> {
        self.send(challenge, Some(&json!({}))).await.map(drop)
    }

    pub(crate) async fn finalize(&self, url: &str, request: &[u8]) -> Result<Order, ClientError> {
        let payload = json!({ "csr": encode(request) });
        parse(url, &self.send(url, Some(&payload)).await?.body)
    }

    /// The chain in PEM.
    pub(crate) async fn certificate(&self, url: &str) -> Result<String, ClientError> {
        let body = self.send(url, None).await?.body;
        String::from_utf8(body).map_err(|_| ClientError::Unreadable {
            url: url.to_owned(),
            reason: "it is not PEM".to_owned(),
        })
    }

    /// Revokes a certificate, for a reason of RFC 5280 section 5.3.1.
    pub(crate) async fn revoke(&self, certificate: &[u8], reason: u8) -> Result<(), ClientError> {
        let payload = json!({ "certificate": encode(certificate), "reason": reason });
        self.send(&self.directory.revoke_cert, Some(&payload)).await.map(drop)
    }

    /// From when to when a certificate should be renewed (RFC 9773 section 4); `None` when the authority does not say.
    pub(crate) async fn renewal_window(&self, certificate: &str) -> Result<Option<(String, String)>, ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Info {
            suggested_window: Window,
        }
        #[derive(Deserialize)]
        struct Window {
            start: String,
            end: String,
        }
        let Some(base) = &self.directory.renewal_info else {
            return Ok(None);
        };
        let url = format!("{base}/{certificate}");
        must_be_https(&url)?;
        let response = self
            .http
            .get(&url)
            .send()
            .await
            .map_err(|error| unreachable(&url, &error))?;
        let info: Info = parse(&url, &read(&url, response).await?.body)?;
        Ok(Some((info.suggested_window.start, info.suggested_window.end)))
    }

    /// RFC 8823 section 3.2: what the reply to a challenge mail has to say.
    pub(crate) fn digest(&self, token_part1: &str, token_part2: &str) -> String {
        crate::acme::challenge::digest(token_part1.as_bytes(), token_part2, &self.jwk.thumbprint())
    }

    /// A signed request; POST-as-GET without a payload. A nonce that is not taken is exchanged (RFC 8555 section 6.5).
    async fn send(&self, url: &str, payload: Option<&Value>) -> Result<Answer, ClientError> {
        must_be_https(url)?;
        for _ in 0..NONCE_TRIES {
            let nonce = self.fresh_nonce().await?;
            let body = self.sign(url, &nonce, payload)?;
            let response = self
                .http
                .post(url)
                .header(reqwest::header::CONTENT_TYPE, "application/jose+json")
                .body(body)
                .send()
                .await
                .map_err(|error| unreachable(url, &error))?;
            self.keep_nonce(response.headers());
            match read(url, response).await {
                Err(ClientError::Refused { kind, .. }) if kind == "badNonce" => {}
                answer => return answer,
            }
        }
        Err(ClientError::Unreadable {
            url: url.to_owned(),
            reason: "none of its nonces counts".to_owned(),
        })
    }

    fn sign(&self, url: &str, nonce: &str, payload: Option<&Value>) -> Result<String, ClientError> {
        let mut header = json!({"alg": self.jwk.algorithm().name(), "nonce": nonce, "url": url});
        match self.account.as_str() {
            "" => header["jwk"] = serde_json::from_str(self.jwk.canonical()).unwrap_or_default(),
            account => header["kid"] = json!(account),
        }
        let protected = encode(header.to_string());
        let payload = encode(payload.map(ToString::to_string).unwrap_or_default());
        let input = format!("{protected}.{payload}");
        let signature = self.key.sign(input.as_bytes()).map_err(ClientError::Key)?;
        // RFC 7518 section 3.4 wants two numbers side by side.
        let signature = match self.jwk.algorithm() {
            Algorithm::Es256 => {
                p256::ecdsa::Signature::from_der(signature.as_bytes()).map(|both| both.to_bytes().to_vec())
            }
            Algorithm::Es384 => {
                p384::ecdsa::Signature::from_der(signature.as_bytes()).map(|both| both.to_bytes().to_vec())
            }
            Algorithm::Rs256 | Algorithm::EdDsa => Ok(signature.as_bytes().to_vec()),
        };
        let signature = signature.map_err(|error| ClientError::Unreadable {
            url: url.to_owned(),
            reason: format!("our own signature: {error}"),
        })?;
        Ok(json!({"protected": protected, "payload": payload, "signature": encode(signature)}).to_string())
    }

    async fn fresh_nonce(&self) -> Result<String, ClientError> {
        let kept = self.nonce.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(nonce) = kept {
            return Ok(nonce);
        }
        let url = &self.directory.new_nonce;
        must_be_https(url)?;
        let response = self
            .http
            .head(url)
            .send()
            .await
            .map_err(|error| unreachable(url, &error))?;
        nonce_of(response.headers()).ok_or_else(|| ClientError::Unreadable {
            url: url.clone(),
            reason: "there is no nonce".to_owned(),
        })
    }

    fn keep_nonce(&self, headers: &HeaderMap) {
        *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = nonce_of(headers);
    }
}

fn nonce_of(headers: &HeaderMap) -> Option<String> {
    let nonce = headers.get("replay-nonce")?.to_str().ok()?;
    // RFC 8555 section 6.5.1.
    let is_one = (1..=500).contains(&nonce.len())
        && nonce
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_');
    is_one.then(|| nonce.to_owned())
}

fn must_be_https(url: &str) -> Result<(), ClientError> {
    match url.starts_with("https://") {
        true => Ok(()),
        false => Err(ClientError::NotHttps {
            url: url.chars().take(200).collect(),
        }),
    }
}

async fn read(url: &str, mut response: reqwest::Response) -> Result<Answer, ClientError> {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(url, &error))? {
        if body.len() + chunk.len() > LARGEST {
            return Err(ClientError::Unreadable {
                url: url.to_owned(),
                reason: format!("it is larger than {LARGEST} octets"),
            });
        }
        body.extend_from_slice(&chunk);
    }
    if status == StatusCode::OK || status == StatusCode::CREATED {
        return Ok(Answer { headers, body });
    }
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| -> String {
        let text = problem[name].as_str().unwrap_or_default();
        text.chars()
            .filter(|character| !character.is_control())
            .take(300)
            .collect()
    };
    let kind = text("type");
    Err(ClientError::Refused {
        url: url.to_owned(),
        status: status.as_u16(),
        kind: kind
            .strip_prefix("urn:ietf:params:acme:error:")
            .unwrap_or(&kind)
            .to_owned(),
        detail: text("detail"),
    })
}

fn location(url: &str, answer: &Answer) -> Result<String, ClientError> {
    let location = answer
        .headers
        .get(reqwest::header::LOCATION)
        .and_then(|value| value.to_str().ok());
    let location = location
        .filter(|location| location.len() <= 1000)
        .ok_or_else(|| ClientError::Unreadable {
            url: url.to_owned(),
            reason: "there is no Location".to_owned(),
        })?;
    must_be_https(location)?;
    Ok(location.to_owned())
}

fn parse<T: serde::de::DeserializeOwned>(url: &str, body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Unreadable {
        url: url.to_owned(),
        reason: error.to_string(),
    })
}

fn unreachable(url: &str, error: &reqwest::Error) -> ClientError {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reason = error.to_string();
        cause = error.source();
    }
    ClientError::Unreachable {
        url: url.to_owned(),
        reason,
    }
}

fn encode(octets: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(octets.as_ref())
}

const TIME: Duration = Duration::from_secs(30);
/// A chain of RSA-4096 certificates is 10 KiB.
const LARGEST: usize = 256 * 1024;
const NONCE_TRIES: usize = 3;
