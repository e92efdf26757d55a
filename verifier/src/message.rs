//! From a message to exactly the bytes that were signed (RFC 1847, RFC 8551 section 3).
//!
//! Only a signature around the whole message counts: a signed part beside unsigned ones says nothing about what a
//! reader sees. The splitter accepts one shape of multipart/signed and nothing that parsers read differently.

use std::borrow::Cow;

use crate::content_type::{ContentType, decode_base64, single};
use crate::finding::{Code, Problem};
use crate::header::{HeaderBlock, HeaderProblem};
use crate::lines::{has_bare_line_ends, starts_with_hyphens};
use crate::signed_data::{self, ID_AUTH_ENVELOPED_DATA, ID_ENVELOPED_DATA, ID_SIGNED_DATA};

/// The signature around a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Envelope<'m> {
    /// multipart/signed: the entity as it stands in the message, and the decoded CMS structure.
    Clear {
        entity: &'m [u8],
        cms: Vec<u8>,
        micalg: Option<String>,
    },
    /// application/pkcs7-mime: the entity is inside the decoded CMS structure.
    Opaque { cms: Vec<u8> },
    /// application/pkcs7-mime with EnvelopedData or, authenticated, AuthEnvelopedData.
    Encrypted { cms: Vec<u8>, authenticated: bool },
}

/// Converts a copy that was stored with Unix line ends; `None` if the line ends are those of mail already.
///
/// A message without any CR has only one reading. One that mixes both has several and is left as it is.
pub(crate) fn from_unix_line_ends(message: &[u8]) -> Option<Vec<u8>> {
    if message.contains(&b'\r') || !message.contains(&b'\n') {
        return None;
    }
    let mut converted = Vec::with_capacity(message.len() + message.len() / 32);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        match line.split_last() {
            Some((b'\n', text)) => {
                converted.extend_from_slice(text);
                converted.extend_from_slice(b"\r\n");
            }
            _ => converted.extend_from_slice(line),
        }
    }
    Some(converted)
}

/// Finds the signature around the message whose header block and body are given.
///
/// Facts that do not stop it are added to `notes`.
pub(crate) fn open<'m>(
    header: &HeaderBlock<'m>,
    body: &'m [u8],
    notes: &mut Vec<Problem>,
) -> Result<Envelope<'m>, Problem> {
    let mut claims = header.named("Content-Type").map(|field| field.unfolded());
    if !claims.any(|value| claims_security(&value)) {
        return Err(if claims_security(body) {
            Code::SignedPartNotRoot.because("the message contains a signed part, which does not cover the message")
        } else {
            Code::NoSignature.because("the message is not signed")
        });
    }
    let content_type =
        ContentType::of(header)?.ok_or_else(|| Code::NoSignature.because("the message is not signed"))?;
    // RFC 2045 section 4 says what "1.0" means and nothing else does. That the field is missing is reported by whoever
    // knows whether this is the header of a message, since parts and decrypted content need none.
    if single(header, "MIME-Version")?.is_some_and(|version| !is_version_one(&version)) {
        return Err(Code::MimeVersion.because("MIME-Version is not 1.0, so what the message consists of is undefined"));
    }
    if has_bare_line_ends(body) {
        return Err(Code::LineEndings.because("the message has carriage returns or line feeds outside line ends"));
    }
    match content_type.media_type.as_str() {
        "multipart/signed" => clear(header, &content_type, body, notes),
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => opaque(header, &content_type, body, notes),
        other => Err(Code::NoSignature.because(format!("the message is of type {other}, which carries no signature"))),
    }
}

/// Whether a header value or a body mentions a type that carries S/MIME.
pub(crate) fn claims_security(bytes: &[u8]) -> bool {
    const TYPES: [&[u8]; 3] = [b"multipart/signed", b"application/pkcs7-", b"application/x-pkcs7-"];
    let starts = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| matches!(byte, b'm' | b'M' | b'a' | b'A'));
    starts.into_iter().any(|(start, _)| {
        TYPES.iter().any(|name| {
            bytes
                .get(start..start + name.len())
                .is_some_and(|found| found.eq_ignore_ascii_case(name))
        })
    })
}

