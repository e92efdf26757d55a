//! The envelope of requests: a flattened JSON Web Signature (RFC 7515 section 7.2.2, RFC 8555 section 6.2).
//!
//! An [`Envelope`] is what was sent; whether it was signed is decided by its `verify` methods.

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;

use super::jwk::{Algorithm, Jwk};
use super::problem::{ErrorType, Outcome, Refusal};

/// A request as it was sent, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    header: Header,
    /// What the signature is over: two texts in base64url with a dot between them.
    signing_input: String,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// RFC 8555 section 6.2 names the members; `crit` and `b64` change what the rest means, and are refused.
#[derive(Clone, Debug, Deserialize)]
struct Header {
    alg: String,
    url: Option<String>,
    nonce: Option<String>,
    jwk: Option<Value>,
    kid: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flattened {
    protected: String,
    payload: String,
    signature: String,
}

/// How a request says who signed it.
#[derive(Clone, Debug)]
pub(crate) enum Signer<'a> {
    /// The key itself.
    Jwk(Box<Jwk>),
    /// The URL of an account.
    Account(&'a str),
}

impl Envelope {
    /// Reads a body. Unprotected headers, several signatures and members of no known meaning are refused.
    pub(crate) fn parse(body: &[u8]) -> Outcome<Self> {
        let flattened: Flattened = serde_json::from_slice(body).map_err(|error| {
            Refusal::malformed(format!(
                "the body is not a JWS in flattened JSON serialization with protected, payload and signature: {error}"
            ))
        })?;
        Self::from_flattened(flattened)
    }

    /// Reads a JWS inside of a payload.
    pub(crate) fn parse_value(value: Value) -> Outcome<Self> {
        let flattened = serde_json::from_value(value)
            .map_err(|error| Refusal::malformed(format!("the inner JWS is not one in flattened form: {error}")))?;
        Self::from_flattened(flattened)
    }

    fn from_flattened(flattened: Flattened) -> Outcome<Self> {
        let decode = |name: &str, text: &str| {
            data_encoding::BASE64URL_NOPAD
                .decode(text.as_bytes())
                .map_err(|_| Refusal::malformed(format!("{name} of the JWS is not base64url without padding")))
        };
        let protected = decode("protected", &flattened.protected)?;
        let header: Header = serde_json::from_slice(&protected)
            .map_err(|error| Refusal::malformed(format!("the protected header cannot be read: {error}")))?;
        if header.crit.is_some() || header.b64.is_some() {
            return Err(Refusal::malformed(
                "the protected header has crit or b64, which are not supported",
            ));
        }
        Ok(Self {
            payload: decode("payload", &flattened.payload)?,
            signature: decode("signature", &flattened.signature)?,
            signing_input: format!("{}.{}", flattened.protected, flattened.payload),
            header,
        })
    }

    /// The algorithm, if it is one that is accepted for requests.
    pub(crate) fn algorithm(&self) -> Outcome<Algorithm> {
        Algorithm::parse(&self.header.alg).ok_or_else(|| {
            Refusal::new(
                ErrorType::BadSignatureAlgorithm,
                format!("the signature algorithm {:?} is not accepted", self.header.alg),
            )
        })
    }

    /// RFC 8555 section 6.4: exactly the URL that the request came to.
    pub(crate) fn check_url(&self, url: &str) -> Outcome<()> {
        match self.header.url.as_deref() {
            Some(signed) if signed == url => Ok(()),
            Some(_) => Err(Refusal::unauthorized(format!(
                "the url in the protected header is not that of the request, {url}"
            ))),
            None => Err(Refusal::malformed("the protected header has no url")),
        }
    }

    pub(crate) fn nonce(&self) -> Option<&str> {
        self.header.nonce.as_deref()
    }

    /// RFC 8555 section 6.2: `jwk` or `kid`, not both and not none.
    pub(crate) fn signer(&self) -> Outcome<Signer<'_>> {
        match (&self.header.jwk, &self.header.kid) {
            (Some(jwk), None) => match Jwk::parse(jwk) {
                Ok(key) => Ok(Signer::Jwk(Box::new(key))),
                Err(reason) => Err(Refusal::new(
                    ErrorType::BadPublicKey,
                    format!("the jwk in the protected header is not usable: {reason}"),
                )),
            },
            (None, Some(kid)) => Ok(Signer::Account(kid)),
            (Some(_), Some(_)) => Err(Refusal::malformed("the protected header has both jwk and kid")),
            (None, None) => Err(Refusal::malformed("the protected header has neither jwk nor kid")),
        }
    }

    /// Whether this key has signed it, with the algorithm that the header names.
    pub(crate) fn verify(&self, key: &Jwk) -> Outcome<()> {
        if self.algorithm()? != key.algorithm() {
            return Err(Refusal::malformed(format!(
                "the algorithm {:?} is not the one of the key, {}",
                self.header.alg,
                key.algorithm().name()
            )));
        }
        match key.has_signed(self.signing_input.as_bytes(), &self.signature) {
            true => Ok(()),
            false => Err(Refusal::malformed(
                "the signature of the JWS does not fit the key and the content",
            )),
        }
    }

