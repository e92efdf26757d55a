//! Keys as objects of a token: how they are made, found, read and used.
//!
//! See PKCS #11 v3.1, sections 4.7 to 4.9 (keys as objects), 6.1 (RSA) and 6.3 (elliptic curves, 6.3.5 for Edwards ones).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    VerificationAlgorithm,
};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1};
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use der::asn1::{BitString, Null, OctetStringRef, UintRef};
use der::{Decode, Encode, Sequence};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::failure::Failure;
use super::pool::Lease;
use crate::{DigestAlgorithm, KeyAlgorithm, KeyError, KeyId, Signature, SignatureAlgorithm};

/// A private key in the token, and what is known of it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) handle: ObjectHandle,
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) public_key: SubjectPublicKeyInfoOwned,
}

/// A key pair that was just made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    pub(super) private: ObjectHandle,
    pub(super) public: ObjectHandle,
}

/// Makes a key pair that stays in the token, signs, and does nothing else.
pub(super) fn generate(session: &Session, id: &KeyId, algorithm: KeyAlgorithm) -> Result<Made, Error> {
    let mut public = vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Id(octets(id)),
        Attribute::Label(octets(id)),
        Attribute::Verify(true),
    ];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Id(octets(id)),
        Attribute::Label(octets(id)),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        // Some modules allow all of these when they are not told otherwise.
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ];
    let (mechanism, kind) = match algorithm {
        KeyAlgorithm::P256 => elliptic(&P256),
        KeyAlgorithm::P384 => elliptic(&P384),
        KeyAlgorithm::Rsa2048 => rsa(Ulong::new(2048)),
        KeyAlgorithm::Rsa3072 => rsa(Ulong::new(3072)),
        KeyAlgorithm::Rsa4096 => rsa(Ulong::new(4096)),
        KeyAlgorithm::Ed25519 => {
            let kind = vec![Attribute::EcParams(ED25519_PARAMETERS.to_vec())];
            (Mechanism::EccEdwardsKeyPairGen, kind)
        }
    };
    public.extend(kind);
    let (public, private) = session.generate_key_pair(&mechanism, &public, &private)?;
    Ok(Made { private, public })
}

/// How to make an RSA key: the mechanism, and what the public half is like.
fn rsa(bits: Ulong) -> (Mechanism<'static>, Vec<Attribute>) {
    // 65537, as for keys in software; S/MIME BR, 6.1.6 allow it.
    let exponent = vec![1, 0, 1];
    let kind = vec![Attribute::ModulusBits(bits), Attribute::PublicExponent(exponent)];
    (Mechanism::RsaPkcsKeyPairGen, kind)
}

/// The same for a key on a curve.
fn elliptic(curve: &Curve) -> (Mechanism<'static>, Vec<Attribute>) {
    let kind = vec![Attribute::EcParams(curve.parameters.to_vec())];
    (Mechanism::EccKeyPairGen, kind)
}

/// Destroys a key pair that should not have been made.
pub(super) fn discard(session: &Session, made: Made) -> Result<(), Error> {
    // Both, also when one does not go.
    let private = session.destroy_object(made.private);
    let public = session.destroy_object(made.public);
    private.and(public)
}

/// The keys of one name that a token keeps.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) private: Vec<ObjectHandle>,
    pub(super) public: Vec<ObjectHandle>,
}

impl Named {
    pub(super) fn search(lease: &Lease<'_>, id: &KeyId) -> Result<Self, Error> {
        let search = |class| {
            lease.session().find_objects(&[
                Attribute::Class(class),
                Attribute::Token(true),
                Attribute::Id(octets(id)),
            ])
        };
        let found = Self {
            private: search(ObjectClass::PRIVATE_KEY)?,
            public: search(ObjectClass::PUBLIC_KEY)?,
        };
        if found.private.is_empty() {
            lease.check_connected()?;
        }
        Ok(found)
    }

    /// How many keys they are, if each private one has its public one.
    pub(super) fn count(&self) -> usize {
        self.private.len().max(self.public.len())
    }
}

