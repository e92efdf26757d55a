//! Header fields inside the signed entity: made fit for relays without changing what they say.
//!
//! Raw 8-bit text in the header of a part is legal only in SMTPUTF8 mail (RFC 6532). It is encoded wherever an
//! encoded form exists – RFC 2231 for the parameters of Content-Type and Content-Disposition, RFC 2047 for
//! unstructured text – also in SMTPUTF8 mail, because 7-bit headers survive every relay. Where none exists
//! (an address in an attached message) it stays as it is in SMTPUTF8 mail and is refused in other mail.

use std::borrow::Cow;

use data_encoding::BASE64;

use super::canonical::{EightBitHeaders, lines};
use super::content_type::Parameterized;
use super::entity::Field;
use super::{MAXIMUM_LINE, MimeError};

/// The bytes with which `field` enters the signed entity; borrowed when they need no change.
///
/// Blanks at line ends and lines of nothing but blanks go, overlong lines are folded, 8-bit text is encoded.
///
/// # Errors
/// NUL, 8-bit text without an encoded form outside SMTPUTF8 mail, a line that cannot be folded.
pub(crate) fn fit<'m>(field: &Field<'m>, eight_bit: EightBitHeaders) -> Result<Cow<'m, [u8]>, MimeError> {
    let raw = field.raw();
    let name = || field.name().chars().take(SHOWN_CHARACTERS).collect::<String>();
    if raw.contains(&0) {
        return Err(MimeError::NulInHeader { field: name() });
    }
    let mut fitted = Cow::Borrowed(raw);
    if !raw.is_ascii() {
        match (encode(field), eight_bit) {
            (Some(encoded), _) => fitted = Cow::Owned(encoded),
            (None, EightBitHeaders::Allowed) if str::from_utf8(raw).is_ok() => {}
            (None, _) => return Err(MimeError::HeaderNotAscii { field: name() }),
        }
    }
    if !fitted.ends_with(b"\r\n") || lines(&fitted).any(|(_, line)| trim_blanks_end(line).len() != line.len()) {
        let kept = lines(&fitted)
            .map(|(_, line)| trim_blanks_end(line))
            .filter(|line| !line.is_empty());
        fitted = Cow::Owned(kept.flat_map(|line| [line, b"\r\n"]).flatten().copied().collect());
    }
    match folded(field.name(), &fitted)? {
        Cow::Borrowed(_) => Ok(fitted),
        Cow::Owned(folded) => Ok(Cow::Owned(folded)),
    }
}

/// The bytes of a field with its overlong lines folded; borrowed when there are none.
///
/// # Errors
/// [`MimeError::HeaderLineTooLong`]. Relays break such lines anywhere, and OpenSSL reads what comes after 1024 octets
/// as a field of its own.
pub(crate) fn folded<'f>(name: &str, raw: &'f [u8]) -> Result<Cow<'f, [u8]>, MimeError> {
    if lines(raw).all(|(_, line)| line.len() <= MAXIMUM_LINE) {
        return Ok(Cow::Borrowed(raw));
    }
    let too_long = || MimeError::HeaderLineTooLong {
        field: name.chars().take(SHOWN_CHARACTERS).collect(),
    };
    fold(raw).map(Cow::Owned).ok_or_else(too_long)
}

/// `bytes` without spaces and tabulators at the end.
pub(crate) fn trim_blanks_end(bytes: &[u8]) -> &[u8] {
    let kept = bytes
        .iter()
        .rposition(|byte| !matches!(byte, b' ' | b'\t'))
        .map_or(0, |last| last + 1);
    &bytes[..kept]
}

/// The field with its 8-bit text encoded, if there is a form for it.
fn encode(field: &Field<'_>) -> Option<Vec<u8>> {
    let value = field.value();
    if field.is("Content-Type") || field.is("Content-Disposition") {
        return encode_parameters(field.name(), &Parameterized::parse(&value)?);
    }
    let unstructured = UNSTRUCTURED.iter().any(|name| field.is(name))
        || field
            .name()
            .get(..2)
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case("X-"));
    unstructured.then(|| encode_words(field.name(), &value))
}

