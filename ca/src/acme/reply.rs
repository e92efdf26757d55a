//! Reads a reply to a challenge mail (RFC 8823 section 3.2), and refuses what could be read in two ways.
//!
//! What comes out was only said by a mail: who sent it is for [`super::dkim`], whether it is right for
//! [`super::challenge`].

use policies::mailbox::Mailbox;
use verifier::header::{HeaderBlock, sender};

/// What a reply says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The one address in the one From field.
    pub(crate) from: Mailbox,
    /// The one To field, as it stands there.
    pub(crate) to: String,
    /// Behind `ACME:` in the subject.
    pub(crate) token_part1: String,
    /// Between the two lines of the body, without line ends and padding.
    pub(crate) digest: String,
    /// The names of all header fields.
    pub(crate) fields: Vec<String>,
}

/// Why a mail is not a reply to a challenge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAReply {
    #[error("the header cannot be read: {0}")]
    Header(String),
    #[error("it has a line end other than CRLF, or a NUL")]
    LineEnd,
    #[error("the header has not exactly one {0} field")]
    NotOne(&'static str),
    #[error("it came through a mailing list (the field {0})")]
    MailingList(String),
    #[error("the subject has no token behind \"ACME:\"")]
    Subject,
    #[error("the subject is encoded in another charset than UTF-8 and US-ASCII")]
    SubjectCharset,
    #[error("the body is {0}, and text/plain, alone or in multipart/alternative, is what can be read")]
    MediaType(String),
    #[error("the body cannot be decoded: {0}")]
    Encoding(&'static str),
    #[error("the text has not exactly one block between the BEGIN and END lines of an ACME response")]
    Block,
    #[error("the block of the ACME response is not a SHA-256 in base64url")]
    Digest,
}

impl Reply {
    /// Reads a whole message with CRLF line ends.
    pub(crate) fn parse(message: &[u8]) -> Result<Self, NotAReply> {
        // RFC 8823 section 3.2, item 7: programs that end lines differently see different lines.
        let mut before = 0;
        for (at, octet) in message.iter().enumerate() {
            let is_bare = match octet {
                b'\r' => message.get(at + 1) != Some(&b'\n'),
                b'\n' => before != b'\r',
                0 => true,
                _ => false,
            };
            if is_bare {
                return Err(NotAReply::LineEnd);
            }
            before = *octet;
        }
        let (header, body) = HeaderBlock::parse(message).map_err(|error| NotAReply::Header(error.to_string()))?;
        let from = sender(&header).map_err(|error| NotAReply::Header(error.to_string()))?;
        let fields: Vec<String> = header.fields().iter().map(|field| field.name().to_owned()).collect();
        if let Some(list) = fields.iter().find(|name| is_list_field(name)) {
            return Err(NotAReply::MailingList(list.clone()));
        }
        let subject = one(&header, "Subject")?.ok_or(NotAReply::NotOne("Subject"))?;
        let to = one(&header, "To")?.ok_or(NotAReply::NotOne("To"))?;
        // Those that decide what is read must not be there twice.
        for name in [
            "Date",
            "Message-ID",
            "In-Reply-To",
            "References",
            "MIME-Version",
            "Sender",
            "Reply-To",
            "Cc",
        ] {
            one(&header, name)?;
        }
        let token_part1 = token(&subject)?;
        let text = plain_text(&Part::of(&header)?, body, true)?;
        Ok(Self {
            from: from.mailbox().clone(),
            to,
            token_part1,
            digest: block(&text)?,
            fields,
        })
    }
}

/// The unfolded value of a field that may stand there once.
fn one(header: &HeaderBlock<'_>, name: &'static str) -> Result<Option<String>, NotAReply> {
    let mut found = header.named(name);
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some(field), None) => {
            let value =
                String::from_utf8(field.unfolded()).map_err(|_| NotAReply::Header(format!("{name} is not UTF-8")))?;
            Ok(Some(value.trim().to_owned()))
        }
        (Some(_), Some(_)) => Err(NotAReply::NotOne(name)),
    }
}

/// RFC 8823 section 3.2, item 6.
fn is_list_field(name: &str) -> bool {
    name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("list-"))
}

/// Any prefix, `ACME:`, and the token; blanks in it come from folding (RFC 8823 section 3.1).
fn token(subject: &str) -> Result<String, NotAReply> {
    let subject = decode_words(subject)?;
    let (_, token) = subject.split_once("ACME:").ok_or(NotAReply::Subject)?;
    let token: String = token
        .chars()
        .filter(|character| !matches!(character, ' ' | '\t'))
        .collect();
    let is_one = (TOKEN_LENGTHS.contains(&token.len())) && token.bytes().all(is_base64url);
    match is_one {
        true => Ok(token),
        false => Err(NotAReply::Subject),
    }
}

