//! Takes the S/MIME signature off a message, so that another can be put on.

use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use const_oid::db::rfc5911;
use der::Decode;
use der::asn1::OctetString;

use super::content_type::Parameterized;
use super::entity::{Entity, Multipart};
use super::{MimeError, base64, header};

/// The message with the content that was signed in place of the signature around it; `None` if it is not signed with
/// S/MIME, or with more than one layer.
///
/// The fields outside stay: those that the signature may have covered are not believed here, and are the same unless
/// somebody has changed them. Nothing is verified.
///
/// # Errors
/// See [`MimeError`].
pub fn strip(message: &[u8]) -> Result<Option<Vec<u8>>, MimeError> {
    let whole = Entity::split(message)?;
    let Some(media) = media_of(&whole)? else {
        return Ok(None);
    };
    let content = match media.value.as_str() {
        "multipart/signed" if is_smime(&media) => {
            let Some(boundary) = media.parameter("boundary") else {
                return Err(MimeError::BoundaryMissing);
            };
            let multipart = Multipart::split(whole.body, boundary)?;
            let [content, _signature] = multipart.parts.as_slice() else {
                return Ok(None);
            };
            content.to_vec()
        }
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => {
            match base64::decode(whole.body).as_deref().and_then(carried_content) {
                Some(content) => content,
                None => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    let inner = Entity::split(&content)?;
    if let Some(media) = media_of(&inner)?
        && (matches!(media.value.as_str(), "multipart/signed" | "multipart/encrypted")
            || media.value.ends_with("pkcs7-mime"))
    {
        return Ok(None);
    }
    let mut stripped = Vec::with_capacity(message.len());
    for field in whole.fields.iter().filter(|field| !field.describes_content()) {
        stripped.extend_from_slice(field.raw());
    }
    for field in inner.fields.iter().filter(|field| field.describes_content()) {
        match header::without_header_protection(field) {
            Some(unmarked) if field.is("Content-Type") => stripped.extend_from_slice(&unmarked),
            _ => stripped.extend_from_slice(field.raw()),
        }
    }
    stripped.extend_from_slice(b"\r\n");
    stripped.extend_from_slice(inner.body);
    Ok(Some(stripped))
}

fn media_of(entity: &Entity<'_>) -> Result<Option<Parameterized>, MimeError> {
    let field = entity.only("Content-Type")?;
    Ok(field.and_then(|field| Parameterized::parse(&field.value())))
}

fn is_smime(media: &Parameterized) -> bool {
    media.parameter("protocol").is_some_and(|protocol| {
        [&b"application/pkcs7-signature"[..], b"application/x-pkcs7-signature"]
            .iter()
            .any(|known| protocol.eq_ignore_ascii_case(known))
    })
}

/// The eContent of SignedData in DER.
fn carried_content(der: &[u8]) -> Option<Vec<u8>> {
    let content_info = ContentInfo::from_der(der).ok()?;
    if content_info.content_type != rfc5911::ID_SIGNED_DATA {
        return None;
    }
    let signed_data: SignedData = content_info.content.decode_as().ok()?;
    let content: OctetString = signed_data.encap_content_info.econtent?.decode_as().ok()?;
    Some(content.into_bytes().into())
}