/// How the root of a protected message says that its header is inside, see RFC 9788 section 2.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProtectionMark {
    Clear,
    /// Keeps `hp-legacy-display`, which was written here just before.
    Cipher,
}

impl AsRef<str> for ProtectionMark {
    fn as_ref(&self) -> &str {
        match self {
            Self::Clear => "hp=\"clear\"",
            Self::Cipher => "hp=\"cipher\"",
        }
    }
}

/// A Content-Type field with the parameter `hp` and no other word on the matter (RFC 9788 section 2.1.1).
///
/// `fitted` are the bytes of `field` made fit; a type that cannot be parsed stays as it is.
pub(crate) fn with_header_protection(field: &Field<'_>, fitted: &[u8], mark: ProtectionMark) -> Vec<u8> {
    let others: &[&str] = match mark {
        ProtectionMark::Clear => &["hp", "hp-legacy-display", "protected-headers"],
        ProtectionMark::Cipher => &["hp", "protected-headers"],
    };
    let mut marked = without_parameters(field, others)
        .unwrap_or_else(|| fitted.to_vec())
        .trim_ascii_end()
        .to_vec();
    while marked.ends_with(b";") {
        marked.pop();
    }
    marked.extend_from_slice(format!(";\r\n {}\r\n", mark.as_ref()).as_bytes());
    marked
}

/// The field without the parameters of RFC 9788; `None` if it has none.
pub(crate) fn without_header_protection(field: &Field<'_>) -> Option<Vec<u8>> {
    without_parameters(field, &["hp", "hp-legacy-display", "protected-headers"])
}

fn without_parameters(field: &Field<'_>, names: &[&str]) -> Option<Vec<u8>> {
    let mut parsed = Parameterized::parse(&field.value())?;
    let count = parsed.parameters.len();
    parsed
        .parameters
        .retain(|parameter| !names.contains(&parameter.name.as_str()));
    (parsed.parameters.len() < count).then(|| encode_parameters(field.name(), &parsed))?
}

/// An unstructured field with this text, in words of RFC 2047 where it is not plain ASCII, folded.
pub(crate) fn unstructured(name: &str, text: &str) -> Vec<u8> {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.contains("=?");
    if !plain {
        return encode_words(name, text.as_bytes());
    }
    let mut lines = format!("{name}:");
    let mut column = lines.len();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if column + 1 + word.len() > FOLD_COLUMN && column > name.len() + 1 {
            lines.push_str("\r\n");
            column = 0;
        }
        lines.push(' ');
        lines.push_str(word);
        column += 1 + word.len();
    }
    lines.push_str("\r\n");
    lines.into_bytes()
}

/// RFC 2047 section 2: words of at most 75 characters, one to a line, never splitting a character.
fn encode_words(name: &str, value: &[u8]) -> Vec<u8> {
    let (charset, breaks): (&str, Vec<usize>) = match str::from_utf8(value) {
        Ok(text) => ("utf-8", text.char_indices().map(|(at, _)| at).collect()),
        Err(_) => (UNKNOWN_CHARSET, (0..value.len()).collect()),
    };
    let overhead = "=?".len() + charset.len() + "?B?".len() + "?=".len();
    let octets = (75 - overhead) / 4 * 3;
    let mut words = Vec::new();
    let mut start = 0;
    while start < value.len() {
        let end = if value.len() - start <= octets {
            value.len()
        } else {
            // Characters are at most four octets and a word holds more, so each word advances.
            breaks
                .iter()
                .copied()
                .rfind(|at| *at > start && *at <= start + octets)
                .unwrap_or(value.len())
        };
        words.push(format!("=?{charset}?B?{}?=", BASE64.encode(&value[start..end])));
        start = end;
    }
    format!("{name}: {}\r\n", words.join("\r\n ")).into_bytes()
}

