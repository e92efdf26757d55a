//! Base64 as mail writes it: lines of exactly 76 characters, see RFC 2045 section 6.8.

use data_encoding::{BASE64, Encoding, Specification};

use std::sync::LazyLock;

/// Encodes in lines of 76 columns, joined with CRLF and without one at the end.
///
/// Relays that rewrap base64 rewrap it to 76, so this length survives them.
pub(crate) fn encode(bytes: &[u8]) -> Vec<u8> {
    let text = BASE64.encode(bytes);
    let mut lines = Vec::with_capacity(text.len() + text.len() / COLUMNS * 2 + 2);
    for (index, line) in text.as_bytes().chunks(COLUMNS).enumerate() {
        if index > 0 {
            lines.extend_from_slice(b"\r\n");
        }
        lines.extend_from_slice(line);
    }
    lines
}

/// Decodes, ignoring white space; anything else outside the alphabet is an error (`None`).
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    LENIENT.decode(text).ok()
}

static LENIENT: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    specification.padding = Some('=');
    specification.ignore.push_str(" \t\r\n");
    // The specification is a constant of this file: 64 distinct symbols, a padding, four ignored characters.
    specification.encoding().expect("a constant specification")
});

const COLUMNS: usize = 76;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_exactly_76_columns() {
        let text = encode(&[0x55; 200]);
        let lengths: Vec<usize> = text
            .split(|byte| *byte == b'\n')
            .map(|line| line.trim_ascii_end().len())
            .collect();
        assert_eq!(lengths, [76, 76, 76, 40]);
        assert_eq!(decode(&text).unwrap(), [0x55; 200]);
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for broken in [&b"AAA"[..], b"AA=A", b"A\x00AA", b"AAAA-", "AAÄA".as_bytes()] {
            assert_eq!(decode(broken), None, "{broken:?}");
        }
        assert_eq!(decode(b"").unwrap(), b"");
        assert_eq!(decode(b"QU\r\n JD\r\n").unwrap(), b"ABC");
    }
}