fn clear<'m>(
    header: &HeaderBlock<'m>,
    content_type: &ContentType,
    body: &'m [u8],
    notes: &mut Vec<Problem>,
) -> Result<Envelope<'m>, Problem> {
    // 1. The announcement.
    let protocol = content_type
        .parameter("protocol")
        .unwrap_or_default()
        .to_ascii_lowercase();
    match protocol.as_str() {
        "application/pkcs7-signature" | "application/x-pkcs7-signature" => {}
        "application/pgp-signature" => {
            return Err(Code::NoSignature.because("the message is signed with OpenPGP, not S/MIME"));
        }
        _ => return Err(Code::ProtocolMismatch.because("multipart/signed without a protocol of S/MIME")),
    }
    // RFC 1847 section 2.1: the multipart itself is never encoded.
    if let Some(encoding) = single(header, "Content-Transfer-Encoding")?
        && !["7bit", "8bit", "binary"]
            .iter()
            .any(|plain| encoding.eq_ignore_ascii_case(plain))
    {
        return Err(Code::TransferEncoding.because("multipart/signed has a transfer encoding"));
    }
    let boundary = content_type
        .parameter("boundary")
        .filter(|boundary| is_boundary(boundary))
        .ok_or_else(|| Code::ContentTypeMalformed.because("multipart/signed without a usable boundary"))?;
    // 2. The two parts.
    let parts = split(body, boundary)?;
    if !is_blank(parts.epilogue) {
        return Err(Code::EpilogueText.because("text follows the end of the signed message"));
    }
    if !is_blank(parts.preamble) {
        notes.push(Code::PreambleText.because("text stands before the signed part; it must not be shown"));
    }
    // 3. The signature.
    let (part, encoded) = HeaderBlock::parse(parts.signature).map_err(header_problem)?;
    let kind = ContentType::of(&part)?.map(|kind| kind.media_type).unwrap_or_default();
    if kind != protocol {
        return Err(Code::ProtocolMismatch.because("the second part is not of the type that protocol announces"));
    }
    let cms = decode_base64(&part, encoded)?;
    let micalg = content_type.parameter("micalg").map(str::to_owned);
    Ok(Envelope::Clear {
        entity: parts.entity,
        cms,
        micalg,
    })
}

fn opaque<'m>(
    header: &HeaderBlock<'m>,
    content_type: &ContentType,
    body: &'m [u8],
    notes: &mut Vec<Problem>,
) -> Result<Envelope<'m>, Problem> {
    let cms = decode_base64(header, body)?;
    // RFC 8551 section 3.2.2: smime-type is a hint; the CMS type decides.
    let smime_type = content_type.parameter("smime-type").map(str::to_ascii_lowercase);
    match signed_data::content_type(&cms) {
        Some(ID_SIGNED_DATA) => {
            if smime_type
                .as_deref()
                .is_some_and(|kind| kind != "signed-data" && kind != "certs-only")
            {
                notes.push(Code::SmimeTypeLies.because("smime-type does not say that the message is signed"));
            }
            Ok(Envelope::Opaque { cms })
        }
        Some(ID_ENVELOPED_DATA | ID_AUTH_ENVELOPED_DATA) => {
            if smime_type.as_deref() == Some("signed-data") {
                notes.push(Code::SmimeTypeLies.because("smime-type says signed, and the message is encrypted"));
            }
            let authenticated = signed_data::content_type(&cms) == Some(ID_AUTH_ENVELOPED_DATA);
            Ok(Envelope::Encrypted { cms, authenticated })
        }
        Some(other) => Err(Code::CmsUnsupported.because(format!("the CMS content type is {other}, not SignedData"))),
        None => Err(Code::CmsMalformed.because("the content is not a CMS structure")),
    }
}

