//! Content-Type and Content-Transfer-Encoding, read strictly (RFC 2045 sections 5 and 6, RFC 2231).

use crate::base64;
use crate::finding::{Code, Problem};
use crate::header::HeaderBlock;

/// A media type with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentType {
    /// `type/subtype` in lower case.
    pub(crate) media_type: String,
    /// Names in lower case, values as written.
    parameters: Vec<(String, String)>,
}

impl ContentType {
    /// The one Content-Type of a header block; `None` if there is none.
    pub(crate) fn of(header: &HeaderBlock<'_>) -> Result<Option<Self>, Problem> {
        match single(header, "Content-Type")? {
            None => Ok(None),
            Some(value) => Self::parse(&value)
                .map(Some)
                .ok_or_else(|| Code::ContentTypeMalformed.because("the Content-Type field is malformed")),
        }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// `type "/" subtype *(";" attribute "=" value)`. Comments are refused: programs disagree on where they may stand.
    fn parse(value: &str) -> Option<Self> {
        let mut rest = value.trim_matches(BLANK);
        let media_type = take_while(&mut rest, |character| is_token(character) || character == '/');
        let (kind, subtype) = media_type.split_once('/')?;
        if kind.is_empty() || subtype.is_empty() || subtype.contains('/') {
            return None;
        }
        let media_type = media_type.to_ascii_lowercase();
        let mut parameters: Vec<(String, String)> = Vec::new();
        loop {
            rest = rest.trim_start_matches(BLANK);
            if rest.is_empty() {
                return Some(Self { media_type, parameters });
            }
            rest = rest.strip_prefix(';')?.trim_start_matches(BLANK);
            // NOTE: a semicolon at the end is against the grammar and common; nothing can hide behind it.
            if rest.is_empty() {
                return Some(Self { media_type, parameters });
            }
            let name = take_while(&mut rest, is_token).to_ascii_lowercase();
            rest = rest
                .trim_start_matches(BLANK)
                .strip_prefix('=')?
                .trim_start_matches(BLANK);
            let value = match rest.strip_prefix('"') {
                Some(quoted) => {
                    rest = quoted;
                    take_quoted(&mut rest)?
                }
                None => take_while(&mut rest, is_token).to_owned(),
            };
            // RFC 2231 continuations and charsets give a parameter a second spelling. Harmless for a file name, not
            // for the parameters that decide what is signed.
            let base = name.split('*').next()?;
            let decides = matches!(base, "boundary" | "protocol" | "micalg" | "smime-type" | "hp");
            let is_repeated = parameters.iter().any(|(known, _)| *known == name);
            if name.is_empty() || is_repeated || (decides && base != name) || parameters.len() == MAXIMUM_PARAMETERS {
                return None;
            }
            parameters.push((name, value));
        }
    }
}

/// The unfolded value of a field that may stand at most once.
pub(crate) fn single(header: &HeaderBlock<'_>, name: &'static str) -> Result<Option<String>, Problem> {
    let mut fields = header.named(name);
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    if fields.next().is_some() {
        return Err(Code::HeaderRepeated.because(format!("there are several {name} fields")));
    }
    let value = String::from_utf8(field.unfolded()).ok();
    let value = value.filter(|value| {
        !value
            .chars()
            .any(|character| character.is_control() && character != '\t')
    });
    value
        .map(Some)
        .ok_or_else(|| Code::HeaderMalformed.because(format!("the {name} field has control characters")))
}

/// Undoes a Content-Transfer-Encoding of base64, which is the only one a signature may have here.
pub(crate) fn decode_base64(header: &HeaderBlock<'_>, body: &[u8]) -> Result<Vec<u8>, Problem> {
    let encoding = single(header, "Content-Transfer-Encoding")?;
    if !encoding
        .as_deref()
        .is_some_and(|encoding| encoding.eq_ignore_ascii_case("base64"))
    {
        return Err(Code::TransferEncoding.because("the signature is not encoded as base64"));
    }
    base64::decode(body)
        .filter(|decoded| !decoded.is_empty())
        .ok_or_else(|| Code::TransferEncoding.because("the base64 of the signature is damaged"))
}

/// RFC 2045 section 5.1.
fn is_token(character: char) -> bool {
    character.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(character)
}

fn take_while<'a>(rest: &mut &'a str, mut belongs: impl FnMut(char) -> bool) -> &'a str {
    let end = rest.find(|character| !belongs(character)).unwrap_or(rest.len());
    let (taken, after) = rest.split_at(end);
    *rest = after;
    taken
}

/// What stands before the closing quote, escapes undone.
fn take_quoted(rest: &mut &str) -> Option<String> {
    let mut value = String::new();
    let mut characters = rest.char_indices();
    loop {
        match characters.next()? {
            (end, '"') => {
                *rest = rest.get(end + 1..)?;
                return Some(value);
            }
            (_, '\\') => value.push(characters.next()?.1),
            (_, character) => value.push(character),
        }
    }
}

const BLANK: [char; 2] = [' ', '\t'];
/// Parameters of a Content-Type. Source: own choice; RFC 2045 section 5.1 sets none, multipart/signed has three
/// (RFC 1847 section 2.1), and RFC 2231 section 3 splits long ones.
const MAXIMUM_PARAMETERS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<(&str, &[(&str, &str)])>) {
        let got = ContentType::parse(value).map(|parsed| (parsed.media_type, parsed.parameters));
        let expected = expected.map(|(media_type, parameters)| {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            (media_type.to_owned(), parameters.iter().map(own).collect())
        });
        assert_eq!(got, expected, "{value}");
    }

    #[test]
    fn media_types_with_parameters() {
        check("text/plain", Some(("text/plain", &[])));
        check(
            "Text/PLAIN; Charset=UTF-8;",
            Some(("text/plain", &[("charset", "UTF-8")])),
        );
        check(
            "multipart/signed; protocol=\"application/pkcs7-signature\" ;\tboundary = \"a\\\"b\"",
            Some((
                "multipart/signed",
                &[("protocol", "application/pkcs7-signature"), ("boundary", "a\"b")],
            )),
        );
        check(
            "a/b; name*0=x; name*1=y",
            Some(("a/b", &[("name*0", "x"), ("name*1", "y")])),
        );
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for value in [
            "",
            "text",
            "/plain",
            "text/",
            "text/plain/x",
            "text/plain charset=x",
            "a/b; x",
            "a/b; =x",
            "a/b; x=\"y",
            "a/b (comment)",
            "a/b; x=y (comment)",
            "a/b; x=1; X=2",
            "a/b; boundary=1; boundary=2",
            "a/b; boundary*0=1",
            "a/b; boundary*=utf-8''x",
            "a/b; protocol*=x",
            "a/b; x=\"y\"z",
            "a/b;; x=y",
        ] {
            check(value, None);
        }
    }
}