/// The names of all private keys that have one of ours.
pub(super) fn names(lease: &Lease<'_>) -> Result<Vec<KeyId>, Error> {
    let session = lease.session();
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Token(true)];
    let handles = session.find_objects(&template)?;
    if handles.is_empty() {
        lease.check_connected()?;
    }
    let mut names = Vec::new();
    for handle in handles {
        let attributes = session.get_attributes(handle, &[AttributeType::Id])?;
        if let [Attribute::Id(octets)] = attributes.as_slice()
            && let Ok(text) = str::from_utf8(octets)
            && let Ok(id) = text.parse()
        {
            names.push(id);
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Finds the key of that name and reads its public half.
///
/// Refuses a key that could leave the token, however it came there.
pub(super) fn find(lease: &Lease<'_>, id: &KeyId, place: &str) -> Result<Found, Failure> {
    let unusable = |problem| {
        Failure::Final(KeyError::KeyUnusable {
            id: id.clone(),
            token: place.into(),
            problem,
        })
    };
    let session = lease.session();
    let named = Named::search(lease, id)?;
    let handle = match named.private.as_slice() {
        [handle] => *handle,
        [] => {
            return Err(Failure::Final(KeyError::NotFound {
                id: id.clone(),
                place: place.into(),
            }));
        }
        [_, ..] => {
            return Err(Failure::Final(KeyError::KeyAmbiguous {
                id: id.clone(),
                token: place.into(),
            }));
        }
    };
    let [public] = named.public[..] else {
        return Err(unusable(
            "the token needs exactly one public key with the same CKA_ID; remove the key and make a new one, or put its \
             public key into the token",
        ));
    };
    let wanted = [
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::Sign,
    ];
    let guarded = session.get_attributes(handle, &wanted)?;
    if !guarded.contains(&Attribute::Sensitive(true)) || !guarded.contains(&Attribute::Extractable(false)) {
        return Err(unusable(
            "it could be taken out of the token (CKA_SENSITIVE is not set, or CKA_EXTRACTABLE is); make a new one",
        ));
    }
    if !guarded.contains(&Attribute::Sign(true)) {
        return Err(unusable(
            "it is not meant for signing (CKA_SIGN is not set); make a new one",
        ));
    }
    match public_key(session, public)? {
        Some((algorithm, public_key)) => Ok(Found {
            handle,
            algorithm,
            public_key,
        }),
        None => Err(unusable(
            "it is neither P-256, P-384, Ed25519 nor RSA of 2048, 3072 or 4096 bits, or its public key is damaged; make a \
             new one",
        )),
    }
}

/// A public key of the token with the bytes of the S/MIME BR, 7.1.3.1. `None` when it is not one of [`KeyAlgorithm`].
fn public_key(
    session: &Session,
    handle: ObjectHandle,
) -> Result<Option<(SignatureAlgorithm, SubjectPublicKeyInfoOwned)>, Error> {
    let read = |wanted: &[AttributeType]| match session.get_attributes(handle, wanted) {
        // Something that cryptoki has no name for, so it is nothing that we use.
        Err(Error::NotSupported) => Ok(Vec::new()),
        other => other,
    };
    match read(&[AttributeType::KeyType])?.as_slice() {
        [Attribute::KeyType(KeyType::EC)] => {
            let attributes = read(&[AttributeType::EcParams, AttributeType::EcPoint])?;
            let [Attribute::EcParams(parameters), Attribute::EcPoint(point)] = attributes.as_slice() else {
                return Ok(None);
            };
            Ok(elliptic_public_key(parameters, point))
        }
        [Attribute::KeyType(KeyType::EC_EDWARDS)] => {
            let attributes = read(&[AttributeType::EcParams, AttributeType::EcPoint])?;
            let [Attribute::EcParams(parameters), Attribute::EcPoint(point)] = attributes.as_slice() else {
                return Ok(None);
            };
            Ok(ed25519_public_key(parameters, point))
        }
        [Attribute::KeyType(KeyType::RSA)] => {
            let attributes = read(&[AttributeType::Modulus, AttributeType::PublicExponent])?;
            let [Attribute::Modulus(modulus), Attribute::PublicExponent(exponent)] = attributes.as_slice() else {
                return Ok(None);
            };
            Ok(rsa_public_key(modulus, exponent))
        }
        _ => Ok(None),
    }
}

/// `point` is a DER OCTET STRING as PKCS #11 v3.1, 6.3.3 has it, or what would be in it, as some tokens give it.
fn elliptic_public_key(parameters: &[u8], point: &[u8]) -> Option<(SignatureAlgorithm, SubjectPublicKeyInfoOwned)> {
    let curve = [&P256, &P384]
        .into_iter()
        .find(|curve| curve.parameters == parameters)?;
    // Both begin with 4, the tag of an OCTET STRING and the mark of an uncompressed point, but their lengths differ.
    let point = if point.len() == 1 + 2 * curve.coordinate {
        point
    } else {
        <&OctetStringRef>::from_der(point).ok()?.as_bytes()
    };
    // Uncompressed, as the S/MIME BR, 7.1.3.1.2 and 6.1.6 want it. Whether it is on the curve is looked at next.
    if point.len() != 1 + 2 * curve.coordinate || point.first() != Some(&4) {
        return None;
    }
    ParsedPublicKey::new(curve.verification, point).ok()?;
    let public_key = SubjectPublicKeyInfoOwned {
        algorithm: AlgorithmIdentifierOwned {
            oid: ID_EC_PUBLIC_KEY,
            parameters: Some(curve.oid.into()),
        },
        subject_public_key: BitString::from_bytes(point).ok()?,
    };
    Some((curve.algorithm, public_key))
}

/// `point` is a DER OCTET STRING with the 32 octets of RFC 8032 section 5.1.2, or those alone.
fn ed25519_public_key(parameters: &[u8], point: &[u8]) -> Option<(SignatureAlgorithm, SubjectPublicKeyInfoOwned)> {
    // PKCS #11 v3.1, 6.3.6 lets a token name the curve in either way.
    if parameters != ED25519_PARAMETERS && parameters != ED25519_NAME {
        return None;
    }
    let point = if point.len() == 32 {
        point
    } else {
        <&OctetStringRef>::from_der(point).ok()?.as_bytes()
    };
    if point.len() != 32 {
        return None;
    }
    ParsedPublicKey::new(&ED25519, point).ok()?;
    let public_key = SubjectPublicKeyInfoOwned {
        algorithm: SignatureAlgorithm::Ed25519.identifier(),
        subject_public_key: BitString::from_bytes(point).ok()?,
    };
    Some((SignatureAlgorithm::Ed25519, public_key))
}

/// Both numbers big-endian, as PKCS #11 v3.1, 6.1.2 has them.
fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Option<(SignatureAlgorithm, SubjectPublicKeyInfoOwned)> {
    let key = RsaPublicKey {
        modulus: UintRef::new(modulus).ok()?,
        public_exponent: UintRef::new(exponent).ok()?,
    };
    let bits = |number: UintRef<'_>| {
        let zeros = number.as_bytes().first().map_or(0, |octet| octet.leading_zeros());
        (number.as_bytes().len() * 8).saturating_sub(zeros as usize)
    };
    let exponent_is_odd = key
        .public_exponent
        .as_bytes()
        .last()
        .is_some_and(|octet| octet % 2 == 1);
    // S/MIME BR, 6.1.5 and 6.1.6: an odd exponent from 2^16 + 1 to 2^256 - 1.
    if ![2048, 3072, 4096].contains(&bits(key.modulus))
        || !(17..=256).contains(&bits(key.public_exponent))
        || !exponent_is_odd
    {
        return None;
    }
    let encoded = key.to_der().ok()?;
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &encoded).ok()?;
    let public_key = SubjectPublicKeyInfoOwned {
        algorithm: AlgorithmIdentifierOwned {
            oid: RSA_ENCRYPTION,
            parameters: Some(Null.into()),
        },
        subject_public_key: BitString::from_bytes(&encoded).ok()?,
    };
    Some((SignatureAlgorithm::RsaPkcs1Sha256, public_key))
}