fn is_base64url(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_'
}

/// Decodes the encoded words of a subject (RFC 2047); only UTF-8 and US-ASCII are allowed here.
fn decode_words(text: &str) -> Result<String, NotAReply> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let (before, word) = rest.split_at(start);
        let mut parts = word[2..].splitn(3, '?');
        let (Some(charset), Some(encoding), Some(tail)) = (parts.next(), parts.next(), parts.next()) else {
            break;
        };
        let Some((content, after)) = tail.split_once("?=") else {
            break;
        };
        // Blanks between two encoded words belong to neither.
        if !(after_word && before.chars().all(|character| matches!(character, ' ' | '\t'))) {
            decoded.push_str(before);
        }
        // RFC 2231 section 5: a language may follow the charset.
        let charset = charset.split('*').next().unwrap_or(charset);
        if !charset.eq_ignore_ascii_case("utf-8") && !charset.eq_ignore_ascii_case("us-ascii") {
            return Err(NotAReply::SubjectCharset);
        }
        let octets = match encoding {
            "B" | "b" => data_encoding::BASE64
                .decode(content.as_bytes())
                .map_err(|_| NotAReply::Subject)?,
            "Q" | "q" => quoted_printable(content.replace('_', " ").as_bytes()).map_err(|_| NotAReply::Subject)?,
            _ => return Err(NotAReply::Subject),
        };
        decoded.push_str(&String::from_utf8(octets).map_err(|_| NotAReply::SubjectCharset)?);
        after_word = true;
        rest = after;
    }
    decoded.push_str(rest);
    Ok(decoded)
}

/// What a header says of the body below it.
#[derive(Debug)]
struct Part {
    /// In lower case.
    media_type: String,
    boundary: Option<String>,
    encoding: Encoding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Identity,
    QuotedPrintable,
    Base64,
}

impl Part {
    fn of(header: &HeaderBlock<'_>) -> Result<Self, NotAReply> {
        let encoding = match one(header, "Content-Transfer-Encoding")?
            .map(|value| value.to_ascii_lowercase())
            .as_deref()
        {
            None | Some("7bit" | "8bit") => Encoding::Identity,
            Some("quoted-printable") => Encoding::QuotedPrintable,
            Some("base64") => Encoding::Base64,
            Some(_) => return Err(NotAReply::Encoding("its Content-Transfer-Encoding is not known")),
        };
        let (media_type, boundary) = match one(header, "Content-Type")? {
            // RFC 2045 section 5.2.
            None => ("text/plain".to_owned(), None),
            Some(value) => {
                let (media_type, parameters) = value.split_once(';').unwrap_or((&value, ""));
                (media_type.trim().to_ascii_lowercase(), boundary(parameters)?)
            }
        };
        Ok(Self {
            media_type,
            boundary,
            encoding,
        })
    }
}

/// The one boundary parameter. Parameters of any other name are passed over.
fn boundary(parameters: &str) -> Result<Option<String>, NotAReply> {
    let broken = NotAReply::Encoding("its Content-Type cannot be read");
    let mut found = None;
    let mut rest = parameters.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or(broken.clone())?;
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) = quoted.split_once('"').ok_or(broken.clone())?;
                if value.contains('\\') {
                    return Err(broken);
                }
                (value, after)
            }
            None => {
                let end = after.find([';', ' ', '\t']).unwrap_or(after.len());
                after.split_at(end)
            }
        };
        if name.trim().eq_ignore_ascii_case("boundary") && found.replace(value.to_owned()).is_some() {
            return Err(broken);
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(';') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => "",
            None => return Err(broken),
        };
    }
    match &found {
        // RFC 2046 section 5.1.1.
        Some(boundary) if boundary.is_empty() || boundary.len() > 70 => Err(broken),
        _ => Ok(found),
    }
}

/// The text of a text/plain body, or of the one text/plain part of a multipart/alternative.
fn plain_text(part: &Part, body: &[u8], may_have_parts: bool) -> Result<Vec<u8>, NotAReply> {
    match (&*part.media_type, &part.boundary) {
        ("text/plain", _) => decode(part.encoding, body),
        ("multipart/alternative", Some(boundary)) if may_have_parts => {
            if part.encoding != Encoding::Identity {
                return Err(NotAReply::Encoding("a multipart is encoded"));
            }
            let mut texts = Vec::new();
            for octets in parts(body, boundary)? {
                let (header, body) =
                    HeaderBlock::parse(octets).map_err(|error| NotAReply::Header(error.to_string()))?;
                let part = Part::of(&header)?;
                if part.media_type == "text/plain" {
                    texts.push(plain_text(&part, body, false)?);
                }
            }
            match <[Vec<u8>; 1]>::try_from(texts) {
                Ok([text]) => Ok(text),
                Err(texts) => Err(NotAReply::MediaType(format!(
                    "a multipart/alternative with {} text/plain parts",
                    texts.len()
                ))),
            }
        }
        (other, _) => Err(NotAReply::MediaType(other.chars().take(60).collect())),
    }
}

