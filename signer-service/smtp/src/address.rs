//! The syntax of the addresses inside MAIL and RCPT.
//!
//! smtp-proto removes the quotes of a quoted local part, which turns `"a@b"@c` into `a@b@c`, and makes
//! `<Postmaster>` an empty address. A relay must pass on what the client wrote, so the path is cut out of the line
//! here, and checked again before it is written to the next hop.

/// Why an address is refused; the wording completes "the address …".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressFault {
    NoPath,
    NoDomain,
    LocalPart,
    Domain,
    TooLong,
}

impl AddressFault {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoPath => "is not enclosed in angle brackets",
            Self::NoDomain => "has no @ with a domain after it",
            Self::LocalPart => "has a local part that is neither a dot-atom nor a quoted string",
            Self::Domain => "has a domain that is neither a host name nor an address literal",
            Self::TooLong => "is longer than 64 octets before or 254 octets in all",
        }
    }
}

/// Cuts `<path> parameters` in two, without the angle brackets and without a source route, which RFC 5321 section
/// 4.1.1.3 asks to ignore.
pub(crate) fn split_path(text: &str) -> Result<(&str, &str), AddressFault> {
    let path = text
        .trim_start_matches(' ')
        .strip_prefix('<')
        .ok_or(AddressFault::NoPath)?;
    let end = end_of(path, b'>').ok_or(AddressFault::NoPath)?;
    let (path, rest) = (&path[..end], &path[end + 1..]);
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err(AddressFault::NoPath);
    }
    let path = match path.strip_prefix('@') {
        Some(route) => route.split_once(':').ok_or(AddressFault::NoDomain)?.1,
        None => path,
    };
    Ok((path, rest))
}

/// Checks an address without angle brackets: `local-part "@" (domain / address-literal)` of RFC 5321 section 4.1.2
/// with the UTF-8 of RFC 6531 section 3.3.
pub(crate) fn check(address: &str) -> Result<(), AddressFault> {
    if address.len() > MAX_ADDRESS_OCTETS {
        return Err(AddressFault::TooLong);
    }
    let at = end_of(address, b'@').ok_or(AddressFault::NoDomain)?;
    let (local_part, domain) = (&address[..at], &address[at + 1..]);
    if local_part.len() > MAX_LOCAL_PART_OCTETS {
        return Err(AddressFault::TooLong);
    }
    if !(is_dot_atom(local_part) || is_quoted_string(local_part)) {
        return Err(AddressFault::LocalPart);
    }
    if !(is_host_name(domain) || is_address_literal(domain)) {
        return Err(AddressFault::Domain);
    }
    Ok(())
}

/// The index of the first `wanted` outside of a quoted string.
fn end_of(text: &str, wanted: u8) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if byte == wanted && !quoted => return Some(index),
            _ => {}
        }
    }
    None
}

fn is_dot_atom(text: &str) -> bool {
    let is_atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_non_ascii(c);
    text.split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_quoted_string(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return false;
    };
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        let sound = match c {
            '\\' => characters.next().is_some_and(|c| c == ' ' || c.is_ascii_graphic()),
            '"' => false,
            c => c == ' ' || c.is_ascii_graphic() || is_utf8_non_ascii(c),
        };
        if !sound {
            return false;
        }
    }
    true
}

fn is_host_name(text: &str) -> bool {
    // The underscore is not of RFC 5321, but there are mail domains that have one and it cannot be misread.
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || is_utf8_non_ascii(c);
    text.split('.').all(|label| {
        (1..=MAX_LABEL_OCTETS).contains(&label.len())
            && label.chars().all(is_letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

fn is_address_literal(text: &str) -> bool {
    text.strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .is_some_and(|inner| {
            !inner.is_empty()
                && inner
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'[' | b']' | b'\\'))
        })
}

fn is_utf8_non_ascii(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !c.is_whitespace()
}

/// RFC 5321 section 4.5.3.1.3 allows 256 octets for a path, two of which are the angle brackets.
const MAX_ADDRESS_OCTETS: usize = 254;
/// RFC 5321 section 4.5.3.1.1.
const MAX_LOCAL_PART_OCTETS: usize = 64;
/// RFC 1035 section 2.3.4; a U-label is not longer in octets than this allows times the octets of a character.
const MAX_LABEL_OCTETS: usize = 63 * 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_mail_uses_pass() {
        for address in [
            "a@b",
            "first.last+tag@sub.example.test",
            "o'hara@example.test",
            "\"a@b\"@example.test",
            "\"a \\\" b\"@example.test",
            "user@[192.0.2.1]",
            "user@[IPv6:2001:db8::1]",
            "用户@例え.テスト",
            "x@under_score.example",
        ] {
            assert_eq!(check(address), Ok(()), "{address}");
        }
    }

    #[test]
    fn addresses_that_could_be_read_in_two_ways_are_refused() {
        use AddressFault::{Domain, LocalPart, NoDomain, TooLong};
        let long = format!("{}@example.test", "a".repeat(65));
        let longer = format!("a@{}", "a.".repeat(127));
        for (address, fault) in [
            ("", NoDomain),
            ("a", NoDomain),
            ("\"a@b", NoDomain),
            ("@b", LocalPart),
            (".a@b", LocalPart),
            ("a.@b", LocalPart),
            ("a..b@c", LocalPart),
            ("a b@c", LocalPart),
            ("a<b@c", LocalPart),
            ("\"a\"b@c", LocalPart),
            ("\"a\rb\"@c", LocalPart),
            ("\"a\\\u{e9}\"@c", LocalPart),
            ("a\u{85}@c", LocalPart),
            ("a@", Domain),
            ("a@b@c", Domain),
            ("a@b..c", Domain),
            ("a@-b", Domain),
            ("a@b>c", Domain),
            ("a@b\r\nRSET", Domain),
            ("a@[]", Domain),
            ("a@[1]2]", Domain),
            (long.as_str(), TooLong),
            (longer.as_str(), TooLong),
        ] {
            assert_eq!(check(address), Err(fault), "{address:?}");
        }
    }

    #[test]
    fn paths_are_cut_at_the_bracket_outside_of_quotes() {
        assert_eq!(split_path("<a@b> SIZE=1"), Ok(("a@b", " SIZE=1")));
        assert_eq!(split_path(" <>"), Ok(("", "")));
        assert_eq!(split_path("<\"a>b\"@c>"), Ok(("\"a>b\"@c", "")));
        assert_eq!(split_path("<@x.test,@y.test:a@b>"), Ok(("a@b", "")));
        for text in ["a@b", "<a@b", "<\"a@b>", "<a@b>x", "<@x"] {
            assert!(split_path(text).is_err(), "{text}");
        }
    }
}
