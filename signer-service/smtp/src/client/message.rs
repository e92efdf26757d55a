//! The octets of a message: whether they may go out, and how they go over the wire.

/// The offset of the first NUL, bare CR or bare LF.
pub(super) fn not_canonical(message: &[u8]) -> Option<usize> {
    let mut previous = 0;
    for (offset, &byte) in message.iter().enumerate() {
        match (previous, byte) {
            (b'\r', b'\n') => {}
            (b'\r', _) => return Some(offset - 1),
            (_, b'\n' | 0) => return Some(offset),
            _ => {}
        }
        previous = byte;
    }
    (previous == b'\r').then(|| message.len() - 1)
}

/// Doubles the dot at the start of every line of a piece of a message, whose line ends are CRLF; told and telling
/// whether the next octet is the first of a line. See RFC 5321 section 4.5.2.
pub(crate) fn stuff(piece: &[u8], mut line_start: bool, output: &mut Vec<u8>) -> bool {
    for line in piece.split_inclusive(|byte| *byte == b'\n') {
        if line_start && line.starts_with(b".") {
            output.push(b'.');
        }
        output.extend_from_slice(line);
        line_start = line.ends_with(b"\n");
    }
    line_start
}

/// The size as SIZE counts it. See RFC 1870 section 3.
pub(super) fn octets(message: &[u8]) -> u64 {
    u64::try_from(message.len()).unwrap_or(u64::MAX)
}