/// Signs `message` with the private key behind `handle`.
pub(super) fn sign(
    session: &Session,
    handle: ObjectHandle,
    algorithm: SignatureAlgorithm,
    message: &[u8],
) -> Result<Signature, Failure> {
    match algorithm {
        // The hash is made here: every token with elliptic curves knows CKM_ECDSA, by no means every one the
        // mechanisms that hash as well.
        SignatureAlgorithm::EcdsaP256Sha256 => {
            let raw = session.sign(&Mechanism::Ecdsa, handle, &DigestAlgorithm::Sha256.hash(message))?;
            ecdsa_signature(&raw, &P256)
        }
        SignatureAlgorithm::EcdsaP384Sha384 => {
            let raw = session.sign(&Mechanism::Ecdsa, handle, &DigestAlgorithm::Sha384.hash(message))?;
            ecdsa_signature(&raw, &P384)
        }
        SignatureAlgorithm::Ed25519 => {
            let pure = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
            let signature = session.sign(&pure, handle, message)?;
            if signature.len() != 64 {
                let source = Some("the token returned something that is not an Ed25519 signature".into());
                return Err(Failure::Final(KeyError::SigningFailed { source }));
            }
            Ok(Signature::new(signature))
        }
        SignatureAlgorithm::RsaPkcs1Sha256 if message.len() <= LONGEST_PART => Ok(Signature::new(session.sign(
            &Mechanism::Sha256RsaPkcs,
            handle,
            message,
        )?)),
        SignatureAlgorithm::RsaPkcs1Sha256 => {
            session.sign_init(&Mechanism::Sha256RsaPkcs, handle)?;
            for part in message.chunks(LONGEST_PART) {
                session.sign_update(part)?;
            }
            Ok(Signature::new(session.sign_final()?))
        }
    }
}

