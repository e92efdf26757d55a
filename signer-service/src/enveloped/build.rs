//! Encrypts a MIME entity for any number of recipients.

use cms::authenveloped_data::AuthEnvelopedData;
use cms::cert::IssuerAndSerialNumber;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::enveloped_data::{
    EncryptedContentInfo, EnvelopedData, KeyAgreeRecipientIdentifier, KeyAgreeRecipientInfo, KeyTransRecipientInfo,
    OriginatorIdentifierOrKey, OriginatorPublicKey, RecipientEncryptedKey, RecipientIdentifier, RecipientInfo,
    RecipientInfos,
};
use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5911, rfc5912};
use der::asn1::{Any, BitString, Null, OctetString};
use der::{Decode, Encode, Sequence};
use keys::{ContentCipher, ContentKey, KeyTransport, RecipientKey, RecipientKeyKind, UnusableRecipientKey};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use spki::AlgorithmIdentifierOwned;
use thiserror::Error;
use x509_cert::Certificate;

use crate::cms::issuer_and_serial_number;

/// How a message is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageCipher {
    /// AuthEnvelopedData: changes are noticed, and many readers do not know it yet.
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
    /// EnvelopedData, which every reader knows.
    #[serde(rename = "aes-256-cbc")]
    Aes256Cbc,
}

/// One who shall be able to read the message.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'r> {
    pub certificate: &'r Certificate,
    /// For RSA keys; those of elliptic curves are always agreed with.
    pub transport: KeyTransport,
}

/// Why a message is not encrypted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncryptError {
    #[error("nobody would be able to read the message")]
    NoRecipient,
    #[error("the key of {subject} cannot be encrypted to")]
    Key {
        subject: String,
        #[source]
        source: UnusableRecipientKey,
    },
    #[error("the cryptographic backend refused to encrypt")]
    Backend,
    #[error("the encrypted message could not be written as DER")]
    Encoding(#[from] der::Error),
}

