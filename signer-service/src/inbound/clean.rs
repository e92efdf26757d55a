//! Takes out of a message what only this gateway may say of it.

use mail_parser::MessageParser;

use crate::config::Inbound;
use crate::mime::MimeError;
use crate::mime::entity::{Entity, Field};
use crate::mime::header;

/// The message without `Authentication-Results` in our name (RFC 8601 section 5), without fields of ours, and without
/// our tags in its subject where we write such tags.
pub(super) fn clean(message: &[u8], settings: &Inbound) -> Result<Vec<u8>, MimeError> {
    let whole = Entity::split(message)?;
    let mut cleaned = Vec::with_capacity(message.len());
    for field in &whole.fields {
        if is_ours(field) || (field.is("Authentication-Results") && speaks_for(field, &settings.authserv_id)) {
            continue;
        }
        let untagged = if settings.subject_tag && field.is("Subject") {
            without_tags(field)
        } else {
            None
        };
        cleaned.extend_from_slice(untagged.as_deref().unwrap_or_else(|| field.raw()));
        if !cleaned.ends_with(b"\r\n") {
            cleaned.extend_from_slice(b"\r\n");
        }
    }
    cleaned.extend_from_slice(b"\r\n");
    cleaned.extend_from_slice(whole.body);
    Ok(cleaned)
}

/// `Sealwright-Label`, and whatever else begins so.
fn is_ours(field: &Field<'_>) -> bool {
    let name = field.name();
    ["Sealwright-", "X-Sealwright-"].iter().any(|prefix| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    })
}

/// Whether the authserv-id is ours, also behind comments and in quotes.
fn speaks_for(field: &Field<'_>, authserv_id: &str) -> bool {
    let value = String::from_utf8_lossy(&field.value()).into_owned();
    let mut text = value.trim_start();
    while let Some(comment) = text.strip_prefix('(') {
        let mut depth = 1_usize;
        let mut escaped = false;
        let end = comment.char_indices().find_map(|(at, character)| {
            match (escaped, character) {
                (true, _) => escaped = false,
                (false, '\\') => escaped = true,
                (false, '(') => depth += 1,
                (false, ')') => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(at + 1)
        });
        // A comment that does not end says nothing in whatever name, and is not worth the doubt.
        let Some(end) = end else { return true };
        text = comment[end..].trim_start();
    }
    let text = text.strip_prefix('"').unwrap_or(text);
    let id = text
        .split(|character: char| character.is_whitespace() || matches!(character, ';' | '"' | '('))
        .next()
        .unwrap_or_default();
    id.trim_end_matches('.').eq_ignore_ascii_case(authserv_id)
}

/// The subject without tags of ours at its beginning or end, however many; `None` if there is none.
fn without_tags(field: &Field<'_>) -> Option<Vec<u8>> {
    let lone = [b"Subject: ".as_slice(), &field.value(), b"\r\n\r\n"].concat();
    let parsed = MessageParser::new()
        .header_text(mail_parser::HeaderName::Subject)
        .parse(&lone)?;
    let mut text = parsed.subject()?.trim().to_owned();
    let mut found = false;
    while let Some(rest) = TAGS
        .iter()
        .find_map(|tag| without(&text, tag))
        .map(|rest| rest.trim().to_owned())
    {
        text = rest;
        found = true;
    }
    found.then(|| header::unstructured("Subject", &text))
}

fn without<'t>(text: &'t str, tag: &str) -> Option<&'t str> {
    let start = text.get(..tag.len()).filter(|start| start.eq_ignore_ascii_case(tag));
    if start.is_some() {
        return text.get(tag.len()..);
    }
    let at = text.len().checked_sub(tag.len())?;
    text.get(at..)
        .filter(|end| end.eq_ignore_ascii_case(tag))
        .and_then(|_| text.get(..at))
}

/// What [`super::label`] writes.
pub(super) const TAGS: [&str; 4] = ["[V1]", "[V2]", "[V3]", "[V4]"];

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(subject_tag: bool) -> Inbound {
        Inbound {
            authserv_id: "mx.example.com".to_owned(),
            subject_tag,
            ..Inbound::for_tests()
        }
    }

    #[track_caller]
    fn check(fields: &str, expected: &str) {
        let message = format!("{fields}\r\n\r\nbody\r\n");
        let cleaned = String::from_utf8(clean(message.as_bytes(), &settings(true)).unwrap()).unwrap();
        let expected = if expected.is_empty() {
            "\r\nbody\r\n".to_owned()
        } else {
            format!("{expected}\r\n\r\nbody\r\n")
        };
        assert_eq!(cleaned, expected);
    }

    #[test]
    fn results_in_our_name_go() {
        for forged in [
            "Authentication-Results: mx.example.com; smime=pass",
            "authentication-results:MX.Example.COM;smime=pass",
            "Authentication-Results: mx.example.com 1; smime=pass",
            "Authentication-Results: \"mx.example.com\"; smime=pass",
            "Authentication-Results: (a (nested \\) one)) mx.example.com; smime=pass",
            "Authentication-Results:\r\n mx.example.com.;\r\n smime=pass",
            "Authentication-Results: (never ends; smime=pass",
            "Authentication-Results: mx.example.com",
        ] {
            check(forged, "");
        }
    }

    #[test]
    fn results_of_others_stay() {
        for other in [
            "Authentication-Results: mx.example.net; smime=pass",
            "Authentication-Results: mx.example.com.evil.test; dkim=pass",
            "Authentication-Results: evil.test (mx.example.com); dkim=pass",
            "X-Authentication-Results: mx.example.com; dkim=pass",
        ] {
            check(other, other);
        }
    }

    #[test]
    fn labels_go_whoever_wrote_them() {
        for forged in [
            "Sealwright-Label: V4 Carol, Example Bank, CEO, Identity Validated and Trusted",
            "sealwright-label:\r\n V4",
            "X-Sealwright-Anything: x",
            "Sealwright-Encryption: opened",
        ] {
            check(forged, "");
        }
    }

    #[test]
    fn tags_in_subjects_go() {
        for (subject, expected) in [
            ("[V4] Invoice", "Invoice"),
            ("[v4][V3] Invoice [V1]", "Invoice"),
            ("=?utf-8?Q?=5BV4=5D_Gr=C3=BC=C3=9Fe?=", "=?utf-8?B?R3LDvMOfZQ==?="),
            ("Invoice [V5]", "Invoice [V5]"),
            ("Re: [V4] Invoice", "Re: [V4] Invoice"),
            ("V4 Invoice", "V4 Invoice"),
        ] {
            check(&format!("Subject: {subject}"), &format!("Subject: {expected}"));
        }
        let message = b"Subject: [V4] x\r\n\r\n";
        assert_eq!(clean(message, &settings(false)).unwrap(), message);
    }

    #[test]
    fn what_is_no_header_is_refused() {
        assert!(clean(b"Subject : x\r\n\r\n", &settings(true)).is_err());
    }
}
