//! Public keys as JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037), and what they have signed.

use ed25519_dalek::VerifyingKey as Ed25519;
use p256::ecdsa::VerifyingKey as P256;
use p256::ecdsa::signature::Verifier;
use p384::ecdsa::VerifyingKey as P384;
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, Pkcs1v15Sign, RsaPublicKey};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A key of one of the four algorithms that are accepted.
#[derive(Clone, Debug)]
pub(crate) struct Jwk {
    key: Key,
    /// The members that RFC 7638 section 3.2 hashes, in their order, without blanks.
    canonical: String,
}

#[derive(Clone, Debug)]
enum Key {
    P256(Box<P256>),
    P384(Box<P384>),
    Rsa(Box<RsaPublicKey>),
    Ed25519(Box<Ed25519>),
}

/// A signature algorithm of RFC 7518 section 3.1 or RFC 8037 section 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Es256,
    Es384,
    Rs256,
    EdDsa,
}

impl Algorithm {
    /// Those that are accepted, for the problem document of RFC 8555 section 6.2.
    pub(crate) const ALL: [Self; 4] = [Self::Es256, Self::Es384, Self::Rs256, Self::EdDsa];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl Jwk {
    /// Reads a key. Members that say how it may be used are ignored, except that a private key is refused.
    ///
    /// # Errors
    /// A sentence for the client.
    pub(crate) fn parse(value: &Value) -> Result<Self, &'static str> {
        let object = value.as_object().ok_or("it is not a JSON object")?;
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]
            .iter()
            .any(|private| object.contains_key(*private))
        {
            return Err("it holds a private key, which must never be sent: make a new one");
        }
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let octets = |name: &str| {
            let text = text(name)?;
            data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()
        };
        match (text("kty"), text("crv")) {
            (Some("EC"), Some("P-256")) => {
                let point = point(octets("x"), octets("y"), 32)?;
                let key = P256::from_sec1_bytes(&point).map_err(|_| "it is not a point on the curve P-256")?;
                Ok(Self::new(Key::P256(Box::new(key))))
            }
            (Some("EC"), Some("P-384")) => {
                let point = point(octets("x"), octets("y"), 48)?;
                let key = P384::from_sec1_bytes(&point).map_err(|_| "it is not a point on the curve P-384")?;
                Ok(Self::new(Key::P384(Box::new(key))))
            }
            (Some("OKP"), Some("Ed25519")) => {
                let octets = octets("x").and_then(|octets| <[u8; 32]>::try_from(octets).ok());
                let octets = octets.ok_or("x is not 32 octets in base64url")?;
                let key = Ed25519::from_bytes(&octets).map_err(|_| "it is not a point on the curve Ed25519")?;
                if key.is_weak() {
                    return Err("it is a point of small order, which everybody can sign with");
                }
                Ok(Self::new(Key::Ed25519(Box::new(key))))
            }
            (Some("RSA"), _) => {
                let modulus = octets("n").ok_or("n is not base64url")?;
                let exponent = octets("e").ok_or("e is not base64url")?;
                rsa_key(&modulus, &exponent).map(|key| Self::new(Key::Rsa(Box::new(key))))
            }
            _ => Err("it is not an EC key on P-256 or P-384, an RSA key or an OKP key on Ed25519"),
        }
    }

    /// What was stored by [`Jwk::canonical`].
    pub(crate) fn from_stored(text: &str) -> Result<Self, &'static str> {
        let value = serde_json::from_str(text).map_err(|_| "it is not JSON")?;
        Self::parse(&value)
    }

    fn new(key: Key) -> Self {
        let encode = |octets: &[u8]| data_encoding::BASE64URL_NOPAD.encode(octets);
        let elliptic = |curve: &str, point: &[u8]| {
            // An uncompressed point: 0x04, x, y.
            let (x, y) = point[1..].split_at((point.len() - 1) / 2);
            format!(
                r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#,
                encode(x),
                encode(y)
            )
        };
        let canonical = match &key {
            Key::P256(key) => elliptic("P-256", key.to_sec1_point(false).as_bytes()),
            Key::P384(key) => elliptic("P-384", key.to_sec1_point(false).as_bytes()),
            Key::Ed25519(key) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(key.as_bytes())),
            Key::Rsa(key) => format!(
                r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
                encode(&key.e().to_be_bytes_trimmed_vartime()),
                encode(&key.n().to_be_bytes_trimmed_vartime())
            ),
        };
        Self { key, canonical }
    }

    /// The required members in the order of RFC 7638 section 3.3.
    pub(crate) fn canonical(&self) -> &str {
        &self.canonical
    }

    /// RFC 7638, in base64url.
    pub(crate) fn thumbprint(&self) -> String {
        data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(self.canonical.as_bytes()))
    }

    /// The one algorithm with which this key signs here.
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self.key {
            Key::P256(_) => Algorithm::Es256,
            Key::P384(_) => Algorithm::Es384,
            Key::Rsa(_) => Algorithm::Rs256,
            Key::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Whether the owner of the key has signed the message. ECDSA signatures are two numbers side by side, not DER
    /// (RFC 7518 section 3.4).
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Key::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Key::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Key::Rsa(key) => {
                let digest = Sha256::digest(message);
                key.verify(Pkcs1v15Sign::new::<Sha256>(), &digest, signature).is_ok()
            }
            Key::Ed25519(key) => <[u8; 64]>::try_from(signature).is_ok_and(|signature| {
                let signature = ed25519_dalek::Signature::from_bytes(&signature);
                key.verify_strict(message, &signature).is_ok()
            }),
        }
    }

    /// Whether it is this public key, whatever is written around it.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }

    /// The key of a certificate, for requests that are signed with it (RFC 8555 section 7.6).
    pub(crate) fn from_public_key(info: &spki::SubjectPublicKeyInfoOwned) -> Option<Self> {
        use crate::signature::PublicKey;
        match PublicKey::parse(info).ok()? {
            PublicKey::P256(key) => Some(Self::new(Key::P256(key))),
            PublicKey::P384(key) => Some(Self::new(Key::P384(key))),
            PublicKey::Rsa(key) => Some(Self::new(Key::Rsa(key))),
        }
    }
}