/// RFC 2231: parameters with 8-bit values become `name*0*=utf-8''…`, the others are written again as they were.
pub(crate) fn encode_parameters(name: &str, parsed: &Parameterized) -> Option<Vec<u8>> {
    let mut pieces = vec![parsed.value.clone()];
    for parameter in &parsed.parameters {
        if parameter.value.is_ascii() {
            // The value is ASCII, checked right above.
            let value = str::from_utf8(&parameter.value).ok()?;
            pieces.push(format!(
                "{}=\"{}\"",
                parameter.name,
                value.replace('\\', "\\\\").replace('"', "\\\"")
            ));
            continue;
        }
        if parameter.name.contains('*') {
            return None;
        }
        let charset = if str::from_utf8(&parameter.value).is_ok() {
            "utf-8"
        } else {
            UNKNOWN_CHARSET
        };
        let escaped: Vec<String> = parameter.value.iter().map(|byte| escape(*byte)).collect();
        let sections: Vec<String> = escaped.chunks(SECTION_OCTETS).map(<[String]>::concat).collect();
        match sections.as_slice() {
            [only] => pieces.push(format!("{}*={charset}''{only}", parameter.name)),
            several => pieces.extend(several.iter().enumerate().map(|(index, section)| {
                let prefix = if index == 0 {
                    format!("{charset}''")
                } else {
                    String::new()
                };
                format!("{}*{index}*={prefix}{section}", parameter.name)
            })),
        }
    }
    Some(format!("{name}: {}\r\n", pieces.join(";\r\n ")).into_bytes())
}