/// The header block of the signed entity, which must be one that every reader splits alike.
pub(crate) fn entity_header(entity: &[u8]) -> Result<(HeaderBlock<'_>, &[u8]), Problem> {
    let line_endings =
        || Code::LineEndings.because("the signed content has carriage returns or line feeds outside line ends");
    let (header, body) = HeaderBlock::parse(entity).map_err(|problem| match problem {
        HeaderProblem::BareLineEnd { .. } => line_endings(),
        problem => header_problem(problem),
    })?;
    // NOTE: RFC 8551 section 3.1.1 asks for CRLF throughout. A wrapped message as a whole with Unix line ends is among the
    // examples of RFC 9788, and there is one way to read it.
    let is_wrapped =
        || ContentType::of(&header).is_ok_and(|kind| kind.is_some_and(|kind| kind.media_type == "message/rfc822"));
    if has_bare_line_ends(body) && (body.contains(&b'\r') || !is_wrapped()) {
        return Err(line_endings());
    }
    single(&header, "Content-Transfer-Encoding")?;
    Ok((header, body))
}

fn header_problem(problem: HeaderProblem) -> Problem {
    Code::HeaderMalformed.because(problem.to_string())
}

struct Parts<'m> {
    preamble: &'m [u8],
    entity: &'m [u8],
    signature: &'m [u8],
    epilogue: &'m [u8],
}

/// Splits at delimiter, delimiter, close-delimiter (RFC 2046 section 5.1.1) and accepts no other sequence.
///
/// A line that begins with the delimiter and goes on is refused: RFC 2046 lets a parser take it for the delimiter,
/// and many do not. That covers boundaries that are prefixes of inner ones, and white space after the delimiter.
fn split<'m>(body: &'m [u8], boundary: &str) -> Result<Parts<'m>, Problem> {
    let delimiter = format!("--{boundary}");
    let close = format!("{delimiter}--");
    // Start of the line, start of the next one, and whether it closes.
    let mut marks: Vec<(usize, usize, bool)> = Vec::new();
    for start in starts_with_hyphens(body) {
        let rest = body.get(start..).unwrap_or_default();
        if !rest.starts_with(delimiter.as_bytes()) {
            continue;
        }
        let (line, next) = match rest.windows(2).position(|pair| pair == b"\r\n") {
            Some(end) => (rest.get(..end).unwrap_or_default(), start + end + 2),
            None => (rest, body.len()),
        };
        let closes = line == close.as_bytes();
        if !closes && line != delimiter.as_bytes() {
            return Err(Code::BoundaryAmbiguous.because("a line begins with the boundary and goes on"));
        }
        if marks.len() == 3 {
            return Err(Code::MultipartShape.because("multipart/signed has more than two parts"));
        }
        marks.push((start, next, closes));
    }
    let [
        (first, entity_start, false),
        (second, signature_start, false),
        (third, epilogue_start, true),
    ] = marks.as_slice()
    else {
        return Err(Code::MultipartShape.because("multipart/signed does not have exactly two closed parts"));
    };
    // The line end before a delimiter belongs to the delimiter.
    let part = |start: usize, end: usize| {
        let end = end.checked_sub(2)?;
        body.get(start..end)
    };
    let empty = || Code::MultipartShape.because("a part of multipart/signed is empty");
    Ok(Parts {
        preamble: body.get(..*first).unwrap_or_default(),
        entity: part(*entity_start, *second).ok_or_else(empty)?,
        signature: part(*signature_start, *third).ok_or_else(empty)?,
        epilogue: body.get(*epilogue_start..).unwrap_or_default(),
    })
}

/// `1.0`, with comments and space wherever they are (RFC 2045 section 4).
fn is_version_one(value: &str) -> bool {
    let mut depth = 0_usize;
    let mut bare = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            '\\' if depth > 0 => drop(characters.next()),
            ' ' | '\t' => {}
            _ if depth > 0 => {}
            other => bare.push(other),
        }
    }
    depth == 0 && bare == "1.0"
}

/// RFC 2046 section 5.1.1: no space at the end.
fn is_boundary(boundary: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    (1..=MAXIMUM_BOUNDARY).contains(&boundary.len()) && boundary.bytes().all(allowed) && !boundary.ends_with(' ')
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'\t'))
}