/// RFC 7518 section 6.2.1.2: exactly as many octets as the field has.
fn point(x: Option<Vec<u8>>, y: Option<Vec<u8>>, length: usize) -> Result<Vec<u8>, &'static str> {
    match (x, y) {
        (Some(x), Some(y)) if x.len() == length && y.len() == length => Ok([&[4], &*x, &*y].concat()),
        _ => Err("x and y are not two numbers of the length of the curve in base64url"),
    }
}

/// 2048 to 4096 bits with an exponent in use: what is larger only costs the one who verifies.
fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Result<RsaPublicKey, &'static str> {
    if modulus.first() == Some(&0) || exponent.first() == Some(&0) {
        return Err("n or e begins with a zero octet (RFC 7518 section 6.3.1.1)");
    }
    if !(256..=512).contains(&modulus.len()) || modulus[0] & 0x80 == 0 {
        return Err("n has not 2048 to 4096 bits in whole octets");
    }
    if exponent != [1, 0, 1] {
        return Err("e is not 65537");
    }
    let modulus = BoxedUint::from_be_slice_vartime(modulus);
    let exponent = BoxedUint::from_be_slice_vartime(exponent);
    RsaPublicKey::new(modulus, exponent).map_err(|_| "n and e are not an RSA key")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(value: Value, part: &str) {
        let reason = Jwk::parse(&value).unwrap_err();
        assert!(reason.contains(part), "{reason:?} lacks {part:?} for {value}");
    }

    #[test]
    fn the_thumbprint_is_the_one_of_rfc_7638() {
        let modulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let key = Jwk::parse(&json!({"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}));
        let key = key.unwrap();
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(key.algorithm(), Algorithm::Rs256);
    }

    /// RFC 8037 appendix A.2 to A.4.
    #[test]
    fn the_signature_of_rfc_8037_verifies_and_no_other() {
        let key = Jwk::parse(&json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        }));
        let key = key.unwrap();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let mut signature = data_encoding::BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        assert!(key.has_signed(message, &signature));
        for index in 0..signature.len() {
            signature[index] ^= 1;
            assert!(!key.has_signed(message, &signature), "octet {index}");
            signature[index] ^= 1;
        }
        assert!(!key.has_signed(&message[1..], &signature));
        assert!(!key.has_signed(message, &signature[1..]));
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        let zero = data_encoding::BASE64URL_NOPAD.encode(&[0; 32]);
        let short = data_encoding::BASE64URL_NOPAD.encode(&[7; 31]);
        refused(json!([]), "not a JSON object");
        refused(json!({}), "not an EC key");
        refused(json!({"kty": "oct", "k": "AAAA"}), "private");
        refused(
            json!({"kty": "EC", "crv": "P-521", "x": zero, "y": zero}),
            "not an EC key",
        );
        refused(
            json!({"kty": "EC", "crv": "P-256", "x": zero, "y": zero}),
            "not a point",
        );
        refused(
            json!({"kty": "EC", "crv": "P-256", "x": short, "y": zero}),
            "length of the curve",
        );
        refused(json!({"kty": "EC", "crv": "P-256", "x": zero}), "length of the curve");
        refused(
            json!({"kty": "EC", "crv": "P-256", "x": format!("{zero}="), "y": zero}),
            "length",
        );
        refused(
            json!({"kty": "EC", "crv": "P-256", "x": zero, "y": zero, "d": zero}),
            "private",
        );
        let one = data_encoding::BASE64URL_NOPAD.encode(&[&[1_u8][..], &[0; 31]].concat());
        refused(json!({"kty": "OKP", "crv": "Ed25519", "x": one}), "small order");
        refused(json!({"kty": "OKP", "crv": "X25519", "x": zero}), "not an EC key");
        let modulus = |octets: &[u8]| data_encoding::BASE64URL_NOPAD.encode(octets);
        refused(
            json!({"kty": "RSA", "n": modulus(&[0xff; 255]), "e": "AQAB"}),
            "2048 to 4096",
        );
        refused(
            json!({"kty": "RSA", "n": modulus(&[0xff; 513]), "e": "AQAB"}),
            "2048 to 4096",
        );
        refused(
            json!({"kty": "RSA", "n": modulus(&[0x7f; 256]), "e": "AQAB"}),
            "2048 to 4096",
        );
        refused(
            json!({"kty": "RSA", "n": modulus(&[0; 257]), "e": "AQAB"}),
            "zero octet",
        );
        refused(json!({"kty": "RSA", "n": modulus(&[0xff; 256]), "e": "Aw"}), "65537");
    }
}
