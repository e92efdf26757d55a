//! The octets of a message: whether they may go out, and how they go over the wire.

use memchr::{memchr, memchr3};

/// The offset of the first NUL, bare CR or bare LF.
pub(super) fn not_canonical(message: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = memchr3(b'\r', b'\n', 0, &message[from..]) {
        if !message[from + at..].starts_with(b"\r\n") {
            return Some(from + at);
        }
        from += at + 2;
    }
    None
}

/// Doubles the dot at the start of every line of a piece of a message, whose line ends are CRLF; told and telling
/// whether the next octet is the first of a line. See RFC 5321 section 4.5.2.
pub(crate) fn stuff(piece: &[u8], mut line_start: bool, output: &mut Vec<u8>) -> bool {
    let mut rest = piece;
    while !rest.is_empty() {
        if line_start && rest.starts_with(b".") {
            output.push(b'.');
        }
        let (line, after) = match memchr(b'\n', rest) {
            Some(at) => rest.split_at(at + 1),
            None => (rest, &[][..]),
        };
        output.extend_from_slice(line);
        line_start = line.ends_with(b"\n");
        rest = after;
    }
    line_start
}

/// The size as SIZE counts it. See RFC 1870 section 3.
pub(super) fn octets(message: &[u8]) -> u64 {
    u64::try_from(message.len()).unwrap_or(u64::MAX)
}
