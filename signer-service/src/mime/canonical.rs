//! The canonical form of text in mail: lines end in CRLF and in nothing else, see RFC 8551 section 3.1.1.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::{MAXIMUM_LINE, MimeError};

/// Turns each bare CR and each bare LF into CRLF; borrows when nothing has to change.
///
/// This happens once, before anything is parsed, so that every later reader sees the same lines.
pub fn canonicalize(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !has_bare_line_break(bytes) {
        return Cow::Borrowed(bytes);
    }
    let mut canonical = Vec::with_capacity(bytes.len() + bytes.len() / 32);
    let mut rest = bytes;
    while let Some(at) = memchr2(b'\r', b'\n', rest) {
        canonical.extend_from_slice(&rest[..at]);
        canonical.extend_from_slice(b"\r\n");
        let width = if rest[at..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[at + width..];
    }
    canonical.extend_from_slice(rest);
    Cow::Owned(canonical)
}

/// The lines of canonical bytes without their CRLF, each with the offset at which it starts.
///
/// Bytes that end in CRLF have no empty line after it.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        if offset >= bytes.len() {
            return None;
        }
        let start = offset;
        let rest = &bytes[start..];
        let length = line_length(rest);
        offset = start + (length + 2).min(rest.len());
        Some((start, &rest[..length]))
    })
}

/// The length of the first line, without its CRLF.
pub(crate) fn line_length(bytes: &[u8]) -> usize {
    let mut from = 0;
    while let Some(at) = memchr(b'\r', &bytes[from..]) {
        if bytes[from + at..].starts_with(b"\r\n") {
            return from + at;
        }
        from += at + 1;
    }
    bytes.len()
}

/// What in a body a relay could change, or refuse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fitness {
    /// 8-bit bytes, NUL, or a line of more than 998 octets: has to be encoded (RFC 8551 section 3.1.3).
    pub(crate) unfit: bool,
    /// Blanks at a line's end, a leading dot or `From `: survives only careful relays.
    pub(crate) fragile: bool,
    /// Bytes that no text has: NUL and most control characters.
    pub(crate) binary: bool,
    /// 8-bit bytes.
    pub(crate) eight_bit: bool,
}

impl Fitness {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut fitness = Self::default();
        for (_, line) in lines(bytes) {
            fitness.unfit |= line.len() > MAXIMUM_LINE;
            fitness.fragile |=
                matches!(line.last(), Some(b' ' | b'\t')) || line.starts_with(b".") || line.starts_with(b"From ");
            let classes = classes_in(line);
            fitness.unfit |= classes & (EIGHT_BIT | NUL | LINE_BREAK) != 0;
            fitness.binary |= classes & (NUL | CONTROL) != 0;
            fitness.eight_bit |= classes & EIGHT_BIT != 0;
        }
        fitness
    }
}

/// The classes of all octets together: a table and no branches, since every octet of every message comes by here.
fn classes_in(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |classes, byte| classes | CLASSES[usize::from(*byte)])
}

const EIGHT_BIT: u8 = 1;
const NUL: u8 = 2;
const LINE_BREAK: u8 = 4;
const CONTROL: u8 = 8;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte: u8 = 0;
    loop {
        classes[byte as usize] = match byte {
            0x80.. => EIGHT_BIT,
            // Tabulator, form feed and the escape of ISO-2022 belong to text.
            b'\t' | 0x0c | 0x1b | 0x20..=0x7e => 0,
            0 => NUL,
            b'\r' | b'\n' => LINE_BREAK,
            _ => CONTROL,
        };
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

/// Whether 8-bit bytes may stand in what goes out: only in header fields of SMTPUTF8 mail (RFC 6532).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EightBitHeaders {
    Allowed,
    Refused,
}

/// Checks the promise of this module tree on its own output: CRLF only, lines of at most 998 octets, no NUL, 7 bits.
pub(crate) fn check_transportable(bytes: &[u8], headers: EightBitHeaders) -> Result<(), MimeError> {
    for (start, line) in lines(bytes) {
        if line.len() > MAXIMUM_LINE {
            return Err(MimeError::NotTransportable { offset: start });
        }
        let unfit = match headers {
            EightBitHeaders::Allowed => NUL | LINE_BREAK,
            EightBitHeaders::Refused => NUL | LINE_BREAK | EIGHT_BIT,
        };
        if classes_in(line) & unfit != 0 {
            let is_unfit = |byte: &u8| CLASSES[usize::from(*byte)] & unfit != 0;
            let at = line.iter().position(is_unfit).unwrap_or_default();
            return Err(MimeError::NotTransportable { offset: start + at });
        }
    }
    Ok(())
}

fn has_bare_line_break(bytes: &[u8]) -> bool {
    let mut from = 0;
    while let Some(at) = memchr2(b'\r', b'\n', &bytes[from..]) {
        if !bytes[from + at..].starts_with(b"\r\n") {
            return true;
        }
        from += at + 2;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_break_becomes_crlf() {
        for (given, expected) in [
            (&b"a\nb"[..], &b"a\r\nb"[..]),
            (b"a\rb", b"a\r\nb"),
            (b"a\r\nb\r\n", b"a\r\nb\r\n"),
            (b"\n\r", b"\r\n\r\n"),
            (b"a\r\r\nb", b"a\r\n\r\nb"),
            (b"", b""),
        ] {
            assert_eq!(&*canonicalize(given), expected);
        }
        assert!(matches!(canonicalize(b"a\r\nb"), Cow::Borrowed(_)));
    }

    #[test]
    fn lines_keep_their_offsets() {
        let all: Vec<_> = lines(b"ab\r\n\r\nc").collect();
        assert_eq!(all, [(0, &b"ab"[..]), (4, b""), (6, b"c")]);
        assert_eq!(lines(b"").count(), 0);
        assert_eq!(lines(b"\r\n").count(), 1);
    }

    #[test]
    fn fitness_tells_must_from_should() {
        assert_eq!(Fitness::of(b"plain\r\ntext"), Fitness::default());
        assert!(Fitness::of("ü".as_bytes()).unfit);
        assert!(Fitness::of(&[b'a'; 999]).unfit);
        assert!(!Fitness::of(&[b'a'; 998]).unfit);
        assert!(Fitness::of(b"a \r\nb").fragile);
        assert!(Fitness::of(b".").fragile);
        assert!(Fitness::of(b"x\r\nFrom me").fragile);
        assert!(Fitness::of(b"a\0b").binary);
    }
}