/// The message as mail has it, borrowed where nothing had to be converted.
pub(crate) fn canonical<'m>(message: &'m [u8], notes: &mut Vec<Problem>) -> Cow<'m, [u8]> {
    match from_unix_line_ends(message) {
        None => Cow::Borrowed(message),
        Some(converted) => {
            notes
                .push(Code::UnixLineEnds.because("the message was stored with Unix line ends; they were read as CRLF"));
            Cow::Owned(converted)
        }
    }
}

/// Characters of a boundary. Source: RFC 2046 section 5.1.1.
const MAXIMUM_BOUNDARY: usize = 70;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<(&str, &str), Code>) {
        let got = split(body.as_bytes(), "b").map(|parts| (parts.entity.to_vec(), parts.signature.to_vec()));
        let expected = expected.map(|(entity, signature)| (entity.as_bytes().to_vec(), signature.as_bytes().to_vec()));
        assert_eq!(got.map_err(|problem| problem.code), expected, "{body:?}");
    }

    #[test]
    fn mime_has_one_version() {
        for version in [
            "1.0",
            " 1.0 ",
            "(produced by MetaSend Vx.x) 1.0",
            "1.(a (b) \\) c)0",
            "1 . 0",
        ] {
            assert!(is_version_one(version), "{version}");
        }
        for version in [
            "", "1", "1.1", "2.0", "10", "1.0;", "1.0 x", "(1.0)", "1.0 (", "1.0)", "1.0 (\\",
        ] {
            assert!(!is_version_one(version), "{version}");
        }
    }

    #[test]
    fn the_line_end_before_a_delimiter_is_not_signed() {
        check("--b\r\nA\r\n--b\r\nS\r\n--b--\r\n", Ok(("A", "S")));
        check("--b\r\nA\r\n\r\n--b\r\nS\r\n--b--", Ok(("A\r\n", "S")));
        check("pre\r\n--b\r\n\r\n--b\r\nS\r\n--b--\r\n\r\n", Ok(("", "S")));
    }

    #[test]
    fn every_other_shape_is_refused() {
        check("", Err(Code::MultipartShape));
        check("--b\r\nA\r\n--b\r\nS\r\n", Err(Code::MultipartShape));
        check("--b\r\nA\r\n--b--\r\n", Err(Code::MultipartShape));
        check(
            "--b\r\nA\r\n--b\r\nS\r\n--b\r\nT\r\n--b--\r\n",
            Err(Code::MultipartShape),
        );
        check("--b\r\nA\r\n--b--\r\n--b\r\nS\r\n--b--\r\n", Err(Code::MultipartShape));
        check("--b--\r\nA\r\n--b\r\nS\r\n--b\r\n", Err(Code::MultipartShape));
        check("--b\r\n--b\r\nS\r\n--b--\r\n", Err(Code::MultipartShape));
        check(
            "--b\r\nA\r\n--bc\r\n--b\r\nS\r\n--b--\r\n",
            Err(Code::BoundaryAmbiguous),
        );
        check("--b \r\nA\r\n--b\r\nS\r\n--b--\r\n", Err(Code::BoundaryAmbiguous));
        check("--b\r\nA\r\n--b\r\nS\r\n--b-- \r\n", Err(Code::BoundaryAmbiguous));
        check("--b\r\nA\r\n--b\r\nS\r\n--b---\r\n", Err(Code::BoundaryAmbiguous));
    }

    #[test]
    fn unix_copies_have_one_reading_and_mixed_ones_none() {
        assert_eq!(from_unix_line_ends(b"a\n\nb"), Some(b"a\r\n\r\nb".to_vec()));
        assert_eq!(from_unix_line_ends(b"a\r\nb\n"), None);
        assert_eq!(from_unix_line_ends(b"a"), None);
    }

    #[test]
    fn boundaries_follow_rfc_2046() {
        assert!(is_boundary("----=_Next (1)"));
        for boundary in ["", " ", "a ", "a\"b", "a;b", &"x".repeat(71)] {
            assert!(!is_boundary(boundary), "{boundary:?}");
        }
    }
}