/// Encrypts `entity` under a key of its own and gives the DER of the ContentInfo that goes into smime.p7m.
///
/// Whoever gets the result sees issuer and serial number of every recipient's certificate.
///
/// # Errors
/// See [`EncryptError`].
pub fn encrypt(
    entity: Vec<u8>,
    cipher: MessageCipher,
    recipients: &[Recipient<'_>],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, EncryptError> {
    if recipients.is_empty() {
        return Err(EncryptError::NoRecipient);
    }
    let content_cipher = match cipher {
        MessageCipher::Aes256Gcm => ContentCipher::Aes256Gcm,
        MessageCipher::Aes256Cbc => ContentCipher::Aes256Cbc,
    };
    let key = ContentKey::random(content_cipher, rng);
    let mut infos = Vec::with_capacity(recipients.len());
    let mut only_transport = true;
    for recipient in recipients {
        let info = recipient_info(recipient, &key)?;
        only_transport &= matches!(info, RecipientInfo::Ktri(_));
        infos.push(info);
    }
    let recip_infos = RecipientInfos::try_from(infos)?;
    let sealed = key
        .encrypt_once(content_cipher, entity, rng)
        .ok_or(EncryptError::Backend)?;
    let encrypted_content = |content_enc_alg, content: Vec<u8>| -> Result<EncryptedContentInfo, der::Error> {
        Ok(EncryptedContentInfo {
            content_type: rfc5911::ID_DATA,
            content_enc_alg,
            encrypted_content: Some(OctetString::new(content)?),
        })
    };
    let (content_type, content) = match cipher {
        MessageCipher::Aes256Gcm => {
            let parameters = GcmParameters {
                aes_nonce: OctetString::new(sealed.nonce)?,
                aes_icv_len: 16,
            };
            let algorithm = AlgorithmIdentifierOwned {
                oid: rfc5911::ID_AES_256_GCM,
                parameters: Some(Any::encode_from(&parameters)?),
            };
            let data = AuthEnvelopedData {
                // RFC 5083 section 2.1: always 0.
                version: CmsVersion::V0,
                originator_info: None,
                recip_infos,
                auth_encrypted_content_info: encrypted_content(algorithm, sealed.content)?,
                auth_attrs: None,
                mac: OctetString::new(sealed.tag)?,
                unauth_attrs: None,
            };
            (ID_CT_AUTH_ENVELOPED_DATA, Any::encode_from(&data)?)
        }
        MessageCipher::Aes256Cbc => {
            let algorithm = AlgorithmIdentifierOwned {
                oid: rfc5911::ID_AES_256_CBC,
                parameters: Some(Any::encode_from(&OctetString::new(sealed.nonce)?)?),
            };
            let data = EnvelopedData {
                // RFC 5652 section 6.1: 0 if every RecipientInfo has version 0, which those of key agreement have not.
                version: if only_transport { CmsVersion::V0 } else { CmsVersion::V2 },
                originator_info: None,
                recip_infos,
                encrypted_content: encrypted_content(algorithm, sealed.content)?,
                unprotected_attrs: None,
            };
            (rfc5911::ID_ENVELOPED_DATA, Any::encode_from(&data)?)
        }
    };
    Ok(ContentInfo { content_type, content }.to_der()?)
}

fn recipient_info(recipient: &Recipient<'_>, key: &ContentKey) -> Result<RecipientInfo, EncryptError> {
    let tbs = recipient.certificate.tbs_certificate();
    let public = RecipientKey::new(tbs.subject_public_key_info()).map_err(|source| EncryptError::Key {
        subject: tbs.subject().to_string(),
        source,
    })?;
    let named = issuer_and_serial_number(recipient.certificate);
    match public.kind() {
        RecipientKeyKind::Rsa => transported(&public, named, recipient.transport, key),
        RecipientKeyKind::EllipticCurve(_) => agreed(&public, named, key),
    }
}

/// RFC 5652 section 6.2.1.
fn transported(
    public: &RecipientKey,
    named: IssuerAndSerialNumber,
    transport: KeyTransport,
    key: &ContentKey,
) -> Result<RecipientInfo, EncryptError> {
    let key_enc_alg = match transport {
        KeyTransport::Pkcs1 => AlgorithmIdentifierOwned {
            oid: rfc5912::RSA_ENCRYPTION,
            parameters: Some(Null.into()),
        },
        KeyTransport::OaepSha256 => AlgorithmIdentifierOwned {
            oid: rfc5912::ID_RSAES_OAEP,
            parameters: Some(Any::from_der(OAEP_SHA256_PARAMETERS)?),
        },
    };
    let encrypted = public.transport(transport, key).ok_or(EncryptError::Backend)?;
    Ok(RecipientInfo::Ktri(KeyTransRecipientInfo {
        version: CmsVersion::V0,
        rid: RecipientIdentifier::IssuerAndSerialNumber(named),
        key_enc_alg,
        enc_key: OctetString::new(encrypted)?,
    }))
}

/// RFC 5753 section 3.1.
fn agreed(
    public: &RecipientKey,
    named: IssuerAndSerialNumber,
    key: &ContentKey,
) -> Result<RecipientInfo, EncryptError> {
    // RFC 3565 section 2.3.2: parameters absent.
    let wrap = AlgorithmIdentifierOwned {
        oid: rfc5911::ID_AES_256_WRAP,
        parameters: None,
    };
    let agreed = public.agree(&keys::shared_info(&wrap.to_der()?, 256), key);
    let agreed = agreed.ok_or(EncryptError::Backend)?;
    Ok(RecipientInfo::Kari(KeyAgreeRecipientInfo {
        version: CmsVersion::V3,
        originator: OriginatorIdentifierOrKey::OriginatorKey(OriginatorPublicKey {
            // The curve is that of the recipient's key, so the parameters are absent.
            algorithm: AlgorithmIdentifierOwned {
                oid: rfc5912::ID_EC_PUBLIC_KEY,
                parameters: None,
            },
            public_key: BitString::from_bytes(&agreed.ephemeral)?,
        }),
        ukm: None,
        key_enc_alg: AlgorithmIdentifierOwned {
            oid: DH_SINGLE_PASS_STD_DH_SHA256_KDF,
            parameters: Some(Any::encode_from(&wrap)?),
        },
        recipient_enc_keys: vec![RecipientEncryptedKey {
            rid: KeyAgreeRecipientIdentifier::IssuerAndSerialNumber(named),
            enc_key: OctetString::new(agreed.wrapped)?,
        }],
    }))
}

/// RFC 5084 section 3.2. The length is written, since its default is 12.
#[derive(Clone, Debug, Sequence)]
struct GcmParameters {
    aes_nonce: OctetString,
    aes_icv_len: u8,
}

/// RFC 5083 section 2.
pub(super) const ID_CT_AUTH_ENVELOPED_DATA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.23");

/// RFC 5753 section 7.1.4.
const DH_SINGLE_PASS_STD_DH_SHA256_KDF: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.1.11.1");

/// RFC 4055 section 4.1: SHA-256, MGF1 with SHA-256, and the empty label, which is the default.
const OAEP_SHA256_PARAMETERS: &[u8] = b"\x30\x2f\
    \xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\
    \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\
    \x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00";
