//! An ACME client of the simplest kind, which can also do everything wrong.

use std::pin::Pin;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use serde_json::{Value, json};
use sha2::Sha256;

use super::dkim::{LookupFailure, TextRecordSet};
use super::jwk::Jwk;

/// A key pair of OpenSSL, with the algorithm of its JSON Web Signatures.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pair: PKey<Private>,
    algorithm: &'static str,
    public: Value,
}

pub(crate) fn encode(octets: impl AsRef<[u8]>) -> String {
    data_encoding::BASE64URL_NOPAD.encode(octets.as_ref())
}

impl Key {
    pub(crate) fn es256() -> Self {
        Self::elliptic(openssl::nid::Nid::X9_62_PRIME256V1, "P-256", "ES256", 32)
    }

    fn elliptic(curve: openssl::nid::Nid, name: &str, algorithm: &'static str, length: i32) -> Self {
        let group = openssl::ec::EcGroup::from_curve_name(curve).unwrap();
        let key = openssl::ec::EcKey::generate(&group).unwrap();
        let mut context = openssl::bn::BigNumContext::new().unwrap();
        let (mut x, mut y) = (openssl::bn::BigNum::new().unwrap(), openssl::bn::BigNum::new().unwrap());
        key.public_key()
            .affine_coordinates(&group, &mut x, &mut y, &mut context)
            .unwrap();
        let number = |number: &openssl::bn::BigNum| encode(number.to_vec_padded(length).unwrap());
        Self {
            public: json!({"kty": "EC", "crv": name, "x": number(&x), "y": number(&y)}),
            pair: PKey::from_ec_key(key).unwrap(),
            algorithm,
        }
    }

    /// One of each algorithm that the server accepts.
    pub(crate) fn one_of_each_kind() -> &'static [Self; 4] {
        static KEYS: std::sync::LazyLock<[Key; 4]> = std::sync::LazyLock::new(|| {
            let rsa = openssl::rsa::Rsa::generate(2048).unwrap();
            let ed25519 = PKey::generate_ed25519().unwrap();
            [
                Key::es256(),
                Key::elliptic(openssl::nid::Nid::SECP384R1, "P-384", "ES384", 48),
                Key {
                    public: json!({"kty": "RSA", "n": encode(rsa.n().to_vec()), "e": "AQAB"}),
                    pair: PKey::from_rsa(rsa).unwrap(),
                    algorithm: "RS256",
                },
                Key {
                    public: json!({"kty": "OKP", "crv": "Ed25519", "x": encode(ed25519.raw_public_key().unwrap())}),
                    pair: ed25519,
                    algorithm: "EdDSA",
                },
            ]
        });
        &KEYS
    }

    pub(crate) fn pair(&self) -> &PKey<Private> {
        &self.pair
    }

    pub(crate) fn public(&self) -> Value {
        self.public.clone()
    }

    pub(crate) fn jwk(&self) -> Jwk {
        Jwk::parse(&self.public).unwrap()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let digest = match self.algorithm {
            "ES384" => MessageDigest::sha384(),
            _ => MessageDigest::sha256(),
        };
        match self.algorithm {
            "EdDSA" => Signer::new_without_digest(&self.pair)
                .unwrap()
                .sign_oneshot_to_vec(message)
                .unwrap(),
            "RS256" => {
                let mut signer = Signer::new(digest, &self.pair).unwrap();
                signer.sign_oneshot_to_vec(message).unwrap()
            }
            _ => {
                let mut signer = Signer::new(digest, &self.pair).unwrap();
                let der = signer.sign_oneshot_to_vec(message).unwrap();
                let signature = openssl::ecdsa::EcdsaSig::from_der(&der).unwrap();
                let length = if self.algorithm == "ES384" { 48 } else { 32 };
                let mut both = signature.r().to_vec_padded(length).unwrap();
                both.extend(signature.s().to_vec_padded(length).unwrap());
                both
            }
        }
    }

    /// A JWS with a protected header of the caller's own making; `alg` is added if it is missing.
    pub(crate) fn sign_with_header(&self, mut header: Value, payload: &str) -> Value {
        let object = header.as_object_mut().unwrap();
        object.entry("alg").or_insert(json!(self.algorithm));
        let protected = encode(header.to_string());
        let payload = encode(payload);
        let signature = encode(self.sign(format!("{protected}.{payload}").as_bytes()));
        json!({"protected": protected, "payload": payload, "signature": signature})
    }

    pub(crate) fn sign_with_key(&self, url: &str, nonce: Option<&str>, payload: &str) -> Value {
        let mut header = json!({"url": url, "jwk": self.public});
        if let Some(nonce) = nonce {
            header["nonce"] = json!(nonce);
        }
        self.sign_with_header(header, payload)
    }

    pub(crate) fn sign_as_account(&self, kid: &str, url: &str, nonce: &str, payload: &str) -> Value {
        self.sign_with_header(json!({"url": url, "kid": kid, "nonce": nonce}), payload)
    }
}