/// The parts between boundaries; the last one must be closed.
fn parts<'m>(body: &'m [u8], boundary: &str) -> Result<Vec<&'m [u8]>, NotAReply> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut begin: Option<usize> = None;
    let mut position = 0;
    while position < body.len() {
        let end = body[position..]
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .map_or(body.len(), |length| position + length + 2);
        let line = &body[position..end];
        if let Some(after) = line.strip_prefix(delimiter.as_bytes()) {
            let after = after.trim_ascii_end();
            if !matches!(after, b"" | b"--") {
                // A longer boundary that begins like ours would be read in two ways.
                return Err(NotAReply::Encoding("a line begins like the boundary and goes on"));
            }
            if let Some(begin) = begin {
                // The line end before the delimiter belongs to it.
                parts.push(&body[begin..position.saturating_sub(2).max(begin)]);
                if parts.len() > MOST_PARTS {
                    return Err(NotAReply::Encoding("it has too many parts"));
                }
            }
            if after == b"--" {
                return Ok(parts);
            }
            begin = Some(end);
        }
        position = end;
    }
    Err(NotAReply::Encoding("its last part is not closed"))
}

fn decode(encoding: Encoding, body: &[u8]) -> Result<Vec<u8>, NotAReply> {
    match encoding {
        Encoding::Identity => Ok(body.to_vec()),
        Encoding::QuotedPrintable => {
            quoted_printable(body).map_err(|()| NotAReply::Encoding("it is not quoted-printable"))
        }
        Encoding::Base64 => {
            let packed: Vec<u8> = body
                .iter()
                .copied()
                .filter(|octet| !matches!(octet, b'\r' | b'\n' | b' ' | b'\t'))
                .collect();
            data_encoding::BASE64
                .decode(&packed)
                .map_err(|_| NotAReply::Encoding("it is not base64"))
        }
    }
}

/// RFC 2045 section 6.7.
fn quoted_printable(text: &[u8]) -> Result<Vec<u8>, ()> {
    let digit = |octet: u8| {
        char::from(octet)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&octet, after)) = rest.split_first() {
        if octet != b'=' {
            decoded.push(octet);
            rest = after;
            continue;
        }
        let soft = after.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
        if let Some(next) = after[soft..].strip_prefix(b"\r\n") {
            rest = next;
            continue;
        }
        match after {
            [high, low, next @ ..] => {
                let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
                    return Err(());
                };
                decoded.push(high << 4 | low);
                rest = next;
            }
            _ => return Err(()),
        }
    }
    Ok(decoded)
}

/// The digest between the two lines. A quoted block (`> -----BEGIN …`) is none: it was said in another mail.
fn block(text: &[u8]) -> Result<String, NotAReply> {
    let mut found: Option<String> = None;
    let mut open: Option<String> = None;
    for line in text.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_end();
        match &mut open {
            None if line == BEGIN => {
                if found.is_some() {
                    return Err(NotAReply::Block);
                }
                open = Some(String::new());
            }
            None if line == END => return Err(NotAReply::Block),
            None => {}
            Some(digest) if line == END => {
                found = Some(std::mem::take(digest));
                open = None;
            }
            Some(digest) => {
                if digest.len() + line.len() > LONGEST_BLOCK {
                    return Err(NotAReply::Digest);
                }
                // The padding that RFC 8823 shows in its example may be there.
                let is_digest = line.iter().all(|octet| is_base64url(*octet) || *octet == b'=');
                match str::from_utf8(line) {
                    Ok(line) if is_digest => digest.push_str(line),
                    _ => return Err(NotAReply::Digest),
                }
            }
        }
    }
    let (Some(digest), None) = (found, open) else {
        return Err(NotAReply::Block);
    };
    let digest = digest.strip_suffix('=').unwrap_or(&digest);
    let octets = data_encoding::BASE64URL_NOPAD.decode(digest.as_bytes());
    match octets {
        Ok(octets) if octets.len() == 32 => Ok(digest.to_owned()),
        _ => Err(NotAReply::Digest),
    }
}

const BEGIN: &[u8] = b"-----BEGIN ACME RESPONSE-----";
const END: &[u8] = b"-----END ACME RESPONSE-----";
/// 128 bits at least, and no more than a subject holds.
const TOKEN_LENGTHS: std::ops::RangeInclusive<usize> = 22..=128;
/// A SHA-256 has 43 characters, with padding 44.
const LONGEST_BLOCK: usize = 64;
const MOST_PARTS: usize = 20;

#[cfg(test)]
mod tests;