fn escape(byte: u8) -> String {
    // RFC 2231 section 7: attribute-char.
    if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// Folds each overlong line before a blank so that lines stay near 76 columns; `None` if one has no blank to fold at.
fn fold(raw: &[u8]) -> Option<Vec<u8>> {
    let mut folded = Vec::with_capacity(raw.len() + raw.len() / 32);
    for (_, line) in lines(raw) {
        let mut rest = line;
        while rest.len() > MAXIMUM_LINE {
            // A fold may not leave a line of nothing but blanks, and the first line needs something after its colon.
            let text = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
            let is_fold =
                |at: &usize| matches!(rest[*at], b' ' | b'\t') && !matches!(rest[*at - 1], b' ' | b'\t' | b':');
            let at = (text + 1..=FOLD_COLUMN.max(text + 1))
                .rev()
                .find(is_fold)
                .or_else(|| (FOLD_COLUMN.max(text) + 1..MAXIMUM_LINE).find(is_fold))?;
            folded.extend_from_slice(&rest[..at]);
            folded.extend_from_slice(b"\r\n");
            rest = &rest[at..];
        }
        folded.extend_from_slice(rest);
        folded.extend_from_slice(b"\r\n");
    }
    Some(folded)
}

/// Fields whose value is text for people (RFC 5322 section 3.6.5, RFC 2045 section 8).
const UNSTRUCTURED: [&str; 6] = [
    "Subject",
    "Comments",
    "Content-Description",
    "Organization",
    "Thread-Topic",
    "User-Agent",
];

/// The name for 8-bit text of which nobody said the charset, see RFC 1428 section 2.
pub(crate) const UNKNOWN_CHARSET: &str = "unknown-8bit";

/// Octets in one section of a long parameter: escaped three-fold, with name and charset, still below 998 columns.
const SECTION_OCTETS: usize = 60;

const FOLD_COLUMN: usize = 76;

/// Of a field name that may be as long as a message.
const SHOWN_CHARACTERS: usize = 40;

#[cfg(test)]
mod tests {
    use super::super::entity::Entity;
    use super::*;

    fn check(raw: impl AsRef<[u8]>, expected: Result<&str, MimeError>) {
        let raw = raw.as_ref();
        let entity = Entity::split(raw).unwrap();
        let fitted = fit(&entity.fields[0], EightBitHeaders::Refused)
            .map(|bytes| String::from_utf8(bytes.into_owned()).unwrap());
        assert_eq!(fitted, expected.map(str::to_owned));
    }

    #[test]
    fn clean_fields_are_borrowed() {
        let entity = Entity::split(b"Content-Type: text/plain;\r\n\tcharset=utf-8\r\n\r\n").unwrap();
        assert!(matches!(
            fit(&entity.fields[0], EightBitHeaders::Refused).unwrap(),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn blanks_at_line_ends_go() {
        check(
            "Content-Type: text/plain; \r\n\tname=x\t\r\n",
            Ok("Content-Type: text/plain;\r\n\tname=x\r\n"),
        );
        check("X-A: b\r\n \r\n\tc\r\n", Ok("X-A: b\r\n\tc\r\n"));
        check("X-Last: no line break", Ok("X-Last: no line break\r\n"));
    }

    #[test]
    fn raw_8_bit_text_is_encoded() {
        check(
            "Content-Description: Grüße\r\n",
            Ok("Content-Description: =?utf-8?B?R3LDvMOfZQ==?=\r\n"),
        );
        check(b"Subject: \xfc\r\n", Ok("Subject: =?unknown-8bit?B?/A==?=\r\n"));
        check(
            "Content-Disposition: attachment; size=1;\r\n filename=\"Übersicht 1.pdf\"\r\n",
            Ok("Content-Disposition: attachment;\r\n size=\"1\";\r\n filename*=utf-8''%C3%9Cbersicht%201.pdf\r\n"),
        );
        let long = format!("Subject: {}\r\n", "ü".repeat(60));
        let entity = Entity::split(long.as_bytes()).unwrap();
        let fitted = fit(&entity.fields[0], EightBitHeaders::Refused).unwrap().into_owned();
        assert!(lines(&fitted).all(|(_, line)| line.len() <= 76 + "Subject: ".len()));
        assert!(fitted.is_ascii() && lines(&fitted).count() > 2);
    }

    #[test]
    fn what_has_no_encoded_form_is_refused_outside_smtputf8() {
        let raw = "To: jürgen@example.com\r\n";
        check(raw, Err(MimeError::HeaderNotAscii { field: "To".to_owned() }));
        let entity = Entity::split(raw.as_bytes()).unwrap();
        assert_eq!(
            &*fit(&entity.fields[0], EightBitHeaders::Allowed).unwrap(),
            raw.as_bytes()
        );
        let latin = b"To: j\xfcrgen@example.com\r\n";
        let entity = Entity::split(latin).unwrap();
        assert!(
            fit(&entity.fields[0], EightBitHeaders::Allowed).is_err(),
            "not UTF-8 at all"
        );
        check(
            "X-A: a\0b\r\n",
            Err(MimeError::NulInHeader {
                field: "X-A".to_owned(),
            }),
        );
        check(
            b"Content-Type: text/plain; name=\"\xfc",
            Err(MimeError::HeaderNotAscii {
                field: "Content-Type".to_owned(),
            }),
        );
    }

    #[test]
    fn overlong_lines_are_folded_or_refused() {
        let words = "word ".repeat(400);
        let raw = format!("Content-Description: {}\r\n", words.trim_end());
        let entity = Entity::split(raw.as_bytes()).unwrap();
        let fitted = fit(&entity.fields[0], EightBitHeaders::Refused).unwrap().into_owned();
        assert!(lines(&fitted).all(|(_, line)| line.len() <= MAXIMUM_LINE));
        assert_eq!(
            Entity::split(&fitted).unwrap().fields[0].value(),
            entity.fields[0].value()
        );
        check(
            format!("X-A: {}\r\n", "x".repeat(999)),
            Err(MimeError::HeaderLineTooLong {
                field: "X-A".to_owned(),
            }),
        );
    }
}