/// Turns `r || s`, each as long as the other and at most as long as a coordinate (PKCS #11 v3.1, 6.3.1), into
/// `ECDSA-Sig-Value` (RFC 3279 section 2.2.3).
fn ecdsa_signature(raw: &[u8], curve: &Curve) -> Result<Signature, Failure> {
    let malformed = || {
        let source = Some("the token returned something that is not an ECDSA signature".into());
        Failure::Final(KeyError::SigningFailed { source })
    };
    let (r, s) = raw.split_at(raw.len() / 2);
    if r.len() != s.len() || r.len() > curve.coordinate {
        return Err(malformed());
    }
    // Zero is not a signature (FIPS 186-5, 6.4.1), but what some devices return when they failed.
    if [r, s].iter().any(|number| number.iter().all(|octet| *octet == 0)) {
        return Err(malformed());
    }
    // Leading zeros go, and one comes where the number would be negative otherwise (X.690, 8.3).
    let encoded = UintRef::new(r).and_then(|r| EcdsaSigValue { r, s: UintRef::new(s)? }.to_der());
    encoded.map(Signature::new).map_err(|_| malformed())
}

/// RFC 8017, appendix A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

/// RFC 3279 section 2.2.3.
#[derive(Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// One of the curves that are used.
struct Curve {
    oid: ObjectIdentifier,
    /// The DER of `oid`, which is how PKCS #11 names a curve.
    parameters: &'static [u8],
    /// The length of a coordinate, and of the order of the group, in bytes.
    coordinate: usize,
    algorithm: SignatureAlgorithm,
    verification: &'static (dyn VerificationAlgorithm + Sync),
}

static P256: Curve = Curve {
    oid: SECP_256_R_1,
    parameters: b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
    coordinate: 32,
    algorithm: SignatureAlgorithm::EcdsaP256Sha256,
    verification: &ECDSA_P256_SHA256_ASN1,
};

static P384: Curve = Curve {
    oid: SECP_384_R_1,
    parameters: b"\x06\x05\x2b\x81\x04\x00\x22",
    coordinate: 48,
    algorithm: SignatureAlgorithm::EcdsaP384Sha384,
    verification: &ECDSA_P384_SHA384_ASN1,
};

/// The DER of the identifier of Ed25519, and its name as a PrintableString: PKCS #11 v3.1, 6.3.6 knows both.
const ED25519_PARAMETERS: &[u8] = b"\x06\x03\x2b\x65\x70";
const ED25519_NAME: &[u8] = b"\x13\x0cedwards25519";

fn octets(id: &KeyId) -> Vec<u8> {
    id.as_ref().as_bytes().to_vec()
}

/// In bytes. Certificates and signed attributes are shorter; revocation lists are longer than what devices take at once.
const LONGEST_PART: usize = 16 * 1024;

#[cfg(test)]
mod tests;
