//! Opens what somebody has encrypted to a key of ours.
//!
//! Whatever goes wrong, the answer is nothing: a sender must not learn how far it came (RFC 3218). Only AES is opened;
//! Triple-DES and RC2 are not.

use std::sync::Arc;

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5911, rfc5912};
use keys::{Agreement, Ciphertext, ContentCipher, DecryptionKey, KeyDerivation, OaepHash, ProtectedKey, shared_info};
use rand_core::CryptoRng;

use super::ber::{
    BIT_STRING, Element, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, SET, context, context_constructed,
};
use super::build::ID_CT_AUTH_ENVELOPED_DATA;

/// By what a sender has named the certificate of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecipientId<'r> {
    IssuerAndSerialNumber {
        /// The DER of the Name.
        issuer: &'r [u8],
        /// The octets of the INTEGER.
        serial_number: &'r [u8],
    },
    SubjectKeyIdentifier(&'r [u8]),
}

/// What was inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub content: Vec<u8>,
    /// Whether a change on the way would have been noticed. If not, only a signature inside says so (EFAIL).
    pub is_authenticated: bool,
}

/// Opens a ContentInfo in DER or BER with the first key that `find` knows and that fits.
pub fn open(
    cms: &[u8],
    find: impl Fn(&RecipientId<'_>) -> Option<Arc<dyn DecryptionKey>>,
    rng: &mut dyn CryptoRng,
) -> Option<Opened> {
    let mut whole = Reader::new(cms);
    let mut content_info = whole.expect(SEQUENCE)?.inside();
    if !whole.is_empty() {
        return None;
    }
    let content_type = object_identifier(content_info.expect(OBJECT_IDENTIFIER)?)?;
    let is_authenticated = if content_type == ID_CT_AUTH_ENVELOPED_DATA {
        true
    } else if content_type == rfc5911::ID_ENVELOPED_DATA {
        false
    } else {
        return None;
    };
    let mut data = content_info
        .expect(context_constructed(0))?
        .inside()
        .expect(SEQUENCE)?
        .inside();
    data.expect(INTEGER)?;
    // originatorInfo
    data.optional(context_constructed(0));
    let recipients = data.expect(SET)?;
    let mut encrypted = data.expect(SEQUENCE)?.inside();
    object_identifier(encrypted.expect(OBJECT_IDENTIFIER)?)?;
    let algorithm = Algorithm::read(encrypted.expect(SEQUENCE)?)?;
    let content = encrypted
        .next()
        .filter(|content| content.tag == context(0) || content.tag == context_constructed(0))?;
    let cipher = content_cipher(algorithm.oid)?;
    // AEAD inside EnvelopedData and CBC inside AuthEnvelopedData are ways to trick a reader (RFC 5084 section 1.3).
    if cipher.is_authenticated() != is_authenticated {
        return None;
    }
    let (nonce, mut tag, mut associated) = (nonce(&algorithm, cipher)?, Vec::new(), Vec::new());
    if is_authenticated {
        if let Some(attributes) = data.optional(context_constructed(1)) {
            // RFC 5083 section 2.2: authenticated as SET OF, in DER, in which honest senders write it.
            associated = [&[SET][..], &attributes.raw[1..]].concat();
        }
        tag = data.expect(OCTET_STRING)?.content.to_vec();
    }
    let key = first(recipients, &mut |id, protected| find(id)?.open(protected, cipher, rng))?;
    let ciphertext = Ciphertext {
        nonce,
        content: content.octets()?,
        tag,
    };
    let content = key.decrypt(cipher, ciphertext, &associated)?;
    Some(Opened {
        content,
        is_authenticated,
    })
}

/// Whether one of those who can open a ContentInfo is named so.
pub fn is_for(cms: &[u8], is: impl Fn(&RecipientId<'_>) -> bool) -> bool {
    let recipients = || {
        let mut content_info = Reader::new(cms).expect(SEQUENCE)?.inside();
        content_info.expect(OBJECT_IDENTIFIER)?;
        let mut data = content_info
            .expect(context_constructed(0))?
            .inside()
            .expect(SEQUENCE)?
            .inside();
        data.expect(INTEGER)?;
        data.optional(context_constructed(0));
        data.expect(SET)
    };
    recipients().is_some_and(|recipients| first(recipients, &mut |id, _| is(id).then_some(())).is_some())
}

/// Shows each recipient with the key for it, until there is an answer.
fn first<T>(
    recipients: Element<'_>,
    ask: &mut impl FnMut(&RecipientId<'_>, &ProtectedKey<'_>) -> Option<T>,
) -> Option<T> {
    let mut recipients = recipients.inside();
    for _ in 0..MOST_RECIPIENTS {
        if recipients.is_empty() {
            break;
        }
        let info = recipients.next()?;
        let answer = match info.tag {
            SEQUENCE => transported(info, ask),
            tag if tag == context_constructed(1) => agreed(info, ask),
            // Keys that were agreed on beforehand, passwords and others.
            _ => None,
        };
        if answer.is_some() {
            return answer;
        }
    }
    None
}

/// RFC 5652 section 6.2.1.
fn transported<T>(
    info: Element<'_>,
    ask: &mut impl FnMut(&RecipientId<'_>, &ProtectedKey<'_>) -> Option<T>,
) -> Option<T> {
    let mut info = info.inside();
    info.expect(INTEGER)?;
    let named = recipient_id(info.next()?, context(0))?;
    let algorithm = Algorithm::read(info.expect(SEQUENCE)?)?;
    let encrypted = info.expect(OCTET_STRING)?.content;
    let protected = if algorithm.oid == rfc5912::RSA_ENCRYPTION {
        ProtectedKey::Pkcs1(encrypted)
    } else if algorithm.oid == rfc5912::ID_RSAES_OAEP {
        ProtectedKey::Oaep(oaep_hash(algorithm.parameters)?, encrypted)
    } else {
        return None;
    };
    ask(&named, &protected)
}

/// RFC 5652 section 6.2.2, RFC 5753 section 3.1.
fn agreed<T>(info: Element<'_>, ask: &mut impl FnMut(&RecipientId<'_>, &ProtectedKey<'_>) -> Option<T>) -> Option<T> {
    let mut info = info.inside();
    info.expect(INTEGER)?;
    let mut originator = info
        .expect(context_constructed(0))?
        .inside()
        .expect(context_constructed(1))?
        .inside();
    originator.expect(SEQUENCE)?;
    let (unused_bits, ephemeral) = originator.expect(BIT_STRING)?.content.split_first()?;
    if *unused_bits != 0 {
        return None;
    }
    // Material of the sender would be part of the shared information; mail programs send none.
    if info.optional(context_constructed(1)).is_some() {
        return None;
    }
    let algorithm = Algorithm::read(info.expect(SEQUENCE)?)?;
    let derivation = DERIVATIONS
        .into_iter()
        .find_map(|(oid, derivation)| (algorithm.oid == oid).then_some(derivation))?;
    let wrap = algorithm.parameters?;
    let wrap_bits = match Algorithm::read(wrap)?.oid {
        rfc5911::ID_AES_128_WRAP => 128,
        rfc5911::ID_AES_256_WRAP => 256,
        _ => return None,
    };
    let shared_info = shared_info(wrap.raw, wrap_bits);
    let mut encrypted_keys = info.expect(SEQUENCE)?.inside();
    for _ in 0..MOST_RECIPIENTS {
        if encrypted_keys.is_empty() {
            break;
        }
        let mut one = encrypted_keys.expect(SEQUENCE)?.inside();
        let named = recipient_id(one.next()?, context_constructed(0))?;
        let protected = ProtectedKey::Agreed(Agreement {
            ephemeral,
            derivation,
            wrap_bits,
            shared_info: &shared_info,
            wrapped: one.expect(OCTET_STRING)?.content,
        });
        if let Some(answer) = ask(&named, &protected) {
            return Some(answer);
        }
    }
    None
}

/// `key_identifier` is the tag of the other choice; its content is the identifier, or begins with it.
fn recipient_id(named: Element<'_>, key_identifier: u8) -> Option<RecipientId<'_>> {
    if named.tag == SEQUENCE {
        let mut named = named.inside();
        let issuer = named.expect(SEQUENCE)?.raw;
        let serial_number = named.expect(INTEGER)?.content;
        return Some(RecipientId::IssuerAndSerialNumber { issuer, serial_number });
    }
    if named.tag != key_identifier {
        return None;
    }
    if named.tag == context(0) {
        return Some(RecipientId::SubjectKeyIdentifier(named.content));
    }
    Some(RecipientId::SubjectKeyIdentifier(
        named.inside().expect(OCTET_STRING)?.content,
    ))
}

/// An AlgorithmIdentifier.
struct Algorithm<'a> {
    oid: ObjectIdentifier,
    parameters: Option<Element<'a>>,
}

impl<'a> Algorithm<'a> {
    fn read(element: Element<'a>) -> Option<Self> {
        let mut inside = element.inside();
        let oid = object_identifier(inside.expect(OBJECT_IDENTIFIER)?)?;
        let parameters = if inside.is_empty() { None } else { Some(inside.next()?) };
        Some(Self { oid, parameters })
    }
}

fn object_identifier(element: Element<'_>) -> Option<ObjectIdentifier> {
    ObjectIdentifier::from_bytes(element.content).ok()
}

fn content_cipher(oid: ObjectIdentifier) -> Option<ContentCipher> {
    [
        (rfc5911::ID_AES_128_CBC, ContentCipher::Aes128Cbc),
        (rfc5911::ID_AES_192_CBC, ContentCipher::Aes192Cbc),
        (rfc5911::ID_AES_256_CBC, ContentCipher::Aes256Cbc),
        (rfc5911::ID_AES_128_GCM, ContentCipher::Aes128Gcm),
        (rfc5911::ID_AES_192_GCM, ContentCipher::Aes192Gcm),
        (rfc5911::ID_AES_256_GCM, ContentCipher::Aes256Gcm),
    ]
    .into_iter()
    .find_map(|(known, cipher)| (known == oid).then_some(cipher))
}

/// The IV of RFC 3565 section 4.1, or the nonce of RFC 5084 section 3.2.
fn nonce(algorithm: &Algorithm<'_>, cipher: ContentCipher) -> Option<Vec<u8>> {
    let parameters = algorithm.parameters?;
    if !cipher.is_authenticated() {
        return (parameters.tag == OCTET_STRING).then(|| parameters.content.to_vec());
    }
    if parameters.tag != SEQUENCE {
        return None;
    }
    Some(parameters.inside().expect(OCTET_STRING)?.content.to_vec())
}

/// RFC 4055 section 4.1. The label has to be empty and the two hashes the same.
fn oaep_hash(parameters: Option<Element<'_>>) -> Option<OaepHash> {
    let mut parameters = parameters.filter(|element| element.tag == SEQUENCE)?.inside();
    let hash = match parameters.optional(context_constructed(0)) {
        None => OaepHash::Sha1,
        Some(hash) => hash_of(hash.inside().expect(SEQUENCE)?)?,
    };
    let mask_hash = match parameters.optional(context_constructed(1)) {
        None => OaepHash::Sha1,
        Some(mask) => {
            let mask = Algorithm::read(mask.inside().expect(SEQUENCE)?)?;
            if mask.oid != rfc5912::ID_MGF_1 {
                return None;
            }
            hash_of(mask.parameters?)?
        }
    };
    (parameters.is_empty() && hash == mask_hash).then_some(hash)
}

fn hash_of(algorithm: Element<'_>) -> Option<OaepHash> {
    let oid = Algorithm::read(algorithm)?.oid;
    [
        (rfc5912::ID_SHA_1, OaepHash::Sha1),
        (rfc5912::ID_SHA_256, OaepHash::Sha256),
        (rfc5912::ID_SHA_384, OaepHash::Sha384),
        (rfc5912::ID_SHA_512, OaepHash::Sha512),
    ]
    .into_iter()
    .find_map(|(known, hash)| (known == oid).then_some(hash))
}

/// RFC 5753 section 7.1.4: dhSinglePass-stdDH with its key derivations.
const DERIVATIONS: [(ObjectIdentifier, KeyDerivation); 4] = [
    (
        ObjectIdentifier::new_unwrap("1.3.133.16.840.63.0.2"),
        KeyDerivation::Sha1,
    ),
    (ObjectIdentifier::new_unwrap("1.3.132.1.11.1"), KeyDerivation::Sha256),
    (ObjectIdentifier::new_unwrap("1.3.132.1.11.2"), KeyDerivation::Sha384),
    (ObjectIdentifier::new_unwrap("1.3.132.1.11.3"), KeyDerivation::Sha512),
];

/// As many as a mail server takes at once, a few times over; each costs a look-up.
const MOST_RECIPIENTS: usize = 5000;