/// An external account binding over `key`.
pub(crate) fn binding(key_id: &str, mac_key: &str, key: &Key, url: &str) -> Value {
    let secret = data_encoding::BASE64URL_NOPAD.decode(mac_key.as_bytes()).unwrap();
    let protected = encode(json!({"alg": "HS256", "kid": key_id, "url": url}).to_string());
    let payload = encode(key.public().to_string());
    let mac = Hmac::<Sha256>::new_from_slice(&secret)
        .unwrap()
        .chain_update(format!("{protected}.{payload}"))
        .finalize();
    json!({"protected": protected, "payload": payload, "signature": encode(mac.into_bytes())})
}

/// A DNS of a few TXT records, which can be out of order.
#[derive(Debug, Default)]
pub(crate) struct FixedTextRecords(pub(crate) std::sync::Mutex<std::collections::HashMap<String, Vec<Vec<u8>>>>);

impl super::dkim::TextRecords for FixedTextRecords {
    fn text_records<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<TextRecordSet, LookupFailure>> + Send + 'a>> {
        let found = self.0.lock().unwrap().get(name).cloned();
        Box::pin(async move {
            if name.contains("broken") {
                return Err(LookupFailure {
                    name: name.to_owned(),
                    reason: "SERVFAIL".to_owned(),
                });
            }
            Ok(TextRecordSet(found.unwrap_or_default()))
        })
    }
}

/// The mail system of `example.com`: signs what its users send, and publishes its key.
#[derive(Clone, Debug)]
pub(crate) struct MailSystem {
    key: Arc<dyn keys::SigningKey>,
    pub(crate) dns: Arc<FixedTextRecords>,
}

impl MailSystem {
    pub(crate) fn new() -> Self {
        let it = Self {
            key: keys::testing::rsa3072(),
            dns: Arc::default(),
        };
        let signer = it.signer("example.com");
        it.publish(&signer.record_name(), &signer.record().unwrap());
        it
    }

    pub(crate) fn publish(&self, name: &str, record: &str) {
        let mut records = self.dns.0.lock().unwrap();
        records
            .entry(name.to_owned())
            .or_default()
            .push(record.as_bytes().to_vec());
    }

    pub(crate) fn signer(&self, domain: &str) -> super::dkim::Signer {
        super::dkim::Signer::new(Arc::clone(&self.key), domain, "mail")
    }

    /// A signed message.
    pub(crate) fn sign(
        &self,
        domain: &str,
        header: &[(&str, &str)],
        body: &str,
        now: policies::time::Timestamp,
    ) -> Vec<u8> {
        let signature = self.signer(domain).sign(header, body, now).unwrap();
        let mut message = signature;
        for (name, value) in header {
            message.push_str(&format!("{name}: {value}\r\n"));
        }
        message.push_str("\r\n");
        message.push_str(body);
        message.into_bytes()
    }
}