    /// The key identifier of an external account binding, whose form is checked (RFC 8555 section 7.3.4).
    pub(crate) fn external_key_id(&self) -> Outcome<&str> {
        match (
            &*self.header.alg,
            &self.header.kid,
            &self.header.nonce,
            &self.header.jwk,
        ) {
            ("HS256", Some(kid), None, None) => Ok(kid),
            ("HS256", ..) => Err(Refusal::malformed(
                "the externalAccountBinding needs a kid, and neither nonce nor jwk",
            )),
            (other, ..) => Err(Refusal::malformed(format!(
                "the externalAccountBinding is signed with {other:?}, and HS256 is accepted"
            ))),
        }
    }

    /// Whether it was signed with this MAC key (RFC 7518 section 3.2), compared in constant time.
    pub(crate) fn verify_mac(&self, key: &[u8]) -> Outcome<()> {
        // HMAC takes keys of any length.
        let mac = Hmac::<Sha256>::new_from_slice(key);
        let is_right = mac.is_ok_and(|mac| {
            mac.chain_update(self.signing_input.as_bytes())
                .verify_slice(&self.signature)
                .is_ok()
        });
        match is_right {
            true => Ok(()),
            false => Err(Refusal::unauthorized(
                "the MAC of the externalAccountBinding does not fit its key",
            )),
        }
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::testing::Key;

    fn refusal(body: &[u8]) -> String {
        match Envelope::parse(body) {
            Err(Refusal::Problem(problem)) => problem.detail,
            other => panic!("{other:?}"),
        }
    }

    fn flattened(header: &str, payload: &str) -> String {
        let encode = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
        serde_json::json!({"protected": encode(header), "payload": encode(payload), "signature": "AA"}).to_string()
    }

    #[test]
    fn what_is_not_the_one_accepted_form_is_refused() {
        assert!(refusal(b"").contains("flattened"));
        assert!(refusal(b"eyJhbGciOiJFUzI1NiJ9.e30.AA").contains("flattened"));
        let good = flattened(r#"{"alg":"ES256"}"#, "{}");
        for (from, to) in [
            ("{\"pay", "{\"header\":{},\"pay"),
            ("{\"pay", "{\"signatures\":[],\"pay"),
            ("{\"pay", "{\"payload\":\"\",\"pay"),
            ("\"AA\"", "\"AA==\""),
            ("\"AA\"", "\"A\""),
            ("\"AA\"", "\"AB\""),
            ("\"AA\"", "\"A+\""),
            ("\"AA\"", "7"),
        ] {
            let changed = good.replacen(from, to, 1);
            assert_ne!(changed, good, "{from}");
            refusal(changed.as_bytes());
        }
        for header in [
            "",
            "[]",
            "{}",
            r#"{"alg":7}"#,
            r#"{"alg":"ES256","alg":"RS256"}"#,
            r#"{"alg":"ES256","url":"a","url":"b"}"#,
            r#"{"alg":"ES256","crit":["exp"]}"#,
            r#"{"alg":"ES256","b64":false}"#,
        ] {
            refusal(flattened(header, "{}").as_bytes());
        }
    }

    #[test]
    fn algorithms_that_no_key_here_signs_with_are_refused() {
        for name in ["none", "HS256", "es256", "RS384", "PS256", "ES512", "ES256K", ""] {
            let body = flattened(&format!(r#"{{"alg":"{name}"}}"#), "{}");
            let envelope = Envelope::parse(body.as_bytes()).unwrap();
            assert!(matches!(
                envelope.algorithm(),
                Err(Refusal::Problem(problem)) if problem.kind == ErrorType::BadSignatureAlgorithm
            ));
        }
    }

    #[test]
    fn every_kind_of_key_signs_and_no_bit_can_be_changed() {
        for key in Key::one_of_each_kind() {
            let body = key
                .sign_with_key("https://ca/acme/x", Some("n"), "{\"a\":1}")
                .to_string();
            let envelope = Envelope::parse(body.as_bytes()).unwrap();
            let Signer::Jwk(jwk) = envelope.signer().unwrap() else {
                panic!("a jwk")
            };
            envelope.verify(&jwk).unwrap();
            for other in Key::one_of_each_kind() {
                let same = other.jwk().is(&jwk);
                assert_eq!(envelope.verify(&other.jwk()).is_ok(), same);
            }
            let mut accepted = 0;
            for index in 0..body.len() {
                let mut changed = body.clone().into_bytes();
                changed[index] ^= 1;
                let Ok(envelope) = Envelope::parse(&changed) else {
                    continue;
                };
                if envelope.verify(&jwk).is_ok() {
                    accepted += 1;
                }
            }
            assert_eq!(accepted, 0);
        }
    }
}
